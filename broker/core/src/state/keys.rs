//! SSH keys that people enrolled: a fold over `key.enroll` and `key.revoke`.

use std::sync::Arc;

use chunk_wire::id::ActorId;

use crate::evidence::entries::KeyEnroll;

/// Every SSH key that was ever enrolled.
#[derive(Debug, Clone, Default)]
pub(crate) struct SshKeys {
    /// By the index of the `key.enroll`.
    by_index: imbl::OrdMap<u64, Arc<Enrolled>>,
    /// Index by fingerprint.
    by_key: imbl::HashMap<String, u64>,
}

/// An SSH key of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// Index of its `key.enroll`.
    pub(crate) index: u64,
    /// As recorded, without what was signed.
    pub(crate) entry: KeyEnroll,
    /// When, ms since 1970.
    pub(crate) enrolled_ms: i64,
    /// When it was taken back, ms since 1970.
    pub(crate) revoked_ms: Option<i64>,
}

impl SshKeys {
    /// The key with this fingerprint, taken back or not.
    pub(crate) fn of(&self, key: &str) -> Option<&Arc<Enrolled>> {
        self.by_index.get(self.by_key.get(key)?)
    }

    /// The key that was enrolled at this index.
    pub(crate) fn at(&self, index: u64) -> Option<&Arc<Enrolled>> {
        self.by_index.get(&index)
    }

    /// All of them, in the order in which they were enrolled.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Enrolled>> {
        self.by_index.values()
    }

    /// The key with this fingerprint, if it is this person's and was not taken back.
    pub(crate) fn usable(&self, key: &str, actor: &ActorId) -> Option<&Arc<Enrolled>> {
        self.of(key)
            .filter(|enrolled| enrolled.entry.actor == *actor && enrolled.revoked_ms.is_none())
    }

    pub(super) fn enroll(&mut self, index: u64, enroll: &KeyEnroll, time_ms: i64) {
        let enrolled = Enrolled {
            index,
            entry: KeyEnroll {
                statement: String::new(),
                signature: String::new(),
                ..enroll.clone()
            },
            enrolled_ms: time_ms,
            revoked_ms: None,
        };
        self.by_key.insert(enroll.key.clone(), index);
        self.by_index.insert(index, Arc::new(enrolled));
    }

    pub(super) fn revoke(&mut self, index: u64, time_ms: i64) {
        if let Some(enrolled) = self.by_index.get_mut(&index) {
            Arc::make_mut(enrolled).revoked_ms = Some(time_ms);
        }
    }

    /// Takes a person's keys out of the state.
    pub(super) fn forget(&mut self, actor: &ActorId) {
        let theirs = self.by_index.values().filter(|enrolled| enrolled.entry.actor == *actor);
        for enrolled in theirs.cloned().collect::<Vec<_>>() {
            self.by_index.remove(&enrolled.index);
            if self.by_key.get(&enrolled.entry.key) == Some(&enrolled.index) {
                self.by_key.remove(&enrolled.entry.key);
            }
        }
    }
}
