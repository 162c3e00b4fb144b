//! The issuer from outside: both ways to sign in, and what it refuses.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt as _;

use super::*;

struct Tick(AtomicI64);

impl Clock for Tick {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(2000, Ordering::SeqCst)
    }
}

fn issuer() -> Router {
    let clock = Arc::new(Tick(AtomicI64::new(1_800_000_000_000)));
    router(Arc::new(Provider::new("127.0.0.1:4711".parse().unwrap(), clock).unwrap()))
}

async fn send(router: &Router, request: axum::http::request::Builder, body: &str) -> (StatusCode, String) {
    let response = router
        .clone()
        .oneshot(request.body(Body::from(body.to_owned())).unwrap())
        .await
        .unwrap();
    let status = response.status();
    (
        status,
        String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap(),
    )
}

async fn form(router: &Router, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::post(path)
        .header("host", "127.0.0.1:4711")
        .header("content-type", "application/x-www-form-urlencoded");
    send(router, request, body).await
}

async fn json_of(router: &Router, path: &str, body: &str) -> Value {
    serde_json::from_str(&form(router, path, body).await.1).unwrap()
}

fn token_form(device_code: &str) -> String {
    format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=chunkctl&device_code={device_code}")
}

/// Claims of an ID token that the published key verifies.
async fn verified(issuer: &Router, tokens: &Value) -> Value {
    let (_, keys) = send(issuer, Request::get("/jwks").header("host", "localhost:4711"), "").await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["chunkctl"]);
    validation.set_issuer(&["http://127.0.0.1:4711"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(&keys.keys[0]).unwrap();
    jsonwebtoken::decode::<Value>(tokens["id_token"].as_str().unwrap(), &key, &validation)
        .unwrap()
        .claims
}

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const BACK: &str = "http%3A%2F%2F127.0.0.1%3A50123%2Fcallback";

/// An authorization request with changes.
fn request(changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", "chunkctl"),
        ("redirect_uri", BACK),
        ("scope", "openid+groups"),
        ("state", "s%3C%3E"),
        ("nonce", "thumb"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("/authorize?{}", pairs.join("&"))
}

/// Where somebody is sent by an answer, and with what.
async fn sent_back(router: &Router, path: &str, body: Option<&str>) -> Option<(String, Vec<(String, String)>)> {
    let request = match body {
        None => Request::get(path),
        Some(_) => Request::post(path).header("content-type", "application/x-www-form-urlencoded"),
    };
    let request = request
        .header("host", "127.0.0.1:4711")
        .body(Body::from(body.unwrap_or_default().to_owned()));
    let response = router.clone().oneshot(request.unwrap()).await.unwrap();
    let location = response.headers().get("location")?;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let mut url: url::Url = location.to_str().unwrap().parse().unwrap();
    let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
    pairs.sort();
    url.set_query(None);
    Some((url.into(), pairs))
}

fn of<'p>(pairs: &'p [(String, String)], name: &str) -> &'p str {
    &pairs.iter().find(|(known, _)| known == name).unwrap().1
}

#[tokio::test]
async fn a_browser_goes_back_with_a_code_that_gets_one_token_which_names_the_key() {
    let issuer = issuer();
    let (status, page) = send(&issuer, Request::get(request(&[])).header("host", "127.0.0.1:4711"), "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(WARNING) && page.contains("Rey Reviewer") && page.contains("method=post action=\"/authorize?response_type=code"));
    let (back, pairs) = sent_back(&issuer, &request(&[]), Some("person=rey&decision=allow")).await.unwrap();
    assert_eq!(back, "http://127.0.0.1:50123/callback");
    assert_eq!((of(&pairs, "state"), of(&pairs, "iss")), ("s<>", "http://127.0.0.1:4711"));
    let code = of(&pairs, "code").to_owned();
    let redeem = |verifier: &str| {
        format!("grant_type=authorization_code&client_id=chunkctl&redirect_uri={BACK}&code={code}&code_verifier={verifier}")
    };
    let tokens = json_of(&issuer, "/token", &redeem(VERIFIER)).await;
    let claims = verified(&issuer, &tokens).await;
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("rey"), &json!("thumb")));
    assert_eq!(
        json_of(&issuer, "/token", &redeem(VERIFIER)).await["error"],
        "invalid_grant",
        "one token only"
    );
    // Without its verifier a code is worth nothing, and is used up.
    let (_, pairs) = sent_back(&issuer, &request(&[]), Some("person=rey&decision=allow")).await.unwrap();
    let code = of(&pairs, "code").to_owned();
    let redeem = |verifier: &str| {
        format!("grant_type=authorization_code&client_id=chunkctl&redirect_uri={BACK}&code={code}&code_verifier={verifier}")
    };
    for verifier in ["another", VERIFIER] {
        assert_eq!(json_of(&issuer, "/token", &redeem(verifier)).await["error"], "invalid_grant");
    }
    let missing = "grant_type=authorization_code&client_id=chunkctl";
    assert_eq!(json_of(&issuer, "/token", missing).await["error"], "invalid_request");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_to_the_program_that_made_it() {
    let issuer = issuer();
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("nonce", "a&nonce=b"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "a&code_challenge=b"), "invalid_request"),
    ] {
        for body in [None, Some("person=rey&decision=allow")] {
            let (back, pairs) = sent_back(&issuer, &request(&[change]), body).await.unwrap();
            assert_eq!(
                (back.as_str(), of(&pairs, "error")),
                ("http://127.0.0.1:50123/callback", error),
                "{change:?}"
            );
            assert!(pairs.iter().all(|(name, _)| name != "code"));
        }
    }
    for body in ["decision=deny", "person=root&decision=allow", "decision=allow", ""] {
        let (_, pairs) = sent_back(&issuer, &request(&[]), Some(body)).await.unwrap();
        assert_eq!(of(&pairs, "error"), "access_denied", "{body}");
    }
}

#[tokio::test]
async fn nobody_is_sent_anywhere_but_to_a_listener_of_this_machine() {
    let issuer = issuer();
    for change in [
        ("client_id", "other"),
        ("client_id", "chunkctl&client_id=other"),
        ("redirect_uri", "http%3A%2F%2Fevil.test%2Fcallback"),
        ("redirect_uri", "http%3A%2F%2F127.0.0.1.evil.test%3A5%2Fcallback"),
        ("redirect_uri", "https%3A%2F%2F127.0.0.1%3A50123%2Fcallback"),
        ("redirect_uri", "http%3A%2F%2F127.0.0.1%3A50123%2Fother"),
        ("redirect_uri", "http%3A%2F%2F127.0.0.1%3A50123%2Fcallback%3Fa%3D1"),
    ] {
        for body in [None, Some("person=rey&decision=allow")] {
            assert_eq!(sent_back(&issuer, &request(&[change]), body).await, None, "{change:?}");
        }
    }
    let foreign = Request::post(request(&[]))
        .header("host", "127.0.0.1:4711")
        .header("origin", "http://evil.test");
    assert_eq!(send(&issuer, foreign, "person=rey&decision=allow").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_device_flow_ends_with_an_id_token_that_the_published_key_verifies() {
    let issuer = issuer();
    let device = json_of(&issuer, "/device_authorization", "client_id=chunkctl&scope=openid+groups").await;
    let (device_code, user_code) = (device["device_code"].as_str().unwrap(), device["user_code"].as_str().unwrap());
    assert_eq!(device["interval"], INTERVAL_S);
    assert_eq!(
        json_of(&issuer, "/token", &token_form(device_code)).await["error"],
        "authorization_pending"
    );

    let (status, page) = form(&issuer, "/device", &format!("user_code={user_code}&person=rey&decision=allow")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(WARNING) && page.contains("Rey Reviewer"));

    let tokens = json_of(&issuer, "/token", &token_form(device_code)).await;
    let claims = verified(&issuer, &tokens).await;
    assert_eq!(claims.get("nonce"), None);
    assert_eq!(claims["sub"], "rey");
    assert_eq!(claims["groups"], json!(["data-owners"]));
    assert_eq!(claims["amr"], json!(["insecure_development"]));
    assert_eq!(
        json_of(&issuer, "/token", &token_form(device_code)).await["error"],
        "invalid_grant",
        "one answer only"
    );
}

#[tokio::test]
async fn a_denied_sign_in_is_told_to_the_device() {
    let issuer = issuer();
    let device = json_of(&issuer, "/device_authorization", "client_id=chunkctl&scope=openid").await;
    form(
        &issuer,
        "/device",
        &format!("user_code={}&decision=deny", device["user_code"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        json_of(&issuer, "/token", &token_form(device["device_code"].as_str().unwrap())).await["error"],
        "access_denied"
    );
}

#[tokio::test]
async fn other_clients_grants_and_people_are_refused() {
    let issuer = issuer();
    assert_eq!(
        json_of(&issuer, "/device_authorization", "client_id=other&scope=openid").await["error"],
        "invalid_client"
    );
    assert_eq!(
        json_of(&issuer, "/device_authorization", "client_id=chunkctl&scope=email").await["error"],
        "invalid_scope"
    );
    assert_eq!(
        json_of(&issuer, "/token", "grant_type=password&username=dana").await["error"],
        "unsupported_grant_type"
    );
    let device = json_of(&issuer, "/device_authorization", "client_id=chunkctl&scope=openid").await;
    let code = device["user_code"].as_str().unwrap();
    assert_eq!(
        form(&issuer, "/device", &format!("user_code={code}&person=root&decision=allow"))
            .await
            .0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        form(
            &issuer,
            "/device",
            &format!("user_code={code}&user_code={code}&person=dana&decision=allow")
        )
        .await
        .0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_web_page_from_elsewhere_gets_nothing() {
    let issuer = issuer();
    let foreign_host = send(&issuer, Request::get("/device").header("host", "evil.test:4711"), "").await;
    assert_eq!(foreign_host.0, StatusCode::FORBIDDEN);
    let foreign_origin = Request::post("/device")
        .header("host", "127.0.0.1:4711")
        .header("origin", "http://evil.test");
    assert_eq!(send(&issuer, foreign_origin, "user_code=BCDF-GHJK").await.0, StatusCode::FORBIDDEN);
    let own = Request::get("/device")
        .header("host", "127.0.0.1:4711")
        .header("origin", "http://127.0.0.1:4711");
    assert_eq!(send(&issuer, own, "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn it_binds_loopback_addresses_only() {
    let clock: Arc<dyn Clock> = Arc::new(Tick(AtomicI64::new(0)));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = DevIssuer::bind(&StartedByDev::for_tests(), address.parse().unwrap(), Arc::clone(&clock)).await;
        assert!(matches!(refused, Err(IssuerError::NotLoopback(_))), "{address}");
    }
    let bound = DevIssuer::bind(&StartedByDev::for_tests(), "127.0.0.1:0".parse().unwrap(), clock)
        .await
        .unwrap();
    assert!(bound.url().starts_with("http://127.0.0.1:") && !bound.url().ends_with(":0"));
}
