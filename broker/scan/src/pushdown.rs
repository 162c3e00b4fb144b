//! Which filters may run below the mask.
//!
//! Not the optimizer's choice: a filter is read into one of the few shapes of [`Test`], or it stays above the barrier. None
//! of the shapes can fail, calls a function, or compares with anything but a constant. Whether the *column* may be filtered
//! raw (its treatment for this caller is the identity) is asked by [`crate::masked`]; whether a *source* answers a shape as
//! the engine would is asked of the source ([`Support`]).

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::utils::expr::COUNT_STAR_EXPANSION;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator, TableProviderFilterPushDown};

/// A test of one column against constants.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// Index of the column in its table.
    pub(crate) column: usize,
    /// What is tested.
    pub(crate) test: Test,
}

/// The shapes of a test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// `column op value`.
    Compare(Comparison, ScalarValue),
    /// `column BETWEEN low AND high`.
    Between(ScalarValue, ScalarValue),
    /// `column [NOT] IN (values)`.
    In {
        /// NOT IN.
        negated: bool,
        /// The list, never null.
        values: Vec<ScalarValue>,
    },
    /// `column IS NULL`.
    IsNull,
    /// `column IS NOT NULL`.
    IsNotNull,
    /// `column LIKE 'prefix%'`.
    Prefix(String),
    /// `column`, `NOT column`.
    Is(bool),
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `=`.
    Eq,
    /// `<>`.
    NotEq,
    /// `<`.
    Lt,
    /// `<=`.
    LtEq,
    /// `>`.
    Gt,
    /// `>=`.
    GtEq,
}

/// How a source's answer to a test relates to the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// The same rows.
    Exact,
    /// Those rows and perhaps more: the test runs again above.
    Superset,
    /// Cannot be asked.
    No,
}

impl From<Support> for TableProviderFilterPushDown {
    fn from(support: Support) -> Self {
        match support {
            Support::Exact => TableProviderFilterPushDown::Exact,
            Support::Superset => TableProviderFilterPushDown::Inexact,
            Support::No => TableProviderFilterPushDown::Unsupported,
        }
    }
}

/// Reads an expression over `schema`, if it has one of the shapes.
pub(crate) fn read(expr: &Expr, schema: &Schema) -> Option<Condition> {
    let at = |column: usize, test: Test| Some(Condition { column, test });
    match expr {
        Expr::Column(_) => {
            let (column, data_type) = column(expr, schema)?;
            if data_type == DataType::Boolean {
                at(column, Test::Is(true))
            } else {
                None
            }
        }
        Expr::Not(inner) => {
            let (column, data_type) = column(inner, schema)?;
            if data_type == DataType::Boolean {
                at(column, Test::Is(false))
            } else {
                None
            }
        }
        Expr::IsNull(inner) => at(column(inner, schema)?.0, Test::IsNull),
        Expr::IsNotNull(inner) => at(column(inner, schema)?.0, Test::IsNotNull),
        // The engine writes short IN lists this way.
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => match (read(left, schema)?, read(right, schema)?) {
            (
                Condition { column, test: left },
                Condition {
                    column: other,
                    test: right,
                },
            ) if column == other => {
                let mut values = equal_to_any(left)?;
                values.extend(equal_to_any(right)?);
                if values.len() <= IN_LIST_MAX {
                    at(column, Test::In { negated: false, values })
                } else {
                    None
                }
            }
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let comparison = Comparison::read(*op)?;
            if let Some((column, data_type)) = column(left, schema) {
                at(column, Test::Compare(comparison, literal(right, &data_type)?))
            } else {
                let (column, data_type) = column(right, schema)?;
                at(column, Test::Compare(comparison.mirrored(), literal(left, &data_type)?))
            }
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => {
            let (column, data_type) = column(expr, schema)?;
            at(column, Test::Between(literal(low, &data_type)?, literal(high, &data_type)?))
        }
        Expr::InList(InList { expr, list, negated }) if list.len() <= IN_LIST_MAX => {
            let (column, data_type) = column(expr, schema)?;
            let values = list.iter().map(|v| literal(v, &data_type)).collect::<Option<Vec<_>>>()?;
            at(column, Test::In { negated: *negated, values })
        }
        Expr::Like(Like {
            negated: false,
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
        }) => {
            let (column, data_type) = column(expr, schema)?;
            let ScalarValue::Utf8(Some(pattern)) = text(literal(pattern, &data_type)?) else {
                return None;
            };
            let prefix = pattern.strip_suffix('%')?;
            if prefix.is_empty() || prefix.contains(['%', '_', '\\']) {
                None
            } else {
                at(column, Test::Prefix(prefix.to_owned()))
            }
        }
        _ => None,
    }
}

/// Lists longer than this stay above: the statement sent to the source would grow with them.
const IN_LIST_MAX: usize = 2000;

impl Comparison {
    fn read(op: Operator) -> Option<Self> {
        match op {
            Operator::Eq => Some(Comparison::Eq),
            Operator::NotEq => Some(Comparison::NotEq),
            Operator::Lt => Some(Comparison::Lt),
            Operator::LtEq => Some(Comparison::LtEq),
            Operator::Gt => Some(Comparison::Gt),
            Operator::GtEq => Some(Comparison::GtEq),
            _ => None,
        }
    }

    fn mirrored(self) -> Self {
        match self {
            Comparison::Lt => Comparison::Gt,
            Comparison::LtEq => Comparison::GtEq,
            Comparison::Gt => Comparison::Lt,
            Comparison::GtEq => Comparison::LtEq,
            same => same,
        }
    }

    /// As SQL writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Comparison::Eq => "=",
            Comparison::NotEq => "<>",
            Comparison::Lt => "<",
            Comparison::LtEq => "<=",
            Comparison::Gt => ">",
            Comparison::GtEq => ">=",
        }
    }
}

fn equal_to_any(test: Test) -> Option<Vec<ScalarValue>> {
    match test {
        Test::Compare(Comparison::Eq, value) => Some(vec![value]),
        Test::In { negated: false, values } => Some(values),
        _ => None,
    }
}

fn column(expr: &Expr, schema: &Schema) -> Option<(usize, DataType)> {
    let Expr::Column(column) = expr else { return None };
    let index = schema.index_of(&column.name).ok()?;
    Some((index, schema.fields().get(index)?.data_type().clone()))
}

/// A constant of the column's own type: one of another type would be compared after a cast, which is not one of the shapes.
fn literal(expr: &Expr, data_type: &DataType) -> Option<ScalarValue> {
    let Expr::Literal(value, _) = expr else { return None };
    if value.is_null() || *value == COUNT_STAR_EXPANSION && !data_type.is_integer() {
        return None;
    }
    let value = text(value.clone());
    let wanted = match data_type {
        DataType::Dictionary(_, inner) => inner.as_ref(),
        other => other,
    };
    let same = value.data_type() == *wanted || is_text(&value.data_type()) && is_text(wanted);
    same.then_some(value)
}

/// Texts of any layout as `Utf8`, out of dictionaries.
fn text(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Utf8View(v) | ScalarValue::LargeUtf8(v) => ScalarValue::Utf8(v),
        ScalarValue::Dictionary(_, inner) => text(*inner),
        other => other,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use datafusion::arrow::datatypes::Field;
    use datafusion::prelude::{col, lit};

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("ok", DataType::Boolean, true),
        ])
    }

    #[test]
    fn the_listed_shapes_are_read() {
        let schema = schema();
        let id = |test| Some(Condition { column: 0, test });
        let five = ScalarValue::Int64(Some(5));
        assert_eq!(
            read(&col("id").eq(lit(5_i64)), &schema),
            id(Test::Compare(Comparison::Eq, five.clone()))
        );
        assert_eq!(
            read(&lit(5_i64).lt(col("id")), &schema),
            id(Test::Compare(Comparison::Gt, five.clone()))
        );
        assert_eq!(
            read(&col("id").between(lit(5_i64), lit(5_i64)), &schema),
            id(Test::Between(five.clone(), five.clone()))
        );
        assert_eq!(
            read(&col("id").in_list(vec![lit(5_i64)], true), &schema),
            id(Test::In {
                negated: true,
                values: vec![five.clone()]
            })
        );
        let either = col("id").eq(lit(5_i64)).or(col("id").eq(lit(5_i64)));
        assert_eq!(
            read(&either, &schema),
            id(Test::In {
                negated: false,
                values: vec![five.clone(), five]
            })
        );
        assert_eq!(read(&col("id").is_null(), &schema), id(Test::IsNull));
        assert_eq!(
            read(&col("name").like(lit("ab%")), &schema),
            Some(Condition {
                column: 1,
                test: Test::Prefix("ab".to_owned())
            })
        );
        assert_eq!(
            read(&Expr::Not(Box::new(col("ok"))), &schema),
            Some(Condition {
                column: 2,
                test: Test::Is(false)
            })
        );
    }

    #[test]
    fn everything_else_stays_above() {
        let schema = schema();
        for expr in [
            col("id").eq(col("id")),
            col("id").eq(lit(5_i32)),
            col("id").eq(lit(ScalarValue::Int64(None))),
            col("id").eq(lit(5_i64)).or(col("id").gt(lit(6_i64))),
            col("id").eq(lit(5_i64)).or(col("name").eq(lit("a"))),
            (col("id") + lit(1_i64)).eq(lit(5_i64)),
            col("name").like(lit("a_b%")),
            col("name").like(lit("%a%")),
            col("name").ilike(lit("a%")),
            col("unknown").eq(lit(1_i64)),
            datafusion::functions::expr_fn::upper(col("name")).eq(lit("A")),
        ] {
            assert_eq!(read(&expr, &schema), None, "{expr}");
        }
    }

    #[test]
    fn literals_of_any_text_layout_are_text() {
        let expr = col("name").eq(lit(ScalarValue::Utf8View(Some("x".to_owned()))));
        let read = read(&expr, &schema()).unwrap();
        assert_eq!(read.test, Test::Compare(Comparison::Eq, ScalarValue::Utf8(Some("x".to_owned()))));
    }
}
