//! Signing in and out, and looking at sessions.

use std::sync::Arc;

use axum::extract::State;
use chunk_core::{audit, identity};
use chunk_wire::id::SessionId;
use chunk_wire::problem::Problem;
use chunk_wire::session::{BrokerInfo, OpenBrowserSession, OpenSession, RefreshSession, SessionTokens, SessionView, WhoAmI};
use http::StatusCode;
use serde::Deserialize;

use super::Gateway;
use super::body::{Answer, Named, Params, Posted};
use super::caller::{Cx, ProofOnly, SignedIn, SigningIn};
use super::problem::Refusal;

/// What a client must know before it signs in.
#[utoipa::path(get, operation_id = "brokerInfo", path = "/v1/info", tag = "sessions", security(()), responses((status = 200, body = BrokerInfo)))]
pub(super) async fn info(State(gateway): State<Arc<Gateway>>) -> Answer<BrokerInfo> {
    Answer::ok(gateway.broker.info())
}

/// Exchanges an identity provider's token for a session bound to the key of the proof.
#[utoipa::path(
    post, operation_id = "openSession", path = "/v1/sessions", tag = "sessions", security(("proof" = [])), request_body = OpenSession,
    responses((status = 201, body = SessionTokens), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn open(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SigningIn(presented): SigningIn,
    Posted(open): Posted<OpenSession>,
) -> Result<Answer<SessionTokens>, Refusal> {
    Ok(Answer::created(
        identity::open_session(&gateway.broker, &cx, presented, open).await?,
    ))
}

/// Exchanges the code of a sign-in in the browser for a session bound to the key of the proof. The broker redeems the code.
#[utoipa::path(
    post, operation_id = "openBrowserSession", path = "/v1/sessions/browser", tag = "sessions", security(("proof" = [])), request_body = OpenBrowserSession,
    responses((status = 201, body = SessionTokens), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn open_browser(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SigningIn(presented): SigningIn,
    Posted(open): Posted<OpenBrowserSession>,
) -> Result<Answer<SessionTokens>, Refusal> {
    Ok(Answer::created(
        identity::open_browser_session(&gateway.broker, &cx, presented, open).await?,
    ))
}

/// Gives new tokens for an open session.
#[utoipa::path(
    post, operation_id = "refreshSession", path = "/v1/sessions/refresh", tag = "sessions", security(("proof" = [])), request_body = RefreshSession,
    responses((status = 200, body = SessionTokens), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn refresh(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    ProofOnly(presented): ProofOnly,
    Posted(refresh): Posted<RefreshSession>,
) -> Result<Answer<SessionTokens>, Refusal> {
    Ok(Answer::ok(
        identity::refresh_session(&gateway.broker, &cx, presented, refresh).await?,
    ))
}

/// Signs out.
#[utoipa::path(
    delete, operation_id = "closeSession", path = "/v1/sessions/current", tag = "sessions", security(("access_token" = [], "proof" = [])),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn close(State(gateway): State<Arc<Gateway>>, Cx(cx): Cx, SignedIn(caller): SignedIn) -> Result<StatusCode, Refusal> {
    identity::close_session(&gateway.broker, &cx, &caller, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who am I, and what may I do that is not about one dataset?
#[utoipa::path(
    get, operation_id = "whoAmI", path = "/v1/whoami", tag = "sessions", security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = WhoAmI), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn whoami(State(gateway): State<Arc<Gateway>>, Cx(cx): Cx, SignedIn(caller): SignedIn) -> Answer<WhoAmI> {
    Answer::ok(identity::whoami(&gateway.broker, &cx, &caller))
}

/// Query of the list of sessions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSessions {
    /// Everybody's, which needs `audit_read`; else one's own.
    #[serde(default)]
    all: bool,
}

/// Recorded sessions, without their timelines.
#[utoipa::path(
    get, operation_id = "listSessions", path = "/v1/sessions", tag = "sessions", params(ListSessions), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Vec<SessionView>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(query): Params<ListSessions>,
) -> Result<Answer<Vec<SessionView>>, Refusal> {
    Ok(Answer::ok(audit::sessions(&gateway.broker, &cx, &caller, query.all).await?))
}

/// One session with everything recorded under it.
#[utoipa::path(
    get, operation_id = "showSession", path = "/v1/sessions/{sid}", tag = "sessions", params(("sid" = String, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = SessionView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(sid): Named<String>,
) -> Result<Answer<SessionView>, Refusal> {
    Ok(Answer::ok(audit::session(&gateway.broker, &cx, &caller, &parse(&sid)?).await?))
}

/// Ends a session: one's own, or anybody's with `administer`.
#[utoipa::path(
    delete, operation_id = "revokeSession", path = "/v1/sessions/{sid}", tag = "sessions", params(("sid" = String, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(sid): Named<String>,
) -> Result<StatusCode, Refusal> {
    identity::close_session(&gateway.broker, &cx, &caller, Some(parse(&sid)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(sid: &str) -> Result<SessionId, Refusal> {
    sid.parse().map_err(|_| Refusal::not_found("session"))
}
