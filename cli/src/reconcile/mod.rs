//! Which accesses by the broker's accounts does the evidence not account for?
//!
//! The source keeps a log of its own, which the broker cannot write. Every access in it by an account that only the broker
//! holds must belong to an intent: it carries the fetch's id (PostgreSQL: `application_name`; object stores: the user agent)
//! and lies between intent and outcome. What remains was done past the broker, or by a broker that did not record it.

pub(crate) mod postgres;
pub(crate) mod s3;

use std::collections::{BTreeMap, BTreeSet};

/// Statements and requests of one account, as the source logged them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Which of the logs, from 0.
    pub(crate) log: usize,
    /// Line of the log at which it begins, from 1.
    pub(crate) line: u64,
    /// When, ms since 1970.
    pub(crate) time_ms: i64,
    /// Account that the source authenticated.
    pub(crate) account: String,
    /// Id that the client gave: of the fetch, when the broker asked.
    pub(crate) tag: String,
    /// Where it came from, as the source says.
    pub(crate) from: String,
    /// The kind of statement or request; never its text, which can hold values.
    pub(crate) what: String,
    /// Whether it can have read rows. Metadata may be read before an intent.
    pub(crate) reads: bool,
}

/// A fetch as the evidence has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Index of the intent.
    pub(crate) intent: u64,
    /// Time of the intent, ms since 1970.
    pub(crate) from_ms: i64,
    /// Time of the outcome; open where there is none.
    pub(crate) to_ms: Option<i64>,
    /// Whether rows left.
    pub(crate) delivered: bool,
}

/// What came of the comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// Accesses that read, by the accounts asked for.
    pub(crate) reads: u64,
    /// Of these, those that belong to an intent.
    pub(crate) accounted: u64,
    /// Statements that can only have read metadata.
    pub(crate) metadata: u64,
    /// Reads without an intent, with the reason.
    pub(crate) unaccounted: Vec<(Access, &'static str)>,
    /// Fetches that delivered rows and left no trace in the source's log: the log is of another period, or not whole.
    pub(crate) unseen: Vec<(String, Window)>,
}

/// Compares. `fetches` are by fetch id; `skew_ms` is how far the two clocks may differ;
pub(crate) fn reconcile(
    accesses: impl IntoIterator<Item = Access>,
    fetches: &BTreeMap<String, Window>,
    accounts: &[String],
    skew_ms: i64,
) -> Reconciled {
    let mut found = Reconciled::default();
    let mut seen = BTreeSet::<&str>::new();
    let mut period: Option<(i64, i64)> = None;
    for access in accesses {
        period = Some(period.map_or((access.time_ms, access.time_ms), |(from, to)| {
            (from.min(access.time_ms), to.max(access.time_ms))
        }));
        if !accounts.contains(&access.account) {
            continue;
        }
        if !access.reads {
            found.metadata += 1;
            continue;
        }
        found.reads += 1;
        match fetches.get_key_value(&access.tag) {
            None => found.unaccounted.push((access, "no intent has this id")),
            Some((id, window)) => {
                seen.insert(id);
                if access.time_ms < window.from_ms - skew_ms {
                    found.unaccounted.push((access, "it was before the intent was recorded"));
                } else if window.to_ms.is_some_and(|to| access.time_ms > to + skew_ms) {
                    found.unaccounted.push((access, "it was after the outcome was recorded"));
                } else {
                    found.accounted += 1;
                }
            }
        }
    }
    if let Some((from, to)) = period {
        let covered = |window: &Window| window.from_ms >= from && window.from_ms <= to;
        found.unseen = fetches
            .iter()
            .filter(|(id, window)| window.delivered && covered(window) && !seen.contains(id.as_str()))
            .map(|(id, window)| (id.clone(), window.clone()))
            .collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(time_ms: i64, account: &str, tag: &str, reads: bool) -> Access {
        Access {
            log: 0,
            line: 1,
            time_ms,
            account: account.into(),
            tag: tag.into(),
            from: String::new(),
            what: "COPY".into(),
            reads,
        }
    }

    fn fetches() -> BTreeMap<String, Window> {
        let window = |intent, from_ms, to_ms| Window {
            intent,
            from_ms,
            to_ms,
            delivered: true,
        };
        BTreeMap::from([
            ("fet_a".to_owned(), window(7, 1_000, Some(2_000))),
            ("fet_b".to_owned(), window(9, 3_000, None)),
        ])
    }

    #[test]
    fn a_read_belongs_to_an_intent_by_id_and_time_or_to_none() {
        let accesses = [
            access(1_500, "broker_ro", "fet_a", true),
            access(9_000, "broker_ro", "fet_b", true),
            access(100, "broker_ro", "fet_a", true),
            access(5_000, "broker_ro", "fet_a", true),
            access(1_500, "broker_ro", "psql", true),
            access(1_500, "broker_ro", "psql", false),
            access(1_500, "somebody", "psql", true),
        ];
        let found = reconcile(accesses, &fetches(), &["broker_ro".to_owned()], 500);
        assert_eq!((found.reads, found.accounted, found.metadata), (5, 2, 1));
        let why: Vec<_> = found.unaccounted.iter().map(|(_, why)| *why).collect();
        assert_eq!(
            why,
            [
                "it was before the intent was recorded",
                "it was after the outcome was recorded",
                "no intent has this id"
            ]
        );
        assert!(found.unseen.is_empty());
    }

    #[test]
    fn clocks_may_differ_by_the_skew_and_no_more() {
        for (time, accounted) in [(500, 1), (499, 0), (2_500, 1), (2_501, 0)] {
            let found = reconcile([access(time, "b", "fet_a", true)], &fetches(), &["b".to_owned()], 500);
            assert_eq!(found.accounted, accounted, "{time}");
        }
    }

    #[test]
    fn a_fetch_that_the_source_never_saw_is_told_when_its_log_covers_the_time() {
        let accesses = [access(0, "x", "", true), access(10_000, "x", "", true)];
        let found = reconcile(accesses, &fetches(), &["b".to_owned()], 0);
        assert_eq!(
            found.unseen.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
            ["fet_a", "fet_b"]
        );
        let found = reconcile([access(1, "x", "", true)], &fetches(), &["b".to_owned()], 0);
        assert!(found.unseen.is_empty());
        assert_eq!(reconcile([], &fetches(), &[], 0), Reconciled::default());
    }
}
