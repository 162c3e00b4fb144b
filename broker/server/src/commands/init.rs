//! `init`: everything that must exist before a broker can serve, made once, never over anything.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use super::{print, tell};
use crate::config::{self, Config, Env, TlsFiles};
use crate::data_dir;
use crate::error::CommandError;
use crate::listener::check_certificate;
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
    /// Certificate and key, unless all of this is loopback.
    pub tls: Option<TlsFiles>,
    /// `ORG/DEPLOYMENT`, the beginning of the log's origin; the host of the public URL and `broker` when absent.
    pub origin: Option<String>,
    /// Whether to write a PostgreSQL connection and dataset that are in force, not commented out.
    pub postgres_example: bool,
}

/// Makes the folder with configuration, policies, keys and journal. What was asked for is checked before anything is written, and
/// what cannot be finished is taken back, so that `init` can be run again.
///
/// # Errors
/// When the folder exists and holds anything, what was asked for does not make a broker, or something in it cannot be made.
pub fn init(init: &Init, env: &Env) -> Result<(), CommandError> {
    let dir = absolute(&init.dir)?;
    let occupied = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(
            CommandError::refused(format!("{} is not empty; nothing was changed.", dir.display()))
                .because("`init` never overwrites: what stands there may be the only copy of a log or a key")
                .next("chunk-broker init ANOTHER_DIR"),
        );
    }
    let from_env =
        MasterKey::from_env(env).map_err(|why| CommandError::config("The master key of the environment cannot be used.").because(why))?;
    let key_from_env = from_env.is_some();
    let (text, config) = plan(init, &dir, key_from_env)?;
    let origin = init.origin.clone().unwrap_or_else(|| origin_of(&config));
    data_dir::check_origin(&origin)?;

    let mut made = Made::default();
    made.folder(&dir)?;
    made.folder(&dir.join(POLICIES))?;
    for (name, text) in EXAMPLE_POLICIES {
        made.file(&dir.join(POLICIES).join(name), text)?;
    }
    made.file(&dir.join(CONFIG), &text)?;
    let master = match from_env {
        Some(key) => key,
        None => {
            let key = MasterKey::generate().map_err(CommandError::unavailable)?;
            let text = Zeroizing::new(format!("{}\n", key.encode().as_str()));
            made.file(&dir.join(MASTER), &text)?;
            key
        }
    };
    data_dir::create(&config.broker.data_dir, &origin, &master)?;
    made.keep();

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

/// The text of broker.toml, and what it will say once it stands in the folder.
fn plan(init: &Init, dir: &Path, key_from_env: bool) -> Result<(String, Config), CommandError> {
    let again = |options: &str| {
        let dir = init.dir.display();
        format!(
            "chunk-broker init {dir} --public-url {} --listen {}{options}",
            init.public_url, init.listen
        )
    };
    if init.tls.is_none() && (init.public_url.scheme() == "https" || !init.listen.ip().is_loopback()) {
        return Err(CommandError::config("This broker needs a certificate; nothing was made.")
            .because("plain HTTP is only for a loopback `--listen` with a `--public-url` of http://127.0.0.1:PORT")
            .next(again(" --tls-cert FILE --tls-key FILE")));
    }
    let tls = match &init.tls {
        Some(files) => Some(TlsFiles {
            cert_file: absolute(&files.cert_file)?,
            key_file: absolute(&files.key_file)?,
        }),
        None => None,
    };
    let text = broker_toml(init, tls.as_ref(), key_from_env);
    let config = config::check_unwritten(&dir.join(CONFIG), &text, &EXAMPLE_POLICIES).map_err(|faults| {
        CommandError::config("What was asked for does not make a usable configuration; nothing was made.").because(faults)
    })?;
    if let Some(files) = &config.broker.tls {
        check_certificate(files).map_err(|why| {
            CommandError::config("The certificate and key cannot be used; nothing was made.")
                .because(why)
                .next(again(" --tls-cert FILE --tls-key FILE"))
        })?;
    }
    Ok((text, config))
}

/// The beginning of the log's name where none is given.
fn origin_of(config: &Config) -> String {
    format!("{}/broker", config.broker.public_url.host_str().unwrap_or("localhost"))
}

/// What was made so far. Unless it is kept, it is taken back: a folder half made would only be in the way of the next attempt.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn folder(&mut self, dir: &Path) -> Result<(), CommandError> {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        self.0.extend(missing.into_iter().rev());
        made.map_err(|e| CommandError::config(format!("The folder {} could not be made.", dir.display())).because(e.kind()))
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), CommandError> {
        let failed = |e: std::io::Error| CommandError::config(format!("{} was not written.", path.display())).because(e.kind());
        let mut file = data_dir::new_private(path).map_err(failed)?;
        // From here on the file is ours, whether or not all of it can be written.
        self.0.push(path.to_owned());
        data_dir::fill(&mut file, text).map_err(failed)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Only empty folders are removed: what somebody else put there in the meantime stays.
        for path in self.0.iter().rev() {
            drop(if path.is_dir() {
                std::fs::remove_dir(path)
            } else {
                std::fs::remove_file(path)
            });
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|e| CommandError::config(format!("{} is not a path.", path.display())).because(e))
}

fn broker_toml(init: &Init, tls: Option<&TlsFiles>, key_from_env: bool) -> String {
    // JSON's escapes are TOML's.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let key = if key_from_env {
        format!("# master_key_file = {}  # the environment gives the key", quoted(MASTER))
    } else {
        format!("master_key_file = {}", quoted(MASTER))
    };
    let tls = match tls {
        Some(files) => format!(
            "[broker.tls]\ncert_file = {}\nkey_file = {}",
            quoted(&files.cert_file.display().to_string()),
            quoted(&files.key_file.display().to_string())
        ),
        None => {
            "# Needed for every address that is not loopback:\n# [broker.tls]\n# cert_file = \"tls/cert.pem\"\n# key_file = \"tls/key.pem\""
                .to_owned()
        }
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
        .replace("@TLS@", &tls)
        .replace("@POSTGRES@", postgres.trim_end())
}

#[cfg(test)]
mod tests;
