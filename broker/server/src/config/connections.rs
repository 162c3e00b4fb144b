//! `[connections]`: how data is reached, and where the credential for it is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chunk_port::PostgresTarget;
use toml::Spanned;

use super::broker::is_loopback_host;
use super::check::Check;
use super::raw::{Named, RawConnection, RawSecret};
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
        let connection = match kind.get_ref().as_str() {
            "postgres" => postgres(check, name.get_ref(), &section, raw, &path),
            "files" => files(check, &section, raw, &path),
            _ => {
                check
                    .faults
                    .at(&kind.span(), format!("`{path}.kind` must be one of `postgres`, `files`"));
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
    Some(Connection::Postgres {
        target: Arc::new(target),
        password: password?,
    })
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
