//! The client against a broker that answers from a script.

use chunk_wire::problem::Code;
use chunk_wire::session::{Person, SessionTokens};
use serde_json::Value;

use super::scripted::{Scripted, answer, problem};
use super::session::Session;
use super::{Broker, Proof};
use crate::auth::credentials::Credentials;
use crate::auth::keys::Key;
use crate::auth::passphrase::Passphrase;
use crate::auth::vault::{Storage, Vault};
use crate::config::BrokerUrl;
use crate::context::block_on;
use crate::error::{Exit, Result};
use crate::figures::now_ms;

fn broker(server: &Scripted) -> Broker {
    Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap()
}

fn key() -> Key {
    Key::from_seed(&[7; 32]).unwrap()
}

fn tokens(access: &str, expires_ms: i64) -> SessionTokens {
    SessionTokens {
        session: chunk_wire::id::SessionId::from_random([1; 10]),
        access_token: access.into(),
        access_expires_ms: expires_ms,
        refresh_token: format!("refresh after {access}"),
        session_expires_ms: now_ms() + 3_600_000,
        person: Person {
            issuer: "https://i".into(),
            subject: "s".into(),
            name: "Ada".into(),
            email: None,
            groups: vec![],
            workload: None,
        },
    }
}

/// Calls `GET /v1/whoami` under a session whose token ends at the given time; gives what came and what is kept afterwards.
fn whoami(server: &Scripted, expires_ms: i64) -> (Result<Value>, String) {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(None, None);
    let vault = || Vault::new(Storage::Plaintext, &server.url, "default", folder.path(), &passphrase);
    vault()
        .save(&Credentials::new(&server.url, &[7; 32], tokens("first", expires_ms), "o", "k"))
        .unwrap();
    let session = Session::new(broker(server), vault(), vault().load().unwrap().unwrap()).unwrap();
    let outcome = block_on(session.get(&["v1", "whoami"]));
    (outcome, vault().load().unwrap().unwrap().access_token.clone())
}

const NONCE: &str = "DPoP-Nonce: fresh\r\n";

#[test]
fn the_brokers_nonce_is_taken_up_once_and_remembered() {
    let server = Scripted::start(vec![problem(Code::UseDpopNonce, NONCE), answer(200, "", "1"), answer(200, "", "2")]);
    let (broker, key) = (broker(&server), key());
    let call = broker.get(&["v1", "x"]).query("q", "1");
    block_on(async {
        assert_eq!(broker.json::<u8>(&call, Proof::Session(&key, "token")).await.unwrap(), 1);
        assert_eq!(broker.json::<u8>(&call, Proof::Session(&key, "token")).await.unwrap(), 2);
        Ok(())
    })
    .unwrap();
    let proofs: Vec<_> = server.asked().iter().map(super::scripted::Asked::proof).collect();
    let nonces: Vec<_> = proofs.iter().map(|claims| claims.nonce.as_deref()).collect();
    assert_eq!(nonces, [None, Some("fresh"), Some("fresh")]);
    let claims = proofs.first().unwrap();
    assert_eq!(claims.htu, format!("{}/v1/x", server.url), "without the query");
    assert_eq!(claims.ath.as_deref(), Some(chunk_wire::dpop::access_token_hash("token").as_str()));
    assert_eq!(server.asked().first().unwrap().header("authorization"), Some("DPoP token"));
}

#[test]
fn a_broker_that_is_never_content_with_a_nonce_is_asked_twice_only() {
    let server = Scripted::start(vec![
        problem(Code::UseDpopNonce, NONCE),
        problem(Code::UseDpopNonce, NONCE),
        answer(200, "", "1"),
    ]);
    let (broker, key) = (broker(&server), key());
    let failure = block_on(async { broker.json::<u8>(&broker.get(&["x"]), Proof::Key(&key)).await }).unwrap_err();
    assert_eq!(failure.exit, Exit::SignIn);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_clock_that_is_off_is_put_right_by_the_brokers_own() {
    let date = "Date: Wed, 21 Oct 2037 07:28:00 GMT\r\n";
    let server = Scripted::start(vec![problem(Code::InvalidDpopProof, date), answer(200, date, "1")]);
    let (broker, key) = (broker(&server), key());
    block_on(async { broker.json::<u8>(&broker.get(&["x"]), Proof::Key(&key)).await }).unwrap();
    let iat: Vec<i64> = server.asked().iter().map(|asked| asked.proof().iat).collect();
    let there = 2_139_722_880;
    assert!(
        iat.first().unwrap() + 3600 < there && iat.last().unwrap().abs_diff(there) < 60,
        "{iat:?}"
    );
}

#[test]
fn a_token_that_has_ended_is_renewed_before_the_call() {
    let renewed = serde_json::to_string(&tokens("second", now_ms() + 600_000)).unwrap();
    let server = Scripted::start(vec![answer(200, "", &renewed), answer(200, "", "{}")]);
    let (outcome, kept) = whoami(&server, now_ms() - 1);
    outcome.unwrap();
    assert_eq!(kept, "second");
    let asked = server.asked();
    assert_eq!(asked.first().unwrap().line, "POST /v1/sessions/refresh HTTP/1.1");
    assert_eq!(asked.first().unwrap().body, r#"{"refresh_token":"refresh after first"}"#);
    assert_eq!(
        (asked.first().unwrap().proof().ath, asked.first().unwrap().header("authorization")),
        (None, None)
    );
    assert_eq!(asked.last().unwrap().header("authorization"), Some("DPoP second"));
}

#[test]
fn a_refused_token_is_renewed_once() {
    let renewed = serde_json::to_string(&tokens("second", now_ms() + 600_000)).unwrap();
    let refused = || problem(Code::Unauthenticated, "");
    let server = Scripted::start(vec![refused(), answer(200, "", &renewed), answer(200, "", "{}")]);
    whoami(&server, now_ms() + 600_000).0.unwrap();
    let server = Scripted::start(vec![refused(), answer(200, "", &renewed), refused(), answer(200, "", "{}")]);
    let failure = whoami(&server, now_ms() + 600_000).0.unwrap_err();
    assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::SignIn, Some("chunkctl login")));
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_session_that_cannot_be_renewed_asks_for_a_sign_in() {
    let server = Scripted::start(vec![problem(Code::SessionEnded, "")]);
    let (outcome, kept) = whoami(&server, now_ms() - 1);
    let failure = outcome.unwrap_err();
    assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::SignIn, Some("chunkctl login")));
    assert_eq!(kept, "first");
}

#[test]
fn what_is_no_broker_is_not_believed() {
    let cases = [
        answer(302, "Location: http://127.0.0.1:1/\r\n", ""),
        answer(502, "", "<html>bad gateway</html>"),
        answer(200, "", "<html>welcome</html>"),
        "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n{".to_owned(),
        String::new(),
    ];
    for case in cases {
        let server = Scripted::start(vec![case.clone()]);
        let broker = broker(&server);
        let failure = block_on(async { broker.json::<Value>(&broker.get(&["v1", "info"]), Proof::None).await }).unwrap_err();
        assert_eq!(failure.exit, Exit::CannotTell, "{case}");
        assert_eq!(server.asked().len(), 1);
    }
}
