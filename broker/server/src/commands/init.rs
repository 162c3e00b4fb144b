//! `init`: everything that must exist before a broker can serve, made once, never over anything.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use super::{print, tell};
use crate::config::env::{MASTER_KEY, MASTER_KEY_FILE};
use crate::config::{self, Config, Env};
use crate::data_dir;
use crate::error::CommandError;
use crate::secrets::master::MasterKey;

const CONFIG: &str = "broker.toml";
const POLICIES: &str = "policies";
const MASTER: &str = "master.key";
/// Kept in step with the documentation: these are the examples that it shows.
const EXAMPLE_POLICIES: [(&str, &str); 2] = [
    (
        "10-people.cedar",
        include_str!("../../../../docs/examples/policies/10-people.cedar"),
    ),
    (
        "20-limits.cedar",
        include_str!("../../../../docs/examples/policies/20-limits.cedar"),
    ),
];

/// What `init` is told.
#[derive(Debug, Clone)]
pub struct Init {
    /// Folder to make.
    pub dir: PathBuf,
    /// Display name of the broker.
    pub name: String,
    /// Base of its URLs.
    pub public_url: Url,
    /// Where it listens.
    pub listen: SocketAddr,
    /// `ORG/DEPLOYMENT`, the beginning of the log's origin; the host of the public URL and `broker` when absent.
    pub origin: Option<String>,
    /// Whether to write a PostgreSQL connection and dataset that are in force, not commented out.
    pub postgres_example: bool,
}

/// Makes the folder with configuration, policies, keys and journal.
///
/// # Errors
/// When it exists and holds anything, or something in it cannot be made.
pub fn init(init: &Init, env: &Env) -> Result<(), CommandError> {
    let dir =
        std::path::absolute(&init.dir).map_err(|e| CommandError::config(format!("{} is not a path.", init.dir.display())).because(e))?;
    let occupied = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(
            CommandError::refused(format!("{} is not empty; nothing was changed.", dir.display()))
                .because("`init` never overwrites: what stands there may be the only copy of a log or a key")
                .next("chunk-broker init ANOTHER_DIR"),
        );
    }
    let key_from_env = MasterKey::from_env(env)
        .map_err(|why| CommandError::config("The master key of the environment cannot be used.").because(why))?
        .is_some();
    private_dir(&dir)?;
    private_dir(&dir.join(POLICIES))?;
    for (name, text) in EXAMPLE_POLICIES {
        write(&dir.join(POLICIES).join(name), text)?;
    }
    let file = dir.join(CONFIG);
    write(&file, &broker_toml(init, key_from_env))?;
    let config = load_written(&file, init)?;
    provision_with_origin(&config, env, init.origin.as_deref())?;
    let dir = dir.display();
    tell(&format!(
        "Made {dir}: broker.toml, policies/, data/{}.",
        if key_from_env { "" } else { ", master.key" }
    ));
    if !key_from_env {
        tell(&format!(
            "Copy {dir}/{MASTER} to where secrets are kept: without it sealed credentials and tokens are lost."
        ));
    }
    print(&format!(
        "Next: edit {dir}/broker.toml, then\n  chunk-broker check --config {dir}/broker.toml\n  chunk-broker serve --config {dir}/broker.toml\n"
    ))
}

/// Makes the master key (unless there is one) and the data folder of a configuration.
///
/// # Errors
/// When the data folder exists, or something cannot be made.
pub fn provision(config: &Config, env: &Env) -> Result<(), CommandError> {
    provision_with_origin(config, env, None)
}

fn provision_with_origin(config: &Config, env: &Env, origin: Option<&str>) -> Result<(), CommandError> {
    let from_env =
        MasterKey::from_env(env).map_err(|why| CommandError::config("The master key of the environment cannot be used.").because(why))?;
    let master = match (from_env, &config.broker.master_key_file) {
        (Some(key), _) => key,
        (None, Some(path)) if path.exists() => {
            MasterKey::load(env, Some(path)).map_err(|why| CommandError::config("The master key cannot be read.").because(why))?
        }
        (None, Some(path)) => {
            let key = MasterKey::generate().map_err(CommandError::unavailable)?;
            write_key(path, &key)?;
            key
        }
        (None, None) => {
            return Err(CommandError::config("There is no place for the master key.").because(format!(
                "neither {MASTER_KEY} nor {MASTER_KEY_FILE} nor `broker.master_key_file` is given"
            )));
        }
    };
    let host = config.broker.public_url.host_str().unwrap_or("localhost");
    let origin = origin.map_or_else(|| format!("{host}/broker"), str::to_owned);
    data_dir::create(&config.broker.data_dir, &origin, &master)
}

fn write_key(path: &Path, key: &MasterKey) -> Result<(), CommandError> {
    let text = zeroize::Zeroizing::new(format!("{}\n", key.encode().as_str()));
    data_dir::write_private(path, &text)
        .map_err(|e| CommandError::config(format!("The master key {} was not written.", path.display())).because(e.kind()))
}

/// The answers that went into the file may be what is wrong with it.
fn load_written(file: &Path, init: &Init) -> Result<Config, CommandError> {
    config::load(file).map_err(|faults| {
        CommandError::config("What was asked for does not make a usable configuration.")
            .because(faults)
            .next(format!(
                "remove {}, and choose `--public-url` and `--listen` together: https needs `[broker.tls]`, http is for loopback only",
                init.dir.display()
            ))
    })
}

fn private_dir(dir: &Path) -> Result<(), CommandError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| CommandError::config(format!("The folder {} could not be made.", dir.display())).because(e.kind()))
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    data_dir::write_private(path, text).map_err(|e| CommandError::config(format!("{} was not written.", path.display())).because(e.kind()))
}

fn broker_toml(init: &Init, key_from_env: bool) -> String {
    // JSON's escapes are TOML's.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let key = if key_from_env {
        format!("# master_key_file = {}  # the environment gives the key", quoted(MASTER))
    } else {
        format!("master_key_file = {}", quoted(MASTER))
    };
    let postgres = include_str!("init/postgres.toml");
    let postgres = if init.postgres_example {
        postgres.to_owned()
    } else {
        postgres
            .lines()
            .map(|line| if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") })
            .collect()
    };
    include_str!("init/broker.toml")
        .replace("@NAME@", &quoted(&init.name))
        .replace("@PUBLIC_URL@", &quoted(init.public_url.as_str().trim_end_matches('/')))
        .replace("@LISTEN@", &quoted(&init.listen.to_string()))
        .replace("@MASTER_KEY_FILE@", &key)
        .replace("@POSTGRES@", postgres.trim_end())
}

#[cfg(test)]
mod tests;
