//! What the server says of its tables: columns, types, size. Read in the transaction that rows will be read in.

use super::fault::{Failure, malformed};
use super::kind::Kind;
use super::select::{hex_text, identifier};
use super::session::Session;

/// A table by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MyName {
    /// Database.
    pub(crate) database: String,
    /// Table or view.
    pub(crate) table: String,
}

impl MyName {
    /// As SQL names it.
    pub(super) fn from(&self) -> String {
        format!("{}.{}", identifier(&self.database), identifier(&self.table))
    }
}

/// What is known of a table.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(super) columns: Vec<Column>,
    /// Rows and bytes, about; nothing for views.
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Texts are kept as UTF-8, and so any can be compared with them.
    pub(super) utf8: bool,
}

/// A table's columns, those that the account may read. `None`: there is none, or it may read none of it.
///
/// The types are taken from a SELECT of no rows, which also holds the table's definition until the transaction ends:
/// whoever wants to alter it waits, as behind any SELECT.
pub(super) async fn relation(session: &mut Session, name: &MyName) -> Result<Option<Relation>, Failure> {
    // Compared in their own collation to find them by the server's index, and by bytes to be the ones that were meant.
    let (database, table) = (hex_text(&name.database), hex_text(&name.table));
    let place = format!(
        "table_schema = {database} AND table_name = {table} AND CAST(table_schema AS BINARY) = CAST({database} AS BINARY) \
         AND CAST(table_name AS BINARY) = CAST({table} AS BINARY)"
    );
    let found = session
        .texts(&format!(
            "SELECT column_name, character_set_name FROM information_schema.columns WHERE {place} ORDER BY ordinal_position"
        ))
        .await?;
    let mut columns = Vec::with_capacity(found.rows.len());
    for row in found.rows {
        let mut row = row.into_iter();
        let name = row.next().flatten().ok_or(malformed("a column without a name"))?;
        let character_set = row.next().flatten().unwrap_or_default();
        columns.push(Column {
            name,
            kind: Kind::Binary,
            utf8: character_set.starts_with("utf8"),
        });
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let items: Vec<String> = columns.iter().map(|c| identifier(&c.name)).collect();
    let (statement, types) = session
        .prepare(&format!("SELECT {} FROM {} LIMIT 0", items.join(", "), name.from()))
        .await?;
    if types.len() != columns.len() {
        return Err(malformed("a SELECT of another width"));
    }
    session.execute(statement, false).await?;
    while session.row().await?.is_some() {}
    session.close(statement).await?;
    for (column, found) in columns.iter_mut().zip(types) {
        column.kind = found.kind;
    }
    let size = session
        .texts(&format!(
            "SELECT table_rows, data_length FROM information_schema.tables WHERE {place}"
        ))
        .await?;
    let number = |n: usize| size.rows.first()?.get(n)?.as_ref()?.parse().ok();
    Ok(Some(Relation {
        columns,
        rows: number(0),
        bytes: number(1),
    }))
}
