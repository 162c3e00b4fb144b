//! What does text with look-alikes say in plain ASCII?
//!
//! Digits of every script become ASCII digits; full-width forms, dashes, spaces and dots become their ASCII kin; characters
//! that show nothing are dropped. Letters stay as they are, and so do superscripts: a footnote's number is not part of the
//! number that it follows. The copy remembers where each of its bytes came from.

use super::Hit;

/// A folded copy.
pub(super) struct Folded {
    /// The copy.
    pub(super) text: String,
    /// For each byte of the copy, where its character begins and ends in the text.
    from: Vec<(u32, u32)>,
    whole: usize,
}

/// Whether folding could change anything, judged by lead bytes: letters of Latin, Greek, Cyrillic … need none.
pub(super) fn is_needed(h: &[u8]) -> bool {
    h.iter().any(|&b| b >= 0x80 && LEADS.get(usize::from(b)).copied().unwrap_or(false))
}

/// Lead bytes of UTF-8 sequences that [`fold`] may change.
static LEADS: [bool; 256] = {
    let mut leads = [false; 256];
    let bytes: [u8; 14] = [0xC2, 0xCD, 0xD8, 0xD9, 0xDB, 0xDF, 0xE0, 0xE1, 0xE2, 0xE3, 0xEA, 0xEF, 0xF0, 0xF3];
    let mut i = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a wrong index is an error")]
    while i < bytes.len() {
        leads[bytes[i] as usize] = true;
        i += 1;
    }
    leads
};

impl Folded {
    /// Folds a text.
    pub(super) fn of(text: &str) -> Folded {
        let mut folded = Folded {
            text: String::with_capacity(text.len()),
            from: Vec::with_capacity(text.len()),
            whole: text.len(),
        };
        for (start, c) in text.char_indices() {
            let Some(plain) = fold(c) else { continue };
            folded.text.push(plain);
            // Offsets of 32 bits halve the copy; a text beyond 4 GiB cannot be in an array of 32-bit offsets anyway.
            let place = (
                u32::try_from(start).unwrap_or(u32::MAX),
                u32::try_from(start + c.len_utf8()).unwrap_or(u32::MAX),
            );
            folded.from.extend(std::iter::repeat_n(place, plain.len_utf8()));
        }
        folded
    }

    /// A finding in the copy as one in the text.
    pub(super) fn unfold(&self, hit: Hit) -> Hit {
        let start = self.from.get(hit.start).map_or(self.whole, |place| place.0 as usize);
        let end = hit
            .end
            .checked_sub(1)
            .and_then(|last| self.from.get(last))
            .map_or(self.whole, |place| place.1 as usize);
        Hit { start, end, ..hit }
    }
}

/// The plain form of a character; `None` for one that shows nothing.
fn fold(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c);
    }
    let code = u32::from(c);
    Some(match code {
        0x00AD
        | 0x034F
        | 0x061C
        | 0x180B..=0x180F
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0xFE00..=0xFE0F
        | 0xFEFF
        | 0xE0000..=0xE0FFF => {
            return None;
        }
        0x00A0 | 0x1680 | 0x2000..=0x200A | 0x2028 | 0x2029 | 0x202F | 0x205F | 0x3000 => ' ',
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0xFE58 | 0xFE63 => '-',
        0x00B7 | 0x2022 | 0x2024 | 0x3002 | 0xFE52 | 0xFF61 => '.',
        0x2044 | 0x2215 => '/',
        0xFE6B => '@',
        0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0).unwrap_or(c),
        0x1D7CE..=0x1D7FF => digit((code - 0x1D7CE) % 10),
        _ => {
            return Some(
                ZEROES
                    .iter()
                    .find(|&&zero| (zero..zero + 10).contains(&code))
                    .map_or(c, |zero| digit(code - zero)),
            );
        }
    })
}

fn digit(value: u32) -> char {
    char::from_digit(value, 10).unwrap_or('0')
}

/// The zero of each script with decimal digits of its own.
static ZEROES: [u32; 54] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040,
    0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50,
    0xABF0, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11C50,
    0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0, 0x16A60,
];
