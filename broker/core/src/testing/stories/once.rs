//! Asking and fetching in one call, where policy asks for nobody's approval.

use std::sync::atomic::Ordering;

use chunk_evidence::encode::sha256_hex;
use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;

use crate::delivery::Delivery;
use crate::fetch::Submitted;
use crate::testing::{POLICIES, Someone, World, cx, drain, slice};

const UNAPPROVED: &str = r#"@id("small-needs-nobody") permit(principal in Group::"data-eng", action == Action::"fetch_unapproved", resource) when { context.rows_estimated < 100 };"#;

async fn world() -> (World, Someone) {
    let world = World::with_policies(&format!("{POLICIES}{UNAPPROVED}")).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    (world, dana)
}

async fn document(world: &World, dana: &Someone) -> String {
    dana.plan(world, slice("customers")).await.unwrap().document.unwrap()
}

fn delivery(submitted: Submitted) -> (chunk_wire::id::RequestId, Delivery) {
    match submitted {
        Submitted::Delivered { request, delivery } => (request, delivery),
        Submitted::Waiting(view) => unreachable!("{view:?}"),
    }
}

fn commits(world: &World) -> u64 {
    world.broker.log.published().commits
}

#[tokio::test]
async fn a_request_that_needs_nobody_is_two_commits_from_asking_to_its_outcome() {
    let (world, dana) = world().await;
    let document = document(&world, &dana).await;
    let before = (commits(&world), world.kinds().await.len());
    world.script(vec![Ok(b"a\n")]);
    let (request, delivery) = delivery(dana.submit_and_fetch(&world, &document).await.unwrap());
    let intent = delivery.intent();
    let bytes = drain(delivery).await.unwrap();
    assert_eq!(commits(&world) - before.0, 2);
    let kinds = world.kinds().await;
    assert_eq!(
        kinds[before.1..],
        ["request.create", "grant.issue", "grant.take", "fetch.intent", "fetch.outcome"]
    );
    assert_eq!(kinds[usize::try_from(intent).unwrap()], "fetch.intent");
    let caller = dana.caller(&world).await.unwrap();
    let view = crate::approval::show(&world.broker, &cx(), &caller, &request).await.unwrap();
    assert_eq!((view.state, &view.document), (RequestState::Completed, &document));
    let text = crate::audit::receipt(&world.broker, &cx(), &caller, &request, 0).await.unwrap();
    let receipt = chunk_evidence::receipt::Receipt::parse(&text).unwrap();
    let key = chunk_evidence::note::VerifierKey::parse(&world.broker.info().log_key).unwrap();
    chunk_evidence::receipt::verify(&receipt, &chunk_evidence::encode::sha256(&bytes), bytes.len() as u64, &[key]).unwrap();
    assert_eq!(view.deliveries[0].sha256.as_deref(), Some(sha256_hex(&bytes).as_str()));
    assert_eq!(
        dana.submit_and_fetch(&world, &document).await.err().unwrap().code,
        Code::WrongState,
        "once"
    );
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_needs_somebody_waits_for_them() {
    let (world, dana) = world().await;
    *world.scanner.rows_estimated.lock().unwrap() = Some(100);
    let document = document(&world, &dana).await;
    let Submitted::Waiting(view) = dana.submit_and_fetch(&world, &document).await.unwrap() else {
        unreachable!("somebody must approve")
    };
    assert_eq!((view.state, view.approvals_missing), (RequestState::Pending, 1));
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_cannot_be_recorded_whole_is_not_recorded_at_all_and_nothing_is_read() {
    let (world, dana) = world().await;
    let document = document(&world, &dana).await;
    let entries = world.kinds().await.len();
    world.journal.full.store(true, Ordering::SeqCst);
    assert_eq!(
        dana.submit_and_fetch(&world, &document).await.err().unwrap().code,
        Code::EvidenceUnavailable
    );
    world.journal.full.store(false, Ordering::SeqCst);
    world.reload_meanwhile(POLICIES);
    assert_eq!(
        dana.submit_and_fetch(&world, &document).await.err().unwrap().code,
        Code::DocumentMismatch
    );
    assert_eq!(world.kinds().await.len(), entries + 1, "the reload alone");
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
    let Submitted::Waiting(_) = dana
        .submit_and_fetch(&world, &super::once::document(&world, &dana).await)
        .await
        .unwrap()
    else {
        unreachable!("under the policies in force now somebody must approve")
    };
}
