//! An SQLite table as the masked scan reads it.

use std::sync::Arc;

use chunk_port::ScanError;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::catalog::Relation;
use super::decode::Decoder;
use super::kind::Kind;
use super::snapshot::Snapshot;
use super::{connect, fault, select};
use crate::engine::fault as public;
use crate::pushdown::{Condition, Support};
use crate::source::bridge::{self, Gone};
use crate::source::{self, RawScan, RawStream, RawTable, Size, Want};

/// A table in a state of its file.
#[derive(Debug)]
pub(crate) struct SqliteTable {
    snapshot: Arc<Snapshot>,
    relation: Relation,
    schema: SchemaRef,
}

impl SqliteTable {
    pub(crate) fn new(snapshot: &Arc<Snapshot>, relation: Relation) -> Self {
        let fields: Vec<Field> = relation
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.kind.data_type(), true))
            .collect();
        Self {
            snapshot: Arc::clone(snapshot),
            relation,
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl RawTable for SqliteTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn size(&self) -> Size {
        Size {
            rows: None,
            bytes: self.snapshot.bytes(),
        }
    }

    fn support(&self, condition: &Condition) -> Support {
        select::condition(&self.relation, condition).map_or(Support::No, |(_, _, support)| support)
    }

    fn can_filter(&self) -> bool {
        true
    }

    fn can_blank(&self, column: usize) -> bool {
        self.schema.fields().get(column).is_some_and(|f| *f.data_type() == DataType::Utf8)
    }

    fn read(&self, want: Want) -> Result<Arc<dyn RawScan>, DataFusionError> {
        let mut items = Vec::with_capacity(want.columns.len());
        let mut kinds = Vec::with_capacity(want.columns.len());
        let mut fields = Vec::with_capacity(want.columns.len());
        for wanted in &want.columns {
            let column = self
                .relation
                .columns
                .get(wanted.index)
                .ok_or_else(|| public::carry(public::internal("column out of range")))?;
            items.push(select::item(column, *wanted));
            kinds.push(column.kind);
            fields.push(Field::new(&column.name, column.kind.data_type(), true));
        }
        if items.is_empty() {
            items.push("NULL".to_owned());
        }
        let (mut tests, mut values) = (Vec::new(), Vec::new());
        for condition in &want.conditions {
            let (sql, of_it, _) = select::condition(&self.relation, condition)
                .ok_or_else(|| public::carry(public::internal("a test the source cannot answer")))?;
            tests.push(sql);
            values.extend(of_it);
        }
        let from = format!("main.{}", select::identifier(&self.relation.name));
        let tail = source::tail(&tests, want.limit);
        self.snapshot.expect_read();
        Ok(Arc::new(SqliteScan {
            snapshot: Arc::clone(&self.snapshot),
            sql: format!("SELECT {} FROM {from}{tail}", items.join(", ")),
            from,
            values,
            limit: want.limit,
            schema: Arc::new(Schema::new(fields)),
            kinds,
        }))
    }
}

/// A SELECT, prepared.
#[derive(Debug)]
struct SqliteScan {
    snapshot: Arc<Snapshot>,
    sql: String,
    from: String,
    values: Vec<Value>,
    limit: Option<usize>,
    schema: SchemaRef,
    kinds: Vec<Kind>,
}

impl SqliteScan {
    fn rows(&self, gone: &Gone, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), ScanError> {
        let reader = self.snapshot.reader()?;
        self.step(&reader, gone, send)?;
        self.snapshot.give_back(reader);
        Ok(())
    }

    fn step(&self, reader: &Connection, gone: &Gone, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), ScanError> {
        let connection = self.snapshot.connection();
        let failed = |e: rusqlite::Error| fault::reading(connection, "reading rows", &e);
        let built = |e: datafusion::arrow::error::ArrowError| public::internal(e.to_string());
        connect::stop_at(reader, self.snapshot.deadline(), gone).map_err(failed)?;
        let mut statement = reader
            .prepare(&self.sql)
            .map_err(|e| fault::preparing(connection, "beginning to read", &e))?;
        let mut rows = statement.query(rusqlite::params_from_iter(&self.values)).map_err(failed)?;
        let mut decoder = Decoder::new(Arc::clone(&self.schema), &self.kinds);
        while let Some(row) = rows.next().map_err(failed)? {
            decoder.push(row).map_err(|misfit| fault::misfit(connection, misfit.0))?;
            if decoder.is_full()
                && let Some(batch) = decoder.take().map_err(built)?
                && !send(batch)
            {
                return Ok(());
            }
        }
        if let Some(batch) = decoder.take().map_err(built)? {
            send(batch);
        }
        Ok(())
    }
}

impl RawScan for SqliteScan {
    fn units(&self) -> usize {
        1
    }

    fn open(self: Arc<Self>, _unit: usize, _context: Arc<TaskContext>) -> RawStream {
        bridge::rows(move |gone, send| self.rows(gone, send))
    }

    fn size(&self) -> BoxFuture<'_, Size> {
        let (snapshot, from) = (Arc::clone(&self.snapshot), self.from.clone());
        let (bytes, limit) = (snapshot.bytes(), self.limit.and_then(|l| u64::try_from(l).ok()));
        async move {
            // Counted without the tests: how many rows pass them is something of the rows.
            let rows = tokio::task::spawn_blocking(move || snapshot.count(&from)).await.ok().flatten();
            let rows = match (rows, limit) {
                (Some(rows), Some(limit)) => Some(rows.min(limit)),
                (rows, limit) => rows.or(limit),
            };
            Size { rows, bytes }
        }
        .boxed()
    }
}
