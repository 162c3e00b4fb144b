//! Signing in with a code that the broker itself gives (RFC 8628): what the terminal asks, and the pages on which a person confirms it.
//!
//! A browser is known by a cookie of its own, from the page with the code to the identity provider's answer. Nothing begins by
//! following a link: a code is confirmed by a form that this page made for this browser, because a link that confirmed one could be
//! sent to somebody who is signed in at the identity provider already.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_core::identity::saml::{self, Confirmation};
use chunk_wire::problem::Code;
use chunk_wire::session::{BeginSignIn, FinishSignIn, GRANT_TYPE_DEVICE_CODE, SessionTokens, SignInBegun, TokenRefused};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;

use super::Gateway;
use super::body::{Answer, Form, Params};
use super::caller::{Cx, ProofOnly, SigningIn};
use super::page::{escaped, html};
use super::problem::Refusal;
use crate::places::counted_as;

/// Where sign-ins begin and end for a terminal; errors there have OAuth's form.
pub(super) const DEVICE_PATH: &str = "/v1/device";
/// Where a terminal asks whether somebody signed in.
pub(super) const DEVICE_TOKEN_PATH: &str = "/v1/device/token";
/// Where people confirm a code; errors there are pages.
pub(super) const CONFIRM_PATH: &str = "/device";

/// Begins a sign-in at an identity provider that speaks SAML, and gives the code for it.
#[utoipa::path(
    post, operation_id = "beginSignIn", path = "/v1/device", tag = "sessions", security(("proof" = [])),
    request_body(content = BeginSignIn, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = SignInBegun), (status = "default", body = TokenRefused, content_type = "application/json"))
)]
pub(super) async fn begin(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SigningIn(presented): SigningIn,
    form: Form,
) -> Result<Answer<SignInBegun>, Refusal> {
    let mut given = form.once()?;
    let asked = BeginSignIn {
        issuer: given.remove("issuer").ok_or_else(|| missing("issuer"))?,
        client_version: given.remove("client_version"),
        client_host: given.remove("client_host"),
    };
    Ok(Answer::ok(saml::begin(&gateway.broker, &cx, &presented, counted_as(cx.ip), asked)?))
}

/// Asks whether the person has signed in with a code; if so, gives the session, once.
#[utoipa::path(
    post, operation_id = "finishSignIn", path = "/v1/device/token", tag = "sessions", security(("proof" = [])),
    request_body(content = FinishSignIn, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = SessionTokens), (status = "default", body = TokenRefused, content_type = "application/json"))
)]
pub(super) async fn finish(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    ProofOnly(presented): ProofOnly,
    form: Form,
) -> Result<Answer<SessionTokens>, Refusal> {
    let mut given = form.once()?;
    if given.get("grant_type").map(String::as_str) != Some(GRANT_TYPE_DEVICE_CODE) {
        let refusal = Refusal::new(Code::InvalidRequest, format!("`grant_type` must be `{GRANT_TYPE_DEVICE_CODE}`."));
        return Err(refusal.word("unsupported_grant_type"));
    }
    let device_code = given.remove("device_code").ok_or_else(|| missing("device_code"))?;
    match saml::finish(&gateway.broker, &cx, presented, &device_code).await {
        Ok(tokens) => Ok(Answer::ok(tokens)),
        Err(fault) if fault.code == Code::RateLimited => Err(Refusal::from(fault).status(StatusCode::BAD_REQUEST).word("slow_down")),
        Err(fault) => Err(fault.into()),
    }
}

/// Query of the page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Typed {
    /// The code that the terminal shows.
    user_code: Option<String>,
}

/// The page on which a code is typed, or, with one, which machine would be signed in. Nothing begins here.
#[utoipa::path(
    get, operation_id = "signInPage", path = "/device", tag = "sessions", params(Typed), security(()),
    responses((status = 200, body = String, content_type = "text/html"), (status = "default", body = String, content_type = "text/html"))
)]
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    headers: HeaderMap,
    Params(typed): Params<Typed>,
) -> Result<Response, Refusal> {
    offered(&gateway)?;
    let browser = Browser::of(&gateway, &headers)?;
    let mut response = match typed.user_code.filter(|code| !code.trim().is_empty()) {
        None => html("Sign in", ENTER),
        Some(code) => {
            slowly(&gateway, cx.ip)?;
            let asked = saml::look(&gateway.broker, &code, &browser.secret)?;
            html("Sign in a terminal?", &confirmation(&asked, &browser.ticket()))
        }
    };
    if browser.is_new {
        response.headers_mut().insert(SET_COOKIE, browser.cookie(&gateway)?);
    }
    Ok(response)
}

/// The person's answer: on to the identity provider, or no further.
#[utoipa::path(
    post, operation_id = "confirmSignIn", path = "/device", tag = "sessions", security(()),
    responses((status = 303), (status = 200, body = String, content_type = "text/html"), (status = "default", body = String, content_type = "text/html"))
)]
pub(super) async fn decide(State(gateway): State<Arc<Gateway>>, Cx(cx): Cx, headers: HeaderMap, form: Form) -> Result<Response, Refusal> {
    offered(&gateway)?;
    slowly(&gateway, cx.ip)?;
    let browser = Browser::of(&gateway, &headers)?;
    let given = form.once()?;
    let of = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    // Another site can send this form for somebody, but cannot know what this page wrote into it for their browser.
    if browser.is_new || of("ticket") != browser.ticket() {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "This form was not made for this browser, or the browser keeps no cookies of this page.",
        )
        .hint("open the address that `chunkctl login` shows again"));
    }
    match of("decision") {
        "yes" => {
            let address = saml::confirm(&gateway.broker, of("user_code"), &browser.secret)?;
            let address = HeaderValue::from_str(address.as_str()).map_err(|_| internal("The address of the identity provider is none."))?;
            Ok((StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response())
        }
        "no" => {
            saml::refuse(&gateway.broker, of("user_code"), &browser.secret)?;
            Ok(html("Refused", REFUSED))
        }
        _ => Err(Refusal::new(Code::InvalidRequest, "The form says neither yes nor no.")),
    }
}

/// A browser, by the cookie that it was given.
pub(super) struct Browser {
    pub(super) secret: String,
    is_new: bool,
}

impl Browser {
    /// The one that sent these headers. One without the cookie is another each time.
    pub(super) fn of(gateway: &Gateway, headers: &HeaderMap) -> Result<Self, Refusal> {
        let name = cookie_name(gateway);
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut own = cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(known, _)| *known == name);
        if let (Some((_, secret)), None) = (own.next(), own.next())
            && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32)
        {
            return Ok(Self {
                secret: secret.to_owned(),
                is_new: false,
            });
        }
        let mut bits = [0_u8; 32];
        SystemRandom::new()
            .fill(&mut bits)
            .map_err(|_| internal("The random generator failed."))?;
        Ok(Self {
            secret: URL_SAFE_NO_PAD.encode(bits),
            is_new: true,
        })
    }

    /// What a form of ours carries, so that it is known to be one that we made for this browser.
    fn ticket(&self) -> String {
        let text = format!("chunk-broker sign-in form\n{}", self.secret);
        hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }

    fn cookie(&self, gateway: &Gateway) -> Result<HeaderValue, Refusal> {
        // The identity provider's answer comes by a form of another site: a cookie with `SameSite=Lax` would stay behind.
        let attributes = if is_secure(gateway) { "; Secure; SameSite=None" } else { "" };
        let cookie = format!(
            "{}={}; Path=/; Max-Age=3600; HttpOnly{attributes}",
            cookie_name(gateway),
            self.secret
        );
        HeaderValue::from_str(&cookie).map_err(|_| internal("The cookie cannot be written."))
    }
}

/// With the prefix, nobody but this very host can set it.
fn cookie_name(gateway: &Gateway) -> &'static str {
    if is_secure(gateway) {
        "__Host-chunk-sign-in"
    } else {
        "chunk-sign-in"
    }
}

fn is_secure(gateway: &Gateway) -> bool {
    gateway.public_url.scheme() == "https"
}

/// Where nobody signs in by SAML, there are no such pages.
pub(super) fn offered(gateway: &Gateway) -> Result<(), Refusal> {
    match saml::metadata(&gateway.broker) {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found("page")),
    }
}

/// Codes are not to be guessed.
pub(super) fn slowly(gateway: &Gateway, ip: std::net::IpAddr) -> Result<(), Refusal> {
    if gateway.sign_ins.take(ip, Instant::now()) {
        Ok(())
    } else {
        Err(Refusal::new(Code::RateLimited, "Too many sign-ins from this address."))
    }
}

fn confirmation(asked: &Confirmation, ticket: &str) -> String {
    let begun = Timestamp::from_millisecond(asked.begun_ms).unwrap_or_default();
    let unsaid = |text: &str| if text.is_empty() { "(not said)".to_owned() } else { escaped(text) };
    format!(
        "<p>A program asks to be signed in as you. Go on only if <strong>you yourself</strong> have just typed <code>chunkctl login</code>, and \
         your terminal shows this code and this key:</p>\
         <table><tr><th scope=\"row\">code<td><code>{code}</code>\
         <tr><th scope=\"row\">key<td><code>{key}</code>\
         <tr><th scope=\"row\">machine, in its own words<td>{host}\
         <tr><th scope=\"row\">program, in its own words<td>{version}\
         <tr><th scope=\"row\">asked from<td>{ip}\
         <tr><th scope=\"row\">asked at<td>{begun:.0}\
         <tr><th scope=\"row\">you sign in at<td>{provider}</table>\
         <form method=\"post\" action=\"{CONFIRM_PATH}\"><input type=\"hidden\" name=\"user_code\" value=\"{code}\">\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\
         <p><button name=\"decision\" value=\"yes\">My terminal shows this code and this key: sign it in</button></p>\
         <p><button name=\"decision\" value=\"no\">I do not know this code</button></p></form>\
         <p>Nobody has a reason to send you such a code or this address. Whoever confirms it signs in the machine that shows it, wherever that \
         is, to everything that they may do.</p>",
        code = escaped(&asked.user_code),
        key = escaped(&asked.key),
        host = unsaid(&asked.client.host),
        version = unsaid(&asked.client.version),
        ip = asked.ip,
        provider = escaped(&asked.provider),
    )
}

fn missing(field: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("`{field}` is missing."))
}

fn internal(why: &str) -> Refusal {
    Refusal::new(Code::Internal, why)
}

const ENTER: &str = "<p>Type the code that <code>chunkctl login</code> shows in your own terminal.</p>\
    <form method=\"get\" action=\"/device\"><p><label>Code <input name=\"user_code\" autocomplete=\"off\" autocapitalize=\"characters\" \
    spellcheck=\"false\" maxlength=\"20\" required autofocus></label></p><p><button>Go on</button></p></form>";
const REFUSED: &str = "<p>Nobody was signed in. The code is no longer good. If somebody sent it to you, tell your security team.</p>";
