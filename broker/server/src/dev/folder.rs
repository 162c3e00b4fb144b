//! The folder of a development broker: configuration, policies and keys, made once and then the user's to change.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::cannot;
use super::issuer::{CLIENT_ID, WARNING};
use crate::data_dir;
use crate::error::CommandError;
use crate::secrets::master::MasterKey;

/// Written last: a folder without it is made again.
pub(super) const CONFIG: &str = "broker.toml";
const LOCK: &str = "dev.lock";
const POLICIES: &str = "policies";
const DATA: &str = "data";
const MASTER: &str = "master.key";
/// Whose log it is; nobody else's.
const ORIGIN: &str = "localhost/dev";

/// Makes the folder if needed and holds it for this process alone.
pub(super) fn claim(dir: &Path) -> Result<File, CommandError> {
    private_dir(dir)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK))
        .map_err(|e| cannot("use", dir, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => Err(
            CommandError::config(format!("Another `chunk-broker dev` runs in {}.", dir.display()))
                .next("stop it, or choose another `--dir`"),
        ),
    }
}

/// Writes configuration and policies, and makes keys and journal as `init` does. An attempt that was interrupted before the
/// configuration stood is made again; a journal that exists is never made anew.
pub(super) fn make(dir: &Path, data: &Path, port: u16, issuer: &str) -> Result<(), CommandError> {
    let policies = dir.join(POLICIES);
    private_dir(&policies)?;
    write(&policies.join("demo.cedar"), include_str!("demo.cedar"))?;
    if !dir.join(DATA).exists() {
        let master = MasterKey::generate().map_err(|why| CommandError::unavailable("The master key could not be made.").because(why))?;
        write(&dir.join(MASTER), &master.encode())?;
        data_dir::create(&dir.join(DATA), ORIGIN, &master)?;
    }
    let config = include_str!("broker.toml")
        .replace("@PORT@", &port.to_string())
        .replace("@ISSUER@", &quoted(issuer))
        .replace("@CLIENT@", &quoted(CLIENT_ID))
        .replace("@WARNING@", WARNING)
        .replace("@SAMPLE@", &quoted(&data.display().to_string()));
    write(&dir.join(CONFIG), &config)
}

fn private_dir(dir: &Path) -> Result<(), CommandError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| cannot("make", dir, &e))
}

/// Whole or not at all.
fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut scratch| {
        scratch.write_all(text.as_bytes())?;
        scratch.as_file().sync_all()?;
        scratch.persist(file).map_err(|e| e.error)
    });
    written.map(drop).map_err(|e| cannot("write", file, &e))
}

/// A TOML basic string. JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
