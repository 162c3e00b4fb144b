//! Things that are good once, remembered for as long as anybody would still accept them and no longer.

/// A set whose members go when their time is over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remembered {
    known: imbl::HashSet<String>,
    by_end: imbl::OrdSet<(i64, String)>,
}

impl Remembered {
    /// Remembers `what` until `until_ms`, and forgets what has ended by `now_ms`.
    pub(crate) fn insert(&mut self, what: &str, until_ms: i64, now_ms: i64) {
        while let Some(first) = self.by_end.get_min().filter(|(until, _)| *until <= now_ms).cloned() {
            self.by_end.remove(&first);
            self.known.remove(&first.1);
        }
        if self.known.insert(what.to_owned()).is_none() {
            self.by_end.insert((until_ms, what.to_owned()));
        }
    }

    /// Whether it is remembered.
    pub(crate) fn contains(&self, what: &str) -> bool {
        self.known.contains(what)
    }
}

#[cfg(test)]
mod tests {
    use super::Remembered;

    #[test]
    fn nothing_is_forgotten_before_its_time_or_kept_after_it() {
        let mut remembered = Remembered::default();
        remembered.insert("a", 100, 0);
        remembered.insert("b", 50, 1);
        remembered.insert("a", 100, 2);
        remembered.insert("c", 200, 99);
        assert_eq!(["a", "b", "c"].map(|what| remembered.contains(what)), [true, false, true]);
        remembered.insert("d", 300, 100);
        assert_eq!(["a", "c", "d"].map(|what| remembered.contains(what)), [false, true, true]);
        assert_eq!((remembered.known.len(), remembered.by_end.len()), (2, 2));
    }
}
