//! How is a mask of text run over every layout that text comes in?
//!
//! A dictionary is masked once, each distinct value, and then written out row by row: the output is plain text, and values
//! that no row uses are gone.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// A mask of one text.
pub(super) trait TextMask: Debug {
    /// Appends the masked value to `out`: valid UTF-8.
    fn mask(&self, value: &str, out: &mut Vec<u8>);
}

/// Whether [`apply`] reads this layout.
pub(super) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => matches!(value.as_ref(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        _ => false,
    }
}

/// Masks an array of text; also counts the values that changed.
pub(super) fn apply(mask: &impl TextMask, array: &ArrayRef) -> Result<(ArrayRef, u64), ArrowError> {
    let mut out = TextBuilder::with_capacity(array.len());
    let mut altered = 0;
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = dictionary.values();
        let mut masked = Vec::with_capacity(values.len());
        let mut distinct = Vec::new();
        each(values.as_ref(), |value| {
            masked.push(value.map(|value| {
                let from = distinct.len();
                mask.mask(value, &mut distinct);
                Distinct {
                    bytes: from..distinct.len(),
                    altered: distinct.get(from..) != Some(value.as_bytes()),
                }
            }));
            Ok(())
        })?;
        let keys = if values.is_empty() {
            vec![0; array.len()]
        } else {
            dictionary.normalized_keys()
        };
        for (row, key) in keys.into_iter().enumerate() {
            let value = masked.get(key).and_then(Option::as_ref).filter(|_| !array.is_null(row));
            altered += u64::from(value.is_some_and(|value| value.altered));
            out.push(value.map(|value| distinct.get(value.bytes.clone()).unwrap_or_default()))?;
        }
        return Ok((out.finish()?, altered));
    }
    each(array.as_ref(), |value| {
        let Some(value) = value else { return out.push(None) };
        let from = out.bytes.len();
        mask.mask(value, &mut out.bytes);
        altered += u64::from(out.bytes.get(from..) != Some(value.as_bytes()));
        out.end_value()
    })?;
    Ok((out.finish()?, altered))
}

struct Distinct {
    bytes: Range<usize>,
    altered: bool,
}

/// The same text for every value of `array` that is not null.
pub(super) fn constant(array: &ArrayRef, text: &str) -> Result<ArrayRef, ArrowError> {
    // Null rows hold the constant too: their offsets then need no look at the nulls.
    let step = i32::try_from(text.len()).map_err(|_| too_long())?;
    let count = i32::try_from(array.len()).map_err(|_| too_long())?;
    count.checked_mul(step).ok_or_else(too_long)?;
    let offsets: Vec<i32> = (0..=count).map(|row| row.wrapping_mul(step)).collect();
    let values = Buffer::from(text.repeat(array.len()).into_bytes());
    Ok(Arc::new(StringArray::try_new(
        OffsetBuffer::new(ScalarBuffer::from(offsets)),
        values,
        array.logical_nulls(),
    )?))
}

/// Visits every row of a plain text array.
pub(super) fn each(array: &dyn Array, mut visit: impl FnMut(Option<&str>) -> Result<(), ArrowError>) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().try_for_each(visit),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().try_for_each(visit),
        DataType::Utf8View => array.as_string_view().iter().try_for_each(visit),
        // Not text after all: nothing of it is read.
        _ => (0..array.len()).try_for_each(|_| visit(None)),
    }
}

/// Builds a text array from bytes appended in place.
pub(super) struct TextBuilder {
    pub(super) bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextBuilder {
    pub(super) fn with_capacity(rows: usize) -> TextBuilder {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        TextBuilder {
            bytes: Vec::with_capacity(rows * 16),
            offsets,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// Appends a whole row.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), ArrowError> {
        match value {
            Some(value) => {
                self.bytes.extend_from_slice(value);
                self.end_value()
            }
            None => {
                self.nulls.append_null();
                self.end_row()
            }
        }
    }

    /// Ends a row whose bytes were appended to `bytes`.
    pub(super) fn end_value(&mut self) -> Result<(), ArrowError> {
        self.nulls.append_non_null();
        self.end_row()
    }

    fn end_row(&mut self) -> Result<(), ArrowError> {
        self.offsets.push(i32::try_from(self.bytes.len()).map_err(|_| too_long())?);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Ok(Arc::new(StringArray::try_new(
            offsets,
            Buffer::from_vec(self.bytes),
            self.nulls.finish(),
        )?))
    }
}

fn too_long() -> ArrowError {
    ArrowError::ComputeError("the masked text of one batch would exceed 2 GiB".to_owned())
}
