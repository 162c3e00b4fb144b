//! How a log's signing key is replaced: an entry of the log itself, signed by the old key and by the new one.
//!
//! Whoever believes the old key can follow to the new one without believing anybody else: the old key says who comes after it, and that
//! it said so stands in the log, for everybody to see. The new key's signature says that somebody holds it. From the entry on, the old
//! key signs nothing of the log any more: what it signed of a larger tree is false.

use ring::signature::Ed25519KeyPair;

use crate::body::Group;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::disclosed::{GroupSet, Opened, Page};
use crate::dsse::public_key;
use crate::encode::unb64_32;
use crate::leaf::Kind;
use crate::merkle::{Hash, verify_inclusion};
use crate::note::{self, Note, NoteError, VerifierKey};
use crate::receipt::{ReceiptEntry, given};

/// A log's key is replaced so often at most: every proof under a later key carries each time it was.
pub const ROTATIONS_MAX: usize = 256;

/// First line of the statement. It has four lines, and a checkpoint has three.
const TITLE: &str = "chunkctl.dev/log-key/v1";

/// That one key of a log takes the place of another, as both have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    from: VerifierKey,
    to: VerifierKey,
    text: String,
}

impl Rotation {
    /// The statement, a signed note, signed by both.
    ///
    /// # Errors
    /// When the origin cannot name a key, or the two keys are or look like one.
    pub fn sign(origin: &str, old: &Ed25519KeyPair, new: &Ed25519KeyPair) -> Result<String, NoteError> {
        let (from, to) = (
            VerifierKey::new(origin, public_key(old))?,
            VerifierKey::new(origin, public_key(new))?,
        );
        let text = format!("{TITLE}\n{origin}\n{}\n{}\n", from.to_text(), to.to_text());
        let also = note::sign(&text, origin, new)?;
        let line = Note::parse(&also)?.lines_by(&to);
        let note = format!("{}{line}", note::sign(&text, origin, old)?);
        Self::parse(&note).map(|_| note).map_err(|_| NoteError::Key)
    }

    /// Reads a statement strictly, and checks both signatures.
    ///
    /// # Errors
    /// When it is anything else, in a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "the statement that the key is replaced is malformed";
        let note = Note::parse(text).map_err(|_| MALFORMED)?;
        let mut lines = note.text().split('\n');
        let (Some(TITLE), Some(origin), Some(from), Some(to), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(MALFORMED);
        };
        let key = |text| VerifierKey::parse(text).ok().filter(|key| key.name() == origin).ok_or(MALFORMED);
        let rotation = Self {
            from: key(from)?,
            to: key(to)?,
            text: text.to_owned(),
        };
        let signed = |key| note.signed_by(key).unwrap_or(false);
        if !signed(&rotation.from) {
            return Err("the key that is replaced did not sign that it is");
        }
        if !signed(&rotation.to) {
            return Err("the key that takes its place did not sign that it does");
        }
        // Nothing else stands there, and each signed once.
        let [old, new] = [&rotation.from, &rotation.to].map(|key| note.lines_by(key));
        let once = old.lines().count() == 1 && new.lines().count() == 1;
        if once && format!("{}\n{old}{new}", note.text()) == text {
            Ok(rotation)
        } else {
            Err(MALFORMED)
        }
    }

    /// The statement's exact text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key that is replaced.
    #[must_use]
    pub fn from(&self) -> &VerifierKey {
        &self.from
    }

    /// The key in its place.
    #[must_use]
    pub fn to(&self) -> &VerifierKey {
        &self.to
    }
}

/// An entry that replaces the key.
#[derive(Debug, Clone)]
struct Told {
    index: u64,
    hash: Hash,
    proof: Vec<Hash>,
    rotation: Rotation,
}

/// All entries of a log that replace its key, up to some checkpoint: each follows from the one before.
#[derive(Debug, Clone, Default)]
pub struct Rotations(Vec<Told>);

/// Why a checkpoint is not one that the log's key of its time signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Signed by a key that is neither known nor follows from a known one.
    #[error("it is signed by a key that is not known, nor follows from a known one")]
    Unknown,
    /// A signature is wrong.
    #[error("{0}")]
    Note(NoteError),
    /// An entry that is said to have replaced the key is not in the log.
    #[error("entry {0}, which is said to replace the log's key, is not in the log")]
    NotIncluded(u64),
    /// The key had been replaced.
    #[error("it is signed by a key that had been replaced before")]
    Retired,
}

impl Rotations {
    /// Reads the entries, in log order, and checks what both keys signed. That they are in the log, [`Rotations::are_under`] checks.
    ///
    /// # Errors
    /// When one is anything else, or does not follow from the one before, in a sentence.
    pub fn read(entries: &[ReceiptEntry]) -> Result<Self, &'static str> {
        let mut read = Self::default();
        if entries.len() > ROTATIONS_MAX {
            return Err("the log's key was replaced more often than it can be");
        }
        for entry in entries {
            let told = Told::read(entry)?;
            if let Some(last) = read.0.last()
                && (last.index >= told.index || last.rotation.to != told.rotation.from)
            {
                return Err("the entries that replace the log's key do not follow from each other");
            }
            if read.0.iter().any(|before| before.rotation.from == told.rotation.to) {
                return Err("the log's key is replaced by one that it had before");
            }
            read.0.push(told);
        }
        Ok(read)
    }

    /// Whether the key was never replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Indices of the entries.
    pub fn indices(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|told| told.index)
    }

    /// The key in force behind the last of them.
    #[must_use]
    pub fn last(&self) -> Option<&VerifierKey> {
        self.0.last().map(|told| &told.rotation.to)
    }

    /// Every key that they name.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        let first = self.0.first().map(|told| &told.rotation.from);
        first.into_iter().chain(self.0.iter().map(|told| &told.rotation.to))
    }

    /// Index of the entry that replaced this key: it signs no larger tree than one of so many entries.
    #[must_use]
    pub fn retired(&self, key: &VerifierKey) -> Option<u64> {
        let told = self.0.iter().find(|told| told.rotation.from == *key)?;
        Some(told.index)
    }

    /// These keys, and those that follow from them.
    #[must_use]
    pub fn follow(&self, trusted: &[VerifierKey]) -> Vec<VerifierKey> {
        let mut keys = trusted.to_vec();
        for Told { rotation, .. } in &self.0 {
            if keys.contains(&rotation.from) && !keys.contains(&rotation.to) {
                keys.push(rotation.to.clone());
            }
        }
        keys
    }

    /// Whether all of them are in the tree of a checkpoint.
    ///
    /// # Errors
    /// With the index of the first that is not.
    pub fn are_under(&self, checkpoint: &Checkpoint) -> Result<(), u64> {
        let outside = self.0.iter().find(|told| {
            let proven = verify_inclusion(&told.hash, told.index, checkpoint.size, &told.proof, &checkpoint.root);
            proven.is_err() || told.rotation.from.name() != checkpoint.origin
        });
        outside.map_or(Ok(()), |told| Err(told.index))
    }

    /// The key that signed a checkpoint, where it is the log's by then, and known or one that follows from a known one.
    ///
    /// # Errors
    /// When there is none.
    pub fn signer(&self, signed: &SignedCheckpoint, trusted: &[VerifierKey]) -> Result<VerifierKey, SignerError> {
        self.are_under(signed.unverified()).map_err(SignerError::NotIncluded)?;
        let keys = self.follow(trusted);
        let (_, key) = signed.verify(&keys).map_err(|error| match error {
            NoteError::UnknownKey => SignerError::Unknown,
            other => SignerError::Note(other),
        })?;
        if self.last().is_some_and(|last| last != key) {
            return Err(SignerError::Retired);
        }
        Ok(key.clone())
    }
}

impl Told {
    fn read(entry: &ReceiptEntry) -> Result<Self, &'static str> {
        let mut page = Page::default();
        page.add(entry.i, &entry.h, given(entry)?)?;
        let disclosed = page.get(0).ok_or("an entry cannot be read")?;
        if disclosed.kind != Kind::KeyRotate || disclosed.opened != Opened::Partly(GroupSet::of(&[Group::What])) {
            return Err("an entry that is said to replace the log's key is another, or opened otherwise");
        }
        let statement = disclosed.text(Group::What, "rotation");
        let statement = statement.ok_or("an entry that replaces the log's key has no statement")?;
        let proof: Option<Vec<Hash>> = entry.p.iter().map(|hash| unb64_32(hash).ok()).collect();
        Ok(Self {
            index: entry.i,
            hash: *disclosed.hash,
            proof: proof.ok_or("a proof is malformed")?,
            rotation: Rotation::parse(&statement)?,
        })
    }
}

#[cfg(test)]
mod tests;
