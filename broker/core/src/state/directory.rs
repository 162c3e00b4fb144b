//! What the directories of identity providers say of people: a fold over `subject.bind`, `person.suspend` and `person.restore`.
//!
//! A record stands for one person of a directory and is named by a pseudonym. Who was suspended is kept by pseudonym, so that it
//! holds whatever a token calls them; who has never signed in is told by the name that a token would carry.

use std::sync::Arc;

use chunk_wire::id::ActorId;

use super::State;
use crate::evidence::entries::{PersonSuspend, SubjectBind};
use crate::settings::KnownBy;

/// What directories say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    /// Their records, by pseudonym.
    pub(crate) records: imbl::OrdMap<ActorId, Arc<Record>>,
    /// Pseudonym by the index of each `subject.bind`.
    bound: imbl::OrdMap<u64, ActorId>,
    /// (issuer, user name in lower case) → the newest record of that name.
    user_names: imbl::HashMap<(String, String), ActorId>,
    /// (issuer, external id) → the newest record of that id.
    external_ids: imbl::HashMap<(String, String), ActorId>,
    suspended: imbl::HashMap<ActorId, Suspended>,
}

/// One person of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// As the newest `subject.bind` says.
    pub(crate) bind: SubjectBind,
    /// Its index.
    pub(crate) index: u64,
    /// First told of, ms since 1970.
    pub(crate) created_ms: i64,
    /// The newest entry about it, ms since 1970.
    pub(crate) changed_ms: i64,
    /// The directory has taken it out; the person stays suspended.
    pub(crate) deleted: bool,
}

/// Somebody who may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspended {
    /// Index of the newest `person.suspend`.
    pub(crate) index: u64,
    /// The record by which it was said, while there is one.
    pub(crate) record: Option<ActorId>,
}

impl Directory {
    /// The suspension of this person, if there is one.
    pub(crate) fn suspension(&self, actor: &ActorId) -> Option<&Suspended> {
        self.suspended.get(actor)
    }

    /// Everybody who was suspended by this record.
    pub(crate) fn suspended_by(&self, record: &ActorId) -> impl Iterator<Item = &ActorId> {
        let by = move |suspended: &&Suspended| suspended.record.as_ref() == Some(record);
        self.suspended
            .iter()
            .filter(move |(_, suspended)| by(suspended))
            .map(|(actor, _)| actor)
    }

    /// The newest record of this user name, whatever its case.
    pub(crate) fn of_user_name(&self, issuer: &str, user_name: &str) -> Option<&Arc<Record>> {
        let key = (issuer.to_owned(), user_name.to_ascii_lowercase());
        self.records.get(self.user_names.get(&key)?)
    }

    /// The newest record of this external id.
    pub(crate) fn of_external_id(&self, issuer: &str, external_id: &str) -> Option<&Arc<Record>> {
        let key = (issuer.to_owned(), external_id.to_owned());
        self.records.get(self.external_ids.get(&key)?)
    }

    /// The record of whoever a token names so.
    pub(crate) fn of_token(&self, issuer: &str, subject: &str, email: Option<&str>) -> Option<&Arc<Record>> {
        let by_subject = self.of_external_id(issuer, subject);
        let by_email = || self.of_user_name(issuer, email?);
        by_subject
            .filter(|record| record.bind.known_by == KnownBy::ExternalId)
            .or_else(|| by_email().filter(|record| record.bind.known_by == KnownBy::UserName))
    }

    /// Takes a record, and what was said of this person, out of the state.
    pub(super) fn forget(&mut self, actor: &ActorId) {
        if let Some(record) = self.records.remove(actor) {
            self.unname(&record.bind);
        }
        let bound = self.bound.iter().filter(|(_, bound)| *bound == actor).map(|(index, _)| *index);
        for index in bound.collect::<Vec<_>>() {
            self.bound.remove(&index);
        }
        self.suspended.remove(actor);
        for others in self.suspended_by(actor).cloned().collect::<Vec<_>>() {
            if let Some(suspended) = self.suspended.get_mut(&others) {
                suspended.record = None;
            }
        }
    }

    fn bind(&mut self, index: u64, bind: &SubjectBind, time_ms: i64) {
        let earlier = self.records.get(&bind.actor).map(Arc::clone);
        if let Some(earlier) = &earlier {
            self.unname(&earlier.bind);
        }
        self.user_names.insert(user_name_key(bind), bind.actor.clone());
        if let Some(key) = external_id_key(bind) {
            self.external_ids.insert(key, bind.actor.clone());
        }
        self.bound.insert(index, bind.actor.clone());
        let record = Record {
            bind: bind.clone(),
            index,
            created_ms: earlier.map_or(time_ms, |earlier| earlier.created_ms),
            changed_ms: time_ms,
            deleted: false,
        };
        self.records.insert(bind.actor.clone(), Arc::new(record));
    }

    /// Takes away the names of a record, unless another has them by now. One that had them before has them again: it may be of
    /// somebody who left, and whom they still tell.
    fn unname(&mut self, bind: &SubjectBind) {
        let others = || self.records.values().filter(|record| record.bind.actor != bind.actor);
        let key = user_name_key(bind);
        if self.user_names.get(&key) == Some(&bind.actor) {
            let next = others().filter(|record| user_name_key(&record.bind) == key);
            let next = next.max_by_key(|record| record.index).map(|record| record.bind.actor.clone());
            match next {
                Some(next) => self.user_names.insert(key, next),
                None => self.user_names.remove(&key),
            };
        }
        if let Some(key) = external_id_key(bind).filter(|key| self.external_ids.get(key) == Some(&bind.actor)) {
            let next = others().filter(|record| external_id_key(&record.bind).as_ref() == Some(&key));
            let next = next.max_by_key(|record| record.index).map(|record| record.bind.actor.clone());
            match next {
                Some(next) => self.external_ids.insert(key, next),
                None => self.external_ids.remove(&key),
            };
        }
    }

    fn suspend(&mut self, index: u64, suspend: &PersonSuspend, time_ms: i64) {
        let record = self.bound.get(&suspend.bind).cloned();
        if record.as_ref() == Some(&suspend.actor) {
            self.touch(&suspend.actor, time_ms, suspend.is_deletion());
        }
        self.suspended.insert(suspend.actor.clone(), Suspended { index, record });
    }

    fn restore(&mut self, actor: &ActorId, time_ms: i64) {
        self.touch(actor, time_ms, false);
        self.suspended.remove(actor);
    }

    fn touch(&mut self, actor: &ActorId, time_ms: i64, deleted: bool) {
        if let Some(record) = self.records.get_mut(actor) {
            let record = Arc::make_mut(record);
            record.changed_ms = time_ms;
            record.deleted = deleted;
        }
    }
}

impl State {
    /// Whether the directory of their identity provider has suspended this person.
    pub(crate) fn is_suspended(&self, actor: &ActorId) -> bool {
        self.directory.suspension(actor).is_some()
    }

    pub(super) fn apply_bind(&mut self, index: u64, bind: &SubjectBind, time_ms: i64) {
        self.directory.bind(index, bind, time_ms);
    }

    pub(super) fn apply_suspend(&mut self, index: u64, suspend: &PersonSuspend, time_ms: i64) {
        self.directory.suspend(index, suspend, time_ms);
    }

    pub(super) fn apply_restore(&mut self, actor: &ActorId, time_ms: i64) {
        self.directory.restore(actor, time_ms);
    }
}

fn user_name_key(bind: &SubjectBind) -> (String, String) {
    (bind.issuer.clone(), bind.user_name.to_ascii_lowercase())
}

fn external_id_key(bind: &SubjectBind) -> Option<(String, String)> {
    Some((bind.issuer.clone(), bind.external_id.clone()?))
}
