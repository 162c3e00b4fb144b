//! What the broker knows: a fold over log entries and nothing else.
//!
//! [`State::apply`] is pure and total over entries that [`Event::read`] accepts. Commands are decided against a state
//! (`approval::decide`, `identity::decide`, `delivery::decide`), give events, and the events are folded in; at start the same
//! fold runs over the log. Maps are persistent, so a snapshot is a pointer and a failed commit costs nothing to forget.

use std::sync::Arc;

use chunk_wire::fetch::{RequestDocument, RequestState};
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, Person};

use crate::evidence::entries::{Event, IntentEntry, OutcomeEntry, RequestCreate, ReviewEntry, SessionOpen};

/// Everything folded so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Entries folded; the index of the next one.
    pub(crate) size: u64,
    /// Time of the newest entry, ms since 1970.
    pub(crate) last_ms: i64,
    /// (issuer, subject) → pseudonym.
    pub(crate) actors: imbl::HashMap<(String, String), ActorId>,
    /// Sessions, open and ended.
    pub(crate) sessions: imbl::HashMap<SessionId, Arc<Session>>,
    /// SHA-256 (hex) of ID tokens already used → when the token ends to matter, ms since 1970.
    pub(crate) id_tokens: imbl::HashMap<String, i64>,
    /// Requests.
    pub(crate) requests: imbl::OrdMap<RequestId, Arc<Request>>,
    /// Digests of every document submitted so far: each is one request.
    pub(crate) documents: imbl::HashSet<String>,
    /// Requests in a state that time can end.
    pub(crate) waiting: imbl::HashSet<RequestId>,
    /// Intents without an outcome, by index.
    pub(crate) open_intents: imbl::OrdMap<u64, OpenIntent>,
    /// (index, digest) of the policies in force.
    pub(crate) policy: Option<(u64, String)>,
    /// Digest of the configuration in force.
    pub(crate) config: Option<String>,
}

/// An authenticated period of one person with one key.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Index of `session.open`.
    pub(crate) index: u64,
    /// Opened, ms since 1970.
    pub(crate) opened_ms: i64,
    /// As recorded.
    pub(crate) open: SessionOpen,
    /// Why it ended, once it has.
    pub(crate) closed: Option<String>,
}

/// A request and all that happened to it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Index of `request.create`.
    pub(crate) index: u64,
    /// As recorded.
    pub(crate) id: RequestId,
    /// Requester's pseudonym.
    pub(crate) actor: ActorId,
    /// Who asks.
    pub(crate) person: Person,
    /// The requester's client.
    pub(crate) client: ClientInfo,
    /// The requester's address.
    pub(crate) ip: String,
    /// The signed document.
    pub(crate) document: Arc<RequestDocument>,
    /// Its canonical text, as signed.
    pub(crate) document_text: Arc<str>,
    /// Its digest, hex.
    pub(crate) digest: String,
    /// State.
    pub(crate) state: RequestState,
    /// Created, ms since 1970.
    pub(crate) created_ms: i64,
    /// End of the present state if nothing happens, ms since 1970.
    pub(crate) expires_ms: i64,
    /// Estimate when made.
    pub(crate) rows_estimated: Option<u64>,
    /// Verdicts, in order.
    pub(crate) reviews: Vec<Review>,
    /// Index of `grant.issue`.
    pub(crate) grant: Option<u64>,
    /// Index of `grant.take`.
    pub(crate) taken: Option<u64>,
    /// Deliveries, in order.
    pub(crate) deliveries: Vec<Delivered>,
}

/// A verdict.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    /// Index.
    pub(crate) index: u64,
    /// When.
    pub(crate) time_ms: i64,
    /// Reviewer's pseudonym.
    pub(crate) actor: ActorId,
    /// Reviewer.
    pub(crate) person: Person,
    /// Verdict.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) reason: String,
}

/// A delivery attempt.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    /// Chunk.
    pub(crate) chunk: u32,
    /// Index of the intent.
    pub(crate) intent: u64,
    /// Index of the outcome, and the outcome.
    pub(crate) outcome: Option<(u64, Arc<OutcomeEntry>)>,
    /// Index of the client's acknowledgement.
    pub(crate) ack: Option<u64>,
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

impl State {
    /// Folds one entry in. `time_ms` is the header's `t`.
    pub(crate) fn apply(&mut self, event: &Event, time_ms: i64) {
        let index = self.size;
        match event {
            Event::ConfigLoad { digest, .. } => self.config = Some(digest.clone()),
            Event::PolicyLoad { digest, .. } => self.policy = Some((index, digest.clone())),
            Event::SessionOpen(open) => self.apply_session_open(index, open, time_ms),
            Event::SessionClose { session, cause, .. } => {
                if let Some(session) = self.sessions.get_mut(session) {
                    Arc::make_mut(session).closed = Some(cause.clone());
                }
            }
            Event::RequestCreate(create) => self.apply_request_create(index, create, time_ms),
            Event::RequestEnd { id, cancelled, .. } => {
                let state = if *cancelled {
                    RequestState::Cancelled
                } else {
                    RequestState::Expired
                };
                self.change(id, |request| request.state = state);
            }
            Event::Review(review) => self.apply_review(index, review, time_ms),
            Event::GrantIssue { id, expires_ms, .. } => self.change(id, |request| {
                request.grant = Some(index);
                request.state = RequestState::Approved;
                request.expires_ms = *expires_ms;
            }),
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
                self.change(&intent.request, |request| {
                    request.state = RequestState::Running;
                    request.deliveries.push(Delivered {
                        chunk: intent.chunk,
                        intent: index,
                        outcome: None,
                        ack: None,
                    });
                });
            }
            Event::Progress { intent, rows, bytes, .. } => {
                if let Some(open) = self.open_intents.get_mut(intent) {
                    open.rows = *rows;
                    open.bytes = *bytes;
                }
            }
            Event::Outcome(outcome) => self.apply_outcome(index, outcome),
            Event::Ack { id, outcome, .. } => self.change(id, |request| {
                for delivered in &mut request.deliveries {
                    if delivered.outcome.as_ref().is_some_and(|(at, _)| at == outcome) {
                        delivered.ack = Some(index);
                    }
                }
            }),
            Event::Genesis { .. }
            | Event::Start { .. }
            | Event::Stop { .. }
            | Event::SessionFail { .. }
            | Event::RequestDeny(_)
            | Event::AuditRead { .. }
            | Event::AuditExport { .. } => {}
        }
        self.size += 1;
        self.last_ms = self.last_ms.max(time_ms);
    }

    /// The session with this id, if it is open at this time.
    pub(crate) fn open_session(&self, id: &SessionId, now_ms: i64) -> Option<&Arc<Session>> {
        self.sessions.get(id).filter(|s| s.closed.is_none() && now_ms < s.open.expires_ms)
    }

    fn apply_session_open(&mut self, index: u64, open: &SessionOpen, time_ms: i64) {
        let person = (open.person.issuer.clone(), open.person.subject.clone());
        self.actors.entry(person).or_insert_with(|| open.actor.clone());
        self.id_tokens.insert(open.id_token.clone(), time_ms + ID_TOKEN_REMEMBERED_MS);
        if self.size.is_multiple_of(256) {
            self.id_tokens.retain(|_, until| *until > time_ms);
        }
        self.sessions.insert(
            open.session.clone(),
            Arc::new(Session {
                index,
                opened_ms: time_ms,
                open: open.clone(),
                closed: None,
            }),
        );
    }

    fn apply_request_create(&mut self, index: u64, create: &RequestCreate, time_ms: i64) {
        let session = self.sessions.get(&create.session);
        let text = chunk_evidence::encode::canonical_of(&create.document).unwrap_or_default();
        let request = Request {
            index,
            id: create.id.clone(),
            actor: create.actor.clone(),
            person: session.map_or_else(
                || Person {
                    issuer: create.document.requester.issuer.clone(),
                    subject: create.document.requester.subject.clone(),
                    name: create.document.requester.subject.clone(),
                    email: None,
                    groups: Vec::new(),
                },
                |s| s.open.person.clone(),
            ),
            client: session.map(|s| s.open.client.clone()).unwrap_or_default(),
            ip: session.map(|s| s.open.ip.clone()).unwrap_or_default(),
            document: Arc::new(create.document.clone()),
            document_text: text.into(),
            digest: create.digest.clone(),
            state: RequestState::Pending,
            created_ms: time_ms,
            expires_ms: create.expires_ms,
            rows_estimated: create.rows_estimated,
            reviews: Vec::new(),
            grant: None,
            taken: None,
            deliveries: Vec::new(),
        };
        self.documents.insert(create.digest.clone());
        self.waiting.insert(create.id.clone());
        self.requests.insert(create.id.clone(), Arc::new(request));
    }

    fn apply_review(&mut self, index: u64, review: &ReviewEntry, time_ms: i64) {
        let person = self.sessions.get(&review.session).map_or_else(
            || Person {
                issuer: review.issuer.clone(),
                subject: review.subject.clone(),
                name: review.subject.clone(),
                email: None,
                groups: Vec::new(),
            },
            |s| s.open.person.clone(),
        );
        self.change(&review.id, |request| {
            request.reviews.push(Review {
                index,
                time_ms,
                actor: review.actor.clone(),
                person,
                verdict: review.verdict,
                reason: review.reason.clone(),
            });
            if review.verdict == Verdict::Reject {
                request.state = RequestState::Rejected;
            }
        });
    }

    fn apply_outcome(&mut self, index: u64, outcome: &OutcomeEntry) {
        let Some(open) = self.open_intents.remove(&outcome.intent) else {
            return;
        };
        self.change(&open.request, |request| {
            if let Some(delivered) = request.deliveries.iter_mut().find(|d| d.intent == outcome.intent) {
                delivered.outcome = Some((index, Arc::new(outcome.clone())));
            }
            if request.state == RequestState::Running {
                request.state = match outcome.end.as_str() {
                    "done" => RequestState::Completed,
                    "limit" | "failed" => RequestState::Failed,
                    "revoked" => RequestState::Revoked,
                    _ => RequestState::Paused,
                };
            }
        });
    }

    fn change(&mut self, id: &RequestId, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.requests.get_mut(id) {
            let request = Arc::make_mut(request);
            change(request);
            if request.state.is_final() {
                self.waiting.remove(id);
            }
        }
    }
}

/// ID tokens are accepted for minutes after they are issued; remembering them for longer than that plus clock skew is enough.
const ID_TOKEN_REMEMBERED_MS: i64 = 60 * 60 * 1000;
