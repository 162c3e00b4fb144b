//! Recordings: the masked bytes of deliveries exactly as they left, for whoever must see later what was returned.
//!
//! The port keeps opaque files. What is in them was sealed before it got there, under the data key of the person who asked:
//! whoever destroys that key (an erasure) has destroyed the recording in every copy of it, and removing the file is only
//! tidiness. Which recordings there are is told by the log's outcomes, and by nothing else.

mod cut;
mod record;
mod replay;
mod sealed;
mod sweep;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::sync::Arc;

use chunk_log::data_keys::DataKeyError;
use serde::{Deserialize, Serialize};

pub(crate) use cut::cut_to_progress;
pub(crate) use record::Recorder;
pub use replay::Replay;
pub(crate) use replay::{Told, Watch, find};
pub(crate) use sweep::{remove, sweep};

/// What is kept of a dataset's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Sizes and the digest, in the log.
    #[default]
    Digest,
    /// Also the bytes themselves, sealed.
    Content,
}

/// What became of a recording, as the outcome of its delivery says. Absent where content was not to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Recording {
    /// Exactly the bytes that the outcome counts are kept.
    Kept,
    /// They could not be kept; where that was noticed in time, it ended the delivery.
    Failed,
}

impl Recording {
    /// The word in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Recording::Kept => "kept",
            Recording::Failed => "failed",
        }
    }
}

/// Names the recording of one delivery: by its intent, and the month (UTC) of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordingName {
    /// `2026-01`.
    pub month: String,
    /// Index of the intent.
    pub intent: u64,
}

impl RecordingName {
    /// The recording of an intent of this time, ms since 1970.
    pub(crate) fn of(intent: u64, time_ms: i64) -> Self {
        Self {
            month: crate::evidence::log::month(time_ms),
            intent,
        }
    }
}

/// Keeps recordings. Every call may block; core makes them on threads meant for that.
pub trait Recordings: Send + Sync + 'static {
    /// Begins a recording.
    ///
    /// # Errors
    /// When there is one of this name, or it cannot be made.
    fn create(&self, name: &RecordingName) -> io::Result<Box<dyn RecordingFile>>;

    /// Goes on with one, from this byte: what stood there or after it is dropped.
    ///
    /// # Errors
    /// `NotFound` when there is none; else when it cannot be written.
    fn resume(&self, name: &RecordingName, from: u64) -> io::Result<Box<dyn RecordingFile>>;

    /// Reads one.
    ///
    /// # Errors
    /// `NotFound` when there is none; else when it cannot be read.
    fn open(&self, name: &RecordingName) -> io::Result<Box<dyn Read + Send>>;

    /// Removes one. False when there was none.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &RecordingName) -> io::Result<bool>;

    /// Every recording there is, whole or not.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn list(&self) -> io::Result<Vec<RecordingName>>;
}

/// A recording while it is written.
pub trait RecordingFile: Send + Sync {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When not all of them could be written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was added, and the file's name, durable.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()>;
}

/// Why a recording could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    /// The file failed.
    #[error("the recording's file could not be used")]
    File(#[from] io::Error),
    /// Its data key cannot be used.
    #[error("the recording's data key could not be used")]
    Key(#[from] DataKeyError),
    /// The data key was destroyed.
    #[error("the recording's data key was destroyed")]
    Erased,
    /// It is not what was written, or not all of it.
    #[error("the recording is damaged: {0}")]
    Damaged(&'static str),
    /// A thread of ours failed.
    #[error("the recording's thread failed")]
    Thread,
}

/// Does blocking work on a thread for it.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, RecordingError> + Send + 'static) -> Result<T, RecordingError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RecordingError::Thread))
}

/// Where recordings are kept; cheap to clone.
pub(crate) type Store = Arc<dyn Recordings>;
