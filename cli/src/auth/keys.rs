//! The key a session is bound to: made here at sign-in, never leaves this machine, signs everything its owner does.

use chunk_evidence::dsse::{self, Envelope};
use chunk_wire::dpop::{self, ProofClaims};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// An Ed25519 key pair.
pub(crate) struct Key {
    pair: Ed25519KeyPair,
    thumbprint: String,
    id: String,
}

impl Key {
    /// Makes a fresh key; gives its seed for keeping.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn generate() -> Result<(Self, Zeroizing<[u8; 32]>)> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        SystemRandom::new()
            .fill(seed.as_mut())
            .map_err(|_| Failure::bug("the operating system gave no randomness"))?;
        let key = Self::from_seed(seed.as_ref())?;
        Ok((key, seed))
    }

    /// The key of a kept seed.
    ///
    /// # Errors
    /// When it is not a seed.
    pub(crate) fn from_seed(seed: &[u8]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Failure::sign_in("the kept session key cannot be used"))?;
        let mut public = [0_u8; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self {
            pair,
            thumbprint: dpop::thumbprint(&public),
            id: dsse::key_id(&public),
        })
    }

    /// RFC 7638 thumbprint: the key's name in documents and in the log.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// A proof of possession for one call.
    pub(crate) fn prove(&self, claims: &ProofClaims) -> String {
        dpop::sign(&self.pair, claims)
    }

    /// Signs a document.
    pub(crate) fn sign(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        dsse::sign(&self.pair, payload_type, payload, &self.id)
    }
}

/// A random identifier for one proof or one wait.
pub(crate) fn random_id() -> Result<String> {
    let mut random = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Failure::bug("the operating system gave no randomness"))?;
    Ok(hex::encode(random))
}

/// SHA-256 of bytes, hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}
