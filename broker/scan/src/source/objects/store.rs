//! The objects of a table, listed once and read as they were then.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chunk_port::{ObjectNames, ObjectTarget, ScanError};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::ask::{Asker, Object};
use crate::engine::fault;
use crate::source::connector::Connector;
use crate::source::files::{Listed, refused};

/// Objects of one table.
pub(crate) struct Store {
    connection: String,
    asker: Asker,
    connector: Arc<Connector>,
    objects: HashMap<Location, Arc<Object>>,
    /// What went wrong last; readers between here and there pass on that something did, and not what.
    trouble: Mutex<Option<String>>,
}

const OBJECTS_MAX: usize = 100_000;

impl Store {
    /// Lists the objects with one of these extensions, sorted by key.
    pub(crate) async fn open(
        connector: &Arc<Connector>,
        target: &ObjectTarget,
        names: &ObjectNames,
        extensions: &[&str],
        tag: &str,
    ) -> std::result::Result<(Arc<Self>, Vec<Listed>), ScanError> {
        let asker = Asker::new(connector, target, tag)?;
        let failed = |e: String| fault::source(format!("the objects behind `{}` cannot be listed", target.connection), e);
        let found = match names {
            ObjectNames::Below(name) => below(&asker, connector, name, extensions).await.map_err(failed)?,
            ObjectNames::Listed(names) => {
                let mut found = Vec::with_capacity(names.len());
                for name in names {
                    let object = asker.head(connector, name).await;
                    found.push(object.map_err(|e| failed(format!("`{name}`: {e}")))?);
                }
                found
            }
        };
        if found.is_empty() {
            return Err(failed(format!("no .{} object", extensions.join(" or ."))));
        }
        let mut listed = Vec::with_capacity(found.len());
        let mut objects = HashMap::with_capacity(found.len());
        for object in found {
            let location = Location::from(object.key.as_str());
            listed.push(Listed {
                path: PathBuf::from(&object.key),
                meta: ObjectMeta {
                    location: location.clone(),
                    last_modified: chrono::DateTime::UNIX_EPOCH,
                    size: object.size,
                    e_tag: None,
                    version: None,
                },
            });
            objects.insert(location, Arc::new(object));
        }
        let store = Self {
            connection: target.connection.clone(),
            asker,
            connector: Arc::clone(connector),
            objects,
            trouble: Mutex::new(None),
        };
        Ok((Arc::new(store), listed))
    }

    /// The object listed for this place.
    pub(crate) fn object(&self, location: &Location) -> Option<Arc<Object>> {
        self.objects.get(location).cloned()
    }

    /// A range of it.
    pub(crate) async fn range(&self, object: &Object, range: Range<u64>) -> std::result::Result<Bytes, String> {
        let read = self.asker.range(&self.connector, object, range).await;
        if let Err(why) = &read {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        }
        read
    }

    /// What went wrong last, for the operator.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The object of this key, or those below it that are not hidden.
async fn below(asker: &Asker, connector: &Connector, name: &str, extensions: &[&str]) -> std::result::Result<Vec<Object>, String> {
    let mut found: Vec<Object> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (page, next) = asker.list(connector, name, after.as_deref()).await?;
        for object in page {
            let below = object.key.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
            let shown = below.is_some_and(|rest| {
                let hidden = rest.split('/').any(|part| part.is_empty() || part.starts_with(['.', '_']));
                let extension = rest.rsplit_once('.').map(|(_, e)| e).unwrap_or_default();
                !hidden && extensions.iter().any(|e| extension.eq_ignore_ascii_case(e))
            });
            if object.key == name || shown {
                found.push(object);
            }
        }
        if found.len() > OBJECTS_MAX {
            return Err(format!("more than {OBJECTS_MAX} objects"));
        }
        if next.is_none() {
            break;
        }
        if next == after {
            return Err("a listing that does not go on".to_owned());
        }
        after = next;
    }
    // One of that very key is the table; what happens to lie below is not.
    if let Some(one) = found.iter().find(|o| o.key == name) {
        return Ok(vec![one.clone()]);
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found.dedup_by(|a, b| a.key == b.key);
    Ok(found)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("objects")
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        let failed = |why: String| Error::Generic {
            store: "objects",
            source: why.into(),
        };
        let object = self
            .object(location)
            .ok_or_else(|| failed("an object that was not listed".to_owned()))?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: object.size,
            e_tag: None,
            version: None,
        };
        let range = match options.range {
            Some(range) => range.as_range(object.size).map_err(|e| failed(e.to_string()))?,
            None => 0..object.size,
        };
        let bytes = if options.head || range.is_empty() {
            Bytes::new()
        } else {
            self.range(&object, range.clone()).await.map_err(failed)?
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(futures::future::ready(Ok(bytes))).boxed()),
            meta,
            range,
            attributes: Default::default(),
        })
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
