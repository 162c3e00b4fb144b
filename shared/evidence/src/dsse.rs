//! DSSE envelopes (Dead Simple Signing Envelope v1): what people sign.
//!
//! The signature covers the payload's type and length, so a verdict can never be read as a request. Base64 is accepted in
//! its one canonical form only: an envelope has no byte that could change unnoticed.

use std::borrow::Cow;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::encode::{b64, b64_std, sha256, unb64_std, unb64_std_onto};
use crate::scan::Raw;

/// Payload type of a request document.
pub const REQUEST_PAYLOAD_TYPE: &str = "application/vnd.chunkctl.request.v1+json";
/// Payload type of a verdict.
pub const REVIEW_PAYLOAD_TYPE: &str = "application/vnd.chunkctl.review.v1+json";
/// Payload type of a bundle's statement.
pub const EXPORT_PAYLOAD_TYPE: &str = "application/vnd.chunkctl.export.v1+json";

/// A signed payload: `{"payload":…,"payloadType":…,"signatures":[{"keyid":…,"sig":…}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// Base64 (standard, padded) of the payload.
    pub payload: String,
    /// Media type of the payload.
    pub payload_type: String,
    /// Exactly one signature in this product.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature over the pre-authentication encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// `ed25519:<RFC 7638 thumbprint>`.
    pub keyid: String,
    /// Base64 (standard, padded).
    pub sig: String,
}

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not base64 in the one canonical form.
    #[error("the envelope is not in canonical base64")]
    Base64,
    /// The payload is of another type than expected.
    #[error("the envelope holds another type of payload")]
    PayloadType,
    /// None, or more than one signature.
    #[error("the envelope must carry exactly one signature")]
    Signatures,
    /// Signed by another key than the one expected.
    #[error("the envelope names another key")]
    Key,
    /// The signature does not verify.
    #[error("the envelope's signature does not verify")]
    Signature,
}

/// The pre-authentication encoding: exactly these bytes are signed.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = pae_head(payload_type, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// What stands before a payload of this length, with room for it.
fn pae_head(payload_type: &str, length: usize) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {length} ", payload_type.len());
    let mut bytes = Vec::with_capacity(head.len() + length + 2);
    bytes.extend_from_slice(head.as_bytes());
    bytes
}

/// RFC 7638 thumbprint (SHA-256, base64url) of an Ed25519 public key.
#[must_use]
pub fn thumbprint(public_key: &[u8; 32]) -> String {
    b64(&sha256(
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(public_key)).as_bytes(),
    ))
}

const KEY_ID_PREFIX: &str = "ed25519:";

/// The key id of an Ed25519 public key: `ed25519:<RFC 7638 thumbprint>`.
#[must_use]
pub fn key_id(public_key: &[u8; 32]) -> String {
    format!("{KEY_ID_PREFIX}{}", thumbprint(public_key))
}

/// The public half of a key pair.
#[must_use]
pub fn public_key(key: &Ed25519KeyPair) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.public_key().as_ref());
    bytes
}

/// Signs a payload.
#[must_use]
pub fn sign(key: &Ed25519KeyPair, payload_type: &str, payload: &[u8], keyid: &str) -> Envelope {
    let signature = key.sign(&pae(payload_type, payload));
    Envelope {
        payload: b64_std(payload),
        payload_type: payload_type.to_owned(),
        signatures: vec![EnvelopeSignature {
            keyid: keyid.to_owned(),
            sig: b64_std(signature.as_ref()),
        }],
    }
}

impl Envelope {
    /// Checks the one signature by this key and gives the payload.
    ///
    /// # Errors
    /// When the envelope is malformed, of another type, by another key, or does not verify.
    pub fn verify(&self, public_key: &[u8; 32], payload_type: &str) -> Result<Vec<u8>, DsseError> {
        let signature = match self.signatures.as_slice() {
            [one] => Some((one.keyid.as_str().into(), one.sig.as_str().into())),
            _ => None,
        };
        let sealed = Sealed {
            payload: self.payload.as_str().into(),
            payload_type: self.payload_type.as_str().into(),
            signature,
        };
        sealed.verify(public_key, &thumbprint(public_key), payload_type)
    }

    /// The payload, decoded; nothing about its signature is checked.
    ///
    /// # Errors
    /// When it is not canonical base64.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, DsseError> {
        unb64_std(&self.payload).map_err(|_| DsseError::Base64)
    }
}

/// An envelope where it stands.
pub(crate) struct Sealed<'a> {
    payload: Cow<'a, str>,
    payload_type: Cow<'a, str>,
    /// Key id and signature, when there is exactly one.
    signature: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Sealed<'a> {
    /// Reads an envelope; it has the members of [`Envelope`] and no others.
    pub(crate) fn read(envelope: Raw<'a>) -> Option<Self> {
        let [payload, payload_type, signatures] = exactly(envelope, ["payload", "payloadType", "signatures"])?;
        let mut signatures = signatures.items()?.map(|signature| {
            let [keyid, sig] = exactly(signature, ["keyid", "sig"])?;
            Some((keyid.as_str()?, sig.as_str()?))
        });
        let first = signatures.next();
        Some(Self {
            payload: payload.as_str()?,
            payload_type: payload_type.as_str()?,
            signature: first.flatten().filter(|_| signatures.next().is_none()),
        })
    }

    /// Checks the one signature by this key, whose thumbprint is known, and gives the payload.
    pub(crate) fn verify(&self, public_key: &[u8; 32], thumbprint: &str, payload_type: &str) -> Result<Vec<u8>, DsseError> {
        if self.payload_type != payload_type {
            return Err(DsseError::PayloadType);
        }
        let (keyid, sig) = self.signature.as_ref().ok_or(DsseError::Signatures)?;
        if keyid.strip_prefix(KEY_ID_PREFIX) != Some(thumbprint) {
            return Err(DsseError::Key);
        }
        // The payload is decoded behind what stands before it in what was signed; its length follows from its text.
        let padding = self.payload.bytes().rev().take_while(|byte| *byte == b'=').count();
        let length = (self.payload.len() / 4 * 3).checked_sub(padding).ok_or(DsseError::Base64)?;
        let mut signed = pae_head(payload_type, length);
        let head = signed.len();
        unb64_std_onto(&mut signed, &self.payload).map_err(|_| DsseError::Base64)?;
        let sig = unb64_std(sig).map_err(|_| DsseError::Base64)?;
        UnparsedPublicKey::new(&ED25519, public_key)
            .verify(&signed, &sig)
            .map_err(|_| DsseError::Signature)?;
        signed.drain(..head);
        Ok(signed)
    }
}

/// The members of an object that has exactly these.
fn exactly<'a, const N: usize>(object: Raw<'a>, names: [&str; N]) -> Option<[Raw<'a>; N]> {
    let mut members = object.members();
    let found = names.map(|name| members.next().filter(|(key, _)| key == name).map(|(_, value)| value));
    if members.next().is_some() || found.iter().any(Option::is_none) {
        return None;
    }
    Some(found.map(|value| value.unwrap_or(Raw::known(""))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn key(n: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
    }

    #[test]
    fn the_encoding_is_the_one_of_the_dsse_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_8037() {
        let x = crate::encode::unb64_32("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn an_envelope_verifies_under_its_key_and_type_only() {
        let key_a = key(1);
        let public = public_key(&key_a);
        let envelope = sign(&key_a, "a/b", b"payload", &key_id(&public));
        assert_eq!(envelope.verify(&public, "a/b").unwrap(), b"payload");
        assert_eq!(envelope.verify(&public, "a/c"), Err(DsseError::PayloadType));
        assert_eq!(envelope.verify(&public_key(&key(2)), "a/b"), Err(DsseError::Key));
        let mut twice = envelope.clone();
        twice.signatures.push(envelope.signatures[0].clone());
        assert_eq!(twice.verify(&public, "a/b"), Err(DsseError::Signatures));
    }

    #[test]
    fn every_changed_byte_of_an_envelope_is_refused() {
        let key_a = key(1);
        let public = public_key(&key_a);
        let text = crate::encode::canonical_of(&sign(&key_a, "a/b", b"payload", &key_id(&public))).unwrap();
        for at in 0..text.len() {
            for flip in [1_u8, 2, 4, 8, 16, 32, 64] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= flip;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let accepted = crate::encode::parse_canonical(&changed)
                    .ok()
                    .and_then(|v| serde_json::from_value::<Envelope>(v).ok())
                    .is_some_and(|e| e.verify(&public, "a/b").is_ok());
                assert!(!accepted, "byte {at} xor {flip}");
            }
        }
    }
}
