//! What every call carries: which HTTP request it belongs to and where it came from.

use std::net::IpAddr;

/// The circumstances of one call, as the gateway saw them.
#[derive(Debug, Clone)]
pub struct Context {
    /// Id of the gateway's request, for logs and problems.
    pub request_id: String,
    /// Address of the peer.
    pub ip: IpAddr,
}
