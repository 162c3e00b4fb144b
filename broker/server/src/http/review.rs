//! The second mind, and waiting for it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use chunk_core::approval;
use chunk_core::context::Context;
use chunk_core::identity::{self, Caller};
use chunk_wire::fetch::{Acknowledge, RequestView};
use chunk_wire::id::RequestId;
use chunk_wire::problem::{Code, Problem};
use chunk_wire::review::{SubmitReview, Withdraw};
use futures::stream::{self, Stream};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Gateway;
use super::body::{Answer, Named, Posted};
use super::caller::{Cx, SignedIn};
use super::fetch::parse;
use super::limits::{EVENTS_KEEP_ALIVE, EVENTS_LOOK_EVERY, SESSION_LOOK_EVERY};
use super::openapi::EventText;
use super::problem::Refusal;

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
    let Ok(place) = Arc::clone(&gateway.event_streams).try_acquire_owned() else {
        return Err(Refusal::new(Code::RateLimited, "The broker has as many waiting clients as it can."));
    };
    let changes = approval::watch(&gateway.broker);
    // Asked once before the stream begins, so that "no such request" is a 404 and not an event.
    approval::show(&gateway.broker, &cx, &caller, &id).await?;
    let watcher = Watcher {
        gateway,
        cx,
        caller,
        id,
        changes,
        shown: None,
        over: false,
        _place: place,
    };
    let stream = stream::unfold(watcher, |mut watcher| async move {
        watcher.next().await.map(|event| (Ok(event), watcher))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(EVENTS_KEEP_ALIVE).text("keep-alive")))
}

/// One client that waits for changes of one request.
struct Watcher {
    gateway: Arc<Gateway>,
    cx: Context,
    caller: Caller,
    id: RequestId,
    changes: watch::Receiver<u64>,
    /// The event sent last, so that only changes are sent.
    shown: Option<String>,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            // Marked as seen before looking: a change during the look wakes the next round.
            self.changes.borrow_and_update();
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(problem) => {
                    self.over = true;
                    return Some(
                        Event::default()
                            .event("problem")
                            .data(serde_json::to_string(&problem).unwrap_or_default()),
                    );
                }
            }
            if !self.over {
                self.wait().await;
            }
        }
        None
    }

    /// The session and the request as they stand now; an event when the request looks different from before.
    async fn look(&mut self) -> Result<Option<Event>, Box<Problem>> {
        let broker = &self.gateway.broker;
        identity::still_open(broker, &self.caller).map_err(|fault| Box::new(fault.problem()))?;
        let view = approval::show(broker, &self.cx, &self.caller, &self.id)
            .await
            .map_err(|fault| Box::new(fault.problem()))?;
        let text =
            serde_json::to_string(&view).map_err(|_| Box::new(Problem::new(Code::Internal, "The request cannot be written as JSON.")))?;
        self.over = view.state.is_final();
        if self.shown.as_deref() == Some(text.as_str()) {
            return Ok(None);
        }
        let event = Event::default().event("request").data(&text);
        self.shown = Some(text);
        Ok(Some(event))
    }

    async fn wait(&mut self) {
        let stopping = self.gateway.stopping.clone();
        tokio::select! {
            () = stopping.cancelled() => { self.over = true; }
            changed = self.changes.changed() => match changed {
                // The log of a busy broker grows thousands of times a second; people do not read that fast.
                Ok(()) => tokio::time::sleep(EVENTS_LOOK_EVERY).await,
                Err(_) => self.over = true,
            },
            // A session that runs out of time changes nothing in the log.
            () = tokio::time::sleep(SESSION_LOOK_EVERY) => {}
        }
    }
}
