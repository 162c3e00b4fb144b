//! Decides: identity, policy, approval, the fetch road. State is a fold over log entries; there is no other store.
//!
//! Start reading at [`fetch::fetch`]: the road from a credential to a delivery. Gateways translate into it; the scanner (a
//! port, [`chunk_port::Scanner`]) reads for it; the log records before anything is read.

mod anchor;
pub mod approval;
pub mod audit;
mod authorize;
pub mod broker;
pub mod catalog;
pub mod clock;
pub mod context;
pub mod delivery;
pub mod error;
mod evidence;
pub mod fetch;
pub mod identity;
pub mod limits;
pub mod notify;
mod plan;
pub mod policy;
mod rates;
pub mod recording;
pub mod retention;
pub mod rotate;
pub mod rule;
pub mod settings;
pub mod sinks;
mod state;
#[cfg(test)]
mod testing;
pub mod timestamp;
pub mod witness;
