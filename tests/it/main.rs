//! Checks the two programs from outside, one file per story. `tests/run` starts what the stories need and runs them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on must end and say where"
)]

mod approval;
mod attacks;
mod big;
mod browser;
mod budgets;
mod bundle;
mod canary;
mod chunks;
mod ci;
mod crash;
mod demo;
mod disk;
mod docs;
mod erasure;
mod exports;
mod files;
mod ground;
mod guides;
mod keys;
mod layering;
mod leavers;
mod matrix;
mod mirror;
mod notify;
mod operator;
mod policy;
mod reconcile;
mod replay;
mod retention;
mod review_tui;
mod road;
mod saml;
mod second_verifier;
mod signals;
mod signin;
mod sinks;
mod sources;
mod ssh_verdicts;
mod stages;
mod standing;
mod startup;
mod support;
mod syncs;
mod tampering;
mod timestamps;
mod unauthorized;
mod witness;
