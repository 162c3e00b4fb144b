//! Reads a source's units side by side and hands their rows on in order.
//!
//! Decoding and masking are the expensive part of a scan, so they run in as many tasks as there are workers. Rows leave in
//! the order of the units, whatever finishes first: the same request gives the same bytes again. What may wait is bounded in
//! batches and in bytes; a slow reader stops the workers, and they stop the source.
//!
//! A chunk is a run of units: the chunks of a table, one after another, are the table.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use futures::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::barrier::Work;
use crate::engine::fault;

/// Batches of one unit that may wait for their turn.
const BATCHES_WAITING_MAX: usize = 12;
/// Bytes of one unit that may wait, in KiB; one batch may be larger, and then waits alone.
const KIB_WAITING_MAX: u32 = 32 * 1024;

/// Which of the chunks of a table to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Number of the chunk, from 0.
    chunk: u32,
    /// How many there are.
    of: u32,
}

impl Part {
    /// The whole table.
    pub(crate) const WHOLE: Self = Self { chunk: 0, of: 1 };

    /// Chunk `chunk` of `of`; nothing when there are not so many.
    pub(crate) fn new(chunk: u32, of: u32) -> Option<Self> {
        (chunk < of).then_some(Self { chunk, of })
    }

    /// Its units, of so many.
    fn units(self, all: usize) -> Range<usize> {
        let at = |chunk: u32| {
            // As wide as the product can be.
            let edge = u128::try_from(all).unwrap_or(u128::MAX).saturating_mul(chunk.into()) / u128::from(self.of.max(1));
            usize::try_from(edge).unwrap_or(all)
        };
        at(self.chunk)..at(self.chunk.saturating_add(1)).min(all)
    }
}

/// The units of a part, in order.
pub(super) fn read(work: Arc<Work>, context: Arc<TaskContext>) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let Range { start: next, end } = work.part.units(work.scan.units());
    let workers = work.workers.max(1).min(end.saturating_sub(next));
    let left = work.limit;
    let state = Reader {
        workers,
        next,
        end,
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
    /// Where the part ends.
    end: usize,
    units: VecDeque<Unit>,
    /// Rows still wanted.
    left: Option<usize>,
}

struct Unit {
    batches: mpsc::Receiver<Waiting>,
    task: AbortOnDropHandle<()>,
}

/// A batch and the room that it takes until it is handed on.
type Waiting = (Result<RecordBatch>, Option<OwnedSemaphorePermit>);

/// The room a batch takes. What it shares with others is counted for each.
fn kib(batch: &Result<RecordBatch>) -> u32 {
    let bytes = batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(1, KIB_WAITING_MAX)
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
            while self.running() < self.workers && self.units.len() <= self.workers && self.next < self.end {
                self.units.push_back(self.start(self.next));
                self.next += 1;
            }
            let Some(unit) = self.units.front_mut() else { return Ok(None) };
            match unit.batches.recv().await {
                Some((Ok(batch), _)) if batch.num_rows() == 0 => {}
                Some((Ok(batch), _)) => {
                    let rows = self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
                    if let Some(left) = &mut self.left {
                        *left -= rows;
                    }
                    return Ok(Some(batch.slice(0, rows)));
                }
                Some((Err(error), _)) => {
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
        let room = Arc::new(Semaphore::new(usize::try_from(KIB_WAITING_MAX).unwrap_or(usize::MAX)));
        let task = tokio::spawn(async move {
            let mut kernels = None;
            let mut rows = Arc::clone(&work.scan).open(unit, context);
            while let Some(batch) = rows.next().await {
                let masked = batch.and_then(|raw| {
                    let kernels = kernels.get_or_insert_with(|| work.kernels(&raw));
                    work.apply(raw, kernels)
                });
                let failed = masked.is_err();
                // The units do not share their room: a later one could take what the one whose turn it is needs.
                let taken = tokio::select! {
                    taken = Arc::clone(&room).acquire_many_owned(kib(&masked)) => taken.ok(),
                    () = send.closed() => return,
                };
                if send.send((masked, taken)).await.is_err() || failed {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::time::Duration;

    use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use futures::FutureExt;
    use futures::TryStreamExt;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::super::barrier::Output;
    use crate::source::{RawScan, RawStream, Size};

    /// Units of batches of numbers that count up through all of them.
    #[derive(Debug)]
    struct Scripted {
        batches: Vec<usize>,
        fails_in: Option<usize>,
        panics_in: Option<usize>,
    }

    impl RawScan for Scripted {
        fn units(&self) -> usize {
            self.batches.len()
        }

        fn open(self: Arc<Self>, unit: usize, _: Arc<TaskContext>) -> RawStream {
            assert_ne!(self.panics_in, Some(unit), "as scripted");
            let before: usize = self.batches.iter().take(unit).sum();
            let count = *self.batches.get(unit).unwrap();
            let failing = self.fails_in == Some(unit);
            let batches = (before..before + count).map(move |n| {
                if failing {
                    return Err(fault::carry(fault::source("scripted", "")));
                }
                let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(n).unwrap(); 2]));
                Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
            });
            stream::iter(batches).boxed()
        }

        fn size(&self) -> BoxFuture<'_, Size> {
            futures::future::ready(Size::default()).boxed()
        }
    }

    async fn run(scan: Scripted, workers: usize, limit: Option<usize>) -> Result<Vec<i64>> {
        run_part(scan, workers, limit, Part::WHOLE).await
    }

    async fn run_part(scan: Scripted, workers: usize, limit: Option<usize>, part: Part) -> Result<Vec<i64>> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let outputs = vec![Output {
            from: 0,
            subject: None,
            mask: None,
        }];
        let work = Arc::new(Work {
            scan: Arc::new(scan),
            predicate: None,
            outputs,
            schema,
            limit,
            workers,
            part,
        });
        let rows = read(work, Arc::new(TaskContext::default())).try_collect::<Vec<_>>();
        let batches = tokio::time::timeout(Duration::from_secs(20), rows)
            .await
            .unwrap_or_else(|_| panic!("the units wait for each other"))?;
        Ok(batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect())
    }

    fn runtime(threads: usize) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_time()
            .build()
            .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_come_whole_and_in_order(
            batches in proptest::collection::vec(0_usize..40, 1..12),
            workers in 1_usize..5,
            threads in 1_usize..3,
            limit in proptest::option::of(0_usize..200),
        ) {
            let total: usize = batches.iter().sum();
            let rows = runtime(threads).block_on(run(Scripted { batches, fails_in: None, panics_in: None }, workers, limit)).unwrap();
            let wanted = (total * 2).min(limit.unwrap_or(usize::MAX));
            let expected: Vec<i64> = (0..i64::try_from(total).unwrap()).flat_map(|n| [n, n]).take(wanted).collect();
            prop_assert_eq!(rows, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_chunks_of_a_table_are_the_table(batches in proptest::collection::vec(0_usize..20, 1..14), of in 1_u32..20, workers in 1_usize..4) {
            let total: usize = batches.iter().sum();
            let mut rows = Vec::new();
            for chunk in 0..of {
                let scan = Scripted { batches: batches.clone(), fails_in: None, panics_in: None };
                rows.append(&mut runtime(2).block_on(run_part(scan, workers, None, Part::new(chunk, of).unwrap())).unwrap());
            }
            let expected: Vec<i64> = (0..i64::try_from(total).unwrap()).flat_map(|n| [n, n]).collect();
            prop_assert_eq!(rows, expected);
            prop_assert_eq!(Part::new(of, of), None);
        }
    }

    /// Batches of eight MiB: four may wait, where twelve small ones could.
    #[derive(Debug)]
    struct Wide {
        made: Arc<std::sync::atomic::AtomicUsize>,
    }

    impl RawScan for Wide {
        fn units(&self) -> usize {
            1
        }

        fn open(self: Arc<Self>, _: usize, _: Arc<TaskContext>) -> RawStream {
            stream::iter(0..40)
                .map(move |_| {
                    self.made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let column: ArrayRef = Arc::new(Int64Array::from(vec![0; 1024 * 1024]));
                    Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
                })
                .boxed()
        }

        fn size(&self) -> BoxFuture<'_, Size> {
            futures::future::ready(Size::default()).boxed()
        }
    }

    #[test]
    fn rows_that_wait_are_bounded_in_bytes() {
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let work = Arc::new(Work {
            scan: Arc::new(Wide { made: Arc::clone(&made) }),
            predicate: None,
            outputs: vec![Output {
                from: 0,
                subject: None,
                mask: None,
            }],
            schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
            limit: None,
            workers: 1,
            part: Part::WHOLE,
        });
        runtime(2).block_on(async {
            let mut rows = Box::pin(read(work, Arc::new(TaskContext::default())));
            assert!(rows.next().await.unwrap().is_ok());
            let count = || made.load(std::sync::atomic::Ordering::SeqCst);
            // One is handed on, four may wait, one is made and waits for room.
            tokio::time::timeout(Duration::from_secs(20), async {
                while count() < 5 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await
            .unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(count() <= 6, "{}", count());
            assert_eq!(rows.filter(|b| futures::future::ready(b.is_ok())).count().await, 39);
        });
    }

    #[test]
    fn a_unit_that_fails_or_dies_fails_the_scan() {
        let runtime = runtime(2);
        for (fails_in, panics_in) in [(Some(2), None), (None, Some(0)), (None, Some(3))] {
            let scan = Scripted {
                batches: vec![30; 5],
                fails_in,
                panics_in,
            };
            assert!(runtime.block_on(run(scan, 2, None)).is_err());
        }
    }
}
