//! When somebody outside saw the log: an authority stamps its checkpoints (RFC 3161), and bundles carry the stamps.
//!
//! An authority remembers nothing, so it cannot tell that the log was cut; witnesses do that. What it gives is a time that the
//! operator cannot choose: what a stamped checkpoint covers was there by then. Nothing waits for it, and without it nothing is
//! refused: a log that is stamped later has wider brackets, and nothing else is lost.

mod round;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chunk_evidence::bundle::StampedCheckpoint;
use chunk_evidence::checkpoint::SignedCheckpoint;

use crate::anchor::Observed;
pub(crate) use round::{attend, recall};

/// The way to the authority, and to the files in which its stamps are kept.
#[async_trait]
pub trait TimestampPort: Send + Sync {
    /// Sends this question (`TimeStampReq`) to the authority: the bytes of its reply, within a bounded time. An error says why
    /// there was none, for the operator.
    async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, String>;

    /// Keeps a stamp, durably, under its size.
    ///
    /// # Errors
    /// When it cannot be written; then there is no such stamp.
    fn keep(&self, size: u64, stamp: &KeptStamp) -> Result<(), String>;

    /// Reads the stamp of this size.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, size: u64) -> Result<KeptStamp, String>;

    /// Notes a head of bundles, beside those noted before.
    ///
    /// # Errors
    /// When it cannot be written; said to the operator, and nothing else comes of it.
    fn note_head(&self, head: &NotedHead) -> Result<(), String>;
}

/// A stamp as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStamp {
    /// The signed checkpoint whose text was stamped.
    pub checkpoint: String,
    /// The stamp, in the form in which bundles hold it.
    pub token: Vec<u8>,
}

/// A checkpoint that is the head of bundles, with what was stamped when it became one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedHead {
    /// The signed checkpoint.
    pub checkpoint: String,
    /// Size of the newest stamp at or below it.
    pub stamped: u64,
}

/// What the authority is asked, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampSettings {
    /// Between one stamp and the next at least.
    pub interval: Duration,
    /// How often it is looked whether the log has grown.
    pub look_every: Duration,
}

/// An authority, the way to it, and what is kept of it.
pub struct Timestamping {
    /// How often it is asked.
    pub settings: TimestampSettings,
    /// The way to it.
    pub port: Arc<dyn TimestampPort>,
    /// What earlier runs kept.
    pub memory: TimestampMemory,
}

/// What was kept in earlier runs.
#[derive(Debug, Clone, Default)]
pub struct TimestampMemory {
    /// Sizes of the stamped checkpoints.
    pub sizes: Vec<u64>,
    /// Heads of bundles.
    pub heads: Vec<NotedHead>,
}

/// What is shown to those who watch the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampMetrics {
    /// Seconds since the newest stamp's time; since the start, where there is none.
    pub age_s: u64,
    /// Entries that the newest stamp covers.
    pub stamped: u64,
    /// Whether the authority gave a stamp when it was last asked; true before that.
    pub up: bool,
}

/// What is known of the authority.
pub(crate) struct Timestamps {
    asks: Option<(TimestampSettings, Arc<dyn TimestampPort>)>,
    begun_ms: i64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Sizes of the stamped checkpoints, ascending.
    sizes: Vec<u64>,
    newest: Option<Observed>,
    heads: Vec<Head>,
    failures: u32,
    /// The authority is not asked before this time.
    again_ms: i64,
}

/// A head of bundles.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) checkpoint: Arc<SignedCheckpoint>,
    /// Size of the newest stamp that bundles under it carry.
    pub(crate) stamped: u64,
}

impl Timestamps {
    pub(crate) fn new(timestamping: Option<&Timestamping>, now_ms: i64) -> Self {
        Self {
            asks: timestamping.map(|with| (with.settings, Arc::clone(&with.port))),
            begun_ms: now_ms,
            known: Mutex::default(),
        }
    }

    pub(crate) fn metrics(&self, now_ms: i64) -> Option<TimestampMetrics> {
        self.asks.as_ref()?;
        let known = self.known();
        let newest_ms = known.newest.as_ref().map_or(self.begun_ms, |newest| newest.time_ms);
        Some(TimestampMetrics {
            age_s: u64::try_from(now_ms.saturating_sub(newest_ms) / 1000).unwrap_or(0),
            stamped: known.sizes.last().copied().unwrap_or(0),
            up: known.failures == 0,
        })
    }

    /// The newest stamp.
    pub(crate) fn observed(&self) -> Option<Observed> {
        self.known().newest.clone()
    }

    /// Whether there is an authority.
    pub(crate) fn asks(&self) -> bool {
        self.asks.is_some()
    }

    /// The head of earlier bundles that needs the least and reaches so many entries: the same question has the same answer.
    pub(crate) fn head_for(&self, size: u64) -> Option<Head> {
        let known = self.known();
        let fitting = known.heads.iter().filter(|head| head.checkpoint.unverified().size >= size);
        fitting.min_by_key(|head| head.checkpoint.unverified().size).cloned()
    }

    /// The first stamped checkpoint that covers so many entries.
    pub(crate) fn covering(&self, size: u64) -> Option<SignedCheckpoint> {
        let at = {
            let known = self.known();
            let first = known.sizes.partition_point(|stamped| *stamped < size);
            known.sizes.get(first).copied()?
        };
        Some(self.read(at)?.checkpoint)
    }

    /// Makes a checkpoint a head with all that is stamped at or below it; it stays one when it is to be noted.
    pub(crate) fn head(&self, checkpoint: Arc<SignedCheckpoint>, noted: bool) -> Head {
        let size = checkpoint.unverified().size;
        let head = {
            let mut known = self.known();
            let below = known.sizes.partition_point(|stamped| *stamped <= size);
            let stamped = below
                .checked_sub(1)
                .and_then(|newest| known.sizes.get(newest).copied())
                .unwrap_or(0);
            let head = Head { checkpoint, stamped };
            if !noted || self.asks.is_none() {
                return head;
            }
            // Somebody else may have asked the same meanwhile.
            if let Some(same) = known.heads.iter().find(|known| known.checkpoint.unverified().size == size) {
                return same.clone();
            }
            known.heads.push(head.clone());
            head
        };
        if let Some((_, port)) = &self.asks {
            let noted = port.note_head(&NotedHead {
                checkpoint: head.checkpoint.text().to_owned(),
                stamped: head.stamped,
            });
            if let Err(why) = noted {
                tracing::error!(
                    error = why,
                    "the head of a bundle could not be noted; the same export may differ after a restart"
                );
            }
        }
        head
    }

    /// Sizes of the stamps at or below a head that bundles under it may carry.
    pub(crate) fn sizes(&self, head: &Head) -> Vec<u64> {
        let known = self.known();
        let below = known.sizes.partition_point(|stamped| *stamped <= head.stamped);
        known.sizes.get(..below).unwrap_or_default().to_vec()
    }

    /// Reads a stamp; one that cannot be read is told to the operator, and is left out.
    pub(crate) fn read(&self, size: u64) -> Option<StampedCheckpoint> {
        let (_, port) = self.asks.as_ref()?;
        let read = port.read(size).and_then(|stamp| {
            let checkpoint = SignedCheckpoint::parse(&stamp.checkpoint).map_err(|fault| fault.to_string())?;
            if checkpoint.unverified().size != size {
                return Err("it holds a checkpoint of another size".to_owned());
            }
            Ok(StampedCheckpoint {
                checkpoint,
                token: stamp.token,
            })
        });
        read.inspect_err(|why| tracing::error!(size, error = why, "a time stamp that was kept cannot be read"))
            .ok()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
