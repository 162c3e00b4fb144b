//! What people were given today.

use crate::limits::DAY_MS;

/// Rows and bytes that a person was given on one day (UTC), by dataset. A delivery counts whole for each dataset it read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carried {
    /// Days since 1970.
    day: i64,
    by_dataset: imbl::HashMap<String, (u64, u64)>,
}

impl Carried {
    /// Counts a delivery that ended at this time.
    pub(super) fn add(&mut self, datasets: &[String], rows: u64, bytes: u64, time_ms: i64) {
        let day = time_ms.div_euclid(DAY_MS);
        if day > self.day {
            *self = Self {
                day,
                by_dataset: imbl::HashMap::new(),
            };
        }
        for dataset in datasets {
            let sum = self.by_dataset.entry(dataset.clone()).or_default();
            *sum = (sum.0.saturating_add(rows), sum.1.saturating_add(bytes));
        }
    }

    /// Rows and bytes of this dataset on the day of `now_ms`.
    pub(crate) fn of(&self, dataset: &str, now_ms: i64) -> (u64, u64) {
        // A clock that was set back does not make the day new.
        if now_ms.div_euclid(DAY_MS) > self.day {
            return (0, 0);
        }
        self.by_dataset.get(dataset).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_utc_and_does_not_begin_again() {
        let mut carried = Carried::default();
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let evening = 20_000 * DAY_MS + DAY_MS - 1;
        carried.add(&[a.clone(), b.clone()], 3, 30, evening);
        carried.add(std::slice::from_ref(&a), 2, 20, evening);
        assert_eq!((carried.of("a", evening), carried.of("b", evening)), ((5, 50), (3, 30)));
        assert_eq!(carried.of("a", evening - DAY_MS), (5, 50));
        assert_eq!(carried.of("a", evening + 1), (0, 0));
        carried.add(&[b], 1, 10, evening + 1);
        assert_eq!((carried.of("a", evening + 1), carried.of("b", evening + 1)), ((0, 0), (1, 10)));
        // What ends with an older time counts for the day that has begun.
        carried.add(&[a], u64::MAX, 1, evening);
        carried.add(&["a".to_owned()], 1, 1, evening + 1);
        assert_eq!(carried.of("a", evening + 1), (u64::MAX, 2));
    }
}
