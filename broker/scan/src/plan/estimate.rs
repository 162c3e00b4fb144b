//! How many rows would come, or go into what comes, at most or about.
//!
//! Read off the plan from what the sources estimate of their own part. A filter of the engine's does not lower the number, a
//! limit does, a product of tables multiplies it. What gathers many rows into few lowers nothing, nor does a limit above it:
//! `string_agg` over a table is one row, and holds all of them. Where a source cannot tell, nothing is said, and policy
//! counts that as the largest.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;

use crate::masked::MaskedScan;
use crate::source::Size;

/// The estimate for a plan and its scans.
pub(super) async fn of(plan: &Arc<dyn ExecutionPlan>, scans: &[Arc<MaskedScan>]) -> Size {
    let mut sizes = Vec::with_capacity(scans.len());
    for scan in scans {
        sizes.push((Arc::as_ptr(scan).addr(), scan.size().await));
    }
    let bytes = sizes
        .iter()
        .map(|(_, s)| s.bytes)
        .try_fold(0_u64, |sum, b| Some(sum.saturating_add(b?)));
    let size = |node: usize| sizes.iter().find(|(a, _)| *a == node).and_then(|(_, s)| s.rows);
    Size {
        rows: rows(plan, &size).total(),
        bytes,
    }
}

/// Of the rows that a node hands on.
#[derive(Debug, Clone, Copy)]
struct Rows {
    /// How many come.
    come: Option<u64>,
    /// How many rows of tables they are made of.
    made_of: Option<u64>,
    /// One of them may be made of many.
    gathered: bool,
}

impl Rows {
    fn exactly(rows: Option<u64>) -> Self {
        Self {
            come: rows,
            made_of: rows,
            gathered: false,
        }
    }

    fn total(self) -> Option<u64> {
        self.come.zip(self.made_of).map(|(come, made_of)| come.max(made_of))
    }

    fn cut(self, to: u64) -> Self {
        let come = Some(self.come.map_or(to, |c| c.min(to)));
        Self {
            come,
            made_of: if self.gathered { self.made_of } else { come },
            ..self
        }
    }
}

fn rows(node: &Arc<dyn ExecutionPlan>, scan: &dyn Fn(usize) -> Option<u64>) -> Rows {
    let children: Vec<Rows> = node.children().into_iter().map(|c| rows(c, scan)).collect();
    let first = children.first().copied().unwrap_or(Rows::exactly(None));
    let come = children.iter().map(|c| c.come).collect::<Option<Vec<u64>>>();
    // What comes out of several inputs is made of all of them, unless a limit above says otherwise.
    let several = |come: Option<u64>| {
        let sum = children.iter().try_fold(0_u64, |sum, c| Some(sum.saturating_add(c.made_of?)));
        Rows {
            come,
            made_of: sum.zip(come).map(|(sum, come)| sum.max(come)),
            gathered: children.iter().any(|c| c.gathered),
        }
    };
    let found = match node.name() {
        "MaskedScan" => Rows::exactly(scan(Arc::as_ptr(node).addr())),
        "PlaceholderRowExec" => Rows::exactly(Some(1)),
        "EmptyExec" => Rows::exactly(Some(0)),
        "AggregateExec" => {
            let alone = node.downcast_ref::<AggregateExec>().is_some_and(|a| a.group_expr().is_empty());
            Rows {
                come: if alone { Some(1) } else { first.come },
                made_of: first.made_of,
                gathered: true,
            }
        }
        "WindowAggExec" | "BoundedWindowAggExec" => Rows { gathered: true, ..first },
        "GlobalLimitExec" => {
            let skip = node
                .downcast_ref::<GlobalLimitExec>()
                .map_or(0, |l| u64::try_from(l.skip()).unwrap_or(0));
            Rows {
                come: first.come.map(|f| f.saturating_sub(skip)),
                ..first
            }
        }
        "UnionExec" | "InterleaveExec" => several(come.map(|c| c.into_iter().fold(0, u64::saturating_add))),
        // An equality joins about as many rows as the larger side has; it can be more.
        "HashJoinExec" | "SortMergeJoinExec" if is_equality(node) => several(come.map(|c| c.into_iter().max().unwrap_or(0))),
        _ if children.len() > 1 => several(come.map(|c| c.into_iter().fold(1, u64::saturating_mul))),
        _ => first,
    };
    match node.fetch().and_then(|f| u64::try_from(f).ok()) {
        Some(fetch) => found.cut(fetch),
        None => found,
    }
}

fn is_equality(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<HashJoinExec>().is_some_and(|j| !j.on().is_empty())
        || node.downcast_ref::<SortMergeJoinExec>().is_some_and(|j| !j.on().is_empty())
}
