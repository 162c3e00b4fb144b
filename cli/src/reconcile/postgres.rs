//! PostgreSQL's log as CSV (`log_destination = 'csvlog'`, with `log_statement = 'all'` or pgaudit), versions 9.0 to 18.
//!
//! Columns by position, as the manual's "Using CSV-Format Log Output" lists them: 1 time, 2 user, 5 client, 12 severity,
//! 14 message, 23 application name. Later versions only append columns.

use std::io::Read;

use super::Access;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// Not this format.
    #[error("line {line} is not a line of this log format: {what}")]
    Format {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// Reads a log; every statement that somebody ran, in order.
pub(crate) fn accesses(log: impl Read) -> impl Iterator<Item = Result<Access, LogError>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(log);
    let mut line = 0;
    std::iter::from_fn(move || {
        loop {
            let mut record = csv::StringRecord::new();
            match reader.read_record(&mut record) {
                Ok(false) => return None,
                Err(error) => {
                    return Some(Err(LogError::Format {
                        line: line + 1,
                        what: error.to_string(),
                    }));
                }
                Ok(true) => {}
            }
            line = record.position().map_or(line + 1, csv::Position::line);
            match access(&record, line) {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

fn access(record: &csv::StringRecord, line: u64) -> Result<Option<Access>, LogError> {
    let column = |n: usize| record.get(n - 1).unwrap_or_default();
    if record.len() < 23 {
        return Err(LogError::Format {
            line,
            what: format!("{} columns, not at least 23", record.len()),
        });
    }
    let time_ms = time(column(1)).ok_or_else(|| LogError::Format {
        line,
        what: "no time in the first column".to_owned(),
    })?;
    let Some(statement) = statement(column(14)) else {
        return Ok(None);
    };
    Ok(Some(Access {
        log: 0,
        line,
        time_ms,
        account: column(2).to_owned(),
        tag: column(23).to_owned(),
        from: column(5).to_owned(),
        what: first_word(statement),
        reads: can_read_rows(statement),
    }))
}

/// The statement in a message of `log_statement` (`statement: …`, `execute NAME: …`) or of pgaudit
/// (`AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.t,"select …",…`).
fn statement(message: &str) -> Option<&str> {
    if let Some(rest) = message.strip_prefix("statement: ") {
        return Some(rest);
    }
    if let Some(rest) = message.strip_prefix("execute ") {
        return rest.split_once(": ").map(|(_, statement)| statement);
    }
    let audit = message.strip_prefix("AUDIT: ")?;
    audit.splitn(8, ',').nth(7).map(|statement| statement.trim_start_matches('"'))
}

fn first_word(statement: &str) -> String {
    let word: String = statement
        .trim_start_matches(|c: char| c.is_whitespace() || c == '(')
        .chars()
        .take_while(|c| c.is_ascii_alphabetic())
        .take(16)
        .collect();
    word.to_ascii_uppercase()
}

/// Whether a message's statements can return or move rows of tables. What is not surely metadata counts as a read.
fn can_read_rows(statements: &str) -> bool {
    // A quoted semicolon splits here too: what is then not understood counts as a read.
    statements
        .split(';')
        .filter(|statement| !statement.trim().is_empty())
        .any(|statement| {
            match first_word(statement).as_str() {
                "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "SET" | "RESET" | "SHOW" | "DISCARD" | "LOCK" | "DEALLOCATE"
                | "CLOSE" | "SAVEPOINT" | "RELEASE" => false,
                // `EXPLAIN ANALYZE` runs the statement.
                "EXPLAIN" => statement.to_ascii_lowercase().contains("analy"),
                "SELECT" | "WITH" | "VALUES" => !catalog_only(statement),
                _ => true,
            }
        })
}

/// Whether a query names relations of `pg_catalog` and its own subqueries only, and calls no function by an unqualified name
/// that somebody could have made.
fn catalog_only(statement: &str) -> bool {
    let tokens = tokens(statement);
    let word = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut own = Vec::new();
    for at in 0..tokens.len() {
        // `name AS (` and `name (columns) AS (` begin a subquery of its own.
        if word(at) == "as" && word(at + 1) == "(" {
            let before = tokens.get(..at).unwrap_or_default();
            let named = if word(at.wrapping_sub(1)) == ")" {
                before.iter().rposition(|token| token == "(").and_then(|open| open.checked_sub(1))
            } else {
                at.checked_sub(1)
            };
            own.extend(named.map(word));
        }
    }
    let catalog = |name: &str| name.starts_with("pg_catalog.") || own.contains(&name);
    (0..tokens.len()).all(|at| match word(at) {
        "from" | "join" => {
            let relation = word(at + 1);
            let alias = if word(at + 2) == "as" { at + 3 } else { at + 2 };
            let listed = word(at + 2) == "," || (is_name(word(alias)) && word(alias + 1) == ",");
            // `extract(… FROM …)` and the like read no relation, but a name there is still asked to be one.
            (relation == "(" || relation == "lateral" || catalog(relation)) && !listed
        }
        "(" => {
            let called = at.checked_sub(1).map_or("", word);
            // `AS v(a, b)` names columns.
            let names = at.checked_sub(2).is_some_and(|before| word(before) == "as");
            names || !is_name(called) || called.starts_with("pg_catalog.") || own.contains(&called) || BUILT_IN.contains(&called)
        }
        _ => true,
    })
}

/// Lower-case words and punctuation; texts and quoted names are one token each, which is never a plain name.
fn tokens(statement: &str) -> Vec<String> {
    let mut tokens = Vec::<String>::new();
    let mut chars = statement.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' || c == '"' {
            let mut token = String::from(c);
            while chars.next_if(|&next| next != c).is_some() {}
            chars.next();
            token.push(c);
            tokens.push(token);
        } else if c.is_alphanumeric() || c == '_' || c == '.' {
            let mut token = String::from(c.to_ascii_lowercase());
            while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_' || *next == '.') {
                token.push(next.to_ascii_lowercase());
            }
            tokens.push(token);
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words before a parenthesis that are the language's own.
const BUILT_IN: [&str; 22] = [
    "as", "in", "any", "all", "and", "or", "not", "on", "where", "when", "then", "else", "select", "values", "exists", "coalesce", "count",
    "array", "lateral", "union", "from", "join",
];

/// `2026-11-25 09:46:18.123 UTC`. Other zones by name are ambiguous: the log must be kept in UTC, or with a numeric offset.
fn time(text: &str) -> Option<i64> {
    let (date_time, zone) = text.rsplit_once(' ')?;
    let civil: jiff::civil::DateTime = date_time.parse().ok()?;
    let zone = match zone {
        "UTC" | "GMT" | "Z" => jiff::tz::TimeZone::UTC,
        offset => jiff::tz::TimeZone::fixed(hours(offset)?),
    };
    civil.to_zoned(zone).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

fn hours(offset: &str) -> Option<jiff::tz::Offset> {
    let sign = match offset.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = offset.get(1..)?;
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let seconds = hours
        .parse::<i32>()
        .ok()?
        .checked_mul(3_600)?
        .checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    jiff::tz::Offset::from_seconds(sign * seconds).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn row(user: &str, message: &str, application: &str) -> String {
        let mut columns = vec![String::new(); 26];
        columns[0] = "2026-11-25 09:46:18.123 UTC".into();
        columns[1] = user.into();
        columns[4] = "10.0.0.7:53412".into();
        columns[11] = "LOG".into();
        columns[13] = format!("\"{}\"", message.replace('"', "\"\""));
        columns[22] = format!("\"{application}\"");
        columns.join(",") + "\n"
    }

    #[test]
    fn statements_are_found_whoever_logged_them_and_over_several_lines() {
        let log = [
            row("broker_ro", "connection authorized: user=broker_ro", "fet_1"),
            row(
                "broker_ro",
                "statement: COPY (SELECT \"id\"\nFROM \"public\".\"people\") TO STDOUT (FORMAT binary)",
                "fet_1",
            ),
            row("dba", "execute s1: select * from people where id = $1", "psql"),
            row(
                "dba",
                "AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.people,\"select * from people\",<none>",
                "psql",
            ),
        ]
        .concat();
        let found: Vec<Access> = accesses(log.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].account.as_str(), found[0].tag.as_str(), found[0].what.as_str()),
            ("broker_ro", "fet_1", "COPY")
        );
        assert_eq!(
            (found[0].line, found[0].time_ms, found[0].from.as_str()),
            (2, 1_795_599_978_123, "10.0.0.7:53412")
        );
        assert!(found.iter().all(|access| access.reads));
        assert_eq!(found[1].line, 4, "lines are those of the file, not records");
    }

    #[test]
    fn what_is_not_surely_metadata_reads() {
        for metadata in [
            "BEGIN",
            "SET statement_timeout = 5",
            "EXPLAIN (FORMAT JSON) SELECT 1 FROM people",
            "select a from pg_catalog.pg_class c join pg_catalog.pg_attribute a on true",
            "SELECT pg_catalog.pg_export_snapshot()",
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '10s'",
            "WITH RECURSIVE w AS (SELECT c.oid FROM (VALUES (1, 'public', 'people')) AS v(n, s, t) JOIN pg_catalog.pg_class c ON true), \
             u(a) AS (SELECT oid FROM w UNION ALL SELECT b.a FROM u b) SELECT pg_catalog.format_type(a, NULL) FROM u",
            "LOCK TABLE people IN ACCESS SHARE MODE",
        ] {
            assert!(!can_read_rows(metadata), "{metadata}");
        }
        for reads in [
            "COPY people TO STDOUT",
            "select * from people",
            "SELECT * FROM pg_catalog.pg_class, people",
            "SELECT * FROM pg_catalog.pg_class c, people",
            "SELECT * FROM pg_catalog.pg_class AS c, people",
            "select 1 from pg_catalog.pg_class c join people p on true",
            "select dump_people()",
            "select mine.dump_people()",
            "select 'x' || dump_people() from pg_catalog.pg_class",
            "SET x = ';'; COPY people TO STDOUT",
            "EXPLAIN ANALYZE select * from people",
            "EXPLAIN (analyze) select * from people",
            "with x as (select * from people) select * from x",
            "BEGIN; COPY people TO STDOUT; COMMIT",
            "FETCH 100 FROM c",
            "select * from \"people\"",
            "select query_to_xml('select * from people', true, true, '')",
            "TABLE people",
            "do $$ begin perform 1 from people; end $$",
        ] {
            assert!(can_read_rows(reads), "{reads}");
        }
    }

    #[test]
    fn other_files_are_refused_with_their_line() {
        let short = accesses(&b"a,b,c\n"[..]).next().unwrap().unwrap_err();
        assert!(short.to_string().starts_with("line 1 "), "{short}");
        let zone = row("a", "statement: select 1", "b").replace(" UTC", " CEST");
        assert!(accesses(zone.as_bytes()).next().unwrap().is_err(), "a zone by name is ambiguous");
        let offset = row("a", "statement: select 1", "b").replace(" UTC", " +02");
        assert_eq!(accesses(offset.as_bytes()).next().unwrap().unwrap().time_ms, 1_795_592_778_123);
    }
}
