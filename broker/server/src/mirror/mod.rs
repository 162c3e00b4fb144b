//! Keeps a copy of the tree elsewhere, in a folder or an S3 bucket: tiles and checkpoints under their C2SP paths, written once and
//! never replaced.
//!
//! The copy holds hashes only. It is made after commits and off their path: a place that is slow, full or gone holds nothing up
//! and loses nothing, because the next try copies what is missing.

mod bucket;
mod folder;
mod note;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::audit::{self, Shown, TILE_ENTRIES};
use chunk_core::broker::Broker;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::{MirrorConfig, MirrorPlace};
use crate::error::{CommandError, chain};
use crate::secrets::SecretReader;
use bucket::Bucket;
use folder::Folder;
use note::{Known, NoteFile};

/// Name of the newest checkpoint, the one object that is ever replaced.
const NEWEST: &str = "checkpoint";
/// Objects on their way at once.
const PUTS_MAX: usize = 8;
/// Entries whose full tiles are put before it is noted that they are there: 256 tiles and what stands above them.
const STEP_ENTRIES: u64 = 256 * 256;
/// One full tile that is there is looked at again this often, in turn.
const LOOK_EVERY_S: i64 = 60;

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

/// The copy, and how much it is known to hold.
pub(crate) struct Mirror {
    place: Box<dyn Place>,
    interval: Duration,
    note: NoteFile,
    known: Known,
    /// Number of the minute in which a tile was looked at again.
    looked: i64,
    standing: Arc<Standing>,
}

impl Mirror {
    /// Holds the copy against the journal.
    ///
    /// # Errors
    /// When the place cannot be reached, or holds more of the log than the journal, or another history.
    pub(crate) async fn meet(broker: &Broker, data_dir: &Path, config: &MirrorConfig, secrets: SecretReader) -> Result<Self, CommandError> {
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
        let note = NoteFile::of(data_dir);
        let known = note.read(broker, &place.named(), held);
        Ok(Self {
            place,
            interval: config.interval,
            note,
            known,
            looked: 0,
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
            match self.copy(&broker).await {
                Ok(()) => {
                    self.standing.held.fetch_max(self.known.head, Ordering::Relaxed);
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

    /// Copies what the mirror lacks, the checkpoint last. After a fault it goes on where it has come to.
    async fn copy(&mut self, broker: &Broker) -> Result<(), Fault> {
        self.look_again(broker).await?;
        let shown = audit::shown(broker);
        if shown.size <= self.known.head {
            return Ok(());
        }
        loop {
            let end = (self.known.tiles / STEP_ENTRIES + 1) * STEP_ENTRIES;
            if end > shown.size {
                break;
            }
            self.put_tiles(broker, audit::full_tiles(self.known.tiles, end)).await?;
            self.know(broker, Known { tiles: end, ..self.known }).await;
        }
        // A step puts full tiles only: of the partial ones, those of the head that was shown last are there.
        let (from, to) = (self.known.tiles.min(self.known.head), shown.size);
        self.put_tiles(broker, audit::full_tiles(self.known.tiles, to)).await?;
        self.put_tiles(broker, audit::partial_tiles(from, to)).await?;
        self.place.put(&shown.dated, shown.checkpoint.clone().into_bytes()).await?;
        self.show(broker, &shown).await?;
        let known = Known {
            tiles: shown.size,
            head: shown.size,
        };
        self.know(broker, known).await;
        Ok(())
    }

    /// Makes this head the newest, unless a larger one is.
    async fn show(&self, broker: &Broker, shown: &Shown) -> Result<(), Fault> {
        let there = self.place.newest().await?;
        if let Some(there) = &there {
            // Somebody else copies too, or has put back what stood here before.
            let size = audit::extends(broker, &there.text).map_err(|_| Fault::Contradicts(NEWEST.to_owned()))?;
            if size >= shown.size {
                return Ok(());
            }
        }
        let version = there.and_then(|there| there.version);
        self.place.replace_newest(&shown.checkpoint, version.as_deref()).await
    }

    /// Looks at one of the full tiles that are there, each in its turn: whoever changes one is noticed, if not at once.
    async fn look_again(&mut self, broker: &Broker) -> Result<(), Fault> {
        let turn = Timestamp::now().as_second().div_euclid(LOOK_EVERY_S);
        let tiles = self.known.tiles / TILE_ENTRIES;
        if turn == self.looked || tiles == 0 {
            return Ok(());
        }
        let index = turn.unsigned_abs() % tiles;
        self.put_tiles(broker, audit::full_tiles(index * TILE_ENTRIES, (index + 1) * TILE_ENTRIES))
            .await?;
        self.looked = turn;
        Ok(())
    }

    /// Puts tiles, several at once. What is there is not written again.
    async fn put_tiles(&self, broker: &Broker, paths: Vec<String>) -> Result<(), Fault> {
        let tiles = paths.into_iter().map(|path| put_tile(broker, self.place.as_ref(), path));
        stream::iter(tiles).buffer_unordered(PUTS_MAX).try_collect::<()>().await
    }

    async fn know(&mut self, broker: &Broker, known: Known) {
        self.known = known;
        if let Err(error) = self.note.write(broker, &self.place.named(), known).await {
            tracing::warn!(%error, "it could not be noted what the mirror holds; the next start asks for all of it again");
        }
    }
}

async fn put_tile(broker: &Broker, place: &dyn Place, path: String) -> Result<(), Fault> {
    match audit::tile(broker, &path) {
        Some(tile) => place.put(&path, tile).await,
        // The tree only grows, so what it had it has.
        None => Ok(()),
    }
}
