//! Waiting on a broker that answers from a script.

use std::time::Duration;

use chunk_wire::fetch::RequestView;
use chunk_wire::id::SessionId;
use chunk_wire::session::{Person, SessionTokens};
use serde_json::json;

use super::{Patience, until_deliverable};
use crate::auth::credentials::Credentials;
use crate::auth::passphrase::Passphrase;
use crate::auth::vault::{Storage, Vault};
use crate::client::Broker;
use crate::client::scripted::{Scripted, answer};
use crate::client::session::Session;
use crate::config::BrokerUrl;
use crate::context::block_on;
use crate::error::{Exit, Result};
use crate::figures::now_ms;
use crate::output::Ui;

const PICK_UP: &str = "chunkctl fetch --request …";

fn view(state: &str, digest: &str) -> RequestView {
    let bob = json!({"issuer": "https://i", "subject": "bob", "name": "Bob", "groups": []});
    let verdict = if state == "rejected" { "reject" } else { "approve" };
    serde_json::from_value(json!({
        "id": "req_0123456789abcdef", "state": state, "digest": digest, "document": "{}", "host": "laptop", "ip": "10.0.0.1",
        "requester": {"issuer": "https://i", "subject": "ada", "name": "Ada", "groups": []},
        "created_ms": 0, "expires_ms": now_ms() + 3_600_000, "index": 7, "approvals_missing": u32::from(state == "pending"),
        "reviews": if state == "pending" { json!([]) } else { json!([{"verdict": verdict, "reason": "because", "time_ms": 1, "index": 8, "reviewer": bob}]) },
        "deliveries": []
    }))
    .unwrap()
}

fn events(views: &[RequestView]) -> String {
    let body: String = views
        .iter()
        .map(|view| format!(": keep-alive\n\nevent: request\ndata: {}\n\n", serde_json::to_string(view).unwrap()))
        .collect();
    answer(200, "", &body)
}

fn wait(first: &str, streams: Vec<String>, patience: Patience) -> (Result<RequestView>, usize) {
    let server = Scripted::start(streams);
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(None, None);
    let vault = Vault::new(Storage::Memory, &server.url, "default", folder.path(), &passphrase);
    let tokens = SessionTokens {
        session: SessionId::from_random([1; 10]),
        access_token: "a".into(),
        access_expires_ms: now_ms() + 600_000,
        refresh_token: "r".into(),
        session_expires_ms: now_ms() + 600_000,
        person: Person {
            issuer: "https://i".into(),
            subject: "ada".into(),
            name: "Ada".into(),
            email: None,
            groups: vec![],
        },
    };
    let broker = Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap();
    let session = Session::new(broker, vault, Credentials::new(&server.url, &[7; 32], tokens, "o", "k")).unwrap();
    let ui = Ui::new(false, true, true);
    let outcome = block_on(until_deliverable(&ui, &session, view(first, "d"), patience, PICK_UP));
    (outcome, server.asked().len())
}

#[test]
fn an_approval_ends_the_wait() {
    let (outcome, asked) = wait(
        "pending",
        vec![events(&[view("pending", "d"), view("approved", "d")])],
        Patience::Unlimited,
    );
    assert_eq!(outcome.unwrap().state.as_str(), "approved");
    assert_eq!(asked, 1);
}

#[test]
fn what_is_approved_already_is_not_waited_for() {
    let (outcome, asked) = wait("approved", vec![], Patience::None);
    assert_eq!((outcome.unwrap().state.as_str(), asked), ("approved", 0));
}

#[test]
fn a_stream_that_breaks_is_joined_again() {
    let streams = vec![
        events(&[view("pending", "d")]),
        answer(502, "", ""),
        events(&[view("rejected", "d")]),
    ];
    let (outcome, asked) = wait("pending", streams, Patience::Unlimited);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str(), asked), (Exit::No, "rejected", 3));
    assert_eq!(failure.why, ["Bob: because"]);
}

#[test]
fn the_end_of_the_wait_is_not_the_end_of_the_request() {
    for patience in [Patience::None, Patience::Limited(Duration::from_millis(100))] {
        let (outcome, _) = wait("pending", vec![events(&[view("pending", "d")])], patience);
        let failure = outcome.unwrap_err();
        assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Pending, Some(PICK_UP)));
    }
}

#[test]
fn another_request_under_the_same_id_is_refused() {
    let (outcome, _) = wait("pending", vec![events(&[view("approved", "another digest")])], Patience::Unlimited);
    assert_eq!(outcome.unwrap_err().code, "document_mismatch");
}

#[test]
fn a_no_is_a_no() {
    for state in ["rejected", "expired", "cancelled", "revoked"] {
        let (outcome, _) = wait(state, vec![], Patience::Unlimited);
        assert_eq!(outcome.unwrap_err().exit, Exit::No, "{state}");
    }
}
