//! Receivers of sinks and notifiers that do as they are told, at a pace that no test has to wait for.

use std::time::Duration;

use crate::sinks::{Pace, SinkFault};

/// What a receiver does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    Accepts,
    Refuses,
    Hangs,
    /// It keeps what it is given and says that it did not.
    Forgets,
}

impl Mood {
    /// Whether it has what it was given, whatever it says.
    pub(crate) fn keeps(self) -> bool {
        matches!(self, Mood::Accepts | Mood::Forgets)
    }

    /// What it says.
    pub(crate) async fn answer(self) -> Result<(), SinkFault> {
        match self {
            Mood::Accepts => Ok(()),
            Mood::Refuses => Err(SinkFault::refused("no")),
            Mood::Forgets => Err(SinkFault::unavailable("what?")),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

/// A pace of milliseconds.
pub(crate) fn swift(deliver_max: Duration) -> Pace {
    Pace {
        gather: Duration::from_millis(1),
        pause: Duration::from_millis(1),
        pause_max: Duration::from_millis(4),
        deliver_max,
        note_every: Duration::from_millis(1),
        last_max: Duration::from_millis(200),
        ..Pace::default()
    }
}
