//! One receiver at work: what it has not accepted is handed over, piece by piece, until the broker stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Met, Missed, Pace, Receiver, Status, cursor};
use crate::broker::Broker;

/// Sends until the broker stops; then what is left, where the receiver takes it at once.
pub(crate) async fn keep(broker: Arc<Broker>, met: Met) {
    let Met { status, receiver } = met;
    let mut sender = Sender {
        grown: broker.log.watch(),
        next: status.next.load(Ordering::Relaxed),
        noted: receiver.noted.map(|noted| noted.next),
        noted_at: Instant::now(),
        failed: 0,
        told_behind: false,
        status,
        receiver,
        broker,
    };
    let ending = sender.broker.sinks_ending.clone();
    tokio::select! {
        // A receiver that hangs must not hold up the stop.
        biased;
        () = ending.cancelled() => {}
        () = sender.work() => {}
    }
    let last_max = sender.receiver.pace.last_max;
    if sender.failed == 0 {
        drop(timeout(last_max, sender.finish()).await);
    }
    drop(timeout(last_max, sender.note()).await);
}

struct Sender {
    broker: Arc<Broker>,
    receiver: Receiver,
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
                    if self.noted_at.elapsed() >= self.receiver.pace.note_every {
                        self.note().await;
                    }
                }
                Err(missed) => {
                    let pause = self.failed_with(&missed);
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
            if let Err(missed) = self.send().await {
                self.failed_with(&missed);
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
            let due = self.noted_at + self.receiver.pace.note_every;
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
        sleep(self.receiver.pace.gather).await;
    }

    /// Hands over what comes next.
    async fn send(&mut self) -> Result<(), Missed> {
        let (began_ms, size) = (self.broker.clock.now_ms(), self.broker.log.published().state.size);
        let deliver_max = self.receiver.pace.deliver_max;
        let next = self.receiver.carrier.carry(&self.broker, self.next, deliver_max).await?;
        self.advance(next);
        if self.next >= size {
            self.status.abreast_ms.store(began_ms, Ordering::Relaxed);
        }
        if std::mem::take(&mut self.failed) > 0 {
            let ((sink, notifier), role) = (self.status.names(), self.status.role.as_str());
            tracing::info!(sink, notifier, accepted = self.next, "the {role} accepts events again");
        }
        Ok(())
    }

    fn advance(&mut self, next: u64) {
        self.next = next;
        self.status.next.store(next, Ordering::Relaxed);
    }

    /// Counts a failure and tells of it; how long to wait now.
    fn failed_with(&mut self, missed: &Missed) -> Duration {
        let fault = &missed.fault;
        self.failed = self.failed.saturating_add(1);
        self.status.failures.fetch_add(1, Ordering::Relaxed);
        // Told at once, and again ever more rarely, so that a receiver that stays away does not fill the operator's log.
        let tells = self.failed.is_power_of_two() || self.failed.is_multiple_of(TOLD_EVERY);
        if tells && missed.given_up.is_none() {
            let ((sink, notifier), role) = (self.status.names(), self.status.role.as_str());
            let (why, tries, next) = (&fault.why, self.failed, self.next);
            if fault.refused {
                tracing::error!(
                    sink,
                    notifier,
                    why,
                    tries,
                    next,
                    "the {role} refuses events; nothing is skipped, and it is tried again"
                );
            } else {
                tracing::warn!(
                    sink,
                    notifier,
                    why,
                    tries,
                    next,
                    "the {role} does not accept events; nothing is lost, and it is tried again"
                );
            }
        }
        if let Some(next) = missed.given_up {
            self.status.given_up.fetch_add(1, Ordering::Relaxed);
            self.advance(next);
        }
        pause(&self.receiver.pace, self.failed, fault.retry_after)
    }

    /// Says once that a receiver is far behind, and once that it is not any more.
    fn tell_behind(&mut self) {
        let size = self.broker.log.published().state.size;
        let metrics = self.status.metrics(size, self.broker.clock.now_ms());
        let ((sink, notifier), role) = (self.status.names(), self.status.role.as_str());
        let (lag, behind_s) = (metrics.lag, metrics.behind_s);
        let behind = behind_s > BEHIND_S_MAX;
        match (behind, self.told_behind) {
            (true, false) => tracing::error!(
                sink,
                notifier,
                lag,
                behind_s,
                "the {role} has been behind for long; what it lacks stays in the log"
            ),
            (false, true) => tracing::info!(sink, notifier, lag, "the {role} has caught up"),
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
        let port = Arc::clone(&self.receiver.cursor);
        let written = tokio::task::spawn_blocking(move || port.note(&cursor)).await;
        match written.unwrap_or_else(|fault| Err(fault.to_string())) {
            Ok(()) => self.noted = Some(cursor.next),
            Err(error) => {
                let ((sink, notifier), role) = (self.status.names(), self.status.role.as_str());
                tracing::error!(
                    sink,
                    notifier,
                    error,
                    "it could not be noted how far the {role} has come; after a restart it gets some events again"
                );
            }
        }
    }
}

/// How long to wait after so many failures on end, and after what the receiver asks for.
fn pause(pace: &Pace, failed: u32, asked: Option<Duration>) -> Duration {
    let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    let own = pace.pause.saturating_mul(factor).min(pace.pause_max);
    own.max(asked.unwrap_or_default().min(pace.asked_max))
}

/// A failure is told again after so many tries.
const TOLD_EVERY: u32 = 16;
/// A receiver that has lacked something for longer is told of.
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
