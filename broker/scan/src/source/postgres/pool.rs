//! Signed-in sessions that nobody uses, kept for the next order: signing in costs a TLS handshake, SCRAM and a process at the server.
//!
//! Orders of different people may get the same session one after the other, so nothing of one order may be left in it: it is kept
//! only after `ROLLBACK` and `DISCARD ALL`, which also undo what a view's functions did to the session. One that was left in the middle
//! of a statement is never kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chunk_port::PostgresTarget;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::source::connector::Seat;

/// A connection that has signed in. Dropping it closes it.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) driver: AbortHandle,
    pub(super) cancel: CancelToken,
    pub(super) tls: Option<MakeRustlsConnect>,
    /// When it signed in.
    pub(super) born: Instant,
}

/// Keeps them.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// Number of the next one kept.
    next: u64,
    links: Vec<Kept>,
}

struct Kept {
    number: u64,
    target: Arc<PostgresTarget>,
    link: Link,
}

impl Pool {
    /// The one that was used last, of those signed in to this target.
    pub(super) fn take(&self, target: &PostgresTarget) -> Option<Link> {
        let mut idle = self.lock();
        let place = idle.links.iter().rposition(|kept| *kept.target == *target)?;
        Some(idle.links.remove(place).link)
    }

    /// Undoes all that an order did to a session, and keeps it for a while. `seat` is given back only when that is done, so that there
    /// are never more sessions than seats.
    pub(super) async fn keep(self: Arc<Self>, target: Arc<PostgresTarget>, link: Link, seat: Seat) {
        if link.client.is_closed() || link.born.elapsed() > LIFE || !matches!(timeout(RESET, reset(&link)).await, Ok(Ok(()))) {
            return;
        }
        let number = {
            let mut idle = self.lock();
            let number = idle.next;
            idle.next += 1;
            idle.links.push(Kept { number, target, link });
            number
        };
        drop(seat);
        sleep(IDLE).await;
        // If it was taken meanwhile, whoever gives it back waits for it anew.
        self.lock().links.retain(|kept| kept.number != number);
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two messages: what discards all may not stand in a transaction, and statements of one message are one.
async fn reset(link: &Link) -> Result<(), tokio_postgres::Error> {
    link.client.batch_execute("ROLLBACK").await?;
    link.client.batch_execute("DISCARD ALL").await
}

const RESET: Duration = Duration::from_secs(5);
/// How long an unused session stays.
const IDLE: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 30 });
/// A session older than this is not kept: the password it signed in with may have changed since.
const LIFE: Duration = Duration::from_secs(600);
