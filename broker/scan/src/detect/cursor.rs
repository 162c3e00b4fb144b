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
    let end = i + rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len());
    step(end - i + 1);
    end
}

/// Where the run of bytes that satisfy `keep` and ends before `i` starts.
pub(super) fn run_start(h: &[u8], i: usize, keep: impl Fn(u8) -> bool) -> usize {
    let start = h
        .get(..i)
        .unwrap_or_default()
        .iter()
        .rposition(|&b| !keep(b))
        .map_or(0, |last| last + 1);
    step(i.saturating_sub(start) + 1);
    start
}

/// Counts the bytes looked at, for tests of how the work grows.
#[cfg(not(test))]
fn step(_: usize) {}

#[cfg(test)]
fn step(bytes: usize) {
    STEPS.with(|steps| steps.set(steps.get() + bytes));
}

#[cfg(test)]
thread_local! {
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The run of bytes that was looked at last, so that no byte is looked at once for each of a thousand marks before it.
#[derive(Debug, Default)]
pub(super) struct LastRun {
    from: usize,
    end: usize,
    digit: Option<usize>,
}

impl LastRun {
    /// As [`run_end`]. Always to be asked with the same `keep`, and with `i` from left to right.
    pub(super) fn end(&mut self, h: &[u8], i: usize, keep: impl Fn(u8) -> bool) -> usize {
        if !(self.from..=self.end).contains(&i) || self.end == 0 {
            let end = run_end(h, i, keep);
            let digit = cut(h, i, end).iter().rposition(u8::is_ascii_digit).map(|last| i + last);
            *self = LastRun { from: i, end, digit };
        }
        self.end
    }

    /// Whether there is a digit between `i`, last asked for, and the end of the run.
    pub(super) fn has_digit(&self, i: usize) -> bool {
        self.digit.is_some_and(|last| last >= i)
    }
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
