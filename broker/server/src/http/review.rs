//! The second mind, and waiting for it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use chunk_core::approval::{self, Inbox, Told};
use chunk_wire::fetch::{Acknowledge, RequestView};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Problem;
use chunk_wire::review::{InboxListed, SubmitReview, Withdraw};
use futures::stream::Stream;
use http::StatusCode;
use serde::Deserialize;

use super::Gateway;
use super::body::{Answer, Named, Params, Posted};
use super::caller::{Cx, SignedIn};
use super::fetch::parse;
use super::limits::{EVENTS_LOOK_EVERY, INBOX_LOOK_EVERY};
use super::openapi::EventText;
use super::problem::Refusal;
use super::watch::{Watched, Watcher, json};

/// A reviewer's signed verdict.
#[utoipa::path(
    post, operation_id = "reviewRequest", path = "/v1/requests/{id}/reviews", tag = "reviews", params(("id" = String, Path)), request_body = SubmitReview,
    security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = RequestView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn review(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
    Posted(submit): Posted<SubmitReview>,
) -> Result<Answer<RequestView>, Refusal> {
    Ok(Answer::ok(
        approval::review(&gateway.broker, &cx, caller, parse(&id)?, submit).await?,
    ))
}

/// The requester withdraws a request.
#[utoipa::path(
    post, operation_id = "cancelRequest", path = "/v1/requests/{id}/cancel", tag = "requests", params(("id" = String, Path)), request_body = Withdraw,
    security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = RequestView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
    Posted(withdraw): Posted<Withdraw>,
) -> Result<Answer<RequestView>, Refusal> {
    Ok(Answer::ok(
        approval::cancel(&gateway.broker, &cx, caller, parse(&id)?, withdraw).await?,
    ))
}

/// A reviewer or administrator takes an approval back; a running delivery is cut.
#[utoipa::path(
    post, operation_id = "revokeRequest", path = "/v1/requests/{id}/revoke", tag = "reviews", params(("id" = String, Path)), request_body = Withdraw,
    security(("access_token" = [], "proof" = [])),
    responses((status = 200, body = RequestView), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
    Posted(withdraw): Posted<Withdraw>,
) -> Result<Answer<RequestView>, Refusal> {
    Ok(Answer::ok(
        approval::revoke(&gateway.broker, &cx, caller, parse(&id)?, withdraw).await?,
    ))
}

/// The requester has the bytes on disk.
#[utoipa::path(
    post, operation_id = "acknowledgeDelivery", path = "/v1/requests/{id}/ack", tag = "requests", params(("id" = String, Path)), request_body = Acknowledge,
    security(("access_token" = [], "proof" = [])),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn acknowledge(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
    Posted(ack): Posted<Acknowledge>,
) -> Result<StatusCode, Refusal> {
    approval::acknowledge(&gateway.broker, &cx, caller, parse(&id)?, ack).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Server-sent events named `request`, each a `RequestView`: the present state, then every change. Ends when the request can
/// change no more, after an event named `problem` when the session ends, or without one when the broker stops.
#[utoipa::path(
    get, operation_id = "watchRequest", path = "/v1/requests/{id}/events", tag = "requests", params(("id" = String, Path)), security(("access_token" = [], "proof" = [])),
    responses(
        (status = 200, body = EventText, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn events(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Named(id): Named<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let id = parse(&id)?;
    let watcher = Watcher::new(Arc::clone(&gateway), cx.clone(), caller.clone(), EVENTS_LOOK_EVERY)?;
    // Asked once before the stream begins, so that "no such request" is a 404 and not an event.
    approval::show(&gateway.broker, &cx, &caller, &id).await?;
    Ok(watcher.stream(OneRequest { id, shown: None }))
}

/// One request, watched.
struct OneRequest {
    id: RequestId,
    /// The event sent last, so that only changes are sent.
    shown: Option<String>,
}

impl Watched for OneRequest {
    /// The request as it stands now; an event when it looks different from before.
    async fn look(&mut self, watcher: &mut Watcher) -> Result<Option<Event>, Box<Problem>> {
        let view = approval::show(&watcher.gateway.broker, &watcher.cx, &watcher.caller, &self.id)
            .await
            .map_err(|fault| Box::new(fault.problem()))?;
        let text = json(&view)?;
        watcher.over = view.state.is_final();
        if self.shown.as_deref() == Some(text.as_str()) {
            return Ok(None);
        }
        let event = Event::default().event("request").data(&text);
        self.shown = Some(text);
        Ok(Some(event))
    }
}

/// Query of the stream of many requests.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WatchRequests {
    /// Only those of others that the caller may review; else all that the caller may see.
    #[serde(default)]
    to_review: bool,
}

/// Server-sent events: `list`, a `request` (a `RequestView`) for each pending request, newest first, `listed`, and from then on a
/// `request` for every change of any request. `list` comes again when policy shows the caller other requests than before. Ends
/// after an event named `problem` when the session ends, or without one when the broker stops.
#[utoipa::path(
    get, operation_id = "watchRequests", path = "/v1/requests/events", tag = "requests", params(WatchRequests), security(("access_token" = [], "proof" = [])),
    responses(
        (status = 200, body = EventText, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn all_events(
    State(gateway): State<Arc<Gateway>>,
    Cx(cx): Cx,
    SignedIn(caller): SignedIn,
    Params(query): Params<WatchRequests>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let watcher = Watcher::new(gateway, cx, caller, INBOX_LOOK_EVERY)?;
    Ok(watcher.stream(ManyRequests(Inbox::new(query.to_review))))
}

/// Every request that a caller may see, watched.
struct ManyRequests(Inbox);

impl Watched for ManyRequests {
    async fn look(&mut self, watcher: &mut Watcher) -> Result<Option<Event>, Box<Problem>> {
        let told = self.0.next(&watcher.gateway.broker, &watcher.cx, &watcher.caller).await;
        Ok(match told.map_err(|fault| Box::new(fault.problem()))? {
            None => None,
            Some(Told::List) => Some(Event::default().event("list").data("{}")),
            Some(Told::Request(view)) => Some(Event::default().event("request").data(json(&*view)?)),
            Some(Told::Listed { left_out }) => Some(Event::default().event("listed").data(json(&InboxListed { left_out })?)),
        })
    }
}
