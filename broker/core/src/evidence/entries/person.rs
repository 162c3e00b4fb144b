//! What a directory says of a person.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Header;
use chunk_wire::id::ActorId;
use serde_json::json;

use super::read::Read;
use super::{EventError, by, put};
use crate::settings::KnownBy;

/// `subject.bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubjectBind {
    /// Pseudonym of the person, by which the directory knows them here.
    pub(crate) actor: ActorId,
    /// The identity provider whose directory it is.
    pub(crate) issuer: String,
    /// SCIM's `userName`.
    pub(crate) user_name: String,
    /// SCIM's `externalId`.
    pub(crate) external_id: Option<String>,
    /// Which of the two a token of this person carries.
    pub(crate) known_by: KnownBy,
    /// Address of the directory.
    pub(crate) ip: String,
}

impl SubjectBind {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), None);
        let mut who = json!({ "issuer": self.issuer, "known_by": self.known_by.as_str(), "user_name": self.user_name });
        put(&mut who, "external_id", self.external_id.as_deref());
        body.set(Group::Who, who);
        body.set(Group::Net, json!({ "ip": self.ip }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let known_by: String = read.member(Group::Who, "known_by")?;
        Ok(Self {
            actor: read.actor()?,
            issuer: read.member(Group::Who, "issuer")?,
            user_name: read.member(Group::Who, "user_name")?,
            external_id: read.optional(Group::Who, "external_id")?,
            known_by: KnownBy::parse(&known_by).ok_or_else(|| read.fault("who.known_by is no such word"))?,
            ip: read.member(Group::Net, "ip")?,
        })
    }
}

/// `person.suspend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonSuspend {
    /// Who may do nothing from here on.
    pub(crate) actor: ActorId,
    /// Index of the `subject.bind` of the record that says so.
    pub(crate) bind: u64,
    /// `inactive`, or `deleted` where the record is gone from the directory.
    pub(crate) cause: String,
    /// Address of the directory.
    pub(crate) ip: String,
}

impl PersonSuspend {
    /// The cause of one whose record was taken out.
    pub(crate) const DELETED: &str = "deleted";
    /// The cause of one whose record says that they are not active.
    pub(crate) const INACTIVE: &str = "inactive";

    /// Whether the record is gone from the directory.
    pub(crate) fn is_deletion(&self) -> bool {
        self.cause == Self::DELETED
    }

    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), None);
        header.refs = vec![self.bind];
        body.set(Group::Net, json!({ "ip": self.ip }));
        body.set(Group::Why, json!({ "cause": self.cause }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            actor: read.actor()?,
            bind: read.reference(0)?,
            cause: read.member(Group::Why, "cause")?,
            ip: read.member(Group::Net, "ip")?,
        })
    }
}

/// `person.restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonRestore {
    /// Who may sign in again.
    pub(crate) actor: ActorId,
    /// Index of the newest `person.suspend` of theirs.
    pub(crate) suspend: u64,
    /// Address of the directory.
    pub(crate) ip: String,
}

impl PersonRestore {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), None);
        header.refs = vec![self.suspend];
        body.set(Group::Net, json!({ "ip": self.ip }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            actor: read.actor()?,
            suspend: read.reference(0)?,
            ip: read.member(Group::Net, "ip")?,
        })
    }
}

/// Why a session ended whose person was suspended.
pub(crate) const SUSPENDED: &str = "suspended";
