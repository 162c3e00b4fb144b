//! Secrets named in broker.toml, of connections, sinks and the mirror: read at the moment they are used, wiped after.
//!
//! Nothing is cached, so a rotated file is used by the next fetch, and a memory dump between fetches holds no password.

pub(crate) mod directories;
pub mod master;
pub mod sealed;

mod env;
mod file;

use std::collections::BTreeMap;

use chunk_port::Secrets;
use zeroize::Zeroizing;

use crate::config::{Connection, Env, SecretRef};
use master::MasterKey;

/// Reads secrets from where configuration says they are.
#[derive(Clone)]
pub(crate) struct SecretReader {
    env: Env,
    master: MasterKey,
}

impl SecretReader {
    pub(crate) fn new(env: Env, master: MasterKey) -> Self {
        Self { env, master }
    }

    /// The secret of this place, as it is now. The text of an error names the place and shows nothing of the secret.
    pub(crate) fn read(&self, place: &SecretRef) -> Result<Zeroizing<String>, String> {
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

/// Credentials by connection and the key that names each.
pub struct Credentials {
    places: BTreeMap<String, Vec<(&'static str, SecretRef)>>,
    reader: SecretReader,
}

impl Credentials {
    /// The credentials of these connections.
    #[must_use]
    pub fn new(connections: &BTreeMap<String, Connection>, env: Env, master: MasterKey) -> Self {
        let places = connections.iter().map(|(name, connection)| {
            let keys = match connection {
                Connection::Postgres { password, .. } | Connection::Mysql { password, .. } => vec![(PASSWORD, password.clone())],
                Connection::Objects { keys, .. } => keys.clone(),
                Connection::Sqlite { .. } | Connection::Files { .. } => Vec::new(),
            };
            (name.clone(), keys)
        });
        Self {
            places: places.collect(),
            reader: SecretReader::new(env, master),
        }
    }

    /// Every connection with a credential that cannot be read now, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<(String, String)> {
        let all = self
            .places
            .iter()
            .flat_map(|(name, keys)| keys.iter().map(move |(key, _)| (name, key)));
        all.filter_map(|(name, key)| self.key(name, key).err().map(|why| (name.clone(), why)))
            .collect()
    }
}

const PASSWORD: &str = "password";

impl Secrets for Credentials {
    fn password(&self, connection: &str) -> Result<Zeroizing<String>, String> {
        self.key(connection, PASSWORD)?
            .ok_or_else(|| format!("connection `{connection}` has no password configured"))
    }

    fn key(&self, connection: &str, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        let keys = self.places.get(connection).map(Vec::as_slice).unwrap_or_default();
        let Some((_, place)) = keys.iter().find(|(key, _)| *key == name) else {
            return Ok(None);
        };
        let read = self.reader.read(place);
        read.map(Some).map_err(|why| format!("{name} of connection `{connection}`: {why}"))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("places", &self.places).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
