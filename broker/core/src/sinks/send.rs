//! One sink at work: what its receiver has not accepted is handed over, batch by batch, until the broker stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Met, Pace, SinkFault, Sinking, Status, cursor, events};
use crate::broker::Broker;

/// Sends until the broker stops; then what is left, where the receiver takes it at once.
pub(crate) async fn keep(broker: Arc<Broker>, met: Met) {
    let Met { status, sinking } = met;
    let mut sender = Sender {
        grown: broker.log.watch(),
        next: status.next.load(Ordering::Relaxed),
        noted: sinking.noted.map(|noted| noted.next),
        noted_at: Instant::now(),
        failed: 0,
        told_behind: false,
        status,
        sinking,
        broker,
    };
    let ending = sender.broker.sinks_ending.clone();
    tokio::select! {
        // A receiver that hangs must not hold up the stop.
        biased;
        () = ending.cancelled() => {}
        () = sender.work() => {}
    }
    let last_max = sender.sinking.pace.last_max;
    if sender.failed == 0 {
        drop(timeout(last_max, sender.finish()).await);
    }
    drop(timeout(last_max, sender.note()).await);
}

struct Sender {
    broker: Arc<Broker>,
    sinking: Sinking,
    status: Arc<Status>,
    grown: watch::Receiver<u64>,
    /// Index of the first entry that was not accepted.
    next: u64,
    /// The position that was noted last.
    noted: Option<u64>,
    noted_at: Instant,
    /// Tries that failed since the last that did not.
    failed: u32,
    told_behind: bool,
}

impl Sender {
    async fn work(&mut self) {
        loop {
            if self.is_abreast() {
                self.await_entries().await;
                continue;
            }
            match self.send().await {
                Ok(()) => {
                    if self.noted_at.elapsed() >= self.sinking.pace.note_every {
                        self.note().await;
                    }
                }
                Err(fault) => {
                    let pause = self.failed_with(&fault);
                    // What was accepted before is noted while nothing else is to be done.
                    self.note().await;
                    sleep(pause).await;
                }
            }
            self.tell_behind();
        }
    }

    /// What is left once the broker has recorded its stop.
    async fn finish(&mut self) {
        while !self.is_abreast() {
            if let Err(fault) = self.send().await {
                self.failed_with(&fault);
                return;
            }
        }
    }

    fn is_abreast(&self) -> bool {
        self.next >= self.broker.log.published().state.size
    }

    /// Waits for entries, and then for those that come with them.
    async fn await_entries(&mut self) {
        let next = self.next;
        if self.noted != Some(next) {
            let due = self.noted_at + self.sinking.pace.note_every;
            let grown = tokio::select! {
                grown = self.grown.wait_for(|size| *size > next) => grown.is_ok(),
                () = sleep_until(due) => false,
            };
            if !grown {
                return self.note().await;
            }
        } else if self.grown.wait_for(|size| *size > next).await.is_err() {
            // The log's writer is gone: nothing comes any more.
            std::future::pending::<()>().await;
        }
        sleep(self.sinking.pace.gather).await;
    }

    /// Hands over the next batch.
    async fn send(&mut self) -> Result<(), SinkFault> {
        let (began_ms, size) = (self.broker.clock.now_ms(), self.broker.log.published().state.size);
        let (level, takes) = (self.sinking.settings.level, self.sinking.port.takes());
        let batch = events::next(&self.broker, self.next, level, takes)
            .await
            .map_err(|fault| SinkFault::unavailable(chain(&fault)))?;
        let Some(last) = batch.last().map(|event| event.index) else {
            return Err(SinkFault::unavailable("the log has fewer entries than it says"));
        };
        let deliver_max = self.sinking.pace.deliver_max;
        timeout(deliver_max, self.sinking.port.deliver(&batch))
            .await
            .unwrap_or_else(|_| Err(SinkFault::unavailable(format!("nothing was accepted within {deliver_max:?}"))))?;
        self.next = last + 1;
        self.status.next.store(self.next, Ordering::Relaxed);
        if self.next >= size {
            self.status.abreast_ms.store(began_ms, Ordering::Relaxed);
        }
        if std::mem::take(&mut self.failed) > 0 {
            tracing::info!(
                sink = self.sinking.settings.name,
                accepted = self.next,
                "the sink accepts events again"
            );
        }
        Ok(())
    }

    /// Counts a failure and tells of it; how long to wait now.
    fn failed_with(&mut self, fault: &SinkFault) -> Duration {
        self.failed = self.failed.saturating_add(1);
        self.status.failures.fetch_add(1, Ordering::Relaxed);
        // Told at once, and again ever more rarely, so that a receiver that stays away does not fill the operator's log.
        if self.failed.is_power_of_two() || self.failed.is_multiple_of(TOLD_EVERY) {
            let (sink, why, tries, next) = (&self.sinking.settings.name, &fault.why, self.failed, self.next);
            if fault.refused {
                tracing::error!(
                    sink,
                    why,
                    tries,
                    next,
                    "the sink refuses events; nothing is skipped, and it is tried again"
                );
            } else {
                tracing::warn!(
                    sink,
                    why,
                    tries,
                    next,
                    "the sink does not accept events; nothing is lost, and it is tried again"
                );
            }
        }
        pause(&self.sinking.pace, self.failed, fault.retry_after)
    }

    /// Says once that a sink is far behind, and once that it is not any more.
    fn tell_behind(&mut self) {
        let size = self.broker.log.published().state.size;
        let metrics = self.status.metrics(size, self.broker.clock.now_ms());
        let (sink, lag, behind_s) = (&metrics.name, metrics.lag, metrics.behind_s);
        let behind = behind_s > BEHIND_S_MAX;
        match (behind, self.told_behind) {
            (true, false) => tracing::error!(
                sink,
                lag,
                behind_s,
                "the sink has been behind for long; what it lacks stays in the log"
            ),
            (false, true) => tracing::info!(sink, lag, "the sink has caught up"),
            _ => return,
        }
        self.told_behind = behind;
    }

    /// Notes how far the receiver has come, where that is not noted yet.
    async fn note(&mut self) {
        self.noted_at = Instant::now();
        if self.noted == Some(self.next) {
            return;
        }
        let Some(cursor) = cursor(&self.broker, self.next) else { return };
        let port = Arc::clone(&self.sinking.cursor);
        let written = tokio::task::spawn_blocking(move || port.note(&cursor)).await;
        match written.unwrap_or_else(|fault| Err(fault.to_string())) {
            Ok(()) => self.noted = Some(cursor.next),
            Err(error) => tracing::error!(
                sink = self.sinking.settings.name,
                error,
                "it could not be noted how far the sink has come; after a restart it gets some events again"
            ),
        }
    }
}

/// How long to wait after so many failures on end, and after what the receiver asks for.
fn pause(pace: &Pace, failed: u32, asked: Option<Duration>) -> Duration {
    let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    let own = pace.pause.saturating_mul(factor).min(pace.pause_max);
    own.max(asked.unwrap_or_default().min(pace.asked_max))
}

/// An error and what it comes from, for the operator.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A failure is told again after so many tries.
const TOLD_EVERY: u32 = 16;
/// A sink that has lacked something for longer is told of.
const BEHIND_S_MAX: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_a_receiver_may_ask_for_longer_ones() {
        let pace = Pace::default();
        let ms = Duration::from_millis;
        let own: Vec<Duration> = [1, 2, 3, 7, 8, 9, 33, 40, u32::MAX]
            .map(|failed| pause(&pace, failed, None))
            .to_vec();
        let longest = ms(60_000);
        assert_eq!(
            own,
            [ms(500), ms(1000), ms(2000), ms(32_000), longest, longest, longest, longest, longest]
        );
        assert_eq!(pause(&pace, 1, Some(ms(5000))), ms(5000));
        assert_eq!(pause(&pace, 8, Some(ms(5000))), longest);
        assert_eq!(pause(&pace, 1, Some(Duration::MAX)), pace.asked_max);
    }
}
