//! `[witness]`: who, outside the operator's reach, vouches for the evidence log.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use chunk_core::witness::{OnLost, Witness, WitnessKey, WitnessSettings};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::check::Check;
use super::is_loopback;
use super::raw::At;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitnesses {
    pub(super) quorum: At<i64>,
    pub(super) max_age_minutes: At<i64>,
    pub(super) on_lost: At<String>,
    pub(super) interval_s: At<i64>,
    #[serde(default)]
    pub(super) witnesses: Vec<Spanned<RawWitness>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitness {
    pub(super) name: At<String>,
    pub(super) url: At<String>,
    pub(super) key: At<String>,
    pub(super) ca_file: At<String>,
}

/// `[witness]`.
#[derive(Debug, Clone)]
pub struct WitnessConfig {
    /// What core knows of it.
    pub settings: WitnessSettings,
    /// Where each witness of the settings is, in their order.
    pub places: Vec<WitnessPlace>,
}

/// Where a witness is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPlace {
    /// Name in configuration.
    pub name: String,
    /// Its submission prefix, without a slash at its end.
    pub url: Url,
    /// PEM file of the only authorities trusted for it; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
}

const MAX_AGE_MINUTES_DEFAULT: i64 = 15;
const INTERVAL_S_DEFAULT: i64 = 1;
const WITNESSES_MAX: i64 = 15;

pub(super) fn witnesses(check: &mut Check<'_>, raw: At<RawWitnesses>) -> Option<WitnessConfig> {
    let raw = raw?;
    let section = raw.span();
    let raw = raw.into_inner();
    let mut settings: Vec<Witness> = Vec::new();
    let mut places: Vec<WitnessPlace> = Vec::new();
    let named = raw.witnesses.len();
    for (i, raw) in raw.witnesses.into_iter().enumerate() {
        let path = format!("witness.witnesses.{}", i + 1);
        let span = raw.span();
        let Some((witness, place)) = witness(check, &span, raw.into_inner(), &path) else {
            continue;
        };
        let twice = settings.iter().any(|other| {
            other.name == witness.name || other.key.name() == witness.key.name() || other.key.public_key() == witness.key.public_key()
        });
        if twice {
            check.faults.at(
                &span,
                format!("`{path}` has the name or the key of an earlier one; it would count twice"),
            );
        }
        settings.push(witness);
        places.push(place);
    }
    if named == 0 && !check.was_removed("witness.witnesses") {
        check.faults.at(
            &section,
            "`witness.witnesses` is missing: name at least one as { name = \"…\", url = \"https://…\", key = \"…\" }, or take the section out",
        );
    }
    let most = i64::try_from(named).unwrap_or(WITNESSES_MAX).clamp(1, WITNESSES_MAX);
    if named > usize::try_from(WITNESSES_MAX).unwrap_or(usize::MAX) {
        check
            .faults
            .at(&section, format!("`witness.witnesses` names more than {WITNESSES_MAX}"));
    }
    let quorum = check
        .required(raw.quorum, &section, "witness.quorum")
        .and_then(|field| check.optional_number(Some(field), "witness.quorum", 1..=most));
    let max_age_minutes = check.number(raw.max_age_minutes, "witness.max_age_minutes", 1..=24 * 60, MAX_AGE_MINUTES_DEFAULT);
    let interval_s = check.number(raw.interval_s, "witness.interval_s", 1..=60, INTERVAL_S_DEFAULT);
    let on_lost = match raw.on_lost {
        None => Some(OnLost::Refuse),
        Some(field) => check.word(&field, "witness.on_lost", &[("refuse", OnLost::Refuse), ("warn", OnLost::Warn)]),
    };
    Some(WitnessConfig {
        settings: WitnessSettings {
            witnesses: settings,
            quorum: usize::try_from(quorum?).ok()?,
            max_age_ms: max_age_minutes * 60_000,
            on_lost: on_lost?,
            interval: Duration::from_secs(interval_s.unsigned_abs()),
        },
        places,
    })
}

fn witness(check: &mut Check<'_>, section: &Range<usize>, raw: RawWitness, path: &str) -> Option<(Witness, WitnessPlace)> {
    let name = check.required(raw.name, section, &format!("{path}.name"));
    let name = name.filter(|name| check.name(name, "witness")).map(Spanned::into_inner);
    let url = check
        .required(raw.url, section, &format!("{path}.url"))
        .and_then(|field| prefix(check, &field, &format!("{path}.url")));
    let key = check.required(raw.key, section, &format!("{path}.key")).and_then(|field| {
        let key = WitnessKey::parse(field.get_ref().trim()).ok();
        if key.is_none() {
            check.faults.at(
                &field.span(),
                format!("`{path}.key` is not the verifier key of a witness, `name+id+key`, as `chunkctl witness keygen` prints it"),
            );
        }
        key
    });
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, &format!("{path}.ca_file")));
    let (name, url) = (name?, url?);
    let place = WitnessPlace {
        name: name.clone(),
        url,
        ca_file,
    };
    Some((Witness { name, key: key? }, place))
}

/// The submission prefix: paths are put behind it.
fn prefix(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<Url> {
    let good = Url::parse(field.get_ref().trim_end_matches('/')).ok().filter(|url| {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        scheme && bare && url.host().is_some()
    });
    if good.is_none() {
        check.faults.at(
            &field.span(),
            format!("`{path}` must be the address of the witness: https:// without query (http:// only on loopback)"),
        );
    }
    good
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::tests::with_sections as read;
    use super::*;

    const W1: &str = r#"{ name = "w1", url = "https://w1.example", key = "witness.example.com/w1+8122a5ab+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs" }"#;

    fn w2() -> String {
        let key = WitnessKey::new("w2", [7; 32]).unwrap().to_text();
        format!("{{ name = \"w2\", url = \"http://127.0.0.1:7380/prefix/\", key = \"{key}\" }}")
    }

    #[test]
    fn without_the_section_nobody_is_asked() {
        assert!(read("").unwrap().witness.is_none());
    }

    #[test]
    fn a_section_with_only_what_is_required_refuses_after_fifteen_minutes() {
        let config = read(&format!("[witness]\nquorum = 1\nwitnesses = [{W1}]\n"))
            .unwrap()
            .witness
            .unwrap();
        let settings = &config.settings;
        assert_eq!(
            (settings.quorum, settings.max_age_ms, settings.on_lost),
            (1, 15 * 60_000, OnLost::Refuse)
        );
        assert_eq!(settings.interval, Duration::from_secs(1));
        assert_eq!(config.places.first().unwrap().url.as_str(), "https://w1.example/");
    }

    #[test]
    fn everything_can_be_said() {
        let text = format!(
            "[witness]\nquorum = 2\nmax_age_minutes = 5\non_lost = \"warn\"\ninterval_s = 10\nwitnesses = [{W1}, {}]\n",
            w2()
        );
        let config = read(&text).unwrap().witness.unwrap();
        let settings = &config.settings;
        assert_eq!(
            (settings.quorum, settings.max_age_ms, settings.on_lost),
            (2, 5 * 60_000, OnLost::Warn)
        );
        assert_eq!(config.places.get(1).unwrap().url.path(), "/prefix");
    }

    #[test]
    fn what_would_protect_from_nothing_is_a_fault() {
        let key = r#"key = "witness.example.com/w1+8122a5ab+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs""#;
        for (section, fault) in [
            ("quorum = 1".to_owned(), "`witness.witnesses` is missing"),
            (format!("witnesses = [{W1}]"), "`witness.quorum` is missing"),
            (
                format!("quorum = 0\nwitnesses = [{W1}]"),
                "`witness.quorum` must be between 1 and 1",
            ),
            (
                format!("quorum = 2\nwitnesses = [{W1}]"),
                "`witness.quorum` must be between 1 and 1",
            ),
            (format!("quorum = 1\nwitnesses = [{W1}, {W1}]"), "would count twice"),
            (
                format!("quorum = 1\nwitnesses = [{W1}, {}]", W1.replace("\"w1\"", "\"w2\"")),
                "would count twice",
            ),
            (
                format!("quorum = 1\nwitnesses = [{}]", W1.replace("https", "http")),
                "http:// only on loopback",
            ),
            (
                format!("quorum = 1\nwitnesses = [{}]", W1.replace("+8122a5ab", "+8122a5ac")),
                "is not the verifier key of a witness",
            ),
            (
                format!("quorum = 1\nwitnesses = [{{ name = \"w1\", url = \"https://w1.example?x\", {key} }}]"),
                "without query",
            ),
            (
                format!("quorum = 1\nwitnesses = [{{ name = \"W 1\", url = \"https://w1.example\", {key} }}]"),
                "witness `W 1` must be",
            ),
            (
                format!("quorum = 1\nwitnesses = [{{ name = \"w1\", {key} }}]"),
                "`witness.witnesses.1.url` is missing",
            ),
            (
                format!("quorum = 1\non_lost = \"ignore\"\nwitnesses = [{W1}]"),
                "`witness.on_lost` must be one of",
            ),
            (
                format!("quorum = 1\nmax_age_minutes = 0\nwitnesses = [{W1}]"),
                "`witness.max_age_minutes` must be between",
            ),
            (format!("quorum = 1\nquorums = 1\nwitnesses = [{W1}]"), "quorums"),
        ] {
            let found = read(&format!("[witness]\n{section}\n")).unwrap_err().to_string();
            assert!(found.contains(fault), "{section}: {found}");
        }
    }

    #[test]
    fn every_key_of_the_section_is_in_the_documentation() {
        let page = include_str!("../../../../docs/configuration.md");
        for key in [
            "quorum",
            "max_age_minutes",
            "on_lost",
            "interval_s",
            "witnesses",
            "name",
            "url",
            "key",
            "ca_file",
        ] {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
    }
}
