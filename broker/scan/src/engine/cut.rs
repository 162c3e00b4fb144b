//! A result that is read in chunks, of one moment of its sources.
//!
//! The opened tables are what holds the moment: a transaction and its exported snapshot, or files by what they were. Each chunk
//! is planned anew over them, with the same masks and the same "now", and reads its own run of units.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chunk_port::{Chunked, Frames, ScanError, ScanOrder};
use ring::digest::{Context, SHA256};
use tokio::runtime::Handle;

use super::{Core, deliver, fault, on};
use crate::budget::Meter;
use crate::masked::Part;
use crate::plan::{self, Extent};
use crate::source::{RawTable, Size};

/// Opened tables, and how their result is cut.
pub(super) struct CutScan {
    core: Core,
    /// The engine's own threads.
    threads: Handle,
    opened: Vec<Arc<dyn RawTable>>,
    count: u32,
    now: Option<DateTime<Utc>>,
    state: Option<[u8; 32]>,
    /// The plan that told how it is cut, where that is not at all: the one chunk is read by it, without planning anew.
    whole: Mutex<Option<plan::Prepared>>,
}

/// Opens the tables of an order and finds out how its result is cut.
pub(super) async fn cut(core: Core, order: ScanOrder, rows: u64, threads: Handle) -> Result<CutScan, ScanError> {
    let tables = plan::tables_of(&order);
    let opened = core.open(&tables, &order.tag, order.budget.duration_s).await?;
    let prepared = core.plan(&order, opened.clone(), Extent::WHOLE).await?;
    let count = prepared.chunks(Size {
        rows: Some(rows),
        bytes: Some(rows.saturating_mul(ROW_BYTES)),
    });
    // Of another time, the chunks of a query that looks at the clock are not of this result.
    let state = (count > 1 && prepared.timeless).then(|| state(&opened, count)).flatten();
    Ok(CutScan {
        now: prepared.now(),
        whole: Mutex::new((count == 1).then_some(prepared)),
        core,
        threads,
        opened,
        count,
        state,
    })
}

/// Rows wider than this at the source make chunks of fewer rows.
const ROW_BYTES: u64 = 128;

/// What the tables are, if each can tell, and into how many chunks they are cut.
fn state(opened: &[Arc<dyn RawTable>], count: u32) -> Option<[u8; 32]> {
    let mut digest = Context::new(&SHA256);
    digest.update(&count.to_be_bytes());
    for table in opened {
        digest.update(&table.state()?);
    }
    digest.finish().as_ref().try_into().ok()
}

#[async_trait]
impl Chunked for CutScan {
    fn count(&self) -> u32 {
        self.count
    }

    fn state(&self) -> Option<[u8; 32]> {
        self.state
    }

    async fn open(&self, chunk: u32, order: ScanOrder) -> Result<Frames, ScanError> {
        let part = Part::new(chunk, self.count).ok_or_else(|| fault::internal("a chunk that there is not"))?;
        let extent = Extent { part, now: self.now };
        let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (core, opened) = (self.core.clone(), self.opened.clone());
        let work = async move {
            let meter = Meter::start(order.budget);
            let prepared = match whole {
                Some(prepared) => prepared,
                None => tokio::time::timeout_at(meter.deadline, core.plan(&order, opened, extent))
                    .await
                    .map_err(|_| meter.late())??,
            };
            deliver::start(prepared, &order, meter)
        };
        on(&self.threads, work).await
    }
}
