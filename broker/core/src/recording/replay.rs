//! Reading a recording back, for somebody who may see what was returned.

use std::io;
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::Bytes;
use chunk_log::data_keys::DataKeys;
use futures::Stream;
use ring::digest::{Context as Hasher, SHA256};
use tokio::sync::mpsc;

use super::sealed::Opener;
use super::{RecordingError, RecordingName, Recordings};
use crate::error::chain;

/// A recording on its way out: the bytes as they were delivered.
///
/// The body is complete only when the stream ends without an error.
pub struct Replay {
    /// Bytes there are.
    pub length: u64,
    parts: mpsc::Receiver<io::Result<Bytes>>,
}

/// What the log says that a recording holds.
pub(crate) struct Told {
    /// Bytes that left.
    pub(crate) bytes: u64,
    /// Their SHA-256 (hex), where the delivery was done.
    pub(crate) sha256: Option<String>,
}

impl Stream for Replay {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.parts.poll_recv(cx)
    }
}

/// A recording that opens.
pub(crate) struct Found(Opener<Box<dyn io::Read + Send>>);

/// Opens a recording. Blocks.
///
/// # Errors
/// When it is not there, damaged, or its key was destroyed.
pub(crate) fn find(store: &dyn Recordings, data_keys: &DataKeys, name: &RecordingName) -> Result<Found, RecordingError> {
    Ok(Found(Opener::begin(data_keys, store.open(name)?, name.intent)?))
}

impl Found {
    /// Reads it on a thread of its own, as fast as it is taken. Its last part leaves only when all of it was what the log says.
    pub(crate) fn replay(self, told: Told) -> Replay {
        let (out, parts) = mpsc::channel(PARTS_IN_FLIGHT_MAX);
        let length = told.bytes;
        tokio::task::spawn_blocking(move || {
            // Whoever asked may be gone.
            let mut send = |part: Vec<u8>| out.blocking_send(Ok(part.into())).is_ok();
            if let Err(fault) = read(self.0, &told, &mut send) {
                tracing::error!(error = %chain(&fault), "a recording could not be read");
                drop(out.blocking_send(Err(io::Error::other("the recording could not be read"))));
            }
        });
        Replay { length, parts }
    }
}

fn read(mut opener: Opener<Box<dyn io::Read + Send>>, told: &Told, send: &mut impl FnMut(Vec<u8>) -> bool) -> Result<(), RecordingError> {
    let mut hasher = Hasher::new(&SHA256);
    let mut bytes = 0;
    let mut held: Option<Vec<u8>> = None;
    while let Some(part) = opener.next()? {
        hasher.update(&part);
        bytes += part.len() as u64;
        if let Some(before) = held.replace(part.to_vec())
            && !send(before)
        {
            return Ok(());
        }
    }
    let sha256 = hex::encode(hasher.finish());
    if bytes != told.bytes || told.sha256.as_ref().is_some_and(|digest| *digest != sha256) {
        return Err(RecordingError::Damaged("it is not what the log says was delivered"));
    }
    if let Some(last) = held {
        send(last);
    }
    Ok(())
}

/// Parts that wait to be sent; each is at most a MiB.
const PARTS_IN_FLIGHT_MAX: usize = 4;
