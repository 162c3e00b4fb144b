//! Standing grants: one approval for a slice, a time and so many rows; both verifiers agree on what became of it.

use chunk_wire::fetch::{Format, PlanAnswer, PlanRequest, RequestDocument, RequestState, RequestView, StandingRequest};
use chunk_wire::review::Withdraw;

use crate::second_verifier::both_verifiers_agree;
use crate::support::api::slice;
use crate::support::{Person, Setup, World};

fn setup() -> Setup {
    let mut setup = Setup::standard();
    setup.datasets[0].settings.push_str("\nstanding_hours_max = 8");
    setup
}

const TEN: &[&str] = &["fetch", "people", "--limit", "10", "--format", "csv"];

/// `dana`'s ten people, with more arguments.
fn fetch(dana: &Person, more: &[&str]) -> crate::support::Output {
    dana.run(&[TEN, &["--reason", "dashboard"], more].concat())
}

#[test]
fn one_approval_is_for_many_fetches_of_the_same_until_its_rows_are_used_up() {
    let world = World::with(setup());
    let (dana, rita) = (world.signed_in("dana"), world.api("rita"));
    let plan = dana
        .run(&["plan", "people", "--limit", "10", "--standing", "8h", "--standing-rows", "25"])
        .exits(0);
    assert!(plan.all().contains("a standing grant: 25 rows"), "{}", plan.all());
    dana.run(&["plan", "people", "--standing", "9h"]).exits(1);
    dana.run(&["plan", "orders", "--standing", "1h"]).exits(1);

    fetch(&dana, &["--standing", "8h", "--standing-rows", "25", "--no-wait"]).exits(5);
    let waiting: Vec<RequestView> = rita.get("/v1/requests?state=pending").json();
    let [grant] = waiting.as_slice() else { panic!("{waiting:?}") };
    let document: RequestDocument = serde_json::from_str(&grant.document).unwrap();
    assert_eq!(document.standing.unwrap().rows, 25);
    rita.approve(grant);
    let first = dana.run(&["fetch", "--request", grant.id.as_str(), "-o", "first.csv"]).exits(0);
    assert!(
        first.all().contains(&format!("Standing grant {} is used", grant.id)),
        "{}",
        first.all()
    );
    dana.run(&["verify", "first.csv"]).exits(0);
    let verified = dana.json(&["verify", "first.csv"]).exits(0).event("verify");
    assert_eq!(verified["story"]["standing"]["request"], grant.id.as_str());
    assert_eq!(verified["story"]["approvals"][0]["subject"], "rita");

    // The same again needs nobody; another question does.
    fetch(&dana, &["-o", "second.csv"]).exits(0);
    let other = dana
        .run(&[
            "fetch",
            "people",
            "--limit",
            "11",
            "--format",
            "csv",
            "--reason",
            "more",
            "--no-wait",
        ])
        .exits(5);
    assert!(!other.all().contains("Standing grant"), "{}", other.all());

    // Five rows are left: ten do not fit, five do, and then it is asked anew.
    fetch(&dana, &["-o", "third.csv"]).exits(2);
    assert!(!dana.dir().join("third.csv").exists());
    let five = [
        "fetch",
        "people",
        "--limit",
        "5",
        "--format",
        "csv",
        "--reason",
        "dashboard",
        "-o",
        "five.csv",
    ];
    dana.run(&five).exits(0);
    let spent = fetch(&dana, &["--no-wait"]).exits(5);
    assert!(spent.all().contains("has carried all it may"), "{}", spent.all());
    let shown: RequestView = rita.show(grant);
    let left = shown.standing.unwrap();
    assert_eq!((left.rows_left, left.uses, shown.state), (0, 4, RequestState::Approved));
    both_verifiers_agree(&world);
}

#[test]
fn a_revoked_standing_grant_and_another_persons_are_asked_for_anew() {
    let world = World::with(setup());
    let (dana, drew, rita) = (world.api("dana"), world.api("drew"), world.api("rita"));
    let asked = PlanRequest {
        query: slice("people", None, Some(10)),
        format: Format::Csv,
        reason: "a test asks".to_owned(),
        ticket: None,
        break_glass: false,
        standing: Some(StandingRequest {
            duration_s: 3600,
            rows: None,
            bytes: None,
        }),
        window: None,
    };
    let plan: PlanAnswer = dana.post("/v1/plans", &asked).json();
    let grant: RequestView = dana.submit(&plan).json();
    rita.approve(&grant);
    let again: PlanAnswer = dana.plan(&asked.query, Format::Csv, "again").json();
    assert_eq!(
        (again.decision.as_str(), again.standing.map(|left| left.request)),
        ("allowed", Some(grant.id.clone()))
    );
    let another: PlanAnswer = drew.plan(&asked.query, Format::Csv, "mine").json();
    assert_eq!(another.decision, "needs_approval");
    let elsewhere = world.api("dana");
    let used = elsewhere.request(&asked.query, Format::Csv);
    assert_eq!(used.state, RequestState::Approved);
    assert!(elsewhere.fetch(&used).complete, "another session with another key");

    let late = dana.request(&asked.query, Format::Csv);
    let withdraw = Withdraw {
        reason: "the desk has moved".to_owned(),
    };
    let revoked: RequestView = rita.post(&format!("/v1/requests/{}/revoke", grant.id), &withdraw).json();
    assert_eq!(revoked.state, RequestState::Revoked);
    assert_eq!(dana.fetch(&late).code(), "wrong_state");
    let anew: PlanAnswer = dana.plan(&asked.query, Format::Csv, "again").json();
    assert_eq!(anew.decision, "needs_approval");
    both_verifiers_agree(&world);
}
