//! Folds the rows of a bundle into its signed head, follows every entry, and compares what stands beside the rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::compare::{Digest, attach};
use super::format::Format;
use super::ledger::Ledger;
use super::level::open_set;
use super::member::Stored;
use super::verdict::{CLOSURE, COMPLETE, VIEWS};
use super::verify::{Job, Stop, canonical_json, hashes_of, number_of, text};
use super::views::Views;
use super::write::rows_name;
use super::{ROWS_PER_MEMBER, row};
use crate::checkpoint::Checkpoint;
use crate::disclosed::{Disclosed, GroupSet, Opened};
use crate::leaf::Kind;
use crate::merkle::{Frontier, Hash, verify_consistency, verify_inclusion};
use crate::trust::Trust;

impl Job<'_> {
    /// Folds the rows into the head and follows them. Gives the root at the auditor's last size, if it lies in the range.
    pub(super) fn rows(
        &mut self,
        stored: &mut Stored<'_>,
        start: &Checkpoint,
        head: &Checkpoint,
        trust: Option<&Trust>,
    ) -> Result<Option<Hash>, Stop> {
        const MALFORMED: Stop = "`proof/range` is malformed";
        let range = text(stored.take_plain("proof/range"))
            .ok()
            .and_then(|text| canonical_json(text.as_bytes()))
            .ok_or(MALFORMED)?;
        let (frontier, tail) = (
            hashes_of(&range, "frontier").ok_or(MALFORMED)?,
            hashes_of(&range, "tail").ok_or(MALFORMED)?,
        );
        let ends = (number_of(&range, "from"), number_of(&range, "to"));
        if ends != (Some(self.format.from), Some(self.format.to)) || range.as_object().is_none_or(|object| object.len() != 4) {
            return Err(MALFORMED);
        }
        let mut frontier = Frontier::from_parts(self.format.from, frontier).map_err(|_| MALFORMED)?;
        if frontier.root() != start.root {
            self.findings
                .fault(COMPLETE, None, "the fold does not begin at the start checkpoint");
        }

        let origin = self.origin.clone();
        let mut walk = Walk {
            ledger: Ledger::new(self.format.from, &origin, trust),
            views: Views::new(),
            attached: BTreeMap::new(),
            needed: BTreeSet::new(),
            erased: Vec::new(),
            erasers: HashSet::new(),
        };
        let context = self.context(stored, head)?;
        let split = context.partition_point(|entry| entry.index < self.format.from);
        let (before, after) = context.split_at(split);
        for entry in before {
            self.step(&mut walk, entry, false)?;
        }

        let seen = trust.and_then(|trust| trust.last.as_ref()).map(|last| last.size);
        let mut root_seen = None;
        let count = usize::try_from(self.format.to - self.format.from).map_err(|_| "the range is too long")?;
        for number in 0..count.div_ceil(ROWS_PER_MEMBER) {
            let bytes = stored.take(&rows_name(number))?;
            let lines = lines(&bytes)?;
            let mut rows_here = 0;
            for line in lines {
                let (entry, _) = row::read(line, false)?;
                if entry.index != frontier.size() || entry.index >= self.format.to {
                    return Err("rows are not numbered without gaps");
                }
                frontier.push(entry.leaf.hash());
                if Some(frontier.size()) == seen {
                    root_seen = Some(frontier.root());
                }
                rows_here += 1;
                self.step(&mut walk, &entry, true)?;
            }
            if rows_here != ROWS_PER_MEMBER.min(count - number * ROWS_PER_MEMBER) {
                return Err("a member holds too few or too many rows");
            }
        }
        if let Err(error) = verify_consistency(self.format.to, head.size, &tail, &frontier.root(), &head.root) {
            self.findings
                .fault(COMPLETE, None, format!("the rows do not fold into the signed head: {error}"));
        }
        for entry in after {
            self.step(&mut walk, entry, false)?;
        }

        if !walk.needed.iter().eq(context.iter().map(|entry| &entry.index)) {
            return Err("the context is not exactly what the rows rest on");
        }
        for (index, by) in &walk.erased {
            if by <= index || !walk.erasers.contains(by) {
                self.findings
                    .fault(CLOSURE, Some(*index), "its body is gone, and the entry it names erased nothing");
            }
        }
        self.counts.intents_open = walk.ledger.intents_open();
        self.beside(stored, walk)?;
        Ok(root_seen)
    }

    /// Reads the context, each entry proven to be under the head.
    fn context(&mut self, stored: &mut Stored<'_>, head: &Checkpoint) -> Result<Vec<Disclosed>, Stop> {
        let bytes = stored.take("rows/context.jsonl")?;
        let mut context: Vec<Disclosed> = Vec::new();
        for line in lines(&bytes)? {
            let (entry, proof) = row::read(line, true)?;
            if self.format.covers(entry.index) || context.last().is_some_and(|last| last.index >= entry.index) {
                return Err("the context is out of order");
            }
            if let Err(error) = verify_inclusion(&entry.leaf.hash(), entry.index, head.size, &proof, &head.root) {
                self.findings
                    .fault(COMPLETE, Some(entry.index), format!("it is not under the signed head: {error}"));
            }
            context.push(entry);
        }
        self.counts.context = context.len() as u64;
        Ok(context)
    }

    fn step(&mut self, walk: &mut Walk<'_>, entry: &Disclosed, in_range: bool) -> Result<(), Stop> {
        let header = &entry.leaf.header;
        let open = open_set(self.format.level, header.kind);
        match entry.opened() {
            Opened::Erased(by) => {
                walk.erased.push((entry.index, by));
                walk.need(by, &self.format);
            }
            Opened::Header if self.format.level < 2 || self.format.filter.is_some() => {}
            Opened::Full if self.format.level >= 2 && open == GroupSet::ALL => {}
            Opened::Partly(set) if self.format.level >= 2 && set == open && open != GroupSet::ALL => {}
            Opened::Header => {
                self.findings
                    .fault(COMPLETE, Some(entry.index), "its body is missing and nobody erased it");
            }
            Opened::Full | Opened::Partly(_) => return Err("a row opens other groups than its level says"),
        }
        if matches!(header.kind, Kind::Erase | Kind::RetentionDispose) {
            walk.erasers.insert(entry.index);
        }
        for index in header.refs.iter().copied().chain(header.pol) {
            walk.need(index, &self.format);
        }
        walk.ledger.admit(entry, &mut self.findings, &mut self.counts);
        attach(entry, &mut walk.attached);
        if in_range {
            self.counts.entries += 1;
            *self.counts.by_kind.entry(header.kind.as_str()).or_default() += 1;
            match entry.opened() {
                Opened::Full | Opened::Partly(_) => self.counts.opened += 1,
                Opened::Header => self.counts.header_only += 1,
                Opened::Erased(_) => self.counts.erased += 1,
            }
            walk.views.add(entry).map_err(|_| "a row has no canonical view")?;
        }
        Ok(())
    }

    /// Compares what stands beside the rows with what the rows give.
    fn beside(&mut self, stored: &mut Stored<'_>, walk: Walk<'_>) -> Result<(), Stop> {
        for (name, expected) in walk.attached {
            if stored.take(&name)? != expected {
                self.findings.fault(VIEWS, None, format!("`{name}` is not what the rows give"));
            }
        }
        for (name, expected) in walk.views.finish() {
            // A view that is longer than it should be is as wrong as one that differs; a missing one is a fault of form.
            match expected.equals_stored(&name, stored) {
                Ok(true) => {}
                Ok(false) | Err("a member is too long") => self.findings.fault(VIEWS, None, format!("`{name}` is not what the rows give")),
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }
}

/// What is gathered while the rows go by.
struct Walk<'a> {
    ledger: Ledger<'a>,
    views: Views<Digest>,
    attached: BTreeMap<String, Vec<u8>>,
    /// Entries outside the range that something rests on.
    needed: BTreeSet<u64>,
    /// Erased entries, each with the entry that is said to have erased it.
    erased: Vec<(u64, u64)>,
    erasers: HashSet<u64>,
}

impl Walk<'_> {
    fn need(&mut self, index: u64, format: &Format) {
        if !format.covers(index) {
            self.needed.insert(index);
        }
    }
}

/// Lines, each ended by a line break.
fn lines(bytes: &[u8]) -> Result<impl Iterator<Item = &str>, Stop> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a row is not text")?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("a row is cut short");
    }
    Ok(text.split_terminator('\n'))
}
