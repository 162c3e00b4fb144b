//! The record: entries, the log's writer, and what is built from both.

pub(crate) mod bundle;
pub(crate) mod entries;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests")]
pub(crate) mod inventory;
pub(crate) mod log;
pub(crate) mod narrate;
pub(crate) mod proofs;
mod replay;
pub(crate) mod spool;
mod writer;
