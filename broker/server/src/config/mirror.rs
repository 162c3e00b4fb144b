//! `[mirror]`: where a copy of the tree is kept, in a folder or in an S3 bucket.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::SecretRef;
use super::bucket;
use super::check::Check;
use super::connections::secret;
use super::raw::{At, RawSecret};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    pub(super) interval_s: At<i64>,
    // a folder
    pub(super) directory: At<String>,
    // a bucket
    pub(super) url: At<String>,
    pub(super) endpoint: At<String>,
    pub(super) region: At<String>,
    pub(super) ca_file: At<String>,
    pub(super) access_key: At<RawSecret>,
    pub(super) secret_key: At<RawSecret>,
    pub(super) session_token: At<RawSecret>,
    pub(super) retention_days: At<i64>,
    pub(super) retention_mode: At<String>,
}

/// `[mirror]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Where the copy is.
    pub place: MirrorPlace,
    /// How often what is new is copied.
    pub interval: Duration,
}

/// Where a copy of the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorPlace {
    /// A folder; it must be there already.
    Folder(PathBuf),
    /// A bucket; it must be there already.
    Bucket(Box<BucketConfig>),
}

/// An S3 bucket, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Its name.
    pub name: String,
    /// What keys begin with: empty, or a path that ends with a slash.
    pub prefix: String,
    /// Where the service is.
    pub endpoint: Url,
    /// The bucket stands in the path, not in the host's name.
    pub path_style: bool,
    /// The region that requests are signed for.
    pub region: String,
    /// PEM file of the only authorities trusted for it; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
    /// Access key id.
    pub access_key: SecretRef,
    /// Secret access key.
    pub secret_key: SecretRef,
    /// What goes with temporary keys.
    pub session_token: Option<SecretRef>,
    /// How long S3 Object Lock keeps what is written.
    pub retention: Option<ObjectLock>,
}

/// S3 Object Lock on each object that is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// From the moment it is written.
    pub days: u16,
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionMode {
    /// Nobody, not even the account's owner.
    Compliance,
    /// Whom the account gives the right to.
    Governance,
}

const INTERVAL_S_DEFAULT: i64 = 60;
/// A hundred years; what is locked so long by mistake stays.
const RETENTION_DAYS_MAX: i64 = 36_500;

pub(super) fn mirror(check: &mut Check<'_>, raw: At<RawMirror>) -> Option<MirrorConfig> {
    let raw = raw?;
    let section = raw.span();
    let mut raw = raw.into_inner();
    let interval_s = check.number(raw.interval_s.take(), "mirror.interval_s", 1..=3600, INTERVAL_S_DEFAULT);
    let place = match (raw.directory.take(), raw.url.take()) {
        (Some(directory), None) => folder(check, directory, &raw),
        (None, Some(url)) => bucket(check, &section, &url, raw).map(|bucket| MirrorPlace::Bucket(Box::new(bucket))),
        (Some(_), Some(url)) => {
            let both = "`mirror.url` stands beside `mirror.directory`: a mirror is one of them";
            check.faults.at(&url.span(), both);
            None
        }
        (None, None) => {
            if !check.was_removed("mirror.url") {
                check.missing(
                    &section,
                    "mirror.directory",
                    "is missing; `mirror.url` would name an S3 bucket instead",
                );
            }
            None
        }
    };
    Some(MirrorConfig {
        place: place?,
        interval: Duration::from_secs(interval_s.unsigned_abs()),
    })
}

fn folder(check: &mut Check<'_>, directory: Spanned<String>, raw: &RawMirror) -> Option<MirrorPlace> {
    let why = "is only for a mirror with `url`";
    check.not_here(&raw.endpoint, "mirror.endpoint", why);
    check.not_here(&raw.region, "mirror.region", why);
    check.not_here(&raw.ca_file, "mirror.ca_file", why);
    check.not_here(&raw.access_key, "mirror.access_key", why);
    check.not_here(&raw.secret_key, "mirror.secret_key", why);
    check.not_here(&raw.session_token, "mirror.session_token", why);
    check.not_here(&raw.retention_days, "mirror.retention_days", why);
    check.not_here(&raw.retention_mode, "mirror.retention_mode", why);
    let directory = check.checked_text(directory, "mirror.directory")?;
    Some(MirrorPlace::Folder(check.resolve(&directory)))
}

fn bucket(check: &mut Check<'_>, section: &Range<usize>, url: &Spanned<String>, raw: RawMirror) -> Option<BucketConfig> {
    let address = bucket::address(check, url, raw.endpoint, raw.region, "mirror");
    let ca_file = raw.ca_file.and_then(|field| check.readable_file(field, "mirror.ca_file"));
    let access_key = check
        .required(raw.access_key, section, "mirror.access_key")
        .and_then(|field| secret(check, field, "mirror.access_key"));
    let secret_key = check
        .required(raw.secret_key, section, "mirror.secret_key")
        .and_then(|field| secret(check, field, "mirror.secret_key"));
    let session_token = raw.session_token.map(|field| secret(check, field, "mirror.session_token"));
    let retention = retention(check, raw.retention_days, raw.retention_mode);
    let address = address?;
    Some(BucketConfig {
        path_style: address.path_style,
        name: address.name,
        prefix: address.prefix,
        endpoint: address.endpoint,
        region: address.region,
        ca_file,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: match session_token {
            Some(place) => Some(place?),
            None => None,
        },
        retention: retention?,
    })
}

/// Both or neither: a retention cannot be taken back, so its mode is never guessed. The outer `None` is a fault.
fn retention(check: &mut Check<'_>, days: At<i64>, mode: At<String>) -> Option<Option<ObjectLock>> {
    match (days, mode) {
        (None, None) => Some(None),
        (Some(days), Some(mode)) => {
            let days = check.optional_number(Some(days), "mirror.retention_days", 1..=RETENTION_DAYS_MAX);
            let words = [("compliance", RetentionMode::Compliance), ("governance", RetentionMode::Governance)];
            let mode = check.word(&mode, "mirror.retention_mode", &words);
            Some(Some(ObjectLock {
                mode: mode?,
                days: u16::try_from(days?).ok()?,
            }))
        }
        (Some(days), None) => {
            check.missing(&days.span(), "mirror.retention_mode", "is missing: `compliance` or `governance`");
            None
        }
        (None, Some(mode)) => {
            check.missing(&mode.span(), "mirror.retention_days", "is missing beside `mirror.retention_mode`");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::super::tests::with_sections;
    use super::super::{Config, Faults};
    use super::*;

    const KEYS: &str = "access_key = { env = \"ID\" }\nsecret_key = { file = \"key\" }";

    fn read(section: &str) -> Result<Config, Faults> {
        with_sections(&format!("[mirror]\n{section}\n"))
    }

    fn bucket_of(section: &str) -> BucketConfig {
        match read(section).unwrap().mirror.unwrap().place {
            MirrorPlace::Bucket(bucket) => *bucket,
            MirrorPlace::Folder(folder) => panic!("{}", folder.display()),
        }
    }

    #[test]
    fn a_bucket_is_amazons_unless_an_endpoint_is_named() {
        let bucket = bucket_of(&format!("url = \"s3://acme-evidence\"\nregion = \"eu-central-1\"\n{KEYS}"));
        assert_eq!(bucket.endpoint.as_str(), "https://s3.eu-central-1.amazonaws.com/");
        assert_eq!((bucket.path_style, bucket.prefix.as_str(), bucket.retention), (false, "", None));
        assert_eq!(bucket.access_key, SecretRef::Env("ID".into()));
        assert!(bucket_of(&format!("url = \"s3://a.b.c\"\n{KEYS}")).path_style);
        let own = bucket_of(&format!(
            "url = \"s3://acme/evidence/prod/\"\nendpoint = \"https://s3.acme.example\"\n{KEYS}\nsession_token = {{ env = \"T\" }}\n\
             retention_days = 400\nretention_mode = \"compliance\""
        ));
        assert_eq!(
            (own.name.as_str(), own.prefix.as_str(), own.region.as_str()),
            ("acme", "evidence/prod/", "us-east-1")
        );
        assert!(own.path_style && own.session_token.is_some());
        let kept = ObjectLock {
            mode: RetentionMode::Compliance,
            days: 400,
        };
        assert_eq!(own.retention, Some(kept));
    }

    #[test]
    fn what_would_copy_nowhere_or_lock_by_guess_is_a_fault() {
        let with = |more: &str| format!("url = \"s3://acme\"\n{KEYS}\n{more}");
        for (section, fault) in [
            (String::new(), "`mirror.directory` is missing"),
            (format!("directory = \"m\"\nurl = \"s3://acme\"\n{KEYS}"), "a mirror is one of them"),
            (
                format!("directory = \"m\"\n{KEYS}"),
                "`mirror.access_key` is only for a mirror with `url`",
            ),
            (format!("url = \"https://acme\"\n{KEYS}"), "`mirror.url` must be s3://BUCKET"),
            (format!("url = \"s3://Acme\"\n{KEYS}"), "`mirror.url` must be s3://BUCKET"),
            (format!("url = \"s3://acme/../b\"\n{KEYS}"), "`mirror.url` must be s3://BUCKET"),
            ("url = \"s3://acme\"".to_owned(), "`mirror.secret_key` is missing"),
            ("url = \"s3://acme\"\naccess_key = \"AKIA\"".to_owned(), "mirror.access_key"),
            (
                with("endpoint = \"http://s3.acme.example\""),
                "`mirror.endpoint` must be https://HOST",
            ),
            (
                with("endpoint = \"https://s3.acme.example/path\""),
                "`mirror.endpoint` must be https://HOST",
            ),
            (with("region = \"eu central\""), "`mirror.region` must be"),
            (with("retention_days = 30"), "`mirror.retention_mode` is missing"),
            (with("retention_mode = \"governance\""), "`mirror.retention_days` is missing"),
            (
                with("retention_days = 0\nretention_mode = \"governance\""),
                "`mirror.retention_days` must be between",
            ),
            (
                with("retention_days = 1\nretention_mode = \"forever\""),
                "`mirror.retention_mode` must be one of",
            ),
            (
                with("session_token = { env = \"\" }"),
                "`mirror.session_token` must be exactly one of",
            ),
        ] {
            let found = read(&section).unwrap_err().to_string();
            assert!(found.contains(fault), "{section}: {found}");
        }
    }

    #[test]
    fn a_key_that_stands_in_the_file_itself_is_refused_and_not_quoted() {
        for key in ["access_key", "secret_key", "session_token"] {
            let found = read(&format!("url = \"s3://acme\"\n{key} = \"hunter2\"")).unwrap_err().to_string();
            let told = format!("`mirror.{key}`: a key is written as {{ env = ");
            assert!(found.contains(&told) && !found.contains("hunter2"), "{key}: {found}");
        }
    }

    #[test]
    fn every_key_of_the_section_is_in_the_documentation() {
        let page = include_str!("../../../../docs/configuration.md");
        let section = page.split("## `[mirror]`").nth(1).unwrap().split("\n## ").next().unwrap();
        for key in [
            "directory",
            "interval_s",
            "url",
            "endpoint",
            "region",
            "ca_file",
            "access_key",
            "secret_key",
            "session_token",
            "retention_days",
            "retention_mode",
        ] {
            assert!(section.contains(&format!("`{key}`")), "{key}");
        }
    }
}
