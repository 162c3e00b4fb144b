//! DER (X.690), as much as time stamps and certificates need: one encoding for each value, and every other one is refused.
//!
//! Two verifiers that share no code must agree about every byte. So this reader does little: tags of one byte, lengths of at most
//! four in their shortest form, and nothing that is guessed.

/// A value is not in its one form, or another than was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) type Read<T> = Result<T, Malformed>;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a context-specific value that holds others.
pub(super) const fn holding(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a context-specific value that holds bytes.
pub(super) const fn plain(number: u8) -> u8 {
    0x80 | number
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Der<'d> {
    pub(super) tag: u8,
    pub(super) contents: &'d [u8],
    /// With tag and length.
    pub(super) whole: &'d [u8],
}

impl<'d> Der<'d> {
    /// The one value that these bytes are.
    pub(super) fn only(bytes: &'d [u8], tag: u8) -> Read<Self> {
        let mut values = Values(bytes);
        let value = values.take(tag)?;
        values.end()?;
        Ok(value)
    }

    /// The values inside.
    pub(super) fn values(self) -> Values<'d> {
        Values(self.contents)
    }

    /// A number that is not negative, big endian without leading zeros; zero is no byte.
    pub(super) fn unsigned(self) -> Read<&'d [u8]> {
        match self.contents {
            [0] => Ok(&[]),
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
            [1..=0x7f, ..] => Ok(self.contents),
            _ => Err(Malformed),
        }
    }

    /// A number from 0 on that fits.
    pub(super) fn number(self) -> Read<u64> {
        let bytes = self.unsigned()?;
        if bytes.len() > 8 {
            return Err(Malformed);
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The bytes of a bit string of whole bytes.
    pub(super) fn bits(self) -> Read<&'d [u8]> {
        match self.contents {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    pub(super) fn boolean(self) -> Read<bool> {
        match self.contents {
            [0] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(Malformed),
        }
    }
}

/// Values that stand one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'d>(&'d [u8]);

impl<'d> Values<'d> {
    /// The values that these bytes are.
    pub(super) fn of(bytes: &'d [u8]) -> Self {
        Self(bytes)
    }

    /// The next value, whatever it is.
    pub(super) fn any(&mut self) -> Read<Der<'d>> {
        let [tag, first, rest @ ..] = self.0 else {
            return Err(Malformed);
        };
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(Malformed)?;
                let length = bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
                if bytes.first() == Some(&0) || length < 0x80 {
                    return Err(Malformed);
                }
                (usize::try_from(length).map_err(|_| Malformed)?, rest)
            }
            _ => return Err(Malformed),
        };
        let (contents, after) = rest.split_at_checked(length).ok_or(Malformed)?;
        let whole = self.0.get(..self.0.len() - after.len()).ok_or(Malformed)?;
        self.0 = after;
        Ok(Der {
            tag: *tag,
            contents,
            whole,
        })
    }

    /// The next value, which has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Read<Der<'d>> {
        self.any()
            .and_then(|value| if value.tag == tag { Ok(value) } else { Err(Malformed) })
    }

    /// The next value, if it has this tag.
    pub(super) fn take_if(&mut self, tag: u8) -> Read<Option<Der<'d>>> {
        if self.0.first() == Some(&tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing more stands there.
    pub(super) fn end(&self) -> Read<()> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// A value of this tag and these contents.
pub(super) fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = length.get(significant..).unwrap_or_default();
    let mut out = vec![tag];
    if contents.len() >= 0x80 {
        // At most eight bytes of length.
        out.push(0x80 | length.len() as u8);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(contents);
    out
}

/// Milliseconds since 1970 of a GeneralizedTime in UTC; whatever is finer than a millisecond is left out.
pub(super) fn generalized_time(value: Der<'_>) -> Read<i64> {
    let text = std::str::from_utf8(value.contents).map_err(|_| Malformed)?;
    let text = text.strip_suffix('Z').ok_or(Malformed)?;
    let (seconds, fraction) = match text.split_once('.') {
        None => (text, ""),
        Some((seconds, fraction)) if !fraction.is_empty() && !fraction.ends_with('0') => (seconds, fraction),
        Some(_) => return Err(Malformed),
    };
    if value.tag != GENERALIZED_TIME || seconds.len() != 14 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    let millis = fraction.bytes().chain(*b"000").take(3);
    let millis = millis.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0'));
    Ok(instant(seconds)? * 1000 + millis)
}

/// Milliseconds since 1970 of either form that certificates have.
pub(super) fn time(value: Der<'_>) -> Read<i64> {
    if value.tag != UTC_TIME {
        return generalized_time(value);
    }
    let text = std::str::from_utf8(value.contents).map_err(|_| Malformed)?;
    let text = text.strip_suffix('Z').filter(|text| text.len() == 12).ok_or(Malformed)?;
    let century = if digits(text, 0, 2)? < 50 { "20" } else { "19" };
    Ok(instant(&format!("{century}{text}"))? * 1000)
}

/// Seconds since 1970 of `YYYYMMDDhhmmss`.
fn instant(text: &str) -> Read<i64> {
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 4, 6)?, digits(text, 6, 8)?);
    let (hour, minute, second) = (digits(text, 8, 10)?, digits(text, 10, 12)?, digits(text, 12, 14)?);
    let days = crate::civil::days(year, month, day).ok_or(Malformed)?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Malformed);
    }
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn digits(text: &str, from: usize, to: usize) -> Read<i64> {
    let digits = text.get(from..to).ok_or(Malformed)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    digits.parse().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_length_has_one_form() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let bytes = value(OCTET_STRING, &vec![7; length]);
            assert_eq!(Der::only(&bytes, OCTET_STRING).unwrap().contents.len(), length);
        }
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0, 0],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 7],
            &[4, 0x82, 0, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 1, 7],
            &[0x1f, 1, 7],
            &[2, 1, 7],
        ] {
            assert_eq!(Der::only(bytes, OCTET_STRING), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_not_negative() {
        let read = |contents: &[u8]| Der::only(&value(INTEGER, contents), INTEGER).unwrap().number();
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[0, 0x80]), Ok(128));
        assert_eq!(read(&[0x7f, 0xff]), Ok(0x7fff));
        for contents in [&[][..], &[0, 0x7f], &[0, 0], &[0x80], &[1; 9]] {
            assert_eq!(read(contents), Err(Malformed), "{contents:?}");
        }
    }

    #[test]
    fn times_read_to_the_millisecond_and_days_that_are_none_do_not() {
        let general = |text: &str| generalized_time(Der::only(&value(GENERALIZED_TIME, text.as_bytes()), GENERALIZED_TIME).unwrap());
        assert_eq!(general("20251124160000Z"), Ok(1_764_000_000_000));
        assert_eq!(general("20251124160000.1234Z"), Ok(1_764_000_000_123));
        assert_eq!(general("20240229000000.5Z"), Ok(1_709_164_800_500));
        for text in [
            "20251124160000",
            "20251124160000.Z",
            "20251124160000.10Z",
            "20250229000000Z",
            "20251324160000Z",
            "20251100160000Z",
            "20251124240000Z",
            "20251124160060Z",
            "2025112416000Z",
            "+0251124160000Z",
            "20251124160000+0100",
        ] {
            assert_eq!(general(text), Err(Malformed), "{text}");
        }
        let utc = |text: &str| time(Der::only(&value(UTC_TIME, text.as_bytes()), UTC_TIME).unwrap());
        assert_eq!(utc("251124160000Z"), Ok(1_764_000_000_000));
        assert_eq!(utc("700101000000Z"), Ok(0));
        assert_eq!(utc("2511241600Z"), Err(Malformed));
    }
}
