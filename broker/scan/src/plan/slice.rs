//! A slice of one dataset as a plan: scan, filter, order, limit, columns.

use std::sync::Arc;

use chunk_wire::fetch::Params;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::sql::sqlparser::ast::ExprWithAlias;

use crate::engine::fault;
use crate::sql;

/// What is asked of a dataset.
pub(super) struct Slice<'a> {
    pub(super) columns: Option<&'a [String]>,
    pub(super) filter: Option<&'a str>,
    pub(super) order_by: Option<&'a str>,
    pub(super) limit: Option<u64>,
    /// Values of what filter and order name by `$`.
    pub(super) params: &'a Params,
}

/// Builds the plan. Filter and order see the columns as this caller does.
pub(super) fn plan(
    state: &SessionState,
    dataset: &str,
    table: &Arc<dyn TableProvider>,
    slice: &Slice<'_>,
) -> Result<LogicalPlan, DataFusionError> {
    let Slice {
        columns,
        filter,
        order_by,
        limit,
        params,
    } = *slice;
    let name = TableReference::bare(dataset);
    let mut builder = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::clone(table)), None)?;
    let expression = |builder: &LogicalPlanBuilder, expr| {
        let planned = state.create_logical_expr_from_sql_expr(ExprWithAlias { expr, alias: None }, builder.schema())?;
        one_row(&planned)?;
        Ok::<Expr, DataFusionError>(planned)
    };
    if let Some(filter) = filter {
        let expr = sql::parse_filter(filter, params).map_err(fault::carry)?;
        let planned = expression(&builder, expr)?;
        builder = builder.filter(planned)?;
    }
    if let Some(order) = order_by {
        let mut keys = Vec::new();
        for item in sql::parse_order(order, params).map_err(fault::carry)? {
            let ascending = item.options.asc.unwrap_or(true);
            let nulls_first = item.options.nulls_first.unwrap_or(!ascending);
            let key = expression(&builder, item.expr)?;
            if key.column_refs().is_empty() {
                return Err(fault::carry(fault::invalid(format!(
                    "the order `{key}` names no column; name one, a number is not the place of one here"
                ))));
            }
            keys.push(SortExpr {
                expr: key,
                asc: ascending,
                nulls_first,
            });
        }
        builder = builder.sort(keys)?;
    }
    if let Some(limit) = limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        builder = builder.limit(0, Some(limit))?;
    }
    if let Some(columns) = columns {
        let mut wanted: Vec<Expr> = Vec::with_capacity(columns.len());
        for column in columns {
            let expr = Expr::Column(Column::new(Some(name.clone()), column));
            if table.schema().index_of(column).is_err() {
                return Err(fault::carry(fault::invalid(format!(
                    "`{dataset}` has no column `{column}`; run `chunkctl describe {dataset}`"
                ))));
            }
            if wanted.contains(&expr) {
                return Err(fault::carry(fault::invalid(format!("the column `{column}` is listed twice"))));
            }
            wanted.push(expr);
        }
        if wanted.is_empty() {
            return Err(fault::carry(fault::invalid("the list of columns is empty")));
        }
        builder = builder.project(wanted)?;
    }
    builder.build()
}

/// A filter or order looks at one row at a time.
fn one_row(expr: &Expr) -> Result<(), DataFusionError> {
    let mut odd = false;
    expr.apply(|e| {
        odd |= matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    if odd {
        return Err(fault::carry(fault::invalid(
            "a filter or order may not use aggregate or window functions; use `--sql`",
        )));
    }
    Ok(())
}
