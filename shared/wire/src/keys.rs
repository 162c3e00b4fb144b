//! SSH keys that people enrol, to sign verdicts with.

use serde::{Deserialize, Serialize};

use crate::id::SessionId;

/// `POST /v1/keys/challenge`: what a key must sign to be enrolled.
///
/// It signs (sshsig, namespace `enroll@chunkctl.dev`) the canonical JSON of `{v: 1, origin, issuer, subject, key, ssh_key, nonce}`: the
/// caller as `whoami` shows them, the thumbprint of the session's key, and the fingerprint of the SSH key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyChallenge {
    /// Origin of the broker's log.
    pub origin: String,
    /// Good for this session, for a few minutes.
    pub nonce: String,
    /// Until when, ms since 1970.
    pub expires_ms: i64,
}

/// `POST /v1/keys`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrollKey {
    /// The nonce that was signed.
    pub nonce: String,
    /// The signature: base64, as between the lines of an armored one, on one line. It names the key.
    pub signature: String,
}

/// An enrolled SSH key: `GET /v1/keys`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyView {
    /// Index of its entry; the key is taken back by `DELETE /v1/keys/{index}`.
    pub index: u64,
    /// Fingerprint, as `ssh-keygen -l` shows it.
    pub ssh_key: String,
    /// Type and base64, as in a `.pub` file.
    pub public_key: String,
    /// Issuer of its person.
    pub issuer: String,
    /// Subject of its person.
    pub subject: String,
    /// Their name.
    pub name: String,
    /// The session under which it was enrolled.
    pub session: SessionId,
    /// The host of that session, in its client's words.
    pub host: String,
    /// The address from which it was enrolled.
    pub ip: String,
    /// When it was enrolled, ms since 1970.
    pub enrolled_ms: i64,
    /// When it was taken back, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<i64>,
}
