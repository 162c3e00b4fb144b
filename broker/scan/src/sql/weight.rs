//! How many tables a statement reads, written out.
//!
//! A common table expression is planned once and shared, but whatever walks the plan walks it once for each time it is
//! named: forty of them, each naming the one before twice, are a tree of a million million nodes in two lines of text. So
//! they are counted as often as they are named, before anything is planned.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, TableFactor, Visitor};

use crate::engine::fault;

/// Tables, subqueries and VALUES that a statement may read in all.
pub(super) const TABLES_MAX: u64 = 32;
/// Common table expressions; each can lie on top of the one before.
pub(super) const WITH_MAX: usize = 64;

/// Counts while a statement is visited.
#[derive(Debug, Default)]
pub(super) struct Weight {
    scopes: Vec<Scope>,
    named: usize,
}

/// A query that is being visited.
#[derive(Debug, Default)]
struct Scope {
    /// Names of its WITH clause, in order. They are visited first.
    pending: Vec<String>,
    /// How many of them have been visited.
    done: usize,
    /// What each of those reads.
    known: HashMap<String, u64>,
    /// What the query itself reads so far.
    reads: u64,
}

impl Visitor for Weight {
    type Break = Box<chunk_port::ScanError>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let tables = query.with.iter().flat_map(|w| &w.cte_tables);
        let pending: Vec<String> = tables.map(|t| t.alias.name.value.to_lowercase()).collect();
        self.named += pending.len();
        self.scopes.push(Scope {
            pending,
            ..Scope::default()
        });
        if self.named > WITH_MAX {
            return refuse(format_args!("a statement may have at most {WITH_MAX} common table expressions"));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        let Some(reads) = self.scopes.pop().map(|s| s.reads.max(1)) else {
            return ControlFlow::Continue(());
        };
        if let Some(outer) = self.scopes.last_mut() {
            match outer.pending.get(outer.done).cloned() {
                Some(name) => {
                    outer.done += 1;
                    outer.known.insert(name, reads);
                }
                None => return self.add(reads),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.from.is_empty() {
            self.add(1)
        } else {
            ControlFlow::Continue(())
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table { name, .. } => {
                let reads = self.reads(name);
                self.add(reads)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Weight {
    /// What a name reads: one table, or what stands behind a common table expression. However it is spelt: counting one
    /// that is hidden by a table is no harm.
    fn reads(&self, name: &ObjectName) -> u64 {
        let parts: Vec<String> = name
            .0
            .iter()
            .map(|p| p.as_ident().map(|i| i.value.to_lowercase()).unwrap_or_default())
            .collect();
        let name = parts.join(".");
        let known = self.scopes.iter().filter_map(|s| s.known.get(&name));
        known.copied().max().unwrap_or(1)
    }

    fn add(&mut self, reads: u64) -> ControlFlow<Box<chunk_port::ScanError>> {
        if let Some(scope) = self.scopes.last_mut() {
            scope.reads = scope.reads.saturating_add(reads);
            if scope.reads > TABLES_MAX {
                return refuse(format_args!(
                    "a statement may read at most {TABLES_MAX} tables, where a common table expression counts as often as it is named"
                ));
            }
        }
        ControlFlow::Continue(())
    }
}

fn refuse(text: impl std::fmt::Display) -> ControlFlow<Box<chunk_port::ScanError>> {
    ControlFlow::Break(Box::new(fault::refused("size", text)))
}
