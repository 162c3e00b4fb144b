//! Where are international bank account numbers?
//!
//! Two letters, two check digits, and as many letters and digits as the country prescribes (ISO 13616), spaces anywhere; then
//! mod 97. The length comes from the register, so that words which follow are not read as part of the number.

use super::checksum::iban;
use super::cursor::{at, before};
use super::numbers::Run;
use super::{Hit, Kind};

/// Finds account numbers; the groups of the run that lie in one are taken.
pub(super) fn find(run: &mut Run<'_>, hits: &mut Vec<Hit>) {
    for k in 0..run.groups.len() {
        let group = run.group(k);
        if group.taken {
            continue;
        }
        let Some(hit) = at_digits(run.h, group.start) else { continue };
        hits.push(hit);
        for group in &mut run.groups {
            group.taken |= group.start < hit.end && group.end > hit.start;
        }
    }
}

/// The account number whose check digits begin at `digits`.
fn at_digits(h: &[u8], digits: usize) -> Option<Hit> {
    let letters_end = if is_gap(before(h, digits)) {
        digits.checked_sub(1)?
    } else {
        digits
    };
    let start = letters_end.checked_sub(2)?;
    if !at(h, start).is_ascii_alphabetic() || !at(h, start + 1).is_ascii_alphabetic() || !at(h, digits + 1).is_ascii_digit() {
        return None;
    }
    let length = BY_COUNTRY
        .get(place(at(h, start), at(h, start + 1)))
        .copied()
        .map(usize::from)
        .filter(|&length| length > 0)?;
    let mut characters = [0u8; LENGTH_MAX];
    let (mut i, mut gaps, mut count) = (start, 0, 0);
    while count < length {
        let b = at(h, i);
        if b.is_ascii_alphanumeric() {
            *characters.get_mut(count)? = b;
            count += 1;
            gaps = 0;
        } else if is_gap(b) && gaps < 2 {
            gaps += 1;
        } else {
            return None;
        }
        i += 1;
    }
    iban(characters.get(..length)?).then_some(Hit {
        kind: Kind::Iban,
        start,
        end: i,
    })
}

fn is_gap(b: u8) -> bool {
    matches!(b, b' ' | b'-' | b'.' | b'/' | b'_' | b'\t' | b'\n' | b'\r')
}

/// The longest that ISO 13616 permits.
const LENGTH_MAX: usize = 34;

/// Where the length for a country of these two letters stands.
const fn place(first: u8, second: u8) -> usize {
    (first.to_ascii_uppercase() - b'A') as usize * 26 + (second.to_ascii_uppercase() - b'A') as usize
}

/// Length by place, 0 for letters that are no country.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a wrong index is an error")]
static BY_COUNTRY: [u8; 26 * 26] = {
    let mut lengths = [0; 26 * 26];
    let mut i = 0;
    while i < LENGTHS.len() {
        let (code, length) = LENGTHS[i];
        lengths[place(code.as_bytes()[0], code.as_bytes()[1])] = length;
        i += 1;
    }
    lengths
};

/// Length by country, from the IBAN register.
const LENGTHS: [(&str, u8); 89] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];
