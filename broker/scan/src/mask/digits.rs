//! Which number of the same form stands for a number?
//!
//! The digits are encrypted by [`ff1`](super::ff1) under a key of the class; what stands between them, and a sign, stay where they are.
//! So a card number still has four groups of four, equal values stay equal however they are written, and no two become the same. What
//! is not of that kind is redacted: a text with letters keeps too much of itself, and of fewer than six digits there are too few.

use std::fmt;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, new_null_array};
use arrow::datatypes::{DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use chunk_port::MaskKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::REDACTED;
use super::ff1::{DIGITS_MAX, DIGITS_MIN, Ff1};
use super::text::TextMask;

/// Encrypts digits.
pub(super) struct Digits(Ff1);

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits")
    }
}

/// What may stand between digits.
const BETWEEN: &[u8] = b" -./()+:";

impl Digits {
    /// `None` if the key cannot be used, which HMAC never says of 32 bytes; the mask then redacts.
    pub(super) fn new(key: &MaskKey) -> Option<Self> {
        // Tokens are made with the class's key itself.
        let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.as_slice()).ok()?;
        mac.update(b"chunkctl mask ff1");
        Some(Self(Ff1::new(&mac.finalize().into_bytes().into())))
    }

    /// Masks whole numbers; null where a value has fewer than six digits or more than eighteen, and for any other type.
    pub(super) fn numbers(&self, array: &ArrayRef, output: &DataType) -> ArrayRef {
        match output {
            DataType::Int8 => self.each::<Int8Type>(array),
            DataType::Int16 => self.each::<Int16Type>(array),
            DataType::Int32 => self.each::<Int32Type>(array),
            DataType::Int64 => self.each::<Int64Type>(array),
            DataType::UInt8 => self.each::<UInt8Type>(array),
            DataType::UInt16 => self.each::<UInt16Type>(array),
            DataType::UInt32 => self.each::<UInt32Type>(array),
            DataType::UInt64 => self.each::<UInt64Type>(array),
            other => new_null_array(other, array.len()),
        }
    }

    fn each<T: ArrowPrimitiveType>(&self, array: &ArrayRef) -> ArrayRef
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let masked: PrimitiveArray<T> = array.as_primitive::<T>().unary_opt::<_, T>(|value| {
            let value: i128 = value.into();
            let fits = |number: i128| T::Native::try_from(if value < 0 { -number } else { number }).ok();
            self.number(value.unsigned_abs(), |number| fits(number).is_some()).and_then(fits)
        });
        std::sync::Arc::new(masked)
    }

    /// Another number of as many digits that fits. Encrypting until one does is a permutation of those that do ("cycle walking").
    fn number(&self, value: u128, fits: impl Fn(i128) -> bool) -> Option<i128> {
        let text = value.to_string();
        if text.len() > NUMBER_DIGITS_MAX {
            return None;
        }
        let mut digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
        for _ in 0..WALK_MAX {
            self.0.encrypt(&mut digits, b"")?;
            let number = digits.iter().fold(0_i128, |number, digit| number * 10 + i128::from(*digit));
            if digits.first() != Some(&0) && fits(number) {
                return Some(number);
            }
        }
        None
    }
}

const NUMBER_DIGITS_MAX: usize = 18;
/// Of a type's longest numbers as few as one in fifty may fit; not to find one in so many steps is as likely as guessing a key.
const WALK_MAX: usize = 10_000;

impl TextMask for Digits {
    fn mask(&self, value: &str, out: &mut Vec<u8>) {
        let bytes = value.as_bytes();
        let mut digits: Vec<u8> = bytes.iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
        let is_number = bytes.iter().all(|b| b.is_ascii_digit() || BETWEEN.contains(b));
        if !is_number || !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) || self.0.encrypt(&mut digits, b"").is_none() {
            out.extend_from_slice(REDACTED.as_bytes());
            return;
        }
        let mut digits = digits.into_iter();
        for byte in bytes {
            match byte {
                b if b.is_ascii_digit() => out.extend(digits.next().map(|digit| b'0' + digit)),
                between => out.push(*between),
            }
        }
    }
}
