//! Which columns of which datasets a query reads, and with which functions.
//!
//! Read off the plan before any optimisation: a column that some rule would later drop was still named by the caller, and
//! evidence errs on the side of naming too much.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::functions::names_of;

/// What a plan names.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Dataset → columns.
    pub(crate) columns: BTreeMap<String, BTreeSet<String>>,
    /// Functions, lower case, under each name they have.
    pub(crate) functions: BTreeSet<String>,
}

/// Walks a plan. `dataset` says which dataset a table of the plan is.
pub(crate) fn touched(plan: &LogicalPlan, dataset: &dyn Fn(&LogicalPlan) -> Option<String>) -> Result<Touched> {
    let mut found = Touched::default();
    let mut names: HashMap<TableReference, BTreeSet<String>> = HashMap::new();
    let mut schemas: HashMap<String, BTreeSet<String>> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if let Some(set) = dataset(node)
            && let LogicalPlan::TableScan(scan) = node
        {
            found.columns.entry(set.clone()).or_default();
            schemas
                .entry(set.clone())
                .or_insert_with(|| scan.source.schema().fields().iter().map(|f| f.name().clone()).collect());
            names.entry(scan.table_name.clone()).or_default().insert(set);
        }
        if let LogicalPlan::SubqueryAlias(alias) = node
            && let Some(set) = dataset(&alias.input)
        {
            names.entry(alias.alias.clone()).or_default().insert(set);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut columns: Vec<Column> = plan.schema().columns();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => columns.push(column.clone()),
                    Expr::ScalarFunction(f) => found.functions.extend(names_of(&f.name().to_ascii_lowercase())),
                    Expr::AggregateFunction(f) => found.functions.extend(names_of(&f.func.name().to_ascii_lowercase())),
                    Expr::WindowFunction(f) => found.functions.extend(names_of(&f.fun.name().to_ascii_lowercase())),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    // A column of a table always carries the table's name or alias here; one without is the output of an expression, whose
    // own inputs have been walked.
    for column in columns {
        for set in column.relation.as_ref().and_then(|r| names.get(r)).into_iter().flatten() {
            if schemas.get(set).is_some_and(|s| s.contains(&column.name)) {
                found.columns.entry(set.clone()).or_default().insert(column.name.clone());
            }
        }
    }
    Ok(found)
}
