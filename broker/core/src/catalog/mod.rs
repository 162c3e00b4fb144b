//! What may be asked for: datasets, the connections they are read through, the classes of their columns, and what each
//! column looks like to a caller.

mod treat;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chunk_wire::catalog::{ColumnView, DatasetDetail, DatasetSummary};
use chunk_wire::fetch::{Query, StandingTerms};
use chunk_wire::problem::Code;
use chunk_wire::stages::Escalation;

use crate::authorize::Asking;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::policy::{Action, Resource};
use crate::recording::Keep;
use crate::rule::{self, StageRule};
use chunk_port::{Mask, ScanError, ScanErrorKind, Source, SourceColumn, Table};

pub(crate) use treat::govern;

/// Everything that configuration says about data. Checked: every name resolves.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Datasets by name.
    pub datasets: BTreeMap<String, Dataset>,
    /// Classes by name.
    pub classes: BTreeMap<String, Class>,
}

/// A governed table, view, or file set.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name: `[a-z][a-z0-9_]{0,62}`, so that it needs no quoting in SQL.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Connection it is read through.
    pub connection: String,
    /// `postgres`, `parquet` or `csv`.
    pub kind: &'static str,
    /// Where its rows are.
    pub source: Source,
    /// Column → class. A column that the source does not have makes the dataset unusable: a misspelt column must not
    /// leave the real one unmasked.
    pub classes: BTreeMap<String, String>,
    /// What happens to columns without a class.
    pub unclassified: Unclassified,
    /// Boolean SQL over unmasked columns; skipped only for callers with `unfiltered`.
    pub row_filter: Option<String>,
    /// The column that says whose a row is, for masks that depend on it.
    pub subject: Option<String>,
    /// Distinct people who must approve a fetch.
    pub quorum: u32,
    /// Verdicts on its requests must be signed with an enrolled SSH key as well.
    pub ssh_verdicts: bool,
    /// Who they are, where that matters: one stage after the other.
    pub stages: Vec<StageRule>,
    /// Who else may review when nobody has decided for a while.
    pub escalation: Option<Escalation>,
    /// Labels that policies may refer to.
    pub labels: Vec<String>,
    /// Rows one fetch may carry.
    pub rows_max: u64,
    /// Bytes one fetch may carry.
    pub bytes_max: u64,
    /// Rows one person may take in a day (UTC), over all their deliveries that read this.
    pub rows_per_day: Option<u64>,
    /// Bytes one person may take in a day.
    pub bytes_per_day: Option<u64>,
    /// Seconds a pending request waits for reviewers.
    pub pending_s: i64,
    /// Seconds an approval may be used.
    pub grant_s: i64,
    /// Seconds a standing grant may last; 0 where there are none.
    pub standing_s_max: u32,
    /// Rows a standing grant may carry in all.
    pub standing_rows_max: u64,
    /// Bytes a standing grant may carry in all.
    pub standing_bytes_max: u64,
    /// What is kept of its deliveries.
    pub recording: Keep,
}

/// What happens to columns without a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unclassified {
    /// Scanned for personal data and secrets.
    #[default]
    Scan,
    /// Redacted.
    Redact,
    /// Shown.
    Open,
}

/// A column's label and the mask that goes with it.
#[derive(Debug, Clone)]
pub struct Class {
    /// Name, e.g. `pii.email`.
    pub name: String,
    /// Mask, with its key where it needs one.
    pub mask: Mask,
}

impl Dataset {
    /// The dataset as the scanner finds it.
    #[must_use]
    pub fn table(&self) -> Table {
        Table {
            dataset: self.name.clone(),
            connection: self.connection.clone(),
            source: self.source.clone(),
        }
    }

    pub(crate) fn resource(&self) -> Resource<'_> {
        Resource::Dataset {
            name: &self.name,
            connection: &self.connection,
            labels: &self.labels,
        }
    }
}

/// The datasets that this caller may know of.
///
/// # Errors
/// None today; the signature leaves room for a catalog that is read.
pub fn list(broker: &Broker, cx: &Context, caller: &Caller) -> Result<Vec<DatasetSummary>, Error> {
    let asking = Asking::now(broker, cx, caller);
    Ok(visible(&asking).map(|dataset| summary(&asking, dataset)).collect())
}

/// One dataset: its columns and what each would look like to this caller.
///
/// # Errors
/// `not_found` for a dataset that does not exist or that this caller may not know of (the same answer), or when its source
/// cannot be asked for its columns.
pub async fn describe(broker: &Broker, cx: &Context, caller: &Caller, name: &str) -> Result<DatasetDetail, Error> {
    let asking = Asking::now(broker, cx, caller);
    let dataset = visible(&asking).find(|d| d.name == name).ok_or_else(|| unknown(&asking, name))?;
    let schema = schema(broker, dataset).await?;
    let governed = govern(&asking, dataset, &schema)?;
    let columns = schema
        .iter()
        .zip(&governed.columns)
        .map(|(source, column)| ColumnView {
            name: column.name.clone(),
            data_type: source.data_type.clone(),
            nullable: source.nullable,
            class: column.class.clone(),
            mask: column.treatment.to_string(),
        })
        .collect();
    Ok(DatasetDetail {
        summary: summary(&asking, dataset),
        columns,
        filtered: governed.row_filter.is_some(),
        recorded: dataset.recording == Keep::Content,
        rows_max: dataset.rows_max,
        bytes_max: dataset.bytes_max,
        rows_per_day: dataset.rows_per_day,
        bytes_per_day: dataset.bytes_per_day,
        standing: (dataset.standing_s_max > 0).then_some(StandingTerms {
            bytes: dataset.standing_bytes_max,
            duration_s: dataset.standing_s_max,
            rows: dataset.standing_rows_max,
        }),
    })
}

/// The answer to a name that is unknown or not the caller's to know, with a suggestion only from what they may see.
pub(crate) fn unknown(asking: &Asking<'_>, name: &str) -> Error {
    let near = visible(asking)
        .map(|d| (distance(&d.name, name), &d.name))
        .filter(|(far, _)| *far <= 2)
        .min();
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let error = Error::new(Code::NotFound, format!("There is no dataset `{shown}` that you may see."));
    match near {
        Some((_, near)) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("run `chunkctl datasets`"),
    }
}

/// The datasets that this caller may know of.
pub(crate) fn visible<'a>(asking: &'a Asking<'_>) -> impl Iterator<Item = &'a Dataset> {
    let datasets = asking.broker.settings.catalog.datasets.values();
    datasets.filter(|d| asking.may(Action::Describe, &d.resource()))
}

/// Those that a query may name, of the datasets that this caller may know of. Policy is asked only about names that stand in the query: there
/// may be thousands of others.
pub(crate) fn visible_in<'a>(asking: &'a Asking<'_>, query: &Query) -> impl Iterator<Item = &'a Dataset> {
    let text = match query {
        Query::Slice { dataset, .. } => Err(dataset.clone()),
        Query::Sql { text, .. } => Ok(text.to_lowercase()),
    };
    let named = move |dataset: &&Dataset| match &text {
        Ok(sql) => sql.contains(&dataset.name),
        Err(name) => dataset.name == *name,
    };
    let datasets = asking.broker.settings.catalog.datasets.values();
    datasets.filter(named).filter(|d| asking.may(Action::Describe, &d.resource()))
}

/// Columns of datasets, kept for a while: metadata, asked of the source when first needed.
#[derive(Default)]
pub(crate) struct Schemas {
    known: Mutex<HashMap<String, (i64, Arc<Vec<SourceColumn>>)>>,
}

/// The columns of a dataset.
pub(crate) async fn schema(broker: &Broker, dataset: &Dataset) -> Result<Arc<Vec<SourceColumn>>, Error> {
    let now_ms = broker.clock.now_ms();
    {
        let known = broker.schemas.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, schema)) = known.get(&dataset.name).filter(|(until_ms, _)| now_ms < *until_ms) {
            return Ok(Arc::clone(schema));
        }
    }
    let schema = Arc::new(broker.scanner.describe(&dataset.table()).await.map_err(scan_error)?);
    let mut known = broker.schemas.known.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(dataset.name.clone(), (now_ms + SCHEMA_KEPT_MS, Arc::clone(&schema)));
    Ok(schema)
}

/// A scanner's refusal as an answer; the operator's text goes to the log only.
pub(crate) fn scan_error(error: ScanError) -> Error {
    let (code, position) = match error.kind {
        ScanErrorKind::InvalidSql(position) => (Code::InvalidSql, position),
        ScanErrorKind::Refused => (Code::StatementRefused, None),
        ScanErrorKind::UnknownDataset => (Code::NotFound, None),
        ScanErrorKind::Source => (Code::SourceFailed, None),
        ScanErrorKind::Limit => (Code::LimitReached, None),
        ScanErrorKind::Evaluation => (Code::InvalidSql, None),
        ScanErrorKind::Internal => (Code::Internal, None),
    };
    let mut answer = Error::new(code, error.public);
    answer.position = position;
    match error.operator {
        Some(text) => answer.operator(text),
        None => answer,
    }
}

fn summary(asking: &Asking<'_>, dataset: &Dataset) -> DatasetSummary {
    let may = |action| asking.may(action, &dataset.resource());
    let approvals = may(Action::Fetch).then(|| if may(Action::FetchUnapproved) { 0 } else { rule::people(dataset) });
    DatasetSummary {
        name: dataset.name.clone(),
        description: dataset.description.clone(),
        connection: dataset.connection.clone(),
        kind: dataset.kind.to_owned(),
        approvals,
    }
}

/// Levenshtein distance, for names of a few dozen characters: what "did you mean" goes by.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            left = (above_left + usize::from(from != *to)).min(above + 1).min(left + 1);
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

const SCHEMA_KEPT_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("orders", "orders"), 0);
        assert_eq!(distance("orders", "order"), 1);
        assert_eq!(distance("orders", "odrers"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
