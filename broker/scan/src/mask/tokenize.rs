//! Which token stands for a value?
//!
//! HMAC-SHA-256 under the class's key, so that equal values have equal tokens across tables and sources, and nobody without
//! the key can try values. The first 128 bits, as 26 digits of Crockford's base 32 in lower case (the number with two zero
//! bits before it, as ULIDs do): no letter that reads like a digit, no case to lose.

use std::fmt;

use chunk_port::MaskKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::text::TextMask;

/// The key, already mixed into the hash: each value then costs two compressions instead of four.
pub(super) struct Token {
    keyed: Hmac<Sha256>,
}

const PREFIX: &[u8] = b"tok_";
const DIGITS: usize = 26;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// `None` if the key cannot be used, which HMAC never says of 32 bytes; the mask then redacts.
    pub(super) fn new(key: &MaskKey) -> Option<Token> {
        Hmac::<Sha256>::new_from_slice(key.secret.as_slice())
            .ok()
            .map(|keyed| Token { keyed })
    }

    /// Appends the token of a value's text form.
    pub(super) fn of(&self, form: &[u8], out: &mut Vec<u8>) {
        let mut mac = self.keyed.clone();
        mac.update(form);
        let tag = mac.finalize().into_bytes();
        let number = tag.iter().take(16).fold(0u128, |number, &b| (number << 8) | u128::from(b));
        out.extend_from_slice(PREFIX);
        out.extend((0..DIGITS).rev().map(|place| {
            let digit = (number >> (5 * place)) & 31;
            ALPHABET.get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'0')
        }));
    }
}

impl TextMask for Token {
    fn mask(&self, value: &str, out: &mut Vec<u8>) {
        self.of(value.as_bytes(), out);
    }
}
