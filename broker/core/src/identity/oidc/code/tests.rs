#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use chunk_wire::session::{ClientInfo, OpenBrowserSession, SignIn};
use serde_json::{Value, json};

use super::super::tests::{ISSUER, JWKS, NOW_MS, NOW_S, TOKENS, TestKey, Web, claims, es256, settings, with};
use super::*;
use crate::identity::HttpGet;
use crate::identity::oidc::Flow;
use crate::settings::IssuerSettings;

const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

fn open() -> OpenBrowserSession {
    OpenBrowserSession {
        issuer: ISSUER.into(),
        code: "SplxlOBeZQQYbYS6WxSbIA".into(),
        code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
        redirect_uri: "http://127.0.0.1:50123/callback".into(),
        client: ClientInfo::default(),
    }
}

/// A provider that answers the code like this, and what became of it.
async fn redeem(
    settings: IssuerSettings,
    open: &OpenBrowserSession,
    answer: (u16, Value),
) -> (Result<VerifiedIdentity, IdTokenError>, Arc<Web>) {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    let (status, answer) = answer;
    let answer = match answer.get("claims") {
        Some(claims) => json!({ "access_token": "a", "token_type": "Bearer", "id_token": key.token(es256(), claims) }),
        None => answer,
    };
    *web.answer.lock().unwrap() = Some((status, answer.to_string()));
    let issuers = Issuers::new(vec![settings], Arc::clone(&web) as Arc<dyn HttpGet>);
    (issuers.redeem(open, THUMBPRINT, NOW_MS).await, web)
}

fn named(nonce: &str) -> (u16, Value) {
    (200, json!({ "claims": with(json!({ "nonce": nonce })) }))
}

#[tokio::test]
async fn a_code_whose_token_names_the_key_is_a_sign_in_with_the_browser() {
    for sign_in in [SignIn::Device, SignIn::Browser, SignIn::BrowserRequired] {
        let settings = IssuerSettings {
            sign_in,
            ..settings(ISSUER)
        };
        let (identity, web) = redeem(settings, &open(), named(THUMBPRINT)).await;
        let identity = identity.unwrap();
        assert_eq!((identity.subject.as_str(), identity.flow), ("u-1", Flow::Browser));
        let posted = web.posted.lock().unwrap().clone();
        let form = "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=http%3A%2F%2F127.0.0.1%3A50123%2Fcallback\
                    &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&client_id=chunkctl";
        assert_eq!(posted, [(TOKENS.to_owned(), form.to_owned())]);
    }
}

#[tokio::test]
async fn a_token_that_names_no_key_or_another_is_refused() {
    assert_eq!(
        redeem(settings(ISSUER), &open(), named("another")).await.0,
        Err(IdTokenError::Nonce)
    );
    assert_eq!(redeem(settings(ISSUER), &open(), named("")).await.0, Err(IdTokenError::Nonce));
    let none = (200, json!({ "claims": claims() }));
    assert_eq!(redeem(settings(ISSUER), &open(), none).await.0, Err(IdTokenError::Nonce));
    let list = (200, json!({ "claims": with(json!({ "nonce": [THUMBPRINT] })) }));
    assert_eq!(redeem(settings(ISSUER), &open(), list).await.0, Err(IdTokenError::Nonce));
}

#[tokio::test]
async fn what_a_client_brings_is_refused_where_the_browser_is_required_even_when_it_names_the_key() {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    let required = IssuerSettings {
        sign_in: SignIn::BrowserRequired,
        ..settings(ISSUER)
    };
    let issuers = |settings| Issuers::new(vec![settings], Arc::clone(&web) as Arc<dyn HttpGet>);
    for nonce in [json!(THUMBPRINT), json!("another"), Value::Null] {
        let token = key.token(es256(), &with(json!({ "nonce": nonce })));
        let refused = issuers(required.clone()).verify(&token, NOW_MS).await;
        assert_eq!(refused, Err(IdTokenError::BrowserRequired), "{nonce}");
        // Elsewhere it is taken, and still says nothing about the key: a device code can be made to give such a token.
        let taken = issuers(settings(ISSUER)).verify(&token, NOW_MS).await.unwrap();
        assert_eq!((taken.flow, taken.flow.attests_key()), (Flow::IdToken, false));
    }
}

#[tokio::test]
async fn a_code_that_was_sent_anywhere_but_to_this_machine_is_not_redeemed() {
    for wrong in [
        "https://evil.example/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:80/callback",
        "http://127.0.0.1:50123/",
        "http://127.0.0.1:50123/callback?x=1",
        "http://127.0.0.1:50123/callback#x",
        "http://127.0.0.1:50123/x/../callback",
        "http://user@127.0.0.1:50123/callback",
        "http://127.0.0.1.evil.example:50123/callback",
        "http://127.0.0.2:50123/callback",
        "http://2130706433:50123/callback",
        "http://localhost:50123/callback",
        "http://[::1]:50123/callback",
        "https://127.0.0.1:50123/callback",
        "HTTP://127.0.0.1:50123/callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "",
    ] {
        let open = OpenBrowserSession {
            redirect_uri: wrong.into(),
            ..open()
        };
        let (outcome, web) = redeem(settings(ISSUER), &open, named(THUMBPRINT)).await;
        assert!(matches!(outcome, Err(IdTokenError::Code(_))), "{wrong}: {outcome:?}");
        assert!(web.posted.lock().unwrap().is_empty(), "{wrong} was sent on");
    }
}

#[tokio::test]
async fn what_is_no_code_or_no_verifier_is_not_sent_on() {
    let long = "x".repeat(CODE_BYTES_MAX + 1);
    let (short, odd, too_long) = ("v".repeat(42), format!("{}&", "v".repeat(43)), "v".repeat(129));
    for (code, verifier) in [
        ("", open().code_verifier.as_str()),
        (&long, &open().code_verifier),
        ("c", &short),
        ("c", &odd),
        ("c", &too_long),
        ("c", ""),
    ] {
        let open = OpenBrowserSession {
            code: code.into(),
            code_verifier: verifier.into(),
            ..open()
        };
        let (outcome, web) = redeem(settings(ISSUER), &open, named(THUMBPRINT)).await;
        assert!(matches!(outcome, Err(IdTokenError::Code(_))), "{outcome:?}");
        assert!(web.posted.lock().unwrap().is_empty());
    }
    let elsewhere = OpenBrowserSession {
        issuer: "https://evil.example".into(),
        ..open()
    };
    let (outcome, web) = redeem(settings(ISSUER), &elsewhere, named(THUMBPRINT)).await;
    assert_eq!(outcome, Err(IdTokenError::Issuer));
    assert!(web.posted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_by_its_code_and_an_odd_answer_is_the_operators() {
    let (outcome, _) = redeem(
        settings(ISSUER),
        &open(),
        (400, json!({ "error": "invalid_grant", "error_description": "secret words" })),
    )
    .await;
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "the identity provider refused the authorization code: `invalid_grant`"
    );
    for odd in [
        (400, json!({ "error": "<script>alert(1)</script>" })),
        (500, json!({ "error": "server_error" })),
        (302, json!({})),
        (200, json!({ "access_token": "a" })),
        (200, json!("x")),
    ] {
        let (outcome, _) = redeem(settings(ISSUER), &open(), odd.clone()).await;
        assert!(matches!(outcome, Err(IdTokenError::Unavailable { .. })), "{odd:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_token_endpoint_in_the_clear_gets_no_code() {
    let web = Web::with_keys(json!([]));
    web.put(
        &format!("{ISSUER}/.well-known/openid-configuration"),
        json!({ "issuer": ISSUER, "jwks_uri": "https://keys.id.example/jwks", "token_endpoint": "http://id.example/token" }),
    );
    let issuers = Issuers::new(vec![settings(ISSUER)], Arc::clone(&web) as Arc<dyn HttpGet>);
    let outcome = issuers.redeem(&open(), THUMBPRINT, NOW_MS).await;
    assert!(matches!(outcome, Err(IdTokenError::Unavailable { .. })), "{outcome:?}");
    assert!(web.posted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn when_the_person_authenticated_is_checked_where_it_is_asked_for_and_unsaid_is_too_long_ago() {
    let settings = IssuerSettings {
        max_age_s: Some(600),
        ..settings(ISSUER)
    };
    for (auth_time, outcome) in [
        (json!(NOW_S - 600), None),
        (json!(NOW_S - 660), None), // clocks may differ by a minute
        (json!(NOW_S - 661), Some(IdTokenError::AuthTimeOld)),
        (json!(0), Some(IdTokenError::AuthTimeOld)),
        (json!(-4_000_000_000_i64), Some(IdTokenError::AuthTimeOld)),
    ] {
        let token = (
            200,
            json!({ "claims": with(json!({ "nonce": THUMBPRINT, "auth_time": auth_time })) }),
        );
        assert_eq!(redeem(settings.clone(), &open(), token).await.0.err(), outcome, "{auth_time}");
    }
    let mut silent = with(json!({ "nonce": THUMBPRINT }));
    silent.as_object_mut().unwrap().remove("auth_time");
    let (outcome, _) = redeem(settings, &open(), (200, json!({ "claims": silent }))).await;
    assert_eq!(outcome, Err(IdTokenError::AuthTimeMissing));
}

#[tokio::test]
async fn how_the_person_authenticated_is_checked_where_it_is_asked_for() {
    let settings = IssuerSettings {
        acr_values: vec!["phrh".into(), "phr".into()],
        ..settings(ISSUER)
    };
    for (acr, good) in [
        (json!("phr"), true),
        (json!("phrh"), true),
        (json!("0"), false),
        (json!("phr phrh"), false),
        (json!(["phr"]), false),
        (Value::Null, false),
    ] {
        let token = (200, json!({ "claims": with(json!({ "nonce": THUMBPRINT, "acr": acr })) }));
        let (outcome, _) = redeem(settings.clone(), &open(), token).await;
        assert_eq!(outcome.err(), (!good).then_some(IdTokenError::Acr), "{acr}");
    }
}

#[tokio::test]
async fn a_token_is_kept_only_in_the_form_that_every_verifier_reads_alike() {
    let attested = |claims: Value| async move {
        let (identity, _) = redeem(settings(ISSUER), &open(), (200, json!({ "claims": claims }))).await;
        identity.unwrap().attestation
    };
    let token = attested(with(json!({ "nonce": THUMBPRINT }))).await.unwrap();
    assert!(IdToken::parse(&token).unwrap().names(ISSUER, "u-1", THUMBPRINT));
    // Fit for a session, and read differently here and there.
    let two = with(json!({ "nonce": THUMBPRINT, "aud": ["chunkctl", "other"], "azp": "chunkctl" }));
    assert_eq!(attested(two).await, None);
}

#[tokio::test]
async fn a_client_with_a_secret_shows_it_where_the_provider_takes_it() {
    let key = TestKey::ec();
    let token = key.token(es256(), &with(json!({ "nonce": THUMBPRINT })));
    let answer = json!({ "id_token": token }).to_string();
    let discovery = |methods: Value| {
        let mut document = json!({ "issuer": ISSUER, "jwks_uri": JWKS, "token_endpoint": TOKENS });
        if let (Some(document), false) = (document.as_object_mut(), methods.is_null()) {
            document.insert("token_endpoint_auth_methods_supported".into(), methods);
        }
        document
    };
    let basic = Some("Basic Y2h1bmtjdGw6YSUzQWIlMkZjJTNE"); // chunkctl:a%3Ab%2Fc%3D
    for (methods, header, in_form) in [
        (Value::Null, basic, false),
        (json!(["client_secret_post", "client_secret_basic"]), basic, false),
        (json!(["none", "client_secret_post"]), None, true),
    ] {
        let web = Web::with_keys(json!([key.jwk("1")]));
        web.put(&format!("{ISSUER}/.well-known/openid-configuration"), discovery(methods));
        *web.secret.lock().unwrap() = Ok(Some("a:b/c=".into()));
        *web.answer.lock().unwrap() = Some((200, answer.clone()));
        let issuers = Issuers::new(vec![settings(ISSUER)], Arc::clone(&web) as Arc<dyn HttpGet>);
        issuers.redeem(&open(), THUMBPRINT, NOW_MS).await.unwrap();
        assert_eq!(web.authorized.lock().unwrap().as_deref(), header);
        let posted = web.posted.lock().unwrap().clone();
        let [(_, form)] = posted.as_slice() else { unreachable!("one form") };
        assert_eq!(form.ends_with("&client_id=chunkctl&client_secret=a%3Ab%2Fc%3D"), in_form, "{form}");
        assert_eq!(form.contains("client"), in_form, "{form}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_secret_is_for_the_operator_and_shows_nothing_of_it() {
    for (secret, status, answer) in [
        (Err("/run/oidc: no such file".to_owned()), 200, json!({})),
        (Ok(Some("hunter2".to_owned())), 401, json!({ "error": "invalid_client" })),
    ] {
        let web = Web::with_keys(json!([TestKey::ec().jwk("1")]));
        *web.secret.lock().unwrap() = secret;
        *web.answer.lock().unwrap() = Some((status, answer.to_string()));
        let issuers = Issuers::new(vec![settings(ISSUER)], Arc::clone(&web) as Arc<dyn HttpGet>);
        let refused = issuers.redeem(&open(), THUMBPRINT, NOW_MS).await.unwrap_err();
        assert!(matches!(refused, IdTokenError::Unavailable { .. }));
        let told = refused.operator().unwrap();
        assert!(told.contains("/run/oidc") || told.contains("client_secret"), "{told}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}
