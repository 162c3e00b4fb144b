//! Functions that can make much of little, held to a size.
//!
//! `replace(repeat('a', 10000), 'a', repeat('b', 10000))` is a hundred million bytes in fifty, and constants are computed
//! while a query is planned, before anybody has decided whether it may run. So each function whose result can be larger than
//! what it is given is wrapped: the wrapper works out the largest result there can be *before* the function runs, gives it
//! as many rows at a time as that allows, and refuses when the results of one batch together are too large. Nothing of it
//! needs to be remembered from batch to batch.
//!
//! The functions' own rewrites are left out: they put the bare function back.

mod joined;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigExtension;
use datafusion::common::{Result, ScalarValue, extensions_options};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::engine::fault;
pub(crate) use joined::{BoundedPlanner, JOINED};

/// What one call may produce for a batch of rows.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What all calls of a statement may produce for a batch of rows.
const STATEMENT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A constant may be copied for each row of a batch, of which there are at most this many.
const BATCH_ROWS: usize = 8192;
/// Steps of one call for a batch of rows, where they are not in proportion to what is given.
const STEPS_MAX: u64 = 1 << 28;

extensions_options! {
    /// What the calls of a statement may produce.
    pub(crate) struct Room {
        /// Bytes of one call and one batch.
        pub(crate) bytes: usize, default = BATCH_BYTES_MAX
    }
}

impl ConfigExtension for Room {
    const PREFIX: &'static str = "chunk_room";
}

impl Room {
    /// For a statement with so many calls of growing functions: the more, the less for each.
    pub(crate) fn shared_by(calls: usize) -> Self {
        Self {
            bytes: (STATEMENT_BYTES_MAX / calls.max(1)).min(BATCH_BYTES_MAX),
        }
    }
}

/// How the size of a result, or the work for it, follows from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    Concat,
    ConcatSeparated,
    Repeat,
    Pad,
    Replace,
    ReplacePattern,
    Translate,
    Overlay,
    Encode,
    Format,
    /// Work, not size: as the product of two lengths.
    Distance,
}

impl Growth {
    /// Of the function of this name, if it grows.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "concat" | JOINED => Growth::Concat,
            "concat_ws" => Growth::ConcatSeparated,
            "repeat" => Growth::Repeat,
            "lpad" | "rpad" => Growth::Pad,
            "replace" => Growth::Replace,
            "regexp_replace" => Growth::ReplacePattern,
            "translate" => Growth::Translate,
            "overlay" => Growth::Overlay,
            "encode" => Growth::Encode,
            "to_char" => Growth::Format,
            "levenshtein" => Growth::Distance,
            _ => return None,
        })
    }

    /// The most that one row can come to. `n(i)`: bytes of text argument `i`, or the number in it.
    fn most(self, arguments: usize, n: impl Fn(usize) -> u64) -> u64 {
        let sum = |from: usize| (from..arguments).map(&n).fold(0_u64, u64::saturating_add);
        let text = n(0);
        match self {
            Growth::Concat => sum(0),
            Growth::ConcatSeparated => sum(1).saturating_add(text.saturating_mul(arguments as u64)),
            Growth::Repeat => text.saturating_mul(n(1)),
            // A character of the filling has at most four bytes.
            Growth::Pad => text.saturating_add(n(1).saturating_mul(if arguments > 2 { n(2).clamp(1, 4) } else { 1 })),
            Growth::Replace => {
                let places = text / n(1).max(1) + 1;
                text.saturating_add(places.saturating_mul(n(2)))
            }
            // Each match adds the replacement, which can name groups of the match, two bytes a name; matches do not overlap.
            Growth::ReplacePattern => {
                let places = if arguments > 3 { text + 1 } else { 1 };
                let names = n(2) / 2 + 1;
                text.saturating_add(places.saturating_mul(n(2)))
                    .saturating_add(names.saturating_mul(text))
            }
            Growth::Translate => text.saturating_mul(4),
            // A negative count writes a part twice.
            Growth::Overlay => text.saturating_mul(2).saturating_add(n(1)),
            Growth::Encode => text.saturating_mul(2).saturating_add(4),
            // Two characters of a format stand for at most forty: `%+`.
            Growth::Format => n(1).saturating_mul(20).saturating_add(64),
            Growth::Distance => text.saturating_mul(n(1)),
        }
    }
}

/// The function, bounded if it grows.
pub(super) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match Growth::of(function.name()) {
        Some(growth) => Arc::new(ScalarUDF::new_from_impl(Bounded { function, growth })),
        None => function,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let room = args.config_options.extensions.get::<Room>().map_or(BATCH_BYTES_MAX, |r| r.bytes);
        let measures: Vec<Measure<'_>> = args.args.iter().map(Measure::of).collect();
        let most = |row: usize| self.growth.most(measures.len(), |i| measures.get(i).map_or(0, |m| m.at(row)));
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        if self.growth == Growth::Distance {
            let steps = (0..if constant { 1 } else { args.number_rows })
                .map(most)
                .fold(0_u64, u64::saturating_add);
            if steps > STEPS_MAX {
                return Err(self.too_large("compare"));
            }
            return self.function.invoke_with_args(args);
        }
        if constant {
            if most(0) > room as u64 {
                return Err(self.too_large("produce"));
            }
            let value = self.function.invoke_with_args(args)?;
            let bytes = match &value {
                ColumnarValue::Scalar(scalar) => text_bytes(scalar),
                ColumnarValue::Array(array) => array.get_array_memory_size(),
            };
            if bytes > room / BATCH_ROWS {
                return Err(self.too_large("produce"));
            }
            return Ok(value);
        }
        let mut parts: Vec<usize> = Vec::new();
        let (mut part, mut rows) = (0_u64, 0);
        for row in 0..args.number_rows {
            let bytes = most(row);
            if bytes > room as u64 {
                return Err(self.too_large("produce"));
            }
            if part.saturating_add(bytes) > room as u64 {
                parts.push(rows);
                (part, rows) = (0, 0);
            }
            part += bytes;
            rows += 1;
        }
        if parts.is_empty() {
            return self.function.invoke_with_args(args);
        }
        parts.push(rows);
        self.in_parts(&args, &parts, room)
    }
}

impl Bounded {
    /// So many rows at a time, as long as the results fit together.
    fn in_parts(&self, args: &ScalarFunctionArgs, parts: &[usize], room: usize) -> Result<ColumnarValue> {
        let mut results: Vec<ArrayRef> = Vec::with_capacity(parts.len());
        let (mut from, mut bytes) = (0, 0_usize);
        for &rows in parts {
            let slice = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
            };
            let result = self
                .function
                .invoke_with_args(ScalarFunctionArgs {
                    args: args.args.iter().map(slice).collect(),
                    arg_fields: args.arg_fields.clone(),
                    number_rows: rows,
                    return_field: Arc::clone(&args.return_field),
                    config_options: Arc::clone(&args.config_options),
                })?
                .into_array(rows)?;
            bytes = bytes.saturating_add(result.get_array_memory_size());
            if bytes > room {
                return Err(self.too_large("produce"));
            }
            results.push(result);
            from += rows;
        }
        let results: Vec<&dyn Array> = results.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&results)?))
    }

    fn too_large(&self, what: &str) -> datafusion::error::DataFusionError {
        fault::carry(fault::limit(format!(
            "`{}` would {what} more text at once than a query may; give it shorter texts",
            self.name()
        )))
    }
}

/// The length of a text or the number in an argument, row by row; 0 for null.
enum Measure<'a> {
    Same(u64),
    Text(&'a [i32]),
    LargeText(&'a [i64]),
    TextView(&'a StringViewArray),
    Number(&'a Int64Array),
}

impl<'a> Measure<'a> {
    fn of(value: &'a ColumnarValue) -> Self {
        let array = match value {
            ColumnarValue::Scalar(ScalarValue::Int64(number)) => return Measure::Same(positive(number.unwrap_or(0))),
            ColumnarValue::Scalar(scalar) => return Measure::Same(text_bytes(scalar) as u64),
            ColumnarValue::Array(array) => array,
        };
        match array.data_type() {
            DataType::Utf8 => Measure::Text(array.as_string::<i32>().value_offsets()),
            DataType::Binary => Measure::Text(array.as_binary::<i32>().value_offsets()),
            DataType::LargeUtf8 => Measure::LargeText(array.as_string::<i64>().value_offsets()),
            DataType::LargeBinary => Measure::LargeText(array.as_binary::<i64>().value_offsets()),
            DataType::Utf8View => Measure::TextView(array.as_string_view()),
            DataType::Int64 => Measure::Number(array.as_primitive::<Int64Type>()),
            // The text form of a number or time is shorter.
            other if other.is_primitive() || *other == DataType::Boolean || *other == DataType::Null => Measure::Same(OTHER_BYTES),
            _ => Measure::Same(array.get_array_memory_size() as u64),
        }
    }

    fn at(&self, row: usize) -> u64 {
        match self {
            Measure::Same(n) => *n,
            Measure::Text(offsets) => match (offsets.get(row), offsets.get(row + 1)) {
                (Some(from), Some(to)) => u64::from(to.abs_diff(*from)),
                _ => 0,
            },
            Measure::LargeText(offsets) => match (offsets.get(row), offsets.get(row + 1)) {
                (Some(from), Some(to)) => to.abs_diff(*from),
                _ => 0,
            },
            // The first four bytes of a view are its length.
            Measure::TextView(views) => views.views().get(row).map_or(0, |view| {
                let [a, b, c, d, ..] = view.to_le_bytes();
                u64::from(u32::from_le_bytes([a, b, c, d]))
            }),
            Measure::Number(numbers) => {
                if row < numbers.len() && numbers.is_valid(row) {
                    positive(numbers.value(row))
                } else {
                    0
                }
            }
        }
    }
}

const OTHER_BYTES: u64 = 128;

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn text_bytes(scalar: &ScalarValue) -> usize {
    match scalar {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => bytes.len(),
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => bytes.len(),
        ScalarValue::Dictionary(_, inner) => text_bytes(inner),
        other if other.is_null() => 0,
        other => other.size().max(OTHER_BYTES as usize),
    }
}
