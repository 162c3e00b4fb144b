//! What can end a delivery from outside, whatever it waits for: a stop, time, the client, a revocation.

use std::sync::Arc;

use bytes::Bytes;
use chunk_wire::fetch::RequestState;
use chunk_wire::id::{RequestId, SessionId};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::job::End;
use crate::broker::Broker;

/// Looks out while a delivery waits.
pub(super) struct Guard {
    broker: Arc<Broker>,
    id: RequestId,
    session: SessionId,
    changes: watch::Receiver<u64>,
    deadline: BoxFuture<'static, ()>,
    client: mpsc::Sender<Bytes>,
}

impl Guard {
    /// Looks out for a delivery that must be over by `deadline_ms`.
    pub(super) fn new(broker: &Arc<Broker>, id: &RequestId, session: &SessionId, deadline_ms: i64, client: mpsc::Sender<Bytes>) -> Self {
        Self {
            changes: broker.log.watch(),
            deadline: broker.clock.reached(deadline_ms),
            broker: Arc::clone(broker),
            id: id.clone(),
            session: session.clone(),
            client,
        }
    }

    /// Does `work`, unless the delivery has to end first.
    pub(super) async fn until<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            end = self.ended() => Err(end),
            done = work => Ok(done),
        }
    }

    /// Session open, grant not revoked, nor the standing one that it is under, log alive.
    pub(super) fn still_allowed(&self) -> Result<(), End> {
        let published = self.broker.log.published();
        if published.broken.is_some() {
            return Err(End::cut("failed", "the evidence log cannot be written"));
        }
        let now_ms = self.broker.clock.now_ms();
        if published.state.open_session(&self.session, now_ms).is_none() {
            return Err(End::cut("revoked", "the session has ended"));
        }
        match published.state.requests.get(&self.id) {
            Some(request) if request.state == RequestState::Running => match &request.under {
                // What began in time may end; what was revoked may not.
                Some(under) => match published.state.requests.get(under) {
                    Some(grant) if matches!(grant.state, RequestState::Approved | RequestState::Expired) => Ok(()),
                    _ => Err(End::cut("revoked", "the standing grant was revoked")),
                },
                None => Ok(()),
            },
            _ => Err(End::cut("revoked", "the request was revoked")),
        }
    }

    async fn ended(&mut self) -> End {
        loop {
            tokio::select! {
                () = self.broker.stopping.cancelled() => return End::cut("cut", "the broker is stopping"),
                () = &mut self.deadline => return End::cut("limit", "the time for one delivery is over"),
                () = self.client.closed() => return End::cut("cut", "the client went away"),
                _ = self.changes.changed() => if let Err(end) = self.still_allowed() { return end },
            }
        }
    }
}
