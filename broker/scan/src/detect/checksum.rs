//! Does a number carry the check digits that its kind prescribes?
//!
//! A checksum is what separates a card or an account from any other long number; nine in ten wrong candidates fall here.

/// Luhn's sum (ISO/IEC 7812-1) over digits 0–9.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &d)| {
            let d = u32::from(d);
            let doubled = if place % 2 == 1 { d * 2 } else { d };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 97-10 as IBANs use it: the first four characters count last, letters as 10 to 35.
pub(super) fn iban(characters: &[u8]) -> bool {
    let Some((head, tail)) = characters.split_at_checked(4) else {
        return false;
    };
    let mut rest = 0u32;
    for &b in tail.iter().chain(head) {
        let value = match b {
            b'0'..=b'9' => u32::from(b - b'0'),
            b'A'..=b'Z' => u32::from(b - b'A') + 10,
            b'a'..=b'z' => u32::from(b - b'a') + 10,
            _ => return false,
        };
        rest = if value < 10 {
            (rest * 10 + value) % 97
        } else {
            (rest * 100 + value) % 97
        };
    }
    rest == 1
}

/// The number that digits 0–9 spell.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |n, &d| n.wrapping_mul(10).wrapping_add(u64::from(d)))
}

/// Sum of digits times weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&d, &w)| u32::from(d) * w).sum()
}

/// Verhoeff's checksum, which Aadhaar numbers carry.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    // The dihedral group of a pentagon: rotations 0–4, reflections 5–9.
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + (b - 5)) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a - 5 + 5 - (b - 5)) % 5,
    };
    const STEP: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let check = digits.iter().rev().enumerate().fold(0u8, |check, (place, &digit)| {
        let turned = (0..place % 8).fold(digit, |d, _| STEP.get(usize::from(d)).copied().unwrap_or(0));
        product(check, turned)
    });
    check == 0
}

/// ISO 7064 mod 11,10, which German tax numbers carry.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((&last, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10u32, |product, &d| {
        let sum = match (u32::from(d) + product) % 10 {
            0 => 10,
            sum => sum,
        };
        (sum * 2) % 11
    });
    (11 - product) % 10 == u32::from(last)
}
