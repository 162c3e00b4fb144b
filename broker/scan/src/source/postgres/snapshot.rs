//! One read-only transaction per connection and order, which every read of the order shares.
//!
//! The first session reads the catalog. If the order needs one reader, that session reads the rows too. If it needs more
//! (a join, a table read in parts), the first session exports its snapshot and stays as its holder, and each reader is a
//! session of its own that imports it: all of them see the table as it was at one moment.
//!
//! Before the snapshot is taken, the tables are locked against changes of their definition (`ACCESS SHARE`, what any SELECT
//! takes). Otherwise a table altered or emptied between the catalog and the rows would be read as something it is not: a
//! snapshot covers rows, not columns, and TRUNCATE is seen through it.

use std::sync::Arc;

use chunk_port::{PostgresTarget, ScanError};
use tokio::sync::Mutex;
use tokio_postgres::SimpleQueryMessage;

use super::catalog::{self, PgName, PgRelation};
use super::connect::{self, Session, session};
use super::fault as driver;
use super::select::{identifier, text};
use crate::engine::fault;
use crate::source::connector::{Connector, Use};

/// A transaction at a source.
#[derive(Debug)]
pub(crate) struct Snapshot {
    connector: Arc<Connector>,
    target: Arc<PostgresTarget>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `application_name` of its sessions.
    tag: String,
    limit_s: u32,
    /// The first session, while it is not reading.
    first: Option<Session>,
    /// The exported snapshot's name, once more than one reader is needed.
    exported: Option<String>,
    /// Sessions that have finished a read and can do another.
    spare: Vec<Session>,
}

impl Snapshot {
    /// Connects, begins the transaction, locks the tables and reads the catalog, in one round trip after the sign-in where
    /// all of them can be locked.
    pub(crate) async fn begin(
        connector: &Arc<Connector>,
        target: &Arc<PostgresTarget>,
        tag: &str,
        limit_s: u32,
        names: &[PgName],
    ) -> Result<(Arc<Self>, Vec<Option<PgFound>>), ScanError> {
        let mut first = session(connector, target, tag, Use::Order).await?;
        let opening = |locked: &[&PgName]| format!("{}; {}{}", begin(target, limit_s, None), lock(locked), catalog::query(names));
        let answer = match first.run(&opening(&names.iter().collect::<Vec<_>>())).await? {
            Ok(answer) => answer,
            // One of them is missing, a materialized view, a foreign table, or not the role's to lock: lock the others.
            Err(error)
                if error
                    .code()
                    .is_some_and(|c| c.code().starts_with("42") || c.code().starts_with("3F")) =>
            {
                let sql = format!("ROLLBACK; {}", catalog::lockable(names));
                let found = numbers(&first.texts("reading the catalog", &sql).await?);
                let locked: Vec<&PgName> = found.into_iter().filter_map(|n| names.get(n)).collect();
                first.texts("reading the catalog", &opening(&locked)).await?
            }
            Err(error) => return Err(driver::driver(&target.connection, "reading the catalog", &error)),
        };
        let relations = catalog::read(names.len(), &answer)?.into_iter().map(|r| r.map(PgFound)).collect();
        let state = Mutex::new(State {
            tag: tag.to_owned(),
            limit_s,
            first: Some(first),
            exported: None,
            spare: Vec::new(),
        });
        let snapshot = Self {
            connector: Arc::clone(connector),
            target: Arc::clone(target),
            state,
        };
        Ok((Arc::new(snapshot), relations))
    }

    /// The connection's name.
    pub(super) fn connection(&self) -> &str {
        &self.target.connection
    }

    /// Goes on under another tag and time limit: what was opened to look at its tables is read from now on.
    pub(super) async fn renew(&self, tag: &str, limit_s: u32) -> Result<(), ScanError> {
        let mut state = self.state.lock().await;
        if state.tag == tag && state.limit_s == limit_s {
            return Ok(());
        }
        let State { first, spare, .. } = &mut *state;
        let sql = format!("{}; {}", connect::tagged(tag), limits(&self.target, limit_s));
        for session in first.iter_mut().chain(spare) {
            session.texts("going on to read", &sql).await?;
        }
        tag.clone_into(&mut state.tag);
        state.limit_s = limit_s;
        Ok(())
    }

    /// A session that sees the snapshot. `alone`: no other read of this order goes to this connection.
    pub(super) async fn reader(&self, alone: bool) -> Result<Session, ScanError> {
        let mut state = self.state.lock().await;
        if let Some(session) = state.spare.pop() {
            return Ok(session);
        }
        if alone
            && state.exported.is_none()
            && let Some(first) = state.first.take()
        {
            return Ok(first);
        }
        let exported = match &state.exported {
            Some(name) => name.clone(),
            None => {
                let first = state
                    .first
                    .as_mut()
                    .ok_or_else(|| fault::internal("a second reader of a snapshot not exported"))?;
                let answer = first
                    .texts("exporting the snapshot", "SELECT pg_catalog.pg_export_snapshot()")
                    .await?;
                let name = single(&answer).ok_or_else(|| fault::internal("no snapshot name"))?;
                state.exported = Some(name.clone());
                name
            }
        };
        let (tag, limit_s) = (state.tag.clone(), state.limit_s);
        drop(state);
        let mut session = session(&self.connector, &self.target, &tag, Use::Reader).await?;
        session
            .texts("importing the snapshot", &begin(&self.target, limit_s, Some(&exported)))
            .await?;
        Ok(session)
    }

    /// Gives a session back after a read that ended well. Where others wait for one, it is closed instead of kept.
    pub(super) async fn give_back(&self, session: Session) {
        let mut state = self.state.lock().await;
        if state.exported.is_none() || !self.connector.is_crowded(&self.target.connection) {
            state.spare.push(session);
        }
    }

    /// The plan of a statement, as the server explains it: rows and bytes a row.
    pub(super) async fn explain(&self, sql: &str) -> Result<Option<(u64, u64)>, ScanError> {
        let mut state = self.state.lock().await;
        let Some(first) = state.first.as_mut() else { return Ok(None) };
        // What cannot be explained must not end the transaction in which it will be read.
        let explained = first.run(&format!("SAVEPOINT estimate; EXPLAIN (FORMAT JSON) {sql}")).await?;
        let after = if explained.is_ok() {
            "RELEASE SAVEPOINT estimate"
        } else {
            "ROLLBACK TO SAVEPOINT estimate"
        };
        first.texts("estimating", after).await?;
        let answer = explained.map_err(|error| driver::driver(&self.target.connection, "estimating", &error))?;
        let json: Option<serde_json::Value> = single(&answer).and_then(|t| serde_json::from_str(&t).ok());
        let number = |name: &str| json.as_ref()?.pointer(&format!("/0/Plan/{name}"))?.as_f64();
        Ok(number("Plan Rows")
            .zip(number("Plan Width"))
            .map(|(rows, width)| (whole(rows), whole(width))))
    }
}

/// A table found in the catalog.
#[derive(Debug)]
pub(crate) struct PgFound(pub(super) PgRelation);

fn begin(target: &PostgresTarget, limit_s: u32, snapshot: Option<&str>) -> String {
    let import = snapshot
        .map(|s| format!("SET TRANSACTION SNAPSHOT {}; ", text(s)))
        .unwrap_or_default();
    // The forms of dates and bytes matter where a value is cast to text.
    format!(
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; {import}{}; \
         SET LOCAL lock_timeout = '{LOCK_S}s'; SET LOCAL synchronize_seqscans = off; \
         SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1",
        limits(target, limit_s)
    )
}

/// How long its statements may take. The idle limit frees the server if this program dies without closing its sockets.
fn limits(target: &PostgresTarget, limit_s: u32) -> String {
    let statement_s = target.statement_timeout_s.min(limit_s).max(1);
    let idle_s = limit_s.saturating_add(IDLE_GRACE_S);
    format!("SET LOCAL statement_timeout = '{statement_s}s'; SET LOCAL idle_in_transaction_session_timeout = '{idle_s}s'")
}

fn lock(names: &[&PgName]) -> String {
    let tables: Vec<String> = names
        .iter()
        .map(|n| format!("{}.{}", identifier(&n.schema), identifier(&n.table)))
        .collect();
    if tables.is_empty() {
        return String::new();
    }
    format!("LOCK TABLE {} IN ACCESS SHARE MODE; ", tables.join(", "))
}

const LOCK_S: u32 = 10;
const IDLE_GRACE_S: u32 = 60;

fn single(answer: &[SimpleQueryMessage]) -> Option<String> {
    answer.iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
        _ => None,
    })
}

fn numbers(answer: &[SimpleQueryMessage]) -> Vec<usize> {
    let number = |m: &SimpleQueryMessage| match m {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().and_then(|t| t.parse().ok()),
        _ => None,
    };
    answer.iter().filter_map(number).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; the cast saturates"
)]
fn whole(number: f64) -> u64 {
    number as u64
}
