//! The road, and every way off it.

mod asking;
mod changes;
mod cutting;
mod daily;
mod emergency;
mod ending;
mod erasing;
mod leaving;
mod log;
mod once;
mod recording;
mod retention;
mod rotating;
mod sign_in;
mod ssh_keys;
mod stages;
mod standing;
mod upheld;
mod watching;
mod windows;
mod workloads;

use std::sync::atomic::Ordering;

use chunk_evidence::encode::sha256_hex;
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use super::{Someone, World, cx, drain, slice};
use crate::broker::Broker;
use crate::evidence::entries::Event;
use chunk_port::{ScanErrorKind, Treatment};

async fn approved(world: &World) -> (Someone, Someone, RequestView) {
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(world, "customers").await;
    let request = rey.review(world, &request, Verdict::Approve).await.unwrap();
    (dana, rey, request)
}

fn state_of(broker: &Broker, request: &RequestView) -> RequestState {
    broker.log.published().state.requests[&request.id].state
}

#[tokio::test]
async fn a_fetch_goes_from_sign_in_to_an_outcome_with_the_digest_of_the_bytes() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    assert_eq!(request.state, RequestState::Approved);
    world.script(vec![Ok(b"a,b\n"), Ok(b"1,2\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(bytes, b"a,b\n1,2\nend");
    let state = &world.broker.log.published().state;
    let (_, outcome) = state.requests[&request.id].deliveries[0].outcome.clone().unwrap();
    assert_eq!((outcome.end.as_str(), outcome.rows, outcome.bytes), ("done", 2, 11));
    assert_eq!(outcome.sha256.as_deref(), Some(sha256_hex(&bytes).as_str()));
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
    let order = world.scanner.order.lock().unwrap().clone().unwrap();
    assert!(
        matches!(order.tables[0].columns[1].treatment, Treatment::Mask(_)),
        "the classified column is masked"
    );
    assert_eq!(
        world.kinds().await,
        [
            "log.genesis",
            "broker.start",
            "config.load",
            "policy.load",
            "session.open",
            "session.open",
            "request.create",
            "review.approve",
            "grant.issue",
            "grant.take",
            "fetch.intent",
            "fetch.outcome",
        ]
    );
}

#[tokio::test]
async fn a_requester_never_reviews_their_own_request() {
    let world = World::with_policies(
        "permit(principal, action, resource) unless { action == Action::\"fetch_unapproved\" || action == Action::\"reveal\" };",
    )
    .await;
    let dana = world.sign_in("dana", &["data-eng", "data-owners"]).await;
    let request = dana.ask(&world, "customers").await;
    assert_eq!(
        dana.review(&world, &request, Verdict::Approve).await.unwrap_err().code,
        Code::ReviewRefused
    );
    let again = world.sign_in("dana", &["data-owners"]).await;
    assert_eq!(
        again.review(&world, &request, Verdict::Approve).await.unwrap_err().code,
        Code::ReviewRefused
    );
    assert_eq!(state_of(&world.broker, &request), RequestState::Pending);
}

#[tokio::test]
async fn a_quorum_counts_distinct_people() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(&world, "salaries").await;
    assert_eq!(
        rey.review(&world, &request, Verdict::Approve).await.unwrap().state,
        RequestState::Pending
    );
    let rey_elsewhere = world.sign_in("rey", &["data-owners"]).await;
    assert_eq!(
        rey_elsewhere.review(&world, &request, Verdict::Approve).await.unwrap_err().code,
        Code::ReviewRefused
    );
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::ApprovalPending);
    let uma = world.sign_in("uma", &["data-owners"]).await;
    assert_eq!(
        uma.review(&world, &request, Verdict::Approve).await.unwrap().state,
        RequestState::Approved
    );
}

#[tokio::test]
async fn only_those_whom_policy_names_review() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    let request = dana.ask(&world, "customers").await;
    assert_eq!(
        eve.review(&world, &request, Verdict::Approve).await.unwrap_err().code,
        Code::NotFound
    );
}

#[tokio::test]
async fn a_verdict_over_another_digest_is_refused() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let one = dana.ask(&world, "customers").await;
    let other = dana.ask(&world, "customers").await;
    let refused = rey.review_digest(&world, &one, Verdict::Approve, &other.digest).await;
    assert_eq!(refused.unwrap_err().code, Code::DocumentMismatch);
}

#[tokio::test]
async fn a_changed_document_is_refused_whoever_signs_it() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let document = dana.plan(&world, slice("customers")).await.unwrap().document.unwrap();
    for (from, to) in [
        ("\"mask\":\"redact\"", "\"mask\":\"open\""),
        ("\"quorum\":1", "\"quorum\":0"),
        ("\"rows\":1000", "\"rows\":9999"),
        ("\"subject\":\"dana\"", "\"subject\":\"rey\""),
        ("\"dataset\":\"customers\",\"kind\"", "\"dataset\":\"salaries\",\"kind\""),
    ] {
        let changed = document.replacen(from, to, 1);
        assert_ne!(changed, document, "{from}");
        assert_eq!(
            dana.submit(&world, &changed).await.unwrap_err().code,
            Code::DocumentMismatch,
            "{from}"
        );
    }
    let spelt_out = document.replacen(",\"v\":1}", ",\"ticket\":null,\"v\":1}", 1);
    assert_ne!(spelt_out, document);
    assert_eq!(dana.submit(&world, &spelt_out).await.unwrap_err().code, Code::InvalidSignature);
    let eve = world.sign_in("eve", &["data-eng"]).await;
    assert_eq!(eve.submit(&world, &document).await.unwrap_err().code, Code::DocumentMismatch);
    dana.submit(&world, &document).await.unwrap();
    assert_eq!(
        dana.submit(&world, &document).await.unwrap_err().code,
        Code::WrongState,
        "each document is one request"
    );
}

#[tokio::test]
async fn a_grant_is_used_once_and_by_its_owner_only() {
    let world = World::new().await;
    let (dana, rey, request) = approved(&world).await;
    assert_eq!(rey.fetch(&world, &request.id).await.err().unwrap().code, Code::NotFound);
    let dana_elsewhere = world.sign_in("dana", &["data-eng"]).await;
    assert_eq!(
        dana_elsewhere.fetch(&world, &request.id).await.err().unwrap().code,
        Code::Denied,
        "another key"
    );
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::WrongState);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_fetches_at_once_take_one_grant() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let (one, two) = tokio::join!(dana.fetch(&world, &request.id), dana.fetch(&world, &request.id));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
    assert_eq!(world.kinds().await.iter().filter(|k| **k == "fetch.intent").count(), 1);
}

#[tokio::test]
async fn nothing_is_read_when_the_intent_cannot_be_recorded() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.journal.full.store(true, Ordering::SeqCst);
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::EvidenceUnavailable);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
    world.journal.full.store(false, Ordering::SeqCst);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    world.journal.broken.store(true, Ordering::SeqCst);
    let uma = world
        .broker
        .log
        .commit(Urgency::Normal, |_, _| Ok(vec![Event::Stop { instance: String::new() }]))
        .await;
    assert_eq!(uma.err().unwrap().code, Code::EvidenceUnavailable);
    world.journal.broken.store(false, Ordering::SeqCst);
    assert!(
        world.broker.ready().is_err(),
        "after an unknown failure the log stays shut until the broker is started again"
    );
}

#[tokio::test]
async fn an_outcome_is_recorded_on_a_full_disk() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    world.journal.full.store(true, Ordering::SeqCst);
    world.scanner.hold.store(false, Ordering::SeqCst);
    drain(delivery).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn a_source_that_fails_gives_an_outcome_and_keeps_its_text_to_itself() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a\n"), Err(ScanErrorKind::Source)]);
    let cut = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap_err();
    assert!(!cut.to_string().contains("4711"), "{cut}");
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);
    world.script(vec![Ok(b"a\n")]);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn a_revocation_cuts_a_running_stream() {
    let world = World::new().await;
    let (dana, rey, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    world.script(vec![Ok(b"a\n")]);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    let withdraw = chunk_wire::review::Withdraw {
        reason: "wrong table".into(),
    };
    crate::approval::revoke(
        &world.broker,
        &cx(),
        rey.caller(&world).await.unwrap(),
        request.id.clone(),
        withdraw,
    )
    .await
    .unwrap();
    assert!(drain(delivery).await.is_err());
    assert_eq!(state_of(&world.broker, &request), RequestState::Revoked);
    world.scanner.hold.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn signing_out_cuts_a_running_stream_and_ends_the_tokens() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    let caller = dana.caller(&world).await.unwrap();
    crate::identity::close_session(&world.broker, &cx(), &caller, None).await.unwrap();
    assert!(drain(delivery).await.is_err());
    assert_eq!(dana.caller(&world).await.err().unwrap().code, Code::SessionEnded);
    world.scanner.hold.store(false, Ordering::SeqCst);
}

#[tokio::test]
async fn after_a_crash_every_intent_has_one_outcome_and_the_fetch_can_go_on() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let delivery = dana.fetch(&world, &request.id).await.unwrap();
    let before = world.broker.log.published().checkpoint.clone();
    let world = world.crash_and_restart().await;
    drop(delivery);
    world.scanner.hold.store(false, Ordering::SeqCst);
    let kinds = world.kinds().await;
    assert_eq!(kinds.iter().filter(|k| **k == "fetch.intent").count(), 1);
    assert_eq!(kinds.iter().filter(|k| **k == "fetch.outcome").count(), 1);
    let (from, to) = (before.unverified().size, world.broker.log.published().state.size);
    let proof = crate::audit::consistency(&world.broker, from, to).unwrap();
    let root = world.broker.log.published().checkpoint.unverified().root;
    chunk_evidence::merkle::verify_consistency(from, to, &proof, &before.unverified().root, &root).unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Paused);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(state_of(&world.broker, &request), RequestState::Completed);
}

#[tokio::test]
async fn time_ends_what_nobody_answers() {
    let world = World::new().await;
    let (dana, rey, unused) = approved(&world).await;
    let pending = dana.ask(&world, "customers").await;
    world.advance_ms(601_000);
    let refused = dana.fetch(&world, &unused.id).await.err().unwrap().code;
    assert!(matches!(refused, Code::WrongState), "the grant's time is over: {refused:?}");
    world.advance_ms(3_600_000);
    assert_eq!(
        rey.review(&world, &pending, Verdict::Approve).await.unwrap_err().code,
        Code::Unauthenticated,
        "the access token is too old"
    );
    let rey = world.sign_in("rey", &["data-owners"]).await;
    assert_eq!(
        rey.review(&world, &pending, Verdict::Approve).await.unwrap_err().code,
        Code::WrongState
    );
    world
        .broker
        .log
        .commit(Urgency::Closing, |state, now| Ok(crate::approval::expire(state, now)))
        .await
        .unwrap();
    assert_eq!(state_of(&world.broker, &pending), RequestState::Expired);
    assert_eq!(state_of(&world.broker, &unused), RequestState::Expired);
}

#[tokio::test]
async fn an_id_token_and_a_proof_are_each_good_once() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let id_token = world.id_token("dana", &["data-eng"]);
    let open = |id_token: &str| chunk_wire::session::OpenSession {
        id_token: id_token.to_owned(),
        access_token: None,
        client: Default::default(),
    };
    let presented = dana.present(&world, "POST", "/v1/sessions", false);
    crate::identity::open_session(&world.broker, &cx(), presented.clone(), open(&id_token))
        .await
        .unwrap();
    let replayed = crate::identity::open_session(&world.broker, &cx(), presented, open(&world.id_token("dana", &[]))).await;
    assert_eq!(replayed.err().unwrap().code, Code::InvalidDpopProof);
    let presented = dana.present(&world, "POST", "/v1/sessions", false);
    let reused = crate::identity::open_session(&world.broker, &cx(), presented, open(&id_token)).await;
    assert_eq!(reused.err().unwrap().code, Code::InvalidIdToken);
}

#[tokio::test]
async fn a_token_bound_to_another_key_is_refused() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let mut thief = world.sign_in("eve", &["data-eng"]).await;
    thief.tokens = dana.tokens.clone();
    assert_eq!(thief.caller(&world).await.err().unwrap().code, Code::InvalidDpopProof);
}

#[tokio::test]
async fn unknown_and_forbidden_datasets_are_the_same_answer_and_the_attempt_is_recorded() {
    let world = World::with_policies(
        "permit(principal, action in [Action::\"describe\", Action::\"fetch\"], resource) when { resource == Dataset::\"customers\" };",
    )
    .await;
    let dana = world.sign_in("dana", &[]).await;
    let hidden = dana.plan(&world, slice("salaries")).await.unwrap_err();
    let absent = dana.plan(&world, slice("salarien")).await.unwrap_err();
    assert_eq!((hidden.code, absent.code), (Code::NotFound, Code::NotFound));
    assert_eq!(hidden.public.replace("salaries", "X"), absent.public.replace("salarien", "X"));
    assert_eq!(hidden.hint, absent.hint);
    assert_eq!(world.kinds().await.iter().filter(|k| **k == "request.deny").count(), 2);
}

#[tokio::test]
async fn a_denial_names_its_policy_and_a_policy_that_errors_denies() {
    let limit = format!(
        "{}@id(\"few-rows\") forbid(principal, action == Action::\"fetch\", resource) when {{ context.rows_estimated > 5 }};",
        super::POLICIES
    );
    let world = World::with_policies(&limit).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let answer = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!(
        (answer.decision.as_str(), answer.policies.as_slice()),
        ("denied", &["few-rows".to_owned()][..])
    );
    assert!(answer.document.is_none());
    *world.scanner.rows_estimated.lock().unwrap() = None;
    assert_eq!(
        dana.plan(&world, slice("customers")).await.unwrap().decision,
        "denied",
        "an unknown estimate is the largest number"
    );

    let broken = format!(
        "{}forbid(principal, action, resource) when {{ context.rows_estimated * 9223372036854775807 > 0 }};",
        super::POLICIES
    );
    let world = World::with_policies(&broken).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    assert!(
        dana.plan(&world, slice("customers")).await.is_err() || dana.plan(&world, slice("customers")).await.unwrap().decision == "denied"
    );
}

#[tokio::test]
async fn a_policy_change_between_approval_and_fetch_can_only_narrow() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    let looser = format!("{}permit(principal, action == Action::\"reveal\", resource);", super::POLICIES);
    world
        .broker
        .reload_policies(crate::policy::PolicySet::load(&[("p.cedar".into(), looser)]).unwrap())
        .await
        .unwrap();
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let order = world.scanner.order.lock().unwrap().clone().unwrap();
    assert!(
        matches!(order.tables[0].columns[1].treatment, Treatment::Mask(_)),
        "what was approved masked stays masked"
    );

    let request = {
        let request = dana.ask(&world, "customers").await;
        world
            .sign_in("rey", &["data-owners"])
            .await
            .review(&world, &request, Verdict::Approve)
            .await
            .unwrap()
    };
    let stricter = "permit(principal, action == Action::\"describe\", resource);".to_owned();
    world
        .broker
        .reload_policies(crate::policy::PolicySet::load(&[("p.cedar".into(), stricter)]).unwrap())
        .await
        .unwrap();
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::Denied);
}

#[tokio::test]
async fn commands_that_wait_together_are_committed_together() {
    let world = World::new().await;
    let before = world.journal.appends.load(Ordering::SeqCst);
    let commits = (0..500).map(|_| {
        world
            .broker
            .log
            .commit(Urgency::Normal, |_, _| Ok(vec![Event::Stop { instance: "x".into() }]))
    });
    let results = futures::future::join_all(commits).await;
    let mut firsts: Vec<_> = results.into_iter().map(|r| r.unwrap().events.start).collect();
    firsts.dedup();
    assert_eq!(firsts.len(), 500, "each command has an index of its own");
    assert!(world.journal.appends.load(Ordering::SeqCst) - before < 250);
}

#[tokio::test]
async fn reading_the_evidence_needs_a_permit_and_is_an_entry() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let audra = world.sign_in("audra", &["auditors"]).await;
    let query = chunk_wire::audit::EntryQuery {
        kind: Some("session".into()),
        ..Default::default()
    };
    let refused = crate::audit::search(&world.broker, &cx(), &dana.caller(&world).await.unwrap(), query.clone()).await;
    assert_eq!(refused.err().unwrap().code, Code::Denied);
    let page = crate::audit::search(&world.broker, &cx(), &audra.caller(&world).await.unwrap(), query)
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 2);
    assert_eq!(world.kinds().await.last(), Some(&"audit.read"));
}

#[tokio::test]
async fn receipts_and_bundles_verify_without_the_broker() {
    let world = World::new().await;
    let (dana, _, request) = approved(&world).await;
    world.script(vec![Ok(b"a,b\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    let caller = dana.caller(&world).await.unwrap();
    let text = crate::audit::receipt(&world.broker, &cx(), &caller, &request.id, 0).await.unwrap();
    let receipt = chunk_evidence::receipt::Receipt::parse(&text).unwrap();
    let key = chunk_evidence::note::VerifierKey::parse(&world.broker.info().log_key).unwrap();
    let story = chunk_evidence::receipt::verify(&receipt, &chunk_evidence::encode::sha256(&bytes), bytes.len() as u64, &[key]).unwrap();
    assert_eq!(
        (story.requester.subject.as_str(), story.approvals[0].person.subject.as_str()),
        ("dana", "rey")
    );

    let audra = world.sign_in("audra", &["auditors"]).await;
    let trust = |reviewer_keys: &str| -> chunk_evidence::trust::TrustPolicy {
        let log_keys = [world.broker.info().log_key];
        serde_json::from_value(serde_json::json!({ "origin": "example.test/log", "log_keys": log_keys, "reviewer_keys": reviewer_keys }))
            .unwrap()
    };
    for (from_ms, request_id, level) in [
        (None, None, 4),
        (None, None, 1),
        (None, Some(request.id.to_string()), 4),
        (Some(0), None, 2),
        (None, None, 0),
        (None, None, 3),
    ] {
        let ask = chunk_wire::audit::ExportRequest {
            from_ms,
            request: request_id,
            level: Some(level),
            ..Default::default()
        };
        let auditor = audra.caller(&world).await.unwrap();
        let bundle = crate::audit::export(&world.broker, &cx(), &auditor, ask.clone()).await.unwrap();
        let bundle = bundle.into_bytes().await.unwrap();
        let verified = chunk_evidence::bundle::verify_bundle(&bundle, &trust("session"));
        assert_eq!(verified.answer.as_str(), "true", "{ask:?}: {:?}", verified.faults);
    }
    world.advance_ms(5000);
    let later = world.broker.clock.now_ms();
    drain_another(&world, &dana).await;
    let auditor = audra.caller(&world).await.unwrap();
    let ask = chunk_wire::audit::ExportRequest {
        from_ms: Some(later),
        ..Default::default()
    };
    let bundle = crate::audit::export(&world.broker, &cx(), &auditor, ask).await.unwrap();
    let bundle = bundle.into_bytes().await.unwrap();
    let verified = chunk_evidence::bundle::verify_bundle(&bundle, &trust("session"));
    assert_eq!(verified.answer.as_str(), "true", "{:?}", verified.faults);
    assert_eq!(
        chunk_evidence::bundle::verify_bundle(&bundle, &trust("pinned")).answer.as_str(),
        "cannot_tell"
    );
}

async fn drain_another(world: &World, dana: &Someone) {
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(world, "customers").await;
    let request = rey.review(world, &request, Verdict::Approve).await.unwrap();
    drain(dana.fetch(world, &request.id).await.unwrap()).await.unwrap();
}
