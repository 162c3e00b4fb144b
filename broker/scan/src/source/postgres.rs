//! Tables of PostgreSQL, read by `COPY … TO STDOUT (FORMAT binary)` in one read-only snapshot.

pub(crate) mod catalog;
mod connect;
mod decode;
mod fault;
mod kind;
mod pool;
mod select;
mod snapshot;
mod table;

pub(crate) use pool::Pool;
pub(crate) use snapshot::Snapshot;
pub(crate) use table::PgTable;
