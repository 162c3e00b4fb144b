//! Results that are delivered in chunks: side by side, of one moment, counted together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chunk_port::Frame;
use chunk_wire::fetch::{ChunkQuery, RequestState, RequestView};
use chunk_wire::problem::Code;
use chunk_wire::review::Withdraw;

use super::{approved, state_of};
use crate::limits::CUT_HELD_MS;
use crate::testing::{Someone, World, cx, drain, until};

fn first() -> ChunkQuery {
    ChunkQuery { cut: true, snapshot: None }
}

fn of(snapshot: &str) -> ChunkQuery {
    ChunkQuery {
        cut: true,
        snapshot: Some(snapshot.to_owned()),
    }
}

/// A request whose result is cut into three, and the moment of its first chunk, which was delivered.
async fn begun(world: &World) -> (Someone, Someone, RequestView, String) {
    let (dana, rey, request) = approved(world).await;
    world.scanner.cut.lock().unwrap().0 = 3;
    let delivery = dana.fetch_chunk(world, &request.id, 0, first()).await.unwrap();
    let (chunks, snapshot) = delivery.cut().unwrap();
    assert_eq!((chunks, snapshot.len()), (3, 32));
    let snapshot = snapshot.to_owned();
    assert_eq!(drain(delivery).await.unwrap(), b"end");
    (dana, rey, request, snapshot)
}

fn held(world: &World) -> usize {
    Arc::strong_count(&world.scanner.held) - 1
}

#[tokio::test]
async fn a_result_is_delivered_when_every_chunk_of_it_was() {
    let world = World::new().await;
    let (dana, _, request, snapshot) = begun(&world).await;
    assert_eq!((state_of(&world.broker, &request), held(&world)), (RequestState::Paused, 1));
    for (chunk, after) in [(2, RequestState::Paused), (1, RequestState::Completed)] {
        let delivery = dana.fetch_chunk(&world, &request.id, chunk, of(&snapshot)).await.unwrap();
        assert_eq!(delivery.cut(), Some((3, snapshot.as_str())));
        drain(delivery).await.unwrap();
        assert_eq!(state_of(&world.broker, &request), after);
        if chunk == 2 {
            let again = dana.fetch_chunk(&world, &request.id, 2, of(&snapshot)).await.err().unwrap();
            assert_eq!(again.code, Code::WrongState, "each chunk once");
            let unknown = dana.fetch_chunk(&world, &request.id, 3, of(&snapshot)).await.err().unwrap();
            assert_eq!(unknown.code, Code::NotFound);
            let unsaid = dana.fetch_chunk(&world, &request.id, 1, ChunkQuery::default()).await.err().unwrap();
            assert_eq!(unsaid.code, Code::InvalidRequest, "of which moment?");
        }
    }
    until("the source is let go", || held(&world) == 0).await;
    let kinds = world.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!((count("grant.take"), count("fetch.intent"), count("fetch.outcome")), (1, 3, 3));
    let caller = dana.caller(&world).await.unwrap();
    for chunk in 0..3 {
        let text = crate::audit::receipt(&world.broker, &cx(), &caller, &request.id, chunk)
            .await
            .unwrap();
        chunk_evidence::receipt::Receipt::parse(&text).unwrap();
    }
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::WrongState);
}

#[tokio::test]
async fn chunks_run_side_by_side_and_each_is_acknowledged() {
    let world = World::new().await;
    let (dana, _, request, snapshot) = begun(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let one = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.unwrap();
    let two = dana.fetch_chunk(&world, &request.id, 2, of(&snapshot)).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Running);
    let twice = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.err().unwrap();
    assert_eq!(twice.code, Code::WrongState, "it is on its way");
    let other = dana.fetch_chunk(&world, &request.id, 0, first()).await.err().unwrap();
    assert_eq!(other.code, Code::WrongState, "of another moment");
    let whole = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(whole.code, Code::WrongState);
    world.scanner.hold.store(false, Ordering::SeqCst);
    drain(two).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Running);
    drain(one).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn a_chunk_that_was_cut_is_delivered_again_and_the_others_are_not_asked_for() {
    let world = World::new().await;
    let (dana, _, request, snapshot) = begun(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    drop(dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.unwrap());
    world.until("the cut is recorded", |state| state.open_intents.is_empty()).await;
    world.scanner.hold.store(false, Ordering::SeqCst);
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);
    for chunk in [1, 2] {
        drain(dana.fetch_chunk(&world, &request.id, chunk, of(&snapshot)).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn chunks_of_two_moments_are_never_one_result() {
    let world = World::new().await;
    let (dana, _, request, old) = begun(&world).await;
    world.advance_ms(CUT_HELD_MS + 1);
    until("the source is let go", || held(&world) == 0).await;
    let gone = dana.fetch_chunk(&world, &request.id, 1, of(&old)).await.err().unwrap();
    assert_eq!(gone.code, Code::SnapshotGone);
    assert_eq!(held(&world), 0);
    let delivery = dana.fetch_chunk(&world, &request.id, 0, first()).await.unwrap();
    let new = delivery.cut().unwrap().1.to_owned();
    assert_ne!(new, old);
    drain(delivery).await.unwrap();
    let mixed = dana.fetch_chunk(&world, &request.id, 1, of(&old)).await.err().unwrap();
    assert_eq!(mixed.code, Code::SnapshotGone);
    drain(dana.fetch_chunk(&world, &request.id, 1, of(&new)).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        state_of(&world.broker, &request),
        RequestState::Paused,
        "chunk 0 of the old moment does not count"
    );
    drain(dana.fetch_chunk(&world, &request.id, 2, of(&new)).await.unwrap())
        .await
        .unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn a_source_that_has_not_changed_is_at_the_same_moment_after_a_crash() {
    let world = World::new().await;
    world.scanner.cut.lock().unwrap().1 = Some([7; 32]);
    let (dana, _, request, snapshot) = begun(&world).await;
    assert_eq!(snapshot, hex::encode([7; 16]));
    world.scanner.hold.store(true, Ordering::SeqCst);
    let cut = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.unwrap();
    let world = world.crash_and_restart().await;
    drop(cut);
    world.scanner.hold.store(false, Ordering::SeqCst);
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);
    *world.scanner.cut.lock().unwrap() = (3, Some([8; 32]));
    let changed = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.err().unwrap();
    assert_eq!(changed.code, Code::SnapshotGone);
    *world.scanner.cut.lock().unwrap() = (3, Some([7; 32]));
    for chunk in [2, 1] {
        drain(dana.fetch_chunk(&world, &request.id, chunk, of(&snapshot)).await.unwrap())
            .await
            .unwrap();
    }
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn chunks_share_one_budget() {
    let world = World::new().await;
    let (dana, _, request, snapshot) = begun(&world).await;
    let frame = |rows| {
        Ok(Frame {
            bytes: "rows".into(),
            rows,
        })
    };
    world.scanner.hold.store(true, Ordering::SeqCst);
    world.script_frames([frame(600)]);
    let one = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.unwrap();
    until("six hundred of the thousand are taken", || {
        world.broker.totals.rows.load(Ordering::Relaxed) == 600
    })
    .await;
    world.script_frames([frame(401)]);
    let two = dana.fetch_chunk(&world, &request.id, 2, of(&snapshot)).await.unwrap();
    assert!(drain(two).await.is_err(), "there are four hundred left");
    world.scanner.hold.store(false, Ordering::SeqCst);
    assert!(drain(one).await.is_err(), "what has failed is not delivered in part");
    world.until("both have ended", |state| state.open_intents.is_empty()).await;
    assert_eq!(state_of(&world.broker, &request), RequestState::Failed);
}

#[tokio::test]
async fn a_revocation_ends_every_chunk() {
    let world = World::new().await;
    let (dana, rey, request, snapshot) = begun(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let one = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.unwrap();
    let two = dana.fetch_chunk(&world, &request.id, 2, of(&snapshot)).await.unwrap();
    let by = rey.caller(&world).await.unwrap();
    crate::approval::revoke(
        &world.broker,
        &cx(),
        by,
        request.id.clone(),
        Withdraw {
            reason: "a mistake".into(),
        },
    )
    .await
    .unwrap();
    assert!(drain(one).await.is_err() && drain(two).await.is_err());
    world.until("both have ended", |state| state.open_intents.is_empty()).await;
    assert_eq!(state_of(&world.broker, &request), RequestState::Revoked);
    until("the source is let go", || held(&world) == 0).await;
}

#[tokio::test]
async fn a_small_result_is_one_chunk_and_nothing_is_held() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let delivery = dana.fetch_chunk(&world, &request.id, 0, first()).await.unwrap();
    assert_eq!(delivery.cut(), None);
    drain(delivery).await.unwrap();
    assert_eq!((state_of(&world.broker, &request), held(&world)), (RequestState::Completed, 0));
}

#[tokio::test]
async fn nothing_is_read_before_the_intent_of_a_chunk_is_durable() {
    let world = World::new().await;
    let (dana, _, request, snapshot) = begun(&world).await;
    let opened = world.scanner.opened.load(Ordering::SeqCst);
    world.journal.full.store(true, Ordering::SeqCst);
    let refused = dana.fetch_chunk(&world, &request.id, 1, of(&snapshot)).await.err().unwrap();
    assert_eq!(refused.code, Code::EvidenceUnavailable);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), opened);
}
