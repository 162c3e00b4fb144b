//! `erase`: the records of a person can be read no more.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Header;
use chunk_wire::id::{ActorId, SessionId};
use serde_json::json;

use super::read::Read;
use super::{EventError, by, why};

/// `erase`. Its body is sealed under the broker's own key, so that erasing whoever erased does not hide what was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EraseEntry {
    /// Who does it.
    pub(crate) actor: ActorId,
    /// Under which session.
    pub(crate) session: SessionId,
    /// Index of its `session.open`.
    pub(crate) open: u64,
    /// Pseudonym of the person erased; nothing leads from it to the person any more.
    pub(crate) subject: ActorId,
    /// Ids of the data keys destroyed.
    pub(crate) keys: Vec<String>,
    /// Why.
    pub(crate) reason: String,
}

impl EraseEntry {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.refs = vec![self.open];
        body.set(Group::What, json!({ "keys": self.keys, "subject": self.subject }));
        body.set(Group::Why, why(&self.reason, None));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            actor: read.actor()?,
            session: read.session()?,
            open: read.reference(0)?,
            subject: read.member(Group::What, "subject")?,
            keys: read.member(Group::What, "keys")?,
            reason: read.member(Group::Why, "reason")?,
        })
    }
}
