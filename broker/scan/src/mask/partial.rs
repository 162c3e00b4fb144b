//! Which characters of a text stay?

use super::REDACTED;
use super::text::TextMask;

/// Keeps the first and last characters; each one between becomes `*`.
#[derive(Debug)]
pub(super) struct Partial {
    first: usize,
    last: usize,
}

impl Partial {
    pub(super) fn new(keep_first: u8, keep_last: u8) -> Partial {
        Partial {
            first: usize::from(keep_first),
            last: usize::from(keep_last),
        }
    }
}

impl TextMask for Partial {
    fn mask(&self, value: &str, out: &mut Vec<u8>) {
        let kept = self.first + self.last;
        let bytes = value.as_bytes();
        if value.len() > kept && value.is_ascii() {
            out.extend_from_slice(bytes.get(..self.first).unwrap_or_default());
            out.resize(out.len() + value.len() - kept, b'*');
            return out.extend_from_slice(bytes.get(value.len() - self.last..).unwrap_or_default());
        }
        // A value no longer in bytes is no longer in characters either.
        let stars = if value.len() <= kept {
            0
        } else {
            value.chars().count().saturating_sub(kept)
        };
        let (Some(head), Some(tail)) = (head_len(value, self.first), tail_start(value, self.last)) else {
            return out.extend_from_slice(REDACTED.as_bytes());
        };
        if stars == 0 {
            return out.extend_from_slice(REDACTED.as_bytes());
        }
        out.extend_from_slice(bytes.get(..head).unwrap_or_default());
        out.resize(out.len() + stars, b'*');
        out.extend_from_slice(bytes.get(tail..).unwrap_or_default());
    }
}

/// Bytes of the first `count` characters; `None` if there are fewer.
fn head_len(value: &str, count: usize) -> Option<usize> {
    let head = value.as_bytes().get(..count)?;
    if head.is_ascii() {
        return Some(count);
    }
    value.char_indices().map(|(at, _)| at).chain([value.len()]).nth(count)
}

/// Where the last `count` characters start; `None` if there are fewer.
fn tail_start(value: &str, count: usize) -> Option<usize> {
    let from = value.len().checked_sub(count)?;
    if value.as_bytes().get(from..)?.is_ascii() {
        return Some(from);
    }
    count
        .checked_sub(1)
        .map_or(Some(value.len()), |back| value.char_indices().rev().nth(back).map(|(at, _)| at))
}
