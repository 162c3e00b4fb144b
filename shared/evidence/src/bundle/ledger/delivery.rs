//! Intents, progress, outcomes and acknowledgements: was it granted, were the approved masks applied, do the figures add up.

use std::borrow::Cow;

use super::{Intent, Ledger, Outcome, Report, Running, is_withheld, masks_of, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, SIGNATURES, TERMS};
use crate::disclosed::Disclosed;
use crate::encode::from_hex_32;
use crate::signed::each_mask;

impl Ledger<'_> {
    pub(super) fn intent(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let of = reference(entry, 0);
        let planned = masks_of(entry, Group::Mask, report, |group| self.planned_masks.read(group));
        let act = entry.act.map(|act| self.names.number(act));
        let dataset = entry.ds.map(|ds| self.names.number(ds));
        if let Some(grant) = self.grants.get(of) {
            // Whether an earlier grant was taken before the range is not shown.
            report.check(grant.taken || of < self.from, CLOSURE, "its grant had not been taken");
            report.check(!grant.ended, CLOSURE, "its grant had ended");
            report.check(act == Some(grant.act), CLOSURE, "another person used the grant");
            if let Some(standing) = self.standing.of_grant(of)
                && let Some(above) = self.grants.get(standing)
            {
                report.check(!above.ended, CLOSURE, "the standing grant it is under had ended");
                let in_time = above.expires_ms.is_none_or(|end| entry.t.cast_unsigned() <= end);
                report.check(in_time, TERMS, "the standing grant it is under had run out");
                report.check(
                    self.standing.has_left(standing),
                    TERMS,
                    "the standing grant it is under was used up",
                );
            }
            withheld(entry, grant.withheld, report);
            let window = self.stages.window(grant.request);
            report.check(
                window.is_none_or(|window| window.holds(entry.t)),
                TERMS,
                "it reads outside the time that was asked for",
            );
            if let Some(request) = self.requests.get(grant.request) {
                report.check(dataset == request.dataset, CLOSURE, "it reads other datasets than its request");
                if let (Some(planned), Some(approved)) = (&planned, &request.masks) {
                    report.check(planned.hash == *approved, TERMS, "its masks are not the ones approved");
                }
                if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
                    let same = entry.says(Group::What, "request", self.texts.get(signed.id));
                    report.check(same, SIGNATURES, "it reads for another request than the one signed");
                }
            }
        }
        if entry.shows(Group::What) {
            report.check(entry.chunk().is_some(), TERMS, "it does not say which chunk of what it reads");
        }
        self.intents.push(
            entry.index,
            Intent {
                ended: false,
                withheld: is_withheld(entry, report),
            },
        );
        self.running.insert(
            entry.index,
            Running {
                masks: planned,
                request: entry.text(Group::What, "request").map(Into::into),
                standing: self.standing.of_grant(of),
                ..Running::default()
            },
        );
    }

    pub(super) fn progress(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let of = reference(entry, 0);
        if let Some(intent) = self.intents.get(of) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome");
            withheld(entry, intent.withheld, report);
        }
        if entry.shows(Group::Out) {
            let digest = entry.text(Group::Out, "sha256");
            let digest = digest.is_some_and(|text| from_hex_32(&text).is_ok());
            report.check(digest, TERMS, "it names no digest of what had left");
        }
        if let Some(running) = self.running.get_mut(&of) {
            if let Some((rows, bytes, digest)) = figures(entry, running, report) {
                (running.rows, running.bytes) = (rows, bytes);
                running.sha256 = digest.map(Into::into);
            }
            if let Some(standing) = running.standing {
                let within = self.standing.bears(standing, running.rows, running.bytes);
                report.check(within, TERMS, OVER_BUDGET);
            }
        }
    }

    pub(super) fn outcome(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>, counts: &mut Counts) {
        let end = entry.text(Group::Out, "end");
        let done = end.as_deref() == Some("done");
        let sha256 = entry.text(Group::Out, "sha256").and_then(|text| from_hex_32(&text).ok());
        let of = reference(entry, 0);
        let planned = self.running.get(&of).and_then(|running| running.masks.clone());
        let (mut within, mut at) = (true, 0);
        let listed = masks_of(entry, Group::Mask, report, |group| {
            each_mask(group, "column", |mask| {
                within &= planned.as_ref().is_none_or(|planned| planned.holds(&mask, at));
                at += 1;
            })
        });
        if let Some(intent) = self.intents.get_mut(of) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome before");
            withheld(entry, intent.withheld, report);
            intent.ended = true;
        }
        if let Some(running) = self.running.remove(&of) {
            let (rows, bytes) = match figures(entry, &running, report) {
                Some((rows, bytes, _)) => (rows, bytes),
                None => (running.rows, running.bytes),
            };
            if let Some(standing) = running.standing {
                let within = self.standing.carry(standing, rows, bytes);
                report.check(within, TERMS, OVER_BUDGET);
            }
            report.check(listed.is_none() || within, TERMS, "the masks applied are not those of its intent");
        }
        if entry.shows(Group::Out) {
            let known = ["done", "cut", "source_failed", "interrupted", "limit", "revoked", "failed"];
            report.check(
                end.as_deref().is_some_and(|end| known.contains(&end)),
                TERMS,
                "it ended in an unknown way",
            );
            let recording = entry.member(Group::Out, "recording").map(|raw| raw.as_str());
            let kept = match recording {
                None => true,
                Some(word) => matches!(word.as_deref(), Some("kept")) || (word.as_deref() == Some("failed") && !done),
            };
            report.check(kept, TERMS, "what it says of its recording cannot be");
            if done {
                report.check(sha256.is_some(), TERMS, "it is done and names no digest of what left");
                if entry.index >= self.from {
                    let figure = |name| entry.number(Group::Out, name).unwrap_or(0);
                    counts.deliveries_done += 1;
                    counts.rows_released = counts.rows_released.saturating_add(figure("rows"));
                    counts.bytes_released = counts.bytes_released.saturating_add(figure("bytes"));
                }
            }
        }
        self.outcomes.push(
            entry.index,
            Outcome {
                sha256,
                done: !entry.shows(Group::Out) || done,
                withheld: is_withheld(entry, report),
            },
        );
    }

    pub(super) fn ack(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        if let Some(outcome) = self.outcomes.get(reference(entry, 0)) {
            withheld(entry, outcome.withheld, report);
            report.check(outcome.done, TERMS, "it acknowledges a delivery that was not completed");
            if let (Some(delivered), Some(acknowledged)) = (outcome.sha256, entry.text(Group::Out, "sha256")) {
                let same = from_hex_32(&acknowledged).is_ok_and(|acknowledged| acknowledged == delivered);
                report.check(same, TERMS, "it acknowledges other bytes than were delivered");
            }
        }
    }
}

const OVER_BUDGET: &str = "with it the standing grant has carried more than was approved";
/// Rows and bytes that have left, and the digest of these bytes.
type Figures<'e> = (u64, u64, Option<Cow<'e, str>>);

/// It names the request of its intent; rows and bytes only grow from progress to outcome, and the same bytes have one digest.
fn figures<'e>(entry: &Disclosed<'e>, running: &Running, report: &mut Report<'_>) -> Option<Figures<'e>> {
    if let (true, Some(request)) = (entry.shows(Group::What), &running.request) {
        report.check(
            entry.says(Group::What, "request", request),
            TERMS,
            "it names another request than its intent",
        );
    }
    if !entry.shows(Group::Out) {
        return None;
    }
    let (Some(rows), Some(bytes)) = (entry.number(Group::Out, "rows"), entry.number(Group::Out, "bytes")) else {
        report.fault(TERMS, "it gives no rows and bytes");
        return None;
    };
    report.check(
        rows >= running.rows && bytes >= running.bytes,
        TERMS,
        "its figures are below those of an earlier progress",
    );
    let digest = entry.text(Group::Out, "sha256");
    let differs = matches!((&digest, &running.sha256), (Some(now), Some(before)) if **now != **before);
    report.check(
        !differs || bytes != running.bytes,
        TERMS,
        "it gives the same bytes another digest than before",
    );
    Some((rows, bytes, digest))
}
