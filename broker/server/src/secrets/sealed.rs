//! Secrets at rest: AES-256-GCM under a key derived from the master key.
//!
//! The purpose is part of what is authenticated, so that a sealed log key cannot be pasted where a password is expected.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::master::MasterKey;

/// Purpose of a connection's credential.
pub const CREDENTIAL: &str = "credential";
/// Purpose of the log's signing key.
pub const LOG_KEY: &str = "log-key";

const PREFIX: &str = "v1.";

/// Seals a secret for one purpose: `v1.` and base64url of nonce, ciphertext and tag.
///
/// # Errors
/// When the system gives no randomness.
pub fn seal(master: &MasterKey, purpose: &str, secret: &[u8]) -> Result<String, String> {
    let mut nonce = [0_u8; NONCE_LEN];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| "the system gives no randomness".to_owned())?;
    let mut sealed = secret.to_vec();
    key(master)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose.as_bytes()), &mut sealed)
        .map_err(|_| "the secret cannot be sealed".to_owned())?;
    let bytes = [nonce.as_slice(), &sealed].concat();
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Opens what [`seal`] made for the same purpose.
///
/// # Errors
/// When it is malformed, was changed, was sealed under another master key, or for another purpose.
pub fn open(master: &MasterKey, purpose: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let malformed = || "not a sealed secret; `chunk-broker seal` makes one".to_owned();
    let bytes = URL_SAFE_NO_PAD
        .decode(text.strip_prefix(PREFIX).ok_or_else(malformed)?)
        .map_err(|_| malformed())?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(malformed)?;
    let mut secret = Zeroizing::new(sealed.to_vec());
    let length = key(master)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose.as_bytes()), &mut secret)
        .map_err(|_| "the sealed secret does not open: it was changed, or sealed under another master key".to_owned())?
        .len();
    secret.truncate(length);
    Ok(secret)
}

fn key(master: &MasterKey) -> Result<LessSafeKey, String> {
    let bytes = master.derive(&[b"seal/v1"]);
    UnboundKey::new(&AES_256_GCM, bytes.as_slice())
        .map(LessSafeKey::new)
        .map_err(|_| "the sealing key cannot be made".to_owned())
}
