//! What to read of one file whose rows are read by code of ours.

use datafusion::arrow::datatypes::SchemaRef;

use super::list::Listed;
use super::place::Place;

/// Rows of a file.
pub(super) struct Wanted {
    /// Where the file is.
    pub(super) place: Place,
    /// The file.
    pub(super) file: Listed,
    /// Every column, as it was described.
    pub(super) described: SchemaRef,
    /// The columns wanted, by index.
    pub(super) columns: Vec<usize>,
    /// Rows wanted at most.
    pub(super) limit: Option<usize>,
}
