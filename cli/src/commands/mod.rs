//! One file per command: what it asks, what it shows, what it decides to call an error.

pub(crate) mod approval_wait;
pub(crate) mod audit;
pub(crate) mod audit_erase;
pub(crate) mod audit_reconcile;
pub(crate) mod audit_trust;
pub(crate) mod audit_verify;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod datasets;
pub(crate) mod demo;
pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod fetch;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod review;
pub(crate) mod revoke;
pub(crate) mod sessions;
pub(crate) mod verify;
pub(crate) mod whoami;
