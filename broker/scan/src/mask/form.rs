//! What is a value's text form?
//!
//! One text for one value whatever type it was stored as, so that the id 42 has the same token as `bigint`, as
//! `numeric(10,2)`, as a float and as text:
//!
//! | type | text form |
//! |---|---|
//! | text | itself, nothing trimmed or folded |
//! | integers | decimal digits, `-` before negative ones |
//! | decimals, floats | the same, with the shortest exact fraction: `12.5`, never `12.50`, `12.0`, `1e3` or `-0`; `NaN`, `inf`, `-inf` |
//! | booleans | `true`, `false` |
//! | dates | `2024-01-02` |
//! | times | `03:04:05`, fraction without zeros at its end |
//! | timestamps | `2024-01-02T03:04:05.6`, with `Z` in UTC if the column has a zone |
//! | durations, intervals | `PT1.5S`, `P1M2DT3.5S` |
//! | binary of 16 bytes, fixed | as a UUID, `550e8400-e29b-41d4-a716-446655440000` |
//! | other binary | lower-case hexadecimal |
//!
//! Lists, structs and maps have none: two sources would not agree on it.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::text::TextBuilder;
use super::tokenize::Token;
use crate::encode::scalar::{self, Style, Writer};

/// Whether values of this type, in plain layout, have a text form. Text does not need one.
pub(super) fn has_form(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Utf8 => false,
        other => !other.is_nested() && !matches!(other, DataType::Dictionary(..) | DataType::RunEndEncoded(..)),
    }
}

/// Tokens of the text forms of an array's values.
pub(super) fn tokens(token: &Token, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let mut out = TextBuilder::with_capacity(array.len());
    let write = writer(array.as_ref());
    let mut form = Vec::new();
    for row in 0..array.len() {
        match &write {
            Some(write) if array.is_valid(row) => {
                form.clear();
                write(row, &mut form);
                token.of(&form, &mut out.bytes);
                out.end_value()?;
            }
            _ => out.push(None)?,
        }
    }
    out.finish()
}

/// Writes the text forms of an array's values; `None` where its type has none.
pub(super) fn writer(array: &dyn Array) -> Option<Writer<'_>> {
    scalar::writer(array, Style::Canonical)
}
