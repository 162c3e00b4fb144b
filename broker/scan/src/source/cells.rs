//! What type a column of texts has, such that every text comes back as it was.
//!
//! A file of texts does not say what its columns are. Read as numbers, `007` comes back as 7 and `1.10` as 1.1: a post code,
//! an account, a version would be another. So a column has a type only if each text of the sample is exactly what a value of
//! that type is written as, and a text further down that is not ends the read. Nothing is rounded, trimmed or guessed.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringArray,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::encode::{iso, number};

/// What the texts of a column have in common so far.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    types: Vec<DataType>,
    seen: bool,
}

impl Guess {
    pub(crate) fn new() -> Self {
        Self {
            types: vec![
                DataType::Boolean,
                DataType::Int64,
                DataType::Float64,
                DataType::Date32,
                DataType::Timestamp(TimeUnit::Microsecond, None),
            ],
            seen: false,
        }
    }

    /// Looks at one more text.
    pub(crate) fn see(&mut self, text: &str) {
        if !self.seen {
            self.seen = true;
            // All decimals of a column have as many digits after the point as the first.
            if let Some(scale) = text.split_once('.').and_then(|(_, digits)| i8::try_from(digits.len()).ok()) {
                self.types
                    .insert(0, DataType::Decimal128(PRECISION, scale.min(PRECISION.cast_signed())));
            }
        }
        self.types.retain(|t| Cell::read(t, text).is_some());
    }

    /// The type: text, unless another says the same.
    pub(crate) fn data_type(&self) -> DataType {
        match self.types.first() {
            Some(first) if self.seen => first.clone(),
            _ => DataType::Utf8,
        }
    }
}

const PRECISION: u8 = 38;

/// Texts as values of a type. The error is the first row whose text is not one.
pub(crate) fn convert(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, usize> {
    macro_rules! built {
        ($builder:expr, $cell:ident) => {{
            let mut builder = $builder;
            for (row, text) in texts.iter().enumerate() {
                match text.map(|t| Cell::read(data_type, t)) {
                    None => builder.append_null(),
                    Some(Some(Cell::$cell(value))) => builder.append_value(value),
                    Some(_) => return Err(row),
                }
            }
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }};
    }
    let rows = texts.len();
    match data_type {
        DataType::Boolean => built!(BooleanBuilder::with_capacity(rows), Bool),
        DataType::Int64 => built!(Int64Builder::with_capacity(rows), Int),
        DataType::Float64 => built!(Float64Builder::with_capacity(rows), Float),
        DataType::Decimal128(..) => built!(Decimal128Builder::with_capacity(rows).with_data_type(data_type.clone()), Decimal),
        DataType::Date32 => built!(Date32Builder::with_capacity(rows), Date),
        DataType::Timestamp(..) => built!(TimestampMicrosecondBuilder::with_capacity(rows), Timestamp),
        _ => Ok(Arc::new(texts.clone())),
    }
}

/// Whether a text is how a value of the type is written.
pub(crate) fn fits(data_type: &DataType, text: &str) -> bool {
    *data_type == DataType::Utf8 || Cell::read(data_type, text).is_some()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Bool(bool),
    Int(i64),
    Float(f64),
    Decimal(i128),
    Date(i32),
    Timestamp(i64),
}

impl Cell {
    /// The value, if `text` is how it is written.
    fn read(data_type: &DataType, text: &str) -> Option<Self> {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::with_capacity(text.len());
            write(&mut out);
            out == text.as_bytes()
        };
        match data_type {
            DataType::Boolean => match text {
                "true" => Some(Cell::Bool(true)),
                "false" => Some(Cell::Bool(false)),
                _ => None,
            },
            DataType::Int64 => {
                let value = text.parse().ok()?;
                written(&|out| number::signed(out, value)).then_some(Cell::Int(value))
            }
            DataType::Float64 => {
                let value: f64 = text.parse().ok()?;
                written(&|out| number::float(out, value, false)).then_some(Cell::Float(value))
            }
            &DataType::Decimal128(_, scale) => {
                let digits: String = text.chars().filter(|c| *c != '.').collect();
                let value: i128 = digits.parse().ok()?;
                let fits = value.unsigned_abs() < 10_u128.pow(u32::from(PRECISION));
                (fits && scale >= 0 && written(&|out| number::decimal(out, value, scale, false))).then_some(Cell::Decimal(value))
            }
            DataType::Date32 => {
                let days = day(text)?;
                written(&|out| iso::date(out, i64::from(days))).then_some(Cell::Date(days))
            }
            DataType::Timestamp(..) => timestamp(text).map(Cell::Timestamp),
            _ => None,
        }
    }
}

/// Days since 1970 of a date. What else it may be written as is the caller's to refuse.
pub(crate) fn day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// `2024-01-02 03:04:05` or with `T`, with up to six digits of a fraction. A zone would be lost, so there is none. The space
/// and the number of digits are the file's way of writing, not the value's.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let time = rest.strip_prefix([' ', 'T'])?;
    let (clock, fraction) = time.split_at_checked(8)?;
    let digits = match fraction.strip_prefix('.') {
        Some(digits) if (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => digits,
        None if fraction.is_empty() => "",
        _ => return None,
    };
    let part = |from: usize| {
        clock
            .get(from..from + 2)
            .filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?
            .parse::<i64>()
            .ok()
    };
    let (hours, minutes, seconds) = (part(0)?, part(3)?, part(6)?);
    let shaped = clock.get(2..3) == Some(":") && clock.get(5..6) == Some(":");
    let days = match Cell::read(&DataType::Date32, date)? {
        Cell::Date(days) => i64::from(days),
        _ => return None,
    };
    if !shaped || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let micros: i64 = format!("{digits:0<6}").parse().ok()?;
    let seconds = days * iso::DAY_S + hours * 3600 + minutes * 60 + seconds;
    Some(seconds * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::encode::scalar::{Style, writer};
    use proptest::prelude::*;

    fn guess(texts: &[&str]) -> String {
        let mut guess = Guess::new();
        texts.iter().for_each(|t| guess.see(t));
        guess.data_type().to_string()
    }

    #[test]
    fn a_column_has_a_type_only_if_every_text_comes_back() {
        for (texts, data_type) in [
            (&["1", "-2", "0"] as &[&str], "Int64"),
            (&["1", "007"], "Utf8"),
            (&["+1"], "Utf8"),
            (&["-0"], "Utf8"),
            (&["9223372036854775808"], "Utf8"),
            (&["12.50", "3.00", "-0.25"], "Decimal128(38, 2)"),
            (&["12.50", "3.0"], "Utf8"),
            (&["0.5", "0.25"], "Float64"),
            (&["1.0", "0.25"], "Float64"),
            (&["1", "0.25"], "Utf8"),
            (&[".5"], "Utf8"),
            (&["-0.00"], "Utf8"),
            (&["1e3"], "Utf8"),
            (&["NaN", "0.25"], "Float64"),
            (&["true", "false"], "Boolean"),
            (&["True"], "Utf8"),
            (&["2024-01-02"], "Date32"),
            (&["2024-1-2"], "Utf8"),
            (&["2024-02-30"], "Utf8"),
            (&["2024-01-02 03:04:05", "2024-01-02T03:04:05.5"], "Timestamp(µs)"),
            (&["2024-01-02 03:04:05+02:00"], "Utf8"),
            (&["2024-01-02 24:00:00"], "Utf8"),
            (&["2024-01-02 03:04:05.1234567"], "Utf8"),
            (&["12345678901234567890123456789012345678.5"], "Utf8"),
            (&[], "Utf8"),
        ] {
            assert_eq!(guess(texts), data_type, "{texts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(texts in proptest::collection::vec("-?[0-9]{1,3}(\\.[0-9]{1,3})?|[0-9]{4}-[01][0-9]-[0-3][0-9]|true|[a-z]{1,3}", 1..4)) {
            let mut guess = Guess::new();
            texts.iter().for_each(|t| guess.see(t));
            let array = convert(&StringArray::from(texts.clone()), &guess.data_type()).unwrap();
            if let Some(write) = writer(array.as_ref(), Style::AsStored) {
                for (row, text) in texts.iter().enumerate() {
                    let mut out = Vec::new();
                    write(row, &mut out);
                    prop_assert_eq!(&out, text.as_bytes());
                }
            }
        }
    }

    #[test]
    fn the_first_row_that_does_not_fit_is_named() {
        let texts = StringArray::from(vec![Some("1"), None, Some("2"), Some("x")]);
        assert_eq!(convert(&texts, &DataType::Int64).unwrap_err(), 3);
    }
}
