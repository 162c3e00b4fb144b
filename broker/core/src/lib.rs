//! Decides: identity, policy, approval, the fetch road. State is a fold over log entries; there is no other store.

pub mod catalog;
pub mod clock;
pub mod context;
pub mod error;
pub mod limits;
pub mod scan;
