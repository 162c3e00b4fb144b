//! How the broker says who it is: what is sent instead of a password, or, over TLS only, the password itself.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use zeroize::Zeroizing;

/// A way of signing in that the broker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// `mysql_native_password`.
    Native,
    /// `caching_sha2_password`.
    CachingSha2,
}

impl Method {
    /// By the server's name for it.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"mysql_native_password" => Some(Method::Native),
            b"caching_sha2_password" => Some(Method::CachingSha2),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Native => "mysql_native_password",
            Method::CachingSha2 => "caching_sha2_password",
        }
    }

    /// The answer to a server's challenge.
    pub(super) fn answer(self, password: &str, challenge: &[u8]) -> Zeroizing<Vec<u8>> {
        if password.is_empty() {
            return Zeroizing::new(Vec::new());
        }
        let (algorithm, challenge_first) = match self {
            Method::Native => (&SHA1_FOR_LEGACY_USE_ONLY, true),
            Method::CachingSha2 => (&SHA256, false),
        };
        let once = Zeroizing::new(digest(algorithm, password.as_bytes()).as_ref().to_vec());
        let twice = digest(algorithm, &once);
        let mixed = if challenge_first {
            [challenge, twice.as_ref()].concat()
        } else {
            [twice.as_ref(), challenge].concat()
        };
        let mask = digest(algorithm, &mixed);
        Zeroizing::new(once.iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out with Python's hashlib from the definitions in MySQL's manual.
    #[test]
    fn answers_are_those_of_the_manual() {
        let challenge: Vec<u8> = (1..=20).collect();
        assert_eq!(
            hex(&Method::Native.answer("correct horse", &challenge)),
            "85cbaea93f89ea1664bbfdce6ce1af4f0f4a9f88"
        );
        assert_eq!(
            hex(&Method::CachingSha2.answer("correct horse", &challenge)),
            "f16e4bdf1fbf64d96bba0a87b408b36ba19739c0313d446bba6b4165c13c40fc"
        );
        assert!(Method::Native.answer("", &challenge).is_empty());
        assert_eq!(Method::of(b"mysql_clear_password"), None);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
