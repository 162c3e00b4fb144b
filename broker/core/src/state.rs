//! What the broker knows: a fold over log entries and nothing else.
//!
//! [`State::apply`] is pure and total over entries that [`Event::read`] accepts. Commands are decided against a state
//! (`approval::decide`, `identity::decide`, `delivery::decide`), give events, and the events are folded in; at start the same
//! fold runs over the log. Maps are persistent, so a snapshot is a pointer and a failed commit costs nothing to forget.

mod carried;
mod directory;
mod disposed;
mod erased;
mod keys;
mod remembered;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;

use chunk_evidence::leaf::Kind;
use chunk_evidence::note::VerifierKey;
use chunk_wire::fetch::RequestState;
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::review::Verdict;

use crate::anchor::Anchors;
use crate::evidence::entries::{Event, IntentEntry, OutcomeEntry, RequestCreate, ReviewEntry, SUSPENDED, SessionOpen, SubjectBind};
use crate::recording::Recording;
use carried::Carried;
use directory::Directory;
use keys::SshKeys;
use remembered::Remembered;

pub(crate) use directory::Record;
pub(crate) use keys::Enrolled;
pub(crate) use request::{Ended, Request, Review};

/// Everything folded so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Entries folded; the index of the next one.
    pub(crate) size: u64,
    /// Time of the newest entry, ms since 1970.
    pub(crate) last_ms: i64,
    /// How the log began.
    pub(crate) genesis: Option<Genesis>,
    /// How its key was replaced since: index of the entry, and the key from there on.
    pub(crate) rotations: imbl::Vector<(u64, VerifierKey)>,
    /// (issuer, subject) → pseudonym.
    pub(crate) actors: imbl::HashMap<(String, String), ActorId>,
    /// What is known of each person.
    pub(crate) people: imbl::HashMap<ActorId, Theirs>,
    /// What directories say of people.
    pub(crate) directory: Directory,
    /// SSH keys that people enrolled.
    pub(crate) ssh_keys: SshKeys,
    /// Sessions, open and ended.
    pub(crate) sessions: imbl::HashMap<SessionId, Arc<Session>>,
    /// (end in ms since 1970, session) of those that no entry has closed.
    pub(crate) sessions_open: imbl::OrdSet<(i64, SessionId)>,
    /// SHA-256 (hex) of ID tokens already used.
    pub(crate) id_tokens: Remembered,
    /// Requests.
    pub(crate) requests: imbl::OrdMap<RequestId, Arc<Request>>,
    /// Their ids by the index of their `request.create`: the order in which they were made.
    pub(crate) created: imbl::OrdMap<u64, RequestId>,
    /// Ids of sessions by the index of their `session.open`.
    pub(crate) opened: imbl::OrdMap<u64, SessionId>,
    /// (session, request) of requests that were made or reviewed under a session, by the indices that begin them.
    pub(crate) under: imbl::OrdSet<(u64, u64)>,
    /// Requests to which something can still happen, by the index of their `grant.issue`.
    pub(crate) granted: imbl::OrdMap<u64, RequestId>,
    /// Those that wait for reviewers, by index.
    pub(crate) pending: imbl::OrdMap<u64, RequestId>,
    /// Emergencies that nobody has reviewed yet, by index of `breakglass.open`.
    pub(crate) unreviewed: imbl::OrdMap<u64, RequestId>,
    /// (end of the present state in ms since 1970, request) of those to which something can still happen.
    pub(crate) waiting: imbl::OrdSet<(i64, RequestId)>,
    /// (when others may review them in ms since 1970, request) of those that wait and will be escalated.
    pub(crate) escalating: imbl::OrdSet<(i64, RequestId)>,
    /// Digests of documents that could still be submitted: each is one request.
    pub(crate) documents: Remembered,
    /// Intents without an outcome, by index.
    pub(crate) open_intents: imbl::OrdMap<u64, OpenIntent>,
    /// Digest of policies → index at which they last came into force.
    pub(crate) policies: imbl::HashMap<String, u64>,
    /// (index, digest) of the policies in force.
    pub(crate) policy: Option<(u64, String)>,
    /// Digest of the configuration in force.
    pub(crate) config: Option<String>,
    /// Recordings that are kept, by the index of their intent.
    pub(crate) recordings: imbl::OrdMap<u64, KeptRecording>,
    /// (kind, index before which bodies of this kind are gone) → index of the `retention.dispose` that says so.
    pub(crate) disposed: imbl::OrdMap<(Kind, u64), u64>,
    /// What it says about what others said of the log.
    pub(crate) anchors: Anchors,
    /// Data keys that were destroyed → index of the `erase` that says so.
    pub(crate) erased_keys: imbl::HashMap<String, u64>,
}

/// What the log's first entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Genesis {
    /// The log's origin.
    pub(crate) origin: String,
    /// Its verifier key.
    pub(crate) log_key: String,
}

/// What is known of a person.
#[derive(Debug, Clone, Default)]
pub(crate) struct Theirs {
    /// Their requests, by the index of the `request.create`.
    pub(crate) requests: imbl::OrdSet<u64>,
    /// Those that wait for reviewers.
    pub(crate) pending: usize,
    /// Those whose standing grant has not ended.
    pub(crate) standing: imbl::OrdSet<u64>,
    /// What the identity provider said at their newest sign-in.
    pub(crate) claims: Option<Arc<SessionOpen>>,
    /// What they were given today.
    pub(crate) carried: Carried,
    /// Indices of their `session.open` entries, in order.
    pub(crate) sessions: imbl::Vector<u64>,
}

/// An authenticated period of one person with one key.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Index of `session.open`.
    pub(crate) index: u64,
    /// Opened, ms since 1970.
    pub(crate) opened_ms: i64,
    /// As recorded.
    pub(crate) open: Arc<SessionOpen>,
    /// Why it ended, once it has.
    pub(crate) closed: Option<String>,
    /// Somebody else ended it: its holder is not to be believed for what was done under it.
    pub(crate) withdrawn: bool,
}

/// An intent whose outcome is still to come.
#[derive(Debug, Clone)]
pub(crate) struct OpenIntent {
    /// The request.
    pub(crate) request: RequestId,
    /// Columns and masks.
    pub(crate) intent: Arc<IntentEntry>,
    /// When, ms since 1970.
    pub(crate) time_ms: i64,
    /// Rows recorded as having left.
    pub(crate) rows: u64,
    /// Bytes recorded as having left.
    pub(crate) bytes: u64,
}

/// A recording that is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptRecording {
    /// Time of the intent, ms since 1970.
    pub(crate) time_ms: i64,
    /// Index of the outcome.
    pub(crate) outcome: u64,
    /// Pseudonym of the person it was delivered to.
    pub(crate) actor: ActorId,
}

impl State {
    /// Folds one entry in. `time_ms` is the header's `t`.
    pub(crate) fn apply(&mut self, event: &Event, time_ms: i64) {
        let index = self.size;
        match event {
            Event::Anchor(observed) => self.anchors.apply(index, observed, time_ms),
            _ => self.anchors.apply_other(index),
        }
        match event {
            Event::Genesis { origin, log_key, .. } => {
                self.genesis = Some(Genesis {
                    origin: origin.clone(),
                    log_key: log_key.clone(),
                });
            }
            Event::KeyRotate(rotation) => {
                if self.log_key() == Some(rotation.from().to_text()) {
                    self.rotations.push_back((index, rotation.to().clone()));
                }
            }
            Event::ConfigLoad { digest, .. } => self.config = Some(digest.clone()),
            Event::PolicyLoad { digest, .. } => {
                self.policy = Some((index, digest.clone()));
                self.policies.insert(digest.clone(), index);
            }
            Event::SessionOpen(open) => self.apply_session_open(index, open, time_ms),
            Event::SessionClose { session, cause, actor, .. } => self.end_session(session, cause, Some(actor.as_str())),
            Event::SubjectBind(bind) => self.apply_bind(index, bind, time_ms),
            Event::PersonSuspend(suspend) => self.apply_suspend(index, suspend, time_ms),
            Event::PersonRestore(restore) => self.apply_restore(&restore.actor, time_ms),
            Event::KeyEnroll(enroll) => self.ssh_keys.enroll(index, enroll, time_ms),
            Event::KeyRevoke(revoke) => self.ssh_keys.revoke(revoke.enrolled, time_ms),
            Event::RequestCreate(create) => self.apply_request_create(index, create, time_ms),
            Event::RequestEnd { id, cancelled, .. } => {
                let state = if *cancelled {
                    RequestState::Cancelled
                } else {
                    RequestState::Expired
                };
                self.change(id, |request| request.state = state);
            }
            Event::RequestEscalate { id, .. } => self.change(id, |request| request.escalated = Some((index, time_ms))),
            Event::BreakglassOpen(open) => {
                if self.requests.contains_key(&open.id) {
                    self.unreviewed.insert(index, open.id.clone());
                    self.change(&open.id, |request| request.breakglass = Some(index));
                }
            }
            Event::Review(review) => self.apply_review(index, review, time_ms),
            Event::GrantIssue { id, expires_ms, refs, .. } => {
                if self.requests.contains_key(id) {
                    self.granted.insert(index, id.clone());
                }
                self.change(id, |request| {
                    request.grant = Some(index);
                    request.approvals = refs.iter().skip(1).copied().collect();
                    request.state = RequestState::Approved;
                    request.expires_ms = *expires_ms;
                });
                self.remember_standing(id);
            }
            Event::GrantTake { id, used_for: Some(_), .. } => self.change(id, |request| request.used.times += 1),
            Event::GrantTake { id, .. } => self.change(id, |request| request.taken = Some(index)),
            Event::GrantEnd { id, revoked, .. } => {
                let state = if *revoked { RequestState::Revoked } else { RequestState::Expired };
                self.change(id, |request| request.state = state);
            }
            Event::Intent(intent) => {
                self.open_intents.insert(
                    index,
                    OpenIntent {
                        request: intent.request.clone(),
                        intent: Arc::new(intent.clone()),
                        time_ms,
                        rows: 0,
                        bytes: 0,
                    },
                );
                self.change(&intent.request, |request| request.begin(index, intent));
            }
            Event::Progress { intent, rows, bytes, .. } => {
                if let Some(open) = self.open_intents.get_mut(intent) {
                    open.rows = *rows;
                    open.bytes = *bytes;
                }
            }
            Event::Outcome(outcome) => self.apply_outcome(index, outcome, time_ms),
            Event::Ack { id, outcome, .. } => self.change(id, |request| {
                for delivered in &mut request.deliveries {
                    if delivered.outcome.as_ref().is_some_and(|(at, _)| at == outcome) {
                        delivered.ack = Some(index);
                    }
                }
            }),
            Event::Erase(erase) => self.apply_erase(index, erase),
            Event::Dispose(dispose) => self.apply_dispose(index, dispose),
            Event::Start { .. }
            | Event::Stop { .. }
            | Event::SessionFail { .. }
            | Event::RequestDeny(_)
            | Event::AuditRead { .. }
            | Event::AuditExport { .. }
            | Event::Anchor(_) => {}
        }
        self.size += 1;
        self.last_ms = self.last_ms.max(time_ms);
    }

    /// The log's key in force.
    pub(crate) fn log_key(&self) -> Option<String> {
        match self.rotations.last() {
            Some((_, key)) => Some(key.to_text()),
            None => self.genesis.as_ref().map(|begun| begun.log_key.clone()),
        }
    }

    /// Every key that the log had, oldest first.
    pub(crate) fn log_keys(&self) -> Vec<VerifierKey> {
        let first = self.genesis.as_ref().and_then(|begun| VerifierKey::parse(&begun.log_key).ok());
        first.into_iter().chain(self.rotations.iter().map(|(_, key)| key.clone())).collect()
    }

    /// Size of the smallest tree whose checkpoint the key in force signed.
    pub(crate) fn rotated(&self) -> u64 {
        self.rotations.last().map_or(0, |(index, _)| index + 1)
    }

    /// The session with this id, if it is open at this time.
    pub(crate) fn open_session(&self, id: &SessionId, now_ms: i64) -> Option<&Arc<Session>> {
        self.sessions.get(id).filter(|s| s.closed.is_none() && now_ms < s.open.expires_ms)
    }

    /// The session that the `session.open` of this index began.
    pub(crate) fn session_at(&self, index: u64) -> Option<&Arc<Session>> {
        self.sessions.get(self.opened.get(&index)?)
    }

    /// Deliveries of a request that have not ended.
    pub(crate) fn delivering(&self, id: &RequestId) -> impl Iterator<Item = &OpenIntent> {
        self.open_intents.values().filter(move |open| open.request == *id)
    }

    /// Whether this was done in an emergency, and nobody has reviewed it yet.
    pub(crate) fn review_is_due(&self, request: &Request) -> bool {
        request.breakglass.is_some_and(|open| self.unreviewed.contains_key(&open))
    }

    /// Pseudonyms of everybody whose subject, name, e-mail or pseudonym is exactly this.
    pub(crate) fn actors_named(&self, who: &str) -> BTreeSet<ActorId> {
        let is = |open: &SessionOpen| {
            let person = &open.person;
            person.subject == who || person.name == who || person.email.as_deref() == Some(who) || open.actor.as_str() == who
        };
        let is_record =
            |bind: &SubjectBind| bind.user_name == who || bind.external_id.as_deref() == Some(who) || bind.actor.as_str() == who;
        let sessions = self.sessions.values().filter(|session| is(&session.open));
        let records = self.directory.records.values().filter(|record| is_record(&record.bind));
        let signed_in = sessions.map(|session| session.open.actor.clone());
        signed_in.chain(records.map(|record| record.bind.actor.clone())).collect()
    }

    fn end_session(&mut self, session: &SessionId, cause: &str, by: Option<&str>) {
        if let Some(session) = self.sessions.get_mut(session) {
            let session = Arc::make_mut(session);
            session.closed = Some(cause.to_owned());
            // A suspension may be the answer to a stolen machine: what was done under what it ended is not believed either.
            session.withdrawn = cause == SUSPENDED || by.is_some_and(|by| by != session.open.actor.as_str());
            self.sessions_open.remove(&(session.open.expires_ms, session.open.session.clone()));
        }
    }

    fn apply_session_open(&mut self, index: u64, open: &SessionOpen, time_ms: i64) {
        let person = (open.person.issuer.clone(), open.person.subject.clone());
        self.actors.entry(person).or_insert_with(|| open.actor.clone());
        self.id_tokens.insert(&open.id_token, time_ms + ID_TOKEN_REMEMBERED_MS, time_ms);
        self.sessions_open.insert((open.expires_ms, open.session.clone()));
        self.opened.insert(index, open.session.clone());
        let open = Arc::new(SessionOpen {
            attestation: None,
            ..open.clone()
        });
        let theirs = self.people.entry(open.actor.clone()).or_default();
        theirs.claims = Some(Arc::clone(&open));
        theirs.sessions.push_back(index);
        self.sessions.insert(
            open.session.clone(),
            Arc::new(Session {
                index,
                opened_ms: time_ms,
                open,
                closed: None,
                withdrawn: false,
            }),
        );
    }

    fn apply_request_create(&mut self, index: u64, create: &RequestCreate, time_ms: i64) {
        // Nothing is decided for a session that was never opened.
        let Some(session) = self.sessions.get(&create.session) else {
            return;
        };
        let request = Request::new(index, create, Arc::clone(&session.open), time_ms);
        self.documents.insert(&create.digest, create.document.not_after_ms, time_ms);
        self.created.insert(index, create.id.clone());
        self.under.insert((session.index, index));
        self.pending.insert(index, create.id.clone());
        self.waiting.insert((request.expires_ms, create.id.clone()));
        self.escalating
            .extend(request.escalates_ms().map(|due_ms| (due_ms, create.id.clone())));
        let theirs = self.people.entry(create.actor.clone()).or_default();
        theirs.requests.insert(index);
        theirs.pending += 1;
        self.requests.insert(create.id.clone(), Arc::new(request));
    }

    fn apply_review(&mut self, index: u64, review: &ReviewEntry, time_ms: i64) {
        let ends = review.verdict == Verdict::Reject && !review.afterwards;
        if review.afterwards {
            self.unreviewed.remove(&review.request);
        }
        let Some(session) = self.sessions.get(&review.session) else {
            // The session is gone with its time; what was decided under it stays decided.
            if ends {
                self.change(&review.id, |request| request.state = RequestState::Rejected);
            }
            return;
        };
        let reviewer = Arc::clone(&session.open);
        if let Some(request) = self.requests.get(&review.id) {
            self.under.insert((session.index, request.index));
        }
        self.change(&review.id, |request| {
            request.reviews.push(Review {
                index,
                time_ms,
                actor: review.actor.clone(),
                reviewer,
                verdict: review.verdict,
                escalated: review.escalated.is_some(),
                reason: Some(review.reason.as_str().into()),
                ssh_key: review.ssh.as_ref().map(|ssh| ssh.key.as_str().into()),
            });
            if ends {
                request.state = RequestState::Rejected;
            }
        });
    }

    fn apply_outcome(&mut self, index: u64, outcome: &OutcomeEntry, time_ms: i64) {
        let Some(open) = self.open_intents.remove(&outcome.intent) else {
            return;
        };
        if outcome.recording == Some(Recording::Kept) {
            let kept = KeptRecording {
                time_ms: open.time_ms,
                outcome: index,
                actor: open.intent.actor.clone(),
            };
            self.recordings.insert(outcome.intent, kept);
        }
        // Of what a crash cut, nobody knows how much left; at most this did.
        let bytes = outcome.bytes_max.unwrap_or(outcome.bytes);
        let theirs = self.people.entry(open.intent.actor.clone()).or_default();
        theirs.carried.add(&open.intent.datasets, outcome.rows, bytes, time_ms);
        let others = self.delivering(&open.request).next().is_some();
        self.change(&open.request, |request| {
            if let Some(delivered) = request.deliveries.iter_mut().find(|d| d.intent == outcome.intent) {
                delivered.outcome = Some((index, Arc::new(Ended::from(outcome))));
            }
            if request.state == RequestState::Running {
                request.end(open.intent.chunk, &outcome.end, others);
            }
        });
        let standing = self.requests.get(&open.request).and_then(|request| request.under.clone());
        if let Some(standing) = standing {
            self.change(&standing, |grant| {
                grant.used.rows = grant.used.rows.saturating_add(outcome.rows);
                grant.used.bytes = grant.used.bytes.saturating_add(outcome.bytes);
            });
        }
    }

    /// Puts a request whose standing grant was just given where its owner's next fetch looks for it.
    fn remember_standing(&mut self, id: &RequestId) {
        if let Some(request) = self.requests.get(id).filter(|request| request.standing.is_some())
            && let Some(theirs) = self.people.get_mut(&request.actor)
        {
            theirs.standing.insert(request.index);
        }
    }

    /// Changes a request, and every index it stands in.
    fn change(&mut self, id: &RequestId, change: impl FnOnce(&mut Request)) {
        let Some(request) = self.requests.get_mut(id) else { return };
        let request = Arc::make_mut(request);
        let was_pending = request.state == RequestState::Pending;
        self.waiting.remove(&(request.expires_ms, id.clone()));
        if let Some(due_ms) = request.escalates_ms() {
            self.escalating.remove(&(due_ms, id.clone()));
        }
        change(request);
        self.escalating.extend(request.escalates_ms().map(|due_ms| (due_ms, id.clone())));
        if request.state.is_final() {
            request.lighten();
            if let Some(grant) = request.grant {
                self.granted.remove(&grant);
            }
            if request.standing.is_some()
                && let Some(theirs) = self.people.get_mut(&request.actor)
            {
                theirs.standing.remove(&request.index);
            }
        } else {
            self.waiting.insert((request.expires_ms, id.clone()));
        }
        if was_pending && request.state != RequestState::Pending {
            self.pending.remove(&request.index);
            if let Some(theirs) = self.people.get_mut(&request.actor) {
                theirs.pending = theirs.pending.saturating_sub(1);
            }
        }
    }
}

/// ID tokens are accepted for minutes after they are issued; remembering them for longer than that plus clock skew is enough.
const ID_TOKEN_REMEMBERED_MS: i64 = 60 * 60 * 1000;
