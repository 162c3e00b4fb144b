//! What leaves: columns of distinct names and of types that every format can carry.

use std::collections::HashSet;
use std::sync::Arc;

use chunk_port::ScanError;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::engine::fault;

/// The columns of a result.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// As they leave.
    pub(crate) schema: SchemaRef,
}

impl Output {
    /// From the plan's schema.
    pub(crate) fn new(planned: &Schema) -> Result<Self, ScanError> {
        let mut names = HashSet::new();
        let mut fields = Vec::with_capacity(planned.fields().len());
        for field in planned.fields() {
            if !names.insert(field.name().as_str()) {
                return Err(fault::invalid(format!(
                    "two columns of the result are called `{}`; name one of them with AS",
                    field.name()
                )));
            }
            let data_type = leaves_as(field.data_type()).ok_or_else(|| {
                fault::invalid(format!(
                    "the column `{}` of the result is nested; select its parts, or cast it to text",
                    field.name()
                ))
            })?;
            fields.push(Field::new(field.name(), data_type, field.is_nullable()));
        }
        if fields.is_empty() {
            return Err(fault::invalid("the result has no column"));
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// A batch as it leaves.
    pub(crate) fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| {
                if column.data_type() == field.data_type() {
                    Ok(Arc::clone(column))
                } else {
                    cast(column, field.data_type())
                }
            })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

fn leaves_as(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null | DataType::Interval(_) | DataType::Duration(_) => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, value) => leaves_as(value)?,
        nested if nested.is_nested() => return None,
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use datafusion::arrow::datatypes::{IntervalUnit, TimeUnit};

    #[test]
    fn names_must_be_distinct_and_values_flat() {
        let text = |n: &str| Field::new(n, DataType::Utf8, true);
        assert!(
            Output::new(&Schema::new(vec![text("a"), text("a")]))
                .unwrap_err()
                .public
                .contains("AS")
        );
        let list = Field::new_list("l", text("item"), true);
        assert!(Output::new(&Schema::new(vec![list])).is_err());
        assert!(Output::new(&Schema::empty()).is_err());
    }

    #[test]
    fn every_type_that_is_changed_can_be_cast() {
        for data_type in [
            DataType::Null,
            DataType::Utf8View,
            DataType::LargeUtf8,
            DataType::BinaryView,
            DataType::LargeBinary,
            DataType::Float16,
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Interval(IntervalUnit::YearMonth),
            DataType::Interval(IntervalUnit::DayTime),
            DataType::Duration(TimeUnit::Nanosecond),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ] {
            let output = Output::new(&Schema::new(vec![Field::new("a", data_type.clone(), true)])).unwrap();
            let column = datafusion::arrow::array::new_null_array(&data_type, 3);
            let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
            assert_eq!(output.convert(&batch).unwrap().num_rows(), 3, "{data_type}");
        }
    }
}
