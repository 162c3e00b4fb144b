//! What the broker writes into the log, one variant an entry kind, and how each stands in header and body groups.
//!
//! [`Event::draft`] and [`Event::read`] are inverses: the state is folded from what was *read back*, never from what was meant.

mod anchor;
mod dispose;
mod erase;
mod fetch;
mod key;
mod person;
mod read;
mod request;
mod review;
mod session;

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Decision, Header, Kind};
use chunk_evidence::rotation::Rotation;
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::review::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use self::dispose::{DisposeEntry, Disposed};
pub(crate) use self::erase::EraseEntry;
pub(crate) use self::fetch::{CutInto, IntentEntry, MaskColumn, OutcomeEntry};
pub(crate) use self::key::{KeyEnroll, KeyRevoke};
pub(crate) use self::person::{PersonRestore, PersonSuspend, SUSPENDED, SubjectBind};
pub(crate) use self::request::{BreakglassOpen, RequestCreate, RequestDeny};
pub(crate) use self::review::{ReviewEntry, SshVerdict};
pub(crate) use self::session::SessionOpen;
use crate::anchor::Observed;

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
    ConfigLoad {
        digest: String,
        datasets: Vec<String>,
        sinks: Vec<SinkEntry>,
    },
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
    /// A directory names a person, or names them anew.
    SubjectBind(SubjectBind),
    /// A directory says that a person may do nothing.
    PersonSuspend(PersonSuspend),
    /// A directory says that they may again.
    PersonRestore(PersonRestore),
    /// A person's SSH key.
    KeyEnroll(KeyEnroll),
    /// It counts no more.
    KeyRevoke(KeyRevoke),
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
    /// A pending request has waited so long that others may review it too.
    RequestEscalate { id: RequestId, request: u64 },
    /// The request before it is an emergency: nobody approves beforehand.
    BreakglassOpen(BreakglassOpen),
    /// A reviewer's signed verdict.
    Review(ReviewEntry),
    /// The right to fetch, given by approvals or by policy alone.
    GrantIssue {
        id: RequestId,
        digest: String,
        actor: ActorId,
        refs: Vec<u64>,
        expires_ms: i64,
        /// It may be taken for many requests of its shape, and not only once.
        standing: bool,
    },
    /// The grant is used; it is used once, unless it is a standing one.
    GrantTake {
        id: RequestId,
        /// The request that is a use of a standing grant.
        used_for: Option<RequestId>,
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
        /// Of exactly these bytes, hex.
        sha256: String,
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
    /// The records of a person can be read no more.
    Erase(EraseEntry),
    /// Bodies and recordings have been kept for as long as they had to be.
    Dispose(DisposeEntry),
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
    /// Others said something of the log.
    Anchor(Observed),
    /// The log's key is another from here on.
    KeyRotate(Rotation),
}

/// Where entries are sent to, as a configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SinkEntry {
    pub(crate) kind: String,
    pub(crate) level: u8,
    pub(crate) name: String,
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
            Event::ConfigLoad { digest, datasets, sinks } => {
                let mut what = json!({ "datasets": datasets, "digest": digest });
                put(&mut what, "sinks", (!sinks.is_empty()).then(|| json!(sinks)));
                body.set(Group::What, what);
            }
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
            Event::SubjectBind(bind) => bind.write(&mut header, &mut body),
            Event::PersonSuspend(suspend) => suspend.write(&mut header, &mut body),
            Event::PersonRestore(restore) => restore.write(&mut header, &mut body),
            Event::KeyEnroll(enroll) => enroll.write(&mut header, &mut body),
            Event::KeyRevoke(revoke) => revoke.write(&mut header, &mut body),
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
            Event::RequestEscalate { id, request } => {
                header.refs = vec![*request];
                body.set(Group::What, json!({ "id": id }));
            }
            Event::BreakglassOpen(open) => open.write(&mut header, &mut body),
            Event::Review(review) => review.write(&mut header, &mut body),
            Event::GrantIssue {
                id,
                digest,
                actor,
                refs,
                expires_ms,
                standing,
            } => {
                by(&mut header, Some(actor), None);
                header.dec = Some(Decision::Allow);
                header.refs.clone_from(refs);
                body.set(Group::What, json!({ "digest": digest, "id": id }));
                let mut out = json!({ "expires_ms": expires_ms });
                put(&mut out, "uses", (!standing).then_some(1));
                body.set(Group::Out, out);
            }
            Event::GrantTake {
                id,
                used_for,
                actor,
                session,
                refs,
            } => {
                by(&mut header, Some(actor), Some(session));
                header.refs.clone_from(refs);
                let mut what = json!({ "id": id });
                put(&mut what, "request", used_for.as_ref().map(RequestId::as_str));
                body.set(Group::What, what);
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
                sha256,
            } => {
                header.refs = vec![*intent];
                body.set(Group::What, json!({ "request": request }));
                body.set(Group::Out, json!({ "bytes": bytes, "rows": rows, "sha256": sha256 }));
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
            Event::Erase(erase) => erase.write(&mut header, &mut body),
            Event::Dispose(dispose) => dispose.write(&mut body),
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
            Event::Anchor(observed) => anchor::write(observed, &mut body),
            Event::KeyRotate(rotation) => body.set(Group::What, json!({ "rotation": rotation.text() })),
        }
        (header, body)
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
            Event::SubjectBind(_) => Kind::SubjectBind,
            Event::PersonSuspend(_) => Kind::PersonSuspend,
            Event::PersonRestore(_) => Kind::PersonRestore,
            Event::KeyEnroll(_) => Kind::KeyEnroll,
            Event::KeyRevoke(_) => Kind::KeyRevoke,
            Event::RequestCreate(_) => Kind::RequestCreate,
            Event::RequestDeny(_) => Kind::RequestDeny,
            Event::RequestEnd { cancelled: true, .. } => Kind::RequestCancel,
            Event::RequestEnd { .. } => Kind::RequestExpire,
            Event::RequestEscalate { .. } => Kind::RequestEscalate,
            Event::BreakglassOpen(_) => Kind::BreakglassOpen,
            Event::Review(ReviewEntry { afterwards: true, .. }) => Kind::BreakglassReview,
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
            Event::Erase(_) => Kind::Erase,
            Event::Dispose(_) => Kind::RetentionDispose,
            Event::AuditRead { .. } => Kind::AuditRead,
            Event::AuditExport { .. } => Kind::AuditExport,
            Event::Anchor(_) => Kind::AnchorObserve,
            Event::KeyRotate(_) => Kind::KeyRotate,
        }
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
