//! A PostgreSQL table as the masked scan reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chunk_port::ScanError;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};

use super::catalog::{PgColumn, PgName};
use super::connect::Session;
use super::decode::{Decoder, settle};
use super::kind::Kind;
use super::select;
use super::snapshot::{PgFound, Snapshot};
use super::{catalog, fault};
use crate::engine::fault as public;
use crate::pushdown::{Condition, Support};
use crate::source::extremes::Extremes;
use crate::source::{self, RawScan, RawStream, RawTable, Size, Want};

/// A table in a snapshot.
#[derive(Debug)]
pub(crate) struct PgTable {
    snapshot: Arc<Snapshot>,
    name: PgName,
    relation: catalog::PgRelation,
    schema: SchemaRef,
    /// Reads prepared on this connection: with more than one, the snapshot is exported.
    reads: Arc<AtomicUsize>,
}

impl PgTable {
    /// `reads` is shared by the tables of one snapshot.
    pub(crate) fn new(snapshot: &Arc<Snapshot>, name: PgName, found: PgFound, reads: &Arc<AtomicUsize>) -> Self {
        let PgFound(relation) = found;
        let fields: Vec<Field> = relation
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.kind.data_type(), true))
            .collect();
        Self {
            snapshot: Arc::clone(snapshot),
            name,
            relation,
            schema: Arc::new(Schema::new(fields)),
            reads: Arc::clone(reads),
        }
    }

    fn column(&self, index: usize) -> Result<&PgColumn, DataFusionError> {
        self.relation
            .columns
            .get(index)
            .ok_or_else(|| public::carry(public::internal("column out of range")))
    }
}

/// Blocks read by one COPY of a table read in parts, and the size from which it is.
const UNIT_BYTES: u64 = 16 * 1024 * 1024;
const PARTS_BYTES_MIN: u64 = 2 * UNIT_BYTES;
/// From here on a range of `ctid` reads only its blocks; before, each part would read the whole table.
const TID_RANGE_SCAN_VERSION: u32 = 140_000;

impl RawTable for PgTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn size(&self) -> Size {
        let bytes = self.relation.blocks.saturating_mul(self.relation.block_bytes);
        Size {
            rows: self.relation.rows,
            bytes: (bytes > 0).then_some(bytes),
        }
    }

    fn support(&self, condition: &Condition) -> Support {
        let Ok(column) = self.column(condition.column) else {
            return Support::No;
        };
        select::condition(column, condition, self.relation.utf8).map_or(Support::No, |(_, support)| support)
    }

    fn can_filter(&self) -> bool {
        true
    }

    fn can_blank(&self, column: usize) -> bool {
        self.schema.fields().get(column).is_some_and(|f| *f.data_type() == DataType::Utf8)
    }

    fn renew<'a>(&'a self, tag: &'a str, limit_s: u32) -> BoxFuture<'a, Result<bool, ScanError>> {
        async move { self.snapshot.renew(tag, limit_s).await.map(|()| true) }.boxed()
    }

    fn read(&self, want: Want) -> Result<Arc<dyn RawScan>, DataFusionError> {
        let mut items = Vec::with_capacity(want.columns.len());
        let mut kinds = Vec::with_capacity(want.columns.len());
        let mut fields = Vec::with_capacity(want.columns.len());
        for wanted in &want.columns {
            let column = self.column(wanted.index)?;
            items.push(select::item(column, *wanted));
            let kind = if wanted.blank { Kind::Text } else { column.kind };
            kinds.push(kind);
            fields.push(Field::new(&column.name, kind.data_type(), true));
        }
        let mut tests = Vec::with_capacity(want.conditions.len());
        for condition in &want.conditions {
            let (sql, _) = select::condition(self.column(condition.column)?, condition, self.relation.utf8)
                .ok_or_else(|| public::carry(public::internal("a test the source cannot answer")))?;
            tests.push(sql);
        }
        let from = format!("{}.{}", select::identifier(&self.name.schema), select::identifier(&self.name.table));
        // Views have no blocks; a test may have an index, which a range of blocks would spoil.
        let heap = matches!(self.relation.kind.as_str(), "r" | "m") && self.relation.version >= TID_RANGE_SCAN_VERSION;
        let bytes = self.relation.blocks.saturating_mul(self.relation.block_bytes);
        let in_parts = heap && tests.is_empty() && want.limit.is_none() && bytes >= PARTS_BYTES_MIN;
        let unit_blocks = if in_parts {
            (UNIT_BYTES / self.relation.block_bytes).max(1)
        } else {
            0
        };
        let units = if in_parts {
            usize::try_from(self.relation.blocks.div_ceil(unit_blocks))
                .unwrap_or(usize::MAX)
                .max(1)
        } else {
            1
        };
        self.reads.fetch_add(if units > 1 { 2 } else { 1 }, Ordering::Relaxed);
        Ok(Arc::new(PgScan {
            snapshot: Arc::clone(&self.snapshot),
            reads: Arc::clone(&self.reads),
            items: items.join(", "),
            from,
            tests,
            limit: want.limit,
            units,
            unit_blocks,
            schema: Arc::new(Schema::new(fields)),
            kinds,
            // The predicate is a policy's row filter, tested above on the rows as they are decoded.
            extremes: if want.predicate.is_some() {
                Extremes::Ordered
            } else {
                Extremes::Null
            },
        }))
    }
}

/// A SELECT, prepared.
#[derive(Debug)]
struct PgScan {
    snapshot: Arc<Snapshot>,
    reads: Arc<AtomicUsize>,
    items: String,
    from: String,
    tests: Vec<String>,
    limit: Option<usize>,
    units: usize,
    unit_blocks: u64,
    schema: SchemaRef,
    kinds: Vec<Kind>,
    extremes: Extremes,
}

impl PgScan {
    fn sql(&self, unit: Option<usize>) -> String {
        let mut tests = self.tests.clone();
        if let Some(unit) = unit.filter(|_| self.units > 1) {
            let from = u64::try_from(unit).unwrap_or(u64::MAX).saturating_mul(self.unit_blocks);
            let to = (unit + 1 < self.units).then(|| from.saturating_add(self.unit_blocks));
            tests.push(select::blocks(from, to));
        }
        let tail = source::tail(&tests, self.limit);
        format!("SELECT {} FROM {}{tail}", self.items, self.from)
    }

    async fn copy(self: Arc<Self>, unit: usize) -> Result<Reading, DataFusionError> {
        let alone = self.reads.load(Ordering::Relaxed) <= 1;
        let mut session = self.snapshot.reader(alone).await.map_err(public::carry)?;
        let sql = format!("COPY ({}) TO STDOUT (FORMAT binary)", self.sql(Some(unit)));
        let rows = session.copy(&sql).await.map_err(public::carry)?;
        let decoder = Decoder::new(Arc::clone(&self.schema), &self.kinds, self.extremes)?;
        Ok(Reading {
            scan: self,
            session,
            rows,
            decoder,
        })
    }
}

struct Reading {
    scan: Arc<PgScan>,
    session: Session,
    rows: BoxStream<'static, Result<bytes::Bytes, tokio_postgres::Error>>,
    decoder: Decoder,
}

impl Reading {
    /// The next batch; `None` at the end, which must be the true one.
    async fn next(mut self) -> Result<Option<(RecordBatch, Option<Self>)>, DataFusionError> {
        let connection = self.scan.snapshot.connection().to_owned();
        let malformed = |e: super::decode::Malformed| public::carry(fault::malformed(&connection, e.0));
        while let Some(message) = self.rows.next().await {
            let bytes = message.map_err(|e| public::carry(fault::driver(&connection, "reading rows", &e)))?;
            self.decoder.push(&bytes).map_err(malformed)?;
            if self.decoder.is_full()
                && let Some(batch) = self.decoder.take()?
            {
                return Ok(Some((batch, Some(self))));
            }
        }
        self.decoder.end().map_err(malformed)?;
        let last = self.decoder.take()?;
        drop(self.rows);
        self.session.idle();
        self.scan.snapshot.give_back(self.session).await;
        Ok(last.map(|batch| (batch, None)))
    }
}

enum Step {
    Open(Arc<PgScan>, usize),
    Read(Box<Reading>),
    Done,
}

impl RawScan for PgScan {
    fn units(&self) -> usize {
        self.units
    }

    fn open(self: Arc<Self>, unit: usize, _context: Arc<TaskContext>) -> RawStream {
        stream::try_unfold(Step::Open(self, unit), |step| async move {
            let reading = match step {
                Step::Open(scan, unit) => scan.copy(unit).await?,
                Step::Read(reading) => *reading,
                Step::Done => return Ok(None),
            };
            Ok(reading
                .next()
                .await?
                .map(|(batch, rest)| (batch, rest.map_or(Step::Done, |r| Step::Read(Box::new(r))))))
        })
        .boxed()
    }

    fn size(&self) -> BoxFuture<'_, Size> {
        async move {
            match self.snapshot.explain(&self.sql(None)).await {
                Ok(Some((rows, width))) => Size {
                    rows: Some(rows),
                    bytes: Some(rows.saturating_mul(width)),
                },
                // What the catalog says of the table is no estimate of this statement, and can be years old: unknown, which
                // policy counts as the largest.
                Ok(None) => Size::default(),
                Err(error) => {
                    tracing::warn!(error = error.operator.as_deref().unwrap_or_default(), "no estimate from the source");
                    Size::default()
                }
            }
        }
        .boxed()
    }

    fn settle(&self, rows: RecordBatch) -> Result<RecordBatch, DataFusionError> {
        if self.extremes == Extremes::Null {
            return Ok(rows);
        }
        let columns = rows.columns().iter().zip(&self.kinds).map(|(c, k)| settle(c, *k)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
    }
}
