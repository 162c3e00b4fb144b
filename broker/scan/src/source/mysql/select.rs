//! The one statement sent to read rows: quoted columns, one table, tests from the allow-list, a limit.
//!
//! It is read in the mode `ANSI_QUOTES,NO_BACKSLASH_ESCAPES`, and nothing of it depends on more: texts are written in
//! hexadecimal, and no operator is used that a mode changes (`||` is OR to MySQL).
//!
//! Texts compare by a collation there: without case, without accents, mostly without the spaces at their end. So each is
//! compared as the bytes of its UTF-8 form. An equality is also asked in the column's own collation, which lets it use an
//! index: what is equal by bytes is equal by every collation.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use datafusion::common::ScalarValue;

use super::catalog::Column;
use super::kind::Kind;
use crate::pushdown::{Comparison, Condition, Support, Test};
use crate::source::WantColumn;

/// An identifier, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant.
pub(super) fn hex_text(text: &str) -> String {
    format!("_utf8mb4 {}", hex(text))
}

fn hex(text: &str) -> String {
    let digits: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    format!("x'{digits}'")
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

/// A test as SQL, and how the server's answer relates to the engine's.
pub(super) fn condition(column: &Column, condition: &Condition) -> Option<(String, Support)> {
    let name = identifier(&column.name);
    let kind = column.kind;
    match &condition.test {
        Test::IsNull if kind.loses_values() => None,
        Test::IsNull => Some((format!("{name} IS NULL"), Support::Exact)),
        Test::IsNotNull => {
            let support = if kind.loses_values() { Support::Superset } else { Support::Exact };
            Some((format!("{name} IS NOT NULL"), support))
        }
        Test::Is(_) => None,
        Test::Compare(op, value) => compare(column, *op, value),
        Test::Between(low, high) => {
            let (low, low_support) = compare(column, Comparison::GtEq, low)?;
            let (high, high_support) = compare(column, Comparison::LtEq, high)?;
            let exact = low_support == Support::Exact && high_support == Support::Exact;
            Some((format!("{low} AND {high}"), if exact { Support::Exact } else { Support::Superset }))
        }
        Test::In { negated, values } => {
            if values.is_empty() {
                return None;
            }
            let (not, op) = if *negated {
                ("NOT ", Comparison::NotEq)
            } else {
                ("", Comparison::Eq)
            };
            let support = support(kind, op)?;
            if kind == Kind::Text {
                let texts = values.iter().map(|v| text(column, v)).collect::<Option<Vec<_>>>()?;
                let bytes: Vec<String> = texts.iter().map(|t| hex(t)).collect();
                let mut sql = format!("{} {not}IN ({})", as_bytes(&name), bytes.join(", "));
                if !negated {
                    let own: Vec<String> = texts.iter().map(|t| hex_text(t)).collect();
                    sql = format!("({name} IN ({}) AND {sql})", own.join(", "));
                }
                return Some((sql, support));
            }
            let values = values.iter().map(|v| constant(kind, v)).collect::<Option<Vec<_>>>()?;
            Some((format!("{name} {not}IN ({})", values.join(", ")), support))
        }
        Test::Prefix(prefix) if kind == Kind::Text && fits(column, prefix) => {
            // Of the bytes: `left` of the text would count its characters, and `LIKE` compare by the collation.
            Some((
                format!("LEFT({}, {}) = {}", as_bytes(&name), prefix.len(), hex(prefix)),
                Support::Exact,
            ))
        }
        Test::Prefix(_) => None,
    }
}

fn as_bytes(name: &str) -> String {
    format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)")
}

fn compare(column: &Column, op: Comparison, value: &ScalarValue) -> Option<(String, Support)> {
    let name = identifier(&column.name);
    let support = support(column.kind, op)?;
    if column.kind == Kind::Text {
        let value = text(column, value)?;
        let bytes = format!("{} {} {}", as_bytes(&name), op.as_str(), hex(value));
        let sql = if op == Comparison::Eq {
            format!("({name} = {} AND {bytes})", hex_text(value))
        } else {
            bytes
        };
        return Some((sql, support));
    }
    Some((format!("{name} {} {}", op.as_str(), constant(column.kind, value)?), support))
}

/// Whether an operator means the same here and there.
fn support(kind: Kind, op: Comparison) -> Option<Support> {
    match kind {
        Kind::Int8
        | Kind::UInt8
        | Kind::Int16
        | Kind::UInt16
        | Kind::Int32
        | Kind::UInt32
        | Kind::Int64
        | Kind::UInt64
        | Kind::Decimal(..)
        | Kind::Text => Some(Support::Exact),
        // What is no date of a calendar is null here.
        Kind::Date | Kind::DateTime | Kind::Timestamp => Some(if op == Comparison::Eq { Support::Exact } else { Support::Superset }),
        // Floats: negative zero and rounding. A year is compared with 24 as with 2024. The rest: not by what the caller sees.
        Kind::Float | Kind::Double | Kind::Bit | Kind::Bits | Kind::Year | Kind::Time(_) | Kind::OtherText | Kind::Binary => None,
    }
}

fn text<'a>(column: &Column, value: &'a ScalarValue) -> Option<&'a str> {
    match value {
        ScalarValue::Utf8(Some(text)) if fits(column, text) => Some(text),
        _ => None,
    }
}

/// Whether the text can be compared in the column's own character set.
fn fits(column: &Column, text: &str) -> bool {
    column.utf8 || text.is_ascii()
}

fn constant(kind: Kind, value: &ScalarValue) -> Option<String> {
    match (kind, value) {
        (Kind::Int8, ScalarValue::Int8(Some(v))) => Some(v.to_string()),
        (Kind::UInt8, ScalarValue::UInt8(Some(v))) => Some(v.to_string()),
        (Kind::Int16, ScalarValue::Int16(Some(v))) => Some(v.to_string()),
        (Kind::UInt16, ScalarValue::UInt16(Some(v))) => Some(v.to_string()),
        (Kind::Int32, ScalarValue::Int32(Some(v))) => Some(v.to_string()),
        (Kind::UInt32, ScalarValue::UInt32(Some(v))) => Some(v.to_string()),
        (Kind::Int64, ScalarValue::Int64(Some(v))) => Some(v.to_string()),
        (Kind::UInt64, ScalarValue::UInt64(Some(v))) => Some(v.to_string()),
        (Kind::Decimal(_, scale), ScalarValue::Decimal128(Some(v), _, s)) if scale == *s => {
            let mut out = Vec::new();
            crate::encode::number::decimal(&mut out, *v, scale, false);
            String::from_utf8(out).ok()
        }
        (Kind::Date, ScalarValue::Date32(Some(days))) => {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::try_days(i64::from(*days))?)?;
            known(date.year())?;
            Some(format!("DATE '{}'", date.format("%Y-%m-%d")))
        }
        (Kind::DateTime, ScalarValue::TimestampMicrosecond(Some(v), None))
        | (Kind::Timestamp, ScalarValue::TimestampMicrosecond(Some(v), Some(_))) => {
            let at = DateTime::from_timestamp_micros(*v)?.naive_utc();
            known(at.year())?;
            Some(format!("TIMESTAMP '{}'", at.format("%Y-%m-%d %H:%M:%S%.6f")))
        }
        _ => None,
    }
}

/// The years that the server has.
fn known(year: i32) -> Option<()> {
    (1..=9999).contains(&year).then_some(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sql(kind: Kind, test: Test) -> Option<(String, Support)> {
        let column = Column {
            name: "c".to_owned(),
            kind,
            utf8: false,
        };
        condition(&column, &Condition { column: 0, test })
    }

    fn text(text: &str) -> ScalarValue {
        ScalarValue::Utf8(Some(text.to_owned()))
    }

    #[test]
    fn texts_are_hexadecimal_and_compare_as_bytes() {
        assert_eq!(identifier("a\"b` -- "), "\"a\"\"b` -- \"");
        assert_eq!(
            sql(Kind::Text, Test::Compare(Comparison::Eq, text("a'\\"))).unwrap(),
            (
                "(\"c\" = _utf8mb4 x'61275c' AND CAST(CONVERT(\"c\" USING utf8mb4) AS BINARY) = x'61275c')".to_owned(),
                Support::Exact
            )
        );
        assert_eq!(
            sql(
                Kind::Text,
                Test::In {
                    negated: true,
                    values: vec![text("a"), text("")]
                }
            )
            .unwrap()
            .0,
            "CAST(CONVERT(\"c\" USING utf8mb4) AS BINARY) NOT IN (x'61', x'')"
        );
        assert_eq!(
            sql(Kind::Text, Test::Prefix("ab".to_owned())).unwrap().0,
            "LEFT(CAST(CONVERT(\"c\" USING utf8mb4) AS BINARY), 2) = x'6162'"
        );
    }

    #[test]
    fn what_the_server_would_answer_differently_stays_above() {
        assert_eq!(
            sql(Kind::Double, Test::Compare(Comparison::Eq, ScalarValue::Float64(Some(0.0)))),
            None
        );
        assert_eq!(sql(Kind::OtherText, Test::Compare(Comparison::Eq, text("a"))), None);
        // A column in latin1 is not asked for a letter that it lacks.
        assert_eq!(sql(Kind::Text, Test::Compare(Comparison::Eq, text("α"))), None);
        assert_eq!(sql(Kind::Year, Test::Compare(Comparison::Eq, ScalarValue::Int16(Some(24)))), None);
        assert_eq!(sql(Kind::Date, Test::IsNull), None);
        let date = |op| sql(Kind::Date, Test::Compare(op, ScalarValue::Date32(Some(0)))).unwrap();
        assert_eq!(date(Comparison::Eq), ("\"c\" = DATE '1970-01-01'".to_owned(), Support::Exact));
        assert_eq!(date(Comparison::Lt).1, Support::Superset);
    }
}
