//! The keys that seal bodies: one per person and month, in a file apart from the journal.
//!
//! Destroying a key erases every body under it, in every copy of the journal, and no proof notices. Hence the separate file:
//! a backup of the journal must not bring keys back. Keys are stored wrapped under a master key, and people only as keyed
//! hashes. The file uses a rollback journal with `secure_delete`, so a destroyed key is overwritten in place; what a disk
//! keeps of overwritten blocks is still wrapped.
//!
//! Failure model, as the journal's: after an I/O error nobody knows what is on disk, and a second sync may lie. So the file
//! makes and destroys no more keys until it is opened again; what was sealed under keys that are there still opens.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chunk_evidence::encode::to_hex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use zeroize::Zeroizing;

/// Names a data key; stored beside what it sealed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataKeyId(String);

impl DataKeyId {
    /// An id as stored.
    #[must_use]
    pub fn from_stored(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A data key at hand, to seal with and nothing else.
pub struct DataKey {
    id: DataKeyId,
    secret: Secret,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DataKey").field(&self.id.0).finish()
    }
}

impl DataKey {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &DataKeyId {
        &self.id
    }

    /// Seals a body document as [`DataKeys::seal`] does. The nonce is 12 random bytes that were never used before.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DataKeyError> {
        seal_under(&aead(&self.secret)?, nonce, aad, plaintext)
    }
}

/// Why sealing or unsealing failed.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// `create` never overwrites.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// `open` never creates.
    #[error("there is no key file `{}`; `chunk-broker init` makes one", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("another broker is using `{}`", .0.display())]
    InUse(PathBuf),
    /// Not a key file, or one of another version.
    #[error("`{}` is not a key file of this version", .0.display())]
    Foreign(PathBuf),
    /// The file belongs to another master key.
    #[error("the master key is not the one these data keys were made under")]
    MasterKey,
    /// There is no such key.
    #[error("there is no data key of this id")]
    Unknown,
    /// The key was destroyed, so nothing can be sealed under it.
    #[error("this data key was destroyed")]
    Destroyed,
    /// The sealed bytes are not what was sealed under this key for this leaf.
    #[error("a sealed body is damaged or belongs to another entry")]
    Damaged,
    /// A write failed earlier, so what is on disk is unknown until the file is opened again.
    #[error("an earlier write of the key file failed; no key is made or destroyed until the broker starts again")]
    Poisoned,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
    /// The file system failed.
    #[error("the key file could not be used")]
    Io(#[from] io::Error),
    /// The database failed.
    #[error("the key file's database could not be used")]
    Database(#[from] rusqlite::Error),
}

/// `PRAGMA application_id` of a key file: "chky".
const APPLICATION_ID: i32 = 0x6368_6b79;
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "CREATE TABLE keys (id TEXT PRIMARY KEY, owner BLOB UNIQUE, wrapped BLOB) STRICT;
                      CREATE TABLE master (proof BLOB NOT NULL) STRICT;";
/// Unwrapped keys held in memory at most; beyond it the memory starts afresh.
const CACHE_MAX: usize = 16 * 1024;

type Secret = Zeroizing<[u8; 32]>;

/// All data keys of a deployment. Shared between threads.
pub struct DataKeys {
    inner: Mutex<Inner>,
    random: SystemRandom,
    wrapping: LessSafeKey,
    owners: hmac::Key,
    /// Held for its lock.
    _lock: File,
}

struct Inner {
    connection: Connection,
    /// Owner hash → id of the key in use.
    current: HashMap<[u8; 32], DataKeyId>,
    /// Unwrapped keys by id.
    unwrapped: HashMap<DataKeyId, Secret>,
    poisoned: bool,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeys(..)")
    }
}

impl DataKeys {
    /// Makes a new key file under this master key.
    ///
    /// # Errors
    /// When the file exists, or cannot be made.
    pub fn create(path: impl AsRef<Path>, master: &[u8; 32]) -> Result<Self, DataKeyError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(DataKeyError::Exists(path.to_owned())),
            made => drop(made?),
        }
        let connection = connect(path)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute(
            "INSERT INTO master (proof) VALUES (?1)",
            params![derive(master, "check").as_slice()],
        )?;
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Self::start(connection, master, lock)
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// When there is none, another process has it, or it belongs to another master key.
    pub fn open(path: impl AsRef<Path>, master: &[u8; 32]) -> Result<Self, DataKeyError> {
        let path = path.as_ref();
        if !path.try_exists()? {
            return Err(DataKeyError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => DataKeyError::Foreign(path.to_owned()),
            _ => DataKeyError::Database(error),
        };
        let connection = connect(path).map_err(foreign)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION_ID, SCHEMA_VERSION) {
            return Err(DataKeyError::Foreign(path.to_owned()));
        }
        let proof: Vec<u8> = connection.query_row("SELECT proof FROM master", [], |row| row.get(0))?;
        // The proof is a keyed hash that reveals nothing, so how long comparing takes reveals nothing either.
        if proof != derive(master, "check").as_slice() {
            return Err(DataKeyError::MasterKey);
        }
        Self::start(connection, master, lock)
    }

    fn start(connection: Connection, master: &[u8; 32], lock: File) -> Result<Self, DataKeyError> {
        Ok(Self {
            inner: Mutex::new(Inner {
                connection,
                current: HashMap::new(),
                unwrapped: HashMap::new(),
                poisoned: false,
            }),
            random: SystemRandom::new(),
            wrapping: aead(&derive(master, "wrap"))?,
            owners: hmac::Key::new(hmac::HMAC_SHA256, derive(master, "owner").as_slice()),
            _lock: lock,
        })
    }

    /// The key for this subject and month, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn existing(&self, subject: &str, month: &str) -> Result<Option<DataKeyId>, DataKeyError> {
        let owner = self.owner(subject, month);
        let inner = self.lock();
        if let Some(id) = inner.current.get(&owner) {
            return Ok(Some(id.clone()));
        }
        inner.stored(&owner)
    }

    /// As [`DataKeys::key_for`], and gives the key itself.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the key was destroyed since.
    pub fn data_key(&self, subject: &str, month: &str) -> Result<DataKey, DataKeyError> {
        let id = self.key_for(subject, month)?;
        let secret = self.unwrap_key(&id)?.ok_or(DataKeyError::Destroyed)?;
        Ok(DataKey { id, secret })
    }

    /// The key for a person (or any other subject) and a month such as `2026-01`; made, and durable, when there is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn key_for(&self, subject: &str, month: &str) -> Result<DataKeyId, DataKeyError> {
        let owner = self.owner(subject, month);
        let mut inner = self.lock();
        if let Some(id) = inner.current.get(&owner) {
            return Ok(id.clone());
        }
        let id = match inner.stored(&owner)? {
            Some(id) => id,
            None => {
                let id = DataKeyId(format!("dk_{}", to_hex(&*self.fill::<16>()?)));
                let key = self.fill::<32>()?;
                let wrapped = seal_under(&self.wrapping, *self.fill()?, id.as_str().as_bytes(), key.as_slice())?;
                inner.write(
                    "INSERT INTO keys (id, owner, wrapped) VALUES (?1, ?2, ?3)",
                    params![id.0, owner, wrapped],
                )?;
                inner.remember(id.clone(), key);
                id
            }
        };
        if inner.current.len() >= CACHE_MAX {
            inner.current.clear();
        }
        inner.current.insert(owner, id.clone());
        Ok(id)
    }

    /// Seals a body document. `aad` is the SHA-256 of the leaf's bytes, which binds the body to its entry.
    ///
    /// # Errors
    /// When the key is unknown or destroyed.
    pub fn seal(&self, id: &DataKeyId, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DataKeyError> {
        let key = self.unwrap_key(id)?.ok_or(DataKeyError::Destroyed)?;
        seal_under(&aead(&key)?, *self.fill()?, aad, plaintext)
    }

    /// Opens a sealed body document; absent when its key was destroyed.
    ///
    /// # Errors
    /// When the key is unknown, or the bytes are not what was sealed for this leaf.
    pub fn unseal(&self, id: &DataKeyId, aad: &[u8], sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, DataKeyError> {
        let Some(key) = self.unwrap_key(id)? else { return Ok(None) };
        open_under(&aead(&key)?, aad, sealed).map(Some)
    }

    /// Destroys a key: nothing sealed under it can be read again. Durable on return. True when there was something to destroy.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn destroy(&self, id: &DataKeyId) -> Result<bool, DataKeyError> {
        let mut inner = self.lock();
        inner.unwrapped.remove(id);
        inner.current.retain(|_, current| current != id);
        // The owner goes too: what the person does next gets a new key.
        let changed = inner.write(
            "UPDATE keys SET wrapped = NULL, owner = NULL WHERE id = ?1 AND wrapped IS NOT NULL",
            params![id.0],
        )?;
        Ok(changed > 0)
    }

    /// Who a key belongs to, as stored: nobody can tell without the master key.
    fn owner(&self, subject: &str, month: &str) -> [u8; 32] {
        let mut owner = [0; 32];
        owner.copy_from_slice(hmac::sign(&self.owners, format!("{}:{subject}{month}", subject.len()).as_bytes()).as_ref());
        owner
    }

    fn unwrap_key(&self, id: &DataKeyId) -> Result<Option<Secret>, DataKeyError> {
        let mut inner = self.lock();
        if let Some(key) = inner.unwrapped.get(id) {
            return Ok(Some(key.clone()));
        }
        let wrapped: Option<Vec<u8>> = inner
            .connection
            .query_row("SELECT wrapped FROM keys WHERE id = ?1", params![id.0], |row| row.get(0))
            .optional()?
            .ok_or(DataKeyError::Unknown)?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let opened = open_under(&self.wrapping, id.as_str().as_bytes(), &wrapped)?;
        let mut key = Secret::default();
        if opened.len() != key.len() {
            return Err(DataKeyError::Damaged);
        }
        key.copy_from_slice(&opened);
        inner.remember(id.clone(), key.clone());
        Ok(Some(key))
    }

    fn fill<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>, DataKeyError> {
        let mut bytes = Zeroizing::new([0; N]);
        self.random.fill(bytes.as_mut_slice()).map_err(|_| DataKeyError::Random)?;
        Ok(bytes)
    }

    /// A panic elsewhere cannot leave a half-made change: each statement is a transaction.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn stored(&self, owner: &[u8; 32]) -> Result<Option<DataKeyId>, DataKeyError> {
        let id: Option<String> = self
            .connection
            .query_row("SELECT id FROM keys WHERE owner = ?1", params![owner], |row| row.get(0))
            .optional()?;
        Ok(id.map(DataKeyId))
    }

    fn write(&mut self, sql: &str, values: impl rusqlite::Params) -> Result<usize, DataKeyError> {
        if self.poisoned {
            return Err(DataKeyError::Poisoned);
        }
        self.connection.execute(sql, values).map_err(|error| {
            // On a full disk SQLite rolls back and can go on; after anything else, what is on disk is unknown.
            self.poisoned = error.sqlite_error_code() != Some(rusqlite::ErrorCode::DiskFull) || !self.connection.is_autocommit();
            if self.poisoned {
                tracing::error!(%error, "the key file failed and makes no more keys");
            }
            DataKeyError::Database(error)
        })
    }

    fn remember(&mut self, id: DataKeyId, key: Secret) {
        if self.unwrapped.len() >= CACHE_MAX {
            self.unwrapped.clear();
        }
        self.unwrapped.insert(id, key);
    }
}

/// Random nonces are safe for 2^32 messages a key; a person does not do that much in a month.
fn seal_under(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DataKeyError> {
    let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let text = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
        .map_err(|_| DataKeyError::Damaged)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open_under(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DataKeyError> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(DataKeyError::Damaged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DataKeyError::Damaged)?;
    let mut text = Zeroizing::new(rest.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(aad), &mut text)
        .map_err(|_| DataKeyError::Damaged)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, DataKeyError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| DataKeyError::Damaged)
}

/// One key per purpose from the master key.
fn derive(master: &[u8; 32], purpose: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, master);
    let mut out = Secret::default();
    out.copy_from_slice(hmac::sign(&key, format!("chunkctl.dev/data-keys/{purpose}/v1").as_bytes()).as_ref());
    out
}

fn lock(file: &Path) -> Result<File, DataKeyError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DataKeyError::InUse(file.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
