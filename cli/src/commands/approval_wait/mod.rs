//! How does a fetch wait for the second mind?
//!
//! On the broker's event stream, which is joined again when it breaks: the request stands at the broker, so nothing is lost by
//! a cut, a sleep of the laptop or Ctrl-C. Ending the wait never ends the request.

use std::time::Duration;

use chunk_wire::fetch::{RequestState, RequestView};
use serde::Serialize;
use tokio::time::Instant;

use crate::client::connection;
use crate::client::events::Parser;
use crate::client::session::Session;
use crate::error::{Exit, Failure, Result};
use crate::output::Ui;
use crate::{figures, progress, text};

/// The broker sends something every 15 s; a stream silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until somebody decides or the request expires.
    Unlimited,
    /// Not longer than this.
    Limited(Duration),
    /// Not at all.
    None,
}

#[derive(Serialize)]
struct StateEvent<'a> {
    request: &'a str,
    state: &'static str,
    approvals_missing: u32,
    expires_ms: i64,
}

/// Waits until the request may be delivered; `pick_up` is the command that goes on from here.
///
/// # Errors
/// Exit 5 when the wait ends first; 1 when the answer is no; 2 when nobody can tell.
pub(crate) async fn until_deliverable(
    ui: &Ui,
    session: &Session<'_>,
    view: RequestView,
    patience: Patience,
    pick_up: &str,
) -> Result<RequestView> {
    announce(ui, &view)?;
    if view.state != RequestState::Pending {
        return settled(view);
    }
    ui.say(&format!(
        "Request {} waits for {}; it expires {}.",
        view.id,
        people(view.approvals_missing),
        figures::from_now(view.expires_ms, figures::now_ms())
    ));
    ui.say(&format!("A reviewer runs `chunkctl approve {} --reason …`.", view.id));
    if patience == Patience::None {
        return Err(pending(&view, pick_up));
    }
    let bar = progress::waiting(ui, &format!("waiting for {}", people(view.approvals_missing)));
    let limit = match patience {
        Patience::Limited(limit) => limit,
        Patience::Unlimited | Patience::None => Duration::MAX,
    };
    let outcome = tokio::select! {
        outcome = follow(ui, session, &view, &bar) => outcome,
        () = sleep_at_most(limit) => Err(pending(&view, pick_up)),
        () = interrupted() => Err(pending(&view, pick_up)),
    };
    bar.finish_and_clear();
    settled(outcome?)
}

/// Ctrl-C, or a polite request to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    tokio::signal::ctrl_c().await.ok();
}

/// Follows the request until it is no longer pending.
async fn follow(ui: &Ui, session: &Session<'_>, view: &RequestView, bar: &indicatif::ProgressBar) -> Result<RequestView> {
    let mut retry = RETRY_FIRST;
    let mut missing = view.approvals_missing;
    loop {
        let joined = Instant::now();
        let outcome = listen(session, view, |now| {
            if now.approvals_missing != missing {
                missing = now.approvals_missing;
                bar.set_message(format!("waiting for {}", people(missing)));
                announce(ui, now)?;
            }
            Ok(())
        })
        .await;
        match outcome {
            Ok(Some(view)) => return Ok(view),
            Ok(None) => {} // the stream ended early: a restart, a proxy's limit
            Err(failure) if failure.exit == Exit::CannotTell => {}
            Err(failure) => return Err(failure),
        }
        if joined.elapsed() > RETRY_MAX {
            retry = RETRY_FIRST;
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

/// One connection's worth of events; gives the view that ended the wait, if one came.
async fn listen(
    session: &Session<'_>,
    view: &RequestView,
    mut changed: impl FnMut(&RequestView) -> Result<()>,
) -> Result<Option<RequestView>> {
    let call = session
        .broker
        .get(&["v1", "requests", view.id.as_str(), "events"])
        .stream("text/event-stream");
    let mut stream = session.send(&call).await?;
    let mut parser = Parser::default();
    loop {
        let part = match tokio::time::timeout(SILENCE_MAX, stream.chunk()).await {
            Err(_) => return Ok(None),
            Ok(part) => part.map_err(|error| connection::cut(&error))?,
        };
        let Some(part) = part else { return Ok(None) };
        let events = parser
            .feed(&part)
            .map_err(|_| Failure::cannot_tell("unexpected_answer", "the broker's event is too large to be one"))?;
        for event in events.iter().filter(|event| event.name == "request") {
            let now: RequestView = serde_json::from_str(&event.data)
                .map_err(|_| Failure::bug("the broker's event is not of the form this version expects"))?;
            if now.id != view.id || now.digest != view.digest {
                return Err(Failure::no(
                    "document_mismatch",
                    "the broker told of another request than the one that was signed",
                ));
            }
            if now.state != RequestState::Pending {
                return Ok(Some(now));
            }
            changed(&now)?;
        }
    }
}

fn announce(ui: &Ui, view: &RequestView) -> Result<()> {
    ui.event(
        "request.state",
        &StateEvent {
            request: view.id.as_str(),
            state: view.state.as_str(),
            approvals_missing: view.approvals_missing,
            expires_ms: view.expires_ms,
        },
    )
}

/// Whether what a request has come to is a yes.
fn settled(view: RequestView) -> Result<RequestView> {
    let last = view.reviews.last();
    let because = |failure: Failure| match last {
        Some(review) => failure.why(format!("{}: {}", text::line(&review.reviewer.name), text::line(&review.reason))),
        None => failure,
    };
    let show = format!("chunkctl request show {}", view.id);
    match view.state {
        RequestState::Approved | RequestState::Running | RequestState::Paused | RequestState::Completed => Ok(view),
        RequestState::Pending => Err(Failure::bug("a wait ended while the request was pending")),
        RequestState::Rejected => Err(because(Failure::no("rejected", format!("request {} was rejected", view.id))).hint(show)),
        RequestState::Expired => Err(Failure::no("expired", format!("request {} expired", view.id)).hint(show)),
        RequestState::Cancelled => Err(Failure::no("cancelled", format!("request {} was cancelled", view.id)).hint(show)),
        RequestState::Revoked => Err(Failure::no("revoked", format!("request {} was revoked", view.id)).hint(show)),
        RequestState::Failed => Err(Failure::cannot_tell("failed", format!("request {} failed", view.id))
            .why("no retry mends it; ask anew")
            .hint(show)),
    }
}

fn pending(view: &RequestView, pick_up: &str) -> Failure {
    Failure::new(
        Exit::Pending,
        "approval_pending",
        format!(
            "request {} waits for approval; it stands until {}",
            view.id,
            figures::time(view.expires_ms)
        ),
    )
    .hint(pick_up)
}

fn people(n: u32) -> String {
    format!(
        "the approval of {}",
        if n == 1 { "1 person".to_owned() } else { format!("{n} people") }
    )
}

/// The timer does not reach as far as a duration can.
async fn sleep_at_most(limit: Duration) {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    tokio::time::sleep(limit.min(YEAR)).await;
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
