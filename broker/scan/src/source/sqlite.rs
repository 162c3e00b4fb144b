//! Tables of an SQLite file in a folder that the operator named.
//!
//! The file is opened to be read and for nothing else: no writing, no ATTACH, no extensions, no functions that reach out of
//! it, and a schema that is not trusted, because whoever made the file wrote its views. All reads of an order see one state
//! of it ([`snapshot`]).

mod catalog;
mod connect;
mod decode;
mod fault;
mod kind;
mod select;
mod snapshot;
mod table;

pub(crate) use snapshot::Snapshot;
pub(crate) use table::SqliteTable;
