//! Results that are delivered in chunks: held at one moment of their source, between the first chunk and the last.
//!
//! The log says into how many chunks a result is cut and names the moment; what is held here is only the source's end of that, and goes
//! when the broker stops. A chunk of a moment that is gone is never delivered as if it were of it: the client is told, and begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chunk_port::Chunked;
use chunk_wire::fetch::Budget;
use chunk_wire::id::{ActorId, RequestId};

use crate::broker::Broker;
use crate::limits::{CUT_HELD_MS, DELIVERIES_PER_PERSON_MAX};

/// What a delivery, or all chunks of one result, may still carry.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<(u64, u64)>);

impl Allowance {
    pub(super) fn new(budget: Budget) -> Self {
        Self(Mutex::new((budget.rows, budget.bytes)))
    }

    /// Takes rows and bytes from it, or says that there are not so many left.
    pub(super) fn take(&self, rows: u64, bytes: u64) -> bool {
        let mut left = self.lock();
        let (Some(rows), Some(bytes)) = (left.0.checked_sub(rows), left.1.checked_sub(bytes)) else {
            return false;
        };
        *left = (rows, bytes);
        true
    }

    /// No more than this is left, whatever was: deliveries outside of the result may have carried the rest. Gives what is.
    pub(super) fn narrow(&self, budget: Budget) -> Budget {
        let mut left = self.lock();
        *left = (left.0.min(budget.rows), left.1.min(budget.bytes));
        Budget {
            rows: left.0,
            bytes: left.1,
            ..budget
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result that is held at one moment of its source.
pub(super) struct Held {
    pub(super) snapshot: String,
    pub(super) cut: Arc<dyn Chunked>,
    pub(super) allowance: Arc<Allowance>,
    actor: ActorId,
    /// No chunk begins after this, ms since 1970.
    pub(super) until_ms: i64,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("snapshot", &self.snapshot)
            .field("chunks", &self.cut.count())
            .finish_non_exhaustive()
    }
}

impl Held {
    pub(super) fn new(snapshot: String, cut: Arc<dyn Chunked>, budget: Budget, actor: ActorId, now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            snapshot,
            cut,
            allowance: Arc::new(Allowance::new(budget)),
            actor,
            until_ms: now_ms + i64::from(budget.duration_s) * 1000,
        })
    }
}

/// Results that are held, by request.
#[derive(Default)]
pub(crate) struct Cuts(Mutex<HashMap<RequestId, Place>>);

struct Place {
    held: Arc<Held>,
    /// Chunks of it that are being delivered.
    running: usize,
    /// How often that number changed.
    changes: u64,
}

impl Cuts {
    /// What is held of a request at this moment of the source.
    pub(super) fn get(&self, id: &RequestId, snapshot: &str, now_ms: i64) -> Option<Arc<Held>> {
        let held = Arc::clone(&self.lock().get(id)?.held);
        (held.snapshot == snapshot && now_ms < held.until_ms).then_some(held)
    }

    /// A chunk begins; gives what it is a chunk of. Two that were asked for at once may each have had the source cut: where something is held
    /// of the same moment, it is that, because chunks of one result share one allowance. Where a person has more held than deliveries may
    /// run, one that nobody reads is let go.
    pub(super) fn begin(&self, id: &RequestId, held: Arc<Held>) -> Arc<Held> {
        let mut all = self.lock();
        let place = all.entry(id.clone()).or_insert_with(|| Place {
            held: Arc::clone(&held),
            running: 0,
            changes: 0,
        });
        if place.held.snapshot != held.snapshot {
            place.held = held;
        }
        let held = Arc::clone(&place.held);
        place.running += 1;
        place.changes += 1;
        let theirs = all.values().filter(|place| place.held.actor == held.actor).count();
        if theirs > DELIVERIES_PER_PERSON_MAX {
            let idle = all.iter().find(|(_, place)| place.held.actor == held.actor && place.running == 0);
            if let Some(idle) = idle.map(|(id, _)| id.clone()) {
                all.remove(&idle);
            }
        }
        held
    }

    /// A chunk has ended: gives the number by which [`Cuts::rest`] knows whether another has begun since.
    fn end(&self, id: &RequestId) -> Option<u64> {
        let mut all = self.lock();
        let place = all.get_mut(id)?;
        place.running = place.running.saturating_sub(1);
        place.changes += 1;
        Some(place.changes)
    }

    fn forget(&self, id: &RequestId) {
        self.lock().remove(id);
    }

    fn rest(&self, id: &RequestId, changes: u64) {
        let mut all = self.lock();
        if all.get(id).is_some_and(|place| place.running == 0 && place.changes == changes) {
            all.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chunk has ended: lets go of a request that is over, and of any other once nobody has asked for a chunk of it for a while.
pub(super) fn ended(broker: &Arc<Broker>, id: &RequestId) {
    let Some(changes) = broker.cuts.end(id) else { return };
    let over = broker
        .log
        .published()
        .state
        .requests
        .get(id)
        .is_none_or(|request| request.state.is_final());
    if over {
        broker.cuts.forget(id);
        return;
    }
    let (waiting, id) = (Arc::clone(broker), id.clone());
    broker.jobs.spawn(async move {
        tokio::select! {
            () = waiting.clock.reached(waiting.clock.now_ms() + CUT_HELD_MS) => {}
            () = waiting.stopping.cancelled() => {}
        }
        waiting.cuts.rest(&id, changes);
    });
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use chunk_port::{Frames, ScanError, ScanOrder};

    use super::*;

    struct Source;

    #[async_trait]
    impl Chunked for Source {
        fn count(&self) -> u32 {
            3
        }

        fn state(&self) -> Option<[u8; 32]> {
            None
        }

        async fn open(&self, _: u32, _: ScanOrder) -> Result<Frames, ScanError> {
            unreachable!("nothing is read here")
        }
    }

    fn held(snapshot: &str) -> Arc<Held> {
        let budget = Budget {
            rows: 10,
            bytes: 100,
            duration_s: 1,
        };
        Held::new(snapshot.to_owned(), Arc::new(Source), budget, ActorId::from_random([1; 10]), 0)
    }

    /// Asked for at once while nothing was held, each had the source cut.
    #[test]
    fn two_cuts_of_one_moment_share_what_was_approved_and_those_of_two_do_not() {
        let (cuts, id) = (Cuts::default(), RequestId::from_random([1; 10]));
        let first = cuts.begin(&id, held("a"));
        let second = cuts.begin(&id, held("a"));
        assert!(first.allowance.take(6, 60));
        assert!(!second.allowance.take(6, 60), "there are four left");
        assert!(cuts.get(&id, "a", 0).is_some_and(|kept| Arc::ptr_eq(&first, &kept)));
        let other = cuts.begin(&id, held("b"));
        assert!(other.allowance.take(6, 60));
        assert!(cuts.get(&id, "a", 0).is_none());
    }

    #[test]
    fn an_allowance_is_taken_whole_or_not_at_all() {
        let budget = Budget {
            rows: 10,
            bytes: 100,
            duration_s: 1,
        };
        let allowance = Allowance::new(budget);
        assert!(allowance.take(4, 60));
        assert!(!allowance.take(1, 41) && !allowance.take(7, 1));
        assert_eq!(
            allowance.narrow(budget),
            Budget {
                rows: 6,
                bytes: 40,
                ..budget
            }
        );
        assert_eq!(
            allowance.narrow(Budget { rows: 3, ..budget }),
            Budget {
                rows: 3,
                bytes: 40,
                ..budget
            }
        );
        assert!(allowance.take(3, 40) && !allowance.take(1, 0));
    }
}
