//! Standing grants: approved once, used by the same person for the same thing, in time, within what was approved.

use std::sync::atomic::Ordering;

use chunk_evidence::encode::sha256;
use chunk_wire::fetch::{Params, PlanAnswer, PlanRequest, Query, RequestDocument, RequestState, RequestView, StandingRequest};
use chunk_wire::problem::Code;
use chunk_wire::review::{Verdict, Withdraw};

use crate::error::Error;
use crate::fetch::Submitted;
use crate::testing::roles::check_indices;
use crate::testing::{ADMINISTRATORS, POLICIES, Setup, Someone, World, cx, drain, policy_set, slice};

const HOUR_S: u32 = 3600;

fn asks(duration_s: u32, rows: u64) -> PlanRequest {
    PlanRequest {
        standing: Some(StandingRequest {
            duration_s,
            rows: Some(rows),
            bytes: None,
        }),
        ..slice("customers")
    }
}

fn limited(limit: u64) -> PlanRequest {
    let query = Query::Slice {
        dataset: "customers".into(),
        columns: None,
        filter: None,
        order_by: None,
        limit: Some(limit),
        params: Params::new(),
    };
    PlanRequest {
        query,
        ..slice("customers")
    }
}

/// Dana has a standing grant for eight hours, that Rey approved.
async fn granted(world: &World, rows: u64) -> (Someone, Someone, RequestView) {
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let plan = dana.plan(world, asks(8 * HOUR_S, rows)).await.unwrap();
    assert_eq!((plan.decision.as_str(), plan.quorum), ("needs_approval", 1));
    let request = dana.submit(world, &plan.document.unwrap()).await.unwrap();
    let request = rey.review(world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    (dana, rey, request)
}

/// A plan that is a use of this grant.
async fn under(world: &World, who: &Someone, grant: &RequestView) -> PlanAnswer {
    let plan = who.plan(world, slice("customers")).await.unwrap();
    assert_eq!(plan.decision, "allowed");
    let document: RequestDocument = serde_json::from_str(plan.document.as_ref().unwrap()).unwrap();
    let named = document.under.unwrap();
    assert_eq!((&named.request, &named.digest), (&grant.id, &grant.digest));
    plan
}

/// Fetches under a standing grant, in one call; gives the request.
async fn used(world: &World, who: &Someone, plan: PlanAnswer) -> Result<(chunk_wire::id::RequestId, Vec<u8>), Error> {
    match who.submit_and_fetch(world, &plan.document.unwrap()).await? {
        Submitted::Delivered { request, delivery } => Ok((request, drain(delivery).await.unwrap())),
        Submitted::Waiting(view) => unreachable!("{view:?}"),
    }
}

async fn needs_somebody(world: &World, who: &Someone, why: &str) {
    let plan = who.plan(world, slice("customers")).await.unwrap();
    assert_eq!(plan.decision, "needs_approval", "{why}");
    let document: RequestDocument = serde_json::from_str(&plan.document.unwrap()).unwrap();
    assert_eq!(document.under, None, "{why}");
}

async fn shown(world: &World, who: &Someone, request: &RequestView) -> RequestView {
    let caller = who.caller(world).await.unwrap();
    crate::approval::show(&world.broker, &cx(), &caller, &request.id).await.unwrap()
}

async fn revoke(world: &World, who: &Someone, request: &RequestView) {
    let withdraw = Withdraw {
        reason: "the desk has moved".into(),
    };
    let caller = who.caller(world).await.unwrap();
    crate::approval::revoke(&world.broker, &cx(), caller, request.id.clone(), withdraw)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_approved_once_is_fetched_again_and_again_and_each_use_is_a_request_with_a_receipt() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    let before = world.kinds().await.len();
    world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
    let plan = under(&world, &dana, &grant).await;
    let (request, bytes) = used(&world, &dana, plan).await.unwrap();
    assert_eq!(
        world.kinds().await[before..],
        [
            "request.create",
            "grant.take",
            "grant.issue",
            "grant.take",
            "fetch.intent",
            "fetch.outcome"
        ]
    );
    let caller = dana.caller(&world).await.unwrap();
    let text = crate::audit::receipt(&world.broker, &cx(), &caller, &request, 0).await.unwrap();
    let receipt = chunk_evidence::receipt::Receipt::parse(&text).unwrap();
    let key = chunk_evidence::note::VerifierKey::parse(&world.broker.info().log_key).unwrap();
    let story = chunk_evidence::receipt::verify(&receipt, &sha256(&bytes), bytes.len() as u64, &[key]).unwrap();
    assert_eq!(story.standing.unwrap().request, grant.id.as_str());
    assert_eq!(story.approvals[0].person.subject, "rey");

    // Another sign-in with another key, and in two calls: a use is signed by whoever uses it.
    let elsewhere = world.sign_in("dana", &["data-eng"]).await;
    let plan = elsewhere.plan(&world, limited(5)).await.unwrap();
    assert_eq!(plan.decision, "allowed", "a smaller limit is the same shape");
    assert_eq!(plan.standing.unwrap().rows_left, 8);
    let view = elsewhere.submit(&world, &plan.document.unwrap()).await.unwrap();
    assert_eq!((view.state, view.approvals_missing), (RequestState::Approved, 0));
    world.script(vec![Ok(b"a\n")]);
    drain(elsewhere.fetch(&world, &view.id).await.unwrap()).await.unwrap();
    let left = shown(&world, &dana, &grant).await.standing.unwrap();
    assert_eq!((left.rows_left, left.uses), (7, 2));
    let refused = dana.fetch(&world, &grant.id).await.err().unwrap();
    assert_eq!(refused.code, Code::WrongState, "a standing grant itself delivers nothing");

    // As the log tells it after a restart, and as a stranger verifies it.
    let world = world.crash_and_restart().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let plan = under(&world, &dana, &grant).await;
    let left = plan.standing.unwrap();
    assert_eq!((left.rows_left, left.uses), (7, 2));
    check_indices(&world.broker.log.published().state);
    let audra = world.sign_in("audra", &["auditors"]).await;
    for level in [1, 2, 3, 4] {
        for only in [None, Some(request.to_string())] {
            let ask = chunk_wire::audit::ExportRequest {
                request: only,
                level: Some(level),
                ..Default::default()
            };
            let auditor = audra.caller(&world).await.unwrap();
            let bundle = crate::audit::export(&world.broker, &cx(), &auditor, ask).await.unwrap();
            let bundle = bundle.into_bytes().await.unwrap();
            let log_keys = [world.broker.info().log_key];
            let trust = serde_json::json!({ "origin": "example.test/log", "log_keys": log_keys, "reviewer_keys": "session" });
            let verified = chunk_evidence::bundle::verify_bundle(&bundle, &serde_json::from_value(trust).unwrap());
            assert_eq!(verified.answer.as_str(), "true", "level {level}: {:?}", verified.faults);
        }
    }
}

#[tokio::test]
async fn another_shape_and_another_person_ask_anew_and_cannot_claim_the_grant() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    let eve = world.sign_in("eve", &["data-eng"]).await;
    needs_somebody(&world, &eve, "another person").await;
    let other_format = PlanRequest {
        format: chunk_wire::fetch::Format::Parquet,
        ..slice("customers")
    };
    let other_filter = PlanRequest {
        query: Query::Slice {
            dataset: "customers".into(),
            columns: None,
            filter: Some("city = 'Ulm'".into()),
            order_by: None,
            limit: None,
            params: Params::new(),
        },
        ..slice("customers")
    };
    for other in [other_format, other_filter, slice("salaries")] {
        let plan = dana.plan(&world, other.clone()).await.unwrap();
        assert_eq!(plan.decision, "needs_approval", "{other:?}");
        // Who writes the grant into the document all the same is refused.
        let under = format!(
            "\"under\":{{\"digest\":\"{}\",\"request\":\"{}\"}},\"v\":1}}",
            grant.digest, grant.id
        );
        let claimed = plan.document.unwrap().replacen("\"v\":1}", &under, 1);
        let refused = dana.submit(&world, &claimed).await.unwrap_err();
        assert_eq!(refused.code, Code::DocumentMismatch, "{other:?}: {refused}");
    }
    let document = under(&world, &dana, &grant).await.document.unwrap();
    let for_eve = document.replacen("\"subject\":\"dana\"", "\"subject\":\"eve\"", 1);
    let by_eve = {
        let caller = eve.caller(&world).await.unwrap();
        let key = serde_json::from_str::<RequestDocument>(&document).unwrap().requester.key;
        for_eve.replacen(&key, caller.key(), 1)
    };
    assert_eq!(
        eve.submit(&world, &by_eve).await.unwrap_err().code,
        Code::NotFound,
        "not hers to know"
    );
    assert!(!world.kinds().await.contains(&"grant.take"));
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_use_is_no_standing_grant_in_turn() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    let document = under(&world, &dana, &grant).await.document.unwrap();
    let terms = "\"standing\":{\"bytes\":1000,\"duration_s\":28800,\"rows\":1000},\"under\":";
    let chained = document
        .replacen("\"under\":", terms, 1)
        .replacen("\"grant_s\":600", "\"grant_s\":28800", 1);
    assert_ne!(chained, document);
    assert_eq!(dana.submit(&world, &chained).await.unwrap_err().code, Code::InvalidRequest);
    assert_eq!(
        dana.submit_and_fetch(&world, &chained).await.err().unwrap().code,
        Code::InvalidRequest
    );
    let emergency = document.replacen('{', "{\"break_glass\":true,", 1);
    assert!(dana.submit(&world, &emergency).await.is_err());
    assert!(!world.kinds().await.contains(&"grant.take"));
}

#[tokio::test]
async fn rows_of_all_deliveries_count_also_of_those_that_broke_off() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 4).await;
    world.script(vec![Ok(b"a\n"), Err(chunk_port::ScanErrorKind::Source)]);
    let plan = under(&world, &dana, &grant).await;
    let Submitted::Delivered { request, delivery } = dana.submit_and_fetch(&world, &plan.document.unwrap()).await.unwrap() else {
        unreachable!("it is approved")
    };
    assert!(drain(delivery).await.is_err());
    world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
    drain(dana.fetch(&world, &request).await.unwrap()).await.unwrap();
    let order = world.scanner.order.lock().unwrap().clone().unwrap();
    assert_eq!(order.budget.rows, 3, "what is left is the budget");

    // The scanner keeps to its budget; if it did not, the job would.
    world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
    let plan = under(&world, &dana, &grant).await;
    assert_eq!(plan.standing.as_ref().unwrap().rows_left, 1);
    let cut = match dana.submit_and_fetch(&world, &plan.document.unwrap()).await.unwrap() {
        Submitted::Delivered { delivery, .. } => drain(delivery).await.unwrap_err(),
        Submitted::Waiting(view) => unreachable!("{view:?}"),
    };
    assert!(cut.to_string().contains("more rows or bytes than it may carry"), "{cut}");
    let left = shown(&world, &dana, &grant).await.standing.unwrap();
    assert!(left.is_spent(), "{left:?}");
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!(plan.decision, "needs_approval");
    assert_eq!(plan.standing.unwrap().request, grant.id, "and the plan says which one is used up");
}

#[tokio::test]
async fn a_use_that_was_planned_before_the_last_row_left_is_refused_after_it() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 1).await;
    let (one, two) = (under(&world, &dana, &grant).await, under(&world, &dana, &grant).await);
    let waiting = dana
        .submit(&world, &under(&world, &dana, &grant).await.document.unwrap())
        .await
        .unwrap();
    world.script(vec![Ok(b"a\n")]);
    used(&world, &dana, one).await.unwrap();
    assert_eq!(used(&world, &dana, two).await.unwrap_err().code, Code::LimitReached);
    assert_eq!(dana.fetch(&world, &waiting.id).await.err().unwrap().code, Code::LimitReached);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn one_delivery_at_a_time() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let (one, two) = (under(&world, &dana, &grant).await, under(&world, &dana, &grant).await);
    let Submitted::Delivered { delivery, .. } = dana.submit_and_fetch(&world, &one.document.unwrap()).await.unwrap() else {
        unreachable!("it is approved")
    };
    let refused = dana.submit_and_fetch(&world, two.document.as_ref().unwrap()).await.err().unwrap();
    assert_eq!(refused.code, Code::RateLimited, "{refused}");
    world.scanner.hold.store(false, Ordering::SeqCst);
    drain(delivery).await.unwrap();
    used(&world, &dana, two).await.unwrap();
}

#[tokio::test]
async fn time_ends_it_and_what_began_in_time_may_end() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    let left_over = dana
        .submit(&world, &under(&world, &dana, &grant).await.document.unwrap())
        .await
        .unwrap();
    assert!(left_over.expires_ms <= grant.expires_ms);
    world.advance_ms(i64::from(8 * HOUR_S) * 1000 - 1000);
    let dana = world.sign_in("dana", &["data-eng"]).await;
    world.scanner.hold.store(true, Ordering::SeqCst);
    let plan = under(&world, &dana, &grant).await;
    let late = under(&world, &dana, &grant).await;
    let Submitted::Delivered { delivery, .. } = dana.submit_and_fetch(&world, &plan.document.unwrap()).await.unwrap() else {
        unreachable!("it is approved")
    };
    world.advance_ms(2000);
    let expire = |state: &crate::state::State, now_ms| Ok(crate::approval::expire(state, now_ms));
    world.broker.log.commit(chunk_log::journal::Urgency::Closing, expire).await.unwrap();
    assert_eq!(super::state_of(&world.broker, &grant), RequestState::Expired);
    world.scanner.hold.store(false, Ordering::SeqCst);
    drain(delivery).await.unwrap();
    let refused = dana.submit_and_fetch(&world, &late.document.unwrap()).await.err().unwrap();
    assert_eq!(refused.code, Code::WrongState);
    needs_somebody(&world, &dana, "its time is over").await;
}

#[tokio::test]
async fn a_revocation_ends_it_and_cuts_what_runs() {
    let world = World::new().await;
    let (dana, rey, grant) = granted(&world, 10).await;
    let late = under(&world, &dana, &grant).await;
    let waiting = dana
        .submit(&world, &under(&world, &dana, &grant).await.document.unwrap())
        .await
        .unwrap();
    world.scanner.hold.store(true, Ordering::SeqCst);
    world.script(vec![Ok(b"a\n")]);
    let plan = under(&world, &dana, &grant).await;
    let Submitted::Delivered { request, delivery } = dana.submit_and_fetch(&world, &plan.document.unwrap()).await.unwrap() else {
        unreachable!("it is approved")
    };
    revoke(&world, &rey, &grant).await;
    assert!(drain(delivery).await.is_err());
    world.scanner.hold.store(false, Ordering::SeqCst);
    world
        .until("the use is revoked", |state| {
            state.requests[&request].state == RequestState::Revoked
        })
        .await;
    assert_eq!(
        dana.submit_and_fetch(&world, &late.document.unwrap()).await.err().unwrap().code,
        Code::WrongState
    );
    assert_eq!(dana.fetch(&world, &waiting.id).await.err().unwrap().code, Code::WrongState);
    needs_somebody(&world, &dana, "it was revoked").await;
}

#[tokio::test]
async fn policy_is_asked_again_at_each_use_and_can_only_narrow() {
    let world = World::new().await;
    let (dana, _, grant) = granted(&world, 10).await;
    let planned = under(&world, &dana, &grant).await;
    // Who may see more by now sees what was approved.
    let looser = format!("{POLICIES}permit(principal, action == Action::\"reveal\", resource);");
    world.broker.reload_policies(policy_set(&looser)).await.unwrap();
    assert_eq!(
        dana.submit_and_fetch(&world, planned.document.as_ref().unwrap())
            .await
            .err()
            .unwrap()
            .code,
        Code::DocumentMismatch,
        "planned under other policies"
    );
    let plan = under(&world, &dana, &grant).await;
    assert_eq!(plan.columns.len(), 0, "the scripted scanner shows none");
    used(&world, &dana, plan).await.unwrap();
    let order = world.scanner.order.lock().unwrap().clone().unwrap();
    assert!(matches!(order.tables[0].columns[1].treatment, chunk_port::Treatment::Mask(_)));

    // A limit on standing grants is a limit on those that were given before it.
    let shorter = format!(
        "{POLICIES}@id(\"short\") forbid(principal, action == Action::\"fetch\", resource) when {{ context.standing_s > {HOUR_S} }};"
    );
    world.broker.reload_policies(policy_set(&shorter)).await.unwrap();
    needs_somebody(&world, &dana, "a stricter policy").await;
    let denied = dana.plan(&world, asks(2 * HOUR_S, 5)).await.unwrap();
    assert_eq!(
        (denied.decision.as_str(), denied.policies.as_slice()),
        ("denied", &["short".to_owned()][..])
    );
    assert_eq!(dana.plan(&world, asks(HOUR_S, 5)).await.unwrap().decision, "needs_approval");

    // More approvals than there were.
    world.broker.reload_policies(policy_set(POLICIES)).await.unwrap();
    let plan = under(&world, &dana, &grant).await;
    used(&world, &dana, plan).await.unwrap();
    let mut world = world;
    world.dataset("customers").quorum = 2;
    let world = world.crash_and_restart().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    needs_somebody(&world, &dana, "a larger quorum").await;
}

#[tokio::test]
async fn it_stands_only_while_its_approvals_do() {
    let world = World::with_policies(&format!("{POLICIES}{ADMINISTRATORS}")).await;
    let (dana, _, grant) = granted(&world, 10).await;
    let plan = under(&world, &dana, &grant).await;
    world.sign_in("rey", &["gardeners"]).await;
    let refused = dana.submit_and_fetch(&world, plan.document.as_ref().unwrap()).await.err().unwrap();
    assert_eq!(refused.code, Code::Denied);
    assert!(refused.public.contains("`rey`"), "{refused}");
    world.sign_in("rey", &["data-owners"]).await;
    used(&world, &dana, plan).await.unwrap();

    // What a thief may have asked for is not believed.
    let session = dana.tokens.as_ref().unwrap().session.clone();
    let admin = world.sign_in("adam", &["admins"]).await;
    let caller = admin.caller(&world).await.unwrap();
    crate::identity::close_session(&world.broker, &cx(), &caller, Some(session))
        .await
        .unwrap();
    let dana = world.sign_in("dana", &["data-eng"]).await;
    needs_somebody(&world, &dana, "asked for under a session that somebody else ended").await;
    let world = world.crash_and_restart().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    needs_somebody(&world, &dana, "as after a restart").await;
}

#[tokio::test]
async fn configuration_says_how_much_there_may_be_and_none_by_itself() {
    let mut setup = Setup::default();
    setup.settings.catalog.datasets.get_mut("salaries").unwrap().standing_s_max = 0;
    let world = World::with(setup).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let of_salaries = PlanRequest {
        standing: asks(HOUR_S, 1).standing,
        ..slice("salaries")
    };
    assert_eq!(dana.plan(&world, of_salaries).await.unwrap_err().code, Code::Denied);
    assert_eq!(world.kinds().await.last(), Some(&"request.deny"), "the attempt is recorded");
    for (terms, code) in [
        (asks(9 * HOUR_S, 1), Code::LimitReached),
        (asks(HOUR_S, 1001), Code::LimitReached),
        (asks(59, 1), Code::InvalidRequest),
        (asks(HOUR_S, 0), Code::InvalidRequest),
        (
            PlanRequest {
                break_glass: true,
                ..asks(HOUR_S, 1)
            },
            Code::InvalidRequest,
        ),
    ] {
        assert_eq!(dana.plan(&world, terms.clone()).await.unwrap_err().code, code, "{terms:?}");
    }
    // What was given under a larger bound ends with it.
    let (dana, _, _) = granted(&world, 10).await;
    let mut world = world;
    world.dataset("customers").standing_s_max = HOUR_S;
    let world = world.crash_and_restart().await;
    needs_somebody(&world, &dana, "configuration allows less by now").await;
}

#[tokio::test]
async fn where_nobody_has_to_approve_there_is_nothing_to_stand_for() {
    let unapproved = format!("{POLICIES}permit(principal, action == Action::\"fetch_unapproved\", resource);");
    let world = World::new().await;
    let (dana, _, _) = granted(&world, 10).await;
    world.broker.reload_policies(policy_set(&unapproved)).await.unwrap();
    assert_eq!(dana.plan(&world, asks(HOUR_S, 1)).await.unwrap_err().code, Code::InvalidRequest);
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    let document: RequestDocument = serde_json::from_str(&plan.document.unwrap()).unwrap();
    assert_eq!(
        (document.quorum, document.under),
        (0, None),
        "the grant is not used up where none is needed"
    );
}

#[tokio::test]
async fn its_owner_gives_it_back_and_erasing_its_owner_ends_it() {
    let world = World::with_policies(&format!("{POLICIES}{ADMINISTRATORS}")).await;
    let (dana, _, grant) = granted(&world, 10).await;
    let caller = dana.caller(&world).await.unwrap();
    let withdraw = Withdraw { reason: String::new() };
    crate::approval::cancel(&world.broker, &cx(), caller, grant.id.clone(), withdraw)
        .await
        .unwrap();
    needs_somebody(&world, &dana, "given back").await;
    let (dana, _, grant) = granted(&world, 10).await;
    let plan = under(&world, &dana, &grant).await;
    used(&world, &dana, plan).await.unwrap();
    let admin = world.sign_in("adam", &["admins"]).await;
    let erase = chunk_wire::audit::EraseRequest {
        person: "dana".into(),
        reason: "asked to be forgotten".into(),
    };
    let caller = admin.caller(&world).await.unwrap();
    crate::audit::erase(&world.broker, &cx(), &caller, erase).await.unwrap();
    check_indices(&world.broker.log.published().state);
    assert!(!world.broker.log.published().state.requests.contains_key(&grant.id));
    let world = world.crash_and_restart().await;
    check_indices(&world.broker.log.published().state);
    let dana = world.sign_in("dana", &["data-eng"]).await;
    needs_somebody(&world, &dana, "whoever comes back is somebody new").await;
}
