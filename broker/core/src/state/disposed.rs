//! The fold over what was disposed of: what is over goes from the state, once bodies that it rests on may be gone.
//!
//! Both ways must give the same state. Live, sessions and requests go when the `retention.dispose` is folded in. After a restart
//! some of their bodies were never there, and what was made of the rest is anything but true; but it is of those same sessions
//! and requests, because nothing that is still alive is ever disposed of ([`State::needed_from`]), and goes at the same entry.

use std::sync::Arc;

use chunk_evidence::leaf::Kind;
use chunk_wire::id::SessionId;

use super::State;
use crate::evidence::entries::DisposeEntry;

/// Kinds by which a session is known.
const OF_SESSIONS: &[Kind] = &[Kind::SessionOpen, Kind::SessionClose];
/// Kinds by which a request is known, and all that happened to it.
const OF_REQUESTS: &[Kind] = &[
    Kind::RequestCreate,
    Kind::RequestCancel,
    Kind::RequestExpire,
    Kind::RequestEscalate,
    Kind::ReviewApprove,
    Kind::ReviewReject,
    Kind::GrantIssue,
    Kind::GrantTake,
    Kind::GrantRevoke,
    Kind::GrantExpire,
    Kind::FetchIntent,
    Kind::FetchProgress,
    Kind::FetchOutcome,
    Kind::DeliveryAck,
];

impl State {
    /// Bodies of this kind below this index are gone, or may be.
    pub(crate) fn disposed_before(&self, kind: Kind) -> u64 {
        let newest = self.disposed.range((kind, 0)..=(kind, u64::MAX)).next_back();
        newest.map_or(0, |((_, before), _)| *before)
    }

    /// The entry that says why the body of this one is gone: the first that does.
    pub(crate) fn disposed_by(&self, kind: Kind, index: u64) -> Option<u64> {
        let first = self.disposed.range((kind, index + 1)..=(kind, u64::MAX)).next();
        first.map(|(_, by)| *by)
    }

    /// The first entry that something still needs which is alive: a session that has not ended, a request to which something can
    /// still happen, with the sessions of everybody who had a part in it.
    pub(crate) fn needed_from(&self) -> u64 {
        let session = |id: &SessionId| self.sessions.get(id).map(|session| session.index);
        let open = self.sessions_open.iter().filter_map(|(_, id)| session(id));
        let alive = self.waiting.iter().filter_map(|(_, id)| self.requests.get(id));
        let needed = alive.flat_map(|request| {
            let reviewers = request.reviews.iter().map(|review| &review.reviewer.session);
            let sessions = reviewers.chain([&request.requester.session]).filter_map(session);
            sessions.chain([request.index]).collect::<Vec<_>>()
        });
        let running = self.open_intents.keys().copied();
        open.chain(needed).chain(running).min().unwrap_or(self.size)
    }

    /// Recordings that go with these bodies, or because they are from before this index.
    pub(crate) fn recordings_due(&self, dispose: &DisposeEntry) -> Vec<u64> {
        let before = |kind: Kind| {
            let now = dispose
                .bodies
                .iter()
                .filter(|disposed| disposed.kind == kind)
                .map(|disposed| disposed.before);
            now.chain([self.disposed_before(kind)]).max().unwrap_or(0)
        };
        let intents = before(Kind::FetchIntent).max(dispose.recordings_before.unwrap_or(0));
        let outcomes = before(Kind::FetchOutcome);
        // An outcome stands behind its intent.
        let due = self
            .recordings
            .range(..intents.max(outcomes))
            .filter(|(intent, kept)| **intent < intents || kept.outcome < outcomes);
        due.map(|(intent, _)| *intent).collect()
    }

    /// Takes out of the state what was disposed of, and what cannot be told without it.
    ///
    /// It is done where entries wait to be written, so nothing is looked at but what goes.
    pub(super) fn apply_dispose(&mut self, index: u64, dispose: &DisposeEntry) {
        for intent in self.recordings_due(dispose) {
            self.recordings.remove(&intent);
        }
        for disposed in &dispose.bodies {
            self.disposed.insert((disposed.kind, disposed.before), index);
        }
        let before = |kinds: &[Kind]| kinds.iter().map(|kind| self.disposed_before(*kind)).max().unwrap_or(0);
        let (sessions_before, requests_before) = (before(OF_SESSIONS), before(OF_REQUESTS));
        let sessions: Vec<u64> = self.opened.range(..sessions_before).map(|(session, _)| *session).collect();
        let requests: Vec<u64> = self.created.range(..requests_before).map(|(request, _)| *request).collect();
        for request in requests {
            self.forget_request(request);
        }
        for session in sessions {
            self.forget_session(session);
        }
    }

    /// Takes the request of this index out of the state.
    pub(super) fn forget_request(&mut self, index: u64) {
        let Some(request) = self.created.remove(&index).and_then(|id| self.requests.remove(&id)) else {
            return;
        };
        self.waiting.remove(&(request.expires_ms, request.id.clone()));
        if let Some(due_ms) = request.escalates_ms() {
            self.escalating.remove(&(due_ms, request.id.clone()));
        }
        if let Some(open) = request.breakglass {
            self.unreviewed.remove(&open);
        }
        if let Some(grant) = request.grant {
            self.granted.remove(&grant);
        }
        let reviewers = request.reviews.iter().map(|review| &review.reviewer);
        for open in reviewers.chain([&request.requester]) {
            if let Some(session) = self.sessions.get(&open.session) {
                self.under.remove(&(session.index, index));
            }
        }
        let was_pending = self.pending.remove(&index).is_some();
        if let Some(theirs) = self.people.get_mut(&request.actor) {
            theirs.pending = theirs.pending.saturating_sub(usize::from(was_pending));
            theirs.requests.remove(&index);
            theirs.standing.remove(&index);
        }
    }

    /// Takes the session of this index out of the state, with the requests that were made under it and the verdicts that were given.
    pub(super) fn forget_session(&mut self, index: u64) {
        let Some(session) = self.opened.get(&index).and_then(|id| self.sessions.get(id)).map(Arc::clone) else {
            return;
        };
        let open = &session.open;
        let under: Vec<u64> = self
            .under
            .range((index, 0)..=(index, u64::MAX))
            .map(|(_, request)| *request)
            .collect();
        for request in under {
            self.under.remove(&(index, request));
            let found = self.created.get(&request).and_then(|id| self.requests.get(id)).map(Arc::clone);
            match found {
                Some(found) if found.requester.session == open.session => self.forget_request(request),
                Some(found) => self.change(&found.id, |request| {
                    request.reviews.retain(|review| review.reviewer.session != open.session);
                }),
                None => {}
            }
        }
        self.opened.remove(&index);
        self.sessions.remove(&open.session);
        self.sessions_open.remove(&(open.expires_ms, open.session.clone()));
        let Some(theirs) = self.people.get_mut(&open.actor) else { return };
        // Sessions go from the first onwards: whoever's newest is gone has none left, and comes back as somebody new.
        if theirs.claims.as_ref().is_none_or(|claims| claims.session == open.session) {
            self.people.remove(&open.actor);
            self.actors.remove(&(open.person.issuer.clone(), open.person.subject.clone()));
        } else if theirs.sessions.front() == Some(&index) {
            theirs.sessions.pop_front();
        }
    }
}
