//! Is nearly every value of a column different?
//!
//! A dictionary over such a column (tokens, keys, times) costs a hash a value and then is thrown away.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, downcast_primitive_array};
use arrow::datatypes::{DataType, ToByteSlice};

/// Values looked at.
const SAMPLE: usize = 4_096;

/// Fewer values than this tell nothing.
const SAMPLE_MIN: usize = 256;

/// Whether more than half of the first values are distinct.
pub(super) fn is_nearly(array: &dyn Array) -> bool {
    let rows = array.len().min(SAMPLE);
    if rows < SAMPLE_MIN {
        return false;
    }
    let distinct = downcast_primitive_array! {
        array => array.values().iter().take(rows).map(ToByteSlice::to_byte_slice).collect::<HashSet<_>>().len(),
        DataType::Utf8 => array.as_string::<i32>().iter().take(rows).flatten().collect::<HashSet<_>>().len(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().take(rows).flatten().collect::<HashSet<_>>().len(),
        DataType::Binary => array.as_binary::<i32>().iter().take(rows).flatten().collect::<HashSet<_>>().len(),
        _ => 0,
    };
    distinct * 2 > rows
}
