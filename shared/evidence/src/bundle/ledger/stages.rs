//! Reviews in stages: so many people of these groups, then so many of those, or the requester's manager; what is escalated to others;
//! and what may be fetched within a window of time only.
//!
//! Few requests say anything of this, so what is remembered of them stands apart from what is remembered of every request.

use std::collections::{HashMap, HashSet};

use super::{Ledger, Report, Review, is_withheld, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, TERMS};
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::{Escalation, Giver, Managed, Manager, Stage, Window, fills, stages};

/// What requests say of who reviews them and when, by index, and what sessions say of people, of which there is little.
#[derive(Default)]
pub(super) struct Stages {
    asked: HashMap<u64, Asked>,
    /// Requests that were escalated.
    escalated: HashSet<u64>,
    /// By index of `request.escalate`.
    escalations: HashMap<u64, Escalated>,
    values: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

/// What a request says of who reviews it, and when it may be fetched.
struct Asked {
    /// When it was made.
    t: i64,
    /// Index of the requester's `session.open`.
    open: u64,
    stages: Vec<Stage>,
    escalation: Option<Escalation>,
    window: Option<Window>,
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

    /// Whether two requests are reviewed by the same rule.
    pub(super) fn same(&self, one: u64, other: u64) -> bool {
        let rule = |of| {
            self.asked
                .get(&of)
                .map(|asked| (asked.stages.as_slice(), asked.escalation.as_ref()))
        };
        rule(one).unwrap_or_default() == rule(other).unwrap_or_default()
    }

    /// When a request may be fetched, where it says so.
    pub(super) fn window(&self, request: u64) -> Option<Window> {
        self.asked.get(&request)?.window
    }

    /// Whether this is the index of a `request.escalate`.
    pub(super) fn is_escalation(&self, index: u64) -> bool {
        self.escalations.contains_key(&index)
    }
}

impl Ledger<'_> {
    /// Remembers what a request says of its review and its time, if it says anything.
    pub(super) fn asks_stages(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let [staged, escalated, windowed] = ["stages", "escalation", "window"].map(|name| entry.member(Group::Out, name));
        if staged.or(escalated).or(windowed).is_none() {
            return;
        }
        let quorum = entry.number(Group::Out, "quorum");
        let read = staged.and_then(|staged| stages(staged, quorum?));
        let read = read.filter(|read| !read.iter().any(|stage| matches!(stage.manager, Some(Manager::Named(_)))));
        let (escalation, window) = (escalated.and_then(Escalation::of), windowed.and_then(Window::of));
        for (fits, what) in [
            (read.is_some() == staged.is_some(), "its stages do not add up to its quorum"),
            (
                escalation.is_some() == escalated.is_some(),
                "it does not say to whom it is escalated, and when",
            ),
            (window.is_some() == windowed.is_some(), "it does not say when it may be fetched"),
        ] {
            report.check(fits, TERMS, what);
        }
        let asked = Asked {
            t: entry.t,
            open: reference(entry, 0),
            stages: read.unwrap_or_default(),
            escalation,
            window,
        };
        self.stages.asked.insert(entry.index, asked);
    }

    /// A request has waited so long that others may review it.
    pub(super) fn escalate(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let of = reference(entry, 0);
        let Some(request) = self.requests.get(of) else { return };
        withheld(entry, request.withheld, report);
        report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
        report.check(self.stages.escalated.insert(of), CLOSURE, "the request had been escalated before");
        // What is shown of a request shows whether it goes to anybody.
        if request.quorum.is_some() {
            let asked = self.stages.asked.get(&of);
            let due = asked.and_then(|asked| Some(asked.t + asked.escalation.as_ref()?.after_s.cast_signed() * 1000));
            report.check(due.is_some_and(|due| entry.t >= due), TERMS, "it goes to nobody, or not yet");
        }
        let escalated = Escalated {
            request: of,
            withheld: is_withheld(entry, report),
        };
        self.stages.escalations.insert(entry.index, escalated);
    }

    /// Whether a verdict counts by escalation alone: it points to that of its request.
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
        let Some(asked) = self.stages.asked.get(&request) else {
            return true;
        };
        let asker = self.sessions.get(asked.open).and_then(|session| {
            Some(Managed {
                issuer: &self.holder(session.holder)?.issuer,
                manager: self.stages.value(session.said.manager),
            })
        });
        let mut approvals: Vec<(u64, &Review)> = approvals
            .iter()
            .filter_map(|index| Some((*index, self.reviews.get(*index)?)))
            .collect();
        approvals.sort_unstable_by_key(|(index, _)| *index);
        let givers = approvals.into_iter().map(|(_, review)| {
            let (holder, session) = (self.holder(review.holder)?, self.sessions.get(review.open)?);
            Some(Giver {
                issuer: &holder.issuer,
                subject: &holder.subject,
                email: self.stages.value(session.said.email),
                groups: self.stages.value(session.said.groups),
                escalated: review.escalated,
            })
        });
        fills(&asked.stages, asked.escalation.as_ref(), asker, givers)
    }
}
