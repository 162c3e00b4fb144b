//! Signing in at an identity provider that answers from a script.

use chunk_wire::session::{IssuerInfo, SignIn};

use super::sign_in;
use crate::client::scripted::{Scripted, answer};
use crate::context::block_on;
use crate::error::{Exit, Result};
use crate::output::Ui;

const DISCOVERY: &str = r#"{"issuer":"{url}","token_endpoint":"{url}/token","device_authorization_endpoint":"{url}/device","authorization_endpoint":"{url}/a"}"#;
const DEVICE: &str = r#"{"device_code":"dc","user_code":"AB-CD","verification_uri":"{url}/d","expires_in":60,"interval":0}"#;

/// Signs in; gives the token or the failure, and what was asked.
fn run(answers: Vec<String>) -> (Result<String>, Vec<(String, String)>) {
    let server = Scripted::start(answers);
    let issuer = IssuerInfo {
        issuer: server.url.clone(),
        client_id: "chunkctl".into(),
        scopes: vec!["openid".into(), "email".into()],
        insecure_development: false,
        sign_in: SignIn::default(),
        max_age_s: None,
        acr_values: vec![],
        userinfo: false,
    };
    let ui = Ui::new(false, true, true);
    let outcome = block_on(sign_in(&ui, &issuer, None, true)).map(|tokens| tokens.id_token.to_string());
    (outcome, server.asked().into_iter().map(|asked| (asked.line, asked.body)).collect())
}

fn ok(body: &str) -> String {
    answer(200, "", body)
}

fn no(error: &str) -> String {
    answer(400, "", &format!(r#"{{"error":"{error}"}}"#))
}

#[test]
fn a_code_that_is_confirmed_gives_the_identity_token() {
    let token = r#"{"access_token":"a","token_type":"Bearer","id_token":"the.id.token"}"#;
    let (outcome, asked) = run(vec![ok(DISCOVERY), ok(DEVICE), no("authorization_pending"), ok(token)]);
    assert_eq!(outcome.unwrap(), "the.id.token");
    let lines: Vec<_> = asked.iter().map(|(line, _)| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(lines, ["/.well-known/openid-configuration", "/device", "/token", "/token"]);
    assert_eq!(asked.get(1).unwrap().1, "scope=openid+email&client_id=chunkctl");
    let poll = &asked.get(2).unwrap().1;
    assert!(
        poll.contains("device_code=dc") && poll.contains("client_id=chunkctl") && poll.contains("grant_type=urn%3Aietf"),
        "{poll}"
    );
}

#[test]
fn refusal_and_expiry_end_the_sign_in() {
    for (error, code) in [("access_denied", "access_denied"), ("expired_token", "expired_token")] {
        let failure = run(vec![ok(DISCOVERY), ok(DEVICE), no(error)]).0.unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::SignIn, code));
        assert_eq!(failure.hint.as_deref(), Some("chunkctl login"));
    }
}

#[test]
fn a_provider_that_speaks_for_another_is_refused() {
    let discovery = DISCOVERY.replacen("{url}", "https://other.example", 1);
    assert_eq!(run(vec![ok(&discovery)]).0.unwrap_err().exit, Exit::No);
}

#[test]
fn tokens_never_travel_in_clear_to_another_machine() {
    for endpoint in ["{url}/token", "{url}/device"] {
        let discovery = DISCOVERY.replacen(endpoint, "http://evil.example/x", 1);
        assert_eq!(run(vec![ok(&discovery)]).0.unwrap_err().exit, Exit::No, "{endpoint}");
    }
}

#[test]
fn an_answer_without_an_identity_token_is_no_sign_in() {
    let failure = run(vec![ok(DISCOVERY), ok(DEVICE), ok(r#"{"access_token":"a","token_type":"Bearer"}"#)])
        .0
        .unwrap_err();
    assert_eq!(failure.exit, Exit::CannotTell);
    let failure = run(vec![ok(&DISCOVERY.replace("device_authorization_endpoint", "other"))])
        .0
        .unwrap_err();
    assert!(failure.what.contains("does not offer"), "{}", failure.what);
}

#[test]
fn a_provider_that_allows_no_codes_is_told_apart_and_the_browser_is_offered() {
    for error in ["unauthorized_client", "access_denied", "unsupported_grant_type", "invalid_request"] {
        let failure = run(vec![ok(DISCOVERY), no(error)]).0.unwrap_err();
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (Exit::CannotTell, "no_device_code"),
            "{error}"
        );
        assert!(failure.why.iter().any(|why| why.contains(error)), "{failure:?}");
        assert_eq!(failure.hint.as_deref(), Some("chunkctl login --browser"));
    }
    let late = run(vec![ok(DISCOVERY), ok(DEVICE), no("unauthorized_client")]).0.unwrap_err();
    assert_eq!(
        (late.code.as_str(), late.hint.as_deref()),
        ("no_device_code", Some("chunkctl login --browser"))
    );
    let silent = run(vec![ok(&DISCOVERY.replace("device_authorization_endpoint", "other"))])
        .0
        .unwrap_err();
    assert_eq!(silent.hint.as_deref(), Some("chunkctl login --browser"));
    let other = run(vec![ok(DISCOVERY), no("invalid_scope")]).0.unwrap_err();
    assert_eq!(other.hint.as_deref(), Some("chunkctl doctor"));
}

#[test]
fn what_the_broker_wants_to_know_about_the_authentication_is_asked_for() {
    let server = Scripted::start(vec![ok(DISCOVERY), no("invalid_scope")]);
    let issuer = IssuerInfo {
        issuer: server.url.clone(),
        client_id: "c".into(),
        scopes: vec!["openid".into()],
        insecure_development: false,
        sign_in: SignIn::default(),
        max_age_s: Some(600),
        acr_values: vec!["phrh".into(), "phr".into()],
        userinfo: false,
    };
    assert!(block_on(sign_in(&Ui::new(false, true, true), &issuer, None, true)).is_err());
    let asked = server.asked();
    let body = &asked.get(1).unwrap().body;
    assert!(body.contains("max_age=600") && body.contains("acr_values=phrh+phr"), "{body}");
}
