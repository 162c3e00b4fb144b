//! However a delivery ends, the log says so, nothing more leaves, and its place is free again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use chunk_evidence::body::Group;
use chunk_evidence::encode::sha256_hex;
use chunk_port::{Frame, ScanErrorKind};
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;
use futures::StreamExt as _;

use super::{approved, state_of};
use crate::evidence::log::Opened;
use crate::limits::{DELIVERIES_PER_PERSON_MAX, DELIVERIES_RUNNING_MAX, FETCH_DURATION_S_MAX, UNRECORDED_BYTES_MAX};
use crate::testing::{Someone, World, drain};

fn frame(rows: u64) -> Frame {
    Frame {
        bytes: Bytes::from_static(b"row\n"),
        rows,
    }
}

/// Lets every task that can go on do so, until none has anything left to do.
async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// Waits until no delivery holds a place.
async fn all_places_get_free(world: &World) {
    let places = u32::try_from(DELIVERIES_RUNNING_MAX).unwrap();
    let all = tokio::time::timeout(Duration::from_secs(20), world.broker.delivery_slots.acquire_many(places)).await;
    drop(all.expect("no delivery holds a place").unwrap());
}

fn end_of(world: &World, request: &RequestView) -> Option<String> {
    let published = world.broker.log.published();
    let newest = published.state.requests[&request.id].deliveries.last()?;
    newest.outcome.as_ref().map(|(_, outcome)| outcome.end.clone())
}

async fn until_ended(world: &World, request: &RequestView) -> String {
    let id = request.id.clone();
    world
        .until("the delivery to end", move |state| {
            state.requests[&id].deliveries.last().is_some_and(|d| d.outcome.is_some())
        })
        .await;
    end_of(world, request).unwrap()
}

/// Lets time pass until the delivery has an outcome.
async fn try_again(world: &World, request: &RequestView) {
    for _ in 0..100 {
        if end_of(world, request).is_some() {
            return;
        }
        world.advance_ms(1000);
        settle().await;
    }
}

async fn entries_of(world: &World, kind: &str) -> Vec<Opened> {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    entries.into_iter().filter(|e| e.leaf.header.kind.as_str() == kind).collect()
}

async fn approve_another(world: &World, dana: &Someone, rey: &Someone) -> RequestView {
    let request = dana.ask(world, "customers").await;
    rey.review(world, &request, Verdict::Approve).await.unwrap()
}

#[tokio::test]
async fn a_delivery_is_done_only_when_its_last_frame_was_taken() {
    let world = World::new().await;
    let (dana, rey, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    settle().await;
    assert_eq!(end_of(&world, &request), None, "three frames wait and none was taken");
    for _ in 0..2 {
        delivery.next().await.unwrap().unwrap();
        settle().await;
        assert_eq!(end_of(&world, &request), None, "the last frame waits");
    }
    drop(delivery);
    assert_eq!(until_ended(&world, &request).await, "cut");
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);

    let request = approve_another(&world, &dana, &rey).await;
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    assert_eq!(delivery.next().await.unwrap().unwrap(), "end");
    assert_eq!(until_ended(&world, &request).await, "done");
    assert!(delivery.next().await.is_none());
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_tried_again_until_it_is() {
    let world = World::new().await;
    let (dana, rey, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    world.journal.refusals.store(3, Ordering::SeqCst);
    world.scanner.hold.store(false, Ordering::SeqCst);
    let drained = tokio::spawn(drain(delivery));
    while world.journal.refusals.load(Ordering::SeqCst) == 3 {
        settle().await;
    }
    settle().await;
    assert!(!drained.is_finished(), "a good end is told only when it is recorded");
    try_again(&world, &request).await;
    assert_eq!(end_of(&world, &request).as_deref(), Some("done"));
    assert_eq!(drained.await.unwrap().unwrap(), b"end");

    let request = approve_another(&world, &dana, &rey).await;
    world.script(vec![Err(ScanErrorKind::Source)]);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    world.journal.refusals.store(2, Ordering::SeqCst);
    assert!(drain(delivery).await.is_err(), "a bad end is told at once");
    assert_eq!(end_of(&world, &request), None);
    try_again(&world, &request).await;
    assert_eq!(end_of(&world, &request).as_deref(), Some("source_failed"));
}

#[tokio::test]
async fn a_journal_that_refuses_for_good_does_not_hold_up_a_stop() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    world.journal.refusals.store(u64::MAX, Ordering::SeqCst);
    let drained = tokio::spawn(drain(delivery));
    settle().await;
    tokio::time::timeout(Duration::from_secs(20), world.broker.stop())
        .await
        .expect("the stop to come to an end");
    assert!(drained.await.unwrap().is_err());
}

#[tokio::test]
async fn a_panic_ends_a_delivery_as_failed() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n")]);
    world.scanner.panics.store(true, Ordering::SeqCst);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    assert_eq!(until_ended(&world, &request).await, "failed");
    world.until("its place to be free", |state| state.open_intents.is_empty()).await;
    settle().await;
    assert_eq!(world.broker.delivery_slots.available_permits(), DELIVERIES_RUNNING_MAX);
}

#[tokio::test]
async fn time_ends_a_delivery_whatever_it_waits_for() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    // A client that does not read.
    world.script_frames((0..100).map(|_| Ok(frame(1))));
    let mut stalled = dana.fetch(&world, &request.id).await.unwrap();
    settle().await;
    world.advance_ms(i64::from(FETCH_DURATION_S_MAX) * 1000 - 1);
    settle().await;
    assert_eq!(end_of(&world, &request), None);
    world.advance_ms(1);
    assert_eq!(until_ended(&world, &request).await, "limit");
    all_places_get_free(&world).await;
    assert!(stalled.next().await.unwrap().is_err(), "nothing more leaves");
    assert!(stalled.next().await.is_none());

    // A client that reads all but the last frames.
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = approve_another(&world, &dana, &rey).await;
    let stalled = dana.fetch(&world, &request.id).await.unwrap();
    settle().await;
    world.advance_ms(i64::from(FETCH_DURATION_S_MAX) * 1000);
    assert_eq!(until_ended(&world, &request).await, "limit");
    drop(stalled);

    // A source that does not answer.
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = approve_another(&world, &dana, &rey).await;
    world.scanner.stuck.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    settle().await;
    world.advance_ms(i64::from(FETCH_DURATION_S_MAX) * 1000);
    assert!(drain(delivery).await.is_err());
    assert_eq!(until_ended(&world, &request).await, "limit");
}

#[tokio::test]
async fn one_person_does_not_take_every_place() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let mut running = Vec::new();
    for _ in 0..DELIVERIES_PER_PERSON_MAX {
        let request = approve_another(&world, &dana, &rey).await;
        running.push(dana.fetch(&world, &request.id).await.unwrap());
    }
    let one_more = approve_another(&world, &dana, &rey).await;
    assert_eq!(dana.fetch(&world, &one_more.id).await.err().unwrap().code, Code::RateLimited);
    assert_eq!(state_of(&world.broker, &one_more), RequestState::Approved, "its grant is unspent");
    let hers = approve_another(&world, &eve, &rey).await;
    running.push(eve.fetch(&world, &hers.id).await.unwrap());
    running.swap_remove(0);
    world
        .until("one to end", |state| state.open_intents.len() == DELIVERIES_PER_PERSON_MAX)
        .await;
    running.push(dana.fetch(&world, &one_more.id).await.unwrap());
    world.scanner.hold.store(false, Ordering::SeqCst);
    for delivery in running {
        drain(delivery).await.unwrap();
    }
}

#[tokio::test]
async fn every_attempt_counts_against_the_budget() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let budget = |world: &World| world.scanner.order.lock().unwrap().clone().unwrap().budget;
    world.script_frames([Ok(frame(600)), Err(ScanErrorKind::Source)]);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    let whole = budget(&world);
    assert_eq!(whole.rows, 1000);
    world.script_frames([Ok(frame(150)), Err(ScanErrorKind::Source)]);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    assert_eq!((budget(&world).rows, budget(&world).bytes), (400, whole.bytes - 4));
    world.script_frames([Ok(frame(250)), Err(ScanErrorKind::Source)]);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    assert_eq!((budget(&world).rows, budget(&world).bytes), (250, whole.bytes - 8));
    let intents = entries_of(&world, "fetch.intent").await.len();
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::LimitReached);
    assert_eq!(
        (entries_of(&world, "fetch.intent").await.len(), intents),
        (3, 3),
        "nothing is read for it"
    );
}

#[tokio::test]
async fn no_byte_leaves_further_than_64_mib_past_the_last_durable_progress() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = 200_u64;
    let frames = (0..pieces).map(|_| {
        Ok(Frame {
            bytes: piece.clone(),
            rows: 1,
        })
    });
    world.script_frames(frames);
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    let mut received = Vec::new();
    for hold in [true, true, false] {
        world.journal.hold(hold);
        let recorded = world.broker.log.published().state.open_intents.values().next().unwrap().bytes;
        while received.len() as u64 <= 400 * (1 << 20) {
            let next = tokio::select! {
                biased;
                next = delivery.next() => next,
                () = settle(), if hold => break,
            };
            match next {
                Some(bytes) => received.extend_from_slice(&bytes.unwrap()),
                None => break,
            }
        }
        if hold {
            let beyond = received.len() as u64 - recorded;
            assert!(
                beyond > UNRECORDED_BYTES_MAX / 2,
                "it goes on while progress is being recorded: {beyond}"
            );
            assert!(beyond <= UNRECORDED_BYTES_MAX, "{beyond} bytes left that no entry tells of");
            world.journal.hold(false);
            world
                .until("progress to be recorded", |state| {
                    state.open_intents.values().next().unwrap().bytes > recorded
                })
                .await;
        }
    }
    assert_eq!(received.len() as u64, pieces * (1 << 20) + 3);
    assert_eq!(end_of(&world, &request).as_deref(), Some("done"));
    let progress = entries_of(&world, "fetch.progress").await;
    assert!(progress.len() >= 3);
    for entry in progress {
        let (_, body) = entry.body.unwrap();
        let bytes = usize::try_from(body.number(Group::Out, "bytes").unwrap()).unwrap();
        assert_eq!(
            body.text(Group::Out, "sha256").unwrap(),
            sha256_hex(&received[..bytes]),
            "the digest of the first {bytes}"
        );
    }
}

#[tokio::test]
async fn what_waits_behind_a_revocation_does_not_leave() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n"), Ok(b"b\n"), Ok(b"c\n")]);
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    assert_eq!(delivery.next().await.unwrap().unwrap(), "a\n");
    settle().await;
    let caller = dana.caller(&world).await.unwrap();
    crate::identity::close_session(&world.broker, &crate::testing::cx(), &caller, None)
        .await
        .unwrap();
    assert_eq!(until_ended(&world, &request).await, "revoked");
    settle().await;
    assert!(delivery.next().await.unwrap().is_err());
    assert!(delivery.next().await.is_none());
}
