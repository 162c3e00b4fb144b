//! Standing grants: each use is by the same person, of the same shape, in time, and all of them together within what was approved.
//!
//! Few requests ask for one or use one, so what is remembered of them stands apart from what is remembered of every request.

use std::collections::HashMap;

use super::{Ledger, Report, is_withheld, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, PEOPLE, SIGNATURES, TERMS};
use crate::disclosed::Disclosed;
use crate::dsse::Envelope;
use crate::scan::Raw;
use crate::signed::{Shape, StandingTerms, under};

/// What is known of standing grants and of their uses.
#[derive(Default)]
pub(super) struct Standing {
    /// By index of `request.create`: those that ask for a standing grant or use one.
    asked: HashMap<u64, Asked>,
    /// By index of `grant.issue`.
    grants: HashMap<u64, Issued>,
    /// By index of `grant.take`.
    uses: HashMap<u64, Use>,
    /// Index of the `grant.issue` for one use → that of the standing grant.
    under: HashMap<u64, u64>,
}

/// What a request says of standing grants.
struct Asked {
    terms: Option<StandingTerms>,
    uses: bool,
    /// As signed, where that is shown.
    signed: Option<Document>,
}

struct Document {
    shape: Shape,
    under: Option<(String, String)>,
}

struct Issued {
    terms: StandingTerms,
    approvals: u64,
    rows: u64,
    bytes: u64,
}

struct Use {
    grant: u64,
    request: u64,
    withheld: bool,
}

impl Standing {
    pub(super) fn is_use(&self, take: u64) -> bool {
        self.uses.contains_key(&take)
    }

    /// Whether this grant is known to be a standing one.
    pub(super) fn is_grant(&self, grant: u64) -> bool {
        self.grants.contains_key(&grant)
    }

    /// The standing grant that this one is under.
    pub(super) fn of_grant(&self, grant: u64) -> Option<u64> {
        self.under.get(&grant).copied()
    }

    /// The grant of a request was issued; if the request asked for a standing one, it is that.
    pub(super) fn issued(&mut self, request: u64, grant: u64, approvals: u64) {
        if let Some(terms) = self.asked.get(&request).and_then(|asked| asked.terms) {
            let issued = Issued {
                terms,
                approvals,
                rows: 0,
                bytes: 0,
            };
            self.grants.insert(grant, issued);
        }
    }

    /// Whether anything is left of it, as far as is shown.
    pub(super) fn has_left(&self, grant: u64) -> bool {
        let left = |of: &Issued| of.rows < of.terms.rows && of.bytes < of.terms.bytes;
        self.grants.get(&grant).is_none_or(left)
    }

    /// Whether it bears so much more.
    pub(super) fn bears(&self, grant: u64, rows: u64, bytes: u64) -> bool {
        self.grants
            .get(&grant)
            .is_none_or(|of| of.rows.saturating_add(rows) <= of.terms.rows && of.bytes.saturating_add(bytes) <= of.terms.bytes)
    }

    /// Counts what a delivery under it carried; whether it bears that.
    pub(super) fn carry(&mut self, grant: u64, rows: u64, bytes: u64) -> bool {
        let bears = self.bears(grant, rows, bytes);
        if let Some(of) = self.grants.get_mut(&grant) {
            of.rows = of.rows.saturating_add(rows);
            of.bytes = of.bytes.saturating_add(bytes);
        }
        bears
    }
}

impl Ledger<'_> {
    /// Remembers what a request says of standing grants, if it says anything.
    pub(super) fn asks_standing(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let terms = entry.member(Group::Out, "standing");
        let uses = entry.member(Group::Out, "under").is_some();
        if terms.is_none() && !uses {
            return;
        }
        let read = terms.and_then(StandingTerms::of);
        report.check(
            read.is_some() == terms.is_some(),
            TERMS,
            "it does not say what its standing grant may carry",
        );
        report.check(read.is_none() || !uses, TERMS, "it is a use of a standing grant and asks for one");
        let asked = Asked {
            terms: read,
            uses,
            signed: entry.shows(Group::What).then(|| document(entry)).flatten(),
        };
        self.standing.asked.insert(entry.index, asked);
    }

    /// A standing grant is taken for a request.
    pub(super) fn use_standing(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let (of, used_for) = (reference(entry, 0), reference(entry, 2));
        let act = entry.act.map(|act| self.names.number(act));
        let (Some(grant), Some(request)) = (self.grants.get(of), self.requests.get(used_for)) else {
            return;
        };
        withheld(entry, grant.withheld || request.withheld, report);
        report.check(!grant.ended, CLOSURE, "the standing grant had ended");
        report.check(
            act == Some(grant.act) && act == Some(request.act),
            CLOSURE,
            "another person used the standing grant",
        );
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        let in_time = grant.expires_ms.is_none_or(|end| entry.t.cast_unsigned() <= end);
        report.check(in_time, TERMS, "the standing grant had run out");
        if let Some(approved) = self.requests.get(grant.request) {
            report.check(
                request.dataset == approved.dataset,
                CLOSURE,
                "it is for other datasets than were approved",
            );
            if let (Some(masks), Some(approved)) = (&request.masks, &approved.masks) {
                report.check(masks == approved, TERMS, "its columns and masks are not the ones approved");
            }
            if request.quorum.is_some() && approved.quorum.is_some() {
                report.check(
                    self.stages.same(used_for, grant.request),
                    TERMS,
                    "it asks for other people's approvals",
                );
            }
            if let (Some(person), Some(other)) = (self.holder(request.holder), self.holder(approved.holder)) {
                report.check(person.is(other), PEOPLE, "another person used the standing grant");
            }
            // Whether it was a standing grant, and this a use of one, is in the requests' own words, where they are shown.
            if approved.quorum.is_some() {
                report.check(self.standing.is_grant(of), TERMS, "the grant it takes is for one delivery");
            }
            let (asked, before) = (self.standing.asked.get(&used_for), self.standing.asked.get(&grant.request));
            if request.quorum.is_some() {
                report.check(
                    asked.is_some_and(|asked| asked.uses),
                    TERMS,
                    "the request does not say that it is a use",
                );
            }
            let signed = |asked: Option<&'_ Asked>| asked.is_some_and(|asked| asked.signed.is_some());
            if let (true, true, Some(approved_as)) = (signed(asked), signed(before), &approved.signed) {
                let (id, digest) = (self.texts.get(approved_as.id), self.texts.get(approved_as.digest));
                let fits = |used: &Document, granted: &Document| {
                    let named = used.under.as_ref().is_some_and(|(request, of)| request == id && of == digest);
                    named && used.shape.is_within(&granted.shape)
                };
                let used = asked.and_then(|asked| asked.signed.as_ref());
                let granted = before.and_then(|asked| asked.signed.as_ref());
                let fits = used.zip(granted).is_some_and(|(used, granted)| fits(used, granted));
                report.check(fits, SIGNATURES, "what was signed is not a use of what was approved");
            }
            if let (true, Some(approved_as), Some(asked_as)) = (entry.shows(Group::What), &approved.signed, &request.signed) {
                let same = entry.says(Group::What, "id", self.texts.get(approved_as.id))
                    && entry.says(Group::What, "request", self.texts.get(asked_as.id));
                report.check(same, SIGNATURES, "it names other requests than those signed");
            }
        }
        let taken = Use {
            grant: of,
            request: used_for,
            withheld: is_withheld(entry, report),
        };
        self.standing.uses.insert(entry.index, taken);
    }

    /// Of a grant that rests on the use of a standing one: how many approvals that had, as far as is shown; absent of any other grant.
    pub(super) fn grant_by_use(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) -> Option<Option<u64>> {
        let of = reference(entry, 0);
        let Some(taken) = self.standing.uses.get(&reference(entry, 1)) else {
            let uses = self.standing.asked.get(&of).is_some_and(|asked| asked.uses);
            report.check(!uses, TERMS, "its request is a use of a standing grant, and that was not taken");
            return None;
        };
        withheld(entry, taken.withheld, report);
        report.check(taken.request == of, CLOSURE, "the standing grant was taken for another request");
        let ends = self.grants.get(taken.grant).and_then(|grant| grant.expires_ms);
        let outlasts = entry
            .number(Group::Out, "expires_ms")
            .zip(ends)
            .is_some_and(|(own, above)| own > above);
        report.check(!outlasts, TERMS, "it outlasts the standing grant it is under");
        let approvals = self.standing.grants.get(&taken.grant).map(|grant| grant.approvals);
        self.standing.under.insert(entry.index, taken.grant);
        Some(approvals)
    }
}

/// What was signed, read without a look at the signature, which is checked elsewhere.
fn document(entry: &Disclosed<'_>) -> Option<Document> {
    let envelope: Envelope = serde_json::from_str(entry.member(Group::What, "envelope")?.text()).ok()?;
    let payload = String::from_utf8(envelope.payload_bytes().ok()?).ok()?;
    let document = Raw::parse(&payload).ok()?;
    Some(Document {
        shape: Shape::of(document),
        under: under(document),
    })
}
