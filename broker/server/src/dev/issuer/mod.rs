//! The built-in development issuer: a real OpenID provider, with codes and with the browser, that authenticates nobody.
//!
//! It exists so that the first fetch needs no identity provider, and the broker treats it as any other: discovery, published
//! keys, signed ID tokens. Three things keep it out of production: it binds loopback addresses only, it can be made only with
//! the proof that the `dev` command runs ([`StartedByDev`]), and it says what it is on every page and in every line it logs.

mod authorize;
mod codes;
mod grants;
mod key;
mod page;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_core::clock::Clock;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::codes::Codes;
use self::grants::{GRANT_S, Grants, INTERVAL_S, NotYet};
use self::key::{IdClaims, SigningKey};
use super::StartedByDev;
use super::people::{DevPerson, PEOPLE, person};

pub(super) use self::page::WARNING;

/// The only client it knows; public, so it has no secret.
pub(super) const CLIENT_ID: &str = "chunkctl";
/// ID tokens live this long; the broker takes them at most five minutes after their issue anyway.
const ID_TOKEN_S: i64 = 5 * 60;
/// Authentication method of every ID token: none. Not a value of RFC 8176, so that no policy mistakes it for one.
const AMR: &str = "insecure_development";
const FORM_BYTES_MAX: usize = 8 * 1024;
const CODE_GRANT: &str = "authorization_code";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An issuer that listens but does not answer yet.
pub(super) struct DevIssuer {
    listener: TcpListener,
    provider: Arc<Provider>,
}

struct Provider {
    issuer: String,
    hosts: [String; 2],
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    key: SigningKey,
    grants: Mutex<Grants>,
    codes: Mutex<Codes>,
}

/// Why the issuer does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerError {
    #[error("the development issuer serves loopback addresses only, never {0}")]
    NotLoopback(SocketAddr),
    #[error("listen at {address} for the development issuer")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("make the development issuer's key")]
    Key(#[from] key::KeyFailed),
    #[error("serve the development issuer")]
    Serve(#[source] std::io::Error),
}

impl DevIssuer {
    /// Listens at `address`, which must be a loopback address.
    pub(super) async fn bind(_: &StartedByDev, address: SocketAddr, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        if !address.ip().is_loopback() {
            return Err(IssuerError::NotLoopback(address));
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| IssuerError::Bind { address, source })?;
        let bound = listener.local_addr().map_err(|source| IssuerError::Bind { address, source })?;
        let provider = Arc::new(Provider::new(bound, clock)?);
        tracing::warn!(issuer = %provider.issuer, warning = WARNING, "development issuer listens");
        Ok(Self { listener, provider })
    }

    /// Its issuer identifier.
    pub(super) fn url(&self) -> &str {
        &self.provider.issuer
    }

    /// Answers until `stop` is ready.
    pub(super) async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), IssuerError> {
        axum::serve(self.listener, router(self.provider))
            .with_graceful_shutdown(stop)
            .await
            .map_err(IssuerError::Serve)
    }
}

impl Provider {
    fn new(bound: SocketAddr, clock: Arc<dyn Clock>) -> Result<Self, key::KeyFailed> {
        let authority = match bound {
            SocketAddr::V4(v4) if *v4.ip() == Ipv4Addr::LOCALHOST => format!("127.0.0.1:{}", bound.port()),
            other => other.to_string(),
        };
        Ok(Self {
            issuer: format!("http://{authority}"),
            hosts: [authority, format!("localhost:{}", bound.port())],
            clock,
            random: SystemRandom::new(),
            key: SigningKey::generate()?,
            grants: Mutex::default(),
            codes: Mutex::default(),
        })
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secret(&self) -> Option<String> {
        let mut bytes = [0_u8; 32];
        self.random.fill(&mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn user_code(&self) -> Option<String> {
        let mut bytes = [0_u8; 64];
        self.random.fill(&mut bytes).ok()?;
        grants::user_code(&bytes)
    }
}

fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/device_authorization", post(device_authorization))
        .route("/token", post(token))
        .route("/device", get(ask).post(decide))
        .route("/authorize", get(authorize::ask).post(authorize::decide))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&provider), guard))
        .with_state(provider)
}

/// Refuses a foreign `Host` (a web page that points its own name here) and a foreign `Origin` (a web page that submits the
/// form for the person who has it open), and forbids caching, framing and scripts.
async fn guard(State(provider): State<Arc<Provider>>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri().authority().map(|a| a.as_str()));
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or("null"));
    let own_host = host.is_some_and(|host| provider.hosts.iter().any(|own| own == host));
    let own_origin = origin.is_none_or(|origin| {
        origin
            .strip_prefix("http://")
            .is_some_and(|host| provider.hosts.iter().any(|own| own == host))
    });
    let mut response = if own_host && own_origin {
        next.run(request).await
    } else {
        (
            StatusCode::FORBIDDEN,
            "This issuer answers programs and pages of this machine only.\n",
        )
            .into_response()
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// OpenID Connect Discovery 1.0, RFC 8414, RFC 8628 §4, RFC 9207.
async fn discovery(State(provider): State<Arc<Provider>>) -> axum::Json<Value> {
    let issuer = &provider.issuer;
    axum::Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "device_authorization_endpoint": format!("{issuer}/device_authorization"),
        "token_endpoint": format!("{issuer}/token"),
        "token_endpoint_auth_methods_supported": ["none"],
        "grant_types_supported": [CODE_GRANT, DEVICE_CODE_GRANT],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "claims_supported": ["iss", "aud", "sub", "name", "email", "email_verified", "groups", "iat", "exp", "auth_time", "amr", "nonce"],
        "insecure_development": true,
    }))
}

async fn jwks(State(provider): State<Arc<Provider>>) -> axum::Json<Value> {
    axum::Json(provider.key.jwks())
}

/// RFC 8628 §3.1: a device asks for a code.
async fn device_authorization(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    let Some(client_id) = field(&body, "client_id").filter(|id| id == CLIENT_ID) else {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "the only client is `chunkctl`");
    };
    if !field(&body, "scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_scope", "the scope must contain `openid`");
    }
    let (Some(device_code), Some(user_code)) = (provider.secret(), provider.user_code()) else {
        return oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no random numbers");
    };
    if let Err(too_many) = provider
        .grants()
        .open(device_code.clone(), user_code.clone(), client_id, provider.clock.now_ms())
    {
        return oauth_error(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", &too_many.to_string());
    }
    let issuer = &provider.issuer;
    axum::Json(json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{issuer}/device"),
        "verification_uri_complete": format!("{issuer}/device?user_code={user_code}"),
        "expires_in": GRANT_S,
        "interval": INTERVAL_S,
    }))
    .into_response()
}

/// The token endpoint: RFC 8628 §3.4, where the device polls, and RFC 6749 §4.1.3.
async fn token(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    match field(&body, "grant_type").as_deref() {
        Some(DEVICE_CODE_GRANT) => poll(&provider, &body),
        Some(CODE_GRANT) => redeem(&provider, &body),
        _ => oauth_error(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "only device codes and authorization codes are taken",
        ),
    }
}

fn poll(provider: &Provider, body: &[u8]) -> Response {
    let (Some(device_code), Some(client_id)) = (field(body, "device_code"), field(body, "client_id")) else {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "`device_code` and `client_id` are needed",
        );
    };
    let polled = provider.grants().poll(&device_code, &client_id, provider.clock.now_ms());
    match polled {
        Ok(allowed) => issue(provider, allowed.person, &allowed.client_id, allowed.at_ms, None),
        Err(not_yet) => oauth_error(StatusCode::BAD_REQUEST, &not_yet.to_string(), described(not_yet)),
    }
}

fn redeem(provider: &Provider, body: &[u8]) -> Response {
    let wanted = ["code", "client_id", "redirect_uri", "code_verifier"].map(|name| field(body, name));
    let [Some(code), Some(client_id), Some(redirect_uri), Some(verifier)] = wanted else {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "`code`, `client_id`, `redirect_uri` and `code_verifier` are needed",
        );
    };
    let now_ms = provider.clock.now_ms();
    let picked = provider.codes().take(&code, &client_id, &redirect_uri, &verifier, now_ms);
    match picked {
        Some(picked) => issue(provider, picked.person, &client_id, picked.at_ms, Some(&picked.asked.nonce)),
        None => oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "the code is not known, was used, has expired, or was for another request",
        ),
    }
}

fn issue(provider: &Provider, person: &DevPerson, client_id: &str, at_ms: i64, nonce: Option<&str>) -> Response {
    let iat = provider.clock.now_ms().div_euclid(1000);
    let claims = IdClaims {
        iss: &provider.issuer,
        aud: client_id,
        sub: person.subject,
        name: person.name,
        email: person.email,
        email_verified: true,
        groups: person.groups,
        iat,
        exp: iat.saturating_add(ID_TOKEN_S),
        auth_time: at_ms.div_euclid(1000),
        amr: [AMR],
        nonce,
    };
    match (provider.key.sign(&claims), provider.secret()) {
        (Ok(id_token), Some(access_token)) => axum::Json(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ID_TOKEN_S,
            "scope": "openid profile email groups",
            "id_token": id_token,
        }))
        .into_response(),
        _ => oauth_error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the ID token could not be signed",
        ),
    }
}

async fn ask(State(provider): State<Arc<Provider>>, Query(query): Query<Vec<(String, String)>>) -> Response {
    tracing::warn!(warning = WARNING, "development sign-in page shown");
    let Some(typed) = query.into_iter().find_map(|(name, value)| (name == "user_code").then_some(value)) else {
        return Html(page::ask(None, None, None)).into_response();
    };
    let code = grants::normalised(&typed);
    let client = code
        .as_deref()
        .and_then(|code| provider.grants().waiting(code, provider.clock.now_ms()).map(str::to_owned));
    match client {
        Some(client) => Html(page::ask(code.as_deref(), Some(&client), None)).into_response(),
        None => refused(None),
    }
}

async fn decide(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let code = field(&body, "user_code").as_deref().and_then(grants::normalised);
    let (Some(code), true) = (code, form) else { return refused(None) };
    let picked = match field(&body, "decision").as_deref() {
        Some("deny") => None,
        Some("allow") => match field(&body, "person").as_deref().and_then(person) {
            Some(person) => Some(person),
            None => return refused(Some("Pick one of the people.")),
        },
        _ => return refused(Some("Choose whether to sign in or to deny.")),
    };
    if !provider.grants().decide(&code, picked, provider.clock.now_ms()) {
        return refused(None);
    }
    match picked {
        Some(person) => {
            tracing::warn!(
                subject = person.subject,
                warning = WARNING,
                "development sign-in, nothing was checked"
            );
            Html(page::done(
                "Done",
                &format!("Signed in as {}. Your device goes on by itself.", person.name),
            ))
            .into_response()
        }
        None => {
            tracing::warn!(warning = WARNING, "development sign-in denied");
            Html(page::done("Done", "Denied. Your device is told so.")).into_response()
        }
    }
}

fn refused(fault: Option<&str>) -> Response {
    let fault = fault.unwrap_or("No sign-in waits under this code. Codes end after ten minutes and work once.");
    (StatusCode::BAD_REQUEST, Html(page::ask(None, None, Some(fault)))).into_response()
}

fn described(not_yet: NotYet) -> &'static str {
    match not_yet {
        NotYet::Pending => "nobody has answered on the page yet",
        NotYet::SlowDown => "poll five seconds slower from now on",
        NotYet::Denied => "the sign-in was denied on the page",
        NotYet::Expired => "the code has expired; start again",
        NotYet::Unknown => "no sign-in waits under this device code",
    }
}

fn oauth_error(status: StatusCode, code: &str, description: &str) -> Response {
    (status, axum::Json(json!({ "error": code, "error_description": description }))).into_response()
}

/// A field of a form body. One that is sent twice is as good as absent (RFC 6749 §3.2).
fn field(body: &[u8], name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(body)
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Who can sign in, for the banner.
pub(super) fn people_line() -> String {
    PEOPLE
        .iter()
        .map(|person| format!("{} ({}, {})", person.subject, person.role, person.groups.join(", ")))
        .collect::<Vec<_>>()
        .join(" · ")
}

#[cfg(test)]
mod tests;
