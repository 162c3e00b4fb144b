//! A mirror that is a folder: one that another machine owns, or that a backup takes.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Fault, NEWEST, Newest, Place};
use crate::error::CommandError;

/// The folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder that must be there, so that a share which is not mounted is noticed.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn open(directory: &Path) -> Result<Self, CommandError> {
        if !directory.is_dir() {
            let failed = CommandError::unavailable(format!("The mirror `{}` is not there.", directory.display()));
            return Err(failed.next("mount or make the folder, and start again"));
        }
        Ok(Self(directory.to_owned()))
    }
}

#[async_trait]
impl Place for Folder {
    fn named(&self) -> String {
        self.0.display().to_string()
    }

    async fn newest(&self) -> Result<Option<Newest>, Fault> {
        let place = self.0.join(NEWEST);
        off_the_way(move || match std::fs::read_to_string(&place) {
            Ok(text) => Ok(Some(Newest { text, version: None })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(&place, &error)),
        })
        .await
    }

    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        let place = self.0.join(path);
        off_the_way(move || put(&place, &bytes)).await
    }

    async fn replace_newest(&self, text: &str, _version: Option<&str>) -> Result<(), Fault> {
        let (place, text) = (self.0.join(NEWEST), text.to_owned());
        off_the_way(move || {
            let persisted = written(&place, text.as_bytes())?.persist(&place);
            persisted.map(drop).map_err(|error| fault(&place, &error.error))
        })
        .await
    }
}

/// Disks make one wait, and those who wait there must not hold up those who compute.
async fn off_the_way<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|ended| {
        Err(Fault::Medium {
            path: "the folder".to_owned(),
            why: ended.to_string(),
        })
    })
}

/// Writes a file that is not there yet. One that is there must be the same.
fn put(place: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let same = || match std::fs::read(place) {
        Ok(found) if found == bytes => Ok(true),
        Ok(_) => Err(Fault::Contradicts(place.display().to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault(place, &error)),
    };
    if same()? {
        return Ok(());
    }
    match written(place, bytes)?.persist_noclobber(place) {
        Ok(_) => Ok(()),
        // Somebody else copies too.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => same().map(|_| ()),
        Err(error) => Err(fault(place, &error.error)),
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
        path: path.display().to_string(),
        why: error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn what_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Folder::open(folder.path()).unwrap();
        let put = async |path: &str, bytes: &[u8]| mirror.put(path, bytes.to_vec()).await;
        put("tile/0/000", b"hashes").await.unwrap();
        put("tile/0/000", b"hashes").await.unwrap();
        assert!(matches!(put("tile/0/000", b"others").await, Err(Fault::Contradicts(_))));
        assert_eq!(std::fs::read(folder.path().join("tile/0/000")).unwrap(), b"hashes");
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(matches!(put("file/0", b"hashes").await, Err(Fault::Medium { .. })));
    }

    #[tokio::test]
    async fn only_the_newest_checkpoint_is_replaced_and_a_folder_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Folder::open(folder.path()).unwrap();
        assert!(mirror.newest().await.unwrap().is_none());
        for text in ["one", "two"] {
            mirror.replace_newest(text, None).await.unwrap();
            assert_eq!(mirror.newest().await.unwrap().unwrap().text, text);
        }
        assert!(Folder::open(&folder.path().join("none")).is_err());
    }
}
