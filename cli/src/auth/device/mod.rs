//! Signing in at the identity provider with a code (RFC 8628): works over SSH, in containers, anywhere.
//!
//! The provider's addresses come from its own discovery document, whose issuer must be the one the broker named; the identity
//! token is all that is taken from the answer.

use std::path::Path;
use std::time::Duration;

use chunk_wire::session::IssuerInfo;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType};
use oauth2::{
    ClientId, DeviceAuthorizationUrl, DeviceCodeErrorResponseType, ExtraTokenFields, HttpRequest, HttpResponse, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::client::connection;
use crate::config::check_transport;
use crate::error::{Failure, Result};
use crate::output::Ui;
use crate::{figures, qr, text};

/// The one member of the answer that matters.
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

/// The part of an OpenID provider's metadata that is used here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    token_endpoint: url::Url,
    device_authorization_endpoint: Option<url::Url>,
}

/// What a person needs to go on in a browser.
#[derive(Serialize)]
struct LoginCode<'a> {
    verification_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_uri_complete: Option<&'a str>,
    user_code: &'a str,
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
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Signs a person in; gives the identity token.
///
/// # Errors
/// When the provider cannot be reached, the person refuses, or the code expires.
pub(crate) async fn sign_in(ui: &Ui, issuer: &IssuerInfo, ca_file: Option<&Path>, browser_hint: bool) -> Result<Zeroizing<String>> {
    let base = trusted(&issuer.issuer, &issuer.issuer)?;
    let http = connection::client(base.scheme() == "http", ca_file)?;
    let discovery = discover(&http, issuer).await?;
    let device_url = discovery.device_authorization_endpoint.ok_or_else(|| {
        Failure::cannot_tell("sign_in", format!("{} does not offer sign-in with a code", issuer.issuer))
            .why("its discovery document names no `device_authorization_endpoint`")
    })?;
    trusted(&issuer.issuer, device_url.as_str())?;
    trusted(&issuer.issuer, discovery.token_endpoint.as_str())?;

    let client = Client::new(ClientId::new(issuer.client_id.clone()))
        .set_device_authorization_url(DeviceAuthorizationUrl::from_url(device_url))
        .set_token_uri(TokenUrl::from_url(discovery.token_endpoint))
        .set_auth_type(oauth2::AuthType::RequestBody);
    let call = |request: HttpRequest| execute(http.clone(), request);

    let details: StandardDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scopes(issuer.scopes.iter().cloned().map(Scope::new))
        .request_async(&call)
        .await
        .map_err(|error| {
            refused(&issuer.issuer, "refused to start a sign-in", &error, |error| {
                error.error().as_ref().to_owned()
            })
        })?;
    show(ui, &details, browser_hint)?;

    let answer = client
        .exchange_device_access_token(&details)
        .request_async(&call, tokio::time::sleep, None)
        .await
        .map_err(|error| match &error {
            RequestTokenError::ServerResponse(response) => match response.error() {
                DeviceCodeErrorResponseType::AccessDenied => {
                    Failure::new(crate::error::Exit::SignIn, "access_denied", "sign-in was refused in the browser").hint("chunkctl login")
                }
                DeviceCodeErrorResponseType::ExpiredToken => Failure::new(
                    crate::error::Exit::SignIn,
                    "expired_token",
                    "the code expired before anybody used it",
                )
                .hint("chunkctl login"),
                _ => refused(&issuer.issuer, "refused the sign-in", &error, |error| {
                    error.error().as_ref().to_owned()
                }),
            },
            _ => refused(&issuer.issuer, "gave no usable answer", &error, |error| {
                error.error().as_ref().to_owned()
            }),
        })?;
    answer.extra_fields().id_token.clone().map(Zeroizing::new).ok_or_else(|| {
        Failure::cannot_tell("sign_in", format!("{} gave no identity token", issuer.issuer))
            .why("the client is probably not registered with the scope `openid`; the broker's operator can tell")
    })
}

async fn discover(http: &reqwest::Client, issuer: &IssuerInfo) -> Result<Discovery> {
    let url = format!("{}/.well-known/openid-configuration", issuer.issuer.trim_end_matches('/'));
    let answer = http
        .get(&url)
        .timeout(ANSWER_TIMEOUT)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| connection::unreachable(&issuer.issuer, &error))?;
    let bytes = crate::client::read_bytes(answer).await?;
    let discovery: Discovery = serde_json::from_slice(&bytes).map_err(|_| {
        Failure::cannot_tell("sign_in", format!("{} is no OpenID provider", issuer.issuer)).why("its discovery document does not parse")
    })?;
    // A document that speaks for another issuer could lead the person to a page of somebody else's.
    if discovery.issuer != issuer.issuer {
        return Err(Failure::no(
            "sign_in",
            format!("the provider at {} calls itself {}", issuer.issuer, discovery.issuer),
        )
        .why("the broker's configuration and the provider must name the same issuer, letter by letter"));
    }
    Ok(discovery)
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
fn show(ui: &Ui, details: &StandardDeviceAuthorizationResponse, browser_hint: bool) -> Result<()> {
    let code = details.user_code().secret();
    let complete = details.verification_uri_complete().map(|uri| uri.secret().as_str());
    let uri = details.verification_uri().as_str();
    ui.event(
        "login.code",
        &LoginCode {
            verification_uri: uri,
            verification_uri_complete: complete,
            user_code: code,
            expires_s: details.expires_in().as_secs(),
        },
    )?;
    ui.say("");
    qr::show(ui, complete.unwrap_or(uri));
    ui.say(&format!("    {}", text::line(complete.unwrap_or(uri))));
    ui.say("");
    ui.say(&format!("    code:  {}", text::line(code)));
    ui.say("");
    if browser_hint {
        ui.say("Open the address in any browser, on any machine, and check that it shows this code.");
    }
    ui.say(&format!(
        "Waiting; the code is good for {}.",
        figures::duration(details.expires_in())
    ));
    Ok(())
}

/// Checks that tokens may go to an address.
fn trusted(issuer: &str, address: &str) -> Result<url::Url> {
    let url = url::Url::parse(address).map_err(|_| "it does not parse as a URL");
    url.and_then(|url| check_transport(&url).map(|()| url))
        .map_err(|why| Failure::no("sign_in", format!("{issuer} cannot be used to sign in")).why(format!("{address}: {why}")))
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
