//! Whether a result can be cut: whether reading a part of its table gives a part of it.
//!
//! It can where each row that comes is made of one row of one table, and they come in its order. Anything else (an order, an aggregate, a
//! join, a limit, a window) needs the other rows, and is delivered whole. The list says what is allowed, not what is not: an
//! operator that is new to it is not cut through.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::masked::MaskedScan;
use crate::source::Size;

/// Into how many chunks of about this size.
pub(super) fn chunks(plan: &Arc<dyn ExecutionPlan>, scans: &[Arc<MaskedScan>], about: Size) -> u32 {
    match scans {
        [scan] if is_row_by_row(plan) => scan.chunks(about),
        _ => 1,
    }
}

fn is_row_by_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<MaskedScan>() {
        return true;
    }
    let passes = plan.is::<ProjectionExec>()
        || plan.downcast_ref::<FilterExec>().is_some_and(|filter| filter.fetch().is_none())
        || plan.is::<CooperativeExec>();
    passes && plan.children().into_iter().all(is_row_by_row)
}
