//! The authorization endpoint (RFC 6749 §4.1, RFC 7636): a person picks who to be on a page, and goes back to the program with a code.
//!
//! What comes back goes to a program on this machine and nowhere else: whatever the request says, the answer's address is that of
//! a loopback listener (RFC 8252 §7.3). A request without PKCE by S256 or without a nonce is refused, so that a client that works here
//! works elsewhere too.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chunk_core::identity::oidc::is_loopback_redirect;
use url::Url;

use super::super::people::person;
use super::codes::Asked;
use super::{CLIENT_ID, Provider, WARNING, field, page};

/// A request whose answer may go back to where it came from.
struct Request {
    redirect_uri: Url,
    state: Option<String>,
    asked: Result<Asked, Refused>,
}

/// An error of RFC 6749 §4.1.2.1, and what is wrong.
#[derive(Debug, Clone, Copy)]
struct Refused(&'static str, &'static str);

/// Shows who can be picked.
pub(super) async fn ask(State(provider): State<Arc<Provider>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let Some(request) = Request::read(query.as_bytes()) else {
        return nowhere();
    };
    match request.asked {
        Ok(_) => {
            tracing::warn!(warning = WARNING, "development sign-in page shown");
            let mut response = Html(page::authorize(&query, CLIENT_ID)).into_response();
            // Browsers hold the redirect that answers a form against this policy, too.
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(WITH_REDIRECT));
            response
        }
        Err(refused) => back(&provider, request.redirect_uri, request.state.as_deref(), Err(refused)),
    }
}

/// Sends the person back, with a code or without one.
pub(super) async fn decide(State(provider): State<Arc<Provider>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let Some(request) = Request::read(query.unwrap_or_default().as_bytes()) else {
        return nowhere();
    };
    let picked = match field(&body, "decision").as_deref() {
        Some("allow") => field(&body, "person").as_deref().and_then(person),
        _ => None,
    };
    let answer = request.asked.and_then(|asked| {
        let person = picked.ok_or(Refused("access_denied", "the sign-in was denied on the page"))?;
        let code = provider.secret().ok_or(Refused("server_error", "no random numbers"))?;
        let now_ms = provider.clock.now_ms();
        let kept = provider.codes().keep(code.clone(), asked, person, now_ms);
        kept.map_err(|_| Refused("temporarily_unavailable", "too many codes wait"))?;
        tracing::warn!(
            subject = person.subject,
            warning = WARNING,
            "development sign-in, nothing was checked"
        );
        Ok(code)
    });
    back(&provider, request.redirect_uri, request.state.as_deref(), answer)
}

impl Request {
    /// Reads a request; nothing where it is not the client's, or not for a program on this machine: nobody is sent anywhere then.
    fn read(query: &[u8]) -> Option<Self> {
        field(query, "client_id").filter(|id| id == CLIENT_ID)?;
        let redirect_uri = field(query, "redirect_uri").filter(|uri| is_loopback_redirect(uri))?;
        Some(Self {
            state: field(query, "state"),
            asked: asked(query, &redirect_uri),
            redirect_uri: Url::parse(&redirect_uri).ok()?,
        })
    }
}

fn asked(query: &[u8], redirect_uri: &str) -> Result<Asked, Refused> {
    if field(query, "response_type").as_deref() != Some("code") {
        return Err(Refused("unsupported_response_type", "only `code` is spoken"));
    }
    if !field(query, "scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        return Err(Refused("invalid_scope", "the scope must contain `openid`"));
    }
    let challenge = field(query, "code_challenge").filter(|_| field(query, "code_challenge_method").as_deref() == Some("S256"));
    let (Some(challenge), Some(nonce)) = (challenge, field(query, "nonce")) else {
        return Err(Refused(
            "invalid_request",
            "`nonce` and `code_challenge` are needed, and `code_challenge_method` must be `S256`",
        ));
    };
    Ok(Asked {
        client_id: CLIENT_ID.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        challenge,
        nonce,
    })
}

/// RFC 6749 §4.1.2, RFC 9207.
fn back(provider: &Provider, mut address: Url, state: Option<&str>, answer: Result<String, Refused>) -> Response {
    {
        let mut query = address.query_pairs_mut();
        match answer {
            Ok(code) => query.append_pair("code", &code),
            Err(Refused(error, why)) => query.append_pair("error", error).append_pair("error_description", why),
        };
        query.append_pair("iss", &provider.issuer);
        query.extend_pairs(state.map(|state| ("state", state)));
    }
    match HeaderValue::from_str(address.as_str()) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => nowhere(),
    }
}

/// A request that nobody is sent back from.
fn nowhere() -> Response {
    let why =
        format!("This sign-in is not for `{CLIENT_ID}` on this machine. Start again in your terminal; a page is good for one sign-in.");
    (StatusCode::BAD_REQUEST, Html(page::done("Not signed in", &why))).into_response()
}

const WITH_REDIRECT: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'";
