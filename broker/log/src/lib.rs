//! Keeps evidence: the journal, the tree over it, the log's signature, and the keys that seal bodies.
//!
//! The journal is the broker's system of record; everything else here can be computed from it, except the data keys, which
//! live apart so that destroying one erases a body for good.

pub mod data_keys;
pub mod index;
pub mod journal;
pub mod seal;
pub mod signer;
pub mod sqlite;
pub mod tree;

mod reserve;

pub use data_keys::{DataKeyError, DataKeyId, DataKeys};
pub use index::Index;
pub use journal::{AppendError, Journal, JournalReader, ReadError, Record, Urgency};
pub use signer::{LogSigner, SignerError};
pub use sqlite::{OpenError, SqliteJournal};
pub use tree::Tree;
