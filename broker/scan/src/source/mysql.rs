//! Tables of MySQL and MariaDB, read as binary rows in one read-only transaction.

mod auth;
mod catalog;
mod decode;
mod fault;
mod kind;
mod select;
mod session;
mod snapshot;
mod table;
mod wire;

pub(crate) use catalog::MyName;
pub(crate) use snapshot::Snapshot;
pub(crate) use table::MyTable;
