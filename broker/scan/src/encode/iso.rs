//! How dates and times are written (ISO 8601), and which day a count of days is.
//!
//! Instants are written in UTC with `Z`, whatever zone the column names: the text then says the same on every machine and
//! needs no zone database. Everything here is total: years beyond four digits get a sign, as ISO 8601 asks.

use arrow::datatypes::TimeUnit;

use super::number::{padded, signed};

/// Seconds of a day.
pub(crate) const DAY_S: i64 = 86_400;

/// Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counted in years that start in March, so that the day that comes and goes is the last of its year.
pub(crate) fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// The inverse of [`civil`].
pub(crate) fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Ticks of a second, and how many digits a fraction of one has.
pub(crate) fn resolution(unit: TimeUnit) -> (i64, usize) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    }
}

/// Writes `2024-01-02`.
pub(crate) fn date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    match year {
        0..=9_999 => {}
        _ if year < 0 => out.push(b'-'),
        _ => out.push(b'+'),
    }
    padded(out, u128::from(year.unsigned_abs()), 4);
    out.push(b'-');
    padded(out, u128::from(month), 2);
    out.push(b'-');
    padded(out, u128::from(day), 2);
}

/// Writes `03:04:05.678900`, with every digit of the unit or, if `trim`, without zeros at the end.
pub(crate) fn time(out: &mut Vec<u8>, ticks: i64, unit: TimeUnit, trim: bool) {
    let (per_second, digits) = resolution(unit);
    if ticks < 0 {
        out.push(b'-');
    }
    let ticks = ticks.unsigned_abs();
    let (seconds, fraction) = (ticks / per_second.unsigned_abs(), ticks % per_second.unsigned_abs());
    padded(out, u128::from(seconds / 3_600), 2);
    out.push(b':');
    padded(out, u128::from(seconds / 60 % 60), 2);
    out.push(b':');
    padded(out, u128::from(seconds % 60), 2);
    if digits > 0 && !(trim && fraction == 0) {
        out.push(b'.');
        padded(out, u128::from(fraction), digits);
        while trim && out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Writes `2024-01-02T03:04:05.678900Z`; without `Z` for a time of no zone.
pub(crate) fn timestamp(out: &mut Vec<u8>, ticks: i64, unit: TimeUnit, utc: bool, trim: bool) {
    let per_day = resolution(unit).0 * DAY_S;
    date(out, ticks.div_euclid(per_day));
    out.push(b'T');
    time(out, ticks.rem_euclid(per_day), unit, trim);
    if utc {
        out.push(b'Z');
    }
}

/// Writes a duration, `PT1.5S`.
pub(crate) fn duration(out: &mut Vec<u8>, ticks: i64, unit: TimeUnit) {
    let (per_second, digits) = resolution(unit);
    out.extend_from_slice(if ticks < 0 { b"-PT" } else { b"PT" });
    let ticks = ticks.unsigned_abs();
    padded(out, u128::from(ticks / per_second.unsigned_abs()), 1);
    let fraction = ticks % per_second.unsigned_abs();
    if fraction > 0 {
        out.push(b'.');
        padded(out, u128::from(fraction), digits);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'S');
}

/// Writes an interval, `P1M2DT3.5S`; its parts do not convert into each other, so each keeps its sign.
pub(crate) fn interval(out: &mut Vec<u8>, months: i32, days: i32, nanoseconds: i64) {
    out.push(b'P');
    signed(out, i64::from(months));
    out.push(b'M');
    signed(out, i64::from(days));
    out.push(b'D');
    out.push(b'T');
    if nanoseconds < 0 {
        out.push(b'-');
    }
    let nanoseconds = nanoseconds.unsigned_abs();
    padded(out, u128::from(nanoseconds / 1_000_000_000), 1);
    if !nanoseconds.is_multiple_of(1_000_000_000) {
        out.push(b'.');
        padded(out, u128::from(nanoseconds % 1_000_000_000), 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'S');
}
