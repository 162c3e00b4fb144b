//! The words in which a slice is asked for, the same for `plan` and `fetch`.

use std::path::Path;
use std::time::Duration;

use chunk_wire::fetch::{Format, Param, Params, Query, StandingRequest, StandingTerms, StandingView, Window, WindowRequest};
use chunk_wire::stages::{Escalation, Stage};
use clap::{Args, ValueEnum};

use crate::error::{Failure, Result};
use crate::figures;

/// Which rows and columns of a dataset.
#[derive(Debug, Clone, Args)]
pub(crate) struct SliceArgs {
    /// Columns, in the order wanted; all without it.
    #[arg(long, value_delimiter = ',', conflicts_with = "sql", value_name = "A,B")]
    columns: Option<Vec<String>>,
    /// A condition in SQL over the columns as you see them (masked).
    #[arg(long = "where", conflicts_with = "sql", value_name = "SQL")]
    filter: Option<String>,
    /// Order, as in SQL: `placed_at desc, order_id`.
    #[arg(long, conflicts_with = "sql", value_name = "SQL")]
    order_by: Option<String>,
    /// Rows at most.
    #[arg(long, conflicts_with = "sql", value_name = "N")]
    limit: Option<u64>,
    /// Value of a parameter: what stands as `$NAME` in the SQL. A number, `true`, `false` and `null` are what they look like, all else is text.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = typed)]
    params: Vec<(String, Param)>,
    /// The same, and the value is text whatever it looks like.
    #[arg(long = "param-text", value_name = "NAME=VALUE", value_parser = as_text)]
    texts: Vec<(String, Param)>,
}

/// `NAME=VALUE`, where the value is what it looks like.
fn typed(text: &str) -> std::result::Result<(String, Param), String> {
    let (name, value) = named(text)?;
    let param = match value {
        "null" => Param::Null,
        "true" => Param::Boolean(true),
        "false" => Param::Boolean(false),
        value if is_number(value) => Param::Number(value.to_owned()),
        value => Param::Text(value.to_owned()),
    };
    Ok((name.to_owned(), param))
}

fn as_text(text: &str) -> std::result::Result<(String, Param), String> {
    let (name, value) = named(text)?;
    Ok((name.to_owned(), Param::Text(value.to_owned())))
}

fn named(text: &str) -> std::result::Result<(&str, &str), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("a parameter's name has letters, digits and underscores".to_owned());
    }
    Ok((name, value))
}

/// A number as JSON writes it: `007` is none, so codes keep their zeros.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// Terms of a standing grant, the same for `plan` and `fetch`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct StandingArgs {
    /// Ask for a standing grant: once approved, the same fetch needs no approval for so long (`8h`), also with a smaller limit.
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    standing: Option<Duration>,
    /// Rows that it may carry in all; as many as one fetch without it.
    #[arg(long, value_name = "N", requires = "standing")]
    standing_rows: Option<u64>,
    /// Bytes that it may carry in all; as many as one fetch without it.
    #[arg(long, value_name = "N", requires = "standing")]
    standing_bytes: Option<u64>,
}

impl StandingArgs {
    /// What is asked for, if anything is.
    ///
    /// # Errors
    /// When it is for longer than there is a number for.
    pub(crate) fn asked(&self) -> Result<Option<StandingRequest>> {
        let Some(duration) = self.standing else { return Ok(None) };
        let duration_s = u32::try_from(duration.as_secs())
            .map_err(|_| Failure::usage("`--standing` is for too long").why("expected a duration such as `8h`"))?;
        Ok(Some(StandingRequest {
            duration_s,
            rows: self.standing_rows,
            bytes: self.standing_bytes,
        }))
    }
}

/// When a fetch may begin, the same for `plan` and `fetch`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WindowArgs {
    /// Ask for a delivery that begins at this time (`2026-12-01T22:00Z`) or later, and not at once.
    #[arg(long, value_name = "TIME", conflicts_with = "standing")]
    not_before: Option<String>,
    /// And within this time from then on (`90m`); without it, as long as an approval can be used at all.
    #[arg(long, value_name = "DURATION", requires = "not_before", value_parser = figures::parse_duration)]
    valid_for: Option<Duration>,
}

impl WindowArgs {
    /// What is asked for, if anything is.
    ///
    /// # Errors
    /// When it is no time, or a time that is over.
    pub(crate) fn asked(&self, now_ms: i64) -> Result<Option<WindowRequest>> {
        let Some(text) = &self.not_before else { return Ok(None) };
        let wrong = |why: &str| Failure::usage(format!("`--not-before {text}` is no time to begin")).why(why.to_owned());
        let from_ms = moment(text).ok_or_else(|| wrong("expected a time with its zone, such as `2026-12-01T22:00Z`"))?;
        if from_ms <= now_ms {
            return Err(wrong("it is over already; leave it out to fetch as soon as it is approved"));
        }
        let duration_s = match self.valid_for {
            Some(duration) => Some(u32::try_from(duration.as_secs()).map_err(|_| Failure::usage("`--valid-for` is too long"))?),
            None => None,
        };
        Ok(Some(WindowRequest { from_ms, duration_s }))
    }
}

/// A point in time with its zone; the seconds may be left out.
fn moment(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond())
}

/// A window of time, for people.
pub(crate) fn window(window: &Window) -> String {
    format!("from {} until {}", figures::time(window.from_ms), figures::time(window.until_ms))
}

/// Encodings, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Apache Parquet
    Parquet,
    /// RFC 4180, with a header line
    Csv,
    /// One JSON object a line
    Ndjson,
    /// Arrow IPC stream
    Arrow,
}

impl SliceArgs {
    /// Whether nothing of a slice was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_none()
            && self.filter.is_none()
            && self.order_by.is_none()
            && self.limit.is_none()
            && self.params.is_empty()
            && self.texts.is_empty()
    }

    /// The parameters' values.
    fn params(&self) -> Result<Params> {
        let mut params = Params::new();
        for (name, value) in self.params.iter().chain(&self.texts) {
            if params.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::usage(format!("the parameter `{name}` has two values")).why("give each one once"));
            }
        }
        Ok(params)
    }

    /// The query, from either form.
    ///
    /// # Errors
    /// When nothing is asked for, or a column has no name.
    pub(crate) fn query(&self, dataset: Option<&str>, sql: Option<&str>) -> Result<Query> {
        match (dataset, sql) {
            (_, Some(text)) => Ok(Query::Sql {
                text: text.to_owned(),
                params: self.params()?,
            }),
            (Some(dataset), None) => {
                let columns: Option<Vec<String>> = self
                    .columns
                    .as_ref()
                    .map(|names| names.iter().map(|name| name.trim().to_owned()).collect());
                if columns.iter().flatten().any(String::is_empty) {
                    return Err(Failure::usage("`--columns` holds an empty name")
                        .why("expected names separated by commas")
                        .hint(format!("chunkctl describe {dataset}")));
                }
                Ok(Query::Slice {
                    dataset: dataset.to_owned(),
                    columns,
                    filter: self.filter.clone(),
                    order_by: self.order_by.clone(),
                    limit: self.limit,
                    params: self.params()?,
                })
            }
            (None, None) => Err(Failure::usage("nothing is asked for")
                .why("name a dataset, or give `--sql`")
                .hint("chunkctl datasets")),
        }
    }
}

/// The encoding: as told, or as the file's name says, or Parquet.
pub(crate) fn format(told: Option<FormatArg>, output: Option<&Path>) -> Format {
    let by_name = || match output?.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "arrow" | "arrows" => Some(Format::Arrow),
        _ => None,
    };
    match told {
        Some(FormatArg::Parquet) => Format::Parquet,
        Some(FormatArg::Csv) => Format::Csv,
        Some(FormatArg::Ndjson) => Format::Ndjson,
        Some(FormatArg::Arrow) => Format::Arrow,
        None => by_name().unwrap_or(Format::Parquet),
    }
}

/// Terms of a standing grant, for people.
pub(crate) fn terms(terms: &StandingTerms) -> String {
    format!(
        "{} and {} in all, for {}",
        figures::plural(terms.rows, "row"),
        figures::bytes(terms.bytes),
        figures::duration(Duration::from_secs(u64::from(terms.duration_s)))
    )
}

/// Stages of a review, for people: `1 of owners, then 2 of security or ops`.
pub(crate) fn stages(stages: &[Stage]) -> String {
    let words: Vec<String> = stages
        .iter()
        .map(|stage| format!("{} of {}", stage.quorum, reviewers(stage)))
        .collect();
    words.join(", then ")
}

/// Who else may review, and when, for people: `after 2 h also to ops`.
pub(crate) fn escalation(escalation: &Escalation) -> String {
    let after = figures::duration(Duration::from_secs(u64::from(escalation.after_s)));
    format!("after {after} also to {}", escalation.groups.join(" or "))
}

/// Whose approval a stage takes, for people.
pub(crate) fn reviewers(stage: &Stage) -> String {
    if let Some(manager) = &stage.manager {
        return format!("the requester's manager ({manager})");
    }
    if stage.groups.is_empty() {
        return "whoever may review".to_owned();
    }
    stage.groups.join(" or ")
}

/// What is left of a standing grant, for people.
pub(crate) fn left(view: &StandingView, now_ms: i64) -> String {
    let ends = view
        .expires_ms
        .map(|ms| format!(", ends {}", figures::from_now(ms, now_ms)))
        .unwrap_or_default();
    format!(
        "{} and {} left, used {}{ends}",
        figures::plural(view.rows_left, "row"),
        figures::bytes(view.bytes_left),
        figures::plural(view.uses, "time")
    )
}

/// A query in one line or a few, for people.
pub(crate) fn words(query: &Query) -> String {
    let mut words = match query {
        Query::Sql { text, .. } => text.clone(),
        Query::Slice {
            dataset,
            columns,
            filter,
            order_by,
            limit,
            ..
        } => {
            let mut words = format!(
                "{} of {dataset}",
                columns
                    .as_ref()
                    .map_or_else(|| "all columns".to_owned(), |columns| columns.join(", "))
            );
            let clauses = [
                ("where", filter.clone()),
                ("order by", order_by.clone()),
                ("limit", limit.map(|n| n.to_string())),
            ];
            for (name, clause) in clauses {
                if let Some(clause) = clause {
                    words.push_str(&format!("\n{name} {clause}"));
                }
            }
            words
        }
    };
    for (name, value) in query.params() {
        words.push_str(&format!("\nwith ${name} = {value}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_says_the_format_unless_told_otherwise() {
        let format = |told, name: &str| format(told, Some(Path::new(name)));
        assert_eq!(format(None, "x.csv"), Format::Csv);
        assert_eq!(format(None, "x.jsonl"), Format::Ndjson);
        assert_eq!(format(None, "x"), Format::Parquet);
        assert_eq!(format(None, "-"), Format::Parquet);
        assert_eq!(format(Some(FormatArg::Arrow), "x.csv"), Format::Arrow);
    }

    #[test]
    fn a_slice_reads_like_a_sentence() {
        let query = Query::Slice {
            dataset: "orders".into(),
            columns: Some(vec!["a".into(), "b".into()]),
            filter: Some("a > 1".into()),
            order_by: None,
            limit: Some(5),
            params: Params::from([("from".to_owned(), Param::Text("it's".to_owned()))]),
        };
        insta::assert_snapshot!(words(&query), @r"
        a, b of orders
        where a > 1
        limit 5
        with $from = 'it''s'
        ");
    }

    #[test]
    fn a_parameters_value_is_what_it_looks_like_unless_told_otherwise() {
        for (text, param) in [
            ("a=5", Param::Number("5".to_owned())),
            ("$a=-0.5e3", Param::Number("-0.5e3".to_owned())),
            ("a=007", Param::Text("007".to_owned())),
            ("a=5 ", Param::Text("5 ".to_owned())),
            ("a=true", Param::Boolean(true)),
            ("a=null", Param::Null),
            ("a=NULL", Param::Text("NULL".to_owned())),
            ("a=", Param::Text(String::new())),
            ("a=b=c", Param::Text("b=c".to_owned())),
        ] {
            assert_eq!(typed(text), Ok(("a".to_owned(), param)), "{text}");
        }
        assert_eq!(as_text("a=5"), Ok(("a".to_owned(), Param::Text("5".to_owned()))));
        for text in ["a", "=5", "a b=5", "ä=5"] {
            assert!(typed(text).is_err(), "{text}");
        }
    }
}
