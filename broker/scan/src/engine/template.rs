//! The session that every query starts from: our functions, no tables, no files, bounded memory.

use std::sync::Arc;

use chunk_port::ScanError;
use datafusion::common::config::Dialect;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::prelude::SessionConfig;

use super::{Settings, fault};
use crate::plan::{CATALOG, SCHEMA};
use crate::sql::functions;
use crate::sql::sized::{BoundedPlanner, Room};

/// Built once; a query clones it, which costs a tenth of building it.
pub(super) fn session(settings: &Settings) -> Result<SessionState, ScanError> {
    let mode = match &settings.spill_folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(settings.memory_bytes)))
        .with_disk_manager_builder(
            DiskManagerBuilder::default()
                .with_mode(mode)
                .with_max_temp_directory_size(settings.spill_bytes),
        )
        .build_arc()
        .map_err(|e| fault::internal(e.strip_backtrace()))?;
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        // Below the barrier each scan has readers of its own, whatever is said here: a join of two tables reads with twice as
        // many, and the connector bounds the sessions of all queries together. Above it one task does everything in turn, so
        // that order and bytes stay the same from run to run.
        .with_target_partitions(1)
        .with_batch_size(8192)
        .with_collect_statistics(false);
    let options = config.options_mut();
    options.extensions.insert(Room::default());
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.enable_recursive_ctes = false;
    // Nothing below the barrier takes them.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(BoundedPlanner::new())];
    planners.extend(SessionStateDefaults::default_expr_planners());
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(functions::scalar())
        .with_aggregate_functions(functions::aggregate())
        .with_window_functions(functions::window())
        .build())
}
