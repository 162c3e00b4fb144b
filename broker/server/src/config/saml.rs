//! `[[saml]]`: identity providers that sign people in by SAML 2.0.
//!
//! Whose signature counts is said here, by certificate, and never by a message. What is read now is a fault with its line; what is
//! found out at the first sign-in is a person who cannot work.

use std::collections::BTreeSet;
use std::ops::Range;

use chunk_core::identity::saml::SigningKey;
use chunk_core::settings::SamlSettings;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::broker::{MAX_AGE_S, is_loopback};
use super::check::Check;
use super::raw::At;
use super::{IssuerConfig, WorkloadConfig};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSaml {
    name: At<String>,
    issuer: At<String>,
    sso_url: At<String>,
    certificate_files: At<Vec<Spanned<String>>>,
    name_id_format: At<String>,
    groups_attribute: At<String>,
    email_attribute: At<String>,
    name_attribute: At<String>,
    manager_attribute: At<String>,
    force_authn: At<bool>,
    max_age_s: At<i64>,
    acr_values: At<Vec<String>>,
}

pub(super) fn providers(
    check: &mut Check<'_>,
    raw: Vec<Spanned<RawSaml>>,
    issuers: &[IssuerConfig],
    workloads: &[WorkloadConfig],
) -> Vec<SamlSettings> {
    let mut providers: Vec<SamlSettings> = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let section = raw.span();
        let path = format!("saml.{}", i + 1);
        let Some(provider) = provider(check, &section, raw.into_inner(), &path) else {
            continue;
        };
        let known: BTreeSet<&str> = issuers
            .iter()
            .flat_map(|issuer| [issuer.settings.name.as_str(), issuer.settings.issuer.as_str()])
            .chain(providers.iter().flat_map(|other| [other.name.as_str(), other.issuer.as_str()]))
            .chain(workloads.iter().map(|workload| workload.rule.issuer.as_str()))
            .collect();
        // Issuer and subject are the person: two that vouch under one name could vouch for each other's people.
        if known.contains(provider.name.as_str()) || known.contains(provider.issuer.as_str()) {
            let message = format!("`{path}` has the name or the issuer of another identity provider");
            check.faults.at(&section, message);
        }
        providers.push(provider);
    }
    providers
}

fn provider(check: &mut Check<'_>, section: &Range<usize>, raw: RawSaml, path: &str) -> Option<SamlSettings> {
    let name = check.text(raw.name, section, &format!("{path}.name"));
    let issuer = check.required(raw.issuer, section, &format!("{path}.issuer"));
    let issuer = issuer.and_then(|field| entity_id(check, field, path));
    let sso_url = check.required(raw.sso_url, section, &format!("{path}.sso_url"));
    let sso_url = sso_url.and_then(|field| address(check, &field, path));
    let files = check.required(raw.certificate_files, section, &format!("{path}.certificate_files"));
    let keys = files.and_then(|field| keys(check, field, &format!("{path}.certificate_files")));
    let name_id_format = match raw.name_id_format {
        Some(field) => check.word(&field, &format!("{path}.name_id_format"), &FORMATS),
        None => Some(PERSISTENT),
    };
    let mut attribute = |field: At<String>, key: &str, default: &str| match field {
        Some(field) => check.checked_text(field, &format!("{path}.{key}")),
        None => Some(default.to_owned()),
    };
    let groups_attribute = attribute(raw.groups_attribute, "groups_attribute", "groups");
    let email_attribute = attribute(raw.email_attribute, "email_attribute", "mail");
    let name_attribute = attribute(raw.name_attribute, "name_attribute", "displayName");
    let manager_attribute = match raw.manager_attribute {
        Some(field) => Some(attribute(Some(field), "manager_attribute", "")?),
        None => None,
    };
    let max_age_s = check.optional_number(raw.max_age_s, &format!("{path}.max_age_s"), MAX_AGE_S);
    let acr_values = raw.acr_values.map(|field| {
        let good = |value: &String| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
        if field.get_ref().is_empty() || !field.get_ref().iter().all(good) {
            check.faults.at(
                &field.span(),
                format!(
                    "`{path}.acr_values` must be one or more words without spaces, as the provider writes them in `AuthnContextClassRef`"
                ),
            );
        }
        field.into_inner()
    });
    Some(SamlSettings {
        name: name?,
        issuer: issuer?,
        sso_url: sso_url?,
        keys: keys?,
        name_id_format: name_id_format?.to_owned(),
        groups_attribute: groups_attribute?,
        email_attribute: email_attribute?,
        name_attribute: name_attribute?,
        manager_attribute,
        force_authn: raw.force_authn.is_some_and(Spanned::into_inner),
        max_age_s,
        acr_values: acr_values.unwrap_or_default(),
    })
}

/// SAML Core §8.3.6: a URI of 1024 characters at most. It is compared byte for byte.
fn entity_id(check: &mut Check<'_>, field: Spanned<String>, path: &str) -> Option<String> {
    let text = field.get_ref();
    if text.is_empty() || text.len() > 1024 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        check.faults.at(
            &field.span(),
            format!("`{path}.issuer` must be the provider's entity id exactly as its metadata writes it"),
        );
        return None;
    }
    Some(field.into_inner())
}

fn address(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<Url> {
    let url = Url::parse(field.get_ref()).ok().filter(|url| {
        let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        secure && plain && url.host().is_some()
    });
    if url.is_none() {
        check.faults.at(
            &field.span(),
            format!("`{path}.sso_url` must be the https:// address of the provider's HTTP-Redirect binding (http:// only on loopback)"),
        );
    }
    url
}

/// The keys of all certificates in some files.
fn keys(check: &mut Check<'_>, field: Spanned<Vec<Spanned<String>>>, path: &str) -> Option<Vec<SigningKey>> {
    let span = field.span();
    let mut keys = Vec::new();
    let mut good = true;
    for file in field.into_inner() {
        let span = file.span();
        let Some(file) = check.readable_file(file, path) else {
            good = false;
            continue;
        };
        let fault = match read(&file) {
            Ok(found) => {
                keys.extend(found);
                continue;
            }
            Err(fault) => fault,
        };
        check.faults.at(&span, format!("`{path}`: {} {fault}", file.display()));
        good = false;
    }
    if good && keys.is_empty() {
        check.faults.at(&span, format!("`{path}` must name one file or more"));
    }
    (good && !keys.is_empty()).then_some(keys)
}

fn read(file: &std::path::Path) -> Result<Vec<SigningKey>, &'static str> {
    let not_pem = "is not a PEM file with the certificate that the provider signs with";
    let certificates = CertificateDer::pem_file_iter(file).map_err(|_| not_pem)?;
    let mut keys = Vec::new();
    for certificate in certificates {
        keys.push(SigningKey::of_certificate(&certificate.map_err(|_| not_pem)?)?);
    }
    if keys.is_empty() { Err(not_pem) } else { Ok(keys) }
}

const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
/// Not `transient`: a name that changes with each sign-in names nobody.
const FORMATS: [(&str, &str); 3] = [
    ("persistent", PERSISTENT),
    ("email_address", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
    ("unspecified", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"),
];

#[cfg(test)]
mod tests;
