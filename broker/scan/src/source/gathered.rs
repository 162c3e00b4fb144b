//! Rows of a server, gathered until they make a batch.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

/// Rows of a batch at most.
pub(crate) const BATCH_ROWS: usize = 8192;
/// Bytes of its values as they come, about; wide rows make shorter batches.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How much has gathered.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    rows: usize,
    bytes: usize,
    /// Rows of the batches before.
    before: u64,
}

impl Gathered {
    /// Number of the row that comes next, from 1.
    pub(crate) fn next(&self) -> u64 {
        self.before + u64::try_from(self.rows).unwrap_or(u64::MAX) + 1
    }

    /// A row is there.
    pub(crate) fn add_row(&mut self) {
        self.rows += 1;
    }

    /// Bytes were read.
    pub(crate) fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether it is enough for a batch.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The batch of what has gathered, if anything has; `finish` gives its columns.
    pub(crate) fn take(&mut self, schema: &SchemaRef, finish: impl FnOnce() -> Vec<ArrayRef>) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), finish(), &options)?;
        self.before = self.next() - 1;
        self.rows = 0;
        self.bytes = 0;
        Ok(Some(batch))
    }
}
