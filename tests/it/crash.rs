//! `kill -9` at random moments during fetches. What the broker said before it died must still be true after it rose again.
//!
//! The oracle stands outside: it remembers every answer that was given and every checkpoint that was shown, and afterwards
//! asks the API, `/consistency` and an exported bundle.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chunk_wire::fetch::{Format, PlanAnswer, RequestState, RequestView};

use crate::support::api::slice;
use crate::support::oracle::{Checkpoint, assert_extends, assert_whole, outcomes_by_intent};
use crate::support::{Api, World, random, sha256};

const KILLS: usize = 50;
const CALLERS: usize = 3;

/// What the broker has acknowledged.
#[derive(Default)]
struct Told {
    checkpoints: Vec<Checkpoint>,
    requests: Vec<RequestView>,
    deliveries: Vec<(RequestView, String)>,
    /// Deliveries whose connection ended early: data may have left, so an intent must stand.
    partial: Vec<RequestView>,
}

/// Plans, submits and fetches until told to stop; every answer that arrived is remembered.
fn work(api: &Api, told: &Mutex<Told>, stop: &AtomicBool) {
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        // From a few rows to a megabyte or two, so that the blow falls before, in and after the bytes.
        let limit = [10, 1_000, 60_000][(round % 3) as usize];
        let query = if round.is_multiple_of(2) { slice("small", None, Some(limit)) } else { slice("sample", None, Some(limit)) };
        let step = || -> Result<(), String> {
            let plan = api.post_try("/v1/plans", &Api::plan_body(&query, Format::Csv))?;
            if plan.status != 200 || !plan.complete {
                return Ok(());
            }
            let plan: PlanAnswer = plan.json();
            let submitted = api.submit_try(&plan)?;
            if submitted.status != 201 || !submitted.complete {
                return Ok(());
            }
            let request: RequestView = submitted.json();
            told.lock().unwrap().requests.push(request.clone());
            let answer = api.try_send("POST", &format!("/v1/requests/{}/chunks/0", request.id), None, &[])?;
            if answer.status == 200 {
                let mut told = told.lock().unwrap();
                if answer.complete {
                    told.deliveries.push((request, sha256(&answer.body)));
                } else if !answer.body.is_empty() {
                    told.partial.push(request);
                }
            }
            let shown = api.try_raw("GET", "/checkpoint", None, &[])?;
            if shown.status == 200 && shown.complete {
                told.lock().unwrap().checkpoints.push(Checkpoint::parse(&shown.text()));
            }
            Ok(())
        };
        if step().is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[track_caller]
fn check(world: &World, anna: &Api, told: &Told) {
    let now = Checkpoint::of(anna);
    for seen in &told.checkpoints {
        assert_extends(anna, seen, &now);
    }
    let entries = anna.entries();
    assert!(entries.len() as u64 >= now.size);
    assert_whole(&entries);
    let outcomes = outcomes_by_intent(&entries);
    for request in &told.requests {
        let entry = entries.get(usize::try_from(request.index).unwrap()).unwrap_or_else(|| panic!("request {} is lost", request.id));
        assert_eq!(entry.header["k"], "request.create", "entry {} was the creation of {}", request.index, request.id);
        let text = serde_json::to_string(&entry.body).unwrap();
        assert!(text.contains(&request.digest) || text.contains(request.id.as_str()), "entry {} is another request's", request.index);
    }
    for (request, digest) in &told.deliveries {
        let view: RequestView = anna_view(world, anna, request);
        assert_eq!(view.state, RequestState::Completed, "a delivery that was complete is {:?}", view.state);
        let delivered = view.deliveries.last().unwrap();
        assert_eq!(delivered.sha256.as_deref(), Some(digest.as_str()), "the log holds another digest than the bytes have");
        assert_eq!(outcomes[&delivered.intent][0].index, delivered.outcome.unwrap());
    }
    for request in &told.partial {
        let view: RequestView = anna_view(world, anna, request);
        assert!(!view.deliveries.is_empty(), "bytes left without an intent");
        assert!(view.deliveries.iter().all(|delivery| delivery.outcome.is_some()));
    }
}

/// The request as its own requester sees it.
fn anna_view(_world: &World, owner: &Api, request: &RequestView) -> RequestView {
    owner.get(&format!("/v1/requests/{}", request.id)).json()
}

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let mut world = World::with(super::crash_setup());
    let anna = world.api("anna");
    // One person for all, who may also read the evidence; each caller has a session of its own.
    let callers: Vec<Api> = (0..CALLERS).map(|_| world.api("sam")).collect();
    let told = Mutex::new(Told::default());
    let started = Instant::now();
    for kill in 0..KILLS {
        let stop = AtomicBool::new(false);
        let wait = Duration::from_millis(20 + u64::from(u16::from_le_bytes(random::<2>())) % 500);
        std::thread::scope(|scope| {
            for api in &callers {
                scope.spawn(|| work(api, &told, &stop));
            }
            std::thread::sleep(wait);
            world.kill();
            stop.store(true, Ordering::Relaxed);
        });
        world.start();
        let told = told.lock().unwrap();
        // Everything at every tenth rise, and the cheap half at the others.
        if kill % 10 == 9 || kill + 1 == KILLS {
            let owner_checked = Told { checkpoints: told.checkpoints.clone(), requests: told.requests.clone(), ..Told::default() };
            check(&world, &anna, &owner_checked);
            for api in &callers {
                for (request, digest) in &told.deliveries {
                    let answer = api.get(&format!("/v1/requests/{}", request.id));
                    if answer.status != 200 {
                        continue;
                    }
                    let view: RequestView = answer.json();
                    assert_eq!(view.state, RequestState::Completed);
                    assert_eq!(view.deliveries.last().unwrap().sha256.as_deref(), Some(digest.as_str()));
                }
            }
        } else {
            let now = Checkpoint::of(&anna);
            if let Some(largest) = told.checkpoints.iter().max_by_key(|seen| seen.size) {
                assert_extends(&anna, largest, &now);
            }
            assert_whole(&anna.entries());
        }
    }
    let told = told.into_inner().unwrap();
    eprintln!(
        "{KILLS} kills in {} s: {} requests, {} complete deliveries, {} cut, {} checkpoints",
        started.elapsed().as_secs(),
        told.requests.len(),
        told.deliveries.len(),
        told.partial.len(),
        told.checkpoints.len()
    );
    assert!(told.requests.len() > KILLS, "the callers hardly got to work: {} requests", told.requests.len());
    check_owner(&callers[0], &told);

    // And an auditor's own program, over the bundle.
    let auditor = world.signed_in("anna");
    auditor.run(&["audit", "export", "-o", "evidence.bundle"]).exits(0);
    auditor.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    auditor.run(&["audit", "verify", "evidence.bundle", "--trust", "trust.toml"]).exits(0);
}
