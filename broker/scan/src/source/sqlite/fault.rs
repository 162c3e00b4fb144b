//! What may be said of a failing SQLite file.
//!
//! SQLite's own messages may quote what it read (a JSON function's, for one), so even the operator gets the meaning of the
//! code instead; only while a statement is prepared, before any row, is the message itself told.

use chunk_port::ScanError;
use rusqlite::{Error, ErrorCode};

use crate::engine::fault;

/// An error while rows may have been read.
pub(super) fn reading(connection: &str, what: &str, error: &Error) -> ScanError {
    let meaning = match error.sqlite_error() {
        Some(code) => format!("{what}: {code} (code {})", code.extended_code),
        None => format!("{what}: not what was asked for"),
    };
    told(connection, error, meaning)
}

/// An error before any row was read.
pub(super) fn preparing(connection: &str, what: &str, error: &Error) -> ScanError {
    told(connection, error, format!("{what}: {error}"))
}

/// A value that its column's type does not hold.
pub(super) fn misfit(connection: &str, operator: String) -> ScanError {
    fault::source(
        format!("a value behind `{connection}` is not of its column's type; the operator's log names row and column"),
        operator,
    )
}

/// The file was written to between two looks at it.
pub(super) fn changed(connection: &str) -> ScanError {
    fault::source(
        format!("the file behind `{connection}` is being written to and no single state of it could be read; try again"),
        "it was written to each time that all readers were about to begin",
    )
}

fn told(connection: &str, error: &Error, operator: String) -> ScanError {
    let public = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => {
            let mut limit = fault::limit(format!("reading the file behind `{connection}` was stopped: its time is up"));
            limit.operator = Some(operator);
            return limit;
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("the file behind `{connection}` is locked by a program that writes to it; try again later")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            format!("the file behind `{connection}` is damaged, or not an SQLite file")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            format!("the file behind `{connection}` cannot be opened by the broker")
        }
        Some(ErrorCode::SchemaChanged) => format!("the file behind `{connection}` no longer has this table as it was described"),
        Some(ErrorCode::TooBig) => format!("a value behind `{connection}` is larger than the broker reads"),
        _ => format!("the source behind `{connection}` failed"),
    };
    fault::source(public, operator)
}
