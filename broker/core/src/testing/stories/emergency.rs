//! Breaking the glass: nobody waits, everything is recorded, and somebody else judges it afterwards.

use chunk_wire::fetch::{PlanRequest, RequestState};
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use crate::testing::{Someone, World, cx, drain, slice};

const POLICIES: &str = r#"
permit(principal in Group::"on-call", action in [Action::"describe", Action::"fetch", Action::"break_glass"], resource == Dataset::"customers");
permit(principal in Group::"data-eng", action in [Action::"describe", Action::"fetch"], resource);
permit(principal in Group::"data-owners", action in [Action::"describe", Action::"review"], resource);
"#;

fn emergency(dataset: &str, ticket: Option<&str>) -> PlanRequest {
    PlanRequest {
        ticket: ticket.map(str::to_owned),
        break_glass: true,
        ..slice(dataset)
    }
}

async fn world() -> (World, Someone, Someone) {
    let world = World::with_policies(POLICIES).await;
    let olga = world.sign_in("olga", &["on-call"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    (world, olga, rey)
}

async fn broken(world: &World, who: &Someone) -> chunk_wire::fetch::RequestView {
    let plan = who.plan(world, emergency("customers", Some("INC-1"))).await.unwrap();
    assert_eq!((plan.decision.as_str(), plan.quorum), ("allowed", 0));
    who.submit(world, &plan.document.unwrap()).await.unwrap()
}

async fn waiting_for(world: &World, who: &Someone) -> Vec<u64> {
    let caller = who.caller(world).await.unwrap();
    let pending = Some(RequestState::Pending);
    let listed = crate::approval::list(&world.broker, &cx(), &caller, pending, false).await.unwrap();
    listed.iter().map(|view| view.index).collect()
}

#[tokio::test]
async fn data_comes_at_once_and_a_review_is_due_until_somebody_else_gave_it() {
    let (world, olga, rey) = world().await;
    let request = broken(&world, &olga).await;
    assert_eq!(request.state, RequestState::Approved);
    assert!(request.break_glass && request.review_due);
    let kinds = world.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["request.create", "breakglass.open", "grant.issue"],
        "one commit"
    );
    drain(olga.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(
        waiting_for(&world, &rey).await,
        [request.index],
        "it waits for a reviewer although it is done"
    );

    let by_herself = olga.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(by_herself.code, Code::ReviewRefused);
    let reviewed = rey.review(&world, &request, Verdict::Approve).await.unwrap();
    assert!(reviewed.break_glass && !reviewed.review_due);
    assert_eq!(reviewed.state, RequestState::Completed);
    assert_eq!(reviewed.reviews.len(), 1);
    assert_eq!(reviewed.reviews[0].reason, "looked at it");
    assert!(waiting_for(&world, &rey).await.is_empty());
    assert_eq!(world.kinds().await.last(), Some(&"breakglass.review"));
    let again = rey.review(&world, &request, Verdict::Reject).await.unwrap_err();
    assert_eq!(again.code, Code::ReviewRefused);
}

#[tokio::test]
async fn a_review_that_is_due_survives_a_crash_and_one_that_was_given_too() {
    let (world, olga, _) = world().await;
    let (first, second) = (broken(&world, &olga).await, broken(&world, &olga).await);
    let world = world.crash_and_restart().await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    assert_eq!(waiting_for(&world, &rey).await, [second.index, first.index]);
    rey.review(&world, &first, Verdict::Approve).await.unwrap();
    let world = world.crash_and_restart().await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    assert_eq!(waiting_for(&world, &rey).await, [second.index]);
}

#[tokio::test]
async fn a_no_takes_what_has_not_been_used() {
    let (world, olga, rey) = world().await;
    let request = broken(&world, &olga).await;
    let rejected = rey.review(&world, &request, Verdict::Reject).await.unwrap();
    assert_eq!(rejected.state, RequestState::Revoked);
    assert!(!rejected.review_due);
    assert_eq!(olga.fetch(&world, &request.id).await.err().unwrap().code, Code::WrongState);

    // What was delivered stays delivered, and judged.
    let request = broken(&world, &olga).await;
    drain(olga.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let rejected = rey.review(&world, &request, Verdict::Reject).await.unwrap();
    assert_eq!(rejected.state, RequestState::Completed);
}

#[tokio::test]
async fn it_takes_a_permit_of_its_own_a_reason_and_a_ticket() {
    let (world, olga, _) = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let denied = dana.plan(&world, emergency("customers", Some("INC-1"))).await.unwrap();
    assert_eq!(denied.decision, "denied", "fetch alone does not break the glass");
    assert!(denied.document.is_none());
    for ticket in [None, Some(""), Some("  ")] {
        let plan = olga.plan(&world, emergency("customers", ticket)).await.unwrap();
        let refused = olga.submit(&world, &plan.document.unwrap()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidRequest, "{ticket:?}");
    }
    // A plan that was no emergency does not become one by a member that somebody adds.
    let plan = dana.plan(&world, slice("customers")).await.unwrap().document.unwrap();
    let widened = plan.replacen('{', "{\"break_glass\":true,", 1);
    let refused = dana.submit(&world, &widened).await.unwrap_err();
    assert!(
        matches!(refused.code, Code::InvalidRequest | Code::Denied | Code::InvalidSignature),
        "{:?}",
        refused.code
    );
    assert!(!world.kinds().await.contains(&"breakglass.open"));
}
