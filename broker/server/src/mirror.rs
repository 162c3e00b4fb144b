//! Keeps a copy of the tree in a folder: tiles and checkpoints under their C2SP paths, written once and never replaced.
//!
//! The copy holds hashes only. It is made after commits and off their path: a folder that is slow, full or gone holds nothing up
//! and loses nothing, because the next try copies what is missing.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunk_core::audit;
use chunk_core::broker::Broker;
use tokio_util::sync::CancellationToken;

use crate::config::MirrorConfig;
use crate::error::{CommandError, chain};

const NEWEST: &str = "checkpoint";

/// The copy, and how much of the tree it is known to hold.
pub(crate) struct Mirror {
    config: MirrorConfig,
    held: u64,
}

/// Why something could not be copied.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Tried again later.
    #[error("{path}: {why}")]
    Medium { path: PathBuf, why: ErrorKind },
    /// The copy holds something else than the log.
    #[error("{0} is not what the log has there")]
    Contradicts(PathBuf),
}

impl Mirror {
    /// Holds the folder against the journal.
    ///
    /// # Errors
    /// When the folder is not there, or holds more of the log than the journal, or another history.
    pub(crate) fn meet(broker: &Broker, config: MirrorConfig) -> Result<Self, CommandError> {
        let place = || format!("The mirror `{}`", config.directory.display());
        if !config.directory.is_dir() {
            return Err(CommandError::unavailable(format!("{} is not there.", place())).next("mount or make the folder, and start again"));
        }
        match std::fs::read_to_string(config.directory.join(NEWEST)) {
            Ok(kept) => audit::extends(broker, &kept).map_err(|fault| {
                let failed = CommandError::unavailable(format!("{} and the journal differ.", place())).because(chain(&fault));
                match fault.hint {
                    Some(next) => failed.next(next),
                    None => failed,
                }
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(CommandError::unavailable(format!("{} cannot be read.", place())).because(error.kind())),
        };
        // What it holds is looked at once more as it is copied: nothing that is there is written again.
        Ok(Self { config, held: 0 })
    }

    /// Copies what is new until the broker has stopped.
    pub(crate) async fn keep(mut self, broker: Arc<Broker>, stopped: CancellationToken) {
        loop {
            let last = stopped.is_cancelled();
            let copied = {
                let (broker, config, held) = (Arc::clone(&broker), self.config.clone(), self.held);
                tokio::task::spawn_blocking(move || copy(&broker, &config.directory, held)).await
            };
            match copied {
                Ok(Ok(held)) => self.held = held,
                Ok(Err(fault @ Fault::Contradicts(_))) => {
                    tracing::error!(error = %fault, "the mirror contradicts the evidence log; nothing more is copied");
                    return;
                }
                Ok(Err(fault)) => tracing::warn!(error = %fault, "the mirror could not be written; it is tried again"),
                Err(fault) => tracing::error!(error = %fault, "copying to the mirror failed"),
            }
            if last {
                return;
            }
            tokio::select! { () = tokio::time::sleep(self.config.interval) => {}, () = stopped.cancelled() => {} }
        }
    }
}

/// Copies what a mirror of `held` entries lacks, the checkpoint last; gives how many it holds then.
fn copy(broker: &Broker, folder: &Path, held: u64) -> Result<u64, Fault> {
    let Some(lacking) = audit::lacking(broker, held) else {
        return Ok(held);
    };
    for path in &lacking.tiles {
        // The tree only grows, so what it had it has.
        if let Some(tile) = audit::tile(broker, path) {
            put(folder, path, &tile)?;
        }
    }
    put(folder, &lacking.dated, lacking.checkpoint.as_bytes())?;
    let place = folder.join(NEWEST);
    let medium = |error: std::io::Error| fault(&place, &error);
    written(&place, lacking.checkpoint.as_bytes())?
        .persist(&place)
        .map_err(|error| medium(error.error))?;
    Ok(lacking.size)
}

/// Writes a file that is not there yet. One that is there must be the same.
fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), Fault> {
    let place = folder.join(path);
    let same = |place: &Path| match std::fs::read(place) {
        Ok(found) if found == bytes => Ok(true),
        Ok(_) => Err(Fault::Contradicts(place.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault(place, &error)),
    };
    if same(&place)? {
        return Ok(());
    }
    match written(&place, bytes)?.persist_noclobber(&place) {
        Ok(_) => Ok(()),
        // Somebody else copies too.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => same(&place).map(|_| ()),
        Err(error) => Err(fault(&place, &error.error)),
    }
}

/// A file beside its place, whole and on disk.
fn written(place: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, Fault> {
    let write = || -> std::io::Result<tempfile::NamedTempFile> {
        let beside = place.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(beside)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(beside)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error| fault(place, &error))
}

fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Medium {
        path: path.to_owned(),
        why: error.kind(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "tile/0/000", b"hashes").unwrap();
        put(folder.path(), "tile/0/000", b"hashes").unwrap();
        assert!(matches!(put(folder.path(), "tile/0/000", b"others"), Err(Fault::Contradicts(_))));
        assert_eq!(std::fs::read(folder.path().join("tile/0/000")).unwrap(), b"hashes");
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(matches!(put(folder.path(), "file/0", b"hashes"), Err(Fault::Medium { .. })));
    }
}
