//! A governed table as the query engine sees it: masked, or not there.
//!
//! The engine is given a table whose schema is the masked one and whose scan is a single leaf ([`barrier`]). It may ask the
//! table two things: "would you filter by this?", answered here from the allow-list, and "scan these columns". Columns whose
//! treatment is not the identity are never filtered raw, whatever the filter.

mod barrier;
mod ledger;
mod units;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chunk_port::{Mask, Treatment};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_plan::ExecutionPlan;

use crate::engine::fault;
use crate::mask::MaskKernel;
use crate::pushdown::{self, Condition, Support};
use crate::source::{RawTable, Want, WantColumn};

pub(crate) use barrier::MaskedScan;
pub(crate) use ledger::Ledger;
pub(crate) use units::Part;

/// A policy's row filter, planned over raw columns.
#[derive(Debug, Clone)]
pub(crate) struct RowFilter {
    /// Its conjuncts; a row is there if all are true.
    pub(crate) conjuncts: Vec<Expr>,
}

/// A governed table.
pub(crate) struct MaskedTable {
    dataset: String,
    raw: Arc<dyn RawTable>,
    treatments: Vec<(Treatment, Option<String>)>,
    row_filter: Option<RowFilter>,
    /// Raw types.
    raw_schema: SchemaRef,
    /// What the caller's query sees: columns that are dropped are not there.
    schema: SchemaRef,
    /// Indices of its columns among the raw ones.
    shown: Vec<usize>,
    ledger: Arc<Ledger>,
    workers: usize,
    part: Part,
}

impl MaskedTable {
    /// Treatments and classes are in the order of the raw table's columns.
    pub(crate) fn new(
        dataset: &str,
        raw: Arc<dyn RawTable>,
        treatments: Vec<(Treatment, Option<String>)>,
        row_filter: Option<RowFilter>,
        ledger: Arc<Ledger>,
        workers: usize,
        part: Part,
    ) -> Self {
        let raw_schema = raw.schema();
        let is_shown = |index: &usize| !matches!(treatments.get(*index), Some((Treatment::Mask(Mask::Drop), _)));
        let shown: Vec<usize> = (0..treatments.len()).filter(is_shown).collect();
        let fields: Vec<Field> = shown
            .iter()
            .filter_map(|&index| raw_schema.fields().get(index).zip(treatments.get(index)))
            .map(|(field, (treatment, _))| match treatment {
                Treatment::Mask(mask) => Field::new(field.name(), MaskKernel::new(mask, field.data_type()).output_type().clone(), true),
                Treatment::Open | Treatment::Reveal => field.as_ref().clone(),
            })
            .collect();
        Self {
            dataset: dataset.to_owned(),
            raw,
            treatments,
            row_filter,
            raw_schema,
            schema: Arc::new(Schema::new(fields)),
            shown,
            ledger,
            workers,
            part,
        }
    }

    /// The dataset's name.
    pub(crate) fn dataset(&self) -> &str {
        &self.dataset
    }

    /// A filter of the caller's that may run below the mask, and how the source answers it.
    fn admit(&self, filter: &Expr) -> Option<(Condition, Support)> {
        let condition = pushdown::read(filter, &self.raw_schema)?;
        let (treatment, _) = self.treatments.get(condition.column)?;
        if !treatment.is_identity() {
            return None;
        }
        let support = self.raw.support(&condition);
        (support != Support::No).then_some((condition, support))
    }

    fn plan(
        &self,
        session: &dyn Session,
        projection: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<MaskedScan, DataFusionError> {
        let schema = Arc::new(self.schema.project(projection)?);
        let raw_index = |&index: &usize| {
            let raw = self.shown.get(index).copied();
            raw.ok_or_else(|| fault::carry(fault::internal("a column that is not there")))
        };
        let projection = &projection.iter().map(raw_index).collect::<Result<Vec<usize>, DataFusionError>>()?;
        let mut conditions = Vec::new();
        let mut tested = Vec::new();
        let mut exact = true;
        for filter in filters {
            let (condition, support) = self
                .admit(filter)
                .ok_or_else(|| fault::carry(fault::internal("the engine pushed a filter that was not admitted")))?;
            exact &= support == Support::Exact;
            if !self.raw.can_filter() {
                tested.push(bare(filter)?);
            }
            conditions.push(condition);
        }
        let asked = filters.len();
        // The policy's filter may run at the source by the same rules; it may name masked columns, for it is the policy's.
        for conjunct in self.row_filter.iter().flat_map(|f| &f.conjuncts) {
            let pushed = pushdown::read(conjunct, &self.raw_schema).map(|c| (self.raw.support(&c), c));
            match pushed {
                Some((Support::Exact, condition)) if self.raw.can_filter() => conditions.push(condition),
                Some((Support::Superset, condition)) if self.raw.can_filter() => {
                    conditions.push(condition);
                    tested.push(bare(conjunct)?);
                }
                _ => tested.push(bare(conjunct)?),
            }
        }
        let mut needed: BTreeSet<usize> = projection.iter().copied().collect();
        let mut visible: BTreeSet<usize> = BTreeSet::new();
        for expr in &tested {
            for column in expr.column_refs() {
                visible.insert(self.raw_schema.index_of(&column.name)?);
            }
        }
        for &index in projection {
            if let Some(subject) = self.subject(index)? {
                visible.insert(subject);
            }
        }
        needed.extend(&visible);
        let columns: Vec<WantColumn> = needed
            .iter()
            .map(|&index| WantColumn {
                index,
                blank: !visible.contains(&index) && self.is_redacted(index) && self.raw.can_blank(index),
            })
            .collect();
        let indices: Vec<usize> = needed.iter().copied().collect();
        let read_schema = Arc::new(self.raw_schema.project(&indices)?);
        let df_schema = DFSchema::try_from(Arc::clone(&read_schema))?;
        let predicate = conjunction_opt(
            tested
                .into_iter()
                .map(|e| session.create_physical_expr(e, &df_schema))
                .collect::<Result<Vec<_>, _>>()?,
        );
        let can_limit = exact && predicate.is_none();
        let scan = self.raw.read(Want {
            columns,
            conditions,
            predicate: predicate.clone(),
            limit: limit.filter(|_| can_limit),
        })?;
        let read = |index: usize| {
            let place = indices.binary_search(&index);
            place.map_err(|_| fault::carry(fault::internal("a column was not read")))
        };
        let outputs = projection
            .iter()
            .map(|&index| {
                let from = read(index)?;
                let subject = self.subject(index)?.map(read).transpose()?;
                let (treatment, class) = self
                    .treatments
                    .get(index)
                    .ok_or_else(|| fault::carry(fault::internal("no treatment")))?;
                let field = self
                    .raw_schema
                    .fields()
                    .get(index)
                    .ok_or_else(|| fault::carry(fault::internal("no column")))?;
                Ok(match treatment {
                    Treatment::Mask(mask) => {
                        let counter = self.ledger.counter(&self.dataset, field.name(), class.as_deref(), mask);
                        barrier::Output {
                            from,
                            subject,
                            mask: Some((mask.clone(), counter)),
                        }
                    }
                    Treatment::Open | Treatment::Reveal => barrier::Output {
                        from,
                        subject: None,
                        mask: None,
                    },
                })
            })
            .collect::<Result<Vec<_>, DataFusionError>>()?;
        let note = self.note(projection, filters, asked, limit.filter(|_| can_limit));
        // Only a superset or a policy's filter above the source makes the limit one of rows that pass.
        let limit = limit.filter(|_| exact);
        Ok(MaskedScan::new(
            scan,
            predicate,
            outputs,
            schema,
            limit,
            note,
            self.raw.size(),
            self.workers,
            self.part,
        ))
    }

    /// The raw column that says whose the values of this one are, where its mask depends on that.
    fn subject(&self, index: usize) -> Result<Option<usize>, DataFusionError> {
        let Some((Treatment::Mask(Mask::Shift { by, .. }), _)) = self.treatments.get(index) else {
            return Ok(None);
        };
        let found = self.raw_schema.index_of(by);
        found.map(Some).map_err(|_| {
            fault::carry(fault::source(
                "the column that dates are shifted by is not there",
                self.dataset.clone(),
            ))
        })
    }

    /// Redaction looks at no value.
    fn is_redacted(&self, index: usize) -> bool {
        matches!(self.treatments.get(index), Some((Treatment::Mask(Mask::Redact), _)))
    }

    fn note(&self, projection: &[usize], filters: &[Expr], asked: usize, limit: Option<usize>) -> String {
        let total = self.raw_schema.fields().len();
        let mut note = format!("{}: read {} of {total} columns", self.dataset, projection.len());
        if asked > 0 {
            let filters: Vec<String> = filters
                .iter()
                .map(|f| bare(f).map_or_else(|_| "…".to_owned(), |f| f.to_string()))
                .collect();
            note.push_str(&format!(", filtered at the source: {}", filters.join(" AND ")));
        }
        if let Some(limit) = limit {
            note.push_str(&format!(", at most {limit} rows"));
        }
        if self.row_filter.is_some() {
            note.push_str(", row filter of the policy");
        }
        let masked: Vec<String> = projection
            .iter()
            .filter_map(|&i| Some((self.raw_schema.fields().get(i)?, self.treatments.get(i)?)))
            .filter_map(|(field, (treatment, _))| match treatment {
                Treatment::Mask(mask) => Some(format!("{} {mask}", field.name())),
                Treatment::Open | Treatment::Reveal => None,
            })
            .collect();
        if !masked.is_empty() {
            note.push_str(&format!(", masked: {}", masked.join(", ")));
        }
        note
    }
}

/// The expression over the table's own columns, without the name that the query gave the table.
fn bare(expr: &Expr) -> Result<Expr, DataFusionError> {
    let bare = expr.clone().transform(|e| match e {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bare.data)
}

/// Splits a planned row filter into conjuncts.
pub(crate) fn row_filter(expr: &Expr) -> Result<RowFilter, DataFusionError> {
    let mut odd = false;
    expr.apply(|e| {
        odd |= matches!(
            e,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)
        );
        Ok(TreeNodeRecursion::Continue)
    })?;
    if odd {
        return Err(DataFusionError::Plan("a row filter tests one row".to_owned()));
    }
    Ok(RowFilter {
        conjuncts: datafusion::logical_expr::utils::split_conjunction(expr)
            .into_iter()
            .map(bare)
            .collect::<Result<_, _>>()?,
    })
}

impl fmt::Debug for MaskedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskedTable")
            .field("dataset", &self.dataset)
            .finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for MaskedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(filters
            .iter()
            .map(|f| self.admit(f).map_or(Support::No, |(_, support)| support).into())
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let all: Vec<usize>;
        let projection = match projection {
            Some(projection) => projection.as_slice(),
            None => {
                all = (0..self.schema.fields().len()).collect();
                &all
            }
        };
        let scan = Arc::new(self.plan(session, projection, filters, limit)?);
        self.ledger.note(&scan);
        Ok(scan)
    }
}

/// A data type as `describe` shows it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    data_type.to_string()
}
