//! Reading a recording back, for somebody who may see what was returned.
//!
//! A thread is needed only while a block is read, and none while the reader is slow. What may be seen no more stops in the middle:
//! when the reader's session ends, and when what is read is erased or disposed of.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use bytes::Bytes;
use chunk_log::data_keys::DataKeys;
use chunk_wire::id::SessionId;
use futures::Stream;
use futures::future::BoxFuture;
use ring::digest::{Context as Hasher, SHA256};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::sealed::Opener;
use super::{RecordingError, RecordingName, Recordings, off_thread};
use crate::broker::Broker;
use crate::error::chain;
use crate::identity::Caller;
use crate::limits::FETCH_DURATION_S_MAX;

/// A recording on its way out: the bytes as they were delivered.
///
/// The body is complete only when the stream ends without an error.
pub struct Replay {
    /// Bytes there are.
    pub length: u64,
    parts: mpsc::Receiver<Bytes>,
    fate: watch::Receiver<Fate>,
    ended: bool,
}

/// What is becoming of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Running,
    Whole,
    Cut,
}

/// What the log says that a recording holds.
pub(crate) struct Told {
    /// Bytes that left.
    pub(crate) bytes: u64,
    /// Their SHA-256 (hex), where the delivery was done.
    pub(crate) sha256: Option<String>,
}

impl Stream for Replay {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // What waits to be taken is not given any more once it is cut.
        let cut = *self.fate.borrow() == Fate::Cut;
        let part = if cut { None } else { ready!(self.parts.poll_recv(cx)) };
        if let Some(part) = part {
            return Poll::Ready(Some(Ok(part)));
        }
        self.ended = true;
        let whole = *self.fate.borrow() == Fate::Whole;
        Poll::Ready((!whole).then(|| Err(io::Error::other("the recording ends here before its end"))))
    }
}

/// Looks out for what ends a replay from outside.
pub(crate) struct Watch {
    broker: Arc<Broker>,
    session: SessionId,
    intent: u64,
    changes: watch::Receiver<u64>,
    deadline: BoxFuture<'static, ()>,
}

impl Watch {
    /// Looks out for the replay of this intent's recording by this caller.
    pub(crate) fn new(broker: &Arc<Broker>, caller: &Caller, intent: u64) -> Self {
        let end_ms = broker.clock.now_ms() + i64::from(FETCH_DURATION_S_MAX) * 1000;
        let published = broker.log.published();
        let session = published.state.sessions.get(caller.session());
        let end_ms = session.map_or(end_ms, |session| end_ms.min(session.open.expires_ms));
        Self {
            changes: broker.log.watch(),
            deadline: broker.clock.reached(end_ms),
            broker: Arc::clone(broker),
            session: caller.session().clone(),
            intent,
        }
    }

    fn over(&self) -> Option<&'static str> {
        let published = self.broker.log.published();
        if published.broken.is_some() {
            return Some("the evidence log cannot be written");
        }
        let state = &published.state;
        if state.open_session(&self.session, self.broker.clock.now_ms()).is_none() {
            return Some("the reader's session has ended");
        }
        (!state.recordings.contains_key(&self.intent)).then_some("it was erased or disposed of")
    }

    /// Comes back with why, once it has to end.
    async fn ended(&mut self) -> &'static str {
        loop {
            if let Some(why) = self.over() {
                return why;
            }
            tokio::select! {
                () = self.broker.stopping.cancelled() => return "the broker is stopping",
                () = &mut self.deadline => return self.over().unwrap_or("the time for reading one is over"),
                changed = self.changes.changed() => if changed.is_err() { return "the log is closed" },
            }
        }
    }
}

/// A recording that opens.
pub(crate) struct Found(Opener<Box<dyn io::Read + Send>>);

/// Opens a recording. Blocks.
///
/// # Errors
/// When it is not there, damaged, or its key was destroyed.
pub(crate) fn find(store: &dyn Recordings, data_keys: &DataKeys, name: &RecordingName) -> Result<Found, RecordingError> {
    Ok(Found(Opener::begin(data_keys, store.open(name)?, name.intent)?))
}

impl Found {
    /// Reads it as fast as it is taken, until the watch ends it. Its last part leaves only when all of it was what the log says.
    pub(crate) fn replay(self, told: Told, mut watch: Watch, slot: OwnedSemaphorePermit) -> Replay {
        let (out, parts) = mpsc::channel(1);
        let (fates, fate) = watch::channel(Fate::Running);
        let length = told.bytes;
        let jobs = watch.broker.jobs.clone();
        jobs.spawn(async move {
            let _slot = slot;
            let intent = watch.intent;
            let sent = tokio::select! {
                biased;
                why = watch.ended() => {
                    tracing::info!(intent, why, "the replay of a recording was cut");
                    Ok(false)
                }
                sent = send(self.0, &told, &out) => sent,
            };
            let whole = sent.unwrap_or_else(|fault| {
                tracing::error!(intent, error = %chain(&fault), "a recording could not be read");
                false
            });
            fates.send_replace(if whole { Fate::Whole } else { Fate::Cut });
        });
        Replay {
            length,
            parts,
            fate,
            ended: false,
        }
    }
}

/// Sends all of it. True when it was taken to its end; false when whoever asked is gone.
async fn send(mut opener: Opener<Box<dyn io::Read + Send>>, told: &Told, out: &mpsc::Sender<Bytes>) -> Result<bool, RecordingError> {
    let mut hasher = Hasher::new(&SHA256);
    let mut bytes = 0;
    let mut held: Option<Bytes> = None;
    loop {
        // Nothing is read before there is room for it.
        let Ok(room) = out.reserve().await else { return Ok(false) };
        let (part, rest) = off_thread(move || Ok((opener.next()?, opener))).await?;
        opener = rest;
        let Some(part) = part else { break };
        hasher.update(&part);
        bytes += part.len() as u64;
        if let Some(before) = held.replace(Bytes::copy_from_slice(&part)) {
            room.send(before);
        }
    }
    let sha256 = hex::encode(hasher.finish());
    if bytes != told.bytes || told.sha256.as_ref().is_some_and(|digest| *digest != sha256) {
        return Err(RecordingError::Damaged("it is not what the log says was delivered"));
    }
    if let Some(last) = held
        && out.send(last).await.is_err()
    {
        return Ok(false);
    }
    // As long as something waits to be taken it can be cut.
    Ok(out.reserve().await.is_ok())
}
