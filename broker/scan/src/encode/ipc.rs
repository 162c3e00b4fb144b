//! How is a result written as an Arrow IPC stream?

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::{EncodeError, Encoder, matches};

/// Writes an IPC stream, bodies compressed with LZ4: half the bytes for a tenth of what zstd costs.
pub(super) struct Stream {
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
}

impl Stream {
    pub(super) fn new(schema: &SchemaRef, metadata: &[(String, String)]) -> Result<Stream, EncodeError> {
        let schema = Arc::new(Schema::new_with_metadata(
            schema.fields().clone(),
            metadata.iter().cloned().collect(),
        ));
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
        Ok(Stream { schema, writer })
    }
}

impl Encoder for Stream {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        if !matches(&self.schema, batch) {
            return Err(EncodeError::Schema);
        }
        Ok(self.writer.write(batch)?)
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(self.writer.get_mut()))
    }

    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError> {
        Ok(Bytes::from(self.writer.into_inner()?))
    }
}
