//! The one statement sent to read rows: quoted columns, one table, tests from the allow-list, a limit; values as parameters.
//!
//! SQLite compares by what a value is, not by what its column is declared as: a number is less than any text. So only
//! columns of ordinary tables are compared, whose values are of the declared type wherever they fit it; one that passes and
//! does not fit ends the read, as it would without the test.

use chrono::{Datelike, NaiveDate, TimeDelta};
use datafusion::common::ScalarValue;
use rusqlite::types::Value;

use super::catalog::{Column, Relation};
use super::kind::Kind;
use crate::pushdown::{Comparison, Condition, Support, Test};
use crate::source::WantColumn;

/// An identifier, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What to select for a column.
pub(super) fn item(column: &Column, want: WantColumn) -> String {
    let name = identifier(&column.name);
    if want.blank {
        format!("CASE WHEN {name} IS NULL THEN NULL ELSE '' END")
    } else {
        name
    }
}

/// A test as SQL with its parameters, and how SQLite's answer relates to the engine's.
pub(super) fn condition(relation: &Relation, condition: &Condition) -> Option<(String, Vec<Value>, Support)> {
    let column = relation.columns.get(condition.column)?;
    let name = identifier(&column.name);
    let exact = |sql: String, values: Vec<Value>| Some((sql, values, Support::Exact));
    match &condition.test {
        Test::IsNull => return exact(format!("{name} IS NULL"), Vec::new()),
        Test::IsNotNull => return exact(format!("{name} IS NOT NULL"), Vec::new()),
        _ if !relation.ordinary => return None,
        _ => {}
    }
    match &condition.test {
        Test::IsNull | Test::IsNotNull => None,
        Test::Is(value) if column.kind == Kind::Bool => exact(format!("{name} = {}", u8::from(*value)), Vec::new()),
        Test::Is(_) => None,
        Test::Compare(op, value) => {
            let left = comparable(relation, column, *op)?;
            exact(format!("{left} {} ?", op.as_str()), vec![constant(column.kind, value)?])
        }
        Test::Between(low, high) => {
            let left = comparable(relation, column, Comparison::GtEq)?;
            let values = vec![constant(column.kind, low)?, constant(column.kind, high)?];
            exact(format!("{left} BETWEEN ? AND ?"), values)
        }
        Test::In { negated, values } => {
            let left = comparable(relation, column, Comparison::Eq)?;
            let values = values.iter().map(|v| constant(column.kind, v)).collect::<Option<Vec<_>>>()?;
            if values.is_empty() {
                return None;
            }
            let not = if *negated { "NOT " } else { "" };
            exact(format!("{left} {not}IN ({})", vec!["?"; values.len()].join(", ")), values)
        }
        // `substr` counts characters, takes the text as it is and ends at no NUL.
        Test::Prefix(prefix) if column.kind == Kind::Text && !prefix.contains('\0') => {
            let length = i64::try_from(prefix.chars().count()).ok()?;
            exact(
                format!("substr({name}, 1, ?) COLLATE BINARY = ?"),
                vec![Value::Integer(length), Value::Text(prefix.clone())],
            )
        }
        Test::Prefix(_) => None,
    }
}

/// The left side of a comparison that means the same here and there.
fn comparable(relation: &Relation, column: &Column, op: Comparison) -> Option<String> {
    let name = identifier(&column.name);
    let equality = matches!(op, Comparison::Eq | Comparison::NotEq);
    match column.kind {
        Kind::Int | Kind::Bool => Some(name),
        Kind::Text | Kind::Date => (equality || relation.utf8).then(|| format!("{name} COLLATE BINARY")),
        // Floats: negative zero orders differently. Timestamps are written in several ways. The rest: of any class.
        Kind::Float | Kind::Timestamp | Kind::Any | Kind::Blob => None,
    }
}

fn constant(kind: Kind, value: &ScalarValue) -> Option<Value> {
    match (kind, value) {
        (Kind::Int, ScalarValue::Int64(Some(v))) => Some(Value::Integer(*v)),
        (Kind::Bool, ScalarValue::Boolean(Some(v))) => Some(Value::Integer(i64::from(*v))),
        (Kind::Text, ScalarValue::Utf8(Some(v))) => Some(Value::Text(v.clone())),
        (Kind::Date, ScalarValue::Date32(Some(days))) => {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::try_days(i64::from(*days))?)?;
            // Only years of four digits are read, and only among them is the order of texts that of days.
            (0..=9999)
                .contains(&date.year())
                .then(|| Value::Text(date.format("%Y-%m-%d").to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn relation(kind: Kind, ordinary: bool, utf8: bool) -> Relation {
        Relation {
            name: "t".to_owned(),
            columns: vec![Column {
                name: "a\"b".to_owned(),
                kind,
            }],
            ordinary,
            utf8,
        }
    }

    fn sql(relation: &Relation, test: Test) -> Option<String> {
        condition(relation, &Condition { column: 0, test }).map(|(sql, _, _)| sql)
    }

    fn text(text: &str) -> ScalarValue {
        ScalarValue::Utf8(Some(text.to_owned()))
    }

    #[test]
    fn values_are_parameters_and_names_are_quoted() {
        let int = relation(Kind::Int, true, true);
        assert_eq!(
            sql(&int, Test::Compare(Comparison::GtEq, ScalarValue::Int64(Some(5)))).unwrap(),
            "\"a\"\"b\" >= ?"
        );
        let texts = relation(Kind::Text, true, true);
        let test = Test::In {
            negated: true,
            values: vec![text("x' OR 1"), text("y")],
        };
        let (sql, values, support) = condition(&texts, &Condition { column: 0, test }).unwrap();
        assert_eq!(sql, "\"a\"\"b\" COLLATE BINARY NOT IN (?, ?)");
        assert_eq!(values, [Value::Text("x' OR 1".to_owned()), Value::Text("y".to_owned())]);
        assert_eq!(support, Support::Exact);
    }

    #[test]
    fn what_would_be_answered_differently_stays_above() {
        let five = || Test::Compare(Comparison::Eq, ScalarValue::Int64(Some(5)));
        assert_eq!(sql(&relation(Kind::Int, false, true), five()), None);
        assert_eq!(
            sql(&relation(Kind::Any, true, true), Test::Compare(Comparison::Eq, text("5"))),
            None
        );
        assert_eq!(
            sql(
                &relation(Kind::Float, true, true),
                Test::Compare(Comparison::Eq, ScalarValue::Float64(Some(0.0)))
            ),
            None
        );
        let utf16 = relation(Kind::Text, true, false);
        assert_eq!(sql(&utf16, Test::Compare(Comparison::Lt, text("a"))), None);
        assert!(sql(&utf16, Test::Compare(Comparison::Eq, text("a"))).is_some());
        let far = Test::Compare(Comparison::Lt, ScalarValue::Date32(Some(4_000_000)));
        assert_eq!(sql(&relation(Kind::Date, true, true), far), None);
        assert!(sql(&relation(Kind::Int, false, true), Test::IsNull).is_some());
    }
}
