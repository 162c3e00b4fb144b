//! `[connections]`, `[classes]` and `[datasets]`: what data there is, how it is reached, and what is done to it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use chunk_core::catalog::{Dataset, Unclassified};
use chunk_core::limits::{FETCH_BYTES_DEFAULT, FETCH_ROWS_DEFAULT, GRANT_S_DEFAULT, PENDING_S_DEFAULT, REASON_BYTES_MAX, SQL_BYTES_MAX};
use chunk_core::scan::{DateUnit, PostgresTarget, Source};
use toml::Spanned;

use super::broker::is_loopback_host;
use super::check::{Check, nearest};
use super::raw::{At, Named, RawClass, RawConnection, RawDataset, RawSecret};
use super::{Connection, MaskConfig, SecretRef};

/// Statements run at most this long unless configured shorter.
const STATEMENT_TIMEOUT_S_DEFAULT: i64 = 900;
/// Words that SQL would not take as a table's name.
const SQL_WORDS: &[&str] = &[
    "all", "and", "as", "between", "by", "case", "cast", "cross", "distinct", "else", "end", "except", "exists", "false", "from", "full",
    "group", "having", "in", "inner", "intersect", "into", "is", "join", "left", "like", "limit", "natural", "not", "null", "offset", "on",
    "or", "order", "outer", "right", "select", "set", "table", "then", "true", "union", "using", "values", "when", "where", "window", "with",
];

pub(super) fn connections(check: &mut Check<'_>, raw: Named<RawConnection>) -> BTreeMap<String, Connection> {
    let mut connections = BTreeMap::new();
    for (name, raw) in raw {
        check.name(&name, "connection");
        let path = format!("connections.{}", name.get_ref());
        let section = name.span();
        let raw = raw.into_inner();
        let Some(kind) = check.required(raw.kind.clone(), &section, &format!("{path}.kind")) else { continue };
        let connection = match kind.get_ref().as_str() {
            "postgres" => postgres(check, name.get_ref(), &section, raw, &path),
            "files" => files(check, &section, raw, &path),
            _ => {
                check.faults.at(&kind.span(), format!("`{path}.kind` must be one of `postgres`, `files`"));
                None
            }
        };
        if let Some(connection) = connection {
            connections.insert(name.into_inner(), connection);
        }
    }
    connections
}

fn postgres(check: &mut Check<'_>, name: &str, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<Connection> {
    check.not_here(&raw.root, &format!("{path}.root"), "is only for kind = \"files\"");
    let host = check.text(raw.host, section, &format!("{path}.host"));
    let port = check.number(raw.port, &format!("{path}.port"), 1..=65_535, 5432);
    let database = check.text(raw.database, section, &format!("{path}.database"));
    let user = check.text(raw.user, section, &format!("{path}.user"));
    let password = check.required(raw.password, section, &format!("{path}.password")).and_then(|field| secret(check, field, &format!("{path}.password")));
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let timeout = check.number(raw.statement_timeout_s, &format!("{path}.statement_timeout_s"), 1..=3600, STATEMENT_TIMEOUT_S_DEFAULT);
    let plaintext = raw.plaintext.as_ref().is_some_and(|field| *field.get_ref());
    if let (true, Some(field), Some(host)) = (plaintext, &raw.plaintext, &host)
        && !is_loopback_host(host)
    {
        check.faults.at(&field.span(), format!("`{path}.plaintext` is accepted only for a loopback host; give `ca_file` instead"));
    }
    let target = PostgresTarget {
        connection: name.to_owned(),
        host: host?,
        port: u16::try_from(port).ok()?,
        database: database?,
        user: user?,
        ca_file,
        plaintext,
        statement_timeout_s: u32::try_from(timeout).ok()?,
    };
    Some(Connection::Postgres { target: Arc::new(target), password: password? })
}

fn files(check: &mut Check<'_>, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<Connection> {
    let why = "is only for kind = \"postgres\"";
    check.not_here(&raw.host, &format!("{path}.host"), why);
    check.not_here(&raw.port, &format!("{path}.port"), why);
    check.not_here(&raw.database, &format!("{path}.database"), why);
    check.not_here(&raw.user, &format!("{path}.user"), why);
    check.not_here(&raw.password, &format!("{path}.password"), why);
    check.not_here(&raw.ca_file, &format!("{path}.ca_file"), why);
    check.not_here(&raw.plaintext, &format!("{path}.plaintext"), why);
    check.not_here(&raw.statement_timeout_s, &format!("{path}.statement_timeout_s"), why);
    let field = check.required(raw.root, section, &format!("{path}.root"))?;
    let root = check.resolve(field.get_ref());
    match root.canonicalize() {
        Ok(root) if root.is_dir() && root.parent().is_some() => Some(Connection::Files { root }),
        Ok(root) => {
            check.faults.at(&field.span(), format!("`{path}.root`: {} must be a folder, and not the root of the file system", root.display()));
            None
        }
        Err(e) => {
            check.faults.at(&field.span(), format!("`{path}.root`: {} cannot be opened ({})", root.display(), e.kind()));
            None
        }
    }
}

fn secret(check: &mut Check<'_>, field: Spanned<RawSecret>, path: &str) -> Option<SecretRef> {
    let span = field.span();
    let raw = field.into_inner();
    let (env, file, sealed) = (raw.env.map(Spanned::into_inner), raw.file.map(Spanned::into_inner), raw.sealed.map(Spanned::into_inner));
    match (env, file, sealed) {
        (Some(name), None, None) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => Some(SecretRef::Env(name)),
        (None, Some(file), None) if !file.is_empty() => Some(SecretRef::File(check.resolve(&file))),
        (None, None, Some(sealed)) if !sealed.is_empty() => Some(SecretRef::Sealed(sealed)),
        _ => {
            if !check.was_removed(path) {
                check.faults.at(
                    &span,
                    format!("`{path}` must be exactly one of {{ env = \"VARIABLE\" }}, {{ file = \"PATH\" }}, {{ sealed = \"…\" }} (see `chunk-broker seal`)"),
                );
            }
            None
        }
    }
}

pub(super) fn classes(check: &mut Check<'_>, raw: Named<RawClass>) -> BTreeMap<String, MaskConfig> {
    let mut classes = BTreeMap::new();
    for (name, raw) in raw {
        let good = name.get_ref().len() <= 63
            && name.get_ref().split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        if !good {
            check.faults.at(&name.span(), format!("class `{}` must be words of a–z, 0–9 and _ joined by dots", name.get_ref().escape_default()));
        }
        // A mask that is wrong still defines the class: datasets that use it have no fault of their own.
        let mask = mask(check, &name.span(), raw.into_inner(), &format!("classes.{}", name.get_ref())).unwrap_or(MaskConfig::Redact);
        classes.insert(name.into_inner(), mask);
    }
    classes
}

fn mask(check: &mut Check<'_>, section: &Range<usize>, raw: RawClass, path: &str) -> Option<MaskConfig> {
    let field = check.required(raw.mask, section, &format!("{path}.mask"))?;
    let kind = field.get_ref().as_str();
    if kind != "partial" {
        check.not_here(&raw.keep_first, &format!("{path}.keep_first"), "is only for mask = \"partial\"");
        check.not_here(&raw.keep_last, &format!("{path}.keep_last"), "is only for mask = \"partial\"");
    }
    if kind != "tokenize" {
        check.not_here(&raw.generation, &format!("{path}.generation"), "is only for mask = \"tokenize\"");
    }
    if kind != "generalize" {
        check.not_here(&raw.date, &format!("{path}.date"), "is only for mask = \"generalize\"");
        check.not_here(&raw.bucket, &format!("{path}.bucket"), "is only for mask = \"generalize\"");
        check.not_here(&raw.prefix, &format!("{path}.prefix"), "is only for mask = \"generalize\"");
    }
    match kind {
        "redact" => Some(MaskConfig::Redact),
        "scan" => Some(MaskConfig::Scan),
        "partial" => {
            if raw.keep_first.is_none() && raw.keep_last.is_none() {
                check.missing(section, &format!("{path}.keep_last"), "or `keep_first` is missing: partial must say what it keeps");
            }
            let keep_first = check.number(raw.keep_first, &format!("{path}.keep_first"), 0..=64, 0);
            let keep_last = check.number(raw.keep_last, &format!("{path}.keep_last"), 0..=64, 0);
            Some(MaskConfig::Partial { keep_first: u8::try_from(keep_first).ok()?, keep_last: u8::try_from(keep_last).ok()? })
        }
        "tokenize" => {
            let generation = check.number(raw.generation, &format!("{path}.generation"), 1..=i64::from(u32::MAX), 1);
            Some(MaskConfig::Tokenize { generation: u32::try_from(generation).ok()? })
        }
        "generalize" => {
            let units = [("day", DateUnit::Day), ("month", DateUnit::Month), ("year", DateUnit::Year)];
            let date = match raw.date {
                Some(field) => check.word(&field, &format!("{path}.date"), &units)?,
                None => DateUnit::Month,
            };
            let bucket = check.optional_number(raw.bucket, &format!("{path}.bucket"), 1..=i64::MAX);
            let prefix = check.optional_number(raw.prefix, &format!("{path}.prefix"), 1..=64);
            Some(MaskConfig::Generalize { date, bucket: bucket.and_then(|n| u64::try_from(n).ok()), prefix: prefix.and_then(|n| u8::try_from(n).ok()) })
        }
        _ => {
            check.faults.at(&field.span(), format!("`{path}.mask` must be one of `redact`, `partial`, `tokenize`, `generalize`, `scan`"));
            None
        }
    }
}

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
            check.faults.at(&name.span(), format!("dataset `{}` is a word of SQL; choose another name", name.get_ref()));
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
    let description = raw.description.and_then(|field| check.checked_text(field, &format!("{path}.description"))).unwrap_or_default();
    if description.len() > REASON_BYTES_MAX {
        check.faults.at(&section, format!("`{path}.description` is longer than {REASON_BYTES_MAX} bytes"));
    }
    let words = [("scan", Unclassified::Scan), ("redact", Unclassified::Redact), ("open", Unclassified::Open)];
    let unclassified = match raw.unclassified {
        Some(field) => check.word(&field, &format!("{path}.unclassified"), &words).unwrap_or_default(),
        None => Unclassified::default(),
    };
    let row_filter = raw.row_filter.and_then(|field| {
        if field.get_ref().trim().is_empty() || field.get_ref().len() > SQL_BYTES_MAX {
            check.faults.at(&field.span(), format!("`{path}.row_filter` must be a boolean SQL expression; leave it out for no filter"));
            return None;
        }
        Some(field.into_inner())
    });
    let labels = labels(check, raw.labels, &path);
    let quorum = check.number(raw.quorum, &format!("{path}.quorum"), 1..=10, 1);
    let rows_max = check.number(raw.rows_max, &format!("{path}.rows_max"), 1..=i64::MAX, i64::try_from(FETCH_ROWS_DEFAULT).ok()?);
    let bytes_max = check.number(raw.bytes_max, &format!("{path}.bytes_max"), 1..=i64::MAX, i64::try_from(FETCH_BYTES_DEFAULT).ok()?);
    let pending_h = check.number(raw.pending_hours, &format!("{path}.pending_hours"), 1..=720, PENDING_S_DEFAULT / 3600);
    let grant_m = check.number(raw.grant_minutes, &format!("{path}.grant_minutes"), 1..=1440, GRANT_S_DEFAULT / 60);
    let mut columns = BTreeMap::new();
    for (column, class) in raw.columns {
        if !classes.contains_key(class.get_ref()) && !check.was_removed(&format!("classes.{}", class.get_ref())) {
            let hint = nearest(class.get_ref(), classes.keys());
            let message = format!("`{path}.columns.{}`: no class `{}` is defined{hint}", column.get_ref().escape_debug(), class.get_ref().escape_debug());
            check.faults.at(&class.span(), message);
        }
        columns.insert(column.into_inner(), class.into_inner());
    }
    let connection = check.required(raw.connection, &section, &format!("{path}.connection"))?;
    let Some(reached) = connections.get(connection.get_ref()) else {
        if !check.was_removed(&format!("connections.{}", connection.get_ref())) {
            let hint = nearest(connection.get_ref(), connections.keys());
            check.faults.at(&connection.span(), format!("`{path}.connection`: no usable connection `{}`{hint}", connection.get_ref().escape_debug()));
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
        labels,
        rows_max: u64::try_from(rows_max).ok()?,
        bytes_max: u64::try_from(bytes_max).ok()?,
        pending_s: pending_h * 3600,
        grant_s: grant_m * 60,
    })
}

fn labels(check: &mut Check<'_>, field: At<Vec<String>>, path: &str) -> Vec<String> {
    let Some(field) = field else { return Vec::new() };
    let good = |label: &String| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:-".contains(&b))
    };
    if !field.get_ref().iter().all(good) {
        check.faults.at(&field.span(), format!("`{path}.labels` must be words of a–z, 0–9, `_`, `.`, `:` and `-`"));
    }
    let mut labels = field.into_inner();
    labels.sort();
    labels.dedup();
    labels
}

fn postgres_table(check: &mut Check<'_>, field: &Spanned<String>, target: &Arc<PostgresTarget>, path: &str) -> Option<(&'static str, Source)> {
    let good = |part: &str| !part.is_empty() && part.len() <= 63 && !part.contains('.') && !part.chars().any(char::is_control);
    match field.get_ref().split_once('.') {
        Some((schema, table)) if good(schema) && good(table) => {
            Some(("postgres", Source::Postgres { target: Arc::clone(target), schema: schema.to_owned(), table: table.to_owned() }))
        }
        _ => {
            check.faults.at(&field.span(), format!("`{path}.table` must be SCHEMA.TABLE, e.g. \"public.customers\""));
            None
        }
    }
}

fn file_source(check: &mut Check<'_>, field: &Spanned<String>, format: At<String>, root: &Path, path: &str) -> Option<(&'static str, Source)> {
    let relative = PathBuf::from(field.get_ref());
    if field.get_ref().is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        check.faults.at(&field.span(), format!("`{path}.path` must be below the connection's root, without `..` and without a leading `/`"));
        return None;
    }
    let file = root.join(&relative);
    // A file may appear later; a link that leads out of the root may not.
    if file.canonicalize().is_ok_and(|resolved| !resolved.starts_with(root)) {
        check.faults.at(&field.span(), format!("`{path}.path` is a link that leads out of the connection's root"));
        return None;
    }
    let named = match format {
        Some(field) => check.word(&field, &format!("{path}.format"), &[("parquet", "parquet"), ("csv", "csv")])?,
        None => match relative.extension().and_then(|e| e.to_str()) {
            Some("parquet") => "parquet",
            Some("csv") => "csv",
            _ => {
                check.faults.at(&field.span(), format!("`{path}.path` ends in neither .parquet nor .csv: say `format = \"parquet\"` or `\"csv\"`"));
                return None;
            }
        },
    };
    Some((named, if named == "parquet" { Source::Parquet { path: file } } else { Source::Csv { path: file } }))
}
