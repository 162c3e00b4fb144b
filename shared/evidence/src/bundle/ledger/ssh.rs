//! SSH keys: enrolled by their person with proof that they hold them, taken back for good, and used for verdicts in between.

use super::memory::Place;
use super::{Ledger, Report, is_withheld, reference, withheld};
use crate::body::Group;
use crate::bundle::verdict::{CLOSURE, Counts, PEOPLE, SIGNATURES};
use crate::disclosed::Disclosed;
use crate::encode::sha256;
use crate::enrolled::{check_enrolment, enrolled_key};

/// An enrolled key.
pub(super) struct Enrolled {
    act: u32,
    /// Its fingerprint, where that is opened.
    key: Option<Place>,
    revoked: bool,
    withheld: bool,
}

impl Ledger<'_> {
    pub(super) fn key_enroll(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>, counts: &mut Counts) {
        self.under(entry, 0, report);
        let holder = self.session_of(entry, 0).and_then(|session| session.holder);
        let mut key = None;
        if entry.shows(Group::Who) {
            match enrolled_key(entry) {
                None => report.fault(PEOPLE, "the key that is enrolled is not the one that its fingerprint names"),
                Some(fingerprint) => {
                    let fresh = self.ssh_keys_seen.insert(sha256(fingerprint.as_bytes()));
                    report.check(fresh, PEOPLE, "a key is enrolled that was enrolled before");
                    key = Some(self.texts.keep(&fingerprint));
                }
            }
            if let (true, Some(holder)) = (entry.shows(Group::Why), self.holder(holder)) {
                match check_enrolment(entry, holder, self.origin) {
                    Ok(()) => counts.signatures += 1,
                    Err(what) => report.fault(SIGNATURES, what),
                }
            }
        }
        let act = self.names.number(entry.act.unwrap_or_default());
        self.ssh_keys.push(
            entry.index,
            Enrolled {
                act,
                key,
                revoked: false,
                withheld: is_withheld(entry, report),
            },
        );
    }

    pub(super) fn key_revoke(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        if let Some(enrolled) = self.ssh_keys.get_mut(reference(entry, 0)) {
            report.check(!enrolled.revoked, CLOSURE, "the key had been taken back before");
            enrolled.revoked = true;
            withheld(entry, enrolled.withheld, report);
        }
    }

    /// Whether this is what an approval may point to beside its request and session: an escalation, an enrolment, or one and then the other.
    pub(super) fn is_escalation_then_key(&self, rest: &[u64]) -> bool {
        let is_key = |index: &u64| self.ssh_keys.contains(*index);
        match rest {
            [] => true,
            [one] => self.stages.is_escalation(*one) || is_key(one),
            [one, other] => self.stages.is_escalation(*one) && is_key(other),
            _ => false,
        }
    }

    /// Checks that a verdict which carries an SSH signature rests on the enrolment of that key by the same person.
    pub(super) fn ssh_verdict(&self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let named = entry.text(Group::Who, "ssh_key");
        if entry.shows(Group::Who) {
            let points = entry.refs.iter().skip(2).any(|index| self.ssh_keys.contains(*index));
            let fits = entry.member(Group::Who, "ssh_key").is_some() == points;
            report.check(fits, CLOSURE, "it names an SSH key without its enrolment, or the other way round");
        }
        let Some(enrolled) = entry.refs.iter().skip(2).find_map(|index| self.ssh_keys.get(*index)) else {
            return;
        };
        let act = entry.act.and_then(|act| self.names.known(act));
        report.check(act == Some(enrolled.act), CLOSURE, "it is signed with another person's SSH key");
        report.check(!enrolled.revoked, CLOSURE, "its SSH key had been taken back");
        if let (Some(named), Some(key)) = (named, enrolled.key) {
            report.check(
                named == self.texts.get(key),
                PEOPLE,
                "it is signed with another SSH key than the enrolled one",
            );
        }
        withheld(entry, enrolled.withheld, report);
    }
}
