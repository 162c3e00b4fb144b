//! Reading the journal back: state, tree and index at the start, and entries opened whenever they are asked for.

use std::collections::BTreeMap;

use chunk_evidence::body::Body;
use chunk_evidence::encode::sha256;
use chunk_evidence::leaf::{Kind, Leaf};
use chunk_log::data_keys::{DataKeyId, DataKeys};
use chunk_log::index::Index;
use chunk_log::journal::{JournalReader, Record};
use chunk_log::tree::Tree;

use super::entries::Event;
use super::log::{Opened, requests_named};
use crate::retention::is_disposable;
use crate::state::State;

/// What a journal holds.
pub(super) struct Replayed {
    pub(super) state: State,
    pub(super) tree: Tree,
    pub(super) index: Index,
    /// Entries whose bodies are there although an entry says that they were disposed of.
    pub(super) left: Vec<u64>,
}

/// Replays a whole journal.
///
/// # Errors
/// When it cannot be read, an entry does not read back, or a body is gone and no entry says so.
pub(super) fn replay(reader: &dyn JournalReader, data_keys: &DataKeys) -> Result<Replayed, Box<dyn std::error::Error + Send + Sync>> {
    let mut state = State::default();
    let (mut tree, mut index) = (Tree::new(), Index::default());
    // Data keys that are gone, each with the first entry that misses it.
    let mut missing = BTreeMap::<String, u64>::new();
    let mut kept = KeptBodies::default();
    loop {
        let records = reader.read(state.size, REPLAY_PAGE)?;
        if records.is_empty() {
            let unsaid = missing.into_iter().find(|(key, _)| !state.erased_keys.contains_key(key));
            if let Some((_, index)) = unsaid {
                return Err(format!("entry {index} cannot be opened: its data key is gone, and no entry says that it was erased").into());
            }
            let left = kept.left(&state)?;
            return Ok(Replayed { state, tree, index, left });
        }
        for entry in open_all(state.size, &records, data_keys)? {
            tree.push(entry.leaf.hash());
            index.push(&entry.leaf.header, entry.body.iter().flat_map(|(_, body)| requests_named(body)));
            match &entry.body {
                Some((_, body)) => {
                    kept.there(entry.leaf.header.kind, entry.index);
                    state.apply(&Event::read(entry.index, &entry.leaf.header, body)?, entry.leaf.header.t);
                }
                None => {
                    match entry.erased_key {
                        Some(key) => {
                            missing.entry(key).or_insert(entry.index);
                        }
                        None => kept.gone(entry.leaf.header.kind, entry.index),
                    }
                    state.apply_erased(&entry.leaf.header);
                }
            }
        }
    }
}

/// Which bodies of kinds that may be disposed of are there, and which are not, while a journal is replayed.
#[derive(Default)]
struct KeptBodies {
    there: BTreeMap<Kind, Vec<u64>>,
    /// The last that is gone, of each kind.
    gone: BTreeMap<Kind, u64>,
}

impl KeptBodies {
    fn there(&mut self, kind: Kind, index: u64) {
        if is_disposable(kind) {
            self.there.entry(kind).or_default().push(index);
        }
    }

    fn gone(&mut self, kind: Kind, index: u64) {
        self.gone.insert(kind, index);
    }

    /// The entries whose bodies should be gone. Disposing goes from the first of a kind onwards, so the last one tells for all.
    fn left(self, state: &State) -> Result<Vec<u64>, String> {
        for (kind, index) in self.gone {
            if index >= state.disposed_before(kind) {
                return Err(format!("entry {index} has no body, and no entry says that it was disposed of"));
            }
        }
        let due = self.there.into_iter().flat_map(|(kind, indices)| {
            let before = state.disposed_before(kind);
            indices.into_iter().take_while(move |index| *index < before)
        });
        Ok(due.collect())
    }
}

/// Opens records; where there are many, on every core.
pub(super) fn open_all(
    from: u64,
    records: &[Record],
    data_keys: &DataKeys,
) -> Result<Vec<Opened>, Box<dyn std::error::Error + Send + Sync>> {
    let open_part = |from: u64, records: &[Record]| -> Result<Vec<Opened>, _> {
        let opened = (from..).zip(records).map(|(index, record)| open(index, record, data_keys));
        opened.collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = records.len().div_ceil(threads).max(SHARE_MIN);
    if records.len() <= share {
        return open_part(from, records);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = (from..)
            .step_by(share)
            .zip(records.chunks(share))
            .map(|(from, part)| scope.spawn(move || open_part(from, part)))
            .collect();
        let mut opened = Vec::with_capacity(records.len());
        for part in parts {
            opened.append(&mut part.join().map_err(|_| "entries could not be opened: a thread panicked")??);
        }
        Ok(opened)
    })
}

/// Opens a record and checks that the body is the one its leaf commits to.
fn open(index: u64, record: &Record, data_keys: &DataKeys) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
    let leaf = Leaf::parse(&record.leaf).map_err(|fault| format!("entry {index}: {fault}"))?;
    let erased = |leaf| Opened {
        index,
        leaf,
        body: None,
        erased_key: record.data_key.clone(),
        bytes: record.bytes(),
    };
    let Some(data_key) = &record.data_key else {
        return Ok(erased(leaf));
    };
    let Some(document) = data_keys.unseal(&DataKeyId::from_stored(data_key.clone()), &sha256(&record.leaf), &record.sealed)? else {
        return Ok(erased(leaf));
    };
    let (key, body) = Body::parse_document(std::str::from_utf8(&document)?)?;
    if body.root(&key)? != leaf.body_root {
        return Err(format!("entry {index}: the stored body is not the one its leaf commits to").into());
    }
    Ok(Opened {
        index,
        leaf,
        body: Some((key, body)),
        erased_key: None,
        bytes: record.bytes(),
    })
}

/// Entries opened at a time while replaying.
const REPLAY_PAGE: usize = 4096;
/// Entries for which a thread is worth its while.
const SHARE_MIN: usize = 512;
