//! Where the rows of a dataset are: a table or a path, by the kind of its connection.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use std::sync::Arc;

use chunk_port::{FileFormat, ObjectNames, ObjectPlace, ObjectTarget, Source};
use toml::Spanned;

use super::Connection;
use super::check::Check;
use super::raw::At;

/// What `[datasets.NAME]` says of it.
pub(super) struct Place {
    pub(super) table: At<String>,
    pub(super) path: At<String>,
    pub(super) files: At<Vec<String>>,
    pub(super) format: At<String>,
}

/// The source, and its kind as the catalog shows it.
pub(super) fn source(
    check: &mut Check<'_>,
    place: Place,
    reached: &Connection,
    section: &Range<usize>,
    path: &str,
) -> Option<(&'static str, Source)> {
    if !matches!(reached, Connection::Objects { target, .. } if matches!(target.place, ObjectPlace::Http { .. })) {
        check.not_here(
            &place.files,
            &format!("{path}.files"),
            "is only for a connection of kind = \"http\"",
        );
    }
    match reached {
        Connection::Postgres { target, .. } => {
            let (schema, table) = server_table(check, place, section, path, 63, "SCHEMA.TABLE, e.g. \"public.customers\"")?;
            let target = target.clone();
            Some(("postgres", Source::Postgres { target, schema, table }))
        }
        Connection::Mysql { target, .. } => {
            let (database, table) = server_table(check, place, section, path, 64, "DATABASE.TABLE, e.g. \"shop.customers\"")?;
            let target = target.clone();
            Some(("mysql", Source::Mysql { target, database, table }))
        }
        Connection::Sqlite { root } => {
            check.not_here(&place.format, &format!("{path}.format"), "is for files");
            let table = check.required(place.table, section, &format!("{path}.table"));
            let file = check.required(place.path, section, &format!("{path}.path"));
            sqlite_table(check, &file?, &table?, root, path)
        }
        Connection::Files { root } => {
            check.not_here(
                &place.table,
                &format!("{path}.table"),
                "is for databases; a file is named by `path`",
            );
            let file = check.required(place.path, section, &format!("{path}.path"))?;
            file_source(check, &file, place.format, root, path)
        }
        Connection::Objects { target, .. } => {
            check.not_here(
                &place.table,
                &format!("{path}.table"),
                "is for databases; an object is named by `path`",
            );
            objects(check, place, target, section, path)
        }
    }
}

/// A table of a server by its two names, of this many characters each at most.
fn server_table(
    check: &mut Check<'_>,
    place: Place,
    section: &Range<usize>,
    path: &str,
    length_max: usize,
    form: &str,
) -> Option<(String, String)> {
    check.not_here(&place.path, &format!("{path}.path"), "is for files; a table is named by `table`");
    check.not_here(&place.format, &format!("{path}.format"), "is for files");
    let field = check.required(place.table, section, &format!("{path}.table"))?;
    let good = |part: &str| !part.is_empty() && part.len() <= length_max && !part.contains('.') && !part.chars().any(char::is_control);
    match field.get_ref().split_once('.') {
        Some((outer, table)) if good(outer) && good(table) => Some((outer.to_owned(), table.to_owned())),
        _ => {
            check.faults.at(&field.span(), format!("`{path}.table` must be {form}"));
            None
        }
    }
}

fn sqlite_table(
    check: &mut Check<'_>,
    file: &Spanned<String>,
    table: &Spanned<String>,
    root: &Path,
    path: &str,
) -> Option<(&'static str, Source)> {
    let file = below_root(check, file, root, path)?;
    let name = table.get_ref();
    if name.is_empty() || name.chars().any(char::is_control) || name.to_ascii_lowercase().starts_with("sqlite_") {
        check.faults.at(
            &table.span(),
            format!("`{path}.table` must be the name of a table or view in the file, and none of SQLite's own"),
        );
        return None;
    }
    Some((
        "sqlite",
        Source::Sqlite {
            root: root.to_owned(),
            path: file,
            table: name.clone(),
        },
    ))
}

/// A path below a connection's folder, in full.
fn below_root(check: &mut Check<'_>, field: &Spanned<String>, root: &Path, path: &str) -> Option<PathBuf> {
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
    Some(file)
}

fn file_source(
    check: &mut Check<'_>,
    field: &Spanned<String>,
    format: At<String>,
    root: &Path,
    path: &str,
) -> Option<(&'static str, Source)> {
    let file = below_root(check, field, root, path)?;
    let format = file_format(check, field, format, path)?;
    Some((
        format.name(),
        Source::Files {
            root: root.to_owned(),
            path: file,
            format,
        },
    ))
}

fn objects(
    check: &mut Check<'_>,
    place: Place,
    target: &Arc<ObjectTarget>,
    section: &Range<usize>,
    path: &str,
) -> Option<(&'static str, Source)> {
    let (names, format) = match (place.path, place.files) {
        (Some(field), None) => {
            if !is_key(field.get_ref()) {
                check.faults.at(
                    &field.span(),
                    format!("`{path}.path` must be a name below the connection's `url`: no empty part, no `.` and no `..`"),
                );
                return None;
            }
            let format = file_format(check, &field, place.format, path)?;
            let name = field.into_inner();
            let names = match target.place {
                ObjectPlace::S3 { .. } => ObjectNames::Below(name),
                ObjectPlace::Http { .. } => ObjectNames::Listed(vec![name]),
            };
            (names, format)
        }
        (None, Some(field)) => (
            ObjectNames::Listed(field.get_ref().clone()),
            listed_format(check, &field, place.format, path)?,
        ),
        (Some(_), Some(field)) => {
            check.faults.at(
                &field.span(),
                format!("`{path}.files` stands beside `path`: a dataset is one of them"),
            );
            return None;
        }
        (None, None) => {
            check.missing(section, &format!("{path}.path"), "is missing");
            return None;
        }
    };
    let target = Arc::clone(target);
    Some((format.name(), Source::Objects { target, names, format }))
}

/// A name that means the same to every server.
fn is_key(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control);
    name.len() <= 1024 && name.split('/').all(part)
}

/// Listed files are of one format.
fn listed_format(check: &mut Check<'_>, field: &Spanned<Vec<String>>, format: At<String>, path: &str) -> Option<FileFormat> {
    let names = field.get_ref();
    if names.is_empty() || names.len() > FILES_MAX || !names.iter().all(|name| is_key(name)) {
        check.faults.at(
            &field.span(),
            format!("`{path}.files` must name 1 to {FILES_MAX} files below the connection's `url`: no empty part, no `.` and no `..`"),
        );
        return None;
    }
    if let Some(format) = format {
        return named_format(check, &format, path);
    }
    let found = names.first().and_then(|name| format_of(name));
    if found.is_none() || !names.iter().all(|name| format_of(name) == found) {
        check.faults.at(
            &field.span(),
            format!("`{path}.files` must all end in the extension of one format, or say `format`"),
        );
        return None;
    }
    found
}

const FILES_MAX: usize = 10_000;

/// The format that is named, or else the one that the path's extension names.
fn file_format(check: &mut Check<'_>, field: &Spanned<String>, format: At<String>, path: &str) -> Option<FileFormat> {
    if let Some(format) = format {
        return named_format(check, &format, path);
    }
    let found = format_of(field.get_ref());
    if found.is_none() {
        check.faults.at(
            &field.span(),
            format!("`{path}.path` ends in no format's extension: say `format = \"parquet\"`, `\"csv\"`, `\"ndjson\"` or `\"arrow\"`"),
        );
    }
    found
}

fn named_format(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<FileFormat> {
    let words = FileFormat::ALL.map(|(format, _)| (format.name(), format));
    check.word(field, &format!("{path}.format"), &words)
}

/// The format whose extension a name ends in.
fn format_of(name: &str) -> Option<FileFormat> {
    let extension = Path::new(name).extension()?.to_str()?;
    let found = FileFormat::ALL.into_iter().find(|(_, extensions)| extensions.contains(&extension));
    found.map(|(format, _)| format)
}
