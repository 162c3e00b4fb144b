//! An entry on its way into the log: every text that it consists of, written once.
//!
//! Writing can fail (a number too large, a body too long), and whoever decides in the order of the log must know that before it
//! decides what comes next. What is left is arithmetic: it cannot fail, and it can be done later and on any thread.

use crate::body::{Body, BodyError, EntryKey, Written};
use crate::leaf::{Header, LeafError, leaf_bytes};

pub use crate::commit::Committer;

/// Why an entry cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The header has no text.
    #[error("the header cannot be written")]
    Header(#[from] LeafError),
    /// The body has no document.
    #[error("the body cannot be written")]
    Body(#[from] BodyError),
}

/// An entry whose texts are written.
pub struct Draft {
    header: String,
    rk: EntryKey,
    body: Written,
}

impl Draft {
    /// Writes an entry down.
    ///
    /// # Errors
    /// When a part of it has no canonical text, or is too long.
    pub fn new(header: &Header, body: &Body, rk: EntryKey) -> Result<Self, DraftError> {
        let body = body.write(&rk)?;
        body.document()?;
        Ok(Self {
            header: header.to_text()?,
            rk,
            body,
        })
    }

    /// The body document, which is kept sealed.
    #[must_use]
    pub fn document(&self) -> &str {
        self.body.text()
    }

    /// Computes the commitment to the body, and gives the leaf's bytes. The committer lends its buffers.
    #[must_use]
    pub fn leaf(&self, committer: &mut Committer) -> Vec<u8> {
        leaf_bytes(&self.header, &committer.root(&self.rk, &self.body.groups()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::body::{BODY_BYTES_MAX, Group};
    use crate::leaf::{Kind, Leaf};
    use serde_json::json;

    #[test]
    fn a_draft_is_the_entry_that_its_header_and_body_make() {
        let rk = EntryKey::from_random([9; 16]);
        let header = Header::new(Kind::PolicyLoad).at(7);
        let mut body = Body::new();
        let mut committer = Committer::default();
        for group in Group::ALL.into_iter().rev() {
            body.set(group, json!({ "z": group.as_str(), "a": [1, "\u{e9}\n\""] }));
            let draft = Draft::new(&header, &body, rk).unwrap();
            let leaf = Leaf::new(header.clone(), body.root(&rk).unwrap()).unwrap();
            assert_eq!(draft.leaf(&mut committer), leaf.to_bytes());
            assert_eq!(draft.document(), body.to_document(&rk).unwrap());
            assert_eq!(Body::parse_document(draft.document()).unwrap(), (rk, body.clone()));
        }
    }

    #[test]
    fn what_has_no_text_is_no_draft() {
        let rk = EntryKey::from_random([9; 16]);
        let draft = |header: Header, value| Draft::new(&header, &Body::new().with(Group::What, value), rk).map(drop);
        let header = Header::new(Kind::PolicyLoad);
        assert_eq!(draft(header.clone(), json!({"n": 1})), Ok(()));
        assert!(matches!(draft(header.clone(), json!({"n": 1.5})), Err(DraftError::Body(_))));
        let long = json!({"t": "x".repeat(BODY_BYTES_MAX)});
        assert_eq!(draft(header.clone(), long), Err(DraftError::Body(BodyError::Length)));
        assert_eq!(draft(header.at(-1), json!({})), Err(DraftError::Header(LeafError::Member("t"))));
    }
}
