//! Ids as they stand in URLs, log entries and on screens: a short prefix that says what it names, then 80 random bits in
//! Crockford base 32, lower case, which survives being read aloud and double-clicked.

use serde::{Deserialize, Serialize};

/// An id was not `<prefix>_<16 base-32 characters>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} id: expected `{prefix}_` and 16 characters of 0-9 a-z without i l o u")]
pub struct IdError {
    what: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes an id from 80 random bits.
            #[must_use]
            pub fn from_random(random: [u8; 10]) -> Self {
                Self(format!("{}_{}", $prefix, base32(random)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix(concat!($prefix, "_")) {
                    Some(rest) if rest.len() == 16 && rest.bytes().all(|b| ALPHABET.contains(&b)) => Ok(Self(text.to_owned())),
                    _ => Err(IdError { what: $what, prefix: $prefix }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// One request: a plea for chunks.
    RequestId, "req", "request"
);
id!(
    /// One session: an authenticated, revocable period.
    SessionId, "ses", "session"
);
id!(
    /// One attempt to deliver one chunk.
    FetchId, "fet", "fetch"
);
id!(
    /// A person's pseudonym in log headers; the binding to issuer and subject is in a sealed body.
    ActorId, "per", "person"
);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn base32(random: [u8; 10]) -> String {
    let mut bits: u128 = 0;
    for byte in random {
        bits = bits << 8 | u128::from(byte);
    }
    (0..16)
        .rev()
        .map(|i| ALPHABET.get((bits >> (i * 5) & 31) as usize).copied().map_or('0', char::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_foreign_text_does_not() {
        let id = RequestId::from_random([0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(id.as_str().parse::<RequestId>(), Ok(id.clone()));
        assert_eq!(id.as_str().len(), 20);
        for bad in [
            "",
            "req_",
            "req_ILOU000000000000",
            "ses_0000000000000000",
            "req_00000000000000000",
            "req_../../etc/passwd",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
