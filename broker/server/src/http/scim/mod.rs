//! SCIM 2.0 (RFC 7643, RFC 7644), as far as a directory needs it to say who its people are and that somebody has left.
//!
//! Of a user `userName`, `externalId` and `active` are kept; whatever else directories send is passed over, since a broker has no
//! use for it. What could be about `active` and is not understood is refused: to pass that over would leave a leaver active.

pub(super) mod discovery;
mod filter;
mod patch;
mod user;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use chunk_core::identity::directory::{self, Directory};
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::Gateway;
use super::body::{Named, Params, Scim};
use super::caller::{CREDENTIAL_BYTES_MAX, Cx, context, only};
use super::problem::Refusal;
pub(super) use user::{ScimList, ScimUser};

/// Under which all of it stands; errors there have SCIM's form.
pub(super) const SCIM_PATH: &str = "/scim/v2/";
/// Media type of bodies (RFC 7644 §3.1).
pub(super) const SCIM_JSON: &str = "application/scim+json";
/// Users on one page of a list.
const PAGE_MAX: usize = 200;

/// A directory that has shown its token.
pub(super) struct Speaking(Directory);

impl FromRequestParts<Arc<Gateway>> for Speaking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let cx = context(parts)?;
        let admitted = match bearer(parts) {
            Some(token) => directory::admit(&gateway.broker, &cx, token).map_err(Refusal::from),
            None => Err(Refusal::new(
                Code::Unauthenticated,
                "This route needs `Authorization: Bearer <the directory's token>`.",
            )),
        };
        match admitted {
            Ok(directory) => Ok(Self(directory)),
            // Whoever has the token is never kept out by somebody who guesses.
            Err(_) if !gateway.sign_ins.take(cx.ip, Instant::now()) => Err(Refusal::new(
                Code::RateLimited,
                "Too many tokens from this address that are no directory's.",
            )),
            Err(refusal) => Err(refusal),
        }
    }
}

/// The token of RFC 6750, of the one header that may carry it.
fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = only(&parts.headers, &AUTHORIZATION).ok()??.split_once(' ')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let good = scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty() && token.len() <= CREDENTIAL_BYTES_MAX && token.bytes().all(fits);
    good.then_some(token)
}

/// An answer in SCIM's media type.
pub(super) struct Said<T> {
    status: StatusCode,
    location: Option<String>,
    body: T,
}

impl<T> Said<T> {
    fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            location: None,
            body,
        }
    }
}

impl<T: Serialize> IntoResponse for Said<T> {
    fn into_response(self) -> Response {
        let Ok(body) = serde_json::to_vec(&self.body) else {
            return Refusal::new(Code::Internal, "The answer cannot be written as JSON.").into_response();
        };
        let mut response = (self.status, [(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON))], body).into_response();
        if let Some(location) = self.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// Takes a person into the directory's records.
#[utoipa::path(
    post, operation_id = "scimCreateUser", path = "/scim/v2/Users", tag = "directory", security(("directory_token" = [])),
    request_body(content = Object, content_type = "application/scim+json"),
    responses((status = 201, body = ScimUser, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    Speaking(directory): Speaking,
    Scim(body): Scim,
) -> Result<Said<ScimUser>, Refusal> {
    let told = user::read(&body)?;
    let user = ScimUser::of(&gateway, directory::create(&gateway.broker, &cx, &directory, told).await?);
    Ok(Said {
        status: StatusCode::CREATED,
        location: Some(user.location().to_owned()),
        body: user,
    })
}

/// Query of the list of users.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListUsers {
    /// `userName eq "…"` or `externalId eq "…"`.
    filter: Option<String>,
    /// The first to list, from 1.
    start_index: Option<i64>,
    /// Users on the page, at most 200.
    count: Option<i64>,
}

/// Users of the directory.
#[utoipa::path(
    get, operation_id = "scimListUsers", path = "/scim/v2/Users", tag = "directory", params(ListUsers), security(("directory_token" = [])),
    responses((status = 200, body = ScimList<ScimUser>, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Speaking(directory): Speaking,
    Params(query): Params<ListUsers>,
) -> Result<Said<ScimList<ScimUser>>, Refusal> {
    let sought = match &query.filter {
        Some(filter) => filter::read(filter)?,
        None => directory::Sought::Everybody,
    };
    // Less than the least counts as the least (RFC 7644 §3.4.2.4).
    let start = usize::try_from(query.start_index.unwrap_or(1)).unwrap_or(1).max(1);
    let count = query
        .count
        .map_or(PAGE_MAX, |count| usize::try_from(count).unwrap_or(0))
        .min(PAGE_MAX);
    let (total, people) = directory::list(&gateway.broker, &directory, &sought, start - 1, count);
    let users = people.into_iter().map(|person| ScimUser::of(&gateway, person)).collect();
    Ok(Said::ok(ScimList::page(total, start, users)))
}

/// One user.
#[utoipa::path(
    get, operation_id = "scimShowUser", path = "/scim/v2/Users/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Speaking(directory): Speaking,
    Named(id): Named<String>,
) -> Result<Said<ScimUser>, Refusal> {
    let person = directory::show(&gateway.broker, &directory, &parse(&id)?)?;
    Ok(Said::ok(ScimUser::of(&gateway, person)))
}

/// Says anew who a user is. What is left out stays as it is.
#[utoipa::path(
    put, operation_id = "scimReplaceUser", path = "/scim/v2/Users/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    request_body(content = Object, content_type = "application/scim+json"),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn replace(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    Speaking(directory): Speaking,
    Named(id): Named<String>,
    Scim(body): Scim,
) -> Result<Said<ScimUser>, Refusal> {
    let told = user::read(&body)?;
    let person = directory::change(&gateway.broker, &cx, &directory, &parse(&id)?, told).await?;
    Ok(Said::ok(ScimUser::of(&gateway, person)))
}

/// Changes a user.
#[utoipa::path(
    patch, operation_id = "scimChangeUser", path = "/scim/v2/Users/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    request_body(content = Object, content_type = "application/scim+json"),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    Speaking(directory): Speaking,
    Named(id): Named<String>,
    Scim(body): Scim,
) -> Result<Said<ScimUser>, Refusal> {
    let told = patch::read(&body)?;
    let person = directory::change(&gateway.broker, &cx, &directory, &parse(&id)?, told).await?;
    Ok(Said::ok(ScimUser::of(&gateway, person)))
}

/// Takes a user out of the directory, and suspends the person.
#[utoipa::path(
    delete, operation_id = "scimDeleteUser", path = "/scim/v2/Users/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    responses((status = 204), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    Speaking(directory): Speaking,
    Named(id): Named<String>,
) -> Result<StatusCode, Refusal> {
    directory::delete(&gateway.broker, &cx, &directory, &parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An error as SCIM has it (RFC 7644 §3.12).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScimFault {
    schemas: [&'static str; 1],
    /// HTTP status, as text.
    status: String,
    /// SCIM's word for it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    scim_type: Option<&'static str>,
    /// What happened, and why.
    detail: String,
}

impl ScimFault {
    pub(super) fn new(status: u16, word: Option<&'static str>, detail: &str) -> Self {
        let usual = match status {
            400 => Some("invalidValue"),
            409 => Some("uniqueness"),
            _ => None,
        };
        Self {
            schemas: ["urn:ietf:params:scim:api:messages:2.0:Error"],
            status: status.to_string(),
            scim_type: word.or(usual),
            detail: detail.to_owned(),
        }
    }
}

/// What is wrong with what a directory sent, in SCIM's word.
fn invalid(word: &'static str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).word(word)
}

fn parse(id: &str) -> Result<ActorId, Refusal> {
    id.parse().map_err(|_| Refusal::new(Code::NotFound, "There is no such user."))
}

#[cfg(test)]
mod tests;
