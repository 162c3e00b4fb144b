//! Rows that a blocking reader makes, as a stream: read on a thread of their own, a few batches ahead of whoever takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chunk_port::ScanError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RawStream;
use crate::engine::fault;

/// Whether anybody still wants the rows. A reader that may be silent for long asks it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gone(Arc<AtomicBool>);

impl Gone {
    /// Nobody does.
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs `read` on a thread for blocking work. It hands on each batch, for as long as that returns true.
pub(crate) fn rows<F>(read: F) -> RawStream
where
    F: FnOnce(&Gone, &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), ScanError> + Send + 'static,
{
    let (send, receive) = mpsc::channel(BATCHES_WAITING_MAX);
    let gone = Gone::default();
    let seen = gone.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let failed = read(&seen, &mut |batch| send.blocking_send(Ok(batch)).is_ok()).err();
        if let Some(error) = failed {
            // Nobody may be waiting for it any more.
            drop(send.blocking_send(Err(fault::carry(error))));
        }
    });
    let taker = Taker {
        receive,
        reading: Some(reading),
        gone,
    };
    stream::unfold(taker, |mut taker| async move { taker.next().await.map(|item| (item, taker)) }).boxed()
}

/// Batches that may wait.
const BATCHES_WAITING_MAX: usize = 2;

struct Taker {
    receive: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    reading: Option<JoinHandle<()>>,
    gone: Gone,
}

impl Taker {
    async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        if let Some(batch) = self.receive.recv().await {
            return Some(batch);
        }
        // Closed. If the reader did not end well, what it sent is not all there was.
        let error = self.reading.take()?.await.err()?;
        Some(Err(fault::carry(fault::internal(error.to_string()))))
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.gone.0.store(true, Ordering::Relaxed);
    }
}
