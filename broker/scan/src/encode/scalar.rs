//! How is one value of a scalar type written as text?
//!
//! In two ways. As stored, for files: a decimal keeps its scale and a time every digit of its unit, so that a column looks
//! uniform and reads back as it was. Canonical, for tokens: equal values look equal whatever type they were stored as.

use arrow::array::{Array, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::{iso, number};

/// Writes the value in a row that is not null.
pub(crate) type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Which text of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// With the type's own scale and resolution.
    AsStored,
    /// The shortest exact one.
    Canonical,
}

/// Writes values of an array; `None` where its type is no scalar, or text.
pub(crate) fn writer(array: &dyn Array, style: Style) -> Option<Writer<'_>> {
    let trim = style == Style::Canonical;
    Some(match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, out| out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }))
        }
        DataType::Int8 => of::<Int8Type>(array, |v, out| number::signed(out, i64::from(v))),
        DataType::Int16 => of::<Int16Type>(array, |v, out| number::signed(out, i64::from(v))),
        DataType::Int32 => of::<Int32Type>(array, |v, out| number::signed(out, i64::from(v))),
        DataType::Int64 => of::<Int64Type>(array, |v, out| number::signed(out, v)),
        DataType::UInt8 => of::<UInt8Type>(array, |v, out| number::unsigned(out, u64::from(v))),
        DataType::UInt16 => of::<UInt16Type>(array, |v, out| number::unsigned(out, u64::from(v))),
        DataType::UInt32 => of::<UInt32Type>(array, |v, out| number::unsigned(out, u64::from(v))),
        DataType::UInt64 => of::<UInt64Type>(array, |v, out| number::unsigned(out, v)),
        DataType::Float16 => of::<Float16Type>(array, move |v, out| number::float_32(out, v.to_f32(), trim)),
        DataType::Float32 => of::<Float32Type>(array, move |v, out| number::float_32(out, v, trim)),
        DataType::Float64 => of::<Float64Type>(array, move |v, out| number::float(out, v, trim)),
        &DataType::Decimal32(_, scale) => of::<Decimal32Type>(array, move |v, out| number::decimal(out, i128::from(v), scale, trim)),
        &DataType::Decimal64(_, scale) => of::<Decimal64Type>(array, move |v, out| number::decimal(out, i128::from(v), scale, trim)),
        &DataType::Decimal128(_, scale) => of::<Decimal128Type>(array, move |v, out| number::decimal(out, v, scale, trim)),
        &DataType::Decimal256(_, scale) => of::<Decimal256Type>(array, move |v, out| number::decimal_256(out, v, scale, trim)),
        DataType::Date32 => of::<Date32Type>(array, |v, out| iso::date(out, i64::from(v))),
        DataType::Date64 => of::<Date64Type>(array, |v, out| iso::date(out, v.div_euclid(iso::DAY_S * 1_000))),
        &DataType::Time32(unit) | &DataType::Time64(unit) => ticks(array, move |v, out| iso::time(out, v, unit, trim))?,
        &DataType::Timestamp(unit, ref zone) => {
            let utc = zone.is_some();
            ticks(array, move |v, out| iso::timestamp(out, v, unit, utc, trim))?
        }
        &DataType::Duration(unit) => ticks(array, move |v, out| iso::duration(out, v, unit))?,
        DataType::Interval(IntervalUnit::YearMonth) => of::<IntervalYearMonthType>(array, |v, out| iso::interval(out, v, 0, 0)),
        DataType::Interval(IntervalUnit::DayTime) => {
            of::<IntervalDayTimeType>(array, |v, out| iso::interval(out, 0, v.days, i64::from(v.milliseconds) * 1_000_000))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            of::<IntervalMonthDayNanoType>(array, |v, out| iso::interval(out, v.months, v.days, v.nanoseconds))
        }
        DataType::FixedSizeBinary(16) => {
            let array = array.as_fixed_size_binary();
            Box::new(move |row, out| uuid(out, array.value(row)))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(move |row, out| hex(out, array.value(row)))
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, out| hex(out, array.value(row)))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(move |row, out| hex(out, array.value(row)))
        }
        _ => return None,
    })
}

fn of<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, write: impl Fn(T::Native, &mut Vec<u8>) + 'a) -> Writer<'a> {
    let array = array.as_primitive::<T>();
    Box::new(move |row, out| write(array.value(row), out))
}

/// Times, timestamps and durations of any unit as their count of ticks.
fn ticks<'a>(array: &'a dyn Array, write: impl Fn(i64, &mut Vec<u8>) + 'a) -> Option<Writer<'a>> {
    Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(array, move |v, out| write(i64::from(v), out)),
        DataType::Time32(TimeUnit::Millisecond) => of::<Time32MillisecondType>(array, move |v, out| write(i64::from(v), out)),
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(array, write),
        DataType::Time64(TimeUnit::Nanosecond) => of::<Time64NanosecondType>(array, write),
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array, write),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<TimestampMillisecondType>(array, write),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(array, write),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of::<TimestampNanosecondType>(array, write),
        DataType::Duration(TimeUnit::Second) => of::<DurationSecondType>(array, write),
        DataType::Duration(TimeUnit::Millisecond) => of::<DurationMillisecondType>(array, write),
        DataType::Duration(TimeUnit::Microsecond) => of::<DurationMicrosecondType>(array, write),
        DataType::Duration(TimeUnit::Nanosecond) => of::<DurationNanosecondType>(array, write),
        _ => return None,
    })
}

/// Writes bytes in lower-case hexadecimal.
fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend(bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]));
}

fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex(out, std::slice::from_ref(byte));
    }
}
