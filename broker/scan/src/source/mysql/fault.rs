//! What may be said of a failing MySQL server.
//!
//! Its messages quote values and statements, so while rows flow even the operator gets their code alone; the caller reads
//! one of these sentences.

use chunk_port::{ScanError, ScanErrorKind};

use super::wire::WireError;
use crate::engine::fault;

/// Why something asked of a server was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection failed, or what came was not what the protocol promises.
    Wire(WireError),
    /// The server said no.
    Server { code: u16, message: String },
    /// The broker did not go on.
    Refused(&'static str),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Failure::Wire(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Wire(WireError::Io(error))
    }
}

/// A packet that is not what it must be.
pub(super) fn malformed(what: &'static str) -> Failure {
    Failure::Wire(WireError::Malformed(what))
}

/// When the failure came: whether a value can stand in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum While {
    /// No row had been looked at.
    Connecting,
    /// Rows may have been.
    Reading,
}

impl Failure {
    /// The error to hand on.
    pub(super) fn told(&self, connection: &str, what: &str, when: While) -> ScanError {
        let operator = match self {
            Failure::Wire(WireError::Io(error)) => format!("{what}: {error}"),
            Failure::Wire(WireError::Malformed(detail)) => format!("{what}: {detail}"),
            Failure::Refused(why) => format!("{what}: {why}"),
            Failure::Server { code, message } if when == While::Connecting => format!("{what}: error {code}: {message}"),
            Failure::Server { code, .. } => format!("{what}: error {code}; its text may quote a value, so it is not repeated here"),
        };
        let public = match self {
            Failure::Wire(WireError::Io(_)) => format!("the source behind `{connection}` could not be reached, or ended the connection"),
            Failure::Wire(WireError::Malformed(_)) => format!("the source behind `{connection}` sent what cannot be read"),
            Failure::Refused(_) => format!("the broker does not sign in at the source behind `{connection}` the way it asks for"),
            Failure::Server { code, .. } => match code {
                // MySQL's and MariaDB's time limits, and KILL QUERY.
                3024 | 1969 | 1317 => {
                    return ScanError {
                        kind: ScanErrorKind::Limit,
                        public: format!("the source behind `{connection}` stopped the statement, most likely for its time limit"),
                        operator: Some(operator),
                    };
                }
                1045 | 1251 | 1698 | 1862 | 3118 => format!("the source behind `{connection}` refused the broker's credential"),
                1044 | 1142 | 1143 | 1227 | 1345 | 1356 | 1370 => {
                    format!("the broker's account at the source behind `{connection}` may not read this table")
                }
                1040 | 1129 | 1203 | 1226 => format!("the source behind `{connection}` has no connection left; try again later"),
                1205 => format!("the table is locked at the source behind `{connection}`; try again later"),
                1049 | 1054 | 1146 | 1412 => format!("the source behind `{connection}` no longer has this table as it was described"),
                _ => format!("the source behind `{connection}` failed"),
            },
        };
        fault::source(public, operator)
    }
}

/// A value that its column's type does not hold.
pub(super) fn misfit(connection: &str, operator: String) -> ScanError {
    fault::source(
        format!("a value behind `{connection}` cannot be read; the operator's log names row and column"),
        operator,
    )
}
