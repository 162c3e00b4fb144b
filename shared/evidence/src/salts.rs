//! The salts of an entry, which are HMAC-SHA-256 of eight short messages under its key.
//!
//! A verifier makes eight of them for every entry of a log. Each is one block inside and one outside, so they are computed from the
//! compression function itself; through a library's contexts they took a tenth of all the time that verifying takes.

use sha2::block_api::compress256;

use crate::body::{EntryKey, Group};

/// The two halves of HMAC, each after its block of the key.
pub(crate) struct Salts {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Salts {
    /// The salts under this key.
    pub(crate) fn of(rk: &EntryKey) -> Self {
        let keyed = |pad: u8| {
            let mut block = [pad; 64];
            for (byte, key) in block.iter_mut().zip(rk.bytes()) {
                *byte ^= key;
            }
            after(INITIAL, &block)
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    /// The salt of a group.
    pub(crate) fn salt(&self, group: Group) -> [u8; 16] {
        // What is hashed, then the end of a hash: a one bit, zeros, and how many bits that were, those of the key's block included.
        let mut block = [0; 64];
        block[..20].copy_from_slice(b"chunkctl.dev/salt/v1");
        block[20] = group.number();
        block[21] = 0x80;
        block[62..].copy_from_slice(&bits(64 + 21));
        let digest = after(self.inner, &block);
        let mut block = [0; 64];
        for (bytes, word) in block.chunks_exact_mut(4).zip(digest) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        block[32] = 0x80;
        block[62..].copy_from_slice(&bits(64 + 32));
        let mut salt = [0; 16];
        for (bytes, word) in salt.chunks_exact_mut(4).zip(after(self.outer, &block)) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        salt
    }
}

fn after(mut state: [u32; 8], block: &[u8; 64]) -> [u32; 8] {
    compress256(&mut state, std::slice::from_ref(block));
    state
}

const fn bits(bytes: u16) -> [u8; 2] {
    (bytes * 8).to_be_bytes()
}

/// How SHA-256 begins (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use super::*;
    use ring::hmac;

    #[test]
    fn a_salt_is_half_of_the_mac_that_a_library_computes() {
        for seed in 0..=255_u8 {
            let rk: [u8; 16] = std::array::from_fn(|n| seed.wrapping_mul(n as u8 + 1).wrapping_add(seed));
            let key = hmac::Key::new(hmac::HMAC_SHA256, &rk);
            let salts = Salts::of(&EntryKey::from_random(rk));
            for group in Group::ALL {
                let message = [b"chunkctl.dev/salt/v1".as_slice(), &[group.number()]].concat();
                let mac = hmac::sign(&key, &message);
                assert_eq!(mac.as_ref().first_chunk(), Some(&salts.salt(group)));
            }
        }
    }
}
