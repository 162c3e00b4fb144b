//! Somebody's records are erased: gone for everybody, and everything else still proven.

use chunk_evidence::bundle::Answer;
use chunk_wire::audit::{EntryQuery, EraseRequest, ExportRequest};
use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::{Verdict, Withdraw};

use super::{approved, state_of};
use crate::error::Error;
use crate::testing::{ADMINISTRATORS, POLICIES, Someone, World, cx, drain};

async fn world() -> World {
    World::with_policies(&format!("{POLICIES}{ADMINISTRATORS}")).await
}

async fn erase(world: &World, admin: &Someone, person: &str) -> Result<chunk_wire::audit::Erased, Error> {
    let caller = admin.caller(world).await.unwrap();
    let request = EraseRequest {
        person: person.to_owned(),
        reason: "asked for by the person".to_owned(),
    };
    crate::audit::erase(&world.broker, &cx(), &caller, request).await
}

/// Everything that the log still says, in words.
async fn said(world: &World) -> String {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    entries.iter().map(|entry| format!("{:?}\n", entry.body)).collect()
}

async fn bundle(world: &World) -> Vec<u8> {
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(world).await.unwrap();
    let export = crate::audit::export(&world.broker, &cx(), &auditor, ExportRequest::default()).await;
    export.unwrap().into_bytes().await.unwrap()
}

/// Verifies the whole log as an auditor who believes the operator about keys.
async fn verify(world: &World) -> chunk_evidence::bundle::Verification {
    let trust = serde_json::json!({ "origin": "example.test/log", "log_keys": [world.broker.info().log_key], "reviewer_keys": "session" });
    let bundle = bundle(world).await;
    let verified = chunk_evidence::bundle::verify_bundle(&bundle, &serde_json::from_value(trust).unwrap());
    assert_eq!(verified.answer, Answer::True, "{:?} {:?}", verified.faults, verified.unknowns);
    verified
}

#[tokio::test]
async fn an_erased_person_is_nowhere_and_the_bundle_still_verifies() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let pending = dana.ask(&world, "customers").await;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let by_name = EntryQuery {
        user: Some("dana".to_owned()),
        ..EntryQuery::default()
    };
    assert!(
        !crate::audit::search(&world.broker, &cx(), &auditor, by_name.clone())
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert!(said(&world).await.contains("dana"));

    let admin = world.sign_in("adam", &["admins"]).await;
    let erased = erase(&world, &admin, "dana@example.test").await.unwrap();
    assert_eq!((erased.keys, erased.entries.len()), (1, 1));

    // Signed out, her request withdrawn, and no word of hers left: not even in what auditors asked for.
    assert_eq!(dana.caller(&world).await.err().unwrap().code, Code::SessionEnded);
    let published = world.broker.log.published();
    assert!(!published.state.requests.contains_key(&pending.id) && !published.state.requests.contains_key(&request.id));
    assert!(!said(&world).await.contains("dana"), "{}", said(&world).await);
    assert!(
        crate::audit::search(&world.broker, &cx(), &auditor, by_name)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert!(verify(&world).await.counts.erased > 0);
    assert!(!String::from_utf8_lossy(&bundle(&world).await).contains("dana"));

    // The same after a restart, which folds from headers where bodies are gone.
    let kinds = world.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "erase").count(), 1);
    let world = world.crash_and_restart().await;
    assert!(!said(&world).await.contains("dana"));
    let published = world.broker.log.published();
    assert!(!published.state.actors.keys().any(|(_, subject)| subject == "dana"));
    assert!(published.state.open_intents.is_empty());
    verify(&world).await;
    // Whoever comes back is somebody new.
    let again = world.sign_in("dana", &["data-eng"]).await;
    assert_ne!(again.caller(&world).await.unwrap().actor().as_str(), erased.subject);
    drop(rey);
}

#[tokio::test]
async fn what_an_erased_reviewer_ended_stays_ended() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let rejected = dana.ask(&world, "customers").await;
    rey.review(&world, &rejected, Verdict::Reject).await.unwrap();
    let admin = world.sign_in("adam", &["admins"]).await;
    erase(&world, &admin, "rey").await.unwrap();
    assert_eq!(state_of(&world.broker, &rejected), RequestState::Rejected);
    let world = world.crash_and_restart().await;
    assert_eq!(state_of(&world.broker, &rejected), RequestState::Rejected);
    assert!(!said(&world).await.contains("\"rey\""));
}

#[tokio::test]
async fn erasing_whoever_erased_does_not_hide_what_was_erased() {
    let world = world().await;
    let (_dana, _rey, _request) = approved(&world).await;
    let (adam, eva) = (world.sign_in("adam", &["admins"]).await, world.sign_in("eva", &["admins"]).await);
    let first = erase(&world, &adam, "dana").await.unwrap();
    erase(&world, &eva, "adam").await.unwrap();
    let text = said(&world).await;
    assert!(text.contains(&first.subject) && !text.contains("adam"), "{text}");
    let world = world.crash_and_restart().await;
    verify(&world).await;
}

#[tokio::test]
async fn only_an_administrator_erases_and_never_themselves_nor_under_a_running_delivery() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    let admin = world.sign_in("adam", &["admins"]).await;
    assert_eq!(erase(&world, &rey, "dana").await.unwrap_err().code, Code::Denied);
    assert_eq!(erase(&world, &admin, "adam").await.unwrap_err().code, Code::Denied);
    assert_eq!(erase(&world, &admin, "nobody").await.unwrap_err().code, Code::NotFound);
    world.scanner.hold.store(true, std::sync::atomic::Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    assert_eq!(erase(&world, &admin, "dana").await.unwrap_err().code, Code::WrongState);
    assert!(said(&world).await.contains("dana"), "a refusal erases nothing");
    world.scanner.hold.store(false, std::sync::atomic::Ordering::SeqCst);
    drop(delivery);
}

#[tokio::test]
async fn a_delivery_that_was_revoked_ends_before_its_person_is_erased() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    let admin = world.sign_in("adam", &["admins"]).await;
    world.scanner.hold.store(true, std::sync::atomic::Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    let withdraw = Withdraw { reason: "no".into() };
    let caller = rey.caller(&world).await.unwrap();
    crate::approval::revoke(&world.broker, &cx(), caller, request.id.clone(), withdraw)
        .await
        .unwrap();
    // Nothing is left of the grant, and the delivery may not have ended yet.
    let erased = loop {
        match erase(&world, &admin, "dana").await {
            Err(fault) if fault.code == Code::WrongState => tokio::task::yield_now().await,
            done => break done.unwrap(),
        }
    };
    drop(delivery);
    let outcome = world.kinds().await.iter().position(|kind| *kind == "fetch.outcome").unwrap();
    assert!((outcome as u64) < erased.entries[0]);
    assert!(!said(&world).await.contains("dana"));
    verify(&world).await;
    let world = world.crash_and_restart().await;
    assert!(world.broker.log.published().state.open_intents.is_empty());
    verify(&world).await;
}

#[tokio::test]
async fn keys_that_vanish_without_an_entry_keep_the_broker_from_starting() {
    let world = world().await;
    let (_dana, _rey, _request) = approved(&world).await;
    let actor = world.broker.log.published().state.actors_named("dana").into_iter().next().unwrap();
    let now_ms = world.broker.clock.now_ms();
    let keys = world.broker.log.keys_of(&actor, now_ms, now_ms).await.unwrap();
    world.broker.log.destroy(keys).await.unwrap();
    let refused = world.try_restart().await.err().unwrap();
    assert!(refused.source.unwrap().to_string().contains("no entry says that it was erased"));
}

#[tokio::test]
async fn a_crash_between_the_entry_and_the_keys_is_made_good_at_the_next_start() {
    let world = world().await;
    let (_dana, _rey, _request) = approved(&world).await;
    let admin = world.sign_in("adam", &["admins"]).await;
    let caller = admin.caller(&world).await.unwrap();
    let state = &world.broker.log.published().state;
    let subject = state.actors_named("dana").into_iter().next().unwrap();
    let now_ms = world.broker.clock.now_ms();
    let keys = world.broker.log.keys_of(&subject, now_ms, now_ms).await.unwrap();
    let entry = crate::evidence::entries::EraseEntry {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        subject,
        keys,
        reason: "asked for".to_owned(),
    };
    let commit = move |_: &crate::state::State, _| Ok(vec![crate::evidence::entries::Event::Erase(entry.clone())]);
    world.broker.log.commit(chunk_log::journal::Urgency::Normal, commit).await.unwrap();
    assert!(said(&world).await.contains("dana"), "the keys are still there");
    let world = world.crash_and_restart().await;
    assert!(!said(&world).await.contains("dana"));
}
