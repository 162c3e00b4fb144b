//! Checks the two programs from outside, one file per story. `tests/run` starts what the stories need and runs them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on must end and say where"
)]

mod approval;
mod canary;
mod ground;
mod policy;
mod road;
mod signin;
mod support;
mod unauthorized;
