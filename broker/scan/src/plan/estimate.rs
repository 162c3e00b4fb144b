//! How many rows would be read or come, at most or about.
//!
//! Read off the plan from what the sources estimate of their own part. A filter of the engine's does not lower the number;
//! a product of tables multiplies it. The number is never less than what is read in all: `string_agg` over a table is one
//! row, and holds all of them. Where a source cannot tell, nothing is said, and policy counts that as the largest.

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
    let read = sizes
        .iter()
        .map(|(_, s)| s.rows)
        .try_fold(0_u64, |sum, r| Some(sum.saturating_add(r?)));
    let size = |node: usize| sizes.iter().find(|(a, _)| *a == node).and_then(|(_, s)| s.rows);
    Size {
        rows: rows(plan, &size).zip(read).map(|(come, read)| come.max(read)),
        bytes,
    }
}

fn rows(node: &Arc<dyn ExecutionPlan>, scan: &dyn Fn(usize) -> Option<u64>) -> Option<u64> {
    let children: Vec<Option<u64>> = node.children().into_iter().map(|c| rows(c, scan)).collect();
    let first = children.first().copied().flatten();
    let all = children.iter().copied().collect::<Option<Vec<u64>>>();
    let found = match node.name() {
        "MaskedScan" => scan(Arc::as_ptr(node).addr()),
        "PlaceholderRowExec" => Some(1),
        "EmptyExec" => Some(0),
        "AggregateExec" if node.downcast_ref::<AggregateExec>().is_some_and(|a| a.group_expr().is_empty()) => Some(1),
        "GlobalLimitExec" => {
            let skip = node
                .downcast_ref::<GlobalLimitExec>()
                .map_or(0, |l| u64::try_from(l.skip()).unwrap_or(0));
            first.map(|f| f.saturating_sub(skip))
        }
        "UnionExec" | "InterleaveExec" => all.map(|a| a.into_iter().fold(0, u64::saturating_add)),
        // An equality joins about as many rows as the larger side has; it can be more.
        "HashJoinExec" | "SortMergeJoinExec" if is_equality(node) => all.map(|a| a.into_iter().max().unwrap_or(0)),
        _ if children.len() > 1 => all.map(|a| a.into_iter().fold(1, u64::saturating_mul)),
        _ => first,
    };
    match (node.fetch().and_then(|f| u64::try_from(f).ok()), found) {
        (Some(fetch), Some(found)) => Some(found.min(fetch)),
        (Some(fetch), None) => Some(fetch),
        (None, found) => found,
    }
}

fn is_equality(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<HashJoinExec>().is_some_and(|j| !j.on().is_empty())
        || node.downcast_ref::<SortMergeJoinExec>().is_some_and(|j| !j.on().is_empty())
}
