//! `[connections]`: how data is reached, and where the credential for it is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use chunk_port::{MysqlTarget, PostgresTarget};
use toml::Spanned;

use super::broker::is_loopback_host;
use super::check::Check;
use super::raw::{At, Named, RawConnection, RawSecret};
use super::{Connection, SecretRef};

/// Statements run at most this long unless configured shorter.
const STATEMENT_TIMEOUT_S_DEFAULT: i64 = 900;

pub(super) fn connections(check: &mut Check<'_>, raw: Named<RawConnection>) -> BTreeMap<String, Connection> {
    let mut connections = BTreeMap::new();
    for (name, raw) in raw {
        check.name(&name, "connection");
        let path = format!("connections.{}", name.get_ref());
        let section = name.span();
        let raw = raw.into_inner();
        let Some(kind) = check.required(raw.kind.clone(), &section, &format!("{path}.kind")) else {
            continue;
        };
        let Some(kind) = check.word(&kind, &format!("{path}.kind"), KINDS) else {
            continue;
        };
        misplaced(check, kind, &raw, &path);
        let connection = match kind {
            Kind::Postgres => postgres(check, name.get_ref(), &section, raw, &path),
            Kind::Mysql => mysql(check, name.get_ref(), &section, raw, &path),
            Kind::Sqlite => folder(check, &section, raw, &path).map(|root| Connection::Sqlite { root }),
            Kind::Files => folder(check, &section, raw, &path).map(|root| Connection::Files { root }),
        };
        if let Some(connection) = connection {
            connections.insert(name.into_inner(), connection);
        }
    }
    connections
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Mysql,
    Sqlite,
    Files,
}

const KINDS: &[(&str, Kind)] = &[
    ("postgres", Kind::Postgres),
    ("mysql", Kind::Mysql),
    ("sqlite", Kind::Sqlite),
    ("files", Kind::Files),
];

/// Reports keys that other kinds of connections have.
fn misplaced(check: &mut Check<'_>, kind: Kind, raw: &RawConnection, path: &str) {
    const SERVERS: &[Kind] = &[Kind::Postgres, Kind::Mysql];
    const FOLDERS: &[Kind] = &[Kind::Sqlite, Kind::Files];
    fn at<T>(field: &At<T>) -> Option<Range<usize>> {
        field.as_ref().map(Spanned::span)
    }
    let keys = [
        ("host", at(&raw.host), SERVERS),
        ("port", at(&raw.port), SERVERS),
        ("database", at(&raw.database), &[Kind::Postgres]),
        ("user", at(&raw.user), SERVERS),
        ("password", at(&raw.password), SERVERS),
        ("ca_file", at(&raw.ca_file), SERVERS),
        ("plaintext", at(&raw.plaintext), SERVERS),
        ("statement_timeout_s", at(&raw.statement_timeout_s), SERVERS),
        ("root", at(&raw.root), FOLDERS),
    ];
    for (key, span, kinds) in keys {
        if let Some(span) = span
            && !kinds.contains(&kind)
        {
            let named = KINDS.iter().filter(|(_, k)| kinds.contains(k));
            let named: Vec<String> = named.map(|(word, _)| format!("\"{word}\"")).collect();
            check
                .faults
                .at(&span, format!("`{path}.{key}` is only for kind = {}", named.join(" or ")));
        }
    }
}

/// What every server is reached by.
struct Server {
    host: String,
    port: u16,
    user: String,
    password: SecretRef,
    ca_file: Option<PathBuf>,
    plaintext: bool,
    statement_timeout_s: u32,
}

fn server(check: &mut Check<'_>, section: &Range<usize>, raw: RawConnection, path: &str, port_default: i64) -> Option<Server> {
    let host = check.text(raw.host, section, &format!("{path}.host"));
    let port = check.number(raw.port, &format!("{path}.port"), 1..=65_535, port_default);
    let user = check.text(raw.user, section, &format!("{path}.user"));
    let password = check
        .required(raw.password, section, &format!("{path}.password"))
        .and_then(|field| secret(check, field, &format!("{path}.password")));
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let timeout = check.number(
        raw.statement_timeout_s,
        &format!("{path}.statement_timeout_s"),
        1..=3600,
        STATEMENT_TIMEOUT_S_DEFAULT,
    );
    let plaintext = raw.plaintext.as_ref().is_some_and(|field| *field.get_ref());
    if let (true, Some(field), Some(host)) = (plaintext, &raw.plaintext, &host)
        && !is_loopback_host(host)
    {
        check.faults.at(
            &field.span(),
            format!("`{path}.plaintext` is accepted only for a loopback host; give `ca_file` instead"),
        );
    }
    Some(Server {
        host: host?,
        port: u16::try_from(port).ok()?,
        user: user?,
        password: password?,
        ca_file,
        plaintext,
        statement_timeout_s: u32::try_from(timeout).ok()?,
    })
}

fn postgres(check: &mut Check<'_>, name: &str, section: &Range<usize>, mut raw: RawConnection, path: &str) -> Option<Connection> {
    let database = check.text(raw.database.take(), section, &format!("{path}.database"));
    let server = server(check, section, raw, path, 5432)?;
    let target = PostgresTarget {
        connection: name.to_owned(),
        host: server.host,
        port: server.port,
        database: database?,
        user: server.user,
        ca_file: server.ca_file,
        plaintext: server.plaintext,
        statement_timeout_s: server.statement_timeout_s,
    };
    Some(Connection::Postgres {
        target: Arc::new(target),
        password: server.password,
    })
}

fn mysql(check: &mut Check<'_>, name: &str, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<Connection> {
    let server = server(check, section, raw, path, 3306)?;
    let target = MysqlTarget {
        connection: name.to_owned(),
        host: server.host,
        port: server.port,
        user: server.user,
        ca_file: server.ca_file,
        plaintext: server.plaintext,
        statement_timeout_s: server.statement_timeout_s,
    };
    Some(Connection::Mysql {
        target: Arc::new(target),
        password: server.password,
    })
}

/// A folder on this machine.
fn folder(check: &mut Check<'_>, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<PathBuf> {
    let field = check.required(raw.root, section, &format!("{path}.root"))?;
    let root = check.resolve(field.get_ref());
    match root.canonicalize() {
        Ok(root) if root.is_dir() && root.parent().is_some() => Some(root),
        Ok(root) => {
            check.faults.at(
                &field.span(),
                format!(
                    "`{path}.root`: {} must be a folder, and not the root of the file system",
                    root.display()
                ),
            );
            None
        }
        Err(e) => {
            check.faults.at(
                &field.span(),
                format!("`{path}.root`: {} cannot be opened ({})", root.display(), e.kind()),
            );
            None
        }
    }
}

pub(super) fn secret(check: &mut Check<'_>, field: Spanned<RawSecret>, path: &str) -> Option<SecretRef> {
    let span = field.span();
    let raw = field.into_inner();
    let (env, file, sealed) = (
        raw.env.map(Spanned::into_inner),
        raw.file.map(Spanned::into_inner),
        raw.sealed.map(Spanned::into_inner),
    );
    match (env, file, sealed) {
        (Some(name), None, None) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            Some(SecretRef::Env(name))
        }
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
