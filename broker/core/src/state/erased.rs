//! The fold over what was erased: a person goes from the state, and entries whose body is gone still count by their header.
//!
//! Both ways must give the same state. Live, the records go when the `erase` is folded in; after a restart their bodies were
//! never there. So an erased entry that ended something of *somebody else's* (a rejection, a revocation) still ends it.

use chunk_evidence::leaf::{Header, Kind};
use chunk_wire::fetch::RequestState;

use super::State;
use crate::evidence::entries::EraseEntry;

impl State {
    /// Takes a person and all that was theirs out of the state.
    pub(super) fn apply_erase(&mut self, index: u64, erase: &EraseEntry) {
        for key in &erase.keys {
            self.erased_keys.insert(key.clone(), index);
        }
        let gone = &erase.subject;
        self.directory.forget(gone);
        self.ssh_keys.forget(gone);
        let theirs = self.people.get(gone).cloned().unwrap_or_default();
        for request in theirs.requests {
            self.forget_request(request);
        }
        for session in theirs.sessions {
            self.forget_session(session);
        }
        let recordings = self.recordings.iter().filter(|(_, kept)| kept.actor == *gone);
        let recordings: Vec<u64> = recordings.map(|(intent, _)| *intent).collect();
        for intent in recordings {
            self.recordings.remove(&intent);
        }
    }

    /// Folds in an entry whose body is gone.
    pub(crate) fn apply_erased(&mut self, header: &Header) {
        // A start with much gone comes here for most of the log, so whatever is looked for is found by its index.
        let about = header.refs.first().copied();
        match (header.kind, about) {
            (Kind::SessionClose, Some(session)) => {
                if let Some(id) = self.opened.get(&session).cloned() {
                    self.end_session(&id, "ended", header.act.as_deref());
                }
            }
            (Kind::FetchOutcome, Some(intent)) => drop(self.open_intents.remove(&intent)),
            (Kind::KeyRevoke, Some(enrolled)) => self.ssh_keys.revoke(enrolled, header.t),
            (Kind::BreakglassReview, Some(open)) => drop(self.unreviewed.remove(&open)),
            _ => {}
        }
        if let (Kind::RequestEscalate, Some(request)) = (header.kind, about)
            && let Some(id) = self.created.get(&request).cloned()
        {
            let at = (self.size, header.t);
            self.change(&id, |request| request.escalated = Some(at));
        }
        let ended = match (header.kind, about) {
            (Kind::ReviewReject, Some(request)) => self.created.get(&request).map(|id| (id.clone(), RequestState::Rejected)),
            (Kind::GrantRevoke, Some(grant)) => self.granted.get(&grant).map(|id| (id.clone(), RequestState::Revoked)),
            _ => None,
        };
        if let Some((id, state)) = ended {
            self.change(&id, |request| request.state = state);
        }
        self.anchors.apply_other(self.size);
        self.size += 1;
        self.last_ms = self.last_ms.max(header.t);
    }
}
