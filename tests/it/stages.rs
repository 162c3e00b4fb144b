//! Reviews in stages: first one of these, then one of those, each somebody else; whose turn it is stands everywhere, and both
//! verifiers count it anew.

use std::time::Duration;

use chunk_wire::fetch::{Format, PlanAnswer, RequestState, RequestView};
use chunk_wire::review::Verdict;
use serde_json::json;

use crate::second_verifier::both_verifiers_agree;
use crate::support::api::slice;
use crate::support::issuer::{FakeIssuer, SigningKey};
use crate::support::{Setup, World, now_ms, poll};

/// Reviewers first, then somebody of security: an administrator, who may do nothing else here.
fn setup() -> Setup {
    let mut setup = Setup::standard().policy(
        r#"@id("admins-review") permit (principal in Group::"admins", action in [Action::"describe", Action::"review"], resource);"#,
    );
    setup.datasets[0]
        .settings
        .push_str("\nstages = [{ reviewers = { groups = [\"reviewers\"] } }, { reviewers = { groups = [\"admins\", \"security\"] } }]");
    setup
}

const ASK: &[&str] = &[
    "fetch",
    "people",
    "--limit",
    "10",
    "--format",
    "csv",
    "--reason",
    "churn",
    "--no-wait",
];

#[test]
fn a_request_in_two_stages_says_whose_turn_it_is_and_is_fetched_after_both() {
    let world = World::with(setup());
    let (dana, rita, adam) = (world.signed_in("dana"), world.signed_in("rita"), world.signed_in("adam"));
    let plan = dana.run(&["plan", "people", "--limit", "10"]).exits(0);
    assert!(
        plan.all().contains("1 of reviewers, then 1 of admins or security"),
        "{}",
        plan.all()
    );
    let waiting = dana.run(ASK).exits(5);
    assert!(waiting.all().contains("2 people"), "{}", waiting.all());
    let requests: Vec<RequestView> = world.api("rita").get("/v1/requests?state=pending").json();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let id = request.id.as_str();
    assert_eq!(request.stages.iter().map(|stage| stage.turn).collect::<Vec<_>>(), [true, false]);

    let shown = rita.run(&["request", "show", id]).exits(0);
    assert!(shown.all().contains("0 of 1 of reviewers, whose turn it is"), "{}", shown.all());
    assert!(shown.all().contains("0 of 1 of admins or security"), "{}", shown.all());
    let listed = adam.run(&["requests"]).exits(0);
    assert!(listed.all().contains("pending, for reviewers"), "{}", listed.all());
    let early = adam.run(&["approve", id, "--reason", "fine"]).exits(1);
    assert!(early.all().contains("somebody of `reviewers`"), "{}", early.all());
    let first = rita.run(&["approve", id, "--reason", "the data is fine"]).exits(0);
    assert!(
        first.all().contains("it needs 1 more approval, the next of admins or security"),
        "{}",
        first.all()
    );
    // Another reviewer is not somebody of security.
    world.signed_in("ravi").run(&["approve", id, "--reason", "me too"]).exits(1);
    dana.run(&["fetch", "--request", id, "--no-wait", "-o", "early.csv"]).exits(5);
    adam.run(&["approve", id, "--reason", "the use is fine"]).exits(0);
    dana.run(&["fetch", "--request", id, "-o", "people.csv"]).exits(0);
    dana.run(&["verify", "people.csv"]).exits(0);
    both_verifiers_agree(&world);
}

#[test]
fn whoever_may_review_says_no_at_any_time() {
    let world = World::with(setup());
    let request = world.api("dana").request(&slice("people", None, Some(10)), Format::Csv);
    let rejected: RequestView = world.api("adam").review(&request, Verdict::Reject).json();
    assert_eq!(rejected.state, RequestState::Rejected);
    assert!(rejected.stages.iter().all(|stage| !stage.turn));
}

#[test]
fn what_nobody_decides_goes_to_others_who_are_told_and_may_then() {
    let mut setup = setup();
    setup.datasets[0]
        .settings
        .push_str("\nescalate_after = \"1m\"\nescalate_to = [\"auditors\"]");
    let setup = setup.policy(
        r#"@id("auditors-stand-in") permit (principal in Group::"auditors", action in [Action::"describe", Action::"review"], resource);"#,
    );
    let mut world = World::with(setup);
    let (dana, rita, anna) = (world.signed_in("dana"), world.signed_in("rita"), world.signed_in("anna"));
    let plan = dana.run(&["plan", "people", "--limit", "10"]).exits(0);
    assert!(plan.all().contains("after 1 min also to auditors"), "{}", plan.all());
    dana.run(ASK).exits(5);
    let requests: Vec<RequestView> = world.api("rita").get("/v1/requests?state=pending").json();
    let id = requests[0].id.as_str();
    rita.run(&["approve", id, "--reason", "the data is fine"]).exits(0);
    anna.run(&["approve", id, "--reason", "too early"]).exits(1);
    // A broker that is killed meanwhile does what is due when it is back.
    world.kill();
    world.start();
    let looking = world.api("rita");
    let escalated = poll("the request to be escalated", Duration::from_secs(120), || {
        let view: RequestView = looking.get(&format!("/v1/requests/{id}")).json();
        view.escalated_ms.map(|_| view)
    });
    assert!(escalated.stages[1].turn, "{escalated:?}");
    let shown = anna.run(&["request", "show", id]).exits(0);
    assert!(shown.all().contains("also to auditors"), "{}", shown.all());
    anna.run(&["approve", id, "--reason", "in place of security"]).exits(0);
    dana.run(&["fetch", "--request", id, "-o", "people.csv"]).exits(0);
    dana.run(&["verify", "people.csv"]).exits(0);
    both_verifiers_agree(&world);
}

#[test]
fn what_is_approved_for_later_is_fetched_then_and_the_command_waits() {
    let world = World::new();
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));
    let later = |seconds: i64| {
        let at = jiff::Timestamp::from_millisecond(now_ms() + seconds * 1000).unwrap();
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let at = later(20);
    let ask = [ASK, &["--not-before", &at, "--valid-for", "10m"]].concat();
    dana.run(&ask).exits(5);
    dana.run(&[ASK, &["--not-before", "2020-01-01T00:00Z"]].concat()).exits(3);
    let requests: Vec<RequestView> = world.api("rita").get("/v1/requests?state=pending").json();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let id = request.id.as_str();
    let shown = rita.run(&["request", "show", id]).exits(0);
    assert!(shown.all().contains("to be fetched from"), "{}", shown.all());
    rita.run(&["approve", id, "--reason", "at night"]).exits(0);
    let early = dana.run(&["fetch", "--request", id, "--no-wait", "-o", "early.csv"]);
    if early.code == 5 {
        assert!(early.all().contains("may be fetched from"), "{}", early.all());
        dana.run(&["fetch", "--request", id, "-o", "people.csv"]).exits(0);
        dana.run(&["verify", "people.csv"]).exits(0);
    }
    both_verifiers_agree(&world);
}

#[test]
fn the_requester_s_manager_and_nobody_else_approves_in_their_stage() {
    let key = SigningKey::new("managers");
    let issuer = FakeIssuer::start(&[&key]);
    let mut setup = Setup::standard()
        .issuer("fake", &issuer.url)
        .sign_in("manager_claim = \"manager\"")
        .policy(
            r#"@id("staff-reviews") permit (principal in Group::"staff", action in [Action::"describe", Action::"review"], resource);"#,
        );
    setup.datasets[0].settings.push_str("\nreviewers = { manager = true }");
    let world = World::with(setup);
    let signed_in = |name: &str, groups: &[&str], manager: Option<&str>| {
        let mut claims = issuer.claims(name);
        claims["groups"] = json!(groups);
        if let Some(manager) = manager {
            claims["manager"] = json!(manager);
        }
        let api = world.anonymous();
        let tokens = api.open(&key.sign(&key.header(), &claims)).json();
        api.keep(tokens);
        api
    };
    let dana = signed_in("dana", &["developers"], Some("Mia@people.example"));
    let (mia, mo) = (signed_in("mia", &["staff"], None), signed_in("mo", &["staff"], None));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    let refused = mo.review(&request, Verdict::Approve);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "review_refused"),
        "{}",
        refused.text()
    );
    // The same name at another identity provider is somebody else, whatever they may review.
    let rita = world.api("rita").review(&request, Verdict::Approve);
    assert_eq!(rita.code(), "review_refused", "{}", rita.text());
    assert_eq!(mia.approve(&request).state, RequestState::Approved);
    assert!(dana.fetch(&request).complete);

    // Without a manager nobody could ever approve, and the plan says so.
    let alone = signed_in("alan", &["developers"], None);
    let plan: PlanAnswer = alone.plan(&slice("people", None, Some(10)), Format::Csv, "churn").json();
    assert_eq!((plan.decision.as_str(), plan.document), ("denied", None));
    assert!(plan.reasons.concat().contains("does not say who that is"), "{:?}", plan.reasons);
}
