//! `[[workload]]`: which CI jobs and other programs are let in, by what their tokens say.
//!
//! A rule is compared byte for byte with claims that others write, so it must pin what cannot be given to somebody else, and name
//! each value whole. What it lacks is a fault here, with its line, and not a door found open later.

use std::ops::Range;
use std::path::PathBuf;

use chunk_core::identity::workload::{ClaimRule, Provider, WorkloadRule};
use chunk_core::limits::{ID_TOKEN_AGE_S_MAX, WORKLOAD_SESSION_S_DEFAULT, WORKLOAD_SESSION_S_MAX, WORKLOAD_TOKEN_AGE_S_MAX};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::broker::issuer_url;
use super::check::Check;
use super::raw::{At, Named};
use super::{BrokerConfig, IssuerConfig};

/// `[[workload]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadConfig {
    /// What core knows of it.
    pub rule: WorkloadRule,
    /// PEM file of the only authorities trusted for its issuer's host; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorkload {
    name: At<String>,
    provider: At<String>,
    issuer: At<String>,
    audience: At<String>,
    ca_file: At<String>,
    session_minutes: At<i64>,
    token_age_minutes: At<i64>,
    claims: At<Named<toml::Value>>,
}

pub(super) fn workloads(
    check: &mut Check<'_>,
    raw: Vec<Spanned<RawWorkload>>,
    broker: Option<&BrokerConfig>,
    issuers: &[IssuerConfig],
) -> Vec<WorkloadConfig> {
    let mut workloads: Vec<WorkloadConfig> = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let section = raw.span();
        let path = format!("workload.{}", i + 1);
        let Some(workload) = workload(check, &section, raw.into_inner(), &path, broker) else {
            continue;
        };
        let rule = &workload.rule;
        if workloads.iter().any(|other| other.rule.name == rule.name) {
            check.faults.at(&section, format!("`{path}` has the name of an earlier one"));
        }
        let shadowed =
            |other: &WorkloadConfig| other.rule.issuer == rule.issuer && other.rule.claims.iter().all(|claim| rule.claims.contains(claim));
        if let Some(first) = workloads.iter().find(|other| shadowed(other)) {
            let message = format!(
                "`{path}` never decides: `{}` above it asks for nothing more, and the first that fits does",
                first.rule.name
            );
            check.faults.at(&section, message);
        }
        let shared = issuers
            .iter()
            .find(|issuer| issuer.settings.issuer == rule.issuer && issuer.settings.audience == rule.audience);
        if let Some(issuer) = shared {
            let message = format!(
                "`{path}` and issuer `{}` would accept the same tokens: give people another audience",
                issuer.settings.name
            );
            check.faults.at(&section, message);
        }
        workloads.push(workload);
    }
    workloads
}

fn workload(
    check: &mut Check<'_>,
    section: &Range<usize>,
    raw: RawWorkload,
    path: &str,
    broker: Option<&BrokerConfig>,
) -> Option<WorkloadConfig> {
    let name = check
        .required(raw.name, section, &format!("{path}.name"))
        .filter(|name| check.name(name, "workload"))
        .map(Spanned::into_inner);
    let issuer = check
        .required(raw.issuer, section, &format!("{path}.issuer"))
        .and_then(|field| issuer_url(check, field, path));
    let provider = provider(
        check,
        section,
        raw.provider,
        issuer.as_ref().map(|(issuer, _)| issuer.as_str()),
        path,
    );
    let audience = check
        .required(raw.audience, section, &format!("{path}.audience"))
        .and_then(|field| audience(check, field, path, broker));
    let claims = claims(check, section, raw.claims, path);
    if let (Some(provider), Some((span, claims))) = (provider, &claims) {
        for fault in provider.faults(claims) {
            check.faults.at(span, format!("`{path}.claims` {fault}"));
        }
    }
    let minutes = |s: i64| s / 60;
    let session_m = check.number(
        raw.session_minutes,
        &format!("{path}.session_minutes"),
        1..=minutes(WORKLOAD_SESSION_S_MAX),
        minutes(WORKLOAD_SESSION_S_DEFAULT),
    );
    let age_m = check.number(
        raw.token_age_minutes,
        &format!("{path}.token_age_minutes"),
        1..=minutes(WORKLOAD_TOKEN_AGE_S_MAX),
        minutes(ID_TOKEN_AGE_S_MAX),
    );
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    Some(WorkloadConfig {
        rule: WorkloadRule {
            name: name?,
            provider: provider?,
            issuer: issuer?.0,
            audience: audience?,
            claims: claims?.1,
            session_s: session_m * 60,
            token_age_s_max: age_m * 60,
        },
        ca_file,
    })
}

/// Whose tokens these are: said by a well-known issuer's address, or by the operator.
fn provider(check: &mut Check<'_>, section: &Range<usize>, raw: At<String>, issuer: Option<&str>, path: &str) -> Option<Provider> {
    let host = issuer.and_then(|issuer| Url::parse(issuer).ok());
    let known = host.and_then(|url| Provider::of_host(url.host_str()?));
    let path = format!("{path}.provider");
    let Some(field) = raw else {
        if known.is_none() && issuer.is_some() {
            check.missing(
                section,
                &path,
                "is missing: this issuer is not a well-known one; write `github`, `gitlab`, `kubernetes` or `other`",
            );
        }
        return known;
    };
    let given = check.word(&field, &path, &Provider::ALL)?;
    if let Some(known) = known.filter(|known| *known != given) {
        check
            .faults
            .at(&field.span(), format!("`{path}` must be `{}` for this issuer", known.as_str()));
        return None;
    }
    Some(given)
}

/// The broker itself and nobody else: a token that somebody else accepts as well is one that they can bring here.
fn audience(check: &mut Check<'_>, field: Spanned<String>, path: &str, broker: Option<&BrokerConfig>) -> Option<String> {
    let own = broker?.public_url.as_str().trim_end_matches('/');
    if field.get_ref() == own {
        return Some(field.into_inner());
    }
    check.faults.at(
        &field.span(),
        format!("`{path}.audience` must be this broker's own address, \"{own}\", so that no token for anything else is one for it"),
    );
    None
}

/// The claims with the place where they stand.
fn claims(
    check: &mut Check<'_>,
    section: &Range<usize>,
    raw: At<Named<toml::Value>>,
    path: &str,
) -> Option<(Range<usize>, Vec<ClaimRule>)> {
    let field = check.required(raw, section, &format!("{path}.claims"))?;
    let span = field.span();
    let mut claims = Vec::new();
    let mut good = true;
    for (name, value) in field.into_inner() {
        let name = vec![name.into_inner()];
        good &= collect(check, &value.span(), path, name, value.get_ref(), &mut claims);
    }
    good.then_some((span, claims))
}

/// Values below a name; tables stand for the members of a claim.
fn collect(
    check: &mut Check<'_>,
    span: &Range<usize>,
    path: &str,
    name: Vec<String>,
    value: &toml::Value,
    claims: &mut Vec<ClaimRule>,
) -> bool {
    let key = format!("{path}.claims.{}", name.join("."));
    let text = match value {
        toml::Value::Table(members) => {
            return members.iter().fold(true, |good, (member, value)| {
                let name = name.iter().cloned().chain([member.clone()]).collect();
                collect(check, span, path, name, value, claims) && good
            });
        }
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        _ => {
            check.faults.at(span, format!("`{key}` must be one text, whole number or boolean"));
            return false;
        }
    };
    if text.contains(['*', '?']) {
        check.faults.at(
            span,
            format!("`{key}` is compared byte for byte; wildcards are refused. Write a rule for each value"),
        );
        return false;
    }
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        check.faults.at(span, format!("`{key}` must be one line of text that is not blank"));
        return false;
    }
    claims.push(ClaimRule { path: name, value: text });
    true
}

#[cfg(test)]
mod tests;
