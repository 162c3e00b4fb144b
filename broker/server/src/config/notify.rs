//! `[[notify]]`: who is told of what is theirs to act on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use chunk_core::catalog::Dataset;
use chunk_core::notify::{Audience, Detail, NotifySettings, Occasion};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::check::{Check, nearest};
use super::raw::{At, RawSecret};
use super::sinks::{is_bare, is_secure};
use super::{SecretRef, connections, is_loopback};
use crate::notify::is_mailbox;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) name: At<String>,
    pub(super) kind: At<String>,
    pub(super) events: At<Vec<Spanned<String>>>,
    pub(super) datasets: At<Vec<Spanned<String>>>,
    pub(super) detail: At<String>,
    pub(super) give_up_days: At<i64>,
    pub(super) ca_file: At<String>,
    // webhook, email
    pub(super) url: At<String>,
    // webhook, slack, teams
    pub(super) secret_url: At<RawSecret>,
    // webhook
    pub(super) secrets: At<Vec<Spanned<RawSecret>>>,
    // email
    pub(super) from: At<String>,
    pub(super) to: At<Vec<Spanned<String>>>,
    pub(super) username: At<String>,
    pub(super) password: At<RawSecret>,
    pub(super) plaintext: At<bool>,
}

/// `[[notify]]`.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// What core knows of it.
    pub settings: NotifySettings,
    /// How notifications reach it.
    pub target: NotifyTarget,
}

/// How notifications reach whoever is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyTarget {
    /// Bodies of HTTP requests.
    Http {
        /// What they look like.
        format: NotifyFormat,
        /// Where to.
        place: NotifyPlace,
        /// PEM file of the only authorities trusted for it; the system's roots when absent.
        ca_file: Option<PathBuf>,
    },
    /// Messages by SMTP.
    Email {
        /// The server that takes them.
        server: SmtpServer,
        /// The address that they come from.
        from: String,
    },
}

/// What the bodies of HTTP requests look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyFormat {
    /// Standard Webhooks, signed under each of these secrets.
    Webhook(Vec<SecretRef>),
    /// An incoming webhook of Slack.
    Slack,
    /// A workflow of Microsoft Teams.
    Teams,
}

/// Where HTTP requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyPlace {
    /// An address that anybody may know.
    Url(Url),
    /// An address that is a credential: whoever knows it may post.
    Secret(SecretRef),
}

/// A server that takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpServer {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the way to it is secured.
    pub security: SmtpSecurity,
    /// PEM file of the only authorities trusted for it; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
    /// Who we are there, and where the password is.
    pub login: Option<(String, SecretRef)>,
}

/// How the way to a server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all; loopback only.
    Plain,
}

const NOTIFIERS_MAX: usize = 16;
const GIVE_UP_DAYS_DEFAULT: i64 = 3;
const SECRETS_MAX: usize = 4;
const ADDRESSES_MAX: usize = 20;
/// Submission (RFC 6409).
const STARTTLS_PORT: u16 = 587;
/// Submission over TLS (RFC 8314).
const TLS_PORT: u16 = 465;
const DEFAULT: [Occasion; 6] = [
    Occasion::RequestPending,
    Occasion::RequestEscalated,
    Occasion::RequestBreakGlass,
    Occasion::RequestDecided,
    Occasion::RequestExpired,
    Occasion::GrantRevoked,
];

pub(super) fn notifiers(check: &mut Check<'_>, raw: Vec<Spanned<RawNotify>>, datasets: &BTreeMap<String, Dataset>) -> Vec<NotifyConfig> {
    let mut notifiers: Vec<NotifyConfig> = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let path = format!("notify.{}", i + 1);
        let section = raw.span();
        if i == NOTIFIERS_MAX {
            check
                .faults
                .at(&section, format!("there are more than {NOTIFIERS_MAX} `[[notify]]`"));
        }
        let Some(notifier) = notifier(check, &section, raw.into_inner(), &path, datasets) else {
            continue;
        };
        if notifiers.iter().any(|other| other.settings.name == notifier.settings.name) {
            check.faults.at(
                &section,
                format!("`{path}` has the name of an earlier one; where each has come to is noted by its name"),
            );
        }
        notifiers.push(notifier);
    }
    notifiers
}

fn notifier(
    check: &mut Check<'_>,
    section: &Range<usize>,
    mut raw: RawNotify,
    path: &str,
    datasets: &BTreeMap<String, Dataset>,
) -> Option<NotifyConfig> {
    let name = check.required(raw.name.take(), section, &format!("{path}.name"));
    let name = name.filter(|name| check.name(name, "notifier")).map(Spanned::into_inner);
    let occasions = occasions(check, raw.events.take(), path);
    let datasets = of_datasets(check, raw.datasets.take(), &occasions, path, datasets);
    let detail = match raw.detail.take() {
        None => Some(Detail::Minimal),
        Some(word) => check.word(
            &word,
            &format!("{path}.detail"),
            &[("minimal", Detail::Minimal), ("full", Detail::Full)],
        ),
    };
    let days = check.number(
        raw.give_up_days.take(),
        &format!("{path}.give_up_days"),
        1..=30,
        GIVE_UP_DAYS_DEFAULT,
    );
    let kinds = [("webhook", "webhook"), ("slack", "slack"), ("teams", "teams"), ("email", "email")];
    let kind = check.required(raw.kind.take(), section, &format!("{path}.kind"))?;
    let kind = check.word(&kind, &format!("{path}.kind"), &kinds)?;
    let (target, audience) = if kind == "email" {
        let audience = audience(check, raw.to.take(), section, path);
        (email(check, section, raw, path), Some(audience?))
    } else {
        (http(check, section, raw, path, kind), None)
    };
    Some(NotifyConfig {
        settings: NotifySettings {
            name: name?,
            kind,
            occasions,
            datasets,
            detail: detail?,
            audience,
            give_up: Duration::from_secs(u64::try_from(days).ok()? * 24 * 3600),
        },
        target: target?,
    })
}

fn occasions(check: &mut Check<'_>, field: At<Vec<Spanned<String>>>, path: &str) -> BTreeSet<Occasion> {
    let Some(field) = field else { return DEFAULT.into() };
    if field.get_ref().is_empty() {
        check
            .faults
            .at(&field.span(), format!("`{path}.events` is empty: nothing would ever be told"));
    }
    let words = Occasion::ALL.map(|occasion| (occasion.as_str(), occasion));
    let named = field.into_inner().into_iter();
    named
        .filter_map(|word| check.word(&word, &format!("{path}.events"), &words))
        .collect()
}

fn of_datasets(
    check: &mut Check<'_>,
    field: At<Vec<Spanned<String>>>,
    occasions: &BTreeSet<Occasion>,
    path: &str,
    known: &BTreeMap<String, Dataset>,
) -> BTreeSet<String> {
    let Some(field) = field else { return BTreeSet::new() };
    if let Some(none) = occasions.iter().find(|occasion| !occasion.is_of_request()) {
        check.faults.at(
            &field.span(),
            format!(
                "`{path}.datasets` leaves `{}` out, which has no dataset: give it a section of its own",
                none.as_str()
            ),
        );
    }
    if field.get_ref().is_empty() {
        check
            .faults
            .at(&field.span(), format!("`{path}.datasets` is empty: nothing would ever be told"));
    }
    for name in field.get_ref() {
        if !known.contains_key(name.get_ref()) && !check.was_removed("datasets") {
            let hint = nearest(name.get_ref(), known.keys());
            check.faults.at(
                &name.span(),
                format!("`{path}.datasets`: there is no dataset `{}`{hint}", name.get_ref().escape_default()),
            );
        }
    }
    field.into_inner().into_iter().map(Spanned::into_inner).collect()
}

fn http(check: &mut Check<'_>, section: &Range<usize>, raw: RawNotify, path: &str, kind: &str) -> Option<NotifyTarget> {
    let why = "is only for kind = \"email\"";
    check.not_here(&raw.from, &format!("{path}.from"), why);
    check.not_here(&raw.to, &format!("{path}.to"), why);
    check.not_here(&raw.username, &format!("{path}.username"), why);
    check.not_here(&raw.password, &format!("{path}.password"), why);
    check.not_here(&raw.plaintext, &format!("{path}.plaintext"), why);
    let ca_file = ca_file(check, raw.ca_file, path);
    let format = match kind {
        "webhook" => Some(NotifyFormat::Webhook(secrets(check, raw.secrets, section, path)?)),
        _ => {
            check.not_here(&raw.secrets, &format!("{path}.secrets"), "is only for kind = \"webhook\"");
            Some(if kind == "slack" {
                NotifyFormat::Slack
            } else {
                NotifyFormat::Teams
            })
        }
    };
    let place = match (raw.url, raw.secret_url) {
        (Some(field), None) if kind != "webhook" => {
            let what = format!("`{path}.url` would be a credential in a file: whoever knows it may post. Give a `secret_url`");
            check.faults.at(&field.span(), what);
            None
        }
        (Some(field), None) => {
            let good = Url::parse(field.get_ref()).ok().filter(is_secure);
            if good.is_none() {
                let what = format!("`{path}.url` must be https:// (http:// only on loopback), without a user, a password or a fragment");
                check.faults.at(&field.span(), what);
            }
            good.map(NotifyPlace::Url)
        }
        (None, Some(field)) => connections::secret(check, field, &format!("{path}.secret_url")).map(NotifyPlace::Secret),
        (Some(_), Some(field)) => {
            check
                .faults
                .at(&field.span(), format!("`{path}.secret_url` cannot stand beside a `url`; give one"));
            None
        }
        (None, None) => {
            let what = if kind == "webhook" {
                "`url` or `secret_url`"
            } else {
                "`secret_url`"
            };
            check.missing(section, &format!("{path}.secret_url"), &format!("is missing: give a {what}"));
            None
        }
    };
    Some(NotifyTarget::Http {
        format: format?,
        place: place?,
        ca_file,
    })
}

fn secrets(check: &mut Check<'_>, field: At<Vec<Spanned<RawSecret>>>, section: &Range<usize>, path: &str) -> Option<Vec<SecretRef>> {
    let path = format!("{path}.secrets");
    let field = check.required(field, section, &path)?;
    let span = field.span();
    if !(1..=SECRETS_MAX).contains(&field.get_ref().len()) {
        let what = format!("`{path}` must name one secret, or up to {SECRETS_MAX} while one takes another's place");
        check.faults.at(&span, what);
        return None;
    }
    let named = field.into_inner().into_iter();
    named.map(|secret| connections::secret(check, secret, &path)).collect()
}

fn audience(check: &mut Check<'_>, field: At<Vec<Spanned<String>>>, section: &Range<usize>, path: &str) -> Option<Audience> {
    let path = format!("{path}.to");
    let field = check.required(field, section, &path)?;
    if !(1..=ADDRESSES_MAX).contains(&field.get_ref().len()) {
        check
            .faults
            .at(&field.span(), format!("`{path}` must name between 1 and {ADDRESSES_MAX} addresses"));
    }
    let mut audience = Audience::default();
    for to in field.into_inner() {
        match to.get_ref().as_str() {
            "reviewers" => audience.reviewers = true,
            "requester" => audience.requester = true,
            address if is_mailbox(address) => audience.addresses.push(address.to_owned()),
            _ => check.faults.at(
                &to.span(),
                format!("`{path}` must name addresses such as \"security@example.com\", \"reviewers\" or \"requester\""),
            ),
        }
    }
    Some(audience)
}

fn email(check: &mut Check<'_>, section: &Range<usize>, raw: RawNotify, path: &str) -> Option<NotifyTarget> {
    check.not_here(
        &raw.secret_url,
        &format!("{path}.secret_url"),
        "is not for kind = \"email\"; give a `url`",
    );
    check.not_here(&raw.secrets, &format!("{path}.secrets"), "is only for kind = \"webhook\"");
    let ca_file = ca_file(check, raw.ca_file, path);
    let from = check.required(raw.from, section, &format!("{path}.from"));
    let from = from.filter(|from| {
        let good = is_mailbox(from.get_ref());
        if !good {
            check.faults.at(
                &from.span(),
                format!("`{path}.from` must be an address, e.g. \"chunk-broker@example.com\""),
            );
        }
        good
    });
    let username = raw
        .username
        .and_then(|field| check.checked_text(field, &format!("{path}.username")));
    let password = match (&username, raw.password) {
        (Some(_), field) => {
            let field = check.required(field, section, &format!("{path}.password"))?;
            Some(connections::secret(check, field, &format!("{path}.password"))?)
        }
        (None, field) => {
            check.not_here(&field, &format!("{path}.password"), "needs a `username`");
            None
        }
    };
    let plaintext = raw.plaintext.filter(|field| *field.get_ref());
    let url = check.required(raw.url, section, &format!("{path}.url"))?;
    let parsed = Url::parse(url.get_ref()).ok().filter(|url| is_bare(url) && url.query().is_none());
    let parsed = parsed.filter(|url| matches!(url.scheme(), "smtp" | "smtps") && matches!(url.path(), "" | "/"));
    let host = parsed.as_ref().and_then(Url::host_str).filter(|host| !host.is_empty());
    let (Some(parsed), Some(host)) = (&parsed, host) else {
        check.faults.at(
            &url.span(),
            format!(
                "`{path}.url` must be smtps://HOST[:PORT] for TLS from the start, or smtp://HOST[:PORT] for STARTTLS, with nothing after it"
            ),
        );
        return None;
    };
    let (security, port) = match (parsed.scheme(), &plaintext) {
        ("smtps", None) => (SmtpSecurity::Implicit, TLS_PORT),
        ("smtp", None) => (SmtpSecurity::StartTls, STARTTLS_PORT),
        ("smtp", Some(_)) if is_loopback(&http_like(parsed)?) => (SmtpSecurity::Plain, STARTTLS_PORT),
        (_, Some(field)) => {
            check.faults.at(
                &field.span(),
                format!("`{path}.plaintext` is accepted only for smtp:// on a loopback host; leave it out, and STARTTLS is used"),
            );
            return None;
        }
        _ => return None,
    };
    Some(NotifyTarget::Email {
        server: SmtpServer {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: parsed.port().unwrap_or(port),
            security,
            ca_file,
            login: username.zip(password),
        },
        from: from?.into_inner(),
    })
}

/// The same host under a scheme whose hosts are parsed: of others, a URL does not say what is an address.
fn http_like(url: &Url) -> Option<Url> {
    Url::parse(&format!("http://{}/", url.host_str()?)).ok()
}

fn ca_file(check: &mut Check<'_>, field: At<String>, path: &str) -> Option<PathBuf> {
    field.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")))
}

#[cfg(test)]
mod tests;
