//! The folder of a development broker: configuration, policies and keys, made once and then the user's to change.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::DevError;
use super::issuer::{CLIENT_ID, WARNING};

/// Written last: a folder without it is made again.
pub(super) const CONFIG: &str = "broker.toml";
const LOCK: &str = "dev.lock";
const POLICIES: &str = "policies";

/// Makes the folder if needed and holds it for this process alone.
pub(super) fn claim(dir: &Path) -> Result<File, DevError> {
    let failed = |source| DevError::File {
        what: "use",
        path: dir.to_owned(),
        source,
    };
    private_dir(dir).map_err(failed)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join(LOCK))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => Err(DevError::InUse(dir.to_owned())),
    }
}

/// Writes configuration and policies, and makes keys and journal as `init` does.
pub(super) fn make(dir: &Path, data: &Path, port: u16, issuer: &str) -> Result<(), DevError> {
    let policies = dir.join(POLICIES);
    private_dir(&policies).map_err(|source| DevError::File {
        what: "make",
        path: policies.clone(),
        source,
    })?;
    write(&policies.join("demo.cedar"), include_str!("demo.cedar"))?;
    let config = include_str!("broker.toml")
        .replace("@PORT@", &port.to_string())
        .replace("@ISSUER@", &quoted(issuer))
        .replace("@CLIENT@", &quoted(CLIENT_ID))
        .replace("@WARNING@", WARNING)
        .replace("@SAMPLE@", &quoted(&data.display().to_string()));
    write(&dir.join(CONFIG), &config)
}

fn private_dir(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn write(file: &Path, text: &str) -> Result<(), DevError> {
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|source| DevError::File {
        what: "write",
        path: file.to_owned(),
        source,
    })
}

/// A TOML basic string. JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
