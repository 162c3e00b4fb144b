//! The clock port: the only place in the broker where time enters.

use std::time::Duration;

use futures::future::BoxFuture;

/// Tells the time. Tests use one that moves when told.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;

    /// Comes back once this time is reached.
    fn reached(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        let wait_ms = u64::try_from(at_ms.saturating_sub(self.now_ms())).unwrap_or(0);
        Box::pin(tokio::time::sleep(Duration::from_millis(wait_ms)))
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}
