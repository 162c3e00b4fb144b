//! The scanner: what core asks for, done on threads of its own.
//!
//! A query may keep a core busy for seconds. The engine therefore has its own runtime; requests to the broker, health checks
//! and sign-ins are answered by another. One pool bounds the memory of all queries together, and what does not fit goes to
//! a private folder on disk: masked values only, for everything that sorts or groups is above the barrier.

mod cut;
mod deliver;
pub(crate) mod fault;
mod look;
mod template;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chunk_port::{Chunked, Look, ScanError, ScanOrder, Scanner, Secrets, SourceColumn, Table};
use chunk_wire::fetch::Query;
use datafusion::execution::SessionState;
use tokio::runtime::{Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::plan::{self, Extent};
use crate::source::connector::Connector;
use crate::source::{self, RawTable};

/// How much the engine may use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory of all queries together, for sorting, grouping and joining; what streams through is small and not counted.
    pub memory_bytes: usize,
    /// Folder for what does not fit in memory; the system's temporary folder when absent.
    pub spill_folder: Option<PathBuf>,
    /// Disk of all queries together.
    pub spill_bytes: u64,
    /// Threads.
    pub threads: usize,
    /// Parts of one table read at once, each over a connection of its own.
    pub readers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            memory_bytes: 192 * 1024 * 1024,
            spill_folder: None,
            spill_bytes: 16 * 1024 * 1024 * 1024,
            threads: cores.clamp(2, 16),
            readers: cores.clamp(1, 2),
        }
    }
}

/// Reads governed tables.
pub struct Engine {
    /// Taken only when dropped.
    runtime: Option<Runtime>,
    core: Core,
}

/// What a task on the engine's runtime needs.
#[derive(Clone)]
struct Core {
    template: Arc<SessionState>,
    connector: Arc<Connector>,
    readers: usize,
}

impl Engine {
    /// An engine that asks `secrets` for the passwords of sources.
    ///
    /// # Errors
    /// When the system gives no threads, or the folder for spilling cannot be used.
    pub fn new(secrets: Arc<dyn Secrets>, settings: &Settings) -> Result<Arc<Self>, ScanError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .thread_name("scan")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|e| fault::internal(format!("threads of the engine: {e}")))?;
        let template = Arc::new(template::session(settings)?);
        let core = Core {
            template,
            connector: Arc::new(Connector::new(secrets)),
            readers: settings.readers.max(1),
        };
        Ok(Arc::new(Self {
            runtime: Some(runtime),
            core,
        }))
    }

    async fn run<T, F, W>(&self, work: W) -> Result<T, ScanError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ScanError>> + Send + 'static,
        W: FnOnce(Core) -> F,
    {
        let runtime = self.runtime.as_ref().ok_or_else(|| fault::internal("the engine is stopping"))?;
        on(runtime.handle(), work(self.core.clone())).await
    }
}

/// Runs on the engine's threads; stops when the caller no longer waits.
async fn on<T: Send + 'static>(
    threads: &Handle,
    work: impl Future<Output = Result<T, ScanError>> + Send + 'static,
) -> Result<T, ScanError> {
    AbortOnDropHandle::new(threads.spawn(work))
        .await
        .map_err(|e| fault::internal(e.to_string()))?
}

/// Expressions are evaluated recursively, and their depth is the caller's to choose up to a bound.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Metadata is read within this time.
const METADATA_S: u32 = 30;

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

#[async_trait]
impl Scanner for Engine {
    async fn describe(&self, table: &Table) -> Result<Vec<SourceColumn>, ScanError> {
        let tables = vec![table.clone()];
        self.run(|core| {
            in_time(async move {
                let opened = core.open(&tables, METADATA_TAG, METADATA_S).await?;
                Ok(opened.first().map(|t| plan::source_columns(&t.schema())).unwrap_or_default())
            })
        })
        .await
    }

    async fn look(&self, query: &Query, tables: &[Table], tag: &str) -> Result<Box<dyn Look>, ScanError> {
        let (query, tables, tag) = (query.clone(), tables.to_vec(), tag.to_owned());
        let look = self
            .run(|core| in_time(async move { look::look(core, query, &tables, &tag, Handle::current()).await }))
            .await?;
        Ok(Box::new(look))
    }

    async fn cut(&self, order: ScanOrder, rows: u64) -> Result<Arc<dyn Chunked>, ScanError> {
        let cut = self
            .run(|core| async move {
                let meter = crate::budget::Meter::start(order.budget);
                let cut = cut::cut(core, order, rows, Handle::current());
                tokio::time::timeout_at(meter.deadline, cut).await.map_err(|_| meter.late())?
            })
            .await?;
        Ok(Arc::new(cut))
    }
}

/// A source that accepts a connection and then says nothing must not keep a caller, or its connection, for ever.
async fn in_time<T>(work: impl Future<Output = Result<T, ScanError>>) -> Result<T, ScanError> {
    let limit = Duration::from_secs(u64::from(METADATA_S));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(fault::source(
            format!("the source took longer than {METADATA_S} seconds to say what it has; try again later"),
            "reading the catalog or estimating",
        ))
    })
}

const METADATA_TAG: &str = "chunk-broker metadata";

impl Core {
    async fn open(&self, tables: &[Table], tag: &str, limit_s: u32) -> Result<Vec<Arc<dyn RawTable>>, ScanError> {
        source::open(&self.connector, tables, tag, limit_s).await
    }

    async fn prepare(&self, order: &ScanOrder, limit_s: u32) -> Result<plan::Prepared, ScanError> {
        let opened = self.open(&plan::tables_of(order), &order.tag, limit_s).await?;
        self.plan(order, opened, Extent::WHOLE).await
    }

    async fn plan(&self, order: &ScanOrder, opened: Vec<Arc<dyn RawTable>>, extent: Extent) -> Result<plan::Prepared, ScanError> {
        let known: Vec<&str> = order.tables.iter().map(|t| t.table.dataset.as_str()).collect();
        let (parsed, _) = plan::parse(&self.template, &order.query, &known)?;
        plan::prepare(&self.template, order, &parsed, opened, self.readers, extent).await
    }
}
