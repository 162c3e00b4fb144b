//! Who signed a text: C2SP signed notes and verifier keys, Ed25519.
//!
//! A note may carry signatures of parties unknown to the reader; they are skipped, as the specification says. A signature that
//! names a known key and does not verify makes the whole note worthless.

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use crate::dsse::public_key;
use crate::encode::{b64_std, sha256, to_hex, unb64_std};

/// Signatures on one note at most.
const SIGNATURES_MAX: usize = 100;
/// Algorithm byte of Ed25519.
const ALGORITHM_ED25519: u8 = 1;

/// Why a note or a verifier key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a text, a blank line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// Not `name+hash+base64`, or another algorithm than Ed25519.
    #[error("not a verifier key `name+hash+key` of Ed25519")]
    Key,
    /// None of the known keys signed it.
    #[error("the note carries no signature by a known key")]
    UnknownKey,
    /// A signature by a known key does not verify.
    #[error("a signature by a known key does not verify")]
    Signature,
}

/// A public key that verifies notes: `<name>+<hash>+<base64(0x01 || key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: [u8; 4],
    key: [u8; 32],
}

impl VerifierKey {
    /// The key of this name.
    ///
    /// # Errors
    /// When the name is empty or holds a space, a plus or a control character.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        if !name_is_valid(name) {
            return Err(NoteError::Key);
        }
        Ok(Self {
            name: name.to_owned(),
            hash: key_id(name, ALGORITHM_ED25519, &key),
            key,
        })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When it is malformed, its hash does not fit, or the algorithm is another.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_key(text, ALGORITHM_ED25519)?;
        Self::new(name, key)
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        key_text(&self.name, ALGORITHM_ED25519, &self.key)
    }

    /// Name; a log's is its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.key
    }
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    hash: [u8; 4],
    bytes: Vec<u8>,
}

/// A parsed note. Nothing about its signatures is checked until [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Reads a note strictly.
    ///
    /// # Errors
    /// When it is not in the exact form.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (note.get(..=at).unwrap_or_default(), note.get(at + 2..).unwrap_or_default());
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures: Vec<NoteSignature> = lines
            .split('\n')
            .map(parse_signature)
            .collect::<Option<_>>()
            .ok_or(NoteError::Malformed)?;
        if text == "\n" || signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Malformed);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The signed text, ending with a line break.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What follows the key id in each signature under this name and id.
    pub(crate) fn signatures_by<'n>(&'n self, name: &'n str, id: [u8; 4]) -> impl Iterator<Item = &'n [u8]> {
        let by = move |signature: &&NoteSignature| signature.name == name && signature.hash == id;
        self.signatures.iter().filter(by).map(|signature| signature.bytes.as_slice())
    }

    /// Whether this key signed it; a key may have signed more than once.
    ///
    /// # Errors
    /// When a signature under the key's name and id does not verify.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<bool, NoteError> {
        let mut signed = false;
        for signature in self.signatures_by(&key.name, key.hash) {
            let verifier = UnparsedPublicKey::new(&ED25519, &key.key);
            verifier.verify(self.text.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
            signed = true;
        }
        Ok(signed)
    }

    /// The signature lines of this key, as they stand in the note.
    #[must_use]
    pub fn lines_by(&self, key: &VerifierKey) -> String {
        self.signatures_by(&key.name, key.hash)
            .map(|signature| signature_line(&key.name, key.hash, signature))
            .collect()
    }

    /// Checks every signature by a known key and gives the first key that signed.
    ///
    /// # Errors
    /// When no known key signed, or a signature by a known key does not verify, or a key signed twice.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<&'k VerifierKey, NoteError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.name == signature.name && key.hash == signature.hash) else {
                continue;
            };
            let verifier = UnparsedPublicKey::new(&ED25519, &key.key);
            verifier
                .verify(self.text.as_bytes(), &signature.bytes)
                .map_err(|_| NoteError::Signature)?;
            if signers.contains(&key) {
                return Err(NoteError::Malformed);
            }
            signers.push(key);
        }
        signers.first().copied().ok_or(NoteError::UnknownKey)
    }
}

/// Signs a text, which must end with a line break, under this name.
///
/// # Errors
/// When the name cannot name a key or the text cannot be a note's.
pub fn sign(text: &str, name: &str, key: &Ed25519KeyPair) -> Result<String, NoteError> {
    let verifier = VerifierKey::new(name, public_key(key))?;
    let line = signature_line(name, verifier.hash, key.sign(text.as_bytes()).as_ref());
    let note = format!("{text}\n{line}");
    if Note::parse(&note)?.text == text {
        Ok(note)
    } else {
        Err(NoteError::Malformed)
    }
}

/// One line of a note's signatures, with its line break.
pub(crate) fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", b64_std(&[id.as_slice(), signature].concat()))
}

/// The key id that C2SP recommends.
pub(crate) fn key_id(name: &str, algorithm: u8, key: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[algorithm], key].concat());
    [a, b, c, d]
}

/// The text form of a public key.
pub(crate) fn key_text(name: &str, algorithm: u8, key: &[u8; 32]) -> String {
    let bytes = [&[algorithm], key.as_slice()].concat();
    format!("{name}+{}+{}", to_hex(&key_id(name, algorithm, key)), b64_std(&bytes))
}

/// Name and key of a text form; its id must be the one that belongs to them.
pub(crate) fn read_key(text: &str, algorithm: u8) -> Result<(&str, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key);
    };
    let bytes = unb64_std(key).map_err(|_| NoteError::Key)?;
    let (first, key) = bytes.split_first().ok_or(NoteError::Key)?;
    let key: [u8; 32] = key.try_into().map_err(|_| NoteError::Key)?;
    if *first == algorithm && to_hex(&key_id(name, algorithm, &key)) == id {
        Ok((name, key))
    } else {
        Err(NoteError::Key)
    }
}

pub(crate) fn name_is_valid(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, base64) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = unb64_std(base64).ok()?;
    let (hash, bytes) = bytes.split_at_checked(4)?;
    if !name_is_valid(name) || bytes.is_empty() {
        return None;
    }
    Some(NoteSignature {
        name: name.to_owned(),
        hash: hash.try_into().ok()?,
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let parsed = Note::parse(note).unwrap();
        assert_eq!(parsed.verify(std::slice::from_ref(&key)).unwrap().name(), "PeterNeumann");
        assert_eq!(key.to_text(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let changed = Note::parse(&note.replace("problem is", "Problem is")).unwrap();
        assert_eq!(changed.verify(&[key]), Err(NoteError::Signature));
    }

    #[test]
    fn an_unknown_key_is_told_from_a_bad_signature() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let note = sign("hello\n", "log.example/a", &pair).unwrap();
        let other = VerifierKey::new("log.example/a", [9; 32]).unwrap();
        assert_eq!(Note::parse(&note).unwrap().verify(&[other]), Err(NoteError::UnknownKey));
        assert!(sign("no line break", "a", &pair).is_err());
        assert!(sign("x\n", "a b", &pair).is_err());
    }

    #[test]
    fn a_key_that_signed_twice_signed_and_one_bad_line_of_it_is_an_error() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = VerifierKey::new("log.example/a", public_key(&pair)).unwrap();
        let note = sign("hello\n", "log.example/a", &pair).unwrap();
        let parsed = Note::parse(&note).unwrap();
        let line = parsed.lines_by(&key);
        assert_eq!(format!("hello\n\n{line}"), note);
        assert_eq!(Note::parse(&format!("{note}{line}")).unwrap().signed_by(&key), Ok(true));
        let bad = signature_line("log.example/a", key.hash, &[7; 64]);
        assert_eq!(
            Note::parse(&format!("{note}{bad}")).unwrap().signed_by(&key),
            Err(NoteError::Signature)
        );
        let other = VerifierKey::new("log.example/b", [9; 32]).unwrap();
        assert_eq!(parsed.signed_by(&other), Ok(false));
    }

    proptest! {
        #[test]
        fn arbitrary_notes_never_panic(text in any::<String>()) {
            let _ = Note::parse(&text);
            let _ = VerifierKey::parse(&text);
        }
    }
}
