//! The log itself as others see it: checkpoint, tiles, proofs of consistency.

pub use chunk_evidence::receipt::ReceiptEntry;
use chunk_evidence::tile::{TILE_WIDTH, Tile, entry_bundle};
use chunk_wire::problem::Code;

use super::record_read;
use crate::authorize::demand;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::proofs;
use crate::identity::Caller;
use crate::policy::Action;

/// The newest signed checkpoint (C2SP); while a quorum of witnesses vouches for the log, the newest that they cosigned.
#[must_use]
pub fn checkpoint(broker: &Broker) -> String {
    let shown = broker.witness.shown(&broker.log.published().checkpoint, broker.clock.now_ms());
    shown.text().to_owned()
}

/// The hash tile of this C2SP path, `tile/0/x001/234.p/5`; `None` when it is not one or the tree is not that large.
#[must_use]
pub fn tile(broker: &Broker, path: &str) -> Option<Vec<u8>> {
    match Tile::parse(path)? {
        Tile::Hashes { level, index, width } => broker.log.with_tree(|tree| tree.tile(level, index, width)),
        Tile::Entries { .. } => None,
    }
}

/// Proof that the tree of size `to` extends the one of size `from`.
#[must_use]
pub fn consistency(broker: &Broker, from: u64, to: u64) -> Option<Vec<[u8; 32]>> {
    broker.log.with_tree(|tree| {
        if from <= to && to <= tree.size() {
            tree.consistency(from, to)
        } else {
            None
        }
    })
}

/// The entries that replaced the log's key below this size, each proven under the tree of that size; `None` when there is no such tree.
///
/// # Errors
/// When the log cannot be read.
pub async fn rotations(broker: &Broker, size: u64) -> Result<Option<Vec<ReceiptEntry>>, Error> {
    let published = broker.log.published();
    if size > published.state.size {
        return Ok(None);
    }
    proofs::rotations(&broker.log, &published.state, size).await.map(Some)
}

/// The entry bundle of this C2SP path, `tile/entries/x001/234.p/5`.
///
/// # Errors
/// As [`search`](super::search), and `not_found` when it is not one or the tree is not that large.
pub async fn entries_tile(broker: &Broker, cx: &Context, caller: &Caller, path: &str) -> Result<Vec<u8>, Error> {
    let missing = || Error::new(Code::NotFound, "There is no such tile.");
    let Some(Tile::Entries { index, width }) = Tile::parse(path) else {
        return Err(missing());
    };
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let from = index.checked_mul(u64::from(TILE_WIDTH)).ok_or_else(missing)?;
    let entries = broker.log.read(from, usize::from(width)).await?;
    if entries.len() < usize::from(width) {
        return Err(missing());
    }
    record_read(broker, caller, serde_json::json!({ "tile": index }), entries.len()).await?;
    let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf.to_bytes()).collect();
    entry_bundle(leaves.iter().map(Vec::as_slice)).ok_or_else(|| Error::new(Code::Internal, "A leaf is longer than 64 KiB."))
}
