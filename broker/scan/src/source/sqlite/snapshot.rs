//! One state of a file, which every read of an order shares.
//!
//! A reader is a connection in a read transaction. One is enough for one table. Where an order reads several times (a join,
//! a union), its readers begin together, and a further connection that is in no transaction says whether anybody wrote in
//! between; if so they begin again. Statements on one connection could not be read side by side by several threads, and one
//! that waits for another's reader would wait for ever.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chunk_port::ScanError;
use rusqlite::{Connection, Result};

use super::catalog::{self, Relation};
use super::{connect, fault};
use crate::engine::fault as public;
use crate::source::bridge::Gone;

/// A state of a file.
pub(crate) struct Snapshot {
    connection: String,
    file: PathBuf,
    deadline: Instant,
    /// When the tables were described.
    schema_version: i64,
    /// Reads prepared.
    reads: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// The reader that described the tables.
    first: Option<Connection>,
    /// In no transaction.
    witness: Connection,
    /// What the witness saw when the readers began.
    version: i64,
    begun: bool,
    /// Readers that wait for a read.
    spare: Vec<Connection>,
}

/// Times that readers begin anew because somebody wrote.
const BEGINNINGS_MAX: usize = 20;

impl Snapshot {
    /// Opens a file below `root` and describes `tables`, in their order; `None` where there is none of this name.
    pub(crate) async fn begin(
        connection: &str,
        root: &Path,
        path: &Path,
        limit_s: u32,
        tables: Vec<String>,
    ) -> std::result::Result<(Arc<Self>, Vec<Option<Relation>>), ScanError> {
        let (owner, root, path) = (connection.to_owned(), root.to_owned(), path.to_owned());
        let deadline = Instant::now() + Duration::from_secs(u64::from(limit_s));
        let begun = tokio::task::spawn_blocking(move || Self::begin_blocking(owner, &root, &path, deadline, &tables)).await;
        begun.map_err(|e| public::internal(e.to_string()))?
    }

    fn begin_blocking(
        connection: String,
        root: &Path,
        path: &Path,
        deadline: Instant,
        tables: &[String],
    ) -> std::result::Result<(Arc<Self>, Vec<Option<Relation>>), ScanError> {
        let file = connect::locate(root, path).map_err(|e| {
            public::source(
                format!("the file behind `{connection}` cannot be opened by the broker"),
                format!("{}: {e}", path.display()),
            )
        })?;
        let failed = |e: rusqlite::Error| fault::preparing(&connection, &format!("describing {}", path.display()), &e);
        let witness = connect::open(&file).map_err(failed)?;
        let version = catalog::data_version(&witness).map_err(failed)?;
        let first = transaction(&file).map_err(failed)?;
        connect::stop_at(&first, deadline, &Gone::default()).map_err(failed)?;
        let schema_version = catalog::schema_version(&first).map_err(failed)?;
        let relations = tables
            .iter()
            .map(|name| catalog::relation(&first, name))
            .collect::<Result<Vec<_>>>()
            .map_err(failed)?;
        let snapshot = Self {
            connection,
            file,
            deadline,
            schema_version,
            reads: AtomicUsize::new(0),
            state: Mutex::new(State {
                first: Some(first),
                witness,
                version,
                begun: false,
                spare: Vec::new(),
            }),
        };
        Ok((Arc::new(snapshot), relations))
    }

    /// The connection's name.
    pub(super) fn connection(&self) -> &str {
        &self.connection
    }

    /// When a statement is stopped.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> Option<u64> {
        std::fs::metadata(&self.file).ok().map(|m| m.len())
    }

    /// Says that one more read will come.
    pub(super) fn expect_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// A reader. Blocks.
    pub(super) fn reader(&self) -> std::result::Result<Connection, ScanError> {
        let failed = |e: rusqlite::Error| fault::reading(&self.connection, "beginning to read", &e);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = state.spare.pop() {
            return Ok(reader);
        }
        if !state.begun {
            state.begun = true;
            let wanted = self.reads.load(Ordering::Relaxed).max(1);
            return self.begin_all(&mut state, wanted);
        }
        // More reads than were prepared.
        let reader = self.further().map_err(failed)?;
        if catalog::data_version(&state.witness).map_err(failed)? == state.version {
            reader.ok_or_else(|| fault::changed(&self.connection))
        } else {
            Err(fault::changed(&self.connection))
        }
    }

    /// Has all readers see one state; one of them is returned, the others wait.
    fn begin_all(&self, state: &mut State, wanted: usize) -> std::result::Result<Connection, ScanError> {
        let failed = |e: rusqlite::Error| fault::reading(&self.connection, "beginning to read", &e);
        let mut readers: Vec<Connection> = state.first.take().into_iter().collect();
        if wanted == 1
            && let Some(reader) = readers.pop()
        {
            return Ok(reader);
        }
        for _ in 0..BEGINNINGS_MAX {
            while readers.len() < wanted {
                match self.further().map_err(failed)? {
                    Some(reader) => readers.push(reader),
                    // Another schema than was described.
                    None => return Err(fault::changed(&self.connection)),
                }
            }
            let version = catalog::data_version(&state.witness).map_err(failed)?;
            if version == state.version {
                let reader = readers.pop().ok_or_else(|| public::internal("no reader has begun"))?;
                state.spare = readers;
                return Ok(reader);
            }
            state.version = version;
            readers.clear();
        }
        Err(fault::changed(&self.connection))
    }

    /// A reader that begins now, unless the schema is no longer what was described.
    fn further(&self) -> Result<Option<Connection>> {
        let reader = transaction(&self.file)?;
        Ok((catalog::schema_version(&reader)? == self.schema_version).then_some(reader))
    }

    /// Gives a reader back after a read that ended well.
    pub(super) fn give_back(&self, reader: Connection) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).spare.push(reader);
    }

    /// How many rows a table has, if that is quickly counted: metadata, so nothing is asked of what they hold.
    pub(super) fn count(&self, from: &str) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = state.first.as_ref()?;
        let counted = connect::stop_at(reader, self.deadline.min(Instant::now() + COUNT_TIME_MAX), &Gone::default())
            .and_then(|()| reader.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get::<_, i64>(0)));
        counted.ok().and_then(|count| u64::try_from(count).ok())
    }
}

const COUNT_TIME_MAX: Duration = Duration::from_secs(2);

/// A connection whose view of the file is fixed from here on.
fn transaction(file: &Path) -> Result<Connection> {
    let reader = connect::open(file)?;
    reader.execute_batch("BEGIN DEFERRED")?;
    reader.query_row("SELECT count(*) FROM (SELECT 1 FROM main.sqlite_schema LIMIT 1)", [], |_| Ok(()))?;
    Ok(reader)
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn readers_of_one_order_see_one_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let own = Connection::open(&path).unwrap();
        own.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)")
            .unwrap();
        let count = |reader: &Connection| reader.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).unwrap();
        let begin = async || {
            let (snapshot, found) = Snapshot::begin("app", folder.path(), &path, 60, vec!["t".to_owned(), "u".to_owned()])
                .await
                .unwrap();
            assert!(matches!(found.as_slice(), [Some(_), None]));
            (0..2).for_each(|_| snapshot.expect_read());
            snapshot
        };
        for _ in 0..20 {
            let snapshot = begin().await;
            own.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            let one = snapshot.reader().unwrap();
            own.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            let other = snapshot.reader().unwrap();
            assert_eq!(count(&one), count(&other));
            assert_eq!(count(&one) + 1, count(&own));
            // One more than was prepared cannot see the same any more; one that is given back does.
            assert!(snapshot.reader().unwrap_err().public.contains("is being written to"));
            snapshot.give_back(one);
            assert_eq!(count(&snapshot.reader().unwrap()), count(&other));
        }
        // Columns that are no longer those that were described are not read.
        let snapshot = begin().await;
        own.execute_batch("ALTER TABLE t ADD COLUMN secret TEXT").unwrap();
        assert!(snapshot.reader().unwrap_err().public.contains("is being written to"));
    }
}
