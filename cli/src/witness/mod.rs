//! Has this log only grown? A witness: remembers the largest tree of each log it vouched for, and vouches for another only when
//! that one extends it (C2SP tlog-witness).
//!
//! What a cosignature is worth is the witness's memory. So the state is on disk, durably, before a cosignature leaves; a witness
//! without its state does not start; and of two requests that race, the second is judged against what the first one wrote.
//!
//! [`request`] reads, [`judge`] decides, [`state`] remembers, [`server`] listens.

pub(crate) mod judge;
pub(crate) mod key;
pub(crate) mod request;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod tls;
