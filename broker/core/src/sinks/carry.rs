//! What a receiver is given of the log, and how far that brings it.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::{SinkFault, SinkPort, events};
use crate::broker::Broker;
use crate::error::chain;

/// Makes something of the entries and hands it over.
#[async_trait]
pub(crate) trait Carrier: Send {
    /// Hands over what comes next of the entries from this index on, of which there is at least one, within a time; the index
    /// of the first entry that is left.
    async fn carry(&mut self, broker: &Broker, from: u64, deliver_max: Duration) -> Result<u64, Missed>;
}

/// What was not handed over.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) fault: SinkFault,
    /// The index to go on from, where it is not tried again: whoever gives something up has said so.
    pub(crate) given_up: Option<u64>,
}

impl From<SinkFault> for Missed {
    fn from(fault: SinkFault) -> Self {
        Self { fault, given_up: None }
    }
}

/// Every entry as an event. It never gives one up.
pub(super) struct EventCarrier {
    level: u8,
    port: Box<dyn SinkPort>,
}

impl EventCarrier {
    pub(super) fn new(level: u8, port: Box<dyn SinkPort>) -> Self {
        Self { level, port }
    }
}

#[async_trait]
impl Carrier for EventCarrier {
    async fn carry(&mut self, broker: &Broker, from: u64, deliver_max: Duration) -> Result<u64, Missed> {
        let batch = events::next(broker, from, self.level, self.port.takes())
            .await
            .map_err(|fault| SinkFault::unavailable(chain(&fault)))?;
        let Some(last) = batch.last().map(|event| event.index) else {
            return Err(fewer_entries().into());
        };
        timeout(deliver_max, self.port.deliver(&batch))
            .await
            .unwrap_or_else(|_| Err(SinkFault::too_slow(deliver_max)))?;
        Ok(last + 1)
    }
}

/// The log says that there are entries, and has none to read.
pub(crate) fn fewer_entries() -> SinkFault {
    SinkFault::unavailable("the log has fewer entries than it says")
}
