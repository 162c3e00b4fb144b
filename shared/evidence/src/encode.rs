//! How values become bytes: the one JSON text a value has, base64url, hex, SHA-256.
//!
//! The text is the RFC 8785 (JCS) subset in which number formatting cannot matter: no floats, integers below 2^53 in
//! magnitude, ASCII keys (whose UTF-16 order is their byte order). General JCS code turns large integers into doubles, so
//! distinct numbers get one text; here they are errors, and larger numbers travel as strings.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::Value;

use crate::scan::{RESERVED, Raw};

/// Why a value has no canonical text, or a text is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A number with a fraction or an exponent.
    #[error("numbers must be integers")]
    Float,
    /// An integer that a double cannot hold exactly.
    #[error("integers must be below 2^53 in magnitude; write larger ones as strings")]
    Integer,
    /// An object key that is not printable ASCII, or reserved by the JSON library.
    #[error("object keys must be printable ASCII")]
    Key,
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    /// Not JSON at all.
    #[error("not JSON")]
    NotJson,
    /// JSON, but not in the canonical form: key order, white space, escapes, duplicate keys.
    #[error("not canonical JSON")]
    NotCanonical,
    /// The type does not serialise to JSON.
    #[error("the value does not serialise to JSON")]
    Serialize,
    /// Not base64 in its one canonical form.
    #[error("not canonical base64")]
    Base64,
    /// Not lower-case hex of the expected length.
    #[error("not lower-case hex of the expected length")]
    Hex,
}

/// Nesting of a canonical value at most.
pub const DEPTH_MAX: usize = 32;
/// Integers are smaller than this in magnitude.
pub const INTEGER_BOUND: i64 = 1 << 53;

/// The canonical text of a value.
///
/// # Errors
/// When the value has none: floats, integers of 2^53 and more, keys that are not ASCII, nesting deeper than [`DEPTH_MAX`].
pub fn canonical(value: &Value) -> Result<String, EncodeError> {
    canonical_within(value, DEPTH_MAX)
}

/// The canonical text of a value that nests at most so many levels.
pub(crate) fn canonical_within(value: &Value, depth: usize) -> Result<String, EncodeError> {
    let mut text = String::with_capacity(128);
    write_value(&mut text, value, depth)?;
    Ok(text)
}

/// The canonical text of anything that serialises.
///
/// # Errors
/// As [`canonical`], and when the value does not serialise to JSON.
pub fn canonical_of<T: Serialize + ?Sized>(value: &T) -> Result<String, EncodeError> {
    canonical(&serde_json::to_value(value).map_err(|_| EncodeError::Serialize)?)
}

/// Reads a text that must be exactly the canonical text of its value.
///
/// # Errors
/// When it is not JSON, or not canonical: duplicate keys, other order, spaces, other escapes, trailing bytes.
pub fn parse_canonical(text: &str) -> Result<Value, EncodeError> {
    Raw::parse(text)?;
    serde_json::from_str(text).map_err(|_| EncodeError::NotJson)
}

/// Base64url without padding.
#[must_use]
pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends base64url without padding.
pub(crate) fn b64_onto(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes base64url without padding; the one canonical form only.
///
/// # Errors
/// When the text is anything else.
pub fn unb64(text: &str) -> Result<Vec<u8>, EncodeError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| EncodeError::Base64)
}

/// Decodes 32 bytes of base64url.
///
/// # Errors
/// When the text is anything else.
pub fn unb64_32(text: &str) -> Result<[u8; 32], EncodeError> {
    unb64_of(text)
}

/// Decodes so many bytes of base64url, at most 48.
pub(crate) fn unb64_of<const N: usize>(text: &str) -> Result<[u8; N], EncodeError> {
    // The buffer is longer than any accepted text needs, so that a longer text is told from a malformed one.
    let mut buffer = [0; 64];
    if text.len() != (N * 4).div_ceil(3) {
        return Err(EncodeError::Base64);
    }
    let n = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).map_err(|_| EncodeError::Base64)?;
    buffer.get(..n).and_then(|bytes| bytes.try_into().ok()).ok_or(EncodeError::Base64)
}

/// Standard base64 with padding, as DSSE and C2SP notes use it.
pub(crate) fn b64_std(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes standard base64 with padding; the one canonical form only.
pub(crate) fn unb64_std(text: &str) -> Result<Vec<u8>, EncodeError> {
    STANDARD.decode(text).map_err(|_| EncodeError::Base64)
}

/// As [`unb64_std`], and appends the bytes.
pub(crate) fn unb64_std_onto(bytes: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    STANDARD.decode_vec(text, bytes).map_err(|_| EncodeError::Base64)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// Lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Decodes 32 bytes of lower-case hex.
///
/// # Errors
/// When the text is anything else, upper case included.
pub fn from_hex_32(text: &str) -> Result<[u8; 32], EncodeError> {
    if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(EncodeError::Hex);
    }
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| EncodeError::Hex)?;
    Ok(out)
}

/// Appends the canonical text of a value that nests at most so many levels.
pub(crate) fn write_value(text: &mut String, value: &Value, depth: usize) -> Result<(), EncodeError> {
    let depth = depth.checked_sub(1).ok_or(EncodeError::Depth)?;
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => {
            let integer = match (number.as_i64(), number.is_f64()) {
                (Some(integer), _) => integer,
                (None, true) => return Err(EncodeError::Float),
                (None, false) => return Err(EncodeError::Integer),
            };
            if integer <= -INTEGER_BOUND || integer >= INTEGER_BOUND {
                return Err(EncodeError::Integer);
            }
            text.push_str(&integer.to_string());
        }
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                write_value(text, item, depth)?;
            }
            text.push(']');
        }
        Value::Object(map) => {
            // The map's own order depends on a feature of the JSON library that any dependency may switch on.
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            if !members.is_sorted_by(|a, b| a.0 < b.0) {
                members.sort_unstable_by_key(|(key, _)| key.as_str());
            }
            text.push('{');
            for (n, (key, item)) in members.into_iter().enumerate() {
                if !key.bytes().all(|b| (0x20..0x7f).contains(&b)) || key.starts_with(RESERVED) {
                    return Err(EncodeError::Key);
                }
                if n > 0 {
                    text.push(',');
                }
                write_string(text, key);
                text.push(':');
                write_value(text, item, depth)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// RFC 8785 §3.2.2.2: the two-character escapes where there are some, `\u00xx` in lower case for other controls, nothing else.
pub(crate) fn write_string(text: &mut String, string: &str) {
    text.push('"');
    let mut from = 0;
    for (at, byte) in string.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0..=0x1f => "",
            _ => continue,
        };
        // Every byte matched above is ASCII, so both ends are character boundaries.
        text.push_str(string.get(from..at).unwrap_or_default());
        if short.is_empty() {
            text.push_str("\\u00");
            text.push_str(&hex::encode([byte]));
        } else {
            text.push_str(short);
        }
        from = at + 1;
    }
    text.push_str(string.get(from..).unwrap_or_default());
    text.push('"');
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_strings_escaped_as_rfc_8785_says() {
        let value = json!({"b": "\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}\u{8}\t\r\u{c}", "a": [true, null, -1, {"z": 1, "Z": 2}]});
        assert_eq!(
            canonical(&value).unwrap(),
            "{\"a\":[true,null,-1,{\"Z\":2,\"z\":1}],\"b\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\\b\\t\\r\\f\"}"
        );
    }

    #[test]
    fn what_has_more_than_one_text_is_refused() {
        assert_eq!(canonical(&json!(1.5)), Err(EncodeError::Float));
        assert_eq!(canonical(&json!(9_007_199_254_740_992_i64)), Err(EncodeError::Integer));
        assert_eq!(canonical(&json!(u64::MAX)), Err(EncodeError::Integer));
        assert_eq!(canonical(&json!(9_007_199_254_740_991_i64)).unwrap(), "9007199254740991");
        assert_eq!(canonical(&json!({"é": 1})), Err(EncodeError::Key));
        let deep = (0..DEPTH_MAX).fold(json!(0), |inner, _| json!([inner]));
        assert_eq!(canonical(&deep), Err(EncodeError::Depth));
    }

    #[test]
    fn only_the_canonical_text_is_read() {
        for text in [
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":1}",
            "{\"a\": 1}",
            "[1] ",
            "\"\\u0041\"",
            "\"\\/\"",
            "1.0",
            "1e2",
            "-0",
            "{\"$serde_json::private::RawValue\":\"[1]\"}",
            "\"\\u000A\"",
        ] {
            assert!(parse_canonical(text).is_err(), "{text}");
        }
        assert_eq!(parse_canonical("{\"a\":[1,\"x\"]}").unwrap(), json!({"a": [1, "x"]}));
    }

    #[test]
    fn base64_and_hex_have_one_form() {
        assert_eq!(b64(&[0xfb, 0xff]), "-_8");
        assert_eq!(unb64("-_8").unwrap(), [0xfb, 0xff]);
        for text in ["-_9", "-_8=", "+/8", "-_ 8", "-"] {
            assert!(unb64(text).is_err(), "{text}");
        }
        assert!(unb64_32(&b64(&[7; 32])).is_ok());
        assert!(unb64_32(&b64(&[7; 31])).is_err());
        assert!(from_hex_32(&"A".repeat(64)).is_err());
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    proptest! {
        #[test]
        fn every_string_reads_back(string in any::<String>(), number in -9_007_199_254_740_991_i64..=9_007_199_254_740_991) {
            let value = json!({"s": string, "n": number});
            let text = canonical(&value).unwrap();
            prop_assert_eq!(parse_canonical(&text).unwrap(), value);
        }

        #[test]
        fn arbitrary_text_never_panics_and_reads_back_as_itself(text in any::<String>()) {
            if let Ok(value) = parse_canonical(&text) {
                prop_assert_eq!(canonical(&value).unwrap(), text);
            }
        }
    }
}
