//! How does a fetch wait for the second mind?
//!
//! On the broker's event stream, which is joined again when it breaks: the request stands at the broker, so nothing is lost by
//! a cut, a sleep of the laptop or Ctrl-C. Ending the wait never ends the request.

use std::time::Duration;

use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::review::Withdraw;
use serde::Serialize;

use crate::auth::vault::Storage;
use crate::client::events::{Backoff, Stream};
use crate::client::session::Session;
use crate::commands::query;
use crate::error::{Exit, Failure, Result};
use crate::output::Ui;
use crate::{document, figures, progress, text};

/// The broker ends what has expired within a second or two, and tells; only after that it is asked.
const EXPIRY_GRACE_MS: i64 = 5_000;
/// A laptop that slept has a clock that jumped, so that a long wait looks at it now and then.
const CLOCK_EVERY: Duration = Duration::from_secs(30);
/// Nobody waits long for a last word.
const LAST_WORD_MAX: Duration = Duration::from_secs(5);

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
    wait(ui, session, view, patience, pick_up, interrupted()).await
}

async fn wait(
    ui: &Ui,
    session: &Session<'_>,
    view: RequestView,
    patience: Patience,
    pick_up: &str,
    interrupted: impl Future<Output = ()>,
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
    if session.vault().storage == Storage::Memory {
        ui.warn("the session is in memory only: when this command ends before the decision, the request is cancelled");
    }
    let bar = progress::waiting(ui, &format!("waiting for {}", people(view.approvals_missing)));
    let limit = match patience {
        Patience::Limited(limit) => limit,
        Patience::Unlimited | Patience::None => Duration::MAX,
    };
    let outcome = tokio::select! {
        outcome = follow(ui, session, &view, &bar) => outcome.map(Some),
        outcome = past_expiry(session, &view, pick_up) => outcome.map(Some),
        () = sleep_at_most(limit) => Ok(None),
        () = interrupted => Ok(None),
    };
    bar.finish_and_clear();
    match outcome? {
        Some(view) => settled(view),
        None if session.vault().storage == Storage::Memory => Err(give_up(session, &view).await),
        None => Err(pending(&view, pick_up)),
    }
}

/// Waits for the window of time in which an approved request may be fetched. Whether it is the time is the broker's to say; this only
/// does not ask too early.
///
/// # Errors
/// Exit 5 when the wait ends first; 1 when the document is not what was signed.
pub(crate) async fn until_its_time(ui: &Ui, view: &RequestView, patience: Patience, pick_up: &str) -> Result<()> {
    if view.state != RequestState::Approved {
        return Ok(());
    }
    let Some(window) = document::check_shown(view)?.window else {
        return Ok(());
    };
    let now_ms = figures::now_ms();
    let Ok(early) = u64::try_from(window.from_ms - now_ms) else {
        return Ok(());
    };
    if early == 0 {
        return Ok(());
    }
    let from = figures::time(window.from_ms);
    ui.say(&format!("Request {} may be fetched {}.", view.id, query::window(&window)));
    let ended = match patience {
        Patience::None => true,
        Patience::Limited(limit) if limit < Duration::from_millis(early) => {
            sleep_or_interrupted(limit).await;
            true
        }
        Patience::Limited(_) | Patience::Unlimited => {
            let bar = progress::waiting(ui, &format!("waiting for {from}"));
            let interrupted = sleep_until(window.from_ms).await;
            bar.finish_and_clear();
            interrupted
        }
    };
    if ended {
        let what = format!("request {} is approved, and may be fetched from {from} on", view.id);
        return Err(Failure::new(Exit::Pending, "not_yet", what).hint(pick_up.to_owned()));
    }
    Ok(())
}

/// Whether it was interrupted before this time came. A laptop that slept has a clock that jumped, so it looks at it now and then.
async fn sleep_until(time_ms: i64) -> bool {
    loop {
        let Ok(left) = u64::try_from(time_ms - figures::now_ms()) else {
            return false;
        };
        if left == 0 {
            return false;
        }
        if sleep_or_interrupted(Duration::from_millis(left).min(CLOCK_EVERY)).await {
            return true;
        }
    }
}

async fn sleep_or_interrupted(limit: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(limit) => false,
        () = interrupted() => true,
    }
}

/// Ctrl-C, a polite request to end, or a terminal that went away.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = async {
            // Under `nohup` the signal is ignored, and has to stay so.
            let listen = if hangup_is_ignored() {
                None
            } else {
                signal(SignalKind::hangup()).ok()
            };
            match listen {
                Some(mut hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let terminate = async {
            match signal(SignalKind::terminate()) {
                Ok(mut terminate) => terminate.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate => {}
            _ = hangup => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.ok();
}

/// Whether this process was started with SIGHUP ignored, as Linux tells it (proc(5), `SigIgn`).
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    const SIGHUP: u64 = 1; // the first signal is the lowest bit
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & SIGHUP != 0)
}

/// Waits until the request cannot be pending any more, and asks what became of it: a broker that is gone sends no word.
async fn past_expiry(session: &Session<'_>, view: &RequestView, pick_up: &str) -> Result<RequestView> {
    let mut expires_ms = view.expires_ms;
    loop {
        loop {
            let left_ms = expires_ms.saturating_add(EXPIRY_GRACE_MS) - session.broker.now_ms();
            match u64::try_from(left_ms) {
                Ok(left_ms) if left_ms > 0 => tokio::time::sleep(Duration::from_millis(left_ms).min(CLOCK_EVERY)).await,
                _ => break,
            }
        }
        let segments = ["v1", "requests", view.id.as_str()];
        let asked = session.get::<RequestView>(&segments);
        let now = match tokio::time::timeout(LAST_WORD_MAX, asked).await {
            Ok(Ok(now)) => now,
            Ok(Err(failure)) if failure.exit != Exit::CannotTell => return Err(failure),
            _ => {
                let what = format!("nobody can tell what became of request {}", view.id);
                return Err(Failure::cannot_tell("unreachable", what)
                    .why(format!(
                        "nobody had decided when the broker was last heard of; the request was to expire on {}",
                        figures::time(expires_ms)
                    ))
                    .hint(format!("chunkctl request show {}", view.id)));
            }
        };
        same_request(view, &now)?;
        if now.state != RequestState::Pending {
            return Ok(now);
        }
        if now.expires_ms <= expires_ms {
            return Err(pending(&now, pick_up));
        }
        expires_ms = now.expires_ms;
    }
}

/// A request whose key ends with this command is of no use to anybody, least of all to a reviewer.
async fn give_up(session: &Session<'_>, view: &RequestView) -> Failure {
    let body = Withdraw {
        reason: "its key was kept in memory only, and the command that waited has ended".to_owned(),
    };
    let segments = ["v1", "requests", view.id.as_str(), "cancel"];
    let told = tokio::time::timeout(LAST_WORD_MAX, session.post::<RequestView>(&segments, &body)).await;
    let lost = "this profile keeps its session in memory only, so the key that may fetch the request ends with this command";
    match told {
        Ok(Ok(now)) if now.state == RequestState::Cancelled => Failure::no(
            "cancelled",
            format!("request {} was cancelled, because nobody could pick it up", view.id),
        ),
        _ => Failure::cannot_tell(
            "unreachable",
            format!("request {} cannot be picked up, and could not be cancelled", view.id),
        )
        .why(format!("it stands at the broker until {}", figures::time(view.expires_ms))),
    }
    .why(lost)
    .hint("chunkctl login --storage file")
}

/// Follows the request until it is no longer pending.
async fn follow(ui: &Ui, session: &Session<'_>, view: &RequestView, bar: &indicatif::ProgressBar) -> Result<RequestView> {
    let mut backoff = Backoff::new();
    let mut missing = view.approvals_missing;
    let mut link = Link::default();
    loop {
        let outcome = listen(session, view, |now| {
            if let Some(words) = link.is_up() {
                bar.suspend(|| ui.warn(words));
            }
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
            Err(failure) if failure.exit == Exit::CannotTell => {
                if let Some(words) = link.is_down(&failure) {
                    bar.suspend(|| ui.warn(&words));
                }
            }
            Err(failure) => return Err(failure),
        }
        backoff.pause().await;
    }
}

/// The way to the broker: that it is lost is told once, and that it is back once.
#[derive(Default)]
struct Link {
    lost: bool,
}

impl Link {
    fn is_up(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.lost).then_some("the broker is heard again; the request still waits")
    }

    fn is_down(&mut self, failure: &Failure) -> Option<String> {
        let because = failure.why.first().unwrap_or(&failure.what);
        (!std::mem::replace(&mut self.lost, true)).then(|| {
            format!("the broker is not heard any more ({because}); the request stands there, and is asked for again until it expires")
        })
    }
}

/// One connection's worth of events; gives the view that ended the wait, if one came.
async fn listen(
    session: &Session<'_>,
    view: &RequestView,
    mut changed: impl FnMut(&RequestView) -> Result<()>,
) -> Result<Option<RequestView>> {
    let call = session.broker.get(&["v1", "requests", view.id.as_str(), "events"]);
    let mut stream = Stream::open(session, call).await?;
    while let Some(event) = stream.next().await? {
        if event.name != "request" {
            continue;
        }
        let now: RequestView =
            serde_json::from_str(&event.data).map_err(|_| Failure::bug("the broker's event is not of the form this version expects"))?;
        same_request(view, &now)?;
        if now.state != RequestState::Pending {
            return Ok(Some(now));
        }
        changed(&now)?;
    }
    Ok(None)
}

fn same_request(signed: &RequestView, told: &RequestView) -> Result<()> {
    if told.id == signed.id && told.digest == signed.digest {
        return Ok(());
    }
    Err(Failure::no(
        "document_mismatch",
        "the broker told of another request than the one that was signed",
    ))
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
