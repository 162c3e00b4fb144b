//! What was delivered is kept where a dataset says so: whole or not at all, for those who may see it, and no longer than the person.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use chunk_evidence::body::Group;
use chunk_log::journal::Urgency;
use chunk_port::{Frame, ScanErrorKind};
use chunk_wire::audit::EraseRequest;
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::problem::Code;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{approved, state_of};
use crate::error::Error;
use crate::evidence::entries::{DisposeEntry, Event};
use crate::limits::REPLAYS_RUNNING_MAX;
use crate::recording::{Keep, Replay};
use crate::state::State;
use crate::testing::{ADMINISTRATORS, POLICIES, Setup, Someone, World, cx, drain, policy_set, until};

/// A broker that keeps what is delivered of `customers`.
async fn world() -> World {
    let mut setup = Setup {
        policies: format!("{POLICIES}{ADMINISTRATORS}"),
        ..Setup::default()
    };
    setup.settings.catalog.datasets.get_mut("customers").unwrap().recording = Keep::Content;
    World::with(setup).await
}

/// What the newest outcome says of end and recording.
async fn said(world: &World) -> (String, Option<String>) {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let outcome = entries
        .iter()
        .rev()
        .find(|e| e.leaf.header.kind.as_str() == "fetch.outcome")
        .unwrap();
    let (_, body) = outcome.body.as_ref().unwrap();
    let word = |name| body.text(Group::Out, name).map(str::to_owned);
    (word("end").unwrap(), word("recording"))
}

fn kept(end: &str) -> (String, Option<String>) {
    (end.to_owned(), Some("kept".to_owned()))
}

fn failed() -> (String, Option<String>) {
    ("failed".to_owned(), Some("failed".to_owned()))
}

fn intent_of(world: &World, request: &RequestView) -> u64 {
    let published = world.broker.log.published();
    published.state.requests[&request.id].deliveries.last().unwrap().intent
}

async fn replay(world: &World, who: &Someone, intent: u64) -> Result<Vec<u8>, Error> {
    let caller = who.caller(world).await.unwrap();
    let replay = crate::audit::recording(&world.broker, &cx(), &caller, intent).await?;
    let length = replay.length;
    let parts: Vec<Bytes> = replay.try_collect().await.expect("a replay that does not break off");
    let bytes = parts.concat();
    assert_eq!(bytes.len() as u64, length);
    Ok(bytes)
}

#[tokio::test]
async fn what_was_delivered_is_replayed_to_those_who_may_read_the_evidence_and_that_is_recorded_first() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    world.script(vec![Ok(b"a,b\n"), Ok(b"ada lovelace,2\n")]);
    let delivered = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(said(&world).await, kept("done"));
    assert!(
        !world.recordings.all().windows(8).any(|window| window == b"lovelace"),
        "it is sealed"
    );
    let intent = intent_of(&world, &request);
    for nosy in [&dana, &rey] {
        assert_eq!(replay(&world, nosy, intent).await.unwrap_err().code, Code::Denied);
    }
    let auditor = world.sign_in("audra", &["auditors"]).await;
    assert_eq!(replay(&world, &auditor, intent).await.unwrap(), delivered);
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let read = entries.last().unwrap();
    assert_eq!(read.leaf.header.kind.as_str(), "audit.read");
    let (_, body) = read.body.as_ref().unwrap();
    assert_eq!(body.get(Group::What)["query"], serde_json::json!({ "recording": intent }));

    // Where that cannot be recorded, nothing is shown.
    world.journal.full.store(true, Ordering::SeqCst);
    assert_eq!(replay(&world, &auditor, intent).await.unwrap_err().code, Code::EvidenceUnavailable);
    world.journal.full.store(false, Ordering::SeqCst);
    let world = world.crash_and_restart().await;
    assert_eq!(replay(&world, &auditor, intent).await.unwrap(), delivered);
}

#[tokio::test]
async fn without_a_word_only_the_digest_is_kept() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(said(&world).await, ("done".to_owned(), None));
    assert!(world.recordings.files.lock().unwrap().is_empty());
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let fault = replay(&world, &auditor, intent_of(&world, &request)).await.unwrap_err();
    assert_eq!(fault.code, Code::NotFound);
    assert!(fault.public.contains("only sizes and digests"), "{}", fault.public);
    for (index, why) in [(0, "no intent"), (9999, "no such entry")] {
        let fault = replay(&world, &auditor, index).await.unwrap_err();
        assert!(fault.code == Code::NotFound && fault.public.contains(why), "{}", fault.public);
    }
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_ends_the_delivery_before_the_byte_leaves() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    // Not even its beginning: nothing is read.
    world.recordings.space.store(10, Ordering::SeqCst);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    assert_eq!(said(&world).await, failed());
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0, "nothing was read");
    assert!(world.recordings.files.lock().unwrap().is_empty(), "nothing half is left");

    // In the middle: what was written before has left, what was not has not.
    let request = dana.ask(&world, "customers").await;
    rey.review(&world, &request, chunk_wire::review::Verdict::Approve).await.unwrap();
    world.recordings.space.store(300, Ordering::SeqCst);
    world.script_frames([b'a', b'b', b'c'].map(|letter| {
        Ok(Frame {
            bytes: Bytes::from(vec![letter; 100]),
            rows: 1,
        })
    }));
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    let mut received = Vec::new();
    while let Some(Ok(part)) = delivery.next().await {
        received.extend_from_slice(&part);
    }
    assert!(!received.contains(&b'b'), "a byte left that was not recorded");
    world.until("the outcome", |state| state.open_intents.is_empty()).await;
    assert_eq!(said(&world).await, failed());
    assert!(world.recordings.files.lock().unwrap().is_empty());
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let fault = replay(&world, &auditor, intent_of(&world, &request)).await.unwrap_err();
    assert!(fault.public.contains("could not be written"), "{}", fault.public);
}

#[tokio::test]
async fn a_recording_that_cannot_be_ended_is_none_and_neither_is_its_delivery() {
    let world = world().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n")]);
    // Beginning and both frames fit; the end does not.
    world.recordings.space.store(MEASURED + 2 + 3 + 2 * 20 + 1, Ordering::SeqCst);
    assert!(
        drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err(),
        "it ends badly"
    );
    assert_eq!(said(&world).await, failed());
    assert!(world.recordings.files.lock().unwrap().is_empty());
}

/// Bytes before the first block: the words of the format, the id of a data key, the sealed key.
const MEASURED: u64 = 26 + 1 + 35 + 60;

#[tokio::test]
async fn a_delivery_that_was_cut_has_its_recording_too() {
    let world = world().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n"), Err(ScanErrorKind::Source)]);
    assert!(drain(dana.fetch(&world, &request.id).await.unwrap()).await.is_err());
    assert_eq!(said(&world).await, kept("source_failed"));
    let first = intent_of(&world, &request);
    // And every attempt its own.
    world.script(vec![Ok(b"b\n")]);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let auditor = world.sign_in("audra", &["auditors"]).await;
    assert_eq!(replay(&world, &auditor, first).await.unwrap(), b"a\n");
    assert_eq!(replay(&world, &auditor, intent_of(&world, &request)).await.unwrap(), b"b\nend");
}

#[tokio::test]
async fn after_a_crash_a_recording_holds_what_the_log_can_vouch_for() {
    let world = world().await;
    let (dana, rey, request) = approved(&world).await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    world.script_frames((0..50).map(|_| {
        Ok(Frame {
            bytes: piece.clone(),
            rows: 1,
        })
    }));
    world.scanner.hold.store(true, Ordering::SeqCst);
    let mut delivery = dana.fetch(&world, &request.id).await.unwrap();
    for _ in 0..45 {
        delivery.next().await.unwrap().unwrap();
    }
    world
        .until("progress", |state| state.open_intents.values().all(|open| open.bytes > 0))
        .await;
    let told = world.broker.log.published().state.open_intents.values().next().unwrap().bytes;
    let intent = intent_of(&world, &request);
    let auditor = world.sign_in("audra", &["auditors"]).await;
    assert_eq!(replay(&world, &auditor, intent).await.unwrap_err().code, Code::WrongState);
    // What a crash leaves: no end, and, further on, half a block.
    let found = world.recordings.files.lock().unwrap().clone();
    let world = world
        .crash_and_restart_with(|recordings| {
            let mut files = recordings.files.lock().unwrap();
            *files = found;
            let file = files.values_mut().next().unwrap();
            let length = file.len() - 17;
            file.truncate(length);
        })
        .await;
    drop(delivery);
    assert_eq!(said(&world).await, kept("interrupted"));
    let replayed = replay(&world, &auditor, intent).await.unwrap();
    assert_eq!(replayed.len() as u64, told);
    assert!(replayed.iter().all(|byte| *byte == b'x'));
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);
    drop(rey);
}

#[tokio::test]
async fn a_recording_that_a_crash_lost_has_failed_and_what_belongs_to_nobody_is_removed() {
    let world = world().await;
    let (dana, _, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    world.until("the delivery", |state| !state.open_intents.is_empty()).await;
    let stray = crate::recording::RecordingName {
        month: "2026-01".to_owned(),
        intent: 4,
    };
    let world = world
        .crash_and_restart_with(|recordings| {
            let mut files = recordings.files.lock().unwrap();
            files.clear();
            files.insert(stray.clone(), b"of a delivery that never was".to_vec());
        })
        .await;
    drop(delivery);
    assert_eq!(said(&world).await, ("interrupted".to_owned(), Some("failed".to_owned())));
    assert!(world.recordings.files.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_recordings_of_an_erased_person_are_gone() {
    let world = world().await;
    let (dana, _, request) = approved(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let intent = intent_of(&world, &request);
    let kept = world.recordings.files.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    let admin = world.sign_in("adam", &["admins"]).await.caller(&world).await.unwrap();
    let erase = EraseRequest {
        person: "dana".to_owned(),
        reason: "asked for".to_owned(),
    };
    crate::audit::erase(&world.broker, &cx(), &admin, erase).await.unwrap();
    assert!(world.recordings.files.lock().unwrap().is_empty());
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let fault = replay(&world, &auditor, intent).await.unwrap_err();
    assert!(fault.code == Code::NotFound && fault.public.contains("erased"), "{}", fault.public);
    // A copy that comes back from somewhere is of no use, and does not stay.
    let world = world
        .crash_and_restart_with(|recordings| *recordings.files.lock().unwrap() = kept)
        .await;
    assert!(world.recordings.files.lock().unwrap().is_empty());
    assert_eq!(replay(&world, &auditor, intent).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_recording_that_somebody_changed_does_not_end_well() {
    let world = world().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    *world
        .recordings
        .files
        .lock()
        .unwrap()
        .values_mut()
        .next()
        .unwrap()
        .last_mut()
        .unwrap() ^= 1;
    let caller = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    let replay = crate::audit::recording(&world.broker, &cx(), &caller, intent_of(&world, &request))
        .await
        .unwrap();
    assert!(replay.try_collect::<Vec<Bytes>>().await.is_err());
}

/// A recording of so many MiB, and its intent.
async fn large(world: &World, mib: usize) -> u64 {
    let (dana, _, request) = approved(world).await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    world.script_frames((0..mib).map(|_| {
        Ok(Frame {
            bytes: piece.clone(),
            rows: 1,
        })
    }));
    drain(dana.fetch(world, &request.id).await.unwrap()).await.unwrap();
    intent_of(world, &request)
}

/// A replay of which one part was taken.
async fn begun(world: &World, who: &Someone, intent: u64) -> Replay {
    let caller = who.caller(world).await.unwrap();
    let mut replay = crate::audit::recording(&world.broker, &cx(), &caller, intent).await.unwrap();
    replay.next().await.unwrap().unwrap();
    replay
}

/// It gives nothing more and ends badly, once the job that reads it has seen why.
async fn assert_cut(world: &World, mut replay: Replay) {
    let slots = &world.broker.replay_slots;
    until("the replay to end", || slots.available_permits() == REPLAYS_RUNNING_MAX).await;
    assert!(replay.next().await.unwrap().is_err());
    assert!(replay.next().await.is_none());
}

#[test]
fn only_so_many_recordings_are_read_at_once_and_slow_readers_hold_no_thread() {
    // With a thread for each reader, nothing else could be read here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build();
    runtime.unwrap().block_on(async {
        let world = world().await;
        let intent = large(&world, 8).await;
        let auditor = world.sign_in("audra", &["auditors"]).await;
        let mut held = Vec::new();
        for _ in 0..REPLAYS_RUNNING_MAX {
            held.push(begun(&world, &auditor, intent).await);
        }
        let refused = replay(&world, &auditor, intent).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        // Whoever goes away makes room, and whoever is slow still gets all of it.
        drop(held.pop());
        until("room", || world.broker.replay_slots.available_permits() > 0).await;
        assert_eq!(replay(&world, &auditor, intent).await.unwrap().len(), (8 << 20) + 3);
        let rest: Vec<Bytes> = held.pop().unwrap().try_collect().await.unwrap();
        assert_eq!(rest.concat().len(), (7 << 20) + 3);
    });
}

#[tokio::test]
async fn a_replay_stops_in_the_middle_when_its_reader_s_session_ends() {
    let world = world().await;
    let intent = large(&world, 8).await;
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let replay = begun(&world, &auditor, intent).await;
    let caller = auditor.caller(&world).await.unwrap();
    crate::identity::close_session(&world.broker, &cx(), &caller, None).await.unwrap();
    assert_cut(&world, replay).await;
    // Also when only time ends it.
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let replay = begun(&world, &auditor, intent).await;
    world.advance_ms(13 * 3600 * 1000);
    assert_cut(&world, replay).await;
}

#[tokio::test]
async fn a_replay_stops_in_the_middle_when_what_is_read_is_erased_or_disposed_of() {
    let world = world().await;
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let intent = large(&world, 8).await;
    let replay = begun(&world, &auditor, intent).await;
    let dispose = DisposeEntry {
        bodies: Vec::new(),
        recordings_before: Some(intent + 1),
        bodies_count: 0,
        recordings_count: 1,
    };
    let commit = move |_: &State, _| Ok(vec![Event::Dispose(dispose)]);
    world.broker.log.commit(Urgency::Normal, commit).await.unwrap();
    assert_cut(&world, replay).await;

    let intent = large(&world, 8).await;
    let replay = begun(&world, &auditor, intent).await;
    let admin = world.sign_in("adam", &["admins"]).await.caller(&world).await.unwrap();
    let erase = EraseRequest {
        person: "dana".to_owned(),
        reason: "asked for".to_owned(),
    };
    crate::audit::erase(&world.broker, &cx(), &admin, erase).await.unwrap();
    assert_cut(&world, replay).await;
}

#[tokio::test]
async fn content_is_shown_to_those_who_may_read_it_of_its_dataset() {
    let mut world = world().await;
    let intent = large(&world, 1).await;
    let auditor = world.sign_in("audra", &["auditors"]).await;
    let (broker_only, of_dataset) = (
        r#"@id("log") permit(principal in Group::"auditors", action == Action::"audit_read", resource == Broker::"broker");"#,
        r#"@id("content") permit(principal in Group::"auditors", action == Action::"audit_read", resource == Dataset::"customers");"#,
    );
    let apart = r#"@id("apart") forbid(principal, action == Action::"audit_read", resource == Dataset::"customers");"#;
    for (policies, code) in [
        (POLICIES.to_owned(), None),
        (broker_only.to_owned(), Some(Code::Denied)),
        (of_dataset.to_owned(), Some(Code::Denied)),
        (format!("{broker_only}{of_dataset}"), None),
        (format!("{POLICIES}{apart}"), Some(Code::Denied)),
    ] {
        world.broker.reload_policies(policy_set(&policies)).await.unwrap();
        let answer = replay(&world, &auditor, intent).await;
        assert_eq!(answer.as_ref().err().map(|fault| fault.code), code, "{policies}");
    }
    // Of what is not configured any more, policy cannot say.
    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    world.setup.settings.catalog.datasets.remove("customers");
    let world = world.crash_and_restart().await;
    let refused = replay(&world, &auditor, intent).await.unwrap_err();
    assert!(
        refused.code == Code::Denied && refused.public.contains("not configured any more"),
        "{}",
        refused.public
    );
}
