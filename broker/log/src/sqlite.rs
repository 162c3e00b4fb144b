//! The embedded journal: one SQLite file, one writing process.
//!
//! Failure model. WAL with `synchronous=FULL`: a commit is one sync of the WAL, and what it acknowledged survives power loss
//! if the disk honours syncs. A failed sync leaves the kernel's pages in an unknown state, and a second sync may lie (pages
//! marked clean), so any I/O error poisons the journal: it takes no more entries until a fresh open has read the file anew.
//! A full disk is different: SQLite rolls back, the size is read back to make sure, and the journal goes on. A lock on a file
//! beside the database, which the kernel drops with the process, keeps a second broker out; SQLite's own locks would let it
//! in between two transactions, and the compare-and-swap would then be all that stands between the two.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use crate::journal::{AppendError, Journal, JournalReader, ReadError, Record, Urgency};
use crate::reserve::Reserve;

/// Why a journal could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `create` never overwrites.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// `open` never creates.
    #[error("there is no journal `{}`; `chunk-broker init` makes one", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("another broker is running on `{}`", .0.display())]
    InUse(PathBuf),
    /// Not a journal, or one of another version.
    #[error("`{}` is not a journal of this version", .0.display())]
    Foreign(PathBuf),
    /// An entry is missing.
    #[error("the journal has a gap: {found} entries below index {end}")]
    Gap {
        /// Highest index and one.
        end: u64,
        /// Entries there are.
        found: u64,
    },
    /// The file system failed.
    #[error("the journal's files could not be used")]
    Io(#[from] io::Error),
    /// The database failed.
    #[error("the journal's database could not be used")]
    Database(#[from] rusqlite::Error),
}

/// `PRAGMA application_id` of a journal: "chnk".
const APPLICATION_ID: i32 = 0x6368_6e6b;
/// `PRAGMA user_version` of this schema.
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, sealed BLOB NOT NULL, data_key TEXT) STRICT;";

/// A journal in one SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    connection: Connection,
    path: PathBuf,
    size: Arc<AtomicU64>,
    poisoned: bool,
    reserve: Reserve,
    /// Held for its lock.
    _lock: File,
}

impl SqliteJournal {
    /// Makes a new, empty journal.
    ///
    /// # Errors
    /// When the file exists, or cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(OpenError::Exists(path.to_owned())),
            made => drop(made?),
        }
        let connection = connect(path)?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Self::start(path, connection, lock)
    }

    /// Opens an existing journal and checks that no index is missing.
    ///
    /// # Errors
    /// When there is none, another process has it, or it is not whole.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if !path.try_exists()? {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
            _ => OpenError::Database(error),
        };
        let connection = connect(path).map_err(foreign)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION_ID, SCHEMA_VERSION) {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        Self::start(path, connection, lock)
    }

    fn start(path: &Path, connection: Connection, lock: File) -> Result<Self, OpenError> {
        let (found, end, first) = connection.query_row(
            "SELECT count(*), coalesce(max(idx) + 1, 0), coalesce(min(idx), 0) FROM entries",
            [],
            |row| Ok((count(row, 0)?, count(row, 1)?, count(row, 2)?)),
        )?;
        if found != end || first != 0 {
            return Err(OpenError::Gap { end, found });
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
            size: Arc::new(AtomicU64::new(end)),
            poisoned: false,
            reserve: Reserve::beside(path),
            _lock: lock,
        })
    }

    fn try_append(&mut self, expected: u64, records: &[Record]) -> Result<u64, AppendError> {
        match write(&mut self.connection, expected, records) {
            Ok(Ok(size)) => {
                self.size.store(size, Ordering::Release);
                Ok(size)
            }
            Ok(Err(found)) => Err(AppendError::Conflict { expected, found }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) && self.is_unchanged() => Err(AppendError::NoSpace),
            Err(error) => Err(self.poison(error)),
        }
    }

    fn poison(&mut self, error: rusqlite::Error) -> AppendError {
        self.poisoned = true;
        // Closing would otherwise sync and move the WAL once more, and a second sync may lie.
        let kept = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        tracing::error!(%error, wal_kept = kept.is_ok(), "the journal failed and takes no more entries");
        AppendError::Failed(error.into())
    }

    /// Whether the last transaction is really gone.
    fn is_unchanged(&self) -> bool {
        self.connection.is_autocommit() && size_of(&self.connection).is_ok_and(|size| size == self.size.load(Ordering::Acquire))
    }
}

impl Journal for SqliteJournal {
    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn append(&mut self, expected: u64, records: &[Record], urgency: Urgency) -> Result<u64, AppendError> {
        if self.poisoned {
            return Err(AppendError::Failed("an earlier write failed; what is on disk is unknown".into()));
        }
        let found = self.size();
        if found != expected {
            return Err(AppendError::Conflict { expected, found });
        }
        if records.is_empty() {
            return Ok(expected);
        }
        if urgency == Urgency::Normal && !self.reserve.has_room() {
            return Err(AppendError::NoSpace);
        }
        match self.try_append(expected, records) {
            Err(AppendError::NoSpace) if urgency == Urgency::Closing && self.reserve.release() => self.try_append(expected, records),
            result => result,
        }
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError> {
        read(&self.connection, self.size(), from, max)
    }

    fn forget(&mut self, indices: &[u64]) -> Result<bool, AppendError> {
        if self.poisoned {
            return Err(AppendError::Failed("an earlier write failed; what is on disk is unknown".into()));
        }
        match forget(&mut self.connection, indices) {
            Ok(gone) => Ok(gone),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) && self.is_unchanged() => Err(AppendError::NoSpace),
            Err(error) => Err(self.poison(error)),
        }
    }

    fn reader(&self) -> Result<Box<dyn JournalReader>, ReadError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| ReadError::Failed(error.into()))?;
        Ok(Box::new(SqliteReader {
            connection,
            size: Arc::clone(&self.size),
        }))
    }
}

struct SqliteReader {
    connection: Connection,
    size: Arc<AtomicU64>,
}

impl JournalReader for SqliteReader {
    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, ReadError> {
        read(&self.connection, self.size(), from, max)
    }
}

fn lock(journal: &Path) -> Result<File, OpenError> {
    let mut name = journal.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(journal.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(8);
    Ok(connection)
}

/// How long somebody else's lock on the file is waited for.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// The inner result is the size found when it is not the one expected.
fn write(connection: &mut Connection, expected: u64, records: &[Record]) -> Result<Result<u64, u64>, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = size_of(&transaction)?;
    if found != expected {
        return Ok(Err(found));
    }
    let mut index = expected;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO entries (idx, leaf, sealed, data_key) VALUES (?1, ?2, ?3, ?4)")?;
        for record in records {
            insert.execute(params![stored(index), record.leaf, record.sealed, record.data_key])?;
            index += 1;
        }
    }
    transaction.commit()?;
    Ok(Ok(index))
}

/// True when the WAL was emptied too.
fn forget(connection: &mut Connection, indices: &[u64]) -> Result<bool, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut update = transaction.prepare_cached("UPDATE entries SET sealed = x'', data_key = NULL WHERE idx = ?1")?;
        for index in indices {
            update.execute(params![stored(*index)])?;
        }
    }
    transaction.commit()?;
    // What is deleted is overwritten with zeros where it stood (`secure_delete`), but the WAL holds pages from before.
    // Whoever reads those is not waited for here, where entries have to be written: it is tried again.
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    connection.busy_timeout(BUSY_MAX)?;
    Ok(busy? == 0)
}

fn size_of(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection
        .prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM entries")?
        .query_row([], |row| count(row, 0))
}

/// Indices are stored as signed 64-bit integers.
fn stored(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn count(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn read(connection: &Connection, size: u64, from: u64, max: usize) -> Result<Vec<Record>, ReadError> {
    let failed = |error: rusqlite::Error| ReadError::Failed(error.into());
    let to = size.min(from.saturating_add(max as u64));
    let mut select = connection
        .prepare_cached("SELECT idx, leaf, sealed, data_key FROM entries WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")
        .map_err(failed)?;
    let mut rows = select.query(params![stored(from), stored(to)]).map_err(failed)?;
    let mut records = Vec::new();
    let mut next = from;
    while let Some(row) = rows.next().map_err(failed)? {
        if count(row, 0).map_err(failed)? != next {
            return Err(ReadError::Gap(next));
        }
        next += 1;
        let record = || {
            Ok(Record {
                leaf: row.get(1)?,
                sealed: row.get(2)?,
                data_key: row.get(3)?,
            })
        };
        records.push(record().map_err(failed)?);
    }
    if next < to { Err(ReadError::Gap(next)) } else { Ok(records) }
}

#[cfg(test)]
mod tests;
