//! What the operator wrote, in two steps: `raw` is the file as it stands, [`Config`] is what has been checked. All faults are
//! reported at once, with file and line, and nothing binds, opens or decides before the checked form exists.
//!
//! Relative paths are below the folder of the file, never below the working directory.

mod broker;
mod bucket;
mod check;
mod classes;
mod connections;
mod datasets;
pub mod env;
mod faults;
mod mirror;
mod notify;
mod parse;
mod policies;
mod raw;
mod retention;
mod saml;
mod sinks;
mod sources;
mod stages;
mod timestamps;
mod witness;
mod workload;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunk_core::catalog::{Catalog, Class, Dataset};
use chunk_core::policy::PolicySet;
use chunk_core::retention::Retention;
use chunk_core::settings::{IssuerSettings, SamlSettings};
use chunk_port::{DateUnit, Mask, MysqlTarget, ObjectTarget, PostgresTarget};
use url::Url;

pub(crate) use broker::is_loopback;
pub use env::Env;
pub use faults::{Fault, Faults};
pub use mirror::{BucketConfig, MirrorConfig, MirrorPlace, ObjectLock, RetentionMode};
pub use notify::{NotifyConfig, NotifyFormat, NotifyPlace, NotifyTarget, SmtpSecurity, SmtpServer};
pub(crate) use policies::PolicyFolder;
pub(crate) use sinks::is_secure;
pub use sinks::{SinkConfig, SinkTarget, SyslogTarget};
pub use timestamps::TimestampConfig;
pub use witness::{WitnessConfig, WitnessPlace};
pub use workload::WorkloadConfig;

use crate::secrets::master::MasterKey;

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// SHA-256 (hex) of that file.
    pub digest: String,
    /// The broker itself.
    pub broker: BrokerConfig,
    /// Identity providers that issue ID tokens. Of these and those that speak SAML there is at least one.
    pub issuers: Vec<IssuerConfig>,
    /// Identity providers that speak SAML.
    pub saml: Vec<SamlSettings>,
    /// Rules that let CI jobs and other programs in.
    pub workloads: Vec<WorkloadConfig>,
    /// Witnesses of the evidence log, if there are some.
    pub witness: Option<WitnessConfig>,
    /// The authority that stamps the evidence log, if there is one.
    pub timestamps: Option<TimestampConfig>,
    /// Where a copy of the tree is kept, if somewhere.
    pub mirror: Option<MirrorConfig>,
    /// How long bodies of entries and recordings are kept.
    pub retention: Retention,
    /// Where entries are sent to as events.
    pub sinks: Vec<SinkConfig>,
    /// Who is told of what is theirs to act on.
    pub notifiers: Vec<NotifyConfig>,
    /// Connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// Masks by class.
    pub classes: BTreeMap<String, MaskConfig>,
    /// Datasets by name.
    pub datasets: BTreeMap<String, Dataset>,
    /// The policies found in [`BrokerConfig::policies`].
    pub policies: PolicySet,
}

/// `[broker]`.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Display name.
    pub name: String,
    /// Base of every URL the broker answers under; no path.
    pub public_url: Url,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of health and metrics, plain HTTP; without it, metrics are shown to loopback peers of `listen` only. Loopback,
    /// unless the configuration says in so many words that the metrics are public.
    pub metrics_listen: Option<SocketAddr>,
    /// Folder with journal, data keys and sealed keys, made by `init`.
    pub data_dir: PathBuf,
    /// File with the master key, unless the environment gives it.
    pub master_key_file: Option<PathBuf>,
    /// Folder of `*.cedar` files.
    pub policies: PathBuf,
    /// Sessions end after this many seconds.
    pub session_s: i64,
    /// Rows of a source that one chunk of a large result is made of, about.
    pub chunk_rows: u64,
    /// Certificate and key; absent only on loopback.
    pub tls: Option<TlsFiles>,
}

/// PEM files of the API's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// `[[issuer]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// What core knows of it.
    pub settings: IssuerSettings,
    /// PEM file of the only authorities trusted for this issuer's host; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
    /// Where the secret is that the broker redeems codes with; a public client has none.
    pub client_secret: Option<SecretRef>,
    /// Where the secret is that its directory shows.
    pub directory_token: Option<SecretRef>,
}

/// `[connections.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// A PostgreSQL server.
    Postgres {
        /// How it is reached.
        target: Arc<PostgresTarget>,
        /// Where its password is.
        password: SecretRef,
    },
    /// A MySQL or MariaDB server.
    Mysql {
        /// How it is reached.
        target: Arc<MysqlTarget>,
        /// Where its password is.
        password: SecretRef,
    },
    /// A folder of SQLite files on this machine.
    Sqlite {
        /// The folder; datasets are in files below it.
        root: PathBuf,
    },
    /// A folder of files on this machine.
    Files {
        /// The folder; datasets are below it.
        root: PathBuf,
    },
    /// A bucket, or files behind an address.
    Objects {
        /// How it is reached.
        target: Arc<ObjectTarget>,
        /// Its secrets, by the keys that name them.
        keys: Vec<(&'static str, SecretRef)>,
    },
}

/// Where a secret is. The secret itself is read when it is needed and wiped after.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// In broker.toml, sealed under the master key.
    Sealed(String),
}

/// What a class does, without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskConfig {
    /// See [`Mask::Redact`].
    Redact,
    /// See [`Mask::Drop`].
    Drop,
    /// See [`Mask::Partial`].
    Partial {
        /// Characters kept at the start.
        keep_first: u8,
        /// Characters kept at the end.
        keep_last: u8,
    },
    /// See [`Mask::Tokenize`].
    Tokenize {
        /// Generation of the key; another one gives other tokens.
        generation: u32,
        /// Whether a number becomes a number of the same form.
        preserve: bool,
    },
    /// See [`Mask::Shift`].
    Shift {
        /// Generation of the key; another one moves dates otherwise.
        generation: u32,
        /// Days at most.
        days_max: u32,
    },
    /// See [`Mask::Generalize`].
    Generalize {
        /// Unit that dates fall back to.
        date: DateUnit,
        /// Width of a number's bucket.
        bucket: Option<u64>,
        /// Characters kept of text.
        prefix: Option<u8>,
    },
    /// See [`Mask::Scan`].
    Scan,
}

/// Reads and checks a configuration and the policies beside it.
///
/// # Errors
/// Everything that is wrong with either.
pub fn load(file: &Path) -> Result<Config, Faults> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = std::fs::read_to_string(&file).map_err(|e| {
        Faults::of_file(
            &file,
            format!("cannot be read ({}); `chunk-broker init DIR` writes a first one", e.kind()),
        )
    })?;
    check::check(&file, &text, policies::load_policies)
}

/// Checks a configuration that is not written yet, with the policies that will stand beside it, by name and text.
pub(crate) fn check_unwritten(file: &Path, text: &str, policies: &[(&str, &str)]) -> Result<Config, Faults> {
    let policies: Vec<_> = policies
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    check::check(file, text, |dir| policies::validate(dir, &policies))
}

impl Config {
    /// What is needed to read the policies again.
    pub(crate) fn policy_folder(&self) -> PolicyFolder {
        PolicyFolder::new(&self.broker.policies, &self.datasets, &self.classes, &self.workloads)
    }

    /// Issuers of people's and workloads' tokens, each with the file of the only authorities trusted for its host.
    pub(crate) fn token_issuers(&self) -> impl Iterator<Item = (&str, Option<&Path>)> {
        let people = self.issuers.iter().map(|issuer| (&issuer.settings.issuer, &issuer.ca_file));
        let workloads = self.workloads.iter().map(|workload| (&workload.rule.issuer, &workload.ca_file));
        people.chain(workloads).map(|(issuer, file)| (issuer.as_str(), file.as_deref()))
    }

    /// Where the broker's secrets at identity providers are, by issuer.
    pub(crate) fn client_secrets(&self) -> BTreeMap<String, SecretRef> {
        let secret = |issuer: &IssuerConfig| Some((issuer.settings.issuer.clone(), issuer.client_secret.clone()?));
        self.issuers.iter().filter_map(secret).collect()
    }

    /// Where the secrets of directories are, by issuer.
    pub(crate) fn directory_tokens(&self) -> BTreeMap<String, SecretRef> {
        let token = |issuer: &IssuerConfig| Some((issuer.settings.issuer.clone(), issuer.directory_token.clone()?));
        self.issuers.iter().filter_map(token).collect()
    }

    /// The catalog that core works with; masking keys are derived from the master key here.
    #[must_use]
    pub fn catalog(&self, master: &MasterKey) -> Catalog {
        let classes = self.classes.iter().map(|(name, mask)| {
            (
                name.clone(),
                Class {
                    name: name.clone(),
                    mask: mask.keyed(name, master),
                },
            )
        });
        Catalog {
            datasets: self.datasets.clone(),
            classes: classes.collect(),
        }
    }
}

impl MaskConfig {
    fn keyed(self, class: &str, master: &MasterKey) -> Mask {
        match self {
            MaskConfig::Redact => Mask::Redact,
            MaskConfig::Partial { keep_first, keep_last } => Mask::Partial { keep_first, keep_last },
            MaskConfig::Drop => Mask::Drop,
            MaskConfig::Tokenize { generation, preserve } => Mask::Tokenize {
                key: Arc::new(master.mask_key(class, generation)),
                preserve,
            },
            MaskConfig::Shift { generation, days_max } => Mask::Shift {
                key: Arc::new(master.mask_key(class, generation)),
                days_max,
                by: String::new(),
            },
            MaskConfig::Generalize { date, bucket, prefix } => Mask::Generalize { date, bucket, prefix },
            MaskConfig::Scan => Mask::Scan,
        }
    }
}

impl std::fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretRef::Env(name) => f.debug_tuple("Env").field(name).finish(),
            SecretRef::File(path) => f.debug_tuple("File").field(path).finish(),
            SecretRef::Sealed(_) => f.write_str("Sealed(…)"),
        }
    }
}

#[cfg(test)]
mod tests;
