//! Whether a stretch of the log is whole and in order: the export an auditor checks offline, trusting only their own file.
//!
//! A bundle is a strict tar archive in which no byte is free. Its statement, signed by the log's key, covers every other
//! member; the verifier recomputes every leaf, folds them into the signed head, follows every reference, checks every
//! signature, and makes every view. `docs/evidence.md` gives the grammar.

mod archive;
mod filter;
mod fold;
mod format;
mod input;
mod ledger;
mod level;
mod member;
mod pool;
mod rows;
mod stamps;
mod tar;
mod verdict;
mod verify;
mod views;
mod write;

#[cfg(test)]
mod tests;

pub use filter::Filter;
pub use input::{BundleEntry, BundleError, BundleHead, BundlePlan, Consistency, EntryBody, Reach, Spool, StampedCheckpoint};
pub use level::{LEVEL_MAX, open_groups};
pub use stamps::{STAMPS_MAX, Stamps, chosen_stamps};
pub use verdict::{Answer, Claim, Counts, Fault, Verification};
pub use verify::{ViewSink, entries_view, verify_bundle, verify_file, verify_views};
pub(crate) use views::family_columns;
pub use write::{Bundle, BundleWriter};

/// First line of `format.txt`.
pub const BUNDLE_FORMAT: &str = "chunkctl.dev/bundle/v1";
