//! Emergencies: a request that nobody approved beforehand says so before its grant, and is reviewed afterwards.

use super::{Breakglass, Ledger, Report, is_withheld, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, SIGNATURES};
use crate::disclosed::Disclosed;
use crate::leaf::Decision;

impl Ledger<'_> {
    pub(super) fn breakglass_open(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let of = reference(entry, 0);
        report.check(entry.dec == Some(Decision::Allow), CLOSURE, "an emergency must have been allowed");
        let act = entry.act.map(|act| self.names.number(act));
        let Some(request) = self.requests.get_mut(of) else { return };
        withheld(entry, request.withheld, report);
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        report.check(!request.opened, CLOSURE, "the request had been opened before");
        report.check(act == Some(request.act), CLOSURE, "it is of another person than the requester");
        request.opened = true;
        if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
            let same = entry.says(Group::What, "id", self.texts.get(signed.id))
                && entry.says(Group::What, "digest", self.texts.get(signed.digest));
            report.check(same, SIGNATURES, "it is of another request than the one signed");
        }
        self.breakglass.push(
            entry.index,
            Breakglass {
                request: of,
                reviewers: Vec::new(),
                withheld: is_withheld(entry, report),
            },
        );
    }

    pub(super) fn breakglass_review(&mut self, at: usize, entry: &Disclosed<'_>, report: &mut Report<'_>, counts: &mut Counts) {
        self.under(entry, 1, report);
        report.check(entry.dec.is_some(), CLOSURE, "it holds no verdict");
        let act = self.names.number(entry.act.unwrap_or_default());
        let holder = self.session_of(entry, 1).and_then(|session| session.holder);
        let Some(opened) = self.breakglass.get_mut(reference(entry, 0)) else {
            return;
        };
        withheld(entry, opened.withheld, report);
        report.check(!opened.reviewers.contains(&act), CLOSURE, "one person reviewed twice");
        opened.reviewers.push(act);
        let of = opened.request;
        if let Some(request) = self.requests.get(of) {
            report.check(act != request.act, CLOSURE, "the requester reviewed the request");
        }
        self.verdict(at, entry, of, holder, report, counts);
    }
}
