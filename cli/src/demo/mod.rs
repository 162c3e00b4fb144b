//! The whole road in one command: a broker with made-up data, three people, and the commands each of them types.
//!
//! Nothing here is a recording. Every line that starts with a name and `$` is run as a child process of this very program and
//! what it says is shown as it says it, so the demo fails where the product fails. Two things are played, and said to be: the
//! person at the identity provider's page, and the keyring (a plaintext file below the demo's own folder).

mod actor;
mod broker;
mod home;
mod interrupt;
mod page;
mod story;

pub(crate) use self::home::{ORDERS_DEFAULT, Wishes};
pub(crate) use self::story::run;
