//! What may be asked for.

use std::sync::Arc;

use axum::extract::State;
use chunk_core::catalog;
use chunk_wire::catalog::{DatasetDetail, DatasetSummary};
use chunk_wire::problem::Problem;

use super::Gateway;
use super::body::{Answer, Named};
use super::caller::{Cx, SignedIn};
use super::problem::Refusal;

/// The datasets that the caller may know of.
#[utoipa::path(
    get, operation_id = "listDatasets", path = "/v1/datasets", tag = "datasets", security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = Vec<DatasetSummary>), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
) -> Result<Answer<Vec<DatasetSummary>>, Refusal> {
    Ok(Answer::ok(catalog::list(&gateway.broker, &cx, &caller)?))
}

/// One dataset with its columns as the caller would see them.
#[utoipa::path(
    get, operation_id = "describeDataset", path = "/v1/datasets/{name}", tag = "datasets", params(("name" = String, Path)), security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = DatasetDetail), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn describe(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(name): Named<String>,
) -> Result<Answer<DatasetDetail>, Refusal> {
    Ok(Answer::ok(catalog::describe(&gateway.broker, &cx, &caller, &name).await?))
}
