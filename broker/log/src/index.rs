//! Which entries concern whom and what: in memory, computed from the journal at start like the tree, so that there is nothing on
//! disk to disagree with it, to lose, or to erase.
//!
//! Per kind, actor and dataset there are bitmaps of 65 536 entries each; per session and request, short lists. A question is answered
//! from the newest entry backwards, one bitmap at a time and only until there is enough, never by a count over everything.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use chunk_evidence::leaf::{Header, Kind};
use roaring::RoaringBitmap;

/// Entries by what their headers say, and by the request their bodies name.
#[derive(Debug, Default)]
pub struct Index {
    size: u64,
    kinds: BTreeMap<Kind, Postings>,
    actors: HashMap<Box<str>, Postings>,
    datasets: HashMap<Box<str>, Postings>,
    sessions: HashMap<Box<str>, Vec<u64>>,
    requests: HashMap<Box<str>, Vec<u64>>,
    /// Sessions of the fetches whose outcome has not been seen: progress and outcomes name their intent only.
    running: HashMap<u64, Box<str>>,
}

/// What is asked for: entries to which everything applies that is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// Done by one of these.
    pub actors: Option<&'a [String]>,
    /// Naming this dataset.
    pub dataset: Option<&'a str>,
    /// Of this kind or family.
    pub kind: Option<&'a str>,
    /// Naming this request.
    pub request: Option<&'a str>,
}

impl Index {
    /// Entries indexed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the next entry. `requests` are those its body names, as far as it can be read.
    pub fn push<'a>(&mut self, header: &Header, requests: impl IntoIterator<Item = &'a str>) {
        let index = self.size;
        self.size += 1;
        self.kinds.entry(header.kind).or_default().push(index);
        if let Some(actor) = header.act.as_deref() {
            named(&mut self.actors, actor, |entries| entries.push(index));
        }
        for dataset in header.ds.iter().flat_map(|names| names.split(',')) {
            named(&mut self.datasets, dataset, |entries| entries.push(index));
        }
        for request in requests {
            named(&mut self.requests, request, |entries| {
                if entries.last() != Some(&index) {
                    entries.push(index);
                }
            });
        }
        let intent = header.refs.first().filter(|_| header.sid.is_none());
        let of_intent = match header.kind {
            Kind::FetchProgress => intent.and_then(|intent| self.running.get(intent).cloned()),
            Kind::FetchOutcome => intent.and_then(|intent| self.running.remove(intent)),
            _ => None,
        };
        if let Some(session) = header.sid.as_deref().or(of_intent.as_deref()) {
            named(&mut self.sessions, session, |entries| entries.push(index));
        }
        if let (Kind::FetchIntent, Some(session)) = (header.kind, header.sid.as_deref()) {
            self.running.insert(index, session.into());
        }
    }

    /// Entries of a session, oldest first: those recorded under it, and how its fetches went on and ended.
    #[must_use]
    pub fn session(&self, session: &str) -> &[u64] {
        self.sessions.get(session).map_or(&[], Vec::as_slice)
    }

    /// Entries of `range` that are asked for, newest first, at most `max`.
    #[must_use]
    pub fn find(&self, question: &Question<'_>, range: Range<u64>, max: usize) -> Vec<u64> {
        let range = range.start..range.end.min(self.size);
        let Some(sets) = self.sets(question) else { return Vec::new() };
        if let Some(request) = question.request {
            let entries = self.requests.get(request).map_or(&[][..], Vec::as_slice).iter().rev();
            let asked = entries.filter(|index| range.contains(index) && sets.iter().all(|set| set.contains(**index)));
            return asked.take(max).copied().collect();
        }
        if sets.is_empty() {
            return range.rev().take(max).collect();
        }
        let mut found = Vec::new();
        let shards = (range.start >> SHARD_BITS)..range.end.div_ceil(1 << SHARD_BITS);
        for shard in shards.rev() {
            let mut sets = sets.iter().map(|set| set.shard(shard));
            let Some(mut bits) = sets.next().flatten() else { continue };
            for set in sets {
                match set {
                    Some(set) => bits &= set,
                    None => bits.clear(),
                }
            }
            let entries = bits.iter().rev().map(|low| (shard << SHARD_BITS) | u64::from(low));
            found.extend(entries.filter(|index| range.contains(index)).take(max - found.len()));
            if found.len() == max {
                break;
            }
        }
        found
    }

    /// One set for each condition that bitmaps can tell; nothing when one of them is empty.
    fn sets<'a>(&'a self, question: &Question<'a>) -> Option<Vec<Set<'a>>> {
        let mut sets = Vec::new();
        if let Some(actors) = question.actors {
            sets.push(Set(actors.iter().filter_map(|actor| self.actors.get(actor.as_str())).collect()));
        }
        if let Some(dataset) = question.dataset {
            sets.push(Set(self.datasets.get(dataset).into_iter().collect()));
        }
        if let Some(name) = question.kind {
            let kinds = self.kinds.iter().filter(|(kind, _)| kind.as_str() == name || kind.family() == name);
            sets.push(Set(kinds.map(|(_, postings)| postings).collect()));
        }
        sets.iter().all(|set| !set.0.is_empty()).then_some(sets)
    }
}

/// Entries of one actor, dataset or kind: a bitmap for each 65 536 entries in which there are any, in order.
#[derive(Debug, Default)]
struct Postings(Vec<(u64, RoaringBitmap)>);

impl Postings {
    /// Adds an entry after all others.
    fn push(&mut self, index: u64) {
        let shard = index >> SHARD_BITS;
        if self.0.last().is_none_or(|(last, _)| *last != shard) {
            self.0.push((shard, RoaringBitmap::new()));
        }
        if let Some((_, bits)) = self.0.last_mut() {
            bits.insert(low(index));
        }
    }

    fn shard(&self, shard: u64) -> Option<&RoaringBitmap> {
        let place = self.0.binary_search_by_key(&shard, |(shard, _)| *shard).ok()?;
        self.0.get(place).map(|(_, bits)| bits)
    }
}

/// Entries that are in any of these.
struct Set<'a>(Vec<&'a Postings>);

impl Set<'_> {
    fn contains(&self, index: u64) -> bool {
        let mut shards = self.0.iter().filter_map(|postings| postings.shard(index >> SHARD_BITS));
        shards.any(|bits| bits.contains(low(index)))
    }

    fn shard(&self, shard: u64) -> Option<RoaringBitmap> {
        let mut shards = self.0.iter().filter_map(|postings| postings.shard(shard));
        let mut bits = shards.next()?.clone();
        shards.for_each(|more| bits |= more);
        Some(bits)
    }
}

/// Adds to what is under a name; the name is copied only when it is new.
fn named<T: Default>(map: &mut HashMap<Box<str>, T>, name: &str, add: impl FnOnce(&mut T)) {
    if let Some(known) = map.get_mut(name) {
        return add(known);
    }
    add(map.entry(name.into()).or_default());
}

/// The place of an entry in its bitmap.
fn low(index: u64) -> u32 {
    u32::try_from(index & ((1 << SHARD_BITS) - 1)).unwrap_or(0)
}

/// A bitmap covers 2 to this power of entries.
const SHARD_BITS: u32 = 16;

#[cfg(test)]
mod tests;
