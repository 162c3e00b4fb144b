//! Which statements are never allowed, whoever asks.

use std::ops::ControlFlow;

use chunk_port::ScanError;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, NamedWindowExpr, ObjectName, Query, Select,
    SelectFlavor, SetExpr, Statement, TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, Visitor, WindowFrameBound, WindowFrameUnits,
    WindowSpec, WindowType,
};

use super::functions;
use super::weight::Weight;
use crate::engine::fault;

/// Checks a statement: one query, reading datasets only, with functions of the list.
pub(super) fn statement(statement: &Statement) -> Result<(), ScanError> {
    let Statement::Query(_) = statement else {
        return Err(fault::refused("statement", "only SELECT is allowed"));
    };
    walk(
        statement,
        Fence {
            subqueries: true,
            depth: 0,
            statements: 0,
        },
    )?;
    walk(statement, Weight::default())
}

/// Checks an expression over one dataset's columns.
pub(super) fn expression(expr: &Expr) -> Result<(), ScanError> {
    walk(
        expr,
        Fence {
            subqueries: false,
            depth: 0,
            statements: 0,
        },
    )
}

/// Functions whose result's size, or the rows they hold on to, follow an argument: that argument must be a number written
/// out, and not a large one.
const SIZED: [(&str, usize); 6] = [("repeat", 1), ("lpad", 1), ("rpad", 1), ("lag", 1), ("lead", 1), ("nth_value", 1)];
const SIZED_MAX: u64 = 10_000;
/// Functions that compile an argument, which costs far more than to match it: a pattern for each row would never end.
const PATTERNS: [(&str, usize); 4] = [("regexp_like", 1), ("regexp_count", 1), ("regexp_instr", 1), ("regexp_replace", 1)];
/// A text constant: each row of a batch may come to hold a copy.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Levels of one expression; the engine evaluates and drops trees recursively.
const EXPRESSION_DEPTH_MAX: usize = 256;

fn walk(tree: &impl Visit, mut visitor: impl Visitor<Break = Box<ScanError>>) -> Result<(), ScanError> {
    match tree.visit(&mut visitor) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Fence {
    subqueries: bool,
    depth: usize,
    statements: usize,
}

type Stop = ControlFlow<Box<ScanError>>;

fn stop(rule: &str, text: impl std::fmt::Display) -> Stop {
    ControlFlow::Break(Box::new(fault::refused(rule, text)))
}

impl Visitor for Fence {
    type Break = Box<ScanError>;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Stop {
        self.statements += 1;
        if self.statements > 1 || !matches!(statement, Statement::Query(_)) {
            return stop("statement", "only SELECT is allowed");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> Stop {
        if !self.subqueries {
            return stop(
                "subquery",
                "a filter or order sees the columns of its dataset only, so it may hold no subquery",
            );
        }
        if query.with.as_ref().is_some_and(|w| w.recursive) {
            return stop("recursion", "WITH RECURSIVE is not allowed");
        }
        if !query.locks.is_empty() {
            return stop("statement", "FOR UPDATE and FOR SHARE are not allowed");
        }
        if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return stop("statement", "only plain SELECT is allowed");
        }
        set(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Stop {
        if select.into.is_some() {
            return stop("statement", "SELECT INTO is not allowed");
        }
        let odd = select.flavor != SelectFlavor::Standard
            || !select.optimizer_hints.is_empty()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.value_table_mode.is_some();
        if odd {
            return stop("statement", "only plain SELECT is allowed");
        }
        select.named_window.iter().try_for_each(|named| match &named.1 {
            NamedWindowExpr::WindowSpec(spec) => frame(spec),
            NamedWindowExpr::NamedWindow(_) => ControlFlow::Continue(()),
        })
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Stop {
        match table {
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. } => stop("table_function", "functions are not allowed in FROM"),
            TableFactor::Table {
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
                ..
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => ControlFlow::Continue(()),
            TableFactor::Derived {
                lateral: false,
                sample: None,
                ..
            }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            TableFactor::Derived { lateral: true, .. } => stop("table_function", "LATERAL is not allowed"),
            _ => stop("statement", "only datasets, subqueries and joins are allowed in FROM"),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Stop {
        let parts: Option<Vec<_>> = relation.0.iter().map(|p| p.as_ident()).collect();
        let Some(parts) = parts else {
            return stop("table_function", "functions are not allowed in FROM");
        };
        if parts.iter().any(|p| p.quote_style == Some('\'')) {
            return stop("file", "files are not tables; name a dataset");
        }
        let first = parts.first().map(|p| p.value.to_ascii_lowercase()).unwrap_or_default();
        if parts.len() > 1 && (first == "information_schema" || first == "pg_catalog") {
            return stop(
                "catalog",
                format_args!("`{first}` is not readable; run `chunkctl datasets` to see what is"),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Stop {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return stop("depth", "an expression is nested too deeply; use IN with a list, or several steps");
        }
        match expr {
            Expr::Function(function) => call(function),
            Expr::BinaryOp { op, right, .. } if is_regex(op) && !is_text(right) => pattern(),
            Expr::SimilarTo { pattern: text, .. } | Expr::RLike { pattern: text, .. } if !is_text(text) => pattern(),
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                ControlFlow::Break(Box::new(fault::invalid("a parameter is written $name; `?` is none")))
            }
            Expr::Array(_) | Expr::Lambda(_) | Expr::Struct { .. } | Expr::Dictionary(_) | Expr::Map(_) => {
                stop("nested_values", "arrays, structs and maps are not allowed")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> Stop {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> Stop {
        if value.value.clone().into_string().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            return stop("size", format_args!("a text constant may have at most {TEXT_BYTES_MAX} bytes"));
        }
        ControlFlow::Continue(())
    }
}

fn is_regex(op: &BinaryOperator) -> bool {
    use BinaryOperator::{PGRegexIMatch, PGRegexMatch, PGRegexNotIMatch, PGRegexNotMatch, Regexp};
    matches!(op, PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch | Regexp)
}

fn pattern() -> Stop {
    stop("pattern", "a regular expression must be written out as a text")
}

/// A text written out.
fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => value.value.clone().into_string().is_some(),
        Expr::Nested(inner) => is_text(inner),
        _ => false,
    }
}

fn set(body: &SetExpr) -> Stop {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            set(left)?;
            set(right)
        }
        SetExpr::Table(_) => stop("statement", "TABLE is not allowed; write SELECT * FROM"),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => stop("statement", "only SELECT is allowed"),
    }
}

fn call(function: &Function) -> Stop {
    let name = function.name.to_string().to_ascii_lowercase();
    let bare = name.trim_matches('"');
    if !functions::is_allowed(bare) {
        return stop(
            "functions",
            format_args!("the function `{bare}` is not on the list of allowed functions"),
        );
    }
    if let Some(WindowType::WindowSpec(spec)) = &function.over {
        frame(spec)?;
    }
    if let Some((_, place)) = SIZED.iter().find(|(n, _)| *n == bare) {
        // What is left out has a small default, or does not plan.
        let size = argument(function, *place).map_or(Some(0), |a| a.and_then(number));
        if size.is_none_or(|s| s > SIZED_MAX) {
            return stop(
                "size",
                format_args!("`{bare}` needs its length or distance written as a number of at most {SIZED_MAX}"),
            );
        }
    }
    if let Some((_, place)) = PATTERNS.iter().find(|(n, _)| *n == bare)
        && !argument(function, *place).flatten().is_some_and(is_text)
    {
        return pattern();
    }
    ControlFlow::Continue(())
}

/// A frame in rows or groups holds on to so many of them.
fn frame(spec: &WindowSpec) -> Stop {
    let Some(frame) = spec.window_frame.as_ref().filter(|f| f.units != WindowFrameUnits::Range) else {
        return ControlFlow::Continue(());
    };
    let far = [Some(&frame.start_bound), frame.end_bound.as_ref()]
        .into_iter()
        .flatten()
        .any(|bound| match bound {
            WindowFrameBound::Preceding(Some(distance)) | WindowFrameBound::Following(Some(distance)) => {
                number(distance).is_none_or(|n| n > SIZED_MAX)
            }
            _ => false,
        });
    if far {
        return stop(
            "size",
            format_args!("a window frame needs its distance written as a number of at most {SIZED_MAX}, or UNBOUNDED"),
        );
    }
    ControlFlow::Continue(())
}

/// An argument by its place: `None` where there is none, `Some(None)` where it is not an expression.
fn argument(function: &Function, place: usize) -> Option<Option<&Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list.args.get(place).map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        }),
        FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    }
}

fn number(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        // A negative length is an empty text.
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => number(expr).map(|_| 0),
        Expr::Nested(inner) => number(inner),
        _ => None,
    }
}
