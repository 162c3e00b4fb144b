//! Every bound of the HTTP side, unit in the name. Those of the broker itself stand in `chunk_core::limits`.

use std::time::Duration;

/// The bounds that tests make smaller; everything else is a constant below.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections of one listener open at once. Fewer where the system allows fewer open files.
    pub(crate) connections_max: usize,
    /// … and for one address. A proxy in front is one address.
    pub(crate) connections_of_one_max: usize,
    /// A connection must have sent its first request within this time.
    pub(crate) first_request_max: Duration,
    /// The head of a request must have arrived within this time; also how long an idle HTTP/1 connection is kept.
    pub(crate) header_read_max: Duration,
    /// A connection on which no exchange is under way is kept for this long.
    pub(crate) idle_max: Duration,
    /// An HTTP/2 peer is asked for a sign of life this often.
    pub(crate) http2_ping_every: Duration,
    /// Requests being answered at once, not counting bodies that are on their way in or out.
    pub(crate) requests_running_max: usize,
    /// Bodies of requests being read at once; each may have [`BODY_BYTES_MAX`] in memory.
    pub(crate) bodies_max: usize,
    /// … and from one address.
    pub(crate) bodies_of_one_max: usize,
    /// A body must have arrived within this time.
    pub(crate) body_read_max: Duration,
    /// At a stop, connections are given this long to end by themselves.
    pub(crate) connections_end_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_of_one_max: 512,
            first_request_max: Duration::from_secs(30),
            header_read_max: Duration::from_secs(20),
            idle_max: Duration::from_secs(60),
            http2_ping_every: Duration::from_secs(20),
            requests_running_max: 1024,
            bodies_max: 256,
            bodies_of_one_max: 64,
            body_read_max: Duration::from_secs(30),
            connections_end_max: Duration::from_secs(5),
        }
    }
}

/// Body of a request. The largest legal one is a signed request document around 64 KiB of SQL.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// A TLS handshake must be over within this time.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Bytes of all headers of an HTTP/2 request.
pub(crate) const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Headers of an HTTP/1 request.
pub(crate) const HEADERS_MAX: usize = 100;
/// Streams of one HTTP/2 connection.
pub(crate) const HTTP2_STREAMS_MAX: u32 = 128;
/// Buffer of an HTTP/1 connection.
pub(crate) const HTTP1_BUFFER_BYTES: usize = 256 * 1024;
/// Bytes that a client may send ahead on an HTTP/2 connection. Bodies that come in are small; how fast deliveries leave is
/// decided by the window of the client.
pub(crate) const HTTP2_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one delivery that wait for the client's window.
pub(crate) const HTTP2_SEND_BUFFER_BYTES: usize = 1024 * 1024;
/// An HTTP/2 peer that was asked for a sign of life is given up after this long without one.
pub(crate) const HTTP2_PING_ANSWER_MAX: Duration = Duration::from_secs(20);
/// Streams of events open at once.
pub(super) const EVENT_STREAMS_MAX: usize = 2048;
/// A comment is sent on an idle stream of events this often, so that proxies keep it open.
pub(super) const EVENTS_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A stream of events looks at the log at most this often.
pub(super) const EVENTS_LOOK_EVERY: Duration = Duration::from_millis(50);
/// A stream of many requests looks at the log at most this often: each look may ask policy about every dataset.
pub(super) const INBOX_LOOK_EVERY: Duration = Duration::from_millis(250);
/// A stream of events looks whether its session is still open at least this often.
pub(super) const SESSION_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Sign-ins that one address may try at once …
pub(super) const SIGN_INS_BURST: f64 = 200.0;
/// … and how many a second after that.
pub(super) const SIGN_INS_A_SECOND: f64 = 10.0;
/// Addresses whose sign-ins are counted apart; those beyond share one count.
pub(super) const SIGN_IN_ADDRESSES_MAX: usize = 10_000;
