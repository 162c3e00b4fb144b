//! `[broker]` and `[[issuer]]`: who we are, where we listen, and who may vouch for people.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use chunk_core::limits::SESSION_S_DEFAULT;
use chunk_core::settings::{GroupsFrom, IssuerSettings, KnownBy};
use chunk_wire::session::SignIn;
use toml::Spanned;
use url::{Host, Url};

use super::check::Check;
use super::raw::{At, RawBroker, RawIssuer, RawScim, RawTls};
use super::{BrokerConfig, IssuerConfig, SecretRef, TlsFiles, connections};

/// How recent a sign-in at the provider may be asked to be.
pub(super) const MAX_AGE_S: RangeInclusive<i64> = 1..=30 * 24 * 3600;

pub(super) fn broker(check: &mut Check<'_>, raw: At<RawBroker>) -> Option<BrokerConfig> {
    let Some(raw) = raw else {
        if !check.was_removed("broker") {
            check.faults.whole_file("the `[broker]` table is missing");
        }
        return None;
    };
    let section = raw.span();
    let raw = raw.into_inner();
    let name = check.text(raw.name, &section, "broker.name");
    let public_url = check
        .required(raw.public_url, &section, "broker.public_url")
        .and_then(|field| public_url(check, &field));
    let listen = check
        .required(raw.listen, &section, "broker.listen")
        .and_then(|field| address(check, &field, "broker.listen"));
    let metrics_listen = metrics_listen(check, raw.metrics_listen, raw.metrics_public);
    if listen.is_some_and(|l| l.port() != 0 && Some(l) == metrics_listen) {
        check
            .faults
            .at(&section, "`broker.metrics_listen` must differ from `broker.listen`");
    }
    let data_dir = raw
        .data_dir
        .and_then(|field| check.checked_text(field, "broker.data_dir"))
        .unwrap_or_else(|| "data".into());
    let policies = raw
        .policies
        .and_then(|field| check.checked_text(field, "broker.policies"))
        .unwrap_or_else(|| "policies".into());
    let master_key_file = raw
        .master_key_file
        .and_then(|field| check.checked_text(field, "broker.master_key_file"));
    let session_h = check.number(raw.session_hours, "broker.session_hours", 1..=24, SESSION_S_DEFAULT / 3600);
    let chunk_rows = check.number(
        raw.chunk_rows,
        "broker.chunk_rows",
        CHUNK_ROWS_MIN..=CHUNK_ROWS_MAX,
        CHUNK_ROWS_DEFAULT,
    );
    let tls = tls(check, raw.tls);
    if let (Some(url), Some(listen), Ok(has_tls)) = (&public_url, listen, tls.as_ref().map(Option::is_some)) {
        transport(check, &section, url, listen, has_tls);
    }
    Some(BrokerConfig {
        name: name?,
        public_url: public_url?,
        listen: listen?,
        metrics_listen,
        data_dir: check.resolve(&data_dir),
        master_key_file: master_key_file.map(|path| check.resolve(&path)),
        policies: check.resolve(&policies),
        session_s: session_h * 3600,
        chunk_rows: chunk_rows.unsigned_abs(),
        tls: tls.ok()?,
    })
}

const CHUNK_ROWS_DEFAULT: i64 = 1_000_000;
/// Smaller chunks would be little more than their receipts.
const CHUNK_ROWS_MIN: i64 = 10_000;
const CHUNK_ROWS_MAX: i64 = 1_000_000_000;

/// Metrics are plain HTTP that asks nobody who they are: off this machine only where the operator says so in so many words.
fn metrics_listen(check: &mut Check<'_>, listen: At<String>, public: At<bool>) -> Option<SocketAddr> {
    let Some(field) = listen else {
        check.not_here(&public, "broker.metrics_public", "is only for a `metrics_listen`");
        return None;
    };
    let listen = address(check, &field, "broker.metrics_listen")?;
    let is_public = public.is_some_and(|field| *field.get_ref());
    if !is_public && !listen.ip().is_loopback() {
        check.faults.at(
            &field.span(),
            "`broker.metrics_listen` answers anybody over plain HTTP: listen on loopback, or add `metrics_public = true` where only your collector can reach it",
        );
    }
    Some(listen)
}

/// Plain HTTP never crosses a network: not by where we listen, and not by what we tell clients to open.
fn transport(check: &mut Check<'_>, section: &Range<usize>, url: &Url, listen: SocketAddr, has_tls: bool) {
    let secure_url = url.scheme() == "https";
    if has_tls && !secure_url {
        check
            .faults
            .at(section, "`broker.public_url` must be https:// when `broker.tls` is given");
    }
    if !has_tls && (secure_url || !listen.ip().is_loopback()) {
        check.faults.at(
            section,
            "`broker.tls` is missing: plain HTTP is only for a loopback `listen` with a `public_url` of http://127.0.0.1:PORT",
        );
    }
}

fn tls(check: &mut Check<'_>, raw: At<RawTls>) -> Result<Option<TlsFiles>, ()> {
    let Some(raw) = raw else {
        return if check.was_removed("broker.tls") { Err(()) } else { Ok(None) };
    };
    let section = raw.span();
    let raw = raw.into_inner();
    let cert = check.required(raw.cert_file, &section, "broker.tls.cert_file");
    let key = check.required(raw.key_file, &section, "broker.tls.key_file");
    let cert_file = cert.and_then(|field| check.readable_file(field, "broker.tls.cert_file"));
    let key_file = key.and_then(|field| check.readable_file(field, "broker.tls.key_file"));
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Ok(Some(TlsFiles { cert_file, key_file })),
        _ => Err(()),
    }
}

fn public_url(check: &mut Check<'_>, field: &Spanned<String>) -> Option<Url> {
    let Ok(url) = Url::parse(field.get_ref()) else {
        check
            .faults
            .at(&field.span(), "`broker.public_url` is not a URL; write https://HOST[:PORT]");
        return None;
    };
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !bare || url.host().is_none() {
        check.faults.at(
            &field.span(),
            "`broker.public_url` must be https://HOST[:PORT] with nothing after it",
        );
        return None;
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Some(url);
    }
    check.faults.at(
        &field.span(),
        "`broker.public_url` must be https://, or http:// on a loopback address",
    );
    None
}

fn address(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<SocketAddr> {
    let parsed = field.get_ref().parse();
    if parsed.is_err() {
        check.faults.at(
            &field.span(),
            format!("`{path}` must be ADDRESS:PORT, e.g. \"0.0.0.0:8443\" or \"[::]:8443\""),
        );
    }
    parsed.ok()
}

/// Whether a URL's host is this machine by its very name.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub(super) fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn issuers(check: &mut Check<'_>, raw: Vec<Spanned<RawIssuer>>, broker: Option<&BrokerConfig>) -> Vec<IssuerConfig> {
    let mut issuers: Vec<IssuerConfig> = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let section = raw.span();
        let Some(issuer) = issuer(check, &section, raw.into_inner(), &format!("issuer.{}", i + 1), broker) else {
            continue;
        };
        if issuers
            .iter()
            .any(|other| other.settings.issuer == issuer.settings.issuer || other.settings.name == issuer.settings.name)
        {
            check
                .faults
                .at(&section, format!("`issuer.{}` has the name or the issuer of an earlier one", i + 1));
        }
        issuers.push(issuer);
    }
    issuers
}

fn issuer(
    check: &mut Check<'_>,
    section: &Range<usize>,
    raw: RawIssuer,
    path: &str,
    broker: Option<&BrokerConfig>,
) -> Option<IssuerConfig> {
    let name = check.text(raw.name, section, &format!("{path}.name"));
    let issuer = check
        .required(raw.issuer, section, &format!("{path}.issuer"))
        .and_then(|field| issuer_url(check, field, path));
    let client_id = check.text(raw.client_id, section, &format!("{path}.client_id"));
    let audience = raw.audience.and_then(|field| {
        if field.get_ref().contains('*') {
            check.faults.at(
                &field.span(),
                format!("`{path}.audience` is compared byte for byte; wildcards are refused"),
            );
            return None;
        }
        check.checked_text(field, &format!("{path}.audience"))
    });
    let scopes = match raw.scopes {
        None => ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        Some(field) => {
            let good = field
                .get_ref()
                .iter()
                .all(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'));
            if !good || !field.get_ref().iter().any(|s| s == "openid") {
                check
                    .faults
                    .at(&field.span(), format!("`{path}.scopes` must be OAuth scopes and name `openid`"));
            }
            field.into_inner()
        }
    };
    let mut claim = |field: At<String>, key: &str, default: &str| match field {
        Some(field) => check.checked_text(field, &format!("{path}.{key}")).unwrap_or_default(),
        None => default.to_owned(),
    };
    let groups_claim = claim(raw.groups_claim, "groups_claim", "groups");
    let email_claim = claim(raw.email_claim, "email_claim", "email");
    let name_claim = claim(raw.name_claim, "name_claim", "name");
    let manager_claim = raw
        .manager_claim
        .and_then(|field| check.checked_text(field, &format!("{path}.manager_claim")));
    let sources = [("id_token", GroupsFrom::IdToken), ("userinfo", GroupsFrom::Userinfo)];
    let groups_from = raw
        .groups_from
        .and_then(|field| check.word(&field, &format!("{path}.groups_from"), &sources));
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let sign_in = sign_in(check, raw.sign_in, raw.max_age_s, raw.acr_values, path);
    let secret_span = raw.client_secret.as_ref().map(Spanned::span);
    let client_secret = raw
        .client_secret
        .and_then(|field| connections::secret(check, field, &format!("{path}.client_secret")));
    if let (Some(span), SignIn::Device) = (secret_span, sign_in.0) {
        check.faults.at(
            &span,
            format!(
                "`{path}.client_secret` is the broker's alone: people cannot sign in with a code there, so `{path}.sign_in` must be `browser` or `browser_required`"
            ),
        );
    }
    let directory = raw.scim.and_then(|raw| directory(check, raw, &format!("{path}.scim")));
    let insecure_development = raw.insecure_development.as_ref().is_some_and(|field| *field.get_ref());
    let (issuer, issuer_is_loopback) = issuer?;
    if let (true, Some(field), Some(broker)) = (insecure_development, &raw.insecure_development, broker) {
        let loopback = issuer_is_loopback && broker.listen.ip().is_loopback() && is_loopback(&broker.public_url);
        if !loopback {
            check.faults.at(
                &field.span(),
                format!("`{path}.insecure_development` authenticates nobody: it is accepted only when issuer, listen and public_url are all loopback"),
            );
        }
    }
    let client_id = client_id?;
    Some(IssuerConfig {
        settings: IssuerSettings {
            name: name?,
            issuer,
            audience: audience.unwrap_or_else(|| client_id.clone()),
            client_id,
            scopes,
            groups_claim,
            manager_claim,
            groups_from: groups_from.unwrap_or_default(),
            email_claim,
            name_claim,
            insecure_development,
            sign_in: sign_in.0,
            max_age_s: sign_in.1,
            acr_values: sign_in.2,
            directory: directory.as_ref().map(|(known_by, _)| *known_by),
        },
        ca_file,
        client_secret,
        directory_token: directory.map(|(_, token)| token),
    })
}

/// How the provider's directory tells of people, and what it shows for that.
fn directory(check: &mut Check<'_>, raw: Spanned<RawScim>, path: &str) -> Option<(KnownBy, SecretRef)> {
    let section = raw.span();
    let raw = raw.into_inner();
    let token = check
        .required(raw.token, &section, &format!("{path}.token"))
        .and_then(|field| connections::secret(check, field, &format!("{path}.token")));
    let words = [KnownBy::ExternalId, KnownBy::UserName].map(|known_by| (known_by.as_str(), known_by));
    let known_by = match raw.known_by {
        Some(field) => check.word(&field, &format!("{path}.known_by"), &words),
        None => Some(KnownBy::ExternalId),
    };
    Some((known_by?, token?))
}

/// How people sign in, and what the provider is asked about that.
fn sign_in(
    check: &mut Check<'_>,
    way: At<String>,
    max_age_s: At<i64>,
    acr_values: At<Vec<String>>,
    path: &str,
) -> (SignIn, Option<i64>, Vec<String>) {
    let words = [
        ("device", SignIn::Device),
        ("browser", SignIn::Browser),
        ("browser_required", SignIn::BrowserRequired),
    ];
    let way = way.and_then(|field| check.word(&field, &format!("{path}.sign_in"), &words));
    let max_age_s = check.optional_number(max_age_s, &format!("{path}.max_age_s"), MAX_AGE_S);
    let acr_values = acr_values.map(|field| {
        let good = |value: &String| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
        if field.get_ref().is_empty() || !field.get_ref().iter().all(good) {
            check.faults.at(
                &field.span(),
                format!("`{path}.acr_values` must be one or more words without spaces, as the provider writes them in `acr`"),
            );
        }
        field.into_inner()
    });
    (way.unwrap_or_default(), max_age_s, acr_values.unwrap_or_default())
}

pub(super) fn issuer_url(check: &mut Check<'_>, field: Spanned<String>, path: &str) -> Option<(String, bool)> {
    let good = Url::parse(field.get_ref()).ok().filter(|url| {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        scheme
            && url.host().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    match good {
        Some(url) => Some((field.into_inner(), is_loopback(&url))),
        None => {
            check.faults.at(
                &field.span(),
                format!("`{path}.issuer` must be the issuer identifier exactly as the provider writes it: an https:// URL without query (http:// only on loopback)"),
            );
            None
        }
    }
}
