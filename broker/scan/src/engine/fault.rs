//! What the caller may read of a failure, and what only the operator may.
//!
//! The engine's and the drivers' texts quote values (`Cannot cast string '078-05-1120' to value of Int32 type`). Planning
//! sees no row, so its texts may be shown; anything that fails while rows flow becomes one of a few fixed sentences, and
//! its text goes to the operator.

use chunk_port::{ScanError, ScanErrorKind};
use chunk_wire::problem::Position;
use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

/// The statement cannot be understood.
pub(crate) fn invalid(public: impl Into<String>) -> ScanError {
    ScanError {
        kind: ScanErrorKind::InvalidSql(None),
        public: public.into(),
        operator: None,
    }
}

/// The statement cannot be understood, at this place.
pub(crate) fn invalid_at(public: impl Into<String>, position: Option<Position>) -> ScanError {
    ScanError {
        kind: ScanErrorKind::InvalidSql(position),
        public: public.into(),
        operator: None,
    }
}

/// The statement is never allowed; `rule` is the built-in rule's name.
pub(crate) fn refused(rule: &str, public: impl std::fmt::Display) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Refused,
        public: format!("{public} (built-in rule `{rule}`)"),
        operator: None,
    }
}

/// The source failed; `operator` may hold the driver's text.
pub(crate) fn source(public: impl Into<String>, operator: impl Into<String>) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Source,
        public: public.into(),
        operator: Some(operator.into()),
    }
}

/// A bug.
pub(crate) fn internal(operator: impl Into<String>) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Internal,
        public: "the broker failed while reading; the operator's log has the details".to_owned(),
        operator: Some(operator.into()),
    }
}

/// A bound was reached.
pub(crate) fn limit(public: impl Into<String>) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Limit,
        public: public.into(),
        operator: None,
    }
}

/// The query was stopped while it computed.
pub(crate) fn stopped() -> ScanError {
    limit("the query was stopped: its time is up")
}

/// Carries one of our errors through the engine.
pub(crate) fn carry(error: ScanError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A parser's error.
pub(crate) fn from_parser(error: &ParserError) -> ScanError {
    match error {
        ParserError::RecursionLimitExceeded => refused("depth", "the statement is nested too deeply"),
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
            let (message, position) = split_position(text);
            invalid_at(format!("the SQL does not parse: {}", shorten(message)), position)
        }
    }
}

/// An error of planning: no row has been read, so its text holds nothing but the caller's own words and column names.
pub(crate) fn from_plan(error: &DataFusionError) -> ScanError {
    if let Some(own) = own(error) {
        return own;
    }
    let position = error.diagnostic().and_then(|d| d.span).map(|s| Position {
        line: s.start.line,
        column: s.start.column,
    });
    match root(error) {
        DataFusionError::SQL(parser, _) => from_parser(parser),
        DataFusionError::SchemaError(schema, _) => invalid_at(schema_text(schema), position),
        DataFusionError::ResourcesExhausted(text) => exhausted(text),
        DataFusionError::Internal(text) => internal(text.clone()),
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) | DataFusionError::Execution(text) => {
            invalid_at(format!("the SQL cannot be planned: {}", shorten(text)), position)
        }
        DataFusionError::ArrowError(arrow, _) => ScanError {
            kind: ScanErrorKind::InvalidSql(position),
            public: "the SQL cannot be planned: a constant in it cannot be computed".to_owned(),
            operator: Some(arrow.to_string()),
        },
        other => ScanError {
            kind: ScanErrorKind::InvalidSql(position),
            public: "the SQL cannot be planned".to_owned(),
            operator: Some(other.strip_backtrace()),
        },
    }
}

/// An error while rows flow.
pub(crate) fn from_run(error: &DataFusionError) -> ScanError {
    if let Some(own) = own(error) {
        return own;
    }
    match root(error) {
        DataFusionError::ResourcesExhausted(text) => exhausted(text),
        DataFusionError::Internal(text) => internal(text.clone()),
        DataFusionError::ExecutionJoin(join) => internal(join.to_string()),
        other => ScanError {
            kind: ScanErrorKind::Evaluation,
            public: "an expression of the query failed on a value, such as a division by zero, an overflow or a cast that does not fit"
                .to_owned(),
            operator: Some(other.strip_backtrace()),
        },
    }
}

/// What kind of error this is, without its text, which may quote values from below the mask.
pub(crate) fn kind(error: &DataFusionError) -> String {
    match root(error) {
        DataFusionError::ArrowError(arrow, _) => format!("arrow: {}", arrow_kind(arrow)),
        DataFusionError::ParquetError(_) => "parquet: the file is damaged, or not what it was".to_owned(),
        DataFusionError::ObjectStore(store) => format!("file: {store}"),
        DataFusionError::IoError(io) => format!("file: {io}"),
        DataFusionError::Execution(_) => "an expression failed on a value".to_owned(),
        DataFusionError::ResourcesExhausted(_) => "out of memory or disk".to_owned(),
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => "its columns are not what they were".to_owned(),
        DataFusionError::Internal(_) => "a bug of the engine".to_owned(),
        _ => "another error".to_owned(),
    }
}

fn arrow_kind(error: &ArrowError) -> &'static str {
    match error {
        ArrowError::CastError(_) => "a value cannot be cast",
        ArrowError::ParseError(_) => "a value cannot be parsed",
        ArrowError::ComputeError(_) => "a value cannot be computed",
        ArrowError::DivideByZero => "a division by zero",
        ArrowError::ArithmeticOverflow(_) => "an overflow",
        ArrowError::CsvError(_) => "a line cannot be read",
        ArrowError::SchemaError(_) => "its columns are not what they were",
        ArrowError::IoError(..) => "input or output",
        ArrowError::ParquetError(_) => "the file is damaged, or not what it was",
        _ => "another error",
    }
}

/// A copy; the port's error type holds no more than this.
pub(crate) fn copy(error: &ScanError) -> ScanError {
    ScanError {
        kind: error.kind,
        public: error.public.clone(),
        operator: error.operator.clone(),
    }
}

fn exhausted(text: &str) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Limit,
        public: "the query needs more memory or disk than a query may use; narrow it, or sort and group fewer rows".to_owned(),
        operator: Some(text.to_owned()),
    }
}

/// One of our own errors, however deeply the engine has wrapped it.
pub(crate) fn own(error: &DataFusionError) -> Option<ScanError> {
    match error {
        DataFusionError::External(inner) => inner
            .downcast_ref::<ScanError>()
            .map(copy)
            .or_else(|| inner.downcast_ref::<DataFusionError>().and_then(own))
            .or_else(|| inner.downcast_ref::<ArrowError>().and_then(own_in_arrow)),
        DataFusionError::ArrowError(arrow, _) => own_in_arrow(arrow),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => own(inner),
        DataFusionError::Shared(inner) => own(inner),
        DataFusionError::Collection(all) => all.iter().find_map(own),
        _ => None,
    }
}

fn own_in_arrow(error: &ArrowError) -> Option<ScanError> {
    match error {
        ArrowError::ExternalError(inner) => inner
            .downcast_ref::<ScanError>()
            .map(copy)
            .or_else(|| inner.downcast_ref::<DataFusionError>().and_then(own)),
        _ => None,
    }
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        other => other,
    }
}

fn schema_text(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut names: Vec<String> = valid_fields.iter().map(|f| f.name().to_owned()).collect();
            names.sort();
            names.dedup();
            let near: Vec<&String> = names.iter().filter(|n| n.eq_ignore_ascii_case(field.name())).collect();
            match near.first() {
                Some(name) => format!(
                    "there is no column `{}`; did you mean `\"{name}\"`, in double quotes?",
                    field.flat_name()
                ),
                None => format!("there is no column `{}`", field.flat_name()),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            format!(
                "the column `{}` is in more than one table; write the table's name before it",
                field.flat_name()
            )
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("two columns are called `{name}`; name one of them with AS")
        }
    }
}

/// The parser says where, but only in words.
fn split_position(text: &str) -> (&str, Option<Position>) {
    let Some(at) = text.rfind(" at Line: ") else { return (text, None) };
    let (message, place) = text.split_at(at);
    let mut numbers = place
        .split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .filter_map(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) => (message, Some(Position { line, column })),
        _ => (message, None),
    }
}

/// The first line of a text, at most 400 characters of it.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split("\n\nbacktrace").next().unwrap_or(line);
    if line.chars().count() <= 400 {
        line.to_owned()
    } else {
        line.chars().take(400).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_error_carries_its_position() {
        let error = from_parser(&ParserError::ParserError(
            "Expected: an expression, found: FROM at Line: 2, Column: 8".to_owned(),
        ));
        assert_eq!(error.kind, ScanErrorKind::InvalidSql(Some(Position { line: 2, column: 8 })));
        assert_eq!(error.public, "the SQL does not parse: Expected: an expression, found: FROM");
    }

    #[test]
    fn an_error_while_rows_flow_shows_no_value() {
        let cast = ArrowError::CastError("Cannot cast string '078-05-1120' to value of Int32 type".to_owned());
        let error = from_run(&DataFusionError::ArrowError(Box::new(cast), None).context("while computing"));
        assert_eq!(error.kind, ScanErrorKind::Evaluation);
        assert!(!error.public.contains("078"));
        assert!(error.operator.is_some_and(|o| o.contains("078")));
    }

    #[test]
    fn our_own_errors_survive_the_engine() {
        let wrapped = DataFusionError::Shared(std::sync::Arc::new(carry(source("the source ended the connection", "driver"))));
        let wrapped = DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(wrapped))), None);
        assert_eq!(from_run(&wrapped).kind, ScanErrorKind::Source);
    }
}
