//! Who, besides the log, saw that it only grew: C2SP tlog-cosignature, timestamped Ed25519 (`cosignature/v1`).
//!
//! A witness remembers the largest tree of a log that it vouched for, and vouches for another only when that one extends it. So
//! a quorum of cosignatures on a checkpoint says that everybody who believes these witnesses sees one history: the operator
//! cannot show one person an older or another one.
//!
//! The signed message holds the time and the whole text of the checkpoint, but not the witness's name: a key under two names
//! would be one witness that counts twice, so [`WitnessPolicy`] refuses it.

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::dsse::public_key;
use crate::encode::unb64_std;
use crate::note::{self, Note, NoteError};

/// Algorithm byte of timestamped Ed25519 cosignatures.
const ALGORITHM_COSIGNATURE: u8 = 4;
/// Time, then signature.
const COSIGNATURE_BYTES: usize = 8 + 64;

/// The public key of a witness: `<name>+<id>+<base64(0x04 || key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl WitnessKey {
    /// The key of this name.
    ///
    /// # Errors
    /// When the name is empty or holds a space, a plus or a control character.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        if !note::name_is_valid(name) {
            return Err(NoteError::Key);
        }
        Ok(Self {
            name: name.to_owned(),
            id: note::key_id(name, ALGORITHM_COSIGNATURE, &key),
            key,
        })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When it is malformed, its id does not fit, or the algorithm is another.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, key) = note::read_key(text, ALGORITHM_COSIGNATURE)?;
        Self::new(name, key)
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        note::key_text(&self.name, ALGORITHM_COSIGNATURE, &self.key)
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.key
    }

    /// When this witness vouched for the checkpoint, the latest time of several, in seconds since 1970; nothing where it did not.
    ///
    /// # Errors
    /// When a line under its name and id is not a cosignature by it.
    pub fn cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<Option<u64>, NoteError> {
        self.cosigned_note(checkpoint.note())
    }

    /// As [`WitnessKey::cosigned`], for the checkpoint of any log.
    ///
    /// # Errors
    /// As there.
    pub fn cosigned_note(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let mut latest = None;
        for signature in note.signatures_by(&self.name, self.id) {
            latest = latest.max(Some(self.verify(note.text(), signature)?));
        }
        Ok(latest)
    }

    /// Takes this witness's own lines out of what it answered about a checkpoint; all others are left behind, as the
    /// specification says. Gives the lines and their latest time.
    ///
    /// # Errors
    /// [`NoteError::UnknownKey`] when none of the lines is its own, [`NoteError::Signature`] when one of its own is wrong,
    /// [`NoteError::Malformed`] when they are not signature lines.
    pub fn read_answer(&self, checkpoint: &Checkpoint, answer: &str) -> Result<(String, u64), NoteError> {
        let text = checkpoint.to_text();
        let note = Note::parse(&format!("{text}\n{answer}"))?;
        if note.text() != text {
            return Err(NoteError::Malformed);
        }
        let time_s = self.cosigned_note(&note)?.ok_or(NoteError::UnknownKey)?;
        let own = note.signatures_by(&self.name, self.id);
        Ok((
            own.map(|signature| note::signature_line(&self.name, self.id, signature)).collect(),
            time_s,
        ))
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<u64, NoteError> {
        if signature.len() != COSIGNATURE_BYTES {
            return Err(NoteError::Signature);
        }
        let (time, signature) = signature.split_first_chunk::<8>().ok_or(NoteError::Signature)?;
        let time_s = u64::from_be_bytes(*time);
        // Zero would say that no time is stated, and with it nothing about the largest tree.
        if time_s == 0 || i64::try_from(time_s).is_err() {
            return Err(NoteError::Signature);
        }
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(message(text, time_s).as_bytes(), signature)
            .map_err(|_| NoteError::Signature)?;
        Ok(time_s)
    }
}

/// Vouches for the text of a checkpoint, with its extension lines if it has some, and gives the signature line. The caller sees
/// to it that the tree extends every tree of this log that was vouched for before.
///
/// # Errors
/// When the name cannot name a key, or the time is none.
pub fn cosign(text: &str, name: &str, key: &Ed25519KeyPair, time_s: u64) -> Result<String, NoteError> {
    let witness = WitnessKey::new(name, public_key(key))?;
    if time_s == 0 || i64::try_from(time_s).is_err() || read_head(text).is_err() {
        return Err(NoteError::Malformed);
    }
    let signature = key.sign(message(text, time_s).as_bytes());
    let signature = [&time_s.to_be_bytes(), signature.as_ref()].concat();
    Ok(note::signature_line(name, witness.id, &signature))
}

/// Origin, size and root of any C2SP checkpoint: unlike [`Checkpoint::parse`], which reads our own log's, it takes extension
/// lines, any origin, and an empty tree of any root.
///
/// # Errors
/// When the text is not a checkpoint's.
pub fn read_head(text: &str) -> Result<Checkpoint, NoteError> {
    let lines: Vec<&str> = text.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n').collect();
    let [origin, size, root, ..] = lines.as_slice() else {
        return Err(NoteError::Malformed);
    };
    if lines.iter().any(|line| line.is_empty()) {
        return Err(NoteError::Malformed);
    }
    let root = unb64_std(root).ok().and_then(|bytes| bytes.try_into().ok());
    Ok(Checkpoint {
        origin: (*origin).to_owned(),
        size: read_size(size).ok_or(NoteError::Malformed)?,
        root: root.ok_or(NoteError::Malformed)?,
    })
}

/// A size as these formats write it: decimal, no sign, no leading zero.
#[must_use]
pub fn read_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}

fn message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// The witnesses somebody believes, and how many of them must have vouched for a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessPolicy {
    keys: Vec<WitnessKey>,
    quorum: usize,
}

/// Why a list of witnesses is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessPolicyError {
    /// An entry is not the verifier key of a witness.
    #[error("witness {0} is not a verifier key of timestamped Ed25519 cosignatures (`name+id+key`)")]
    Key(usize),
    /// One name or one key twice.
    #[error("witness {0} has the name or the key of an earlier one; it would count twice")]
    Twice(usize),
    /// A quorum that cannot be, or that nobody is asked for.
    #[error("the quorum must be between 1 and the number of witnesses, which is {0}")]
    Quorum(usize),
}

/// What the cosignatures on a checkpoint say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witnessed {
    /// A quorum vouched for it; nobody is asked where the policy names nobody.
    Yes,
    /// Fewer than the quorum did. Nothing speaks against the checkpoint.
    TooFew {
        /// Witnesses that vouched for it.
        cosigned: usize,
        /// Witnesses that must have.
        quorum: usize,
    },
    /// A line under the name and id of this witness is not its cosignature.
    False {
        /// Name of the witness.
        witness: String,
    },
}

impl WitnessPolicy {
    /// A policy of these verifier keys.
    ///
    /// # Errors
    /// When one is malformed or repeated, or the quorum does not fit.
    pub fn new<T: AsRef<str>>(keys: &[T], quorum: usize) -> Result<Self, WitnessPolicyError> {
        let mut known: Vec<WitnessKey> = Vec::new();
        for (n, text) in keys.iter().enumerate() {
            let key = WitnessKey::parse(text.as_ref().trim()).map_err(|_| WitnessPolicyError::Key(n))?;
            if known.iter().any(|other| other.name == key.name || other.key == key.key) {
                return Err(WitnessPolicyError::Twice(n));
            }
            known.push(key);
        }
        if quorum > known.len() || (quorum == 0) != known.is_empty() {
            return Err(WitnessPolicyError::Quorum(known.len()));
        }
        Ok(Self { keys: known, quorum })
    }

    /// Whether it asks for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The witnesses.
    #[must_use]
    pub fn keys(&self) -> &[WitnessKey] {
        &self.keys
    }

    /// How many must vouch.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Judges a checkpoint, whose signature by the log is another question.
    #[must_use]
    pub fn judge(&self, checkpoint: &SignedCheckpoint) -> Witnessed {
        let mut cosigned = 0;
        for key in &self.keys {
            match key.cosigned(checkpoint) {
                Ok(time) => cosigned += usize::from(time.is_some()),
                Err(_) => {
                    return Witnessed::False { witness: key.name.clone() };
                }
            }
        }
        if cosigned >= self.quorum {
            Witnessed::Yes
        } else {
            Witnessed::TooFew {
                cosigned,
                quorum: self.quorum,
            }
        }
    }
}

#[cfg(test)]
mod tests;
