//! Reads a source's units side by side and hands their rows on in order.
//!
//! Decoding and masking are the expensive part of a scan, so they run in as many tasks as there are workers. Rows leave in
//! the order of the units, whatever finishes first: the same request gives the same bytes again. What may wait is bounded by
//! the channels; a slow reader stops the workers, and they stop the source.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::barrier::Work;
use crate::engine::fault;

/// Batches of one unit that may wait for their turn.
const BATCHES_WAITING_MAX: usize = 12;

/// All units, in order.
pub(super) fn read(work: Arc<Work>, context: Arc<TaskContext>) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let workers = work.workers.max(1).min(work.scan.units());
    let left = work.limit;
    let state = Reader {
        workers,
        next: 0,
        units: VecDeque::new(),
        left,
        work,
        context,
    };
    stream::try_unfold(
        state,
        |mut state| async move { Ok(state.batch().await?.map(|batch| (batch, state))) },
    )
}

struct Reader {
    work: Arc<Work>,
    context: Arc<TaskContext>,
    workers: usize,
    next: usize,
    units: VecDeque<Unit>,
    /// Rows still wanted.
    left: Option<usize>,
}

struct Unit {
    batches: mpsc::Receiver<Result<RecordBatch>>,
    task: AbortOnDropHandle<()>,
}

impl Reader {
    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == Some(0) {
                self.units.clear();
                return Ok(None);
            }
            // A unit whose rows all wait here no longer counts as running. The first unit always has a task: were tasks to
            // wait for each other, a later one could fill its channel and stop the one whose turn it is.
            while self.running() < self.workers && self.units.len() <= self.workers && self.next < self.work.scan.units() {
                self.units.push_back(self.start(self.next));
                self.next += 1;
            }
            let Some(unit) = self.units.front_mut() else { return Ok(None) };
            match unit.batches.recv().await {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    let rows = self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
                    if let Some(left) = &mut self.left {
                        *left -= rows;
                    }
                    return Ok(Some(batch.slice(0, rows)));
                }
                Some(Err(error)) => {
                    self.units.clear();
                    self.next = usize::MAX;
                    return Err(error);
                }
                None => {
                    // Closed: the task has ended. If it did not end well, what it sent is not all there was.
                    if let Some(Unit { task, .. }) = self.units.pop_front()
                        && let Err(error) = task.await
                    {
                        self.units.clear();
                        return Err(fault::carry(fault::internal(error.to_string())));
                    }
                }
            }
        }
    }

    fn running(&self) -> usize {
        self.units.iter().filter(|u| !u.task.is_finished()).count()
    }

    fn start(&self, unit: usize) -> Unit {
        let (send, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let (work, context) = (Arc::clone(&self.work), Arc::clone(&self.context));
        let task = tokio::spawn(async move {
            let mut kernels = None;
            let mut rows = Arc::clone(&work.scan).open(unit, context);
            while let Some(batch) = rows.next().await {
                let masked = batch.and_then(|raw| {
                    let kernels = kernels.get_or_insert_with(|| work.kernels(&raw));
                    work.apply(raw, kernels)
                });
                let failed = masked.is_err();
                if send.send(masked).await.is_err() || failed {
                    return;
                }
            }
        });
        Unit {
            batches,
            task: AbortOnDropHandle::new(task),
        }
    }
}
