//! Writes a bundle: a function of its input, byte for byte, in memory that does not grow with the range.
//!
//! Members stand in order of their names and each begins with its size, so nothing can be sent before everything is known: the
//! compressed parts wait in a spool, and the archive is put together from them while it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

use super::archive::finish;
use super::format::Format;
use super::input::{BundleEntry, BundleError, BundleHead, BundlePlan, Spool};
use super::level::{LEVEL_MAX, open_set};
use super::member::{Deflate, PLAIN_BYTES_MAX};
use super::rows::{self, Rows, context_name, is_full, rows_name};
use super::stamps::{STAMPS_MAX, checkpoint_name, token_name};
use super::tar::{BLOCK, header, padding};
use super::views::{View, always, render};
use crate::body::Group;
use crate::commit::Committer;
use crate::disclosed::Disclosed;
use crate::dsse::{EXPORT_PAYLOAD_TYPE, Envelope};
use crate::encode::{b64, canonical, canonical_of, sha256_hex, to_hex};
use crate::leaf::{Kind, Leaf};
use crate::merkle::Hash;

/// Name of the member that holds the entries that replaced the log's key.
pub(super) const ROTATIONS: &str = "keys/rotations.jsonl";
/// Compressed bytes of a member that wait in memory.
const READY_BYTES: usize = 128 * 1024;

/// A bundle while it is written: the rows of the range in order, then the context in order, then the statement.
pub struct BundleWriter<S> {
    level: u8,
    filtered: bool,
    origin: String,
    /// Where the rows begin, which comes next, and where they end.
    from: u64,
    next: u64,
    to: u64,
    frontier: Vec<String>,
    members: Members<S>,
    page: Sheet,
    context: bool,
    views: Option<BTreeMap<View, Pending>>,
    attached: BTreeSet<String>,
    committer: Committer,
}

/// The lines of the member that is being filled.
#[derive(Default)]
struct Sheet {
    first: u64,
    rows: usize,
    text: String,
}

impl<S: Spool> BundleWriter<S> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// When the parts of the plan do not belong together.
    pub fn begin(plan: BundlePlan<'_>, spool: S) -> Result<Self, BundleError> {
        let parts = |holds: bool, what| if holds { Ok(()) } else { Err(BundleError::Parts(what)) };
        let start = plan.start.unverified();
        parts(plan.level <= LEVEL_MAX, "there is no such level")?;
        let fits = plan.range.start == start.size && plan.range.start <= plan.range.end && plan.log_key.name() == start.origin;
        parts(fits, "the range does not begin at the start")?;
        parts(
            plan.frontier.size() == start.size && plan.frontier.root() == start.root,
            "the frontier is not that of the start",
        )?;
        let format = Format {
            level: plan.level,
            from: plan.range.start,
            to: plan.range.end,
            filter: Some(plan.filter.clone()).filter(|filter| !filter.is_empty()),
            views: plan.views,
        };
        let mut members = Members {
            spool,
            end: 0,
            done: Vec::new(),
        };
        members.put("format.txt", format.to_text()?.as_bytes())?;
        members.put("start.checkpoint", plan.start.text().as_bytes())?;
        members.put("keys/log.txt", format!("{}\n", plan.log_key.to_text()).as_bytes())?;
        let mut views = plan.views.then(BTreeMap::new);
        for view in always(plan.level) {
            if let Some(views) = &mut views {
                views.insert(*view, Pending::new(&view.name(), view.title().as_bytes())?);
            }
        }
        Ok(Self {
            level: plan.level,
            filtered: format.filter.is_some(),
            origin: start.origin.clone(),
            from: plan.range.start,
            next: plan.range.start,
            to: plan.range.end,
            frontier: texts(plan.frontier.nodes()),
            members,
            page: Sheet::default(),
            context: false,
            views,
            attached: BTreeSet::new(),
            committer: Committer::default(),
        })
    }

    /// Adds the next entry of the range.
    ///
    /// # Errors
    /// When it is not the next one, its leaf or body is malformed, or it cannot be kept.
    pub fn row(&mut self, entry: &BundleEntry<'_>) -> Result<(), BundleError> {
        if entry.index != self.next || entry.index >= self.to || self.level == 0 {
            return Err(BundleError::Parts("rows are not numbered in order"));
        }
        self.next += 1;
        self.line(entry, None)
    }

    /// Adds the next entry outside of the range, with its inclusion proof under the head.
    ///
    /// # Errors
    /// When rows are still to come, its leaf or body is malformed, or it cannot be kept.
    pub fn context(&mut self, entry: &BundleEntry<'_>, proof: &[Hash]) -> Result<(), BundleError> {
        if self.next != self.to || self.level == 0 {
            return Err(BundleError::Parts("the context stands behind the rows"));
        }
        if !self.context {
            self.turn()?;
            self.context = true;
        }
        self.line(entry, Some(proof))
    }

    /// Ends the bundle under a head. `sign` signs its statement with the log's key: payload type and payload.
    ///
    /// # Errors
    /// When rows are missing, the head is not one of theirs, or a part cannot be kept.
    pub fn finish(mut self, head: &BundleHead<'_>, sign: impl FnOnce(&str, &[u8]) -> Envelope) -> Result<Bundle<S>, BundleError> {
        if self.level > 0 && self.next != self.to {
            return Err(BundleError::Parts("rows are missing"));
        }
        let says = head.checkpoint.unverified();
        if self.to > says.size || self.origin != says.origin {
            return Err(BundleError::Parts("the head does not reach the rows"));
        }
        if head.consistency.first().is_none_or(|first| first.from != self.from) {
            return Err(BundleError::Parts("the first proof does not begin at the start"));
        }
        self.stamps(head)?;
        self.rotations(head)?;
        self.turn()?;
        self.members.put("head.checkpoint", head.checkpoint.text().as_bytes())?;
        self.members.put("proof/consistency", consistency(head)?.as_bytes())?;
        if self.level > 0 {
            let range = json!({ "from": self.from, "frontier": self.frontier, "tail": texts(head.tail), "to": self.to });
            self.members.put("proof/range", canonical(&range)?.as_bytes())?;
        }
        for pending in self.views.take().unwrap_or_default().into_values() {
            self.members.finish(pending)?;
        }
        self.members.done.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let members: BTreeMap<_, _> = self
            .members
            .done
            .iter()
            .map(|member| (&member.name, to_hex(&member.digest)))
            .collect();
        let statement = canonical(&json!({ "members": members, "origin": self.origin, "v": 1 }))?;
        let statement = canonical_of(&sign(EXPORT_PAYLOAD_TYPE, statement.as_bytes()))?;
        self.members.put("statement.dsse", statement.as_bytes())?;
        Bundle::new(self.members)
    }

    /// Stores the time stamps and the checkpoints that they are over.
    fn stamps(&mut self, head: &BundleHead<'_>) -> Result<(), BundleError> {
        let sizes: BTreeSet<u64> = head.stamped.iter().map(|stamped| stamped.checkpoint.unverified().size).collect();
        if sizes.len() != head.stamped.len() || sizes.len() > STAMPS_MAX {
            return Err(BundleError::Parts("time stamps are too many, or doubled"));
        }
        let end = head.checkpoint.unverified().size;
        for stamped in head.stamped {
            let size = stamped.checkpoint.unverified().size;
            if size != end && !head.consistency.iter().any(|proof| proof.from == size) {
                return Err(BundleError::Parts("no proof leads from a stamped checkpoint to the head"));
            }
            self.members.put(&checkpoint_name(size), stamped.checkpoint.text().as_bytes())?;
            self.members.put(&token_name(size), &stamped.token)?;
        }
        Ok(())
    }

    /// Stores the entries that replaced the log's key.
    fn rotations(&mut self, head: &BundleHead<'_>) -> Result<(), BundleError> {
        if head.rotations.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for entry in head.rotations {
            lines.push_str(&canonical_of(entry)?);
            lines.push('\n');
        }
        self.members.put(ROTATIONS, lines.as_bytes())
    }

    fn line(&mut self, entry: &BundleEntry<'_>, proof: Option<&[Hash]>) -> Result<(), BundleError> {
        let leaf = Leaf::parse(entry.leaf).map_err(|error| BundleError::Leaf(entry.index, error))?;
        if self.page.rows == 0 {
            self.page.first = entry.index;
        }
        let opened = BundleEntry {
            opened: entry.opened || !self.filtered,
            ..*entry
        };
        let from = self.page.text.len();
        rows::write(&mut self.page.text, &mut self.committer, &opened, &leaf, self.level, proof)?;
        self.page.rows += 1;
        let attaches = matches!(leaf.header.kind, Kind::PolicyLoad) && open_set(self.level, leaf.header.kind).has(Group::What);
        if attaches || self.views.is_some() {
            let line = self.page.text.get(from..).unwrap_or_default();
            let read = Rows::parse(line, entry.index, proof.is_some()).map_err(BundleError::Parts)?;
            let entry = read.page.get(0).ok_or(BundleError::Parts("a row does not read back"))?;
            self.attach(&entry)?;
            if proof.is_none() {
                self.view(&entry)?;
            }
        }
        if is_full(self.page.rows, self.page.text.len()) {
            self.turn()?;
        }
        Ok(())
    }

    /// Stores the member that is being filled, and begins another.
    fn turn(&mut self) -> Result<(), BundleError> {
        let page = std::mem::take(&mut self.page);
        if page.rows == 0 {
            return Ok(());
        }
        let name = if self.context {
            context_name(page.first)
        } else {
            rows_name(page.first)
        };
        let mut pending = Pending::new(&name, b"")?;
        pending.push(page.text.as_bytes())?;
        self.members.finish(pending)
    }

    /// Stores the policy and schema that an entry brings along.
    fn attach(&mut self, entry: &Disclosed<'_>) -> Result<(), BundleError> {
        for (name, text) in attached(entry) {
            if self.attached.insert(name.clone()) {
                let mut pending = Pending::new(&name, b"")?;
                pending.push(text.as_bytes())?;
                self.members.finish(pending)?;
            }
        }
        Ok(())
    }

    fn view(&mut self, entry: &Disclosed<'_>) -> Result<(), BundleError> {
        let Some(views) = &mut self.views else { return Ok(()) };
        let mut rendered = BTreeMap::new();
        render(entry, self.level, &mut rendered);
        for (view, text) in rendered {
            let pending = match views.entry(view) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => new.insert(Pending::new(&view.name(), view.title().as_bytes())?),
            };
            pending.push(text.as_bytes())?;
            self.members.drain(pending)?;
        }
        Ok(())
    }
}

/// Names and texts of the members that an entry brings along: the policy and the schema that it loads.
pub(super) fn attached<'e>(entry: &Disclosed<'e>) -> impl Iterator<Item = (String, std::borrow::Cow<'e, str>)> {
    let loads = entry.kind == Kind::PolicyLoad;
    let found = [("text", "policies", "cedar"), ("schema", "schema", "cedarschema")].map(|(member, folder, extension)| {
        let text = entry.text(Group::What, member).filter(|_| loads)?;
        Some((format!("{folder}/{}.{extension}", sha256_hex(text.as_bytes())), text))
    });
    found.into_iter().flatten()
}

/// A member while its contents come.
struct Pending {
    name: String,
    /// Contents while they are short; longer ones are compressed.
    plain: Vec<u8>,
    deflate: Option<Box<Deflate>>,
    extents: Vec<Extent>,
    digest: Context,
}

/// A part of a member in the spool.
#[derive(Debug, Clone, Copy)]
struct Extent {
    at: u64,
    length: u64,
}

impl Pending {
    fn new(name: &str, contents: &[u8]) -> io::Result<Self> {
        let mut pending = Self {
            name: name.to_owned(),
            plain: Vec::new(),
            deflate: None,
            extents: Vec::new(),
            digest: Context::new(&SHA256),
        };
        pending.push(contents)?;
        Ok(pending)
    }

    fn push(&mut self, contents: &[u8]) -> io::Result<()> {
        if let Some(deflate) = &mut self.deflate {
            return deflate.push(contents);
        }
        if self.plain.len() + contents.len() <= PLAIN_BYTES_MAX {
            self.plain.extend_from_slice(contents);
            return Ok(());
        }
        let mut deflate = Deflate::new();
        deflate.push(&std::mem::take(&mut self.plain))?;
        deflate.push(contents)?;
        self.deflate = Some(Box::new(deflate));
        Ok(())
    }
}

/// A member whose contents are in the spool.
struct Stored {
    name: String,
    extents: Vec<Extent>,
    size: u64,
    digest: Hash,
}

/// Members that are in the spool.
struct Members<S> {
    spool: S,
    end: u64,
    done: Vec<Stored>,
}

impl<S: Spool> Members<S> {
    /// Stores a member as it is.
    fn put(&mut self, name: &str, contents: &[u8]) -> Result<(), BundleError> {
        let mut pending = Pending::new(name, b"")?;
        self.store(&mut pending, contents)?;
        self.close(pending);
        Ok(())
    }

    /// Moves what a member has ready out of memory.
    fn drain(&mut self, pending: &mut Pending) -> Result<(), BundleError> {
        match pending.deflate.as_mut().and_then(|deflate| deflate.take(READY_BYTES)) {
            Some(ready) => self.store(pending, &ready),
            None => Ok(()),
        }
    }

    /// Stores the rest of a member, in the form its length asks for.
    fn finish(&mut self, mut pending: Pending) -> Result<(), BundleError> {
        let rest = match pending.deflate.take() {
            Some(deflate) => {
                pending.name.push_str(".gz");
                deflate.finish()?
            }
            None => std::mem::take(&mut pending.plain),
        };
        self.store(&mut pending, &rest)?;
        self.close(pending);
        Ok(())
    }

    fn store(&mut self, pending: &mut Pending, bytes: &[u8]) -> Result<(), BundleError> {
        self.spool.append(bytes)?;
        pending.digest.update(bytes);
        pending.extents.push(Extent {
            at: self.end,
            length: bytes.len() as u64,
        });
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn close(&mut self, pending: Pending) {
        self.done.push(Stored {
            name: pending.name,
            size: pending.extents.iter().map(|extent| extent.length).sum(),
            extents: pending.extents,
            digest: finish(pending.digest),
        });
    }
}

/// A bundle that is complete: reading it gives the archive.
pub struct Bundle<S> {
    spool: S,
    /// What is still to be read, last first.
    rest: Vec<Segment>,
    length: u64,
}

/// A stretch of the archive.
enum Segment {
    /// The header of a member of this name and size.
    Header(String, u64),
    /// Contents.
    Spooled(Extent),
    /// Bytes that were read from one of the others and not yet passed on.
    Bytes(Vec<u8>),
    /// NUL bytes.
    Zeros(usize),
}

impl<S: Spool> Bundle<S> {
    fn new(mut members: Members<S>) -> Result<Self, BundleError> {
        members.done.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut length = 2 * BLOCK as u64;
        let mut rest = Vec::new();
        for member in members.done {
            header(&member.name, member.size).ok_or(BundleError::Parts("a member's name or size does not fit the archive"))?;
            length += BLOCK as u64 + member.size.next_multiple_of(BLOCK as u64);
            rest.push(Segment::Header(member.name, member.size));
            rest.extend(member.extents.into_iter().map(Segment::Spooled));
            rest.push(Segment::Zeros(padding(member.size)));
        }
        rest.push(Segment::Zeros(2 * BLOCK));
        rest.reverse();
        Ok(Self {
            spool: members.spool,
            rest,
            length,
        })
    }

    /// Bytes of the archive, whatever was read of it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl<S: Spool> Read for Bundle<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(segment) = self.rest.pop() {
            let written = match segment {
                Segment::Header(name, size) => {
                    let block = header(&name, size).ok_or(io::ErrorKind::InvalidData)?;
                    self.pass(block.to_vec(), buffer)
                }
                Segment::Bytes(bytes) => self.pass(bytes, buffer),
                Segment::Zeros(count) => {
                    let written = count.min(buffer.len());
                    buffer.get_mut(..written).unwrap_or_default().fill(0);
                    if written < count {
                        self.rest.push(Segment::Zeros(count - written));
                    }
                    written
                }
                Segment::Spooled(Extent { at, length }) => {
                    let written = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                    self.spool.read(at, buffer.get_mut(..written).unwrap_or_default())?;
                    let (at, length) = (at + written as u64, length - written as u64);
                    if length > 0 {
                        self.rest.push(Segment::Spooled(Extent { at, length }));
                    }
                    written
                }
            };
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

impl<S> Bundle<S> {
    fn pass(&mut self, bytes: Vec<u8>, buffer: &mut [u8]) -> usize {
        let written = bytes.len().min(buffer.len());
        let (now, later) = bytes.split_at(written);
        buffer.get_mut(..written).unwrap_or_default().copy_from_slice(now);
        if !later.is_empty() {
            self.rest.push(Segment::Bytes(later.to_vec()));
        }
        written
    }
}

fn consistency(head: &BundleHead<'_>) -> Result<String, BundleError> {
    let to = head.checkpoint.unverified().size;
    let proofs: Vec<Value> = head
        .consistency
        .iter()
        .map(|proof| json!({ "from": proof.from, "hashes": texts(&proof.proof), "root": b64(&proof.root), "to": to }))
        .collect();
    Ok(canonical(&json!({ "proofs": proofs }))?)
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| b64(hash)).collect()
}
