//! An object as a reader that blocks sees it: bytes, one after the other or from a place on.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use super::ask::Object;
use super::store::Store;

/// An object, and where a reader is in it. For threads that may block.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    store: Arc<Store>,
    object: Arc<Object>,
    runtime: Handle,
    at: u64,
    /// What has been fetched, and where it begins.
    window: (u64, Bytes),
    /// How much is fetched next: more and more, while it is read from front to back.
    ahead: u64,
}

const AHEAD_MIN: u64 = 256 * 1024;
const AHEAD_MAX: u64 = 8 * 1024 * 1024;

impl Remote {
    /// To be called on a thread of a runtime's for blocking work.
    pub(crate) fn new(store: &Arc<Store>, object: Arc<Object>) -> Self {
        Self {
            store: Arc::clone(store),
            object,
            runtime: Handle::current(),
            at: 0,
            window: (0, Bytes::new()),
            ahead: AHEAD_MIN,
        }
    }

    fn fetch(&self, from: u64, to: u64) -> io::Result<Bytes> {
        self.runtime
            .block_on(self.store.range(&self.object, from..to))
            .map_err(io::Error::other)
    }

    /// What is held from the reader's place on.
    fn held(&self) -> &[u8] {
        let (from, bytes) = &self.window;
        let skipped = self.at.checked_sub(*from).and_then(|n| usize::try_from(n).ok());
        skipped.and_then(|n| bytes.get(n..)).unwrap_or_default()
    }
}

impl Read for Remote {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.object.size || into.is_empty() {
            return Ok(0);
        }
        if self.held().is_empty() {
            let follows = self.window.0 + u64::try_from(self.window.1.len()).unwrap_or(u64::MAX) == self.at;
            self.ahead = if follows { (self.ahead * 2).min(AHEAD_MAX) } else { AHEAD_MIN };
            let to = self.at.saturating_add(self.ahead).min(self.object.size);
            self.window = (self.at, self.fetch(self.at, to)?);
        }
        let held = self.held();
        let length = held.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..length), held.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at += u64::try_from(length).unwrap_or(u64::MAX);
        Ok(length)
    }
}

impl Seek for Remote {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.object.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl Length for Remote {
    fn len(&self) -> u64 {
        self.object.size
    }
}

impl ChunkReader for Remote {
    type T = Self;

    fn get_read(&self, start: u64) -> Result<Self, ParquetError> {
        Ok(Self { at: start, ..self.clone() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = u64::try_from(length).ok().and_then(|l| start.checked_add(l));
        let end = end
            .filter(|end| *end <= self.object.size)
            .ok_or_else(|| ParquetError::EOF("past the end of an object".to_owned()))?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.fetch(start, end).map_err(|e| ParquetError::External(Box::new(e)))
    }
}
