//! A turn among the requests that are being answered, given back while a body is on its way: how long that takes is for the
//! client to choose, and clients that take their time must not keep others from being answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chunk_wire::problem::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Refusal;

/// A request's turn. Clones are the same turn.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    all: Arc<Semaphore>,
    own: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Turn {
    /// A turn, if there is one now. Nobody waits: a queue would only move the flood into memory.
    pub(super) fn take(all: &Arc<Semaphore>) -> Result<Self, Refusal> {
        let turn = Self {
            all: Arc::clone(all),
            own: Arc::default(),
        };
        turn.again()?;
        Ok(turn)
    }

    /// Gives it back.
    pub(super) fn give_back(&self) {
        self.lock().take();
    }

    /// Takes it again.
    pub(super) fn again(&self) -> Result<(), Refusal> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| busy())?;
        self.lock().replace(permit);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> Refusal {
    Refusal::new(Code::RateLimited, "The broker is answering as many requests as it can.").hint("try again in a moment")
}
