//! Which groups of digits are a telephone number?
//!
//! There is no checksum, so the shape must tell: an international prefix, or a national way of writing that dates, amounts and
//! ids do not share. A bare number counts only beside a word such as `tel` or `mobile`.

use std::cell::LazyCell;

use super::cursor::{announced, at, before, cut};
use super::numbers::{DIGITS_MIN, Run};
use super::{Hit, Kind};

/// Longest number of E.164.
const DIGITS_MAX: usize = 15;

/// Words that announce a telephone number, lower case.
const WORDS: [&str; 14] = [
    "tel",
    "phone",
    "mobil",
    "cell",
    "fax",
    "call",
    "mob",
    "handy",
    "whatsapp",
    "sms",
    "rufnummer",
    "móvil",
    "dial",
    "ring",
];

/// Finds telephone numbers.
pub(super) fn find(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    // Groups of a run stand so close that one look before the first serves all; most runs need none.
    let (h, first, by_column) = (run.h, run.group(0).start, run.announced == Some(Kind::Phone));
    let is_announced = LazyCell::new(|| by_column || announced(h, first, &WORDS));
    let mut k = 0;
    while k < run.groups.len() {
        let found = if run.group(k).taken {
            None
        } else {
            international(run, k).or_else(|| national(run, k, &is_announced))
        };
        let Some((start, last)) = found else {
            k += 1;
            continue;
        };
        // The bracket that opens before an area code goes with it.
        let start = if before(run.h, start) == b'(' { start - 1 } else { start };
        hits.push(Hit {
            kind: Kind::Phone,
            start,
            end: run.group(last).end,
        });
        run.mark(k, last);
        k = last + 1;
    }
}

/// First byte and last group of an international number that starts with group `k`.
fn international(run: &Run<'_>, k: usize) -> Option<(usize, usize)> {
    let group = run.group(k);
    if let Some(plus) = plus_before(run.h, group.start) {
        let last = if run.first(k) == b'1' {
            exactly(run, k, 11).or_else(|| furthest(run, k, DIGITS_MIN, DIGITS_MAX))
        } else {
            furthest(run, k, DIGITS_MIN, DIGITS_MAX)
        };
        return last.map(|last| (plus, last));
    }
    let code = at(run.h, group.start + 2);
    let prefixed = group.len() >= 3 && run.first(k) == b'0' && at(run.h, group.start + 1) == b'0' && matches!(code, b'1'..=b'9');
    if prefixed {
        return furthest(run, k, 11, DIGITS_MAX + 2).map(|last| (group.start, last));
    }
    None
}

fn plus_before(h: &[u8], start: usize) -> Option<usize> {
    (1..=2)
        .filter_map(|back| start.checked_sub(back))
        .find(|&i| at(h, i) == b'+')
        .filter(|&plus| plus + 1 == start || matches!(at(h, plus + 1), b' ' | b'('))
}

/// First byte and last group of a number written as people of some country do.
fn national(run: &Run<'_>, k: usize, is_announced: &LazyCell<bool, impl FnOnce() -> bool>) -> Option<(usize, usize)> {
    let group = run.group(k);
    let found = |last: usize| Some((group.start, last));
    let near = |k: usize| run.gap(k).len() <= 3 && run.gap(k).iter().all(|b| matches!(b, b' ' | b'-' | b'.' | b'/' | b')' | b'('));

    // North America: 212-555-0187, (212) 555-0187, 1.212.555.0187.
    if run.shaped(k, &[3, 3, 4]) && near(k) && near(k + 1) {
        return found(k + 2);
    }
    if run.shaped(k, &[1, 3, 3, 4]) && run.first(k) == b'1' && near(k) && near(k + 1) && near(k + 2) {
        return found(k + 3);
    }
    // India: 98765 43210. China: 138 0013 8000. Both in one or two gaps of a space or a dash.
    let plain = |k: usize| matches!(run.gap(k), b" " | b"-");
    if run.shaped(k, &[5, 5]) && matches!(run.first(k), b'6'..=b'9') && plain(k) {
        return found(k + 1);
    }
    if run.shaped(k, &[3, 4, 4]) && run.first(k) == b'1' && plain(k) && plain(k + 1) {
        return found(k + 2);
    }
    // An area code in brackets: (11) 91234-5678, (030) 1234567.
    let in_brackets = before(run.h, group.start) == b'(' && at(run.h, group.end) == b')' && (2..=5).contains(&group.len());
    if in_brackets && let Some(last) = furthest(run, k, 8, 12).filter(|&last| last > k) {
        return found(last);
    }
    if let Some(last) = trunk(run, k) {
        return found(last);
    }
    furthest(run, k, DIGITS_MIN, DIGITS_MAX).filter(|_| **is_announced).and_then(found)
}

/// Last group of a number with the trunk prefix 0: 030 1234567, 0171/2345678, 01 23 45 67 89, 06-12345678.
fn trunk(run: &Run<'_>, k: usize) -> Option<usize> {
    let group = run.group(k);
    let area = at(run.h, group.start + 1);
    if run.first(k) != b'0' || !matches!(area, b'1'..=b'9') || before(run.h, group.start).is_ascii_alphanumeric() {
        return None;
    }
    let pairs =
        run.shaped(k, &[2, 2, 2, 2, 2]) && (k..k + 4).all(|g| run.gap(g) == run.gap(k) && matches!(run.gap(k), b" " | b"." | b"-" | b"/"));
    if pairs {
        return Some(k + 4);
    }
    let is_area = group.len() >= 3 || (group.len() == 2 && run.group(k + 1).len() >= 3 && !is_month(run, k));
    if let Some(last) = furthest(run, k, 8, 12).filter(|&last| last > k && is_area) {
        return Some(last);
    }
    // Mobile numbers without any separator.
    let third = at(run.h, group.start + 2);
    let mobile = match group.len() {
        10 => matches!(area, b'6' | b'7'),
        11 => area == b'7' || (area == b'1' && matches!(third, b'5'..=b'7')),
        12 => area == b'1' && matches!(third, b'5'..=b'7'),
        _ => false,
    };
    (mobile && run.stands_alone(k, k)).then_some(k)
}

/// Whether group `k`, of two digits, is the month of a date: a day stands before it or a year after.
fn is_month(run: &Run<'_>, k: usize) -> bool {
    let after_day = k
        .checked_sub(1)
        .is_some_and(|day| run.group(day).len() <= 2 && run.gap(day) == run.gap(k));
    let year = cut(run.h, run.group(k + 1).start, run.group(k + 1).end);
    let before_year = year.len() == 4 && (year.starts_with(b"19") || year.starts_with(b"20")) && run.group(k + 2).len() != 4;
    after_day || before_year
}

/// The last group up to which there are at most `max` digits, if there are at least `min`.
fn furthest(run: &Run<'_>, k: usize, min: usize, max: usize) -> Option<usize> {
    let (mut total, mut reached) = (0, None);
    for g in k..run.groups.len() {
        let group = run.group(g);
        let broken = g > k && run.gap(g - 1).iter().any(|b| matches!(b, b'\n' | b'\r' | b'+' | b'_'));
        total += group.len();
        if group.taken || broken || total > max {
            break;
        }
        if total >= min {
            reached = Some(g);
        }
    }
    reached
}

/// The last group up to which there are exactly `count` digits.
fn exactly(run: &Run<'_>, k: usize, count: usize) -> Option<usize> {
    furthest(run, k, count, count)
}
