//! Follows every entry in log order and checks that it may stand where it stands: what it points to, what became of that
//! before, and, as far as bodies are opened, that terms, people and signatures fit.
//!
//! It keeps a little about each session, request, review, grant and intent, and never a row.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::verdict::{CLOSURE, Counts, Findings, ORDER, PEOPLE, SIGNATURES, TERMS};
use crate::body::Group;
use crate::disclosed::{Disclosed, Opened};
use crate::encode::from_hex_32;
use crate::leaf::{Decision, Kind};
use crate::signed::{Holder, SignedRequest, check_review, masks};
use crate::trust::{Trust, Vouched};

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

    fn request_create(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
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

    fn review(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
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

    fn grant_issue(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
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

    fn grant_take(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
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

    fn intent(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        self.under(entry, 1, report);
        let header = &entry.leaf.header;
        let of = reference(entry, 0);
        let planned = masks_of(entry, Group::Mask, "column", report);
        if let Some(grant) = self.grants.get(&of) {
            // Whether an earlier grant was taken before the range is not shown.
            report.check(grant.taken || of < self.from, CLOSURE, "its grant had not been taken");
            report.check(!grant.ended, CLOSURE, "its grant had ended");
            report.check(header.act.as_deref() == Some(&grant.act), CLOSURE, "another person used the grant");
            withheld(entry, grant.withheld, report);
            if let Some(request) = self.requests.get(&grant.request) {
                report.check(header.ds == request.dataset, CLOSURE, "it reads other datasets than its request");
                if let (Some(planned), Some(approved)) = (&planned, &request.masks) {
                    report.check(planned == approved, TERMS, "its masks are not the ones approved");
                }
                if let (true, Some(signed)) = (entry.shows(Group::What), &request.signed) {
                    let same = entry.text(Group::What, "request") == Some(&signed.id);
                    report.check(same, SIGNATURES, "it reads for another request than the one signed");
                }
            }
        }
        self.intents.insert(
            entry.index,
            Intent {
                masks: planned,
                withheld: is_withheld(entry),
                ..Intent::default()
            },
        );
    }

    fn progress(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        if let Some(intent) = self.intents.get_mut(&reference(entry, 0)) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome");
            withheld(entry, intent.withheld, report);
            figures(entry, intent, report);
        }
    }

    fn outcome(&mut self, entry: &Disclosed, report: &mut Report<'_>, counts: &mut Counts) {
        let end = entry.text(Group::Out, "end");
        let sha256 = entry.text(Group::Out, "sha256").map(str::to_owned);
        let applied = masks_of(entry, Group::Mask, "column", report);
        if let Some(intent) = self.intents.get_mut(&reference(entry, 0)) {
            report.check(!intent.ended, CLOSURE, "its intent had an outcome before");
            withheld(entry, intent.withheld, report);
            intent.ended = true;
            figures(entry, intent, report);
            if let (Some(applied), Some(planned)) = (&applied, &intent.masks) {
                report.check(applied.is_subset(planned), TERMS, "the masks applied are not those of its intent");
            }
        }
        if entry.shows(Group::Out) {
            let known = ["done", "cut", "source_failed", "interrupted", "limit", "revoked", "failed"];
            report.check(end.is_some_and(|end| known.contains(&end)), TERMS, "it ended in an unknown way");
            if end == Some("done") {
                let digest = sha256.as_deref().is_some_and(|text| from_hex_32(text).is_ok());
                report.check(digest, TERMS, "it is done and names no digest of what left");
                if entry.index >= self.from {
                    let figure = |name| entry.body().number(Group::Out, name).unwrap_or(0);
                    counts.deliveries_done += 1;
                    counts.rows_released = counts.rows_released.saturating_add(figure("rows"));
                    counts.bytes_released = counts.bytes_released.saturating_add(figure("bytes"));
                }
            }
        }
        let done = !entry.shows(Group::Out) || end == Some("done");
        self.outcomes.insert(
            entry.index,
            Outcome {
                done,
                sha256,
                withheld: is_withheld(entry),
            },
        );
    }

    fn ack(&mut self, entry: &Disclosed, report: &mut Report<'_>) {
        if let Some(outcome) = self.outcomes.get(&reference(entry, 0)) {
            withheld(entry, outcome.withheld, report);
            report.check(outcome.done, TERMS, "it acknowledges a delivery that was not completed");
            let acknowledged = entry.text(Group::Out, "sha256");
            let differs = outcome.sha256.is_some() && acknowledged.is_some() && outcome.sha256.as_deref() != acknowledged;
            report.check(!differs, TERMS, "it acknowledges other bytes than were delivered");
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

/// Rows and bytes only grow from progress to outcome.
fn figures(entry: &Disclosed, intent: &mut Intent, report: &mut Report<'_>) {
    if entry.shows(Group::Out) {
        match (entry.body().number(Group::Out, "rows"), entry.body().number(Group::Out, "bytes")) {
            (Some(rows), Some(bytes)) => {
                report.check(
                    rows >= intent.rows && bytes >= intent.bytes,
                    TERMS,
                    "its figures are below those of an earlier progress",
                );
                (intent.rows, intent.bytes) = (rows, bytes);
            }
            _ => report.fault(TERMS, "it gives no rows and bytes"),
        }
    }
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
