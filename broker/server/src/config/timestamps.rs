//! `[timestamps]`: the authority that stamps the evidence log.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::check::Check;
use super::is_loopback;
use super::raw::At;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimestamps {
    pub(super) url: At<String>,
    pub(super) interval_s: At<i64>,
    pub(super) ca_file: At<String>,
}

/// `[timestamps]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampConfig {
    /// Where the authority answers (RFC 3161, 3.4).
    pub url: Url,
    /// Between one stamp and the next at least.
    pub interval: Duration,
    /// PEM file of the only authorities of TLS trusted for it; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
}

const INTERVAL_S_DEFAULT: i64 = 300;
const DAY_S: i64 = 24 * 60 * 60;

pub(super) fn timestamps(check: &mut Check<'_>, raw: At<RawTimestamps>) -> Option<TimestampConfig> {
    let raw = raw?;
    let section = raw.span();
    let raw = raw.into_inner();
    let url = check
        .required(raw.url, &section, "timestamps.url")
        .and_then(|field| address(check, &field));
    let interval_s = check.number(raw.interval_s, "timestamps.interval_s", 10..=DAY_S, INTERVAL_S_DEFAULT);
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, "timestamps.ca_file"));
    Some(TimestampConfig {
        url: url?,
        interval: Duration::from_secs(interval_s.unsigned_abs()),
        ca_file,
    })
}

fn address(check: &mut Check<'_>, field: &Spanned<String>) -> Option<Url> {
    let good = Url::parse(field.get_ref()).ok().filter(|url| {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        scheme && bare && url.host().is_some()
    });
    if good.is_none() {
        check.faults.at(
            &field.span(),
            "`timestamps.url` must be the address of the authority: https:// (http:// only on loopback)".to_owned(),
        );
    }
    good
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::tests::with_sections as read;

    #[test]
    fn without_the_section_nobody_is_asked_and_with_it_every_five_minutes() {
        assert!(read("").unwrap().timestamps.is_none());
        let config = read("[timestamps]\nurl = \"https://tsa.example/stamp?for=us\"\n")
            .unwrap()
            .timestamps
            .unwrap();
        assert_eq!(
            (config.url.as_str(), config.interval.as_secs()),
            ("https://tsa.example/stamp?for=us", 300)
        );
        let config = read("[timestamps]\nurl = \"http://127.0.0.1:318/\"\ninterval_s = 86400\n").unwrap();
        assert_eq!(config.timestamps.unwrap().interval.as_secs(), 86_400);
    }

    #[test]
    fn an_address_that_others_could_answer_for_is_a_fault() {
        for (section, fault) in [
            ("", "`timestamps.url` is missing"),
            ("url = \"http://tsa.example\"", "http:// only on loopback"),
            ("url = \"https://me:secret@tsa.example\"", "must be the address of the authority"),
            ("url = \"tsa.example\"", "must be the address of the authority"),
            (
                "url = \"https://tsa.example\"\ninterval_s = 9",
                "`timestamps.interval_s` must be between 10 and 86400",
            ),
            ("url = \"https://tsa.example\"\nca_file = \"none.pem\"", "none.pem"),
            ("url = \"https://tsa.example\"\nurls = 1", "urls"),
        ] {
            let found = read(&format!("[timestamps]\n{section}\n")).unwrap_err().to_string();
            assert!(found.contains(fault), "{section}: {found}");
        }
    }

    #[test]
    fn every_key_of_the_section_is_in_the_documentation() {
        let page = include_str!("../../../../docs/configuration.md");
        let section = page.split("## `[timestamps]`").nth(1).unwrap().split("\n## ").next().unwrap();
        for key in ["url", "interval_s", "ca_file"] {
            assert!(section.contains(&format!("`{key}`")), "{key}");
        }
    }
}
