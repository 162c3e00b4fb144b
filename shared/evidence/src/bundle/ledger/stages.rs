//! Reviews in stages: so many people of one group, then so many of another.

use std::collections::HashMap;

use super::{Ledger, Report};
use crate::body::Group;
use crate::bundle::verdict::TERMS;
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::{Stage, fills, stages};

/// The stages of requests that have any, by index, and lists of groups, of which there are few.
#[derive(Default)]
pub(super) struct Stages {
    of_requests: HashMap<u64, Vec<Stage>>,
    lists: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Stages {
    /// Remembers a list of groups by a number.
    pub(super) fn keep(&mut self, list: Raw<'_>) -> u32 {
        if let Some(number) = self.numbers.get(list.text()) {
            return *number;
        }
        let number = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        self.lists.push(list.text().into());
        self.numbers.insert(list.text().into(), number);
        number
    }

    /// Whether these approvals, by index and with the groups of whoever gave them, fill the stages of the request.
    pub(super) fn filled(&self, request: u64, mut approvals: Vec<(u64, Option<u32>)>) -> bool {
        let Some(stages) = self.of_requests.get(&request) else {
            return true;
        };
        approvals.sort_unstable();
        let groups = approvals.iter().map(|(_, groups)| {
            let list = self.lists.get((*groups)? as usize)?;
            Some(Raw::known(list))
        });
        fills(stages, groups)
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
        report.check(read.is_some(), TERMS, "its stages do not add up to its quorum");
        if let Some(stages) = read {
            self.stages.of_requests.insert(entry.index, stages);
        }
    }
}
