//! A stop sign inside the one loop that the engine does not pause in.
//!
//! Joins that are not equalities compare every pair of rows within one step, and a task can only be stopped between steps: a
//! product of two large tables would hold its thread for minutes after its reader has left. The condition of such a join is
//! therefore wrapped in one that fails as soon as it should stop.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use tokio::time::Instant;

use crate::engine::fault;

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

/// The plan, with the sign in every such join.
pub(crate) fn guard(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let guarded = plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else {
            return Ok(Transformed::no(node));
        };
        let Some(filter) = join.filter() else {
            return Ok(Transformed::no(node));
        };
        let expression = Arc::new(Guarded {
            inner: Arc::clone(filter.expression()),
            stop: Arc::clone(stop),
        });
        let filter = JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()));
        let projection = join.projection().as_ref().map(|p| p.to_vec());
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let guarded = NestedLoopJoinExec::try_new(left, right, Some(filter), join.join_type(), projection)?;
        Ok(Transformed::yes(Arc::new(guarded) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(guarded.data)
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
