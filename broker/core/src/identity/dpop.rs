//! Decides whether a proof of possession (RFC 9449) is good for this very call: this method, this URL, this token, now, once.
//!
//! Proofs are remembered until the moment they would be refused for their age, and never forgotten before it: when memory is
//! full the call is refused instead. The nonce is the time under a keyed hash, so brokers that share the key accept each
//! other's and none has to remember what it gave out. `jti` caches are per broker: behind several of them a proof could be
//! played to each one once, within a minute, by somebody who already reads the caller's TLS stream.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_wire::dpop::{ProofError, SignedProof};
use ring::{digest, hmac};
use url::Url;

use crate::limits::{CLOCK_SKEW_S_MAX, DPOP_NONCE_AGE_S_MAX, DPOP_PROOF_AGE_S_MAX, DPOP_SEEN_MAX};

/// Why a proof is refused. Safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefused {
    /// No nonce, or one that is too old: send again with the one in the `DPoP-Nonce` header.
    #[error("the DPoP proof needs the server's current nonce")]
    UseNonce,
    /// Which check failed.
    #[error("{0}")]
    Invalid(&'static str),
    /// Too many proofs are remembered to take another.
    #[error("the broker has too many proofs to remember; try again in a minute")]
    Overloaded,
}

/// A proof that is good for its call in every way, except that it may have been here before.
///
/// It is accepted when whoever made it is known: strangers make as many good proofs as they like, and each would cost memory.
#[derive(Debug)]
#[must_use = "a proof that is not accepted may come again"]
pub struct CheckedProof {
    signed: SignedProof,
    ends_ms: i64,
}

impl CheckedProof {
    /// RFC 7638 thumbprint of the key.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.signed.thumbprint
    }
}

/// Checks proofs and remembers them.
pub struct ProofGate {
    nonce_key: hmac::Key,
    seen: Mutex<Seen>,
}

/// Proofs that must not come again, in the order in which that ends to matter.
struct Seen {
    proofs: HashSet<ProofId>,
    by_end: BTreeMap<i64, Vec<ProofId>>,
    /// Proofs that ended at or before this are forgotten, so none such may be accepted, even if the clock steps back.
    forgotten_ms: i64,
    proofs_max: usize,
}

type ProofId = [u8; 16];

impl ProofGate {
    /// A gate whose nonces are keyed by `nonce_key`; brokers that answer under one URL share it.
    #[must_use]
    pub fn new(nonce_key: [u8; 32]) -> Self {
        Self::with_capacity(nonce_key, DPOP_SEEN_MAX)
    }

    fn with_capacity(nonce_key: [u8; 32], proofs_max: usize) -> Self {
        let seen = Seen {
            proofs: HashSet::new(),
            by_end: BTreeMap::new(),
            forgotten_ms: i64::MIN,
            proofs_max,
        };
        Self {
            nonce_key: hmac::Key::new(hmac::HMAC_SHA256, &nonce_key),
            seen: Mutex::new(seen),
        }
    }

    /// A fresh nonce for the `DPoP-Nonce` header.
    #[must_use]
    pub fn nonce(&self, now_ms: i64) -> String {
        let time = now_ms.div_euclid(1000).to_be_bytes();
        let tag = hmac::sign(&self.nonce_key, &nonce_message(time));
        let mut nonce = Vec::with_capacity(40);
        nonce.extend_from_slice(&time);
        nonce.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Checks a proof for a call of `method` on `url`, with `access_token` where one is sent.
    ///
    /// # Errors
    /// When the proof is for anything else, too old, or from the future.
    pub fn check(
        &self,
        proof: &str,
        method: &str,
        url: &str,
        access_token: Option<&str>,
        now_ms: i64,
    ) -> Result<CheckedProof, ProofRefused> {
        if proof.len() > PROOF_BYTES_MAX {
            return Err(ProofRefused::Invalid("the DPoP proof is too long"));
        }
        let signed = chunk_wire::dpop::verify(proof).map_err(|error| {
            ProofRefused::Invalid(match error {
                ProofError::Malformed => "the DPoP proof is not a JWS in compact form with the members RFC 9449 asks for",
                ProofError::Algorithm => "the DPoP proof must be `dpop+jwt` signed with EdDSA over Ed25519",
                ProofError::Signature => "the DPoP proof's signature does not verify",
            })
        })?;
        let claims = &signed.claims;
        if claims.htm != method {
            return Err(ProofRefused::Invalid("the DPoP proof is for another HTTP method"));
        }
        if !same_target(&claims.htu, url) {
            return Err(ProofRefused::Invalid("the DPoP proof is for another URL"));
        }
        let iat_ms = claims
            .iat
            .checked_mul(1000)
            .ok_or(ProofRefused::Invalid("the DPoP proof's `iat` is no time"))?;
        let window_ms = DPOP_PROOF_AGE_S_MAX * 1000;
        if iat_ms > now_ms.saturating_add(window_ms) {
            return Err(ProofRefused::Invalid(
                "the DPoP proof is from the future; check this machine's clock",
            ));
        }
        let ends_ms = iat_ms.saturating_add(window_ms);
        if ends_ms <= now_ms {
            return Err(ProofRefused::Invalid("the DPoP proof is too old; check this machine's clock"));
        }
        if let Some(token) = access_token {
            let ath = claims
                .ath
                .as_deref()
                .ok_or(ProofRefused::Invalid("the DPoP proof does not name the access token"))?;
            if !same_secret(ath, &chunk_wire::dpop::access_token_hash(token)) {
                return Err(ProofRefused::Invalid("the DPoP proof is for another access token"));
            }
        }
        if claims.jti.is_empty() || claims.jti.len() > JTI_BYTES_MAX {
            return Err(ProofRefused::Invalid("the DPoP proof's `jti` must be 1 to 128 bytes"));
        }
        if !claims.nonce.as_deref().is_some_and(|nonce| self.nonce_is_fresh(nonce, now_ms)) {
            return Err(ProofRefused::UseNonce);
        }
        Ok(CheckedProof { signed, ends_ms })
    }

    /// Accepts a proof, once.
    ///
    /// # Errors
    /// When it has been here before, or there is no room to remember it.
    pub fn accept(&self, proof: CheckedProof, now_ms: i64) -> Result<SignedProof, ProofRefused> {
        let id = proof_id(&proof.signed);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remember(id, proof.ends_ms, now_ms)?;
        Ok(proof.signed)
    }

    fn nonce_is_fresh(&self, nonce: &str, now_ms: i64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        if hmac::verify(&self.nonce_key, &nonce_message(*time), tag).is_err() {
            return false;
        }
        let age_s = now_ms.div_euclid(1000).saturating_sub(i64::from_be_bytes(*time));
        (-CLOCK_SKEW_S_MAX..=DPOP_NONCE_AGE_S_MAX).contains(&age_s) // below zero: another broker gave it, its clock is ahead
    }
}

impl Seen {
    fn remember(&mut self, id: ProofId, ends_ms: i64, now_ms: i64) -> Result<(), ProofRefused> {
        while let Some(first) = self.by_end.first_entry() {
            if *first.key() > now_ms {
                break;
            }
            self.forgotten_ms = self.forgotten_ms.max(*first.key());
            for id in first.remove() {
                self.proofs.remove(&id);
            }
        }
        if ends_ms <= self.forgotten_ms {
            return Err(ProofRefused::Invalid("the DPoP proof is too old; check this machine's clock"));
        }
        if self.proofs.contains(&id) {
            return Err(ProofRefused::Invalid("the DPoP proof has been used before"));
        }
        if self.proofs.len() >= self.proofs_max {
            return Err(ProofRefused::Overloaded);
        }
        self.proofs.insert(id);
        self.by_end.entry(ends_ms).or_default().push(id);
        Ok(())
    }
}

impl std::fmt::Debug for ProofGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofGate").finish_non_exhaustive()
    }
}

/// Whether two URLs name one target: scheme, host, port and path after normalisation; query and fragment do not count.
fn same_target(htu: &str, url: &str) -> bool {
    let (Ok(htu), Ok(url)) = (Url::parse(htu), Url::parse(url)) else {
        return false;
    };
    htu.has_host()
        && htu.username().is_empty()
        && htu.password().is_none()
        && htu.scheme() == url.scheme()
        && htu.host() == url.host()
        && htu.port_or_known_default() == url.port_or_known_default()
        && htu.path() == url.path()
}

/// Compares without telling by its duration how much is equal: both sides are hashed under a key made for this comparison.
fn same_secret(a: &str, b: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"chunk-dpop-ath");
    hmac::verify(&key, a.as_bytes(), hmac::sign(&key, b.as_bytes()).as_ref()).is_ok()
}

/// One key's `jti`. Shortened to 128 bits: a caller who finds a collision between own proofs only refuses itself a call.
fn proof_id(signed: &SignedProof) -> ProofId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&signed.public_key);
    context.update(signed.claims.jti.as_bytes());
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    id
}

fn nonce_message(time: [u8; 8]) -> Vec<u8> {
    let mut message = b"chunk-dpop-nonce-v1\0".to_vec();
    message.extend_from_slice(&time);
    message
}

/// A proof by `chunkctl` is under 700 bytes.
const PROOF_BYTES_MAX: usize = 8 * 1024;
/// Random ids are 22 characters; nothing needs more than this.
const JTI_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests;
