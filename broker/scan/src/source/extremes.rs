//! Values of a database that have no Arrow value: infinities, zero dates, 24:00.
//!
//! Callers see null. Where a policy's row filter is tested on the rows, that is too early: it would take what is under embargo
//! for ever for what was never under one. So they are decoded as the first or last value there can be, which compares as the
//! database's would, and become null once the filter has run.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};

/// What becomes of values that have no Arrow value of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extremes {
    /// They are null.
    Null,
    /// They are the first or last value there can be, until [`nulled`].
    Ordered,
}

/// A value, or one that stands for what has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// Itself.
    Value(T),
    /// What stands for it.
    Extreme(T),
}

impl<T> Found<T> {
    /// What is put into the column.
    pub(crate) fn kept(self, extremes: Extremes) -> Option<T> {
        match self {
            Found::Value(value) => Some(value),
            Found::Extreme(value) => (extremes == Extremes::Ordered).then_some(value),
        }
    }
}

/// A day in microseconds.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
/// 262142-12-31 as days since 1970-01-01: the last day that calendars here can print. It stands for `infinity`, and for what
/// lies between.
pub(crate) const LAST_DAY: i32 = 95_026_236;
/// -262143-01-01, the first day that calendars here can print; no database knows one before 4714 BC.
pub(crate) const FIRST_DAY: i32 = -96_465_292;
/// The last microsecond of [`LAST_DAY`].
pub(crate) const LAST_MICRO: i64 = (LAST_DAY as i64 + 1) * DAY_MICROS - 1;
/// The first microsecond of [`FIRST_DAY`].
pub(crate) const FIRST_MICRO: i64 = FIRST_DAY as i64 * DAY_MICROS;

/// Makes null what was decoded as [`Extremes::Ordered`].
pub(crate) fn nulled<T: ArrowPrimitiveType>(column: &ArrayRef, is_extreme: impl Fn(T::Native) -> bool) -> ArrayRef {
    let values = column.as_primitive::<T>();
    if !values.values().iter().any(|v| is_extreme(*v)) {
        return Arc::clone(column);
    }
    let valid = BooleanBuffer::collect_bool(values.len(), |row| values.is_valid(row) && !is_extreme(values.value(row)));
    let nulled = PrimitiveArray::<T>::new(values.values().clone(), Some(NullBuffer::new(valid)));
    Arc::new(nulled.with_data_type(column.data_type().clone()))
}
