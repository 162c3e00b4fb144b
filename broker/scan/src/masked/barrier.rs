//! The barrier: one leaf of the plan, with everything raw inside it.
//!
//! Source, row filter and mask are not plan nodes below a mask node; they are *inside* this node, which has no children. So
//! there is nothing that an optimizer rule could move a filter, projection, limit, ordering or dynamic filter into, now or in
//! a later release of the engine. It reports no statistics of columns, no ordering and no equivalences; the number of rows it
//! reports is an estimate.
//!
//! Why so strict. Each of these happened to a product that masked with expressions or views above an open scan:
//!
//! - a rule inlined the masking view and moved `mask_last4(ssn) = '…'` into the scan, where raw values answered it;
//! - a filter on a masked column was pushed as a filter on the raw column of the same name, so `WHERE ssn = '…'` worked as an
//!   oracle; so did dynamic filters of joins and of top-k sorts, which compare with *masked* constants;
//! - `min(ssn)` was answered from the source's statistics;
//! - `ORDER BY salary` kept the raw order because the source claimed to be sorted;
//! - only SELECT lists were masked, so WHERE, HAVING and JOIN saw raw values.
//!
//! `tests.rs` of this package repeats each of them as an attack.

use std::fmt;
use std::sync::Arc;

use chunk_port::Mask;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::ledger::Counter;
use super::units::{self, Part};
use crate::detect::Column;
use crate::engine::fault;
use crate::mask::MaskKernel;
use crate::source::{RawScan, Size};

/// The leaf.
pub(crate) struct MaskedScan {
    work: Arc<Work>,
    note: String,
    table: Size,
    properties: Arc<PlanProperties>,
}

/// A column that comes out.
#[derive(Debug)]
pub(super) struct Output {
    /// Index among the columns read.
    pub(super) from: usize,
    /// Index of the column that says whose its values are, where the mask depends on that.
    pub(super) subject: Option<usize>,
    /// What its values go through.
    pub(super) mask: Option<(Mask, Arc<Counter>)>,
}

/// What each unit of the source goes through.
pub(super) struct Work {
    pub(super) scan: Arc<dyn RawScan>,
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(super) outputs: Vec<Output>,
    pub(super) schema: SchemaRef,
    pub(super) limit: Option<usize>,
    pub(super) workers: usize,
    pub(super) part: Part,
}

impl MaskedScan {
    #[expect(clippy::too_many_arguments, reason = "one caller; every part is needed")]
    pub(super) fn new(
        scan: Arc<dyn RawScan>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        outputs: Vec<Output>,
        schema: SchemaRef,
        limit: Option<usize>,
        note: String,
        table: Size,
        workers: usize,
        part: Part,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let work = Arc::new(Work {
            scan,
            predicate,
            outputs,
            schema,
            limit,
            workers,
            part,
        });
        Self {
            work,
            note,
            table,
            properties: Arc::new(properties),
        }
    }

    /// What it does, for people.
    pub(crate) fn explain(&self) -> &str {
        &self.note
    }

    /// Into how many chunks of about this size it can be cut: one where rows are counted from the first.
    pub(crate) fn chunks(&self, about: Size) -> u32 {
        if self.work.limit.is_some() {
            return 1;
        }
        let wanted = |has: Option<u64>, about: Option<u64>| has.zip(about).map_or(1, |(has, about)| has.div_ceil(about.max(1)));
        let wanted = wanted(self.table.rows, about.rows).max(wanted(self.table.bytes, about.bytes));
        let units = u32::try_from(self.work.scan.units()).unwrap_or(u32::MAX);
        u32::try_from(wanted).unwrap_or(u32::MAX).min(units).clamp(1, CHUNKS_MAX)
    }

    /// Rows and bytes it will read, as the source estimates them; no more rows than its limit.
    pub(crate) async fn size(&self) -> Size {
        let size = self.work.scan.size().await;
        let limit = self.work.limit.and_then(|l| u64::try_from(l).ok());
        Size {
            rows: size.rows.map(|r| limit.map_or(r, |l| r.min(l))).or(limit),
            bytes: size.bytes,
        }
    }
}

/// Chunks of one request.
const CHUNKS_MAX: u32 = 4096;

/// Kernels of one worker.
pub(super) struct Kernels(Vec<Option<MaskKernel>>);

impl Work {
    /// Kernels for the columns as they come from the source.
    pub(super) fn kernels(&self, raw: &RecordBatch) -> Kernels {
        let kernel = |(output, field): (&Output, &FieldRef)| {
            let (mask, _) = output.mask.as_ref()?;
            let column = Column::named(field.name());
            Some(MaskKernel::for_column(mask, raw.columns().get(output.from)?.data_type(), column))
        };
        Kernels(self.outputs.iter().zip(self.schema.fields()).map(kernel).collect())
    }

    /// Row filter, then masks.
    pub(super) fn apply(&self, raw: RecordBatch, kernels: &Kernels) -> Result<RecordBatch> {
        let raw = match &self.predicate {
            None => raw,
            Some(predicate) => {
                // A row filter that fails may say a raw value, which not even the operator's log is to hold; and a caller
                // may not learn that it has failed on one.
                predicate
                    .evaluate(&raw)
                    .and_then(|v| v.into_array(raw.num_rows()))
                    .and_then(|kept| {
                        let kept = kept
                            .as_boolean_opt()
                            .ok_or_else(|| fault::carry(fault::internal("a filter that is not boolean")))?;
                        Ok(filter_record_batch(&raw, kept)?)
                    })
                    .map_err(|e| fault::carry(fault::source("the row filter of a dataset failed", fault::kind(&e))))
                    .and_then(|kept| self.scan.settle(kept))?
            }
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.outputs.len());
        for (output, kernel) in self.outputs.iter().zip(&kernels.0) {
            let column = raw
                .columns()
                .get(output.from)
                .ok_or_else(|| fault::carry(fault::internal("column out of range")))?;
            columns.push(match (&output.mask, kernel) {
                (None, _) => Arc::clone(column),
                (Some((_, counter)), Some(kernel)) => {
                    let subjects = output.subject.and_then(|subject| raw.columns().get(subject));
                    let masked = kernel
                        .apply(column, subjects)
                        .map_err(|e| fault::carry(fault::internal(e.to_string())))?;
                    if masked.array.len() != column.len() {
                        return Err(fault::carry(fault::internal("a mask changed the number of rows")));
                    }
                    counter.add(masked.values, masked.altered);
                    masked.array
                }
                // A masked column without its kernel must not pass.
                (Some(_), None) => return Err(fault::carry(fault::internal("a mask is missing"))),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl fmt::Debug for MaskedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedScan({})", self.note)
    }
}

impl DisplayAs for MaskedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedScan: {}", self.note)
    }
}

impl ExecutionPlan for MaskedScan {
    fn name(&self) -> &'static str {
        "MaskedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        // The row filter is an expression over raw columns: not shown.
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(fault::carry(fault::internal("a masked scan has one partition")));
        }
        let rows = units::read(Arc::clone(&self.work), context);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.work.schema), rows)))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.work.schema);
        if let Some(rows) = self.table.rows.and_then(|r| usize::try_from(r).ok()) {
            statistics.num_rows = Precision::Inexact(rows);
        }
        Ok(Arc::new(statistics))
    }
}
