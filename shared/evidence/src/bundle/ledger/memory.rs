//! What a verifier remembers of entries, so that a hundred million of them fit into memory.
//!
//! About 25 bytes an entry of a log in which people fetch all day; `docs/evidence.md` says what they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::encode::sha256;
use crate::merkle::Hash;
use crate::scan::Raw;
use crate::signed::{PlannedMask, each_mask, sorted};

/// What is remembered of entries, by index. Entries come in order, so a sorted list does; most references are recent, so the
/// search begins at its end.
pub(super) struct Table<T> {
    at: Vec<u64>,
    of: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            of: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Remembers an entry that is later than all before.
    pub(super) fn push(&mut self, index: u64, what: T) {
        self.at.push(index);
        self.of.push(what);
    }

    pub(super) fn get(&self, index: u64) -> Option<&T> {
        self.of.get(self.find(index)?)
    }

    pub(super) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        let at = self.find(index)?;
        self.of.get_mut(at)
    }

    pub(super) fn contains(&self, index: u64) -> bool {
        self.find(index).is_some()
    }

    /// The index of the last entry.
    pub(super) fn last(&self) -> Option<u64> {
        self.at.last().copied()
    }

    fn find(&self, index: u64) -> Option<usize> {
        let (mut low, mut high, mut step) = (self.at.len(), self.at.len(), 4);
        while low > 0 {
            low = high.saturating_sub(step);
            if self.at.get(low).is_none_or(|first| *first <= index) {
                break;
            }
            (high, step) = (low, step * 4);
        }
        let found = self.at.get(low..high)?.binary_search(&index).ok()?;
        Some(low + found)
    }
}

/// Texts of which there are few, by number.
#[derive(Default)]
pub(super) struct Names(HashMap<Box<str>, u32>);

impl Names {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.0.get(text) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(text.into(), number);
        number
    }

    /// The number of a text that has one.
    pub(super) fn known(&self, text: &str) -> Option<u32> {
        self.0.get(text).copied()
    }
}

/// Texts of which there are many, one behind the other.
#[derive(Default)]
pub(super) struct Texts(String);

/// Where a text stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    from: usize,
    length: u32,
}

impl Texts {
    pub(super) fn keep(&mut self, text: &str) -> Place {
        let from = self.0.len();
        self.0.push_str(text);
        Place {
            from,
            length: u32::try_from(text.len()).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn get(&self, place: Place) -> &str {
        self.0.get(place.from..place.from + place.length as usize).unwrap_or_default()
    }
}

/// What was planned for each column: dataset, column, mask.
pub(super) type Masks = Arc<Planned>;

/// Masks, and a hash that they share only with themselves.
pub(super) struct Planned {
    sorted: Box<[PlannedMask<'static>]>,
    /// Where each of them stands among the sorted ones, in the order in which they were listed.
    listed: Box<[usize]>,
    pub(super) hash: Hash,
}

impl Planned {
    fn of(listed: &[PlannedMask<'_>]) -> Self {
        let sorted = sorted(listed.to_vec());
        let mut bytes = Vec::new();
        for (dataset, column, mask) in &sorted {
            for text in [dataset, column, mask] {
                bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Self {
            listed: listed.iter().filter_map(|mask| sorted.binary_search(mask).ok()).collect(),
            sorted: sorted
                .into_iter()
                .map(|(dataset, column, mask)| (own(dataset), own(column), own(mask)))
                .collect(),
            hash: sha256(&bytes),
        }
    }

    /// Whether this mask is among them, wherever it stands. It is looked for first where it stands when all of them are listed again.
    pub(super) fn holds(&self, mask: &PlannedMask<'_>, at: usize) -> bool {
        let there = self.listed.get(at).and_then(|at| self.sorted.get(*at));
        there == Some(mask) || self.sorted.binary_search(mask).is_ok()
    }
}

/// Reads the columns that a group lists with their masks. The same come again and again, so a few are remembered by the group's text.
pub(super) struct MaskReader {
    name: &'static str,
    known: HashMap<Box<str>, Masks>,
}

/// Groups remembered at most; beyond it the memory starts afresh.
const KNOWN_MAX: usize = 1024;

impl MaskReader {
    /// A reader of groups in which this member names the column.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            known: HashMap::new(),
        }
    }

    pub(super) fn read(&mut self, group: Raw<'_>) -> Option<Masks> {
        if let Some(masks) = self.known.get(group.text()) {
            return Some(Arc::clone(masks));
        }
        let mut listed = Vec::new();
        each_mask(group, self.name, |mask| listed.push(mask))?;
        let found = Arc::new(Planned::of(&listed));
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(group.text().into(), Arc::clone(&found));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_it_holds_and_nothing_else() {
        for step in [1, 2, 7] {
            let mut table = Table::default();
            assert!(!table.contains(0));
            for n in 0..200_u64 {
                table.push(n * step, n);
                for index in 0..=(n + 1) * step {
                    let expected = (index.is_multiple_of(step) && index / step <= n).then_some(index / step);
                    assert_eq!(table.get(index).copied(), expected, "step {step}, {n} entries, index {index}");
                }
            }
            assert_eq!(table.get(u64::MAX), None);
        }
    }
}
