//! An SQLite file, opened so that it can only be read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Result};

use crate::source::bridge::Gone;
use crate::source::files::held;

/// The real path of a regular file below `root`; its links are resolved now and may not be links when it is opened.
pub(super) fn locate(root: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let real = path.canonicalize()?;
    held::open(&root, &real)?;
    Ok(real)
}

/// Opens a file that [`locate`] found. Nothing is read before a statement is.
pub(super) fn open(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        db.set_limit(limit, value)?;
    }
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    // A file that is cut short while it is mapped kills the process.
    db.pragma_update(None, "mmap_size", 0)?;
    db.authorizer(Some(authorize))?;
    Ok(db)
}

/// Has a statement stop once nobody wants its rows, or its time is up.
pub(super) fn stop_at(db: &Connection, deadline: Instant, gone: &Gone) -> Result<()> {
    let gone = gone.clone();
    db.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || gone.is_so() || Instant::now() >= deadline))
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A longer value ends the read.
const VALUE_BYTES_MAX: i32 = 64 * 1024 * 1024;
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// What a statement, or a view that it names, may do: read. Asked while it is prepared.
fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive | AuthAction::Transaction { .. } => true,
        AuthAction::Function { function_name } => !REFUSED_FUNCTIONS.iter().any(|f| f.eq_ignore_ascii_case(function_name)),
        AuthAction::Pragma { pragma_name, pragma_value } => match pragma_name {
            "table_xinfo" => true,
            "schema_version" | "data_version" | "encoding" => pragma_value.is_none(),
            _ => false,
        },
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

const REFUSED_FUNCTIONS: [&str; 2] = ["load_extension", "fts3_tokenizer"];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_opened_file_can_only_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let file = root.join("a.db");
        let own = Connection::open(&file).unwrap();
        own.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
        let db = open(&locate(&root, &file).unwrap()).unwrap();
        let count = |db: &Connection| db.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0));
        assert_eq!(count(&db).unwrap(), 1);
        let other = root.join("b.db");
        for statement in [
            "INSERT INTO t VALUES (2)",
            "DELETE FROM t",
            "CREATE TEMP TABLE u (n)",
            "CREATE TABLE u (n)",
            "DROP TABLE t",
            "PRAGMA query_only = 0",
            "PRAGMA journal_mode = WAL",
            "PRAGMA writable_schema = 1",
            "SELECT load_extension('x')",
            "VACUUM",
            &format!("ATTACH '{}' AS other", other.display()),
            &format!("VACUUM INTO '{}'", other.display()),
        ] {
            assert!(db.execute_batch(statement).is_err(), "{statement}");
        }
        assert!(!other.exists());
        assert_eq!(count(&own).unwrap(), 1);
    }

    #[test]
    fn a_link_in_the_files_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&root).unwrap();
        let outside = folder.path().join("outside.db");
        for file in [&outside, &root.join("a.db")] {
            Connection::open(file).unwrap().execute_batch("CREATE TABLE t (n)").unwrap();
        }
        let real = locate(&root, &root.join("a.db")).unwrap();
        std::fs::remove_file(&real).unwrap();
        std::os::unix::fs::symlink(&outside, &real).unwrap();
        // Found before, swapped since: refused when it is opened, as is what is found now.
        let opened = open(&real).and_then(|db| db.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)));
        assert!(opened.is_err());
        assert!(locate(&root, &root.join("a.db")).is_err());
    }

    #[tokio::test]
    async fn a_statement_stops_when_nobody_wants_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("a.db");
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (n)").unwrap();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (ended, ends) = tokio::sync::oneshot::channel();
        let rows = crate::source::bridge::rows(move |gone, _| {
            let db = open(&file).unwrap();
            stop_at(&db, Instant::now() + Duration::from_secs(600), gone).unwrap();
            begun.send(()).unwrap();
            let endless = "WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c) SELECT k FROM c WHERE k < 0";
            let stopped = db.query_row(endless, [], |_| Ok(()));
            ended.send(stopped.unwrap_err().sqlite_error_code()).unwrap();
            Ok(())
        });
        begins.await.unwrap();
        drop(rows);
        let code = tokio::time::timeout(Duration::from_secs(60), ends).await.unwrap().unwrap();
        assert_eq!(code, Some(rusqlite::ErrorCode::OperationInterrupted));
    }
}
