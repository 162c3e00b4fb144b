//! Rows of SQLite → Arrow columns. Total: each class of value either fits the column's kind or ends the read.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

use super::kind::Kind;
use crate::encode::number;
use crate::source::cells;
use crate::source::gathered::Gathered;

/// Gathers rows.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    gathered: Gathered,
}

/// A value that its column's kind does not hold, or a row that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit(pub(super) String);

impl Decoder {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind]) -> Self {
        Self {
            schema,
            columns: kinds.iter().map(|k| Column::new(*k)).collect(),
            gathered: Gathered::default(),
        }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<(), Misfit> {
        for (n, column) in self.columns.iter_mut().enumerate() {
            let name = || self.schema.fields().get(n).map(|f| f.name().as_str()).unwrap_or_default();
            let place = self.gathered.next();
            let value = row
                .get_ref(n)
                .map_err(|_| Misfit(format!("row {place} has no column `{}`", name())))?;
            self.gathered.add_bytes(match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                _ => 8,
            });
            if !column.append(value) {
                return Err(Misfit(format!(
                    "row {place} of what was read: column `{}` holds {}, which {} is not read from",
                    name(),
                    class(&value.data_type()),
                    column.reads()
                )));
            }
        }
        self.gathered.add_row();
        Ok(())
    }

    /// Whether enough has gathered for a batch.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.is_full()
    }

    /// The rows gathered, if any.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let columns = &mut self.columns;
        self.gathered
            .take(&self.schema, || columns.iter_mut().map(Column::finish).collect())
    }
}

fn class(data_type: &Type) -> &'static str {
    match data_type {
        Type::Null => "null",
        Type::Integer => "an integer",
        Type::Real => "a number with a fraction",
        Type::Text => "a text",
        Type::Blob => "a blob",
    }
}

enum Column {
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int => Column::Int(Int64Builder::new()),
            Kind::Float => Column::Float(Float64Builder::new()),
            Kind::Bool => Column::Bool(BooleanBuilder::new()),
            Kind::Date => Column::Date(Date32Builder::new()),
            Kind::Timestamp => Column::Timestamp(TimestampMicrosecondBuilder::new()),
            Kind::Text | Kind::Any => Column::Text(StringBuilder::new()),
            Kind::Blob => Column::Blob(BinaryBuilder::new()),
        }
    }

    fn reads(&self) -> &'static str {
        match self {
            Column::Int(_) => "a whole number",
            Column::Float(_) => "a number (or not without losing digits)",
            Column::Bool(_) => "a boolean, 0 or 1,",
            Column::Date(_) => "a date as `2024-01-02`",
            Column::Timestamp(_) => "a time as `2024-01-02 03:04:05`",
            Column::Text(_) => "a text in UTF-8",
            Column::Blob(_) => "bytes",
        }
    }

    /// Whether the value fits.
    fn append(&mut self, value: ValueRef<'_>) -> bool {
        macro_rules! put {
            ($builder:expr, $value:expr) => {
                match $value {
                    Some(value) => $builder.append_value(value),
                    None => return false,
                }
            };
        }
        if value == ValueRef::Null {
            self.append_null();
            return true;
        }
        match (self, value) {
            (Column::Int(b), ValueRef::Integer(v)) => b.append_value(v),
            (Column::Float(b), ValueRef::Real(v)) => b.append_value(v),
            (Column::Float(b), ValueRef::Integer(v)) => put!(b, exactly(v)),
            (Column::Bool(b), ValueRef::Integer(v @ (0 | 1))) => b.append_value(v == 1),
            (Column::Date(b), ValueRef::Text(v)) => put!(b, std::str::from_utf8(v).ok().filter(|t| t.len() == 10).and_then(cells::day)),
            (Column::Timestamp(b), ValueRef::Text(v)) => put!(b, std::str::from_utf8(v).ok().and_then(cells::timestamp)),
            (Column::Text(b), ValueRef::Text(v)) => put!(b, std::str::from_utf8(v).ok()),
            (Column::Text(b), ValueRef::Integer(v)) => b.append_value(v.to_string()),
            (Column::Text(b), ValueRef::Real(v)) => {
                let mut text = Vec::new();
                number::float(&mut text, v, false);
                put!(b, String::from_utf8(text).ok());
            }
            (Column::Blob(b), ValueRef::Blob(v) | ValueRef::Text(v)) => b.append_value(v),
            _ => return false,
        }
        true
    }

    fn append_null(&mut self) {
        match self {
            Column::Int(b) => b.append_null(),
            Column::Float(b) => b.append_null(),
            Column::Bool(b) => b.append_null(),
            Column::Date(b) => b.append_null(),
            Column::Timestamp(b) => b.append_null(),
            Column::Text(b) => b.append_null(),
            Column::Blob(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Int(b) => Arc::new(b.finish()),
            Column::Float(b) => Arc::new(b.finish()),
            Column::Bool(b) => Arc::new(b.finish()),
            Column::Date(b) => Arc::new(b.finish()),
            Column::Timestamp(b) => Arc::new(b.finish()),
            Column::Text(b) => Arc::new(b.finish()),
            Column::Blob(b) => Arc::new(b.finish()),
        }
    }
}

/// The integer as a double, if it is one.
#[expect(clippy::cast_precision_loss, reason = "only what comes back whole is used")]
fn exactly(value: i64) -> Option<f64> {
    (value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS).then_some(value as f64)
}
