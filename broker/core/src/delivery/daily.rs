//! What one person may take of a dataset in a day, over all their deliveries.
//!
//! The day is that of UTC. What was taken is a sum over the outcomes in the log, so a restart forgets nothing. A running delivery has no
//! outcome yet: while one reads such a dataset, the same person starts no other request that does.

use chunk_wire::fetch::Budget;
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;

use crate::catalog::Catalog;
use crate::error::Error;
use crate::evidence::entries::IntentEntry;
use crate::limits::DAY_MS;
use crate::state::State;

/// The bounds of the datasets that a delivery reads.
#[derive(Debug, Clone)]
pub(super) struct Daily(Vec<Bound>);

#[derive(Debug, Clone)]
struct Bound {
    dataset: String,
    /// Without a bound, all there is.
    rows: u64,
    bytes: u64,
}

impl Daily {
    pub(super) fn of(catalog: &Catalog, datasets: &[String]) -> Self {
        let known = datasets.iter().filter_map(|name| catalog.datasets.get(name));
        let bound = known
            .filter(|d| d.rows_per_day.is_some() || d.bytes_per_day.is_some())
            .map(|d| Bound {
                dataset: d.name.clone(),
                rows: d.rows_per_day.unwrap_or(u64::MAX),
                bytes: d.bytes_per_day.unwrap_or(u64::MAX),
            });
        Self(bound.collect())
    }

    /// Whether a delivery may begin.
    ///
    /// # Errors
    /// When this person has taken all there is for the day, or is taking it.
    pub(super) fn may_begin(&self, state: &State, entry: &IntentEntry, now_ms: i64) -> Result<(), Error> {
        for bound in &self.0 {
            let name = &bound.dataset;
            let running = state
                .open_intents
                .values()
                .any(|open| open.intent.actor == entry.actor && open.intent.datasets.contains(name) && open.request != entry.request);
            if running {
                return Err(Error::new(
                    Code::RateLimited,
                    format!("You have a delivery of `{name}` running; what is left of it for today is known when that has ended."),
                )
                .hint("run the same command again when it has ended"));
            }
            let left = bound.left(state, &entry.actor, now_ms);
            if left.0 == 0 || left.1 == 0 {
                let tomorrow = jiff::Timestamp::from_millisecond((now_ms.div_euclid(DAY_MS) + 1) * DAY_MS);
                let tomorrow = tomorrow.map_or_else(|_| "midnight, UTC".to_owned(), |t| t.to_string());
                return Err(Error::new(
                    Code::LimitReached,
                    format!(
                        "You have taken all of `{name}` that one person may take in a day: {}. There is more after {tomorrow}.",
                        bound.text()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A delivery's budget, narrowed to what is left of the day.
    pub(super) fn narrowed(&self, state: &State, actor: &ActorId, budget: Budget, now_ms: i64) -> Budget {
        self.0.iter().fold(budget, |budget, bound| {
            let (rows, bytes) = bound.left(state, actor, now_ms);
            Budget {
                rows: budget.rows.min(rows),
                bytes: budget.bytes.min(bytes),
                ..budget
            }
        })
    }
}

impl Bound {
    fn left(&self, state: &State, actor: &ActorId, now_ms: i64) -> (u64, u64) {
        let taken = state.people.get(actor).map(|theirs| theirs.carried.of(&self.dataset, now_ms));
        let (rows, bytes) = taken.unwrap_or_default();
        (self.rows.saturating_sub(rows), self.bytes.saturating_sub(bytes))
    }

    fn text(&self) -> String {
        let bounds = [(self.rows, "rows"), (self.bytes, "bytes")];
        let named = bounds
            .iter()
            .filter(|(most, _)| *most < u64::MAX)
            .map(|(most, unit)| format!("{most} {unit}"));
        named.collect::<Vec<_>>().join(", ")
    }
}
