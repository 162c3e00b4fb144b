//! Reviews in stages: so many people of these groups, then so many of those, or the requester's manager.

use std::collections::HashMap;

use super::{Ledger, Report, Review};
use crate::body::Group;
use crate::bundle::verdict::TERMS;
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::{Giver, Managed, Manager, Stage, fills, stages};

/// The stages of requests that have any, by index, and what sessions say of people, of which there is little.
#[derive(Default)]
pub(super) struct Stages {
    of_requests: HashMap<u64, Vec<Stage>>,
    values: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
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
        let Some(listed) = entry.member(Group::Out, "stages") else { return };
        let read = entry.number(Group::Out, "quorum").and_then(|quorum| stages(listed, quorum));
        let read = read.filter(|read| !read.iter().any(|stage| matches!(stage.manager, Some(Manager::Named(_)))));
        report.check(read.is_some(), TERMS, "its stages do not add up to its quorum");
        if let Some(stages) = read {
            self.stages.of_requests.insert(entry.index, stages);
        }
    }

    /// Whether these approvals, by index, fill the stages of the request.
    pub(super) fn filled(&self, request: u64, approvals: &[u64]) -> bool {
        let Some(stages) = self.stages.of_requests.get(&request) else {
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
            })
        });
        fills(stages, asker, givers)
    }
}
