//! `[datasets]`: what may be asked for, and on what terms.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use chunk_core::catalog::{Dataset, Unclassified};
use chunk_core::limits::{
    FETCH_BYTES_DEFAULT, FETCH_ROWS_DEFAULT, GRANT_S_DEFAULT, NUMBER_MAX, PENDING_S_DEFAULT, REASON_BYTES_MAX, SQL_BYTES_MAX,
};
use chunk_core::recording::Keep;
use chunk_port::{PostgresTarget, Source};
use chunk_wire::fetch::Stage;
use toml::Spanned;

use super::check::{Check, nearest};
use super::raw::{At, Named, RawDataset, RawStage};
use super::{Connection, MaskConfig};

/// Stages of one dataset.
const STAGES_MAX: usize = 8;

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
    if !raw.stages.is_empty() {
        check.not_here(
            &raw.quorum,
            &format!("{path}.quorum"),
            "is for datasets without stages; each stage has its own",
        );
    }
    let stages = stages(check, raw.stages, &path);
    let quorum = check.number(raw.quorum, &format!("{path}.quorum"), 1..=10, 1);
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
    let (kind, source) = match reached {
        Connection::Postgres { target, .. } => {
            check.not_here(&raw.path, &format!("{path}.path"), "is for files; a table is named by `table`");
            check.not_here(&raw.format, &format!("{path}.format"), "is for files");
            let table = check.required(raw.table, &section, &format!("{path}.table"))?;
            postgres_table(check, &table, target, &path)?
        }
        Connection::Files { root } => {
            check.not_here(&raw.table, &format!("{path}.table"), "is for databases; a file is named by `path`");
            let file = check.required(raw.path, &section, &format!("{path}.path"))?;
            file_source(check, &file, raw.format, root, &path)?
        }
    };
    Some(Dataset {
        name: name.get_ref().clone(),
        description,
        connection: connection.into_inner(),
        kind,
        source,
        classes: columns,
        unclassified,
        row_filter,
        quorum: u32::try_from(quorum).ok()?,
        stages,
        labels,
        rows_max: u64::try_from(rows_max).ok()?,
        bytes_max: u64::try_from(bytes_max).ok()?,
        pending_s: pending_h * 3600,
        grant_s: grant_m * 60,
        standing_s_max: u32::try_from(standing_h * 3600).ok()?,
        standing_rows_max: u64::try_from(standing_rows_max).ok()?,
        standing_bytes_max: u64::try_from(standing_bytes_max).ok()?,
        recording: recording.unwrap_or_default(),
    })
}

fn stages(check: &mut Check<'_>, raw: Vec<Spanned<RawStage>>, path: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (number, raw) in raw.into_iter().enumerate() {
        let (path, section) = (format!("{path}.stages[{number}]"), raw.span());
        if number >= STAGES_MAX {
            check
                .faults
                .at(&section, format!("`{path}` is one stage too many: there may be {STAGES_MAX}"));
            break;
        }
        let raw = raw.into_inner();
        let quorum = check.number(raw.quorum, &format!("{path}.quorum"), 1..=10, 1);
        let Some(group) = check.text(raw.group, &section, &format!("{path}.group")) else {
            continue;
        };
        if group.len() > REASON_BYTES_MAX || stages.iter().any(|stage| stage.group.as_ref() == Some(&group)) {
            check.faults.at(
                &section,
                format!("`{path}.group` must be a group that no other stage names, of at most {REASON_BYTES_MAX} bytes"),
            );
        }
        stages.push(Stage {
            group: Some(group),
            quorum: u32::try_from(quorum).unwrap_or(1),
        });
    }
    stages
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

fn postgres_table(
    check: &mut Check<'_>,
    field: &Spanned<String>,
    target: &Arc<PostgresTarget>,
    path: &str,
) -> Option<(&'static str, Source)> {
    let good = |part: &str| !part.is_empty() && part.len() <= 63 && !part.contains('.') && !part.chars().any(char::is_control);
    match field.get_ref().split_once('.') {
        Some((schema, table)) if good(schema) && good(table) => Some((
            "postgres",
            Source::Postgres {
                target: Arc::clone(target),
                schema: schema.to_owned(),
                table: table.to_owned(),
            },
        )),
        _ => {
            check.faults.at(
                &field.span(),
                format!("`{path}.table` must be SCHEMA.TABLE, e.g. \"public.customers\""),
            );
            None
        }
    }
}

fn file_source(
    check: &mut Check<'_>,
    field: &Spanned<String>,
    format: At<String>,
    root: &Path,
    path: &str,
) -> Option<(&'static str, Source)> {
    let relative = PathBuf::from(field.get_ref());
    if field.get_ref().is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        check.faults.at(
            &field.span(),
            format!("`{path}.path` must be below the connection's root, without `..` and without a leading `/`"),
        );
        return None;
    }
    let file = root.join(&relative);
    // A file may appear later; a link that leads out of the root may not.
    if file.canonicalize().is_ok_and(|resolved| !resolved.starts_with(root)) {
        check.faults.at(
            &field.span(),
            format!("`{path}.path` is a link that leads out of the connection's root"),
        );
        return None;
    }
    let named = match format {
        Some(field) => check.word(&field, &format!("{path}.format"), &[("parquet", "parquet"), ("csv", "csv")])?,
        None => match relative.extension().and_then(|e| e.to_str()) {
            Some("parquet") => "parquet",
            Some("csv") => "csv",
            _ => {
                check.faults.at(
                    &field.span(),
                    format!("`{path}.path` ends in neither .parquet nor .csv: say `format = \"parquet\"` or `\"csv\"`"),
                );
                return None;
            }
        },
    };
    Some((
        named,
        if named == "parquet" {
            Source::Parquet {
                root: root.to_owned(),
                path: file,
            }
        } else {
            Source::Csv {
                root: root.to_owned(),
                path: file,
            }
        },
    ))
}
