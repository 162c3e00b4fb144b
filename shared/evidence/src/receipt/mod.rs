//! Whether a file is what the broker released, to whom, under which approval, masked how: answered offline from one small
//! JSON document beside the file and the log's public key.
//!
//! A receipt holds one checkpoint and, for each entry the answer rests on, its header, the groups its holder may see, digests
//! of the others, and the proof that it is under the checkpoint.

mod standing;
mod story;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::body::{BodyError, Group, read_document};
use crate::checkpoint::SignedCheckpoint;
use crate::commit::Committer;
use crate::disclosed::{GroupSet, split};
use crate::encode::{EncodeError, b64, canonical_of, parse_canonical};
use crate::leaf::{Header, Kind, Leaf, LeafError};
use crate::merkle::Hash;

pub use story::{ReceiptStory, StoryApproval, StoryColumn, StoryCut, StoryPerson, StoryStanding};
pub(crate) use verify::given;
pub use verify::{ReceiptError, verify};

/// The `format` member of every receipt of this version.
pub const RECEIPT_FORMAT: &str = "chunkctl.dev/receipt/v1";

/// Offline proof that a delivery is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The checkpoint all proofs lead to, a signed note.
    pub checkpoint: String,
    /// Entries in log order: session openings, request, approvals, grant, intent, outcome; under a standing grant also how that was
    /// asked for, approved, issued and taken.
    pub entries: Vec<ReceiptEntry>,
    /// The file it is about.
    pub file: ReceiptFile,
    /// [`RECEIPT_FORMAT`].
    pub format: String,
    /// The entries below the checkpoint that replaced the log's key, in log order; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<ReceiptEntry>,
}

/// The file a receipt is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// Length in bytes.
    pub bytes: u64,
    /// `parquet`, `csv`, `ndjson` or `arrow`.
    pub format: String,
    /// Name it was saved under. Says where to look; proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256, lower-case hex, as `sha256sum` prints it.
    pub sha256: String,
}

/// One entry of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptEntry {
    /// Digests of the groups that stay closed, base64url, by group.
    pub d: BTreeMap<String, String>,
    /// Disclosures of the opened groups, base64url, by group.
    pub g: BTreeMap<String, String>,
    /// The header's exact text.
    pub h: String,
    /// Index in the log.
    pub i: u64,
    /// Inclusion proof, base64url hashes, leaf to root.
    pub p: Vec<String>,
}

/// Why a receipt cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptWriteError {
    /// The stored leaf is malformed.
    #[error("a stored leaf is malformed")]
    Leaf(#[from] LeafError),
    /// The stored body is malformed.
    #[error("a stored body is malformed")]
    Body(#[from] BodyError),
    /// The body is not the one the leaf commits to.
    #[error("a stored body is not the one its leaf commits to")]
    Root,
}

impl ReceiptEntry {
    /// An entry from its stored leaf and body document, opening the groups that [`groups_for`] names.
    ///
    /// # Errors
    /// When leaf or body are malformed or do not belong together.
    pub fn new(index: u64, leaf: &[u8], document: &str, proof: &[Hash]) -> Result<Self, ReceiptWriteError> {
        let leaf = Leaf::parse(leaf)?;
        let (rk, groups) = read_document(document)?;
        let mut committer = Committer::default();
        if committer.root(&rk, &groups) != leaf.body_root {
            return Err(ReceiptWriteError::Root);
        }
        let split = split(&mut committer, &rk, &groups, GroupSet::of(groups_for(leaf.header.kind)));
        let name = |group: Group| group.as_str().to_owned();
        Ok(Self {
            d: split.digests.iter().map(|(group, digest)| (name(*group), b64(digest))).collect(),
            g: split.disclosures.into_iter().map(|(group, text)| (name(group), text)).collect(),
            h: leaf.header_text,
            i: index,
            p: proof.iter().map(|hash| b64(hash)).collect(),
        })
    }
}

impl Receipt {
    /// A receipt over these entries, which are put in log order.
    #[must_use]
    pub fn new(checkpoint: &SignedCheckpoint, file: ReceiptFile, mut entries: Vec<ReceiptEntry>) -> Self {
        entries.sort_by_key(|entry| entry.i);
        entries.dedup_by_key(|entry| entry.i);
        Self {
            checkpoint: checkpoint.text().to_owned(),
            entries,
            file,
            format: RECEIPT_FORMAT.to_owned(),
            rotations: Vec::new(),
        }
    }

    /// The same with the entries that replaced the log's key, in log order.
    #[must_use]
    pub fn with_rotations(self, rotations: Vec<ReceiptEntry>) -> Self {
        Self { rotations, ..self }
    }

    /// The canonical text, as it is stored beside the file.
    ///
    /// # Errors
    /// When a number is out of bounds.
    pub fn to_text(&self) -> Result<String, EncodeError> {
        canonical_of(self)
    }

    /// Reads a receipt strictly: canonical text (a line break may follow), known members only.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, EncodeError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let value = parse_canonical(text)?;
        let receipt: Self = serde_json::from_value(value).map_err(|_| EncodeError::NotJson)?;
        // What may be left out has one form where it is: that it does not stand there.
        if receipt.format == RECEIPT_FORMAT && receipt.to_text()? == text {
            Ok(receipt)
        } else {
            Err(EncodeError::NotJson)
        }
    }
}

/// The entries a receipt for this outcome holds, in log order: the outcome and all it rests on, directly or through others.
///
/// # Errors
/// When `lookup` fails.
pub fn entries_needed<E>(outcome: u64, mut lookup: impl FnMut(u64) -> Result<Header, E>) -> Result<Vec<u64>, E> {
    let mut found = BTreeSet::from([outcome]);
    let mut open = vec![outcome];
    while let Some(index) = open.pop() {
        let header = lookup(index)?;
        for (position, base) in header.refs.into_iter().enumerate() {
            // What was signed with an SSH key tells its own; that the key was enrolled is for a bundle to tell.
            if header.kind == Kind::ReviewApprove && position > 1 && lookup(base)?.kind == Kind::KeyEnroll {
                continue;
            }
            if found.insert(base) {
                open.push(base);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// The groups a receipt opens for an entry of this kind: what its story needs and no more.
#[must_use]
pub fn groups_for(kind: Kind) -> &'static [Group] {
    match kind {
        Kind::SessionOpen => &[Group::Who],
        Kind::RequestCreate => &[Group::What, Group::Obj, Group::Why, Group::Out],
        Kind::ReviewApprove | Kind::ReviewReject => &[Group::Who, Group::What, Group::Why],
        Kind::GrantIssue => &[Group::What, Group::Out],
        Kind::GrantTake => &[Group::What],
        Kind::FetchIntent => &[Group::What, Group::Obj, Group::Mask],
        Kind::FetchOutcome => &[Group::Out, Group::Mask],
        Kind::KeyRotate => &[Group::What],
        _ => &[],
    }
}
