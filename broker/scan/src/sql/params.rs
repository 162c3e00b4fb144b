//! Parameters: `$name` in a text stands for a value that is given beside it.
//!
//! A value is put into the syntax tree as a constant, after the text was parsed: whatever it holds, it is never read as SQL. What
//! looks at the tree afterwards sees a constant like any other.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chunk_port::ScanError;
use chunk_wire::fetch::{Param, Params};
use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::engine::fault;

/// Puts the values into a tree.
pub(super) fn bind(tree: &mut impl VisitMut, params: &Params) -> Result<(), ScanError> {
    match tree.visit(&mut Binder(params)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Names of the parameters in a text.
pub(super) fn names(tokens: &[TokenWithSpan]) -> BTreeSet<String> {
    let name = |token: &TokenWithSpan| match &token.token {
        Token::Placeholder(text) => text.strip_prefix('$').map(str::to_owned),
        _ => None,
    };
    tokens.iter().filter_map(name).collect()
}

struct Binder<'a>(&'a Params);

impl VisitorMut for Binder<'_> {
    type Break = Box<ScanError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Value(value) = expr else {
            return ControlFlow::Continue(());
        };
        let Value::Placeholder(text) = &value.value else {
            return ControlFlow::Continue(());
        };
        let name = text.strip_prefix('$').unwrap_or_default();
        let Some(param) = self.0.get(name) else {
            let fault = fault::invalid(format!(
                "there is no value for the parameter `{text}`; give one with `--param {name}=VALUE`"
            ));
            return ControlFlow::Break(Box::new(fault));
        };
        match constant(name, param) {
            Ok(constant) => *expr = constant,
            Err(fault) => return ControlFlow::Break(Box::new(fault)),
        }
        ControlFlow::Continue(())
    }
}

fn constant(name: &str, param: &Param) -> Result<Expr, ScanError> {
    let value = |value: Value| Expr::Value(value.into());
    Ok(match param {
        Param::Null => value(Value::Null),
        Param::Boolean(yes) => value(Value::Boolean(*yes)),
        Param::Text(text) => value(Value::SingleQuotedString(text.clone())),
        Param::Number(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if !is_number(digits) {
                return Err(fault::invalid(format!("the value of parameter `${name}` is not a number")));
            }
            let number = value(Value::Number(digits.to_owned(), false));
            if digits.len() == text.len() {
                number
            } else {
                Expr::Nested(Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Minus,
                    expr: Box::new(number),
                }))
            }
        }
    })
}

/// Digits, perhaps with a point and an exponent.
fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let whole = match mantissa.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(mantissa),
    };
    let exponent = exponent.map(|e| e.strip_prefix(['-', '+']).unwrap_or(e));
    text.len() <= NUMBER_BYTES_MAX && whole && exponent.is_none_or(is_digits)
}

const NUMBER_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::sql::parse_select;

    fn bound(text: &str, params: &[(&str, Param)]) -> Result<String, String> {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        parse_select(text, &params).map(|s| s.to_string()).map_err(|e| e.public)
    }

    #[test]
    fn a_value_is_a_constant_whatever_it_holds() {
        let hostile = Param::Text("x' OR 1=1; DROP TABLE people --".to_owned());
        assert_eq!(
            bound(
                "SELECT id FROM people WHERE name = $who LIMIT $n",
                &[("who", hostile), ("n", Param::Number("5".into()))]
            )
            .unwrap(),
            "SELECT id FROM people WHERE name = 'x'' OR 1=1; DROP TABLE people --' LIMIT 5"
        );
        assert_eq!(
            bound(
                "SELECT id - $1 FROM people WHERE a = $2 OR b = $3",
                &[
                    ("1", Param::Number("-1.5e3".into())),
                    ("2", Param::Null),
                    ("3", Param::Boolean(true)),
                ]
            )
            .unwrap(),
            "SELECT id - (-1.5e3) FROM people WHERE a = NULL OR b = true"
        );
        // What looks like a parameter in a value or in a text is none.
        assert_eq!(
            bound("SELECT '$a' FROM people WHERE name = $a", &[("a", Param::Text("$b".into()))]).unwrap(),
            "SELECT '$a' FROM people WHERE name = '$b'"
        );
    }

    #[test]
    fn what_is_no_number_is_not_bound_as_one() {
        for text in [
            "",
            "-",
            "1 OR 1=1",
            "0x1",
            "1.",
            ".5",
            "1e",
            "--1",
            "1_000",
            "NaN",
            "١",
            &"1".repeat(129),
        ] {
            let refused = bound("SELECT id FROM people WHERE id = $a", &[("a", Param::Number(text.into()))]).unwrap_err();
            assert!(refused.contains("`$a` is not a number"), "{text}: {refused}");
        }
    }

    #[test]
    fn every_parameter_has_a_value_and_every_value_a_parameter() {
        let refused = bound("SELECT id FROM people WHERE id = $a", &[]).unwrap_err();
        assert!(refused.contains("`$a`") && refused.contains("--param a=VALUE"), "{refused}");
        let refused = bound("SELECT id FROM people", &[("a", Param::Null)]).unwrap_err();
        assert!(refused.contains("`$a`"), "{refused}");
    }

    #[test]
    fn a_bound_constant_is_held_to_what_a_written_one_is() {
        let long = Param::Text("x".repeat(9000));
        assert!(
            bound("SELECT id FROM people WHERE name = $a", &[("a", long)])
                .unwrap_err()
                .contains("at most")
        );
        let many = Param::Number("99999999".into());
        assert!(bound("SELECT repeat(name, $a) FROM people", &[("a", many)]).is_err());
    }
}
