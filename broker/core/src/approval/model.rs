//! Every way that few people can take with few requests, up to a depth: no grant without its quorum of distinct others on that
//! very digest, nothing taken twice, nothing after its end, nothing beyond what a standing grant was approved for.
//!
//! The rules that decide and the fold that remembers are the real ones; time, sessions, verdicts, deliveries and their ends come in
//! every order. What may be is judged by [`Watch`], which knows nothing of the state and reads the entries alone. Two ways that
//! lead to the same state and the same watch are one, so that the exploration ends.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chunk_evidence::encode::{sha256, sha256_hex};
use chunk_wire::fetch::{Budget, Format, Params, Query, RequestDocument, Requester, StandingTerms, Under};
use chunk_wire::id::{ActorId, FetchId, RequestId, SessionId};
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, Person};
use chunk_wire::stages::{Escalation, Stage};
use serde_json::Value;

use super::decide::{self, By, Create, Judge};
use crate::delivery::{budget_left, decide_intent};
use crate::error::Error;
use crate::evidence::entries::{Event, IntentEntry, OutcomeEntry, RequestCreate, ReviewEntry, SessionOpen};
use crate::state::State;

/// Commands in a row; `CHUNK_TEST_MODEL_DEPTH` goes deeper.
const DEPTH: usize = 6;
const REQUESTS_MAX: usize = 3;
const STEP_MS: i64 = 400_000;
const STEPS_MAX: i64 = 3;
const PENDING_MS: i64 = 600_000;
const GRANT_S: u32 = 600;

/// Whose session it is: Ann has two, with two keys.
const SESSIONS: [(&str, usize); 4] = [("ann", 0), ("ann", 1), ("bob", 2), ("cyd", 3)];

/// Ann is in every group that is asked for, so only that she asks keeps her from approving. Bob is in one, Cyd in both.
const GROUPS: [(&str, &[&str]); 3] = [
    ("ann", &["owners", "security"]),
    ("bob", &["owners"]),
    ("cyd", &["owners", "security"]),
];

/// One of each, in this order.
const STAGES: [&str; 2] = ["owners", "security"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// For one delivery, approved by so many.
    One(u32),
    /// For one delivery, approved in two stages.
    Staged,
    /// For a standing grant of two rows.
    Standing,
    /// For a use of this request's standing grant, whoever asks.
    Use(usize),
    /// For a use of what nobody approved as that.
    Forged(usize),
    /// For a use that is a standing grant in turn.
    Chained(usize),
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Ask(usize, Asks),
    Review {
        by: usize,
        request: usize,
        verdict: Verdict,
        /// Over the digest of this request.
        digest_of: usize,
    },
    Start(usize, usize),
    /// A delivery ends whole, with as much as it may carry, or is cut after a row.
    End(usize, bool),
    Cancel(usize, usize),
    Revoke(usize, usize),
    /// Somebody else ends a session.
    Close(usize),
    /// Time passes.
    Wait,
    /// What has run out is ended.
    Sweep,
}

/// What is known of a request from entries alone.
#[derive(Debug, Clone, Default)]
struct Seen {
    person: String,
    digest: String,
    quorum: u32,
    standing: Option<u64>,
    under: Option<usize>,
    approved_by: BTreeSet<String>,
    /// The same in log order, where it is reviewed in stages.
    in_turn: Vec<String>,
    staged: bool,
    escalated: bool,
    created_ms: i64,
    ended: bool,
    granted: bool,
    taken_for: bool,
    takes: u32,
    grant_ended: bool,
    expires_ms: i64,
    running: bool,
    rows: u64,
}

/// Judges each entry by those before it.
#[derive(Debug, Clone, Default)]
struct Watch {
    ids: BTreeMap<String, usize>,
    seen: Vec<Seen>,
}

impl Watch {
    fn of(&self, id: &RequestId) -> usize {
        self.ids[id.as_str()]
    }

    fn see(&mut self, event: &Event, now_ms: i64) {
        match event {
            Event::RequestCreate(create) => {
                let document = &create.document;
                assert!(
                    document.standing.is_none() || document.under.is_none(),
                    "a use that is a standing grant"
                );
                self.ids.insert(create.id.to_string(), self.seen.len());
                self.seen.push(Seen {
                    person: create.document.requester.subject.clone(),
                    digest: create.digest.clone(),
                    quorum: create.document.quorum,
                    staged: !create.document.stages.is_empty(),
                    created_ms: if create.document.escalation.is_some() { now_ms } else { 0 },
                    standing: create.document.standing.map(|terms| terms.rows),
                    under: create.document.under.as_ref().map(|under| self.of(&under.request)),
                    ..Seen::default()
                });
            }
            Event::Review(review) => {
                let at = self.of(&review.id);
                let request = &mut self.seen[at];
                assert!(!request.ended && !request.granted, "a verdict on what is decided");
                assert_ne!(review.subject, request.person, "a verdict on one's own");
                assert_eq!(review.digest, request.digest, "a verdict over something else");
                if request.staged && review.verdict == Verdict::Approve {
                    // It is escalated to the owners, so that Bob may stand in for Cyd.
                    let own = groups(&review.subject).contains(&STAGES[request.in_turn.len()]);
                    let others = request.escalated && groups(&review.subject).contains(&"owners");
                    assert!(own || others, "an approval before its turn, or of another stage");
                    assert_eq!(review.escalated.is_some(), !own, "it says so where it counts by escalation alone");
                    request.in_turn.push(review.subject.clone());
                }
                match review.verdict {
                    Verdict::Approve => assert!(request.approved_by.insert(review.subject.clone()), "a verdict twice"),
                    Verdict::Reject => request.ended = true,
                }
            }
            Event::RequestEnd { id, .. } => {
                let at = self.of(id);
                assert!(!self.seen[at].ended && !self.seen[at].granted, "ended twice, or after its grant");
                self.seen[at].ended = true;
            }
            Event::RequestEscalate { id, .. } => {
                let at = self.of(id);
                let request = &mut self.seen[at];
                assert!(
                    !request.ended && !request.granted && !request.escalated,
                    "escalated twice, or when it is decided"
                );
                assert!(now_ms >= request.created_ms + STEP_MS, "escalated early");
                request.escalated = true;
            }
            Event::GrantIssue { id, expires_ms, .. } => {
                let at = self.of(id);
                let request = self.seen[at].clone();
                assert!(!request.ended && !request.granted, "granted after its end, or twice");
                match request.under {
                    None => {
                        assert!(request.approved_by.len() >= request.quorum as usize, "granted without its quorum");
                        assert!(
                            !request.staged || request.in_turn.len() == STAGES.len(),
                            "granted without one of its stages"
                        );
                    }
                    Some(standing) => {
                        assert!(request.taken_for, "granted under a standing grant that was not taken");
                        assert!(
                            self.seen[standing].approved_by.len() >= request.quorum as usize,
                            "approved by too few"
                        );
                        assert!(*expires_ms <= self.seen[standing].expires_ms, "a use outlasts its standing grant");
                    }
                }
                (self.seen[at].granted, self.seen[at].expires_ms) = (true, *expires_ms);
            }
            Event::GrantTake {
                id,
                used_for: Some(used_for),
                ..
            } => {
                let (at, used_for) = (self.of(id), self.of(used_for));
                self.lives(at, now_ms);
                let (standing, used) = (&self.seen[at], &self.seen[used_for]);
                assert!(standing.standing.is_some_and(|rows| standing.rows < rows), "none, or used up");
                assert_eq!(standing.person, used.person, "another person's");
                assert!(
                    used.under == Some(at) && !used.granted && !used.taken_for,
                    "taken for something else"
                );
                self.seen[used_for].taken_for = true;
            }
            Event::GrantTake { id, .. } => {
                let at = self.of(id);
                self.lives(at, now_ms);
                assert!(self.seen[at].standing.is_none(), "a standing grant is taken for a request");
                self.seen[at].takes += 1;
                assert_eq!(self.seen[at].takes, 1, "taken twice");
            }
            Event::GrantEnd { id, .. } => {
                let at = self.of(id);
                assert!(self.seen[at].granted && !self.seen[at].grant_ended, "ended twice");
                self.seen[at].grant_ended = true;
            }
            Event::Intent(intent) => {
                let at = self.of(&intent.request);
                self.lives(at, now_ms);
                assert!(
                    self.seen[at].takes == 1 && !self.seen[at].running,
                    "read before it was taken, or twice at once"
                );
                if let Some(standing) = self.seen[at].under {
                    self.lives(standing, now_ms);
                    let rows = self.seen[standing].standing.unwrap();
                    assert!(self.seen[standing].rows < rows, "read under what is used up");
                    let others = self.seen.iter().filter(|other| other.under == Some(standing) && other.running);
                    assert_eq!(others.count(), 0, "two at once under one standing grant");
                }
                self.seen[at].running = true;
            }
            Event::Outcome(outcome) => {
                let at = self.of(&outcome.request);
                assert!(self.seen[at].running);
                self.seen[at].running = false;
                if let Some(standing) = self.seen[at].under {
                    self.seen[standing].rows += outcome.rows;
                    assert!(
                        self.seen[standing].rows <= self.seen[standing].standing.unwrap(),
                        "more than was approved"
                    );
                }
            }
            _ => {}
        }
    }

    fn lives(&self, at: usize, now_ms: i64) {
        let request = &self.seen[at];
        assert!(
            request.granted && !request.grant_ended,
            "used before it was granted, or after its end"
        );
        assert!(now_ms < request.expires_ms, "used after its time");
    }
}

/// A place on the way.
#[derive(Clone)]
struct Place {
    state: State,
    watch: Watch,
    now_ms: i64,
    requests: Vec<(RequestId, String)>,
}

impl Place {
    fn begin() -> Self {
        let mut place = Self {
            state: State::default(),
            watch: Watch::default(),
            now_ms: 1_790_000_000_000,
            requests: Vec::new(),
        };
        place.put(Event::PolicyLoad {
            digest: "p".into(),
            text: String::new(),
            schema: String::new(),
        });
        for session in 0..SESSIONS.len() {
            place.put(Event::SessionOpen(session_open(session, place.now_ms)));
        }
        place
    }

    fn put(&mut self, event: Event) {
        self.watch.see(&event, self.now_ms);
        self.state.apply(&event, self.now_ms);
    }

    /// Does what is asked, if the rules let it; whether they did.
    fn go(&mut self, command: Command) -> bool {
        if let Command::Wait = command {
            self.now_ms += STEP_MS;
            return true;
        }
        let Ok(events) = self.decide(command) else { return false };
        let asked = matches!(command, Command::Ask(..));
        for event in &events {
            if let (true, Event::RequestCreate(create)) = (asked, event) {
                self.requests.push((create.id.clone(), create.digest.clone()));
            }
        }
        let any = !events.is_empty();
        events.into_iter().for_each(|event| self.put(event));
        any
    }

    fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        let (state, now_ms) = (&self.state, self.now_ms);
        let by = |session: usize| By {
            actor: actor(session),
            session: session_id(session),
        };
        match command {
            Command::Ask(session, asks) => decide::create(state, self.create(session, asks), now_ms),
            Command::Review {
                by,
                request,
                verdict,
                digest_of,
            } => decide::review(state, self.judge(by, request, verdict, digest_of), now_ms),
            Command::Start(session, request) => decide_intent(state, self.intent(session, request), "p", now_ms),
            Command::End(request, whole) => Ok(self.outcome(request, whole).into_iter().collect()),
            Command::Cancel(session, request) => decide::cancel(state, &self.requests[request].0, &by(session), "no", now_ms),
            Command::Revoke(session, request) => decide::revoke(state, &self.requests[request].0, &by(session), "no", now_ms),
            Command::Close(session) => {
                decide::session_open(state, &session_id(session), now_ms)?;
                Ok(vec![Event::SessionClose {
                    session: session_id(session),
                    actor: ActorId::from_random([9; 10]),
                    open: state.sessions[&session_id(session)].index,
                    cause: "revoked".into(),
                }])
            }
            Command::Wait => Ok(Vec::new()),
            Command::Sweep => Ok(decide::expire(state, now_ms)),
        }
    }

    fn create(&self, session: usize, asks: Asks) -> Create {
        let number = u8::try_from(self.requests.len()).unwrap();
        let under = match asks {
            Asks::Use(of) | Asks::Forged(of) | Asks::Chained(of) => Some(Under {
                digest: match asks {
                    Asks::Use(_) | Asks::Chained(_) => self.requests[of].1.clone(),
                    _ => sha256_hex(b"what nobody approved"),
                },
                request: self.requests[of].0.clone(),
            }),
            _ => None,
        };
        let document = RequestDocument {
            v: 1,
            query: Query::Sql {
                text: "select 1".into(),
                params: Params::new(),
            },
            datasets: vec!["orders".into()],
            connections: vec!["shop".into()],
            columns: Vec::new(),
            filtered: Vec::new(),
            row_filters: BTreeMap::new(),
            format: Format::Csv,
            reason: "because".into(),
            ticket: None,
            break_glass: false,
            standing: matches!(asks, Asks::Standing | Asks::Chained(_)).then_some(StandingTerms {
                bytes: 100,
                duration_s: 2 * GRANT_S,
                rows: 2,
            }),
            under,
            policy: "p".into(),
            budget: Budget {
                rows: 2,
                bytes: 100,
                duration_s: 60,
            },
            grant_s: if asks == Asks::Standing { 2 * GRANT_S } else { GRANT_S },
            quorum: match asks {
                Asks::One(quorum) => quorum,
                Asks::Staged => 2,
                _ => 1,
            },
            stages: match asks {
                Asks::Staged => STAGES.map(stage).into(),
                _ => Vec::new(),
            },
            window: None,
            escalation: (asks == Asks::Staged).then(|| Escalation {
                after_s: u32::try_from(STEP_MS / 1000).unwrap(),
                groups: vec!["owners".into()],
            }),
            requester: Requester {
                issuer: "i".into(),
                subject: SESSIONS[session].0.into(),
                key: session.to_string(),
            },
            not_after_ms: i64::MAX,
            nonce: number.to_string(),
        };
        let create = RequestCreate {
            id: RequestId::from_random([number + 1; 10]),
            session: session_id(session),
            actor: actor(session),
            open: self.state.sessions[&session_id(session)].index,
            policy: 0,
            digest: sha256_hex(&[number]),
            envelope: Value::Null,
            document,
            state: String::new(),
            expires_ms: 0,
            rows_estimated: None,
        };
        Create {
            create,
            pending_ms: PENDING_MS,
        }
    }

    fn judge(&self, by: usize, request: usize, verdict: Verdict, digest_of: usize) -> Judge {
        let id = &self.requests[request].0;
        let entry = ReviewEntry {
            id: id.clone(),
            request: self.state.requests[id].index,
            afterwards: false,
            session: session_id(by),
            open: 0,
            escalated: None,
            policy: 0,
            actor: actor(by),
            issuer: "i".into(),
            subject: SESSIONS[by].0.into(),
            key: by.to_string(),
            verdict,
            digest: self.requests[digest_of].1.clone(),
            reason: "looked at it".into(),
            envelope: Value::Null,
            ssh: None,
        };
        Judge {
            entry,
            policies: "p".into(),
            email: None,
            ssh_demanded: false,
        }
    }

    fn intent(&self, session: usize, request: usize) -> IntentEntry {
        IntentEntry {
            cut: None,
            request: self.requests[request].0.clone(),
            fetch: FetchId::from_random([0; 10]),
            chunk: 0,
            session: session_id(session),
            actor: actor(session),
            grant: 0,
            open: 0,
            policy: 0,
            connections: vec!["shop".into()],
            datasets: vec!["orders".into()],
            columns: Vec::new(),
            instance: "i1".into(),
        }
    }

    /// The end of the delivery that runs for this request: with all that its budget was, or one row.
    fn outcome(&self, request: usize, whole: bool) -> Option<Event> {
        let id = &self.requests[request].0;
        let (intent, _) = self.state.open_intents.iter().find(|(_, open)| open.request == *id)?;
        let request = &self.state.requests[id];
        let budget = Budget {
            rows: 2,
            bytes: 100,
            duration_s: 60,
        };
        let rows = budget_left(&self.state, request, budget)?.rows;
        Some(Event::Outcome(OutcomeEntry {
            request: id.clone(),
            intent: *intent,
            end: if whole { "done" } else { "cut" }.into(),
            rows: if whole { rows } else { 1 },
            bytes: 1,
            ms: 0,
            sha256: None,
            bytes_max: None,
            recording: None,
            columns: Vec::new(),
        }))
    }

    /// All that can be tried from here.
    fn commands(&self) -> Vec<Command> {
        let mut commands = vec![Command::Sweep, Command::Close(0), Command::Close(2)];
        let started = self.watch.seen.len();
        if self.now_ms < 1_790_000_000_000 + STEPS_MAX * STEP_MS {
            commands.push(Command::Wait);
        }
        if started < REQUESTS_MAX {
            let first = started == 0;
            if first {
                commands.push(Command::Ask(0, Asks::Staged));
            }
            commands.push(Command::Ask(0, Asks::One(2)));
            commands.push(Command::Ask(0, Asks::Standing));
            commands.push(Command::Ask(3, Asks::One(1)));
            if !first {
                commands.extend([0, 1, 3].map(|session| Command::Ask(session, Asks::Use(0))));
                commands.extend([Asks::Forged(0), Asks::Chained(0)].map(|asks| Command::Ask(0, asks)));
            }
        }
        for request in 0..started {
            for by in 0..SESSIONS.len() {
                let review = |verdict, digest_of| Command::Review {
                    by,
                    request,
                    verdict,
                    digest_of,
                };
                commands.push(review(Verdict::Approve, request));
                commands.push(Command::Start(by, request));
            }
            commands.push(Command::Review {
                by: 2,
                request,
                verdict: Verdict::Approve,
                digest_of: (request + 1) % started,
            });
            commands.push(Command::Review {
                by: 2,
                request,
                verdict: Verdict::Reject,
                digest_of: request,
            });
            commands.extend([Command::End(request, true), Command::End(request, false)]);
            commands.extend([
                Command::Cancel(0, request),
                Command::Cancel(3, request),
                Command::Revoke(2, request),
            ]);
        }
        commands
    }

    /// What makes two places one: everything but the indices of entries, which say only in which order things came.
    fn key(&self) -> [u8; 32] {
        let of = |id: &RequestId| {
            let request = &self.state.requests[id];
            let reviews: Vec<_> = request
                .reviews
                .iter()
                .map(|review| (review.actor.to_string(), review.verdict))
                .collect();
            let ends: Vec<_> = request
                .deliveries
                .iter()
                .map(|d| d.outcome.as_ref().map(|(_, o)| (o.end.clone(), o.rows)))
                .collect();
            let taken = request.taken.is_some();
            (request.state, request.expires_ms - self.now_ms, reviews, taken, ends, request.used)
        };
        let requests: Vec<_> = self.requests.iter().map(|(id, _)| of(id)).collect();
        let closed: Vec<_> = (0..SESSIONS.len())
            .map(|session| self.state.sessions[&session_id(session)].closed.is_some())
            .collect();
        sha256(format!("{requests:?}{closed:?}{}{:?}", self.now_ms, self.watch.seen).as_bytes())
    }
}

fn actor(session: usize) -> ActorId {
    let person = SESSIONS.iter().position(|(name, _)| *name == SESSIONS[session].0).unwrap();
    ActorId::from_random([u8::try_from(person).unwrap(); 10])
}

fn groups(name: &str) -> &'static [&'static str] {
    GROUPS.iter().find(|(of, _)| *of == name).unwrap().1
}

fn stage(group: &str) -> Stage {
    Stage {
        groups: vec![group.to_owned()],
        manager: None,
        quorum: 1,
    }
}

fn session_id(session: usize) -> SessionId {
    SessionId::from_random([u8::try_from(session).unwrap(); 10])
}

fn session_open(session: usize, now_ms: i64) -> SessionOpen {
    let name = SESSIONS[session].0;
    SessionOpen {
        session: session_id(session),
        actor: actor(session),
        person: Person {
            issuer: "i".into(),
            subject: name.into(),
            name: name.into(),
            email: None,
            groups: groups(name).iter().map(|group| (*group).to_owned()).collect(),
            workload: None,
        },
        manager: None,
        amr: Vec::new(),
        auth_time: None,
        flow: None,
        key_attested: None,
        attestation: None,
        key: SESSIONS[session].1.to_string(),
        public_key: String::new(),
        ip: "127.0.0.1".into(),
        client: ClientInfo::default(),
        expires_ms: now_ms + 100 * STEP_MS,
        id_token: session.to_string(),
    }
}

#[test]
fn no_way_of_few_people_with_few_requests_breaks_a_rule() {
    let depth = std::env::var("CHUNK_TEST_MODEL_DEPTH").map_or(DEPTH, |depth| depth.parse().unwrap());
    let first = Place::begin();
    let mut known = HashSet::from([first.key()]);
    // The way to a place is all that is kept of it: going it again costs less than keeping every place there is.
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut granted, mut used, mut ran, mut refused, mut revoked) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let (mut staged, mut stood_in) = (0_u64, 0_u64);
    while let Some(way) = queue.pop_front() {
        let mut place = first.clone();
        for command in &way {
            assert!(place.go(*command), "the same way is there again");
        }
        for command in place.commands() {
            let mut next = place.clone();
            if !next.go(command) {
                refused += 1;
                continue;
            }
            if known.insert(next.key()) {
                granted += u64::from(next.watch.seen.iter().any(|request| request.granted && request.under.is_none()));
                staged += u64::from(next.watch.seen.iter().any(|request| request.granted && request.staged));
                let by_others = |request: &Seen| request.granted && request.in_turn.get(1).is_some_and(|who| who == "bob");
                stood_in += u64::from(next.watch.seen.iter().any(by_others));
                used += u64::from(next.watch.seen.iter().any(|request| request.taken_for));
                ran += u64::from(next.watch.seen.iter().any(|request| request.under.is_some() && request.running));
                revoked += u64::from(next.watch.seen.iter().any(|request| request.grant_ended));
                if way.len() + 1 < depth {
                    queue.push_back(way.iter().copied().chain([command]).collect());
                }
            }
        }
    }
    // It is a proof of something only if it came by what it is about.
    for (what, count) in [
        ("granted", granted),
        ("staged", staged),
        ("used", used),
        ("ran", ran),
        ("refused", refused),
        ("revoked", revoked),
    ] {
        assert!(count > 100, "{what}: {count} of {}", known.len());
    }
    // It takes five commands to get there, so there are few ways.
    assert!(stood_in > 5, "stood in: {stood_in}");
    assert!(known.len() > 10_000, "{}", known.len());
}
