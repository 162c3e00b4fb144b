//! Folds the rows of a bundle into its signed head, follows every entry, and compares what stands beside the rows.
//!
//! Members of rows are read, decompressed and hashed by several threads; one follows the entries in their order, and hands the
//! signatures it meets back to the others. A few members are in memory at any time, however long the range is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Seek};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use super::archive::{Archive, Member, Stop, finish};
use super::format::Format;
use super::ledger::{Check, Ledger, disposes};
use super::level::open_set;
use super::member::{PLAIN_BYTES_MAX, inflate};
use super::pool::Pool;
use super::rows::{MEMBER_BYTES_MAX, ROWS_MAX, Rows, context_name, rows_name};
use super::stamps::Brackets;
use super::verdict::{CLOSURE, COMPLETE, Counts, Findings, HEAD, LISTED_MAX, SIGNATURES, VIEWS};
use super::verify::{Job, SMALL, ViewSink, hashes_of, json, number_of};
use super::views::{View, always, render};
use super::write::attached;
use crate::body::Group;
use crate::checkpoint::Checkpoint;
use crate::disclosed::{Disclosed, GroupSet, Opened, Page};
use crate::leaf::Kind;
use crate::merkle::{Frontier, Hash, subtrees, verify_consistency, verify_inclusion};
use crate::signed::Misfit;
use crate::trust::Trust;

/// Members that are read ahead of the one that is followed, beside one for each thread.
const AHEAD: usize = 2;
/// Members whose signatures are still being checked, at most.
const HELD_MAX: usize = 8;
/// Signatures checked together.
const CHECKS_TOGETHER: usize = 16;

impl Job {
    /// Folds the rows into the head and follows them. Gives the root at the auditor's last size, if it lies in the range.
    pub(super) fn rows<S: Read + Seek + Send>(
        &mut self,
        archive: &mut Archive<S>,
        start: &Checkpoint,
        head: &Checkpoint,
        trust: Option<&Trust>,
        brackets: Brackets,
        sink: Option<ViewSink<'_>>,
    ) -> Result<Option<Hash>, Stop> {
        let (mut frontier, tail) = self.range(archive)?;
        if frontier.root() != start.root {
            self.findings
                .fault(COMPLETE, None, "the fold does not begin at the start checkpoint");
        }
        let pages = self.pages(archive);
        let rows_total = pages.rows.len();
        let order = pages.in_order(&self.format);
        let context_max = pages.context.len() * ROWS_MAX;

        let reader = Reader {
            level: shown(&self.format, sink.is_some()),
            views: self.format.views || sink.is_some(),
            head,
        };
        let origin = self.origin.clone();
        let mut walk = Walk {
            ledger: Ledger::new(self.format.from, &origin, trust),
            brackets,
            format: self.format.clone(),
            views: Views::new(&self.format, sink),
            attached: BTreeSet::new(),
            needed: BTreeSet::new(),
            context: Vec::new(),
            context_max,
            erased: BTreeMap::new(),
            erasers: BTreeMap::new(),
            disposed: BTreeMap::new(),
            disposers: BTreeMap::new(),
            kinds: vec![0; Kind::ALL.len()],
            rotations: self.rotations.indices().collect(),
        };
        let seen = trust.and_then(|trust| trust.last.as_ref()).map(|last| last.size);
        let mut root_seen = None;

        let slots = Mutex::new(HashMap::<usize, Result<Parsed, Stop>>::new());
        let held = AtomicUsize::new(0);
        let failures = Mutex::new(Failures::default());
        let (shared, order, findings, counts) = (&*archive, &order, &mut self.findings, &mut self.counts);
        let result = Pool::run(self.threads, |pool| -> Result<(), Stop> {
            let mut asked = 0;
            for (number, stage) in order.iter().enumerate() {
                while asked < order.len() && asked < number + self.threads + AHEAD {
                    let (reader, slots) = (&reader, &slots);
                    if let Some(stage) = order.get(asked) {
                        pool.ask(move || {
                            let parsed = reader.read(shared, stage.page);
                            lock(slots).insert(asked, parsed);
                        });
                    }
                    asked += 1;
                }
                let parsed = pool.wait(|| lock(&slots).remove(&number))?;
                let page = stage.page;
                if stage.part == Part::Rows {
                    if page.first != frontier.size() {
                        return Err("rows are not numbered without gaps".into());
                    }
                    let end = page.first + parsed.rows.page.len() as u64;
                    if let Some(size) = seen.filter(|size| (page.first..=end).contains(size)) {
                        let mut until = frontier.clone();
                        parsed
                            .rows
                            .page
                            .hashes()
                            .take((size - page.first) as usize)
                            .for_each(|hash| until.push(*hash));
                        root_seen = Some(until.root());
                    }
                    for (level, root) in &parsed.subtrees {
                        frontier.push_subtree(*level, *root);
                    }
                }
                if !parsed.rows.full && !page.last {
                    return Err("a member holds too few rows".into());
                }
                walk.page(stage, &parsed, findings, counts)?;
                let checks = walk.ledger.take_checks();
                if !checks.is_empty() {
                    let page = Arc::new(Held::new(parsed.rows.page, &held));
                    let mut checks = checks.into_iter().peekable();
                    while checks.peek().is_some() {
                        let together: Vec<Check> = checks.by_ref().take(CHECKS_TOGETHER).collect();
                        let (page, failures) = (Arc::clone(&page), &failures);
                        pool.ask(move || {
                            let misfits = together.iter().filter_map(|check| check.run(&page.page));
                            let misfits: Vec<_> = misfits.collect();
                            lock(failures).add(misfits);
                        });
                    }
                    drop(page);
                    pool.wait(|| (held.load(Ordering::Acquire) <= HELD_MAX).then_some(()));
                }
            }
            pool.wait(|| (held.load(Ordering::Acquire) == 0).then_some(()));
            Ok(())
        });
        result?;
        lock(&failures).tell(&mut self.findings, &mut self.counts);
        if frontier.size() != self.format.to || (rows_total == 0) != (self.format.from == self.format.to) {
            return Err("rows are not numbered without gaps".into());
        }
        if let Err(error) = verify_consistency(self.format.to, head.size, &tail, &frontier.root(), &head.root) {
            self.findings
                .fault(COMPLETE, None, format!("the rows do not fold into the signed head: {error}"));
        }
        self.settle(&mut walk)?;
        self.beside(archive, walk)?;
        Ok(root_seen)
    }

    /// `proof/range`: the frontier at the start, and the proof from the end of the range to the head.
    fn range<S: Read + Seek>(&self, archive: &mut Archive<S>) -> Result<(Frontier, Vec<Hash>), Stop> {
        const MALFORMED: Stop = Stop::Form("`proof/range` is malformed");
        let text = archive.take_text("proof/range", SMALL)?;
        let range = json(&text).ok_or(MALFORMED)?;
        let (frontier, tail) = (
            hashes_of(range, "frontier").ok_or(MALFORMED)?,
            hashes_of(range, "tail").ok_or(MALFORMED)?,
        );
        let ends = (number_of(range, "from"), number_of(range, "to"));
        if ends != (Some(self.format.from), Some(self.format.to)) || range.members().count() != 4 {
            return Err(MALFORMED);
        }
        let frontier = Frontier::from_parts(self.format.from, frontier).map_err(|_| MALFORMED)?;
        Ok((frontier, tail))
    }

    /// Takes the members that hold entries.
    fn pages<S: Read + Seek>(&self, archive: &mut Archive<S>) -> Pages {
        let mut find = |folder: &str, name_of: fn(u64) -> String| {
            let names = archive.members().iter().map(|member| member.name.to_string());
            let names: Vec<String> = names.filter(|name| name.starts_with(folder)).collect();
            let mut pages: Vec<Source> = Vec::new();
            for name in names {
                let compressed = name.ends_with(".gz");
                let plain = name.strip_suffix(".gz").unwrap_or(&name);
                let digits = plain.strip_prefix(folder).and_then(|rest| rest.strip_suffix(".jsonl"));
                let first = digits
                    .and_then(|digits| digits.parse().ok())
                    .filter(|first| name_of(*first) == plain);
                // Whatever has another name is left over, and does not belong.
                if let (Some(first), Some(member)) = (first, archive.take(&name)) {
                    pages.push(Source {
                        first,
                        member,
                        compressed,
                        context: folder == "context/",
                        last: false,
                    });
                }
            }
            if let Some(page) = pages.last_mut() {
                page.last = true;
            }
            pages
        };
        Pages {
            context: find("context/", context_name),
            rows: find("rows/", rows_name),
        }
    }

    /// What can be said only when every entry is known.
    fn settle(&mut self, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        if !walk.needed.iter().eq(&walk.context) {
            return Err("the context is not exactly what the rows rest on".into());
        }
        // From level 2 on, what took bodies away is opened. What nobody did is sealed under no person's key, and cannot be erased.
        let closed = self.format.level < 2;
        for ((by, act), last) in &walk.erased {
            let theirs = match walk.erasers.get(by) {
                Some(Some(subject)) => act.as_ref() == Some(subject),
                Some(None) => closed && act.is_some(),
                None => false,
            };
            if by <= last || !theirs {
                self.findings
                    .fault(CLOSURE, Some(*last), "its body is gone, and the entry it names did not erase it");
            }
        }
        for (gone, last) in &walk.disposed {
            let covered = match walk.disposers.get(&gone.by) {
                Some(Some(bodies)) => bodies.iter().any(|(kind, before)| *kind == gone.kind && last < before),
                Some(None) => closed,
                None => false,
            };
            if !covered || gone.by <= *last {
                self.findings.fault(
                    CLOSURE,
                    Some(*last),
                    "its body is gone, and the entry it names did not dispose of it",
                );
            }
        }
        self.counts.context = walk.context.len() as u64;
        self.counts.intents_open = walk.ledger.intents_open();
        let kinds = Kind::ALL.iter().zip(&walk.kinds).filter(|(_, count)| **count > 0);
        self.counts.by_kind = kinds.map(|(kind, count)| (kind.as_str(), *count)).collect();
        Ok(())
    }

    /// Compares what stands beside the rows with what the rows give.
    fn beside<S: Read + Seek + Send>(&mut self, archive: &mut Archive<S>, walk: Walk<'_, '_>) -> Result<(), Stop> {
        for name in &walk.attached {
            // Such a member is named after the hash of its contents.
            let (member, compressed) = archive.take_stored(name).ok_or("a member is missing")?;
            let found = Digest::of(archive, &member, compressed)?;
            if !name.contains(&crate::encode::to_hex(&found.hash)) {
                self.findings.fault(VIEWS, None, format!("`{name}` is not what the rows give"));
            }
        }
        if !self.format.views {
            return Ok(());
        }
        let mut expected = Vec::new();
        let carried = |view: View| self.format.level > 1 || view == View::Population;
        for (view, digest) in walk.views.finish().filter(|(view, _)| carried(*view)) {
            let (member, compressed) = archive.take_stored(&view.name()).ok_or("a member is missing")?;
            expected.push((view, digest, member, compressed));
        }
        let found = Mutex::new(Vec::new());
        let shared = &*archive;
        Pool::run(self.threads, |pool| {
            for (view, expected, member, compressed) in &expected {
                let found = &found;
                pool.ask(move || {
                    let same = Digest::of(shared, member, *compressed).map(|digest| digest == *expected);
                    lock(found).push((*view, same));
                });
            }
            pool.wait(|| (lock(&found).len() == expected.len()).then_some(()));
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(view, _)| *view);
        for (view, same) in found {
            if !same? {
                self.findings
                    .fault(VIEWS, None, format!("`{}` is not what the rows give", view.name()));
            }
        }
        Ok(())
    }
}

/// A member that holds entries.
struct Source {
    /// Index of its first entry.
    first: u64,
    member: Member,
    compressed: bool,
    context: bool,
    /// Whether it is the last of its sort.
    last: bool,
}

/// The members that hold entries.
struct Pages {
    context: Vec<Source>,
    rows: Vec<Source>,
}

/// Which entries of a member have their turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Context before the range.
    Before,
    Rows,
    /// Context behind the range.
    After,
}

struct Stage<'p> {
    page: &'p Source,
    part: Part,
}

impl Pages {
    /// All members in log order. A member of context that reaches over the range has two turns.
    fn in_order(&self, format: &Format) -> Vec<Stage<'_>> {
        let before = self.context.iter().filter(|page| page.first < format.from);
        let behind = self.context.iter().enumerate().filter(|(at, _)| {
            let next = self.context.get(at + 1).map(|next| next.first);
            next.is_none_or(|next| next >= format.to)
        });
        let stage = |part| move |page| Stage { page, part };
        before
            .map(stage(Part::Before))
            .chain(self.rows.iter().map(stage(Part::Rows)))
            .chain(behind.map(|(_, page)| page).map(stage(Part::After)))
            .collect()
    }
}

/// The level whose views are made: whoever takes them as they are made gets all of them, where nothing is opened with headers only.
fn shown(format: &Format, taken: bool) -> u8 {
    if taken { format.level.max(2) } else { format.level }
}

/// Reads members, on any thread.
struct Reader<'h> {
    level: u8,
    views: bool,
    head: &'h Checkpoint,
}

/// A member that was read.
struct Parsed {
    rows: Rows,
    subtrees: Vec<(u32, Hash)>,
    /// Entries of context that are not under the head, and why.
    strangers: Vec<(u64, String)>,
    views: BTreeMap<View, String>,
}

impl Reader<'_> {
    fn read<S: Read + Seek>(&self, archive: &Archive<S>, page: &Source) -> Result<Parsed, Stop> {
        // Deflate makes nothing much longer than it was.
        let stored = archive.read(&page.member, 2 * MEMBER_BYTES_MAX as u64)?;
        let text = if page.compressed {
            inflate(&stored, MEMBER_BYTES_MAX)?
        } else if stored.len() <= PLAIN_BYTES_MAX {
            String::from_utf8(stored).map_err(|_| "a row is not text")?
        } else {
            return Err("a long member is not compressed".into());
        };
        let rows = Rows::parse(&text, page.first, page.context)?;
        let mut parsed = Parsed {
            subtrees: Vec::new(),
            strangers: Vec::new(),
            views: BTreeMap::new(),
            rows,
        };
        if page.context {
            for (entry, proof) in parsed.rows.page.iter().zip(&parsed.rows.proofs) {
                if let Err(error) = verify_inclusion(entry.hash, entry.index, self.head.size, proof, &self.head.root) {
                    parsed
                        .strangers
                        .push((entry.index, format!("it is not under the signed head: {error}")));
                }
            }
        } else {
            parsed.subtrees = subtrees(page.first, parsed.rows.page.hashes());
            if self.views {
                for entry in parsed.rows.page.iter() {
                    render(&entry, self.level, &mut parsed.views);
                }
            }
        }
        Ok(parsed)
    }
}

/// Bodies that are gone alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gone {
    kind: Kind,
    /// The entry that is said to have disposed of them.
    by: u64,
}

/// What is gathered while the entries go by.
struct Walk<'a, 's> {
    ledger: Ledger<'a>,
    brackets: Brackets,
    format: Format,
    views: Views<'s>,
    /// Names of the members that policies bring along.
    attached: BTreeSet<String>,
    /// Entries outside the range that something rests on.
    needed: BTreeSet<u64>,
    /// Entries of context, in order.
    context: Vec<u64>,
    context_max: usize,
    /// The last erased entry of each person, under each entry that is said to have erased it.
    erased: BTreeMap<(u64, Option<String>), u64>,
    /// Whom entries say that was erased. Absent where that is not opened.
    erasers: BTreeMap<u64, Option<String>>,
    /// The last body that is gone, of each kind, under each entry that is said to have disposed of it.
    disposed: BTreeMap<Gone, u64>,
    /// What entries say that was disposed of: kinds, and indices before which bodies are gone. Absent where that is not opened.
    disposers: BTreeMap<u64, Option<Vec<(Kind, u64)>>>,
    kinds: Vec<u64>,
    /// Entries that replaced the log's key, as the bundle tells beside its rows.
    rotations: BTreeSet<u64>,
}

impl Walk<'_, '_> {
    fn page(&mut self, stage: &Stage<'_>, parsed: &Parsed, findings: &mut Findings, counts: &mut Counts) -> Result<(), Stop> {
        let (from, part) = (self.format.from, stage.part);
        let has_turn = |index: u64| match part {
            Part::Before => index < from,
            Part::Rows => true,
            Part::After => index >= from,
        };
        for (index, what) in parsed.strangers.iter().filter(|(index, _)| has_turn(*index)) {
            findings.fault(COMPLETE, Some(*index), what);
        }
        for (at, entry) in parsed.rows.page.iter().enumerate().filter(|(_, entry)| has_turn(entry.index)) {
            if part == Part::Rows {
                if entry.index >= self.format.to {
                    return Err("rows are not numbered without gaps".into());
                }
                self.count(&entry, counts);
            } else {
                let in_order = self.context.last().is_none_or(|last| *last < entry.index);
                if self.format.covers(entry.index) || !in_order {
                    return Err("the context is out of order".into());
                }
                self.context.push(entry.index);
            }
            self.step(at, &entry, findings, counts)?;
        }
        if self.needed.len() > self.context_max {
            return Err("the context is not exactly what the rows rest on".into());
        }
        self.views.add(&parsed.views);
        Ok(())
    }

    fn step(&mut self, at: usize, entry: &Disclosed<'_>, findings: &mut Findings, counts: &mut Counts) -> Result<(), Stop> {
        let (level, filter) = (self.format.level, &self.format.filter);
        let open = open_set(level, entry.kind);
        match entry.opened {
            Opened::Erased(by) => {
                let last = self.erased.entry((by, entry.act.map(ToOwned::to_owned))).or_default();
                *last = entry.index.max(*last);
                self.need(by);
            }
            Opened::Disposed(by) => {
                let last = self.disposed.entry(Gone { kind: entry.kind, by }).or_default();
                *last = entry.index.max(*last);
                self.need(by);
            }
            Opened::Header if level < 2 => {}
            Opened::Header => match filter {
                None => findings.fault(COMPLETE, Some(entry.index), "its body is missing and nobody erased it"),
                Some(filter) if self.format.covers(entry.index) && filter.shows(entry.kind, entry.act, entry.ds) => {
                    findings.fault(COMPLETE, Some(entry.index), "its body is withheld although the filter asks for it");
                }
                Some(_) => {}
            },
            Opened::Full if level >= 2 && open == GroupSet::ALL => {}
            Opened::Partly(set) if level >= 2 && set == open && open != GroupSet::ALL => {}
            Opened::Full | Opened::Partly(_) => return Err("a row opens other groups than its level says".into()),
        }
        match entry.kind {
            Kind::Erase => {
                let subject = entry
                    .member(Group::What, "subject")
                    .and_then(|subject| Some(subject.as_str()?.into_owned()));
                self.erasers.insert(entry.index, subject);
            }
            Kind::RetentionDispose => {
                self.disposers.insert(entry.index, disposes(entry));
            }
            // A head under a key that was replaced here would pass for the log's, were this left out.
            Kind::KeyRotate if !self.rotations.contains(&entry.index) => {
                findings.fault(
                    HEAD,
                    Some(entry.index),
                    "it replaces the log's key, and the bundle does not tell so beside its rows",
                );
            }
            _ => {}
        }
        for index in entry.refs.iter().chain(&entry.pol) {
            self.need(*index);
        }
        self.ledger.admit(at, entry, findings, counts);
        self.brackets.admit(entry, findings);
        if entry.kind == Kind::PolicyLoad {
            self.attached.extend(attached(entry).map(|(name, _)| name));
        }
        Ok(())
    }

    fn count(&mut self, entry: &Disclosed<'_>, counts: &mut Counts) {
        counts.entries += 1;
        if let Some(count) = self.kinds.get_mut(entry.kind as usize) {
            *count += 1;
        }
        match entry.opened {
            Opened::Full | Opened::Partly(_) => counts.opened += 1,
            Opened::Header => counts.header_only += 1,
            Opened::Erased(_) => counts.erased += 1,
            Opened::Disposed(_) => counts.disposed += 1,
        }
    }

    fn need(&mut self, index: u64) {
        if !self.format.covers(index) {
            self.needed.insert(index);
        }
    }
}

/// Views as hashes, so that none ever stands in memory; and whoever wants to have them.
struct Views<'s> {
    contexts: BTreeMap<View, (Context, u64)>,
    sink: Option<ViewSink<'s>>,
}

impl<'s> Views<'s> {
    fn new(format: &Format, sink: Option<ViewSink<'s>>) -> Self {
        let mut views = Self {
            contexts: BTreeMap::new(),
            sink,
        };
        if format.views || views.sink.is_some() {
            for view in always(shown(format, views.sink.is_some())) {
                views.put(*view, "");
            }
        }
        views
    }

    fn add(&mut self, rendered: &BTreeMap<View, String>) {
        for (view, text) in rendered {
            self.put(*view, text);
        }
    }

    fn put(&mut self, view: View, text: &str) {
        let title = (!self.contexts.contains_key(&view)).then(|| view.title());
        let (context, length) = self.contexts.entry(view).or_insert_with(|| (Context::new(&SHA256), 0));
        for text in title.as_deref().into_iter().chain([text]) {
            context.update(text.as_bytes());
            *length += text.len() as u64;
            if let Some(sink) = &mut self.sink {
                sink(&view.name(), text);
            }
        }
    }

    fn finish(self) -> impl Iterator<Item = (View, Digest)> {
        self.contexts.into_iter().map(|(view, (context, length))| {
            let hash = finish(context);
            (view, Digest { hash, length })
        })
    }
}

/// Contents as length and hash.
#[derive(PartialEq, Eq)]
struct Digest {
    hash: Hash,
    length: u64,
}

impl Digest {
    fn of<S: Read + Seek>(archive: &Archive<S>, member: &Member, compressed: bool) -> Result<Self, Stop> {
        let (mut context, mut length) = (Context::new(&SHA256), 0);
        archive.read_contents(member, compressed, &mut |part| {
            context.update(part);
            length += part.len() as u64;
            Ok(())
        })?;
        Ok(Self {
            hash: finish(context),
            length,
        })
    }
}

/// A page whose signatures are being checked.
struct Held<'c> {
    page: Page,
    held: &'c AtomicUsize,
}

impl<'c> Held<'c> {
    fn new(page: Page, held: &'c AtomicUsize) -> Self {
        held.fetch_add(1, Ordering::AcqRel);
        Self { page, held }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Signatures that do not fit, whichever thread found them.
#[derive(Default)]
struct Failures {
    total: u64,
    first: Vec<(u64, Misfit)>,
}

impl Failures {
    fn add(&mut self, misfits: Vec<(u64, Misfit)>) {
        self.total += misfits.len() as u64;
        self.first.extend(misfits);
        // Which ones are listed must not depend on who was faster.
        self.first.sort_unstable();
        self.first.truncate(LISTED_MAX);
    }

    fn tell(&self, findings: &mut Findings, counts: &mut Counts) {
        counts.signatures = counts.signatures.saturating_sub(self.total);
        for (index, what) in &self.first {
            findings.fault(SIGNATURES, Some(*index), *what);
        }
        findings.faults_total += self.total - self.first.len() as u64;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
