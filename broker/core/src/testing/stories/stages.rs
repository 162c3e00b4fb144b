//! Reviews in stages: so many of one group, then so many of another, each somebody else.

use chunk_evidence::encode::sha256;
use chunk_wire::fetch::{RequestDocument, RequestState, RequestView, StandingRequest};
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;
use chunk_wire::session::Person;
use chunk_wire::stages::{Escalation, Stage};

use crate::rule::StageRule;
use crate::testing::{POLICIES, Setup, Someone, World, cx, drain, slice};

const SECURITY: &str = r#"@id("security-reviews") permit(principal in Group::"security", action == Action::"review", resource);"#;

fn rule(group: &str, quorum: u32) -> StageRule {
    StageRule {
        groups: vec![group.to_owned()],
        manager: false,
        quorum,
    }
}

fn stage(group: &str, quorum: u32) -> Stage {
    Stage {
        groups: vec![group.to_owned()],
        manager: None,
        quorum,
    }
}

async fn world() -> World {
    let mut setup = Setup {
        policies: format!("{POLICIES}{SECURITY}"),
        ..Setup::default()
    };
    let datasets = &mut setup.settings.catalog.datasets;
    datasets.get_mut("customers").unwrap().stages = vec![rule("data-owners", 1), rule("security", 1)];
    World::with(setup).await
}

/// The receipt of a delivery, and what an auditor exports at every level that tells of people, are true.
pub(super) async fn both_are_true(world: &World, asker: &Someone, request: &RequestView, bytes: &[u8]) {
    let caller = asker.caller(world).await.unwrap();
    let text = crate::audit::receipt(&world.broker, &cx(), &caller, &request.id, 0).await.unwrap();
    let receipt = chunk_evidence::receipt::Receipt::parse(&text).unwrap();
    let key = chunk_evidence::note::VerifierKey::parse(&world.broker.info().log_key).unwrap();
    chunk_evidence::receipt::verify(&receipt, &sha256(bytes), bytes.len() as u64, &[key]).unwrap();
    let audra = world.sign_in("audra", &["auditors"]).await;
    for level in [2, 3, 4] {
        let ask = chunk_wire::audit::ExportRequest {
            level: Some(level),
            ..Default::default()
        };
        let auditor = audra.caller(world).await.unwrap();
        let bundle = crate::audit::export(&world.broker, &cx(), &auditor, ask).await.unwrap();
        let bundle = bundle.into_bytes().await.unwrap();
        let trust =
            serde_json::json!({ "origin": "example.test/log", "log_keys": [world.broker.info().log_key], "reviewer_keys": "session" });
        let verified = chunk_evidence::bundle::verify_bundle(&bundle, &serde_json::from_value(trust).unwrap());
        assert_eq!(verified.answer.as_str(), "true", "level {level}: {:?}", verified.faults);
    }
}

#[tokio::test]
async fn each_stage_has_its_turn_and_its_people() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let owner = world.sign_in("rey", &["data-owners"]).await;
    let both = world.sign_in("uma", &["data-owners", "security"]).await;
    let security = world.sign_in("sid", &["security"]).await;
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!((plan.quorum, plan.stages.len()), (2, 2));
    let document: RequestDocument = serde_json::from_str(plan.document.as_ref().unwrap()).unwrap();
    assert_eq!(
        document.stages,
        [stage("data-owners", 1), stage("security", 1)],
        "the requester signs the rule"
    );
    let request = dana.submit(&world, &plan.document.unwrap()).await.unwrap();

    let early = security.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(early.code, Code::ReviewRefused);
    assert!(early.public.contains("`data-owners`"), "{early}");
    let after = owner.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!((after.state, after.approvals_missing), (RequestState::Pending, 1));
    let second_owner = world.sign_in("oda", &["data-owners"]).await;
    let refused = second_owner.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert!(refused.public.contains("`security`"), "{refused}");
    // Who is in both groups and has approved in the first is one person.
    let other = dana.ask(&world, "customers").await;
    both.review(&world, &other, Verdict::Approve).await.unwrap();
    let twice = both.review(&world, &other, Verdict::Approve).await.unwrap_err();
    assert_eq!(twice.code, Code::ReviewRefused);
    // Anybody who may review says no at any time.
    let rejected = second_owner.review(&world, &other, Verdict::Reject).await.unwrap();
    assert_eq!(rejected.state, RequestState::Rejected);

    let granted = security.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(granted.state, RequestState::Approved);
    world.script(vec![Ok(b"a\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    both_are_true(&world, &dana, &request, &bytes).await;
}

#[tokio::test]
async fn an_approval_counts_only_while_its_giver_is_in_the_group_of_its_stage() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = dana.ask(&world, "customers").await;
    for (name, group) in [("rey", "data-owners"), ("sid", "security")] {
        let reviewer = world.sign_in(name, &[group]).await;
        reviewer.review(&world, &request, Verdict::Approve).await.unwrap();
    }
    // He may still review, but not for security any more.
    world.sign_in("sid", &["data-owners"]).await;
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(refused.code, Code::Denied);
    assert!(refused.public.contains("`sid`") && !refused.public.contains("`rey`"), "{refused}");
    world.sign_in("sid", &["security"]).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn other_stages_than_were_approved_are_asked_for_anew() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let (rey, sid) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("sid", &["security"]).await,
    );
    let request = dana.ask(&world, "customers").await;
    let standing = chunk_wire::fetch::PlanRequest {
        standing: Some(StandingRequest {
            duration_s: 3600,
            rows: None,
            bytes: None,
        }),
        ..slice("customers")
    };
    let plan = dana.plan(&world, standing).await.unwrap();
    let grant = dana.submit(&world, &plan.document.unwrap()).await.unwrap();
    for request in [&request, &grant] {
        rey.review(&world, request, Verdict::Approve).await.unwrap();
        sid.review(&world, request, Verdict::Approve).await.unwrap();
    }
    assert_eq!(dana.plan(&world, slice("customers")).await.unwrap().decision, "allowed");
    let mut world = world;
    world.dataset("customers").stages = vec![rule("security", 2)];
    let world = world.crash_and_restart().await;
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::DocumentMismatch);
    assert_eq!(dana.plan(&world, slice("customers")).await.unwrap().decision, "needs_approval");
}

#[test]
fn the_stages_of_several_datasets_are_all_of_them() {
    let catalog = Setup::default().settings.catalog;
    let with = |stages: &[(&str, u32)], quorum| {
        let mut dataset = catalog.datasets["customers"].clone();
        dataset.stages = stages.iter().map(|(group, quorum)| rule(group, *quorum)).collect();
        dataset.quorum = quorum;
        dataset
    };
    let of = |datasets: &[crate::catalog::Dataset]| {
        let dana = Person {
            issuer: "i".into(),
            subject: "dana".into(),
            name: "Dana".into(),
            email: None,
            groups: Vec::new(),
            workload: None,
        };
        let rule = crate::rule::Rule::of(datasets, &dana, None).unwrap();
        let stages: Vec<_> = rule.stages.iter().map(|s| (s.groups.concat(), s.quorum)).collect();
        (rule.quorum, stages)
    };
    let (owners, security) = (|n| ("owners".to_owned(), n), |n| ("security".to_owned(), n));
    assert_eq!(of(&[with(&[], 0)]), (1, vec![]));
    assert_eq!(of(&[with(&[("owners", 1), ("security", 2)], 1)]), (3, vec![owners(1), security(2)]));
    assert_eq!(
        of(&[with(&[("owners", 1)], 1), with(&[("security", 1), ("owners", 2)], 1)]),
        (3, vec![owners(2), security(1)])
    );
    assert_eq!(
        of(&[with(&[("owners", 1)], 1), with(&[], 3)]),
        (3, vec![owners(1), (String::new(), 2)]),
        "whoever is missing may be anybody"
    );
}

/// A broker where the requester's manager approves first, and then somebody of security.
async fn managed() -> World {
    let managers = r#"@id("everybody-reviews") permit(principal, action == Action::"review", resource);"#;
    let mut setup = Setup {
        policies: format!("{POLICIES}{managers}"),
        ..Setup::default()
    };
    let manager = StageRule {
        groups: Vec::new(),
        manager: true,
        quorum: 1,
    };
    let datasets = &mut setup.settings.catalog.datasets;
    datasets.get_mut("customers").unwrap().stages = vec![manager, rule("security", 1)];
    World::with(setup).await
}

#[tokio::test]
async fn only_the_requester_s_manager_approves_in_their_stage() {
    let world = managed().await;
    let dana = world.sign_in_managed("dana", &["data-eng"], "Mia@example.test").await;
    let (mia, mo) = (world.sign_in("mia", &[]).await, world.sign_in("mo", &["security"]).await);
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!(
        plan.stages[0].manager.as_deref(),
        Some("Mia@example.test"),
        "whose approval it takes is signed"
    );
    let request = dana.submit(&world, &plan.document.unwrap()).await.unwrap();
    let refused = mo.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(refused.code, Code::ReviewRefused);
    assert!(refused.public.contains("the requester's manager"), "{refused}");
    mia.review(&world, &request, Verdict::Approve).await.unwrap();
    let granted = mo.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(granted.state, RequestState::Approved);
    world.script(vec![Ok(b"a\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    both_are_true(&world, &dana, &request, &bytes).await;

    // By subject as well, and whoever has another manager by now asks anew.
    let dan = world.sign_in_managed("dan", &["data-eng"], "mia").await;
    let request = dan.ask(&world, "customers").await;
    mia.review(&world, &request, Verdict::Approve).await.unwrap();
    let moved = world.sign_in_managed("dan", &["data-eng"], "mo").await;
    let theirs = moved.ask(&world, "customers").await;
    assert_eq!(
        mia.review(&world, &theirs, Verdict::Approve).await.unwrap_err().code,
        Code::ReviewRefused
    );
    mo.review(&world, &theirs, Verdict::Approve).await.unwrap();
}

#[tokio::test]
async fn without_a_manager_nobody_is_asked_and_the_plan_says_why() {
    let world = managed().await;
    let nobody = world.sign_in("dana", &["data-eng"]).await;
    let own = world.sign_in_managed("dee", &["data-eng"], "DEE@example.test").await;
    let nonsense = world.sign_in_managed("dot", &["data-eng"], "a\nb").await;
    for (someone, why) in [(&nobody, "does not say"), (&own, "you are your own"), (&nonsense, "does not say")] {
        let plan = someone.plan(&world, slice("customers")).await.unwrap();
        assert_eq!((plan.decision.as_str(), plan.document), ("denied", None));
        assert!(plan.reasons.concat().contains(why), "{:?}", plan.reasons);
    }
}

/// A broker where owners and then security approve, and after ten minutes the deputies in either's place.
async fn escalating() -> World {
    let deputies = r#"@id("deputies-review") permit(principal in Group::"deputies", action == Action::"review", resource);"#;
    let mut setup = Setup {
        policies: format!("{POLICIES}{SECURITY}{deputies}"),
        ..Setup::default()
    };
    let customers = setup.settings.catalog.datasets.get_mut("customers").unwrap();
    customers.stages = vec![rule("data-owners", 1), rule("security", 1)];
    customers.escalation = Some(Escalation {
        after_s: 600,
        groups: vec!["deputies".into()],
    });
    World::with(setup).await
}

#[tokio::test]
async fn what_nobody_decides_goes_to_others_who_count_in_the_stage_whose_turn_it_is() {
    let world = escalating().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let (rey, one, two) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("ida", &["deputies"]).await,
        world.sign_in("una", &["deputies"]).await,
    );
    let request = dana.ask(&world, "customers").await;
    let decided = dana.ask(&world, "customers").await;
    rey.review(&world, &decided, Verdict::Reject).await.unwrap();
    world.advance_ms(599_000);
    let early = one.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(early.code, Code::ReviewRefused);

    // The broker dies just before, and does it when it is back.
    let world = world.crash_and_restart().await;
    world.advance_ms(1_000);
    world
        .until("the request to be escalated", |state| state.escalating.is_empty())
        .await;
    let escalated = world.kinds().await.iter().filter(|kind| **kind == "request.escalate").count();
    assert_eq!(escalated, 1, "once, and not what was decided");
    let first = one.review(&world, &request, Verdict::Approve).await.unwrap();
    assert!(first.escalated_ms.is_some() && first.approvals_missing == 1, "{first:?}");
    let twice = one.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(twice.code, Code::ReviewRefused, "one person is one approval, also of those");
    let granted = two.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(granted.state, RequestState::Approved);
    world.script(vec![Ok(b"a\n")]);
    let bytes = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    both_are_true(&world, &dana, &request, &bytes).await;
    // And again after a restart, by what the log says alone.
    let world = world.crash_and_restart().await;
    let again = world.kinds().await.iter().filter(|kind| **kind == "request.escalate").count();
    assert_eq!(again, 1);
}

#[tokio::test]
async fn who_stood_in_must_be_of_the_group_still_when_it_is_used() {
    let world = escalating().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let ida = world.sign_in("ida", &["deputies"]).await;
    let request = dana.ask(&world, "customers").await;
    rey.review(&world, &request, Verdict::Approve).await.unwrap();
    world.advance_ms(600_000);
    world
        .until("the request to be escalated", |state| state.escalating.is_empty())
        .await;
    ida.review(&world, &request, Verdict::Approve).await.unwrap();
    world.sign_in("ida", &["data-owners"]).await;
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert!(refused.code == Code::Denied && refused.public.contains("`ida`"), "{refused}");
}

#[tokio::test]
async fn an_escalation_is_part_of_what_is_signed_and_only_of_what_all_datasets_agree_on() {
    let world = escalating().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let plan = dana.plan(&world, slice("customers")).await.unwrap();
    let document: RequestDocument = serde_json::from_str(plan.document.as_ref().unwrap()).unwrap();
    assert_eq!(document.escalation, plan.escalation);
    assert_eq!(plan.escalation.map(|to| to.after_s), Some(600));
    let (rey, sid) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("sid", &["security"]).await,
    );
    let request = dana.ask(&world, "customers").await;
    for reviewer in [&rey, &sid] {
        reviewer.review(&world, &request, Verdict::Approve).await.unwrap();
    }
    let mut world = world;
    world.dataset("customers").escalation = None;
    let world = world.crash_and_restart().await;
    assert_eq!(dana.fetch(&world, &request.id).await.err().unwrap().code, Code::DocumentMismatch);

    let catalog = Setup::default().settings.catalog;
    let with = |escalation: Option<u32>| {
        let mut dataset = catalog.datasets["customers"].clone();
        dataset.escalation = escalation.map(|after_s| Escalation {
            after_s,
            groups: vec!["deputies".into()],
        });
        dataset
    };
    let person = dana.caller(&world).await.unwrap().person().clone();
    let of = |datasets: &[crate::catalog::Dataset]| {
        crate::rule::Rule::of(datasets, &person, None)
            .unwrap()
            .escalation
            .map(|to| to.after_s)
    };
    assert_eq!(of(&[with(Some(60)), with(Some(60))]), Some(60));
    assert_eq!(of(&[with(Some(60)), with(None)]), None);
    assert_eq!(of(&[with(Some(60)), with(Some(120))]), None);
}
