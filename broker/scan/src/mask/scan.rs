//! Does a value say something that it should not?
//!
//! Text keeps everything but its findings. A value of another type cannot lose a part: it is formatted, tested and, on a hit,
//! nulled. A list, struct or map hits if anything in it does.

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, make_array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::error::ArrowError;

use super::form;
use super::text::{self, TextMask};
use crate::detect::{self, Column};

/// Replaces what is found in a text of this column.
#[derive(Debug)]
pub(super) struct Replace(pub(super) Column);

impl TextMask for Replace {
    fn mask(&self, value: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(detect::replace_in(self.0, value).as_bytes());
    }
}

/// Nulls what hits in an array that is not text; also counts it.
pub(super) fn test(array: &ArrayRef, output: &DataType, column: Column) -> (ArrayRef, u64) {
    let rows = array.len();
    let nulls = array.logical_nulls();
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let hits = hits(array.as_ref(), column);
    let is_hit = |row: usize| hits.get(row).copied().unwrap_or(true);
    let altered = (0..rows).filter(|&row| !is_null(row) && is_hit(row)).count() as u64;
    // Copied run by run, with nothing where a null is: the result shares no buffer with the source, and what was nulled is
    // not there underneath either.
    let is_kept = |row: usize| !is_null(row) && !is_hit(row);
    match copy(array.as_ref(), is_kept) {
        Ok(masked) if masked.data_type() == output => (masked, altered),
        _ => (
            new_null_array(output, rows),
            (rows - nulls.as_ref().map_or(0, NullBuffer::null_count)) as u64,
        ),
    }
}

fn copy(array: &dyn Array, is_kept: impl Fn(usize) -> bool) -> Result<ArrayRef, ArrowError> {
    let rows = array.len();
    let source = array.to_data();
    let mut copy = MutableArrayData::new(vec![&source], true, rows);
    let mut row = 0;
    while row < rows {
        let kept = is_kept(row);
        let end = (row..rows).find(|&next| is_kept(next) != kept).unwrap_or(rows);
        if kept {
            copy.try_extend(0, row, end)?;
        } else {
            copy.try_extend_nulls(end - row)?;
        }
        row = end;
    }
    Ok(make_array(copy.freeze()))
}

/// A number of fewer digits is no finding without a word beside it.
const DIGITS_MIN: usize = 10;

/// The smallest whole number of as many digits.
const SUSPECT: u64 = 1_000_000_000;

/// Which rows hit. What cannot be looked into does.
fn hits(array: &dyn Array, column: Column) -> Vec<bool> {
    let rows = array.len();
    match array.data_type() {
        // Their text forms have separators at fixed places, which no detector reads across.
        DataType::Null
        | DataType::Boolean
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..) => {
            vec![false; rows]
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32
            if column.kind().is_none() =>
        {
            vec![false; rows]
        }
        DataType::Utf8 => {
            let mut hits = Vec::with_capacity(rows);
            // The visitor never fails, and a row not visited would count as a hit.
            let _ = text::each(array, |value| {
                hits.push(value.is_some_and(|value| column.contains(value)));
                Ok(())
            });
            hits
        }
        DataType::Binary => array
            .as_binary::<i32>()
            .iter()
            .map(|value| value.is_some_and(|value| bytes_hit(value, column)))
            .collect(),
        DataType::LargeBinary => array
            .as_binary::<i64>()
            .iter()
            .map(|value| value.is_some_and(|value| bytes_hit(value, column)))
            .collect(),
        DataType::FixedSizeBinary(_) => array
            .as_fixed_size_binary()
            .iter()
            .map(|value| value.is_some_and(|value| bytes_hit(value, column)))
            .collect(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let inner = hits(list.values().as_ref(), column);
            list.value_offsets()
                .windows(2)
                .map(|w| any(&inner, w.first().map_or(0, |&o| o.into()), w.last().map_or(0, |&o| o.into())))
                .collect()
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let inner = hits(list.values().as_ref(), column);
            list.value_offsets()
                .windows(2)
                .map(|w| any(&inner, w.first().copied().unwrap_or(0), w.last().copied().unwrap_or(0)))
                .collect()
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let inner = hits(map.entries(), column);
            map.value_offsets()
                .windows(2)
                .map(|w| any(&inner, w.first().map_or(0, |&o| o.into()), w.last().map_or(0, |&o| o.into())))
                .collect()
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let inner = hits(list.values().as_ref(), column);
            let size = i64::from(*size);
            (0..rows as i64).map(|row| any(&inner, row * size, (row + 1) * size)).collect()
        }
        DataType::Struct(_) => {
            let columns: Vec<_> = array
                .as_struct()
                .columns()
                .iter()
                .map(|field| hits(field.as_ref(), column))
                .collect();
            (0..rows)
                .map(|row| columns.iter().any(|field| field.get(row).copied().unwrap_or(true)))
                .collect()
        }
        DataType::Int64 if column.kind().is_none() => formatted(array, column, |row| {
            array.as_primitive::<Int64Type>().value(row).unsigned_abs() >= SUSPECT
        }),
        DataType::UInt64 if column.kind().is_none() => {
            formatted(array, column, |row| array.as_primitive::<UInt64Type>().value(row) >= SUSPECT)
        }
        _ => formatted(array, column, |_| true),
    }
}

fn any(inner: &[bool], from: i64, to: i64) -> bool {
    let range = usize::try_from(from)
        .ok()
        .zip(usize::try_from(to).ok())
        .and_then(|(from, to)| inner.get(from..to));
    range.is_none_or(|items| items.contains(&true))
}

/// Bytes may be text that the source does not call so.
fn bytes_hit(bytes: &[u8], column: Column) -> bool {
    column.contains(&String::from_utf8_lossy(bytes))
}

/// Numbers, by their text form. Digits after a decimal point are no card: a fraction is left alone, or one in thirty measured
/// values would be one.
fn formatted(array: &dyn Array, column: Column, is_suspect: impl Fn(usize) -> bool) -> Vec<bool> {
    let digits_min = if column.kind().is_some() { 1 } else { DIGITS_MIN };
    let Some(write) = form::writer(array) else {
        return vec![true; array.len()];
    };
    let mut form = Vec::new();
    (0..array.len())
        .map(|row| {
            if array.is_null(row) || !is_suspect(row) {
                return false;
            }
            form.clear();
            write(row, &mut form);
            form.len() >= digits_min && !form.contains(&b'.') && std::str::from_utf8(&form).map_or(true, |form| column.contains(form))
        })
        .collect()
}
