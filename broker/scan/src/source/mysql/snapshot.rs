//! One read-only transaction on one session, which every read of an order shares.
//!
//! A snapshot cannot be handed to another session there, so all reads of an order go over one. If there is a single read, its
//! rows are streamed. If there are more, each gets a cursor of the server's and they take turns, some hundred rows a time:
//! rows streamed for one would stand in the way of those that another waits for, for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use chunk_port::{MysqlTarget, ScanError};
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::catalog::{self, MyName, Relation};
use super::fault::{Failure, While};
use super::kind::ColumnType;
use super::session::{Reach, Session, Statement};
use crate::engine::fault;
use crate::source::connector::Connector;

/// A transaction at a source.
#[derive(Debug)]
pub(crate) struct Snapshot {
    line: Arc<Line>,
    /// Reads prepared: with more than one, they take turns.
    reads: AtomicUsize,
    _end: DropGuard,
}

/// The session, for as long as somebody reads or has asked it something.
#[derive(Debug)]
struct Line {
    connection: String,
    session: Mutex<Option<Session>>,
    /// Nobody reads any more.
    over: CancellationToken,
}

impl Snapshot {
    /// Connects, begins the transaction and describes the tables; `None` where there is none of this name.
    pub(crate) async fn begin(
        connector: &Arc<Connector>,
        target: &Arc<MysqlTarget>,
        tag: &str,
        limit_s: u32,
        names: &[MyName],
    ) -> Result<(Arc<Self>, Vec<Option<Relation>>), ScanError> {
        let reach = Arc::new(Reach {
            connector: Arc::clone(connector),
            target: Arc::clone(target),
            tag: tag.to_owned(),
        });
        let mut session = reach.session().await?;
        let failed = |e: Failure| e.told(&target.connection, "reading the catalog", While::Connecting);
        for statement in settings(target, limit_s, session.maria) {
            session.command(&statement).await.map_err(failed)?;
        }
        let mut relations = Vec::with_capacity(names.len());
        for name in names {
            relations.push(catalog::relation(&mut session, name).await.map_err(failed)?);
        }
        let over = CancellationToken::new();
        let line = Line {
            connection: target.connection.clone(),
            session: Mutex::new(Some(session)),
            over: over.clone(),
        };
        let snapshot = Self {
            line: Arc::new(line),
            reads: AtomicUsize::new(0),
            _end: over.drop_guard(),
        };
        Ok((Arc::new(snapshot), relations))
    }

    /// The connection's name.
    pub(super) fn connection(&self) -> &str {
        &self.line.connection
    }

    /// Says that one more read will come.
    pub(super) fn expect_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// The session itself, where there is a single read; to be given back after it.
    pub(super) async fn alone(&self) -> Option<Session> {
        if self.reads.load(Ordering::Relaxed) <= 1 {
            self.line.session.lock().await.take()
        } else {
            None
        }
    }

    /// Gives the session back after a read that ended well.
    pub(super) async fn give_back(&self, session: Session) {
        *self.line.session.lock().await = Some(session);
    }

    /// Opens a cursor.
    pub(super) async fn cursor(&self, sql: String) -> Result<(Statement, Vec<ColumnType>), ScanError> {
        self.turn(Turn::Open(sql)).await.and_then(|done| match done {
            Done::Opened(statement, columns) => Ok((statement, columns)),
            Done::Fetched(..) => Err(fault::internal("a cursor that was not opened")),
        })
    }

    /// The next rows of a cursor, and whether they are the last.
    pub(super) async fn fetch(&self, statement: Statement) -> Result<(Vec<Bytes>, bool), ScanError> {
        self.turn(Turn::Fetch(statement)).await.and_then(|done| match done {
            Done::Fetched(rows, ended) => Ok((rows, ended)),
            Done::Opened(..) => Err(fault::internal("rows that were not fetched")),
        })
    }

    /// Asks the server and reads its answer to the end, in a task of its own: whoever waits may be dropped at any moment
    /// (a limit is reached), and the other reads go on. Once nobody reads at all, the answer is not waited for.
    async fn turn(&self, turn: Turn) -> Result<Done, ScanError> {
        let line = Arc::clone(&self.line);
        let asked = tokio::spawn(async move {
            let mut place = line.session.lock().await;
            let Some(session) = place.as_mut() else {
                return Err(fault::internal("a read that was not counted"));
            };
            let done = tokio::select! {
                done = turn.take(session) => Some(done),
                () = line.over.cancelled() => None,
            };
            match done {
                Some(done) => done.map_err(|e| e.told(&line.connection, "reading rows", While::Reading)),
                None => {
                    // Dropped in the middle of an answer, it has the server stop.
                    drop(place.take());
                    Err(fault::stopped())
                }
            }
        });
        asked.await.map_err(|e| fault::internal(e.to_string()))?
    }

    /// How many rows the server expects a statement to look at.
    pub(super) async fn explain(&self, sql: &str) -> Option<u64> {
        let mut place = self.line.session.lock().await;
        let explained = place.as_mut()?.texts(&format!("EXPLAIN {sql}")).await;
        let explained = match explained {
            Ok(explained) => explained,
            Err(error) => {
                let error = error.told(&self.line.connection, "estimating", While::Connecting);
                tracing::warn!(error = error.operator.as_deref().unwrap_or_default(), "no estimate from the source");
                return None;
            }
        };
        let column = explained.names.iter().position(|n| n.eq_ignore_ascii_case("rows"))?;
        // A view is explained as its tables; they are multiplied, as a join of nothing in common would.
        explained.rows.iter().try_fold(1_u64, |product, row| {
            let rows: u64 = row.get(column)?.as_ref()?.parse().ok()?;
            Some(product.saturating_mul(rows))
        })
    }
}

/// What is asked of the session in one turn.
enum Turn {
    Open(String),
    Fetch(Statement),
}

enum Done {
    Opened(Statement, Vec<ColumnType>),
    Fetched(Vec<Bytes>, bool),
}

impl Turn {
    async fn take(self, session: &mut Session) -> Result<Done, Failure> {
        match self {
            Turn::Open(sql) => {
                let (statement, _) = session.prepare(&sql).await?;
                let columns = session.execute(statement, true).await?;
                Ok(Done::Opened(statement, columns))
            }
            Turn::Fetch(statement) => {
                let (rows, ended) = session.fetch(statement, FETCH_ROWS).await?;
                if ended {
                    session.close(statement).await?;
                }
                Ok(Done::Fetched(rows, ended))
            }
        }
    }
}

const FETCH_ROWS: u32 = 512;

fn settings(target: &MysqlTarget, limit_s: u32, maria: bool) -> Vec<String> {
    let statement_s = target.statement_timeout_s.min(limit_s).max(1);
    // A reader that is slow holds the server up for as long as the order lasts; the idle limit frees the server if this program
    // dies without closing its sockets.
    let idle_s = limit_s.saturating_add(IDLE_GRACE_S);
    let time_limit = if maria {
        format!("max_statement_time = {statement_s}")
    } else {
        format!("max_execution_time = {}", u64::from(statement_s) * 1000)
    };
    vec![
        format!(
            "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', SESSION time_zone = '+00:00', SESSION {time_limit}, \
             SESSION lock_wait_timeout = {LOCK_S}, SESSION wait_timeout = {idle_s}, SESSION net_write_timeout = {idle_s}"
        ),
        "SET NAMES utf8mb4".to_owned(),
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ".to_owned(),
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY".to_owned(),
    ]
}

const LOCK_S: u32 = 10;
const IDLE_GRACE_S: u32 = 60;
