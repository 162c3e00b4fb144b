//! Receipts and bundles: what leaves the log so that others can check it without us.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use chunk_evidence::bundle::{BundleEntry, BundleInput, Consistency, ContextEntry, EntryBody, context_indices, write_bundle};
use chunk_evidence::leaf::{Header, Kind};
use chunk_evidence::receipt::{Receipt, ReceiptEntry, ReceiptFile, entries_needed};
use chunk_wire::problem::Code;
use serde_json::Value;

use super::log::{Opened, Published};
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
    let entries = receipt_entries(broker, head, outcome_index).await?;
    let file = ReceiptFile {
        bytes: outcome.bytes,
        format: request.format.as_str().to_owned(),
        name: None,
        sha256,
    };
    Receipt::new(&head.checkpoint, file, entries)
        .to_text()
        .map_err(|fault| broken(fault.into()))
}

/// The outcome and all it rests on, read as the references lead from one entry to the next.
async fn receipt_entries(broker: &Broker, head: &Published, outcome: u64) -> Result<Vec<ReceiptEntry>, Error> {
    let mut read: BTreeMap<u64, Opened> = BTreeMap::new();
    loop {
        match entries_needed(outcome, |index| {
            read.get(&index).map(|entry| entry.leaf.header.clone()).ok_or(index)
        }) {
            Ok(indices) => {
                return indices
                    .iter()
                    .filter_map(|index| read.get(index))
                    .map(|entry| receipt_entry(broker, head, entry))
                    .collect();
            }
            Err(missing) => {
                read.insert(missing, broker.log.read_one(missing).await?);
            }
        }
    }
}

fn receipt_entry(broker: &Broker, head: &Published, opened: &Opened) -> Result<ReceiptEntry, Error> {
    let index = opened.index;
    let proof = broker
        .log
        .with_tree(|tree| tree.inclusion(index, head.state.size))
        .ok_or_else(|| broken(format!("entry {index} is not in the tree").into()))?;
    ReceiptEntry::new(index, &opened.leaf.to_bytes(), &document(opened)?, &proof).map_err(|fault| broken(fault.into()))
}

/// The body document of an entry, as it was sealed.
fn document(entry: &Opened) -> Result<String, Error> {
    let erased = || {
        Error::new(
            Code::NotFound,
            format!("Entry {} was erased, so this can no longer be proven.", entry.index),
        )
    };
    let (key, body) = entry.body.as_ref().ok_or_else(erased)?;
    body.to_document(key).map_err(|fault| broken(fault.into()))
}

fn broken(fault: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Code::Internal, "The evidence cannot be put together.").operator(fault)
}

/// The bundle of a range of entries: everything it takes to check them offline, and that its head extends the trees of the sizes
/// that were `seen`.
pub(crate) async fn bundle(
    broker: &Broker,
    head: &Arc<Published>,
    range: Range<u64>,
    seen: &[u64],
    level: u8,
    filter: Option<&Value>,
    matches: impl Fn(&Opened) -> bool,
) -> Result<Vec<u8>, Error> {
    let Range { start: from, end: to } = range;
    let opened = broker.log.read(from, usize::try_from(to - from).unwrap_or(usize::MAX)).await?;
    let rows: Vec<Row> = opened
        .iter()
        .map(|entry| Row::new(entry, matches(entry), &head.state))
        .collect::<Result<_, _>>()?;
    let context = if level == 0 {
        Vec::new()
    } else {
        context(broker, &head.state, from..to, &opened).await?
    };
    // The head is the oldest that reaches everything the bundle rests on, so that the same question has the same answer later.
    let kept = seen.iter().copied().filter(|kept| *kept <= head.state.size);
    let erased = rows
        .iter()
        .chain(&context)
        .filter_map(|row| row.body.as_ref().err().map(|by| by + 1));
    let size = kept.chain(erased).fold(to, u64::max);
    let parts = broker.log.with_tree(|tree| {
        let proofs: Option<Vec<_>> = context.iter().map(|row| tree.inclusion(row.index, size)).collect();
        // The first proof is that of the start. Sizes beyond the head cannot be met; the auditor's verifier says so.
        let sizes: BTreeSet<u64> = seen
            .iter()
            .copied()
            .filter(|kept| *kept != from && *kept > 0 && *kept <= size)
            .collect();
        let consistency: Option<Vec<_>> = std::iter::once(from)
            .chain(sizes)
            .map(|from| {
                Some(Consistency {
                    from,
                    root: tree.root(from)?,
                    proof: tree.consistency(from, size)?,
                })
            })
            .collect();
        let roots = (tree.root(from)?, tree.root(size)?);
        Some((roots, tree.frontier(from)?, consistency?, tree.consistency(to, size)?, proofs?))
    });
    let ((start, end), frontier, consistency, tail, proofs) = parts.ok_or_else(|| broken("the tree does not reach the head".into()))?;
    let sign = |size, root| broker.signer.sign(size, root).map_err(|fault| broken(fault.into()));
    let (start, end) = (sign(from, start)?, sign(size, end)?);
    let rows: Vec<_> = rows.iter().map(Row::entry).collect();
    let context: Vec<_> = context
        .iter()
        .zip(&proofs)
        .map(|(row, proof)| ContextEntry { entry: row.entry(), proof })
        .collect();
    write_bundle(&BundleInput {
        level,
        filter,
        start: &start,
        head: &end,
        consistency,
        frontier: &frontier,
        tail: &tail,
        rows: &rows,
        context: &context,
        log_key: broker.signer.verifier(),
        sign: &|payload_type, payload| broker.signer.statement(payload_type, payload),
    })
    .map_err(|fault| broken(fault.into()))
}

/// The entries outside the range that something in it rests on.
async fn context(broker: &Broker, state: &State, range: Range<u64>, opened: &[Opened]) -> Result<Vec<Row>, Error> {
    let mut found: BTreeMap<u64, Opened> = BTreeMap::new();
    loop {
        // References are followed as far as entries are known; what is missing is read, and they are followed again. Each round
        // goes one reference deeper, and chains are a handful long.
        let mut missing = Vec::new();
        let headers = opened.iter().map(|entry| (entry.leaf.header.clone(), erased_by(entry, state)));
        let look = |index: u64| {
            let known = found.get(&index).map(|entry| (entry.leaf.header.clone(), erased_by(entry, state)));
            Ok::<_, Infallible>(known.unwrap_or_else(|| {
                missing.push(index);
                (Header::new(Kind::LogGenesis), None)
            }))
        };
        let Ok(indices) = context_indices(range.clone(), headers, look);
        if missing.is_empty() {
            return indices
                .iter()
                .filter_map(|index| found.get(index))
                .map(|entry| Row::new(entry, false, state))
                .collect();
        }
        for index in missing {
            found.insert(index, broker.log.read_one(index).await?);
        }
    }
}

/// The entry that says why this one's body is gone.
fn erased_by(entry: &Opened, state: &State) -> Option<u64> {
    state.erased_keys.get(entry.erased_key.as_ref()?).copied()
}

/// An entry as a bundle takes it.
struct Row {
    index: u64,
    leaf: Vec<u8>,
    /// The body document, or the entry that erased it.
    body: Result<String, u64>,
    matches: bool,
}

impl Row {
    fn new(entry: &Opened, matches: bool, state: &State) -> Result<Self, Error> {
        let body = match erased_by(entry, state) {
            Some(by) => Err(by),
            None => Ok(document(entry)?),
        };
        Ok(Self {
            index: entry.index,
            leaf: entry.leaf.to_bytes(),
            body,
            matches,
        })
    }

    fn entry(&self) -> BundleEntry<'_> {
        BundleEntry {
            index: self.index,
            leaf: &self.leaf,
            body: match &self.body {
                Ok(document) => EntryBody::Document(document),
                Err(by) => EntryBody::Erased(*by),
            },
            matches: self.matches,
        }
    }
}
