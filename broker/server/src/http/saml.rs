//! The broker as a SAML service provider: where the identity provider's answers arrive, and what is registered there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chunk_core::identity::saml;
use chunk_wire::problem::{Code, Problem};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::Gateway;
use super::body::Form;
use super::caller::Cx;
use super::device::{Browser, offered, slowly};
use super::page::{escaped, html};
use super::problem::Refusal;

/// The assertion consumer service; errors there are pages.
pub(super) const ACS_PATH: &str = "/saml/acs";

/// Takes the identity provider's answer from the browser that was sent there (HTTP-POST binding).
#[utoipa::path(
    post, operation_id = "samlResponse", path = "/saml/acs", tag = "sessions", security(()),
    responses((status = 200, body = String, content_type = "text/html"), (status = "default", body = String, content_type = "text/html"))
)]
pub(super) async fn acs(State(gateway): State<Arc<Gateway>>, Cx(cx): Cx, headers: HeaderMap, form: Form) -> Result<Response, Refusal> {
    offered(&gateway)?;
    slowly(&gateway, cx.ip)?;
    let browser = Browser::of(&gateway, &headers)?;
    let given = form.once()?;
    let (Some(response), Some(relay_state)) = (given.get("SAMLResponse"), given.get("RelayState")) else {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "This is no answer to a sign-in that began here: `SAMLResponse` or `RelayState` is missing.",
        )
        .hint("begin with `chunkctl login`"));
    };
    let name = saml::receive(&gateway.broker, &cx, relay_state, &browser.secret, response)?;
    let body = format!(
        "<p>The terminal is signed in as {}. You can close this page and go back to it.</p>",
        escaped(&name)
    );
    Ok(html("Signed in", &body))
}

/// SAML metadata of the broker, for the administrator of an identity provider.
#[utoipa::path(
    get, operation_id = "samlMetadata", path = "/saml/metadata", tag = "sessions", security(()),
    responses((status = 200, body = String, content_type = "application/samlmetadata+xml"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn metadata(State(gateway): State<Arc<Gateway>>) -> Result<Response, Refusal> {
    let metadata = saml::metadata(&gateway.broker).ok_or_else(|| Refusal::not_found("metadata"))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/samlmetadata+xml"))], metadata).into_response())
}
