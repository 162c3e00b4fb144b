//! Bundles: a stretch of the log that others can check without us, put together page by page.
//!
//! However long the range, a page of entries is in memory at a time, and the log's reader is held only while one is read. What
//! takes long happens on a thread of its own.

use std::ops::Range;
use std::sync::Arc;

use chunk_evidence::bundle::{
    Bundle, BundleEntry, BundleHead, BundlePlan, BundleWriter, Consistency, EntryBody, Filter, Reach, StampedCheckpoint, chosen_stamps,
};
use chunk_log::signer::LogSigner;
use tokio::runtime::Handle;

use super::log::{Log, Opened, Published, requests_named};
use super::proofs::{broken, document, rotations};
use super::spool::SealedSpool;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::error::Error;
use crate::timestamp::{Head, Timestamps};
use crate::witness::Witnesses;

/// What a bundle is asked to hold.
pub(crate) struct Wanted {
    /// Entries it covers.
    pub(crate) range: Range<u64>,
    /// Sizes whose trees its head shall be shown to extend.
    pub(crate) seen: Vec<u64>,
    /// How much of the bodies it opens.
    pub(crate) level: u8,
    /// Whether views stand in it.
    pub(crate) views: bool,
    /// Which entries are opened.
    pub(crate) filter: Filter,
}

/// Puts a bundle together.
pub(crate) async fn write(broker: &Broker, head: &Arc<Published>, wanted: Wanted) -> Result<Bundle<SealedSpool>, Error> {
    let job = Job {
        log: broker.log.clone(),
        signer: Arc::clone(&broker.signer),
        head: Arc::clone(head),
        witness: Arc::clone(&broker.witness),
        timestamps: Arc::clone(&broker.timestamps),
        decided: None,
        clock: Arc::clone(&broker.clock),
        runtime: Handle::current(),
        reach: Reach::new(wanted.range.clone(), !wanted.filter.is_empty()),
        last: wanted.range.end,
        wanted,
    };
    match tokio::task::spawn_blocking(move || job.run()).await {
        Ok(written) => written,
        Err(fault) => Err(broken(fault.into())),
    }
}

/// Why a body is gone: the index of the entry that says so.
#[derive(Clone, Copy)]
enum Gone {
    Erased(u64),
    Disposed(u64),
}

impl Gone {
    fn by(self) -> u64 {
        match self {
            Gone::Erased(by) | Gone::Disposed(by) => by,
        }
    }
}

struct Job {
    log: Log,
    signer: Arc<LogSigner>,
    head: Arc<Published>,
    witness: Arc<Witnesses>,
    timestamps: Arc<Timestamps>,
    /// The head, once it is decided on.
    decided: Option<Head>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    wanted: Wanted,
    reach: Reach,
    /// Size of the tree that holds everything the bundle rests on.
    last: u64,
}

impl Job {
    fn run(mut self) -> Result<Bundle<SealedSpool>, Error> {
        let from = self.wanted.range.start;
        let (root, frontier) = self.tree(|tree| Some((tree.root(from)?, tree.frontier(from)?)))?;
        let start = self.signer.sign(from, root).map_err(|fault| broken(fault.into()))?;
        let plan = BundlePlan {
            level: self.wanted.level,
            range: self.wanted.range.clone(),
            filter: self.wanted.filter.clone(),
            views: self.wanted.views,
            start: &start,
            frontier: &frontier,
            log_key: self.signer.verifier(),
        };
        let spool = SealedSpool::new().map_err(|fault| broken(fault.into()))?;
        let mut writer = BundleWriter::begin(plan, spool).map_err(|fault| broken(fault.into()))?;
        if self.wanted.level > 0 {
            if !self.wanted.filter.is_empty() {
                self.choose()?;
            }
            self.rows(&mut writer)?;
        }
        self.settle()?;
        self.finish(writer)
    }

    /// Finds out which entries a filter opens: the range is looked at from its end, because references lead backwards.
    fn choose(&mut self) -> Result<(), Error> {
        loop {
            let mut end = self.wanted.range.end;
            while end > self.wanted.range.start {
                let from = end.saturating_sub(PAGE).max(self.wanted.range.start);
                for entry in self.read(from, end)?.iter().rev() {
                    let matches = matches(&self.wanted.filter, entry);
                    self.look(entry, matches);
                }
                end = from;
            }
            self.look_outside()?;
            if !self.reach.again() {
                return Ok(());
            }
        }
    }

    fn rows(&mut self, writer: &mut BundleWriter<SealedSpool>) -> Result<(), Error> {
        let Range { start, end } = self.wanted.range;
        let mut from = start;
        while from < end {
            let to = end.min(from + PAGE);
            for entry in self.read(from, to)? {
                if self.wanted.filter.is_empty() {
                    self.look(&entry, true);
                }
                self.with_entry(&entry, |row| writer.row(row))?;
            }
            from = to;
        }
        self.look_outside()?;
        let outside: Vec<u64> = self.reach.outside().collect();
        self.settle()?;
        for index in outside {
            let proof = self.tree(|tree| tree.inclusion(index, self.last))?;
            let entry = self.read_one(index)?;
            self.with_entry(&entry, |row| writer.context(row, &proof))?;
        }
        Ok(())
    }

    /// Decides on the head: the oldest that reaches everything the bundle rests on, so that the same question has the same answer
    /// later; where others vouched for the log or stamped it, one that was a head before.
    fn settle(&mut self) -> Result<(), Error> {
        let kept = self.wanted.seen.iter().copied().filter(|size| *size <= self.head.state.size);
        // A head is signed by the key in force, which says so below it to those who know an older one.
        self.last = kept.fold(self.last, u64::max).max(self.head.state.rotated());
        if self.decided.is_none() {
            self.decided = Some(self.decide()?);
        }
        self.last = self.decided.as_ref().map_or(self.last, |head| head.checkpoint.unverified().size);
        Ok(())
    }

    fn decide(&self) -> Result<Head, Error> {
        if let Some(head) = self.timestamps.head_for(self.last) {
            return Ok(head);
        }
        let stamped = self.timestamps.covering(self.last).filter(|stamped| self.witness.vouch(stamped));
        let vouched = match stamped {
            Some(stamped) => Some(Arc::new(stamped)),
            None => self.runtime.block_on(self.witness.head_for(self.last, self.clock.now_ms())),
        };
        let checkpoint = match vouched {
            Some(checkpoint) => checkpoint,
            None => {
                let root = self.tree(|tree| tree.root(self.last))?;
                Arc::new(self.signer.sign(self.last, root).map_err(|fault| broken(fault.into()))?)
            }
        };
        // A head that witnesses should have vouched for and did not is none for good: they may do so later.
        let noted = self.witness.vouch(&checkpoint);
        Ok(self.timestamps.head(checkpoint, noted))
    }

    /// The stamps that the bundle carries.
    fn stamps(&self, head: &Head) -> Vec<StampedCheckpoint> {
        let chosen = chosen_stamps(self.wanted.range.start, &self.timestamps.sizes(head));
        let read = chosen.into_iter().filter_map(|size| self.timestamps.read(size));
        read.filter(|stamped| {
            let says = stamped.checkpoint.unverified();
            let fits = self.log.with_tree(|tree| tree.root(says.size)) == Some(says.root);
            if !fits {
                tracing::error!(size = says.size, "a time stamp that was kept is of another tree; it is left out");
            }
            fits
        })
        .collect()
    }

    fn finish(mut self, writer: BundleWriter<SealedSpool>) -> Result<Bundle<SealedSpool>, Error> {
        let Range { start, end } = self.wanted.range;
        let size = self.last;
        let decided = match self.decided.take() {
            Some(decided) => decided,
            None => self.decide()?,
        };
        let stamped = self.stamps(&decided);
        let rotations = self.runtime.block_on(rotations(&self.log, &self.head.state, size))?;
        // The first proof is that of the start. Sizes beyond the head cannot be met; the auditor's verifier says so.
        let mut sizes: Vec<u64> = self.wanted.seen.clone();
        sizes.extend(stamped.iter().map(|stamped| stamped.checkpoint.unverified().size));
        sizes.retain(|kept| *kept != start && *kept > 0 && *kept <= size);
        sizes.sort_unstable();
        sizes.dedup();
        let (consistency, tail) = self.tree(|tree| {
            let proofs = std::iter::once(start).chain(sizes).map(|from| {
                Some(Consistency {
                    from,
                    root: tree.root(from)?,
                    proof: tree.consistency(from, size)?,
                })
            });
            Some((proofs.collect::<Option<Vec<_>>>()?, tree.consistency(end, size)?))
        })?;
        let head = BundleHead {
            checkpoint: &decided.checkpoint,
            consistency,
            tail: &tail,
            stamped: &stamped,
            rotations: &rotations,
        };
        writer
            .finish(&head, |payload_type, payload| self.signer.statement(payload_type, payload))
            .map_err(|fault| broken(fault.into()))
    }

    fn look(&mut self, entry: &Opened, matches: bool) {
        let erased_by = self.gone_by(entry).map(|gone| gone.by());
        self.last = erased_by.map_or(self.last, |by| self.last.max(by + 1));
        self.reach.look(entry.index, &entry.leaf.header, erased_by, matches);
    }

    fn look_outside(&mut self) -> Result<(), Error> {
        while let Some(index) = self.reach.next_outside() {
            let entry = self.read_one(index)?;
            self.last = self.last.max(index + 1);
            self.look(&entry, false);
        }
        Ok(())
    }

    /// The entry that says why this one's body is gone.
    fn gone_by(&self, entry: &Opened) -> Option<Gone> {
        if entry.body.is_some() {
            return None;
        }
        let state = &self.head.state;
        match &entry.erased_key {
            Some(key) => state.erased_keys.get(key).copied().map(Gone::Erased),
            None => state.disposed_by(entry.leaf.header.kind, entry.index).map(Gone::Disposed),
        }
    }

    fn with_entry(
        &self,
        entry: &Opened,
        add: impl FnOnce(&BundleEntry<'_>) -> Result<(), chunk_evidence::bundle::BundleError>,
    ) -> Result<(), Error> {
        let (leaf, kept);
        let body = match self.gone_by(entry) {
            Some(Gone::Erased(by)) => EntryBody::Erased(by),
            Some(Gone::Disposed(by)) => EntryBody::Disposed(by),
            None => {
                kept = document(entry)?;
                EntryBody::Document(&kept)
            }
        };
        leaf = entry.leaf.to_bytes();
        let row = BundleEntry {
            index: entry.index,
            leaf: &leaf,
            body,
            opened: self.reach.opens(entry.index),
        };
        add(&row).map_err(|fault| broken(fault.into()))
    }

    fn read(&self, from: u64, to: u64) -> Result<Vec<Opened>, Error> {
        let count = usize::try_from(to - from).unwrap_or(usize::MAX);
        let page = self.runtime.block_on(self.log.read(from, count))?;
        if page.len() == count {
            Ok(page)
        } else {
            Err(broken("the log ends before the range does".into()))
        }
    }

    fn read_one(&self, index: u64) -> Result<Opened, Error> {
        self.runtime.block_on(self.log.read_one(index))
    }

    fn tree<T>(&self, look: impl FnOnce(&chunk_log::tree::Tree) -> Option<T>) -> Result<T, Error> {
        self.log
            .with_tree(look)
            .ok_or_else(|| broken("the tree does not reach the head".into()))
    }
}

/// Whether a filter asks for an entry: what headers say is the filter's to tell, which request it is about the body's.
pub(crate) fn matches(filter: &Filter, entry: &Opened) -> bool {
    let header = &entry.leaf.header;
    let names = |request: &str| {
        let body = entry.body.as_ref().map(|(_, body)| body);
        body.is_some_and(|body| requests_named(body).any(|named| named == request))
    };
    filter.matches(header.kind, header.act.as_deref(), header.ds.as_deref()) && filter.request.as_deref().is_none_or(names)
}

/// Entries in memory at a time; each may be a MiB.
const PAGE: u64 = 128;
