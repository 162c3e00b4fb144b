//! FF1: encrypts a numeral of decimal digits to another of the same length.
//!
//! NIST SP 800-38G, algorithm 7, with AES-256 and radix 10. A numeral has at least six digits, so that there are a million of its
//! length, which revision 1 demands; and at most 36, so that each half fits a machine word. The tweak is empty where masks use it.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

/// The cipher under one key.
pub(super) struct Ff1(Aes256);

/// Digits of a numeral.
pub(super) const DIGITS_MIN: usize = 6;
pub(super) const DIGITS_MAX: usize = 36;

type Block = [u8; 16];

impl Ff1 {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256::new(key.into()))
    }

    /// Encrypts digits (0–9, one a byte) in place; `None` where they are too few, too many, or no digits, and nothing is changed then.
    pub(super) fn encrypt(&self, digits: &mut [u8], tweak: &[u8]) -> Option<()> {
        let n = digits.len();
        if !(DIGITS_MIN..=DIGITS_MAX).contains(&n) || digits.iter().any(|digit| *digit > 9) {
            return None;
        }
        let (u, v) = (n / 2, n - n / 2);
        let (left, right) = digits.split_at_checked(u)?;
        let (mut a, mut b) = (number(left), number(right));
        let bytes = byte_count(v)?;
        // P: version, method, addition, radix in three bytes, ten rounds, where it is split, lengths of numeral and tweak.
        let mut first: Block = [
            1,
            2,
            1,
            0,
            0,
            10,
            10,
            u8::try_from(u).ok()?,
            0,
            0,
            0,
            u8::try_from(n).ok()?,
            0,
            0,
            0,
            0,
        ];
        first
            .get_mut(12..)?
            .copy_from_slice(&u32::try_from(tweak.len()).ok()?.to_be_bytes());
        for round in 0..ROUNDS {
            let m = if round.is_multiple_of(2) { u } else { v };
            let mut q = Vec::with_capacity(tweak.len() + 32);
            q.extend_from_slice(tweak);
            let zeros = (16 - (tweak.len() + bytes + 1) % 16) % 16;
            q.resize(tweak.len() + zeros, 0);
            q.push(round);
            q.extend_from_slice(b.to_be_bytes().get(8 - bytes..)?);
            let tag = self.cbc_mac(first, &q);
            // d = 4⌈b/4⌉ + 4 bytes of it; never more than one block, for halves of this length.
            let taken = 4 * bytes.div_ceil(4) + 4;
            let y = tag.get(..taken)?.iter().fold(0_u128, |y, byte| (y << 8) | u128::from(*byte));
            let modulus = 10_u128.pow(u32::try_from(m).ok()?);
            let c = u64::try_from((u128::from(a) + y % modulus) % modulus).ok()?;
            (a, b) = (b, c);
        }
        let (left, right) = digits.split_at_mut_checked(u)?;
        write(a, left);
        write(b, right);
        Some(())
    }

    fn cbc_mac(&self, first: Block, rest: &[u8]) -> Block {
        let mut state = first;
        self.0.encrypt_block((&mut state).into());
        for block in rest.chunks(16) {
            for (byte, with) in state.iter_mut().zip(block) {
                *byte ^= with;
            }
            self.0.encrypt_block((&mut state).into());
        }
        state
    }
}

const ROUNDS: u8 = 10;

/// Bytes that a numeral of this many digits needs at most, 8 for 18.
fn byte_count(digits: usize) -> Option<usize> {
    let most = 10_u128.checked_pow(u32::try_from(digits).ok()?)? - 1;
    let bits = usize::try_from(128 - most.leading_zeros()).ok()?;
    Some(bits.div_ceil(8)).filter(|bytes| *bytes <= 8)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit))
}

fn write(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use super::*;

    const KEY: [u8; 32] = [
        0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xef, 0x43, 0x59, 0xd8, 0xd5, 0x80,
        0xaa, 0x4f, 0x7f, 0x03, 0x6d, 0x6f, 0x04, 0xfc, 0x6a, 0x94,
    ];

    fn encrypted(text: &str, tweak: &[u8]) -> Option<String> {
        let mut digits: Vec<u8> = text.bytes().map(|b| b.wrapping_sub(b'0')).collect();
        Ff1::new(&KEY).encrypt(&mut digits, tweak)?;
        Some(digits.iter().map(|d| char::from(b'0' + d)).collect())
    }

    /// Samples 7 and 8 of NIST's examples for FF1 with AES-256.
    #[test]
    fn it_is_the_standards() {
        assert_eq!(encrypted("0123456789", b"").unwrap(), "6657667009");
        assert_eq!(encrypted("0123456789", b"9876543210").unwrap(), "1001623463");
    }

    #[test]
    fn every_length_keeps_its_length_and_no_two_numerals_meet() {
        for length in DIGITS_MIN..=DIGITS_MAX {
            let texts = (0..200).map(|n| format!("{n:0length$}"));
            let found: HashSet<String> = texts.map(|text| encrypted(&text, b"").unwrap()).collect();
            assert_eq!(found.len(), 200, "{length}");
            assert!(found.iter().all(|text| text.len() == length), "{length}");
        }
    }

    #[test]
    fn what_is_no_numeral_is_left_alone() {
        for text in ["", "12345", &"1".repeat(37), "12345a"] {
            assert_eq!(encrypted(text, b""), None, "{text}");
        }
    }
}
