//! The folder that makes an installation itself: its journal, the keys of its bodies, the sealed key of its log, its name.
//!
//! `init` makes it and nothing else does: a broker that made a new journal where an old one was expected would start a second
//! history under the same name.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chunk_log::{DataKeys, LogSigner, SqliteJournal};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::{CommandError, chain};
use crate::recordings::FileRecordings;
use crate::secrets::master::MasterKey;
use crate::secrets::sealed;

const JOURNAL: &str = "journal.sqlite";
const DATA_KEYS: &str = "data-keys.sqlite";
const LOG_KEY: &str = "log-key.sealed";
/// The key that is to take its place, from the time at which it is prepared until it has.
const LOG_KEY_NEXT: &str = "log-key-next.sealed";
const INSTALLATION: &str = "installation.json";
/// Made when the first recording is.
const RECORDINGS: &str = "recordings";

/// Who this installation is; written once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Installation {
    v: u32,
    origin: String,
    instance: String,
}

/// An opened data folder.
pub(crate) struct DataDir {
    pub(crate) origin: String,
    pub(crate) instance: String,
    pub(crate) journal: SqliteJournal,
    pub(crate) data_keys: DataKeys,
    pub(crate) signer: LogSigner,
    /// The key prepared to take the signer's place.
    pub(crate) successor: Option<LogSigner>,
    pub(crate) recordings: FileRecordings,
}

/// Makes the folder. `origin` is `ORG/DEPLOYMENT`; a random shard is appended, so that no two journals share a name.
pub(crate) fn create(dir: &Path, origin: &str, master: &MasterKey) -> Result<(), CommandError> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        CommandError::config(format!("The data folder {} could not be made.", dir.display())).because(format!("{what}: {}", chain(error)))
    };
    if dir.exists() {
        return Err(
            CommandError::config(format!("The data folder {} exists already; nothing was changed.", dir.display()))
                .because("it may hold the only copy of an evidence log")
                .next("choose another folder, or move this one away"),
        );
    }
    let origin = format!("{origin}/{}", random_hex::<4>()?);
    let key = LogSigner::generate_pkcs8().map_err(|e| failed("log key", &e))?;
    LogSigner::from_pkcs8(&origin, &key).map_err(|e| failed("origin", &e))?;
    let sealed_key = sealed::seal(master, sealed::LOG_KEY, &key)
        .map_err(|why| CommandError::unavailable("The log's key could not be sealed.").because(why))?;
    let installation = Installation {
        v: 1,
        origin,
        instance: random_hex::<8>()?,
    };
    let text = serde_json::to_string_pretty(&installation).map_err(|e| failed(INSTALLATION, &e))?;

    // Made beside its place and moved there whole: a folder by this name is a complete one.
    let scratch = beside(dir, &format!(".new-{}", random_hex::<4>()?));
    let made = (|| {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&scratch)
            .map_err(|e| failed("folder", &e))?;
        drop(SqliteJournal::create(scratch.join(JOURNAL)).map_err(|e| failed(JOURNAL, &e))?);
        drop(DataKeys::create(scratch.join(DATA_KEYS), &data_keys_master(master)).map_err(|e| failed(DATA_KEYS, &e))?);
        write_private(&scratch.join(LOG_KEY), &format!("{sealed_key}\n")).map_err(|e| failed(LOG_KEY, &e))?;
        write_private(&scratch.join(INSTALLATION), &format!("{text}\n")).map_err(|e| failed(INSTALLATION, &e))?;
        std::fs::rename(&scratch, dir).map_err(|e| failed("rename", &e))
    })();
    if made.is_err() {
        // Half a folder helps nobody; one that cannot be removed is named by the error.
        drop(std::fs::remove_dir_all(&scratch));
    }
    made
}

/// Whether the folder would open, as far as can be told while a broker may be using it.
pub(crate) fn check(dir: &Path, master: &MasterKey) -> Result<(), CommandError> {
    let (installation, _) = identity(dir, master)?;
    successor(dir, &installation, master).map(|_| ())
}

/// Opens the folder.
pub(crate) fn open(dir: &Path, master: &MasterKey) -> Result<DataDir, CommandError> {
    let (installation, signer) = identity(dir, master)?;
    let successor = successor(dir, &installation, master)?;
    let fault = |what: String| unusable(dir, &what);
    let data_keys =
        DataKeys::open(dir.join(DATA_KEYS), &data_keys_master(master)).map_err(|e| fault(format!("{DATA_KEYS}: {}", chain(&e))))?;
    let journal = SqliteJournal::open(dir.join(JOURNAL)).map_err(|e| fault(format!("{JOURNAL}: {}", chain(&e))))?;
    Ok(DataDir {
        origin: installation.origin,
        instance: installation.instance,
        journal,
        data_keys,
        signer,
        successor,
        recordings: FileRecordings::below(dir.join(RECORDINGS)),
    })
}

fn identity(dir: &Path, master: &MasterKey) -> Result<(Installation, LogSigner), CommandError> {
    let fault = |what: &str| unusable(dir, what);
    if !dir.is_dir() {
        return Err(fault("it does not exist").next("run `chunk-broker init DIR` once, or correct `broker.data_dir`"));
    }
    let text = std::fs::read_to_string(dir.join(INSTALLATION)).map_err(|e| fault(&format!("{INSTALLATION}: {}", e.kind())))?;
    let installation: Installation = serde_json::from_str(&text).map_err(|e| fault(&format!("{INSTALLATION}: {e}")))?;
    if installation.v != 1 {
        return Err(fault("it was made by a newer version of this program"));
    }
    let sealed_key = std::fs::read_to_string(dir.join(LOG_KEY)).map_err(|e| fault(&format!("{LOG_KEY}: {}", e.kind())))?;
    let signer = unseal(&installation.origin, master, &sealed_key).map_err(|why| fault(&format!("{LOG_KEY}: {why}")))?;
    Ok((installation, signer))
}

/// The key prepared to take the log key's place, if one is.
fn successor(dir: &Path, installation: &Installation, master: &MasterKey) -> Result<Option<LogSigner>, CommandError> {
    let fault = |why: String| {
        unusable(dir, &format!("{LOG_KEY_NEXT}: {why}"))
            .next("if no key was to be replaced, move this file away; else put the right one back")
    };
    match std::fs::read_to_string(dir.join(LOG_KEY_NEXT)) {
        Ok(sealed_key) => unseal(&installation.origin, master, &sealed_key).map(Some).map_err(fault),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fault(e.kind().to_string())),
    }
}

fn unseal(origin: &str, master: &MasterKey, sealed_key: &str) -> Result<LogSigner, String> {
    let key = sealed::open(master, sealed::LOG_KEY, sealed_key.trim())?;
    LogSigner::from_pkcs8(origin, &key).map_err(|e| chain(&e))
}

/// The log's key and the one that is to take its place, which is made if none is prepared. A broker may be using the folder.
pub(crate) fn prepare_key(dir: &Path, master: &MasterKey) -> Result<(LogSigner, LogSigner), CommandError> {
    let (installation, signer) = identity(dir, master)?;
    if let Some(next) = successor(dir, &installation, master)? {
        return Ok((signer, next));
    }
    let failed = |why: String| CommandError::unavailable("The new key could not be made.").because(why);
    let key = LogSigner::generate_pkcs8().map_err(|e| failed(chain(&e)))?;
    let next = LogSigner::from_pkcs8(&installation.origin, &key).map_err(|e| failed(chain(&e)))?;
    let sealed_key = sealed::seal(master, sealed::LOG_KEY, &key).map_err(failed)?;
    write_note(&dir.join(LOG_KEY_NEXT), &format!("{sealed_key}\n")).map_err(|e| failed(format!("{LOG_KEY_NEXT}: {}", e.kind())))?;
    Ok((signer, next))
}

/// Puts the prepared key in the place of the log's key, once the log says that it is. The old one is gone with that.
pub(crate) fn settle_key(dir: &Path) -> Result<(), CommandError> {
    let settle = || {
        std::fs::rename(dir.join(LOG_KEY_NEXT), dir.join(LOG_KEY))?;
        File::open(dir)?.sync_all()
    };
    settle().map_err(|e| unusable(dir, &format!("{LOG_KEY_NEXT} cannot take the place of {LOG_KEY}: {}", e.kind())))
}

fn unusable(dir: &Path, what: &str) -> CommandError {
    CommandError::config(format!("The data folder {} cannot be used.", dir.display())).because(what)
}

/// Writes a new file that only its owner may read; never over an old one.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    fill(&mut new_private(path)?, text)
}

/// Makes a new, empty file that only its owner may read.
pub(crate) fn new_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes all of the text, durably.
pub(crate) fn fill(file: &mut File, text: &str) -> std::io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether a log may have a name that begins like this.
pub(crate) fn check_origin(origin: &str) -> Result<(), CommandError> {
    let key = LogSigner::generate_pkcs8().map_err(|e| CommandError::unavailable("A key could not be made.").because(chain(&e)))?;
    let named = LogSigner::from_pkcs8(&format!("{origin}/00000000"), &key);
    named.map(drop).map_err(|e| {
        CommandError::config(format!("No log can be called `{}`; nothing was made.", origin.escape_debug()))
            .because(chain(&e))
            .next("give `--origin ORG/DEPLOYMENT`, for example acme.example/prod")
    })
}

fn data_keys_master(master: &MasterKey) -> zeroize::Zeroizing<[u8; 32]> {
    master.derive(&[b"data-keys/v1"])
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

fn random_hex<const N: usize>() -> Result<String, CommandError> {
    let mut bits = [0_u8; N];
    SystemRandom::new()
        .fill(&mut bits)
        .map_err(|_| CommandError::unavailable("The system gives no randomness."))?;
    Ok(hex::encode(bits))
}

/// Writes a note in the data folder: after a crash of the machine there is the old one or the new one, never half of one.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_note(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut scratch = tempfile::Builder::new().prefix(".note-").tempfile_in(folder)?;
    scratch.write_all(text.as_bytes())?;
    // Before it gets its name.
    scratch.as_file().sync_all()?;
    scratch.persist(file).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_opens_under_its_master_key_only_and_is_never_made_twice() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let master = MasterKey::generate().unwrap();
        create(&dir, "acme.example/prod", &master).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let first = open(&dir, &master).unwrap();
        assert!(first.origin.starts_with("acme.example/prod/"), "{}", first.origin);
        let (origin, vkey) = (first.origin.clone(), first.signer.vkey());
        drop(first);
        let again = open(&dir, &master).unwrap();
        assert_eq!((again.origin.clone(), again.signer.vkey()), (origin, vkey));
        drop(again);
        let other = open(&dir, &MasterKey::generate().unwrap()).err().unwrap().to_string();
        assert!(other.contains("another master key"), "{other}");
        assert!(
            create(&dir, "acme.example/prod", &master)
                .unwrap_err()
                .to_string()
                .contains("exists already")
        );
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_origin_that_cannot_name_a_log_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let made = create(&home.path().join("data"), "a b", &MasterKey::generate().unwrap());
        assert!(made.is_err());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_made_by_opening() {
        let home = tempfile::tempdir().unwrap();
        let missing = open(&home.path().join("data"), &MasterKey::generate().unwrap())
            .err()
            .unwrap()
            .to_string();
        assert!(missing.contains("chunk-broker init"), "{missing}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
