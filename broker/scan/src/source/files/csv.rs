//! The schema of CSV files, from the first lines of the first one.

use std::collections::HashSet;
use std::fs;
use std::io::BufReader;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::File;
use super::list::Listed;

/// The columns' names from the header, their types from what the first lines have in common.
pub(super) fn metadata(listed: Vec<Listed>) -> Result<(SchemaRef, Vec<File>), String> {
    let first = listed.first().ok_or("no file")?;
    let open = || fs::File::open(&first.path).map(BufReader::new).map_err(|e| e.to_string());
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(open()?, Some(SAMPLE_ROWS)).map_err(|e| e.to_string())?;
    let texts: Vec<Field> = schema.fields().iter().map(|f| Field::new(f.name(), DataType::Utf8, true)).collect();
    let reader = ReaderBuilder::new(Arc::new(Schema::new(texts)))
        .with_header(true)
        .build_buffered(open()?)
        .map_err(|e| e.to_string())?;
    let (mut codes, mut seen) = (HashSet::new(), 0);
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        for (n, column) in batch.columns().iter().enumerate() {
            if column.as_string::<i32>().iter().flatten().any(is_code) {
                codes.insert(n);
            }
        }
        seen += batch.num_rows();
        if seen >= SAMPLE_ROWS {
            break;
        }
    }
    let fields = schema.fields().iter().enumerate().map(|(n, f)| {
        let data_type = if codes.contains(&n) || *f.data_type() == DataType::Null {
            DataType::Utf8
        } else {
            f.data_type().clone()
        };
        Field::new(f.name(), data_type, true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok((
        schema,
        listed
            .into_iter()
            .map(|f| File {
                meta: f.meta,
                groups: Vec::new(),
            })
            .collect(),
    ))
}

const SAMPLE_ROWS: usize = 10_000;

/// Digits that are no number: as one, `007` would come back as 7, and a post code, phone or account number would be another.
fn is_code(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let mut chars = digits.chars();
    matches!((chars.next(), chars.next()), (Some('0'), Some(c)) if c.is_ascii_digit()) || digits.len() > 18
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_with_a_leading_zero_are_codes() {
        for code in ["007", "-01", "0612345678", "1234567890123456789"] {
            assert!(is_code(code), "{code}");
        }
        for number in ["0", "7", "-1", "0.5", "100", ""] {
            assert!(!is_code(number), "{number}");
        }
    }
}
