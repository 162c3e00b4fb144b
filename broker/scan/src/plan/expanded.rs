//! How large a query's expressions would be, written out in terms of the tables' columns.
//!
//! A subquery may say `x + x AS x`, and the next one around it the same of that. Thirty of them are a page of text, and an
//! expression of a thousand million terms as soon as a rule of the optimizer moves a filter down through all of them, which
//! it does by writing columns out. So what that would come to is worked out first.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::engine::fault;

/// Terms of the expressions of one step of a plan, written out.
const TERMS_MAX: u64 = 200_000;

/// Refuses a plan whose expressions grow out of bounds.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    sizes(plan).map(drop)
}

/// For each column that comes out of a step, the terms it is made of.
fn sizes(plan: &LogicalPlan) -> Result<Vec<u64>> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push((input.schema().as_ref(), sizes(input)?));
    }
    let mut total = 0_u64;
    let mut each = Vec::new();
    plan.apply_expressions(|expr| {
        let terms = terms(expr, &inputs)?;
        total = total.saturating_add(terms);
        each.push(terms);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if total > TERMS_MAX {
        return Err(fault::carry(fault::refused(
            "size",
            "the statement's expressions multiply when they are written out; name fewer columns twice in subqueries",
        )));
    }
    plan.apply_subqueries(|subquery| {
        sizes(subquery)?;
        Ok(TreeNodeRecursion::Jump)
    })?;
    let width = plan.schema().fields().len();
    let found = match plan {
        LogicalPlan::Projection(_) => each,
        // Groups can be filtered by below, aggregates cannot.
        LogicalPlan::Aggregate(aggregate) => each.into_iter().take(aggregate.group_expr.len()).collect(),
        LogicalPlan::Union(_) => (0..width)
            .map(|i| inputs.iter().filter_map(|(_, s)| s.get(i)).copied().max().unwrap_or(1))
            .collect(),
        _ => inputs.into_iter().flat_map(|(_, s)| s).collect::<Vec<u64>>(),
    };
    Ok((0..width).map(|i| found.get(i).copied().unwrap_or(1)).collect())
}

fn terms(expr: &Expr, inputs: &[(&DFSchema, Vec<u64>)]) -> Result<u64> {
    let mut terms = 0_u64;
    expr.apply(|e| {
        let here = match e {
            Expr::Column(column) => of_column(column, inputs),
            _ => 1,
        };
        terms = terms.saturating_add(here);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(terms)
}

fn of_column(column: &Column, inputs: &[(&DFSchema, Vec<u64>)]) -> u64 {
    let found = inputs
        .iter()
        .find_map(|(schema, sizes)| sizes.get(schema.maybe_index_of_column(column)?).copied());
    found.unwrap_or(1)
}
