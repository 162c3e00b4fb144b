//! From an approved request to bytes that leave: grant, intent, the job that owns the stream, the outcome.
//!
//! The intent is durable before the source is contacted. The job, not the HTTP body, owns the delivery: it counts and hashes
//! what leaves, lets no byte go further than 64 MiB past the last durable progress, looks again at session, grant and stop
//! signal before each frame, and records the outcome however the body ends. The stream ends cleanly only after the outcome
//! `done` is durable; every other end is an error that the gateway must turn into a broken connection.

mod cut;
mod daily;
mod guard;
mod job;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use chunk_log::journal::Urgency;
use chunk_port::ScanOrder;
use chunk_wire::fetch::{Budget, ChunkQuery, Format, RequestDocument, RequestState, Window};
use chunk_wire::id::{FetchId, RequestId};
use chunk_wire::problem::Code;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

pub(crate) use self::cut::Cuts;
use self::cut::{Allowance, Held};
use self::daily::Daily;
use self::job::Job;
use crate::approval::{self, Create, Upheld, not_found, session_open, standing, wrong_state};
use crate::authorize::{Permit, in_force};
use crate::broker::Broker;
use crate::catalog::scan_error;
use crate::error::Error;
use crate::evidence::entries::{CutInto, Event, IntentEntry, MaskColumn, OutcomeEntry};
use crate::evidence::log::Committed;
use crate::identity::Caller;
use crate::limits::{DELIVERIES_PER_PERSON_MAX, FRAMES_IN_FLIGHT_MAX, UNRECORDED_BYTES_MAX};
use crate::plan::Looking;
use crate::recording::{Keep, Recorder, Recording, RecordingName};
use crate::state::{Request, State};

/// An approved request of the caller's, looked up; not yet a right to anything.
#[derive(Debug)]
pub(crate) struct Approved {
    id: RequestId,
    chunk: u32,
    document: Arc<RequestDocument>,
}

impl Approved {
    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    pub(crate) fn document(&self) -> &RequestDocument {
        &self.document
    }
}

/// Proof that exactly this order was approved, or needs no approval.
///
/// Only [`require`] and [`require_signed`] make one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Grant {
    caller: Caller,
    approved: Approved,
    order: ScanOrder,
    fetch: FetchId,
    /// Digest of the policies that permit it.
    policies: String,
    /// What it is read by: open since it was planned, or the result that this is a chunk of.
    opened: Opened,
}

/// What is open at the source, to be read.
#[derive(Debug)]
enum Opened {
    /// The query, as it was planned a moment ago.
    Plan(Looking),
    /// A result that was cut.
    Cut(Arc<Held>),
}

impl Opened {
    /// How the log tells of a cut; a result in one piece is not cut.
    fn cut_into(&self) -> Option<CutInto> {
        match self {
            Opened::Cut(held) if held.cut.count() > 1 => Some(CutInto {
                chunks: held.cut.count(),
                snapshot: held.snapshot.clone(),
            }),
            _ => None,
        }
    }
}

/// Proof that the intent is durable in the log.
///
/// Only [`record_intent`] and [`record_all`] make one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Recorded {
    grant: Grant,
    intent: u64,
    /// Time of the intent, ms since 1970.
    time_ms: i64,
}

/// What a delivery reads, and how much of it.
struct Read {
    opened: Opened,
    /// The chunk of a result that was cut.
    chunk: u32,
    order: ScanOrder,
    /// Shared by the chunks of one result.
    allowance: Arc<Allowance>,
}

/// A delivery under way: a stream of the encoded bytes.
///
/// The body is complete only when the stream ends without an error.
pub struct Delivery {
    intent: u64,
    format: Format,
    cut: Option<CutInto>,
    frames: mpsc::Receiver<Bytes>,
    ending: Arc<Ending>,
    told: bool,
}

/// The delivery ended before its end; the log says how, and so does this sentence, which holds no value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("delivery cut: {0}")]
pub struct Cut(pub String);

/// How a delivery ended, once it has: told by the job without waiting for a client that does not read.
#[derive(Default)]
struct Ending {
    /// Set as soon as the delivery is cut, before that is recorded: from here on no frame leaves.
    cut: AtomicBool,
    told: OnceLock<Result<(), String>>,
}

impl Ending {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    fn tell(&self, end: Result<(), String>) {
        // There is one job, and it ends once.
        let _ = self.told.set(end);
    }
}

impl Delivery {
    /// Index of the intent under which the bytes leave.
    #[must_use]
    pub fn intent(&self) -> u64 {
        self.intent
    }

    /// Encoding of the bytes.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many chunks the result has, and the name of the moment of the source that they are of; nothing where this is the whole.
    #[must_use]
    pub fn cut(&self) -> Option<(u32, &str)> {
        self.cut.as_ref().map(|cut| (cut.chunks, cut.snapshot.as_str()))
    }
}

impl futures::Stream for Delivery {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        if self.told {
            return Poll::Ready(None);
        }
        let cut = loop {
            if let Some(Err(sentence)) = self.ending.told.get() {
                break sentence.clone();
            }
            match ready!(self.frames.poll_recv(cx)) {
                // What was cut is cut here too: frames that wait behind a revocation do not leave.
                Some(_) if self.ending.is_cut() => {}
                Some(frame) => return Poll::Ready(Some(Ok(frame))),
                None => match self.ending.told.get() {
                    Some(Ok(())) => return Poll::Ready(None),
                    Some(Err(sentence)) => break sentence.clone(),
                    // The job is gone without a word: fail closed, never a clean end.
                    None => break "the broker failed".to_owned(),
                },
            }
        };
        self.told = true;
        Poll::Ready(Some(Err(Cut(cut))))
    }
}

/// Looks up the caller's approved request.
///
/// # Errors
/// When it is not the caller's, not approved, or has no such chunk.
pub(crate) fn approved(broker: &Broker, caller: &Caller, id: &RequestId, chunk: u32) -> Result<Approved, Error> {
    let published = broker.log.published();
    let request = published
        .state
        .requests
        .get(id)
        .filter(|r| r.actor == *caller.actor())
        .ok_or_else(|| not_found(id))?;
    if request.requester.key != caller.key() {
        return Err(Error::new(
            Code::Denied,
            "The request was signed with the key of another session, and only that key may fetch it.",
        )
        .hint("run the same `chunkctl fetch` again"));
    }
    may_start(request, chunk, &published.state)?;
    let document = request.document.as_ref().ok_or_else(|| wrong_state(request, "be fetched"))?;
    Ok(Approved {
        id: id.clone(),
        chunk,
        document: Arc::clone(document),
    })
}

/// Binds a permit that policy gives *now* to the grant that was given *then*: the mask plan is the approved one.
///
/// # Errors
/// When policy would now ask for more approvals, or the plan has changed.
pub(crate) fn require(broker: &Broker, upheld: Upheld, approved: Approved) -> Result<Grant, Error> {
    let permit = upheld.into_permit();
    let rule = permit.rule();
    if rule.quorum > 0 && !rule.was_asked_in(&approved.document) {
        return Err(Error::new(
            Code::DocumentMismatch,
            "Since the request was approved, policy asks for more approvals or for other people's; ask again.",
        )
        .hint("run the same `chunkctl fetch` again"));
    }
    bind(broker, permit, approved)
}

/// Binds a permit that needs nobody's approval any more to the document that was signed under it.
///
/// # Errors
/// When the random generator fails.
pub(crate) fn require_signed(broker: &Broker, upheld: Upheld, create: &Create) -> Result<Grant, Error> {
    let signed = Approved {
        id: create.create.id.clone(),
        chunk: 0,
        document: Arc::new(create.create.document.clone()),
    };
    bind(broker, upheld.into_permit(), signed)
}

fn bind(broker: &Broker, permit: Permit, approved: Approved) -> Result<Grant, Error> {
    let fetch = FetchId::from_random(broker.random()?);
    let metadata = vec![
        ("chunkctl.origin".to_owned(), broker.settings.origin.clone()),
        ("chunkctl.request".to_owned(), approved.id.to_string()),
        ("chunkctl.chunk".to_owned(), approved.chunk.to_string()),
    ];
    let policies = permit.plan().policies().digest().to_owned();
    let (caller, look, order) = permit.into_plan().pinned(&approved.document, fetch.to_string(), metadata)?;
    Ok(Grant {
        caller,
        approved,
        order,
        fetch,
        policies,
        opened: Opened::Plan(look),
    })
}

/// Finds, or makes, the cut of a result of which a chunk is asked for. The source is asked for its metadata and held at one moment; no
/// row is read.
///
/// # Errors
/// When there is no such chunk, the source is no longer held at the moment that the client's other chunks are of, or it fails.
pub(crate) async fn cut(broker: &Broker, grant: Grant, asked: &ChunkQuery) -> Result<Grant, Error> {
    let chunk = grant.approved.chunk;
    if asked.snapshot.is_none() && !asked.cut && chunk == 0 {
        return Ok(grant);
    }
    let Grant {
        caller,
        approved,
        order,
        fetch,
        policies,
        opened,
    } = grant;
    // A cut needs a place at the source, for which nobody may wait who holds one.
    drop(opened);
    let id = &approved.id;
    let held = match &asked.snapshot {
        Some(snapshot) => match broker.cuts.get(id, snapshot, broker.clock.now_ms()) {
            Some(held) => held,
            None => {
                // A source that has not changed is at the same moment still.
                let held = held_at(broker, &caller, &approved, &order).await?;
                if held.snapshot != *snapshot {
                    let what = format!("The source is no longer held at the moment that the other chunks of request `{id}` are of.");
                    return Err(Error::new(Code::SnapshotGone, what).hint(format!("run `chunkctl fetch --request {id}` to begin anew")));
                }
                held
            }
        },
        None if chunk > 0 => {
            let what = format!("Chunk {chunk} belongs to a result that is cut into chunks; say of which moment.");
            return Err(Error::new(Code::InvalidRequest, what)
                .hint("ask for chunk 0 with `cut=true`; `chunk-snapshot` of its answer names the moment"));
        }
        None => held_at(broker, &caller, &approved, &order).await?,
    };
    if chunk >= held.cut.count() {
        return Err(Error::new(
            Code::NotFound,
            format!("Request `{id}` has {} chunks, from number 0.", held.cut.count()),
        ));
    }
    Ok(Grant {
        caller,
        approved,
        order,
        fetch,
        policies,
        opened: Opened::Cut(held),
    })
}

async fn held_at(broker: &Broker, caller: &Caller, approved: &Approved, order: &ScanOrder) -> Result<Arc<Held>, Error> {
    let cut = broker
        .scanner
        .cut(order.clone(), broker.settings.chunk_rows)
        .await
        .map_err(scan_error)?;
    let snapshot = match cut.state() {
        Some(state) => hex::encode(state.get(..SNAPSHOT_BYTES).unwrap_or(&state)),
        None => hex::encode(broker.random::<SNAPSHOT_BYTES>()?),
    };
    let actor = caller.actor().clone();
    let budget = {
        let published = broker.log.published();
        let request = published.state.requests.get(&approved.id);
        request.and_then(|request| budget_left(&published.state, request, approved.document.budget))
    };
    // Without anything left, recording the intent says so.
    let budget = budget.unwrap_or(Budget {
        rows: 0,
        bytes: 0,
        ..approved.document.budget
    });
    Ok(Held::new(snapshot, cut, budget, actor, broker.clock.now_ms()))
}

const SNAPSHOT_BYTES: usize = 16;

/// A place among the deliveries that may run at once.
///
/// # Errors
/// When all are taken.
pub(crate) fn slot(broker: &Broker) -> Result<OwnedSemaphorePermit, Error> {
    broker.ready()?;
    Arc::clone(&broker.delivery_slots)
        .try_acquire_owned()
        .map_err(|_| Error::new(Code::RateLimited, "The broker delivers as much at once as it may.").hint("try again in a moment"))
}

/// Takes the grant and records the intent, in one commit.
///
/// # Errors
/// When the request was used, ended or revoked in the meantime, or the log cannot be written. Nothing is read then.
pub(crate) async fn record_intent(broker: &Broker, grant: Grant) -> Result<Recorded, Error> {
    let (entry, policies) = (intent_entry(broker, &grant), grant.policies.clone());
    let daily = Daily::of(&broker.settings.catalog, &entry.datasets);
    let bounds = daily.clone();
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            begin(state, entry, &policies, &bounds, now_ms)
        })
        .await?;
    recorded(&committed, grant, &daily)
}

/// Records a request that needs nobody's approval, its grant, that it is taken, and the intent, in one commit.
///
/// # Errors
/// When policies changed meanwhile, or the log cannot be written. Nothing is read then, and there is no request.
pub(crate) async fn record_all(broker: &Broker, create: Create, grant: Grant) -> Result<Recorded, Error> {
    let (entry, policies) = (intent_entry(broker, &grant), grant.policies.clone());
    let daily = Daily::of(&broker.settings.catalog, &entry.datasets);
    let bounds = daily.clone();
    let decide = move |state: &State, now_ms: i64| {
        let mut events = approval::create(state, create, now_ms)?;
        let mut then = state.clone();
        for event in &events {
            then.apply(event, now_ms);
        }
        events.append(&mut begin(&then, entry, &policies, &bounds, now_ms)?);
        Ok(events)
    };
    let committed = broker.log.commit(Urgency::Normal, decide).await?;
    recorded(&committed, grant, &daily)
}

/// Decides that reading begins, within what the day still allows.
fn begin(state: &State, entry: IntentEntry, policies: &str, daily: &Daily, now_ms: i64) -> Result<Vec<Event>, Error> {
    let events = decide_intent(state, entry, policies, now_ms)?;
    if let Some(Event::Intent(entry)) = events.last() {
        daily.may_begin(state, entry, now_ms)?;
    }
    Ok(events)
}

/// What a commit with an intent in it left behind.
fn recorded(committed: &Committed, mut grant: Grant, daily: &Daily) -> Result<Recorded, Error> {
    let lost = || Error::new(Code::Internal, "The intent is not in the state.");
    let request = committed.published.state.requests.get(&grant.approved.id).ok_or_else(lost)?;
    // The last of its command's events.
    let intent = committed.events.end.checked_sub(1).ok_or_else(lost)?;
    let state = &committed.published.state;
    let time_ms = state.open_intents.get(&intent).ok_or_else(lost)?.time_ms;
    let budget = budget_left(state, request, grant.approved.document.budget).ok_or_else(lost)?;
    grant.order.budget = daily.narrowed(state, grant.caller.actor(), budget, time_ms);
    Ok(Recorded { grant, intent, time_ms })
}

fn intent_entry(broker: &Broker, grant: &Grant) -> IntentEntry {
    let columns = grant
        .approved
        .document
        .columns
        .iter()
        .map(|c| MaskColumn {
            dataset: c.dataset.clone(),
            column: c.name.clone(),
            class: c.class.clone(),
            mask: c.mask.clone(),
            values: None,
            altered: None,
        })
        .collect();
    IntentEntry {
        request: grant.approved.id.clone(),
        fetch: grant.fetch.clone(),
        chunk: grant.approved.chunk,
        cut: grant.opened.cut_into(),
        session: grant.caller.session().clone(),
        actor: grant.caller.actor().clone(),
        grant: 0,
        open: grant.caller.open_index(),
        policy: 0,
        connections: grant.approved.document.connections.clone(),
        datasets: grant.approved.document.datasets.clone(),
        columns,
        instance: broker.settings.instance.clone(),
    }
}

/// Starts the job that owns the delivery.
pub(crate) fn start(broker: &Arc<Broker>, recorded: Recorded, slot: OwnedSemaphorePermit) -> Delivery {
    let (frames_out, frames) = mpsc::channel(FRAMES_IN_FLIGHT_MAX);
    let ending = Arc::new(Ending::default());
    let Recorded { grant, intent, time_ms } = recorded;
    let delivery = Delivery {
        intent,
        format: grant.order.format,
        cut: grant.opened.cut_into(),
        frames,
        ending: Arc::clone(&ending),
        told: false,
    };
    broker.totals.deliveries.fetch_add(1, Ordering::Relaxed);
    let recorder = recorder(broker, &grant, intent, time_ms);
    let job = Job::new(broker, grant.approved.id.clone(), grant.caller.session().clone(), intent, recorder);
    let Grant {
        approved,
        mut order,
        opened,
        ..
    } = grant;
    let is_shared = opened.cut_into().is_some();
    let opened = match opened {
        Opened::Cut(held) if is_shared => Opened::Cut(broker.cuts.begin(&approved.id, held)),
        opened => opened,
    };
    let allowance = match &opened {
        Opened::Cut(held) => Arc::clone(&held.allowance),
        Opened::Plan(_) => Arc::new(Allowance::new(order.budget)),
    };
    order.budget = allowance.narrow(order.budget);
    let read = Read {
        opened,
        chunk: approved.chunk,
        order,
        allowance,
    };
    let over = Arc::clone(broker);
    broker.jobs.spawn(async move {
        job.run(read, frames_out, ending, slot).await;
        if is_shared {
            cut::ended(&over, &approved.id);
        }
    });
    delivery
}

/// What keeps the content, where one of the datasets says that it is kept.
fn recorder(broker: &Broker, grant: &Grant, intent: u64, time_ms: i64) -> Option<Recorder> {
    let datasets = &broker.settings.catalog.datasets;
    let kept = |name: &String| datasets.get(name).is_some_and(|dataset| dataset.recording == Keep::Content);
    grant.approved.document.datasets.iter().any(kept).then(|| {
        let name = RecordingName::of(intent, time_ms);
        let subject = grant.caller.actor().to_string();
        Recorder::new(Arc::clone(&broker.recordings), &broker.log, name, subject)
    })
}

/// Outcomes for intents that a crash left open.
pub(crate) fn close_interrupted(state: &State, recordings: &BTreeMap<u64, Recording>, now_ms: i64) -> Vec<Event> {
    state
        .open_intents
        .iter()
        .map(|(index, open)| {
            Event::Outcome(OutcomeEntry {
                request: open.request.clone(),
                intent: *index,
                end: "interrupted".to_owned(),
                rows: open.rows,
                bytes: open.bytes,
                ms: u64::try_from(now_ms - open.time_ms).unwrap_or(0),
                sha256: None,
                bytes_max: Some(open.bytes + UNRECORDED_BYTES_MAX),
                recording: recordings.get(index).copied(),
                columns: open.intent.columns.clone(),
            })
        })
        .collect()
}

/// Whether reading may begin: the grant is taken, and the intent stands behind it.
///
/// # Errors
/// When it may not, or not now.
pub(crate) fn decide_intent(state: &State, mut entry: IntentEntry, policies: &str, now_ms: i64) -> Result<Vec<Event>, Error> {
    entry.policy = in_force(state, policies)?;
    session_open(state, &entry.session, now_ms)?;
    let request = state.requests.get(&entry.request).ok_or_else(|| not_found(&entry.request))?;
    entry.grant = may_start(request, entry.chunk, state)?;
    same_moment(state, request, &entry)?;
    if now_ms >= request.expires_ms {
        return Err(wrong_state(request, "be fetched"));
    }
    if let Some(window) = request.document.as_ref().and_then(|document| document.window) {
        inside(window, request, now_ms)?;
    }
    if let Some(under) = &request.under {
        standing::usable(state, under, &entry.actor, now_ms)?;
        // Chunks of one use share what is left of it.
        if standing::running(state, under) && state.delivering(&entry.request).next().is_none() {
            return Err(Error::new(
                Code::RateLimited,
                format!("A delivery under standing grant `{under}` is running; what is left is known when it has ended."),
            )
            .hint("run the same command again when it has ended"));
        }
    }
    let running = state.open_intents.values().filter(|open| open.intent.actor == entry.actor).count();
    if running >= DELIVERIES_PER_PERSON_MAX {
        return Err(Error::new(
            Code::RateLimited,
            format!("You have {DELIVERIES_PER_PERSON_MAX} deliveries running already."),
        )
        .hint("let one of them end, then run the same command again"));
    }
    if request
        .document
        .as_ref()
        .and_then(|d| budget_left(state, request, d.budget))
        .is_none()
    {
        return Err(Error::new(
            Code::LimitReached,
            format!("Earlier attempts have used up what request `{}` may carry.", request.id),
        )
        .hint("run the same `chunkctl fetch` without `--request` to ask again"));
    }
    let mut events = Vec::new();
    if request.taken.is_none() {
        events.push(Event::GrantTake {
            id: request.id.clone(),
            used_for: None,
            actor: entry.actor.clone(),
            session: entry.session.clone(),
            refs: vec![entry.grant, entry.open],
        });
    }
    events.push(Event::Intent(entry));
    Ok(events)
}

/// Refuses a delivery that would begin before the window that was asked for, or after it.
fn inside(window: Window, request: &Request, now_ms: i64) -> Result<(), Error> {
    let early = now_ms < window.from_ms;
    if !early && now_ms < window.until_ms {
        return Ok(());
    }
    let wait_s = (window.from_ms - now_ms + 999) / 1000;
    let why = match early {
        true => format!("Request `{}` may be fetched in {wait_s} seconds, and not before.", request.id),
        false => format!("The time in which request `{}` could be fetched is over.", request.id),
    };
    Err(Error::new(Code::WrongState, why).hint(format!("run `chunkctl request show {}`", request.id)))
}

/// What earlier attempts leave of a budget, and earlier uses of the standing grant it is under; nothing when it is used up. Every
/// attempt counts, as far as the log knows it.
pub(crate) fn budget_left(state: &State, request: &Request, budget: Budget) -> Option<Budget> {
    let outcomes = || request.deliveries.iter().filter_map(|d| d.outcome.as_ref());
    let rows = outcomes().fold(budget.rows, |left, (_, o)| left.saturating_sub(o.rows));
    let bytes = outcomes().fold(budget.bytes, |left, (_, o)| left.saturating_sub(o.bytes));
    let left = Budget { rows, bytes, ..budget };
    if rows == 0 || bytes == 0 {
        return None;
    }
    match &request.under {
        Some(under) => standing::narrowed(state.requests.get(under)?, left),
        None => Some(left),
    }
}

/// Chunks that are delivered side by side are of one moment of the source, and each of them once.
fn same_moment(state: &State, request: &Request, entry: &IntentEntry) -> Result<(), Error> {
    let id = &request.id;
    let Some(chunks) = &request.cut else { return Ok(()) };
    let same = entry
        .cut
        .as_ref()
        .is_some_and(|cut| cut.snapshot == chunks.snapshot && cut.chunks == chunks.count);
    if !same && state.delivering(id).next().is_some() {
        let what = format!("Chunks of request `{id}` are being delivered, of another moment of the source.");
        return Err(Error::new(Code::WrongState, what).hint("let them end, then run the same command again"));
    }
    if same && chunks.done.contains(&entry.chunk) {
        let what = format!("Chunk {} of request `{id}` was delivered.", entry.chunk);
        return Err(Error::new(Code::WrongState, what).hint(format!("chunkctl request show {id}")));
    }
    Ok(())
}

/// The grant of a request of which this chunk may be delivered now.
fn may_start(request: &Request, chunk: u32, state: &State) -> Result<u64, Error> {
    if request.standing.is_some() && request.state == RequestState::Approved {
        let what = format!(
            "Request `{}` is a standing grant; each delivery under it is a request of its own.",
            request.id
        );
        return Err(Error::new(Code::WrongState, what).hint("run the same `chunkctl fetch` without `--request` and without `--standing`"));
    }
    match (request.state, request.grant) {
        (RequestState::Approved | RequestState::Paused, Some(grant)) => Ok(grant),
        // Other chunks of the same result are being delivered.
        (RequestState::Running, Some(grant))
            if request.cut.is_some() && state.delivering(&request.id).all(|open| open.intent.chunk != chunk) =>
        {
            Ok(grant)
        }
        (RequestState::Pending, _) => Err(
            Error::new(Code::ApprovalPending, format!("Request `{}` waits for approval.", request.id))
                .hint(format!("run `chunkctl fetch --request {}` once it is approved", request.id)),
        ),
        _ => Err(wrong_state(request, "be fetched")),
    }
}
