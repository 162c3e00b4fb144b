//! Which coarser value stands for a value?
//!
//! Dates and times fall back to the start of their unit, in UTC; a time of day has no unit larger than its day and becomes
//! 00:00. Numbers fall to the floor of their bucket, towards minus infinity. A result that the type cannot hold, a float that
//! is no number, and a float so large that neighbouring buckets are one to it become null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, new_null_array};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};
use chunk_port::DateUnit;

use super::text::TextMask;
use crate::encode::iso;

/// Keeps the first characters of a text, drops the rest.
#[derive(Debug)]
pub(super) struct Prefix {
    keep: usize,
}

impl Prefix {
    pub(super) fn new(keep: u8) -> Prefix {
        Prefix { keep: usize::from(keep) }
    }
}

impl TextMask for Prefix {
    fn mask(&self, value: &str, out: &mut Vec<u8>) {
        let end = value.char_indices().nth(self.keep).map_or(value.len(), |(at, _)| at);
        out.extend_from_slice(value.as_bytes().get(..end).unwrap_or_default());
    }
}

/// The floor of dates, times and numbers.
#[derive(Debug)]
pub(super) struct Floor {
    date: DateUnit,
    bucket: u64,
}

impl Floor {
    /// `None` where values of this type have no floor, or numbers no bucket.
    pub(super) fn new(date: DateUnit, bucket: Option<u64>, data_type: &DataType) -> Option<Floor> {
        match data_type {
            other if other.is_numeric() => bucket.filter(|&bucket| bucket > 0).map(|bucket| Floor { date, bucket }),
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => {
                Some(Floor { date, bucket: 1 })
            }
            _ => None,
        }
    }

    /// Masks an array; also counts the values that changed.
    pub(super) fn apply(&self, array: &ArrayRef, output: &DataType) -> (ArrayRef, u64) {
        let wide = i128::from(self.bucket);
        match output {
            DataType::Int8 => each::<Int8Type>(array, |v| int(i128::from(v), wide)),
            DataType::Int16 => each::<Int16Type>(array, |v| int(i128::from(v), wide)),
            DataType::Int32 => each::<Int32Type>(array, |v| int(i128::from(v), wide)),
            DataType::Int64 => each::<Int64Type>(array, |v| int(i128::from(v), wide)),
            DataType::UInt8 => each::<UInt8Type>(array, |v| int(i128::from(v), wide)),
            DataType::UInt16 => each::<UInt16Type>(array, |v| int(i128::from(v), wide)),
            DataType::UInt32 => each::<UInt32Type>(array, |v| int(i128::from(v), wide)),
            DataType::UInt64 => each::<UInt64Type>(array, |v| v.checked_sub(v % self.bucket)),
            DataType::Float16 => each::<Float16Type>(array, |v| {
                self.float(f64::from(v.to_f32()), 11)
                    .map(<Float16Type as ArrowPrimitiveType>::Native::from_f64)
            }),
            #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^24 are exact in 32 bits")]
            DataType::Float32 => each::<Float32Type>(array, |v| self.float(f64::from(v), 24).map(|v| v as f32)),
            DataType::Float64 => each::<Float64Type>(array, |v| self.float(v, 53)),
            &DataType::Decimal32(precision, scale) => {
                self.decimal::<Decimal32Type>(array, precision, scale, i256::from, |v| i32::try_from(v.to_i128()?).ok())
            }
            &DataType::Decimal64(precision, scale) => {
                self.decimal::<Decimal64Type>(array, precision, scale, i256::from, |v| i64::try_from(v.to_i128()?).ok())
            }
            &DataType::Decimal128(precision, scale) => {
                self.decimal::<Decimal128Type>(array, precision, scale, i256::from_i128, i256::to_i128)
            }
            &DataType::Decimal256(precision, scale) => self.decimal::<Decimal256Type>(array, precision, scale, |v| v, Some),
            DataType::Date32 => each::<Date32Type>(array, |v| i32::try_from(self.day(i64::from(v))).ok()),
            DataType::Date64 => each::<Date64Type>(array, |v| self.tick(v, iso::DAY_S * 1_000)),
            DataType::Timestamp(TimeUnit::Second, _) => each::<TimestampSecondType>(array, |v| self.instant(v, TimeUnit::Second)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                each::<TimestampMillisecondType>(array, |v| self.instant(v, TimeUnit::Millisecond))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                each::<TimestampMicrosecondType>(array, |v| self.instant(v, TimeUnit::Microsecond))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                each::<TimestampNanosecondType>(array, |v| self.instant(v, TimeUnit::Nanosecond))
            }
            DataType::Time32(TimeUnit::Second) => each::<Time32SecondType>(array, |_| Some(0)),
            DataType::Time32(TimeUnit::Millisecond) => each::<Time32MillisecondType>(array, |_| Some(0)),
            DataType::Time64(TimeUnit::Microsecond) => each::<Time64MicrosecondType>(array, |_| Some(0)),
            DataType::Time64(TimeUnit::Nanosecond) => each::<Time64NanosecondType>(array, |_| Some(0)),
            other => (new_null_array(other, array.len()), (array.len() - array.null_count()) as u64),
        }
    }

    /// The first day of the unit that a day is in.
    fn day(&self, day: i64) -> i64 {
        let (year, month, _) = iso::civil(day);
        match self.date {
            DateUnit::Day => day,
            DateUnit::Month => iso::days(year, month, 1),
            DateUnit::Year => iso::days(year, 1, 1),
        }
    }

    fn tick(&self, ticks: i64, per_day: i64) -> Option<i64> {
        self.day(ticks.div_euclid(per_day)).checked_mul(per_day)
    }

    fn instant(&self, ticks: i64, unit: TimeUnit) -> Option<i64> {
        self.tick(ticks, iso::resolution(unit).0 * iso::DAY_S)
    }

    /// Above `2^bits` a float no longer holds every whole number: a floor there could be the value itself.
    fn float(&self, value: f64, bits: i32) -> Option<f64> {
        let exact = 2f64.powi(bits);
        #[expect(clippy::cast_precision_loss, reason = "a bucket that is not exact exceeds every value that is")]
        let bucket = self.bucket as f64;
        let floor = value - value.rem_euclid(bucket);
        (value.abs() < exact && floor.abs() < exact).then_some(floor)
    }

    fn decimal<T: DecimalType + ArrowPrimitiveType>(
        &self,
        array: &ArrayRef,
        precision: u8,
        scale: i8,
        widen: impl Fn(T::Native) -> i256,
        narrow: impl Fn(i256) -> Option<T::Native>,
    ) -> (ArrayRef, u64) {
        // The bucket in the decimal's own units. With a negative scale these may be coarser than the bucket: then only
        // buckets of whole units have a floor.
        let ten = i256::from_i128(10);
        let power = ten.checked_pow(u32::from(scale.unsigned_abs()));
        let bucket = i256::from_i128(i128::from(self.bucket));
        let bucket = power.and_then(|power| {
            if scale >= 0 {
                return bucket.checked_mul(power);
            }
            (bucket.checked_rem(power)? == i256::ZERO)
                .then(|| bucket.checked_div(power))
                .flatten()
        });
        let floor = |value: T::Native| {
            let (value, bucket) = (widen(value), bucket?);
            let rest = value.checked_rem(bucket)?;
            let rest = if rest.is_negative() { rest.checked_add(bucket)? } else { rest };
            narrow(value.checked_sub(rest)?).filter(|&floor| T::is_valid_decimal_precision(floor, precision))
        };
        each::<T>(array, floor)
    }
}

fn int<N: TryFrom<i128>>(value: i128, bucket: i128) -> Option<N> {
    N::try_from(value - value.rem_euclid(bucket)).ok()
}

fn each<T: ArrowPrimitiveType>(array: &ArrayRef, floor: impl Fn(T::Native) -> Option<T::Native>) -> (ArrayRef, u64) {
    let source = array.as_primitive::<T>();
    let masked: PrimitiveArray<T> = source.unary_opt::<_, T>(floor);
    let altered = (0..source.len())
        .filter(|&row| source.is_valid(row) && (masked.is_null(row) || masked.value(row) != source.value(row)))
        .count();
    (Arc::new(masked.with_data_type(array.data_type().clone())), altered as u64)
}
