//! How long bodies and recordings are kept, and the job that disposes of those that have been kept long enough.
//!
//! What the log proves stays proven, because leaves commit to bodies by hash only. The order makes a crash harmless: first the
//! `retention.dispose` entry is durable, which says exactly which bodies may be missing from then on; then they go. A broker that
//! died in between finds them at its next start and finishes. What is due is found beside the log's writer, which then does a
//! bounded piece at a time, with commits in between: a first disposal of millions of bodies is nobody's wait. Bodies go from the first entry of a kind onwards and never beyond
//! one that something needs which is still alive, so that what an entry covers is a kind and an index, and nothing else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use chunk_evidence::leaf::Kind;
use chunk_log::journal::Urgency;
use futures::FutureExt as _;

use crate::broker::Broker;
use crate::error::{Error, chain};
use crate::evidence::entries::{DisposeEntry, Disposed, Event};
use crate::recording::{self, RecordingName};
use crate::state::State;

/// How long things are kept; what is not named, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Bodies of entries, by kind, ms. Kinds that are not [`is_disposable`] are kept for ever whatever stands here.
    pub bodies_ms: BTreeMap<Kind, i64>,
    /// Recordings, ms; at the latest they go with the bodies of their delivery.
    pub recordings_ms: Option<i64>,
    /// How often it is looked at what is due, ms.
    pub every_ms: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            bodies_ms: BTreeMap::new(),
            recordings_ms: None,
            every_ms: RETENTION_EVERY_MS_DEFAULT,
        }
    }
}

/// Whether bodies of this kind may be disposed of: those of what people did. The broker's own entries say how it was set up,
/// under which keys, and what was erased and disposed of; without them nothing could be judged.
#[must_use]
pub fn is_disposable(kind: Kind) -> bool {
    ["session", "request", "review", "grant", "fetch", "delivery", "audit"].contains(&kind.family())
}

/// Every kind that [`is_disposable`].
pub fn disposable_kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| is_disposable(*kind))
}

/// Disposes of what is due, now and from time to time, until the broker stops; and of what an earlier broker left of it.
pub(crate) async fn mind(broker: Arc<Broker>, mut progress: Progress) {
    let retention = &broker.settings.retention;
    let keeps_all = retention.bodies_ms.is_empty() && retention.recordings_ms.is_none();
    loop {
        let next = match pass(&broker, &mut progress).await {
            // The writer takes what came meanwhile before it takes the next of these.
            Ok(true) => {
                let pause = if progress.old_pages { OLD_PAGES_PAUSE } else { PASS_PAUSE };
                tokio::time::sleep(pause).boxed()
            }
            Ok(false) if keeps_all => return,
            Ok(false) => broker.clock.reached(broker.clock.now_ms() + retention.every_ms),
            Err(fault) => {
                progress.looked.clear();
                tracing::error!(error = %chain(&fault), "what has been kept long enough could not be disposed of; it is tried again");
                broker.clock.reached(broker.clock.now_ms() + retention.every_ms)
            }
        };
        tokio::select! {
            () = broker.stopping.cancelled() => return,
            () = next => {}
        }
    }
}

/// Takes away what entries say was disposed of and is still there; at start, for a broker that died between the two. What somebody
/// else's reading keeps is left to [`mind`].
pub(crate) async fn finish(broker: &Broker, left: Vec<u64>) -> Result<Progress, Error> {
    let mut progress = Progress::default();
    if broker.log.published().state.disposed.is_empty() {
        return Ok(progress);
    }
    if !left.is_empty() {
        tracing::warn!(bodies = left.len(), "bodies that were disposed of were still there");
    }
    // Also without any: a broker that died may have left pages from before.
    (progress.left, progress.old_pages) = (left, true);
    take_away(broker, &mut progress).await?;
    Ok(progress)
}

/// How far the job has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What this round of passes is about.
    due: Option<Due>,
    /// Entries before these indices have been looked at, and none is left that is due.
    looked: BTreeMap<Kind, u64>,
    /// Bodies that an entry speaks of and that are still there, because taking them away failed.
    left: Vec<u64>,
    /// Recordings that an entry speaks of and that may still be there.
    recordings: Vec<RecordingName>,
    /// Whether pages of the journal from before bodies were taken away may still be there.
    old_pages: bool,
    /// Whether that has been said.
    said: bool,
}

/// Up to where things have been kept for long enough.
#[derive(Debug)]
struct Due {
    /// Bodies of these kinds before these indices.
    bodies: BTreeMap<Kind, u64>,
    /// Recordings of intents before this index.
    recordings: u64,
}

impl Due {
    /// What is due now. What is alive now was alive before, and what begins later stands behind it, so it stays due.
    async fn look(broker: &Broker, state: &State) -> Result<Self, Error> {
        let retention = &broker.settings.retention;
        let needed_from = state.needed_from();
        let mut places = BTreeMap::new();
        for kept_ms in retention.bodies_ms.values().chain(&retention.recordings_ms) {
            if let Entry::Vacant(place) = places.entry(*kept_ms) {
                place.insert(first_at(broker, state.size, broker.clock.now_ms() - kept_ms).await?);
            }
        }
        let place = |kept_ms| places.get(kept_ms).copied().unwrap_or(0);
        let bodies = retention.bodies_ms.iter().filter(|(kind, _)| is_disposable(**kind));
        let running = state.open_intents.keys().next().copied().unwrap_or(state.size);
        Ok(Self {
            bodies: bodies.map(|(kind, kept_ms)| (*kind, place(kept_ms).min(needed_from))).collect(),
            recordings: retention.recordings_ms.as_ref().map_or(0, place).min(running),
        })
    }
}

/// Disposes of some of what is due. True when there may be more.
pub(crate) async fn pass(broker: &Broker, progress: &mut Progress) -> Result<bool, Error> {
    take_away(broker, progress).await?;
    if progress.old_pages {
        return Ok(true);
    }
    let published = broker.log.published();
    let state = &published.state;
    let due = match progress.due.take() {
        Some(due) => due,
        None => Due::look(broker, state).await?,
    };
    let found = find(broker, state, &due, &mut progress.looked).await?;
    let mut recordings = state.recordings.range(..due.recordings).map(|(intent, _)| *intent);
    let first = recordings.next();
    let beyond = recordings.nth(PASS_RECORDINGS_MAX - 1);
    let mut entry = DisposeEntry {
        bodies: found.bodies,
        recordings_before: first.map(|_| beyond.unwrap_or(due.recordings)),
        bodies_count: found.indices.len() as u64,
        recordings_count: 0,
    };
    let names = state.recordings_due(&entry).into_iter().filter_map(|intent| {
        let kept = state.recordings.get(&intent)?;
        Some(RecordingName::of(intent, kept.time_ms))
    });
    let names: Vec<_> = names.collect();
    entry.recordings_count = names.len() as u64;
    let more = found.more || beyond.is_some();
    if more {
        progress.due = Some(due);
    }
    if entry.bodies_count == 0 && entry.recordings_count == 0 {
        return Ok(more);
    }
    let (bodies, recordings) = (entry.bodies_count, entry.recordings_count);
    let decide = move |_: &State, _: i64| Ok(vec![Event::Dispose(entry)]);
    broker.log.commit(Urgency::Normal, decide).await?;
    (progress.left, progress.recordings, progress.old_pages) = (found.indices, names, bodies > 0);
    take_away(broker, progress).await?;
    tracing::info!(bodies, recordings, "disposed of what has been kept long enough");
    Ok(more || progress.old_pages)
}

async fn take_away(broker: &Broker, progress: &mut Progress) -> Result<(), Error> {
    if !progress.recordings.is_empty() {
        recording::remove(broker, progress.recordings.clone()).await?;
        progress.recordings.clear();
    }
    if !progress.old_pages {
        return Ok(());
    }
    progress.old_pages = !broker.log.forget(progress.left.clone()).await?;
    progress.left.clear();
    if progress.old_pages && !progress.said {
        tracing::warn!(
            "somebody reads older pages of the journal (a backup?), so bodies that were disposed of are still on disk; they go as soon as nobody does"
        );
    }
    if !progress.old_pages && progress.said {
        tracing::info!("the older pages of the journal are gone, and with them the bodies that were disposed of");
    }
    progress.said = progress.old_pages;
    Ok(())
}

/// Bodies that are due.
#[derive(Default)]
struct Found {
    indices: Vec<u64>,
    bodies: Vec<Disposed>,
    /// Whether there may be more.
    more: bool,
}

/// Finds bodies that are due, from the oldest on, up to a bound.
async fn find(broker: &Broker, state: &State, due: &Due, looked: &mut BTreeMap<Kind, u64>) -> Result<Found, Error> {
    let mut spans = BTreeMap::new();
    for (kind, to) in &due.bodies {
        let from = state.disposed_before(*kind).max(looked.get(kind).copied().unwrap_or(0));
        if from < *to {
            spans.insert(*kind, from..*to);
        }
    }
    let mut found = Found::default();
    let Some(from) = spans.values().map(|span| span.start).min() else {
        return Ok(found);
    };
    let to = spans.values().map(|span| span.end).max().unwrap_or(from);
    let end = to.min(from + PASS_ENTRIES_MAX);
    let mut at = from;
    while at < end && found.indices.len() < PASS_BODIES_MAX {
        let page = broker.log.stored(at, PAGE.min(usize::try_from(end - at).unwrap_or(PAGE))).await?;
        let Some(last) = page.last() else { break };
        at = last.index + 1;
        let is_due = page.iter().filter(|entry| {
            let there = entry.data_key.as_ref().is_some_and(|key| !state.erased_keys.contains_key(key));
            there && spans.get(&entry.header.kind).is_some_and(|span| span.contains(&entry.index))
        });
        found.indices.extend(is_due.map(|entry| entry.index));
    }
    found.more = at < to;
    for (kind, span) in spans {
        let before = span.end.min(at);
        if before <= span.start {
            continue;
        }
        looked.insert(kind, before);
        found.bodies.push(Disposed { kind, before });
    }
    Ok(found)
}

/// The first entry that is not older. Times never go back in the log, so a binary search finds it.
async fn first_at(broker: &Broker, size: u64, ms: i64) -> Result<u64, Error> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = broker.log.stored(middle, 1).await?;
        match found.first() {
            Some(entry) if entry.header.t < ms => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// How often it is looked at what is due, unless configured otherwise.
pub const RETENTION_EVERY_MS_DEFAULT: i64 = 24 * 3600 * 1000;
/// Bodies disposed of under one entry, about: what the log's writer does between two commits.
pub(crate) const PASS_BODIES_MAX: usize = 2_000;
/// Recordings disposed of under one entry, beside those that go with their bodies.
const PASS_RECORDINGS_MAX: usize = 1_000;
/// Entries looked at in one pass.
const PASS_ENTRIES_MAX: u64 = 64 * 1024;
/// Entries read at a time.
const PAGE: usize = 512;
/// Between two passes, however much is due.
const PASS_PAUSE: Duration = Duration::from_millis(100);
/// How long older pages of the journal are left to whoever reads them, before it is looked again.
const OLD_PAGES_PAUSE: Duration = Duration::from_millis(500);
