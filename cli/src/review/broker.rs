//! What the reviewer's screen does at the broker: listens to what waits, reads what was decided, hands in verdicts.

use chunk_wire::fetch::RequestView;
use chunk_wire::review::InboxListed;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

use super::update::{Effect, Event};
use crate::auth::agent::SshSigner;
use crate::client::events::{self, Backoff, Stream};
use crate::client::session::Session;
use crate::commands::review::judge;
use crate::error::{Exit, Failure, Result};

/// Tells what waits for this reviewer, for as long as the session lasts; joins the stream again whenever it breaks.
pub(super) async fn follow(session: &Session<'_>, events: &Sender<Event>) -> Failure {
    let mut backoff = Backoff::new();
    loop {
        let lost = match listen(session, events).await {
            Ok(()) => Failure::cannot_tell("cut", "its stream ended"),
            Err(failure) if failure.exit == Exit::CannotTell => failure,
            Err(failure) => return failure,
        };
        if events.send(Event::Lost(lost)).await.is_err() {
            return gone();
        }
        backoff.pause().await;
    }
}

/// One connection's worth of events.
async fn listen(session: &Session<'_>, events: &Sender<Event>) -> Result<()> {
    let call = session.broker.get(&["v1", "requests", "events"]).query("to_review", "true");
    let mut stream = Stream::open(session, call).await?;
    while let Some(event) = stream.next().await? {
        let happened = match event.name.as_str() {
            "list" => Event::List,
            "request" => Event::Request(Box::new(parse::<RequestView>(&event)?)),
            "listed" => Event::Listed(parse::<InboxListed>(&event)?.left_out),
            // What ends the stream is told again, and better, when it is joined again.
            "problem" => return Ok(()),
            _ => continue,
        };
        events.send(happened).await.map_err(|_| gone())?;
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(event: &events::Event) -> Result<T> {
    serde_json::from_str(&event.data).map_err(|_| Failure::bug("the broker's event is not of the form this version expects"))
}

/// Does what has to be done at the broker, one after another.
pub(super) async fn run_errands(
    session: &Session<'_>,
    ssh: Option<&SshSigner>,
    mut to_do: UnboundedReceiver<Effect>,
    events: &Sender<Event>,
) -> Failure {
    while let Some(errand) = to_do.recv().await {
        let done = match errand {
            Effect::ReadHistory => Event::History(session.get(&["v1", "requests"]).await),
            Effect::Send { on, verdict, reason } => Event::Answered {
                id: on.view().id.clone(),
                verdict,
                answer: Box::new(judge(session, &on, verdict, &reason, ssh).await),
            },
            Effect::Suspend | Effect::Redraw | Effect::Quit => continue,
        };
        if events.send(done).await.is_err() {
            break;
        }
    }
    gone()
}

/// Whoever listened has ended first.
fn gone() -> Failure {
    Failure::bug("the review lost its own events")
}
