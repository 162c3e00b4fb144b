//! What the server says of its tables: columns, size, encoding. Read in the snapshot that rows will be read in.

use std::fmt::Write as _;

use chunk_port::ScanError;
use tokio_postgres::SimpleQueryMessage;

use super::kind::Kind;
use super::select::text;
use crate::engine::fault;

/// A table by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgName {
    /// Schema.
    pub(crate) schema: String,
    /// Table or view.
    pub(crate) table: String,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Texts that compare equal have equal bytes.
    pub(super) deterministic: bool,
}

/// The statement that says which of `names` can be locked: the numbers of plain and partitioned tables that the role reads.
pub(super) fn lockable(names: &[PgName]) -> String {
    format!(
        "SELECT w.n::text FROM (VALUES {}) AS w(n, s, t) JOIN pg_catalog.pg_namespace s ON s.nspname = w.s \
         JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = w.t \
         WHERE c.relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')",
        values(names)
    )
}

fn values(names: &[PgName]) -> String {
    let mut wanted = String::new();
    for (n, name) in names.iter().enumerate() {
        let separator = if n == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(wanted, "{separator}({n}, {}, {})", text(&name.schema), text(&name.table));
    }
    wanted
}

/// What is known of a table.
#[derive(Debug, Clone)]
pub(super) struct PgRelation {
    pub(super) columns: Vec<PgColumn>,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    /// Rows, by the server's last count.
    pub(super) rows: Option<u64>,
    /// Blocks now; 0 for views and partitioned tables.
    pub(super) blocks: u64,
    /// Bytes of a block.
    pub(super) block_bytes: u64,
    /// The database keeps text as UTF-8.
    pub(super) utf8: bool,
    /// `server_version_num`.
    pub(super) version: u32,
}

/// The statement that reads all of `names`.
pub(super) fn query(names: &[PgName]) -> String {
    let wanted = values(names);
    format!(
        "WITH RECURSIVE wanted(n, s, t) AS (VALUES {wanted}), rel AS (\
           SELECT w.n, c.oid, c.relkind::text AS kind, c.reltuples, pg_catalog.pg_relation_size(c.oid) AS bytes \
           FROM wanted w JOIN pg_catalog.pg_namespace s ON s.nspname = w.s \
           JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = w.t AND c.relkind IN ('r', 'v', 'm', 'p', 'f')), \
         col AS (\
           SELECT r.n, a.attnum, a.attname::text AS name, a.atttypid AS typ, a.atttypmod AS mod, a.attcollation AS coll \
           FROM rel r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
           UNION ALL \
           SELECT c.n, c.attnum, c.name, t.typbasetype, \
                  CASE WHEN c.mod = -1 THEN t.typtypmod ELSE c.mod END, c.coll \
           FROM col c JOIN pg_catalog.pg_type t ON t.oid = c.typ AND t.typtype = 'd') \
         SELECT 'r' AS row, r.n::text, r.kind, r.reltuples::int8::text, r.bytes::text, \
                pg_catalog.current_setting('block_size'), pg_catalog.current_setting('server_encoding'), \
                pg_catalog.current_setting('server_version_num'), 0::int8 AS seq \
         FROM rel r \
         UNION ALL \
         SELECT 'c', c.n::text, c.name, c.typ::text, c.mod::text, t.typtype::text, \
                coalesce(k.collisdeterministic, true)::text, '', c.attnum \
         FROM col c JOIN pg_catalog.pg_type t ON t.oid = c.typ AND t.typtype <> 'd' \
         LEFT JOIN pg_catalog.pg_collation k ON k.oid = c.coll \
         ORDER BY seq"
    )
}

/// Reads the answer, in the order of the names asked for; `None` where there is no such table.
pub(super) fn read(count: usize, messages: &[SimpleQueryMessage]) -> Result<Vec<Option<PgRelation>>, ScanError> {
    let mut found: Vec<Option<PgRelation>> = vec![None; count];
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let field = |i: usize| {
            row.try_get(i)
                .ok()
                .flatten()
                .ok_or_else(|| fault::internal(format!("catalog row without field {i}")))
        };
        let place = field(1)?
            .parse::<usize>()
            .ok()
            .and_then(|n| found.get_mut(n))
            .ok_or_else(|| fault::internal("catalog row number"))?;
        match (field(0)?, place) {
            ("r", place) => *place = Some(relation(&field)?),
            ("c", Some(relation)) => relation.columns.push(column(&field)?),
            _ => return Err(fault::internal("catalog rows out of order")),
        }
    }
    Ok(found)
}

fn relation<'a>(field: &impl Fn(usize) -> Result<&'a str, ScanError>) -> Result<PgRelation, ScanError> {
    let block_bytes = number::<u64>(field(5)?)?.max(1);
    Ok(PgRelation {
        columns: Vec::new(),
        kind: field(2)?.to_owned(),
        // -1: never analysed.
        rows: u64::try_from(number::<i64>(field(3)?)?).ok(),
        blocks: number::<u64>(field(4)?)? / block_bytes,
        block_bytes,
        utf8: field(6)? == "UTF8",
        version: number(field(7)?)?,
    })
}

fn column<'a>(field: &impl Fn(usize) -> Result<&'a str, ScanError>) -> Result<PgColumn, ScanError> {
    Ok(PgColumn {
        name: field(2)?.to_owned(),
        kind: Kind::of(number(field(3)?)?, number(field(4)?)?, field(5)?),
        deterministic: field(6)? == "true",
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, ScanError> {
    text.parse().map_err(|_| fault::internal("catalog number"))
}
