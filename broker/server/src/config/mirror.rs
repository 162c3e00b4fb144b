//! `[mirror]`: where a copy of the tree is kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::raw::At;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    pub(super) directory: At<String>,
    pub(super) interval_s: At<i64>,
}

/// `[mirror]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// The folder; it must be there already.
    pub directory: PathBuf,
    /// How often what is new is copied.
    pub interval: Duration,
}

const INTERVAL_S_DEFAULT: i64 = 60;

pub(super) fn mirror(check: &mut Check<'_>, raw: At<RawMirror>) -> Option<MirrorConfig> {
    let raw = raw?;
    let section = raw.span();
    let raw = raw.into_inner();
    let directory = check.text(raw.directory, &section, "mirror.directory");
    let interval_s = check.number(raw.interval_s, "mirror.interval_s", 1..=3600, INTERVAL_S_DEFAULT);
    Some(MirrorConfig {
        directory: check.resolve(&directory?),
        interval: Duration::from_secs(interval_s.unsigned_abs()),
    })
}
