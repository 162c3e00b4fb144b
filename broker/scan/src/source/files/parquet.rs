//! The schema and row groups of Parquet files, from their footers.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::list::Listed;
use super::place::Place;
use super::{File, Group};

/// The first file's schema, and the row groups of the first files: a folder of thousands is not opened file by file to plan.
pub(super) fn metadata(place: &Place, listed: Vec<Listed>) -> Result<(SchemaRef, Vec<File>), String> {
    let mut schema = None;
    let mut files = Vec::with_capacity(listed.len());
    for (n, entry) in listed.into_iter().enumerate() {
        let mut groups = Vec::new();
        if n < FOOTERS_MAX {
            let file = place.open(&entry).map_err(|e| format!("{}: {e}", entry.path.display()))?;
            let footer =
                ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| format!("{}: {e}", entry.path.display()))?;
            let found = read_as(footer.schema());
            match &schema {
                None => schema = Some(found),
                Some(first) if same(first, &found) => {}
                Some(_) => return Err(format!("{} has other columns than the first file", entry.path.display())),
            }
            for group in footer.metadata().row_groups() {
                groups.push(Group {
                    rows: unsigned(group.num_rows()),
                    bytes: unsigned(group.compressed_size()),
                });
            }
            if groups.is_empty() {
                continue;
            }
        }
        files.push(File {
            path: entry.path,
            meta: entry.meta,
            groups,
        });
    }
    Ok((Arc::new(schema.ok_or("no file")?), files))
}

/// Footers read to plan.
pub(super) const FOOTERS_MAX: usize = 256;

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Whether the columns are the same, in names, types and order.
pub(super) fn same(a: &Schema, b: &Schema) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields()
            .iter()
            .zip(b.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
}

/// Texts and bytes in one layout each: views hold on to whole pages, and dictionaries are an encoding, not a type.
pub(super) fn read_as(schema: &Schema) -> Schema {
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    };
    let fields = schema.fields().iter().map(|f| {
        let data_type = match f.data_type() {
            DataType::Dictionary(_, value) => plain(value),
            other => plain(other),
        };
        Field::new(f.name(), data_type, f.is_nullable())
    });
    Schema::new(fields.collect::<Vec<_>>())
}
