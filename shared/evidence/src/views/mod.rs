//! What others read: the rows of a verified bundle as OCSF events, OSCAL assessment results, a report by control, and samples.
//! A broker that sends events on makes them here too, of rows that it read from its own log.
//!
//! Everything else here is a function of a bundle that was verified before. No clock, no broker, no randomness: the same bundle gives
//! the same bytes, so an auditor can make each document again and compare. Rows come one at a time, in order, the context first;
//! what is kept of them is what later rows rest on.

mod assess;
mod checks;
mod controls;
mod known;
mod ocsf;
mod oscal;
mod read;
mod report;
mod row;
mod sample;
mod table;
mod text;
mod uuid;

#[cfg(test)]
mod tests;

use crate::bundle::Verification;
use crate::merkle::Hash;

pub use assess::Assessment;
pub use ocsf::{Event, Events, Severity};
pub use oscal::assessment_results;
pub use read::{ReadError, Verified};
pub use report::report;
pub use row::{Kept, Row, Shown};
pub use sample::{Population, Sample, Sampler};
pub use table::{Cell, ColumnType, Table};
pub use text::short;

/// What a document says about the bundle it was made from.
#[derive(Debug)]
pub struct Source<'a> {
    /// What verifying it gave.
    pub verification: &'a Verification,
    /// Root of the head checkpoint.
    pub head_root: Hash,
    /// The log's verifier key that signed the head.
    pub log_key: String,
    /// Name of the bundle's file, as commands would be typed.
    pub file: String,
    /// SHA-256 of the bundle's bytes, hex.
    pub sha256: String,
    /// Bytes of the bundle.
    pub bytes: u64,
    /// Where the belief in the log's key comes from, in words.
    pub trust: String,
}
