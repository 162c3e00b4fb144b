//! Verdicts.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Decision, Header, Kind};
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::review::Verdict;
use serde_json::{Value, json};

use super::read::Read;
use super::{EventError, by, put, why};

/// `review.approve`, `review.reject` and `breakglass.review`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReviewEntry {
    /// Request.
    pub(crate) id: RequestId,
    /// Index of its `request.create`; of its `breakglass.open` where the verdict comes afterwards.
    pub(crate) request: u64,
    /// The verdict is on what was done in an emergency, after it was done.
    pub(crate) afterwards: bool,
    /// Reviewer's session.
    pub(crate) session: SessionId,
    /// Index of the reviewer's `session.open`.
    pub(crate) open: u64,
    /// Index of the request's `request.escalate`, where only that lets the reviewer count.
    pub(crate) escalated: Option<u64>,
    /// Index of the policy set that let the reviewer review.
    pub(crate) policy: u64,
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
    /// What the reviewer's SSH key signed as well.
    pub(crate) ssh: Option<SshVerdict>,
}

/// The signature of an enrolled SSH key over the very payload of the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshVerdict {
    /// Fingerprint of the key.
    pub(crate) key: String,
    /// The signature, base64.
    pub(crate) signature: String,
    /// Index of the key's `key.enroll`.
    pub(crate) enrolled: u64,
}

impl ReviewEntry {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.dec = Some(match self.verdict {
            Verdict::Approve => Decision::Allow,
            Verdict::Reject => Decision::Deny,
        });
        header.pol = Some(self.policy);
        header.refs = [self.request, self.open].into_iter().chain(self.escalated).collect();
        let mut who = json!({ "issuer": self.issuer, "key": self.key, "subject": self.subject });
        let mut what = json!({ "digest": self.digest, "envelope": self.envelope, "id": self.id });
        if let Some(ssh) = &self.ssh {
            header.refs.push(ssh.enrolled);
            put(&mut who, "ssh_key", Some(ssh.key.as_str()));
            put(&mut what, "ssh", Some(ssh.signature.as_str()));
        }
        body.set(Group::Who, who);
        body.set(Group::What, what);
        body.set(Group::Why, why(&self.reason, None));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let ssh = SshVerdict::read(read)?;
        // An escalation comes before the enrolment of an SSH key.
        let more = read.header.refs.len().saturating_sub(usize::from(ssh.is_some()));
        Ok(Self {
            id: read.member(Group::What, "id")?,
            request: read.reference(0)?,
            afterwards: read.header.kind == Kind::BreakglassReview,
            open: read.reference(1)?,
            escalated: read.header.refs.get(2).copied().filter(|_| more > 2),
            policy: read.policy()?,
            session: read.session()?,
            actor: read.actor()?,
            issuer: read.member(Group::Who, "issuer")?,
            subject: read.member(Group::Who, "subject")?,
            key: read.member(Group::Who, "key")?,
            verdict: if read.header.dec == Some(Decision::Allow) {
                Verdict::Approve
            } else {
                Verdict::Reject
            },
            digest: read.member(Group::What, "digest")?,
            reason: read.member(Group::Why, "reason")?,
            envelope: read.member(Group::What, "envelope")?,
            ssh,
        })
    }
}

impl SshVerdict {
    fn read(read: &Read<'_>) -> Result<Option<Self>, EventError> {
        let Some(signature) = read.optional(Group::What, "ssh")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            key: read.member(Group::Who, "ssh_key")?,
            signature,
            enrolled: read.reference(read.header.refs.len().saturating_sub(1).max(2))?,
        }))
    }
}
