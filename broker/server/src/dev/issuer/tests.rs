//! The issuer from outside: a whole device flow, and what it refuses.

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
    let (_, keys) = send(&issuer, Request::get("/jwks").header("host", "localhost:4711"), "").await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["chunkctl"]);
    validation.set_issuer(&["http://127.0.0.1:4711"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(&keys.keys[0]).unwrap();
    let claims = jsonwebtoken::decode::<Value>(tokens["id_token"].as_str().unwrap(), &key, &validation)
        .unwrap()
        .claims;
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
