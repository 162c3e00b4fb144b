//! What a reviewer who watches is told.

use chunk_wire::fetch::RequestState;
use chunk_wire::review::{Verdict, Withdraw};

use crate::approval::{Inbox, Told};
use crate::testing::{POLICIES, Someone, World, cx, policy_set};

/// Everything there is to tell now: `list`, `listed`, or a request's index and state.
async fn told(world: &World, who: &Someone, inbox: &mut Inbox) -> Vec<String> {
    let caller = who.caller(world).await.unwrap();
    let mut all = Vec::new();
    while let Some(told) = inbox.next(&world.broker, &cx(), &caller).await.unwrap() {
        all.push(match told {
            Told::List => "list".to_owned(),
            Told::Listed { left_out } => format!("listed, {left_out} left out"),
            Told::Request(view) => format!("{} {}", view.index, view.state.as_str()),
        });
    }
    all
}

#[tokio::test]
async fn a_reviewer_is_told_what_is_pending_and_then_each_change_once() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let first = dana.ask(&world, "customers").await;
    let second = dana.ask(&world, "customers").await;
    let mut inbox = Inbox::new(true);
    assert_eq!(
        told(&world, &rey, &mut inbox).await,
        [
            "list".to_owned(),
            format!("{} pending", second.index),
            format!("{} pending", first.index),
            "listed, 0 left out".to_owned()
        ]
    );
    assert!(told(&world, &rey, &mut inbox).await.is_empty());
    // What concerns no request is nothing to tell.
    world.sign_in("uma", &["data-owners"]).await;
    assert!(told(&world, &rey, &mut inbox).await.is_empty());
    rey.review(&world, &first, Verdict::Approve).await.unwrap();
    assert_eq!(told(&world, &rey, &mut inbox).await, [format!("{} approved", first.index)]);
    let third = dana.ask(&world, "customers").await;
    let caller = dana.caller(&world).await.unwrap();
    let withdraw = Withdraw { reason: String::new() };
    let cancelled = crate::approval::cancel(&world.broker, &cx(), caller, third.id, withdraw)
        .await
        .unwrap();
    assert_eq!(cancelled.state, RequestState::Cancelled);
    assert_eq!(told(&world, &rey, &mut inbox).await, [format!("{} cancelled", third.index)]);
}

#[tokio::test]
async fn nobody_is_told_of_requests_that_are_not_theirs_to_review() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    let both = world.sign_in("both", &["data-eng", "data-owners"]).await;
    let own = both.ask(&world, "customers").await;
    let mut to_review = (Inbox::new(true), Inbox::new(true), Inbox::new(false));
    let nothing = ["list", "listed, 0 left out"];
    assert_eq!(told(&world, &eve, &mut to_review.0).await, nothing);
    assert_eq!(
        told(&world, &both, &mut to_review.1).await,
        nothing,
        "their own is not theirs to review"
    );
    assert_eq!(
        told(&world, &both, &mut to_review.2).await,
        ["list".to_owned(), format!("{} pending", own.index), "listed, 0 left out".to_owned()]
    );
    let request = dana.ask(&world, "customers").await;
    assert!(told(&world, &eve, &mut to_review.0).await.is_empty());
    assert_eq!(told(&world, &both, &mut to_review.1).await, [format!("{} pending", request.index)]);
}

#[tokio::test]
async fn when_policy_shows_other_requests_the_list_is_told_again() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(&world, "customers").await;
    let mut inbox = Inbox::new(true);
    assert_eq!(told(&world, &rey, &mut inbox).await.len(), 3);
    let closed = format!("{POLICIES}\nforbid(principal, action == Action::\"review\", resource);");
    world.broker.reload_policies(policy_set(&closed)).await.unwrap();
    assert_eq!(told(&world, &rey, &mut inbox).await, ["list", "listed, 0 left out"]);
    dana.ask(&world, "customers").await;
    assert!(told(&world, &rey, &mut inbox).await.is_empty());
    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    let again = told(&world, &rey, &mut inbox).await;
    assert_eq!(again.len(), 4, "{again:?}");
    assert!(again.contains(&format!("{} pending", request.index)), "{again:?}");
}
