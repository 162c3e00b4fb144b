//! The way to the authority that stamps the log: its HTTP (RFC 3161, 3.4), and the folder beside the journal in which its stamps
//! are kept.
//!
//! `timestamps/SIZE.checkpoint` and `timestamps/SIZE.tsr` are what bundles hold under the same names: a signed checkpoint, and the
//! stamp over its text. `timestamps/heads` holds, one JSON object a line, the heads of bundles, so that an export that is made
//! again is the same.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::timestamp::{KeptStamp, NotedHead, TimestampMemory, TimestampPort, TimestampSettings, Timestamping};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::TimestampConfig;
use crate::error::{CommandError, chain};
use crate::outbound;

const FOLDER: &str = "timestamps";
const HEADS: &str = "heads";
/// A reply: a token with the certificates it carries along.
const REPLY_BYTES_MAX: usize = 128 * 1024;
/// How often it is looked whether the log has grown.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the broker needs to have its log stamped.
///
/// # Errors
/// When a client cannot be made, or what was kept cannot be read.
pub(crate) fn timestamping(config: &TimestampConfig, data_dir: &Path) -> Result<Timestamping, CommandError> {
    let client = outbound::client(&config.url, config.ca_file.as_deref())
        .map_err(|why| CommandError::config("The client for the time-stamp authority cannot be made.").because(why))?;
    let shelf = Shelf {
        folder: data_dir.join(FOLDER),
    };
    let memory = shelf
        .open()
        .map_err(|why| CommandError::unavailable("The time stamps of earlier runs cannot be read.").because(why))?;
    Ok(Timestamping {
        settings: TimestampSettings {
            interval: config.interval,
            look_every: LOOK_EVERY,
        },
        port: Arc::new(HttpAuthority {
            client,
            url: config.url.clone(),
            shelf,
        }),
        memory,
    })
}

struct HttpAuthority {
    client: Client,
    url: Url,
    shelf: Shelf,
}

#[async_trait]
impl TimestampPort for HttpAuthority {
    async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let sent = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/timestamp-query")
            .body(request)
            .send();
        let mut reply = sent.await.map_err(|error| chain(&error.without_url()))?;
        if reply.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", reply.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = reply.chunk().await.map_err(|error| chain(&error.without_url()))? {
            if bytes.len() + piece.len() > REPLY_BYTES_MAX {
                return Err(format!("it answered with more than {REPLY_BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn keep(&self, size: u64, stamp: &KeptStamp) -> Result<(), String> {
        self.shelf.keep(size, stamp).map_err(|error| format!("{FOLDER}: {error}"))
    }

    fn read(&self, size: u64) -> Result<KeptStamp, String> {
        self.shelf.read(size).map_err(|error| format!("{FOLDER}: {error}"))
    }

    fn note_head(&self, head: &NotedHead) -> Result<(), String> {
        self.shelf.note_head(head).map_err(|error| format!("{FOLDER}/{HEADS}: {error}"))
    }
}

/// The folder.
struct Shelf {
    folder: PathBuf,
}

/// A line of [`HEADS`].
#[derive(Serialize, Deserialize)]
struct HeadLine {
    checkpoint: String,
    stamped: u64,
}

impl Shelf {
    /// Makes the folder where it is missing, and tells what is in it.
    fn open(&self) -> Result<TimestampMemory, String> {
        let told = |error: std::io::Error| format!("{}: {}", self.folder.display(), error.kind());
        match std::fs::DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(told(error)),
            _ => {}
        }
        let mut sizes = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(told)? {
            let name = entry.map_err(told)?.file_name();
            let size = name.to_str().and_then(|name| name.strip_suffix(".tsr")?.parse::<u64>().ok());
            // The stamp takes its place last: without it there is only the checkpoint of one that never came to be.
            sizes.extend(size.filter(|size| self.token(*size).file_name() == Some(name.as_os_str())));
        }
        let heads = match std::fs::read_to_string(self.folder.join(HEADS)) {
            Ok(heads) => heads,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(told(error)),
        };
        // A line that a crash cut is a head that nobody was given.
        let heads = heads.lines().filter_map(|line| serde_json::from_str::<HeadLine>(line).ok());
        Ok(TimestampMemory {
            sizes,
            heads: heads
                .map(|HeadLine { checkpoint, stamped }| NotedHead { checkpoint, stamped })
                .collect(),
        })
    }

    fn keep(&self, size: u64, stamp: &KeptStamp) -> std::io::Result<()> {
        self.place(&self.checkpoint(size), stamp.checkpoint.as_bytes())?;
        self.place(&self.token(size), &stamp.token)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    fn read(&self, size: u64) -> std::io::Result<KeptStamp> {
        Ok(KeptStamp {
            checkpoint: std::fs::read_to_string(self.checkpoint(size))?,
            token: std::fs::read(self.token(size))?,
        })
    }

    fn note_head(&self, head: &NotedHead) -> std::io::Result<()> {
        let path = self.folder.join(HEADS);
        let separate = std::fs::read(&path).is_ok_and(|text| text.last().is_some_and(|last| *last != b'\n'));
        let mut file = std::fs::File::options().append(true).create(true).mode(0o600).open(&path)?;
        let line = serde_json::to_string(&HeadLine {
            checkpoint: head.checkpoint.clone(),
            stamped: head.stamped,
        });
        // Behind a line that a crash cut, a line of its own.
        let separate = if separate { "\n" } else { "" };
        file.write_all(format!("{separate}{}\n", line.map_err(std::io::Error::other)?).as_bytes())?;
        file.sync_all()
    }

    /// Whole or not at all.
    fn place(&self, path: &Path, contents: &[u8]) -> std::io::Result<()> {
        let new = self.folder.join("new");
        let mut file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    }

    fn checkpoint(&self, size: u64) -> PathBuf {
        self.folder.join(format!("{size:012}.checkpoint"))
    }

    fn token(&self, size: u64) -> PathBuf {
        self.folder.join(format!("{size:012}.tsr"))
    }
}

#[cfg(test)]
mod tests;
