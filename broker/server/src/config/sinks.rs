//! `[[sinks]]`: where the entries of the log are sent to as events.

use std::ops::Range;
use std::path::PathBuf;

use chunk_core::sinks::{Since, SinkSettings, Takes};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::check::Check;
use super::raw::{At, RawSecret};
use super::{SecretRef, connections, is_loopback};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSink {
    pub(super) name: At<String>,
    pub(super) kind: At<String>,
    pub(super) level: At<i64>,
    pub(super) from: At<String>,
    // file
    pub(super) path: At<String>,
    // syslog, https
    pub(super) url: At<String>,
    pub(super) ca_file: At<String>,
    // syslog
    pub(super) message_bytes_max: At<i64>,
    // https
    pub(super) token: At<RawSecret>,
    pub(super) batch_events: At<i64>,
    pub(super) batch_bytes: At<i64>,
}

/// `[[sinks]]`.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// What core knows of it.
    pub settings: SinkSettings,
    /// How events reach it.
    pub target: SinkTarget,
}

/// How events reach a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkTarget {
    /// Lines of a file.
    File {
        /// The file.
        path: PathBuf,
    },
    /// Messages of syslog.
    Syslog {
        /// Where to.
        target: SyslogTarget,
        /// Bytes of a message at most.
        message_bytes_max: usize,
    },
    /// Bodies of HTTP requests.
    Https {
        /// Where to; may hold what others must not know.
        url: Url,
        /// Where the bearer token is.
        token: Option<SecretRef>,
        /// PEM file of the only authorities trusted for it; the system's roots when absent.
        ca_file: Option<PathBuf>,
        /// How much one request holds at most.
        takes: Takes,
    },
}

/// Where syslog messages go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A TCP connection.
    Tcp {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// A TLS connection.
    Tls {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// PEM file of the only authorities trusted for it; the system's roots when absent.
        ca_file: Option<PathBuf>,
    },
    /// Datagrams to a socket of this machine.
    Unix(PathBuf),
}

const LEVEL_DEFAULT: i64 = 2;
const SINKS_MAX: usize = 16;
/// What every receiver of RFC 5425 should take, and rsyslog takes unless told otherwise.
const MESSAGE_BYTES_DEFAULT: i64 = 8192;
const MESSAGE_BYTES_MIN: i64 = 2048;
const BATCH_EVENTS_DEFAULT: i64 = 128;
const BATCH_BYTES_DEFAULT: i64 = 1024 * 1024;
/// RFC 6587 names none for TCP; 601 is what IANA has registered for syslog over TCP.
const TCP_PORT: u16 = 601;
/// RFC 5425.
const TLS_PORT: u16 = 6514;

pub(super) fn sinks(check: &mut Check<'_>, raw: Vec<Spanned<RawSink>>) -> Vec<SinkConfig> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let path = format!("sinks.{}", i + 1);
        let section = raw.span();
        if i == SINKS_MAX {
            check.faults.at(&section, format!("there are more than {SINKS_MAX} `[[sinks]]`"));
        }
        let Some(sink) = sink(check, &section, raw.into_inner(), &path) else {
            continue;
        };
        if sinks.iter().any(|other| other.settings.name == sink.settings.name) {
            check.faults.at(
                &section,
                format!("`{path}` has the name of an earlier one; where each has come to is noted by its name"),
            );
        }
        sinks.push(sink);
    }
    sinks
}

fn sink(check: &mut Check<'_>, section: &Range<usize>, raw: RawSink, path: &str) -> Option<SinkConfig> {
    let name = check.required(raw.name.clone(), section, &format!("{path}.name"));
    let name = name.filter(|name| check.name(name, "sink")).map(Spanned::into_inner);
    let level = check.number(raw.level.clone(), &format!("{path}.level"), 1..=4, LEVEL_DEFAULT);
    let from = match &raw.from {
        None => Some(Since::Beginning),
        Some(word) => check.word(
            word,
            &format!("{path}.from"),
            &[("beginning", Since::Beginning), ("now", Since::Now)],
        ),
    };
    let kinds = [("file", "file"), ("syslog", "syslog"), ("https", "https")];
    let kind = check.required(raw.kind.clone(), section, &format!("{path}.kind"))?;
    let kind = check.word(&kind, &format!("{path}.kind"), &kinds)?;
    let target = match kind {
        "file" => file(check, section, raw, path),
        "syslog" => syslog(check, section, raw, path),
        _ => https(check, section, raw, path),
    };
    Some(SinkConfig {
        settings: SinkSettings {
            name: name?,
            kind,
            level: u8::try_from(level).ok()?,
            from: from?,
        },
        target: target?,
    })
}

fn file(check: &mut Check<'_>, section: &Range<usize>, raw: RawSink, path: &str) -> Option<SinkTarget> {
    let why = "is not for kind = \"file\"";
    check.not_here(&raw.url, &format!("{path}.url"), why);
    check.not_here(&raw.ca_file, &format!("{path}.ca_file"), why);
    check.not_here(&raw.message_bytes_max, &format!("{path}.message_bytes_max"), why);
    only_https(check, &raw, path);
    let file = check.text(raw.path, section, &format!("{path}.path"))?;
    Some(SinkTarget::File {
        path: check.resolve(&file),
    })
}

fn syslog(check: &mut Check<'_>, section: &Range<usize>, raw: RawSink, path: &str) -> Option<SinkTarget> {
    check.not_here(&raw.path, &format!("{path}.path"), "is only for kind = \"file\"; give a `url`");
    only_https(check, &raw, path);
    let bytes = check.number(
        raw.message_bytes_max,
        &format!("{path}.message_bytes_max"),
        MESSAGE_BYTES_MIN..=2 * 1024 * 1024,
        MESSAGE_BYTES_DEFAULT,
    );
    let ca_file = raw
        .ca_file
        .clone()
        .and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let url = check.required(raw.url, section, &format!("{path}.url"))?;
    let Some(target) = syslog_target(url.get_ref(), ca_file) else {
        check.faults.at(
            &url.span(),
            format!("`{path}.url` must be tcp://HOST[:PORT], tls://HOST[:PORT] or unix:///SOCKET, with nothing after it"),
        );
        return None;
    };
    if !matches!(target, SyslogTarget::Tls { .. }) {
        check.not_here(&raw.ca_file, &format!("{path}.ca_file"), "is only for tls://");
    }
    Some(SinkTarget::Syslog {
        target,
        message_bytes_max: usize::try_from(bytes).ok()?,
    })
}

fn syslog_target(text: &str, ca_file: Option<PathBuf>) -> Option<SyslogTarget> {
    let url = Url::parse(text).ok()?;
    if !is_bare(&url) || url.query().is_some() {
        return None;
    }
    let path = matches!(url.path(), "" | "/");
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
    match (url.scheme(), host) {
        ("tcp", Some(host)) if path => Some(SyslogTarget::Tcp {
            host,
            port: url.port().unwrap_or(TCP_PORT),
        }),
        ("tls", Some(host)) if path => Some(SyslogTarget::Tls {
            host,
            port: url.port().unwrap_or(TLS_PORT),
            ca_file,
        }),
        ("unix", None) if !path && url.path().starts_with('/') => Some(SyslogTarget::Unix(url.path().into())),
        _ => None,
    }
}

fn https(check: &mut Check<'_>, section: &Range<usize>, raw: RawSink, path: &str) -> Option<SinkTarget> {
    check.not_here(&raw.path, &format!("{path}.path"), "is only for kind = \"file\"; give a `url`");
    check.not_here(
        &raw.message_bytes_max,
        &format!("{path}.message_bytes_max"),
        "is only for kind = \"syslog\"",
    );
    let token = raw
        .token
        .map(|field| connections::secret(check, field, &format!("{path}.token")).ok_or(()))
        .transpose();
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    // A page of entries is in memory at once, and each may have a MiB.
    let events = check.number(raw.batch_events, &format!("{path}.batch_events"), 1..=256, BATCH_EVENTS_DEFAULT);
    let bytes = check.number(
        raw.batch_bytes,
        &format!("{path}.batch_bytes"),
        1024..=16 * 1024 * 1024,
        BATCH_BYTES_DEFAULT,
    );
    let field = check.required(raw.url, section, &format!("{path}.url"))?;
    let good = Url::parse(field.get_ref()).ok().filter(is_secure);
    if good.is_none() {
        check.faults.at(
            &field.span(),
            format!("`{path}.url` must be https:// (http:// only on loopback), without a user, a password or a fragment; give a `token`"),
        );
    }
    Some(SinkTarget::Https {
        url: good?,
        token: token.ok()?,
        ca_file,
        takes: Takes {
            events: usize::try_from(events).ok()?,
            bytes: usize::try_from(bytes).ok()?,
        },
    })
}

fn only_https(check: &mut Check<'_>, raw: &RawSink, path: &str) {
    let why = "is only for kind = \"https\"";
    check.not_here(&raw.token, &format!("{path}.token"), why);
    check.not_here(&raw.batch_events, &format!("{path}.batch_events"), why);
    check.not_here(&raw.batch_bytes, &format!("{path}.batch_bytes"), why);
}

/// An address that HTTP requests with secrets may go to: HTTPS, or HTTP on loopback.
pub(crate) fn is_secure(url: &Url) -> bool {
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    scheme && is_bare(url) && url.host().is_some()
}

/// Without a user, a password or a fragment.
pub(super) fn is_bare(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::super::tests::with_sections as read;
    use super::*;

    fn target(keys: &str) -> SinkTarget {
        let config = read(&format!("[[sinks]]\nname = \"s\"\n{keys}\n")).unwrap_or_else(|faults| panic!("{keys}: {faults}"));
        config.sinks.into_iter().next().unwrap().target
    }

    #[test]
    fn a_sink_with_only_what_is_required_begins_with_the_log_and_names_nobody() {
        let config = read("[[sinks]]\nname = \"siem\"\nkind = \"file\"\npath = \"events.jsonl\"\n").unwrap();
        let sink = config.sinks.first().unwrap();
        assert_eq!((sink.settings.level, sink.settings.from), (2, Since::Beginning));
        assert!(matches!(&sink.target, SinkTarget::File { path } if path.is_absolute() && path.ends_with("events.jsonl")));
        assert!(read("").unwrap().sinks.is_empty());
    }

    #[test]
    fn each_kind_says_where_to() {
        let syslog = |url: &str| match target(&format!("kind = \"syslog\"\nurl = \"{url}\"")) {
            SinkTarget::Syslog { target, .. } => target,
            other => panic!("{other:?}"),
        };
        let (host, port) = ("siem.example".to_owned(), 601);
        assert_eq!(syslog("tcp://siem.example"), SyslogTarget::Tcp { host, port });
        assert_eq!(
            syslog("tcp://[::1]:1514"),
            SyslogTarget::Tcp {
                host: "::1".into(),
                port: 1514
            }
        );
        assert!(matches!(syslog("tls://siem.example"), SyslogTarget::Tls { port: 6514, .. }));
        assert_eq!(syslog("unix:///dev/log"), SyslogTarget::Unix("/dev/log".into()));
        let https = target(
            "kind = \"https\"\nurl = \"https://siem.example/in?x=1\"\ntoken = { env = \"T\" }\nca_file = \"tls/internal-ca.pem\"\nbatch_events = 5\nbatch_bytes = 2048",
        );
        let expected = Takes { events: 5, bytes: 2048 };
        assert!(matches!(https, SinkTarget::Https { takes, token: Some(SecretRef::Env(_)), ca_file: Some(_), .. } if takes == expected));
    }

    #[test]
    fn what_would_go_astray_is_a_fault_and_no_fault_shows_a_secret() {
        for (keys, fault) in [
            ("kind = \"kafka\"", "`sinks.1.kind` must be one of"),
            ("kind = \"file\"", "`sinks.1.path` is missing"),
            ("kind = \"file\"\npath = \"x\"\nurl = \"https://x\"", "`sinks.1.url` is not for"),
            (
                "kind = \"file\"\npath = \"x\"\nlevel = 0",
                "`sinks.1.level` must be between 1 and 4",
            ),
            ("kind = \"file\"\npath = \"x\"\nfrom = \"today\"", "`sinks.1.from` must be one of"),
            ("kind = \"syslog\"\nurl = \"udp://siem.example\"", "must be tcp://"),
            ("kind = \"syslog\"\nurl = \"tcp://siem.example/path\"", "must be tcp://"),
            ("kind = \"syslog\"\nurl = \"unix://dev/log\"", "must be tcp://"),
            (
                "kind = \"syslog\"\nurl = \"tcp://x\"\nca_file = \"tls/internal-ca.pem\"",
                "is only for tls://",
            ),
            (
                "kind = \"syslog\"\nurl = \"tcp://x\"\nmessage_bytes_max = 10",
                "must be between 2048 and",
            ),
            (
                "kind = \"syslog\"\nurl = \"tcp://x\"\ntoken = { env = \"T\" }",
                "is only for kind = \"https\"",
            ),
            ("kind = \"https\"\nurl = \"http://siem.example/\"", "http:// only on loopback"),
            ("kind = \"https\"\nurl = \"https://me:hunter2@siem.example/\"", "without a user"),
            (
                "kind = \"https\"\nurl = \"https://x/\"\ntoken = \"hunter2\"",
                "a token is written as",
            ),
            (
                "kind = \"https\"\nurl = \"https://x/\"\ntoken = { env = \"T\", file = \"t\" }",
                "must be exactly one of",
            ),
            (
                "kind = \"https\"\nurl = \"https://x/\"\nbatch_events = 0",
                "must be between 1 and 256",
            ),
            ("kind = \"file\"\npath = \"x\"\ncolour = \"red\"", "colour"),
        ] {
            let found = read(&format!("[[sinks]]\nname = \"s\"\n{keys}\n")).unwrap_err().to_string();
            assert!(found.contains(fault), "{keys}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
        let twice = "[[sinks]]\nname = \"s\"\nkind = \"file\"\npath = \"x\"\n".repeat(2);
        assert!(read(&twice).unwrap_err().to_string().contains("has the name of an earlier one"));
        let named = read("[[sinks]]\nname = \"My SIEM\"\nkind = \"file\"\npath = \"x\"\n").unwrap_err();
        assert!(named.to_string().contains("sink `My SIEM` must be"), "{named}");
    }

    #[test]
    fn every_key_of_the_section_is_in_the_documentation() {
        let page = include_str!("../../../../docs/configuration.md");
        let section = page.split("## `[[sinks]]`").nth(1).unwrap().split("\n## ").next().unwrap();
        for key in [
            "name",
            "kind",
            "level",
            "from",
            "path",
            "url",
            "ca_file",
            "message_bytes_max",
            "token",
            "batch_events",
            "batch_bytes",
        ] {
            assert!(section.contains(&format!("`{key}`")), "{key}");
        }
    }
}
