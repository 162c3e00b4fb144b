//! Runs a prepared query: rows → encoded frames, counted, bounded, stopped when nobody reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chunk_port::{Frame, Frames, MaskCounts, ScanError, ScanOrder};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::fault;
use crate::budget::Meter;
use crate::encode::{self, EncodeError, Encoder};
use crate::plan::{Output, Prepared, Stop, guard};

/// Frames that may wait for the reader.
const FRAMES_WAITING_MAX: usize = 2;
/// A frame holds at most this much.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// The task itself ends at the deadline; this much later its reader no longer waits for it.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a task that reads, encodes and sends. Must be called on the engine's runtime.
pub(super) fn start(prepared: Prepared, order: &ScanOrder, meter: Meter) -> Result<Frames, ScanError> {
    let encoder = encode::encoder(order.format, Arc::clone(&prepared.output.schema), &order.metadata).map_err(failed)?;
    let counts: Arc<dyn MaskCounts> = Arc::clone(&prepared.ledger) as Arc<dyn MaskCounts>;
    prepared.ledger.forget_scans();
    let (send, receive) = mpsc::channel(FRAMES_WAITING_MAX);
    let stop = Stop::at(meter.deadline);
    let late = meter.late();
    let deadline = meter.deadline + GRACE;
    let Prepared {
        state, physical, output, ..
    } = prepared;
    let physical = guard(physical, &stop).map_err(|e| fault::from_plan(&e))?;
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut delivery = Delivery { meter, send, rows: 0 };
        if let Err(Some(error)) = delivery.run(physical, &state, &output, encoder).await {
            // The reader may have left, or be slow beyond the deadline; either way nobody waits for this.
            drop(delivery.send.send(Err(error)).await);
        }
    }));
    let reader = Reader {
        receive,
        task,
        _stop: StopOnDrop(stop),
        late,
        deadline,
    };
    let stream = stream::unfold(Some(reader), |reader| async move { reader?.next().await });
    Ok(Frames {
        stream: stream.boxed(),
        counts,
    })
}

/// The reader's end. Dropping it stops the task, and a loop of the engine that does not pause.
struct Reader {
    receive: mpsc::Receiver<Result<Frame, ScanError>>,
    task: AbortOnDropHandle<()>,
    _stop: StopOnDrop,
    late: ScanError,
    deadline: Instant,
}

struct StopOnDrop(Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.now();
    }
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Frame, ScanError>, Option<Self>)> {
        match timeout_at(self.deadline, self.receive.recv()).await {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some(self))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            // Closed without an error: whole, unless the task died.
            Ok(None) => match self.task.await {
                Ok(()) => None,
                Err(error) => Some((Err(fault::internal(error.to_string())), None)),
            },
            // The task should have said so itself.
            Err(_) => Some((Err(self.late), None)),
        }
    }
}

fn failed(error: EncodeError) -> ScanError {
    match error {
        EncodeError::Unsupported { .. } => fault::invalid(error.to_string()),
        other => {
            let cause = std::error::Error::source(&other).map(|c| format!(": {c}")).unwrap_or_default();
            fault::internal(format!("{other}{cause}"))
        }
    }
}

struct Delivery {
    meter: Meter,
    send: mpsc::Sender<Result<Frame, ScanError>>,
    /// Rows encoded and not yet sent.
    rows: u64,
}

/// `None`: nobody reads any more.
type Stopped = Option<ScanError>;

impl Delivery {
    async fn run(
        &mut self,
        physical: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        output: &Output,
        mut encoder: Box<dyn Encoder + Send>,
    ) -> Result<(), Stopped> {
        let mut rows = execute_stream(physical, state.task_ctx()).map_err(|e| fault::from_run(&e))?;
        loop {
            let next = timeout_at(self.meter.deadline, rows.next()).await.map_err(|_| self.meter.late())?;
            // A step of the engine that never pauses is not interrupted; it is too late all the same.
            self.meter.check()?;
            let Some(batch) = next else { break };
            let batch = batch.map_err(|e| fault::from_run(&e))?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.meter.rows(batch.num_rows())?;
            let batch = output.convert(&batch).map_err(|e| fault::from_run(&DataFusionError::from(e)))?;
            encoder.write(&batch).map_err(failed)?;
            self.rows += u64::try_from(batch.num_rows()).unwrap_or(0);
            let bytes = encoder.take();
            self.hand_out(bytes).await?;
        }
        let bytes = encoder.finish().map_err(failed)?;
        self.hand_out(bytes).await?;
        if self.rows > 0 {
            self.frame(Bytes::new()).await?;
        }
        Ok(())
    }

    async fn hand_out(&mut self, mut bytes: Bytes) -> Result<(), Stopped> {
        self.meter.bytes(bytes.len())?;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(FRAME_BYTES_MAX));
            // Rows end with the last piece of what they were encoded to.
            let rows = if bytes.is_empty() { std::mem::take(&mut self.rows) } else { 0 };
            self.send_frame(Frame { bytes: piece, rows }).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, bytes: Bytes) -> Result<(), Stopped> {
        let rows = std::mem::take(&mut self.rows);
        self.send_frame(Frame { bytes, rows }).await
    }

    async fn send_frame(&mut self, frame: Frame) -> Result<(), Stopped> {
        match timeout_at(self.meter.deadline, self.send.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(self.meter.late())),
        }
    }
}
