//! Requests, verdicts and grants: may each stand where it stands, and did the people named sign it.

use std::collections::HashSet;

use super::{Check, Grant, Ledger, Report, Request, Review, Signed, is_withheld, masks_of, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, PEOPLE, SIGNATURES, TERMS};
use crate::disclosed::Disclosed;
use crate::leaf::{Decision, Kind};

impl Ledger<'_> {
    pub(super) fn request_create(&mut self, at: usize, entry: &Disclosed<'_>, report: &mut Report<'_>, counts: &mut Counts) {
        self.under(entry, 0, report);
        report.check(
            entry.dec == Some(Decision::Allow),
            CLOSURE,
            "a request that stands must have been allowed",
        );
        report.check(entry.pol.is_some(), CLOSURE, "a request must name the policy it was decided under");
        let holder = self.session_of(entry, 0).and_then(|session| session.holder);
        let mut signed = None;
        if let (true, Some(signer)) = (entry.shows(Group::What), self.holder(holder).cloned()) {
            counts.signatures += 1;
            self.checks.push(Check {
                at,
                holder: signer,
                about: None,
            });
            // Where the check fails, it matters no more what later entries say about this one.
            if let (Some(id), Some(digest)) = (entry.text(Group::What, "id"), entry.text(Group::What, "digest")) {
                signed = Some(Signed {
                    id: self.texts.keep(&id),
                    digest: self.texts.keep(&digest),
                });
            }
        }
        let quorum = entry.number(Group::Out, "quorum");
        report.check(!entry.shows(Group::Out) || quorum.is_some(), TERMS, "it names no quorum");
        let emergency = entry.shows(Group::Out).then(|| entry.member(Group::Out, "break_glass"));
        let fits = emergency.flatten().is_none_or(|value| value.text() == "true");
        report.check(fits, TERMS, "it says something else of an emergency than that it is one");
        self.asks_standing(entry, report);
        self.asks_stages(entry, report);
        let masks = masks_of(entry, Group::Obj, report, |group| self.approved_masks.read(group));
        let act = self.names.number(entry.act.unwrap_or_default());
        let dataset = entry.ds.map(|ds| self.names.number(ds));
        self.requests.push(
            entry.index,
            Request {
                act,
                holder,
                dataset,
                quorum,
                masks: masks.map(|masks| masks.hash),
                signed,
                emergency: emergency.map(|value| value.is_some()),
                opened: false,
                ended: false,
                granted: false,
                withheld: is_withheld(entry, report),
            },
        );
    }

    pub(super) fn request_end(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let of = reference(entry, 0);
        if let Some(request) = self.requests.get_mut(of) {
            report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
            request.ended = true;
            self.reviewers.remove(&of);
            withheld(entry, request.withheld, report);
        }
    }

    pub(super) fn review(&mut self, at: usize, entry: &Disclosed<'_>, report: &mut Report<'_>, counts: &mut Counts) {
        self.under(entry, 1, report);
        let of = reference(entry, 0);
        let approves = entry.kind == Kind::ReviewApprove;
        let decided = if approves { Decision::Allow } else { Decision::Deny };
        report.check(entry.dec == Some(decided), CLOSURE, "its verdict and its decision differ");
        let act = self.names.number(entry.act.unwrap_or_default());
        let holder = self.session_of(entry, 1).and_then(|session| session.holder);
        let escalated = self.by_escalation(entry, report);
        let Some(request) = self.requests.get_mut(of) else { return };
        withheld(entry, request.withheld, report);
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        report.check(act != request.act, CLOSURE, "the requester reviewed the request");
        let reviewers = self.reviewers.entry(of).or_default();
        report.check(!reviewers.contains(&act), CLOSURE, "one person reviewed twice");
        reviewers.push(act);
        request.ended |= !approves;
        if request.ended || request.granted {
            self.reviewers.remove(&of);
        }
        self.verdict(at, entry, of, holder, report, counts);
        self.reviews.push(
            entry.index,
            Review {
                request: of,
                act,
                holder,
                open: reference(entry, 1),
                escalated,
                approves,
                withheld: is_withheld(entry, report),
            },
        );
    }

    /// Who gave a verdict on this request, and did they sign it?
    pub(super) fn verdict(
        &mut self,
        at: usize,
        entry: &Disclosed<'_>,
        request: u64,
        holder: Option<u32>,
        report: &mut Report<'_>,
        counts: &mut Counts,
    ) {
        let Some((signed, requester)) = self.requests.get(request).map(|request| (request.signed, request.holder)) else {
            return;
        };
        self.ssh_verdict(entry, report);
        let reviewer = self.holder(holder).cloned();
        if let (Some(reviewer), Some(requester)) = (&reviewer, self.holder(requester)) {
            report.check(!reviewer.is(requester), PEOPLE, "the requester reviewed the request");
            report.check(
                reviewer.public_key != requester.public_key,
                PEOPLE,
                "the verdict is by the requester's key",
            );
        }
        if let (true, Some(reviewer), Some(signed)) = (entry.shows(Group::What), reviewer, signed) {
            counts.signatures += 1;
            self.vouch(holder, &reviewer, entry.text(Group::Who, "ssh_key").as_deref(), report);
            self.checks.push(Check {
                at,
                holder: reviewer,
                about: Some((self.texts.get(signed.id).to_owned(), self.texts.get(signed.digest).to_owned())),
            });
        }
    }

    pub(super) fn grant_issue(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let of = reference(entry, 0);
        let act = entry.act.map(|act| self.names.number(act));
        if let Some(act) = act {
            self.not_suspended(act, report);
        }
        let by_use = self.grant_by_use(entry, report);
        let approvals: Vec<&Review> = entry.refs.iter().skip(1).filter_map(|index| self.reviews.get(*index)).collect();
        let Some(request) = self.requests.get_mut(of) else { return };
        withheld(entry, request.withheld || approvals.iter().any(|review| review.withheld), report);
        report.check(
            !request.ended && !request.granted,
            CLOSURE,
            "the request had ended or been granted before",
        );
        request.granted = true;
        self.reviewers.remove(&of);
        report.check(act == Some(request.act), CLOSURE, "it is for another person than the requester");
        let fitting = approvals.iter().all(|review| review.request == of && review.approves);
        report.check(fitting, CLOSURE, "it rests on a verdict that is no approval of its request");
        let acts: HashSet<u32> = approvals.iter().map(|review| review.act).collect();
        report.check(acts.len() == approvals.len(), CLOSURE, "it counts one person twice");
        if let Some(quorum) = request.quorum {
            // What is used under a standing grant was approved with it.
            let enough = by_use
                .unwrap_or(Some(acts.len() as u64))
                .is_none_or(|approvals| approvals >= quorum);
            report.check(enough, TERMS, "it has fewer approvals than its request needed");
        }
        if let Some(emergency) = request.emergency {
            let what = "a request in an emergency has a `breakglass.open` before its grant, and no other has one";
            // Of a request before the range, what followed it is not all shown.
            let unseen = emergency && of < self.from;
            report.check(request.opened == emergency || unseen, TERMS, what);
        }
        if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
            let same = entry.says(Group::What, "id", self.texts.get(signed.id))
                && entry.says(Group::What, "digest", self.texts.get(signed.digest));
            report.check(same, SIGNATURES, "it is for another request than the one signed");
        }
        if let (Some(window), Some(expires_ms)) = (self.stages.window(of), entry.number(Group::Out, "expires_ms")) {
            report.check(expires_ms <= window.until_ms, TERMS, "it outlasts the time in which it may be used");
        }
        let grant = Grant {
            request: of,
            act: request.act,
            expires_ms: entry.number(Group::Out, "expires_ms"),
            taken: false,
            ended: false,
            withheld: is_withheld(entry, report),
        };
        let holders: Vec<_> = approvals.iter().filter_map(|review| self.holder(review.holder)).collect();
        let people: HashSet<(&str, &str)> = holders
            .iter()
            .map(|holder| (holder.issuer.as_str(), holder.subject.as_str()))
            .collect();
        report.check(people.len() == holders.len(), PEOPLE, "it counts one person twice");
        report.check(
            self.filled(of, entry.refs.get(1..).unwrap_or_default()),
            PEOPLE,
            "an approval is by somebody whom its stage does not take",
        );
        self.standing.issued(of, entry.index, acts.len() as u64);
        self.grants.push(entry.index, grant);
    }

    pub(super) fn grant_take(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let act = entry.act.map(|act| self.names.number(act));
        if let Some(grant) = self.grants.get_mut(reference(entry, 0)) {
            report.check(!grant.taken, CLOSURE, "the grant had been taken before");
            report.check(!grant.ended, CLOSURE, "the grant had ended");
            report.check(act == Some(grant.act), CLOSURE, "another person took the grant");
            let in_time = grant.expires_ms.is_none_or(|end| entry.t.cast_unsigned() <= end);
            report.check(in_time, TERMS, "the grant had run out");
            report.check(
                !self.standing.is_grant(reference(entry, 0)),
                TERMS,
                "a standing grant is taken for a request",
            );
            grant.taken = true;
            withheld(entry, grant.withheld, report);
        }
    }
}
