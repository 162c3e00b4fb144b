//! The crash matrix: one scripted run of sign-in, requests, approval and deliveries, repeated with a fault at every N-th call.
//!
//! strace stands between the broker and the kernel from its first instruction: it kills the program at the N-th write or sync,
//! or makes that call fail (EIO, no space) or write nothing (a short write). The oracle is outside: it remembers every answer
//! that came whole and every entry that was shown. Afterwards the broker starts again without faults, twice.
//!
//! `CHUNK_TEST_MATRIX=all` tries every N; otherwise every so-manieth, beginning somewhere else at each run.

use std::path::PathBuf;
use std::time::Instant;

use chunk_wire::audit::EntryView;
use chunk_wire::fetch::{Format, PlanAnswer, PlanRequest, Query, REQUEST_PAYLOAD_TYPE, RequestState, RequestView, SubmitRequest};
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, OpenSession, SessionTokens};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::api::slice;
use crate::support::issuer::{FakeIssuer, SigningKey};
use crate::support::oracle::{Checkpoint, assert_extends, assert_whole, outcomes_by_intent};
use crate::support::{Answer, Api, Setup, World, random, sha256};

/// What can befall the N-th call of a thread.
struct Fault {
    name: &'static str,
    calls: &'static str,
    effect: &'static str,
    /// States tried of this fault when not all are.
    sample: usize,
}

const SYNCS: &str = "fsync,fdatasync";
const WRITES: &str = "pwrite64";
const FAULTS: [Fault; 6] = [
    Fault {
        name: "killed at a sync",
        calls: SYNCS,
        effect: "signal=KILL",
        sample: 14,
    },
    Fault {
        name: "killed at a write",
        calls: WRITES,
        effect: "signal=KILL",
        sample: 20,
    },
    Fault {
        name: "a sync fails",
        calls: SYNCS,
        effect: "error=EIO",
        sample: 10,
    },
    Fault {
        name: "a write fails",
        calls: WRITES,
        effect: "error=EIO",
        sample: 10,
    },
    Fault {
        name: "no space",
        calls: WRITES,
        effect: "error=ENOSPC",
        sample: 10,
    },
    Fault {
        name: "a short write",
        calls: WRITES,
        effect: "retval=0",
        sample: 10,
    },
];

/// What the broker has told before it fell.
#[derive(Default)]
struct Told {
    entries: Vec<EntryView>,
    checkpoints: Vec<Checkpoint>,
    requests: Vec<RequestView>,
    approved: Vec<RequestView>,
    whole: Vec<(RequestView, String)>,
    begun: Vec<RequestView>,
}

struct Stage {
    issuer: FakeIssuer,
    key: SigningKey,
}

impl Stage {
    fn new() -> Self {
        let key = SigningKey::new("matrix");
        Self {
            issuer: FakeIssuer::start(&[&key]),
            key,
        }
    }

    fn world(&self, wrapper: Vec<String>) -> World {
        let mut setup = Setup::standard().issuer("fake", &self.issuer.url);
        setup.wrapper = wrapper;
        World::prepared(setup)
    }

    /// Signs in, if the broker lets anybody.
    fn person(&self, world: &World, name: &str, group: &str) -> Option<Api> {
        let mut claims = self.issuer.claims(name);
        claims["groups"] = serde_json::json!([group]);
        let api = Api::new(&world.url);
        let body = OpenSession {
            id_token: self.key.sign(&self.key.header(), &claims),
            access_token: None,
            client: ClientInfo {
                version: "tests/1".into(),
                host: "test-host".into(),
            },
        };
        let tokens: SessionTokens = told(&api, "POST", "/v1/sessions", Some(&body))?;
        api.keep(tokens);
        Some(api)
    }
}

/// An answer that came whole and is a yes; None for everything else.
fn told<T: DeserializeOwned>(api: &Api, method: &str, path: &str, body: Option<&impl Serialize>) -> Option<T> {
    let body = body.map(|body| serde_json::to_vec(body).unwrap());
    let answer: Answer = api.try_send(method, path, body, &[]).ok()?;
    (answer.complete && (200..300).contains(&answer.status)).then(|| answer.json())
}

fn ask(api: &Api, query: Query, told_so_far: &mut Told) -> Option<RequestView> {
    let asked = PlanRequest {
        query,
        format: Format::Csv,
        reason: "a test asks".into(),
        ticket: None,
        break_glass: false,
        standing: None,
        window: None,
    };
    let plan: PlanAnswer = told(api, "POST", "/v1/plans", Some(&asked))?;
    let envelope = api.envelope(REQUEST_PAYLOAD_TYPE, plan.document?.as_bytes());
    let request: RequestView = told(api, "POST", "/v1/requests", Some(&SubmitRequest { envelope }))?;
    told_so_far.requests.push(request.clone());
    Some(request)
}

fn fetch(api: &Api, request: &RequestView, told_so_far: &mut Told) -> Option<()> {
    let answer = api
        .try_send("POST", &format!("/v1/requests/{}/chunks/0", request.id), None, &[])
        .ok()?;
    if answer.status == 200 && !answer.body.is_empty() {
        told_so_far.begun.push(request.clone());
        if answer.complete {
            told_so_far.whole.push((request.clone(), sha256(&answer.body)));
        }
    }
    (answer.status == 200 && answer.complete).then_some(())
}

/// The scripted run; it goes on as far as it gets.
fn run(stage: &Stage, world: &World, so_far: &mut Told) -> Option<()> {
    let anna = stage.person(world, "anna", "auditors")?;
    let dana = stage.person(world, "dana", "developers")?;
    look(&anna, so_far);
    let small = ask(&dana, slice("small", None, Some(20)), so_far)?;
    fetch(&dana, &small, so_far)?;
    let people = ask(&dana, slice("people", None, Some(2_000)), so_far)?;
    look(&anna, so_far);
    let rita = stage.person(world, "rita", "reviewers")?;
    let document = rita.verdict(&people, Verdict::Approve, "fine");
    let answer = rita.try_send_verdict(&people, &document).ok()?;
    if answer.status == 200 && answer.complete {
        so_far.approved.push(people.clone());
    }
    fetch(&dana, &people, so_far)?;
    look(&anna, so_far);
    dana.try_send("DELETE", "/v1/sessions/current", None, &[]).ok()?;
    look(&anna, so_far);
    Some(())
}

/// Remembers every entry and the newest checkpoint.
fn look(anna: &Api, so_far: &mut Told) {
    let page: Option<chunk_wire::audit::EntryPage> = told(anna, "GET", "/v1/audit/entries?limit=1000", None::<&()>);
    if let Some(mut page) = page {
        page.entries.reverse();
        so_far.entries = page.entries;
    }
    if let Some(shown) = anna
        .try_raw("GET", "/checkpoint", None, &[])
        .ok()
        .filter(|answer| answer.status == 200 && answer.complete)
    {
        so_far.checkpoints.push(Checkpoint::parse(&shown.text()));
    }
}

/// Everything that was told is still so, and stays so over another start.
fn check(stage: &Stage, world: &mut World, told_before: &Told, what: &str) {
    let mut sizes = Vec::new();
    for start in 1..=2 {
        world.start();
        let anna = stage
            .person(world, "anna", "auditors")
            .unwrap_or_else(|| panic!("{what}: nobody can sign in after start {start}"));
        let entries = anna.entries();
        assert_whole(&entries);
        for (before, now) in told_before.entries.iter().zip(&entries) {
            assert_eq!(
                (before.index, &before.header, &before.body),
                (now.index, &now.header, &now.body),
                "{what}: an entry changed"
            );
        }
        assert!(entries.len() >= told_before.entries.len(), "{what}: entries are lost");
        let newest = Checkpoint::of(&anna);
        for seen in &told_before.checkpoints {
            assert_extends(&anna, seen, &newest);
        }
        let named = |request: &RequestView| -> RequestView { anna.get(&format!("/v1/requests/{}", request.id)).json() };
        let outcomes = outcomes_by_intent(&entries);
        for request in &told_before.requests {
            assert_eq!(
                entries[usize::try_from(request.index).unwrap()].header["k"],
                "request.create",
                "{what}: a request is lost"
            );
        }
        for request in &told_before.approved {
            assert!(
                named(request).reviews.iter().any(|review| review.verdict == Verdict::Approve),
                "{what}: an approval is lost"
            );
        }
        for request in &told_before.begun {
            let view = named(request);
            assert!(!view.deliveries.is_empty(), "{what}: bytes left without an intent");
            assert!(
                view.deliveries.iter().all(|delivery| delivery.outcome.is_some()),
                "{what}: an intent stayed open"
            );
        }
        for (request, digest) in &told_before.whole {
            let view = named(request);
            assert_eq!(view.state, RequestState::Completed, "{what}: a delivery that arrived whole");
            let delivery = view.deliveries.last().unwrap();
            assert_eq!(delivery.sha256.as_ref(), Some(digest), "{what}: another digest than the bytes have");
            assert_eq!(outcomes[&delivery.intent].len(), 1);
        }
        sizes.push(entries.iter().filter(|entry| entry.header["k"] == "fetch.outcome").count());
        world.kill();
    }
    assert_eq!(sizes[0], sizes[1], "{what}: recovering twice is not recovering once");
}

fn strace(calls: &str, inject: Option<&str>, log: &str) -> Vec<String> {
    let mut wrapper: Vec<String> = ["strace", "-D", "-f", "-qq", "-o", log, "-e", &format!("trace={calls}")]
        .map(str::to_owned)
        .to_vec();
    if let Some(effect) = inject {
        wrapper.extend(["-e".to_owned(), format!("inject={calls}:{effect}")]);
    }
    wrapper
}

/// Calls of the busiest thread in a run that nothing befalls.
fn calls_in_a_good_run(stage: &Stage, calls: &str) -> usize {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut world = stage.world(strace(calls, None, log.path().to_str().unwrap()));
    world.start();
    let mut so_far = Told::default();
    run(stage, &world, &mut so_far).expect("the script runs to its end when nothing befalls it");
    assert_eq!((so_far.requests.len(), so_far.whole.len(), so_far.approved.len()), (2, 2, 1));
    world.stop();
    let text = std::fs::read_to_string(log.path()).unwrap();
    let mut threads = std::collections::BTreeMap::<&str, usize>::new();
    for thread in text
        .lines()
        .filter(|line| line.contains('('))
        .filter_map(|line| line.split_whitespace().next())
    {
        *threads.entry(thread).or_default() += 1;
    }
    threads.into_values().max().unwrap_or(0)
}

#[test]
fn whatever_befalls_the_nth_call_nothing_acknowledged_is_lost_and_nothing_leaves_unrecorded() {
    let stage = Stage::new();
    let all = std::env::var("CHUNK_TEST_MATRIX").is_ok_and(|wanted| wanted == "all");
    let started = Instant::now();
    let (syncs, writes) = (calls_in_a_good_run(&stage, SYNCS), calls_in_a_good_run(&stage, WRITES));
    assert!(
        syncs > 10 && writes > 20,
        "{syncs} syncs, {writes} writes: the script hardly reaches the disk"
    );
    let (mut tried, mut felt) = (0, 0);
    for fault in &FAULTS {
        let last = if fault.calls == SYNCS { syncs } else { writes };
        let step = if all { 1 } else { (last / fault.sample).max(1) };
        let first = if all { 1 } else { 1 + usize::from(random::<1>()[0]) % step };
        for n in (first..=last).step_by(step) {
            let what = format!("{} {n} of {last}", fault.name);
            let log: PathBuf = std::env::temp_dir().join(format!("chunkctl-it-matrix.{}", hex::encode(random::<6>())));
            let mut world = stage.world(strace(
                fault.calls,
                Some(&format!("{}:when={n}", fault.effect)),
                log.to_str().unwrap(),
            ));
            let mut so_far = Told::default();
            if world.try_start() {
                let reached = run(&stage, &world, &mut so_far);
                felt += usize::from(reached.is_none());
                world.kill();
            } else {
                felt += 1;
            }
            std::fs::remove_file(&log).ok();
            world.setup_mut().wrapper.clear();
            check(&stage, &mut world, &so_far, &what);
            tried += 1;
        }
    }
    eprintln!(
        "{tried} states tried ({syncs} syncs, {writes} writes in a run), {felt} cut the run short, {} s",
        started.elapsed().as_secs()
    );
    assert!(felt * 3 > tried, "{felt} of {tried} faults were felt: they miss the journal");
}
