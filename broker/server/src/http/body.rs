//! Bodies, queries and path parameters, read strictly and within bounds, with the same problem for each way to get them wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chunk_core::context::Context;
use chunk_wire::problem::Code;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Gateway;
use super::limits::BODY_BYTES_MAX;
use super::problem::Refusal;
use super::scim::SCIM_JSON;
use super::turn::Turn;

/// A JSON body. It is the last thing read of a request: who may not call does not get a body parsed.
pub(super) struct Posted<T>(pub(super) T);

/// The fields of a form, in order. As [`Posted`], it is the last thing read.
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    /// The fields by name. Unknown ones are nobody's concern, an empty one counts as left out, and none may come twice (RFC 6749 §3.2).
    pub(super) fn once(self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut given = BTreeMap::new();
        for (name, value) in self.0 {
            if !value.is_empty() && given.insert(name, value).is_some() {
                return Err(Refusal::new(Code::InvalidRequest, "A parameter of the form comes twice."));
            }
        }
        Ok(given)
    }
}

/// A body of SCIM: a JSON object. As [`Posted`], it is the last thing read.
pub(super) struct Scim(pub(super) serde_json::Value);

/// A query string.
pub(super) struct Params<T>(pub(super) T);

/// Path parameters. Malformed ones name nothing, so the answer is 404.
pub(super) struct Named<T>(pub(super) T);

/// An answer in JSON.
pub(super) struct Answer<T>(pub(super) StatusCode, pub(super) T);

impl<T> Answer<T> {
    pub(super) fn ok(value: T) -> Self {
        Self(StatusCode::OK, value)
    }

    pub(super) fn created(value: T) -> Self {
        Self(StatusCode::CREATED, value)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Gateway>> for Posted<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let bytes = read_as(&["application/json"], request, gateway).await?;
        serde_json::from_slice(&bytes)
            .map(Posted)
            .map_err(|fault| Refusal::new(Code::InvalidRequest, describe(&fault)))
    }
}

impl FromRequest<Arc<Gateway>> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let bytes = read_as(&["application/x-www-form-urlencoded"], request, gateway).await?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

impl FromRequest<Arc<Gateway>> for Scim {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let bytes = read_as(&[SCIM_JSON, "application/json"], request, gateway).await?;
        serde_json::from_slice(&bytes)
            .map(Scim)
            .map_err(|fault| Refusal::new(Code::InvalidRequest, describe(&fault)).word("invalidSyntax"))
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Gateway>> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Gateway>) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(_) => Err(Refusal::new(
                Code::InvalidRequest,
                "The query string has an unknown, missing or malformed parameter.",
            )
            .hint("see /openapi.json")),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Gateway>> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Gateway>) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Refusal::not_found("such thing")),
        }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(body) => (self.0, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(_) => Refusal::new(Code::Internal, "The answer cannot be written as JSON.").into_response(),
        }
    }
}

/// The whole body, if it says that it is of one of these types and not too large.
async fn read_as(media_types: &[&str], request: Request, gateway: &Gateway) -> Result<Bytes, Refusal> {
    let content_type = request.headers().get(CONTENT_TYPE);
    if !media_types.iter().any(|media_type| is_of_type(content_type, media_type)) {
        let media_type = media_types.first().copied().unwrap_or_default();
        let refusal = Refusal::new(Code::InvalidRequest, format!("The body must be `content-type: {media_type}`."));
        return Err(refusal.status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    read(request, gateway).await
}

/// The whole body. While it is on its way it holds a place among the bodies and none among the requests that are answered.
async fn read(request: Request, gateway: &Gateway) -> Result<Bytes, Refusal> {
    let without = |what: &str| Refusal::new(Code::Internal, format!("The request came without its {what}."));
    let turn = request.extensions().get::<Turn>().cloned().ok_or_else(|| without("turn"))?;
    let ip = request.extensions().get::<Context>().ok_or_else(|| without("context"))?.ip;
    let Some(_place) = gateway.bodies.take(ip) else {
        return Err(
            Refusal::new(Code::RateLimited, "Too many requests at once are still sending their bodies.").hint("try again in a moment"),
        );
    };
    turn.give_back();
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(gateway.body_read_max, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(Refusal::new(Code::InvalidRequest, "The body ended early.")),
        Err(_) => {
            let refusal = Refusal::new(Code::InvalidRequest, "The body took too long to arrive.");
            return Err(refusal.status(StatusCode::REQUEST_TIMEOUT));
        }
    };
    turn.again()?;
    Ok(bytes)
}

fn is_of_type(content_type: Option<&HeaderValue>, media_type: &str) -> bool {
    let essence = content_type.and_then(|v| v.to_str().ok()).and_then(|v| v.split(';').next());
    essence.is_some_and(|v| v.trim().eq_ignore_ascii_case(media_type))
}

fn too_large() -> Refusal {
    Refusal::new(Code::LimitReached, format!("The body is larger than {BODY_BYTES_MAX} bytes."))
}

/// Where the JSON is wrong. serde quotes what it found, which may be a token; so only the place is told, and for faults of
/// shape the field names that our own types contribute.
fn describe(fault: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", fault.line(), fault.column());
    let text = fault.to_string();
    let shape = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
        .map(|(field, _)| field);
    match (shape, fault.classify()) {
        (Some(field), _) => format!("The body lacks the member `{field}` ({place})."),
        (None, serde_json::error::Category::Data) => format!("The body has a member that is unknown or of the wrong type ({place})."),
        (None, _) => format!("The body is not JSON ({place})."),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_wire::session::OpenSession;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_quoting_it() {
        let fault = |text: &str| describe(&serde_json::from_str::<OpenSession>(text).unwrap_err());
        assert_eq!(fault("{}"), "The body lacks the member `id_token` (line 1, column 2).");
        assert!(!fault(r#"{"id_token":{"hunter2":1}}"#).contains("hunter2"));
        assert!(!fault(r#"{"id_token":"a","client":"hunter2"}"#).contains("hunter2"));
        assert_eq!(fault("{"), "The body is not JSON (line 1, column 1).");
    }

    #[test]
    fn only_json_is_json() {
        let is = |text: &'static str| is_of_type(Some(&HeaderValue::from_static(text)), "application/json");
        assert!(is("application/json") && is("application/json; charset=utf-8") && is("Application/JSON"));
        assert!(!is("text/plain") && !is("application/jsonp") && !is_of_type(None, "application/json"));
    }
}
