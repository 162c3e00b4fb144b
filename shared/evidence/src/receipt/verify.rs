//! Verifies a receipt: checkpoint, inclusion, references, signatures, and that all of it is about this file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::story::{ReceiptStory, StoryApproval, StoryColumn, StoryPerson};
use super::{Receipt, ReceiptEntry, groups_for};
use crate::body::Group;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::disclosed::{Disclosed, GroupSet, Opened};
use crate::encode::{to_hex, unb64_32};
use crate::leaf::Kind;
use crate::merkle::{Hash, ProofError, verify_inclusion};
use crate::note::{NoteError, VerifierKey};
use crate::signed::{Holder, SignedRequest, check_review, masks};

/// Why a receipt does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Signed by a key the reader does not know: the receipt may be right, but this reader cannot tell.
    #[error("the receipt is of log `{origin}`, signed by a key that is not known here")]
    UnknownLogKey {
        /// The log it claims to be of.
        origin: String,
    },
    /// A signature by the known log key is wrong, or the checkpoint malformed.
    #[error("the receipt's checkpoint was not signed by the log: {0}")]
    Checkpoint(NoteError),
    /// An entry is malformed, or opens to other than it commits to.
    #[error("entry {index} of the receipt: {what}")]
    Entry {
        /// Index in the log.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry is not under the checkpoint.
    #[error("entry {index} is not in the log the receipt names: {proof}")]
    Inclusion {
        /// Index in the log.
        index: u64,
        /// What is wrong.
        proof: ProofError,
    },
    /// The file is not the one that was released.
    #[error("the file is not the one that was released: {0}")]
    File(&'static str),
    /// The entries do not add up to an approved release.
    #[error("the receipt's entries do not add up: {0}")]
    Story(&'static str),
}

impl ReceiptError {
    /// Whether the answer is "cannot tell" rather than "no".
    #[must_use]
    pub fn cannot_tell(&self) -> bool {
        matches!(self, Self::UnknownLogKey { .. })
    }
}

/// Verifies a receipt for a file with this digest and length, under these log keys.
///
/// # Errors
/// [`ReceiptError::UnknownLogKey`] when none of the keys signed it (the reader cannot tell); any other error means no.
pub fn verify(receipt: &Receipt, file_sha256: &[u8; 32], file_bytes: u64, keys: &[VerifierKey]) -> Result<ReceiptStory, ReceiptError> {
    if receipt.file.sha256 != to_hex(file_sha256) {
        return Err(ReceiptError::File("its SHA-256 is another than the receipt's"));
    }
    if receipt.file.bytes != file_bytes {
        return Err(ReceiptError::File("its length is another than the receipt's"));
    }
    let signed = SignedCheckpoint::parse(&receipt.checkpoint).map_err(ReceiptError::Checkpoint)?;
    let (checkpoint, key) = signed.verify(keys).map_err(|error| match error {
        NoteError::UnknownKey => ReceiptError::UnknownLogKey {
            origin: signed.unverified().origin.clone(),
        },
        other => ReceiptError::Checkpoint(other),
    })?;
    let entries = Entries::read(receipt, checkpoint)?;
    let mut story = entries.story(receipt)?;
    story.origin.clone_from(&checkpoint.origin);
    story.size = checkpoint.size;
    story.log_key = key.to_text();
    Ok(story)
}

/// The entries by index, each proven to be in the log.
struct Entries {
    by_index: BTreeMap<u64, Disclosed>,
}

impl Entries {
    fn read(receipt: &Receipt, checkpoint: &Checkpoint) -> Result<Self, ReceiptError> {
        let mut by_index = BTreeMap::new();
        let mut last: Option<(u64, i64)> = None;
        for entry in &receipt.entries {
            let fault = |what| ReceiptError::Entry { index: entry.i, what };
            let disclosed = disclose(entry).map_err(fault)?;
            let time = disclosed.leaf.header.t;
            if last.is_some_and(|(index, t)| index >= entry.i || t > time) {
                return Err(fault("entries are out of order"));
            }
            last = Some((entry.i, time));
            let proof: Vec<Hash> = entry
                .p
                .iter()
                .map(|hash| unb64_32(hash))
                .collect::<Result<_, _>>()
                .map_err(|_| fault("its proof is malformed"))?;
            verify_inclusion(&disclosed.leaf.hash(), entry.i, checkpoint.size, &proof, &checkpoint.root)
                .map_err(|proof| ReceiptError::Inclusion { index: entry.i, proof })?;
            by_index.insert(entry.i, disclosed);
        }
        Ok(Self { by_index })
    }

    /// The entry another one points to at this position, which must be of this kind.
    fn pointed(&self, from: &Disclosed, position: usize, kind: Kind) -> Result<&Disclosed, ReceiptError> {
        let index = from
            .leaf
            .header
            .refs
            .get(position)
            .ok_or(ReceiptError::Story("an entry does not point to what it rests on"))?;
        let entry = self.by_index.get(index).filter(|_| *index < from.index);
        let entry = entry.ok_or(ReceiptError::Story("an entry that another rests on is not in the receipt"))?;
        if entry.leaf.header.kind == kind {
            Ok(entry)
        } else {
            Err(ReceiptError::Story("an entry points to one of the wrong kind"))
        }
    }

    /// The session an entry was made under, and its holder.
    fn holder(&self, entry: &Disclosed, position: usize) -> Result<(u64, Holder), ReceiptError> {
        let session = self.pointed(entry, position, Kind::SessionOpen)?;
        let (of, by) = (&session.leaf.header, &entry.leaf.header);
        if of.sid.is_none() || of.sid != by.sid || of.act.is_none() || of.act != by.act {
            return Err(ReceiptError::Story("an entry was made under another session than it points to"));
        }
        Ok((session.index, Holder::of(session).map_err(ReceiptError::Story)?))
    }

    fn story(&self, receipt: &Receipt) -> Result<ReceiptStory, ReceiptError> {
        let no = ReceiptError::Story;
        let outcome = self.by_index.values().next_back().ok_or(no("it has no entries"))?;
        if outcome.leaf.header.kind != Kind::FetchOutcome {
            return Err(no("its last entry is not an outcome"));
        }
        let intent = self.pointed(outcome, 0, Kind::FetchIntent)?;
        let grant = self.pointed(intent, 0, Kind::GrantIssue)?;
        let request_entry = self.pointed(grant, 0, Kind::RequestCreate)?;
        let (request_session, requester) = self.holder(request_entry, 0)?;
        let request = SignedRequest::of(request_entry, &requester).map_err(no)?;
        let (delivery_session, receiver) = self.holder(intent, 1)?;
        if !receiver.is(&requester) {
            return Err(no("the data went to another person than the one who asked"));
        }
        if grant.text(Group::What, "id") != Some(&request.id) || grant.text(Group::What, "digest") != Some(&request.digest) {
            return Err(no("the grant is for another request"));
        }
        if intent.text(Group::What, "request") != Some(&request.id) {
            return Err(no("the data was read for another request"));
        }

        let mut used: BTreeSet<u64> = [
            outcome.index,
            intent.index,
            grant.index,
            request_entry.index,
            request_session,
            delivery_session,
        ]
        .into();
        let mut approvals: Vec<(StoryApproval, Holder)> = Vec::new();
        for position in 1..grant.leaf.header.refs.len() {
            let review = self.pointed(grant, position, Kind::ReviewApprove)?;
            if self.pointed(review, 0, Kind::RequestCreate)?.index != request_entry.index {
                return Err(no("an approval is of another request"));
            }
            let (session, reviewer) = self.holder(review, 1)?;
            let reason = check_review(review, &reviewer, &request).map_err(no)?;
            if reviewer.is(&requester) {
                return Err(no("the requester approved the request"));
            }
            if approvals.iter().any(|(_, other)| other.is(&reviewer)) {
                return Err(no("one person approved twice"));
            }
            used.extend([review.index, session]);
            let approval = StoryApproval {
                person: person(&reviewer),
                reason,
                time_ms: review.leaf.header.t,
                index: review.index,
            };
            approvals.push((approval, reviewer));
        }
        if (approvals.len() as u64) < request.quorum {
            return Err(no("there are fewer approvals than the request needed"));
        }
        if used.len() != self.by_index.len() {
            return Err(no("it carries an entry that has no part in it"));
        }

        let out = |name| outcome.body().number(Group::Out, name).ok_or(no("the outcome lacks a figure"));
        if outcome.text(Group::Out, "end") != Some("done") {
            return Err(no("the delivery was not completed"));
        }
        if outcome.text(Group::Out, "sha256") != Some(&receipt.file.sha256) || out("bytes")? != receipt.file.bytes {
            return Err(ReceiptError::File("the log recorded another digest or length"));
        }
        let text = |name: &str| request.document.get(name).and_then(Value::as_str).map(str::to_owned);
        if text("format").as_deref() != Some(&receipt.file.format) {
            return Err(ReceiptError::File("its format is not the one asked for"));
        }
        let approved = request.masks().ok_or(no("the signed request lists no columns"))?;
        let planned = masks(intent.body().get(Group::Mask).get("columns").unwrap_or(&Value::Null), "column");
        if planned.as_ref() != Some(&approved) {
            return Err(no("the masks in force were not the ones approved"));
        }
        let columns = outcome.body().get(Group::Mask).get("columns").unwrap_or(&Value::Null);
        if !masks(columns, "column").is_some_and(|applied| applied.is_subset(&approved)) {
            return Err(no("the masks applied were not the ones approved"));
        }

        let list = |name: &str| -> Vec<String> {
            let items = request.document.get(name).and_then(Value::as_array);
            items
                .into_iter()
                .flatten()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        Ok(ReceiptStory {
            origin: String::new(),
            size: 0,
            log_key: String::new(),
            requester: person(&requester),
            query: request.document.get("query").cloned().unwrap_or_default(),
            datasets: list("datasets"),
            connections: list("connections"),
            reason: text("reason").unwrap_or_default(),
            ticket: text("ticket"),
            requested_ms: request_entry.leaf.header.t,
            quorum: request.quorum,
            approvals: approvals.into_iter().map(|(approval, _)| approval).collect(),
            intent_ms: intent.leaf.header.t,
            outcome_ms: outcome.leaf.header.t,
            intent: intent.index,
            outcome: outcome.index,
            chunk: intent.body().number(Group::What, "chunk").ok_or(no("the intent names no chunk"))?,
            rows: out("rows")?,
            bytes: receipt.file.bytes,
            sha256: receipt.file.sha256.clone(),
            format: receipt.file.format.clone(),
            columns: story_columns(columns),
            request: request.id,
            digest: request.digest,
        })
    }
}

fn disclose(entry: &ReceiptEntry) -> Result<Disclosed, &'static str> {
    fn texts(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
        map.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
    let disclosed = Disclosed::partly(entry.i, &entry.h, texts(&entry.g), texts(&entry.d))?;
    match disclosed.opened() {
        Opened::Partly(set) if set == GroupSet::of(groups_for(disclosed.leaf.header.kind)) => Ok(disclosed),
        _ => Err("it opens other groups than a receipt does"),
    }
}

fn person(holder: &Holder) -> StoryPerson {
    StoryPerson {
        issuer: holder.issuer.clone(),
        subject: holder.subject.clone(),
        name: holder.name.clone(),
        key: holder.key.clone(),
    }
}

fn story_columns(columns: &Value) -> Vec<StoryColumn> {
    let text = |column: &Value, name: &str| column.get(name).and_then(Value::as_str).map(str::to_owned);
    let column = |column: &Value| {
        Some(StoryColumn {
            dataset: text(column, "dataset")?,
            column: text(column, "column")?,
            class: text(column, "class"),
            mask: text(column, "mask")?,
            values: column.get("values").and_then(Value::as_u64),
            altered: column.get("altered").and_then(Value::as_u64),
        })
    };
    columns.as_array().into_iter().flatten().filter_map(column).collect()
}
