//! How long bodies and recordings are kept, and the job that disposes of those that have been kept long enough.
//!
//! What the log proves stays proven, because leaves commit to bodies by hash only. The order makes a crash harmless: first the
//! `retention.dispose` entry is durable, which says exactly which bodies may be missing from then on; then they go. A broker that
//! died in between finds them at its next start and finishes. Bodies go from the first entry of a kind onwards and never beyond
//! one that something needs which is still alive, so that what an entry covers is a kind and an index, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use chunk_evidence::leaf::Kind;
use chunk_log::journal::Urgency;

use crate::broker::Broker;
use crate::error::{Error, chain};
use crate::evidence::entries::{DisposeEntry, Disposed, Event};
use crate::recording;
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

/// Disposes of what is due, now and from time to time, until the broker stops.
pub(crate) async fn mind(broker: Arc<Broker>) {
    let retention = &broker.settings.retention;
    if retention.bodies_ms.is_empty() && retention.recordings_ms.is_none() {
        return;
    }
    let mut progress = Progress::default();
    loop {
        let disposed = loop {
            match pass(&broker, &mut progress).await {
                Ok(true) if !broker.stopping.is_cancelled() => tokio::task::yield_now().await,
                done => break done,
            }
        };
        if let Err(fault) = disposed {
            progress.looked.clear();
            tracing::error!(error = %chain(&fault), "what has been kept long enough could not be disposed of; it is tried again");
        }
        let next_ms = broker.clock.now_ms() + retention.every_ms;
        tokio::select! {
            () = broker.stopping.cancelled() => return,
            () = broker.clock.reached(next_ms) => {}
        }
    }
}

/// Takes away what entries say was disposed of and is still there; at start, for a broker that died between the two.
pub(crate) async fn finish(broker: &Broker, left: Vec<u64>) -> Result<(), Error> {
    if broker.log.published().state.disposed.is_empty() {
        return Ok(());
    }
    if !left.is_empty() {
        tracing::warn!(bodies = left.len(), "bodies that were disposed of were still there");
    }
    // Also without any: a broker that died may have left pages from before.
    broker.log.forget(left).await
}

/// How far the job has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Entries before these indices have been looked at, and none is left that is due.
    looked: BTreeMap<Kind, u64>,
    /// Bodies that an entry speaks of and that are still there, because taking them away failed.
    left: Vec<u64>,
    /// Whether recordings that an entry speaks of may still be there.
    recordings_left: bool,
}

/// Disposes of some of what is due. True when there may be more.
pub(crate) async fn pass(broker: &Broker, progress: &mut Progress) -> Result<bool, Error> {
    take_away(broker, progress).await?;
    let published = broker.log.published();
    let state = &published.state;
    let found = find(broker, state, &mut progress.looked).await?;
    let mut entry = DisposeEntry {
        bodies: found.bodies,
        recordings_before: None,
        bodies_count: found.indices.len() as u64,
        recordings_count: 0,
    };
    if let Some(kept_ms) = broker.settings.retention.recordings_ms {
        let before = first_at(broker, state.size, broker.clock.now_ms() - kept_ms).await?;
        let due = state.recordings.keys().next().is_some_and(|first| *first < before);
        entry.recordings_before = due.then_some(before);
    }
    entry.recordings_count = state.recordings_due(&entry).len() as u64;
    if entry.bodies_count == 0 && entry.recordings_count == 0 {
        return Ok(found.more);
    }
    let (bodies, recordings) = (entry.bodies_count, entry.recordings_count);
    let decide = move |_: &State, _: i64| Ok(vec![Event::Dispose(entry)]);
    broker.log.commit(Urgency::Normal, decide).await?;
    progress.left = found.indices;
    progress.recordings_left = recordings > 0;
    take_away(broker, progress).await?;
    tracing::info!(bodies, recordings, "disposed of what has been kept long enough");
    Ok(found.more)
}

async fn take_away(broker: &Broker, progress: &mut Progress) -> Result<(), Error> {
    if progress.recordings_left {
        recording::sweep(broker).await?;
        progress.recordings_left = false;
    }
    if !progress.left.is_empty() {
        broker.log.forget(progress.left.clone()).await?;
        progress.left.clear();
    }
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
async fn find(broker: &Broker, state: &State, looked: &mut BTreeMap<Kind, u64>) -> Result<Found, Error> {
    // What is alive now was alive before, and what begins later stands behind it: the bound holds whatever happens meanwhile.
    let needed_from = state.needed_from();
    let mut spans = BTreeMap::new();
    for (kind, kept_ms) in &broker.settings.retention.bodies_ms {
        let to = first_at(broker, state.size, broker.clock.now_ms() - kept_ms)
            .await?
            .min(needed_from);
        let from = state.disposed_before(*kind).max(looked.get(kind).copied().unwrap_or(0));
        if from < to && is_disposable(*kind) {
            spans.insert(*kind, from..to);
        }
    }
    let mut found = Found::default();
    let Some(from) = spans.values().map(|span| span.start).min() else {
        return Ok(found);
    };
    let to = spans.values().map(|span| span.end).max().unwrap_or(from);
    let mut at = from;
    while at < to && found.indices.len() < PASS_BODIES_MAX {
        let page = broker.log.stored(at, PAGE.min(usize::try_from(to - at).unwrap_or(PAGE))).await?;
        let Some(last) = page.last() else { break };
        at = last.index + 1;
        let due = page.iter().filter(|entry| {
            let there = entry.data_key.as_ref().is_some_and(|key| !state.erased_keys.contains_key(key));
            there && spans.get(&entry.header.kind).is_some_and(|span| span.contains(&entry.index))
        });
        found.indices.extend(due.map(|entry| entry.index));
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
/// Bodies disposed of under one entry, about.
const PASS_BODIES_MAX: usize = 10_000;
/// Entries read at a time.
const PAGE: usize = 1024;
