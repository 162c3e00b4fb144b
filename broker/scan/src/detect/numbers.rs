//! Which runs of digits could be a number that identifies someone?
//!
//! A run is digits with at most three separators between neighbours, cut into groups where separators are: `4111 1111-1111
//! 1111` is a run of four groups. Every kind of number is then a shape over consecutive groups, with a check. Shapes are
//! tried from strict to loose, and a group that one has taken is not offered to the next.

use super::cursor::{at, before, cut, run_end, run_start};
use super::{Hit, Kind, address, bank, card, national, phone};

/// Numbers with fewer digits than this identify nobody.
pub(super) const DIGITS_MIN: usize = 7;

/// Bytes between two groups of one run.
const GAP_MAX: usize = 3;

/// Consecutive digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Part of a finding already.
    pub(super) taken: bool,
}

impl Group {
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }
}

/// A run of digit groups in a text.
pub(super) struct Run<'a> {
    pub(super) h: &'a [u8],
    pub(super) groups: Vec<Group>,
    /// What the text as a whole is announced to hold.
    pub(super) announced: Option<Kind>,
}

/// Up to twenty digits 0–9; more are no number of any kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Digits {
    values: [u8; 20],
    len: usize,
}

impl std::ops::Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.values.get(..self.len).unwrap_or_default()
    }
}

/// The digits of a text, without what stands between them.
pub(super) fn digits_of(text: &[u8]) -> Digits {
    let mut digits = Digits::default();
    for b in text.iter().filter(|b| b.is_ascii_digit()) {
        let Some(slot) = digits.values.get_mut(digits.len) else {
            return Digits::default();
        };
        *slot = b - b'0';
        digits.len += 1;
    }
    digits
}

impl<'a> Run<'a> {
    /// Group number `k`; an empty one at the end of the text where there is none.
    pub(super) fn group(&self, k: usize) -> Group {
        self.groups.get(k).copied().unwrap_or(Group {
            start: self.h.len(),
            end: self.h.len(),
            taken: true,
        })
    }

    /// What separates group `k` from the next.
    pub(super) fn gap(&self, k: usize) -> &'a [u8] {
        cut(self.h, self.group(k).end, self.group(k + 1).start)
    }

    /// First digit of group `k`.
    pub(super) fn first(&self, k: usize) -> u8 {
        at(self.h, self.group(k).start)
    }

    /// Whether the groups from `k` on have these lengths, none of them taken.
    pub(super) fn shaped(&self, k: usize, lengths: &[usize]) -> bool {
        self.groups
            .get(k..k + lengths.len())
            .is_some_and(|groups| groups.iter().zip(lengths).all(|(g, &len)| g.len() == len && !g.taken))
    }

    /// Digits of groups `k..=last`.
    pub(super) fn digits(&self, k: usize, last: usize) -> Digits {
        digits_of(cut(self.h, self.group(k).start, self.group(last).end))
    }

    /// Whether no letter or digit touches groups `k..=last` from outside.
    pub(super) fn stands_alone(&self, k: usize, last: usize) -> bool {
        !before(self.h, self.group(k).start).is_ascii_alphanumeric() && !at(self.h, self.group(last).end).is_ascii_alphanumeric()
    }

    /// Marks groups `k..=last` as found and tells so.
    pub(super) fn take(&mut self, kind: Kind, k: usize, last: usize, hits: &mut Vec<Hit>) {
        hits.push(Hit {
            kind,
            start: self.group(k).start,
            end: self.group(last).end,
        });
        self.mark(k, last);
    }

    pub(super) fn mark(&mut self, k: usize, last: usize) {
        for group in self.groups.iter_mut().take(last + 1).skip(k) {
            group.taken = true;
        }
    }

    fn digits_total(&self) -> usize {
        self.groups.iter().map(|g| g.len()).sum()
    }
}

/// Finds numbers of every kind.
pub(super) fn find(h: &[u8], announced: Option<Kind>, hits: &mut Vec<Hit>) {
    let mut run = Run {
        h,
        groups: Vec::new(),
        announced,
    };
    let mut from = 0;
    while let Some(start) = h
        .get(from..)
        .and_then(|rest| rest.iter().position(u8::is_ascii_digit))
        .map(|n| n + from)
    {
        if let Some(end) = uuid_end(h, start) {
            from = end;
            continue;
        }
        from = collect(h, start, &mut run.groups);
        bank::find(&mut run, hits);
        national::find_lettered(&mut run, hits);
        let digits = run.digits_total();
        if digits >= 4 && run.groups.len() >= 4 {
            address::find_v4(&mut run, hits);
        }
        if digits >= card::DIGITS_MIN {
            card::find(&mut run, hits);
        }
        if digits >= national::DIGITS_MIN {
            national::find(&mut run, hits);
        }
        if digits >= DIGITS_MIN {
            phone::find(&mut run, hits);
        }
    }
}

/// Fills `groups` with the run that starts at `start`; returns where it ends.
fn collect(h: &[u8], start: usize, groups: &mut Vec<Group>) -> usize {
    groups.clear();
    let mut at_digit = start;
    loop {
        let end = run_end(h, at_digit, |b| b.is_ascii_digit());
        groups.push(Group {
            start: at_digit,
            end,
            taken: false,
        });
        let next = run_end(cut(h, 0, h.len().min(end + GAP_MAX)), end, is_separator);
        if next == end || !at(h, next).is_ascii_digit() {
            return end;
        }
        at_digit = next;
    }
}

fn is_separator(b: u8) -> bool {
    matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'_' | b'+' | b'\t' | b'\n' | b'\r')
}

/// Where the UUID ends that the digit at `i` is part of. Its segments of digits would look like cards and phones.
fn uuid_end(h: &[u8], i: usize) -> Option<usize> {
    const LEN: usize = 36;
    let within = |b: u8| b.is_ascii_hexdigit() || b == b'-';
    let start = if within(before(h, i)) {
        run_start(cut(h, i.saturating_sub(LEN), i), i.min(LEN), within) + i.saturating_sub(LEN)
    } else {
        i
    };
    let candidate = h.get(start..start + LEN)?;
    let is_uuid = candidate.iter().enumerate().all(|(k, &b)| {
        if matches!(k, 8 | 13 | 18 | 23) {
            b == b'-'
        } else {
            b.is_ascii_hexdigit()
        }
    });
    let ends = !at(h, start + LEN).is_ascii_alphanumeric();
    (is_uuid && ends).then_some(start + LEN)
}
