//! Sends what the log records to receivers outside: every entry as one event, in order, at least once.
//!
//! A sink reads from the journal and remembers how far its receiver has come ([`Cursor`]). There is no queue between the two, so
//! nothing can overflow and nothing is ever left out: a receiver that is slow or gone has a lag and costs nobody else anything.
//! What was accepted is noted after it was accepted, so a crash repeats some events and skips none. Only entries that are
//! published leave. Sinks run beside the log's writer, each by itself, with a pace of its own.
//!
//! The events are those of [`chunk_evidence::views::Events`], made of the log's own entries ([`events`]).
//!
//! What a receiver is given of the log is its [`carry::Carrier`]'s to say; that nothing is left out is everybody's. The
//! notifications of [`crate::notify`] go out by the same road.

mod carry;
mod events;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chunk_evidence::merkle::Hash;
use chunk_wire::problem::Code;

use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::entries::SinkEntry;

pub(crate) use carry::{Carrier, Missed, fewer_entries};
pub use chunk_evidence::leaf::{Kind, T_MAX as TIME_MS_MAX};
pub use chunk_evidence::views::{Event as SinkEvent, Severity};
pub(crate) use send::keep;

/// What configuration says of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSettings {
    /// Its name, of `a–z`, `0–9` and `_`.
    pub name: String,
    /// How events reach it, in one word.
    pub kind: &'static str,
    /// How much of each entry an event tells: a bundle's level of disclosure, 1 to 4.
    pub level: u8,
    /// Where a sink begins that has never been sent anything.
    pub from: Since,
}

/// Where a sink begins that has never been sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the log's first entry.
    Beginning,
    /// With the entries of the start at which it is seen first.
    Now,
}

/// How much a receiver takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// Events at most; at least one.
    pub events: usize,
    /// Bytes at most, unless one event alone has more.
    pub bytes: usize,
}

/// The way to a receiver.
#[async_trait]
pub trait SinkPort: Send {
    /// How much it takes at once now.
    fn takes(&self) -> Takes;

    /// Hands over events, in order. It comes back when the receiver has accepted all of them; after an error, or when it is given
    /// up half-way, they are handed over again.
    ///
    /// # Errors
    /// When the receiver did not accept all of them.
    async fn deliver(&mut self, events: &[SinkEvent]) -> Result<(), SinkFault>;
}

/// Why a receiver did not accept what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkFault {
    /// For the operator. Never a secret, nor a text of the receiver's own.
    pub why: String,
    /// The receiver says no: it will say so again until somebody changes something.
    pub refused: bool,
    /// The receiver asks to be left alone for so long.
    pub retry_after: Option<Duration>,
}

impl SinkFault {
    /// The receiver cannot be reached, or cannot take anything now.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            refused: false,
            retry_after: None,
        }
    }

    /// The receiver has accepted nothing in this time.
    pub(crate) fn too_slow(within: Duration) -> Self {
        Self::unavailable(format!("nothing was accepted within {within:?}"))
    }

    /// The receiver says no.
    pub fn refused(why: impl Into<String>) -> Self {
        Self {
            refused: true,
            ..Self::unavailable(why)
        }
    }
}

/// How far a receiver has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Index of the first entry that it has not accepted.
    pub next: u64,
    /// Root of the tree of all entries before: of which history they were.
    pub root: Hash,
}

/// Where it is noted how far a receiver has come.
pub trait CursorPort: Send + Sync {
    /// Notes it, whole or not at all, durably.
    ///
    /// # Errors
    /// When it cannot be written; said to the operator, and what was accepted since the last note is sent again after a restart.
    fn note(&self, cursor: &Cursor) -> Result<(), String>;
}

/// A sink, the way to it, and what earlier runs noted.
pub struct Sinking {
    /// What configuration says of it.
    pub settings: SinkSettings,
    /// The way to its receiver.
    pub port: Box<dyn SinkPort>,
    /// Where it is noted how far it has come.
    pub cursor: Arc<dyn CursorPort>,
    /// What was noted last; nothing for a sink that is seen for the first time.
    pub noted: Option<Cursor>,
    /// How fast it goes.
    pub pace: Pace,
}

/// How fast a sink goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Entries gather for so long before they are sent: many commits become one batch.
    pub gather: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause, unless the receiver asks for a longer one.
    pub pause_max: Duration,
    /// The longest pause that a receiver may ask for.
    pub asked_max: Duration,
    /// A receiver that has not accepted a batch by then is tried again.
    pub deliver_max: Duration,
    /// Positions are noted this often at most.
    pub note_every: Duration,
    /// When the broker stops, a sink may take so long for what is left.
    pub last_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(250),
            pause: Duration::from_millis(500),
            pause_max: Duration::from_secs(60),
            asked_max: Duration::from_secs(3600),
            deliver_max: Duration::from_secs(60),
            note_every: Duration::from_secs(1),
            last_max: Duration::from_secs(1),
        }
    }
}

/// How a sink does, for those who watch the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkMetrics {
    /// Its name.
    pub name: String,
    /// How events reach it.
    pub kind: &'static str,
    /// Entries that its receiver has accepted, counted from the log's first: the index of the next one.
    pub accepted: u64,
    /// Entries that it has not accepted yet.
    pub lag: u64,
    /// For how many seconds there has been something it has not accepted.
    pub behind_s: u64,
    /// Tries that failed since start.
    pub failures_total: u64,
    /// Notifications that were given up since start; a sink never gives anything up.
    pub given_up_total: u64,
}

/// What a receiver is called where it is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It gets every entry as an event.
    Sink,
    /// It gets notifications.
    Notifier,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Sink => "sink",
            Role::Notifier => "notifier",
        }
    }
}

/// A receiver of whatever is made of the log, before it may run.
pub(crate) struct Receiver {
    pub(crate) role: Role,
    pub(crate) settings: SinkSettings,
    pub(crate) carrier: Box<dyn Carrier>,
    pub(crate) cursor: Arc<dyn CursorPort>,
    pub(crate) noted: Option<Cursor>,
    pub(crate) pace: Pace,
}

impl From<Sinking> for Receiver {
    fn from(sinking: Sinking) -> Self {
        Self {
            role: Role::Sink,
            carrier: Box::new(carry::EventCarrier::new(sinking.settings.level, sinking.port)),
            settings: sinking.settings,
            cursor: sinking.cursor,
            noted: sinking.noted,
            pace: sinking.pace,
        }
    }
}

/// What is known of a receiver while it runs.
#[derive(Debug)]
pub(crate) struct Status {
    role: Role,
    settings: SinkSettings,
    next: AtomicU64,
    /// When everything that there was at that time had been accepted.
    abreast_ms: AtomicI64,
    failures: AtomicU64,
    given_up: AtomicU64,
}

impl Status {
    pub(crate) fn new(receiver: &Receiver, now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            role: receiver.role,
            settings: receiver.settings.clone(),
            next: AtomicU64::new(0),
            abreast_ms: AtomicI64::new(now_ms),
            failures: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Its name, as a field of the operator's log: a sink's first, a notifier's second.
    fn names(&self) -> (Option<&str>, Option<&str>) {
        let name = Some(self.settings.name.as_str());
        match self.role {
            Role::Sink => (name, None),
            Role::Notifier => (None, name),
        }
    }

    pub(crate) fn entry(&self) -> SinkEntry {
        SinkEntry {
            kind: self.settings.kind.to_owned(),
            level: self.settings.level,
            name: self.settings.name.clone(),
        }
    }

    pub(crate) fn metrics(&self, size: u64, now_ms: i64) -> SinkMetrics {
        let accepted = self.next.load(Ordering::Relaxed);
        let lag = size.saturating_sub(accepted);
        let behind_ms = now_ms.saturating_sub(self.abreast_ms.load(Ordering::Relaxed));
        SinkMetrics {
            name: self.settings.name.clone(),
            kind: self.settings.kind,
            accepted,
            lag,
            behind_s: if lag == 0 {
                0
            } else {
                u64::try_from(behind_ms / 1000).unwrap_or(0)
            },
            failures_total: self.failures.load(Ordering::Relaxed),
            given_up_total: self.given_up.load(Ordering::Relaxed),
        }
    }
}

/// A receiver that may run.
pub(crate) struct Met {
    status: Arc<Status>,
    receiver: Receiver,
}

/// Before anything is recorded: holds what each receiver has accepted against the log, and notes where a new one begins.
///
/// # Errors
/// When a receiver has accepted more of the log than the journal holds, or another history; or a first note cannot be written.
pub(crate) async fn meet(broker: &Broker, receivers: Vec<Receiver>) -> Result<Vec<Met>, Error> {
    let mut met = Vec::new();
    for (receiver, status) in receivers.into_iter().zip(&broker.sinks) {
        let next = match &receiver.noted {
            Some(noted) => fits(broker, status, noted)?,
            None => {
                let next = match receiver.settings.from {
                    Since::Beginning => 0,
                    Since::Now => broker.log.published().state.size,
                };
                let cursor = cursor(broker, next).ok_or_else(|| unnoted(status, "the tree does not reach the log's end".to_owned()))?;
                let port = Arc::clone(&receiver.cursor);
                let noted = tokio::task::spawn_blocking(move || port.note(&cursor)).await;
                noted
                    .unwrap_or_else(|fault| Err(fault.to_string()))
                    .map_err(|why| unnoted(status, why))?;
                next
            }
        };
        status.next.store(next, Ordering::Relaxed);
        met.push(Met {
            status: Arc::clone(status),
            receiver,
        });
    }
    Ok(met)
}

/// The position that was noted, if the log is that one still.
fn fits(broker: &Broker, status: &Status, noted: &Cursor) -> Result<u64, Error> {
    let (seen, held) = (noted.next, broker.log.published().state.size);
    let name = &status.settings.name;
    let refused = |what: String, next: &str| Err(Error::new(Code::EvidenceUnavailable, what).hint(next));
    let has = match status.role {
        Role::Sink => format!("Sink `{name}` has accepted"),
        Role::Notifier => format!("Notifier `{name}` was told of"),
    };
    if seen > held {
        return refused(
            format!(
                "{has} {seen} entries of this log, and the journal holds {held}: a copy from before was put in its place, or entries were removed."
            ),
            "put the newest copy of the data folder back; if it is lost, `chunk-broker init` begins a new log, and this one can only be read",
        );
    }
    match cursor(broker, seen) {
        Some(cursor) if cursor == *noted => Ok(seen),
        _ => refused(
            format!("{has} {seen} entries of this log that are not the ones this journal begins with; it holds {held}."),
            "put the data folder back whose entries it was given, and keep this one for whoever oversees the evidence",
        ),
    }
}

fn unnoted(status: &Status, why: String) -> Error {
    let (role, name) = (status.role.as_str(), &status.settings.name);
    Error::new(Code::Unavailable, format!("It cannot be noted where {role} `{name}` begins."))
        .hint("look at the space and the rights of the data folder, and start again")
        .operator(why)
}

/// The cursor of a receiver that has accepted so many entries.
fn cursor(broker: &Broker, next: u64) -> Option<Cursor> {
    let root = broker.log.with_tree(|tree| tree.root(next))?;
    Some(Cursor { next, root })
}

#[cfg(test)]
mod tests;
