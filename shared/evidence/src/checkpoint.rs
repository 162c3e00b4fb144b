//! Which tree a log has vouched for: C2SP tlog-checkpoint.

use ring::signature::Ed25519KeyPair;

use crate::encode::{b64_std, unb64_std};
use crate::merkle::{Hash, empty_root};
use crate::note::{self, Note, NoteError, VerifierKey};

/// Origin, size and root of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; never changes.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Root hash.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, b64_std(&self.root))
    }

    /// Reads the text strictly. Extension lines are refused: this log writes none.
    ///
    /// # Errors
    /// When it is not exactly three lines.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) = (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Malformed);
        };
        let root = unb64_std(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(NoteError::Malformed)?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| NoteError::Malformed)?,
            root,
        };
        let fits = note::name_is_valid(origin) && checkpoint.to_text() == text && (checkpoint.size > 0 || root == empty_root());
        if fits { Ok(checkpoint) } else { Err(NoteError::Malformed) }
    }
}

/// A checkpoint as a signed note: its exact text and what it says. Parsing checks no signature; [`SignedCheckpoint::verify`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    text: String,
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the log's key.
    ///
    /// # Errors
    /// When the origin cannot name a key.
    pub fn sign(checkpoint: &Checkpoint, key: &Ed25519KeyPair) -> Result<Self, NoteError> {
        Self::parse(&note::sign(&checkpoint.to_text(), &checkpoint.origin, key)?)
    }

    /// Reads a signed note strictly.
    ///
    /// # Errors
    /// When it is not a signed checkpoint.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let note = Note::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            checkpoint: Checkpoint::parse(note.text())?,
            note,
        })
    }

    /// The note's exact text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The note it is, for those who look at its other signatures.
    pub(crate) fn note(&self) -> &Note {
        &self.note
    }

    /// The same with further signature lines, as witnesses give them. They are not checked here.
    ///
    /// # Errors
    /// When they are not signature lines.
    pub fn with_lines(&self, lines: &str) -> Result<Self, NoteError> {
        Self::parse(&format!("{}{lines}", self.text))
    }

    /// What it says, with no signature checked.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks that one of these keys signed it under the checkpoint's own origin.
    ///
    /// # Errors
    /// [`NoteError::UnknownKey`] when none of them did, [`NoteError::Signature`] when a signature is wrong.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<(&Checkpoint, &'k VerifierKey), NoteError> {
        let key = self.note.verify(keys)?;
        if key.name() == self.checkpoint.origin {
            Ok((&self.checkpoint, key))
        } else {
            Err(NoteError::UnknownKey)
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn signed() -> (SignedCheckpoint, VerifierKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let checkpoint = Checkpoint {
            origin: "example.org/prod/1".into(),
            size: 42,
            root: [5; 32],
        };
        let key = VerifierKey::new("example.org/prod/1", crate::dsse::public_key(&pair)).unwrap();
        (SignedCheckpoint::sign(&checkpoint, &pair).unwrap(), key)
    }

    #[test]
    fn a_checkpoint_reads_back_under_its_key() {
        let (signed, key) = signed();
        assert!(signed.text().starts_with("example.org/prod/1\n42\nBQUF"));
        let again = SignedCheckpoint::parse(signed.text()).unwrap();
        assert_eq!(again.verify(&[key]).unwrap().0.size, 42);
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let (signed, key) = signed();
        for at in 0..signed.text().len() {
            for flip in 1..=255_u8 {
                let mut bytes = signed.text().as_bytes().to_vec();
                bytes[at] ^= flip;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let accepted = SignedCheckpoint::parse(&text).is_ok_and(|c| c.verify(std::slice::from_ref(&key)).is_ok());
                assert!(!accepted, "byte {at} xor {flip}");
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let root = b64_std(&[5; 32]);
        for text in [
            format!("o\n042\n{root}\n"),
            format!("o\n+42\n{root}\n"),
            format!("o\n42\n{root}"),
            format!("o\n42\n{root}\nextension\n"),
            format!("\n42\n{root}\n"),
            format!("o\n0\n{root}\n"),
            "o\n42\nAAAA\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        }
        let empty = Checkpoint {
            origin: "o".into(),
            size: 0,
            root: empty_root(),
        };
        assert_eq!(Checkpoint::parse(&empty.to_text()).unwrap(), empty);
    }
}
