//! The only reader of environment variables: whatever the environment may say goes through here, so that nothing else in
//! the broker can be steered by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Path of broker.toml where no `--config` is given.
pub const CONFIG: &str = "CHUNK_BROKER_CONFIG";
/// The master key, base64 of 32 bytes.
pub const MASTER_KEY: &str = "CHUNK_BROKER_MASTER_KEY";
/// File that holds the master key.
pub const MASTER_KEY_FILE: &str = "CHUNK_BROKER_MASTER_KEY_FILE";
/// Filter of the log, e.g. `info` or `chunk_core=debug`.
pub const LOG: &str = "CHUNK_BROKER_LOG";

/// Where environment variables come from: the process, or a fixed set in tests.
#[derive(Debug, Clone)]
pub struct Env(Source);

#[derive(Debug, Clone)]
enum Source {
    Process,
    Fixed(Arc<BTreeMap<String, String>>),
}

impl Env {
    /// The variables of this process.
    #[must_use]
    pub fn process() -> Self {
        Self(Source::Process)
    }

    /// A fixed set.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(Source::Fixed(Arc::new(
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        )))
    }

    /// The value of a variable; none when unset, empty, or not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let value = match &self.0 {
            Source::Process => std::env::var(name).ok(),
            Source::Fixed(variables) => variables.get(name).cloned(),
        };
        value.filter(|v| !v.is_empty()).map(Zeroizing::new)
    }
}
