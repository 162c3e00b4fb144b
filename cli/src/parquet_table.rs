//! A table of a bundle as a Parquet file, written as its rows come.
//!
//! The columns are written one by one with the format's own library; no query engine is needed for that, and none is linked.

use std::fs::File;
use std::sync::Arc;

use chunk_evidence::views::{Cell, ColumnType, Table};
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Rows and bytes of text that are held before they are written together.
const GROUP_ROWS_MAX: usize = 64 * 1024;
const GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A file under way.
pub(crate) struct ParquetTable {
    table: Table,
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    values: Values,
    /// For each row, 1 where there is a value and 0 where there is none.
    there: Vec<i16>,
}

enum Values {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

impl ParquetTable {
    /// Begins a file; `about` goes into its metadata.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(table: Table, file: File, about: &[(&str, &str)]) -> Result<Self> {
        let columns = table.columns();
        let fields: String = columns.iter().map(|(name, column)| field(name, *column)).collect();
        let schema = parse_message_type(&format!("message {} {{ {fields}}}", table.name()))?;
        let about = about
            .iter()
            .map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
        let properties = WriterProperties::builder()
            .set_created_by(concat!("chunkctl version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(about.collect()))
            .build();
        Ok(Self {
            table,
            writer: SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?,
            columns: columns.iter().map(|(_, column)| Column::new(*column)).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row, of the cells that its table has of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn push(&mut self, row: &chunk_evidence::views::Row) -> Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(self.table.cells(row)) {
            self.bytes += column.push(cell)?;
        }
        self.rows += 1;
        if self.rows < GROUP_ROWS_MAX && self.bytes < GROUP_BYTES_MAX {
            return Ok(());
        }
        self.write_group()
    }

    /// Writes what is left, and the footer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let file = self.writer.into_inner()?;
        file.sync_all().map_err(|error| ParquetError::External(error.into()))
    }

    fn write_group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
            match (writer.untyped(), &mut column.values) {
                (ColumnWriter::Int64ColumnWriter(writer), Values::Numbers(numbers)) => {
                    writer.write_batch(numbers, Some(&column.there), None)?;
                    numbers.clear();
                }
                (ColumnWriter::ByteArrayColumnWriter(writer), Values::Texts(texts)) => {
                    writer.write_batch(texts, Some(&column.there), None)?;
                    texts.clear();
                }
                _ => return Err(other_type()),
            }
            column.there.clear();
            writer.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Column {
    fn new(column: ColumnType) -> Self {
        let values = match column {
            ColumnType::Integer | ColumnType::Time => Values::Numbers(Vec::new()),
            ColumnType::Text => Values::Texts(Vec::new()),
        };
        Self { values, there: Vec::new() }
    }

    /// Adds a cell; its bytes.
    fn push(&mut self, cell: Cell) -> Result<usize> {
        self.there.push(i16::from(cell != Cell::Absent));
        match (cell, &mut self.values) {
            (Cell::Absent, _) => Ok(0),
            (Cell::Number(number), Values::Numbers(numbers)) => {
                numbers.push(number);
                Ok(size_of::<i64>())
            }
            (Cell::Text(text), Values::Texts(texts)) => {
                let bytes = text.len();
                texts.push(text.into_bytes().into());
                Ok(bytes)
            }
            _ => Err(other_type()),
        }
    }
}

fn field(name: &str, column: ColumnType) -> String {
    match column {
        ColumnType::Integer => format!("OPTIONAL INT64 {name}; "),
        ColumnType::Time => format!("OPTIONAL INT64 {name} (TIMESTAMP(MILLIS,true)); "),
        ColumnType::Text => format!("OPTIONAL BYTE_ARRAY {name} (STRING); "),
    }
}

fn other_type() -> ParquetError {
    ParquetError::General("a cell is not of its column's type".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_evidence::body::{Body, Group};
    use chunk_evidence::leaf::{Header, Kind};
    use chunk_evidence::views::{Row, Shown};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    use super::*;

    fn row(index: u64) -> Row {
        let mut body = Body::new();
        body.set(Group::Out, serde_json::json!({"end":"done","rows":index,"sha256":"\u{e4}"}));
        let mut header = Header::new(Kind::parse("fetch.outcome").unwrap());
        header.t = 1_764_000_000_123;
        Row {
            index,
            hash: [0; 32],
            header,
            shown: Shown::Full,
            body,
        }
    }

    #[test]
    fn what_was_written_is_read_by_the_formats_own_reader() {
        let file = tempfile::tempfile().unwrap();
        let fetch = Table::of(&row(0))[1];
        let mut table = ParquetTable::new(fetch, file.try_clone().unwrap(), &[("origin", "o/d/1")]).unwrap();
        let rows = GROUP_ROWS_MAX as u64 + 3;
        for index in 0..rows {
            table.push(&row(index)).unwrap();
        }
        table.finish().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let about = reader.metadata().file_metadata();
        assert_eq!(about.created_by(), Some(concat!("chunkctl version ", env!("CARGO_PKG_VERSION"))));
        assert_eq!(about.key_value_metadata().unwrap().first().unwrap().value.as_deref(), Some("o/d/1"));
        let at = |name: &str| fetch.columns().iter().position(|(column, _)| *column == name).unwrap();
        let mut read = 0;
        for (index, row) in (0..).zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            assert_eq!(row.get_long(at("index")).unwrap(), index);
            assert_eq!(row.get_long(at("rows")).unwrap(), index);
            assert_eq!(row.get_timestamp_millis(at("time")).unwrap(), 1_764_000_000_123);
            assert_eq!(row.get_string(at("sha256")).unwrap(), "\u{e4}");
            assert!(row.is_null(at("bytes")).unwrap() && row.is_null(at("untyped")).unwrap());
            read += 1;
        }
        assert_eq!(read, rows);
    }
}
