//! DPoP proofs (RFC 9449) and the Ed25519 keys behind them (RFC 8037, RFC 7638).
//!
//! Only Ed25519 is spoken: the same key signs proofs, requests and verdicts, and one algorithm leaves nothing to confuse.
//! Building and parsing live together so that the two programs cannot disagree; the broker adds freshness, nonce and replay.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

pub use chunk_evidence::dsse::thumbprint;

/// `typ` of a proof.
pub const PROOF_TYP: &str = "dpop+jwt";

/// An Ed25519 public key as a JWK; other members are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// Public key, 32 bytes, base64url.
    pub x: String,
}

/// Claims of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofClaims {
    /// Unique id of the proof.
    pub jti: String,
    /// HTTP method.
    pub htm: String,
    /// Target URI without query and fragment.
    pub htu: String,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Base64url SHA-256 of the access token, when one is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
    /// The server's nonce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// A proof whose signature by `key` has been checked. Freshness has not.
#[derive(Debug, Clone)]
pub struct SignedProof {
    /// Public key, 32 bytes.
    pub public_key: [u8; 32],
    /// RFC 7638 thumbprint of it.
    pub thumbprint: String,
    /// What was signed.
    pub claims: ProofClaims,
}

/// Why a proof is refused before anything about its freshness is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not three base64url parts with the expected JSON.
    #[error("the proof is not a JWS in compact form with the members RFC 9449 asks for")]
    Malformed,
    /// Another algorithm or type than EdDSA and `dpop+jwt`.
    #[error("the proof must be `dpop+jwt` signed with EdDSA over Ed25519")]
    Algorithm,
    /// The signature does not verify.
    #[error("the proof's signature does not verify")]
    Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofHeader {
    typ: String,
    alg: String,
    jwk: Jwk,
}

impl Jwk {
    /// The JWK of an Ed25519 public key.
    #[must_use]
    pub fn ed25519(public_key: &[u8; 32]) -> Self {
        Self {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: URL_SAFE_NO_PAD.encode(public_key),
        }
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> Option<[u8; 32]> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return None;
        }
        URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()
    }
}

/// `ath` of an access token.
#[must_use]
pub fn access_token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()))
}

/// Signs a proof.
///
/// # Panics
/// Never: the structures serialise.
#[must_use]
pub fn sign(key: &ring::signature::Ed25519KeyPair, claims: &ProofClaims) -> String {
    use ring::signature::KeyPair as _;
    let mut public_key = [0_u8; 32];
    public_key.copy_from_slice(key.public_key().as_ref());
    let header = ProofHeader {
        typ: PROOF_TYP.into(),
        alg: "EdDSA".into(),
        jwk: Jwk::ed25519(&public_key),
    };
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let signed = format!(
        "{}.{}",
        part(serde_json::to_vec(&header).unwrap_or_default()),
        part(serde_json::to_vec(claims).unwrap_or_default())
    );
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// Parses a proof and checks its signature by the key it carries.
///
/// # Errors
/// When it is malformed, uses another algorithm, or does not verify.
pub fn verify(proof: &str) -> Result<SignedProof, ProofError> {
    let (signed, signature) = proof.rsplit_once('.').ok_or(ProofError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(ProofError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| ProofError::Malformed);
    let header: serde_json::Value = serde_json::from_slice(&decode(header)?).map_err(|_| ProofError::Malformed)?;
    if header.get("typ").and_then(|v| v.as_str()) != Some(PROOF_TYP) || header.get("alg").and_then(|v| v.as_str()) != Some("EdDSA") {
        return Err(ProofError::Algorithm);
    }
    let header: ProofHeader = serde_json::from_value(header).map_err(|_| ProofError::Malformed)?;
    let claims: ProofClaims = serde_json::from_slice(&decode(claims)?).map_err(|_| ProofError::Malformed)?;
    let public_key = header.jwk.public_key().ok_or(ProofError::Algorithm)?;
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public_key)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| ProofError::Signature)?;
    Ok(SignedProof {
        public_key,
        thumbprint: thumbprint(&public_key),
        claims,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_proof_verifies_and_a_changed_one_does_not() {
        let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let claims = ProofClaims {
            jti: "a".into(),
            htm: "GET".into(),
            htu: "https://b/v1/info".into(),
            iat: 1,
            ath: None,
            nonce: None,
        };
        let proof = sign(&key, &claims);
        assert_eq!(verify(&proof).unwrap().claims, claims);
        for i in 0..proof.len() {
            let mut bytes = proof.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            assert!(verify(&String::from_utf8(bytes).unwrap()).is_err(), "byte {i}");
        }
        let header = proof.split('.').next().unwrap();
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        for alg in ["none", "HS256", "ES256", "eddsa"] {
            let other = header.replacen("EdDSA", alg, 1);
            assert_ne!(other, header);
            let rest = proof.split_once('.').unwrap().1;
            let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(&other));
            assert_eq!(verify(&forged).unwrap_err(), ProofError::Algorithm, "{alg}");
            let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(&other), rest.split_once('.').unwrap().0);
            assert!(verify(&unsigned).is_err(), "{alg}");
        }
    }
}
