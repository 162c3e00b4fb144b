//! `[connections]`: how data is reached, and where the credential for it is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use chunk_port::{MysqlTarget, ObjectPlace, ObjectTarget, PostgresTarget};
use toml::Spanned;
use url::Url;

use super::broker::{is_loopback, is_loopback_host};
use super::bucket;
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
            Kind::S3 => s3(check, name.get_ref(), &section, raw, &path),
            Kind::Http => http(check, name.get_ref(), &section, raw, &path),
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
    S3,
    Http,
}

const KINDS: &[(&str, Kind)] = &[
    ("postgres", Kind::Postgres),
    ("mysql", Kind::Mysql),
    ("sqlite", Kind::Sqlite),
    ("files", Kind::Files),
    ("s3", Kind::S3),
    ("http", Kind::Http),
];

/// Reports keys that other kinds of connections have.
fn misplaced(check: &mut Check<'_>, kind: Kind, raw: &RawConnection, path: &str) {
    const SERVERS: &[Kind] = &[Kind::Postgres, Kind::Mysql];
    const FOLDERS: &[Kind] = &[Kind::Sqlite, Kind::Files];
    const TRUSTING: &[Kind] = &[Kind::Postgres, Kind::Mysql, Kind::S3, Kind::Http];
    fn at<T>(field: &At<T>) -> Option<Range<usize>> {
        field.as_ref().map(Spanned::span)
    }
    let keys = [
        ("host", at(&raw.host), SERVERS),
        ("port", at(&raw.port), SERVERS),
        ("database", at(&raw.database), &[Kind::Postgres]),
        ("user", at(&raw.user), SERVERS),
        ("password", at(&raw.password), SERVERS),
        ("ca_file", at(&raw.ca_file), TRUSTING),
        ("plaintext", at(&raw.plaintext), SERVERS),
        ("statement_timeout_s", at(&raw.statement_timeout_s), SERVERS),
        ("root", at(&raw.root), FOLDERS),
        ("url", at(&raw.url), &[Kind::S3, Kind::Http]),
        ("endpoint", at(&raw.endpoint), &[Kind::S3]),
        ("region", at(&raw.region), &[Kind::S3]),
        ("access_key", at(&raw.access_key), &[Kind::S3]),
        ("secret_key", at(&raw.secret_key), &[Kind::S3]),
        ("session_token", at(&raw.session_token), &[Kind::S3]),
        ("token", at(&raw.token), &[Kind::Http]),
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

fn s3(check: &mut Check<'_>, name: &str, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<Connection> {
    let address = check
        .required(raw.url, section, &format!("{path}.url"))
        .and_then(|url| bucket::address(check, &url, raw.endpoint, raw.region, path));
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let mut keys = Vec::new();
    for (key, field, needed) in [
        ("access_key", raw.access_key, true),
        ("secret_key", raw.secret_key, true),
        ("session_token", raw.session_token, false),
    ] {
        let field = if needed {
            Some(check.required(field, section, &format!("{path}.{key}"))?)
        } else {
            field
        };
        if let Some(field) = field {
            keys.push((key, secret(check, field, &format!("{path}.{key}"))?));
        }
    }
    let address = address?;
    let target = ObjectTarget {
        connection: name.to_owned(),
        place: ObjectPlace::S3 {
            endpoint: address.endpoint.into(),
            bucket: address.name,
            prefix: address.prefix,
            region: address.region,
            path_style: address.path_style,
        },
        ca_file,
    };
    Some(Connection::Objects {
        target: Arc::new(target),
        keys,
    })
}

fn http(check: &mut Check<'_>, name: &str, section: &Range<usize>, raw: RawConnection, path: &str) -> Option<Connection> {
    let field = check.required(raw.url, section, &format!("{path}.url"));
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let token = match raw.token {
        Some(field) => Some(secret(check, field, &format!("{path}.token"))?),
        None => None,
    };
    let field = field?;
    let base = Url::parse(field.get_ref()).ok().filter(|url| {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let bare = url.query().is_none() && url.fragment().is_none();
        scheme && bare && url.username().is_empty() && url.password().is_none() && url.host().is_some()
    });
    let Some(base) = base else {
        check.faults.at(
            &field.span(),
            format!("`{path}.url` must be https://HOST/PATH without query, user and password (http:// only on loopback)"),
        );
        return None;
    };
    let target = ObjectTarget {
        connection: name.to_owned(),
        place: ObjectPlace::Http { base: base.into() },
        ca_file,
    };
    Some(Connection::Objects {
        target: Arc::new(target),
        keys: token.map(|place| ("token", place)).into_iter().collect(),
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
