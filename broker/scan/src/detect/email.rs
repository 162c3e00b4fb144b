//! Where are e-mail addresses?
//!
//! From each `@` (or `%40`, as links spell it) outwards. The grammar is narrower than RFC 5321 where the RFC permits what
//! nobody has (comments), and wider where people write more than it permits (letters of any script, and the marks that some
//! systems keep apart from their letters).

use super::cursor::{at, before, cut, run_end, run_start};
use super::prefilter::Seen;
use super::{Hit, Kind};

/// Finds addresses.
pub(super) fn find(h: &[u8], seen: &Seen, hits: &mut Vec<Hit>) {
    if seen.at {
        hits.extend(memchr::memchr_iter(b'@', h).filter_map(|sign| around(h, sign, sign + 1, is_local)));
    }
    if seen.percent {
        hits.extend(memchr::memmem::find_iter(h, b"%40").filter_map(|sign| around(h, sign, sign + 3, is_local_in_link)));
    }
}

/// The address whose sign is `sign..after`.
fn around(h: &[u8], sign: usize, after: usize, is_local: fn(u8) -> bool) -> Option<Hit> {
    let start = local_start(h, sign, is_local)?;
    let end = domain_end(h, after)?;
    Some(Hit {
        kind: Kind::Email,
        start,
        end,
    })
}

fn local_start(h: &[u8], sign: usize, is_local: fn(u8) -> bool) -> Option<usize> {
    if before(h, sign) == b'"' {
        let open = sign.checked_sub(1).and_then(|close| memchr::memrchr(b'"', cut(h, 0, close)))?;
        return Some(open);
    }
    let start = letters_back(h, sign, is_local);
    // A leading quote, full stop or slash belongs to the sentence.
    let start = run_end(cut(h, 0, sign), start, |b| {
        matches!(b, b'.' | b'\'' | b'/' | b'*' | b'`' | b'{' | b'|' | b'=' | b'?' | b'&')
    });
    (start < sign).then_some(start)
}

fn domain_end(h: &[u8], after: usize) -> Option<usize> {
    if at(h, after) == b'[' {
        let close = run_end(h, after + 1, |b| {
            b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'I' | b'P' | b'v')
        });
        return (at(h, close) == b']' && close > after + 2).then_some(close + 1);
    }
    let run = letters_forward(h, after, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let end = run_start(cut(h, 0, run), run, |b| matches!(b, b'.' | b'-')).max(after);
    let domain = cut(h, after, end);
    let last_dot = memchr::memrchr(b'.', domain)?;
    let last = domain.get(last_dot + 1..)?;
    let is_name = last.len() >= 2 && last.iter().any(|b| !b.is_ascii_digit());
    (last_dot > 0 && is_name).then_some(end)
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b)
}

/// In a link, `?to=` before an address is the name of a parameter.
fn is_local_in_link(b: u8) -> bool {
    is_local(b) && !matches!(b, b'?' | b'&' | b'=' | b'/')
}

/// Bytes before a sign that may belong to its address. In a link, signs spelt `%40` are themselves such bytes: without a
/// bound, a thousand of them would each be followed back to the first. No mail server takes a longer name.
const LOCAL_MAX: usize = 512;

/// Extends to the left over `ascii` and over letters of the script that touches the sign.
fn letters_back(h: &[u8], sign: usize, ascii: impl Fn(u8) -> bool) -> usize {
    let from = sign.saturating_sub(LOCAL_MAX);
    let start = from + run_start(cut(h, from, sign), sign - from, |b| b >= 0x80 || ascii(b));
    // Not within a character.
    let start = run_end(cut(h, 0, sign), start, |b| (0x80..0xC0).contains(&b));
    let Ok(text) = std::str::from_utf8(cut(h, start, sign)) else {
        return sign;
    };
    let run = text.chars().next_back().is_some_and(is_unspaced);
    let kept = text.chars().rev().take_while(|&c| c.is_ascii() || is_letter(c, run));
    sign - kept.map(char::len_utf8).sum::<usize>()
}

/// Extends to the right over `ascii` and over letters of the script that touches the sign.
fn letters_forward(h: &[u8], after: usize, ascii: impl Fn(u8) -> bool) -> usize {
    let Ok(text) = std::str::from_utf8(cut(h, after, run_end(h, after, |b| b >= 0x80 || ascii(b)))) else {
        return after;
    };
    let run = text.chars().next().is_some_and(is_unspaced);
    let kept = text.chars().take_while(|&c| c.is_ascii() || is_letter(c, run));
    after + kept.map(char::len_utf8).sum::<usize>()
}

/// Letters, those of scripts without spaces only where the address itself is in such a script: else it would swallow the
/// sentence that it stands in.
fn is_letter(c: char, unspaced: bool) -> bool {
    (c.is_alphanumeric() || is_mark(c)) && (unspaced || !is_unspaced(c))
}

/// Marks that combine with the letter before them: `é` may be written as `e` and an accent. Those of Indic scripts are letters
/// by another name for the most part; here are the rest.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x0670 | 0x06D6..=0x06ED
        | 0x093C | 0x094D | 0x09BC | 0x09CD | 0x0A3C | 0x0A4D | 0x0ABC | 0x0ACD | 0x0B3C | 0x0B4D | 0x0BCD | 0x0C4D | 0x0CBC | 0x0CCD | 0x0D4D
        | 0x0E31..=0x0E4E | 0x0EB1..=0x0ECE | 0x102B..=0x103E | 0x17B4..=0x17D3 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF
        | 0x302A..=0x302F | 0x3099..=0x309A | 0xFE20..=0xFE2F)
}

fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1100..=0x11FF | 0x1780..=0x17FF | 0x2E80..=0xA4CF | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}
