//! How a number is written: exactly, and the same everywhere.

use arrow::datatypes::i256;

/// Digits of `u128::MAX`.
const DIGITS_MAX: usize = 39;

/// Writes an unsigned integer.
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    padded(out, u128::from(value), 1);
}

/// Writes an integer.
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// Writes an integer with zeros before it, up to `width` digits.
pub(crate) fn padded(out: &mut Vec<u8>, value: u128, width: usize) {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut used = 0;
    let mut rest = value;
    // Division of 128 bits is a call; nearly every number fits into 64.
    while rest > u128::from(u64::MAX) {
        let digit = u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used = put(&mut digits, used, digit);
    }
    let mut rest = u64::try_from(rest).unwrap_or(u64::MAX);
    while rest > 0 {
        let digit = u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used = put(&mut digits, used, digit);
    }
    let used = used.max(width.min(DIGITS_MAX));
    out.extend_from_slice(digits.get(DIGITS_MAX - used..).unwrap_or_default());
}

fn put(digits: &mut [u8; DIGITS_MAX], used: usize, digit: u8) -> usize {
    let used = used + 1;
    if let Some(slot) = digits.get_mut(DIGITS_MAX - used) {
        *slot = b'0' + digit;
    }
    used
}

/// Writes a decimal of up to 128 bits. `trim` drops zeros at the end of the fraction, so that equal values look equal
/// whatever their scale.
pub(crate) fn decimal(out: &mut Vec<u8>, value: i128, scale: i8, trim: bool) {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    padded(&mut digits, value.unsigned_abs(), 1);
    point(out, value < 0, &digits, scale, trim);
}

/// Writes a decimal of 256 bits.
pub(crate) fn decimal_256(out: &mut Vec<u8>, value: i256, scale: i8, trim: bool) {
    if let Some(value) = value.to_i128() {
        return decimal(out, value, scale, trim);
    }
    let text = value.to_string();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    point(out, value.is_negative(), digits.as_bytes(), scale, trim);
}

fn point(out: &mut Vec<u8>, negative: bool, digits: &[u8], scale: i8, trim: bool) {
    if negative {
        out.push(b'-');
    }
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.extend(std::iter::repeat_n(b'0', places));
        }
        return;
    }
    let missing = (places + 1).saturating_sub(digits.len());
    let mut whole = vec![b'0'; missing];
    whole.extend_from_slice(digits);
    let (before, after) = whole.split_at(whole.len() - places);
    let kept = if trim {
        after.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1)
    } else {
        after.len()
    };
    out.extend_from_slice(before);
    if kept > 0 {
        out.push(b'.');
        out.extend_from_slice(after.get(..kept).unwrap_or_default());
    }
}

/// Writes the shortest text that reads back as the same number: `12.5`, `1e300`, `NaN`, `inf`. Whole numbers have no
/// fraction if `trim`, else `.0`.
pub(crate) fn float(out: &mut Vec<u8>, value: f64, trim: bool) {
    use std::io::Write as _;
    // Writing to a vector cannot fail.
    let _ = if trim {
        write!(out, "{}", if value == 0.0 { 0.0 } else { value })
    } else {
        write!(out, "{value:?}")
    };
}

/// Writes a number of 32 bits by its own shortest text: `0.1`, not `0.10000000149011612`.
pub(crate) fn float_32(out: &mut Vec<u8>, value: f32, trim: bool) {
    use std::io::Write as _;
    let _ = if trim {
        write!(out, "{}", if value == 0.0 { 0.0 } else { value })
    } else {
        write!(out, "{value:?}")
    };
}
