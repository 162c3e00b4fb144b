//! Who must approve fetches of a dataset: a number, whose, and in which order.

use std::ops::Range;

use chunk_core::limits::REASON_BYTES_MAX;
use chunk_core::rule::StageRule;
use chunk_wire::stages::Escalation;
use toml::Spanned;

use super::check::Check;
use super::raw::{At, RawReviewers, RawStage};

/// Stages of one dataset.
const STAGES_MAX: usize = 8;
/// Groups of one stage.
const GROUPS_MAX: usize = 16;

/// Distinct people in all, and who they are where that matters.
pub(super) struct Approvals {
    pub(super) quorum: u32,
    pub(super) stages: Vec<StageRule>,
}

pub(super) fn approvals(
    check: &mut Check<'_>,
    quorum: At<i64>,
    reviewers: At<RawReviewers>,
    stages: Vec<Spanned<RawStage>>,
    path: &str,
) -> Approvals {
    if !stages.is_empty() {
        let why = "is for datasets without stages; each stage has its own";
        check.not_here(&quorum, &format!("{path}.quorum"), why);
        check.not_here(&reviewers, &format!("{path}.reviewers"), why);
    }
    let quorum = people(check, quorum, path);
    let mut rules: Vec<StageRule> = Vec::new();
    if let Some(reviewers) = reviewers {
        let section = reviewers.span();
        rules.extend(rule(check, reviewers.into_inner(), quorum, &section, path));
    }
    if let Some(one_more) = stages.get(STAGES_MAX) {
        check
            .faults
            .at(&one_more.span(), format!("`{path}.stages` are more than {STAGES_MAX}"));
    }
    for (number, raw) in stages.into_iter().take(STAGES_MAX).enumerate() {
        let (path, section) = (format!("{path}.stages[{number}]"), raw.span());
        let raw = raw.into_inner();
        let quorum = people(check, raw.quorum, &path);
        let Some(reviewers) = check.required(raw.reviewers, &section, &format!("{path}.reviewers")) else {
            continue;
        };
        let section = reviewers.span();
        let Some(rule) = rule(check, reviewers.into_inner(), quorum, &section, &path) else {
            continue;
        };
        if rules.iter().any(|other| other.takes_who(&rule)) {
            let message = format!("`{path}.reviewers` are those of an earlier stage; give that a larger `quorum`");
            check.faults.at(&section, message);
        }
        rules.push(rule);
    }
    Approvals { quorum, stages: rules }
}

/// Who else may review, and after how long; both or neither. `pending_s` is how long a request waits at all.
pub(super) fn escalation(
    check: &mut Check<'_>,
    after: At<String>,
    to: At<Vec<String>>,
    pending_s: i64,
    section: &Range<usize>,
    path: &str,
) -> Option<Escalation> {
    if after.is_none() && to.is_none() {
        return None;
    }
    let after = check.required(after, section, &format!("{path}.escalate_after"));
    let groups = groups(check, to, section, &format!("{path}.escalate_to"));
    let after = after?;
    let after_s = duration_s(after.get_ref()).filter(|after_s| i64::from(*after_s) < pending_s);
    if after_s.is_none() {
        let message =
            format!("`{path}.escalate_after` must be a time like \"30m\" or \"2h\", a minute at least and less than `pending_hours`");
        check.faults.at(&after.span(), message);
    }
    Some(Escalation {
        after_s: after_s?,
        groups: groups?,
    })
}

/// Seconds of a whole number of minutes, hours or days.
fn duration_s(text: &str) -> Option<u32> {
    let units = [("m", 60), ("h", 3600), ("d", 24 * 3600)];
    let (number, unit_s) = units.into_iter().find_map(|(unit, s)| Some((text.strip_suffix(unit)?, s)))?;
    let number: u32 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.checked_mul(unit_s).filter(|s| *s > 0)
}

fn people(check: &mut Check<'_>, field: At<i64>, path: &str) -> u32 {
    u32::try_from(check.number(field, &format!("{path}.quorum"), 1..=10, 1)).unwrap_or(1)
}

fn rule(check: &mut Check<'_>, raw: RawReviewers, quorum: u32, section: &Range<usize>, path: &str) -> Option<StageRule> {
    let manager = raw.manager.as_ref().is_some_and(|field| *field.get_ref());
    if manager {
        let why = "is for reviewers other than the requester's manager; another stage can be for those";
        check.not_here(&raw.groups, &format!("{path}.reviewers.groups"), why);
        if quorum > 1 {
            let message = format!("`{path}.quorum` must be 1: nobody has more than one manager here");
            check.faults.at(section, message);
        }
        return Some(StageRule {
            groups: Vec::new(),
            manager,
            quorum: 1,
        });
    }
    let groups = groups(check, raw.groups, section, &format!("{path}.reviewers.groups"))?;
    Some(StageRule { groups, manager, quorum })
}

/// Groups as an identity provider names them, each once.
fn groups(check: &mut Check<'_>, field: At<Vec<String>>, section: &Range<usize>, path: &str) -> Option<Vec<String>> {
    let field = check.required(field, section, path)?;
    let good = |group: &String| !group.trim().is_empty() && group.len() <= REASON_BYTES_MAX && !group.chars().any(char::is_control);
    let groups = field.get_ref();
    let once = groups
        .iter()
        .enumerate()
        .all(|(at, group)| !groups.iter().take(at).any(|other| other == group));
    if groups.is_empty() || groups.len() > GROUPS_MAX || !groups.iter().all(good) || !once {
        let message = format!("`{path}` must be names of groups, each once and at most {GROUPS_MAX}");
        check.faults.at(&field.span(), message);
        return None;
    }
    Some(field.into_inner())
}
