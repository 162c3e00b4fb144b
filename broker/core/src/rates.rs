//! How often each person may ask.
//!
//! A bucket of turns that fills again with time, kept as one number a person: the moment at which it will be full. People
//! with a full bucket are forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;

use crate::error::Error;
use crate::limits::{ASKED_AT_ONCE_MAX, ASKED_PER_MINUTE_MAX};

/// Everybody's bucket.
#[derive(Default)]
pub(crate) struct Rates {
    full_at_ms: Mutex<HashMap<ActorId, i64>>,
}

impl Rates {
    /// Takes one turn.
    ///
    /// # Errors
    /// When this person has none left.
    pub(crate) fn take(&self, actor: &ActorId, now_ms: i64) -> Result<(), Error> {
        let mut buckets = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(actor).copied().unwrap_or(now_ms).max(now_ms) + TURN_MS;
        let over_ms = full_at - now_ms - ASKED_AT_ONCE_MAX * TURN_MS;
        if over_ms > 0 {
            return Err(Error::new(
                Code::RateLimited,
                format!("You may ask for {ASKED_PER_MINUTE_MAX} plans and requests a minute, {ASKED_AT_ONCE_MAX} of them at once."),
            )
            .hint(format!("run the same command again in {} s", (over_ms + 999) / 1000)));
        }
        buckets.insert(actor.clone(), full_at);
        Ok(())
    }

    /// Forgets those whose bucket is full.
    pub(crate) fn forget(&self, now_ms: i64) {
        let mut buckets = self.full_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|_, full_at| *full_at > now_ms);
    }
}

/// Time in which one turn comes back.
const TURN_MS: i64 = 60_000 / ASKED_PER_MINUTE_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_fills_again_and_is_forgotten_when_full() {
        let rates = Rates::default();
        let (dana, rey) = (ActorId::from_random([1; 10]), ActorId::from_random([2; 10]));
        for _ in 0..ASKED_AT_ONCE_MAX {
            assert!(rates.take(&dana, 0).is_ok());
        }
        assert!(rates.take(&dana, 0).is_err_and(|fault| fault.code == Code::RateLimited));
        assert!(rates.take(&rey, 0).is_ok(), "everybody has a bucket of their own");
        assert!(rates.take(&dana, TURN_MS - 1).is_err());
        assert!(rates.take(&dana, TURN_MS).is_ok());
        assert!(rates.take(&dana, TURN_MS).is_err(), "one turn came back, not two");
        rates.forget(TURN_MS * ASKED_AT_ONCE_MAX);
        assert_eq!(rates.full_at_ms.lock().map(|buckets| buckets.len()).ok(), Some(1));
        rates.forget(TURN_MS * (ASKED_AT_ONCE_MAX + 1));
        assert_eq!(rates.full_at_ms.lock().map(|buckets| buckets.len()).ok(), Some(0));
    }
}
