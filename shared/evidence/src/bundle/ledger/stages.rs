//! Reviews in stages: so many people of these groups, then so many of those, or the requester's manager.

use std::collections::HashMap;

use super::{Ledger, Report, Review, is_withheld, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, TERMS};
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::{Escalation, Giver, Managed, Manager, Stage, fills, stages};

/// The stages of requests that have any, by index, and what sessions say of people, of which there is little.
#[derive(Default)]
pub(super) struct Stages {
    of_requests: HashMap<u64, Asked>,
    escalations: HashMap<u64, Escalated>,
    values: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

/// What a request says of who reviews it.
#[derive(PartialEq, Eq)]
struct Asked {
    stages: Vec<Stage>,
    escalation: Option<Escalation>,
}

/// A `request.escalate`.
struct Escalated {
    request: u64,
    withheld: bool,
}

/// What a session says of a person beside who it is: values by number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    groups: Option<u32>,
    email: Option<u32>,
    manager: Option<u32>,
}

impl Stages {
    /// Remembers what a `session.open` says of its person.
    pub(super) fn said(&mut self, session: &Disclosed<'_>) -> Said {
        let mut keep = |name| session.member(Group::Who, name).map(|value| self.keep(value));
        Said {
            groups: keep("groups"),
            email: keep("email"),
            manager: keep("manager"),
        }
    }

    fn keep(&mut self, value: Raw<'_>) -> u32 {
        if let Some(number) = self.numbers.get(value.text()) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.text().into());
        self.numbers.insert(value.text().into(), number);
        number
    }

    fn value(&self, number: Option<u32>) -> Option<Raw<'_>> {
        Some(Raw::known(self.values.get(number? as usize)?))
    }

    /// Whether two requests are reviewed in the same stages.
    pub(super) fn same(&self, one: u64, other: u64) -> bool {
        self.of_requests.get(&one) == self.of_requests.get(&other)
    }
}

impl Ledger<'_> {
    /// Remembers the stages of a request, if it has any.
    pub(super) fn asks_stages(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let (listed, told) = (entry.member(Group::Out, "stages"), entry.member(Group::Out, "escalation"));
        if listed.is_none() && told.is_none() {
            return;
        }
        let quorum = entry.number(Group::Out, "quorum");
        let read = listed.and_then(|listed| stages(listed, quorum?));
        let read = read.filter(|read| !read.iter().any(|stage| matches!(stage.manager, Some(Manager::Named(_)))));
        report.check(
            read.is_some() == listed.is_some(),
            TERMS,
            "its stages do not add up to its quorum",
        );
        let escalation = told.and_then(Escalation::of);
        report.check(
            escalation.is_some() == told.is_some(),
            TERMS,
            "it does not say to whom it is escalated, and when",
        );
        let asked = Asked {
            stages: read.unwrap_or_default(),
            escalation,
        };
        self.stages.of_requests.insert(entry.index, asked);
    }

    /// A request has waited so long that others may review it.
    pub(super) fn escalate(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let of = reference(entry, 0);
        let Some(request) = self.requests.get_mut(of) else { return };
        withheld(entry, request.withheld, report);
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        report.check(!request.escalated, CLOSURE, "the request had been escalated before");
        request.escalated = true;
        // What is shown of a request shows whether it goes to anybody.
        if request.quorum.is_some() {
            let escalation = self.stages.of_requests.get(&of).and_then(|asked| asked.escalation.as_ref());
            let due = escalation.map(|escalation| request.t + escalation.after_s.cast_signed() * 1000);
            report.check(due.is_some_and(|due| entry.t >= due), TERMS, "it goes to nobody, or not yet");
        }
        let escalated = Escalated {
            request: of,
            withheld: is_withheld(entry, report),
        };
        self.stages.escalations.insert(entry.index, escalated);
    }

    /// Whether this is the index of a `request.escalate`.
    pub(super) fn is_escalation(&self, index: u64) -> bool {
        self.stages.escalations.contains_key(&index)
    }

    /// A verdict that counts by escalation alone points to the one of its request.
    pub(super) fn by_escalation(&self, entry: &Disclosed<'_>, report: &mut Report<'_>) -> bool {
        let Some(escalated) = entry.refs.get(2).and_then(|index| self.stages.escalations.get(index)) else {
            return false;
        };
        withheld(entry, escalated.withheld, report);
        let same = escalated.request == reference(entry, 0);
        report.check(same, CLOSURE, "another request was escalated");
        same
    }

    /// Whether these approvals, by index, fill the stages of the request.
    pub(super) fn filled(&self, request: u64, approvals: &[u64]) -> bool {
        let Some(asked) = self.stages.of_requests.get(&request) else {
            return true;
        };
        let asker = self.requests.get(request).and_then(|request| {
            Some(Managed {
                issuer: &self.holder(request.holder)?.issuer,
                manager: self.stages.value(request.said.manager),
            })
        });
        let mut approvals: Vec<(u64, &Review)> = approvals.iter().filter_map(|index| Some((*index, self.reviews.get(*index)?))).collect();
        approvals.sort_unstable_by_key(|(index, _)| *index);
        let givers = approvals.into_iter().map(|(_, review)| {
            let holder = self.holder(review.holder)?;
            Some(Giver {
                issuer: &holder.issuer,
                subject: &holder.subject,
                email: self.stages.value(review.said.email),
                groups: self.stages.value(review.said.groups),
                escalated: review.escalated,
            })
        });
        fills(&asked.stages, asked.escalation.as_ref(), asker, givers)
    }
}
