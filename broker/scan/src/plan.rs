//! From a query and governed tables to something that can run.

mod cut;
mod estimate;
mod expanded;
mod guard;
mod output;
mod register;
mod slice;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chunk_port::{Inspection, ScanError, ScanErrorKind, ScanOrder, ScanPlan, SourceColumn, Table};
use chunk_wire::fetch::{Params, Query};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{ExprWithAlias, Statement};

use crate::engine::fault;
use crate::masked::{Ledger, MaskedTable, Part, RowFilter, row_filter, type_name};
use crate::source::{RawTable, Size};
use crate::sql::sized::Room;
use crate::sql::{self, Named, Touched, named, touched};

pub(crate) use guard::{Stop, guard};
pub(crate) use output::Output;
use register::Outline;
pub(crate) use register::{CATALOG, SCHEMA};

/// A query, understood as far as that goes without its tables.
#[derive(Debug)]
pub(crate) struct Parsed {
    form: Form,
    named: Named,
}

#[derive(Debug)]
enum Form {
    /// One dataset, named.
    Slice,
    /// A SELECT and the tables it names.
    Select(Box<Statement>, Vec<register::Reference>),
}

/// Parses a query and finds the datasets it names among `known`, in sorted order.
pub(crate) fn parse(state: &SessionState, query: &Query, known: &[&str]) -> Result<(Parsed, Vec<String>), ScanError> {
    match query {
        Query::Slice {
            dataset,
            filter,
            order_by,
            params,
            ..
        } => {
            if !known.contains(&dataset.as_str()) {
                return Err(register::unknown(dataset));
            }
            sql::parameters_of_slice(params, [filter.as_deref(), order_by.as_deref()])?;
            let mut found = Named::default();
            if let Some(filter) = filter {
                found = found.with(named(&sql::parse_filter(filter, params)?));
            }
            if let Some(order_by) = order_by {
                found = found.with(named(&sql::parse_order(order_by, params)?));
            }
            let parsed = Parsed {
                form: Form::Slice,
                named: found,
            };
            Ok((parsed, vec![dataset.clone()]))
        }
        Query::Sql { text, params } => {
            let statement = sql::parse_select(text, params)?;
            let references = register::references(state, &statement, known)?;
            let mut datasets: Vec<String> = references.iter().map(|r| r.dataset.clone()).collect();
            datasets.sort();
            datasets.dedup();
            let parsed = Parsed {
                named: named(&statement),
                form: Form::Select(Box::new(statement), references),
            };
            Ok((parsed, datasets))
        }
    }
}

/// What a query names. `tables` are those of `parse`, with their schemas.
pub(crate) async fn inspect(
    template: &SessionState,
    query: &Query,
    parsed: &Parsed,
    tables: &[(String, SchemaRef)],
) -> Result<Inspection, ScanError> {
    let statement = match parsed.form {
        Form::Slice => "slice",
        Form::Select(..) => "select",
    };
    // Masks may change types: a query may be wrong for the raw types and right for the masked ones. So it is planned with
    // both. If it fails the same way twice, it is wrong whatever the types are; if differently, it counts as naming
    // every column, and `plan`, which knows the masks, says what is wrong. Functions are also read off the text: those of
    // a query that does not plan here count like those of one that does.
    let raw = outline(template, query, parsed, tables, |t| t.clone()).await;
    let found = match raw {
        Ok(found) => found,
        // Our own words are about the statement, not its types.
        Err(first) if fault::own(&first).is_some() => return Err(fault::from_plan(&first)),
        Err(first) => match outline(template, query, parsed, tables, |_| DataType::Utf8).await {
            Ok(found) => found,
            Err(second) if untyped(&second) || second.to_string() == first.to_string() => return Err(fault::from_plan(&first)),
            Err(_) => everything(tables),
        },
    };
    let mut functions = found.functions;
    functions.extend(parsed.named.functions.iter().cloned());
    let mut columns = Vec::new();
    for (dataset, schema) in tables {
        let named = found.columns.get(dataset);
        let of_table = schema.fields().iter().filter(|f| named.is_some_and(|n| n.contains(f.name())));
        columns.extend(of_table.map(|f| (dataset.clone(), f.name().clone())));
    }
    Ok(Inspection {
        statement: statement.to_owned(),
        datasets: tables.iter().map(|(d, _)| d.clone()).collect(),
        columns,
        functions: functions.into_iter().collect(),
    })
}

async fn outline(
    template: &SessionState,
    query: &Query,
    parsed: &Parsed,
    tables: &[(String, SchemaRef)],
    retype: impl Fn(&DataType) -> DataType,
) -> Result<Touched, DataFusionError> {
    let retyped = |schema: &SchemaRef| {
        let fields: Vec<Field> = schema
            .fields()
            .iter()
            .map(|f| Field::new(f.name(), retype(f.data_type()), true))
            .collect();
        Arc::new(Schema::new(fields))
    };
    let providers: Vec<(String, Arc<dyn TableProvider>)> = tables
        .iter()
        .map(|(d, s)| (d.clone(), Arc::new(Outline::new(d, retyped(s))) as Arc<dyn TableProvider>))
        .collect();
    let state = template.clone();
    let plan = logical(&state, query, parsed, &providers).await?;
    touched(&plan, &register::dataset_of)
}

fn everything(tables: &[(String, SchemaRef)]) -> Touched {
    let all = |s: &SchemaRef| s.fields().iter().map(|f| f.name().clone()).collect();
    Touched {
        columns: tables.iter().map(|(d, s)| (d.clone(), all(s))).collect(),
        functions: Default::default(),
    }
}

/// Whether an error has nothing to do with types.
fn untyped(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => untyped(inner),
        DataFusionError::SchemaError(..) => true,
        other => fault::own(other).is_some(),
    }
}

async fn logical(
    state: &SessionState,
    query: &Query,
    parsed: &Parsed,
    tables: &[(String, Arc<dyn TableProvider>)],
) -> Result<LogicalPlan, DataFusionError> {
    let planned = match (query, &parsed.form) {
        (
            Query::Slice {
                dataset,
                columns,
                filter,
                order_by,
                limit,
                params,
            },
            _,
        ) => {
            let (_, provider) = tables
                .iter()
                .find(|(d, _)| d == dataset)
                .ok_or_else(|| fault::carry(register::unknown(dataset)))?;
            let asked = slice::Slice {
                columns: columns.as_deref(),
                filter: filter.as_deref(),
                order_by: order_by.as_deref(),
                limit: *limit,
                params,
            };
            slice::plan(state, dataset, provider, &asked)?
        }
        (Query::Sql { .. }, Form::Select(statement, references)) => {
            let mut state = state.clone();
            state.register_catalog_list(register::catalog(references.as_slice(), tables)?);
            state.statement_to_plan(EngineStatement::Statement(statement.clone())).await?
        }
        (Query::Sql { .. }, Form::Slice) => return Err(fault::carry(fault::internal("a statement that was not parsed"))),
    };
    expanded::check(&planned)?;
    Ok(planned)
}

/// A query that can run.
pub(crate) struct Prepared {
    /// The session it was planned in.
    pub(crate) state: SessionState,
    /// The plan.
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    /// What comes out.
    pub(crate) output: Output,
    /// Its scans and masks.
    pub(crate) ledger: Arc<Ledger>,
    /// Whether the same rows give the same result whenever they are read: no function that it or a row filter names looks at the clock.
    pub(crate) timeless: bool,
}

/// How much of a result to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Other than the whole only for a query of which [`Prepared::chunks`] says that it can be cut.
    pub(crate) part: Part,
    /// What the query takes for now, where that is not this moment: the chunks of a result have one.
    pub(crate) now: Option<DateTime<Utc>>,
}

impl Extent {
    /// All of it, now.
    pub(crate) const WHOLE: Self = Self {
        part: Part::WHOLE,
        now: None,
    };
}

/// Plans an order over its opened tables.
pub(crate) async fn prepare(
    template: &SessionState,
    order: &ScanOrder,
    parsed: &Parsed,
    opened: Vec<Arc<dyn RawTable>>,
    workers: usize,
    extent: Extent,
) -> Result<Prepared, ScanError> {
    let mut state = template.clone();
    state.mark_start_execution();
    if extent.now.is_some() {
        state.execution_props_mut().query_execution_start_time = extent.now;
    }
    let room = Room::shared_by(parsed.named.growing);
    state.config_mut().options_mut().extensions.insert(room);
    let ledger = Arc::new(Ledger::default());
    let mut tables: Vec<(String, Arc<dyn TableProvider>)> = Vec::with_capacity(order.tables.len());
    for (governed, raw) in order.tables.iter().zip(opened) {
        let dataset = governed.table.dataset.as_str();
        let schema = raw.schema();
        if schema.fields().len() != governed.columns.len() {
            return Err(changed(dataset));
        }
        let treatments = schema
            .fields()
            .iter()
            .map(|f| {
                governed
                    .columns
                    .iter()
                    .find(|c| c.name == *f.name())
                    .map(|c| (c.treatment.clone(), c.class.clone()))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| changed(dataset))?;
        let filter = governed
            .row_filter
            .as_deref()
            .map(|f| plan_row_filter(&state, dataset, f, &schema))
            .transpose()?;
        tables.push((
            dataset.to_owned(),
            Arc::new(MaskedTable::new(
                dataset,
                raw,
                treatments,
                filter,
                Arc::clone(&ledger),
                workers,
                extent.part,
            )),
        ));
    }
    let logical = logical(&state, &order.query, parsed, &tables)
        .await
        .map_err(|e| fault::from_plan(&e))?;
    let physical = state.create_physical_plan(&logical).await.map_err(|e| fault::from_plan(&e))?;
    let output = Output::new(&physical.schema())?;
    let timeless = is_timeless(&state, &parsed.named, order)?;
    Ok(Prepared {
        timeless,
        state,
        physical,
        output,
        ledger,
    })
}

impl Prepared {
    /// What the query takes for now.
    pub(crate) fn now(&self) -> Option<DateTime<Utc>> {
        self.state.execution_props().query_execution_start_time
    }

    /// Into how many chunks of about this size the result can be cut.
    pub(crate) fn chunks(&self, about: Size) -> u32 {
        cut::chunks(&self.physical, &self.ledger.scans(), about)
    }

    /// What running it would give.
    pub(crate) async fn describe(&self) -> ScanPlan {
        let scans = self.ledger.scans();
        let mut explain: Vec<String> = scans.iter().map(|s| s.explain().to_owned()).collect();
        explain.extend(
            displayable(self.physical.as_ref())
                .indent(false)
                .to_string()
                .lines()
                .map(str::to_owned),
        );
        let estimate = estimate::of(&self.physical, &scans).await;
        ScanPlan {
            columns: source_columns(&self.output.schema),
            rows_estimated: estimate.rows,
            bytes_estimated: estimate.bytes,
            explain,
        }
    }
}

/// Whether every function of the query and of the row filters gives the same for the same arguments, at any time. What is named and is no
/// function of the engine's is an operator.
fn is_timeless(state: &SessionState, query: &Named, order: &ScanOrder) -> Result<bool, ScanError> {
    let mut names = query.clone();
    for filter in order.tables.iter().filter_map(|table| table.row_filter.as_deref()) {
        names = names.with(named(&sql::parse_filter(filter, &Params::new())?));
    }
    let is_fixed = |name: &String| {
        let function = state.scalar_functions().get(name);
        function.is_none_or(|function| function.signature().volatility == Volatility::Immutable)
    };
    Ok(names.functions.iter().all(is_fixed))
}

/// Columns as the port names them.
pub(crate) fn source_columns(schema: &Schema) -> Vec<SourceColumn> {
    let column = |f: &Arc<Field>| SourceColumn {
        name: f.name().clone(),
        data_type: type_name(f.data_type()),
        nullable: f.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// The tables of an order, in its order.
pub(crate) fn tables_of(order: &ScanOrder) -> Vec<Table> {
    order.tables.iter().map(|t| t.table.clone()).collect()
}

fn changed(dataset: &str) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Source,
        public: format!("the columns of `{dataset}` have changed at the source since the request was planned; plan it again"),
        operator: None,
    }
}

fn plan_row_filter(state: &SessionState, dataset: &str, text: &str, schema: &SchemaRef) -> Result<RowFilter, ScanError> {
    let failed = |operator: String| {
        fault::source(
            format!("the row filter of `{dataset}` cannot be applied, so nothing is read"),
            operator,
        )
    };
    let expr = sql::parse_filter(text, &Params::new()).map_err(|e| failed(e.public))?;
    let plan = || -> Result<RowFilter, DataFusionError> {
        let df_schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
        let expr = state.create_logical_expr_from_sql_expr(ExprWithAlias { expr, alias: None }, &df_schema)?;
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&df_schema))
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let expr = simplifier.simplify(simplifier.coerce(expr, &df_schema)?)?;
        if !matches!(expr.get_type(&df_schema)?, DataType::Boolean | DataType::Null) {
            return Err(DataFusionError::Plan("a row filter is boolean".to_owned()));
        }
        row_filter(&expr)
    };
    plan().map_err(|e| failed(e.strip_backtrace()))
}
