//! Access and refresh tokens: what the broker hands out after sign-in, and how it recognises its own.
//!
//! A token is an EdDSA JWS bound to the caller's key (`cnf.jkt`), so a stolen one is worth nothing without that key. Its
//! protected header is one of three constants and is compared as bytes: there is no algorithm, key or type for a forger to
//! choose, and none can stand in for another. No clock skew is granted: the broker reads its own clock.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_wire::id::SessionId;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_SKEW_S_MAX;

/// What a token is for; part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Calls the API.
    Access,
    /// Gets new tokens.
    Refresh,
    /// Is signed by an SSH key that is to be enrolled.
    Enroll,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// Session it belongs to. Whether that is still open is not the token's to say.
    pub session: SessionId,
    /// RFC 7638 thumbprint of the key that must sign the proof beside it.
    pub key: String,
    /// When it ends, ms since 1970.
    pub expires_ms: i64,
}

/// Why a token is refused. Safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this broker's shape.
    #[error("the token is not one that this broker issues")]
    Malformed,
    /// A refresh token where an access token belongs, or the reverse.
    #[error("the token is for another purpose")]
    Purpose,
    /// Changed, or signed by another key.
    #[error("the token's signature does not verify")]
    Signature,
    /// Issued by or for another broker.
    #[error("the token belongs to another broker")]
    Audience,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Signs and verifies this broker's tokens.
pub struct TokenSigner {
    key: Ed25519KeyPair,
    audience: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sid: SessionId,
    cnf: Confirmation,
    iat: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jkt: String,
}

impl TokenSigner {
    /// A signer for the broker whose public URL is `audience`; brokers that share it share the seed.
    #[must_use]
    pub fn new(seed: &[u8; 32], audience: String) -> Self {
        #[expect(clippy::expect_used, reason = "ring refuses a seed only for its length, which the type fixes")]
        let key = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
        Self { key, audience }
    }

    /// A token for `session`, good only together with proofs by the key with thumbprint `jkt`.
    #[must_use]
    pub fn issue(&self, purpose: Purpose, session: &SessionId, jkt: &str, now_ms: i64, expires_ms: i64) -> String {
        let claims = Claims {
            iss: self.audience.clone(),
            aud: self.audience.clone(),
            sid: session.clone(),
            cnf: Confirmation { jkt: jkt.to_owned() },
            iat: now_ms.div_euclid(1000),
            exp: expires_ms.div_euclid(1000),
        };
        // These structures always serialise; were that to change, an empty payload is a token that verifies nowhere.
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        let signed = format!("{}.{}", purpose.header(), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Checks a token of this purpose and says whose it is.
    ///
    /// # Errors
    /// When it is not this broker's, for another purpose, changed, or over.
    pub fn verify(&self, purpose: Purpose, token: &str, now_ms: i64) -> Result<TokenClaims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if header != purpose.header() {
            return Err(if Purpose::ALL.into_iter().any(|other| header == other.header()) {
                TokenError::Purpose
            } else {
                TokenError::Malformed
            });
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        UnparsedPublicKey::new(&ED25519, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        if claims.iss != self.audience || claims.aud != self.audience {
            return Err(TokenError::Audience);
        }
        let expires_ms = claims.exp.checked_mul(1000).ok_or(TokenError::Malformed)?;
        if expires_ms <= now_ms {
            return Err(TokenError::Expired);
        }
        // Brokers that share the seed may differ by a little; a token from far ahead was signed under a broken clock.
        if claims.iat > now_ms.div_euclid(1000).saturating_add(CLOCK_SKEW_S_MAX) {
            return Err(TokenError::NotYetValid);
        }
        Ok(TokenClaims {
            session: claims.sid,
            key: claims.cnf.jkt,
            expires_ms,
        })
    }
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Access, Self::Refresh, Self::Enroll];

    fn header(self) -> String {
        let typ = match self {
            Purpose::Access => "chunk-access+jwt",
            Purpose::Refresh => "chunk-refresh+jwt",
            Purpose::Enroll => "chunk-enroll+jwt",
        };
        URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"{typ}","alg":"EdDSA"}}"#))
    }
}

impl std::fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSigner")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Ours are under 500 bytes plus twice the public URL.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
