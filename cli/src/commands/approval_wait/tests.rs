//! Waiting on a broker that answers from a script.

use std::time::Duration;

use chunk_wire::fetch::RequestView;
use serde_json::json;

use super::{EXPIRY_GRACE_MS, Patience, interrupted};
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

/// A pending request whose time, and the time to hear of its end, has passed.
fn outlived() -> RequestView {
    RequestView {
        expires_ms: now_ms() - EXPIRY_GRACE_MS,
        ..view("pending", "d")
    }
}

fn events(views: &[RequestView]) -> String {
    let body: String = views
        .iter()
        .map(|view| format!(": keep-alive\n\nevent: request\ndata: {}\n\n", serde_json::to_string(view).unwrap()))
        .collect();
    answer(200, "", &body)
}

fn body(view: &RequestView) -> String {
    answer(200, "", &serde_json::to_string(view).unwrap())
}

/// What a wait came to.
struct Waited {
    outcome: Result<RequestView>,
    /// The routes that were asked for.
    asked: Vec<String>,
    /// What was said meanwhile.
    heard: Vec<String>,
}

fn wait_for(first: RequestView, streams: Vec<String>, patience: Patience, storage: Storage, end: impl Future<Output = ()>) -> Waited {
    let server = Scripted::start(streams);
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(None, None);
    let vault = Vault::new(storage, &server.url, "default", folder.path(), &passphrase);
    let broker = Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap();
    let session = Session::new(broker, vault, crate::testing::credentials(&server.url)).unwrap();
    let ui = Ui::new(false, true, true);
    let outcome = block_on(super::wait(&ui, &session, first, patience, PICK_UP, end));
    Waited {
        outcome,
        asked: server.asked().into_iter().map(|asked| asked.line).collect(),
        heard: ui.heard(),
    }
}

fn wait(first: &str, streams: Vec<String>, patience: Patience) -> (Result<RequestView>, usize) {
    let waited = wait_for(view(first, "d"), streams, patience, Storage::Plaintext, std::future::pending());
    (waited.outcome, waited.asked.len())
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
fn a_stream_that_breaks_is_joined_again_and_said_once() {
    let streams = vec![
        events(&[view("pending", "d")]),
        answer(502, "", ""),
        answer(502, "", ""),
        events(&[view("pending", "d"), view("rejected", "d")]),
    ];
    let waited = wait_for(
        view("pending", "d"),
        streams,
        Patience::Unlimited,
        Storage::Plaintext,
        std::future::pending(),
    );
    let failure = waited.outcome.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "rejected"));
    assert_eq!((failure.why.as_slice(), waited.asked.len()), (&["Bob: because".to_owned()][..], 4));
    let said = |words: &str| waited.heard.iter().filter(|line| line.contains(words)).count();
    assert_eq!(
        (said("is not heard any more"), said("is heard again")),
        (1, 1),
        "{:?}",
        waited.heard
    );
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
fn ctrl_c_while_pending_leaves_the_request_and_says_how_to_go_on() {
    let waited = wait_for(
        view("pending", "d"),
        vec![],
        Patience::Unlimited,
        Storage::Plaintext,
        std::future::ready(()),
    );
    let failure = waited.outcome.unwrap_err();
    assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Pending, Some(PICK_UP)));
    assert!(!waited.asked.iter().any(|line| line.starts_with("POST")), "{:?}", waited.asked);
}

#[test]
fn a_request_that_nobody_could_pick_up_is_cancelled() {
    // The stream of events may have been asked for by then, or not: whatever comes first gets the same answer.
    let waited = wait_for(
        view("pending", "d"),
        vec![body(&view("cancelled", "d")); 3],
        Patience::Unlimited,
        Storage::Memory,
        std::future::ready(()),
    );
    let failure = waited.outcome.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "cancelled"), "{failure:?}");
    assert_eq!(
        waited.asked.last().map(String::as_str),
        Some("POST /v1/requests/req_0123456789abcdef/cancel HTTP/1.1")
    );
    assert!(
        waited.heard.iter().any(|line| line.contains("in memory only")),
        "said before it is too late"
    );
}

#[test]
fn that_it_could_not_be_cancelled_is_said() {
    let waited = wait_for(
        view("pending", "d"),
        vec![answer(502, "", ""); 3],
        Patience::Unlimited,
        Storage::Memory,
        std::future::ready(()),
    );
    let failure = waited.outcome.unwrap_err();
    assert_eq!(failure.exit, Exit::CannotTell);
    assert!(failure.what.contains("could not be cancelled"), "{}", failure.what);
}

#[test]
fn a_wait_does_not_outlive_the_request() {
    let expired = RequestView {
        state: serde_json::from_value(json!("expired")).unwrap(),
        ..outlived()
    };
    // Two calls at once: the stream of events, and what became of it; both get this answer, which is no stream.
    let answers = vec![body(&expired), body(&expired)];
    let waited = wait_for(outlived(), answers, Patience::Unlimited, Storage::Plaintext, std::future::pending());
    let failure = waited.outcome.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "expired"));
}

#[test]
fn when_the_broker_is_gone_nobody_can_tell_what_became_of_it() {
    let gone = || answer(502, "", "");
    let waited = wait_for(
        outlived(),
        vec![gone(), gone()],
        Patience::Unlimited,
        Storage::Plaintext,
        std::future::pending(),
    );
    let failure = waited.outcome.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::CannotTell, "unreachable"));
    assert_eq!(failure.hint.as_deref(), Some("chunkctl request show req_0123456789abcdef"));
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

#[cfg(unix)]
#[test]
fn ctrl_c_a_polite_request_and_a_lost_terminal_all_interrupt() {
    let hangup = (!super::hangup_is_ignored()).then_some("-HUP"); // where the tests run under `nohup`, it has to stay ignored
    for signal in ["-INT", "-TERM"].into_iter().chain(hangup) {
        block_on(async {
            let mut heard = std::pin::pin!(interrupted());
            tokio::select! {
                biased;
                () = &mut heard => panic!("nothing was sent yet"),
                () = std::future::ready(()) => {} // by now it listens
            }
            let sent = std::process::Command::new("kill")
                .args([signal, &std::process::id().to_string()])
                .status();
            assert!(sent.unwrap().success());
            let in_time = tokio::time::timeout(Duration::from_secs(10), heard).await;
            assert!(in_time.is_ok(), "{signal}");
            Ok(())
        })
        .unwrap();
    }
}

#[cfg(unix)]
#[test]
fn under_nohup_a_lost_terminal_interrupts_nothing() {
    let status = |mask: &str| format!("Name:\tchunkctl\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
    assert!(super::ignores_hangup(&status("0000000000001001")));
    assert!(!super::ignores_hangup(&status("0000000000001000")));
    assert!(!super::ignores_hangup(""));
}
