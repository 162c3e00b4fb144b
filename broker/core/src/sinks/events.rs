//! The next events of the log: entries read from the journal, opened as far as a level allows, with the earlier entries that
//! they rest on.
//!
//! What an event says of an earlier entry (who a session is, what a request asked for) is read from the journal each time, so
//! that memory is bounded by a batch, a restart changes nothing, and what was erased meanwhile is not told again. It is read by
//! two roads: along the references of entries, which lead to request, grant, intent and session; and to the newest session of
//! each pseudonym before the batch.

use std::collections::{BTreeMap, BTreeSet};

use chunk_evidence::encode::EncodeError;
use chunk_evidence::leaf::Header;
use chunk_evidence::views::{Event, Events, Kept, Row};
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;

use super::Takes;
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::log::Opened;
use crate::state::State;

/// The events of the entries from this index on, as many as there are and are taken at once.
pub(super) async fn next(broker: &Broker, from: u64, level: u8, takes: Takes) -> Result<Vec<Event>, Error> {
    let max = takes.events.clamp(1, ENTRIES_MAX);
    let mut entries = broker.log.read_within(from, max, takes.bytes.min(BATCH_BYTES_MAX)).await?;
    // What they rest on may be larger than they are: fewer rest on less.
    let context = loop {
        match context(broker, from, &entries).await? {
            Some(context) => break context,
            None => entries.truncate(entries.len() / 2),
        }
    };
    // Taken after the entries were read: what is erased by now is said to be so in it.
    let head = broker.log.published();
    let origin = broker.settings.origin.clone();
    let made = tokio::task::spawn_blocking(move || {
        let mut events = Events::new(&origin);
        for entry in context {
            events.context(&row(entry, &head.state, level)?);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let event = events.event(&row(entry, &head.state, level)?).map_err(|fault| unwritable(&fault))?;
            bytes += event.text.len() + 1;
            if bytes > takes.bytes && !batch.is_empty() {
                break;
            }
            batch.push(event);
        }
        Ok(batch)
    });
    made.await
        .unwrap_or_else(|fault| Err(Error::new(Code::Internal, "The events cannot be made.").operator(fault)))
}

/// What the entries rest on, of those before the first, in order. Nothing where that is too much to hold, and there is more than one.
async fn context(broker: &Broker, first: u64, entries: &[Opened]) -> Result<Option<Vec<Opened>>, Error> {
    let head = broker.log.published();
    let (mut context, mut bytes): (BTreeMap<u64, Opened>, usize) = (BTreeMap::new(), 0);
    let mut wanted: BTreeSet<u64> = entries
        .iter()
        .flat_map(|entry| rests_on(&entry.leaf.header, first, &head.state))
        .collect();
    while !wanted.is_empty() {
        let mut further = BTreeSet::new();
        for page in Vec::from_iter(wanted).chunks(CONTEXT_PAGE) {
            for entry in broker.log.read_at(page.to_vec()).await? {
                bytes += entry.bytes;
                further.extend(rests_on(&entry.leaf.header, first, &head.state));
                context.insert(entry.index, entry);
            }
            if bytes > BATCH_BYTES_MAX && entries.len() > 1 {
                return Ok(None);
            }
        }
        wanted = further.into_iter().filter(|index| !context.contains_key(index)).collect();
    }
    Ok(Some(context.into_values().collect()))
}

/// Entries before `first` that one with this header rests on.
fn rests_on(header: &Header, first: u64, state: &State) -> Vec<u64> {
    let theirs = header
        .act
        .as_deref()
        .and_then(|act| state.people.get(&act.parse::<ActorId>().ok()?));
    let newest = theirs.and_then(|theirs| {
        let sessions = &theirs.sessions;
        let before = sessions.binary_search(&first).unwrap_or_else(|place| place);
        sessions.get(before.checked_sub(1)?).copied()
    });
    let before = header.refs.iter().copied().filter(|index| *index < first);
    before.chain(newest).collect()
}

/// An entry as the level shows it.
fn row(entry: Opened, state: &State, level: u8) -> Result<Row, Error> {
    let Opened {
        index,
        leaf,
        body,
        erased_key,
        ..
    } = entry;
    let gone = || match &erased_key {
        Some(key) => state.erased_keys.get(key).copied().map(Kept::Erased),
        None => state.disposed_by(leaf.header.kind, index).map(Kept::Disposed),
    };
    let kept = match body {
        Some((_, body)) => Kept::Body(body),
        None => gone().ok_or_else(|| {
            let what = format!("Entry {index} cannot be opened, and no entry says that it was erased or disposed of.");
            Error::new(Code::EvidenceUnavailable, what)
        })?,
    };
    Ok(Row::at_level(index, leaf, kept, level))
}

fn unwritable(fault: &EncodeError) -> Error {
    Error::new(Code::Internal, "An entry has no event.").operator(fault.to_string())
}

/// Entries in memory at a time.
const ENTRIES_MAX: usize = 256;
/// Bytes of them, and as many again of what they rest on; an entry alone may have more.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// Entries that others rest on, read at a time.
const CONTEXT_PAGE: usize = 16;
