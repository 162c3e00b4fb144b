//! The words in which a slice is asked for, the same for `plan` and `fetch`.

use std::path::Path;

use chunk_wire::fetch::{Format, Query};
use clap::{Args, ValueEnum};

use crate::error::{Failure, Result};

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
        self.columns.is_none() && self.filter.is_none() && self.order_by.is_none() && self.limit.is_none()
    }

    /// The query, from either form.
    ///
    /// # Errors
    /// When nothing is asked for, or a column has no name.
    pub(crate) fn query(&self, dataset: Option<&str>, sql: Option<&str>) -> Result<Query> {
        match (dataset, sql) {
            (_, Some(text)) => Ok(Query::Sql { text: text.to_owned() }),
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

/// A query in one line or a few, for people.
pub(crate) fn words(query: &Query) -> String {
    match query {
        Query::Sql { text } => text.clone(),
        Query::Slice {
            dataset,
            columns,
            filter,
            order_by,
            limit,
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
    }
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
        };
        insta::assert_snapshot!(words(&query), @r"
        a, b of orders
        where a > 1
        limit 5
        ");
    }
}
