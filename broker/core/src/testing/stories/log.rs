//! The log's writer, and how a broker begins on a log that is there already.

use std::sync::atomic::Ordering;

use chunk_evidence::body::Group;
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{Params, PlanRequest, Query, RequestState};
use chunk_wire::id::{ActorId, SessionId};
use chunk_wire::problem::Code;

use super::approved;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::limits::NUMBER_MAX;
use crate::testing::{POLICIES, Setup, World, cx, policy_set, slice};

fn stop(instance: &str) -> Event {
    Event::Stop {
        instance: instance.to_owned(),
    }
}

fn refusal() -> Error {
    Error::new(Code::WrongState, "no")
}

/// Commits one command on its own and, while its append is held, lets others gather into the next batch.
async fn batch_after_a_held_one(world: &World) -> Vec<Result<u64, Code>> {
    let log = &world.broker.log;
    let journal = &world.journal;
    journal.hold(true);
    let begun = journal.begun.load(Ordering::SeqCst);
    let mut first = Box::pin(log.commit(Urgency::Normal, |_, _| Ok(vec![stop("first")])));
    assert!(futures::poll!(&mut first).is_pending());
    while journal.begun.load(Ordering::SeqCst) == begun {
        tokio::task::yield_now().await;
    }
    let mut rests_on_nothing = Box::pin(log.commit(Urgency::Normal, |_, _| Err(refusal())));
    let mut writes = Box::pin(log.commit(Urgency::Normal, |_, _| Ok(vec![stop("second")])));
    let mut rests_on_it = Box::pin(log.commit(Urgency::Normal, |_, _| Err(refusal())));
    assert!(futures::poll!(&mut rests_on_nothing).is_pending());
    assert!(futures::poll!(&mut writes).is_pending());
    assert!(futures::poll!(&mut rests_on_it).is_pending());
    journal.hold(false);
    [first.await, rests_on_nothing.await, writes.await, rests_on_it.await]
        .into_iter()
        .map(|result| result.map(|committed| committed.events.start).map_err(|fault| fault.code))
        .collect()
}

#[tokio::test]
async fn a_refusal_that_rests_on_what_was_not_written_is_none() {
    let world = World::new().await;
    let size = world.broker.log.published().state.size;
    let answers = batch_after_a_held_one(&world).await;
    assert_eq!(answers, [Ok(size), Err(Code::WrongState), Ok(size + 1), Err(Code::WrongState)]);
    world.journal.full.store(true, Ordering::SeqCst);
    let answers = batch_after_a_held_one(&world).await;
    let lost = Err(Code::EvidenceUnavailable);
    assert_eq!(
        answers[1..],
        [Err(Code::WrongState), lost, lost],
        "only what was decided before the second entry stands"
    );
    world.journal.full.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn a_refusal_is_told_only_when_its_batch_is_durable() {
    let world = World::new().await;
    let log = &world.broker.log;
    world.journal.hold(true);
    let mut writes = Box::pin(log.commit(Urgency::Normal, |_, _| Ok(vec![stop("x")])));
    let mut refused = Box::pin(log.commit(Urgency::Normal, |_, _| Ok(vec![stop("y")])));
    assert!(futures::poll!(&mut writes).is_pending() && futures::poll!(&mut refused).is_pending());
    let mut rests_on_y = Box::pin(log.commit(Urgency::Normal, |_, _| Err(refusal())));
    for _ in 0..1000 {
        assert!(futures::poll!(&mut rests_on_y).is_pending());
        tokio::task::yield_now().await;
    }
    world.journal.hold(false);
    assert!(writes.await.is_ok() && refused.await.is_ok());
    assert_eq!(rests_on_y.await.err().unwrap().code, Code::WrongState);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_a_bug_and_no_fault_of_the_log() {
    let world = World::new().await;
    let too_large = Event::SessionFail {
        ip: "127.0.0.1".to_owned(),
        code: "x".to_owned(),
        count: NUMBER_MAX + 1,
    };
    let fault = world
        .broker
        .log
        .commit(Urgency::Normal, |_, _| Ok(vec![too_large]))
        .await
        .err()
        .unwrap();
    assert_eq!(fault.code, Code::Internal);
    assert!(world.broker.ready().is_ok());
}

#[tokio::test]
async fn where_a_key_cannot_be_made_what_needs_it_is_refused_and_nothing_else() {
    let world = World::new().await;
    let size = world.broker.log.published().state.size;
    // Keys that were used before are at hand; whoever is new needs one from the file.
    std::fs::write(world.dir.path().join("keys.db"), "no longer a key file").unwrap();
    let log = &world.broker.log;
    let somebody_new = Event::AuditRead {
        actor: ActorId::from_random([1; 10]),
        session: SessionId::from_random([1; 10]),
        open: 0,
        query: serde_json::json!({}),
        entries: 0,
    };
    let refused = log.commit(Urgency::Normal, |_, _| Ok(vec![stop("with it"), somebody_new])).await;
    assert_eq!(refused.err().unwrap().code, Code::EvidenceUnavailable);
    assert_eq!(log.published().state.size, size, "all events of a command or none");
    let written = log.commit(Urgency::Normal, |_, _| Ok(vec![stop("after it")])).await.unwrap();
    assert_eq!(written.events, size..size + 1);
    assert!(world.broker.ready().is_ok());
}

#[tokio::test]
async fn numbers_that_no_entry_can_hold_are_refused_or_rounded_before_they_reach_one() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let with_limit = |most| PlanRequest {
        query: Query::Slice {
            dataset: "customers".to_owned(),
            columns: None,
            filter: None,
            order_by: None,
            limit: Some(most),
            params: Params::new(),
        },
        ..slice("customers")
    };
    for limit in [NUMBER_MAX + 1, u64::MAX] {
        assert_eq!(dana.plan(&world, with_limit(limit)).await.unwrap_err().code, Code::InvalidRequest);
    }
    *world.scanner.rows_estimated.lock().unwrap() = Some(u64::MAX);
    let plan = dana.plan(&world, with_limit(NUMBER_MAX)).await.unwrap();
    assert_eq!(plan.rows_estimated, Some(NUMBER_MAX));
    let request = dana.submit(&world, &plan.document.unwrap()).await.unwrap();
    assert_eq!((request.state, request.rows_estimated), (RequestState::Pending, Some(NUMBER_MAX)));
}

#[tokio::test]
async fn a_broker_starts_only_on_the_log_that_its_origin_and_key_began() {
    let mut world = World::new().await;
    let (_dana, _rey, _request) = approved(&world).await;
    world.setup.log_seed = [7; 32];
    let refused = world.try_restart().await.err().unwrap();
    assert!(refused.public.contains("example.test/log"), "{refused}");

    let mut world = World::new().await;
    world.setup.settings.origin = "example.test/another".to_owned();
    let refused = world.try_restart().await.err().unwrap();
    assert!(
        refused.public.contains("example.test/log") && refused.public.contains("example.test/another"),
        "{refused}"
    );
    World::new().await.crash_and_restart().await;
}

#[tokio::test]
async fn policies_are_recorded_when_they_change_and_not_at_every_start() {
    let loads = |kinds: Vec<&str>| kinds.into_iter().filter(|kind| *kind == "policy.load").count();
    let world = World::new().await.crash_and_restart().await.crash_and_restart().await;
    assert_eq!(loads(world.kinds().await), 1);
    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    assert_eq!(loads(world.kinds().await), 1);
    world.broker.reload_policies(policy_set("")).await.unwrap();
    assert_eq!(loads(world.kinds().await), 2);
    let mut world = world.crash_and_restart().await;
    assert_eq!(loads(world.kinds().await), 3, "those on disk are in force again");
    let dana = world.sign_in("dana", &["data-eng"]).await;
    dana.ask(&world, "customers").await;

    // A disk that is nearly full holds up no start, whatever changed.
    world.setup.policies =
        format!("{POLICIES}@id(\"more\") permit(principal in Group::\"more\", action == Action::\"describe\", resource);");
    world.journal.full.store(true, Ordering::SeqCst);
    let world = world.crash_and_restart().await;
    assert_eq!(loads(world.kinds().await), 4);
    world.journal.full.store(false, Ordering::SeqCst);
    dana.ask(&world, "customers").await;
}

async fn failures(world: &World) -> Vec<(String, u64)> {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let failed = entries.iter().filter(|e| e.leaf.header.kind.as_str() == "session.fail");
    failed
        .map(|entry| {
            let body = &entry.body.as_ref().unwrap().1;
            (
                body.text(Group::Out, "code").unwrap().to_owned(),
                body.number(Group::Out, "count").unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn failed_sign_ins_are_counted_whatever_becomes_of_the_log_and_the_broker() {
    let world = World::with(Setup::default()).await;
    let dana = world.sign_in("dana", &[]).await;
    let used = world.id_token("dana", &[]);
    let open = |id_token: &str| chunk_wire::session::OpenSession {
        id_token: id_token.to_owned(),
        access_token: None,
        client: Default::default(),
    };
    for token in [used.as_str(), &used, &used, "not.a.token", &format!("{used}x")] {
        let presented = dana.present(&world, "POST", "/v1/sessions", false);
        drop(crate::identity::open_session(&world.broker, &cx(), presented, open(token)).await);
    }
    world.journal.refusals.store(1, Ordering::SeqCst);
    world.advance_ms(60_000);
    assert!(world.broker.failures.record(&world.broker, false).await.is_err() || world.journal.refusals.load(Ordering::SeqCst) == 0);
    world.broker.stop().await;
    let mut counted = failures(&world).await;
    counted.sort();
    assert_eq!(counted, [("invalid_id_token".to_owned(), 2), ("replayed_id_token".to_owned(), 2)]);
}
