//! Policies and configuration change while something is decided, or after it was signed.

use std::sync::atomic::Ordering;

use chunk_evidence::body::Group;
use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use super::{approved, state_of};
use crate::testing::{POLICIES, World, drain, policy_set, slice};

/// Everybody's rights as before, under another digest.
const SAME: &str = r#"@id("more") permit(principal in Group::"more", action == Action::"describe", resource);"#;
const NOBODY: &str = r#"permit(principal, action == Action::"describe", resource);"#;

/// (kind, index of the policies it names) of entries that name policies.
async fn policies_named(world: &World) -> Vec<(&'static str, Option<u64>)> {
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let named = ["request.create", "request.deny", "review.approve", "review.reject", "fetch.intent"];
    entries
        .iter()
        .map(|entry| (entry.leaf.header.kind.as_str(), entry.leaf.header.pol))
        .filter(|(kind, _)| named.contains(kind))
        .collect()
}

fn in_force(world: &World) -> u64 {
    world.broker.log.published().state.policy.as_ref().unwrap().0
}

#[tokio::test]
async fn requests_verdicts_and_intents_name_the_policies_that_decided() {
    let world = World::new().await;
    let first = in_force(&world);
    let (dana, _, request) = approved(&world).await;
    world
        .broker
        .reload_policies(policy_set(&format!("{POLICIES}{SAME}")))
        .await
        .unwrap();
    let second = in_force(&world);
    assert_ne!(first, second);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let expected = [
        ("request.create", Some(first)),
        ("review.approve", Some(first)),
        ("fetch.intent", Some(second)),
    ];
    assert_eq!(policies_named(&world).await, expected);
}

#[tokio::test]
async fn an_intent_is_decided_again_when_policies_changed_meanwhile() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.reload_meanwhile(NOBODY);
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::Denied);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
    assert_eq!(policies_named(&world).await.pop(), Some(("request.deny", Some(in_force(&world)))));
    assert_eq!(state_of(&world.broker, &request), RequestState::Approved, "its grant is unspent");

    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    world.reload_meanwhile(&format!("{POLICIES}{SAME}"));
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(policies_named(&world).await.pop(), Some(("fetch.intent", Some(in_force(&world)))));
}

#[tokio::test]
async fn a_verdict_is_decided_again_when_policies_changed_meanwhile() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(&world, "customers").await;
    // The reload stands in the log's queue when the verdict is decided, and nobody asks the new policies yet.
    world.journal.hold(true);
    let (reloaded, verdict, ()) = tokio::join!(
        world.broker.reload_policies(policy_set(NOBODY)),
        rey.review(&world, &request, Verdict::Approve),
        async { world.journal.hold(false) },
    );
    reloaded.unwrap();
    assert!(matches!(verdict.unwrap_err().code, Code::NotFound | Code::ReviewRefused));
    assert_eq!(state_of(&world.broker, &request), RequestState::Pending);

    world.journal.hold(true);
    let (reloaded, verdict, ()) = tokio::join!(
        world.broker.reload_policies(policy_set(POLICIES)),
        async {
            // Under the policies that are still asked, rey may not even see it.
            rey.review(&world, &request, Verdict::Approve).await
        },
        async { world.journal.hold(false) },
    );
    reloaded.unwrap();
    assert_eq!(
        verdict.unwrap_err().code,
        Code::NotFound,
        "a refusal is no decision that needs an entry"
    );
    assert_eq!(
        rey.review(&world, &request, Verdict::Approve).await.unwrap().state,
        RequestState::Approved
    );
    assert_eq!(policies_named(&world).await.pop(), Some(("review.approve", Some(in_force(&world)))));
}

#[tokio::test]
async fn a_request_is_refused_when_policies_changed_after_it_was_planned() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    world.reload_meanwhile(&format!("{POLICIES}{SAME}"));
    let refused = dana.submit(&world, &plan.document.unwrap()).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.hint.as_deref()),
        (Code::DocumentMismatch, Some("run the same command again"))
    );
    dana.ask(&world, "customers").await;
}

#[tokio::test]
async fn a_denial_names_the_policies_that_denied_even_when_others_are_in_force_by_then() {
    let world = World::with_policies(NOBODY).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let first = in_force(&world);
    world.reload_meanwhile(POLICIES);
    assert_eq!(dana.plan(&world, slice("customers")).await.unwrap().decision, "denied");
    assert_ne!(in_force(&world), first);
    assert_eq!(policies_named(&world).await, [("request.deny", Some(first))]);
}

#[tokio::test]
async fn a_row_filter_that_changed_since_it_was_approved_is_not_another_one() {
    let filtered = |text: Option<&str>| {
        let mut setup = crate::testing::Setup::default();
        setup.settings.catalog.datasets.get_mut("customers").unwrap().row_filter = text.map(str::to_owned);
        setup
    };
    for (then, now, kept) in [
        (Some("city = 'Bern'"), Some("city = 'Bern'"), true),
        (Some("city = 'Bern'"), Some("city <> 'Oslo'"), false),
        (Some("city = 'Bern'"), None, false),
        (None, Some("city = 'Bern'"), false),
    ] {
        let mut world = World::with(filtered(then)).await;
        let (dana, _, request) = approved(&world).await;
        let document: chunk_wire::fetch::RequestDocument = serde_json::from_str(&request.document).unwrap();
        let digest = then.map(|text| chunk_evidence::encode::sha256_hex(text.as_bytes()));
        assert_eq!(document.row_filters.get("customers"), digest.as_ref(), "the reviewer signed it");
        world.dataset("customers").row_filter = now.map(str::to_owned);
        // Whoever may skip filters by now still gets what was approved.
        if kept {
            world.setup.policies += r#"permit(principal, action == Action::"unfiltered", resource);"#;
        }
        let world = world.crash_and_restart().await;
        match dana.fetch(&world, &request.id).await {
            Ok(delivery) => {
                assert!(kept, "{then:?} {now:?}");
                drain(delivery).await.unwrap();
                let order = world.scanner.order.lock().unwrap().clone().unwrap();
                assert_eq!(order.tables[0].row_filter.as_deref(), then);
            }
            Err(refused) => {
                assert!(!kept, "{then:?} {now:?}: {refused}");
                assert_eq!(refused.code, Code::DocumentMismatch);
                assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_grant_lives_as_long_as_the_document_says_that_was_approved() {
    let mut world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(&world, "customers").await;
    let document: chunk_wire::fetch::RequestDocument = serde_json::from_str(&request.document).unwrap();
    assert_eq!(document.grant_s, 600);
    let longer = request.document.replace("\"grant_s\":600", "\"grant_s\":6000");
    assert_ne!(longer, request.document);
    assert_eq!(dana.submit(&world, &longer).await.unwrap_err().code, Code::DocumentMismatch);
    world.dataset("customers").grant_s = 6000;
    let world = world.crash_and_restart().await;
    let granted = rey.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(granted.expires_ms, world.broker.clock.now_ms() + 600_000);
    let grants = world.broker.log.read(0, usize::MAX).await.unwrap();
    let grant = grants.iter().find(|e| e.leaf.header.kind.as_str() == "grant.issue").unwrap();
    let until = grant.body.as_ref().unwrap().1.number(Group::Out, "expires_ms");
    assert_eq!(until.and_then(|ms| i64::try_from(ms).ok()), Some(granted.expires_ms));
}
