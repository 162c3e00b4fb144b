//! Which other day stands for a day?
//!
//! All dates of one subject move by the same number of days, forward or back, never by none: what lies between two events of a person stays,
//! when they happened does not. How far is a keyed hash of the subject's key, so it is the same in every table and source that names
//! them the same, and nobody without the class's key can tell it. A date whose subject is null, or that leaves its type's range, is
//! redacted.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use chunk_port::MaskKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{form, plain, text};
use crate::encode::iso;

/// Moves dates.
pub(super) struct Shift {
    keyed: Hmac<Sha256>,
    days_max: u32,
}

impl fmt::Debug for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shift").field("days_max", &self.days_max).finish_non_exhaustive()
    }
}

impl Shift {
    /// `None` where values of this type are no dates.
    pub(super) fn new(key: &MaskKey, days_max: u32, data_type: &DataType) -> Option<Self> {
        let is_date = matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
        let mut keyed = Hmac::<Sha256>::new_from_slice(key.secret.as_slice()).ok()?;
        // Tokens are made with the same key: a shift must not tell anything of one.
        keyed.update(b"chunkctl mask shift\0");
        (is_date && days_max > 0).then_some(Self { keyed, days_max })
    }

    /// Days for each row; `None` where there is no subject.
    fn days(&self, subjects: &ArrayRef) -> Result<Vec<Option<i64>>, ArrowError> {
        let plain = plain::plain(subjects.data_type());
        if !plain::can_become(subjects.data_type(), &plain) {
            return Ok(vec![None; subjects.len()]);
        }
        let subjects = cast(subjects, &plain)?;
        let mut days = Vec::with_capacity(subjects.len());
        if plain == DataType::Utf8 {
            text::each(subjects.as_ref(), |subject| {
                days.push(subject.map(|subject| self.of(subject.as_bytes())));
                Ok(())
            })?;
            return Ok(days);
        }
        let write = form::has_form(&plain).then(|| form::writer(subjects.as_ref())).flatten();
        let mut bytes = Vec::new();
        days.extend((0..subjects.len()).map(|row| {
            let write = write.as_ref().filter(|_| subjects.is_valid(row))?;
            bytes.clear();
            write(row, &mut bytes);
            Some(self.of(&bytes))
        }));
        Ok(days)
    }

    /// Days that dates of this subject move by.
    fn of(&self, subject: &[u8]) -> i64 {
        let mut mac = self.keyed.clone();
        mac.update(subject);
        let tag = mac.finalize().into_bytes();
        let number = tag.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let days = i64::try_from(number % u64::from(self.days_max)).unwrap_or_default() + 1;
        if tag.last().is_some_and(|byte| byte & 1 == 1) {
            -days
        } else {
            days
        }
    }

    /// Masks an array of dates of these subjects.
    pub(super) fn apply(&self, dates: &ArrayRef, subjects: &ArrayRef, output: &DataType) -> Result<ArrayRef, ArrowError> {
        let days = self.days(subjects)?;
        let ticks = |unit: TimeUnit| iso::resolution(unit).0 * iso::DAY_S;
        Ok(match output {
            DataType::Date32 => each::<Date32Type>(dates, &days, |date, days| date.checked_add(i32::try_from(days).ok()?)),
            DataType::Date64 => each::<Date64Type>(dates, &days, |date, days| moved(date, days, iso::DAY_S * 1000)),
            DataType::Timestamp(TimeUnit::Second, _) => {
                each::<TimestampSecondType>(dates, &days, |at, days| moved(at, days, ticks(TimeUnit::Second)))
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                each::<TimestampMillisecondType>(dates, &days, |at, days| moved(at, days, ticks(TimeUnit::Millisecond)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                each::<TimestampMicrosecondType>(dates, &days, |at, days| moved(at, days, ticks(TimeUnit::Microsecond)))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                each::<TimestampNanosecondType>(dates, &days, |at, days| moved(at, days, ticks(TimeUnit::Nanosecond)))
            }
            other => new_null_array(other, dates.len()),
        })
    }
}

fn moved(at: i64, days: i64, per_day: i64) -> Option<i64> {
    at.checked_add(days.checked_mul(per_day)?)
}

fn each<T: ArrowPrimitiveType>(dates: &ArrayRef, days: &[Option<i64>], moved: impl Fn(T::Native, i64) -> Option<T::Native>) -> ArrayRef {
    let source = dates.as_primitive::<T>();
    let masked: PrimitiveArray<T> = source.iter().zip(days).map(|(date, days)| moved(date?, (*days)?)).collect();
    Arc::new(masked.with_data_type(dates.data_type().clone()))
}
