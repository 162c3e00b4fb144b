//! In which bytes does a result leave?
//!
//! An encoder takes batches and gives bytes as soon as it has them, so that memory does not grow with the result. The same
//! batches give the same bytes: digests in the evidence are of what these encoders write.

mod cells;
mod ipc;
pub(crate) mod iso;
mod lines;
pub(crate) mod number;
mod parquet_file;
pub(crate) mod scalar;
mod unique;

#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chunk_wire::fetch::Format;
use parquet::errors::ParquetError;

/// Turns batches of one schema into the bytes of one file.
pub trait Encoder {
    /// Encodes a batch.
    ///
    /// # Errors
    /// When the batch is not of the encoder's schema, or cannot be encoded.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError>;

    /// The bytes that are ready and were not taken yet; may be empty after any write.
    fn take(&mut self) -> Bytes;

    /// Ends the file and gives its remaining bytes.
    ///
    /// # Errors
    /// When the rest cannot be encoded.
    fn finish(self: Box<Self>) -> Result<Bytes, EncodeError>;
}

/// Why a result cannot be encoded. No variant's own text holds a value.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The format has no place for a column's type.
    #[error("column `{column}` has type `{data_type}`, which `{format}` cannot hold; choose `parquet` or `arrow`, or leave the column out")]
    Unsupported {
        /// Column.
        column: String,
        /// Arrow's name of its type.
        data_type: String,
        /// Format.
        format: &'static str,
    },
    /// A batch differs from the schema that the encoder was made for.
    #[error("a batch is not of the schema that the file was begun with")]
    Schema,
    /// Writing Parquet failed.
    #[error("encode as Parquet")]
    Parquet(#[from] ParquetError),
    /// Writing Arrow IPC failed.
    #[error("encode as Arrow")]
    Arrow(#[from] ArrowError),
}

/// An encoder of a whole file.
///
/// `metadata` goes into the file where the format has a place for it (Parquet, Arrow), in place of any metadata of the schema:
/// that would be the source's, and says what nobody has looked at.
///
/// # Errors
/// When a column's type has no place in the format.
pub fn encoder(format: Format, schema: SchemaRef, metadata: &[(String, String)]) -> Result<Box<dyn Encoder + Send>, EncodeError> {
    Ok(match format {
        Format::Parquet => Box::new(parquet_file::ParquetFile::new(schema, metadata)),
        Format::Csv => Box::new(lines::Lines::csv(schema, true)?),
        Format::Ndjson => Box::new(lines::Lines::ndjson(schema)?),
        Format::Arrow => Box::new(ipc::Stream::new(&schema, metadata)?),
    })
}

/// An encoder of what follows an earlier file: like [`encoder`], but CSV has no header line, so that the two concatenate.
///
/// # Errors
/// When a column's type has no place in the format.
pub fn continuation(format: Format, schema: SchemaRef, metadata: &[(String, String)]) -> Result<Box<dyn Encoder + Send>, EncodeError> {
    match format {
        Format::Csv => Ok(Box::new(lines::Lines::csv(schema, false)?)),
        other => encoder(other, schema, metadata),
    }
}

/// Whether a batch has the columns of a schema. Names and types count; nullability and metadata do not.
fn matches(schema: &SchemaRef, batch: &RecordBatch) -> bool {
    let given = batch.schema_ref().fields();
    given.len() == schema.fields().len() && given.iter().zip(schema.fields()).all(|(a, b)| a.data_type() == b.data_type())
}
