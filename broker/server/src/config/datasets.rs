//! `[datasets]`: what may be asked for, and on what terms.

use std::collections::BTreeMap;

use chunk_core::catalog::{Dataset, Unclassified};
use chunk_core::limits::{
    FETCH_BYTES_DEFAULT, FETCH_ROWS_DEFAULT, GRANT_S_DEFAULT, NUMBER_MAX, PENDING_S_DEFAULT, REASON_BYTES_MAX, SQL_BYTES_MAX,
};
use chunk_core::recording::Keep;
use toml::Spanned;

use super::check::{Check, nearest};
use super::raw::{At, Named, RawDataset};
use super::sources::{self, Place};
use super::stages;
use super::{Connection, MaskConfig};

/// Words that SQL would not take as a table's name.
const SQL_WORDS: &[&str] = &[
    "all",
    "and",
    "as",
    "between",
    "by",
    "case",
    "cast",
    "cross",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "into",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "right",
    "select",
    "set",
    "table",
    "then",
    "true",
    "union",
    "using",
    "values",
    "when",
    "where",
    "window",
    "with",
];

pub(super) fn datasets(
    check: &mut Check<'_>,
    raw: Named<RawDataset>,
    connections: &BTreeMap<String, Connection>,
    classes: &BTreeMap<String, MaskConfig>,
) -> BTreeMap<String, Dataset> {
    let mut datasets = BTreeMap::new();
    for (name, raw) in raw {
        check.name(&name, "dataset");
        if SQL_WORDS.contains(&name.get_ref().as_str()) {
            check.faults.at(
                &name.span(),
                format!("dataset `{}` is a word of SQL; choose another name", name.get_ref()),
            );
        }
        if let Some(dataset) = dataset(check, &name, raw.into_inner(), connections, classes) {
            datasets.insert(name.into_inner(), dataset);
        }
    }
    datasets
}

fn dataset(
    check: &mut Check<'_>,
    name: &Spanned<String>,
    raw: RawDataset,
    connections: &BTreeMap<String, Connection>,
    classes: &BTreeMap<String, MaskConfig>,
) -> Option<Dataset> {
    let path = format!("datasets.{}", name.get_ref());
    let section = name.span();
    let description = raw
        .description
        .and_then(|field| check.checked_text(field, &format!("{path}.description")))
        .unwrap_or_default();
    if description.len() > REASON_BYTES_MAX {
        check
            .faults
            .at(&section, format!("`{path}.description` is longer than {REASON_BYTES_MAX} bytes"));
    }
    let words = [
        ("scan", Unclassified::Scan),
        ("redact", Unclassified::Redact),
        ("open", Unclassified::Open),
    ];
    let unclassified = match raw.unclassified {
        Some(field) => check.word(&field, &format!("{path}.unclassified"), &words).unwrap_or_default(),
        None => Unclassified::default(),
    };
    let row_filter = raw.row_filter.and_then(|field| {
        if field.get_ref().trim().is_empty() || field.get_ref().len() > SQL_BYTES_MAX {
            check.faults.at(
                &field.span(),
                format!("`{path}.row_filter` must be a boolean SQL expression; leave it out for no filter"),
            );
            return None;
        }
        Some(field.into_inner())
    });
    let labels = labels(check, raw.labels, &path);
    let approvals = stages::approvals(check, raw.quorum, raw.reviewers, raw.stages, &path);
    let rows_max = check.number(
        raw.rows_max,
        &format!("{path}.rows_max"),
        1..=i64::MAX,
        i64::try_from(FETCH_ROWS_DEFAULT).ok()?,
    );
    let bytes_max = check.number(
        raw.bytes_max,
        &format!("{path}.bytes_max"),
        1..=i64::MAX,
        i64::try_from(FETCH_BYTES_DEFAULT).ok()?,
    );
    let rows_per_day = per_day(check, raw.rows_per_day, &format!("{path}.rows_per_day"));
    let bytes_per_day = per_day(check, raw.bytes_per_day, &format!("{path}.bytes_per_day"));
    let pending_h = check.number(
        raw.pending_hours,
        &format!("{path}.pending_hours"),
        1..=720,
        PENDING_S_DEFAULT / 3600,
    );
    let grant_m = check.number(raw.grant_minutes, &format!("{path}.grant_minutes"), 1..=1440, GRANT_S_DEFAULT / 60);
    let standing_h = check.number(raw.standing_hours_max, &format!("{path}.standing_hours_max"), 0..=720, 0);
    let standing_rows_max = check.number(
        raw.standing_rows_max,
        &format!("{path}.standing_rows_max"),
        1..=i64::try_from(NUMBER_MAX).ok()?,
        rows_max.min(i64::try_from(NUMBER_MAX).ok()?),
    );
    let standing_bytes_max = check.number(
        raw.standing_bytes_max,
        &format!("{path}.standing_bytes_max"),
        1..=i64::try_from(NUMBER_MAX).ok()?,
        bytes_max.min(i64::try_from(NUMBER_MAX).ok()?),
    );
    let recording = raw.recording.and_then(|field| {
        let words = [("digest", Keep::Digest), ("content", Keep::Content)];
        check.word(&field, &format!("{path}.recording"), &words)
    });
    let mut columns = BTreeMap::new();
    for (column, class) in raw.columns {
        if !classes.contains_key(class.get_ref()) && !check.was_removed(&format!("classes.{}", class.get_ref())) {
            let hint = nearest(class.get_ref(), classes.keys());
            let message = format!(
                "`{path}.columns.{}`: no class `{}` is defined{hint}",
                column.get_ref().escape_debug(),
                class.get_ref().escape_debug()
            );
            check.faults.at(&class.span(), message);
        }
        columns.insert(column.into_inner(), class.into_inner());
    }
    let subject = raw.subject.map(Spanned::into_inner);
    let shifts = |class: &&String| matches!(classes.get(*class), Some(MaskConfig::Shift { .. }));
    if let Some(class) = columns.values().find(shifts).filter(|_| subject.is_none()) {
        let what = format!("{path}.subject");
        check.missing(
            &section,
            &what,
            &format!("is missing: class `{class}` shifts dates by subject, so say which column names it"),
        );
    }
    let escalation = stages::escalation(check, raw.escalate_after, raw.escalate_to, pending_h * 3600, &section, &path);
    let connection = check.required(raw.connection, &section, &format!("{path}.connection"))?;
    let Some(reached) = connections.get(connection.get_ref()) else {
        if !check.was_removed(&format!("connections.{}", connection.get_ref())) {
            let hint = nearest(connection.get_ref(), connections.keys());
            check.faults.at(
                &connection.span(),
                format!(
                    "`{path}.connection`: no usable connection `{}`{hint}",
                    connection.get_ref().escape_debug()
                ),
            );
        }
        return None;
    };
    let place = Place {
        table: raw.table,
        path: raw.path,
        files: raw.files,
        format: raw.format,
    };
    let (kind, source) = sources::source(check, place, reached, &section, &path)?;
    Some(Dataset {
        name: name.get_ref().clone(),
        description,
        connection: connection.into_inner(),
        kind,
        source,
        classes: columns,
        unclassified,
        row_filter,
        subject,
        ssh_verdicts: raw.ssh_verdicts.is_some_and(|field| field.into_inner()),
        quorum: approvals.quorum,
        stages: approvals.stages,
        escalation,
        labels,
        rows_max: u64::try_from(rows_max).ok()?,
        bytes_max: u64::try_from(bytes_max).ok()?,
        rows_per_day,
        bytes_per_day,
        pending_s: pending_h * 3600,
        grant_s: grant_m * 60,
        standing_s_max: u32::try_from(standing_h * 3600).ok()?,
        standing_rows_max: u64::try_from(standing_rows_max).ok()?,
        standing_bytes_max: u64::try_from(standing_bytes_max).ok()?,
        recording: recording.unwrap_or_default(),
    })
}

/// A bound for a day, where there is one.
fn per_day(check: &mut Check<'_>, field: At<i64>, path: &str) -> Option<u64> {
    field.as_ref()?;
    u64::try_from(check.number(field, path, 1..=i64::MAX, i64::MAX)).ok()
}

fn labels(check: &mut Check<'_>, field: At<Vec<String>>, path: &str) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let good = |label: &String| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:-".contains(&b))
    };
    if !field.get_ref().iter().all(good) {
        check.faults.at(
            &field.span(),
            format!("`{path}.labels` must be words of a–z, 0–9, `_`, `.`, `:` and `-`"),
        );
    }
    let mut labels = field.into_inner();
    labels.sort();
    labels.dedup();
    labels
}
