//! Says what `chunkctl` and `chunk-broker` send each other: JSON bodies, ids, problems, and the two things that are signed
//! on the way (DPoP proofs and request documents).
//!
//! Nothing here decides or reads. Field names are part of API v1 and change only by addition.

pub mod audit;
pub mod catalog;
pub mod dpop;
pub mod fetch;
pub mod id;
pub mod keys;
pub mod problem;
pub mod review;
pub mod session;
pub mod stages;

/// The media type of every error body (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The name that DPoP-bound access tokens carry in the `Authorization` header (RFC 9449 §7.1).
pub const DPOP_SCHEME: &str = "DPoP";
