#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::routing::get;
use chunk_wire::problem::{Code, Problem};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::limits::Limits;
use super::router::{self, Auth};
use super::{Gateway, openapi};
use crate::config::Env;
use crate::serve::tests::{installation, ports};

struct Fixture {
    gateway: Arc<Gateway>,
    _home: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    crate::serve::install_crypto();
    let home = tempfile::tempdir().unwrap();
    let config = installation(&home.path().join("b"), false);
    let url = config.broker.public_url.clone();
    let broker = crate::serve::start(config, &ports(), Env::of(&[])).await.unwrap();
    Fixture {
        gateway: Gateway::new(broker, url, false, CancellationToken::new(), None, &Limits::default()),
        _home: home,
    }
}

impl Fixture {
    async fn send(&self, request: Request<Body>) -> Response {
        self.send_from([192, 0, 2, 7], router::api(Arc::clone(&self.gateway)), request)
            .await
    }

    async fn send_from(&self, peer: [u8; 4], router: Router, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((peer, 1234))));
        router.oneshot(request).await.unwrap()
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn problem(response: Response) -> Problem {
    assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
    problem_of(response).await
}

/// The problem, in whichever form the route answers with errors.
async fn problem_of(response: Response) -> Problem {
    let id = response.headers().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let problem: Problem = serde_json::from_slice(&axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!((problem.request_id.as_deref(), problem.status), (Some(id.as_str()), status));
    problem
}

/// A path of the template with something in every hole.
fn example(template: &str) -> String {
    template
        .replace("{*index}", "000")
        .replace("{level}", "0")
        .replace("{index}", "0")
        .replace("{n}", "0")
        .replace("{id}", "req_0000000000000000")
        .replace("{sid}", "ses_0000000000000000")
        .replace("{name}", "customers")
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn an_anonymous_caller_gets_nothing_but_what_is_public() {
    let fixture = fixture().await;
    for route in router::routes() {
        let path = example(route.path);
        let response = fixture.send(request(route.method.clone(), &path, &[JSON], "{}")).await;
        let what = format!("{} {path}", route.method);
        match route.auth {
            Auth::Public => assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{what}"),
            Auth::Proof => assert_eq!(problem_of(response).await.code, "invalid_dpop_proof", "{what}"),
            Auth::Session => assert_eq!(problem(response).await.code, "unauthenticated", "{what}"),
            Auth::Directory => {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
                assert_eq!(response.headers().get("www-authenticate").unwrap(), "Bearer", "{what}");
                assert_eq!(response.headers().get("content-type").unwrap(), "application/scim+json", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_of_a_link_says_what_to_type_of_any_request_and_decides_nothing() {
    let fixture = fixture().await;
    let path = "/requests/req_0000000000000001";
    let response = fixture.send(request(Method::GET, path, &[], "")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().get("content-type").unwrap(), "text/html; charset=utf-8");
    assert!(
        response
            .headers()
            .get("content-security-policy")
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let page = String::from_utf8(body.to_vec()).unwrap();
    assert!(page.contains("chunkctl request show req_0000000000000001") && page.contains("Nothing is decided on this page"));
    for word in ["<form", "<script", "<button", "<a ", "<input"] {
        assert!(!page.contains(word), "{word}");
    }
    for id in ["req_1", "%3Cscript%3E", "req_0000000000000001%3Cb%3E"] {
        let response = fixture.send(request(Method::GET, &format!("/requests/{id}"), &[], "")).await;
        assert_eq!(problem(response).await.code, "not_found", "{id}");
    }
}

#[tokio::test]
async fn a_credential_of_another_kind_opens_no_route() {
    let fixture = fixture().await;
    for route in router::routes().into_iter().filter(|route| route.auth == Auth::Session) {
        let path = example(route.path);
        for (headers, code) in [
            (&[JSON, ("authorization", "Bearer a.b.c"), ("dpop", "a.b.c")][..], "unauthenticated"),
            (&[JSON, ("authorization", "DPoP a.b.c")][..], "invalid_dpop_proof"),
            (&[JSON, ("dpop", "a.b.c")][..], "unauthenticated"),
            (
                &[JSON, ("authorization", "DPoP a.b.c"), ("dpop", "a.b.c")][..],
                "invalid_dpop_proof",
            ),
            (
                &[
                    JSON,
                    ("authorization", "DPoP a.b.c"),
                    ("authorization", "DPoP a.b.c"),
                    ("dpop", "a.b.c"),
                ][..],
                "unauthenticated",
            ),
            (
                &[JSON, ("authorization", "DPoP a.b.c"), ("dpop", "a.b.c"), ("dpop", "a.b.c")][..],
                "invalid_dpop_proof",
            ),
        ] {
            // Plans read their body before core looks at the proof, so theirs must be one.
            let body = if path == "/v1/plans" {
                r#"{"query":{"kind":"sql","text":"select 1"},"format":"csv"}"#
            } else {
                "{}"
            };
            let response = fixture.send(request(route.method.clone(), &path, headers, body)).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} {path}", route.method);
            assert!(
                response
                    .headers()
                    .get("www-authenticate")
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("DPoP")
            );
            let found = problem(response).await.code;
            assert_eq!(found, code, "{} {path} {headers:?}", route.method);
        }
    }
}

#[tokio::test]
async fn a_directory_s_routes_open_for_no_other_credential() {
    let fixture = fixture().await;
    for route in router::routes().into_iter().filter(|route| route.auth == Auth::Directory) {
        let path = example(route.path);
        for headers in [
            &[JSON, ("authorization", "DPoP a.b.c"), ("dpop", "a.b.c")][..],
            &[JSON, ("authorization", "Bearer a.b.c")],
            &[JSON, ("authorization", "Bearer ")],
            &[JSON, ("authorization", "Basic eDp5")],
            &[JSON, ("authorization", "Bearer a"), ("authorization", "Bearer a")],
        ] {
            let response = fixture.send(request(route.method.clone(), &path, headers, "{}")).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{} {path} {headers:?}", route.method);
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let fault: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(fault.get("status").unwrap(), "401", "SCIM writes a status as text");
        }
    }
}

#[tokio::test]
async fn a_proof_without_a_nonce_is_told_the_nonce() {
    use chunk_wire::dpop::{ProofClaims, access_token_hash, sign};
    let fixture = fixture().await;
    let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let htu = format!("{}/v1/whoami", fixture.gateway.base());
    let iat = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let proof = |nonce: Option<String>, jti: &str| {
        sign(
            &key,
            &ProofClaims {
                jti: jti.into(),
                htm: "GET".into(),
                htu: htu.clone(),
                iat,
                ath: Some(access_token_hash("a.b.c")),
                nonce,
            },
        )
    };
    let send = async |proof: String| {
        fixture
            .send(request(
                Method::GET,
                "/v1/whoami?x=1",
                &[("authorization", "DPoP a.b.c"), ("dpop", &proof)],
                "",
            ))
            .await
    };
    let first = send(proof(None, "jti-0000000000000001")).await;
    assert_eq!(
        first.headers().get("www-authenticate").unwrap(),
        "DPoP error=\"use_dpop_nonce\", algs=\"EdDSA\""
    );
    let nonce = first.headers().get("dpop-nonce").unwrap().to_str().unwrap().to_owned();
    assert_eq!(problem(first).await.code, "use_dpop_nonce");
    // With it, the proof is good; the token is not.
    assert_eq!(
        problem(send(proof(Some(nonce), "jti-0000000000000002")).await).await.code,
        "unauthenticated"
    );
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let fixture = fixture().await;
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str| {
        problem(fixture.send(request(method, path, headers, body)).await).await
    };
    let found = send(Method::GET, "/nowhere", &[], "").await;
    assert_eq!((found.status, found.code.as_str()), (404, "not_found"));
    let found = send(Method::PUT, "/v1/info", &[], "").await;
    assert_eq!((found.status, found.code.as_str()), (405, "invalid_request"));
    let found = send(Method::POST, "/v1/sessions", &[("dpop", "a.b.c")], "{}").await;
    assert_eq!((found.status, found.code.as_str()), (415, "invalid_request"));
    let found = send(Method::POST, "/v1/sessions", &[("dpop", "a.b.c"), JSON], "{").await;
    assert_eq!((found.status, found.code.as_str()), (400, "invalid_request"));
    let found = send(
        Method::POST,
        "/v1/sessions",
        &[("dpop", "a.b.c"), JSON],
        &" ".repeat(1024 * 1024 + 1),
    )
    .await;
    assert_eq!((found.status, found.code.as_str()), (413, "limit_reached"));
    let found = send(
        Method::POST,
        "/v1/sessions",
        &[("dpop", "a.b.c"), JSON, ("content-length", "999999999")],
        "",
    )
    .await;
    assert_eq!((found.status, found.code.as_str()), (413, "limit_reached"));
    let found = send(
        Method::POST,
        "/v1/sessions",
        &[("authorization", "DPoP a"), ("dpop", "a.b.c"), JSON],
        "{}",
    )
    .await;
    assert_eq!((found.status, found.code.as_str()), (400, "invalid_request"));
    let found = send(Method::GET, "/consistency?from=2&to=1", &[], "").await;
    assert_eq!((found.status, found.code.as_str()), (400, "invalid_request"));
    let found = send(Method::GET, "/consistency?from=x", &[], "").await;
    assert_eq!((found.status, found.code.as_str()), (400, "invalid_request"));
    let found = send(Method::GET, "/tile/0/999", &[], "").await;
    assert_eq!((found.status, found.code.as_str()), (404, "not_found"));
}

#[tokio::test]
async fn a_panic_is_one_failed_request() {
    async fn boom() -> StatusCode {
        let empty: Vec<StatusCode> = Vec::new();
        empty.into_iter().next().unwrap()
    }
    let fixture = fixture().await;
    let router = router::dress(Router::new().route("/boom", get(boom)), Arc::clone(&fixture.gateway));
    let response = fixture
        .send_from([127, 0, 0, 1], router, request(Method::GET, "/boom", &[], ""))
        .await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(problem(response).await.code, "internal");
}

#[tokio::test]
async fn every_answer_carries_the_standard_headers_and_an_id_of_our_own() {
    let fixture = fixture().await;
    let mut ids = BTreeSet::new();
    for path in ["/v1/info", "/nowhere", "/v1/whoami", "/healthz", "/checkpoint"] {
        let response = fixture
            .send(request(Method::GET, path, &[("x-request-id", "chosen-by-client")], ""))
            .await;
        let headers: HeaderMap = response.headers().clone();
        let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!(text("cache-control"), "no-store", "{path}");
        assert_eq!(text("x-content-type-options"), "nosniff", "{path}");
        assert!(text("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(!text("dpop-nonce").is_empty(), "{path}");
        assert_eq!(text("x-request-id").len(), 24, "{path}");
        ids.insert(text("x-request-id"));
    }
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn metrics_are_for_loopback_or_their_own_listener() {
    let fixture = fixture().await;
    let ask = async |peer: [u8; 4], router: Router| {
        let response = fixture.send_from(peer, router, request(Method::GET, "/metrics", &[], "")).await;
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8(axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap(),
        )
    };
    assert_eq!(ask([192, 0, 2, 7], router::api(Arc::clone(&fixture.gateway))).await.0, 404);
    let (status, text) = ask([127, 0, 0, 1], router::api(Arc::clone(&fixture.gateway))).await;
    assert_eq!(status, 200);
    for line in [
        "chunk_broker_ready 1",
        "chunk_broker_log_writable 1",
        "chunk_broker_sessions_open 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert!(text.contains("route=\"/metrics\",status=\"404\""), "{text}");
    assert_eq!(ask([192, 0, 2, 7], router::operations(Arc::clone(&fixture.gateway))).await.0, 200);
    let apart = Gateway::new(
        Arc::clone(&fixture.gateway.broker),
        fixture.gateway.public_url.clone(),
        true,
        CancellationToken::new(),
        Some(Arc::default()),
        &Limits::default(),
    );
    let (_, text) = ask([127, 0, 0, 1], router::operations(Arc::clone(&apart))).await;
    let entries = text
        .lines()
        .find_map(|line| line.strip_prefix("chunk_broker_log_entries "))
        .unwrap();
    for line in [
        format!("chunk_broker_mirror_lacking_entries {entries}"),
        "chunk_broker_mirror_contradicts 0".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert_eq!(ask([127, 0, 0, 1], router::api(apart)).await.0, 404);
}

/// Every route in the API description as method, path and what it asks for.
fn described() -> BTreeSet<String> {
    let document: serde_json::Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in document.get("paths").unwrap().as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation.get("security").unwrap().as_array().unwrap();
            let needs: BTreeSet<&str> = security
                .iter()
                .flat_map(|s| s.as_object().unwrap().keys())
                .map(String::as_str)
                .collect();
            found.insert(format!(
                "{} {path} {}",
                method.to_uppercase(),
                needs.into_iter().collect::<Vec<_>>().join("+")
            ));
        }
    }
    found
}

#[test]
fn every_route_is_described_with_what_it_asks_for_and_nothing_else_is() {
    let routes: BTreeSet<String> = router::routes()
        .into_iter()
        .map(|route| {
            let needs = match route.auth {
                Auth::Public => "",
                Auth::Proof => "proof",
                Auth::Session => "access_token+proof",
                Auth::Directory => "directory_token",
            };
            format!("{} {} {needs}", route.method, route.path.replace("{*", "{"))
        })
        .collect();
    assert_eq!(routes, described());
}

#[test]
fn operations_have_names_of_their_own_and_queries_are_queries() {
    let document: serde_json::Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document.get("paths").unwrap().as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let name = operation.get("operationId").unwrap().as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            for parameter in operation.get("parameters").and_then(|p| p.as_array()).into_iter().flatten() {
                let named = parameter.get("name").unwrap().as_str().unwrap();
                let place = if path.contains(&format!("{{{named}}}")) { "path" } else { "query" };
                assert_eq!(parameter.get("in").unwrap(), place, "{path} {named}");
            }
        }
    }
}

#[test]
fn the_description_in_the_documentation_is_current() {
    let written = include_str!("../../../../docs/openapi.json");
    assert!(
        written == openapi::document(),
        "docs/openapi.json is stale; run `chunk-broker openapi > docs/openapi.json`"
    );
}

#[test]
fn every_route_is_in_the_documentation() {
    let page = include_str!("../../../../docs/api.md");
    for route in router::routes() {
        let line = format!("| `{} {}` |", route.method, route.path.replace("{*", "{"));
        assert!(page.contains(&line), "docs/api.md lacks {line}");
    }
}

#[test]
fn every_error_code_is_in_the_documentation() {
    let page = include_str!("../../../../docs/api.md");
    for code in Code::ALL {
        let line = format!("| `{}` | {} | {} |", code.as_str(), code.status(), code.exit());
        assert!(page.contains(&line), "docs/api.md lacks {line}");
    }
}

#[tokio::test]
async fn too_many_sign_ins_are_refused_before_the_body_is_read() {
    let fixture = fixture().await;
    let sign_in = || {
        let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>());
        let mut request = request(Method::POST, "/v1/sessions", &[("dpop", "a.b.c"), JSON], "");
        *request.body_mut() = body;
        request
    };
    let ip = std::net::IpAddr::from([192, 0, 2, 7]);
    while fixture.gateway.sign_ins.take(ip, std::time::Instant::now()) {}
    // The body never comes; an answer that waited for it would not either.
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), fixture.send(sign_in())).await;
    assert_eq!(problem(answer.unwrap()).await.code, "rate_limited");
    // Another address is not held back: it is asked for its body.
    let other = fixture.send_from([192, 0, 2, 8], router::api(Arc::clone(&fixture.gateway)), sign_in());
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), other).await.is_err());
}
