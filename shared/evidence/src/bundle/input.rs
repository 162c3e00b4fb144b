//! What a bundle is written from, in plain data.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::filter::Filter;
use crate::body::BodyError;
use crate::checkpoint::SignedCheckpoint;
use crate::encode::EncodeError;
use crate::leaf::{Header, LeafError};
use crate::merkle::{Frontier, Hash};
use crate::note::VerifierKey;
use crate::receipt::ReceiptEntry;

/// What an export is of. The rows are entries `range`, and come one after the other.
pub struct BundlePlan<'a> {
    /// How much of the bodies is opened, 0–4.
    pub level: u8,
    /// Entries it covers.
    pub range: Range<u64>,
    /// What it is filtered by; empty when every row is asked for.
    pub filter: Filter,
    /// Whether views stand in it, for people who have no verifier to make them.
    pub views: bool,
    /// Signed checkpoint whose size is the first row's index.
    pub start: &'a SignedCheckpoint,
    /// Frontier of the tree at the start.
    pub frontier: &'a Frontier,
    /// The log's public key.
    pub log_key: &'a VerifierKey,
}

/// What a bundle leads to. Which head it needs is known when its rows and their context are.
pub struct BundleHead<'a> {
    /// Signed checkpoint at or after the last row and the last entry of the context.
    pub checkpoint: &'a SignedCheckpoint,
    /// Proof from start to head, then, where asked for, from older sizes to the head.
    pub consistency: Vec<Consistency>,
    /// Consistency proof from the end of the rows to the head.
    pub tail: &'a [Hash],
    /// Stamped checkpoints at or below the head, each once; a proof in `consistency` begins at each that is not the head.
    pub stamped: &'a [StampedCheckpoint],
    /// Every entry below the head that replaced the log's key, in log order.
    pub rotations: &'a [ReceiptEntry],
}

/// A checkpoint and the time stamp over its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedCheckpoint {
    /// The signed checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// The time stamp, as [`crate::timestamp::read_reply`] gives it.
    pub token: Vec<u8>,
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
    /// Whether it is opened; [`Reach`] tells.
    pub opened: bool,
}

/// A body, or what became of it.
#[derive(Debug, Clone, Copy)]
pub enum EntryBody<'a> {
    /// The body document.
    Document(&'a str),
    /// Gone, under the `erase` entry of this index.
    Erased(u64),
    /// Gone, under the `retention.dispose` entry of this index.
    Disposed(u64),
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
    /// What was written could not be kept.
    #[error("a part of the export could not be kept")]
    Spool(#[from] io::Error),
}

/// Which entries a bundle opens, and which it must carry along from outside of its range, found by looking at headers.
///
/// What an opened entry rests on is opened too, and so is what says why a body is gone; what any entry rests on must be there. References
/// lead backwards, so looking at the range from its end takes one round; only what took a body away stands after it, and may take another.
#[derive(Debug)]
pub struct Reach {
    range: Range<u64>,
    /// Which entries of the range are opened, a bit each; absent when all are.
    opened: Option<Vec<u64>>,
    /// Entries outside, and whether each is opened.
    outside: BTreeMap<u64, bool>,
    /// Entries outside that are still to be looked at.
    unseen: Vec<u64>,
    /// Whether an entry was opened that had been passed already.
    again: bool,
    passed: u64,
}

impl Reach {
    /// Nothing looked at yet. Without a filter everything is opened.
    #[must_use]
    pub fn new(range: Range<u64>, filtered: bool) -> Self {
        let words = usize::try_from((range.end - range.start).div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            passed: range.end,
            range,
            opened: filtered.then(|| vec![0; words]),
            outside: BTreeMap::new(),
            unseen: Vec::new(),
            again: false,
        }
    }

    /// Looks at an entry: of the range, or one that [`Reach::next_outside`] gave. `matches` is ignored for the latter.
    pub fn look(&mut self, index: u64, header: &Header, erased_by: Option<u64>, matches: bool) {
        let inside = self.range.contains(&index);
        if inside {
            self.passed = index;
        }
        if inside && matches {
            self.open(index);
        }
        let opened = self.opens(index);
        let bases = header.refs.iter().copied().chain(header.pol).map(|base| (base, opened));
        for (base, opened) in bases.chain(erased_by.map(|by| (by, true))) {
            if self.range.contains(&base) {
                if opened && self.open(base) {
                    self.again |= !inside || base > self.passed;
                }
                continue;
            }
            let known = self.outside.get(&base).copied();
            if known.is_none_or(|known| opened && !known) {
                self.outside.insert(base, opened);
                self.unseen.push(base);
            }
        }
    }

    /// The next entry outside of the range to look at.
    pub fn next_outside(&mut self) -> Option<u64> {
        self.unseen.pop()
    }

    /// Whether the whole range has to be looked at once more, because of what was found since the last call.
    pub fn again(&mut self) -> bool {
        self.passed = self.range.end;
        std::mem::take(&mut self.again)
    }

    /// Whether an entry is opened.
    #[must_use]
    pub fn opens(&self, index: u64) -> bool {
        if !self.range.contains(&index) {
            return self.outside.get(&index).is_some_and(|opened| *opened);
        }
        self.opened.as_ref().is_none_or(|words| {
            let (word, bit) = self.place(index);
            words.get(word).is_some_and(|word| word >> bit & 1 == 1)
        })
    }

    /// The entries outside of the range, in order.
    pub fn outside(&self) -> impl Iterator<Item = u64> {
        self.outside.keys().copied()
    }

    /// Opens an entry of the range; whether it was closed before.
    fn open(&mut self, index: u64) -> bool {
        let (word, bit) = self.place(index);
        let Some(word) = self.opened.as_mut().and_then(|words| words.get_mut(word)) else {
            return false;
        };
        let was_closed = *word >> bit & 1 == 0;
        *word |= 1 << bit;
        was_closed
    }

    fn place(&self, index: u64) -> (usize, u32) {
        let at = index - self.range.start;
        (usize::try_from(at / 64).unwrap_or(usize::MAX), (at % 64) as u32)
    }
}

/// Where the parts of a bundle wait until their order is known: parts are added at the end, and read again later.
///
/// What is in them has been unsealed. Whoever keeps them outside of memory has to see to it that nobody else can read them.
pub trait Spool {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads bytes that were added before.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Spool for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok();
        let part = from.and_then(|from| self.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
