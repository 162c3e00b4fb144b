//! Which groups of digits are a payment card number?
//!
//! 13 to 19 digits, a known issuer's first digits, Luhn's sum. One unbroken group may touch letters; several must be grouped
//! as people group cards, or a column of figures would be a card one time in ten.

use super::checksum::luhn;
use super::cursor::announced;
use super::numbers::Run;
use super::{Hit, Kind};

/// The shortest card number.
pub(super) const DIGITS_MIN: usize = 13;

/// The longest.
const DIGITS_MAX: usize = 19;

/// Finds card numbers.
pub(super) fn find(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    let mut k = 0;
    while k < run.groups.len() {
        match longest(run, k) {
            Some(last) => {
                run.take(Kind::Card, k, last, hits);
                k = last + 1;
            }
            None => k += 1,
        }
    }
}

/// The last group of the longest card that starts with group `k`.
fn longest(run: &Run<'_>, k: usize) -> Option<usize> {
    let mut best = None;
    let mut total = 0;
    for last in k..run.groups.len() {
        let group = run.group(last);
        total += group.len();
        if total > DIGITS_MAX || group.taken {
            break;
        }
        if total >= DIGITS_MIN && is_grouped(run, k, last) {
            let digits = run.digits(k, last);
            if is_issued(&digits) && luhn(&digits) {
                best = Some(last);
            }
        }
    }
    best
}

/// Groupings printed on cards and forms.
const PRINTED: [&[usize]; 10] = [
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 4, 2],
    &[4, 4, 4, 1],
    &[4, 4, 5],
    &[4, 5, 6],
    &[6, 13],
    &[8, 8],
];

fn is_grouped(run: &Run<'_>, k: usize, last: usize) -> bool {
    if k == last {
        return true;
    }
    let plain_gaps = (k..last).all(|g| run.gap(g).iter().all(|b| !matches!(b, b'(' | b')' | b'+')));
    if !plain_gaps {
        return false;
    }
    let printed = |lengths: &[usize]| lengths.len() == last - k + 1 && run.shaped(k, lengths);
    if PRINTED.iter().any(|lengths| printed(lengths)) {
        return true;
    }
    let gap = run.gap(k);
    let uniform = (k..last).all(|g| run.gap(g) == gap) && matches!(gap, b" " | b"-" | b"_" | b"  " | b" - ");
    let size = run.group(k).len();
    let even = (k..last).all(|g| run.group(g).len() == size) && run.group(last).len() <= size;
    uniform
        && (even
            || announced(
                run.h,
                run.group(k).start,
                &[
                    "card", "credit", "debit", "visa", "master", "amex", "pan", "karte", "kredit", "carte", "tarjeta",
                ],
            ))
}

/// Whether an issuer's range covers these digits: Visa, Mastercard, Amex, Diners, Discover, JCB, Maestro, Mir, UnionPay,
/// RuPay, and a few national schemes. `1…` is left out on purpose: times in milliseconds start so.
fn is_issued(digits: &[u8]) -> bool {
    let four = digits.iter().take(4).fold(0u32, |n, &d| n * 10 + u32::from(d));
    matches!(four, 2200..=2205 | 2221..=2720 | 3000..=3059 | 3088..=3120 | 3337..=3349 | 3400..=3999 | 4000..=6999 | 8100..=8299 | 8600 | 9792 | 9860)
}
