//! Intents, progress, outcomes and acknowledgements: was it granted, were the approved masks applied, do the figures add up.

use super::{Intent, Ledger, Outcome, Report, is_withheld, masks_of, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, SIGNATURES, TERMS};
use crate::disclosed::Disclosed;
use crate::encode::from_hex_32;

impl Ledger<'_> {
    pub(super) fn intent(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let header = &entry.leaf.header;
        let of = reference(entry, 0);
        let planned = masks_of(entry, Group::Mask, "column", report);
        if let Some(grant) = self.grants.get(&of) {
            // Whether an earlier grant was taken before the range is not shown.
            report.check(grant.taken || of < self.from, CLOSURE, "its grant had not been taken");
            report.check(!grant.ended, CLOSURE, "its grant had ended");
            report.check(header.act.as_deref() == Some(&grant.act), CLOSURE, "another person used the grant");
            withheld(entry, grant.withheld, report);
            if let Some(request) = self.requests.get(&grant.request) {
                report.check(header.ds == request.dataset, CLOSURE, "it reads other datasets than its request");
                if let (Some(planned), Some(approved)) = (&planned, &request.masks) {
                    report.check(planned == approved, TERMS, "its masks are not the ones approved");
                }
                if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
                    let same = entry.text(Group::What, "request") == Some(&signed.id);
                    report.check(same, SIGNATURES, "it reads for another request than the one signed");
                }
            }
        }
        self.intents.insert(
            entry.index,
            Intent {
                masks: planned,
                request: entry.text(Group::What, "request").map(str::to_owned),
                withheld: is_withheld(entry),
                ..Intent::default()
            },
        );
    }

    pub(super) fn progress(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        if let Some(intent) = self.intents.get_mut(&reference(entry, 0)) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome");
            withheld(entry, intent.withheld, report);
            figures(entry, intent, report);
        }
    }

    pub(super) fn outcome(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
        let end = entry.text(Group::Out, "end");
        let sha256 = entry.text(Group::Out, "sha256").map(str::to_owned);
        let applied = masks_of(entry, Group::Mask, "column", report);
        if let Some(intent) = self.intents.get_mut(&reference(entry, 0)) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome before");
            withheld(entry, intent.withheld, report);
            intent.ended = true;
            figures(entry, intent, report);
            if let (Some(applied), Some(planned)) = (&applied, &intent.masks) {
                report.check(applied.is_subset(planned), TERMS, "the masks applied are not those of its intent");
            }
        }
        if entry.shows(Group::Out) {
            let known = ["done", "cut", "source_failed", "interrupted", "limit", "revoked", "failed"];
            report.check(end.is_some_and(|end| known.contains(&end)), TERMS, "it ended in an unknown way");
            if end == Some("done") {
                let digest = sha256.as_deref().is_some_and(|text| from_hex_32(text).is_ok());
                report.check(digest, TERMS, "it is done and names no digest of what left");
                if entry.index >= self.from {
                    let figure = |name| entry.body().number(Group::Out, name).unwrap_or(0);
                    counts.deliveries_done += 1;
                    counts.rows_released = counts.rows_released.saturating_add(figure("rows"));
                    counts.bytes_released = counts.bytes_released.saturating_add(figure("bytes"));
                }
            }
        }
        let done = !entry.shows(Group::Out) || end == Some("done");
        self.outcomes.insert(
            entry.index,
            Outcome {
                done,
                sha256,
                withheld: is_withheld(entry),
            },
        );
    }

    pub(super) fn ack(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        if let Some(outcome) = self.outcomes.get(&reference(entry, 0)) {
            withheld(entry, outcome.withheld, report);
            report.check(outcome.done, TERMS, "it acknowledges a delivery that was not completed");
            let acknowledged = entry.text(Group::Out, "sha256");
            let differs = outcome.sha256.is_some() && acknowledged.is_some() && outcome.sha256.as_deref() != acknowledged;
            report.check(!differs, TERMS, "it acknowledges other bytes than were delivered");
        }
    }
}

/// It names the request of its intent, and rows and bytes only grow from progress to outcome.
fn figures(entry: &Disclosed, intent: &mut Intent, report: &mut Report<'_>) {
    if let (true, Some(request)) = (entry.shows(Group::What), &intent.request) {
        report.check(
            entry.text(Group::What, "request") == Some(request),
            TERMS,
            "it names another request than its intent",
        );
    }
    if entry.shows(Group::Out) {
        match (entry.body().number(Group::Out, "rows"), entry.body().number(Group::Out, "bytes")) {
            (Some(rows), Some(bytes)) => {
                report.check(
                    rows >= intent.rows && bytes >= intent.bytes,
                    TERMS,
                    "its figures are below those of an earlier progress",
                );
                (intent.rows, intent.bytes) = (rows, bytes);
            }
            _ => report.fault(TERMS, "it gives no rows and bytes"),
        }
    }
}
