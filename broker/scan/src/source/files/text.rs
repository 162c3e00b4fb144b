//! Nested values and other types that no output format shows alike: read as their text form.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;

/// Whether values of this type are read as text.
pub(super) fn needed(data_type: &DataType) -> bool {
    data_type.is_nested()
        || matches!(
            data_type,
            DataType::Null | DataType::Interval(_) | DataType::Duration(_) | DataType::RunEndEncoded(..)
        )
}

/// A batch of the file's types as a batch of the types handed on.
pub(super) fn convert(batch: &RecordBatch, read: &SchemaRef, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for ((column, from), to) in batch.columns().iter().zip(read.fields()).zip(schema.fields()) {
        columns.push(if needed(from.data_type()) {
            texts(column)?
        } else if column.data_type() == to.data_type() {
            Arc::clone(column)
        } else {
            cast(column, to.data_type())?
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let mut builder = StringBuilder::with_capacity(column.len(), column.len() * 16);
    let mut text = String::new();
    for row in 0..column.len() {
        if column.is_null(row) || *column.data_type() == DataType::Null {
            builder.append_null();
        } else {
            text.clear();
            match write!(text, "{}", formatter.value(row)) {
                Ok(()) => builder.append_value(&text),
                Err(_) => builder.append_null(),
            }
        }
    }
    Ok(Arc::new(builder.finish()))
}
