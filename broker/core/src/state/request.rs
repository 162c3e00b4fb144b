//! What is known of a request and of all that happened to it.
//!
//! A request that is over keeps only what rules and lists need: its document and the reviewers' words are read from the log
//! when somebody looks at it, or the memory of a busy broker would hold everything that was ever asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use chunk_wire::fetch::{Format, RequestDocument, RequestState, StandingTerms};
use chunk_wire::id::{ActorId, RequestId};
use chunk_wire::review::Verdict;
use chunk_wire::session::Person;
use chunk_wire::stages::{Escalation, Stage};

use crate::evidence::entries::{IntentEntry, OutcomeEntry, RequestCreate, SessionOpen};
use crate::recording::Recording;

/// A request and all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Index of `request.create`.
    pub(crate) index: u64,
    /// As recorded.
    pub(crate) id: RequestId,
    /// Requester's pseudonym.
    pub(crate) actor: ActorId,
    /// The session under which it was made: who asks, from where, with which key.
    pub(crate) requester: Arc<SessionOpen>,
    /// Datasets it reads.
    pub(crate) datasets: Arc<[String]>,
    /// Encoding.
    pub(crate) format: Format,
    /// Distinct people who must approve.
    pub(crate) quorum: u32,
    /// Who they are, in order; empty where that does not matter.
    pub(crate) stages: Arc<[Stage]>,
    /// Who else may review when nobody has decided for a while.
    pub(crate) escalation: Option<Arc<Escalation>>,
    /// Index and time of `request.escalate`.
    pub(crate) escalated: Option<(u64, i64)>,
    /// The signed document, until nothing can happen any more.
    pub(crate) document: Option<Arc<RequestDocument>>,
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
    /// Terms, where it is a standing grant that was asked for.
    pub(crate) standing: Option<StandingTerms>,
    /// What the uses of the standing grant have carried.
    pub(crate) used: Used,
    /// The request whose standing grant this is a use of.
    pub(crate) under: Option<RequestId>,
    /// Index of `breakglass.open`, of a request in an emergency.
    pub(crate) breakglass: Option<u64>,
    /// Index of `grant.issue`.
    pub(crate) grant: Option<u64>,
    /// Indices of what that rests on: the approvals that brought it.
    pub(crate) approvals: Arc<[u64]>,
    /// Index of `grant.take`.
    pub(crate) taken: Option<u64>,
    /// Deliveries, in order.
    pub(crate) deliveries: Vec<Delivered>,
    /// How its result is cut, where the newest delivery is one chunk of several.
    pub(crate) cut: Option<Chunks>,
}

/// The chunks of a result, all of one moment of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// How many.
    pub(crate) count: u32,
    /// The moment's name.
    pub(crate) snapshot: String,
    /// Those that were delivered to their end.
    pub(crate) done: BTreeSet<u32>,
}

impl Chunks {
    /// Whether every one was delivered.
    pub(crate) fn is_whole(&self) -> bool {
        u32::try_from(self.done.len()).is_ok_and(|done| done >= self.count)
    }
}

/// What the uses of a standing grant have carried, as far as their outcomes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Used {
    /// How often it was taken.
    pub(crate) times: u64,
    /// Rows that left.
    pub(crate) rows: u64,
    /// Bytes that left.
    pub(crate) bytes: u64,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Review {
    /// Index.
    pub(crate) index: u64,
    /// When.
    pub(crate) time_ms: i64,
    /// Reviewer's pseudonym.
    pub(crate) actor: ActorId,
    /// The session under which it was given.
    pub(crate) reviewer: Arc<SessionOpen>,
    /// Verdict.
    pub(crate) verdict: Verdict,
    /// Given by somebody to whom the request was escalated, in a stage that would not have taken them.
    pub(crate) escalated: bool,
    /// Why, until nothing can happen any more.
    pub(crate) reason: Option<Arc<str>>,
    /// Fingerprint of the SSH key that signed it as well.
    pub(crate) ssh_key: Option<Arc<str>>,
}

/// A delivery attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Chunk.
    pub(crate) chunk: u32,
    /// Index of the intent.
    pub(crate) intent: u64,
    /// Index of the outcome, and the outcome.
    pub(crate) outcome: Option<(u64, Arc<Ended>)>,
    /// Index of the client's acknowledgement.
    pub(crate) ack: Option<u64>,
}

/// How a delivery attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The word in the log.
    pub(crate) end: String,
    /// Rows that left.
    pub(crate) rows: u64,
    /// Bytes that left.
    pub(crate) bytes: u64,
    /// SHA-256 (hex) of the bytes, when done.
    pub(crate) sha256: Option<String>,
    /// What became of the recording, where content was to be kept.
    pub(crate) recording: Option<Recording>,
}

impl Request {
    /// A request as `request.create` makes it.
    pub(super) fn new(index: u64, create: &RequestCreate, requester: Arc<SessionOpen>, time_ms: i64) -> Self {
        Self {
            index,
            id: create.id.clone(),
            actor: create.actor.clone(),
            requester,
            datasets: create.document.datasets.clone().into(),
            format: create.document.format,
            quorum: create.document.quorum,
            stages: create.document.stages.clone().into(),
            escalation: create.document.escalation.clone().map(Arc::new),
            escalated: None,
            document: Some(Arc::new(create.document.clone())),
            digest: create.digest.clone(),
            state: RequestState::Pending,
            created_ms: time_ms,
            expires_ms: create.expires_ms,
            rows_estimated: create.rows_estimated,
            reviews: Vec::new(),
            standing: create.document.standing,
            used: Used::default(),
            under: create.document.under.as_ref().map(|under| under.request.clone()),
            breakglass: None,
            grant: None,
            approvals: Arc::default(),
            taken: None,
            deliveries: Vec::new(),
            cut: None,
        }
    }

    /// When others may review it, ms since 1970: while it waits, and was not escalated yet.
    pub(crate) fn escalates_ms(&self) -> Option<i64> {
        let escalation = self.escalation.as_ref()?;
        let waits = self.state == RequestState::Pending && self.escalated.is_none();
        waits.then(|| self.created_ms + i64::from(escalation.after_s) * 1000)
    }

    /// Whether this person is one of those to whom it is escalated.
    pub(crate) fn escalates_to(&self, person: &Person) -> bool {
        self.escalation.as_ref().is_some_and(|escalation| escalation.takes(person))
    }

    /// A delivery begins. What was delivered of another moment is no part of what this one belongs to.
    pub(super) fn begin(&mut self, index: u64, intent: &IntentEntry) {
        self.state = RequestState::Running;
        let same = |chunks: &Chunks| intent.cut.as_ref().is_some_and(|cut| cut.snapshot == chunks.snapshot);
        if !self.cut.as_ref().is_some_and(same) {
            self.cut = intent.cut.as_ref().map(|cut| Chunks {
                count: cut.chunks,
                snapshot: cut.snapshot.clone(),
                done: BTreeSet::new(),
            });
        }
        self.deliveries.push(Delivered {
            chunk: intent.chunk,
            intent: index,
            outcome: None,
            ack: None,
        });
    }

    /// A delivery has ended, of a request that is running. `others`: other chunks of it are being delivered.
    pub(super) fn end(&mut self, chunk: u32, end: &str, others: bool) {
        let unfinished = if others { RequestState::Running } else { RequestState::Paused };
        self.state = match end {
            "done" => match &mut self.cut {
                None => RequestState::Completed,
                Some(chunks) => {
                    chunks.done.insert(chunk);
                    if chunks.is_whole() { RequestState::Completed } else { unfinished }
                }
            },
            "limit" | "failed" => RequestState::Failed,
            "revoked" => RequestState::Revoked,
            _ => unfinished,
        };
    }

    /// Lets go of what nobody needs to decide anything any more.
    pub(super) fn lighten(&mut self) {
        self.document = None;
        for review in &mut self.reviews {
            review.reason = None;
        }
    }
}

impl From<&OutcomeEntry> for Ended {
    fn from(outcome: &OutcomeEntry) -> Self {
        Self {
            end: outcome.end.clone(),
            rows: outcome.rows,
            bytes: outcome.bytes,
            sha256: outcome.sha256.clone(),
            recording: outcome.recording,
        }
    }
}
