//! What a caller may say: one SELECT over datasets, or the parts of a slice.
//!
//! The text is checked as a syntax tree before the engine plans it, so that a refusal can name the rule it breaks. The
//! check is a second fence, not the only one: the engine's session has no other tables, no table functions and no
//! functions off the list to begin with.

mod check;
pub(crate) mod functions;
mod named;
mod params;
pub(crate) mod sized;
mod touched;
mod weight;

use chunk_port::SQL_BYTES_MAX;
use chunk_port::ScanError;
use chunk_wire::fetch::Params;
use datafusion::sql::sqlparser::ast::{Expr, OrderByExpr, Statement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use crate::engine::fault;

pub(crate) use named::{Named, named};
pub(crate) use touched::{Touched, touched};

/// One SELECT statement with its parameters bound, checked.
pub(crate) fn parse_select(text: &str, params: &Params) -> Result<Statement, ScanError> {
    let tokens = tokens(text)?;
    all_used(params, &[&tokens])?;
    let mut statements = parser(tokens).parse_statements().map_err(|e| fault::from_parser(&e))?;
    let mut statement = match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (Some(_), false) => return Err(fault::refused("one_statement", "more than one statement was given; send one")),
        (None, _) => return Err(fault::invalid("there is no statement")),
    };
    params::bind(&mut statement, params)?;
    check::statement(&statement)?;
    Ok(statement)
}

/// One boolean expression with its parameters bound, checked. It sees the columns of one dataset and nothing else, so it may hold no
/// subquery.
pub(crate) fn parse_filter(text: &str, params: &Params) -> Result<Expr, ScanError> {
    let mut parser = parser(tokens(text)?);
    let mut expr = parser
        .parse_expr()
        .and_then(|e| end(&parser).map(|()| e))
        .map_err(|e| fault::from_parser(&e))?;
    params::bind(&mut expr, params)?;
    check::expression(&expr)?;
    Ok(expr)
}

/// An ORDER BY list with its parameters bound, checked.
pub(crate) fn parse_order(text: &str, params: &Params) -> Result<Vec<OrderByExpr>, ScanError> {
    let mut parser = parser(tokens(text)?);
    let mut order = parser
        .parse_comma_separated(Parser::parse_order_by_expr)
        .and_then(|o| end(&parser).map(|()| o))
        .map_err(|e| fault::from_parser(&e))?;
    for item in &mut order {
        if item.with_fill.is_some() {
            return Err(fault::refused("statement", "WITH FILL is not allowed"));
        }
        params::bind(&mut item.expr, params)?;
        check::expression(&item.expr)?;
    }
    Ok(order)
}

/// Whether each parameter stands in one of the parts of a slice.
pub(crate) fn parameters_of_slice(params: &Params, parts: [Option<&str>; 2]) -> Result<(), ScanError> {
    let parts = parts.into_iter().flatten().map(tokens).collect::<Result<Vec<_>, _>>()?;
    all_used(params, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A value that stands nowhere is a mistake: a name misspelt, or a text that lost its condition.
fn all_used(params: &Params, texts: &[&[TokenWithSpan]]) -> Result<(), ScanError> {
    let named: Vec<_> = texts.iter().map(|tokens| params::names(tokens)).collect();
    match params.keys().find(|name| named.iter().all(|names| !names.contains(*name))) {
        None => Ok(()),
        Some(name) => {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            Err(fault::invalid(format!(
                "a value is given for the parameter `${shown}`, which stands nowhere"
            )))
        }
    }
}

const DIALECT: PostgreSqlDialect = PostgreSqlDialect {};
/// Nesting the parser follows; each level costs it several stack frames.
const NESTING_MAX: usize = 48;
/// Operators and keywords: each can deepen the tree by one, and trees are dropped and walked recursively.
const OPERATORS_MAX: usize = 4000;
/// Set operations chain to the left without nesting for the parser.
const SET_OPERATIONS_MAX: usize = 64;

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, ScanError> {
    if text.len() > SQL_BYTES_MAX {
        return Err(fault::refused("size", format_args!("the SQL is longer than {SQL_BYTES_MAX} bytes")));
    }
    let tokens = Tokenizer::new(&DIALECT, text)
        .tokenize_with_location()
        .map_err(|e| fault::from_parser(&ParserError::TokenizerError(e.to_string())))?;
    bound(&tokens)?;
    Ok(tokens)
}

fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&DIALECT)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens)
}

fn bound(tokens: &[TokenWithSpan]) -> Result<(), ScanError> {
    let (mut operators, mut sets) = (0_usize, 0_usize);
    for token in tokens {
        match &token.token {
            Token::Word(Word {
                keyword: Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT,
                ..
            }) => sets += 1,
            Token::Word(Word {
                keyword: Keyword::NoKeyword,
                ..
            })
            | Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Comma
            | Token::Period
            | Token::EOF => {}
            _ => operators += 1,
        }
    }
    if operators > OPERATORS_MAX || sets > SET_OPERATIONS_MAX {
        return Err(fault::refused(
            "size",
            "the statement has too many operators; use IN with a list, or a join",
        ));
    }
    Ok(())
}

fn end(parser: &Parser<'_>) -> Result<(), ParserError> {
    let next = parser.peek_token();
    if next.token == Token::EOF {
        Ok(())
    } else {
        parser.expected("the end of the text", next)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use chunk_port::ScanErrorKind;
    use chunk_wire::problem::Position;

    fn refusal(text: &str) -> String {
        let error = parse_select(text, &Params::new()).unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Refused, "{text}: {}", error.public);
        error.public
    }

    #[test]
    fn only_one_select_is_a_statement() {
        for text in [
            "INSERT INTO people VALUES (1)",
            "UPDATE people SET id = 1",
            "DELETE FROM people",
            "MERGE INTO people USING x ON true WHEN MATCHED THEN DELETE",
            "CREATE TABLE x (id int)",
            "CREATE VIEW v AS SELECT 1",
            "DROP TABLE people",
            "TRUNCATE people",
            "COPY people TO STDOUT",
            "SET x = 1",
            "SHOW ALL",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT * FROM people",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "BEGIN",
            "CALL f()",
            "GRANT SELECT ON people TO x",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE people",
            "SELECT * INTO x FROM people",
            "SELECT * FROM people FOR UPDATE",
            "WITH d AS (DELETE FROM people RETURNING *) SELECT * FROM d",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
            "SELECT * FROM generate_series(1, 10)",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM UNNEST(ARRAY[1, 2])",
            "SELECT * FROM LATERAL (SELECT 1) AS x",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT * FROM people TABLESAMPLE BERNOULLI (10)",
            "SELECT version()",
            "SELECT pg_catalog.version()",
            "SELECT current_setting('x')",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_sleep(10)",
            "SELECT random()",
            "SELECT uuid()",
            "SELECT input_file_name()",
            "SELECT repeat(name, id) FROM people",
        ] {
            refusal(text);
        }
    }

    #[test]
    fn plain_selects_pass() {
        for text in [
            "SELECT * FROM people",
            "SELECT * FROM people;",
            "WITH x AS (SELECT id FROM people) SELECT count(*) FROM x",
            "SELECT id, row_number() OVER (PARTITION BY city ORDER BY id) FROM people ORDER BY 1 LIMIT 5 OFFSET 2",
            "SELECT upper(name) || '!' FROM people WHERE name LIKE 'a%' AND id IN (SELECT id FROM other)",
            "SELECT now(), extract(year FROM born), substring(name FROM 1 FOR 3), trim(name) FROM people",
            "SELECT 1 UNION ALL SELECT 2",
            "SELECT \"Mixed Case\" FROM people p JOIN sales.orders o USING (id)",
            "VALUES (1), (2)",
        ] {
            parse_select(text, &Params::new()).unwrap();
        }
    }

    #[test]
    fn a_syntax_error_has_a_position() {
        let error = parse_select("SELECT id\nFROM WHERE id = 1", &Params::new()).unwrap_err();
        assert!(
            matches!(error.kind, ScanErrorKind::InvalidSql(Some(Position { line: 2, .. }))),
            "{error:?}"
        );
    }

    #[test]
    fn a_filter_is_one_expression_without_subqueries() {
        parse_filter("id > 5 AND lower(name) = 'a'", &Params::new()).unwrap();
        for text in [
            "id > 5; DROP TABLE x",
            "id > 5 ORDER BY id",
            "id > 5) OR (true",
            "id IN (SELECT id FROM other)",
            "EXISTS (SELECT 1)",
            "",
        ] {
            parse_filter(text, &Params::new()).unwrap_err();
        }
    }

    #[test]
    fn an_order_is_a_list() {
        assert_eq!(parse_order("placed_at desc nulls last, order_id", &Params::new()).unwrap().len(), 2);
        for text in ["id LIMIT 1", "id; SELECT 1", "(SELECT 1)", ""] {
            parse_order(text, &Params::new()).unwrap_err();
        }
    }

    /// Each level names the one before twice: a tree of 2^40 tables in a page of text.
    #[test]
    fn tables_are_counted_as_often_as_they_are_read() {
        let chain = |levels: usize, from: &dyn Fn(usize) -> String| {
            let with: Vec<String> = (1..levels).map(|n| format!("c{n} AS ({})", from(n - 1))).collect();
            format!(
                "WITH c0 AS (SELECT 1 AS x), {} SELECT count(*) FROM c{}",
                with.join(", "),
                levels - 1
            )
        };
        let twice = |n: usize| format!("SELECT p.x FROM c{n} p, c{n} q");
        parse_select(&chain(5, &twice), &Params::new()).unwrap();
        refusal(&chain(40, &twice));
        refusal(&chain(40, &|n| format!("SELECT p.x FROM C{n} p JOIN \"c{n}\" q ON true")));
        refusal(&chain(40, &|n| format!("SELECT x FROM c{n} UNION ALL SELECT x FROM c{n}")));
        refusal(&chain(40, &|n| format!("SELECT x FROM c{n} WHERE x IN (SELECT x FROM c{n})")));
        refusal(&chain(40, &|n| format!("WITH d AS (SELECT x FROM c{n}) SELECT a.x FROM d a, d b")));
        parse_select(&chain(40, &|n| format!("SELECT x FROM c{n}")), &Params::new()).unwrap();
        refusal(&chain(70, &|n| format!("SELECT x FROM c{n}")));
        let many: Vec<String> = (0..7000).map(|n| format!("c a{n}")).collect();
        refusal(&format!("WITH c AS (SELECT 1 AS x) SELECT 1 FROM {}", many.join(",")));
        parse_select(
            "WITH people AS (SELECT id FROM people) SELECT * FROM people p JOIN people q USING (id)",
            &Params::new(),
        )
        .unwrap();
    }

    #[test]
    fn depth_and_size_are_bounded() {
        refusal(&format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)));
        refusal(&format!("SELECT {}", vec!["1"; 3000].join("+")));
        refusal(&format!("SELECT {}1", "- ".repeat(5000)));
        refusal(&vec!["SELECT 1"; 200].join(" UNION ALL "));
        refusal(&format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX)));
        refusal(&format!("SELECT '{}'", "x".repeat(9000)));
        refusal("SELECT name ~ ('(a{1000}){1000}' || id) FROM people");
        refusal("SELECT regexp_count(name, pattern) FROM people");
        refusal("SELECT lag(name, 1000000) OVER () FROM people");
        refusal("SELECT sum(id) OVER (ORDER BY id ROWS 1000000 PRECEDING) FROM people");
        refusal("SELECT sum(id) OVER w FROM people WINDOW w AS (ORDER BY id GROUPS BETWEEN CURRENT ROW AND 1000000 FOLLOWING)");
        parse_select(
            "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 5 FOLLOWING) FROM people",
            &Params::new(),
        )
        .unwrap();
        let list: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        parse_select(&format!("SELECT * FROM people WHERE id IN ({})", list.join(",")), &Params::new()).unwrap();
    }
}
