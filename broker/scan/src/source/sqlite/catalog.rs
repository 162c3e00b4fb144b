//! What the file says of a table: its columns, and whether their declared types bind.

use rusqlite::{Connection, OptionalExtension, Result};

use super::kind::Kind;

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// An ordinary table, whose values were turned into its columns' types where that loses nothing. The columns of views
    /// and virtual tables may be declared as one thing and compare as another.
    pub(super) ordinary: bool,
    /// Texts are kept, and so ordered, as UTF-8.
    pub(super) utf8: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The table or view of exactly this name.
pub(super) fn relation(db: &Connection, name: &str) -> Result<Option<Relation>> {
    let found = db
        .query_row(
            "SELECT type = 'table' AND rootpage > 0 FROM main.sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')",
            [name],
            |row| row.get::<_, bool>(0),
        )
        .optional()?;
    let Some(ordinary) = found else { return Ok(None) };
    let mut statement = db.prepare("SELECT name, type FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let columns = statement.query_map([name], |row| {
        Ok(Column {
            name: row.get(0)?,
            kind: Kind::of(&row.get::<_, String>(1)?),
        })
    })?;
    Ok(Some(Relation {
        name: name.to_owned(),
        columns: columns.collect::<Result<_>>()?,
        ordinary,
        utf8: db.query_row("PRAGMA encoding", [], |row| row.get::<_, String>(0))? == "UTF-8",
    }))
}

/// Changes whenever the schema does.
pub(super) fn schema_version(db: &Connection) -> Result<i64> {
    db.query_row("PRAGMA schema_version", [], |row| row.get(0))
}

/// Changes whenever another connection, of whatever program, has written. To be asked outside of a transaction.
pub(super) fn data_version(db: &Connection) -> Result<i64> {
    db.query_row("PRAGMA data_version", [], |row| row.get(0))
}
