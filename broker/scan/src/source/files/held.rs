//! Files that are where the operator said, at the moment they are read.
//!
//! A folder is listed when a request is planned, and read later; in between, whoever may write to it can put a link in a
//! file's place. So each file is opened, and then what was opened is compared with what lies below the connection's root
//! under the path's real name: the same file, or nothing is read. A path is never trusted because it was good before.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// Opens a regular file below `root`, which must be a real path without links.
pub(crate) fn open(root: &Path, path: &Path) -> io::Result<File> {
    let outside = || {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not, or no longer, a file below the connection's root",
        )
    };
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(outside());
    }
    let file = File::open(path)?;
    let opened = file.metadata()?;
    let real = path.canonicalize()?;
    let there = fs::symlink_metadata(&real)?;
    let same = opened.dev() == there.dev() && opened.ino() == there.ino();
    if opened.is_file() && same && real.starts_with(root) {
        Ok(file)
    } else {
        Err(outside())
    }
}

/// Reads files below a root, and does nothing else.
#[derive(Debug)]
pub(super) struct Held {
    root: Arc<PathBuf>,
}

impl Held {
    /// Below `root`, which must be a real path without links.
    pub(super) fn new(root: &Arc<PathBuf>) -> Self {
        Self { root: Arc::clone(root) }
    }

    async fn with_file<T: Send + 'static>(
        &self,
        location: &Location,
        read: impl FnOnce(File, PathBuf) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        let path = LocalFileSystem::new().path_to_filesystem(location)?;
        let done = tokio::task::spawn_blocking(move || open(&root, &path).and_then(|file| read(file, path))).await;
        done.map_err(|source| Error::JoinError { source })?
            .map_err(|source| Error::Generic {
                store: "files",
                source: Box::new(source),
            })
    }
}

/// What a store that is only read does not do.
pub(crate) fn refused<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "files that are only read".to_owned(),
    })
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("files")
    }
}

#[async_trait]
impl ObjectStore for Held {
    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        let (file, path, size, modified) = self
            .with_file(location, |file, path| {
                let stat = file.metadata()?;
                Ok((file, path, stat.len(), stat.modified()?))
            })
            .await?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: modified.into(),
            size,
            e_tag: None,
            version: None,
        };
        options.check_preconditions(&meta)?;
        let range = match options.range {
            Some(range) => range.as_range(size).map_err(|source| Error::Generic {
                store: "files",
                source: Box::new(source),
            })?,
            None => 0..size,
        };
        Ok(GetResult {
            payload: GetResultPayload::File(file, path),
            meta,
            range,
            attributes: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        self.with_file(location, move |file, _| {
            ranges.into_iter().map(|range| read_range(&file, range)).collect()
        })
        .await
    }

    async fn put_opts(&self, _: &Location, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        refused("put")
    }

    async fn put_multipart_opts(&self, _: &Location, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        refused("put")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        stream::once(futures::future::ready(refused("delete"))).boxed()
    }

    fn list(&self, _: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(futures::future::ready(refused("list"))).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Location>) -> Result<ListResult> {
        refused("list")
    }

    async fn copy_opts(&self, _: &Location, _: &Location, _: CopyOptions) -> Result<()> {
        refused("copy")
    }
}

fn read_range(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    // A footer can ask for anything; what the file does not have is not allocated.
    let end = range.end.min(file.metadata()?.len());
    let length = usize::try_from(end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_a_file_below_the_root_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let root = folder.join("root");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(root.join("deep/a"), "in").unwrap();
        fs::write(folder.join("b"), "out").unwrap();
        std::os::unix::fs::symlink(folder.join("b"), root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("deep/a"), root.join("in")).unwrap();
        std::os::unix::fs::symlink(&folder, root.join("up")).unwrap();
        open(&root, &root.join("deep/a")).unwrap();
        open(&root, &root.join("in")).unwrap();
        for path in ["out", "up/b", "up", "deep", "../b", "nowhere"] {
            assert!(open(&root, &root.join(path)).is_err(), "{path}");
        }
    }
}
