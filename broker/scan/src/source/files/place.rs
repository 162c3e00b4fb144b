//! Where files are, and what reads them: a folder of this machine, or an object store.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::{ObjectMeta, ObjectStore};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::held::{self, Held};
use super::list::Listed;
use crate::source::objects::{Remote, Store};

/// Where files are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Below a folder, by its real path.
    Folder(Arc<PathBuf>),
    /// In an object store.
    Store(Arc<Store>),
}

impl Place {
    /// Opens a file that was listed. For threads that may block.
    pub(super) fn open(&self, listed: &Listed) -> io::Result<Opened> {
        match self {
            Place::Folder(root) => held::open(root, &listed.path).map(Opened::Local),
            Place::Store(store) => {
                let object = store.object(&listed.meta.location);
                let object = object.ok_or_else(|| io::Error::other("an object that was not listed"))?;
                Ok(Opened::Remote(Box::new(Remote::new(store, object))))
            }
        }
    }

    /// What the query engine reads it by.
    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Place::Folder(root) => Arc::new(Held::new(root)),
            Place::Store(store) => Arc::clone(store) as Arc<dyn ObjectStore>,
        }
    }

    /// Whether a file is still what was listed. Objects are held to that by every request for a part of one.
    pub(super) fn is_as_listed(&self, path: &Path, meta: &ObjectMeta) -> bool {
        match self {
            Place::Folder(_) => fs::metadata(path).is_ok_and(|now| {
                let written = now.modified().map(DateTime::<Utc>::from);
                now.len() == meta.size && written.is_ok_and(|written| written == meta.last_modified)
            }),
            Place::Store(_) => true,
        }
    }

    /// What tells one state of a file from any other, where something does.
    pub(super) fn state(&self, meta: &ObjectMeta) -> Option<String> {
        match self {
            Place::Folder(_) => meta.last_modified.timestamp_nanos_opt().map(|written| written.to_string()),
            Place::Store(_) => meta.e_tag.clone(),
        }
    }

    /// What a reader says, and what it may not have passed on.
    pub(super) fn with_trouble(&self, text: String) -> String {
        match self {
            Place::Store(store) => match store.trouble() {
                Some(trouble) if !text.contains(&trouble) => format!("{text} ({trouble})"),
                _ => text,
            },
            Place::Folder(_) => text,
        }
    }
}

/// An opened file.
pub(super) enum Opened {
    Local(File),
    Remote(Box<Remote>),
}

impl Read for Opened {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Opened::Local(file) => file.read(into),
            Opened::Remote(object) => object.read(into),
        }
    }
}

impl Seek for Opened {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Opened::Local(file) => file.seek(to),
            Opened::Remote(object) => object.seek(to),
        }
    }
}

impl Length for Opened {
    fn len(&self) -> u64 {
        match self {
            Opened::Local(file) => Length::len(file),
            Opened::Remote(object) => Length::len(object.as_ref()),
        }
    }
}

impl ChunkReader for Opened {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Opened::Local(file) => Box::new(file.get_read(start)?),
            Opened::Remote(object) => Box::new(object.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Opened::Local(file) => file.get_bytes(start, length),
            Opened::Remote(object) => object.get_bytes(start, length),
        }
    }
}

/// The context with a store in which only these files are.
pub(super) fn context(store: Arc<dyn ObjectStore>, context: &TaskContext) -> Arc<TaskContext> {
    let registry = DefaultObjectStoreRegistry::new();
    drop(registry.register_store(ObjectStoreUrl::local_filesystem().as_ref(), store));
    let env = context.runtime_env();
    let runtime = RuntimeEnv {
        memory_pool: Arc::clone(&env.memory_pool),
        disk_manager: Arc::clone(&env.disk_manager),
        cache_manager: Arc::clone(&env.cache_manager),
        object_store_registry: Arc::new(registry),
    };
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone(),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        Arc::new(runtime),
    ))
}
