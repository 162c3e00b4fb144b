//! Requests, made or denied.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Decision, Header};
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::stages::Stage;
use serde_json::{Value, json};

use super::read::Read;
use super::{EventError, by, put, why};

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

/// `breakglass.open`: a request that nobody approves beforehand, because of an emergency.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BreakglassOpen {
    /// Request.
    pub(crate) id: RequestId,
    /// Index of its `request.create`.
    pub(crate) request: u64,
    /// Session under which it was made.
    pub(crate) session: SessionId,
    /// Requester's pseudonym.
    pub(crate) actor: ActorId,
    /// Index of the requester's `session.open`.
    pub(crate) open: u64,
    /// Index of the policy set that permits it.
    pub(crate) policy: u64,
    /// Datasets.
    pub(crate) datasets: Vec<String>,
    /// Digest of the document, hex.
    pub(crate) digest: String,
    /// Why.
    pub(crate) reason: String,
    /// Ticket of the incident.
    pub(crate) ticket: Option<String>,
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

impl RequestCreate {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
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
        put(&mut out, "break_glass", self.document.break_glass.then_some(true));
        let stages = Some(&self.document.stages).filter(|stages| !stages.is_empty());
        put(
            &mut out,
            "stages",
            stages.map(|stages| stages.iter().map(recorded).collect::<Value>()),
        );
        let escalation = self.document.escalation.as_ref();
        put(&mut out, "escalation", escalation.and_then(|told| serde_json::to_value(told).ok()));
        let window = self.document.window.as_ref();
        put(&mut out, "window", window.and_then(|window| serde_json::to_value(window).ok()));
        let standing = self.document.standing.as_ref();
        put(&mut out, "standing", standing.and_then(|terms| serde_json::to_value(terms).ok()));
        put(&mut out, "under", self.document.under.as_ref().map(|under| under.request.as_str()));
        body.set(Group::Out, out);
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let envelope: Value = read.member(Group::What, "envelope")?;
        let parsed: chunk_evidence::dsse::Envelope = serde_json::from_value(envelope.clone()).map_err(|e| read.fault(e))?;
        let payload = parsed.payload_bytes().map_err(|e| read.fault(e))?;
        Ok(Self {
            id: read.member(Group::What, "id")?,
            session: read.session()?,
            actor: read.actor()?,
            open: read.reference(0)?,
            policy: read.policy()?,
            digest: read.member(Group::What, "digest")?,
            envelope,
            document: serde_json::from_slice(&payload).map_err(|e| read.fault(e))?,
            state: read.member(Group::Out, "state")?,
            expires_ms: read.member(Group::Out, "expires_ms")?,
            rows_estimated: read.optional(Group::Out, "rows_estimated")?,
        })
    }
}

/// A stage as it stands beside the signed document: whose manager it takes is told where people are.
fn recorded(stage: &Stage) -> Value {
    let mut told = json!({ "quorum": stage.quorum });
    put(&mut told, "groups", Some(json!(stage.groups)).filter(|_| !stage.groups.is_empty()));
    put(&mut told, "manager", stage.manager.is_some().then_some(true));
    told
}

impl BreakglassOpen {
    /// What stands beside a request that is an emergency, at this index.
    pub(crate) fn of(create: &RequestCreate, request: u64) -> Self {
        Self {
            id: create.id.clone(),
            request,
            session: create.session.clone(),
            actor: create.actor.clone(),
            open: create.open,
            policy: create.policy,
            datasets: create.document.datasets.clone(),
            digest: create.digest.clone(),
            reason: create.document.reason.clone(),
            ticket: create.document.ticket.clone(),
        }
    }

    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(Decision::Allow);
        header.pol = Some(self.policy);
        header.ds = Some(self.datasets.join(","));
        header.refs = vec![self.request, self.open];
        body.set(Group::What, json!({ "digest": self.digest, "id": self.id }));
        body.set(Group::Why, why(&self.reason, self.ticket.as_deref()));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let datasets = read.header.ds.as_deref().unwrap_or_default();
        Ok(Self {
            id: read.member(Group::What, "id")?,
            request: read.reference(0)?,
            open: read.reference(1)?,
            session: read.session()?,
            actor: read.actor()?,
            policy: read.policy()?,
            datasets: datasets.split(',').map(str::to_owned).collect(),
            digest: read.member(Group::What, "digest")?,
            reason: read.member(Group::Why, "reason")?,
            ticket: read.optional(Group::Why, "ticket")?,
        })
    }
}

impl RequestDeny {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(Decision::Deny);
        header.pol = self.policy;
        header.refs = vec![self.open];
        body.set(Group::What, json!({ "query": self.query }));
        body.set(Group::Why, why(&self.reason, self.ticket.as_deref()));
        body.set(Group::Out, json!({ "code": self.code, "policies": self.policies }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
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
