//! Puts what others said of the log back into the log: the newest time stamp, the newest quorum of cosignatures.
//!
//! A stamp says that what it covers was there by its time. The entry that tells of the stamp says the other half: whatever comes
//! after it was made later, because nobody could know the stamp before. It would be pointless to tell of a stamp over nothing but
//! such entries, and the log would grow for ever by itself; so there is one only after something else happened.

use std::sync::Arc;
use std::time::Duration;

use chunk_evidence::merkle::Hash;
use chunk_evidence::timestamp::TOLERANCE_MS;
use chunk_log::journal::Urgency;
use tokio::time::{Instant, MissedTickBehavior};

use crate::broker::Broker;
use crate::evidence::entries::Event;
use crate::state::State;

/// Something that others said about a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) kind: AnchorKind,
    /// Entries below the checkpoint.
    pub(crate) size: u64,
    /// Its root.
    pub(crate) root: Hash,
    /// SHA-256 (hex) of the stamp as bundles hold it, or of the cosigned checkpoint.
    pub(crate) sha256: String,
    /// The time they state, ms since 1970.
    pub(crate) time_ms: i64,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnchorKind {
    /// A time-stamp authority.
    Rfc3161,
    /// A quorum of witnesses.
    Witness,
}

impl AnchorKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rfc3161 => "rfc3161",
            Self::Witness => "witness",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Rfc3161, Self::Witness].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What the log says about what others said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Anchors {
    /// Size of the newest stamped checkpoint that an entry tells of.
    pub(crate) stamped: u64,
    /// Size of the newest cosigned one.
    pub(crate) cosigned: u64,
    /// One past the newest entry that tells of something else.
    pub(crate) others: u64,
    /// Index and time of the newest entry that tells of one.
    newest: Option<(u64, i64)>,
}

impl Anchors {
    /// Folds an entry that tells of one in.
    pub(crate) fn apply(&mut self, index: u64, observed: &Observed, time_ms: i64) {
        self.newest = Some((index, time_ms));
        let size = match observed.kind {
            AnchorKind::Rfc3161 => &mut self.stamped,
            AnchorKind::Witness => &mut self.cosigned,
        };
        *size = observed.size.max(*size);
    }

    /// Folds any other entry in.
    pub(crate) fn apply_other(&mut self, index: u64) {
        self.others = index + 1;
    }

    /// Whether an entry may tell of something now.
    fn may(&self, now_ms: i64) -> bool {
        self.newest
            .is_none_or(|(index, time_ms)| self.others > index && now_ms.saturating_sub(time_ms) >= BETWEEN_MS)
    }

    fn known(&self, kind: AnchorKind) -> u64 {
        match kind {
            AnchorKind::Rfc3161 => self.stamped,
            AnchorKind::Witness => self.cosigned,
        }
    }
}

/// Tells the log what others said of it, from time to time, until the broker stops.
pub(crate) async fn attend(broker: Arc<Broker>) {
    let mut tick = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut again_ms = i64::MIN;
    loop {
        tokio::select! {
            () = broker.stopping.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now_ms = broker.clock.now_ms();
        if now_ms < again_ms {
            continue;
        }
        if let Err(fault) = look(&broker).await {
            // The log says loudly by itself why it cannot grow.
            tracing::warn!(error = %fault, "what others said of the evidence log could not be recorded; it is tried again later");
            again_ms = now_ms.saturating_add(BETWEEN_MS);
        }
    }
}

/// Records what others said of the log, where that is due.
pub(crate) async fn look(broker: &Broker) -> Result<(), crate::error::Error> {
    let observed: Vec<Observed> = [broker.timestamps.observed(), broker.witness.observed()]
        .into_iter()
        .flatten()
        .collect();
    let now_ms = broker.clock.now_ms();
    if decide(&broker.log.published().state, now_ms, &observed).is_empty() {
        return Ok(());
    }
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| Ok(decide(state, now_ms, &observed)))
        .await
        .map(drop)
}

/// The entries that are due, in one commit: of each kind one, if it is new.
fn decide(state: &State, now_ms: i64, observed: &[Observed]) -> Vec<Event> {
    let anchors = &state.anchors;
    if !anchors.may(now_ms) {
        return Vec::new();
    }
    let new = observed.iter().filter(|observed| observed.size > anchors.known(observed.kind));
    // An entry that is dated before what it tells of would be called false: then this machine's clock is behind.
    let new = new.filter(|observed| observed.time_ms.saturating_sub(TOLERANCE_MS) <= now_ms);
    new.cloned().map(Event::Anchor).collect()
}

/// Between one commit with such entries and the next at least.
const BETWEEN_MS: i64 = 5 * 60 * 1000;
/// How often it is looked whether one is due. Unit tests look themselves, so that no entry comes between their own by chance.
const LOOK_EVERY: Duration = Duration::from_secs(if cfg!(test) { 3600 } else { 1 });

#[cfg(test)]
mod tests;
