//! The HTTP gateway: translates requests into calls of core and its answers into responses. It decides nothing.

mod body;
mod caller;
mod catalog;
pub(crate) mod counters;
mod device;
mod edge;
mod evidence;
mod fetch;
mod health;
mod keys;
pub(crate) mod limits;
pub mod openapi;
mod page;
mod problem;
mod rate;
mod review;
pub mod router;
mod saml;
mod scim;
mod session;
mod token;
mod turn;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use chunk_core::broker::Broker;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use counters::Counters;
use limits::Limits;
use rate::SignInRate;

use crate::mirror::Standing;
use crate::places::Places;

/// What every handler works with.
pub struct Gateway {
    pub(crate) broker: Arc<Broker>,
    pub(crate) public_url: Url,
    base: String,
    counters: Counters,
    sign_ins: SignInRate,
    running: Arc<Semaphore>,
    bodies: Arc<Places>,
    body_read_max: Duration,
    event_streams: Arc<Semaphore>,
    /// Ends the streams that would never end by themselves.
    stopping: CancellationToken,
    /// Metrics have a listener of their own.
    metrics_apart: bool,
    /// Where a copy of the tree is kept: how it stands.
    mirror: Option<Arc<Standing>>,
}

impl Gateway {
    /// A gateway to this broker.
    pub(crate) fn new(
        broker: Arc<Broker>,
        public_url: Url,
        metrics_apart: bool,
        stopping: CancellationToken,
        mirror: Option<Arc<Standing>>,
        limits: &Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            broker,
            base: public_url.as_str().trim_end_matches('/').to_owned(),
            public_url,
            counters: Counters::default(),
            sign_ins: SignInRate::default(),
            running: Arc::new(Semaphore::new(limits.requests_running_max)),
            bodies: Places::new(limits.bodies_max, limits.bodies_of_one_max),
            body_read_max: limits.body_read_max,
            event_streams: Arc::new(Semaphore::new(limits::EVENT_STREAMS_MAX)),
            stopping,
            metrics_apart,
            mirror,
        })
    }

    /// The public URL without a slash at its end; `htu` of a proof is this and the path.
    fn base(&self) -> &str {
        &self.base
    }
}

#[cfg(test)]
mod tests;
