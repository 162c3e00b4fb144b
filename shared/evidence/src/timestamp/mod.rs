//! When somebody outside saw a tree: time stamps of RFC 3161 over checkpoints.
//!
//! An authority signs a hash, a number and a time. It learns nothing of the log, and whoever runs the log cannot make it sign an
//! earlier time. What is signed here is the text of a checkpoint, so all entries below its size existed at that time.
//!
//! A token is a CMS structure (RFC 5652) with much room in it. It is read strictly, and judged by the certificate of a signer
//! that the auditor has pinned: see [`Certificate`]. What a token carries along besides, certificates for instance, is not
//! looked at and proves nothing.

mod certificate;
mod der;
mod exchange;
mod oid;
mod token;

#[cfg(test)]
pub(crate) mod tests;

pub use certificate::Certificate;
pub use exchange::{ReplyError, read_reply, request};
pub use token::{TOKEN_BYTES_MAX, Token};

/// A time stamp may be off by this much, beside the accuracy that it states: so far may the clock of a log and that of an authority
/// differ without either being called false.
pub const TOLERANCE_MS: i64 = 60_000;

/// Why a token or a certificate is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not a token in DER.
    #[error("it is not a time-stamp token of RFC 3161 in DER")]
    Token,
    /// Not a certificate in DER, of another version than 3, or with a key of another sort.
    #[error("it is not a certificate (X.509, version 3) of an RSA key of 2048 bits or more, or of a key on P-256 or P-384")]
    Certificate,
    /// The certificate is for something else.
    #[error("the certificate is not for stamping time alone: its extended key usage must be critical and hold `timeStamping` only")]
    Purpose,
    /// The token does not name the certificate twice, as signer and in its signed attributes.
    #[error("it names another certificate as its signer's")]
    Signer,
    /// The hash in the signed attributes is not that of the content.
    #[error("its content is not what was signed")]
    Digest,
    /// Algorithms that are not judged.
    #[error("it is signed with algorithms that are not judged: RSA PKCS#1 with SHA-256, SHA-384 or SHA-512, ECDSA with SHA-256 or SHA-384")]
    Algorithm,
    /// The signature does not verify.
    #[error("its signature does not verify")]
    Signature,
    /// The certificate was not valid at the time the token states.
    #[error("the certificate is not valid at the time that it states")]
    Validity,
    /// It is too coarse to say anything.
    #[error("it states its time no more exactly than to a minute")]
    Accuracy,
}
