//! Is whoever approved, and whoever asked, still who they were when the data is released?

use std::sync::atomic::Ordering;

use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use super::{approved, state_of};
use crate::testing::{ADMINISTRATORS, POLICIES, Setup, World, cx, drain, policy_set};

#[tokio::test]
async fn an_approval_counts_only_while_policy_lets_its_giver_review() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let not_rey = format!(
        r#"{POLICIES}@id("not-rey") forbid(principal, action == Action::"review", resource) when {{ principal.subject == "rey" }};"#
    );
    world.broker.reload_policies(policy_set(&not_rey)).await.unwrap();
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(
        (refused.code, refused.policies.as_slice()),
        (Code::Denied, &["not-rey".to_owned()][..])
    );
    assert!(refused.public.contains("`rey`"), "{refused}");
    assert_eq!(world.kinds().await.last(), Some(&"request.deny"), "the attempt is recorded");
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_approval_counts_only_while_its_giver_has_the_groups_for_it() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.sign_in("rey", &["gardeners"]).await;
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::Denied);
    let world = world.crash_and_restart().await;
    assert_eq!(
        dana.fetch(&world, &request.id).await.err().unwrap().code,
        Code::Denied,
        "as after a restart"
    );
    world.sign_in("rey", &["data-owners"]).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_approval_counts_only_while_nobody_else_ended_the_session_it_was_given_under() {
    let world = World::with_policies(&format!("{POLICIES}{ADMINISTRATORS}")).await;
    let (dana, rey, request) = approved(&world).await;
    let close = async |who: &crate::testing::Someone, session| {
        let caller = who.caller(&world).await.unwrap();
        crate::identity::close_session(&world.broker, &cx(), &caller, session)
            .await
            .unwrap();
    };
    close(&rey, None).await;
    let admin = world.sign_in("adam", &["admins"]).await;
    let rey_again = world.sign_in("rey", &["data-owners"]).await;
    let second = dana.ask(&world, "customers").await;
    rey_again.review(&world, &second, Verdict::Approve).await.unwrap();
    drain(dana.fetch(&world, &request.id).await.unwrap())
        .await
        .expect("whoever signs out has approved all the same");
    let session = rey_again.tokens.as_ref().unwrap().session.clone();
    close(&admin, Some(session)).await;
    assert_eq!(dana.fetch(&world, &second.id).await.err().unwrap().code, Code::Denied);
    assert_eq!(
        state_of(&world.broker, &second),
        RequestState::Approved,
        "somebody may still revoke it, or it expires"
    );
}

#[tokio::test]
async fn of_a_quorum_all_must_still_count() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = dana.ask(&world, "salaries").await;
    for reviewer in ["rey", "uma"] {
        let reviewer = world.sign_in(reviewer, &["data-owners"]).await;
        reviewer.review(&world, &request, Verdict::Approve).await.unwrap();
    }
    world.sign_in("uma", &[]).await;
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert!(refused.public.contains("`uma`") && !refused.public.contains("`rey`"), "{refused}");
}

#[tokio::test]
async fn old_claims_neither_review_nor_get_data() {
    let mut setup = Setup::default();
    setup.settings.claims_age_max_s = 3600;
    setup.settings.catalog.datasets.get_mut("customers").unwrap().grant_s = 4 * 3600;
    setup.settings.catalog.datasets.get_mut("customers").unwrap().pending_s = 4 * 3600;
    let world = World::with(setup).await;
    let (mut dana, mut rey, request) = approved(&world).await;
    let pending = dana.ask(&world, "customers").await;
    world.advance_ms(3_600_000);
    dana.refresh(&world).await;
    rey.refresh(&world).await;
    let another = dana.ask(&world, "customers").await;
    rey.review(&world, &another, Verdict::Approve).await.unwrap();
    world.advance_ms(1000);
    for refused in [
        rey.review(&world, &pending, Verdict::Approve).await.err().unwrap(),
        dana.fetch(&world, &request.id).await.err().unwrap(),
    ] {
        assert_eq!(
            (refused.code, refused.hint.as_deref()),
            (Code::Unauthenticated, Some("run `chunkctl login`"))
        );
    }
    // Everything else goes on, and a new sign-in with the same key mends it.
    assert_eq!(dana.ask(&world, "customers").await.state, RequestState::Pending);
    rey.sign_in_again(&world, "rey", &["data-owners"]).await;
    dana.sign_in_again(&world, "dana", &["data-eng"]).await;
    rey.review(&world, &pending, Verdict::Approve).await.unwrap();
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    drain(dana.fetch(&world, &another.id).await.unwrap()).await.unwrap();
}
