//! The fold over what was erased: a person goes from the state, and entries whose body is gone still count by their header.
//!
//! Both ways must give the same state. Live, the records go when the `erase` is folded in; after a restart their bodies were
//! never there. So an erased entry that ended something of *somebody else's* (a rejection, a revocation) still ends it.

use chunk_evidence::leaf::{Header, Kind};
use chunk_wire::fetch::RequestState;
use chunk_wire::id::RequestId;

use super::{Request, State};
use crate::evidence::entries::EraseEntry;

impl State {
    /// Takes a person and all that was theirs out of the state.
    pub(super) fn apply_erase(&mut self, index: u64, erase: &EraseEntry) {
        for key in &erase.keys {
            self.erased_keys.insert(key.clone(), index);
        }
        let gone = &erase.subject;
        self.actors.retain(|_, actor| actor != gone);
        let sessions: Vec<_> = self.sessions.values().filter(|s| s.open.actor == *gone).cloned().collect();
        for session in sessions {
            self.sessions_open.remove(&(session.open.expires_ms, session.open.session.clone()));
            self.sessions.remove(&session.open.session);
        }
        for id in self.people.remove(gone).map(|theirs| theirs.requests).unwrap_or_default() {
            if let Some(request) = self.requests.remove(&id) {
                self.waiting.remove(&(request.expires_ms, id.clone()));
                self.pending.remove(&request.index);
                self.forget_breakglass(&request);
                self.created.retain(|created| *created != id);
            }
        }
        let recordings = self.recordings.iter().filter(|(_, kept)| kept.actor == *gone);
        let recordings: Vec<u64> = recordings.map(|(intent, _)| *intent).collect();
        for intent in recordings {
            self.recordings.remove(&intent);
        }
        let reviewed: Vec<RequestId> = self
            .requests
            .values()
            .filter(|request| request.reviews.iter().any(|review| review.actor == *gone))
            .map(|request| request.id.clone())
            .collect();
        for id in reviewed {
            self.change(&id, |request| request.reviews.retain(|review| review.actor != *gone));
        }
    }

    /// Folds in an entry whose body is gone.
    pub(crate) fn apply_erased(&mut self, header: &Header) {
        let about = header.refs.first().copied();
        if header.kind == Kind::SessionClose {
            let session = self.sessions.values().find(|session| Some(session.index) == about);
            if let Some(id) = session.map(|session| session.open.session.clone()) {
                self.end_session(&id, "ended", header.act.as_deref());
            }
        }
        match (header.kind, about) {
            (Kind::FetchOutcome, Some(intent)) => drop(self.open_intents.remove(&intent)),
            (Kind::BreakglassReview, Some(open)) => drop(self.unreviewed.remove(&open)),
            _ => {}
        }
        let ended = match header.kind {
            Kind::ReviewReject => self
                .find(|request| Some(request.index) == about)
                .map(|id| (id, RequestState::Rejected)),
            Kind::GrantRevoke => self
                .find(|request| request.grant.is_some() && request.grant == about)
                .map(|id| (id, RequestState::Revoked)),
            _ => None,
        };
        if let Some((id, state)) = ended {
            self.change(&id, |request| request.state = state);
        }
        self.anchors.apply_other(self.size);
        self.size += 1;
        self.last_ms = self.last_ms.max(header.t);
    }

    /// No review is due of a request that is known no more.
    pub(super) fn forget_breakglass(&mut self, request: &Request) {
        if let Some(open) = request.breakglass {
            self.unreviewed.remove(&open);
        }
    }

    fn find(&self, is: impl Fn(&Request) -> bool) -> Option<RequestId> {
        self.requests.values().find(|request| is(request)).map(|request| request.id.clone())
    }
}
