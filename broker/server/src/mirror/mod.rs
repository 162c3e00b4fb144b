//! Keeps a copy of the tree elsewhere, in a folder or an S3 bucket: tiles and checkpoints under their C2SP paths, written once and
//! never replaced.
//!
//! The copy holds hashes only. It is made after commits and off their path: a place that is slow, full or gone holds nothing up
//! and loses nothing, because the next try copies what is missing.

mod bucket;
mod folder;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::audit;
use chunk_core::broker::Broker;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::config::{MirrorConfig, MirrorPlace};
use crate::error::{CommandError, chain};
use crate::secrets::SecretReader;
use bucket::Bucket;
use folder::Folder;

/// Name of the newest checkpoint, the one object that is ever replaced.
const NEWEST: &str = "checkpoint";
/// Objects on their way at once.
const PUTS_MAX: usize = 8;

/// Why something could not be copied.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Tried again later.
    #[error("{path}: {why}")]
    Medium { path: String, why: String },
    /// The copy holds something else than the log.
    #[error("{0} is not what the log has there")]
    Contradicts(String),
    /// The copy held it, and somebody took it away.
    #[error("{0} was deleted")]
    Deleted(String),
}

/// A checkpoint as it stands in a mirror, and by what the place knows this version of it.
struct Newest {
    text: String,
    version: Option<String>,
}

/// Where the copy is.
#[async_trait]
trait Place: Send + Sync {
    /// What people call it.
    fn named(&self) -> String;

    /// The newest checkpoint that was copied, if one was.
    async fn newest(&self) -> Result<Option<Newest>, Fault>;

    /// Writes what is not there yet. What is there must be the same.
    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), Fault>;

    /// Replaces the newest checkpoint; only this `version` of it, where the place can tell versions apart.
    async fn replace_newest(&self, text: &str, version: Option<&str>) -> Result<(), Fault>;
}

/// What is known of the copy, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    held: AtomicU64,
    contradicts: AtomicBool,
}

impl Standing {
    /// Entries of the log whose hashes are in the copy.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The copy holds something else than the log; nothing more is copied.
    pub(crate) fn contradicts(&self) -> bool {
        self.contradicts.load(Ordering::Relaxed)
    }
}

/// The copy, and how much of it was looked at.
pub(crate) struct Mirror {
    place: Box<dyn Place>,
    interval: Duration,
    looked_at: u64,
    standing: Arc<Standing>,
}

impl Mirror {
    /// Holds the copy against the journal.
    ///
    /// # Errors
    /// When the place cannot be reached, or holds more of the log than the journal, or another history.
    pub(crate) async fn meet(broker: &Broker, config: &MirrorConfig, secrets: SecretReader) -> Result<Self, CommandError> {
        let place: Box<dyn Place> = match &config.place {
            MirrorPlace::Folder(directory) => Box::new(Folder::open(directory)?),
            MirrorPlace::Bucket(config) => Box::new(Bucket::new(config, secrets)?),
        };
        let newest = place.newest().await.map_err(|fault| {
            let failed = CommandError::unavailable(format!("The mirror `{}` cannot be read.", place.named()));
            failed.because(fault).next(
                "put it right and start again; a broker that cannot tell what its mirror holds does not start. Without `[mirror]` none is kept",
            )
        })?;
        let held = match newest {
            Some(kept) => audit::extends(broker, &kept.text).map_err(|fault| {
                let failed = CommandError::unavailable(format!("The mirror `{}` and the journal differ.", place.named()));
                let failed = failed.because(chain(&fault));
                match fault.hint {
                    Some(next) => failed.next(next),
                    None => failed,
                }
            })?,
            None => 0,
        };
        let standing = Arc::new(Standing::default());
        standing.held.store(held, Ordering::Relaxed);
        Ok(Self {
            place,
            interval: config.interval,
            // What it holds is looked at once more as it is copied: nothing that is there is written again.
            looked_at: 0,
            standing,
        })
    }

    /// What is known of the copy, from now on.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Copies what is new until the broker has stopped.
    pub(crate) async fn keep(mut self, broker: Arc<Broker>, stopped: CancellationToken) {
        loop {
            let last = stopped.is_cancelled();
            match copy(&broker, self.place.as_ref(), self.looked_at).await {
                Ok(held) => {
                    self.looked_at = held;
                    self.standing.held.fetch_max(held, Ordering::Relaxed);
                }
                Err(fault @ (Fault::Contradicts(_) | Fault::Deleted(_))) => {
                    tracing::error!(error = %fault, "the mirror contradicts the evidence log; nothing more is copied");
                    self.standing.contradicts.store(true, Ordering::Relaxed);
                    return;
                }
                Err(fault) => tracing::warn!(error = %fault, "the mirror could not be written; it is tried again"),
            }
            if last {
                return;
            }
            tokio::select! { () = tokio::time::sleep(self.interval) => {}, () = stopped.cancelled() => {} }
        }
    }
}

/// Copies what a mirror of `held` entries lacks, the checkpoint last; gives how many it holds then.
async fn copy(broker: &Broker, place: &dyn Place, held: u64) -> Result<u64, Fault> {
    let Some(lacking) = audit::lacking(broker, held) else {
        return Ok(held);
    };
    let tiles = lacking.tiles.into_iter().map(|path| put_tile(broker, place, path));
    stream::iter(tiles).buffer_unordered(PUTS_MAX).try_collect::<()>().await?;
    place.put(&lacking.dated, lacking.checkpoint.clone().into_bytes()).await?;
    let there = place.newest().await?;
    if let Some(there) = &there {
        // Somebody else copies too, or has put back what stood here before.
        let size = audit::extends(broker, &there.text).map_err(|_| Fault::Contradicts(NEWEST.to_owned()))?;
        if size >= lacking.size {
            return Ok(lacking.size);
        }
    }
    let version = there.and_then(|there| there.version);
    place.replace_newest(&lacking.checkpoint, version.as_deref()).await?;
    Ok(lacking.size)
}

async fn put_tile(broker: &Broker, place: &dyn Place, path: String) -> Result<(), Fault> {
    match audit::tile(broker, &path) {
        Some(tile) => place.put(&path, tile).await,
        // The tree only grows, so what it had it has.
        None => Ok(()),
    }
}
