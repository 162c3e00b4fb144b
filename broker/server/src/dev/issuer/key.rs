//! The issuer's signing key: ES256, new at every start, never on disk.
//!
//! A key that outlives its process would be a credential lying about in a folder. A fresh one also makes every restart a key
//! rotation, so that the broker's handling of rotated keys is used every day.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::Serialize;
use serde_json::{Value, json};

/// Key pair with the public half as the issuer publishes it.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    kid: String,
    x: String,
    y: String,
}

/// Claims of an ID token (OpenID Connect Core 1.0 §2, §5.1).
#[derive(Debug, Serialize)]
pub(super) struct IdClaims<'a> {
    pub(super) iss: &'a str,
    pub(super) aud: &'a str,
    pub(super) sub: &'a str,
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) email_verified: bool,
    pub(super) groups: &'a [&'a str],
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) auth_time: i64,
    pub(super) amr: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
}

/// The system's random numbers failed, or the key could not be used.
#[derive(Debug, thiserror::Error)]
#[error("the issuer's signing key cannot be made or used")]
pub(in super::super) struct KeyFailed;

impl SigningKey {
    pub(super) fn generate() -> Result<Self, KeyFailed> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| KeyFailed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).map_err(|_| KeyFailed)?;
        // An uncompressed point: 0x04, x, y.
        let point: [u8; 65] = pair.public_key().as_ref().try_into().map_err(|_| KeyFailed)?;
        let (x, y) = point.split_at(33);
        let x = URL_SAFE_NO_PAD.encode(x.get(1..).ok_or(KeyFailed)?);
        let y = URL_SAFE_NO_PAD.encode(y);
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, thumbprint.as_bytes()));
        Ok(Self { pair, random, kid, x, y })
    }

    /// The JWK set to publish (RFC 7517).
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": self.x, "y": self.y }] })
    }

    /// Signs an ID token (JWS compact).
    pub(super) fn sign(&self, claims: &IdClaims<'_>) -> Result<String, KeyFailed> {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid }).to_string();
        let claims = serde_json::to_vec(claims).map_err(|_| KeyFailed)?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| KeyFailed)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}
