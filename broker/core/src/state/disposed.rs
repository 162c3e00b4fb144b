//! The fold over what was disposed of: what is over goes from the state, once bodies that it rests on may be gone.
//!
//! Both ways must give the same state. Live, sessions and requests go when the `retention.dispose` is folded in. After a restart
//! some of their bodies were never there, and what was made of the rest is anything but true; but it is of those same sessions
//! and requests, because nothing that is still alive is ever disposed of ([`State::needed_from`]), and goes at the same entry.

use std::collections::BTreeSet;

use chunk_evidence::leaf::Kind;
use chunk_wire::id::{RequestId, SessionId};

use super::State;
use crate::evidence::entries::DisposeEntry;

/// Kinds by which a session is known.
const OF_SESSIONS: &[Kind] = &[Kind::SessionOpen, Kind::SessionClose];
/// Kinds by which a request is known, and all that happened to it.
const OF_REQUESTS: &[Kind] = &[
    Kind::RequestCreate,
    Kind::RequestCancel,
    Kind::RequestExpire,
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
        let due = self
            .recordings
            .iter()
            .filter(|(intent, kept)| **intent < intents || kept.outcome < outcomes);
        due.map(|(intent, _)| *intent).collect()
    }

    /// Takes out of the state what was disposed of, and what cannot be told without it.
    pub(super) fn apply_dispose(&mut self, index: u64, dispose: &DisposeEntry) {
        for intent in self.recordings_due(dispose) {
            self.recordings.remove(&intent);
        }
        for disposed in &dispose.bodies {
            self.disposed.insert((disposed.kind, disposed.before), index);
        }
        let before = |kinds: &[Kind]| kinds.iter().map(|kind| self.disposed_before(*kind)).max().unwrap_or(0);
        let (sessions_before, requests_before) = (before(OF_SESSIONS), before(OF_REQUESTS));
        let sessions = self.sessions.values().filter(|session| session.index < sessions_before);
        let sessions: BTreeSet<SessionId> = sessions.map(|session| session.open.session.clone()).collect();
        let requests = self
            .requests
            .values()
            .filter(|request| request.index < requests_before || sessions.contains(&request.requester.session));
        let requests: BTreeSet<RequestId> = requests.map(|request| request.id.clone()).collect();
        self.forget_requests(&requests);
        self.forget_sessions(&sessions);
    }

    fn forget_requests(&mut self, gone: &BTreeSet<RequestId>) {
        if gone.is_empty() {
            return;
        }
        let mut people = BTreeSet::new();
        for id in gone {
            let Some(request) = self.requests.remove(id) else { continue };
            self.waiting.remove(&(request.expires_ms, id.clone()));
            let was_pending = self.pending.remove(&request.index).is_some();
            self.forget_breakglass(&request);
            if let Some(theirs) = self.people.get_mut(&request.actor) {
                theirs.pending = theirs.pending.saturating_sub(usize::from(was_pending));
                people.insert(request.actor.clone());
            }
        }
        self.created.retain(|id| !gone.contains(id));
        for actor in people {
            if let Some(theirs) = self.people.get_mut(&actor) {
                theirs.requests.retain(|id| !gone.contains(id));
            }
        }
    }

    fn forget_sessions(&mut self, gone: &BTreeSet<SessionId>) {
        if gone.is_empty() {
            return;
        }
        for id in gone {
            if let Some(session) = self.sessions.remove(id) {
                self.sessions_open.remove(&(session.open.expires_ms, id.clone()));
            }
        }
        // Sessions go from the first onwards: whoever's newest is gone has none left, and comes back as somebody new.
        let strangers = self.people.iter().filter(|(_, theirs)| {
            let newest = theirs.claims.as_ref().map(|claims| &claims.session);
            newest.is_none_or(|session| gone.contains(session))
        });
        let strangers: BTreeSet<_> = strangers.map(|(actor, _)| actor.clone()).collect();
        self.people.retain(|actor, _| !strangers.contains(actor));
        self.actors.retain(|_, actor| !strangers.contains(actor));
        let reviewed = self.requests.values().filter(|request| {
            let mut sessions = request.reviews.iter().map(|review| &review.reviewer.session);
            sessions.any(|session| gone.contains(session))
        });
        let reviewed: Vec<RequestId> = reviewed.map(|request| request.id.clone()).collect();
        for id in reviewed {
            self.change(&id, |request| {
                request.reviews.retain(|review| !gone.contains(&review.reviewer.session))
            });
        }
    }
}
