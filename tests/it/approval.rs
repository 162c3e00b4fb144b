//! The second mind: nobody approves their own request, a quorum is of people, a verdict is over exactly what was asked, and
//! a grant is spent once.

use std::time::Duration;

use chunk_wire::fetch::{Format, PlanAnswer, Query, REQUEST_PAYLOAD_TYPE, RequestState, RequestView, SubmitRequest};
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, SubmitReview, Verdict, Withdraw};
use serde_json::{Value, json};

use crate::support::api::{canonical, slice};
use crate::support::{Api, Setup, World, poll};

fn ten_people() -> Query {
    slice("people", None, Some(10))
}

#[track_caller]
fn assert_review_refused(reviewer: &Api, request: &RequestView) {
    let answer = reviewer.review(request, Verdict::Approve);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "review_refused"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_requester_never_reviews_their_own_request_even_with_the_role_and_another_session() {
    let world = World::new();
    let sam = world.api("sam");
    let request = sam.request(&ten_people(), Format::Csv);
    assert_eq!(request.state, RequestState::Pending);
    assert_review_refused(&sam, &request);
    assert_review_refused(&world.api("sam"), &request);
    assert_eq!(sam.show(&request).state, RequestState::Pending);
    assert_eq!(sam.fetch(&request).code(), "approval_pending");
}

#[test]
fn an_administrator_is_no_exception() {
    let world = World::with(Setup::standard().policy(
        r#"@id("admins-do-everything") permit (principal in Group::"admins", action in [Action::"describe", Action::"fetch", Action::"review"], resource);"#,
    ));
    let adam = world.api("adam");
    let request = adam.request(&ten_people(), Format::Csv);
    assert_eq!(request.state, RequestState::Pending);
    assert_review_refused(&adam, &request);
}

#[test]
fn a_quorum_counts_people_not_verdicts_sessions_or_groups() {
    let world = World::new();
    let dana = world.api("dana");
    let request = dana.request(&slice("strict", None, Some(10)), Format::Csv);
    assert_eq!(request.approvals_missing, 2);
    let rita = world.api("rita");
    let after_one = rita.approve(&request);
    assert_eq!((after_one.state, after_one.approvals_missing), (RequestState::Pending, 1));
    assert_review_refused(&rita, &request);
    assert_review_refused(&world.api("rita"), &request);
    assert_eq!(dana.fetch(&request).code(), "approval_pending");
    // sam is in two groups and still one person.
    let after_two = world.api("sam").approve(&request);
    assert_eq!((after_two.state, after_two.approvals_missing), (RequestState::Approved, 0));
    let names: Vec<&str> = after_two.reviews.iter().map(|review| review.reviewer.subject.as_str()).collect();
    assert_eq!(names, ["rita", "sam"]);
    assert!(dana.fetch(&request).complete);
}

#[test]
fn a_rejection_is_final() {
    let world = World::new();
    let dana = world.api("dana");
    let request = dana.request(&slice("strict", None, Some(10)), Format::Csv);
    world.api("rita").approve(&request);
    let after: RequestView = world.api("ravi").review(&request, Verdict::Reject).json();
    assert_eq!(after.state, RequestState::Rejected);
    let late = world.api("remy").review(&request, Verdict::Approve);
    assert_eq!((late.status, late.code().as_str()), (409, "wrong_state"));
    assert_eq!(dana.fetch(&request).code(), "wrong_state");
}

#[test]
fn a_verdict_needs_a_reason() {
    let world = World::new();
    let request = world.api("dana").request(&ten_people(), Format::Csv);
    let rita = world.api("rita");
    for empty in ["", "   ", "\n\t"] {
        let answer = rita.send_verdict(&request, &rita.verdict(&request, Verdict::Approve, empty));
        assert_eq!(answer.status, 400, "{empty:?}: {}", answer.text());
    }
    assert_eq!(rita.show(&request).state, RequestState::Pending);
}

#[test]
fn a_verdict_counts_only_as_its_signer_made_it() {
    let world = World::new();
    let dana = world.api("dana");
    let (request, other) = (dana.request(&ten_people(), Format::Csv), dana.request(&ten_people(), Format::Csv));
    let (rita, ravi) = (world.api("rita"), world.api("ravi"));
    let good = rita.verdict(&request, Verdict::Approve, "looked at it");
    let mut wrong = Vec::new();
    let changed = |change: &dyn Fn(&mut chunk_wire::review::ReviewDocument)| {
        let mut document = good.clone();
        change(&mut document);
        document
    };
    wrong.push(("another request's digest", changed(&|d| d.digest.clone_from(&other.digest))));
    wrong.push(("another request's id", changed(&|d| d.request = other.id.clone())));
    wrong.push(("another person", changed(&|d| "ravi".clone_into(&mut d.subject))));
    wrong.push(("another issuer", changed(&|d| "https://issuer.example".clone_into(&mut d.issuer))));
    wrong.push(("another key", changed(&|d| d.key = ravi.thumbprint())));
    wrong.push(("another version", changed(&|d| d.v = 2)));
    for (what, document) in &wrong {
        let answer = rita.send_verdict(&request, document);
        assert!((400..410).contains(&answer.status), "a verdict for {what}: {}", answer.text());
        answer.problem();
    }
    // Somebody else's signature, the right signature over another type, two signatures, none.
    let payload = canonical(&serde_json::to_value(&good).unwrap());
    let path = format!("/v1/requests/{}/reviews", request.id);
    let send = |envelope| rita.post(&path, &SubmitReview { envelope, ssh: None });
    let by_ravi = ravi.envelope(REVIEW_PAYLOAD_TYPE, payload.as_bytes());
    let mut renamed = by_ravi.clone();
    renamed.signatures[0].keyid = format!("ed25519:{}", rita.thumbprint());
    let mut twice = rita.envelope(REVIEW_PAYLOAD_TYPE, payload.as_bytes());
    twice.signatures.push(by_ravi.signatures[0].clone());
    let mut unsigned = rita.envelope(REVIEW_PAYLOAD_TYPE, payload.as_bytes());
    unsigned.signatures.clear();
    let spaced = rita.envelope(REVIEW_PAYLOAD_TYPE, format!(" {payload}").as_bytes());
    for (what, envelope) in [
        ("somebody else's key", by_ravi),
        ("somebody else's signature", renamed),
        ("the type of a request", rita.envelope(REQUEST_PAYLOAD_TYPE, payload.as_bytes())),
        ("two signatures", twice),
        ("no signature", unsigned),
        ("bytes that are not canonical", spaced),
    ] {
        let answer = send(envelope);
        assert!((400..410).contains(&answer.status), "a verdict with {what}: {}", answer.text());
    }
    assert!(rita.show(&request).reviews.is_empty());
    assert_eq!(
        rita.send_verdict(&request, &good).json::<RequestView>().state,
        RequestState::Approved
    );
}

#[test]
fn whoever_policy_does_not_let_review_cannot() {
    let world = World::new();
    let request = world.api("dana").request(&ten_people(), Format::Csv);
    for person in ["drew", "anna", "adam", "mallory"] {
        let answer = world.api(person).review(&request, Verdict::Approve);
        assert!(matches!(answer.status, 403 | 404), "{person}: {}", answer.text());
    }
    assert_eq!(world.api("rita").show(&request).state, RequestState::Pending);
}

#[test]
fn a_changed_document_is_refused() {
    let world = World::new();
    let dana = world.api("dana");
    let plan: PlanAnswer = dana.plan(&ten_people(), Format::Csv, "a test asks").json();
    let document: Value = serde_json::from_str(plan.document.as_deref().unwrap()).unwrap();
    assert_eq!(
        canonical(&document),
        plan.document.as_deref().unwrap(),
        "the document is not canonical"
    );
    let changes: Vec<(&str, Value)> = vec![
        ("/query/limit", json!(1_000_000)),
        ("/query/dataset", json!("orders")),
        ("/query/filter", json!("id > 5")),
        ("/format", json!("parquet")),
        ("/budget/rows", json!(9_007_199_254_740_000_u64)),
        ("/quorum", json!(0)),
        ("/columns/0/mask", json!("open")),
        ("/columns", json!([])),
        ("/datasets", json!(["orders"])),
        ("/connections", json!([])),
        ("/filtered", json!(["people"])),
        ("/policy", json!("00")),
        ("/requester/subject", json!("rita")),
        ("/requester/key", json!(world.anonymous().thumbprint())),
        ("/not_after_ms", json!(9_007_199_254_740_000_u64)),
        ("/v", json!(2)),
        ("/extra", json!(1)),
    ];
    for (at, value) in changes {
        let mut changed = document.clone();
        let (parent, name) = at.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
            other => other[name] = value.clone(),
        }
        assert_ne!(changed, document, "{at} changed nothing");
        let envelope = dana.envelope(REQUEST_PAYLOAD_TYPE, canonical(&changed).as_bytes());
        let answer = dana.post("/v1/requests", &SubmitRequest { envelope });
        // A field that the requester may choose gives a request for what the signed words say; every other one is refused.
        let chosen = ["/query/limit", "/query/filter", "/format"].contains(&at);
        if chosen && answer.status == 201 {
            let made: RequestView = answer.json();
            assert_eq!(
                made.document,
                canonical(&changed),
                "{at}: another document than the signed one was accepted"
            );
            assert_eq!(made.state, RequestState::Pending);
        } else {
            assert!((400..410).contains(&answer.status), "{at}: {}", answer.text());
            answer.problem();
        }
    }
}

#[test]
fn a_document_counts_only_with_its_requesters_signature_and_once() {
    let world = World::new();
    let (dana, drew) = (world.api("dana"), world.api("drew"));
    let plan: PlanAnswer = dana.plan(&ten_people(), Format::Csv, "a test asks").json();
    let document = plan.document.clone().unwrap();
    let send = |api: &Api, envelope| api.post("/v1/requests", &SubmitRequest { envelope });
    let by_drew = drew.envelope(REQUEST_PAYLOAD_TYPE, document.as_bytes());
    let mut renamed = by_drew.clone();
    renamed.signatures[0].keyid = format!("ed25519:{}", dana.thumbprint());
    for (what, answer) in [
        (
            "sent by drew",
            send(&drew, dana.envelope(REQUEST_PAYLOAD_TYPE, document.as_bytes())),
        ),
        ("signed and sent by drew", send(&drew, by_drew.clone())),
        ("signed by drew", send(&dana, by_drew)),
        ("signed by drew under dana's name", send(&dana, renamed)),
        (
            "of another type",
            send(&dana, dana.envelope(REVIEW_PAYLOAD_TYPE, document.as_bytes())),
        ),
        (
            "not canonical",
            send(&dana, dana.envelope(REQUEST_PAYLOAD_TYPE, format!("{document} ").as_bytes())),
        ),
    ] {
        assert!((400..410).contains(&answer.status), "a document {what}: {}", answer.text());
    }
    assert_eq!(dana.submit(&plan).status, 201);
    let again = dana.submit(&plan);
    assert!((400..410).contains(&again.status), "submitted twice: {}", again.text());
}

#[test]
fn a_grant_is_spent_once() {
    let world = World::new();
    let dana = world.api("dana");
    let request = dana.request(&ten_people(), Format::Csv);
    world.api("rita").approve(&request);
    let first = dana.fetch(&request);
    assert_eq!((first.status, first.complete), (200, true));
    assert_eq!(String::from_utf8(first.body).unwrap().lines().count(), 11);
    let second = dana.fetch(&request);
    assert_eq!((second.status, second.code().as_str()), (409, "wrong_state"));
    assert_eq!(dana.show(&request).state, RequestState::Completed);
}

#[test]
fn of_many_who_spend_a_grant_at_once_one_succeeds() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    for _ in 0..5 {
        let request = dana.request(&ten_people(), Format::Csv);
        rita.approve(&request);
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| dana.fetch(&request).status)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 200 | 409)), "{answers:?}");
    }
}

#[test]
fn of_two_verdicts_at_once_each_counts_once() {
    let world = World::new();
    let dana = world.api("dana");
    let reviewers = [world.api("rita"), world.api("rita"), world.api("rita")];
    let request = dana.request(&slice("strict", None, Some(10)), Format::Csv);
    let accepted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = reviewers
            .iter()
            .map(|rita| scope.spawn(|| rita.review(&request, Verdict::Approve).status))
            .collect();
        threads
            .into_iter()
            .filter(|_| true)
            .map(|thread| usize::from(thread.join().unwrap() == 200))
            .sum()
    });
    assert_eq!(accepted, 1);
    let seen = dana.show(&request);
    assert_eq!(
        (seen.state, seen.approvals_missing, seen.reviews.len()),
        (RequestState::Pending, 1, 1)
    );
}

#[test]
fn somebody_elses_grant_is_of_no_use() {
    let world = World::new();
    let dana = world.api("dana");
    let request = dana.request(&ten_people(), Format::Csv);
    let rita = world.api("rita");
    rita.approve(&request);
    for person in ["drew", "sam", "rita", "anna", "adam", "mallory"] {
        let api = world.api(person);
        let answer = api.fetch(&request);
        assert!(matches!(answer.status, 403 | 404), "{person}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("label"), "{person} got data");
        assert!(matches!(api.receipt(&request).status, 403 | 404 | 409), "{person} got a receipt");
    }
    // Nor for the requester with another key: what was approved names the key.
    let answer = world.api("dana").fetch(&request);
    assert!((400..410).contains(&answer.status), "{}", answer.text());
    assert!(dana.fetch(&request).complete);
}

#[test]
fn a_revoked_or_cancelled_request_cannot_be_fetched() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let withdraw = |api: &Api, request: &RequestView, how: &str| {
        api.post(
            &format!("/v1/requests/{}/{how}", request.id),
            &Withdraw {
                reason: "changed my mind".into(),
            },
        )
    };
    let revoked = dana.request(&ten_people(), Format::Csv);
    rita.approve(&revoked);
    let by_stranger = withdraw(&world.api("drew"), &revoked, "revoke");
    assert!(matches!(by_stranger.status, 403 | 404), "{}", by_stranger.text());
    assert_eq!(
        withdraw(&rita, &revoked, "revoke").json::<RequestView>().state,
        RequestState::Revoked
    );
    assert_eq!(dana.fetch(&revoked).code(), "wrong_state");

    let cancelled = dana.request(&ten_people(), Format::Csv);
    let by_stranger = withdraw(&world.api("drew"), &cancelled, "cancel");
    assert!(matches!(by_stranger.status, 403 | 404), "{}", by_stranger.text());
    assert_eq!(
        withdraw(&dana, &cancelled, "cancel").json::<RequestView>().state,
        RequestState::Cancelled
    );
    assert_eq!(rita.review(&cancelled, Verdict::Approve).code(), "wrong_state");
    assert_eq!(dana.fetch(&cancelled).code(), "wrong_state");
}

#[test]
fn an_approval_that_nobody_uses_in_time_expires() {
    let mut setup = Setup::standard();
    setup.datasets[0].settings.push_str("\ngrant_minutes = 1");
    let world = World::with(setup);
    let dana = world.api("dana");
    let request = dana.request(&ten_people(), Format::Csv);
    world.api("rita").approve(&request);
    assert_eq!(dana.show(&request).state, RequestState::Approved);
    let expired = poll("the grant to expire", Duration::from_secs(90), || {
        let seen = dana.show(&request);
        (seen.state != RequestState::Approved).then_some(seen)
    });
    assert_eq!(expired.state, RequestState::Expired);
    assert_eq!(dana.fetch(&request).code(), "wrong_state");
}

#[test]
fn a_session_that_ends_takes_its_running_delivery_with_it() {
    // A delivery can be over before its session is ended; a few are enough to see one that was not.
    assert!((0..5).any(|_| ending_a_session_cuts_it()), "no delivery ran long enough to be cut");
}

/// Ends the session under a running delivery; whether that cut it.
fn ending_a_session_cuts_it() -> bool {
    let world = World::new();
    let dana = world.api("dana");
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    let adam = world.api("adam");
    let session = dana.tokens().session;
    let answer = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| dana.fetch(&request));
        poll("the delivery to run", Duration::from_secs(20), || {
            (dana.show(&request).state == RequestState::Running).then_some(())
        });
        assert_eq!(adam.delete(&format!("/v1/sessions/{session}")).status, 204);
        fetch.join().unwrap()
    });
    let anna = world.api("anna");
    let outcome = anna
        .entries()
        .into_iter()
        .find(|entry| entry.header["k"] == "fetch.outcome")
        .unwrap();
    let end = outcome.body["out"]["end"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.complete,
        end == "done",
        "the connection and the log tell different ends: {end}"
    );
    assert!(end == "done" || end == "revoked", "{end}");
    end == "revoked"
}
