//! Errors on the wire: RFC 9457 problem details, and the one closed list of codes.
//!
//! A code is one HTTP status and one exit code, mapped here and nowhere else.

use serde::{Deserialize, Serialize};

/// Body of every error answer, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `https://chunkctl.dev/problems/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's own sentence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Code, one of [`Code`].
    pub code: String,
    /// What happened this time, and why. Never a secret or a raw value.
    pub detail: String,
    /// The next command to type, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Policies that determined a denial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Position in the SQL text, where the fault has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Id of the HTTP request, for the operator's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A place in SQL text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $exit:literal, $title:literal;)*) => {
        /// Every way an answer can be "no" or "cannot".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];
            /// The snake_case word.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $text,)* } }
            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 { match self { $(Code::$variant => $status,)* } }
            /// The exit code of `chunkctl`.
            #[must_use]
            pub fn exit(self) -> u8 { match self { $(Code::$variant => $exit,)* } }
            /// One sentence for people.
            #[must_use]
            pub fn title(self) -> &'static str { match self { $(Code::$variant => $title,)* } }
            /// The code with this word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Code::$variant),)* _ => None } }
        }
    };
}

codes! {
    /// No credential, or one that is no longer good.
    Unauthenticated = "unauthenticated", 401, 4, "You are not signed in.";
    /// The DPoP proof lacks the server's nonce; retry with the one given.
    UseDpopNonce = "use_dpop_nonce", 401, 4, "The proof needs the broker's nonce.";
    /// The proof of possession is wrong, replayed, stale, or by another key.
    InvalidDpopProof = "invalid_dpop_proof", 401, 4, "The proof of possession was refused.";
    /// The ID token was refused.
    InvalidIdToken = "invalid_id_token", 401, 4, "The identity provider's token was refused.";
    /// Nobody has confirmed the code and signed in yet; ask again.
    AuthorizationPending = "authorization_pending", 400, 4, "Nobody has signed in with this code yet.";
    /// The sign-in was refused, by the person or by the broker.
    AccessDenied = "access_denied", 400, 4, "The sign-in was refused.";
    /// The code has ended, was used, or never was one.
    ExpiredToken = "expired_token", 400, 4, "The code is no longer good.";
    /// The session has ended.
    SessionEnded = "session_ended", 401, 4, "The session has ended.";
    /// Policy says no.
    Denied = "denied", 403, 1, "Policy denies this.";
    /// The policy set could not be evaluated, so the answer is no.
    PolicyFault = "policy_fault", 403, 1, "The policy set could not be evaluated, so the answer is no.";
    /// A statement or function that is not allowed.
    StatementRefused = "statement_refused", 403, 1, "This statement is not allowed.";
    /// Requesters never review their own requests, nor anybody twice.
    ReviewRefused = "review_refused", 403, 1, "This review is not allowed.";
    /// Unknown, or not yours to know.
    NotFound = "not_found", 404, 1, "There is no such thing, or it is not yours to see.";
    /// The request is in a state in which this cannot happen.
    WrongState = "wrong_state", 409, 1, "The request is no longer in a state that permits this.";
    /// The moment that earlier chunks are of is no longer held at the source.
    SnapshotGone = "snapshot_gone", 409, 1, "The source is no longer held at the moment that the earlier chunks are of.";
    /// The request waits for its reviewers.
    ApprovalPending = "approval_pending", 409, 5, "The request waits for approval.";
    /// The signed document does not match what the broker would do.
    DocumentMismatch = "document_mismatch", 409, 1, "The signed document is not what the broker planned.";
    /// A signature does not verify, or is by another key than the session's.
    InvalidSignature = "invalid_signature", 400, 1, "The signature was refused.";
    /// The body or a parameter is malformed.
    InvalidRequest = "invalid_request", 400, 3, "The request is malformed.";
    /// SQL that does not parse, or names an unknown column.
    InvalidSql = "invalid_sql", 400, 3, "The SQL cannot be planned.";
    /// A bound was exceeded.
    LimitReached = "limit_reached", 413, 1, "A limit was reached.";
    /// Too many requests from this caller.
    RateLimited = "rate_limited", 429, 2, "Too many requests; wait a moment.";
    /// The source failed; the driver's text stays with the operator.
    SourceFailed = "source_failed", 502, 2, "The source could not be read.";
    /// The evidence log cannot be written, so nothing is read.
    EvidenceUnavailable = "evidence_unavailable", 503, 2, "The evidence log cannot be written, so nothing is read.";
    /// The broker is starting or stopping.
    Unavailable = "unavailable", 503, 2, "The broker is not ready.";
    /// A bug.
    Internal = "internal", 500, 70, "The broker failed; this is a bug.";
}

impl Problem {
    /// A problem of this code with this detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("https://chunkctl.dev/problems/{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            hint: None,
            policies: Vec::new(),
            position: None,
            request_id: None,
        }
    }

    /// The code, if this program knows it.
    #[must_use]
    pub fn known_code(&self) -> Option<Code> {
        Code::parse(&self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_is_an_error() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert!((400..600).contains(&code.status()), "{}", code.as_str());
            assert!(matches!(code.exit(), 1..=5 | 70), "{}", code.as_str());
            assert_eq!(serde_json::to_value(code).ok(), Some(serde_json::Value::from(code.as_str())));
        }
    }
}
