//! Whether a stretch of the log is whole and in order: the export an auditor checks offline, trusting only their own file.
//!
//! A bundle is a strict tar archive in which no byte is free. Its statement, signed by the log's key, covers every other
//! member; the verifier recomputes every leaf, folds them into the signed head, follows every reference, checks every
//! signature, and derives every view again. `docs/evidence.md` gives the grammar.

mod compare;
mod entries;
mod fold;
mod format;
mod input;
mod ledger;
mod level;
mod member;
mod row;
mod tar;
mod verdict;
mod verify;
mod views;
mod write;

#[cfg(test)]
mod tests;

pub use entries::entries_view;
pub use input::{BundleEntry, BundleError, BundleInput, Consistency, ContextEntry, EntryBody, context_indices};
pub use level::{LEVEL_MAX, open_groups};
pub use verdict::{Answer, Claim, Counts, Fault, Verification};
pub use verify::verify_bundle;
pub use write::write_bundle;

/// First line of `format.txt`.
pub const BUNDLE_FORMAT: &str = "chunkctl.dev/bundle/v1";
/// Rows in one `rows/N.jsonl` member.
const ROWS_PER_MEMBER: usize = 4096;
