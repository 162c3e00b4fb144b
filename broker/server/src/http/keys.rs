//! SSH keys of people.

use std::sync::Arc;

use axum::extract::State;
use chunk_core::identity::keys;
use chunk_wire::keys::{EnrollKey, KeyChallenge, KeyView};
use chunk_wire::problem::Problem;
use http::StatusCode;
use serde::Deserialize;

use super::Gateway;
use super::body::{Answer, Named, Params, Posted};
use super::caller::{Cx, SignedIn};
use super::problem::Refusal;

/// What an SSH key must sign to be enrolled.
#[utoipa::path(
    post, operation_id = "challengeKey", path = "/v1/keys/challenge", tag = "keys", security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = KeyChallenge), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn challenge(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
) -> Result<Answer<KeyChallenge>, Refusal> {
    Ok(Answer::ok(keys::challenge(&gateway.broker, &cx, &caller)?))
}

/// Enrols the SSH key that signed the challenge.
#[utoipa::path(
    post, operation_id = "enrollKey", path = "/v1/keys", tag = "keys", request_body = EnrollKey, security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn enroll(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Posted(enroll): Posted<EnrollKey>,
) -> Result<Answer<KeyView>, Refusal> {
    Ok(Answer::ok(keys::enroll(&gateway.broker, &cx, &caller, enroll).await?))
}

/// Query of the list of keys.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListKeys {
    /// Everybody's, which needs `audit_read`; else one's own.
    #[serde(default)]
    all: bool,
}

/// Enrolled SSH keys, the newest first; those that were taken back too.
#[utoipa::path(
    get, operation_id = "listKeys", path = "/v1/keys", tag = "keys", params(ListKeys), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Vec<KeyView>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(query): Params<ListKeys>,
) -> Result<Answer<Vec<KeyView>>, Refusal> {
    Ok(Answer::ok(keys::list(&gateway.broker, &cx, &caller, query.all).await?))
}

/// Takes an SSH key back, for good: one's own, or anybody's with `administer`.
#[utoipa::path(
    delete, operation_id = "revokeKey", path = "/v1/keys/{index}", tag = "keys", params(("index" = u64, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(index): Named<u64>,
) -> Result<StatusCode, Refusal> {
    keys::revoke(&gateway.broker, &cx, &caller, index).await?;
    Ok(StatusCode::NO_CONTENT)
}
