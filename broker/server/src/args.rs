//! The command line of `chunk-broker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;

use crate::commands::init::Init;
use crate::config::TlsFiles;
use crate::config::env::CONFIG;

/// Where the configuration is looked for when nothing says otherwise.
const CONFIG_DEFAULT: &str = "/etc/chunk-broker/broker.toml";

/// The enforcement layer between identity provider and data: alone holds the credentials of sources, decides, masks, records.
#[derive(Debug, Parser)]
#[command(name = "chunk-broker", version, propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder with configuration, policies, keys and an empty evidence log
    Init(InitArgs),
    /// Say everything that is wrong with a configuration, with file and line
    Check {
        /// The configuration
        #[command(flatten)]
        config: ConfigArg,
        /// Also ask every source for its columns (reads no row)
        #[arg(long)]
        connections: bool,
    },
    /// Serve
    Serve {
        /// The configuration
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Make a key
    Keygen {
        /// Which kind
        #[arg(value_enum)]
        kind: KeyKind,
        /// Write it to this new file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Replace the log's signing key, without a new log
    Key {
        /// Which step
        #[command(subcommand)]
        step: KeyStep,
    },
    /// Seal a credential from standard input under the master key, for broker.toml
    Seal {
        /// Configuration that names the master key's file; the environment may give the key instead
        #[arg(long, value_name = "FILE", env = CONFIG)]
        config: Option<PathBuf>,
    },
    /// Run a broker with sample data and an issuer that authenticates nobody, on this machine only
    Dev(crate::dev::DevArgs),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
    /// Print a completion script
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write the pages of all commands into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Steps of replacing the log's key.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyStep {
    /// Make the key that will take the place of the log's, and print its verifier key; the broker may run
    Prepare {
        /// The configuration
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Record in the log, signed by both keys, that the prepared one takes its place; the broker must not run
    Rotate {
        /// The configuration
        #[command(flatten)]
        config: ConfigArg,
    },
}

/// Where the configuration is.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArg {
    /// The configuration
    #[arg(long = "config", value_name = "FILE", env = CONFIG, default_value = CONFIG_DEFAULT)]
    pub file: PathBuf,
}

/// What `init` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct InitArgs {
    /// Folder to make; must be absent or empty
    pub dir: PathBuf,
    /// Display name of the broker
    #[arg(long, default_value = "chunk-broker")]
    pub name: String,
    /// Base of its URLs, as clients reach it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8443")]
    pub public_url: Url,
    /// Where it listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Certificate chain (PEM) to serve with; needed unless everything is loopback
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Beginning of the log's name, which never changes: ORG/DEPLOYMENT [default: HOST/broker]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Write the example of a PostgreSQL connection and dataset in force, not as comments
    #[arg(long)]
    pub postgres_example: bool,
}

impl InitArgs {
    /// What `init` is to make. Certificate and key are both given, or neither.
    #[must_use]
    pub fn asked(self) -> Init {
        let files = self.tls_cert.zip(self.tls_key);
        Init {
            dir: self.dir,
            name: self.name,
            public_url: self.public_url,
            listen: self.listen,
            tls: files.map(|(cert_file, key_file)| TlsFiles { cert_file, key_file }),
            origin: self.origin,
            postgres_example: self.postgres_example,
        }
    }
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// The master key: base64 of 32 random bytes
    Master,
    /// A signing key of a log, sealed under the master key of the environment
    Log,
}
