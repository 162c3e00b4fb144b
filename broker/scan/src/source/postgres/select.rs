//! The one statement sent to read rows: a small SELECT written here, word by word.
//!
//! The engine can unparse its own plans to SQL; it is not used. What reaches a source is this: quoted columns, one table,
//! tests from the allow-list, a range of blocks, a limit. Operators and types are qualified with `pg_catalog`, so that no
//! object of another schema can stand in for them.

use chrono::{DateTime, NaiveDate};
use datafusion::common::ScalarValue;

use super::catalog::PgColumn;
use super::kind::Kind;
use crate::pushdown::{Comparison, Condition, Support, Test};
use crate::source::WantColumn;

/// An identifier, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant. Backslashes mean themselves only where `standard_conforming_strings` is on, so they are escaped.
pub(super) fn text(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// What to select for a column.
pub(super) fn item(column: &PgColumn, want: WantColumn) -> String {
    let name = identifier(&column.name);
    if want.blank {
        format!("CASE WHEN {} IS NULL THEN NULL ELSE ''::pg_catalog.text END", presence(column))
    } else if column.kind == Kind::Cast {
        format!("{name}::pg_catalog.text")
    } else {
        name
    }
}

/// What is null exactly where the value is: of a composite, IS NULL asks its fields.
fn presence(column: &PgColumn) -> String {
    let name = identifier(&column.name);
    if column.kind == Kind::Cast {
        format!("({name}::pg_catalog.text)")
    } else {
        name
    }
}

/// A range of a table's blocks; the last one is open, for rows added since its size was read.
pub(super) fn blocks(from: u64, to: Option<u64>) -> String {
    let from = format!("ctid OPERATOR(pg_catalog.>=) '({from},0)'::pg_catalog.tid");
    match to {
        Some(to) => format!("{from} AND ctid OPERATOR(pg_catalog.<) '({to},0)'::pg_catalog.tid"),
        None => from,
    }
}

/// A test as SQL, and how the server's answer relates to the engine's. `utf8`: the database keeps text as UTF-8, so that
/// the order of its bytes is the engine's order.
pub(super) fn condition(column: &PgColumn, condition: &Condition, utf8: bool) -> Option<(String, Support)> {
    let name = identifier(&column.name);
    let kind = column.kind;
    match &condition.test {
        Test::IsNull if !kind.loses_values() => Some((format!("{} IS NULL", presence(column)), Support::Exact)),
        Test::IsNull => None,
        Test::IsNotNull => {
            let support = if kind.loses_values() { Support::Superset } else { Support::Exact };
            Some((format!("{} IS NOT NULL", presence(column)), support))
        }
        Test::Is(value) => {
            if kind != Kind::Bool {
                return None;
            }
            Some((format!("{name} IS {}", if *value { "TRUE" } else { "FALSE" }), Support::Exact))
        }
        Test::Compare(op, value) => {
            let (collate, support) = comparable(column, *op, utf8)?;
            Some((
                format!(
                    "{name}{collate} OPERATOR(pg_catalog.{}) {}",
                    op.as_str(),
                    constant(kind, value, utf8)?
                ),
                support,
            ))
        }
        Test::Between(low, high) => {
            let (collate, low_support) = comparable(column, Comparison::GtEq, utf8)?;
            let (_, high_support) = comparable(column, Comparison::LtEq, utf8)?;
            let support = if low_support == Support::Exact && high_support == Support::Exact {
                Support::Exact
            } else {
                Support::Superset
            };
            let (low, high) = (constant(kind, low, utf8)?, constant(kind, high, utf8)?);
            let text = format!("{name}{collate} OPERATOR(pg_catalog.>=) {low} AND {name}{collate} OPERATOR(pg_catalog.<=) {high}");
            Some((text, support))
        }
        Test::In { negated, values } => {
            let (_, support) = comparable(column, if *negated { Comparison::NotEq } else { Comparison::Eq }, utf8)?;
            let values = values.iter().map(|v| constant(kind, v, utf8)).collect::<Option<Vec<_>>>()?;
            if values.is_empty() {
                return None;
            }
            let (op, which) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
            Some((
                format!("{name} OPERATOR(pg_catalog.{op}) {which} (ARRAY[{}])", values.join(", ")),
                support,
            ))
        }
        Test::Prefix(prefix) => {
            if kind != Kind::Text || !is_known(prefix, utf8) || prefix.contains(['%', '_', '\\']) {
                return None;
            }
            let pattern = text(&format!("{prefix}%"));
            Some((
                format!("{name} COLLATE \"C\" OPERATOR(pg_catalog.~~) {pattern}::pg_catalog.text"),
                Support::Exact,
            ))
        }
    }
}

/// Whether an operator means the same here and there, and the collation it needs.
fn comparable(column: &PgColumn, op: Comparison, utf8: bool) -> Option<(&'static str, Support)> {
    use Comparison::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match column.kind {
        Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 => Some(("", Support::Exact)),
        // NaN is the largest value there, and null here.
        Kind::Numeric(..) => Some((
            "",
            if matches!(op, Eq | Lt | LtEq) {
                Support::Exact
            } else {
                Support::Superset
            },
        )),
        // Both infinities are null here.
        Kind::Date | Kind::Timestamp | Kind::TimestampTz => Some(("", if op == Eq { Support::Exact } else { Support::Superset })),
        Kind::Uuid => matches!(op, Eq | NotEq).then_some(("", Support::Exact)),
        // Equality by a deterministic collation is equality of bytes, and its own collation lets it use an index. Another
        // collation may call different texts equal: more rows for `=`, fewer for `<>`.
        Kind::Text => match op {
            Eq => Some(("", if column.deterministic { Support::Exact } else { Support::Superset })),
            NotEq => column.deterministic.then_some(("", Support::Exact)),
            Lt | LtEq | Gt | GtEq => utf8.then_some((" COLLATE \"C\"", Support::Exact)),
        },
        // Floats: negative zero and NaN order differently. The rest: not compared by the text the caller sees.
        Kind::Oid | Kind::Float4 | Kind::Float8 | Kind::OtherText | Kind::Padded | Kind::Jsonb | Kind::Bytea | Kind::Time | Kind::Cast => {
            None
        }
    }
}

/// Whether the server can hold a text: one with a character that its encoding lacks fails the whole statement.
fn is_known(text: &str, utf8: bool) -> bool {
    !text.contains('\0') && (utf8 || text.is_ascii())
}

fn constant(kind: Kind, value: &ScalarValue, utf8: bool) -> Option<String> {
    let typed = |text: String, name: &str| Some(format!("'{text}'::pg_catalog.{name}"));
    match (kind, value) {
        (Kind::Bool, ScalarValue::Boolean(Some(v))) => Some(if *v { "TRUE".to_owned() } else { "FALSE".to_owned() }),
        (Kind::Int2, ScalarValue::Int16(Some(v))) => typed(v.to_string(), "int2"),
        (Kind::Int4, ScalarValue::Int32(Some(v))) => typed(v.to_string(), "int4"),
        (Kind::Int8, ScalarValue::Int64(Some(v))) => typed(v.to_string(), "int8"),
        (Kind::Numeric(_, scale), ScalarValue::Decimal128(Some(v), _, s)) if scale == *s => typed(decimal(*v, scale), "numeric"),
        (Kind::Text, ScalarValue::Utf8(Some(v))) if is_known(v, utf8) => Some(format!("{}::pg_catalog.text", text(v))),
        (Kind::Uuid, ScalarValue::Utf8(Some(v))) if is_canonical_uuid(v) => typed(v.clone(), "uuid"),
        (Kind::Date, ScalarValue::Date32(Some(days))) => {
            let date = NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(chrono::TimeDelta::try_days(i64::from(*days))?)?;
            typed(four_digit_year(chrono::Datelike::year(&date), date.format("%Y-%m-%d"))?, "date")
        }
        (Kind::Timestamp, ScalarValue::TimestampMicrosecond(Some(v), None)) => {
            let at = DateTime::from_timestamp_micros(*v)?.naive_utc();
            typed(
                four_digit_year(chrono::Datelike::year(&at), at.format("%Y-%m-%d %H:%M:%S%.6f"))?,
                "timestamp",
            )
        }
        (Kind::TimestampTz, ScalarValue::TimestampMicrosecond(Some(v), Some(_))) => {
            let at = DateTime::from_timestamp_micros(*v)?;
            typed(
                four_digit_year(chrono::Datelike::year(&at), at.format("%Y-%m-%d %H:%M:%S%.6f+00"))?,
                "timestamptz",
            )
        }
        _ => None,
    }
}

/// Years outside 1–9999 are written differently by the two sides; such a test stays above.
fn four_digit_year(year: i32, text: impl std::fmt::Display) -> Option<String> {
    (1..=9999).contains(&year).then(|| text.to_string())
}

fn decimal(unscaled: i128, scale: i8) -> String {
    let digits = usize::try_from(scale).unwrap_or(0);
    let (sign, magnitude) = if unscaled < 0 {
        ("-", unscaled.unsigned_abs())
    } else {
        ("", unscaled.unsigned_abs())
    };
    let padded = format!("{magnitude:0>width$}", width = digits + 1);
    let (whole, fraction) = padded.split_at(padded.len() - digits);
    if digits == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn column(name: &str, kind: Kind) -> PgColumn {
        PgColumn {
            name: name.to_owned(),
            kind,
            deterministic: true,
        }
    }

    fn sql(kind: Kind, test: Test) -> Option<(String, Support)> {
        condition(&column("c", kind), &Condition { column: 0, test }, true)
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"b; DROP TABLE x"), "\"a\"\"b; DROP TABLE x\"");
        assert_eq!(text("O'Neil"), "'O''Neil'");
        assert_eq!(text("a\\' OR true --"), "E'a\\\\'' OR true --'");
    }

    #[test]
    fn tests_are_written_with_qualified_operators() {
        let utf8 = |v: &str| ScalarValue::Utf8(Some(v.to_owned()));
        assert_eq!(
            sql(Kind::Int8, Test::Compare(Comparison::Eq, ScalarValue::Int64(Some(-5)))).unwrap(),
            ("\"c\" OPERATOR(pg_catalog.=) '-5'::pg_catalog.int8".to_owned(), Support::Exact)
        );
        assert_eq!(
            sql(Kind::Text, Test::Compare(Comparison::Lt, utf8("it's"))).unwrap(),
            (
                "\"c\" COLLATE \"C\" OPERATOR(pg_catalog.<) 'it''s'::pg_catalog.text".to_owned(),
                Support::Exact
            )
        );
        assert_eq!(
            sql(
                Kind::Text,
                Test::In {
                    negated: true,
                    values: vec![utf8("a"), utf8("b")]
                }
            )
            .unwrap()
            .0,
            "\"c\" OPERATOR(pg_catalog.<>) ALL (ARRAY['a'::pg_catalog.text, 'b'::pg_catalog.text])"
        );
        assert_eq!(
            sql(
                Kind::Numeric(9, 2),
                Test::Compare(Comparison::LtEq, ScalarValue::Decimal128(Some(-5), 9, 2))
            )
            .unwrap()
            .0,
            "\"c\" OPERATOR(pg_catalog.<=) '-0.05'::pg_catalog.numeric"
        );
        assert_eq!(
            sql(Kind::Date, Test::Compare(Comparison::Gt, ScalarValue::Date32(Some(0)))).unwrap(),
            (
                "\"c\" OPERATOR(pg_catalog.>) '1970-01-01'::pg_catalog.date".to_owned(),
                Support::Superset
            )
        );
    }

    #[test]
    fn a_composite_is_null_only_if_it_is_not_there() {
        assert_eq!(sql(Kind::Cast, Test::IsNull).unwrap().0, "(\"c\"::pg_catalog.text) IS NULL");
        assert_eq!(sql(Kind::Cast, Test::IsNotNull).unwrap().0, "(\"c\"::pg_catalog.text) IS NOT NULL");
    }

    #[test]
    fn what_the_server_would_answer_differently_stays_above() {
        let utf8 = |v: &str| ScalarValue::Utf8(Some(v.to_owned()));
        assert_eq!(
            sql(Kind::Float8, Test::Compare(Comparison::Eq, ScalarValue::Float64(Some(0.0)))),
            None
        );
        assert_eq!(sql(Kind::OtherText, Test::Compare(Comparison::Eq, utf8("a"))), None);
        assert_eq!(sql(Kind::Text, Test::Compare(Comparison::Eq, utf8("a\0"))), None);
        assert_eq!(
            sql(
                Kind::Uuid,
                Test::Compare(Comparison::Eq, utf8("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"))
            ),
            None
        );
        assert_eq!(sql(Kind::TimestampTz, Test::IsNull), None);
        assert_eq!(
            sql(
                Kind::Timestamp,
                Test::Compare(Comparison::Eq, ScalarValue::TimestampMicrosecond(Some(i64::MAX), None))
            ),
            None
        );
        let ci = PgColumn {
            deterministic: false,
            ..column("c", Kind::Text)
        };
        let not_equal = Condition {
            column: 0,
            test: Test::Compare(Comparison::NotEq, utf8("a")),
        };
        assert_eq!(condition(&ci, &not_equal, true), None);
        let equal = Condition {
            column: 0,
            test: Test::Compare(Comparison::Eq, utf8("a")),
        };
        assert_eq!(condition(&ci, &equal, true).unwrap().1, Support::Superset);
        let less = Condition {
            column: 0,
            test: Test::Compare(Comparison::Lt, utf8("a")),
        };
        assert_eq!(condition(&column("c", Kind::Text), &less, false), None);
        // A server that keeps text as LATIN1 cannot be asked for a Greek letter.
        let asked = |text: &str, utf8: bool| {
            let tests = [
                Test::Compare(Comparison::Eq, ScalarValue::Utf8(Some(text.to_owned()))),
                Test::In {
                    negated: false,
                    values: vec![ScalarValue::Utf8(Some(text.to_owned()))],
                },
                Test::Prefix(text.to_owned()),
            ];
            tests.map(|test| condition(&column("c", Kind::Text), &Condition { column: 0, test }, utf8).is_some())
        };
        assert_eq!(asked("α", true), [true; 3]);
        assert_eq!(asked("a", false), [true; 3]);
        assert_eq!(asked("α", false), [false; 3]);
    }
}
