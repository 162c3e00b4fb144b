//! The one secret from which the broker's other keys come: masking keys, sealing key, token and nonce keys are derived from
//! it; the log's signing key is random and sealed under it.
//!
//! Losing it loses tokens (joins over masked values) and sealed credentials, never the evidence.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_port::MaskKey;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::config::Env;
use crate::config::env::{MASTER_KEY, MASTER_KEY_FILE};

const SALT: &[u8] = b"chunkctl.dev/master/v1";

/// 32 random bytes; wiped on drop, never printed.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, String> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        SystemRandom::new()
            .fill(bytes.as_mut_slice())
            .map_err(|_| "the system gives no randomness".to_owned())?;
        Ok(Self(bytes))
    }

    /// The key written as base64 of 32 bytes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new).ok();
        let bytes = bytes.and_then(|b| <[u8; 32]>::try_from(b.as_slice()).ok());
        bytes
            .map(|b| Self(Zeroizing::new(b)))
            .ok_or_else(|| "a master key is base64 of 32 bytes; `chunk-broker keygen` makes one".to_owned())
    }

    /// The key as [`MasterKey::parse`] reads it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// The key that the environment gives, if it gives one.
    ///
    /// # Errors
    /// When it is malformed, or its file cannot be read or is readable by everybody.
    pub fn from_env(env: &Env) -> Result<Option<Self>, String> {
        if let Some(text) = env.get(MASTER_KEY) {
            return Self::parse(&text).map(Some).map_err(|why| format!("{MASTER_KEY}: {why}"));
        }
        match env.get(MASTER_KEY_FILE) {
            Some(path) => Self::from_file(Path::new(path.as_str()))
                .map(Some)
                .map_err(|why| format!("{MASTER_KEY_FILE}: {why}")),
            None => Ok(None),
        }
    }

    /// The key of the environment, else of the configured file.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(env: &Env, configured: Option<&Path>) -> Result<Self, String> {
        if let Some(key) = Self::from_env(env)? {
            return Ok(key);
        }
        match configured {
            Some(path) => Self::from_file(path).map_err(|why| format!("broker.master_key_file: {why}")),
            None => Err(format!(
                "no master key: set {MASTER_KEY} or {MASTER_KEY_FILE}, or `broker.master_key_file`"
            )),
        }
    }

    /// A key derived for one use; `info` is length-prefixed part by part, so that no two uses meet.
    #[must_use]
    pub fn derive(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        struct Bytes32;
        impl KeyType for Bytes32 {
            fn len(&self) -> usize {
                32
            }
        }
        let mut parts = Vec::new();
        for part in info {
            parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            parts.extend_from_slice(part);
        }
        let mut out = Zeroizing::new([0_u8; 32]);
        let info = [parts.as_slice()];
        let filled = Salt::new(HKDF_SHA256, SALT)
            .extract(self.0.as_slice())
            .expand(&info, Bytes32)
            .and_then(|okm| okm.fill(out.as_mut_slice()));
        // HKDF refuses only outputs longer than 255 hashes.
        debug_assert!(filled.is_ok());
        out
    }

    /// The masking key of a class.
    #[must_use]
    pub fn mask_key(&self, class: &str, generation: u32) -> MaskKey {
        MaskKey {
            id: format!("{class}/{generation}"),
            secret: self.derive(&[b"mask/v1", class.as_bytes(), &generation.to_be_bytes()]),
        }
    }

    fn from_file(path: &Path) -> Result<Self, String> {
        let fail = |what: &str| format!("{}: {what}", path.display());
        let meta = std::fs::metadata(path).map_err(|e| fail(&e.kind().to_string()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if meta.permissions().mode() & 0o007 != 0 {
                return Err(fail("everybody on this machine may read it; run `chmod o= FILE`"));
            }
        }
        if meta.len() > 4096 {
            return Err(fail("is not a master key"));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| fail(&e.kind().to_string()))?);
        Self::parse(&text).map_err(|why| fail(&why))
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}
