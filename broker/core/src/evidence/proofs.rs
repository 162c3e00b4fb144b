//! Receipts and bundles: what leaves the log so that others can check it without us.

use std::sync::Arc;

use chunk_wire::problem::Code;

use super::log::{Opened, Published};
use crate::broker::Broker;
use crate::error::Error;
use crate::state::Request;

/// placeholder until receipt formats land
pub(crate) async fn receipt(_broker: &Broker, _head: &Arc<Published>, _request: &Request, _chunk: u32) -> Result<String, Error> {
    Err(Error::new(Code::Internal, "receipts are not wired yet"))
}

pub(crate) async fn bundle(
    _broker: &Broker,
    _head: &Arc<Published>,
    _from: u64,
    _to: u64,
    _level: u8,
    _matches: impl Fn(&Opened) -> bool,
) -> Result<Vec<u8>, Error> {
    Err(Error::new(Code::Internal, "bundles are not wired yet"))
}
