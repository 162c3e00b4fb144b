//! How is a result written as Parquet?
//!
//! Row groups end at a million rows or 32 MiB, whichever comes first, and leave memory then: two parallel deliveries stay far
//! below what a small machine has. Statistics are of masked values, since nothing else ever gets here.

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{EncodeError, Encoder, matches, unique};
use std::sync::Arc;

/// Rows of a row group.
const GROUP_ROWS_MAX: usize = 1_048_576;

/// Encoded bytes of a row group, about.
const GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Writes Parquet. The writer is made with the first batch, whose values tell which columns a dictionary would not help.
pub(super) struct ParquetFile {
    schema: SchemaRef,
    metadata: Vec<KeyValue>,
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl ParquetFile {
    pub(super) fn new(schema: SchemaRef, metadata: &[(String, String)]) -> ParquetFile {
        // Without the source's own metadata.
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        let metadata = metadata
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
            .collect();
        ParquetFile {
            schema,
            metadata,
            writer: None,
        }
    }

    fn begin(&self, first: Option<&RecordBatch>) -> Result<ArrowWriter<Vec<u8>>, EncodeError> {
        let mut properties = WriterProperties::builder()
            .set_created_by("chunkctl".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .set_max_row_group_bytes(None)
            .set_key_value_metadata(Some(self.metadata.clone()));
        let columns = first.map_or(&[] as &[_], RecordBatch::columns);
        for (field, column) in self.schema.fields().iter().zip(columns) {
            if unique::is_nearly(column.as_ref()) {
                properties = properties.set_column_dictionary_enabled(ColumnPath::new(vec![field.name().clone()]), false);
            }
        }
        Ok(ArrowWriter::try_new(
            Vec::new(),
            Arc::clone(&self.schema),
            Some(properties.build()),
        )?)
    }
}

impl Encoder for ParquetFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        if !matches(&self.schema, batch) {
            return Err(EncodeError::Schema);
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(Some(batch))?,
        };
        writer.write(batch)?;
        let size = writer.in_progress_size();
        if size >= GROUP_BYTES_MAX {
            // Room at once: a buffer that grows by doubling would take twice what it needs.
            writer.inner_mut().reserve_exact(size);
            writer.flush()?;
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        self.writer
            .as_mut()
            .map_or_else(Bytes::new, |writer| Bytes::from(std::mem::take(writer.inner_mut())))
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, EncodeError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(None)?,
        };
        Ok(Bytes::from(writer.into_inner()?))
    }
}
