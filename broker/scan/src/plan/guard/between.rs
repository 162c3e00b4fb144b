//! A node put between two of the engine's: rows pass through it, and it does one thing beside.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};

use super::Stop;
use crate::engine::fault;

/// What a node does beside.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// Stops when it should, and gives other tasks their turn.
    Watch(Arc<Stop>),
    /// Below a window operator: counts what goes in.
    Fill(Arc<Basin>),
    /// Above a window operator: counts what comes out.
    Drain(Arc<Basin>),
}

/// What a window operator holds on to, counted against the memory of all queries: it counts nothing itself.
#[derive(Debug)]
pub(super) struct Basin {
    /// Rows that came out may still be looked back at.
    keeps: bool,
    /// Since the plan runs. A guarded plan has one partition and runs once.
    level: Mutex<Option<Level>>,
}

#[derive(Debug)]
struct Level {
    reservation: MemoryReservation,
    bytes_in: usize,
    rows_in: usize,
    rows_out: usize,
}

/// Its rows, a copy of them in one piece, and the columns it adds.
const COPIES: usize = 3;

impl Basin {
    pub(super) fn new(keeps: bool) -> Arc<Self> {
        Arc::new(Self {
            keeps,
            level: Mutex::new(None),
        })
    }

    fn count(&self, batch: &RecordBatch, out: bool) -> Result<()> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let level = level
            .as_mut()
            .ok_or_else(|| fault::carry(fault::internal("a window operator that was not started")))?;
        if out {
            level.rows_out = level.rows_out.saturating_add(batch.num_rows());
        } else {
            level.rows_in = level.rows_in.saturating_add(batch.num_rows());
            level.bytes_in = level.bytes_in.saturating_add(batch.get_array_memory_size());
        }
        let rows = if self.keeps {
            level.rows_in
        } else {
            level.rows_in.saturating_sub(level.rows_out)
        };
        let each = level.bytes_in / level.rows_in.max(1) + 1;
        level.reservation.try_resize(rows.saturating_mul(each).saturating_mul(COPIES))
    }
}

/// The node.
#[derive(Debug)]
struct Between {
    child: Arc<dyn ExecutionPlan>,
    role: Role,
}

/// The child with a node above it.
pub(super) fn between(child: Arc<dyn ExecutionPlan>, role: Role) -> Arc<dyn ExecutionPlan> {
    Arc::new(Between { child, role })
}

impl Between {
    fn around(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let child = children
            .into_iter()
            .next()
            .ok_or_else(|| fault::carry(fault::internal("a guard without a plan")))?;
        Ok(between(child, self.role.clone()))
    }
}

impl DisplayAs for Between {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for Between {
    fn name(&self) -> &'static str {
        match self.role {
            Role::Watch(_) => "Watch",
            Role::Fill(_) => "Fill",
            Role::Drain(_) => "Drain",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.child.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.child]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.around(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.around(children)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if let Role::Drain(basin) = &self.role {
            // Before the window operator starts, and with it the node below.
            *basin.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(Level {
                reservation: MemoryConsumer::new("window").register(context.memory_pool()),
                bytes_in: 0,
                rows_in: 0,
                rows_out: 0,
            });
        }
        let rows = Rows {
            inner: self.child.execute(partition, context)?,
            role: self.role.clone(),
        };
        Ok(match self.role {
            Role::Watch(_) => Box::pin(cooperative(rows)),
            Role::Fill(_) | Role::Drain(_) => Box::pin(rows),
        })
    }
}

struct Rows {
    inner: SendableRecordBatchStream,
    role: Role,
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Role::Watch(stop) = &self.role
            && stop.is_set()
        {
            return Poll::Ready(Some(Err(fault::carry(fault::stopped()))));
        }
        let polled = self.inner.poll_next_unpin(cx);
        let counted = match (&self.role, &polled) {
            (Role::Fill(basin), Poll::Ready(Some(Ok(batch)))) => basin.count(batch, false),
            (Role::Drain(basin), Poll::Ready(Some(Ok(batch)))) => basin.count(batch, true),
            _ => Ok(()),
        };
        match counted {
            Ok(()) => polled,
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl RecordBatchStream for Rows {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // The plan itself lives longer than its rows.
        if let Role::Drain(basin) = &self.role {
            basin.level.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}
