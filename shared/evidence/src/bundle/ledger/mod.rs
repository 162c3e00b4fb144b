//! Follows every entry in log order and checks that it may stand where it stands: what it points to, what became of that
//! before, and, as far as bodies are opened, that terms, people and signatures fit.
//!
//! It keeps a little about each session, request, review, grant and delivery, and never a row. Signatures are what costs time:
//! which ones are to be checked is collected here, and they are checked elsewhere, several at once.

mod approval;
mod attested;
mod breakglass;
mod delivery;
mod disposal;
mod memory;
mod ssh;
mod stages;
mod standing;
mod suspension;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) use disposal::disposes;
use memory::{MaskReader, Masks, Names, Place, Table, Texts};
use ssh::Enrolled;
use stages::{Said, Stages};
use standing::Standing;

use super::verdict::{CLOSURE, Counts, Findings, ORDER, PEOPLE, TERMS};
use crate::body::Group;
use crate::disclosed::{Disclosed, Opened};
use crate::encode::sha256;
use crate::leaf::{Decision, Kind};
use crate::merkle::Hash;
use crate::scan::Raw;
use crate::signed::{Holder, Misfit, SignedRequest, check_review};
use crate::trust::Trust;

struct Session {
    act: u32,
    sid: Place,
    holder: Option<u32>,
    said: Said,
    closed: bool,
    withheld: bool,
}

struct Request {
    act: u32,
    /// Of the session it was made under.
    holder: Option<u32>,
    dataset: Option<u32>,
    quorum: Option<u64>,
    /// Hash of the masks approved.
    masks: Option<Hash>,
    signed: Option<Signed>,
    /// Whether it says that it is an emergency, where that is shown.
    emergency: Option<bool>,
    /// A `breakglass.open` is of it.
    opened: bool,
    /// Rejected, cancelled or expired.
    ended: bool,
    granted: bool,
    withheld: bool,
}

/// What was signed: id and digest, the latter as in `sha256sum`.
#[derive(Clone, Copy)]
struct Signed {
    id: Place,
    digest: Place,
}

/// An emergency, and who has reviewed it since.
struct Breakglass {
    request: u64,
    reviewers: Vec<u32>,
    withheld: bool,
}

struct Review {
    request: u64,
    act: u32,
    holder: Option<u32>,
    /// Index of the session it was given under.
    open: u64,
    /// It counts for whoever it was escalated to.
    escalated: bool,
    approves: bool,
    withheld: bool,
}

struct Grant {
    request: u64,
    act: u32,
    expires_ms: Option<u64>,
    taken: bool,
    ended: bool,
    withheld: bool,
}

/// Somebody may do nothing.
struct Suspension {
    act: u32,
    withheld: bool,
}

struct Intent {
    ended: bool,
    withheld: bool,
}

/// An intent that has no outcome yet.
#[derive(Default)]
struct Running {
    rows: u64,
    bytes: u64,
    /// Digest of that many bytes.
    sha256: Option<Box<str>>,
    masks: Option<Masks>,
    request: Option<Box<str>>,
    /// The standing grant under which it reads.
    standing: Option<u64>,
}

struct Outcome {
    /// Of what was delivered; absent where that is not shown.
    sha256: Option<Hash>,
    done: bool,
    withheld: bool,
}

/// A signature to check: of the entry at this place in its page, by this person.
pub(super) struct Check {
    at: usize,
    holder: Arc<Holder>,
    /// Id and digest of the request that a verdict is about; a request is about itself.
    about: Option<(String, String)>,
}

impl Check {
    /// Checks the signature and what was signed. Gives the entry's index, and what does not fit.
    pub(super) fn run(&self, page: &crate::disclosed::Page) -> Option<(u64, Misfit)> {
        let entry = page.get(self.at)?;
        let checked = match &self.about {
            None => SignedRequest::of(&entry, &self.holder).map(drop),
            Some((id, digest)) => check_review(&entry, &self.holder, id, digest).map(drop),
        };
        checked.err().map(|what| (entry.index, what))
    }
}

/// The state of the log as far as a verifier needs it.
pub(super) struct Ledger<'a> {
    /// First index of the range: what happened before is known only where context shows it.
    from: u64,
    origin: &'a str,
    trust: Option<&'a Trust>,
    last_t: i64,
    sessions: Table<Session>,
    session_ids: HashSet<Hash>,
    requests: Table<Request>,
    /// Who reviewed requests that are neither granted nor ended.
    reviewers: HashMap<u64, Vec<u32>>,
    reviews: Table<Review>,
    breakglass: Table<Breakglass>,
    grants: Table<Grant>,
    intents: Table<Intent>,
    running: HashMap<u64, Running>,
    standing: Standing,
    stages: Stages,
    outcomes: Table<Outcome>,
    /// Whether the body of each `policy.load` is withheld.
    policies: Table<bool>,
    /// Whether the body of each `subject.bind` is withheld.
    binds: Table<bool>,
    suspensions: Table<Suspension>,
    ssh_keys: Table<Enrolled>,
    /// Hashes of the fingerprints of all that were ever enrolled.
    ssh_keys_seen: HashSet<Hash>,
    /// Index of the suspension that holds, by pseudonym.
    suspended: HashMap<u32, u64>,
    /// The person behind each pseudonym.
    people: HashMap<u32, (u32, u32)>,
    holders: Vec<Arc<Holder>>,
    holder_numbers: HashMap<Hash, u32>,
    /// Of these an identity provider whom the auditor believes has said that the key is theirs.
    attested: HashSet<u32>,
    names: Names,
    texts: Texts,
    approved_masks: MaskReader,
    planned_masks: MaskReader,
    /// Signatures to check in the page that is being admitted.
    checks: Vec<Check>,
}

/// Where a fault goes, with the entry it is about.
struct Report<'f> {
    findings: &'f mut Findings,
    index: u64,
    /// Whether it rests on something that is withheld, directly or through others.
    on_withheld: bool,
}

impl Report<'_> {
    fn fault(&mut self, claim: &'static str, what: &str) {
        self.findings.fault(claim, Some(self.index), what);
    }

    fn check(&mut self, holds: bool, claim: &'static str, what: &str) {
        if !holds {
            self.fault(claim, what);
        }
    }
}

impl<'a> Ledger<'a> {
    /// A ledger for a range that begins at `from`. Without trust, nobody vouches for reviewers' keys.
    pub(super) fn new(from: u64, origin: &'a str, trust: Option<&'a Trust>) -> Self {
        Self {
            from,
            origin,
            trust,
            last_t: 0,
            sessions: Table::default(),
            session_ids: HashSet::new(),
            requests: Table::default(),
            reviewers: HashMap::new(),
            reviews: Table::default(),
            breakglass: Table::default(),
            grants: Table::default(),
            intents: Table::default(),
            running: HashMap::new(),
            standing: Standing::default(),
            stages: Stages::default(),
            outcomes: Table::default(),
            policies: Table::default(),
            binds: Table::default(),
            suspensions: Table::default(),
            ssh_keys: Table::default(),
            ssh_keys_seen: HashSet::new(),
            suspended: HashMap::new(),
            people: HashMap::new(),
            holders: Vec::new(),
            holder_numbers: HashMap::new(),
            attested: HashSet::new(),
            names: Names::default(),
            texts: Texts::default(),
            approved_masks: MaskReader::new("name"),
            planned_masks: MaskReader::new("column"),
            checks: Vec::new(),
        }
    }

    /// Admits the next entry in log order, which stands at this place in its page.
    pub(super) fn admit(&mut self, at: usize, entry: &Disclosed<'_>, findings: &mut Findings, counts: &mut Counts) {
        let mut report = Report {
            findings,
            index: entry.index,
            on_withheld: false,
        };
        report.check(entry.t >= self.last_t, ORDER, "its time is before that of the entry before it");
        self.last_t = self.last_t.max(entry.t);
        let earlier = entry.refs.iter().chain(&entry.pol).all(|index| *index < entry.index);
        report.check(earlier, ORDER, "it points to an entry that is not earlier");
        self.policy(entry, &mut report);
        let first = (entry.index == 0) == (entry.kind == Kind::LogGenesis);
        report.check(first, ORDER, "a log begins with `log.genesis`, and only there");
        if !self.points_right(entry) {
            report.fault(ORDER, "it does not point to the entries its kind must point to");
            return;
        }
        match entry.kind {
            Kind::LogGenesis => {
                let fits = !entry.shows(Group::Env) || entry.says(Group::Env, "origin", self.origin);
                report.check(fits, CLOSURE, "it is of another origin");
            }
            Kind::PolicyLoad => self.policies.push(entry.index, is_withheld(entry, &report)),
            Kind::SessionOpen => self.session_open(entry, &mut report),
            Kind::SessionClose => self.session_close(entry, &mut report),
            Kind::SubjectBind => self.subject_bind(entry, &mut report),
            Kind::PersonSuspend => self.suspend(entry, &mut report),
            Kind::PersonRestore => self.restore(entry, &mut report),
            Kind::KeyEnroll => self.key_enroll(entry, &mut report, counts),
            Kind::KeyRevoke => self.key_revoke(entry, &mut report),
            Kind::RequestCreate => self.request_create(at, entry, &mut report, counts),
            Kind::RequestDeny => {
                self.under(entry, 0, &mut report);
                report.check(entry.dec == Some(Decision::Deny), CLOSURE, "a denied request must say so");
            }
            Kind::RequestCancel | Kind::RequestExpire => self.request_end(entry, &mut report),
            Kind::RequestEscalate => self.escalate(entry, &mut report),
            Kind::ReviewApprove | Kind::ReviewReject => self.review(at, entry, &mut report, counts),
            Kind::BreakglassOpen => self.breakglass_open(entry, &mut report),
            Kind::BreakglassReview => self.breakglass_review(at, entry, &mut report, counts),
            Kind::GrantIssue => self.grant_issue(entry, &mut report),
            Kind::GrantTake if entry.refs.len() > 2 => self.use_standing(entry, &mut report),
            Kind::GrantTake => self.grant_take(entry, &mut report),
            Kind::GrantRevoke | Kind::GrantExpire => {
                if let Some(grant) = self.grants.get_mut(reference(entry, 0)) {
                    report.check(!grant.ended, CLOSURE, "the grant had ended before");
                    grant.ended = true;
                    withheld(entry, grant.withheld, &mut report);
                }
            }
            Kind::FetchIntent => self.intent(entry, &mut report),
            Kind::FetchProgress => self.progress(entry, &mut report),
            Kind::FetchOutcome => self.outcome(entry, &mut report, counts),
            Kind::DeliveryAck => self.ack(entry, &mut report),
            Kind::AuditRead | Kind::AuditExport | Kind::Erase => self.under(entry, 0, &mut report),
            Kind::RetentionDispose => disposal::check(entry, &mut report),
            _ => {}
        }
    }

    /// The signatures to check among the entries admitted since the last call.
    pub(super) fn take_checks(&mut self) -> Vec<Check> {
        std::mem::take(&mut self.checks)
    }

    /// Intents of the range that have no outcome yet.
    pub(super) fn intents_open(&self) -> u64 {
        self.running.keys().filter(|index| **index >= self.from).count() as u64
    }

    /// Checks that the policy it names is one, and, where people or data depend on it, the one in force.
    fn policy(&self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        if let Some(pol) = entry.pol {
            match self.policies.get(pol) {
                None => report.fault(ORDER, "the policy it was decided under is not a `policy.load`"),
                Some(base) => withheld(entry, *base, report),
            }
        }
        let decides = matches!(
            entry.kind,
            Kind::FetchIntent | Kind::ReviewApprove | Kind::ReviewReject | Kind::BreakglassOpen | Kind::BreakglassReview
        );
        if decides {
            report.check(entry.pol.is_some(), CLOSURE, "it names no policy");
            let in_force = entry.pol.is_none() || entry.pol == self.policies.last();
            report.check(in_force, CLOSURE, "the policy it names was no longer in force");
        }
    }

    /// Whether an entry points to exactly the entries its kind must point to.
    fn points_right(&self, entry: &Disclosed<'_>) -> bool {
        let session = |index: &u64| self.sessions.contains(*index);
        let request = |index: &u64| self.requests.contains(*index);
        let grant = |index: &u64| self.grants.contains(*index);
        match (entry.kind, entry.refs) {
            (
                Kind::SessionClose
                | Kind::KeyEnroll
                | Kind::RequestCreate
                | Kind::RequestDeny
                | Kind::AuditRead
                | Kind::AuditExport
                | Kind::Erase,
                [open],
            ) => session(open),
            (Kind::PersonSuspend, [bind]) => self.binds.contains(*bind),
            (Kind::PersonRestore, [suspend]) => self.suspensions.contains(*suspend),
            (Kind::RequestCancel | Kind::RequestExpire | Kind::RequestEscalate, [of]) => request(of),
            (Kind::BreakglassOpen, [of, open]) => request(of) && session(open),
            (Kind::ReviewApprove, [of, open, rest @ ..]) => request(of) && session(open) && self.is_escalation_then_key(rest),
            (Kind::ReviewReject, [of, open]) => request(of) && session(open),
            (Kind::BreakglassReview, [of, open]) => self.breakglass.contains(*of) && session(open),
            // What is signed with an SSH key as well rests on its enrolment.
            (Kind::ReviewReject, [of, open, key]) => request(of) && session(open) && self.ssh_keys.contains(*key),
            (Kind::BreakglassReview, [of, open, key]) => self.breakglass.contains(*of) && session(open) && self.ssh_keys.contains(*key),
            (Kind::KeyRevoke, [of, open]) => self.ssh_keys.contains(*of) && session(open),
            (Kind::GrantIssue, [of, take]) if self.standing.is_use(*take) => request(of),
            (Kind::GrantIssue, [of, reviews @ ..]) => request(of) && reviews.iter().all(|index| self.reviews.contains(*index)),
            (Kind::GrantRevoke | Kind::GrantExpire, [of]) => grant(of),
            (Kind::GrantTake | Kind::FetchIntent, [of, open]) => grant(of) && session(open),
            (Kind::GrantTake, [of, open, used_for]) => grant(of) && session(open) && request(used_for),
            (Kind::FetchProgress | Kind::FetchOutcome, [of]) => self.intents.contains(*of),
            (Kind::DeliveryAck, [of]) => self.outcomes.contains(*of),
            (
                Kind::SessionClose
                | Kind::PersonSuspend
                | Kind::PersonRestore
                | Kind::KeyEnroll
                | Kind::KeyRevoke
                | Kind::RequestCreate
                | Kind::RequestDeny
                | Kind::RequestCancel
                | Kind::RequestExpire
                | Kind::RequestEscalate
                | Kind::ReviewApprove
                | Kind::ReviewReject
                | Kind::BreakglassOpen
                | Kind::BreakglassReview
                | Kind::GrantIssue
                | Kind::GrantTake
                | Kind::GrantRevoke
                | Kind::GrantExpire
                | Kind::FetchIntent
                | Kind::FetchProgress
                | Kind::FetchOutcome
                | Kind::DeliveryAck
                | Kind::AuditRead
                | Kind::AuditExport
                | Kind::Erase,
                _,
            ) => false,
            _ => true,
        }
    }

    /// Checks that an entry was made under the session it points to, by its holder, while it was open.
    fn under(&mut self, entry: &Disclosed<'_>, position: usize, report: &mut Report<'_>) {
        if let Some(session) = self.sessions.get(reference(entry, position)) {
            let act = entry.act.map(|act| self.names.number(act));
            let same = entry.sid == Some(self.texts.get(session.sid)) && act == Some(session.act);
            report.check(same, CLOSURE, "it names another session or person than the session it points to");
            report.check(!session.closed, CLOSURE, "its session had been closed");
            self.not_suspended(session.act, report);
            withheld(entry, session.withheld, report);
        }
    }

    fn session_open(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        let (Some(act), Some(sid)) = (entry.act, entry.sid) else {
            return report.fault(CLOSURE, "a session must name itself and its holder's pseudonym");
        };
        let act = self.names.number(act);
        self.not_suspended(act, report);
        report.check(
            self.session_ids.insert(sha256(sid.as_bytes())),
            CLOSURE,
            "its session id was used before",
        );
        let mut holder = None;
        let said = self.stages.said(entry);
        if entry.shows(Group::Who) {
            match Holder::of(entry) {
                Err(what) => report.fault(PEOPLE, what),
                Ok(found) => {
                    let person = (self.names.number(&found.issuer), self.names.number(&found.subject));
                    let known = *self.people.entry(act).or_insert(person);
                    report.check(known == person, PEOPLE, "its pseudonym stood for another person before");
                    let number = self.holder_number(found);
                    self.attestation(entry, number, report);
                    holder = Some(number);
                }
            }
        }
        let sid = self.texts.keep(sid);
        self.sessions.push(
            entry.index,
            Session {
                act,
                sid,
                holder,
                said,
                closed: false,
                withheld: is_withheld(entry, report),
            },
        );
    }

    fn session_close(&mut self, entry: &Disclosed<'_>, report: &mut Report<'_>) {
        if let Some(session) = self.sessions.get_mut(reference(entry, 0)) {
            report.check(!session.closed, CLOSURE, "the session had been closed before");
            let same = entry.sid == Some(self.texts.get(session.sid));
            report.check(same, CLOSURE, "it names another session than it points to");
            session.closed = true;
            withheld(entry, session.withheld, report);
        }
    }

    /// The same person with the same key has one number.
    fn holder_number(&mut self, holder: Holder) -> u32 {
        let lengths = [holder.issuer.len(), holder.subject.len()];
        let identity = format!("{lengths:?}{}{}{}", holder.issuer, holder.subject, holder.key);
        let next = u32::try_from(self.holders.len()).unwrap_or(u32::MAX);
        let number = *self.holder_numbers.entry(sha256(identity.as_bytes())).or_insert(next);
        if number == next {
            self.holders.push(Arc::new(holder));
        }
        number
    }

    fn holder(&self, number: Option<u32>) -> Option<&Arc<Holder>> {
        self.holders.get(number? as usize)
    }

    fn session_of(&self, entry: &Disclosed<'_>, position: usize) -> Option<&Session> {
        self.sessions.get(reference(entry, position))
    }
}

const WITHHELD: &str = "it is opened and rests on an entry that is withheld";

/// Whether nothing of the body is shown although nobody erased it.
/// A body that is gone tells nothing of what it rested on, so what is withheld there is withheld from whatever rests on it in turn.
fn is_withheld(entry: &Disclosed<'_>, report: &Report<'_>) -> bool {
    match entry.opened {
        Opened::Header => true,
        Opened::Erased(_) | Opened::Disposed(_) => report.on_withheld,
        Opened::Full | Opened::Partly(_) => false,
    }
}

/// An opened entry may not rest on a withheld one: the filter of an export cannot hide what its rows need.
fn withheld(entry: &Disclosed<'_>, base: bool, report: &mut Report<'_>) {
    let opened = matches!(entry.opened, Opened::Full | Opened::Partly(_));
    report.check(!base || !opened, CLOSURE, WITHHELD);
    report.on_withheld |= base;
}

fn reference(entry: &Disclosed<'_>, position: usize) -> u64 {
    entry.refs.get(position).copied().unwrap_or(u64::MAX)
}

/// The masks that an opened group lists; absent where it is closed, or malformed, which is a fault.
fn masks_of<'e, T>(entry: &Disclosed<'e>, group: Group, report: &mut Report<'_>, read: impl FnOnce(Raw<'e>) -> Option<T>) -> Option<T> {
    if !entry.shows(group) {
        return None;
    }
    let found = entry.group(group).and_then(read);
    if found.is_none() {
        report.fault(TERMS, "it lists no columns with their masks");
    }
    found
}
