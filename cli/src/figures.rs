//! How do sizes, counts and times read?
//!
//! Times are UTC to the second: two people in two places compare them, and so does the log. Durations are words.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Failure, Result};

/// Milliseconds since 1970 on this machine's clock.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `2026-11-23 09:15:51 UTC`.
pub(crate) fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// `in 7 h 59 min`, or `3 min ago`.
pub(crate) fn from_now(ms: i64, now_ms: i64) -> String {
    let distance = duration(Duration::from_millis(ms.abs_diff(now_ms)));
    if ms >= now_ms {
        format!("in {distance}")
    } else {
        format!("{distance} ago")
    }
}

/// Two units at most: `42 s`, `3 min 5 s`, `7 h 59 min`, `2 d 3 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let s = duration.as_secs();
    let two = |a: u64, a_unit: &str, b: u64, b_unit: &str| {
        if b == 0 {
            format!("{a} {a_unit}")
        } else {
            format!("{a} {a_unit} {b} {b_unit}")
        }
    };
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => two(s / 60, "min", s % 60, "s"),
        3_600..86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,234 rows`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `1 entry`, `1,234 entries`.
pub(crate) fn plural_of(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `512 B`, `1.5 KiB`, `3.2 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut tenths = u128::from(n) * 10 / 1024;
    for unit in UNITS {
        if tenths < 10_240 || unit == "PiB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1024;
    }
    format!("{n} B")
}

/// Reads a span such as `90s`, `10m`, `1h30m`, or plain seconds.
pub(crate) fn parse_duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || "expected a duration such as `90s`, `10m` or `1h30m`".to_owned();
    if let Ok(s) = text.parse::<u64>() {
        return Ok(Duration::from_secs(s));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    parsed.try_into().map_err(|_| wrong())
}

/// Reads a point in time: RFC 3339, a date (its first moment, UTC), or a span ago (`7d`, `36h`).
pub(crate) fn parse_time(flag: &str, text: &str, now_ms: i64) -> Result<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(zoned) = date.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(zoned.timestamp().as_millisecond());
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let span = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days) * 86_400)),
        None if text.parse::<u64>().is_err() => parse_duration(text).ok(),
        None => None,
    };
    match span
        .and_then(|span| i64::try_from(span.as_millis()).ok())
        .and_then(|ms| now_ms.checked_sub(ms))
    {
        Some(ms) => Ok(ms),
        None => Err(Failure::usage(format!("`{flag} {text}` is not a time"))
            .why("expected RFC 3339 (`2026-11-23T09:00:00Z`), a date (`2026-11-23`, UTC) or a span ago (`7d`, `36h`)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_like_words() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 * 1024 * 1024 * 1024), "5.0 GiB");
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(duration(Duration::from_secs(7 * 3600)), "7 h");
        assert_eq!(from_now(0, 61_000), "1 min 1 s ago");
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn spans_and_times_parse() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert!(parse_duration("-5s").is_err());
        assert!(parse_duration("soon").is_err());
        let now = 1_800_000_000_000;
        assert_eq!(parse_time("--from", "1970-01-02", now).ok(), Some(86_400_000));
        assert_eq!(parse_time("--from", "1970-01-01T00:00:01Z", now).ok(), Some(1000));
        assert_eq!(parse_time("--from", "7d", now).ok(), Some(now - 7 * 86_400_000));
        assert_eq!(parse_time("--from", "36h", now).ok(), Some(now - 36 * 3_600_000));
        for bad in ["yesterday", "17", "2026-13-01", "-7d", ""] {
            assert!(parse_time("--from", bad, now).is_err(), "{bad}");
        }
    }
}
