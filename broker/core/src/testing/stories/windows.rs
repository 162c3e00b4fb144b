//! Windows of time: what is approved now and may be fetched later, neither before nor after.

use chunk_wire::fetch::{PlanRequest, RequestDocument, RequestState, StandingRequest, WindowRequest};
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use super::stages::both_are_true;
use crate::testing::{Someone, World, cx, drain, slice};

const MINUTE_MS: i64 = 60_000;

/// Customers, from so many minutes on, for so many.
fn asks(world: &World, in_minutes: i64, minutes: Option<u32>) -> PlanRequest {
    PlanRequest {
        window: Some(WindowRequest {
            from_ms: world.broker.clock.now_ms() + in_minutes * MINUTE_MS,
            duration_s: minutes.map(|minutes| minutes * 60),
        }),
        ..slice("customers")
    }
}

async fn approved(world: &World, dana: &Someone, in_minutes: i64, minutes: u32) -> chunk_wire::fetch::RequestView {
    let plan = dana.plan(world, asks(world, in_minutes, Some(minutes))).await.unwrap();
    let request = dana.submit(world, &plan.document.unwrap()).await.unwrap();
    let rey = world.sign_in("rey", &["data-owners"]).await;
    rey.review(world, &request, Verdict::Approve).await.unwrap()
}

#[tokio::test]
async fn what_was_approved_is_fetched_in_its_window_only() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = approved(&world, &dana, 5, 4).await;
    let document: RequestDocument = serde_json::from_str(&request.document).unwrap();
    let window = document.window.unwrap();
    assert_eq!(window.until_ms - window.from_ms, 4 * MINUTE_MS, "the requester signs it");
    assert_eq!((request.state, request.expires_ms), (RequestState::Approved, window.until_ms));
    let early = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(early.code, Code::WrongState);
    assert!(early.public.contains("in 300 seconds"), "{early}");
    assert!(!world.kinds().await.contains(&"fetch.intent"), "nothing is read");

    let world = world.crash_and_restart().await;
    world.advance_ms(5 * MINUTE_MS);
    world.script(vec![Ok(b"a\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    both_are_true(&world, &dana, &request, &bytes).await;
}

#[tokio::test]
async fn a_window_that_is_over_ends_the_request_approved_or_not() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = approved(&world, &dana, 1, 2).await;
    let plan = dana.plan(&world, asks(&world, 1, Some(2))).await.unwrap();
    let waiting = dana.submit(&world, &plan.document.clone().unwrap()).await.unwrap();
    assert_eq!(
        waiting.expires_ms, request.expires_ms,
        "nobody decides what cannot be fetched any more"
    );
    world.advance_ms(3 * MINUTE_MS);
    world.until("both to end", |state| state.waiting.is_empty()).await;
    for id in [&request.id, &waiting.id] {
        let caller = dana.caller(&world).await.unwrap();
        let now = crate::approval::show(&world.broker, &cx(), &caller, id).await.unwrap();
        assert_eq!(now.state, RequestState::Expired);
    }
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::WrongState);
    let late = dana.submit(&world, &plan.document.unwrap()).await.unwrap_err();
    assert_eq!(late.code, Code::WrongState, "the same document is one request");
}

#[tokio::test]
async fn a_window_has_bounds_and_is_for_one_delivery() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let refused = async |request: PlanRequest| dana.plan(&world, request).await.unwrap_err().code;
    assert_eq!(refused(asks(&world, 5, Some(0))).await, Code::LimitReached);
    assert_eq!(
        refused(asks(&world, 5, Some(24 * 60))).await,
        Code::LimitReached,
        "no longer than a grant"
    );
    // Only the key of the session that asks may fetch, and it is gone with the session.
    assert_eq!(refused(asks(&world, 100 * 24 * 60, Some(2))).await, Code::InvalidRequest);
    let standing = PlanRequest {
        standing: Some(StandingRequest {
            duration_s: 3600,
            rows: None,
            bytes: None,
        }),
        ..asks(&world, 5, Some(2))
    };
    assert_eq!(refused(standing).await, Code::InvalidRequest);
    let emergency = PlanRequest {
        break_glass: true,
        ticket: Some("INC-1".into()),
        ..asks(&world, 5, Some(2))
    };
    assert_eq!(refused(emergency).await, Code::InvalidRequest);
    let plan = dana.plan(&world, asks(&world, 5, None)).await.unwrap();
    let document: RequestDocument = serde_json::from_str(&plan.document.unwrap()).unwrap();
    let window = document.window.unwrap();
    assert_eq!(window.until_ms - window.from_ms, i64::from(document.grant_s) * 1000);
}

#[tokio::test]
async fn a_standing_grant_is_not_used_for_a_window() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let standing = PlanRequest {
        standing: Some(StandingRequest {
            duration_s: 3600,
            rows: None,
            bytes: None,
        }),
        ..slice("customers")
    };
    let plan = dana.plan(&world, standing).await.unwrap();
    let grant = dana.submit(&world, &plan.document.unwrap()).await.unwrap();
    let rey = world.sign_in("rey", &["data-owners"]).await;
    rey.review(&world, &grant, Verdict::Approve).await.unwrap();
    assert_eq!(dana.plan(&world, slice("customers")).await.unwrap().decision, "allowed");
    let plan = dana.plan(&world, asks(&world, 5, Some(2))).await.unwrap();
    assert_eq!(plan.decision, "needs_approval");
}
