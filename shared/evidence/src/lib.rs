//! Says what a proof is: the formats of the evidence log and their verification; no I/O, no clock, no async.
//!
//! An auditor can build this crate alone. Everything a verifier believes is either a signature under a key from the
//! auditor's own [`trust`] policy or a hash under such a signature; nothing is taken from the evidence itself.
//! `docs/evidence.md` describes every format exactly enough for a second implementation.

pub mod attestation;
pub mod body;
pub mod bundle;
pub mod checkpoint;
pub mod cosignature;
pub mod draft;
pub mod dsse;
pub mod encode;
pub mod enrolled;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod receipt;
pub mod rotation;
pub mod sshsig;
pub mod tile;
pub mod timestamp;
pub mod trust;
pub mod views;

mod civil;
mod commit;
mod disclosed;
mod kind;
mod salts;
mod scan;
mod signed;

#[cfg(test)]
mod testing;
