//! What the engine does not do by itself: stop in the middle of a join, and count what a window operator holds.
//!
//! A task can only be stopped between steps. A join may find a million rows for each row, and whoever reads them (a count, say)
//! takes one batch after another within one step; so a node above every join fails as soon as it should stop, and lets
//! others have their turn. A join that hands nothing on for long (one that is not an equality, or asks only whether there is a
//! match) compares pair by pair within one step: its condition is wrapped in one that fails as soon as it should stop.
//!
//! Window operators hold whole partitions, and take that memory from no pool. Nodes below and above count what is in between.

mod between;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use tokio::time::Instant;

use crate::engine::fault;
use between::{Basin, Role, between};

/// Says that a query should stop: its reader has left, or its time is up.
#[derive(Debug)]
pub(crate) struct Stop {
    left: AtomicBool,
    deadline: Instant,
}

impl Stop {
    /// Stops by itself at `deadline`.
    pub(crate) fn at(deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicBool::new(false),
            deadline,
        })
    }

    /// Stops now.
    pub(crate) fn now(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.left.load(Ordering::Relaxed) || Instant::now() > self.deadline
    }
}

/// The plan, with guards where they are needed.
pub(crate) fn guard(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let guarded = plan.transform_up(|node| {
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let filter = join.filter().map(|f| guarded(f, stop));
            let projection = join.projection().as_ref().map(|p| p.to_vec());
            let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
            let join = NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?;
            return Ok(Transformed::yes(watched(Arc::new(join), stop)));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            use JoinType::{Full, Inner, Left, Right};
            let filter = match join.filter() {
                Some(filter) => Some(guarded(filter, stop)),
                None if matches!(join.join_type(), Inner | Left | Right | Full) => None,
                // It hands on no pair, however many it finds: a condition that is always true, to be asked for each.
                None => {
                    let always: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Boolean(Some(true))));
                    let none = JoinFilter::new(always, Vec::new(), Arc::new(Schema::empty()));
                    Some(guarded(&none, stop))
                }
            };
            let join = join.builder().with_filter(filter).build_exec()?;
            return Ok(Transformed::yes(watched(join, stop)));
        }
        if node.downcast_ref::<CrossJoinExec>().is_some() || node.downcast_ref::<SortMergeJoinExec>().is_some() {
            return Ok(Transformed::yes(watched(node, stop)));
        }
        let windows = match (node.downcast_ref::<WindowAggExec>(), node.downcast_ref::<BoundedWindowAggExec>()) {
            (Some(window), _) => window.window_expr(),
            (_, Some(window)) => window.window_expr(),
            (None, None) => return Ok(Transformed::no(node)),
        };
        let basin = Basin::new(windows.iter().any(|w| looks_far_back(w.get_window_frame())));
        let children: Vec<_> = node
            .children()
            .into_iter()
            .map(|child| between(Arc::clone(child), Role::Fill(Arc::clone(&basin))))
            .collect();
        let window = node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Transformed::yes(between(window, Role::Drain(basin))))
    })?;
    Ok(guarded.data)
}

fn watched(join: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Arc<dyn ExecutionPlan> {
    between(join, Role::Watch(Arc::clone(stop)))
}

fn guarded(filter: &JoinFilter, stop: &Arc<Stop>) -> JoinFilter {
    let expression = Arc::new(Guarded {
        inner: Arc::clone(filter.expression()),
        stop: Arc::clone(stop),
    });
    JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// Whether rows behind the current one are kept by their values, so that nobody knows how many. A frame in rows is short:
/// the check of the statement sees to that.
fn looks_far_back(frame: &WindowFrame) -> bool {
    frame.units != WindowFrameUnits::Rows && !frame.start_bound.is_unbounded() && frame.start_bound != WindowFrameBound::CurrentRow
}

#[derive(Debug)]
struct Guarded {
    inner: Arc<dyn PhysicalExpr>,
    stop: Arc<Stop>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && Arc::ptr_eq(&self.stop, &other.stop)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_set() {
            return Err(fault::carry(fault::stopped()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children
            .into_iter()
            .next()
            .ok_or_else(|| fault::carry(fault::internal("a guard without an expression")))?;
        Ok(Arc::new(Self {
            inner,
            stop: Arc::clone(&self.stop),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
