//! What a `retention.dispose` says is gone: kinds of entries, each up to an index.

use super::Report;
use crate::body::Group;
use crate::bundle::verdict::TERMS;
use crate::disclosed::Disclosed;
use crate::leaf::Kind;

/// Families whose bodies may be disposed of: what people did. The log's own entries say how it was kept, and stay.
const FAMILIES: &[&str] = &["session", "request", "review", "grant", "fetch", "delivery", "audit"];

/// Kinds and the indices before which their bodies are gone; absent where the entry is not opened, nothing where it is malformed.
pub(in crate::bundle) fn disposes(entry: &Disclosed<'_>) -> Option<Vec<(Kind, u64)>> {
    entry.shows(Group::What).then(|| read(entry).unwrap_or_default())
}

pub(super) fn check(entry: &Disclosed<'_>, report: &mut Report<'_>) {
    if entry.shows(Group::What) {
        let fits = read(entry).is_some_and(|bodies| {
            let mut kinds: Vec<Kind> = bodies.iter().map(|(kind, _)| *kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let may = |kind: &Kind| FAMILIES.contains(&kind.family());
            kinds.len() == bodies.len() && kinds.iter().all(may) && bodies.iter().all(|(_, before)| *before <= entry.index)
        });
        report.check(fits, TERMS, "it does not say what may be disposed of");
    }
}

fn read(entry: &Disclosed<'_>) -> Option<Vec<(Kind, u64)>> {
    let bodies = entry.member(Group::What, "bodies")?.items()?;
    let each = bodies.map(|of| Some((Kind::parse(&of.get("kind")?.as_str()?)?, of.get("before")?.as_u64()?)));
    each.collect()
}
