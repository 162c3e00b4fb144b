//! Verifies a receipt: checkpoint, inclusion, references, signatures, and that all of it is about this file.

use std::collections::{BTreeMap, BTreeSet};

use super::story::{ReceiptStory, StoryApproval, StoryColumn, StoryCut, StoryPerson};
use super::{Receipt, ReceiptEntry, groups_for};
use crate::body::{GROUPS, Group};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::disclosed::{Disclosed, Given, GroupSet, Opened, Page};
use crate::encode::{to_hex, unb64_32};
use crate::leaf::Kind;
use crate::merkle::{Hash, ProofError, verify_inclusion};
use crate::note::{NoteError, VerifierKey};
use crate::rotation::{Rotations, SignerError};
use crate::scan::Raw;
use crate::signed::{Giver, Holder, Managed, SignedRequest, check_review, fills, is_subset, masks};

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
    /// The log's key was replaced, and what is to prove that does not.
    #[error("the receipt does not prove that the log's key was replaced: {0}")]
    Rotations(String),
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

/// Verifies a receipt for a file with this digest and length, under these log keys and those that the log itself put in their place.
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
    let rotations = Rotations::read(&receipt.rotations).map_err(|what| ReceiptError::Rotations(what.to_owned()))?;
    let key = rotations.signer(&signed, keys).map_err(|error| match error {
        SignerError::Unknown => ReceiptError::UnknownLogKey {
            origin: signed.unverified().origin.clone(),
        },
        SignerError::Note(other) => ReceiptError::Checkpoint(other),
        other => ReceiptError::Rotations(other.to_string()),
    })?;
    let checkpoint = signed.unverified();
    let page = read(receipt, checkpoint)?;
    let by_index = page.iter().map(|entry| (entry.index, entry)).collect();
    let mut story = Entries { by_index }.story(receipt)?;
    story.origin.clone_from(&checkpoint.origin);
    story.size = checkpoint.size;
    story.log_key = key.to_text();
    Ok(story)
}

/// Reads the entries; each is proven to be in the log, and opens what an entry of its kind opens.
fn read(receipt: &Receipt, checkpoint: &Checkpoint) -> Result<Page, ReceiptError> {
    let mut page = Page::default();
    let mut last: Option<(u64, i64)> = None;
    for entry in &receipt.entries {
        let fault = |what| ReceiptError::Entry { index: entry.i, what };
        page.add(entry.i, &entry.h, given(entry).map_err(fault)?).map_err(fault)?;
        let disclosed = page.iter().last().ok_or(fault("it cannot be read"))?;
        match disclosed.opened {
            Opened::Partly(set) if set == GroupSet::of(groups_for(disclosed.kind)) => {}
            _ => return Err(fault("it opens other groups than a receipt does")),
        }
        if last.is_some_and(|(index, t)| index >= entry.i || t > disclosed.t) {
            return Err(fault("entries are out of order"));
        }
        last = Some((entry.i, disclosed.t));
        let proof: Vec<Hash> = entry
            .p
            .iter()
            .map(|hash| unb64_32(hash))
            .collect::<Result<_, _>>()
            .map_err(|_| fault("its proof is malformed"))?;
        verify_inclusion(disclosed.hash, entry.i, checkpoint.size, &proof, &checkpoint.root)
            .map_err(|proof| ReceiptError::Inclusion { index: entry.i, proof })?;
    }
    Ok(page)
}

/// The entries by index.
pub(super) struct Entries<'p> {
    by_index: BTreeMap<u64, Disclosed<'p>>,
}

impl Entries<'_> {
    /// The entry another one points to at this position, which must be of this kind.
    pub(super) fn pointed(&self, from: &Disclosed<'_>, position: usize, kind: Kind) -> Result<&Disclosed<'_>, ReceiptError> {
        let index = from
            .refs
            .get(position)
            .ok_or(ReceiptError::Story("an entry does not point to what it rests on"))?;
        let entry = self.by_index.get(index).filter(|_| *index < from.index);
        let entry = entry.ok_or(ReceiptError::Story("an entry that another rests on is not in the receipt"))?;
        if entry.kind == kind {
            Ok(entry)
        } else {
            Err(ReceiptError::Story("an entry points to one of the wrong kind"))
        }
    }

    /// The session an entry was made under, and its holder.
    pub(super) fn holder(&self, entry: &Disclosed<'_>, position: usize) -> Result<(u64, Holder), ReceiptError> {
        let session = self.session(entry, position)?;
        Ok((session.index, Holder::of(session).map_err(ReceiptError::Story)?))
    }

    fn session(&self, entry: &Disclosed<'_>, position: usize) -> Result<&Disclosed<'_>, ReceiptError> {
        let session = self.pointed(entry, position, Kind::SessionOpen)?;
        if session.sid.is_none() || session.sid != entry.sid || session.act.is_none() || session.act != entry.act {
            return Err(ReceiptError::Story("an entry was made under another session than it points to"));
        }
        Ok(session)
    }

    /// The person who holds a session.
    fn person(&self, entry: &Disclosed<'_>, position: usize, holder: &Holder) -> Result<StoryPerson, ReceiptError> {
        let name = self.session(entry, position)?.text(Group::Who, "name");
        Ok(StoryPerson {
            issuer: holder.issuer.clone(),
            subject: holder.subject.clone(),
            name: name.map_or_else(|| holder.subject.clone(), Into::into),
            key: holder.key.clone(),
        })
    }

    /// The approvals that a grant rests on: of this very request, each by another person.
    pub(super) fn approvals(
        &self,
        grant: &Disclosed<'_>,
        asked: &Asked<'_, '_>,
        used: &mut BTreeSet<u64>,
    ) -> Result<Vec<StoryApproval>, ReceiptError> {
        let no = ReceiptError::Story;
        let mut approvals = Vec::new();
        let mut reviewers: Vec<Holder> = Vec::new();
        let mut givers = Vec::new();
        for position in 1..grant.refs.len() {
            let review = self.pointed(grant, position, Kind::ReviewApprove)?;
            if self.pointed(review, 0, Kind::RequestCreate)?.index != asked.entry.index {
                return Err(no("an approval is of another request"));
            }
            let (session, reviewer) = self.holder(review, 1)?;
            let reason = check_review(review, &reviewer, &asked.signed.id, &asked.signed.digest).map_err(no)?;
            if reviewer.is(asked.holder) {
                return Err(no("the requester approved the request"));
            }
            if reviewers.iter().any(|other| other.is(&reviewer)) {
                return Err(no("one person approved twice"));
            }
            used.extend([review.index, session]);
            let said = self.session(review, 1)?;
            // Where it points to something else, that is the enrolment of an SSH key, which a receipt leaves out.
            let escalated = review.refs.get(2).is_some_and(|index| self.by_index.contains_key(index));
            if escalated {
                used.insert(self.escalation(review, asked)?);
            }
            givers.push((
                review.index,
                said.member(Group::Who, "email"),
                said.member(Group::Who, "groups"),
                escalated,
                reviewer.clone(),
            ));
            approvals.push(StoryApproval {
                person: self.person(review, 1, &reviewer)?,
                ssh_key: review.text(Group::Who, "ssh_key").map(Into::into),
                reason,
                time_ms: review.t,
                index: review.index,
            });
            reviewers.push(reviewer);
        }
        givers.sort_by_key(|(index, ..)| *index);
        let in_order = givers.iter().map(|(_, email, groups, escalated, giver)| {
            Some(Giver {
                issuer: &giver.issuer,
                subject: &giver.subject,
                email: *email,
                groups: *groups,
                escalated: *escalated,
            })
        });
        let asker = Managed {
            issuer: &asked.holder.issuer,
            manager: self.session(asked.entry, 0)?.member(Group::Who, "manager"),
        };
        if !fills(&asked.signed.stages(), asked.signed.escalation().as_ref(), Some(asker), in_order) {
            return Err(no("an approval is by somebody whom its stage does not take"));
        }
        Ok(approvals)
    }

    /// The entry by which the request of a verdict was escalated: its own, and no earlier than was signed.
    fn escalation(&self, review: &Disclosed<'_>, asked: &Asked<'_, '_>) -> Result<u64, ReceiptError> {
        let no = ReceiptError::Story;
        let entry = self.pointed(review, 2, Kind::RequestEscalate)?;
        if self.pointed(entry, 0, Kind::RequestCreate)?.index != asked.entry.index {
            return Err(no("another request was escalated"));
        }
        let after_s = asked.signed.escalation().ok_or(no("the request is escalated to nobody"))?.after_s;
        if entry.t < asked.entry.t + after_s.cast_signed() * 1000 {
            return Err(no("the request was escalated before its time"));
        }
        Ok(entry.index)
    }

    fn story(&self, receipt: &Receipt) -> Result<ReceiptStory, ReceiptError> {
        let no = ReceiptError::Story;
        let outcome = self.by_index.values().next_back().ok_or(no("it has no entries"))?;
        if outcome.kind != Kind::FetchOutcome {
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
        if !grant.says(Group::What, "id", &request.id) || !grant.says(Group::What, "digest", &request.digest) {
            return Err(no("the grant is for another request"));
        }
        if request.window().is_some_and(|window| !window.holds(intent.t)) {
            return Err(no("the data was read outside the time that was asked for"));
        }
        if !intent.says(Group::What, "request", &request.id) {
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
        let asked = Asked {
            entry: request_entry,
            signed: &request,
            holder: &requester,
        };
        // What is used under a standing grant was approved with it.
        let standing = self.standing(grant, intent, &asked, &mut used)?;
        let approvals = match &standing {
            Some((_, approvals)) => approvals.clone(),
            None => self.approvals(grant, &asked, &mut used)?,
        };
        if (approvals.len() as u64) < request.quorum {
            return Err(no("there are fewer approvals than the request needed"));
        }
        if used.len() != self.by_index.len() {
            return Err(no("it carries an entry that has no part in it"));
        }

        let out = |name| outcome.number(Group::Out, name).ok_or(no("the outcome lacks a figure"));
        if !outcome.says(Group::Out, "end", "done") {
            return Err(no("the delivery was not completed"));
        }
        if !outcome.says(Group::Out, "sha256", &receipt.file.sha256) || out("bytes")? != receipt.file.bytes {
            return Err(ReceiptError::File("the log recorded another digest or length"));
        }
        let document = Raw::known(&request.document);
        let text = |name: &str| document.get(name).and_then(Raw::as_str).map(String::from);
        if text("format").as_deref() != Some(&receipt.file.format) {
            return Err(ReceiptError::File("its format is not the one asked for"));
        }
        let approved = request.masks().ok_or(no("the signed request lists no columns"))?;
        let planned = intent.group(Group::Mask).and_then(|group| masks(group, "column"));
        if planned.as_ref() != Some(&approved) {
            return Err(no("the masks in force were not the ones approved"));
        }
        let applied = outcome.group(Group::Mask);
        if !applied
            .and_then(|group| masks(group, "column"))
            .is_some_and(|applied| is_subset(&applied, &approved))
        {
            return Err(no("the masks applied were not the ones approved"));
        }

        let (chunk, cut) = intent.chunk().ok_or(no("the intent does not say which chunk of what it reads"))?;
        let list = |name: &str| -> Vec<String> {
            let items = document.get(name).and_then(Raw::items);
            items
                .into_iter()
                .flatten()
                .filter_map(|item| Some(item.as_str()?.into_owned()))
                .collect()
        };
        let query = document.get("query").and_then(|query| serde_json::from_str(query.text()).ok());
        Ok(ReceiptStory {
            origin: String::new(),
            size: 0,
            log_key: String::new(),
            requester: self.person(request_entry, 0, &requester)?,
            query: query.unwrap_or_default(),
            datasets: list("datasets"),
            connections: list("connections"),
            reason: text("reason").unwrap_or_default(),
            ticket: text("ticket"),
            requested_ms: request_entry.t,
            quorum: request.quorum,
            break_glass: request.break_glass,
            approvals,
            standing: standing.map(|(standing, _)| standing),
            intent_ms: intent.t,
            outcome_ms: outcome.t,
            intent: intent.index,
            outcome: outcome.index,
            chunk,
            cut: cut.map(|(chunks, snapshot)| StoryCut {
                chunks,
                snapshot: snapshot.into_owned(),
            }),
            rows: out("rows")?,
            bytes: receipt.file.bytes,
            sha256: receipt.file.sha256.clone(),
            format: receipt.file.format.clone(),
            columns: story_columns(applied.and_then(|group| group.get("columns"))),
            request: request.id,
            digest: request.digest,
        })
    }
}

/// A request with the signature of whoever asked.
pub(super) struct Asked<'e, 'p> {
    pub(super) entry: &'e Disclosed<'p>,
    pub(super) signed: &'e SignedRequest,
    pub(super) holder: &'e Holder,
}

pub(crate) fn given(entry: &ReceiptEntry) -> Result<Given<'_>, &'static str> {
    let slot = |name: &str| Group::parse(name).map(|group| usize::from(group.number()));
    let (mut disclosures, mut digests) = ([const { None }; GROUPS], [None; GROUPS]);
    for (name, disclosure) in &entry.g {
        let slot = slot(name)
            .and_then(|at| disclosures.get_mut(at))
            .ok_or("a disclosure is of an unknown group")?;
        *slot = Some(disclosure.as_str().into());
    }
    for (name, digest) in &entry.d {
        let slot = slot(name)
            .and_then(|at| digests.get_mut(at))
            .ok_or("a digest is of an unknown group")?;
        *slot = Some(unb64_32(digest).map_err(|_| "a digest is malformed")?);
    }
    Ok(Given::Partly { disclosures, digests })
}

fn story_columns(columns: Option<Raw<'_>>) -> Vec<StoryColumn> {
    let text = |column: Raw<'_>, name: &str| Some(column.get(name)?.as_str()?.into_owned());
    let number = |column: Raw<'_>, name: &str| column.get(name)?.as_u64();
    let column = |column: Raw<'_>| {
        Some(StoryColumn {
            dataset: text(column, "dataset")?,
            column: text(column, "column")?,
            class: text(column, "class"),
            mask: text(column, "mask")?,
            values: number(column, "values"),
            altered: number(column, "altered"),
        })
    };
    columns.and_then(Raw::items).into_iter().flatten().filter_map(column).collect()
}
