//! Receipts and bundles: what leaves the log so that others can check it without us.

use std::collections::BTreeSet;
use std::sync::Arc;

use chunk_evidence::receipt::{Receipt, ReceiptEntry, ReceiptFile};
use chunk_wire::problem::Code;

use super::log::{Opened, Published};
use crate::approval::{approves, wrong_state};
use crate::broker::Broker;
use crate::error::Error;
use crate::state::Request;

/// The receipt of the newest complete delivery of a chunk: the entries its story rests on, each proven under one checkpoint.
pub(crate) async fn receipt(broker: &Broker, head: &Arc<Published>, request: &Request, chunk: u32) -> Result<String, Error> {
    let delivered = request.deliveries.iter().rev().filter(|d| d.chunk == chunk).find_map(|d| {
        let (index, outcome) = d.outcome.as_ref()?;
        outcome.sha256.as_ref().map(|digest| (d.intent, *index, Arc::clone(outcome), digest.clone()))
    });
    let Some((intent, outcome_index, outcome, sha256)) = delivered else {
        return Err(wrong_state(request, "show a receipt: nothing was delivered to its end"));
    };
    let approvals = request.reviews.iter().filter(|r| approves(r.verdict));
    let sessions = approvals.clone().map(|r| &r.session).chain([&request.session]);
    let mut indices: BTreeSet<u64> = sessions.filter_map(|id| head.state.sessions.get(id)).map(|s| s.index).collect();
    indices.extend(approvals.map(|r| r.index));
    indices.extend([request.index, intent, outcome_index]);
    indices.extend(request.grant);
    let mut entries = Vec::new();
    for index in indices {
        entries.push(receipt_entry(broker, head, index).await?);
    }
    let file = ReceiptFile { bytes: outcome.bytes, format: request.document.format.as_str().to_owned(), name: None, sha256 };
    Receipt::new(&head.checkpoint, file, entries).to_text().map_err(|fault| broken(fault.into()))
}

async fn receipt_entry(broker: &Broker, head: &Published, index: u64) -> Result<ReceiptEntry, Error> {
    let opened = broker.log.read_one(index).await?;
    let proof = broker
        .log
        .with_tree(|tree| tree.inclusion(index, head.state.size))
        .ok_or_else(|| broken(format!("entry {index} is not in the tree").into()))?;
    ReceiptEntry::new(index, &opened.leaf.to_bytes(), &document(&opened)?, &proof).map_err(|fault| broken(fault.into()))
}

/// The body document of an entry, as it was sealed.
fn document(entry: &Opened) -> Result<String, Error> {
    let erased = || Error::new(Code::NotFound, format!("Entry {} was erased, so this can no longer be proven.", entry.index));
    let (key, body) = entry.body.as_ref().ok_or_else(erased)?;
    body.to_document(key).map_err(|fault| broken(fault.into()))
}

fn broken(fault: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Code::Internal, "The evidence cannot be put together.").operator(fault)
}

/// The bundle of entries `[from, to)`.
pub(crate) async fn bundle(
    _broker: &Broker,
    _head: &Arc<Published>,
    _from: u64,
    _to: u64,
    _level: u8,
    _matches: impl Fn(&Opened) -> bool,
) -> Result<Vec<u8>, Error> {
    Err(Error::new(Code::Internal, "bundles are not wired yet"))
}
