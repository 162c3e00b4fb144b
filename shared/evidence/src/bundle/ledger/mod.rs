//! Follows every entry in log order and checks that it may stand where it stands: what it points to, what became of that
//! before, and, as far as bodies are opened, that terms, people and signatures fit.
//!
//! It keeps a little about each session, request, review, grant and intent, and never a row.

mod approval;
mod delivery;

use std::collections::{BTreeSet, HashMap, HashSet};

use super::verdict::{CLOSURE, Counts, Findings, ORDER, PEOPLE, TERMS};
use crate::body::Group;
use crate::disclosed::{Disclosed, Opened};
use crate::leaf::{Decision, Kind};
use crate::signed::{Holder, SignedRequest, masks};
use crate::trust::Trust;

/// What was planned for each column: dataset, column, mask.
type Masks = BTreeSet<(String, String, String)>;

struct Session {
    act: String,
    sid: String,
    holder: Option<Holder>,
    closed: bool,
    withheld: bool,
}

struct Request {
    act: String,
    session: u64,
    dataset: Option<String>,
    /// Rejected, cancelled or expired.
    ended: bool,
    granted: bool,
    reviewers: Vec<String>,
    quorum: Option<u64>,
    masks: Option<Masks>,
    signed: Option<SignedRequest>,
    withheld: bool,
}

struct Review {
    request: u64,
    approves: bool,
    act: String,
    session: u64,
    withheld: bool,
}

struct Grant {
    request: u64,
    act: String,
    taken: bool,
    ended: bool,
    expires_ms: Option<u64>,
    withheld: bool,
}

#[derive(Default)]
struct Intent {
    ended: bool,
    rows: u64,
    bytes: u64,
    masks: Option<Masks>,
    request: Option<String>,
    withheld: bool,
}

struct Outcome {
    done: bool,
    sha256: Option<String>,
    withheld: bool,
}

/// The state of the log as far as a verifier needs it.
pub(super) struct Ledger<'a> {
    /// First index of the range: what happened before is known only where context shows it.
    from: u64,
    origin: &'a str,
    trust: Option<&'a Trust>,
    last_t: i64,
    sessions: HashMap<u64, Session>,
    session_ids: HashSet<String>,
    requests: HashMap<u64, Request>,
    reviews: HashMap<u64, Review>,
    grants: HashMap<u64, Grant>,
    intents: HashMap<u64, Intent>,
    outcomes: HashMap<u64, Outcome>,
    /// Index of each `policy.load`, and whether its body is withheld.
    policies: HashMap<u64, bool>,
    people: HashMap<String, (String, String)>,
}

/// Where a fault goes, with the entry it is about.
struct Report<'f> {
    findings: &'f mut Findings,
    index: u64,
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
            sessions: HashMap::new(),
            session_ids: HashSet::new(),
            requests: HashMap::new(),
            reviews: HashMap::new(),
            grants: HashMap::new(),
            intents: HashMap::new(),
            outcomes: HashMap::new(),
            policies: HashMap::new(),
            people: HashMap::new(),
        }
    }

    /// Admits the next entry in log order.
    pub(super) fn admit(&mut self, entry: &Disclosed, findings: &mut Findings, counts: &mut Counts) {
        let header = &entry.leaf.header;
        let mut report = Report {
            findings,
            index: entry.index,
        };
        report.check(header.t >= self.last_t, ORDER, "its time is before that of the entry before it");
        self.last_t = self.last_t.max(header.t);
        let earlier = header.refs.iter().chain(&header.pol).all(|index| *index < entry.index);
        report.check(earlier, ORDER, "it points to an entry that is not earlier");
        if let Some(pol) = header.pol {
            match self.policies.get(&pol) {
                None => report.fault(ORDER, "the policy it was decided under is not a `policy.load`"),
                Some(withheld) => report.check(!*withheld || is_withheld(entry), CLOSURE, WITHHELD),
            }
        }
        let first = (entry.index == 0) == (header.kind == Kind::LogGenesis);
        report.check(first, ORDER, "a log begins with `log.genesis`, and only there");
        if !self.points_right(entry) {
            report.fault(ORDER, "it does not point to the entries its kind must point to");
            return;
        }
        match header.kind {
            Kind::LogGenesis => {
                let origin = entry.text(Group::Env, "origin");
                report.check(
                    !entry.shows(Group::Env) || origin == Some(self.origin),
                    CLOSURE,
                    "it is of another origin",
                );
            }
            Kind::PolicyLoad => {
                self.policies.insert(entry.index, is_withheld(entry));
            }
            Kind::SessionOpen => self.session_open(entry, &mut report),
            Kind::SessionClose => self.session_close(entry, &mut report),
            Kind::RequestCreate => self.request_create(entry, &mut report, counts),
            Kind::RequestDeny => {
                self.under(entry, 0, &mut report);
                report.check(header.dec == Some(Decision::Deny), CLOSURE, "a denied request must say so");
            }
            Kind::RequestCancel | Kind::RequestExpire => {
                if let Some(request) = self.requests.get_mut(&reference(entry, 0)) {
                    report.check(!request.ended && !request.granted, CLOSURE, "the request had ended or been granted");
                    request.ended = true;
                    withheld(entry, request.withheld, &mut report);
                }
            }
            Kind::ReviewApprove | Kind::ReviewReject => self.review(entry, &mut report, counts),
            Kind::GrantIssue => self.grant_issue(entry, &mut report),
            Kind::GrantTake => self.grant_take(entry, &mut report),
            Kind::GrantRevoke | Kind::GrantExpire => {
                if let Some(grant) = self.grants.get_mut(&reference(entry, 0)) {
                    report.check(!grant.ended, CLOSURE, "the grant had ended before");
                    grant.ended = true;
                    withheld(entry, grant.withheld, &mut report);
                }
            }
            Kind::FetchIntent => self.intent(entry, &mut report),
            Kind::FetchProgress => self.progress(entry, &mut report),
            Kind::FetchOutcome => self.outcome(entry, &mut report, counts),
            Kind::DeliveryAck => self.ack(entry, &mut report),
            Kind::AuditRead | Kind::AuditExport => self.under(entry, 0, &mut report),
            _ => {}
        }
    }

    /// Intents of the range that have no outcome yet.
    pub(super) fn intents_open(&self) -> u64 {
        self.intents
            .iter()
            .filter(|(index, intent)| **index >= self.from && !intent.ended)
            .count() as u64
    }

    /// Whether an entry points to exactly the entries its kind must point to.
    fn points_right(&self, entry: &Disclosed) -> bool {
        let refs = entry.leaf.header.refs.as_slice();
        let session = |index: &u64| self.sessions.contains_key(index);
        let request = |index: &u64| self.requests.contains_key(index);
        let grant = |index: &u64| self.grants.contains_key(index);
        match (entry.leaf.header.kind, refs) {
            (Kind::SessionClose | Kind::RequestCreate | Kind::RequestDeny | Kind::AuditRead | Kind::AuditExport, [open]) => session(open),
            (Kind::RequestCancel | Kind::RequestExpire, [of]) => request(of),
            (Kind::ReviewApprove | Kind::ReviewReject, [of, open]) => request(of) && session(open),
            (Kind::GrantIssue, [of, reviews @ ..]) => request(of) && reviews.iter().all(|index| self.reviews.contains_key(index)),
            (Kind::GrantRevoke | Kind::GrantExpire, [of]) => grant(of),
            (Kind::GrantTake | Kind::FetchIntent, [of, open]) => grant(of) && session(open),
            (Kind::FetchProgress | Kind::FetchOutcome, [of]) => self.intents.contains_key(of),
            (Kind::DeliveryAck, [of]) => self.outcomes.contains_key(of),
            (
                Kind::SessionClose
                | Kind::RequestCreate
                | Kind::RequestDeny
                | Kind::RequestCancel
                | Kind::RequestExpire
                | Kind::ReviewApprove
                | Kind::ReviewReject
                | Kind::GrantIssue
                | Kind::GrantTake
                | Kind::GrantRevoke
                | Kind::GrantExpire
                | Kind::FetchIntent
                | Kind::FetchProgress
                | Kind::FetchOutcome
                | Kind::DeliveryAck
                | Kind::AuditRead
                | Kind::AuditExport,
                _,
            ) => false,
            _ => true,
        }
    }

    /// Checks that an entry was made under the session it points to, by its holder, while it was open.
    fn under(&self, entry: &Disclosed, position: usize, report: &mut Report<'_>) {
        let header = &entry.leaf.header;
        if let Some(session) = self.sessions.get(&reference(entry, position)) {
            let same = header.sid.as_ref() == Some(&session.sid) && header.act.as_ref() == Some(&session.act);
            report.check(same, CLOSURE, "it names another session or person than the session it points to");
            report.check(!session.closed, CLOSURE, "its session had been closed");
            withheld(entry, session.withheld, report);
        }
    }

    fn session_open(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        let header = &entry.leaf.header;
        let (Some(act), Some(sid)) = (header.act.clone(), header.sid.clone()) else {
            return report.fault(CLOSURE, "a session must name itself and its holder's pseudonym");
        };
        report.check(self.session_ids.insert(sid.clone()), CLOSURE, "its session id was used before");
        let mut holder = None;
        if entry.shows(Group::Who) {
            match Holder::of(entry) {
                Err(what) => report.fault(PEOPLE, what),
                Ok(found) => {
                    let person = (found.issuer.clone(), found.subject.clone());
                    let known = self.people.entry(act.clone()).or_insert_with(|| person.clone());
                    report.check(*known == person, PEOPLE, "its pseudonym stood for another person before");
                    holder = Some(found);
                }
            }
        }
        self.sessions.insert(
            entry.index,
            Session {
                act,
                sid,
                holder,
                closed: false,
                withheld: is_withheld(entry),
            },
        );
    }

    fn session_close(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        if let Some(session) = self.sessions.get_mut(&reference(entry, 0)) {
            report.check(!session.closed, CLOSURE, "the session had been closed before");
            report.check(
                entry.leaf.header.sid.as_ref() == Some(&session.sid),
                CLOSURE,
                "it names another session than it points to",
            );
            session.closed = true;
            withheld(entry, session.withheld, report);
        }
    }
}

const WITHHELD: &str = "it is opened and rests on an entry that is withheld";

/// Whether nothing of the body is shown although nobody erased it.
fn is_withheld(entry: &Disclosed) -> bool {
    entry.opened() == Opened::Header
}

/// An opened entry may not rest on a withheld one: the filter of an export cannot hide what its rows need.
fn withheld(entry: &Disclosed, base: bool, report: &mut Report<'_>) {
    report.check(!base || is_withheld(entry), CLOSURE, WITHHELD);
}

fn reference(entry: &Disclosed, position: usize) -> u64 {
    entry.leaf.header.refs.get(position).copied().unwrap_or(u64::MAX)
}

fn masks_of(entry: &Disclosed, group: Group, name: &str, report: &mut Report<'_>) -> Option<Masks> {
    if !entry.shows(group) {
        return None;
    }
    let found = entry.body().get(group).get("columns").and_then(|columns| masks(columns, name));
    if found.is_none() {
        report.fault(TERMS, "it lists no columns with their masks");
    }
    Some(
        found?
            .into_iter()
            .map(|(dataset, column, mask)| (dataset.to_owned(), column.to_owned(), mask.to_owned()))
            .collect(),
    )
}
