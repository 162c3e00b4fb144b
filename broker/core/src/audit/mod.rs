//! Reading the evidence: search, single entries, sessions, receipts, exports, tree.
//!
//! Reading records is privileged too: what shows other people's entries needs `audit_read` or `audit_export`, and is an entry
//! itself, recorded before anything is returned.

mod erase;
mod export;
mod filter;
mod mirror;
mod recordings;
mod search;
mod sessions;
mod tree;

use chunk_log::journal::Urgency;
use chunk_wire::problem::Code;
use serde_json::Value;

use crate::approval::session_open;
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::evidence::log::Opened;
use crate::evidence::narrate::narrate;
use crate::identity::Caller;

pub use erase::erase;
pub(crate) use erase::finish as finish_erasing;
pub use export::{Export, export, receipt};
pub use mirror::{Shown, TILE_ENTRIES, extends, full_tiles, partial_tiles, root, shown};
pub use recordings::recording;
pub use search::{entry, search};
pub use sessions::{session, sessions};
pub use tree::{ReceiptEntry, checkpoint, consistency, entries_tile, rotations, tile};

pub(crate) async fn record_read(broker: &Broker, caller: &Caller, query: Value, entries: usize) -> Result<(), Error> {
    let event = Event::AuditRead {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        query,
        entries: entries as u64,
    };
    let session = caller.session().clone();
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            session_open(state, &session, now_ms)?;
            Ok(vec![event.clone()])
        })
        .await?;
    Ok(())
}

fn query_value(query: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(query).map_err(|fault| Error::new(Code::Internal, "The query does not serialise.").operator(fault))
}

fn summary(entry: &Opened) -> String {
    let event = entry
        .body
        .as_ref()
        .and_then(|(_, body)| Event::read(entry.index, &entry.leaf.header, body).ok());
    let gone = if entry.erased_key.is_some() { "erased" } else { "disposed of" };
    event.map_or_else(|| gone.to_owned(), |event| narrate(&event))
}

/// Times never go back in the log, so a binary search finds the place.
async fn first_at_or_after(broker: &Broker, size: u64, ms: i64) -> Result<u64, Error> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if broker.log.read_one(middle).await?.leaf.header.t < ms {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Entries read and opened at a time.
const READ_PAGE: usize = 128;
