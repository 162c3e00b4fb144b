//! The job that owns a delivery: counts, hashes, bounds, and records the outcome however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chunk_log::journal::Urgency;
use chunk_port::{Frames, MaskCount, MaskCounts, ScanErrorKind, ScanOrder};
use chunk_wire::fetch::RequestState;
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;
use futures::StreamExt as _;
use ring::digest::Context as Hasher;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::Cut;
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::entries::{Event, MaskColumn, OutcomeEntry};
use crate::identity::Caller;
use crate::limits::UNRECORDED_BYTES_MAX;
use crate::state::State;

/// One delivery while it runs.
pub(super) struct Job {
    pub(super) broker: Arc<Broker>,
    pub(super) id: RequestId,
    pub(super) caller: Caller,
    pub(super) intent: u64,
    pub(super) started_ms: i64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) recorded_bytes: u64,
    pub(super) hasher: Hasher,
    pub(super) progress: Option<(u64, JoinHandle<Result<(), Error>>)>,
}

/// How a delivery ended: the word in the log, and the sentence for the client unless it is done.
struct End {
    word: &'static str,
    sentence: Option<String>,
}

impl Job {
    pub(super) async fn run(
        mut self,
        order: ScanOrder,
        out: mpsc::Sender<Result<Bytes, Cut>>,
        finished: Arc<AtomicBool>,
        _slot: OwnedSemaphorePermit,
    ) {
        let (end, counts) = match self.broker.scanner.open(order).await {
            Ok(frames) => {
                let counts = Arc::clone(&frames.counts);
                (self.carry(frames, &out).await, Some(counts))
            }
            Err(fault) => (scan_end(&self.id, fault), None),
        };
        if let Some((_, progress)) = self.progress.take() {
            // Awaited so that entries of one fetch stand in order; a failure shows again when the outcome is recorded.
            drop(progress.await);
        }
        let recorded = self.record_outcome(&end, counts).await;
        let sentence = match (end.sentence, recorded) {
            (None, Ok(())) => return finished.store(true, Ordering::Release),
            (Some(sentence), _) => sentence,
            (None, Err(_)) => "the outcome could not be recorded".to_owned(),
        };
        // A client that does not read must not hold up a stop; the stream tells of an end without a word by itself.
        tokio::select! {
            _ = out.send(Err(Cut(sentence))) => {}
            () = self.broker.stopping.cancelled() => {}
        }
    }

    async fn carry(&mut self, mut frames: Frames, out: &mpsc::Sender<Result<Bytes, Cut>>) -> End {
        let mut changes = self.broker.log.watch();
        let stopping = self.broker.stopping.clone();
        // What changed before the subscription is not told by it.
        if let Err(end) = self.still_allowed() {
            return end;
        }
        loop {
            let frame = tokio::select! {
                frame = frames.stream.next() => frame,
                () = stopping.cancelled() => return End::cut("cut", "the broker is stopping"),
                () = out.closed() => return End::cut("cut", "the client went away"),
                _ = changes.changed() => match self.still_allowed() { Ok(()) => continue, Err(end) => return end },
            };
            let frame = match frame {
                None => {
                    return End {
                        word: "done",
                        sentence: None,
                    };
                }
                Some(Err(fault)) => return scan_end(&self.id, fault),
                Some(Ok(frame)) => frame,
            };
            if let Err(end) = self.still_allowed() {
                return end;
            }
            if let Err(end) = self.leave_trace(frame.bytes.len() as u64).await {
                return end;
            }
            self.hasher.update(&frame.bytes);
            let (rows, bytes) = (frame.rows, frame.bytes.len() as u64);
            loop {
                tokio::select! {
                    slot = out.reserve() => match slot {
                        Ok(slot) => { slot.send(Ok(frame.bytes)); break }
                        Err(_) => return End::cut("cut", "the client went away"),
                    },
                    () = stopping.cancelled() => return End::cut("cut", "the broker is stopping"),
                    _ = changes.changed() => if let Err(end) = self.still_allowed() { return end },
                }
            }
            self.rows += rows;
            self.bytes += bytes;
            self.broker.totals.rows.fetch_add(rows, Ordering::Relaxed);
            self.broker.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Session open, grant not revoked, log alive.
    fn still_allowed(&self) -> Result<(), End> {
        let published = self.broker.log.published();
        if published.broken.is_some() {
            return Err(End::cut("failed", "the evidence log cannot be written"));
        }
        let now_ms = self.broker.clock.now_ms();
        if published.state.open_session(self.caller.session(), now_ms).is_none() {
            return Err(End::cut("revoked", "the session has ended"));
        }
        match published.state.requests.get(&self.id) {
            Some(request) if request.state == RequestState::Running => Ok(()),
            _ => Err(End::cut("revoked", "the request was revoked")),
        }
    }

    /// Makes sure that no byte leaves further than the bound past the last durable progress.
    async fn leave_trace(&mut self, next: u64) -> Result<(), End> {
        let lost = |_| End::cut("failed", "the evidence log cannot be written");
        if let Some((bytes, progress)) = self.progress.take_if(|(_, p)| p.is_finished()) {
            progress
                .await
                .map_err(|_| Error::new(Code::Internal, ""))
                .and_then(|r| r)
                .map_err(lost)?;
            self.recorded_bytes = bytes;
        }
        if self.progress.is_none() && self.bytes + next - self.recorded_bytes > UNRECORDED_BYTES_MAX / 2 {
            let broker = Arc::clone(&self.broker);
            let event = Event::Progress {
                request: self.id.clone(),
                intent: self.intent,
                rows: self.rows,
                bytes: self.bytes,
            };
            let commit = async move {
                broker
                    .log
                    .commit(Urgency::Closing, move |_, _| Ok(vec![event.clone()]))
                    .await
                    .map(|_| ())
            };
            self.progress = Some((self.bytes, self.broker.jobs.spawn(commit)));
        }
        while self.bytes + next - self.recorded_bytes > UNRECORDED_BYTES_MAX {
            let Some((bytes, progress)) = self.progress.take() else { break };
            progress
                .await
                .map_err(|_| Error::new(Code::Internal, ""))
                .and_then(|r| r)
                .map_err(lost)?;
            self.recorded_bytes = bytes;
        }
        Ok(())
    }

    async fn record_outcome(&self, end: &End, counts: Option<Arc<dyn MaskCounts>>) -> Result<(), Error> {
        let digest = hex::encode(self.hasher.clone().finish());
        let outcome = OutcomeEntry {
            request: self.id.clone(),
            intent: self.intent,
            end: end.word.to_owned(),
            rows: self.rows,
            bytes: self.bytes,
            ms: u64::try_from(self.broker.clock.now_ms() - self.started_ms).unwrap_or(0),
            sha256: (end.word == "done").then_some(digest),
            bytes_max: None,
            columns: counts.map(|c| c.counts().into_iter().map(counted).collect()).unwrap_or_default(),
        };
        let decide = move |state: &State, _now_ms: i64| {
            Ok(if state.open_intents.contains_key(&outcome.intent) {
                vec![Event::Outcome(outcome.clone())]
            } else {
                Vec::new()
            })
        };
        let recorded = self.broker.log.commit(Urgency::Closing, decide).await;
        if let Err(fault) = &recorded {
            tracing::error!(intent = self.intent, error = %fault, "an outcome could not be recorded; the next start closes the intent");
        }
        recorded.map(|_| ())
    }
}

impl End {
    fn cut(word: &'static str, sentence: &str) -> Self {
        Self {
            word,
            sentence: Some(sentence.to_owned()),
        }
    }
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
