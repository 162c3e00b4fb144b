//! The edge of the router: what every request goes through and every answer carries.
//!
//! Ids of requests are made here; one sent by the client is ignored, because an id that a client may choose is a line in the
//! operator's log that a client may write. A panic in a handler is one failed request, not a dead broker.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chunk_core::context::Context;
use chunk_wire::problem::Code;
use futures::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::Instrument as _;

use super::Gateway;
use super::device::{CONFIRM_PATH, DEVICE_PATH, DEVICE_TOKEN_PATH};
use super::problem::Refusal;
use super::saml::ACS_PATH;
use super::scim::SCIM_PATH;
use super::token::TOKEN_PATH;
use super::turn::Turn;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Errors there have OAuth's form.
const OAUTH_PATHS: [&str; 3] = [TOKEN_PATH, DEVICE_PATH, DEVICE_TOKEN_PATH];
/// Errors there are pages: people look at them in browsers.
const PAGE_PATHS: [&str; 2] = [CONFIRM_PATH, ACS_PATH];

pub(super) async fn edge(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id();
    let ip = peer(&request);
    let method = known_method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", %request_id);
    request.extensions_mut().insert(Context {
        request_id: request_id.clone(),
        ip,
    });

    let response = match Turn::take(&gateway.running) {
        Ok(turn) => {
            request.extensions_mut().insert(turn.clone());
            let response = run(request, next).instrument(span.clone()).await;
            turn.give_back();
            response
        }
        Err(refusal) => Err(refusal),
    };
    let (mut response, refusal) = match response {
        Ok(response) => (response, None),
        Err(refusal) if route.starts_with(SCIM_PATH) => (refusal.clone().render_scim(&request_id), Some(refusal)),
        Err(refusal) if OAUTH_PATHS.contains(&route.as_str()) => (refusal.clone().render_oauth(&request_id), Some(refusal)),
        Err(refusal) if PAGE_PATHS.contains(&route.as_str()) => (refusal.clone().render_page(&request_id), Some(refusal)),
        Err(refusal) => (refusal.clone().render(&request_id), Some(refusal)),
    };
    standard_headers(response.headers_mut(), &gateway, &request_id);

    let took = started.elapsed();
    let status = response.status().as_u16();
    gateway.counters.answered(method, &route, status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let code = refusal.as_ref().map(Refusal::code);
    let operator = refusal.as_ref().and_then(Refusal::operator);
    let _in_span = span.enter();
    if status >= 500 {
        tracing::error!(method, route, status, duration_ms, peer = %ip, code, error = operator, "answered");
    } else {
        tracing::info!(method, route, status, duration_ms, peer = %ip, code, error = operator, "answered");
    }
    response
}

/// The handler's answer, or what to say instead of it.
async fn run(request: Request, next: Next) -> Result<Response, Refusal> {
    let mut response = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .map_err(|_| Refusal::new(Code::Internal, "The broker failed while answering; the operator's log says where."))?;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return Err(refusal);
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        return Err(by_status(status));
    }
    Ok(response)
}

/// A problem for an error status that came without one.
fn by_status(status: StatusCode) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Refusal::new(Code::NotFound, "There is no such route.").hint("see /openapi.json"),
        StatusCode::METHOD_NOT_ALLOWED => Refusal::new(Code::InvalidRequest, "This route does not know this method.")
            .status(status)
            .hint("see /openapi.json"),
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(Code::LimitReached, "The body is too large."),
        status if status.is_client_error() => Refusal::new(Code::InvalidRequest, "The request is malformed.").status(status),
        status => Refusal::new(Code::Internal, "The broker failed while answering.").status(status),
    }
}

fn standard_headers(headers: &mut HeaderMap, gateway: &Gateway, request_id: &str) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if gateway.public_url.scheme() == "https" {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let mut put = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    put(X_REQUEST_ID, request_id);
    put(DPOP_NONCE, &gateway.broker.nonce());
}

/// 96 random bits. Without randomness the id says so; nothing depends on it but the reading of logs.
fn request_id() -> String {
    let mut bits = [0_u8; 12];
    match SystemRandom::new().fill(&mut bits) {
        Ok(()) => hex::encode(bits),
        Err(_) => "unknown".to_owned(),
    }
}

/// The peer's address; the unspecified one where the server did not tell it, which no policy permits anything from.
fn peer(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical())
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
