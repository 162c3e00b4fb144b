//! Tells people of what is theirs to act on: a request waits for them, theirs was decided, an approval was taken back.
//!
//! A notification is a view of one entry of the log, as a sink's event is, and goes out by the same road ([`crate::sinks`]): it is
//! read from the journal when its time has come, a number says how far its receiver has come, and that number is noted after it
//! was accepted. So none is lost, some may come twice, under the same [`Notice::id`], and nobody waits for a receiver. What is
//! different: one at a time, because people read them; and one that nobody takes for days is given up, loudly, because by
//! then it is about something that is over.
//!
//! What a notification says is decided here ([`make`]), and that is little unless configuration asks for more. How it is said
//! to Slack, to Teams or by e-mail is the port's. Every text that somebody else wrote comes out of here as one line of bounded
//! length in which everything can be seen; what is markup where it goes is the port's to take away.

mod make;
mod people;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chunk_evidence::encode::sha256_hex;
use chunk_wire::id::RequestId;
use chunk_wire::stages::Stage;
use tokio::time::timeout;

use crate::broker::Broker;
use crate::error::{Error, chain};
use crate::evidence::log::Stored;
use crate::sinks::{Carrier, Cursor, CursorPort, Kind, Missed, Pace, Receiver, Role, Since, SinkFault, SinkSettings, fewer_entries};

/// What configuration says of a notifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// Its name, of `a–z`, `0–9` and `_`.
    pub name: String,
    /// How notifications reach it, in one word.
    pub kind: &'static str,
    /// Of what it tells.
    pub occasions: BTreeSet<Occasion>,
    /// It tells only of requests that read one of these datasets; of all where there is none.
    pub datasets: BTreeSet<String>,
    /// How much it tells.
    pub detail: Detail,
    /// Whom it writes to, where that is by address.
    pub audience: Option<Audience>,
    /// A notification that nobody has taken for so long is given up.
    pub give_up: Duration,
}

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// A request waits for reviewers: since it was made, or since the stage before theirs is complete.
    RequestPending,
    /// Nobody has decided for so long that others may review it too.
    RequestEscalated,
    /// It was made in an emergency: nobody approved, and somebody has to review it now.
    RequestBreakGlass,
    /// Reviewers approved it or one rejected it.
    RequestDecided,
    /// Nobody answered in time.
    RequestExpired,
    /// The requester withdrew it while it waited.
    RequestCancelled,
    /// An approval was taken back.
    GrantRevoked,
    /// An approval was not used up in time.
    GrantExpired,
    /// Somebody signed in with a key that they had not used before.
    SessionOpenedNewKey,
    /// Somebody enrolled an SSH key.
    KeyEnrolled,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 10] = [
        Self::RequestPending,
        Self::RequestEscalated,
        Self::RequestBreakGlass,
        Self::RequestDecided,
        Self::RequestExpired,
        Self::RequestCancelled,
        Self::GrantRevoked,
        Self::GrantExpired,
        Self::SessionOpenedNewKey,
        Self::KeyEnrolled,
    ];

    /// Its name in configuration and in what is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestPending => "request.pending",
            Self::RequestEscalated => "request.escalated",
            Self::RequestBreakGlass => "request.break_glass",
            Self::RequestDecided => "request.decided",
            Self::RequestExpired => "request.expired",
            Self::RequestCancelled => "request.cancelled",
            Self::GrantRevoked => "grant.revoked",
            Self::GrantExpired => "grant.expired",
            Self::SessionOpenedNewKey => "session.opened_new_key",
            Self::KeyEnrolled => "key.enrolled",
        }
    }

    /// Whether it is about a request, and not about somebody's key.
    #[must_use]
    pub fn is_of_request(self) -> bool {
        !matches!(self, Self::SessionOpenedNewKey | Self::KeyEnrolled)
    }

    /// The occasion that an entry of this kind may be.
    fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::RequestCreate | Kind::ReviewApprove => Self::RequestPending,
            Kind::RequestEscalate => Self::RequestEscalated,
            Kind::BreakglassOpen => Self::RequestBreakGlass,
            Kind::GrantIssue | Kind::ReviewReject => Self::RequestDecided,
            Kind::RequestExpire => Self::RequestExpired,
            Kind::RequestCancel => Self::RequestCancelled,
            Kind::GrantRevoke => Self::GrantRevoked,
            Kind::GrantExpire => Self::GrantExpired,
            Kind::SessionOpen => Self::SessionOpenedNewKey,
            Kind::KeyEnroll => Self::KeyEnrolled,
            _ => return None,
        })
    }
}

/// How much a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Which request, of which datasets, what became of it. Nobody's name, and nothing that anybody wrote.
    Minimal,
    /// Also who, why, and the text of the query, with the literals in it.
    Full,
}

impl Detail {
    /// The level of a bundle that shows as much: what the log says of the notifier.
    fn level(self) -> u8 {
        match self {
            Self::Minimal => 2,
            Self::Full => 4,
        }
    }
}

/// Whom a notifier writes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// These addresses, whatever happens.
    pub addresses: Vec<String>,
    /// Everybody who may review the request, as far as the broker has seen them sign in and knows an address.
    pub reviewers: bool,
    /// The person whose request, session or key it is.
    pub requester: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may be fetched.
    Approved,
    /// A reviewer said no.
    Rejected,
}

impl Decision {
    /// The word in what is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// A notification: one entry, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same whenever it is sent again, and no other's: `msg_` and 32 hexadecimal digits.
    pub id: String,
    /// What happened.
    pub occasion: Occasion,
    /// Index of the entry.
    pub index: u64,
    /// When it was recorded, ms since 1970.
    pub time_ms: i64,
    /// The request it is about.
    pub request: Option<RequestId>,
    /// The datasets that the request reads; names from configuration.
    pub datasets: Vec<String>,
    /// People who must approve it.
    pub quorum: Option<u32>,
    /// The stage whose turn it is, where it waits for one.
    pub stage: Option<Stage>,
    /// Groups that it was escalated to.
    pub escalated_to: Vec<String>,
    /// What became of it.
    pub decision: Option<Decision>,
    /// Until when it waits, or may be fetched, ms since 1970.
    pub expires_ms: Option<i64>,
    /// What only a full notification tells.
    pub details: Option<Details>,
    /// The addresses it goes to, where it goes by address.
    pub to: Vec<String>,
}

impl Notice {
    /// The same without what others wrote, for a receiver that refuses it as it is.
    #[must_use]
    pub fn without_details(&self) -> Self {
        Self {
            details: None,
            ..self.clone()
        }
    }
}

/// Who, why and what exactly. Each text is one line without anything that hides; it may still be markup where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Who asks, or signed in.
    pub person: Option<Who>,
    /// Why they ask.
    pub reason: Option<String>,
    /// Their ticket.
    pub ticket: Option<String>,
    /// What they ask for, in their words.
    pub query: Option<String>,
    /// Rows that were estimated.
    pub rows_estimated: Option<u64>,
    /// Who decided, or took it back.
    pub by: Vec<Who>,
    /// What they gave as their reason; the last one's where there are several.
    pub words: Option<String>,
    /// The host that a new key is on, as its client names it, and the address it came from.
    pub host: Option<String>,
    /// Where the session was opened, or the key enrolled from.
    pub ip: Option<String>,
    /// Fingerprint of an SSH key that was enrolled.
    pub ssh_key: Option<String>,
}

/// A person as a notification names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Display name.
    pub name: String,
    /// Address.
    pub email: Option<String>,
}

/// The way to whoever is told.
#[async_trait]
pub trait NotifyPort: Send {
    /// Hands over a notification. It comes back when it was accepted; after an error, or when it is given up half-way, it is
    /// handed over again.
    ///
    /// # Errors
    /// When it was not accepted, as a whole.
    async fn deliver(&mut self, notice: &Notice) -> Result<(), SinkFault>;
}

/// A notifier, the way to it, and what earlier runs noted.
pub struct Notifying {
    /// What configuration says of it.
    pub settings: NotifySettings,
    /// The way to whoever is told.
    pub port: Box<dyn NotifyPort>,
    /// Where it is noted how far it has come.
    pub cursor: Arc<dyn CursorPort>,
    /// What was noted last; nothing for a notifier that is seen for the first time, which begins with that start.
    pub noted: Option<Cursor>,
    /// How fast it goes.
    pub pace: Pace,
}

impl From<Notifying> for Receiver {
    fn from(notifying: Notifying) -> Self {
        let Notifying {
            settings,
            port,
            cursor,
            noted,
            pace,
        } = notifying;
        Self {
            role: Role::Notifier,
            settings: SinkSettings {
                name: settings.name.clone(),
                kind: settings.kind,
                level: settings.detail.level(),
                // Nobody wants to be told of requests that were decided long ago.
                from: Since::Now,
            },
            carrier: Box::new(NoticeCarrier { settings, port }),
            cursor,
            noted,
            pace,
        }
    }
}

/// Some entries, each as a notification.
struct NoticeCarrier {
    settings: NotifySettings,
    port: Box<dyn NotifyPort>,
}

#[async_trait]
impl Carrier for NoticeCarrier {
    async fn carry(&mut self, broker: &Broker, from: u64, deliver_max: Duration) -> Result<u64, Missed> {
        let unreadable = |fault: &Error| SinkFault::unavailable(chain(fault));
        let stored = broker.log.stored(from, HEADERS_MAX).await.map_err(|fault| unreadable(&fault))?;
        let last = stored.last().ok_or_else(fewer_entries)?.index;
        let Some(entry) = stored.iter().find(|entry| self.may_tell(entry)) else {
            return Ok(last + 1);
        };
        let next = entry.index + 1;
        let made = make::notice(broker, &self.settings, entry.index).await;
        let Some(notice) = made.map_err(|fault| unreadable(&fault))? else {
            return Ok(next);
        };
        if self.settings.audience.is_some() && notice.to.is_empty() {
            tracing::warn!(
                notifier = self.settings.name,
                entry = notice.index,
                event = notice.occasion.as_str(),
                "nobody is told of this entry: no address is known of anybody it goes to"
            );
            return Ok(next);
        }
        let delivered = timeout(deliver_max, self.port.deliver(&notice)).await;
        match delivered.unwrap_or_else(|_| Err(SinkFault::too_slow(deliver_max))) {
            Ok(()) => Ok(next),
            Err(fault) => Err(self.missed(broker, &notice, fault, next)),
        }
    }
}

impl NoticeCarrier {
    /// Whether an entry is worth opening.
    fn may_tell(&self, entry: &Stored) -> bool {
        Occasion::of(entry.header.kind).is_some_and(|occasion| self.settings.occasions.contains(&occasion))
    }

    /// It is tried again, unless it is older than anybody cares for. Each is tried once at least, however old.
    fn missed(&self, broker: &Broker, notice: &Notice, fault: SinkFault, next: u64) -> Missed {
        let age = broker.clock.now_ms().saturating_sub(notice.time_ms);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        if age <= self.settings.give_up {
            return fault.into();
        }
        tracing::error!(
            notifier = self.settings.name,
            entry = notice.index,
            event = notice.occasion.as_str(),
            request = notice.request.as_ref().map(tracing::field::display),
            age_h = age.as_secs() / 3600,
            why = fault.why,
            "a notification is given up: nobody took it in time, and nobody will be told of this entry"
        );
        Missed {
            fault,
            given_up: Some(next),
        }
    }
}

/// The id of an entry's notification: no other entry of any log has it.
fn notice_id(origin: &str, index: u64) -> String {
    let digest = sha256_hex(format!("{origin}\n{index}").as_bytes());
    format!("msg_{}", digest.get(..32).unwrap_or(&digest))
}

/// Headers looked at together for one that is told of.
const HEADERS_MAX: usize = 256;

#[cfg(test)]
mod tests;
