//! Which pieces of a free text identify a person or open a door?
//!
//! Detection must cost nothing on clean text, so one vectorised look at the bytes ([`prefilter`]) decides which detectors can
//! find anything at all. Each of those then jumps between its own triggers (`@`, a run of digits, `::`, a token's prefix) and
//! decides with a checksum or a grammar. There is no regular expression: an alternation that rejects a candidate would have
//! consumed the text in which a shorter, valid one hides, and a pass per pattern is what makes other scanners slow.
//!
//! Text with look-alikes (full-width or Arabic digits, zero-width characters, exotic dashes and spaces) is folded into a copy
//! for matching; hits are mapped back, so that what is cut out is always the text itself.

mod address;
mod bank;
mod card;
mod checksum;
mod column;
mod cursor;
mod email;
mod fold;
mod national;
mod numbers;
mod phone;
mod prefilter;
mod secret;

use std::borrow::Cow;

pub use column::Column;
use prefilter::Seen;

/// What was found. Where findings overlap they become one, named after the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Telephone number.
    Phone,
    /// IPv4 or IPv6 address.
    Ip,
    /// E-mail address.
    Email,
    /// National identity or tax number with a valid checksum.
    NationalId,
    /// United States social security number (or the taxpayer number of the same shape).
    Ssn,
    /// Payment card number.
    Card,
    /// International bank account number.
    Iban,
    /// Key, token or password.
    Secret,
}

impl Kind {
    /// What a finding is replaced by.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Kind::Phone => "[phone]",
            Kind::Ip => "[ip]",
            Kind::Email => "[email]",
            Kind::NationalId => "[id]",
            Kind::Ssn => "[ssn]",
            Kind::Card => "[card]",
            Kind::Iban => "[iban]",
            Kind::Secret => "[secret]",
        }
    }
}

/// A finding: bytes `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// What.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The text with every finding replaced by its label; borrowed when there is none.
#[must_use]
pub fn replace(text: &str) -> Cow<'_, str> {
    replace_in(Column::default(), text)
}

/// The same for a value of a column, whose name may announce what it is.
#[must_use]
pub fn replace_in(column: Column, text: &str) -> Cow<'_, str> {
    let hits = column.find(text);
    if hits.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for hit in hits {
        // Hits lie on character boundaries and do not overlap. Were one ever off, the rest is dropped, not passed.
        out.push_str(text.get(from..hit.start).unwrap_or_default());
        out.push_str(hit.kind.label());
        from = hit.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether there is anything to find.
#[must_use]
pub fn contains(text: &str) -> bool {
    !find(text).is_empty()
}

/// Every finding, in order, none overlapping.
#[must_use]
pub fn find(text: &str) -> Vec<Hit> {
    find_announced(text, None)
}

fn find_announced(text: &str, announced: Option<Kind>) -> Vec<Hit> {
    let bytes = text.as_bytes();
    let seen = Seen::look(bytes);
    if seen.non_ascii && fold::is_needed(bytes) {
        let folded = fold::Folded::of(text);
        let copy = folded.text.as_bytes();
        let hits = detect(copy, &Seen::look(copy), announced);
        return hits.into_iter().map(|hit| folded.unfold(hit)).collect();
    }
    detect(bytes, &seen, announced)
}

fn detect(h: &[u8], seen: &Seen, announced: Option<Kind>) -> Vec<Hit> {
    let mut hits = Vec::new();
    secret::find(h, seen, &mut hits);
    if seen.at || seen.percent {
        email::find(h, seen, &mut hits);
    }
    if seen.digits >= numbers::DIGITS_MIN || (seen.digits >= 4 && seen.dots >= 3) {
        numbers::find(h, announced, &mut hits);
    }
    if seen.colons >= 2 {
        address::find_v6(h, &mut hits);
    }
    merge(&mut hits);
    hits
}

fn merge(hits: &mut Vec<Hit>) {
    if hits.len() < 2 {
        return;
    }
    hits.sort_unstable_by_key(|hit| (hit.start, hit.end));
    hits.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        if overlaps {
            last.end = last.end.max(next.end);
            last.kind = last.kind.max(next.kind);
        }
        overlaps
    });
}

#[cfg(test)]
mod tests;
