//! Where rows come from, as the masked scan sees it: a table with raw columns, cut into units that can be read apart.

pub(crate) mod bridge;
mod cells;
pub(crate) mod connector;
mod extremes;
pub(crate) mod files;
mod gathered;
mod mysql;
mod objects;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use chunk_port::{MysqlTarget, PostgresTarget, ScanError, Source, Table};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::engine::fault;
use crate::pushdown::{Condition, Support};
use connector::Connector;
use files::FileTable;
use mysql::{MyName, MyTable, Snapshot as MysqlSnapshot};
use postgres::catalog::PgName;
use postgres::{PgTable, Snapshot};
use sqlite::{Snapshot as SqliteSnapshot, SqliteTable};

/// A table of a source, its metadata read.
pub(crate) trait RawTable: Debug + Send + Sync {
    /// Every column, with the type it is read as.
    fn schema(&self) -> SchemaRef;

    /// Rows and bytes, where the source can tell.
    fn size(&self) -> Size;

    /// How the source would answer a test.
    fn support(&self, condition: &Condition) -> Support;

    /// Whether the source itself runs tests. If not, all are run on its raw rows, still below the mask.
    fn can_filter(&self) -> bool;

    /// Whether a column's values may stay at the source, sending only whether they are null.
    fn can_blank(&self, column: usize) -> bool;

    /// Which rows the table has, where that can be told apart from any other time.
    fn state(&self) -> Option<[u8; 32]> {
        None
    }

    /// Makes what was opened for a look ready to be read, under this tag and within this time. False where it has to be opened anew.
    fn renew<'a>(&'a self, tag: &'a str, limit_s: u32) -> BoxFuture<'a, Result<bool, ScanError>> {
        let _ = (tag, limit_s);
        std::future::ready(Ok(false)).boxed()
    }

    /// Prepares a read. Nothing is sent to the source yet.
    fn read(&self, want: Want) -> Result<Arc<dyn RawScan>, DataFusionError>;
}

/// Rows and bytes, where a source can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Rows.
    pub(crate) rows: Option<u64>,
    /// Bytes at the source.
    pub(crate) bytes: Option<u64>,
}

/// What to read of a table.
#[derive(Debug, Default)]
pub(crate) struct Want {
    /// Columns, by index, in the order wanted.
    pub(crate) columns: Vec<WantColumn>,
    /// Tests to run at the source. All were [`Support::Exact`] or [`Support::Superset`].
    pub(crate) conditions: Vec<Condition>,
    /// The same and more, over the columns wanted, for sources that keep statistics. It runs again above.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Rows at most; only where every test is exact and nothing is filtered above.
    pub(crate) limit: Option<usize>,
}

/// A column to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WantColumn {
    /// Index in the table.
    pub(crate) index: usize,
    /// Send an empty text for every value that is not null.
    pub(crate) blank: bool,
}

/// A prepared read.
pub(crate) trait RawScan: Debug + Send + Sync {
    /// Parts that can be read apart, in order. At least one.
    fn units(&self) -> usize;

    /// Reads one part.
    fn open(self: Arc<Self>, unit: usize, context: Arc<TaskContext>) -> RawStream;

    /// Rows and bytes this read will see, where the source can tell.
    fn size(&self) -> BoxFuture<'_, Size>;

    /// Rows as they are handed on, after the policy's row filter has been tested on them.
    fn settle(&self, rows: RecordBatch) -> Result<RecordBatch, DataFusionError> {
        Ok(rows)
    }
}

/// Raw rows, in the columns wanted.
pub(crate) type RawStream = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// What follows the table in a SELECT of ours: tests that all hold, and a limit.
pub(crate) fn tail(tests: &[String], limit: Option<usize>) -> String {
    let filter = if tests.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", tests.join(" AND "))
    };
    let limit = limit.map(|l| format!(" LIMIT {l}")).unwrap_or_default();
    filter + &limit
}

/// Opens tables, in their order: metadata is read, and the tables of one connection share one snapshot.
pub(crate) async fn open(
    connector: &Arc<Connector>,
    tables: &[Table],
    tag: &str,
    limit_s: u32,
) -> Result<Vec<Arc<dyn RawTable>>, ScanError> {
    let mut servers: Vec<(&Arc<PostgresTarget>, Vec<(usize, PgName)>)> = Vec::new();
    let mut mysqls: Vec<(&Arc<MysqlTarget>, Vec<(usize, MyName)>)> = Vec::new();
    let mut files: Vec<(SqliteFile<'_>, Vec<(usize, String)>)> = Vec::new();
    let mut opened: Vec<Option<Arc<dyn RawTable>>> = Vec::new();
    for (n, table) in tables.iter().enumerate() {
        let connection = table.connection.as_str();
        opened.push(match &table.source {
            Source::Postgres { target, schema, table } => {
                let name = PgName {
                    schema: schema.clone(),
                    table: table.clone(),
                };
                add(&mut servers, target, (n, name));
                None
            }
            Source::Mysql { target, database, table } => {
                let name = MyName {
                    database: database.clone(),
                    table: table.clone(),
                };
                add(&mut mysqls, target, (n, name));
                None
            }
            Source::Sqlite { root, path, table } => {
                add(&mut files, (connection, root, path), (n, table.clone()));
                None
            }
            Source::Files { root, path, format } => Some(Arc::new(FileTable::open(connection, root, path, *format).await?)),
            Source::Objects { target, names, format } => {
                Some(Arc::new(FileTable::open_objects(connector, target, names, *format, tag).await?))
            }
        });
    }
    let mut put = |n: usize, table: Arc<dyn RawTable>| {
        if let Some(place) = opened.get_mut(n) {
            *place = Some(table);
        }
    };
    let dataset = |n: usize| tables.get(n).map(|t| t.dataset.as_str()).unwrap_or_default();
    for (target, names) in servers {
        let wanted: Vec<PgName> = names.iter().map(|(_, name)| name.clone()).collect();
        let (snapshot, found) = Snapshot::begin(connector, target, tag, limit_s, &wanted).await?;
        let reads = Arc::new(AtomicUsize::new(0));
        for ((n, name), found) in names.into_iter().zip(found) {
            let found = found.ok_or_else(|| missing(&target.connection, dataset(n), format!("{}.{}", name.schema, name.table)))?;
            put(n, Arc::new(PgTable::new(&snapshot, name, found, &reads)));
        }
    }
    for (target, names) in mysqls {
        let wanted: Vec<MyName> = names.iter().map(|(_, name)| name.clone()).collect();
        let (snapshot, found) = MysqlSnapshot::begin(connector, target, tag, limit_s, &wanted).await?;
        for ((n, name), found) in names.into_iter().zip(found) {
            let found = found.ok_or_else(|| missing(&target.connection, dataset(n), format!("{}.{}", name.database, name.table)))?;
            put(n, Arc::new(MyTable::new(&snapshot, name, found, tag)));
        }
    }
    for ((connection, root, path), names) in files {
        let wanted = names.iter().map(|(_, name)| name.clone()).collect();
        let (snapshot, found) = SqliteSnapshot::begin(connection, root, path, limit_s, wanted).await?;
        for ((n, name), found) in names.into_iter().zip(found) {
            let found = found.ok_or_else(|| missing(connection, dataset(n), format!("{name} of {}", path.display())))?;
            put(n, Arc::new(SqliteTable::new(&snapshot, found)));
        }
    }
    opened
        .into_iter()
        .map(|t| t.ok_or_else(|| fault::internal("a table was not opened")))
        .collect()
}

/// A file by connection, root and path.
type SqliteFile<'a> = (&'a str, &'a PathBuf, &'a PathBuf);

/// Groups what belongs to one snapshot.
fn add<K: PartialEq, V>(groups: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match groups.iter_mut().find(|(k, _)| *k == key) {
        Some((_, values)) => values.push(value),
        None => groups.push((key, vec![value])),
    }
}

fn missing(connection: &str, dataset: &str, operator: String) -> ScanError {
    fault::source(
        format!("the source behind `{connection}` has no table for `{dataset}`, or the broker may not see it"),
        operator,
    )
}
