//! What may be said of a failing PostgreSQL server.
//!
//! Its messages quote values and statements, so they go to the operator; the caller reads one of these sentences.

use chunk_port::{ScanError, ScanErrorKind};
use tokio_postgres::error::SqlState;

use crate::engine::fault;

/// An error of the driver while doing `what`.
pub(super) fn driver(connection: &str, what: &str, error: &tokio_postgres::Error) -> ScanError {
    let Some(db) = error.as_db_error() else {
        let operator = format!("{what}: {}", chain(error));
        return fault::source(
            format!("the source behind `{connection}` could not be reached, or ended the connection"),
            operator,
        );
    };
    let code = db.code();
    // Data exceptions and violated constraints quote the value: `invalid input syntax for type integer: "078-05-1120"`.
    let operator = if code.code().starts_with("22") || code.code().starts_with("23") {
        format!(
            "{what}: SQLSTATE {}; its text may quote a value, so it is not repeated here",
            code.code()
        )
    } else {
        format!("{what}: {}", chain(error))
    };
    if *code == SqlState::QUERY_CANCELED {
        return ScanError {
            kind: ScanErrorKind::Limit,
            public: format!("the source behind `{connection}` stopped the statement, most likely for its time limit"),
            operator: Some(operator),
        };
    }
    let public = if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        format!("the source behind `{connection}` refused the broker's credential")
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        format!("the broker's role at the source behind `{connection}` may not read this table")
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        format!("the source behind `{connection}` has no connection left; try again later")
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        format!("the table is locked at the source behind `{connection}`; try again later")
    } else if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN {
        format!("the source behind `{connection}` no longer has this table as it was described")
    } else {
        format!("the source behind `{connection}` failed")
    };
    fault::source(public, operator)
}

/// Bytes that are not what the protocol promises.
pub(super) fn malformed(connection: &str, detail: &str) -> ScanError {
    fault::source(
        format!("the source behind `{connection}` sent rows that cannot be read"),
        format!("binary COPY: {detail}"),
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
