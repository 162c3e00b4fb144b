//! Secrets named in broker.toml, of connections and of the mirror: read at the moment they are used, wiped after.
//!
//! Nothing is cached, so a rotated file is used by the next fetch, and a memory dump between fetches holds no password.

pub mod master;
pub mod sealed;

mod env;
mod file;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::config::{Connection, Env, SecretRef};
use master::MasterKey;

/// Reads a secret where the configuration says that it is.
#[derive(Clone)]
pub struct Secrets {
    env: Env,
    master: MasterKey,
}

/// Credentials by connection.
pub struct Credentials {
    places: BTreeMap<String, SecretRef>,
    secrets: Secrets,
}

impl Secrets {
    /// Secrets in this environment, sealed ones under this master key.
    #[must_use]
    pub fn new(env: Env, master: MasterKey) -> Self {
        Self { env, master }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    /// When it cannot be read; the text names the place and nothing of the secret.
    pub fn read(&self, place: &SecretRef) -> Result<Zeroizing<String>, String> {
        match place {
            SecretRef::Env(name) => env::read(&self.env, name),
            SecretRef::File(path) => file::read(path),
            SecretRef::Sealed(text) => sealed::open(&self.master, sealed::CREDENTIAL, text).and_then(|bytes| {
                String::from_utf8(bytes.to_vec())
                    .map(Zeroizing::new)
                    .map_err(|_| "the sealed credential is not text".to_owned())
            }),
        }
    }
}

impl Credentials {
    /// The credentials of these connections.
    #[must_use]
    pub fn new(connections: &BTreeMap<String, Connection>, env: Env, master: MasterKey) -> Self {
        let places = connections.iter().filter_map(|(name, connection)| match connection {
            Connection::Postgres { password, .. } => Some((name.clone(), password.clone())),
            Connection::Files { .. } => None,
        });
        Self {
            places: places.collect(),
            secrets: Secrets::new(env, master),
        }
    }

    /// Every connection whose credential cannot be read now, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<(String, String)> {
        self.places
            .keys()
            .filter_map(|name| chunk_port::Secrets::password(self, name).err().map(|why| (name.clone(), why)))
            .collect()
    }
}

impl chunk_port::Secrets for Credentials {
    fn password(&self, connection: &str) -> Result<Zeroizing<String>, String> {
        let place = self
            .places
            .get(connection)
            .ok_or_else(|| format!("connection `{connection}` has no password configured"))?;
        self.secrets
            .read(place)
            .map_err(|why| format!("password of connection `{connection}`: {why}"))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
