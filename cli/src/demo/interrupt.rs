//! Has somebody asked the demo to end?
//!
//! The demo has processes of its own to end first, so the question is asked between two steps instead of dying where it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use crate::commands::approval_wait::interrupted;
use crate::context::block_on;
use crate::error::{Failure, Result};

/// Whether Ctrl-C was pressed, or a signal asked for the end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn listen() -> Result<Self> {
        let asked = Self::never();
        let heard = asked.clone();
        let (ready, wait) = channel();
        let listener = move || {
            block_on(async {
                let mut interrupted = std::pin::pin!(interrupted());
                tokio::select! {
                    biased;
                    () = &mut interrupted => {}
                    () = std::future::ready(()) => {
                        ready.send(()).ok(); // the signals are caught from here on
                        interrupted.await;
                    }
                }
                heard.0.store(true, Ordering::SeqCst);
                Ok(())
            })
        };
        let thread = std::thread::Builder::new().name("interrupt".into()).spawn(listener);
        thread.map_err(|error| Failure::cannot_tell("system", "cannot start").why(crate::error::io_words(&error)))?;
        wait.recv().ok(); // a listener that could not start leaves the signals as they are
        Ok(asked)
    }

    /// Nobody will ask.
    pub(super) fn never() -> Self {
        Self(Arc::default())
    }

    /// # Errors
    /// When somebody has asked.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_asked() {
            return Err(Failure::cannot_tell("interrupted", "the demo was interrupted")
                .why("its broker is stopped")
                .hint("chunkctl demo"));
        }
        Ok(())
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
