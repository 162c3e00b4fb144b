//! Looks at bytes by position without a bound to get wrong: outside the text there is only NUL.

/// The byte at `i`, NUL outside.
pub(super) fn at(h: &[u8], i: usize) -> u8 {
    h.get(i).copied().unwrap_or(0)
}

/// The byte before `i`, NUL at the start.
pub(super) fn before(h: &[u8], i: usize) -> u8 {
    i.checked_sub(1).map_or(0, |i| at(h, i))
}

/// Bytes `from..to`, empty where that is not within the text.
pub(super) fn cut(h: &[u8], from: usize, to: usize) -> &[u8] {
    h.get(from..to).unwrap_or_default()
}

/// Where the run of bytes that satisfy `keep` ends, from `i` on.
pub(super) fn run_end(h: &[u8], i: usize, keep: impl Fn(u8) -> bool) -> usize {
    let rest = h.get(i..).unwrap_or_default();
    i + rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len())
}

/// Where the run of bytes that satisfy `keep` and ends before `i` starts.
pub(super) fn run_start(h: &[u8], i: usize, keep: impl Fn(u8) -> bool) -> usize {
    h.get(..i)
        .unwrap_or_default()
        .iter()
        .rposition(|&b| !keep(b))
        .map_or(0, |last| last + 1)
}

/// Whether one of `words` (lower case) begins a word in the 32 bytes before `i`.
///
/// Some numbers are only telling beside the word that says what they are.
pub(super) fn announced(h: &[u8], i: usize, words: &[&str]) -> bool {
    const REACH: usize = 32;
    let from = i.saturating_sub(REACH);
    let near = cut(h, from, i);
    let mut outside = before(h, from);
    near.iter().enumerate().any(|(k, &b)| {
        let begins = b.is_ascii_alphabetic() && !outside.is_ascii_alphabetic();
        outside = b;
        let is_at = |word: &&str| {
            word.as_bytes().first() == Some(&b.to_ascii_lowercase()) && cut(near, k, k + word.len()).eq_ignore_ascii_case(word.as_bytes())
        };
        begins && words.iter().any(is_at)
    })
}
