//! The job that owns a delivery: counts, hashes, bounds, and records the outcome however it ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chunk_log::journal::Urgency;
use chunk_port::{Frame, MaskCount, MaskCounts, ScanErrorKind};
use chunk_wire::id::{RequestId, SessionId};
use futures::{FutureExt as _, StreamExt as _};
use ring::digest::{Context as Hasher, SHA256};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::guard::Guard;
use super::{Ending, Opened, Read};
use crate::broker::Broker;
use crate::error::{Error, chain};
use crate::evidence::entries::{Event, MaskColumn, OutcomeEntry};
use crate::limits::{FRAMES_IN_FLIGHT_MAX, UNRECORDED_BYTES_MAX};
use crate::plan::Looking;
use crate::recording::{Recorder, Recording, RecordingError};
use crate::state::State;

/// One delivery while it runs.
pub(super) struct Job {
    broker: Arc<Broker>,
    id: RequestId,
    session: SessionId,
    intent: u64,
    started_ms: i64,
    rows: u64,
    bytes: u64,
    /// Bytes that the newest durable progress tells of.
    recorded_bytes: u64,
    /// Of exactly the first `bytes` bytes.
    hasher: Hasher,
    progress: Option<Progress>,
    /// Where content is kept: every byte goes there before it leaves.
    recorder: Option<Recorder>,
    /// What became of the recording, once it has ended.
    recording: Option<Recording>,
    counts: Option<Arc<dyn MaskCounts>>,
}

/// A progress entry on its way into the log.
struct Progress {
    bytes: u64,
    commit: JoinHandle<Result<(), Error>>,
}

/// How a delivery ended: the word in the log, and the sentence for the client unless it is done.
pub(super) struct End {
    word: &'static str,
    sentence: Option<String>,
}

impl Job {
    pub(super) fn new(broker: &Arc<Broker>, id: RequestId, session: SessionId, intent: u64, recorder: Option<Recorder>) -> Self {
        Self {
            broker: Arc::clone(broker),
            id,
            session,
            intent,
            started_ms: broker.clock.now_ms(),
            rows: 0,
            bytes: 0,
            recorded_bytes: 0,
            hasher: Hasher::new(&SHA256),
            progress: None,
            recorder,
            recording: None,
            counts: None,
        }
    }

    /// Delivers, and records how it ended before the client is told of a good end.
    pub(super) async fn run(mut self, read: Read, out: mpsc::Sender<Bytes>, ending: Arc<Ending>, _slot: OwnedSemaphorePermit) {
        // A panic of ours or of the scanner's must not leave an intent without an outcome.
        let mut end = match AssertUnwindSafe(self.carry(read, &out)).catch_unwind().await {
            Ok(Ok(())) => End::done(),
            Ok(Err(end)) => end,
            Err(_) => {
                tracing::error!(request = %self.id, intent = self.intent, "a delivery panicked");
                End::cut("failed", "the broker failed")
            }
        };
        if end.sentence.is_some() {
            ending.cut();
        }
        if let Some(progress) = self.progress.take() {
            // Awaited so that entries of one fetch stand in order; a failure shows again when the outcome is recorded.
            drop(progress.commit.await);
        }
        if let Some(recorder) = self.recorder.take() {
            // Durable before the outcome speaks of it.
            self.recording = Some(recorder.finish().await);
            if self.recording == Some(Recording::Failed) && end.sentence.is_none() {
                ending.cut();
                end = unkept();
            }
        }
        let outcome = self.outcome(end.word);
        let mut recorded = self.record(&outcome).await;
        if let Some(sentence) = end.sentence {
            // A bad end is told at once, even when it cannot be recorded yet.
            ending.tell(Err(sentence));
            drop(out);
            if !recorded {
                self.record_later(&outcome).await;
            }
            return;
        }
        if !recorded {
            recorded = self.record_later(&outcome).await;
        }
        ending.tell(if recorded {
            Ok(())
        } else {
            Err("the outcome could not be recorded".to_owned())
        });
    }

    async fn carry(&mut self, read: Read, out: &mpsc::Sender<Bytes>) -> Result<(), End> {
        let Read {
            opened,
            chunk,
            order,
            allowance,
        } = read;
        let deadline_ms = self.started_ms + i64::from(order.budget.duration_s) * 1000;
        let mut guard = Guard::new(&self.broker, &self.id, &self.session, deadline_ms, out.clone());
        if let Some(recorder) = &mut self.recorder {
            recorder.begin().await.map_err(|fault| unkept_because(self.intent, &fault))?;
        }
        // What changed before the guard looked out is not told by it.
        guard.still_allowed()?;
        let frames = match opened {
            Opened::Cut(held) => guard.until(held.cut.open(chunk, order)).await?,
            Opened::Plan(Looking(look)) => guard.until(look.read(order)).await?,
        };
        let mut frames = frames.map_err(|fault| scan_end(&self.id, fault))?;
        self.counts = Some(Arc::clone(&frames.counts));
        while let Some(frame) = guard.until(frames.stream.next()).await? {
            let Frame { bytes, rows } = frame.map_err(|fault| scan_end(&self.id, fault))?;
            guard.still_allowed()?;
            let length = bytes.len() as u64;
            // The scanner keeps to the budget; what is counted over many deliveries does not rest on that alone.
            if !allowance.take(rows, length) {
                return Err(End::cut("limit", "the delivery has more rows or bytes than it may carry"));
            }
            self.leave_trace(&mut guard, length).await?;
            let place = guard.until(out.reserve()).await?.map_err(|_| gone())?;
            if let Some(recorder) = &mut self.recorder {
                recorder
                    .add(bytes.clone())
                    .await
                    .map_err(|fault| unkept_because(self.intent, &fault))?;
            }
            self.hasher.update(&bytes);
            place.send(bytes);
            self.rows += rows;
            self.bytes += length;
            self.broker.totals.rows.fetch_add(rows, Ordering::Relaxed);
            self.broker.totals.bytes.fetch_add(length, Ordering::Relaxed);
        }
        // Every frame has been taken when there is room for as many as can be in flight; before that nothing is done.
        let all_taken = guard.until(out.reserve_many(FRAMES_IN_FLIGHT_MAX)).await?;
        all_taken.map(drop).map_err(|_| gone())
    }

    /// Makes sure that no byte leaves further than the bound past the last durable progress.
    async fn leave_trace(&mut self, guard: &mut Guard, next: u64) -> Result<(), End> {
        if next > UNRECORDED_BYTES_MAX {
            return Err(End::cut("failed", "the broker failed"));
        }
        loop {
            let unrecorded = self.bytes + next - self.recorded_bytes;
            if unrecorded <= UNRECORDED_BYTES_MAX / 2 {
                return Ok(());
            }
            let mut progress = match self.progress.take() {
                Some(progress) => progress,
                None => {
                    if let Some(recorder) = &mut self.recorder {
                        // After a crash the recording must hold what the log says has left.
                        recorder.sync().await.map_err(|fault| unkept_because(self.intent, &fault))?;
                    }
                    self.begin_progress()
                }
            };
            if unrecorded <= UNRECORDED_BYTES_MAX && !progress.commit.is_finished() {
                self.progress = Some(progress);
                return Ok(());
            }
            match guard.until(&mut progress.commit).await {
                Ok(Ok(Ok(()))) => self.recorded_bytes = progress.bytes,
                Ok(_) => return Err(End::cut("failed", "the evidence log cannot be written")),
                Err(end) => {
                    self.progress = Some(progress);
                    return Err(end);
                }
            }
        }
    }

    fn begin_progress(&self) -> Progress {
        let broker = Arc::clone(&self.broker);
        let event = Event::Progress {
            request: self.id.clone(),
            intent: self.intent,
            rows: self.rows,
            bytes: self.bytes,
            sha256: self.digest(),
        };
        let commit = async move { broker.log.commit(Urgency::Closing, move |_, _| Ok(vec![event])).await.map(drop) };
        Progress {
            bytes: self.bytes,
            commit: self.broker.jobs.spawn(commit),
        }
    }

    fn digest(&self) -> String {
        hex::encode(self.hasher.clone().finish())
    }

    fn outcome(&self, word: &str) -> OutcomeEntry {
        let counts = self.counts.as_ref().and_then(|counts| {
            // The scanner's code, and perhaps what panicked before.
            std::panic::catch_unwind(AssertUnwindSafe(|| counts.counts())).ok()
        });
        OutcomeEntry {
            request: self.id.clone(),
            intent: self.intent,
            end: word.to_owned(),
            rows: self.rows,
            bytes: self.bytes,
            ms: u64::try_from(self.broker.clock.now_ms() - self.started_ms).unwrap_or(0),
            sha256: (word == DONE).then(|| self.digest()),
            bytes_max: None,
            recording: self.recording,
            columns: counts.unwrap_or_default().into_iter().map(counted).collect(),
        }
    }

    /// Tries to record the outcome.
    async fn record(&self, outcome: &OutcomeEntry) -> bool {
        let outcome = outcome.clone();
        let decide = move |state: &State, _now_ms: i64| {
            let open = state.open_intents.contains_key(&outcome.intent);
            Ok(open.then_some(Event::Outcome(outcome)).into_iter().collect())
        };
        match self.broker.log.commit(Urgency::Closing, decide).await {
            Ok(_) => true,
            Err(fault) => {
                tracing::error!(intent = self.intent, error = %fault, "the outcome of a delivery could not be recorded");
                false
            }
        }
    }

    /// Tries again, until the outcome is recorded, the log is broken or the broker stops; in both cases the next start closes
    /// the intent. An intent that stays open keeps its request running for nobody.
    async fn record_later(&self, outcome: &OutcomeEntry) -> bool {
        let mut pause_ms = RECORD_AGAIN_MS_MIN;
        loop {
            if self.broker.log.published().broken.is_some() || self.broker.stopping.is_cancelled() {
                return false;
            }
            tokio::select! {
                () = self.broker.clock.reached(self.broker.clock.now_ms() + pause_ms) => {}
                () = self.broker.stopping.cancelled() => {}
            }
            if self.record(outcome).await {
                return true;
            }
            pause_ms = (pause_ms * 2).min(RECORD_AGAIN_MS_MAX);
        }
    }
}

impl End {
    fn done() -> Self {
        Self {
            word: DONE,
            sentence: None,
        }
    }

    pub(super) fn cut(word: &'static str, sentence: &str) -> Self {
        Self {
            word,
            sentence: Some(sentence.to_owned()),
        }
    }
}

fn gone() -> End {
    End::cut("cut", "the client went away")
}

fn unkept() -> End {
    End::cut("failed", "what is delivered has to be recorded, and could not be")
}

fn unkept_because(intent: u64, fault: &RecordingError) -> End {
    tracing::error!(intent, error = %chain(fault), "a delivery ended early: its recording cannot be written");
    unkept()
}

/// A scanner's fault as an end; the operator's text goes to the log only.
fn scan_end(id: &RequestId, fault: chunk_port::ScanError) -> End {
    let word = match fault.kind {
        ScanErrorKind::Source => "source_failed",
        ScanErrorKind::Limit => "limit",
        _ => "failed",
    };
    tracing::warn!(request = %id, end = word, operator = fault.operator.as_deref().unwrap_or(""), "a delivery ended early: {}", fault.public);
    End {
        word,
        sentence: Some(fault.public),
    }
}

fn counted(count: MaskCount) -> MaskColumn {
    MaskColumn {
        dataset: count.dataset,
        column: count.column,
        class: count.class,
        mask: count.mask,
        values: Some(count.values),
        altered: Some(count.altered),
    }
}

const DONE: &str = "done";
/// Pauses before an outcome is tried again double from the first to the second.
const RECORD_AGAIN_MS_MIN: i64 = 100;
const RECORD_AGAIN_MS_MAX: i64 = 5000;
