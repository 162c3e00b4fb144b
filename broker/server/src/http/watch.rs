//! A client that waits for changes: what it is told, and when it is told no more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use chunk_core::approval;
use chunk_core::context::Context;
use chunk_core::identity::{self, Caller};
use chunk_wire::problem::{Code, Problem};
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Gateway;
use super::limits::{EVENTS_KEEP_ALIVE, SESSION_LOOK_EVERY};
use super::problem::Refusal;

/// What is watched.
pub(super) trait Watched: Send + 'static {
    /// Looks again: an event, where there is something new to tell.
    fn look(&mut self, watcher: &mut Watcher) -> impl Future<Output = Result<Option<Event>, Box<Problem>>> + Send;
}

/// One client that is told of changes. Its session is looked at again before each look.
pub(super) struct Watcher {
    pub(super) gateway: Arc<Gateway>,
    pub(super) cx: Context,
    pub(super) caller: Caller,
    /// Nothing more will happen.
    pub(super) over: bool,
    changes: watch::Receiver<u64>,
    look_every: Duration,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Takes one of the places that there are for waiting clients.
    pub(super) fn new(gateway: Arc<Gateway>, cx: Context, caller: Caller, look_every: Duration) -> Result<Self, Refusal> {
        let Ok(place) = Arc::clone(&gateway.event_streams).try_acquire_owned() else {
            return Err(Refusal::new(Code::RateLimited, "The broker has as many waiting clients as it can."));
        };
        let changes = approval::watch(&gateway.broker);
        Ok(Self {
            gateway,
            cx,
            caller,
            over: false,
            changes,
            look_every,
            _place: place,
        })
    }

    /// The stream of what this client is told.
    pub(super) fn stream<W: Watched>(self, watched: W) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let stream = stream::unfold((self, watched), |(mut watcher, mut watched)| async move {
            watcher.next(&mut watched).await.map(|event| (Ok(event), (watcher, watched)))
        });
        Sse::new(stream).keep_alive(KeepAlive::new().interval(EVENTS_KEEP_ALIVE).text("keep-alive"))
    }

    async fn next(&mut self, watched: &mut impl Watched) -> Option<Event> {
        while !self.over {
            // Marked as seen before looking: a change during the look wakes the next round.
            self.changes.borrow_and_update();
            let open = identity::still_open(&self.gateway.broker, &self.caller).map_err(|fault| Box::new(fault.problem()));
            let told = match open {
                Ok(()) => watched.look(self).await,
                Err(problem) => Err(problem),
            };
            match told {
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

    async fn wait(&mut self) {
        let stopping = self.gateway.stopping.clone();
        tokio::select! {
            () = stopping.cancelled() => { self.over = true; }
            changed = self.changes.changed() => match changed {
                // The log of a busy broker grows thousands of times a second; people do not read that fast.
                Ok(()) => tokio::time::sleep(self.look_every).await,
                Err(_) => self.over = true,
            },
            // A session that runs out of time changes nothing in the log.
            () = tokio::time::sleep(SESSION_LOOK_EVERY) => {}
        }
    }
}

/// The data of an event.
pub(super) fn json(body: &impl Serialize) -> Result<String, Box<Problem>> {
    serde_json::to_string(body).map_err(|_| Box::new(Problem::new(Code::Internal, "The request cannot be written as JSON.")))
}
