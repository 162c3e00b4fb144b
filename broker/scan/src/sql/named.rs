//! Which functions a text names, under every name they have.
//!
//! Policies forbid functions by name, so a function must not have a name that a policy's author did not think of: whoever
//! forbids `substr` means `substring` too, and whoever forbids `concat` means `||`. This is read off the text, not the
//! plan: it holds for a text that cannot be planned yet as well.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, TrimWhereField, Visit, Visitor};

use super::functions;

/// What a text names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Functions: as written, by the engine's own name, and by each other name they have. Operators that match or build
    /// text count as the functions that do the same.
    pub(crate) functions: BTreeSet<String>,
    /// Calls whose result may be larger than what they are given.
    pub(crate) growing: usize,
}

impl Named {
    /// Adds what another text names.
    pub(crate) fn with(mut self, other: Named) -> Named {
        self.functions.extend(other.functions);
        self.growing = self.growing.saturating_add(other.growing);
        self
    }

    fn add(&mut self, name: &str) {
        self.growing += usize::from(functions::is_growing(name));
        self.functions.insert(name.to_owned());
        self.functions.extend(functions::names_of(name));
    }
}

/// What a statement, filter or order names.
pub(crate) fn named(tree: &impl Visit) -> Named {
    let mut found = Named::default();
    // The visitor never stops.
    let _ = tree.visit(&mut found);
    found
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let last = function.name.0.last().and_then(|p| p.as_ident());
                self.add(&last.map(|i| i.value.to_lowercase()).unwrap_or_default());
            }
            Expr::BinaryOp { op, .. } => {
                use BinaryOperator as Op;
                match op {
                    Op::StringConcat => self.add("concat"),
                    Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGRegexNotMatch | Op::PGRegexNotIMatch | Op::Regexp => {
                        self.add("regexp_like");
                    }
                    Op::PGLikeMatch | Op::PGNotLikeMatch => self.add("like"),
                    Op::PGILikeMatch | Op::PGNotILikeMatch => self.add("ilike"),
                    Op::PGExp => self.add("power"),
                    _ => {}
                }
            }
            Expr::Like { .. } => self.add("like"),
            Expr::ILike { .. } => self.add("ilike"),
            Expr::SimilarTo { .. } | Expr::RLike { .. } => {
                self.add("similar_to");
                self.add("regexp_like");
            }
            Expr::Extract { .. } => {
                self.add("extract");
                self.add("date_part");
            }
            Expr::Substring { .. } => self.add("substr"),
            Expr::Trim { trim_where, .. } => self.add(match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                Some(TrimWhereField::Both) | None => "btrim",
            }),
            Expr::Position { .. } => {
                self.add("position");
                self.add("strpos");
            }
            Expr::Ceil { .. } => self.add("ceil"),
            Expr::Floor { .. } => self.add("floor"),
            Expr::Overlay { .. } => self.add("overlay"),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use chunk_wire::fetch::Params;

    use crate::sql::{parse_filter, parse_select};

    #[test]
    fn a_function_is_reported_under_each_of_its_names() {
        for (filter, names) in [
            ("substring(name, 1, 2) = 'a'", &["substr", "substring"] as &[&str]),
            ("substring(name FROM 1 FOR 2) = 'a'", &["substr", "substring"]),
            ("length(name) > 1", &["char_length", "character_length", "length"]),
            ("trim(name) = 'a'", &["btrim", "trim"]),
            ("name || 'x' = 'ax'", &["concat"]),
            ("name ~ '^a'", &["regexp_like"]),
            ("name !~* '^a'", &["regexp_like"]),
            ("name NOT LIKE 'a%'", &["like"]),
            ("name ~~* 'a%'", &["ilike"]),
            ("extract(year FROM born) = 1", &["date_part", "datepart", "extract"]),
            ("position('a' IN name) = 1", &["instr", "position", "strpos"]),
            ("id > 1 AND name = 'a'", &[]),
        ] {
            let found = named(&parse_filter(filter, &Params::new()).unwrap());
            let found: Vec<&str> = found.functions.iter().map(String::as_str).collect();
            assert_eq!(found, names, "{filter}");
        }
        let statement = parse_select(
            "WITH a AS (SELECT upper(x) AS x FROM t) SELECT (SELECT max(x) FROM a) FROM t ORDER BY lower(y)",
            &Params::new(),
        );
        let found = named(&statement.unwrap());
        assert_eq!(found.functions.into_iter().collect::<Vec<_>>(), ["lower", "max", "upper"]);
    }
}
