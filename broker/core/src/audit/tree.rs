//! The log itself as others see it: checkpoint, tiles, proofs of consistency.

use chunk_wire::problem::Code;

use super::record_read;
use crate::authorize::demand;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::policy::Action;

/// The newest signed checkpoint (C2SP).
#[must_use]
pub fn checkpoint(broker: &Broker) -> String {
    broker.log.published().checkpoint.text().to_owned()
}

/// A hash tile (C2SP tlog-tiles); `None` when the tree is not that large.
#[must_use]
pub fn tile(broker: &Broker, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
    broker.log.with_tree(|tree| tree.tile(level, index, width))
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

/// A bundle of leaves (C2SP tlog-tiles entry bundle): each as a big-endian u16 length and the leaf's bytes.
///
/// # Errors
/// As [`search`](super::search), and `not_found` when the tree is not that large.
pub async fn entries_tile(broker: &Broker, cx: &Context, caller: &Caller, index: u64, width: u16) -> Result<Vec<u8>, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let from = index
        .checked_mul(TILE_WIDTH)
        .ok_or_else(|| Error::new(Code::NotFound, "There is no such tile."))?;
    let entries = broker.log.read(from, usize::from(width)).await?;
    if entries.len() < usize::from(width) || width == 0 {
        return Err(Error::new(Code::NotFound, "There is no such tile."));
    }
    record_read(broker, caller, serde_json::json!({ "tile": index }), entries.len()).await?;
    let mut bytes = Vec::new();
    for entry in entries {
        let leaf = entry.leaf.to_bytes();
        let length = u16::try_from(leaf.len()).map_err(|_| Error::new(Code::Internal, "A leaf is longer than 64 KiB."))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&leaf);
    }
    Ok(bytes)
}

const TILE_WIDTH: u64 = 256;
