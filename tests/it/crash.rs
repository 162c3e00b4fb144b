//! `kill -9` at random moments during fetches. What the broker said before it died must still be true after it rose again.
//!
//! The oracle stands outside: it remembers every answer that was given and every checkpoint that was shown, and afterwards
//! asks the API, `/consistency` and an exported bundle.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chunk_wire::fetch::{Format, PlanAnswer, PlanRequest, REQUEST_PAYLOAD_TYPE, RequestState, RequestView, SubmitRequest};
use serde::Serialize;

use crate::support::api::slice;
use crate::support::oracle::{Checkpoint, assert_extends, assert_whole, outcomes_by_intent};
use crate::support::{Answer, Api, Setup, World, random, sha256};

const KILLS: usize = 50;
const CALLERS: usize = 4;

/// What the broker has acknowledged.
#[derive(Default)]
struct Told {
    checkpoints: Vec<Checkpoint>,
    requests: Vec<RequestView>,
    /// Deliveries that ended well, with the digest of the bytes that arrived.
    deliveries: Vec<(RequestView, String)>,
    /// Deliveries whose connection broke after bytes had arrived.
    cut: Vec<RequestView>,
}

/// Plans, submits and fetches until told to stop; every answer that arrived whole is remembered.
fn work(api: &Api, told: &Mutex<Told>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // From a few rows to some megabytes, so that the blow falls before, in and after the bytes.
        let limit = [10, 1_000, 30_000, 1_000_000][usize::from(random::<1>()[0] % 4)];
        if one_fetch(api, told, limit).is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// None when the broker went away.
fn one_fetch(api: &Api, told: &Mutex<Told>, limit: u64) -> Option<()> {
    let post = |path: &str, body: Vec<u8>| {
        api.try_send("POST", path, Some(body), &[])
            .ok()
            .filter(|answer: &Answer| answer.complete)
    };
    let query = slice("people", None, Some(limit));
    let asked = PlanRequest {
        query,
        format: Format::Csv,
        reason: "a test asks".into(),
        ticket: None,
        break_glass: false,
        standing: None,
        window: None,
    };
    let plan: PlanAnswer = post("/v1/plans", bytes(&asked)).filter(|answer| answer.status == 200)?.json();
    let envelope = api.envelope(REQUEST_PAYLOAD_TYPE, plan.document?.as_bytes());
    let request: RequestView = post("/v1/requests", bytes(&SubmitRequest { envelope }))
        .filter(|answer| answer.status == 201)?
        .json();
    told.lock().unwrap().requests.push(request.clone());

    let answer = api
        .try_send("POST", &format!("/v1/requests/{}/chunks/0", request.id), None, &[])
        .ok()?;
    if answer.status == 200 && answer.complete {
        told.lock().unwrap().deliveries.push((request, sha256(&answer.body)));
    } else if !answer.body.is_empty() && answer.status == 200 {
        told.lock().unwrap().cut.push(request);
    }
    Some(())
}

/// Remembers every checkpoint that is shown.
fn watch(api: &Api, told: &Mutex<Told>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let shown = api
            .try_raw("GET", "/checkpoint", None, &[])
            .ok()
            .filter(|answer| answer.status == 200 && answer.complete);
        if let Some(shown) = shown {
            let seen = Checkpoint::parse(&shown.text());
            let mut told = told.lock().unwrap();
            if told.checkpoints.last() != Some(&seen) {
                told.checkpoints.push(seen);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap()
}

/// Everything that was told is still so.
#[track_caller]
fn check(anna: &Api, owner: &Api, told: &Told) {
    let now = Checkpoint::of(anna);
    for seen in &told.checkpoints {
        assert_extends(anna, seen, &now);
    }
    let entries = anna.entries();
    assert_whole(&entries);
    let outcomes = outcomes_by_intent(&entries);
    let seen = |request: &RequestView| -> RequestView { owner.get(&format!("/v1/requests/{}", request.id)).json() };
    for request in &told.requests {
        let entry = entries
            .get(usize::try_from(request.index).unwrap())
            .unwrap_or_else(|| panic!("request {} is lost", request.id));
        assert_eq!(
            entry.header["k"], "request.create",
            "entry {} was the creation of {}",
            request.index, request.id
        );
        assert_eq!(seen(request).digest, request.digest);
    }
    for (request, digest) in &told.deliveries {
        let view = seen(request);
        assert_eq!(view.state, RequestState::Completed, "a delivery that arrived whole");
        let delivery = view.deliveries.last().unwrap();
        assert_eq!(
            delivery.sha256.as_deref(),
            Some(digest.as_str()),
            "the log holds another digest than the bytes have"
        );
        assert_eq!(outcomes[&delivery.intent][0].index, delivery.outcome.unwrap());
    }
    for request in &told.cut {
        let view = seen(request);
        assert!(!view.deliveries.is_empty(), "bytes left without an intent");
        assert!(
            view.deliveries.iter().all(|delivery| delivery.outcome.is_some()),
            "an intent stayed open"
        );
    }
}

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let unapproved = r#"@id("no-review-here") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource == Dataset::"people");"#;
    let mut world = World::with(Setup::standard().policy(unapproved));
    let anna = world.api("anna");
    // One person, so that every request is theirs to look at; each caller has a session and a key of its own.
    let callers: Vec<Api> = (0..CALLERS).map(|_| world.api("dana")).collect();
    let told = Mutex::new(Told::default());
    let started = Instant::now();
    for kill in 1..=KILLS {
        let stop = AtomicBool::new(false);
        let moment = Duration::from_millis(20 + u64::from(u16::from_le_bytes(random::<2>())) % 500);
        std::thread::scope(|scope| {
            for api in &callers {
                scope.spawn(|| work(api, &told, &stop));
            }
            scope.spawn(|| watch(&anna, &told, &stop));
            std::thread::sleep(moment);
            world.kill();
            stop.store(true, Ordering::Relaxed);
        });
        world.start();
        let told = told.lock().unwrap();
        if kill % 10 == 0 {
            check(&anna, &callers[0], &told);
            continue;
        }
        if let Some(largest) = told.checkpoints.iter().max_by_key(|seen| seen.size) {
            assert_extends(&anna, largest, &Checkpoint::of(&anna));
        }
        assert_whole(&anna.entries());
    }
    let told = told.into_inner().unwrap();
    eprintln!(
        "{KILLS} kills in {} s: {} requests, {} whole deliveries, {} cut, {} checkpoints",
        started.elapsed().as_secs(),
        told.requests.len(),
        told.deliveries.len(),
        told.cut.len(),
        told.checkpoints.len()
    );
    assert!(
        told.requests.len() > KILLS && !told.deliveries.is_empty(),
        "the callers hardly got to work"
    );
    let interrupted = anna
        .entries()
        .iter()
        .filter(|entry| entry.body["out"]["end"] == "interrupted")
        .count();
    assert!(
        interrupted > 0 && !told.cut.is_empty(),
        "no kill hit a delivery: {interrupted} were interrupted, {} cut",
        told.cut.len()
    );

    // And what an auditor's own program says of it all.
    let auditor = world.signed_in("anna");
    auditor.run(&["audit", "export", "-o", "evidence.bundle"]).exits(0);
    auditor.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    auditor
        .run(&["audit", "verify", "evidence.bundle", "--trust", "trust.toml"])
        .exits(0);
}

#[test]
fn a_grant_survives_a_kill_and_the_delivery_can_be_had_again() {
    let mut world = World::new();
    let (dana, anna) = (world.api("dana"), world.api("anna"));
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    std::thread::scope(|scope| {
        let fetch = scope.spawn(|| dana.try_send("POST", &format!("/v1/requests/{}/chunks/0", request.id), None, &[]));
        crate::support::poll("the delivery to run", Duration::from_secs(20), || {
            let view = dana.try_send("GET", &format!("/v1/requests/{}", request.id), None, &[]).ok()?;
            (view.json::<RequestView>().state == RequestState::Running).then_some(())
        });
        world.kill();
        let answer = fetch.join().unwrap();
        assert!(
            answer.is_err() || !answer.unwrap().complete,
            "a delivery ended well although the broker was killed"
        );
    });
    world.start();
    let view = dana.show(&request);
    assert_eq!((view.state, view.deliveries.len()), (RequestState::Paused, 1));
    assert_eq!(view.deliveries[0].end.as_deref(), Some("interrupted"));
    let again = dana.fetch(&request);
    assert!(again.status == 200 && again.complete, "{}", again.status);
    let view = dana.show(&request);
    assert_eq!((view.state, view.deliveries.len()), (RequestState::Completed, 2));
    assert_whole(&anna.entries());
}
