//! Who is asking: the key of this machine, the tokens bound to it, and where both rest between two commands.

pub(crate) mod agent;
pub(crate) mod browser;
pub(crate) mod ci;
pub(crate) mod credentials;
pub(crate) mod device;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod passphrase;
mod provider;
pub(crate) mod sealed;
pub(crate) mod tmpfs;
pub(crate) mod vault;
