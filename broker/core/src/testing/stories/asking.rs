//! What asking costs the broker, and who sees what was asked.

use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::{Verdict, Withdraw};

use super::approved;
use crate::limits::{ASKED_AT_ONCE_MAX, PLAN_S};
use crate::testing::{Someone, World, cx, drain, slice};

async fn ids(world: &World, who: &Someone, state: Option<RequestState>, mine: bool) -> Vec<u64> {
    let caller = who.caller(world).await.unwrap();
    let listed = crate::approval::list(&world.broker, &cx(), &caller, state, mine).await.unwrap();
    listed.iter().map(|view| view.index).collect()
}

#[tokio::test]
async fn a_nonce_is_128_bits_in_hex_and_nothing_else() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let document = dana.plan(&world, slice("customers")).await.unwrap().document.unwrap();
    let (before, rest) = document.split_once("\"nonce\":\"").unwrap();
    let (nonce, after) = rest.split_once('"').unwrap();
    let long = "a".repeat(1 << 20);
    for wrong in [
        "",
        &nonce[1..],
        &format!("{nonce}0"),
        &nonce.to_uppercase().replace('0', "A"),
        &"g".repeat(32),
        &long,
    ] {
        let document = format!("{before}\"nonce\":\"{wrong}\"{after}");
        assert_eq!(
            dana.submit(&world, &document).await.unwrap_err().code,
            Code::InvalidRequest,
            "{:.40}",
            wrong
        );
    }
    let another = format!("{before}\"nonce\":\"{}\"{after}", "0123456789abcdef".repeat(2));
    assert_eq!(dana.submit(&world, &another).await.unwrap().state, RequestState::Pending);
}

#[tokio::test]
async fn whoever_asks_without_pause_is_told_to_wait_and_when() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    for _ in 1..ASKED_AT_ONCE_MAX {
        dana.plan(&world, slice("customers")).await.unwrap();
    }
    let entries = world.kinds().await.len();
    let refused = dana.plan(&world, slice("customers")).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.hint.as_deref()),
        (Code::RateLimited, Some("run the same command again in 1 s"))
    );
    let document = plan.document.unwrap();
    assert_eq!(dana.submit(&world, &document).await.unwrap_err().code, Code::RateLimited);
    assert!(eve.plan(&world, slice("customers")).await.is_ok(), "others are not held up");
    assert_eq!(world.kinds().await.len(), entries, "being refused for haste costs the log nothing");
    world.advance_ms(1000);
    dana.submit(&world, &document).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_over_is_read_from_the_log_and_not_kept_in_memory() {
    let world = World::new().await;
    let (dana, rey, request) = approved(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let refused = dana.ask(&world, "salaries").await;
    let before = rey.review(&world, &refused, Verdict::Reject).await.unwrap();
    let published = world.broker.log.published();
    for id in [&request.id, &refused.id] {
        let kept = &published.state.requests[id];
        assert!(
            kept.document.is_none() && kept.reviews.iter().all(|r| r.reason.is_none()),
            "{kept:?}"
        );
    }
    let world = world.crash_and_restart().await;
    for (id, document) in [(&request.id, &request.document), (&refused.id, &before.document)] {
        let view = crate::approval::show(&world.broker, &cx(), &dana.caller(&world).await.unwrap(), id)
            .await
            .unwrap();
        assert_eq!((&view.document, view.reviews[0].reason.as_str()), (document, "looked at it"));
        assert_eq!(chunk_evidence::encode::sha256_hex(view.document.as_bytes()), view.digest);
    }
}

#[tokio::test]
async fn a_document_is_remembered_for_as_long_as_it_could_be_submitted() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    let (document, digest) = (plan.document.unwrap(), plan.digest.unwrap());
    dana.submit(&world, &document).await.unwrap();
    world.advance_ms(PLAN_S * 1000 - 1);
    dana.ask(&world, "customers").await;
    assert_eq!(
        dana.submit(&world, &document).await.unwrap_err().code,
        Code::WrongState,
        "each document is one request"
    );
    world.advance_ms(1);
    dana.ask(&world, "customers").await;
    assert!(!world.broker.log.published().state.documents.contains(&digest));
    assert_eq!(
        dana.submit(&world, &document).await.unwrap_err().code,
        Code::DocumentMismatch,
        "too old to be submitted"
    );
}

#[tokio::test]
async fn people_see_their_own_requests_and_those_they_may_review_newest_first() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let audra = world.sign_in("audra", &["auditors"]).await;
    let nobody = world.sign_in("nobody", &[]).await;
    let (one, two, three) = (
        dana.ask(&world, "customers").await,
        eve.ask(&world, "salaries").await,
        dana.ask(&world, "customers").await,
    );
    let withdraw = Withdraw { reason: String::new() };
    crate::approval::cancel(&world.broker, &cx(), dana.caller(&world).await.unwrap(), one.id, withdraw)
        .await
        .unwrap();
    assert_eq!(ids(&world, &dana, None, false).await, [three.index, one.index]);
    assert_eq!(ids(&world, &dana, Some(RequestState::Cancelled), true).await, [one.index]);
    assert_eq!(ids(&world, &eve, None, true).await, [two.index]);
    for who in [&rey, &audra] {
        assert_eq!(ids(&world, who, None, false).await, [three.index, two.index, one.index]);
        assert_eq!(ids(&world, who, Some(RequestState::Pending), false).await, [three.index, two.index]);
        assert!(ids(&world, who, None, true).await.is_empty());
    }
    assert!(ids(&world, &nobody, None, false).await.is_empty());
    assert!(ids(&world, &nobody, Some(RequestState::Pending), false).await.is_empty());
}
