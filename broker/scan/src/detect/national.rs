//! Which numbers are a national identity, social security or tax number?
//!
//! Only those whose own check digits (or, for the United States, whose unmistakable grouping) tell them from any other
//! number. Unbroken numbers whose checksum passes one time in ten count only beside a word that announces them.

use super::checksum::{mod_11_10, number, verhoeff, weighted};
use super::cursor::{announced, at, before, cut};
use super::numbers::{Run, digits_of};
use super::{Hit, Kind};

/// The shortest of these numbers.
pub(super) const DIGITS_MIN: usize = 9;

/// Finds numbers of digits only.
pub(super) fn find(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    let mut k = 0;
    while k < run.groups.len() {
        let found = if run.group(k).taken { None } else { shape_at(run, k) };
        match found {
            Some((kind, last)) => {
                run.take(kind, k, last, hits);
                k = last + 1;
            }
            None => k += 1,
        }
    }
}

/// Finds numbers that contain letters: Italian, Spanish.
pub(super) fn find_lettered(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    for k in 0..run.groups.len() {
        let group = run.group(k);
        let found = if group.taken {
            None
        } else {
            match group.len() {
                2 => codice_fiscale(run.h, group.start),
                7 | 8 => dni(run.h, group.start, group.end),
                _ => None,
            }
        };
        if let Some((start, end)) = found {
            hits.push(Hit {
                kind: Kind::NationalId,
                start,
                end,
            });
            run.mark(k, k);
        }
    }
}

fn shape_at(run: &Run<'_>, k: usize) -> Option<(Kind, usize)> {
    let group = run.group(k);
    if run.shaped(k, &[3, 2, 4]) && run.gap(k) == run.gap(k + 1) && matches!(run.gap(k), b"-" | b" " | b"." | b" - " | b"/") {
        return Some((Kind::Ssn, k + 2));
    }
    let said = |words: &[&str], kind: Kind| run.announced == Some(kind) || announced(run.h, group.start, words);
    if group.len() == 9 && said(&["ssn", "social sec", "itin"], Kind::Ssn) {
        return Some((Kind::Ssn, k));
    }
    let id = |last: usize, valid: fn(&[u8]) -> bool| valid(&run.digits(k, last)).then_some((Kind::NationalId, last));
    let spaced = [
        (&[3usize, 3, 3, 2] as &[usize], cpf as fn(&[u8]) -> bool),
        (&[2, 3, 3, 3], steuer_id),
        (&[1, 2, 2, 2, 3, 3, 2], nir),
        (&[4, 4, 4], aadhaar),
    ];
    for (lengths, valid) in spaced {
        let last = k + lengths.len() - 1;
        if run.shaped(k, lengths)
            && let Some(found) = id(last, valid)
        {
            return Some(found);
        }
    }
    if !run.stands_alone(k, k) {
        let is_chinese = group.len() == 17 && matches!(at(run.h, group.end), b'X' | b'x');
        return (is_chinese && chinese(&run.digits(k, k), 10)).then_some((Kind::NationalId, k));
    }
    match group.len() {
        11 => {
            let steuer = if said(&["steuer", "idnr", "tin", "tax"], Kind::NationalId) {
                id(k, steuer_id)
            } else {
                None
            };
            id(k, cpf).or_else(|| id(k, pesel)).or(steuer)
        }
        12 if said(&["aadhaar", "aadhar", "uid"], Kind::NationalId) => id(k, aadhaar),
        15 => id(k, nir),
        18 => {
            let digits = run.digits(k, k);
            let (&check, body) = digits.split_last()?;
            chinese(body, check).then_some((Kind::NationalId, k))
        }
        _ => None,
    }
}

/// Brazil: two check digits mod 11.
fn cpf(d: &[u8]) -> bool {
    const WEIGHTS: [u32; 10] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    let check = |n: usize| {
        let rest = weighted(d, WEIGHTS.get(10 - n..).unwrap_or_default()) * 10 % 11 % 10;
        d.get(n).is_some_and(|&digit| u32::from(digit) == rest)
    };
    d.len() == 11 && d.iter().any(|digit| Some(digit) != d.first()) && check(9) && check(10)
}

/// Poland: a birth date (centuries in the month) and a check digit.
fn pesel(d: &[u8]) -> bool {
    let two = |i: usize| number(d.get(i..i + 2).unwrap_or_default());
    let month = two(2) % 20;
    d.len() == 11
        && (1..=12).contains(&month)
        && (1..=31).contains(&two(4))
        && weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Germany: ISO 7064 mod 11,10, and exactly one digit occurs twice or three times in the first ten.
fn steuer_id(d: &[u8]) -> bool {
    let body = d.get(..10).unwrap_or_default();
    let mut repeated = (0..10u8)
        .map(|digit| body.iter().filter(|&&b| b == digit).count())
        .filter(|&n| n > 1);
    d.len() == 11 && d.first() != Some(&0) && matches!((repeated.next(), repeated.next()), (Some(2 | 3), None)) && mod_11_10(d)
}

/// France: sex, month, and 97 minus the rest of thirteen digits by 97.
fn nir(d: &[u8]) -> bool {
    let Some((body, key)) = d.split_at_checked(13) else { return false };
    let month = number(d.get(3..5).unwrap_or_default());
    key.len() == 2
        && matches!(d.first(), Some(1 | 2))
        && matches!(month, 1..=12 | 20..=42 | 50..=99)
        && number(key) == 97 - number(body) % 97
}

/// India: never starts with 0 or 1; Verhoeff.
fn aadhaar(d: &[u8]) -> bool {
    d.len() == 12 && d.first().is_some_and(|&first| first >= 2) && verhoeff(d)
}

/// China: region, birth date, sequence and a check character mod 11 (10 is written `X`).
fn chinese(body: &[u8], check: u8) -> bool {
    let part = |from: usize, to: usize| number(body.get(from..to).unwrap_or_default());
    let dated = (1800..=2199).contains(&part(6, 10)) && (1..=12).contains(&part(10, 12)) && (1..=31).contains(&part(12, 14));
    let rest = weighted(body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    body.len() == 17 && dated && u32::from(check) == (12 - rest) % 11
}

/// Spain: eight digits (seven after X, Y or Z) and a letter that is their rest by 23.
fn dni(h: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let letter_at = if matches!(at(h, end), b'-' | b' ') { end + 1 } else { end };
    let letter = at(h, letter_at).to_ascii_uppercase();
    let prefix = before(h, start).to_ascii_uppercase();
    let digits = digits_of(cut(h, start, end));
    let (value, from) = match (digits.len(), prefix) {
        (8, p) if !p.is_ascii_alphanumeric() => (number(&digits), start),
        (7, b'X'..=b'Z') => (u64::from(prefix - b'X') * 10_000_000 + number(&digits), start - 1),
        _ => return None,
    };
    let expected = b"TRWAGMYFPDXBNJZSQVHLCKE".get(usize::try_from(value % 23).unwrap_or(0)).copied();
    let alone = !at(h, letter_at + 1).is_ascii_alphanumeric() && !before(h, from).is_ascii_alphanumeric();
    // A letter after a space is the next word as often as not.
    let joined = letter_at == end || at(h, end) == b'-' || at(h, letter_at).is_ascii_uppercase();
    (expected == Some(letter) && alone && joined).then_some((from, letter_at + 1))
}

/// Italy: `RSSMRA85T10A562S`, the last letter a checksum. `digits` is where the year stands.
fn codice_fiscale(h: &[u8], digits: usize) -> Option<(usize, usize)> {
    let start = digits.checked_sub(6)?;
    if !before(h, digits).is_ascii_alphabetic() || !at(h, digits + 2).is_ascii_alphabetic() {
        return None;
    }
    let code: Vec<u8> = cut(h, start, start + 16).iter().map(u8::to_ascii_uppercase).collect();
    let letters = |from: usize, to: usize| cut(&code, from, to).iter().all(u8::is_ascii_uppercase);
    let shaped = code.len() == 16 && letters(0, 6) && letters(8, 9) && letters(11, 12) && letters(15, 16);
    if !shaped || before(h, start).is_ascii_alphanumeric() || at(h, start + 16).is_ascii_alphanumeric() {
        return None;
    }
    // Values of characters in odd places, by the digit or letter they stand for.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
    ];
    let value = |b: u8| {
        if b.is_ascii_digit() {
            usize::from(b - b'0')
        } else {
            usize::from(b.saturating_sub(b'A'))
        }
    };
    let sum: u32 = code
        .iter()
        .take(15)
        .enumerate()
        .map(|(place, &b)| {
            if place % 2 == 0 {
                ODD.get(value(b)).copied().unwrap_or(0)
            } else {
                u32::try_from(value(b)).unwrap_or(0)
            }
        })
        .sum();
    (u32::from(at(&code, 15) - b'A') == sum % 26).then_some((start, start + 16))
}
