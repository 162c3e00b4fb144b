//! Whether an identity provider vouches for a person's key: the ID token that a `session.open` may keep, and the keys of those
//! providers whose word an auditor takes.
//!
//! Who signs in with the browser asks for a token that carries the thumbprint of their key as `nonce`. Whoever runs the log can
//! leave such a token out and cannot make one. What is read of it is read strictly: a token that is odd in any way vouches for
//! nothing, and two verifiers must not read it differently.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

use crate::encode::{DEPTH_MAX, sha256, to_hex, unb64};

/// An ID token (OpenID Connect, a JWS in compact form), whose signature has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken<'t> {
    pub(crate) issuer: String,
    subject: String,
    nonce: String,
    audience: String,
    /// The client that asked for it, where it says so.
    party: Option<String>,
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'t str,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl<'t> IdToken<'t> {
    /// Reads a token; nothing where it is not one in the form of `docs/evidence.md` §4.
    #[must_use]
    pub fn parse(token: &'t str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let (header, claims) = (object(header)?, object(claims)?);
        let is_type = |value: &Value| value.as_str().is_some_and(|typ| ["JWT", "jwt", "id_token+jwt"].contains(&typ));
        if header.contains_key("crit") || !header.get("typ").is_none_or(is_type) {
            return None;
        }
        let audience = match claims.get("aud")? {
            Value::Array(several) => match several.as_slice() {
                [one] => one.as_str()?,
                _ => return None,
            },
            one => one.as_str()?,
        };
        Some(Self {
            issuer: text(&claims, "iss")?,
            subject: text(&claims, "sub")?,
            nonce: text(&claims, "nonce")?,
            audience: audience.to_owned(),
            party: optional_text(&claims, "azp")?,
            algorithm: Algorithm::of(header.get("alg")?.as_str()?)?,
            kid: optional_text(&header, "kid")?,
            signed,
            signature: unb64(signature).ok()?,
        })
    }

    /// Whether it says that this person holds this key.
    #[must_use]
    pub fn names(&self, issuer: &str, subject: &str, key: &str) -> bool {
        self.issuer == issuer && self.subject == subject && self.nonce == key
    }

    /// What names it in the log, as `out.id_token`.
    #[must_use]
    pub fn digest(&self) -> String {
        to_hex(&token_digest(self.signed, &self.signature, self.algorithm == Algorithm::Es256))
    }
}

/// What names a token and no other, given what was signed of it. Of an ECDSA signature (r, s) only r counts: (r, order - s)
/// verifies as well. What was signed does not do alone, because a provider may sign the same claims for two sign-ins within a
/// second.
#[must_use]
pub fn token_digest(signed: &str, signature: &[u8], ecdsa: bool) -> [u8; 32] {
    let counts = if ecdsa { signature.len() / 2 } else { signature.len() };
    let counted = signature.get(..counts).unwrap_or_default();
    sha256(&[signed.as_bytes(), b".", counted].concat())
}

/// A provider whose word is taken for who holds which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    /// Ids of the broker there: for another client, a token says nothing about this log.
    clients: Vec<String>,
    keys: Vec<ProviderKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ProviderKey {
    kid: Option<String>,
    /// The one algorithm it is for, where it says so.
    alg: Option<String>,
    key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PublicKey {
    /// The modulus; the exponent is 65537.
    Rsa(Vec<u8>),
    /// A point, uncompressed.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Provider {
    /// A provider with the keys of a JWK set (RFC 7517). Keys that are for something else are passed over; nothing where no key is
    /// left, or no client.
    pub(crate) fn read(issuer: &str, clients: &[String], jwks: &str) -> Option<Self> {
        let jwks: Value = serde_json::from_str(jwks).ok()?;
        let keys: Vec<ProviderKey> = jwks.get("keys")?.as_array()?.iter().filter_map(ProviderKey::read).collect();
        if keys.is_empty() || clients.is_empty() {
            return None;
        }
        Some(Self {
            issuer: issuer.to_owned(),
            clients: clients.to_vec(),
            keys,
        })
    }

    /// Whether this provider signed a token of its own for the broker; nothing where that cannot be told, because it is for another
    /// client or by a key that is not known.
    pub(crate) fn signed(&self, token: &IdToken<'_>) -> Option<bool> {
        let is_client = |id: &String| self.clients.contains(id);
        if !is_client(&token.audience) || !token.party.as_ref().is_none_or(is_client) {
            return None;
        }
        let mut fitting = self.keys.iter().filter(|key| key.is_for(token)).peekable();
        fitting.peek()?;
        Some(fitting.any(|key| key.key.verifies(token)))
    }
}

impl ProviderKey {
    fn read(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        if optional_text(jwk, "use")?.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |name: &str| unb64(jwk.get(name)?.as_str()?).ok();
        let bytes_32 = |name: &str| bytes(name).filter(|bytes| bytes.len() == 32);
        let key = match (text(jwk, "kty")?.as_str(), optional_text(jwk, "crv")?.as_deref()) {
            ("RSA", _) => {
                let modulus = bytes("n")?;
                let fits = (256..=1024).contains(&modulus.len()) && modulus.first().is_some_and(|first| *first >= 0x80);
                if !fits || bytes("e")? != [1, 0, 1] {
                    return None;
                }
                PublicKey::Rsa(modulus)
            }
            ("EC", Some("P-256")) => PublicKey::P256([vec![4], bytes_32("x")?, bytes_32("y")?].concat()),
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(bytes_32("x")?),
            _ => return None,
        };
        Some(Self {
            kid: optional_text(jwk, "kid")?,
            alg: optional_text(jwk, "alg")?,
            key,
        })
    }

    /// Whether it is the key that a token names, and of its kind.
    fn is_for(&self, token: &IdToken<'_>) -> bool {
        let names: &[&str] = match (&self.key, token.algorithm) {
            (PublicKey::Rsa(_), Algorithm::Rs256) => &["RS256"],
            (PublicKey::Rsa(_), Algorithm::Ps256) => &["PS256"],
            (PublicKey::P256(_), Algorithm::Es256) => &["ES256"],
            // RFC 9864 has another name for the same.
            (PublicKey::Ed25519(_), Algorithm::EdDsa) => &["EdDSA", "Ed25519"],
            _ => return false,
        };
        self.kid == token.kid && self.alg.as_deref().is_none_or(|alg| names.contains(&alg))
    }
}

impl PublicKey {
    fn verifies(&self, token: &IdToken<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let verified = match self {
            PublicKey::Rsa(n) => {
                let parameters = if token.algorithm == Algorithm::Ps256 {
                    &RSA_PSS_2048_8192_SHA256
                } else {
                    &RSA_PKCS1_2048_8192_SHA256
                };
                RsaPublicKeyComponents {
                    n: n.as_slice(),
                    e: &[1, 0, 1],
                }
                .verify(parameters, message, signature)
            }
            PublicKey::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            PublicKey::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

/// A part of a token: base64url of a JSON object. Of members with one name the last counts.
fn object(part: &str) -> Option<Map<String, Value>> {
    let value = serde_json::from_slice(&unb64(part).ok()?).ok()?;
    match value {
        Value::Object(members) if members.values().all(|value| nests(value, DEPTH_MAX - 1)) => Some(members),
        _ => None,
    }
}

/// Whether a value nests at most so many levels.
fn nests(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| nests(item, below)),
        Value::Object(members) => members.values().all(|item| nests(item, below)),
        _ => true,
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name)?.as_str().map(str::to_owned)
}

/// A text, or none; nothing where it is something else.
fn optional_text(members: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match members.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

/// Large enough for a few hundred groups.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
pub(crate) mod tests;
