//! Signing in at the identity provider with a code (RFC 8628): works over SSH, in containers, anywhere.
//!
//! The provider's addresses come from its own discovery document, whose issuer must be the one the broker named; the identity
//! token is all that is taken from the answer. Where the provider speaks SAML, the broker gives the code ([`at_broker`]).

pub(crate) mod at_broker;

use std::path::Path;
use std::time::Duration;

use chunk_wire::session::IssuerInfo;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType};
use oauth2::{
    ClientId, DeviceAuthorizationUrl, DeviceCodeErrorResponseType, ExtraTokenFields, HttpRequest, HttpResponse, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse, StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::provider::{self, ANSWER_TIMEOUT, Provider, trusted};
use crate::error::{Failure, Result};
use crate::output::Ui;
use crate::{figures, large_type, qr, text};

/// What the provider gives.
pub(crate) struct Tokens {
    pub(crate) id_token: Zeroizing<String>,
    /// For a broker that asks the provider for groups.
    pub(crate) access_token: Zeroizing<String>,
}

/// The member of the answer that the library does not know.
#[derive(Serialize, Deserialize)]
struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken(…)")
    }
}

impl ExtraTokenFields for IdToken {}

type Client = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// What a person needs to go on in a browser.
#[derive(Serialize)]
struct LoginCode<'a> {
    verification_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_uri_complete: Option<&'a str>,
    user_code: &'a str,
    /// Thumbprint of the key that would be signed in, where the page shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    expires_s: u64,
}

/// An answer that could not be had.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Form(#[from] oauth2::http::Error),
    #[error("the answer is too large to be one")]
    TooLarge,
}

const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How providers say that this client, or anybody, signs in otherwise.
const NO_CODES: [&str; 4] = [
    "access_denied",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];
/// What others say instead when nothing but the grant can be wrong about the request.
const NOT_LIKE_THIS: &str = "invalid_request";
/// That the terminal was asked; whether it did is not told.
pub(super) const COPIED: &str = "The address is on your clipboard too, where your terminal lets programs put it there.";

/// Signs a person in; gives the identity token.
///
/// # Errors
/// When the provider cannot be reached, the person refuses, or the code expires.
pub(crate) async fn sign_in(ui: &Ui, issuer: &IssuerInfo, ca_file: Option<&Path>, browser_hint: bool) -> Result<Tokens> {
    let Provider { http, discovery } = Provider::find(issuer, ca_file).await?;
    let device_url = discovery
        .device_authorization_endpoint
        .ok_or_else(|| no_codes(&issuer.issuer, "its discovery document names no `device_authorization_endpoint`"))?;
    trusted(&issuer.issuer, device_url.as_str())?;
    trusted(&issuer.issuer, discovery.token_endpoint.as_str())?;

    let client = Client::new(ClientId::new(issuer.client_id.clone()))
        .set_device_authorization_url(DeviceAuthorizationUrl::from_url(device_url))
        .set_token_uri(TokenUrl::from_url(discovery.token_endpoint))
        .set_auth_type(oauth2::AuthType::RequestBody);
    let call = |request: HttpRequest| execute(http.clone(), request);

    // RFC 8628 knows nothing of these two; providers that do take them, and the broker checks what came of it.
    let asked = provider::authentication(issuer);
    let details: StandardDeviceAuthorizationResponse = asked
        .iter()
        .fold(client.exchange_device_code(), |request, (name, value)| {
            request.add_extra_param(*name, value.as_str())
        })
        .add_scopes(issuer.scopes.iter().cloned().map(Scope::new))
        .request_async(&call)
        .await
        .map_err(|error| match error_code(&error, |error| error.error().as_ref()) {
            Some(code) if NO_CODES.contains(&code) || code == NOT_LIKE_THIS => no_codes(&issuer.issuer, &format!("it says `{code}`")),
            _ => refused(&issuer.issuer, "refused to start a sign-in", &error, |error| {
                error.error().as_ref().to_owned()
            }),
        })?;
    show(
        ui,
        &LoginCode {
            verification_uri: details.verification_uri().as_str(),
            verification_uri_complete: details.verification_uri_complete().map(|uri| uri.secret().as_str()),
            user_code: details.user_code().secret(),
            key: None,
            expires_s: details.expires_in().as_secs(),
        },
        browser_hint,
    )?;

    let answer = client
        .exchange_device_access_token(&details)
        .request_async(&call, tokio::time::sleep, None)
        .await
        .map_err(|error| match &error {
            RequestTokenError::ServerResponse(response) => match response.error() {
                DeviceCodeErrorResponseType::AccessDenied => {
                    Failure::new(crate::error::Exit::SignIn, "access_denied", "sign-in was refused in the browser")
                        .why("where nobody refused it, the provider's own rules did: many organisations allow no sign-in with a code, only `chunkctl login --browser`")
                        .hint("chunkctl login")
                }
                DeviceCodeErrorResponseType::ExpiredToken => Failure::new(
                    crate::error::Exit::SignIn,
                    "expired_token",
                    "the code expired before anybody used it",
                )
                .hint("chunkctl login"),
                other => {
                    let word: &str = other.as_ref();
                    if NO_CODES.contains(&word) {
                        no_codes(&issuer.issuer, &format!("it says `{word}`"))
                    } else {
                        refused(&issuer.issuer, "refused the sign-in", &error, |error| {
                            error.error().as_ref().to_owned()
                        })
                    }
                }
            },
            _ => refused(&issuer.issuer, "gave no usable answer", &error, |error| {
                error.error().as_ref().to_owned()
            }),
        })?;
    let id_token = answer.extra_fields().id_token.clone().ok_or_else(|| {
        Failure::cannot_tell("sign_in", format!("{} gave no identity token", issuer.issuer))
            .why("the client is probably not registered with the scope `openid`; the broker's operator can tell")
    })?;
    Ok(Tokens {
        id_token: Zeroizing::new(id_token),
        access_token: Zeroizing::new(answer.access_token().secret().clone()),
    })
}

async fn execute(http: reqwest::Client, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
    let request: reqwest::Request = request.try_into()?;
    let mut builder = reqwest::RequestBuilder::from_parts(http, request)
        .timeout(ANSWER_TIMEOUT)
        .send()
        .await?;
    let mut response = oauth2::http::Response::builder().status(builder.status());
    for (name, value) in builder.headers() {
        response = response.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(part) = builder.chunk().await? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    Ok(response.body(body)?)
}

/// Shows where to go and what to type there.
fn show(ui: &Ui, shown: &LoginCode<'_>, browser_hint: bool) -> Result<()> {
    let code = shown.user_code;
    let address = shown.verification_uri_complete.unwrap_or(shown.verification_uri);
    ui.event("login.code", shown)?;
    ui.say("");
    let taken = qr::show(ui, address);
    ui.say(&format!("    {}", text::line(address)));
    ui.say("");
    if !large_type::show(ui, code, taken) {
        ui.say(&format!("    code:  {}", text::line(code)));
    }
    if let Some(key) = shown.key {
        ui.say(&format!("    key:   {key}"));
    }
    ui.say("");
    if browser_hint {
        ui.say(match shown.key {
            Some(_) => "Open the address in any browser, on any machine, and check that it shows this code and this key.",
            None => "Open the address in any browser, on any machine, and check that it shows this code.",
        });
        ui.say("Nobody else has a reason to send you such a code: whoever confirms one signs in the machine that shows it.");
        if ui.copy(address) {
            ui.say(COPIED);
        }
    }
    ui.say(&format!(
        "Waiting; the code is good for {}.",
        figures::duration(Duration::from_secs(shown.expires_s))
    ));
    Ok(())
}

/// Sign-in with a code is switched off here; the other way may not be.
fn no_codes(issuer: &str, why: &str) -> Failure {
    Failure::cannot_tell("no_device_code", format!("{issuer} does not offer sign-in with a code"))
        .why(why)
        .why("many organisations switch it off, because codes can be phished; the browser of this machine may still do")
        .hint("chunkctl login --browser")
}

/// The word of the protocol with which a provider refused.
fn error_code<'a, E, T>(error: &'a RequestTokenError<E, T>, code: impl Fn(&'a T) -> &'a str) -> Option<&'a str>
where
    E: std::error::Error + 'static,
    T: oauth2::ErrorResponse + 'static,
{
    match error {
        RequestTokenError::ServerResponse(response) => Some(code(response)),
        _ => None,
    }
}

/// The provider's error code, but not its prose, which is somebody else's text at a moment of trust.
fn refused<E, T>(issuer: &str, what: &str, error: &RequestTokenError<E, T>, code: impl Fn(&T) -> String) -> Failure
where
    E: std::error::Error + 'static,
    T: oauth2::ErrorResponse + 'static,
{
    let why = match error {
        RequestTokenError::ServerResponse(response) => format!("it says `{}`", code(response)),
        RequestTokenError::Request(error) => error.to_string(),
        RequestTokenError::Parse(..) => "its answer does not parse".to_owned(),
        RequestTokenError::Other(_) => "its answer is not one of the protocol".to_owned(),
    };
    Failure::cannot_tell("sign_in", format!("{issuer} {what}"))
        .why(why)
        .hint("chunkctl doctor")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
