//! Writes a bundle: a function of its input, byte for byte.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::compare::attach;
use super::format::Format;
use super::input::{BundleEntry, BundleError, BundleInput, EntryBody};
use super::level::LEVEL_MAX;
use super::member::Members;
use super::views::Views;
use super::{ROWS_PER_MEMBER, row, tar};
use crate::dsse::EXPORT_PAYLOAD_TYPE;
use crate::encode::{b64, canonical, canonical_of, sha256_hex};
use crate::leaf::Leaf;
use crate::merkle::Hash;

/// Writes a bundle.
///
/// # Errors
/// When a stored leaf or body is malformed, or the parts do not belong together.
pub fn write_bundle(input: &BundleInput<'_>) -> Result<Vec<u8>, BundleError> {
    let parts = |holds: bool, what| if holds { Ok(()) } else { Err(BundleError::Parts(what)) };
    let (start, head) = (input.start.unverified(), input.head.unverified());
    let to = start.size + input.rows.len() as u64;
    parts(input.level <= LEVEL_MAX, "there is no such level")?;
    parts(
        to <= head.size && start.origin == head.origin && input.log_key.name() == head.origin,
        "checkpoints and rows",
    )?;
    parts(
        input.frontier.size() == start.size && input.frontier.root() == start.root,
        "the frontier is not that of the start",
    )?;
    parts(
        input.consistency.first().is_some_and(|first| first.from == start.size),
        "the first proof does not begin at the start",
    )?;
    parts(
        input.rows.iter().zip(start.size..).all(|(entry, index)| entry.index == index),
        "rows are not numbered in order",
    )?;

    let mut members = Members::default();
    let filter = input.filter.map(canonical).transpose()?;
    let format = Format {
        level: input.level,
        from: start.size,
        to,
        filter,
    };
    members.put_plain("format.txt", format.to_text().into_bytes());
    members.put_plain("start.checkpoint", input.start.text().as_bytes().to_vec());
    members.put_plain("head.checkpoint", input.head.text().as_bytes().to_vec());
    members.put_plain("keys/log.txt", format!("{}\n", input.log_key.to_text()).into_bytes());
    members.put_plain("proof/consistency", consistency(input, head.size)?.into_bytes());
    if input.level > 0 {
        let range = json!({ "from": start.size, "frontier": texts(input.frontier.nodes()), "tail": texts(input.tail), "to": to });
        members.put_plain("proof/range", canonical(&range)?.into_bytes());
        rows(input, &mut members)?;
    }

    let digests: BTreeMap<&String, String> = members.0.iter().map(|(name, bytes)| (name, sha256_hex(bytes))).collect();
    let statement = canonical(&json!({ "members": digests, "origin": head.origin, "v": 1 }))?;
    let statement = canonical_of(&(input.sign)(EXPORT_PAYLOAD_TYPE, statement.as_bytes()))?;
    members.put_plain("statement.dsse", statement.into_bytes());
    tar::write(&members.0).ok_or(BundleError::Parts("a member's name or size does not fit the archive"))
}

fn rows(input: &BundleInput<'_>, members: &mut Members) -> Result<(), BundleError> {
    let leaves = |entries: &mut dyn Iterator<Item = &BundleEntry<'_>>| {
        let parse = |entry: &BundleEntry<'_>| Leaf::parse(entry.leaf).map_err(|error| BundleError::Leaf(entry.index, error));
        entries.map(parse).collect::<Result<Vec<_>, _>>()
    };
    let row_leaves = leaves(&mut input.rows.iter())?;
    let context_leaves = leaves(&mut input.context.iter().map(|context| &context.entry))?;
    let opened = opened(input, &row_leaves, &context_leaves);
    let is_open = |index| opened.as_ref().is_none_or(|set| set.contains(&index));

    let mut attached = BTreeMap::new();
    let mut views = Views::<Vec<u8>>::new();
    let mut text = String::new();
    let store = |members: &mut Members, name: &str, bytes| members.put(name, bytes).map_err(|_| BundleError::Compression);
    for (number, (entry, leaf)) in input.rows.iter().zip(&row_leaves).enumerate() {
        let line = row::write(entry, leaf, input.level, is_open(entry.index), None)?;
        let (disclosed, _) = row::read(&line, false).map_err(BundleError::Parts)?;
        views.add(&disclosed)?;
        attach(&disclosed, &mut attached);
        text.push_str(&line);
        text.push('\n');
        if (number + 1).is_multiple_of(ROWS_PER_MEMBER) || number + 1 == input.rows.len() {
            store(
                members,
                &rows_name(number / ROWS_PER_MEMBER),
                std::mem::take(&mut text).into_bytes(),
            )?;
        }
    }
    for (context, leaf) in input.context.iter().zip(&context_leaves) {
        let line = row::write(&context.entry, leaf, input.level, is_open(context.entry.index), Some(context.proof))?;
        attach(&row::read(&line, true).map_err(BundleError::Parts)?.0, &mut attached);
        text.push_str(&line);
        text.push('\n');
    }
    store(members, "rows/context.jsonl", text.into_bytes())?;
    for (name, bytes) in attached.into_iter().chain(views.finish()) {
        store(members, &name, bytes)?;
    }
    Ok(())
}

/// The entries to open: those that match and all they rest on. Absent when everything is opened.
fn opened(input: &BundleInput<'_>, row_leaves: &[Leaf], context_leaves: &[Leaf]) -> Option<HashSet<u64>> {
    input.filter?;
    let entries = input
        .rows
        .iter()
        .zip(row_leaves)
        .chain(input.context.iter().map(|context| &context.entry).zip(context_leaves));
    let by_index: HashMap<u64, (&BundleEntry<'_>, &Leaf)> = entries.map(|(entry, leaf)| (entry.index, (entry, leaf))).collect();
    let mut opened: HashSet<u64> = input.rows.iter().filter(|entry| entry.matches).map(|entry| entry.index).collect();
    let mut open: Vec<u64> = opened.iter().copied().collect();
    while let Some(index) = open.pop() {
        let Some((entry, leaf)) = by_index.get(&index) else { continue };
        let erased_by = if let EntryBody::Erased(by) = entry.body { Some(by) } else { None };
        for base in leaf.header.refs.iter().copied().chain(leaf.header.pol).chain(erased_by) {
            if opened.insert(base) {
                open.push(base);
            }
        }
    }
    Some(opened)
}

fn consistency(input: &BundleInput<'_>, to: u64) -> Result<String, BundleError> {
    let proofs: Vec<Value> = input
        .consistency
        .iter()
        .map(|proof| json!({ "from": proof.from, "hashes": texts(&proof.proof), "root": b64(&proof.root), "to": to }))
        .collect();
    Ok(canonical(&json!({ "proofs": proofs }))?)
}

pub(super) fn rows_name(number: usize) -> String {
    format!("rows/{number:08}.jsonl")
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| b64(hash)).collect()
}
