//! The request that is shown, and what is asked of a provider before it is.

use std::collections::BTreeMap;

use chunk_wire::session::SignIn;
use serde_json::{Value, json};

use super::*;
use crate::error::Exit;

fn issuer() -> IssuerInfo {
    IssuerInfo {
        issuer: "https://id.example".into(),
        client_id: "chunkctl".into(),
        scopes: vec!["openid".into(), "email".into()],
        insecure_development: false,
        sign_in: SignIn::Browser,
        max_age_s: Some(3600),
        acr_values: vec!["phrh".into(), "phr".into()],
        userinfo: false,
    }
}

fn discovery(changes: &Value) -> Discovery {
    let mut document = json!({
        "issuer": "https://id.example", "token_endpoint": "https://id.example/token",
        "authorization_endpoint": "https://id.example/auth?tenant=1", "code_challenge_methods_supported": ["plain", "S256"],
    });
    for (name, value) in changes.as_object().unwrap() {
        document.as_object_mut().unwrap().insert(name.clone(), value.clone());
    }
    serde_json::from_value(document).unwrap()
}

#[test]
fn the_request_names_the_key_and_carries_no_secret() {
    let attempt = Attempt {
        state: "the-state".into(),
        verifier: Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
        redirect_uri: "http://127.0.0.1:50123/callback".into(),
    };
    let endpoint = endpoint("https://id.example", &discovery(&json!({}))).unwrap();
    let address = address(endpoint, &issuer(), "the-thumbprint", &attempt);
    let asked: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
    let expected = [
        ("acr_values", "phrh phr"),
        ("client_id", "chunkctl"),
        // The example of RFC 7636, appendix B.
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("max_age", "3600"),
        ("nonce", "the-thumbprint"),
        ("redirect_uri", "http://127.0.0.1:50123/callback"),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "the-state"),
        ("tenant", "1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(asked, BTreeMap::from(expected));
    assert!(!address.as_str().contains("dBjftJeZ4"), "the verifier stays here");
}

#[test]
fn state_and_verifier_are_new_for_every_sign_in() {
    let (one, two) = (random().unwrap(), random().unwrap());
    assert_ne!(one, two);
    assert_eq!(one.len(), 43);
}

#[test]
fn a_provider_that_cannot_do_it_safely_is_not_used_for_it() {
    for (changes, exit) in [
        (json!({ "authorization_endpoint": null }), Exit::CannotTell),
        (json!({ "code_challenge_methods_supported": ["plain"] }), Exit::CannotTell),
        (json!({ "authorization_endpoint": "http://id.example/auth" }), Exit::No),
        (json!({ "authorization_endpoint": "file:///etc/passwd" }), Exit::No),
    ] {
        let failure = endpoint("https://id.example", &discovery(&changes)).unwrap_err();
        assert_eq!(failure.exit, exit, "{changes}");
    }
    let silent = discovery(&json!({ "code_challenge_methods_supported": null }));
    assert!(endpoint("https://id.example", &silent).is_ok(), "many providers do not say");
}
