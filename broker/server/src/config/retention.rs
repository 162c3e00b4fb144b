//! `[retention]`: how long bodies of entries and recordings are kept.
//!
//! Names are those of kinds (`"fetch.outcome"`), families (`"session.*"`), `recordings` and `default`; the more special one counts.
//! What is not named is kept for ever: nobody loses evidence by leaving something out.

use std::collections::BTreeMap;

use chunk_core::retention::{Retention, disposable_kinds};
use toml::Spanned;

use super::check::{Check, nearest};
use super::raw::At;

/// Names and how long, e.g. `"90d"`.
pub(super) type RawRetention = BTreeMap<Spanned<String>, Spanned<String>>;

const SECOND_MS: i64 = 1000;
const HOUR_MS: i64 = 3600 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longer is for ever.
const YEARS_MAX: i64 = 100;
/// What sessions and requests say keeps tokens and documents from being used twice, and people from losing what they just asked.
const RECENT: &[&str] = &["session", "request"];

pub(super) fn retention(check: &mut Check<'_>, raw: At<RawRetention>) -> Retention {
    let mut retention = Retention::default();
    let Some(raw) = raw else { return retention };
    let section = raw.span();
    let raw = raw.into_inner();
    let mut named: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for (name, field) in raw {
        let path = format!("retention.{}", name.get_ref().escape_debug());
        if !is_known(name.get_ref()) {
            let known: Vec<String> = names().collect();
            let hint = nearest(name.get_ref(), known.iter());
            check.faults.at(
                &name.span(),
                format!("`{path}` is nothing that is disposed of: name `default`, `recordings`, `interval`, a kind such as \"fetch.outcome\", or a family such as \"session.*\"{hint}"),
            );
            continue;
        }
        let Some(kept_ms) = duration(field.get_ref()) else {
            check.faults.at(
                &field.span(),
                format!("`{path}` must be \"forever\", or a number and a unit: `s`, `h`, `d` or `y` (365 days), e.g. \"90d\""),
            );
            continue;
        };
        if name.get_ref() == "interval" {
            match kept_ms.filter(|every_ms| *every_ms <= 7 * DAY_MS) {
                Some(every_ms) => retention.every_ms = every_ms,
                None => check.faults.at(&field.span(), format!("`{path}` must be at most \"7d\"")),
            }
            continue;
        }
        if is_recent(name.get_ref()) && kept_ms.is_some_and(|kept_ms| kept_ms < DAY_MS) {
            check.faults.at(
                &field.span(),
                format!("`{path}` must be at least \"1d\": sessions and requests are needed for that long"),
            );
        }
        named.insert(name.into_inner(), kept_ms);
    }
    retention.recordings_ms = named.get("recordings").or(named.get("default")).copied().flatten();
    for kind in disposable_kinds() {
        let family = format!("{}.*", kind.family());
        let kept = [kind.as_str(), family.as_str(), "default"]
            .into_iter()
            .find_map(|name| named.get(name));
        if let Some(kept_ms) = kept.copied().flatten() {
            retention.bodies_ms.insert(kind, kept_ms);
        }
    }
    // `session.open` says whose everything else is: without it nobody could be erased any more.
    let opening = disposable_kinds().find(|kind| kind.as_str() == "session.open");
    if let Some(sessions_ms) = opening.and_then(|kind| retention.bodies_ms.get(&kind)) {
        let others = disposable_kinds()
            .map(|kind| retention.bodies_ms.get(&kind))
            .chain([retention.recordings_ms.as_ref()]);
        if others
            .into_iter()
            .any(|kept_ms| kept_ms.is_none_or(|kept_ms| kept_ms > sessions_ms))
        {
            check.faults.at(
                &section,
                "`retention` must keep `session.open` at least as long as anything else: it says whose the rest is, and who can be erased"
                    .to_owned(),
            );
        }
    }
    retention
}

/// Names that may stand in the table.
fn names() -> impl Iterator<Item = String> {
    let kinds = disposable_kinds().flat_map(|kind| [kind.as_str().to_owned(), format!("{}.*", kind.family())]);
    ["default", "recordings", "interval"].map(str::to_owned).into_iter().chain(kinds)
}

fn is_known(name: &str) -> bool {
    names().any(|known| known == name)
}

/// Whether what a name stands for must be kept for a day.
fn is_recent(name: &str) -> bool {
    name == "default" || name.split_once('.').is_some_and(|(family, _)| RECENT.contains(&family))
}

/// Milliseconds; the inner absence is for ever, the outer one a text that says nothing.
fn duration(text: &str) -> Option<Option<i64>> {
    if text == "forever" {
        return Some(None);
    }
    let (number, unit_ms) = [("s", SECOND_MS), ("h", HOUR_MS), ("d", DAY_MS), ("y", 365 * DAY_MS)]
        .into_iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    let number: i64 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    let kept_ms = number.checked_mul(unit_ms)?;
    (1..=YEARS_MAX * 365 * DAY_MS).contains(&kept_ms).then_some(Some(kept_ms))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::tests::with_sections;
    use super::*;

    #[test]
    fn sessions_outlive_whatever_they_are_needed_for() {
        let faults = |section: &str| {
            with_sections(&format!("[retention]\n{section}\n"))
                .err()
                .map(|faults| faults.to_string())
        };
        let outlives = "must keep `session.open` at least as long as anything else";
        for refused in [
            "\"session.*\" = \"30d\"",
            "\"session.open\" = \"30d\"\ndefault = \"31d\"",
            "default = \"30d\"\nrecordings = \"31d\"",
            "default = \"30d\"\n\"fetch.outcome\" = \"forever\"",
            "default = \"90d\"\n\"session.open\" = \"89d\"",
        ] {
            let said = faults(refused).unwrap_or_default();
            assert!(said.contains(outlives), "{refused}: {said}");
        }
        for good in [
            "",
            "default = \"30d\"",
            "\"fetch.*\" = \"30d\"",
            "default = \"90d\"\n\"session.open\" = \"forever\"",
            "default = \"90d\"\n\"session.close\" = \"1d\"\nrecordings = \"90d\"",
        ] {
            assert_eq!(faults(good), None, "{good}");
        }
        let kept = with_sections("[retention]\ndefault = \"90d\"\n\"fetch.*\" = \"30d\"\n\"fetch.intent\" = \"60d\"\n").unwrap();
        let kept = kept.retention;
        let days = |name: &str| {
            let kind = disposable_kinds().find(|kind| kind.as_str() == name).unwrap();
            kept.bodies_ms.get(&kind).map(|kept_ms| kept_ms / DAY_MS)
        };
        assert_eq!(
            ["session.open", "fetch.outcome", "fetch.intent"].map(days),
            [Some(90), Some(30), Some(60)]
        );
    }

    #[test]
    fn how_long_is_a_number_and_a_unit_or_for_ever() {
        assert_eq!(duration("forever"), Some(None));
        assert_eq!(duration("90d"), Some(Some(90 * DAY_MS)));
        assert_eq!(duration("7y"), Some(Some(7 * 365 * DAY_MS)));
        assert_eq!(duration("1s"), Some(Some(1000)));
        for bad in [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1",
            "1w",
            "1 d",
            "101y",
            "99999999999999999999d",
            "1.5d",
            "never",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
