//! Requests, verdicts and grants: may each stand where it stands, and did the people named sign it.

use std::collections::HashSet;

use serde_json::Value;

use super::{Grant, Ledger, Report, Request, Review, is_withheld, masks_of, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, PEOPLE, SIGNATURES, TERMS};
use crate::disclosed::Disclosed;
use crate::leaf::{Decision, Kind};
use crate::signed::{Holder, SignedRequest, check_review};
use crate::trust::Vouched;

impl Ledger<'_> {
    pub(super) fn request_create(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
        let header = &entry.leaf.header;
        self.under(entry, 0, report);
        report.check(
            header.dec == Some(Decision::Allow),
            CLOSURE,
            "a request that stands must have been allowed",
        );
        report.check(header.pol.is_some(), CLOSURE, "a request must name the policy it was decided under");
        let session = reference(entry, 0);
        let holder = self.sessions.get(&session).and_then(|session| session.holder.as_ref());
        let mut signed = None;
        if let (true, Some(holder)) = (entry.shows(Group::What), holder) {
            match SignedRequest::of(entry, holder) {
                Err(what) => report.fault(SIGNATURES, what),
                Ok(request) => {
                    counts.signatures += 1;
                    signed = Some(SignedRequest {
                        document: Value::Null,
                        ..request
                    });
                }
            }
        }
        let quorum = entry.body().number(Group::Out, "quorum");
        report.check(!entry.shows(Group::Out) || quorum.is_some(), TERMS, "it names no quorum");
        self.requests.insert(
            entry.index,
            Request {
                act: header.act.clone().unwrap_or_default(),
                session,
                dataset: header.ds.clone(),
                ended: false,
                granted: false,
                reviewers: Vec::new(),
                quorum,
                masks: masks_of(entry, Group::Obj, "name", report),
                signed,
                withheld: is_withheld(entry),
            },
        );
    }

    pub(super) fn review(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
        let header = &entry.leaf.header;
        self.under(entry, 1, report);
        let (of, session) = (reference(entry, 0), reference(entry, 1));
        let approves = header.kind == Kind::ReviewApprove;
        let act = header.act.clone().unwrap_or_default();
        let decided = if approves { Decision::Allow } else { Decision::Deny };
        report.check(header.dec == Some(decided), CLOSURE, "its verdict and its decision differ");
        let Some(request) = self.requests.get_mut(&of) else { return };
        withheld(entry, request.withheld, report);
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        report.check(act != request.act, CLOSURE, "the requester reviewed the request");
        report.check(!request.reviewers.contains(&act), CLOSURE, "one person reviewed twice");
        request.reviewers.push(act.clone());
        request.ended |= !approves;
        let reviewer = self.sessions.get(&session).and_then(|session| session.holder.as_ref());
        let requester = self.sessions.get(&request.session).and_then(|session| session.holder.as_ref());
        if let (Some(reviewer), Some(requester)) = (reviewer, requester) {
            report.check(!reviewer.is(requester), PEOPLE, "the requester reviewed the request");
            report.check(
                reviewer.public_key != requester.public_key,
                PEOPLE,
                "the verdict is by the requester's key",
            );
        }
        if let (true, Some(reviewer), Some(request)) = (entry.shows(Group::What), reviewer, &request.signed) {
            match check_review(entry, reviewer, request) {
                Err(what) => report.fault(SIGNATURES, what),
                Ok(_) => {
                    counts.signatures += 1;
                    match self
                        .trust
                        .map(|trust| trust.vouches(&reviewer.issuer, &reviewer.subject, &reviewer.key))
                    {
                        Some(Vouched::Yes) | None => {}
                        Some(Vouched::OtherKey) => report.fault(SIGNATURES, "the trust policy knows other keys of this reviewer"),
                        Some(Vouched::ByOperatorOnly) => report.findings.unknown(
                            SIGNATURES,
                            format!(
                                "only the log itself says that key {} is {}'s ({})",
                                reviewer.key, reviewer.subject, reviewer.issuer
                            ),
                        ),
                    }
                }
            }
        }
        self.reviews.insert(
            entry.index,
            Review {
                request: of,
                approves,
                act,
                session,
                withheld: is_withheld(entry),
            },
        );
    }

    pub(super) fn grant_issue(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        let header = &entry.leaf.header;
        let of = reference(entry, 0);
        let approvals: Vec<&Review> = header.refs.iter().skip(1).filter_map(|index| self.reviews.get(index)).collect();
        let Some(request) = self.requests.get_mut(&of) else { return };
        withheld(entry, request.withheld || approvals.iter().any(|review| review.withheld), report);
        report.check(
            !request.ended && !request.granted,
            CLOSURE,
            "the request had ended or been granted before",
        );
        request.granted = true;
        report.check(
            header.act.as_deref() == Some(&request.act),
            CLOSURE,
            "it is for another person than the requester",
        );
        let fitting = approvals.iter().all(|review| review.request == of && review.approves);
        report.check(fitting, CLOSURE, "it rests on a verdict that is no approval of its request");
        let acts: HashSet<&str> = approvals.iter().map(|review| review.act.as_str()).collect();
        report.check(acts.len() == approvals.len(), CLOSURE, "it counts one person twice");
        if let Some(quorum) = request.quorum {
            report.check(acts.len() as u64 >= quorum, TERMS, "it has fewer approvals than its request needed");
        }
        let holders: Vec<&Holder> = approvals
            .iter()
            .filter_map(|review| self.sessions.get(&review.session)?.holder.as_ref())
            .collect();
        let people: HashSet<(&str, &str)> = holders
            .iter()
            .map(|holder| (holder.issuer.as_str(), holder.subject.as_str()))
            .collect();
        report.check(people.len() == holders.len(), PEOPLE, "it counts one person twice");
        if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
            let same = entry.text(Group::What, "id") == Some(&signed.id) && entry.text(Group::What, "digest") == Some(&signed.digest);
            report.check(same, SIGNATURES, "it is for another request than the one signed");
        }
        self.grants.insert(
            entry.index,
            Grant {
                request: of,
                act: request.act.clone(),
                taken: false,
                ended: false,
                expires_ms: entry.body().number(Group::Out, "expires_ms"),
                withheld: is_withheld(entry),
            },
        );
    }

    pub(super) fn grant_take(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let header = &entry.leaf.header;
        if let Some(grant) = self.grants.get_mut(&reference(entry, 0)) {
            report.check(!grant.taken, CLOSURE, "the grant had been taken before");
            report.check(!grant.ended, CLOSURE, "the grant had ended");
            report.check(header.act.as_deref() == Some(&grant.act), CLOSURE, "another person took the grant");
            let in_time = grant.expires_ms.is_none_or(|end| header.t.cast_unsigned() <= end);
            report.check(in_time, TERMS, "the grant had run out");
            grant.taken = true;
            withheld(entry, grant.withheld, report);
        }
    }
}
