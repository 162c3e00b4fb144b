//! Receipts: what goes with a file so that others can check it without us.

use std::collections::BTreeMap;
use std::sync::Arc;

use chunk_evidence::receipt::{Receipt, ReceiptEntry, ReceiptFile, entries_needed};
use chunk_wire::problem::Code;

use super::log::{Log, Opened, Published};
use crate::approval::wrong_state;
use crate::broker::Broker;
use crate::error::Error;
use crate::state::{Request, State};

/// The receipt of the newest complete delivery of a chunk: the entries its story rests on, each proven under one checkpoint.
pub(crate) async fn receipt(broker: &Broker, head: &Arc<Published>, request: &Request, chunk: u32) -> Result<String, Error> {
    let delivered = request.deliveries.iter().rev().filter(|d| d.chunk == chunk).find_map(|d| {
        let (index, outcome) = d.outcome.as_ref()?;
        outcome.sha256.as_ref().map(|digest| (*index, Arc::clone(outcome), digest.clone()))
    });
    let Some((outcome_index, outcome, sha256)) = delivered else {
        return Err(wrong_state(request, "show a receipt: nothing was delivered to its end"));
    };
    let cosigned = broker.witness.covering(outcome_index + 1, broker.clock.now_ms()).await;
    let checkpoint = cosigned.as_deref().unwrap_or(&head.checkpoint);
    let entries = receipt_entries(broker, checkpoint.unverified().size, outcome_index).await?;
    let rotations = rotations(&broker.log, &head.state, checkpoint.unverified().size).await?;
    let file = ReceiptFile {
        bytes: outcome.bytes,
        format: request.format.as_str().to_owned(),
        name: None,
        sha256,
    };
    Receipt::new(checkpoint, file, entries)
        .with_rotations(rotations)
        .to_text()
        .map_err(|fault| broken(fault.into()))
}

/// The outcome and all it rests on, read as the references lead from one entry to the next.
async fn receipt_entries(broker: &Broker, size: u64, outcome: u64) -> Result<Vec<ReceiptEntry>, Error> {
    let mut read: BTreeMap<u64, Opened> = BTreeMap::new();
    loop {
        match entries_needed(outcome, |index| {
            read.get(&index).map(|entry| entry.leaf.header.clone()).ok_or(index)
        }) {
            Ok(indices) => {
                return indices
                    .iter()
                    .filter_map(|index| read.get(index))
                    .map(|entry| receipt_entry(&broker.log, size, entry))
                    .collect();
            }
            Err(missing) => {
                read.insert(missing, broker.log.read_one(missing).await?);
            }
        }
    }
}

/// The entries that replaced the log's key below this size, each proven under the tree of that size.
pub(crate) async fn rotations(log: &Log, state: &State, size: u64) -> Result<Vec<ReceiptEntry>, Error> {
    let indices = state.rotations.iter().map(|(index, _)| *index).filter(|index| *index < size);
    let read = log.read_at(indices.collect()).await?;
    read.iter().map(|entry| receipt_entry(log, size, entry)).collect()
}

fn receipt_entry(log: &Log, size: u64, opened: &Opened) -> Result<ReceiptEntry, Error> {
    let index = opened.index;
    let proof = log
        .with_tree(|tree| tree.inclusion(index, size))
        .ok_or_else(|| broken(format!("entry {index} is not in the tree").into()))?;
    ReceiptEntry::new(index, &opened.leaf.to_bytes(), &document(opened)?, &proof).map_err(|fault| broken(fault.into()))
}

/// The body document of an entry, as it was sealed.
pub(super) fn document(entry: &Opened) -> Result<String, Error> {
    let erased = || {
        Error::new(
            Code::NotFound,
            format!(
                "The body of entry {} is gone, erased or disposed of, so this can no longer be proven.",
                entry.index
            ),
        )
    };
    let (key, body) = entry.body.as_ref().ok_or_else(erased)?;
    body.to_document(key).map_err(|fault| broken(fault.into()))
}

pub(super) fn broken(fault: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Code::Internal, "The evidence cannot be put together.").operator(fault)
}
