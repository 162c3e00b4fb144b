//! What the broker writes into the log, one variant an entry kind, and how each stands in header and body groups.
//!
//! [`Event::draft`] and [`Event::read`] are inverses: the state is folded from what was *read back*, never from what was meant.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Decision, Header, Kind};
use chunk_wire::id::{ActorId, FetchId, RequestId, SessionId};
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, Person};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One log entry before it has an index and a time.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "events live for one commit; boxing the largest would cost every reader a hop"
)]
pub(crate) enum Event {
    /// First entry of every log.
    Genesis { origin: String, version: String, log_key: String },
    /// The broker starts.
    Start { version: String, instance: String },
    /// The broker stops in good order.
    Stop { instance: String },
    /// Configuration in force from here.
    ConfigLoad { digest: String, datasets: Vec<String> },
    /// Policies in force from here.
    PolicyLoad { digest: String, text: String, schema: String },
    /// A person signed in.
    SessionOpen(SessionOpen),
    /// A session ended; `open` is the index of its `session.open`.
    SessionClose {
        session: SessionId,
        actor: ActorId,
        open: u64,
        cause: String,
    },
    /// Failed sign-ins since the last such entry, aggregated so that a flood cannot fill the log.
    SessionFail { ip: String, code: String, count: u64 },
    /// A request, signed by the person who asks.
    RequestCreate(RequestCreate),
    /// A request that was denied, or could not be planned.
    RequestDeny(RequestDeny),
    /// A pending request was withdrawn (`false`: it expired).
    RequestEnd {
        id: RequestId,
        request: u64,
        cancelled: bool,
        actor: Option<ActorId>,
        session: Option<SessionId>,
        reason: String,
    },
    /// A reviewer's signed verdict.
    Review(ReviewEntry),
    /// The right to fetch, given by approvals or by policy alone.
    GrantIssue {
        id: RequestId,
        digest: String,
        actor: ActorId,
        refs: Vec<u64>,
        expires_ms: i64,
    },
    /// The grant is used; it is used once.
    GrantTake {
        id: RequestId,
        actor: ActorId,
        session: SessionId,
        refs: Vec<u64>,
    },
    /// The grant ended unused or was withdrawn (`revoked`).
    GrantEnd {
        id: RequestId,
        grant: u64,
        revoked: bool,
        actor: Option<ActorId>,
        session: Option<SessionId>,
        reason: String,
    },
    /// Data is about to be read.
    Intent(IntentEntry),
    /// So much has left.
    Progress {
        request: RequestId,
        intent: u64,
        rows: u64,
        bytes: u64,
    },
    /// How a delivery ended.
    Outcome(OutcomeEntry),
    /// The client holds the bytes.
    Ack {
        id: RequestId,
        outcome: u64,
        actor: ActorId,
        session: SessionId,
        sha256: String,
    },
    /// Somebody read the evidence.
    AuditRead {
        actor: ActorId,
        session: SessionId,
        open: u64,
        query: Value,
        entries: u64,
    },
    /// Somebody exported evidence: entries `[from, to)` at a disclosure level.
    AuditExport {
        actor: ActorId,
        session: SessionId,
        open: u64,
        query: Value,
        from: u64,
        to: u64,
        level: u8,
    },
}

/// `session.open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionOpen {
    /// The session.
    pub(crate) session: SessionId,
    /// Pseudonym of the person.
    pub(crate) actor: ActorId,
    /// The person.
    pub(crate) person: Person,
    /// Methods of authentication.
    pub(crate) amr: Vec<String>,
    /// When the person proved who they are, seconds since 1970, where the issuer says.
    pub(crate) auth_time: Option<i64>,
    /// RFC 7638 thumbprint of the session's key.
    pub(crate) key: String,
    /// The key, 32 bytes, base64url.
    pub(crate) public_key: String,
    /// Address.
    pub(crate) ip: String,
    /// Client in its own words.
    pub(crate) client: ClientInfo,
    /// End, ms since 1970.
    pub(crate) expires_ms: i64,
    /// SHA-256 (hex) of the ID token, which is accepted once.
    pub(crate) id_token: String,
}

/// `request.create`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestCreate {
    /// Id.
    pub(crate) id: RequestId,
    /// Session under which it was made.
    pub(crate) session: SessionId,
    /// Requester's pseudonym.
    pub(crate) actor: ActorId,
    /// Index of the requester's `session.open`.
    pub(crate) open: u64,
    /// Index of the policy set that decided.
    pub(crate) policy: u64,
    /// Digest of the document, hex.
    pub(crate) digest: String,
    /// DSSE envelope over the document.
    pub(crate) envelope: Value,
    /// Document, parsed, for the groups that are opened separately.
    pub(crate) document: chunk_wire::fetch::RequestDocument,
    /// `pending` or `approved`.
    pub(crate) state: String,
    /// End of that state, ms since 1970.
    pub(crate) expires_ms: i64,
    /// Estimated rows.
    pub(crate) rows_estimated: Option<u64>,
}

/// `request.deny`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestDeny {
    /// Session.
    pub(crate) session: SessionId,
    /// Pseudonym.
    pub(crate) actor: ActorId,
    /// Index of `session.open`.
    pub(crate) open: u64,
    /// Index of the policy set.
    pub(crate) policy: Option<u64>,
    /// What was asked.
    pub(crate) query: Value,
    /// Why it was asked.
    pub(crate) reason: String,
    /// Ticket.
    pub(crate) ticket: Option<String>,
    /// Problem code.
    pub(crate) code: String,
    /// Determining policies.
    pub(crate) policies: Vec<String>,
}

/// `review.approve` and `review.reject`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReviewEntry {
    /// Request.
    pub(crate) id: RequestId,
    /// Index of its `request.create`.
    pub(crate) request: u64,
    /// Reviewer's session.
    pub(crate) session: SessionId,
    /// Index of the reviewer's `session.open`.
    pub(crate) open: u64,
    /// Reviewer's pseudonym.
    pub(crate) actor: ActorId,
    /// Issuer of the reviewer.
    pub(crate) issuer: String,
    /// Subject of the reviewer.
    pub(crate) subject: String,
    /// Thumbprint of the key that signed.
    pub(crate) key: String,
    /// Verdict.
    pub(crate) verdict: Verdict,
    /// Digest reviewed.
    pub(crate) digest: String,
    /// Justification.
    pub(crate) reason: String,
    /// DSSE envelope over the verdict.
    pub(crate) envelope: Value,
}

/// `fetch.intent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntentEntry {
    /// Request.
    pub(crate) request: RequestId,
    /// This attempt.
    pub(crate) fetch: FetchId,
    /// Chunk number.
    pub(crate) chunk: u32,
    /// Session.
    pub(crate) session: SessionId,
    /// Pseudonym.
    pub(crate) actor: ActorId,
    /// Index of `grant.issue`.
    pub(crate) grant: u64,
    /// Index of `session.open`.
    pub(crate) open: u64,
    /// Connections.
    pub(crate) connections: Vec<String>,
    /// Datasets.
    pub(crate) datasets: Vec<String>,
    /// Columns and masks in force.
    pub(crate) columns: Vec<MaskColumn>,
    /// Instance of the broker that reads.
    pub(crate) instance: String,
}

/// A column in an intent or outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskColumn {
    /// Dataset.
    pub(crate) dataset: String,
    /// Column.
    pub(crate) column: String,
    /// Class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// Mask in words.
    pub(crate) mask: String,
    /// Values that went through it (outcomes only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<u64>,
    /// Values that came out different (outcomes only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) altered: Option<u64>,
}

/// `fetch.outcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutcomeEntry {
    /// Request.
    pub(crate) request: RequestId,
    /// Index of the intent.
    pub(crate) intent: u64,
    /// `done`, `cut`, `source_failed`, `limit`, `failed`, `revoked`, `interrupted`.
    pub(crate) end: String,
    /// Rows that left.
    pub(crate) rows: u64,
    /// Bytes that left; for `interrupted`, at least so many.
    pub(crate) bytes: u64,
    /// Milliseconds.
    pub(crate) ms: u64,
    /// SHA-256 (hex) of the bytes, when done.
    pub(crate) sha256: Option<String>,
    /// For `interrupted`: no more than so many bytes can have left.
    pub(crate) bytes_max: Option<u64>,
    /// Mask counts.
    pub(crate) columns: Vec<MaskColumn>,
}

/// An entry that does not read back as what its kind says: the log was not written by this program, or is damaged.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} ({kind}): {what}")]
pub(crate) struct EventError {
    index: u64,
    kind: &'static str,
    what: String,
}

impl Event {
    /// Kind, header fields and body of the entry. Time is set by the log's writer.
    #[must_use]
    pub(crate) fn draft(&self) -> (Header, Body) {
        let mut header = Header::new(self.kind());
        let mut body = Body::default();
        match self {
            Event::Genesis { origin, version, log_key } => {
                body.set(Group::What, json!({ "log_key": log_key }));
                body.set(Group::Env, json!({ "origin": origin, "version": version }));
            }
            Event::Start { version, instance } => body.set(Group::Env, json!({ "instance": instance, "version": version })),
            Event::Stop { instance } => body.set(Group::Env, json!({ "instance": instance })),
            Event::ConfigLoad { digest, datasets } => body.set(Group::What, json!({ "datasets": datasets, "digest": digest })),
            Event::PolicyLoad { digest, text, schema } => {
                body.set(Group::What, json!({ "digest": digest, "schema": schema, "text": text }));
            }
            Event::SessionOpen(open) => open.write(&mut header, &mut body),
            Event::SessionClose {
                session,
                actor,
                open,
                cause,
            } => {
                by(&mut header, Some(actor), Some(session));
                header.refs = vec![*open];
                body.set(Group::Why, json!({ "cause": cause }));
            }
            Event::SessionFail { ip, code, count } => {
                body.set(Group::Net, json!({ "ip": ip }));
                body.set(Group::Out, json!({ "code": code, "count": count }));
            }
            Event::RequestCreate(request) => request.write(&mut header, &mut body),
            Event::RequestDeny(deny) => deny.write(&mut header, &mut body),
            Event::RequestEnd {
                id,
                request,
                actor,
                session,
                reason,
                ..
            } => {
                by(&mut header, actor.as_ref(), session.as_ref());
                header.refs = vec![*request];
                body.set(Group::What, json!({ "id": id }));
                body.set(Group::Why, why(reason, None));
            }
            Event::Review(review) => review.write(&mut header, &mut body),
            Event::GrantIssue {
                id,
                digest,
                actor,
                refs,
                expires_ms,
            } => {
                by(&mut header, Some(actor), None);
                header.dec = Some(Decision::Allow);
                header.refs.clone_from(refs);
                body.set(Group::What, json!({ "digest": digest, "id": id }));
                body.set(Group::Out, json!({ "expires_ms": expires_ms, "uses": 1 }));
            }
            Event::GrantTake { id, actor, session, refs } => {
                by(&mut header, Some(actor), Some(session));
                header.refs.clone_from(refs);
                body.set(Group::What, json!({ "id": id }));
            }
            Event::GrantEnd {
                id,
                grant,
                actor,
                session,
                reason,
                ..
            } => {
                by(&mut header, actor.as_ref(), session.as_ref());
                header.refs = vec![*grant];
                body.set(Group::What, json!({ "id": id }));
                body.set(Group::Why, why(reason, None));
            }
            Event::Intent(intent) => intent.write(&mut header, &mut body),
            Event::Progress {
                request,
                intent,
                rows,
                bytes,
            } => {
                header.refs = vec![*intent];
                body.set(Group::What, json!({ "request": request }));
                body.set(Group::Out, json!({ "bytes": bytes, "rows": rows }));
            }
            Event::Outcome(outcome) => outcome.write(&mut header, &mut body),
            Event::Ack {
                id,
                outcome,
                actor,
                session,
                sha256,
            } => {
                by(&mut header, Some(actor), Some(session));
                header.refs = vec![*outcome];
                body.set(Group::What, json!({ "id": id }));
                body.set(Group::Out, json!({ "sha256": sha256 }));
            }
            Event::AuditRead {
                actor,
                session,
                open,
                query,
                entries,
            } => {
                by(&mut header, Some(actor), Some(session));
                header.refs = vec![*open];
                body.set(Group::What, json!({ "query": query }));
                body.set(Group::Out, json!({ "entries": entries }));
            }
            Event::AuditExport {
                actor,
                session,
                open,
                query,
                from,
                to,
                level,
            } => {
                by(&mut header, Some(actor), Some(session));
                header.refs = vec![*open];
                body.set(Group::What, json!({ "query": query }));
                body.set(Group::Out, json!({ "from": from, "level": level, "to": to }));
            }
        }
        (header, body)
    }

    /// Reads an entry back.
    ///
    /// # Errors
    /// When a member that its kind must have is missing or of another type.
    pub(crate) fn read(index: u64, header: &Header, body: &Body) -> Result<Self, EventError> {
        let read = Read { index, header, body };
        Ok(match header.kind {
            Kind::LogGenesis => Event::Genesis {
                origin: read.member(Group::Env, "origin")?,
                version: read.member(Group::Env, "version")?,
                log_key: read.member(Group::What, "log_key")?,
            },
            Kind::BrokerStart => Event::Start {
                version: read.member(Group::Env, "version")?,
                instance: read.member(Group::Env, "instance")?,
            },
            Kind::BrokerStop => Event::Stop {
                instance: read.member(Group::Env, "instance")?,
            },
            Kind::ConfigLoad => Event::ConfigLoad {
                digest: read.member(Group::What, "digest")?,
                datasets: read.member(Group::What, "datasets")?,
            },
            Kind::PolicyLoad => Event::PolicyLoad {
                digest: read.member(Group::What, "digest")?,
                text: read.member(Group::What, "text")?,
                schema: read.member(Group::What, "schema")?,
            },
            Kind::SessionOpen => Event::SessionOpen(SessionOpen::read(&read)?),
            Kind::SessionClose => Event::SessionClose {
                session: read.session()?,
                actor: read.actor()?,
                open: read.reference(0)?,
                cause: read.member(Group::Why, "cause")?,
            },
            Kind::SessionFail => Event::SessionFail {
                ip: read.member(Group::Net, "ip")?,
                code: read.member(Group::Out, "code")?,
                count: read.member(Group::Out, "count")?,
            },
            Kind::RequestCreate => Event::RequestCreate(RequestCreate::read(&read)?),
            Kind::RequestDeny => Event::RequestDeny(RequestDeny::read(&read)?),
            Kind::RequestCancel | Kind::RequestExpire => Event::RequestEnd {
                id: read.member(Group::What, "id")?,
                request: read.reference(0)?,
                cancelled: header.kind == Kind::RequestCancel,
                actor: read.actor_if_any()?,
                session: read.session_if_any()?,
                reason: read.member(Group::Why, "reason")?,
            },
            Kind::ReviewApprove | Kind::ReviewReject => Event::Review(ReviewEntry::read(&read)?),
            Kind::GrantIssue => Event::GrantIssue {
                id: read.member(Group::What, "id")?,
                digest: read.member(Group::What, "digest")?,
                actor: read.actor()?,
                refs: header.refs.clone(),
                expires_ms: read.member(Group::Out, "expires_ms")?,
            },
            Kind::GrantTake => Event::GrantTake {
                id: read.member(Group::What, "id")?,
                actor: read.actor()?,
                session: read.session()?,
                refs: header.refs.clone(),
            },
            Kind::GrantRevoke | Kind::GrantExpire => Event::GrantEnd {
                id: read.member(Group::What, "id")?,
                grant: read.reference(0)?,
                revoked: header.kind == Kind::GrantRevoke,
                actor: read.actor_if_any()?,
                session: read.session_if_any()?,
                reason: read.member(Group::Why, "reason")?,
            },
            Kind::FetchIntent => Event::Intent(IntentEntry::read(&read)?),
            Kind::FetchProgress => Event::Progress {
                request: read.member(Group::What, "request")?,
                intent: read.reference(0)?,
                rows: read.member(Group::Out, "rows")?,
                bytes: read.member(Group::Out, "bytes")?,
            },
            Kind::FetchOutcome => Event::Outcome(OutcomeEntry::read(&read)?),
            Kind::DeliveryAck => Event::Ack {
                id: read.member(Group::What, "id")?,
                outcome: read.reference(0)?,
                actor: read.actor()?,
                session: read.session()?,
                sha256: read.member(Group::Out, "sha256")?,
            },
            Kind::AuditRead => Event::AuditRead {
                actor: read.actor()?,
                session: read.session()?,
                open: read.reference(0)?,
                query: read.member(Group::What, "query")?,
                entries: read.member(Group::Out, "entries")?,
            },
            Kind::AuditExport => Event::AuditExport {
                actor: read.actor()?,
                session: read.session()?,
                open: read.reference(0)?,
                query: read.member(Group::What, "query")?,
                from: read.member(Group::Out, "from")?,
                to: read.member(Group::Out, "to")?,
                level: read.member(Group::Out, "level")?,
            },
            _ => return Err(read.fault("this version does not write entries of this kind")),
        })
    }

    /// The kind of entry.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Event::Genesis { .. } => Kind::LogGenesis,
            Event::Start { .. } => Kind::BrokerStart,
            Event::Stop { .. } => Kind::BrokerStop,
            Event::ConfigLoad { .. } => Kind::ConfigLoad,
            Event::PolicyLoad { .. } => Kind::PolicyLoad,
            Event::SessionOpen(_) => Kind::SessionOpen,
            Event::SessionClose { .. } => Kind::SessionClose,
            Event::SessionFail { .. } => Kind::SessionFail,
            Event::RequestCreate(_) => Kind::RequestCreate,
            Event::RequestDeny(_) => Kind::RequestDeny,
            Event::RequestEnd { cancelled: true, .. } => Kind::RequestCancel,
            Event::RequestEnd { .. } => Kind::RequestExpire,
            Event::Review(review) => match review.verdict {
                Verdict::Approve => Kind::ReviewApprove,
                Verdict::Reject => Kind::ReviewReject,
            },
            Event::GrantIssue { .. } => Kind::GrantIssue,
            Event::GrantTake { .. } => Kind::GrantTake,
            Event::GrantEnd { revoked: true, .. } => Kind::GrantRevoke,
            Event::GrantEnd { .. } => Kind::GrantExpire,
            Event::Intent(_) => Kind::FetchIntent,
            Event::Progress { .. } => Kind::FetchProgress,
            Event::Outcome(_) => Kind::FetchOutcome,
            Event::Ack { .. } => Kind::DeliveryAck,
            Event::AuditRead { .. } => Kind::AuditRead,
            Event::AuditExport { .. } => Kind::AuditExport,
        }
    }
}

impl SessionOpen {
    fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        let mut who = json!({
            "amr": self.amr, "groups": self.person.groups, "issuer": self.person.issuer, "key": self.key,
            "name": self.person.name, "public_key": self.public_key, "subject": self.person.subject,
        });
        put(&mut who, "email", self.person.email.as_deref());
        put(&mut who, "auth_time", self.auth_time);
        body.set(Group::Who, who);
        body.set(
            Group::Net,
            json!({ "client": self.client.version, "host": self.client.host, "ip": self.ip }),
        );
        body.set(Group::Out, json!({ "expires_ms": self.expires_ms, "id_token": self.id_token }));
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            session: read.session()?,
            actor: read.actor()?,
            person: Person {
                issuer: read.member(Group::Who, "issuer")?,
                subject: read.member(Group::Who, "subject")?,
                name: read.member(Group::Who, "name")?,
                email: read.optional(Group::Who, "email")?,
                groups: read.member(Group::Who, "groups")?,
            },
            amr: read.member(Group::Who, "amr")?,
            auth_time: read.optional(Group::Who, "auth_time")?,
            key: read.member(Group::Who, "key")?,
            public_key: read.member(Group::Who, "public_key")?,
            ip: read.member(Group::Net, "ip")?,
            client: ClientInfo {
                version: read.member(Group::Net, "client")?,
                host: read.member(Group::Net, "host")?,
            },
            expires_ms: read.member(Group::Out, "expires_ms")?,
            id_token: read.member(Group::Out, "id_token")?,
        })
    }
}

impl RequestCreate {
    fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(Decision::Allow);
        header.pol = Some(self.policy);
        header.ds = Some(self.document.datasets.join(","));
        header.refs = vec![self.open];
        body.set(
            Group::What,
            json!({ "digest": self.digest, "envelope": self.envelope, "id": self.id }),
        );
        body.set(
            Group::Obj,
            json!({
                "columns": serde_json::to_value(&self.document.columns).unwrap_or_default(),
                "connections": self.document.connections, "datasets": self.document.datasets,
            }),
        );
        body.set(Group::Why, why(&self.document.reason, self.document.ticket.as_deref()));
        let mut out = json!({ "expires_ms": self.expires_ms, "quorum": self.document.quorum, "state": self.state });
        put(&mut out, "rows_estimated", self.rows_estimated);
        body.set(Group::Out, out);
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let envelope: Value = read.member(Group::What, "envelope")?;
        let parsed: chunk_evidence::dsse::Envelope = serde_json::from_value(envelope.clone()).map_err(|e| read.fault(e))?;
        let payload = parsed.payload_bytes().map_err(|e| read.fault(e))?;
        Ok(Self {
            id: read.member(Group::What, "id")?,
            session: read.session()?,
            actor: read.actor()?,
            open: read.reference(0)?,
            policy: read.header.pol.ok_or_else(|| read.fault("no policy index"))?,
            digest: read.member(Group::What, "digest")?,
            envelope,
            document: serde_json::from_slice(&payload).map_err(|e| read.fault(e))?,
            state: read.member(Group::Out, "state")?,
            expires_ms: read.member(Group::Out, "expires_ms")?,
            rows_estimated: read.optional(Group::Out, "rows_estimated")?,
        })
    }
}

impl RequestDeny {
    fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(Decision::Deny);
        header.pol = self.policy;
        header.refs = vec![self.open];
        body.set(Group::What, json!({ "query": self.query }));
        body.set(Group::Why, why(&self.reason, self.ticket.as_deref()));
        body.set(Group::Out, json!({ "code": self.code, "policies": self.policies }));
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            session: read.session()?,
            actor: read.actor()?,
            open: read.reference(0)?,
            policy: read.header.pol,
            query: read.member(Group::What, "query")?,
            reason: read.member(Group::Why, "reason")?,
            ticket: read.optional(Group::Why, "ticket")?,
            code: read.member(Group::Out, "code")?,
            policies: read.member(Group::Out, "policies")?,
        })
    }
}

impl ReviewEntry {
    fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(match self.verdict {
            Verdict::Approve => Decision::Allow,
            Verdict::Reject => Decision::Deny,
        });
        header.refs = vec![self.request, self.open];
        body.set(
            Group::Who,
            json!({ "issuer": self.issuer, "key": self.key, "subject": self.subject }),
        );
        body.set(
            Group::What,
            json!({ "digest": self.digest, "envelope": self.envelope, "id": self.id }),
        );
        body.set(Group::Why, why(&self.reason, None));
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            id: read.member(Group::What, "id")?,
            request: read.reference(0)?,
            open: read.reference(1)?,
            session: read.session()?,
            actor: read.actor()?,
            issuer: read.member(Group::Who, "issuer")?,
            subject: read.member(Group::Who, "subject")?,
            key: read.member(Group::Who, "key")?,
            verdict: if read.header.kind == Kind::ReviewApprove {
                Verdict::Approve
            } else {
                Verdict::Reject
            },
            digest: read.member(Group::What, "digest")?,
            reason: read.member(Group::Why, "reason")?,
            envelope: read.member(Group::What, "envelope")?,
        })
    }
}

impl IntentEntry {
    fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.ds = Some(self.datasets.join(","));
        header.refs = vec![self.grant, self.open];
        body.set(
            Group::What,
            json!({ "chunk": self.chunk, "fetch": self.fetch, "request": self.request }),
        );
        body.set(Group::Obj, json!({ "connections": self.connections, "datasets": self.datasets }));
        body.set(
            Group::Mask,
            json!({ "columns": serde_json::to_value(&self.columns).unwrap_or_default() }),
        );
        body.set(Group::Env, json!({ "instance": self.instance }));
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            request: read.member(Group::What, "request")?,
            fetch: read.member(Group::What, "fetch")?,
            chunk: read.member(Group::What, "chunk")?,
            session: read.session()?,
            actor: read.actor()?,
            grant: read.reference(0)?,
            open: read.reference(1)?,
            connections: read.member(Group::Obj, "connections")?,
            datasets: read.member(Group::Obj, "datasets")?,
            columns: read.member(Group::Mask, "columns")?,
            instance: read.member(Group::Env, "instance")?,
        })
    }
}

impl OutcomeEntry {
    fn write(&self, header: &mut Header, body: &mut Body) {
        header.refs = vec![self.intent];
        body.set(Group::What, json!({ "request": self.request }));
        let mut out = json!({ "bytes": self.bytes, "end": self.end, "ms": self.ms, "rows": self.rows });
        put(&mut out, "sha256", self.sha256.as_deref());
        put(&mut out, "bytes_max", self.bytes_max);
        body.set(Group::Out, out);
        body.set(
            Group::Mask,
            json!({ "columns": serde_json::to_value(&self.columns).unwrap_or_default() }),
        );
    }

    fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            request: read.member(Group::What, "request")?,
            intent: read.reference(0)?,
            end: read.member(Group::Out, "end")?,
            rows: read.member(Group::Out, "rows")?,
            bytes: read.member(Group::Out, "bytes")?,
            ms: read.member(Group::Out, "ms")?,
            sha256: read.optional(Group::Out, "sha256")?,
            bytes_max: read.optional(Group::Out, "bytes_max")?,
            columns: read.member(Group::Mask, "columns")?,
        })
    }
}

/// An entry while it is read: every miss names the entry.
struct Read<'a> {
    index: u64,
    header: &'a Header,
    body: &'a Body,
}

impl Read<'_> {
    fn fault(&self, what: impl ToString) -> EventError {
        EventError {
            index: self.index,
            kind: self.header.kind.as_str(),
            what: what.to_string(),
        }
    }

    fn optional<T: DeserializeOwned>(&self, group: Group, name: &str) -> Result<Option<T>, EventError> {
        match self.body.get(group).get(name) {
            None => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|e| self.fault(format!("{}.{name}: {e}", group.as_str()))),
        }
    }

    fn member<T: DeserializeOwned>(&self, group: Group, name: &str) -> Result<T, EventError> {
        self.optional(group, name)?
            .ok_or_else(|| self.fault(format!("{}.{name} is missing", group.as_str())))
    }

    fn reference(&self, n: usize) -> Result<u64, EventError> {
        self.header
            .refs
            .get(n)
            .copied()
            .ok_or_else(|| self.fault(format!("reference {n} is missing")))
    }

    fn actor_if_any(&self) -> Result<Option<ActorId>, EventError> {
        self.header.act.as_deref().map(str::parse).transpose().map_err(|e| self.fault(e))
    }

    fn actor(&self) -> Result<ActorId, EventError> {
        self.actor_if_any()?.ok_or_else(|| self.fault("act is missing"))
    }

    fn session_if_any(&self) -> Result<Option<SessionId>, EventError> {
        self.header.sid.as_deref().map(str::parse).transpose().map_err(|e| self.fault(e))
    }

    fn session(&self) -> Result<SessionId, EventError> {
        self.session_if_any()?.ok_or_else(|| self.fault("sid is missing"))
    }
}

fn by(header: &mut Header, actor: Option<&ActorId>, session: Option<&SessionId>) {
    header.act = actor.map(ToString::to_string);
    header.sid = session.map(ToString::to_string);
}

fn why(reason: &str, ticket: Option<&str>) -> Value {
    let mut why = json!({ "reason": reason });
    put(&mut why, "ticket", ticket);
    why
}

fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
        object.insert(name.to_owned(), value.into());
    }
}
