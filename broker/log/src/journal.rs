//! The append-only table everything rests on: compare-and-swap on its size, durable when `append` returns.
//!
//! Its integrity is not trusted (tree, witnesses and receipts see to that); its durability is. Whoever implements this trait
//! promises: an acknowledged record is there after any crash, with the same index and bytes; one refused by a conflict or for
//! want of space is not, ever. After a failure nobody knows, and only opening the journal anew tells.

/// One entry as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The leaf's exact bytes.
    pub leaf: Vec<u8>,
    /// The body document, sealed under `data_key` with the leaf's SHA-256 as additional data. Empty when there is none.
    pub sealed: Vec<u8>,
    /// Which data key sealed it.
    pub data_key: Option<String>,
}

impl Record {
    /// Bytes of leaf and body.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.leaf.len() + self.sealed.len()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("leaf", &self.leaf.len())
            .field("sealed", &self.sealed.len())
            .finish_non_exhaustive()
    }
}

/// Whether an append opens something or ends it. Space is kept back for endings, so that a delivery that has begun can
/// always be recorded to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Refused as soon as the space kept back would be touched.
    Normal,
    /// Outcomes, progress, closings: may use the space kept back.
    Closing,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first, or the caller's view is stale: catch up and decide again.
    #[error("the journal has {found} entries, not {expected}")]
    Conflict {
        /// Size the caller decided upon.
        expected: u64,
        /// Size there is.
        found: u64,
    },
    /// No space, and nothing was written. The same journal can go on once there is space again.
    #[error("no space is left for new entries")]
    NoSpace,
    /// What is on disk is unknown: this journal refuses every further append until it is opened again.
    #[error("the journal failed and takes no more entries until it is opened again")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error("the journal could not be read")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An entry below the size is missing.
    #[error("entry {0} is missing from the journal")]
    Gap(u64),
}

/// The one writer's side of a journal.
pub trait Journal: Send {
    /// Entries that are durable.
    fn size(&self) -> u64;

    /// Appends all records or none, if the journal has `expected` entries; gives the new size once they are durable.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the size is another, [`AppendError::NoSpace`] when nothing fits, and
    /// [`AppendError::Failed`] when the state on disk is unknown.
    fn append(&mut self, expected: u64, records: &[Record], urgency: Urgency) -> Result<u64, AppendError>;

    /// Up to `max` records from index `from`.
    ///
    /// # Errors
    /// When the store fails or an entry is missing.
    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError>;

    /// Takes away the sealed bodies of these entries, durably, so that their bytes stand nowhere in the journal's files; leaves stay.
    /// False when older pages of the files are still in use, and hold them: then call it again.
    ///
    /// # Errors
    /// [`AppendError::NoSpace`] when nothing was changed, and [`AppendError::Failed`] when the state on disk is unknown.
    fn forget(&mut self, indices: &[u64]) -> Result<bool, AppendError>;

    /// A reader of its own for another thread.
    ///
    /// # Errors
    /// When the store cannot be opened a second time.
    fn reader(&self) -> Result<Box<dyn JournalReader>, ReadError>;
}

/// Reads durable records while the writer goes on.
pub trait JournalReader: Send {
    /// Entries that are durable by now.
    fn size(&self) -> u64;

    /// Up to `max` records from index `from`; never one that is not durable.
    ///
    /// # Errors
    /// When the store fails or an entry is missing.
    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError>;
}
