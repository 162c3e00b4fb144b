//! The evidence: entries, bundles, receipts, and the log itself under its C2SP paths.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_core::audit;
use chunk_wire::audit::{EntryPage, EntryQuery, EntryView, EraseRequest, Erased, ExportRequest};
use chunk_wire::problem::{Code, Problem};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::Gateway;
use super::body::{Answer, Named, Params, Posted};
use super::caller::{Cx, SignedIn};
use super::fetch::parse;
use super::openapi::Binary;
use super::problem::Refusal;

const BUNDLE: &str = "application/vnd.chunkctl.bundle";
const OCTETS: &str = "application/octet-stream";

/// Searches the log, newest first. Looking is itself an entry.
#[utoipa::path(
    get, operation_id = "searchEntries", path = "/v1/audit/entries", tag = "evidence", params(EntryQuery), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = EntryPage), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(query): Params<EntryQuery>,
) -> Result<Answer<EntryPage>, Refusal> {
    Ok(Answer::ok(audit::search(&gateway.broker, &cx, &caller, query).await?))
}

/// One entry, opened.
#[utoipa::path(
    get, operation_id = "showEntry", path = "/v1/audit/entries/{index}", tag = "evidence", params(("index" = u64, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = EntryView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn entry(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(index): Named<u64>,
) -> Result<Answer<EntryView>, Refusal> {
    Ok(Answer::ok(audit::entry(&gateway.broker, &cx, &caller, index).await?))
}

/// A bundle that an auditor verifies offline.
#[utoipa::path(
    post, operation_id = "exportBundle", path = "/v1/audit/exports", tag = "evidence", request_body = ExportRequest, security(("access_token" = [], "proof" = [])),
    responses(
        (status = 200, body = Binary, content_type = "application/vnd.chunkctl.bundle"),
        (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn export(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Posted(request): Posted<ExportRequest>,
) -> Result<Response, Refusal> {
    let export = audit::export(&gateway.broker, &cx, &caller, request).await?;
    let length = HeaderValue::from(export.length);
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(BUNDLE)), (CONTENT_LENGTH, length)];
    Ok((headers, Body::from_stream(export)).into_response())
}

/// Erases what the log holds of a person, who does not come back; every proof still holds.
#[utoipa::path(
    post, operation_id = "erase", path = "/v1/audit/erasures", tag = "evidence", request_body = EraseRequest, security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Erased), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn erase(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Posted(request): Posted<EraseRequest>,
) -> Result<Answer<Erased>, Refusal> {
    Ok(Answer::ok(audit::erase(&gateway.broker, &cx, &caller, request).await?))
}

/// What a delivery returned, byte for byte, where that was kept. Reading it is itself an entry.
#[utoipa::path(
    get, operation_id = "recording", path = "/v1/audit/recordings/{index}", tag = "evidence",
    params(("index" = u64, Path, description = "Index of the delivery's intent.")), security(("access_token" = [], "proof" = [])),
    responses(
        (status = 200, body = Binary, content_type = "application/octet-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn recording(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(index): Named<u64>,
) -> Result<Response, Refusal> {
    let replay = audit::recording(&gateway.broker, &cx, &caller, index).await?;
    let length = HeaderValue::from(replay.length);
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(OCTETS)), (CONTENT_LENGTH, length)];
    Ok((headers, Body::from_stream(replay)).into_response())
}

/// Query of a receipt.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfChunk {
    /// Chunk number, from 0.
    #[serde(default)]
    chunk: u32,
}

/// The receipt of a completed delivery.
#[utoipa::path(
    get, operation_id = "receipt", path = "/v1/requests/{id}/receipt", tag = "evidence", params(("id" = String, Path), OfChunk),
    security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Object, content_type = "application/json"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn receipt(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
    Params(query): Params<OfChunk>,
) -> Result<Response, Refusal> {
    let text = audit::receipt(&gateway.broker, &cx, &caller, &parse(&id)?, query.chunk).await?;
    Ok(typed("application/json", text.into_bytes()))
}

/// The newest signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(
    get, operation_id = "checkpoint", path = "/checkpoint", tag = "log", security(()), responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn checkpoint(State(gateway): State<Arc<Gateway>>) -> Response {
    typed("text/plain; charset=utf-8", audit::checkpoint(&gateway.broker).into_bytes())
}

/// A tile of hashes (C2SP tlog-tiles).
#[utoipa::path(
    get, operation_id = "hashTile", path = "/tile/{level}/{index}", tag = "log", security(()),
    params(("level" = u8, Path), ("index" = String, Path, description = "`x001/x234/067`, or `x001/x234/067.p/W` for a partial tile of W hashes.")),
    responses((status = 200, body = Binary, content_type = "application/octet-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn tile(State(gateway): State<Arc<Gateway>>, Named((level, index)): Named<(String, String)>) -> Result<Response, Refusal> {
    audit::tile(&gateway.broker, &format!("tile/{level}/{index}"))
        .map(|bytes| typed(OCTETS, bytes))
        .ok_or_else(|| Refusal::not_found("tile"))
}

/// A bundle of leaves (C2SP tlog-tiles).
#[utoipa::path(
    get, operation_id = "entriesTile", path = "/tile/entries/{index}", tag = "log", security(("access_token" = [], "proof" = [])), params(("index" = String, Path)),
    responses((status = 200, body = Binary, content_type = "application/octet-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn entries_tile(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(index): Named<String>,
) -> Result<Response, Refusal> {
    let path = format!("tile/entries/{index}");
    Ok(typed(OCTETS, audit::entries_tile(&gateway.broker, &cx, &caller, &path).await?))
}

/// Query of a consistency proof.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Sizes {
    /// Size of the older tree.
    from: u64,
    /// Size of the newer tree.
    to: u64,
}

/// Proof that one tree extends another (RFC 6962).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Consistency {
    /// Hashes, base64.
    proof: Vec<String>,
}

/// Proof that the tree of size `to` extends the tree of size `from`.
#[utoipa::path(
    get, operation_id = "consistencyProof", path = "/consistency", tag = "log", security(()), params(Sizes),
    responses((status = 200, body = Consistency), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn consistency(State(gateway): State<Arc<Gateway>>, Params(sizes): Params<Sizes>) -> Result<Answer<Consistency>, Refusal> {
    match audit::consistency(&gateway.broker, sizes.from, sizes.to) {
        Some(proof) => Ok(Answer::ok(Consistency {
            proof: proof.iter().map(|hash| STANDARD.encode(hash)).collect(),
        })),
        None => Err(Refusal::new(
            Code::InvalidRequest,
            "`from` must not be larger than `to`, nor `to` than the log.",
        )),
    }
}

/// Query of the entries that replaced the log's key.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfSize {
    /// Size of the tree under which they are proven.
    size: u64,
}

/// The entries that replaced the log's key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Replaced {
    /// The entries in log order, as receipts hold them.
    #[schema(value_type = Vec<Object>)]
    rotations: Vec<audit::ReceiptEntry>,
}

/// The entries below `size` that replaced the log's key, each signed by the key before it and the key in its place.
#[utoipa::path(
    get, operation_id = "logKeys", path = "/rotations", tag = "log", security(()), params(OfSize),
    responses((status = 200, body = Replaced), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn rotations(State(gateway): State<Arc<Gateway>>, Params(of): Params<OfSize>) -> Result<Answer<Replaced>, Refusal> {
    match audit::rotations(&gateway.broker, of.size).await? {
        Some(rotations) => Ok(Answer::ok(Replaced { rotations })),
        None => Err(Refusal::new(Code::InvalidRequest, "`size` must not be larger than the log.")),
    }
}

fn typed(media_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], bytes).into_response()
}
