//! SSH keys of people.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Header;
use chunk_wire::id::{ActorId, SessionId};
use serde_json::json;

use super::read::Read;
use super::{EventError, by};

/// `key.enroll`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyEnroll {
    /// Whose it is.
    pub(crate) actor: ActorId,
    /// Under which session.
    pub(crate) session: SessionId,
    /// Index of its `session.open`.
    pub(crate) open: u64,
    /// Issuer of the person.
    pub(crate) issuer: String,
    /// Subject of the person.
    pub(crate) subject: String,
    /// Fingerprint, `SHA256:…`.
    pub(crate) key: String,
    /// Type and base64, as in a `.pub` file.
    pub(crate) public_key: String,
    /// Host of the client, in its own words at sign-in.
    pub(crate) host: String,
    /// Address of the peer.
    pub(crate) ip: String,
    /// What the key signed to show that its person holds it.
    pub(crate) statement: String,
    /// That signature.
    pub(crate) signature: String,
}

impl KeyEnroll {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.refs = vec![self.open];
        let who = json!({ "issuer": self.issuer, "ssh_key": self.key, "ssh_public_key": self.public_key, "subject": self.subject });
        body.set(Group::Who, who);
        body.set(Group::Net, json!({ "host": self.host, "ip": self.ip }));
        body.set(Group::Why, json!({ "ssh": self.signature, "statement": self.statement }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            actor: read.actor()?,
            session: read.session()?,
            open: read.reference(0)?,
            issuer: read.member(Group::Who, "issuer")?,
            subject: read.member(Group::Who, "subject")?,
            key: read.member(Group::Who, "ssh_key")?,
            public_key: read.member(Group::Who, "ssh_public_key")?,
            host: read.member(Group::Net, "host")?,
            ip: read.member(Group::Net, "ip")?,
            statement: read.member(Group::Why, "statement")?,
            signature: read.member(Group::Why, "ssh")?,
        })
    }
}

/// `key.revoke`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRevoke {
    /// Who takes it back: its person, or whoever administers.
    pub(crate) actor: ActorId,
    /// Under which session.
    pub(crate) session: SessionId,
    /// Index of its `session.open`.
    pub(crate) open: u64,
    /// Index of the `key.enroll`.
    pub(crate) enrolled: u64,
    /// Address of the peer.
    pub(crate) ip: String,
}

impl KeyRevoke {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.refs = vec![self.enrolled, self.open];
        body.set(Group::Net, json!({ "ip": self.ip }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            actor: read.actor()?,
            session: read.session()?,
            open: read.reference(1)?,
            enrolled: read.reference(0)?,
            ip: read.member(Group::Net, "ip")?,
        })
    }
}
