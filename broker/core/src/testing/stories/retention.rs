//! What has been kept long enough goes, exactly that, and everything that is left still proves itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chunk_evidence::bundle::{Answer, Verification};
use chunk_evidence::leaf::Kind;
use chunk_log::index::Question;
use chunk_log::journal::Urgency;
use chunk_wire::audit::{EntryQuery, ExportRequest};
use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use super::{approved, state_of};
use crate::evidence::entries::{DisposeEntry, Disposed, Event};
use crate::recording::Keep;
use crate::retention::{PASS_BODIES_MAX, Progress, disposable_kinds, mind, pass};
use crate::state::State;
use crate::testing::roles::check_indices;
use crate::testing::{Setup, Someone, World, cx, drain, until};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A broker that keeps these kinds or families, and recordings, for so many days. Time stands still until a story moves it, and
/// the job comes by once a year, so that it is the story which disposes.
async fn world(kept: &[(&str, i64)], recordings: Option<i64>) -> World {
    let mut setup = Setup::default();
    let retention = &mut setup.settings.retention;
    for (name, days) in kept {
        let named = |kind: &Kind| kind.as_str() == *name || kind.family() == *name;
        retention
            .bodies_ms
            .extend(disposable_kinds().filter(named).map(|kind| (kind, days * DAY_MS)));
    }
    retention.recordings_ms = recordings.map(|days| days * DAY_MS);
    retention.every_ms = 365 * DAY_MS;
    setup.settings.catalog.datasets.get_mut("customers").unwrap().recording = Keep::Content;
    World::with(setup).await
}

async fn dispose(world: &World) {
    let mut progress = Progress::default();
    while pass(&world.broker, &mut progress).await.unwrap() {}
}

/// Indices and kinds of the entries whose bodies are gone.
async fn gone(world: &World) -> Vec<(u64, &'static str)> {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let gone = entries.iter().filter(|entry| entry.body.is_none());
    gone.map(|entry| (entry.index, entry.leaf.header.kind.as_str())).collect()
}

/// Everything that decides something, as text; so that a state and the one after a restart can be compared.
fn known(state: &State) -> String {
    let mut known = BTreeSet::new();
    for session in state.sessions.values() {
        known.insert(format!(
            "session {} {} {:?}",
            session.index,
            session.open.session,
            session.closed.is_some()
        ));
    }
    for request in state.requests.values() {
        let reviews: Vec<_> = request.reviews.iter().map(|review| (review.index, review.actor.clone())).collect();
        let deliveries: Vec<_> = request
            .deliveries
            .iter()
            .map(|d| (d.intent, d.outcome.as_ref().map(|(at, _)| *at)))
            .collect();
        known.insert(format!(
            "request {} {:?} {:?} {reviews:?} {deliveries:?}",
            request.id, request.state, request.grant
        ));
    }
    for ((_, subject), actor) in &state.actors {
        known.insert(format!("actor {subject} {actor}"));
    }
    for (actor, theirs) in &state.people {
        let claims = theirs.claims.as_ref().map(|claims| claims.session.to_string());
        known.insert(format!(
            "person {actor} {:?} {} {:?} {claims:?}",
            theirs.requests, theirs.pending, theirs.sessions
        ));
    }
    format!(
        "{known:#?}\ncreated {:?}\npending {:?}\nwaiting {:?}\nopen {:?}\nintents {:?}\nrecordings {:?}\ndisposed {:?}\npolicy {:?}\nsize {}",
        state.created,
        state.pending,
        state.waiting,
        state.sessions_open,
        state.open_intents.keys().collect::<Vec<_>>(),
        state.recordings.keys().collect::<Vec<_>>(),
        state.disposed,
        state.policy,
        state.size,
    )
}

/// The same after a restart: what is folded live and what is folded from the bodies that are left.
async fn restarts_alike(world: World) -> World {
    let live = world.broker.log.published().state.clone();
    let world = world.crash_and_restart().await;
    // What a start adds stands behind; nothing of it changes what is compared but the size.
    let again = world.broker.log.published().state.clone();
    let of = |state: &State| known(state).rsplit_once("\nsize").unwrap().0.to_owned();
    check_indices(&live);
    check_indices(&again);
    assert_eq!(of(&live), of(&again));
    world
}

async fn verify(world: &World) -> Verification {
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(world).await.unwrap();
    let export = crate::audit::export(&world.broker, &cx(), &auditor, ExportRequest::default())
        .await
        .unwrap();
    let bundle = export.into_bytes().await.unwrap();
    let trust = serde_json::json!({ "origin": "example.test/log", "log_keys": [world.broker.info().log_key], "reviewer_keys": "session" });
    let verified = chunk_evidence::bundle::verify_bundle(&bundle, &serde_json::from_value(trust).unwrap());
    assert_eq!(verified.answer, Answer::True, "{:?} {:?}", verified.faults, verified.unknowns);
    verified
}

/// A fetch, done, and a rejected request.
async fn a_day_s_work(world: &World) -> (Someone, Someone) {
    let (dana, rey, request) = approved(world).await;
    drain(dana.fetch(world, &request.id).await.unwrap()).await.unwrap();
    let rejected = dana.ask(world, "customers").await;
    rey.review(world, &rejected, Verdict::Reject).await.unwrap();
    (dana, rey)
}

/// So much later, with everything ended that time ends.
async fn later(world: &World, days: i64) {
    world.advance_ms(days * DAY_MS);
    let expire = |state: &State, now_ms: i64| Ok(crate::approval::expire(state, now_ms));
    world.broker.log.commit(Urgency::Closing, expire).await.unwrap();
    world.until("sessions to end", |state| state.sessions_open.is_empty()).await;
}

#[tokio::test]
async fn what_is_past_its_time_goes_and_the_rest_still_verifies() {
    let world = world(
        &[
            ("session", 30),
            ("request", 30),
            ("review", 30),
            ("grant", 30),
            ("fetch", 30),
            ("audit", 90),
        ],
        None,
    )
    .await;
    a_day_s_work(&world).await;
    later(&world, 20).await;
    dispose(&world).await;
    assert_eq!(gone(&world).await, [], "nothing is due");
    let before = world.broker.log.published().state.size;
    later(&world, 11).await;
    dispose(&world).await;
    let disposed = gone(&world).await;
    assert!(disposed.len() >= 8, "{disposed:?}");
    for kind in [
        "session.open",
        "request.create",
        "review.approve",
        "grant.issue",
        "fetch.intent",
        "fetch.outcome",
    ] {
        assert!(disposed.iter().any(|(_, gone)| *gone == kind), "{kind}: {disposed:?}");
    }
    let kept = ["log.", "broker.", "config.", "policy.", "retention."];
    assert!(
        disposed
            .iter()
            .all(|(index, gone)| *index < before && !kept.iter().any(|family| gone.starts_with(family)))
    );
    let counts = verify(&world).await.counts;
    assert_eq!(counts.disposed, disposed.len() as u64);

    // Once is enough, and a restart knows no more and no less.
    let size = world.broker.log.published().state.size;
    dispose(&world).await;
    assert_eq!(world.broker.log.published().state.size, size);
    let world = restarts_alike(world).await;
    verify(&world).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let shown = crate::audit::entry(&world.broker, &cx(), &auditor, disposed[0].0).await.unwrap();
    assert_eq!(shown.summary, "disposed of");
    let query = EntryQuery {
        kind: Some("request.create".to_owned()),
        ..EntryQuery::default()
    };
    let found = crate::audit::search(&world.broker, &cx(), &auditor, query).await.unwrap();
    assert!(found.entries.iter().all(|entry| entry.summary == "disposed of"));
    // Whoever comes back is somebody new, and can work.
    let (dana, _rey) = a_day_s_work(&world).await;
    assert!(dana.caller(&world).await.is_ok());
    verify(&world).await;
}

/// Each kind alone, with all others kept: the state after a restart is the one before it.
#[tokio::test]
async fn whatever_kind_goes_the_state_is_the_same_before_and_after_a_restart() {
    for kind in disposable_kinds() {
        let world = world(&[(kind.as_str(), 2)], None).await;
        a_day_s_work(&world).await;
        let dana = world.sign_in("dana", &["data-eng"]).await;
        let expired = dana.ask(&world, "customers").await;
        later(&world, 1).await;
        assert_eq!(state_of(&world.broker, &expired), RequestState::Expired);
        // Somebody works on the day before, and somebody is at work now.
        a_day_s_work(&world).await;
        later(&world, 1).await;
        a_day_s_work(&world).await;
        world.advance_ms(1);
        dispose(&world).await;
        let world = restarts_alike(world).await;
        verify(&world).await;
        drop(world);
    }
}

#[tokio::test]
async fn what_is_alive_and_all_that_it_rests_on_stays() {
    let world = world(&[("session", 1), ("request", 1), ("review", 1), ("grant", 1), ("fetch", 1)], None).await;
    // The session that reviews lasts; the request that it approved waits to be fetched.
    world.advance_ms(1);
    let (dana, _rey, request) = approved(&world).await;
    let needed = world.broker.log.published().state.needed_from();
    let first = world
        .broker
        .log
        .published()
        .state
        .sessions
        .values()
        .map(|session| session.index)
        .min();
    assert_eq!(Some(needed), first);
    dispose(&world).await;
    assert_eq!(gone(&world).await, []);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    later(&world, 2).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let pending = dana.ask(&world, "customers").await;
    dispose(&world).await;
    assert!(!gone(&world).await.is_empty());
    let world = restarts_alike(world).await;
    assert_eq!(state_of(&world.broker, &pending), RequestState::Pending);
    let rey = world.sign_in("rey", &["data-owners"]).await;
    rey.review(&world, &pending, Verdict::Approve).await.unwrap();
    drain(dana.fetch(&world, &pending.id).await.unwrap()).await.unwrap();
    verify(&world).await;
}

#[tokio::test]
async fn a_crash_between_the_entry_and_the_bodies_is_made_good_at_the_next_start() {
    let world = world(&[("audit", 1)], None).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let search = |user: &str| EntryQuery {
        user: Some(user.to_owned()),
        ..EntryQuery::default()
    };
    crate::audit::search(&world.broker, &cx(), &auditor, search("dana")).await.unwrap();
    later(&world, 2).await;
    let before = world.broker.log.published().state.size;
    say_disposed(&world, before).await;
    assert_eq!(gone(&world).await, [], "it died before it was through");
    let world = world.crash_and_restart().await;
    let kinds: Vec<_> = gone(&world).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["audit.read"]);
    verify(&world).await;
}

/// The entry alone, as by a broker that died right after it.
async fn say_disposed(world: &World, before: u64) {
    let entry = DisposeEntry {
        bodies: vec![Disposed {
            kind: Kind::AuditRead,
            before,
        }],
        recordings_before: None,
        bodies_count: 1,
        recordings_count: 0,
    };
    let commit = move |_: &State, _| Ok(vec![Event::Dispose(entry)]);
    world.broker.log.commit(Urgency::Normal, commit).await.unwrap();
}

#[tokio::test]
async fn whoever_reads_old_pages_of_the_journal_keeps_no_broker_from_starting() {
    let mut world = world(&[], None).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    crate::audit::entry(&world.broker, &cx(), &auditor, 0).await.unwrap();
    say_disposed(&world, world.broker.log.published().state.size).await;
    world.journal.read.store(true, Ordering::SeqCst);
    // Nothing is kept for a time any more: what was disposed of under another configuration goes all the same.
    world = world.crash_and_restart().await;
    assert_eq!(gone(&world).await.len(), 1);
    assert!(world.journal.old_pages.load(Ordering::SeqCst), "a backup is still being made");
    world.sign_in("dana", &["data-eng"]).await;
    world.journal.read.store(false, Ordering::SeqCst);
    until("old pages to go", || !world.journal.old_pages.load(Ordering::SeqCst)).await;
    verify(&world).await;
}

#[tokio::test]
async fn however_much_is_due_goes_in_small_pieces_and_lets_others_in_between() {
    let world = world(&[("audit", 1)], None).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let question = Event::AuditRead {
        actor: auditor.actor().clone(),
        session: auditor.session().clone(),
        open: auditor.open_index(),
        query: serde_json::json!({}),
        entries: 0,
    };
    let many = PASS_BODIES_MAX * 3;
    let asked = vec![question.clone(); many];
    let asked = world
        .broker
        .log
        .commit(Urgency::Normal, move |_, _| Ok(asked))
        .await
        .unwrap()
        .events;
    later(&world, 2).await;
    let job = tokio::spawn(mind(Arc::clone(&world.broker), Progress::default()));
    let others = async {
        while world.broker.log.published().state.disposed_before(Kind::AuditRead) < asked.end {
            let event = question.clone();
            world.broker.log.commit(Urgency::Normal, move |_, _| Ok(vec![event])).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), others)
        .await
        .expect("all to be disposed of");
    let disposing = Question {
        kind: Some("retention.dispose"),
        ..Question::default()
    };
    let mut pieces = world.broker.log.with_index(|index| index.find(&disposing, 0..u64::MAX, many));
    pieces.reverse();
    assert!(
        pieces.len() >= 2 && pieces.windows(2).all(|two| two[1] - two[0] > 1),
        "{pieces:?}: somebody else got a turn"
    );
    let mut disposed = 0;
    for index in pieces {
        let bodies = match world.broker.log.read_one(index).await.unwrap().event() {
            Some(Event::Dispose(entry)) => entry.bodies_count,
            _ => 0,
        };
        assert!(bodies < 2 * PASS_BODIES_MAX as u64, "{bodies}");
        disposed += bodies;
    }
    assert_eq!(disposed, many as u64);
    job.abort();
}

#[tokio::test]
async fn bodies_that_vanish_beyond_what_an_entry_says_keep_the_broker_from_starting() {
    let world = world(&[("audit", 1)], None).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    for _ in 0..2 {
        crate::audit::entry(&world.broker, &cx(), &auditor, 0).await.unwrap();
    }
    later(&world, 2).await;
    dispose(&world).await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    crate::audit::entry(&world.broker, &cx(), &auditor, 0).await.unwrap();
    let newest = world.broker.log.published().state.size - 1;
    assert_eq!(gone(&world).await.len(), 2);
    assert!(world.broker.log.forget(vec![newest]).await.unwrap());
    let refused = world.try_restart().await.err().unwrap();
    let why = refused.source.unwrap().to_string();
    assert!(why.contains("no entry says that it was disposed of"), "{why}");
}

#[tokio::test]
async fn recordings_go_when_their_time_is_over_and_at_the_latest_with_their_delivery() {
    let world = world(&[("fetch", 60)], Some(30)).await;
    a_day_s_work(&world).await;
    let intent = *world.broker.log.published().state.recordings.keys().next().unwrap();
    later(&world, 31).await;
    a_day_s_work(&world).await;
    dispose(&world).await;
    assert_eq!(world.recordings.files.lock().unwrap().len(), 1, "the younger one stays");
    assert_eq!(gone(&world).await, [], "the entries stay");
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let fault = crate::audit::recording(&world.broker, &cx(), &auditor, intent).await.err().unwrap();
    assert!(
        fault.code == Code::NotFound && fault.public.contains("any more"),
        "{}",
        fault.public
    );
    verify(&world).await;
    let world = restarts_alike(world).await;
    assert_eq!(world.recordings.files.lock().unwrap().len(), 1);

    // For ever, says the configuration of recordings; but nothing could be held against the log any more.
    let forever = self::world(&[("fetch", 60)], None).await;
    a_day_s_work(&forever).await;
    later(&forever, 61).await;
    dispose(&forever).await;
    assert!(forever.recordings.files.lock().unwrap().is_empty());
    restarts_alike(forever).await;
}
