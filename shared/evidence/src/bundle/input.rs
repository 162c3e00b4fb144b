//! What a bundle is written from, in plain data.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use crate::body::BodyError;
use crate::checkpoint::SignedCheckpoint;
use crate::dsse::Envelope;
use crate::encode::EncodeError;
use crate::leaf::{Header, LeafError};
use crate::merkle::{Frontier, Hash};
use crate::note::VerifierKey;

/// Everything an export holds. The rows are entries `[start size, start size + rows.len())`.
pub struct BundleInput<'a> {
    /// How much of the bodies is opened, 0–4.
    pub level: u8,
    /// What the export was filtered by, as a JSON object; absent when every row matches.
    pub filter: Option<&'a Value>,
    /// Signed checkpoint whose size is the first row's index.
    pub start: &'a SignedCheckpoint,
    /// Signed checkpoint at or after the last row.
    pub head: &'a SignedCheckpoint,
    /// Proof from start to head, then, where asked for, from older sizes to the head.
    pub consistency: Vec<Consistency>,
    /// Frontier of the tree at the start.
    pub frontier: &'a Frontier,
    /// Consistency proof from the end of the rows to the head.
    pub tail: &'a [Hash],
    /// Every entry of the range, in order. At level 0 they are counted and otherwise left out.
    pub rows: &'a [BundleEntry<'a>],
    /// Exactly the entries that [`context_indices`] names, in order. Empty at level 0.
    pub context: &'a [ContextEntry<'a>],
    /// The log's public key.
    pub log_key: &'a VerifierKey,
    /// Signs the statement with the log's key: payload type and payload.
    pub sign: &'a dyn Fn(&str, &[u8]) -> Envelope,
}

/// A consistency proof to the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Older size.
    pub from: u64,
    /// Root at that size.
    pub root: Hash,
    /// Proof.
    pub proof: Vec<Hash>,
}

/// An entry as stored, with its body unsealed.
#[derive(Debug, Clone, Copy)]
pub struct BundleEntry<'a> {
    /// Index in the log.
    pub index: u64,
    /// The leaf's exact bytes.
    pub leaf: &'a [u8],
    /// Its body.
    pub body: EntryBody<'a>,
    /// Whether the filter matches it. What a matching entry rests on is opened too.
    pub matches: bool,
}

/// A body, or what became of it.
#[derive(Debug, Clone, Copy)]
pub enum EntryBody<'a> {
    /// The body document.
    Document(&'a str),
    /// Gone, under the `erase` or `retention.dispose` entry of this index.
    Erased(u64),
}

/// An entry outside the range that something in it rests on.
#[derive(Debug, Clone)]
pub struct ContextEntry<'a> {
    /// The entry; `matches` is ignored.
    pub entry: BundleEntry<'a>,
    /// Inclusion proof under the head.
    pub proof: &'a [Hash],
}

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A stored leaf is malformed.
    #[error("entry {0}: the stored leaf is malformed")]
    Leaf(u64, #[source] LeafError),
    /// A stored body is malformed.
    #[error("entry {0}: the stored body is malformed")]
    Body(u64, #[source] BodyError),
    /// The body is not the one the leaf commits to.
    #[error("entry {0}: the stored body is not the one its leaf commits to")]
    BodyRoot(u64),
    /// Rows, proofs and checkpoints do not belong together.
    #[error("the parts of the export do not belong together: {0}")]
    Parts(&'static str),
    /// Something has no canonical text.
    #[error("a part of the export has no canonical text")]
    Encoding(#[from] EncodeError),
    /// A member could not be compressed.
    #[error("a member of the export could not be compressed")]
    Compression,
}

/// The entries outside `range` that the entries in it rest on, directly or through others: what a bundle's context must hold.
///
/// `rows` gives index and header of every entry in the range and, for erased bodies, the index of the entry that erased them;
/// `lookup` gives the same for any other entry.
pub fn context_indices<E>(
    range: Range<u64>,
    rows: impl IntoIterator<Item = (Header, Option<u64>)>,
    mut lookup: impl FnMut(u64) -> Result<(Header, Option<u64>), E>,
) -> Result<Vec<u64>, E> {
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    let mut follow = |open: &mut Vec<u64>, header: &Header, erased_by: Option<u64>| {
        for index in header.refs.iter().copied().chain(header.pol).chain(erased_by) {
            if !range.contains(&index) && found.insert(index) {
                open.push(index);
            }
        }
    };
    for (header, erased_by) in rows {
        follow(&mut open, &header, erased_by);
    }
    while let Some(index) = open.pop() {
        let (header, erased_by) = lookup(index)?;
        follow(&mut open, &header, erased_by);
    }
    Ok(found.into_iter().collect())
}
