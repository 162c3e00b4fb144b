//! How is a result written as lines of text: CSV and NDJSON?
//!
//! Our own writers, because values must leave exactly: every digit of a decimal and of a 64-bit integer, instants in UTC, an
//! empty text told from a null; and because they cost a third of what formatting each cell through a general formatter does.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chunk_wire::fetch::Format;

use super::cells::{self, Cell, Notation};
use super::{EncodeError, Encoder, matches};

/// Writes a line for each row.
pub(super) struct Lines {
    schema: SchemaRef,
    notation: Notation,
    /// What stands before each column's value: a comma, or `,"name":`.
    before: Vec<Vec<u8>>,
    /// What ends a line.
    end: &'static [u8],
    out: Vec<u8>,
}

impl Lines {
    /// RFC 4180 with lines that end in a line feed alone, as every tool of a Unix shell expects. Null is nothing, the empty
    /// text is `""`.
    pub(super) fn csv(schema: SchemaRef, header: bool) -> Result<Lines, EncodeError> {
        cells::check(&schema, Format::Csv)?;
        let before = (0..schema.fields().len())
            .map(|column| if column == 0 { Vec::new() } else { b",".to_vec() })
            .collect();
        let mut out = Vec::new();
        if header {
            for (column, field) in schema.fields().iter().enumerate() {
                if column > 0 {
                    out.push(b',');
                }
                cells::csv_text(&mut out, field.name());
            }
            out.push(b'\n');
        }
        Ok(Lines {
            schema,
            notation: Notation::Csv,
            before,
            end: b"\n",
            out,
        })
    }

    /// One JSON object a line; a null is written as `null`, so that every line has every name.
    pub(super) fn ndjson(schema: SchemaRef) -> Result<Lines, EncodeError> {
        cells::check(&schema, Format::Ndjson)?;
        let before = schema.fields().iter().enumerate().map(|(column, field)| {
            let mut before = if column == 0 { b"{".to_vec() } else { b",".to_vec() };
            cells::json_text(&mut before, field.name());
            before.push(b':');
            before
        });
        let before = before.collect();
        let end = if schema.fields().is_empty() { b"{}\n".as_slice() } else { b"}\n" };
        Ok(Lines {
            schema,
            notation: Notation::Json,
            before,
            end,
            out: Vec::new(),
        })
    }
}

impl Encoder for Lines {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        if !matches(&self.schema, batch) {
            return Err(EncodeError::Schema);
        }
        let cells: Option<Vec<Cell<'_>>> = batch
            .columns()
            .iter()
            .map(|column| cells::cell(column.as_ref(), self.notation))
            .collect();
        let cells = cells.ok_or(EncodeError::Schema)?;
        // A line without a character is no record to many readers.
        let fills_empty_lines = self.notation == Notation::Csv && cells.len() == 1;
        for row in 0..batch.num_rows() {
            let line = self.out.len();
            for (before, cell) in self.before.iter().zip(&cells) {
                self.out.extend_from_slice(before);
                cell(row, &mut self.out);
            }
            if fills_empty_lines && self.out.len() == line {
                self.out.extend_from_slice(b"\"\"");
            }
            self.out.extend_from_slice(self.end);
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }

    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError> {
        Ok(Bytes::from(self.out))
    }
}
