//! Planning, asking, and the bytes themselves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chunk_core::delivery::Delivery;
use chunk_core::fetch::Submitted;
use chunk_core::{approval, fetch};
use chunk_wire::fetch::{
    COUNT_HEADER, ChunkQuery, INTENT_HEADER, PlanAnswer, PlanRequest, REQUEST_HEADER, RequestState, RequestView, SNAPSHOT_HEADER,
    SubmitQuery, SubmitRequest,
};
use chunk_wire::id::RequestId;
use chunk_wire::problem::{Code, Problem};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tracing::Instrument as _;

use super::Gateway;
use super::body::{Answer, Named, Params, Posted};
use super::caller::{Credential, Cx, SignedIn};
use super::openapi::Binary;
use super::problem::Refusal;

/// What would happen, and the document to sign if it should. Releases nothing.
#[utoipa::path(
    post, operation_id = "plan", path = "/v1/plans", tag = "requests", security(("access_token" = [], "proof" = [])), request_body = PlanRequest,
    responses((status = 200, body = PlanAnswer), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn plan(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Posted(request): Posted<PlanRequest>,
) -> Result<Answer<PlanAnswer>, Refusal> {
    Ok(Answer::ok(fetch::plan(&gateway.broker, &cx, caller, request).await?))
}

/// Submits a request document signed with the session's key. With `deliver`, a request that needs nobody's approval is delivered at once; the
/// body ends as that of a chunk does.
#[utoipa::path(
    post, operation_id = "submitRequest", path = "/v1/requests", tag = "requests", params(SubmitQuery), security(("access_token" = [], "proof" = [])), request_body = SubmitRequest,
    responses(
        (status = 200, body = Binary, content_type = "application/octet-stream", headers(
            ("chunk-request" = String, description = "The request that was made of the document."),
            ("chunk-intent" = u64, description = "Index of the intent under which the bytes leave.")
        )),
        (status = 201, body = RequestView), (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn submit(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(asked): Params<SubmitQuery>,
    Posted(submit): Posted<SubmitRequest>,
) -> Result<Response, Refusal> {
    if !asked.deliver {
        return Ok(Answer::created(approval::submit(&gateway.broker, &cx, caller, submit).await?).into_response());
    }
    let road = async move { fetch::submit_and_fetch(&gateway.broker, &cx, caller, submit).await };
    match to_its_end(road).await? {
        Submitted::Waiting(view) => Ok(Answer::created(*view).into_response()),
        Submitted::Delivered { request, delivery } => {
            let mut response = streamed(delivery);
            if let Ok(request) = HeaderValue::from_str(request.as_str()) {
                response.headers_mut().insert(HeaderName::from_static(REQUEST_HEADER), request);
            }
            Ok(response)
        }
    }
}

/// A task of its own: a client that goes away drops a handler wherever it stands, and a grant taken without a delivery would be lost to the
/// requester.
async fn to_its_end<T: Send + 'static>(
    road: impl Future<Output = Result<T, chunk_core::error::Error>> + Send + 'static,
) -> Result<T, Refusal> {
    let ended = tokio::spawn(road.in_current_span()).await.map_err(|_| {
        Refusal::new(
            Code::Internal,
            "The broker failed before the delivery began; the operator's log says where.",
        )
    })?;
    Ok(ended?)
}

/// The bytes of a delivery, and what they are.
fn streamed(delivery: Delivery) -> Response {
    let content_type = HeaderValue::from_static(delivery.format().media_type());
    let intent = HeaderValue::from(delivery.intent());
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type), (HeaderName::from_static(INTENT_HEADER), intent)]);
    if let Some((chunks, snapshot)) = delivery.cut() {
        headers.insert(HeaderName::from_static(COUNT_HEADER), HeaderValue::from(chunks));
        if let Ok(snapshot) = HeaderValue::from_str(snapshot) {
            headers.insert(HeaderName::from_static(SNAPSHOT_HEADER), snapshot);
        }
    }
    // An error of the stream becomes an aborted connection: no length was announced, and no last chunk is sent.
    (headers, Body::from_stream(delivery)).into_response()
}

/// Query of the list of requests.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRequests {
    /// Only requests in this state.
    #[serde(default)]
    state: Option<RequestState>,
    /// Only the caller's own; else also those that the caller may review.
    #[serde(default)]
    mine: bool,
}

/// The caller's requests, and those that the caller may review.
#[utoipa::path(
    get, operation_id = "listRequests", path = "/v1/requests", tag = "requests", params(ListRequests), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Vec<RequestView>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(query): Params<ListRequests>,
) -> Result<Answer<Vec<RequestView>>, Refusal> {
    Ok(Answer::ok(
        approval::list(&gateway.broker, &cx, &caller, query.state, query.mine).await?,
    ))
}

/// One request.
#[utoipa::path(
    get, operation_id = "showRequest", path = "/v1/requests/{id}", tag = "requests", params(("id" = String, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = RequestView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
) -> Result<Answer<RequestView>, Refusal> {
    Ok(Answer::ok(approval::show(&gateway.broker, &cx, &caller, &parse(&id)?).await?))
}

/// Delivers one chunk of an approved request. The body ends cleanly only after the outcome is durable; every other end breaks
/// the connection.
#[utoipa::path(
    post, operation_id = "deliverChunk", path = "/v1/requests/{id}/chunks/{n}", tag = "requests", params(("id" = String, Path), ("n" = u32, Path), ChunkQuery),
    security(("access_token" = [], "proof" = [])),
    responses(
        (status = 200, body = Binary, content_type = "application/octet-stream", headers(
            ("chunk-intent" = u64, description = "Index of the intent under which the bytes leave."),
            ("chunk-count" = u32, description = "How many chunks the result has; absent where this is the whole."),
            ("chunk-snapshot" = String, description = "The moment of the source that the chunks are of; absent where this is the whole.")
        )),
        (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn deliver(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    Credential(presented): Credential,
    Named((id, chunk)): Named<(String, u32)>,
    Params(asked): Params<ChunkQuery>,
) -> Result<Response, Refusal> {
    let id = parse(&id)?;
    let road = async move { fetch::fetch(&gateway.broker, &cx, presented, id, chunk, asked).await };
    Ok(streamed(to_its_end(road).await?))
}

pub(super) fn parse(id: &str) -> Result<RequestId, Refusal> {
    id.parse().map_err(|_| Refusal::not_found("request"))
}
