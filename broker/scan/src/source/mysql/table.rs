//! A MySQL table as the masked scan reads it.

use std::sync::Arc;

use chunk_port::ScanError;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use super::catalog::{MyName, Relation};
use super::decode::{Decoder, settle};
use super::fault::{self, Failure, While};
use super::kind::{ColumnType, Kind};
use super::select;
use super::session::{Session, Statement};
use super::snapshot::Snapshot;
use crate::engine::fault as public;
use crate::pushdown::{Condition, Support};
use crate::source::extremes::Extremes;
use crate::source::{self, RawScan, RawStream, RawTable, Size, Want};

/// A table in a snapshot.
#[derive(Debug)]
pub(crate) struct MyTable {
    snapshot: Arc<Snapshot>,
    name: MyName,
    relation: Relation,
    schema: SchemaRef,
    tag: String,
}

impl MyTable {
    /// `tag` stands in every statement that reads rows.
    pub(crate) fn new(snapshot: &Arc<Snapshot>, name: MyName, relation: Relation, tag: &str) -> Self {
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
            tag: tag.chars().filter(|c| c.is_ascii_alphanumeric() || "_- ".contains(*c)).collect(),
        }
    }
}

impl RawTable for MyTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn size(&self) -> Size {
        Size {
            rows: self.relation.rows,
            bytes: self.relation.bytes,
        }
    }

    fn support(&self, condition: &Condition) -> Support {
        let column = self.relation.columns.get(condition.column);
        column
            .and_then(|c| select::condition(c, condition))
            .map_or(Support::No, |(_, support)| support)
    }

    fn can_filter(&self) -> bool {
        true
    }

    fn can_blank(&self, column: usize) -> bool {
        self.schema.fields().get(column).is_some_and(|f| *f.data_type() == DataType::Utf8)
    }

    fn read(&self, want: Want) -> Result<Arc<dyn RawScan>, DataFusionError> {
        let column = |index: usize| {
            self.relation
                .columns
                .get(index)
                .ok_or_else(|| public::carry(public::internal("column out of range")))
        };
        let mut items = Vec::with_capacity(want.columns.len());
        let mut columns = Vec::with_capacity(want.columns.len());
        let mut fields = Vec::with_capacity(want.columns.len());
        for wanted in &want.columns {
            let column = column(wanted.index)?;
            items.push(select::item(column, *wanted));
            let kind = if wanted.blank { Kind::Text } else { column.kind };
            columns.push((kind, wanted.blank));
            fields.push(Field::new(&column.name, kind.data_type(), true));
        }
        if items.is_empty() {
            // Rows are counted by what is sent for them.
            items.push("''".to_owned());
            columns.push((Kind::Text, true));
            fields.push(Field::new("", DataType::Utf8, true));
        }
        let mut tests = Vec::with_capacity(want.conditions.len());
        for condition in &want.conditions {
            let (sql, _) = select::condition(column(condition.column)?, condition)
                .ok_or_else(|| public::carry(public::internal("a test the source cannot answer")))?;
            tests.push(sql);
        }
        let tail = source::tail(&tests, want.limit);
        self.snapshot.expect_read();
        Ok(Arc::new(MyScan {
            snapshot: Arc::clone(&self.snapshot),
            sql: format!("SELECT /* {} */ {} FROM {}{tail}", self.tag, items.join(", "), self.name.from()),
            limit: want.limit,
            schema: Arc::new(Schema::new(fields)),
            columns,
            bare: want.columns.is_empty(),
            row_bytes: self.relation.bytes.zip(self.relation.rows.filter(|r| *r > 0)).map(|(b, r)| b / r),
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
struct MyScan {
    snapshot: Arc<Snapshot>,
    sql: String,
    limit: Option<usize>,
    schema: SchemaRef,
    /// How each is read, and whether it is blanked.
    columns: Vec<(Kind, bool)>,
    /// No column is wanted.
    bare: bool,
    row_bytes: Option<u64>,
    extremes: Extremes,
}

impl MyScan {
    async fn begin(self: Arc<Self>) -> Result<Reading, ScanError> {
        let connection = self.snapshot.connection();
        let failed = |e: Failure| e.told(connection, "beginning to read", While::Reading);
        let (feed, found) = match self.snapshot.alone().await {
            Some(mut session) => {
                let (statement, _) = session.prepare(&self.sql).await.map_err(failed)?;
                let found = session.execute(statement, false).await.map_err(failed)?;
                (Feed::Own(Box::new(session), statement), found)
            }
            None => {
                let (statement, found) = self.snapshot.cursor(self.sql.clone()).await?;
                (Feed::Turns(statement, false), found)
            }
        };
        self.check(&found)?;
        let kinds: Vec<Kind> = self.columns.iter().map(|(kind, _)| *kind).collect();
        let decoder = Decoder::new(Arc::clone(&self.schema), &kinds, self.extremes);
        Ok(Reading { scan: self, feed, decoder })
    }

    /// What is sent must be what was described: another type's bytes would be read as something they are not.
    fn check(&self, found: &[ColumnType]) -> Result<(), ScanError> {
        let text = |kind: Kind| kind.data_type() == DataType::Utf8 || kind == Kind::Binary;
        let same = found.len() == self.columns.len()
            && found
                .iter()
                .zip(&self.columns)
                .all(|(found, (kind, blank))| found.kind == *kind || *blank && text(found.kind));
        if same {
            Ok(())
        } else {
            let connection = self.snapshot.connection();
            Err(public::source(
                format!("the source behind `{connection}` no longer has this table as it was described"),
                "the columns sent are of other types than those described",
            ))
        }
    }
}

/// Where rows come from.
enum Feed {
    /// A session of one's own, and the statement that runs on it.
    Own(Box<Session>, Statement),
    /// A cursor, and whether it has ended.
    Turns(Statement, bool),
}

struct Reading {
    scan: Arc<MyScan>,
    feed: Feed,
    decoder: Decoder,
}

impl Reading {
    /// The next batch; `None` at the end, which must be the true one.
    async fn next(mut self) -> Result<Option<(RecordBatch, Option<Self>)>, ScanError> {
        let connection = self.scan.snapshot.connection().to_owned();
        let built = |e: datafusion::arrow::error::ArrowError| public::internal(e.to_string());
        let ended = loop {
            let ended = match &mut self.feed {
                Feed::Own(session, _) => match session
                    .row()
                    .await
                    .map_err(|e| e.told(&connection, "reading rows", While::Reading))?
                {
                    Some(row) => {
                        self.decoder.push(&row).map_err(|e| fault::misfit(&connection, e.0))?;
                        false
                    }
                    None => true,
                },
                Feed::Turns(_, true) => true,
                Feed::Turns(statement, ended) => {
                    let (rows, last) = self.scan.snapshot.fetch(*statement).await?;
                    *ended = last;
                    for row in rows {
                        self.decoder.push(&row).map_err(|e| fault::misfit(&connection, e.0))?;
                    }
                    last
                }
            };
            if ended || self.decoder.is_full() {
                break ended;
            }
        };
        let batch = self.decoder.take().map_err(built)?;
        let bare = self.scan.bare;
        let batch = batch
            .map(|b| if bare { without_columns(&b) } else { Ok(b) })
            .transpose()
            .map_err(built)?;
        if !ended {
            return Ok(batch.map(|batch| (batch, Some(self))));
        }
        if let Feed::Own(mut session, statement) = self.feed {
            session
                .close(statement)
                .await
                .map_err(|e| e.told(&connection, "ending to read", While::Reading))?;
            self.scan.snapshot.give_back(*session).await;
        }
        Ok(batch.map(|batch| (batch, None)))
    }
}

/// Only the number of rows.
fn without_columns(batch: &RecordBatch) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
}

enum Step {
    Open(Arc<MyScan>),
    Read(Box<Reading>),
    Done,
}

impl RawScan for MyScan {
    fn units(&self) -> usize {
        1
    }

    fn open(self: Arc<Self>, _unit: usize, _context: Arc<TaskContext>) -> RawStream {
        stream::try_unfold(Step::Open(self), |step| async move {
            let reading = match step {
                Step::Open(scan) => scan.begin().await.map_err(public::carry)?,
                Step::Read(reading) => *reading,
                Step::Done => return Ok(None),
            };
            let next = reading.next().await.map_err(public::carry)?;
            Ok(next.map(|(batch, rest)| (batch, rest.map_or(Step::Done, |r| Step::Read(Box::new(r))))))
        })
        .boxed()
    }

    fn size(&self) -> BoxFuture<'_, Size> {
        async move {
            let rows = self.snapshot.explain(&self.sql).await;
            let limit = self.limit.and_then(|l| u64::try_from(l).ok());
            let rows = match (rows, limit) {
                (Some(rows), Some(limit)) => Some(rows.min(limit)),
                (rows, limit) => rows.or(limit),
            };
            Size {
                rows,
                bytes: rows.zip(self.row_bytes).map(|(rows, bytes)| rows.saturating_mul(bytes)),
            }
        }
        .boxed()
    }

    fn settle(&self, rows: RecordBatch) -> Result<RecordBatch, DataFusionError> {
        if self.extremes == Extremes::Null || self.bare {
            return Ok(rows);
        }
        let columns = rows
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(c, (kind, _))| settle(c, *kind))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
    }
}
