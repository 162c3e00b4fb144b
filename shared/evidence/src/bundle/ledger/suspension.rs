//! What directories say of people: whoever is suspended does nothing until they are restored.

use super::{Ledger, Report, Suspension, is_withheld, reference, withheld};
use crate::bundle::verdict::CLOSURE;
use crate::disclosed::Disclosed;

impl Ledger<'_> {
    pub(super) fn subject_bind(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        report.check(entry.act.is_some(), CLOSURE, "a directory's person must have a pseudonym");
        self.binds.push(entry.index, is_withheld(entry, report));
    }

    pub(super) fn suspend(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let Some(act) = entry.act.map(|act| self.names.number(act)) else {
            return report.fault(CLOSURE, "it names nobody who is suspended");
        };
        if let Some(base) = self.binds.get(reference(entry, 0)) {
            withheld(entry, *base, report);
        }
        let withheld = is_withheld(entry, report);
        self.suspensions.push(entry.index, Suspension { act, withheld });
        self.suspended.insert(act, entry.index);
    }

    pub(super) fn restore(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let act = entry.act.map(|act| self.names.number(act));
        let Some(suspension) = self.suspensions.get(reference(entry, 0)) else {
            return;
        };
        withheld(entry, suspension.withheld, report);
        report.check(
            act == Some(suspension.act),
            CLOSURE,
            "it restores another person than was suspended",
        );
        let newest = self.suspended.get(&suspension.act) == Some(&reference(entry, 0));
        report.check(newest, CLOSURE, "what it takes back is not what holds");
        if newest {
            self.suspended.remove(&suspension.act);
        }
    }

    /// Checks that whoever did it, or was given it, was not suspended.
    pub(super) fn not_suspended(&self, act: u32, report: &mut Report<'_>) {
        report.check(!self.suspended.contains_key(&act), CLOSURE, "its person was suspended");
    }
}
