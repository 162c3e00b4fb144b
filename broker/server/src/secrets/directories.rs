//! The secrets that directories show: one an issuer, long enough that nobody guesses it, and no two the same.

use std::collections::BTreeMap;

use chunk_core::identity::directory::DirectoryTokens;
use chunk_core::limits::DIRECTORY_TOKEN_BYTES_MIN;
use zeroize::Zeroizing;

use super::SecretReader;
use crate::config::SecretRef;

/// Where they are, by issuer, and who reads them.
pub(crate) struct DirectorySecrets {
    places: BTreeMap<String, SecretRef>,
    reader: SecretReader,
}

impl DirectorySecrets {
    /// The secrets of these places.
    pub(crate) fn new(places: BTreeMap<String, SecretRef>, reader: SecretReader) -> Self {
        Self { places, reader }
    }

    /// What is wrong with them now.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen: Vec<Zeroizing<String>> = Vec::new();
        for issuer in self.places.keys() {
            match self.token(issuer) {
                Err(why) => faults.push(why),
                Ok(token) if token.len() < DIRECTORY_TOKEN_BYTES_MIN => faults.push(format!(
                    "`scim.token` of {issuer} is shorter than {DIRECTORY_TOKEN_BYTES_MIN} characters; make one with `openssl rand -hex 32`"
                )),
                Ok(token) if !token.bytes().all(is_of_tokens) => {
                    faults.push(format!("`scim.token` of {issuer} has characters that no bearer token may have"));
                }
                Ok(token) if seen.contains(&token) => faults.push(format!("`scim.token` of {issuer} is another issuer's, too")),
                Ok(token) => seen.push(token),
            }
        }
        faults
    }
}

impl DirectoryTokens for DirectorySecrets {
    fn token(&self, issuer: &str) -> Result<Zeroizing<String>, String> {
        let place = self.places.get(issuer).ok_or_else(|| format!("{issuer} has no directory"))?;
        self.reader.read(place).map_err(|why| format!("`scim.token` of {issuer}: {why}"))
    }
}

/// RFC 6750 §2.1.
fn is_of_tokens(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}
