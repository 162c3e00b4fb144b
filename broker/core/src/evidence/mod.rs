//! The record: entries, the log's writer, and what is built from both.

pub(crate) mod entries;
pub(crate) mod log;
pub(crate) mod narrate;
pub(crate) mod proofs;
