//! The tables of the CSV views, typed: for formats that tell a number from a text.
//!
//! The columns are those of the CSV views, and one more, `untyped`: a value that is not of its column's type is shown there, so that
//! a log which says strange things cannot hide them. Texts are as they were recorded; what guards a spreadsheet is the CSV's alone.

use serde_json::{Map, Value};

use super::row::Row;
use crate::bundle::family_columns;
use crate::encode::canonical;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A whole number that fits in 63 bits.
    Integer,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Time,
    /// A text; lists of texts are joined by semicolons, anything else is canonical JSON.
    Text,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// There is none, or it is not shown.
    Absent,
    /// Of an integer or a time.
    Number(i64),
    /// Of a text.
    Text(String),
}

/// A table: the list of all entries, or those of one family of kinds with what is particular to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(Option<&'static str>);

const COMMON: [(&str, ColumnType); 10] = [
    ("index", ColumnType::Integer),
    ("time", ColumnType::Time),
    ("kind", ColumnType::Text),
    ("actor", ColumnType::Text),
    ("session", ColumnType::Text),
    ("dataset", ColumnType::Text),
    ("decision", ColumnType::Text),
    ("policy", ColumnType::Integer),
    ("refs", ColumnType::Text),
    ("disclosed", ColumnType::Text),
];
const UNTYPED: &str = "untyped";
const INTEGERS: [&str; 14] = [
    "count",
    "quorum",
    "rows_estimated",
    "uses",
    "chunk",
    "chunks",
    "rows",
    "bytes",
    "bytes_max",
    "ms",
    "entries",
    "from",
    "to",
    "level",
];

impl Table {
    /// The list of all entries.
    pub const POPULATION: Table = Table(None);

    /// The tables that an entry belongs to.
    #[must_use]
    pub fn of(row: &Row) -> [Table; 2] {
        [Table::POPULATION, Table(Some(row.header.kind.family()))]
    }

    /// Its name, as a file's without an ending.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.unwrap_or("population")
    }

    /// Titles and types of the columns.
    #[must_use]
    pub fn columns(self) -> Vec<(&'static str, ColumnType)> {
        let mut columns = COMMON.to_vec();
        if let Some(family) = self.0 {
            columns.extend(family_columns(family).iter().map(|(title, ..)| (*title, type_of(title))));
            columns.push((UNTYPED, ColumnType::Text));
        }
        columns
    }

    /// The cells of a row, one for each column.
    #[must_use]
    pub fn cells(self, row: &Row) -> Vec<Cell> {
        let mut cells = common(row);
        let Some(family) = self.0 else { return cells };
        let mut untyped = Map::new();
        for (title, group, member) in family_columns(family) {
            let value = row.get(*group, member);
            cells.push(cell(value, type_of(title)).unwrap_or_else(|| {
                untyped.insert((*title).to_owned(), value.clone());
                Cell::Absent
            }));
        }
        // One text for one row, in whatever order members are kept.
        let untyped = (!untyped.is_empty()).then_some(Value::Object(untyped));
        cells.push(untyped.map_or(Cell::Absent, |untyped| {
            Cell::Text(canonical(&untyped).unwrap_or_else(|_| untyped.to_string()))
        }));
        cells
    }
}

fn type_of(title: &str) -> ColumnType {
    if INTEGERS.contains(&title) {
        ColumnType::Integer
    } else if title == "expires_ms" {
        ColumnType::Time
    } else {
        ColumnType::Text
    }
}

fn common(row: &Row) -> Vec<Cell> {
    let header = &row.header;
    let text = |text: Option<&str>| text.map_or(Cell::Absent, |text| Cell::Text(text.to_owned()));
    let index = |index: u64| i64::try_from(index).map_or(Cell::Absent, Cell::Number);
    let refs: Vec<String> = header.refs.iter().map(u64::to_string).collect();
    vec![
        index(row.index),
        Cell::Number(header.t),
        text(Some(header.kind.as_str())),
        text(header.act.as_deref()),
        text(header.sid.as_deref()),
        text(header.ds.as_deref()),
        text(header.dec.map(|dec| dec.as_str())),
        header.pol.map_or(Cell::Absent, index),
        text((!refs.is_empty()).then(|| refs.join(";")).as_deref()),
        text(Some(row.shown.as_str())),
    ]
}

/// Nothing when the value is not of the type.
fn cell(value: &Value, column: ColumnType) -> Option<Cell> {
    match (value, column) {
        (Value::Null, _) => Some(Cell::Absent),
        (Value::Number(number), ColumnType::Integer | ColumnType::Time) => number.as_i64().map(Cell::Number),
        // Numbers from 2^53 on are texts in the log.
        (Value::String(text), ColumnType::Integer) => {
            let number = text.parse().ok().filter(|number: &i64| number.to_string() == *text);
            number.map(Cell::Number)
        }
        (_, ColumnType::Integer | ColumnType::Time) => None,
        (Value::String(text), ColumnType::Text) => Some(Cell::Text(text.clone())),
        (Value::Array(items), ColumnType::Text) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(Cell::Text(texts.map_or_else(|| value.to_string(), |texts| texts.join(";"))))
        }
        (_, ColumnType::Text) => Some(Cell::Text(value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::body::{Body, Group};
    use crate::kind::Kind;
    use crate::leaf::Header;
    use crate::views::Shown;

    fn outcome(out: Value) -> Row {
        let mut body = Body::new();
        body.set(Group::Out, out);
        let mut header = Header::new(Kind::parse("fetch.outcome").unwrap());
        (header.t, header.refs) = (1_764_000_000_123, vec![4, 7]);
        Row {
            index: 9,
            hash: [0; 32],
            header,
            shown: Shown::Full,
            body,
        }
    }

    fn named(table: Table, row: &Row) -> Vec<(&'static str, Cell)> {
        let names = table.columns().into_iter().map(|(name, _)| name);
        let cells = table.cells(row);
        assert_eq!(cells.len(), table.columns().len());
        names.zip(cells).filter(|(_, cell)| *cell != Cell::Absent).collect()
    }

    #[test]
    fn numbers_are_numbers_and_texts_are_as_they_were_recorded() {
        let row = outcome(json!({"end":"=done","rows":7,"bytes":"9007199254740993"}));
        let [population, fetch] = Table::of(&row);
        assert_eq!((population.name(), fetch.name()), ("population", "fetch"));
        let common = [
            ("index", Cell::Number(9)),
            ("time", Cell::Number(1_764_000_000_123)),
            ("kind", Cell::Text("fetch.outcome".into())),
            ("refs", Cell::Text("4;7".into())),
            ("disclosed", Cell::Text("full".into())),
        ];
        assert_eq!(named(population, &row), common);
        let more = [
            ("end", Cell::Text("=done".into())),
            ("rows", Cell::Number(7)),
            ("bytes", Cell::Number(9_007_199_254_740_993)),
        ];
        assert_eq!(named(fetch, &row), [&common[..], &more].concat());
    }

    #[test]
    fn what_is_not_of_its_columns_type_is_shown_all_the_same() {
        let row = outcome(json!({"rows":"18446744073709551615","bytes":true,"ms":"007"}));
        let cells = named(Table(Some("fetch")), &row);
        let untyped = Cell::Text("{\"bytes\":true,\"ms\":\"007\",\"rows\":\"18446744073709551615\"}".into());
        assert_eq!(cells.last().unwrap(), &("untyped", untyped));
    }
}
