//! Reads entries back.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Header, Kind};
use chunk_evidence::rotation::Rotation;
use chunk_wire::id::{ActorId, SessionId};
use serde::de::DeserializeOwned;

use super::{
    BreakglassOpen, DisposeEntry, EraseEntry, Event, EventError, IntentEntry, KeyEnroll, KeyRevoke, OutcomeEntry, PersonRestore,
    PersonSuspend, RequestCreate, RequestDeny, ReviewEntry, SessionOpen, SubjectBind,
};

impl Event {
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
                sinks: read.optional(Group::What, "sinks")?.unwrap_or_default(),
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
            Kind::SubjectBind => Event::SubjectBind(SubjectBind::read(&read)?),
            Kind::PersonSuspend => Event::PersonSuspend(PersonSuspend::read(&read)?),
            Kind::PersonRestore => Event::PersonRestore(PersonRestore::read(&read)?),
            Kind::KeyEnroll => Event::KeyEnroll(KeyEnroll::read(&read)?),
            Kind::KeyRevoke => Event::KeyRevoke(KeyRevoke::read(&read)?),
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
            Kind::RequestEscalate => Event::RequestEscalate {
                id: read.member(Group::What, "id")?,
                request: read.reference(0)?,
            },
            Kind::BreakglassOpen => Event::BreakglassOpen(BreakglassOpen::read(&read)?),
            Kind::ReviewApprove | Kind::ReviewReject | Kind::BreakglassReview => Event::Review(ReviewEntry::read(&read)?),
            Kind::GrantIssue => Event::GrantIssue {
                id: read.member(Group::What, "id")?,
                digest: read.member(Group::What, "digest")?,
                actor: read.actor()?,
                refs: header.refs.clone(),
                expires_ms: read.member(Group::Out, "expires_ms")?,
                standing: read.optional::<u64>(Group::Out, "uses")?.is_none(),
            },
            Kind::GrantTake => Event::GrantTake {
                id: read.member(Group::What, "id")?,
                used_for: read.optional(Group::What, "request")?,
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
                sha256: read.member(Group::Out, "sha256")?,
            },
            Kind::FetchOutcome => Event::Outcome(OutcomeEntry::read(&read)?),
            Kind::DeliveryAck => Event::Ack {
                id: read.member(Group::What, "id")?,
                outcome: read.reference(0)?,
                actor: read.actor()?,
                session: read.session()?,
                sha256: read.member(Group::Out, "sha256")?,
            },
            Kind::Erase => Event::Erase(EraseEntry::read(&read)?),
            Kind::RetentionDispose => Event::Dispose(DisposeEntry::read(&read)?),
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
            Kind::AnchorObserve => Event::Anchor(super::anchor::read(&read)?),
            Kind::KeyRotate => {
                let statement: String = read.member(Group::What, "rotation")?;
                Event::KeyRotate(Rotation::parse(&statement).map_err(|what| read.fault(what))?)
            }
            _ => return Err(read.fault("this version does not write entries of this kind")),
        })
    }
}

/// An entry while it is read: every miss names the entry.
pub(super) struct Read<'a> {
    index: u64,
    pub(super) header: &'a Header,
    body: &'a Body,
}

impl Read<'_> {
    pub(super) fn fault(&self, what: impl ToString) -> EventError {
        EventError {
            index: self.index,
            kind: self.header.kind.as_str(),
            what: what.to_string(),
        }
    }

    pub(super) fn optional<T: DeserializeOwned>(&self, group: Group, name: &str) -> Result<Option<T>, EventError> {
        match self.body.get(group).get(name) {
            None => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|e| self.fault(format!("{}.{name}: {e}", group.as_str()))),
        }
    }

    pub(super) fn member<T: DeserializeOwned>(&self, group: Group, name: &str) -> Result<T, EventError> {
        self.optional(group, name)?
            .ok_or_else(|| self.fault(format!("{}.{name} is missing", group.as_str())))
    }

    pub(super) fn reference(&self, n: usize) -> Result<u64, EventError> {
        self.header
            .refs
            .get(n)
            .copied()
            .ok_or_else(|| self.fault(format!("reference {n} is missing")))
    }

    pub(super) fn policy(&self) -> Result<u64, EventError> {
        self.header.pol.ok_or_else(|| self.fault("the policy index is missing"))
    }

    pub(super) fn actor_if_any(&self) -> Result<Option<ActorId>, EventError> {
        self.header.act.as_deref().map(str::parse).transpose().map_err(|e| self.fault(e))
    }

    pub(super) fn actor(&self) -> Result<ActorId, EventError> {
        self.actor_if_any()?.ok_or_else(|| self.fault("act is missing"))
    }

    pub(super) fn session_if_any(&self) -> Result<Option<SessionId>, EventError> {
        self.header.sid.as_deref().map(str::parse).transpose().map_err(|e| self.fault(e))
    }

    pub(super) fn session(&self) -> Result<SessionId, EventError> {
        self.session_if_any()?.ok_or_else(|| self.fault("sid is missing"))
    }
}
