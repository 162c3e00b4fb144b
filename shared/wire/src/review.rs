//! The second person's verdict.

use chunk_evidence::dsse::Envelope;
use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::session::Person;

/// DSSE payload type of a verdict.
pub use chunk_evidence::dsse::REVIEW_PAYLOAD_TYPE;

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The reviewer lets exactly this request pass.
    Approve,
    /// The reviewer refuses it.
    Reject,
}

/// What a reviewer signs, serialised canonically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReviewDocument {
    /// Version of this document, 1.
    pub v: u32,
    /// Request.
    pub request: RequestId,
    /// SHA-256 of the request document that was read, hex.
    pub digest: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Why; never empty.
    pub reason: String,
    /// Reviewer's issuer.
    pub issuer: String,
    /// Reviewer's subject.
    pub subject: String,
    /// RFC 7638 thumbprint of the reviewer's key.
    pub key: String,
    /// Signed at, ms since 1970 on the reviewer's clock.
    pub signed_ms: i64,
}

/// `POST /v1/requests/{id}/reviews`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitReview {
    /// DSSE envelope, payload type [`REVIEW_PAYLOAD_TYPE`].
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub envelope: Envelope,
    /// The same payload signed with an enrolled SSH key as well (sshsig, namespace `review@chunkctl.dev`): base64, as between the lines
    /// of an armored signature, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
}

/// A verdict as shown to others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReviewView {
    /// Verdict.
    pub verdict: Verdict,
    /// Who.
    pub reviewer: Person,
    /// Why.
    pub reason: String,
    /// When it was recorded, ms since 1970.
    pub time_ms: i64,
    /// Index of its entry.
    pub index: u64,
    /// Fingerprint of the SSH key that signed it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<String>,
}

/// Event `listed` of `GET /v1/requests/events`: everything pending has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InboxListed {
    /// Pending requests that were left out because there are too many, the oldest ones.
    pub left_out: usize,
}

/// `POST /v1/requests/{id}/revoke` and `/cancel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Why.
    #[serde(default)]
    pub reason: String,
}
