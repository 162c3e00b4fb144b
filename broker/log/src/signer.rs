//! The log's own key: signs checkpoints, and the statement of an export.

use chunk_evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use chunk_evidence::dsse::{self, Envelope};
use chunk_evidence::merkle::Hash;
use chunk_evidence::note::{NoteError, VerifierKey};
use chunk_evidence::rotation::Rotation;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

/// Why there is no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key is not an Ed25519 private key in PKCS#8.
    #[error("the log's key is not an Ed25519 private key in PKCS#8")]
    Key,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
    /// The origin cannot name a key.
    #[error("the log's origin must not be empty or hold spaces, plus signs or control characters")]
    Origin(#[from] NoteError),
}

/// Signs for one origin.
pub struct LogSigner {
    origin: String,
    key: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl std::fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSigner")
            .field("verifier", &self.verifier.to_text())
            .finish_non_exhaustive()
    }
}

impl LogSigner {
    /// A new private key, PKCS#8 version 2.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate_pkcs8() -> Result<Zeroizing<Vec<u8>>, SignerError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SignerError::Random)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// A signer from a PKCS#8 private key.
    ///
    /// # Errors
    /// When the key or the origin is not usable.
    pub fn from_pkcs8(origin: &str, pkcs8: &[u8]) -> Result<Self, SignerError> {
        // Other tools write version 1, which lacks the public key to check against.
        Self::from_key(
            origin,
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| SignerError::Key)?,
        )
    }

    /// A signer from a 32-byte seed.
    ///
    /// # Errors
    /// When the origin is not usable.
    pub fn from_seed(origin: &str, seed: &[u8; 32]) -> Result<Self, SignerError> {
        Self::from_key(origin, Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignerError::Key)?)
    }

    fn from_key(origin: &str, key: Ed25519KeyPair) -> Result<Self, SignerError> {
        let verifier = VerifierKey::new(origin, dsse::public_key(&key))?;
        Ok(Self {
            origin: origin.to_owned(),
            key,
            verifier,
        })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key as others pin it.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The public key's text form.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.verifier.to_text()
    }

    /// Vouches for a tree. The caller sees to it that it is a prefix or an extension of every tree signed before.
    ///
    /// # Errors
    /// Never for an origin that made a signer.
    pub fn sign(&self, size: u64, root: Hash) -> Result<SignedCheckpoint, SignerError> {
        Ok(SignedCheckpoint::sign(
            &Checkpoint {
                origin: self.origin.clone(),
                size,
                root,
            },
            &self.key,
        )?)
    }

    /// The statement that the other key takes this one's place, signed by both.
    ///
    /// # Errors
    /// When the two are one, or of different logs.
    pub fn replaced_by(&self, other: &Self) -> Result<Rotation, SignerError> {
        let statement = Rotation::sign(&self.origin, &self.key, &other.key)?;
        let rotation = Rotation::parse(&statement).map_err(|_| SignerError::Key)?;
        if *rotation.from() == self.verifier && *rotation.to() == other.verifier {
            Ok(rotation)
        } else {
            Err(SignerError::Key)
        }
    }

    /// Signs a statement about an export.
    #[must_use]
    pub fn statement(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        dsse::sign(&self.key, payload_type, payload, &dsse::key_id(self.verifier.public_key()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_it_signs_verifies_under_the_key_it_shows() {
        let signer = LogSigner::from_pkcs8("o/d/1", &LogSigner::generate_pkcs8().unwrap()).unwrap();
        let key = VerifierKey::parse(&signer.vkey()).unwrap();
        let signed = signer.sign(3, [1; 32]).unwrap();
        assert_eq!(signed.verify(std::slice::from_ref(&key)).unwrap().0.size, 3);
        assert_eq!(signer.statement("a/b", b"x").verify(key.public_key(), "a/b").unwrap(), b"x");
    }

    #[test]
    fn bad_keys_and_origins_are_refused() {
        assert!(matches!(LogSigner::from_pkcs8("o", b"nonsense"), Err(SignerError::Key)));
        assert!(matches!(LogSigner::from_seed("o o", &[1; 32]), Err(SignerError::Origin(_))));
    }
}
