//! Parquet, CSV, NDJSON and Arrow files: of a folder that the operator named, or objects of a store.
//!
//! Paths come from configuration alone. Symbolic links inside the folder are not followed, and names that begin with `.`
//! or `_` are skipped (the marks and temporary files of other tools). What is opened is a file below the connection's root
//! at that moment ([`held`]), whatever its path led to before.

mod csv;
pub(crate) mod held;
mod ipc;
mod list;
mod ndjson;
mod parquet;
mod place;
mod text;
mod wanted;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunk_port::{FileFormat, ObjectNames, ObjectTarget, ScanError};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use ring::digest::{Context, SHA256};

use crate::engine::fault;
use crate::pushdown::{Condition, Support};
use crate::source::connector::Connector;
use crate::source::objects::Store;
use crate::source::{RawScan, RawStream, RawTable, Size, Want, bridge};

pub(crate) use held::refused;
pub(crate) use list::Listed;
use place::Place;
use wanted::Wanted;

/// Files of one schema.
#[derive(Debug, Clone)]
pub(crate) struct FileTable {
    connection: String,
    place: Place,
    format: FileFormat,
    /// As the files have it.
    file_schema: SchemaRef,
    /// As it is read: nested values as text.
    schema: SchemaRef,
    files: Vec<File>,
}

/// A file, and where it can be cut.
#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    meta: ObjectMeta,
    /// Empty where unknown: then it is read whole.
    groups: Vec<Group>,
}

impl File {
    fn listed(&self) -> Listed {
        Listed {
            path: self.path.clone(),
            meta: self.meta.clone(),
        }
    }
}

/// A row group of Parquet, a batch of Arrow.
#[derive(Debug, Clone, Copy)]
struct Group {
    rows: u64,
    bytes: u64,
}

impl FileTable {
    /// Lists a file or folder below `root` and reads its schema. Reads no row of Parquet and Arrow; the types of CSV and NDJSON come
    /// from their first lines.
    pub(crate) async fn open(connection: &str, root: &Path, path: &Path, format: FileFormat) -> Result<Self, ScanError> {
        let (owner, root, path) = (connection.to_owned(), root.to_owned(), path.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let listed = root.canonicalize().map_err(|e| e.to_string()).and_then(|root| {
                let listed = list::files(&root, &path, format.extensions())?;
                Ok((Place::Folder(Arc::new(root)), listed))
            });
            let (place, listed) = listed.map_err(|e| unlisted(&owner, format!("{}: {e}", path.display())))?;
            Self::described(owner, place, listed, format)
        });
        opened.await.map_err(|e| fault::internal(e.to_string()))?
    }

    /// The same for objects, which are held to what they are now.
    pub(crate) async fn open_objects(
        connector: &Arc<Connector>,
        target: &ObjectTarget,
        names: &ObjectNames,
        format: FileFormat,
        tag: &str,
    ) -> Result<Self, ScanError> {
        let (store, listed) = Store::open(connector, target, names, format.extensions(), tag).await?;
        let owner = target.connection.clone();
        let opened = tokio::task::spawn_blocking(move || Self::described(owner, Place::Store(store), listed, format));
        opened.await.map_err(|e| fault::internal(e.to_string()))?
    }

    fn described(connection: String, place: Place, listed: Vec<Listed>, format: FileFormat) -> Result<Self, ScanError> {
        let failed = |e: String| unlisted(&connection, place.with_trouble(e));
        let whole = |f: Listed| File {
            path: f.path,
            meta: f.meta,
            groups: Vec::new(),
        };
        let (file_schema, files) = match format {
            FileFormat::Parquet => parquet::metadata(&place, listed).map_err(failed)?,
            FileFormat::Arrow => ipc::metadata(&place, listed).map_err(failed)?,
            FileFormat::Csv => {
                let schema = csv::metadata(&place, &listed).map_err(failed)?;
                (schema, listed.into_iter().map(whole).collect())
            }
            FileFormat::Ndjson => {
                let schema = ndjson::metadata(&place, &listed).map_err(failed)?;
                (schema, listed.into_iter().map(whole).collect())
            }
        };
        let fields: Vec<Field> = file_schema
            .fields()
            .iter()
            .map(|f| {
                if text::needed(f.data_type()) {
                    Field::new(f.name(), DataType::Utf8, true)
                } else {
                    f.as_ref().clone()
                }
            })
            .collect();
        Ok(Self {
            connection,
            place,
            format,
            file_schema,
            schema: Arc::new(Schema::new(fields)),
            files,
        })
    }

    fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for file in &self.files {
            if file.groups.is_empty() {
                units.push(Unit {
                    file: file.clone(),
                    groups: None,
                });
                continue;
            }
            let (mut from, mut bytes) = (0, 0_u64);
            for (n, group) in file.groups.iter().enumerate() {
                bytes = bytes.saturating_add(group.bytes);
                if bytes >= UNIT_BYTES || n + 1 == file.groups.len() {
                    units.push(Unit {
                        file: file.clone(),
                        groups: Some((from, n + 1)),
                    });
                    (from, bytes) = (n + 1, 0);
                }
            }
        }
        units
    }
}

/// Row groups are read together up to this many compressed bytes.
const UNIT_BYTES: u64 = 16 * 1024 * 1024;

impl RawTable for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn size(&self) -> Size {
        let known = matches!(self.format, FileFormat::Parquet | FileFormat::Arrow) && self.files.iter().all(|f| !f.groups.is_empty());
        let rows = self.files.iter().flat_map(|f| &f.groups).map(|g| g.rows).sum();
        let bytes = self.files.iter().map(|f| f.meta.size).sum();
        Size {
            rows: known.then_some(rows),
            bytes: Some(bytes),
        }
    }

    fn support(&self, _condition: &Condition) -> Support {
        // The engine itself tests the rows, below the mask.
        Support::Exact
    }

    fn can_filter(&self) -> bool {
        false
    }

    fn can_blank(&self, _column: usize) -> bool {
        false
    }

    fn renew<'a>(&'a self, _tag: &'a str, _limit_s: u32) -> BoxFuture<'a, Result<bool, ScanError>> {
        // A folder is told nothing; a store sees the tag in each request.
        std::future::ready(Ok(matches!(self.place, Place::Folder(_)))).boxed()
    }

    fn state(&self) -> Option<[u8; 32]> {
        let mut digest = Context::new(&SHA256);
        for file in &self.files {
            let (size, state) = (file.meta.size.to_be_bytes(), self.place.state(&file.meta)?);
            for part in [file.path.as_os_str().as_encoded_bytes(), &size, state.as_bytes()] {
                digest.update(&part.len().to_be_bytes());
                digest.update(part);
            }
        }
        digest.finish().as_ref().try_into().ok()
    }

    fn read(&self, want: Want) -> Result<Arc<dyn RawScan>, DataFusionError> {
        let columns: Vec<usize> = want.columns.iter().map(|c| c.index).collect();
        let read = Arc::new(self.file_schema.project(&columns)?);
        let predicate = match want.predicate {
            Some(predicate) if self.format == FileFormat::Parquet => self.prunable(&predicate)?,
            _ => None,
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        let mut units = self.units();
        if units.is_empty() {
            units.push(Unit {
                file: File {
                    path: PathBuf::new(),
                    meta: none(),
                    groups: Vec::new(),
                },
                groups: None,
            });
        }
        Ok(Arc::new(FileScan {
            table: self.clone(),
            columns,
            read,
            schema,
            predicate,
            limit: want.limit,
            units,
        }))
    }
}

impl FileTable {
    /// A predicate over the file's own columns, for its statistics; none if it names a column that is read as text.
    fn prunable(&self, predicate: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>, DataFusionError> {
        let own = collect_columns(predicate).iter().all(|c| {
            self.file_schema
                .field_with_name(c.name())
                .is_ok_and(|f| !text::needed(f.data_type()))
        });
        if own {
            Ok(Some(reassign_expr_columns(Arc::clone(predicate), &self.file_schema)?))
        } else {
            Ok(None)
        }
    }
}

/// What stands for "no file" in a folder of files that have no row group.
fn none() -> ObjectMeta {
    ObjectMeta {
        location: object_store::path::Path::default(),
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: 0,
        e_tag: None,
        version: None,
    }
}

#[derive(Debug, Clone)]
struct Unit {
    file: File,
    groups: Option<(usize, usize)>,
}

#[derive(Debug)]
struct FileScan {
    table: FileTable,
    columns: Vec<usize>,
    /// The columns as the files have them.
    read: SchemaRef,
    /// The columns as they are handed on.
    schema: SchemaRef,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    limit: Option<usize>,
    units: Vec<Unit>,
}

impl FileScan {
    fn rows(&self, unit: usize, context: &Arc<TaskContext>) -> Result<RawStream, DataFusionError> {
        let unit = self
            .units
            .get(unit)
            .ok_or_else(|| fault::carry(fault::internal("unit out of range")))?;
        if unit.file.meta.size == 0 {
            return Ok(stream::empty().boxed());
        }
        // Chunks of one request are minutes apart, and must not be of two files.
        if !self.table.place.is_as_listed(&unit.file.path, &unit.file.meta) {
            let connection = &self.table.connection;
            return Err(fault::carry(fault::source(
                format!("a file behind `{connection}` has changed since the request began to be read; ask again"),
                unit.file.path.display().to_string(),
            )));
        }
        match self.table.format {
            FileFormat::Parquet => self.parquet(unit, context),
            FileFormat::Csv | FileFormat::Ndjson | FileFormat::Arrow => Ok(self.lines(unit)),
        }
    }

    fn parquet(&self, unit: &Unit, context: &Arc<TaskContext>) -> Result<RawStream, DataFusionError> {
        let mut file = PartitionedFile::from(unit.file.meta.clone());
        if let Some((from, to)) = unit.groups {
            let mut plan = ParquetAccessPlan::new_none(unit.file.groups.len());
            (from..to).for_each(|group| plan.scan(group));
            file = file.with_extension(plan);
        }
        let source = ParquetSource::new(Arc::clone(&self.table.file_schema));
        let source: Arc<dyn FileSource> = match &self.predicate {
            Some(predicate) => Arc::new(source.with_predicate(Arc::clone(predicate))),
            None => Arc::new(source),
        };
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file(file)
            .with_projection_indices(Some(self.columns.clone()))?
            .with_limit(self.limit)
            .with_preserve_order(true)
            .build();
        let rows = DataSourceExec::from_data_source(config).execute(0, place::context(self.table.place.store(), context))?;
        let (read, schema) = (Arc::clone(&self.read), Arc::clone(&self.schema));
        Ok(rows.map(move |batch| text::convert(&batch?, &read, &schema)).boxed())
    }

    /// Of formats whose readers block.
    fn lines(&self, unit: &Unit) -> RawStream {
        let wanted = Wanted {
            place: self.table.place.clone(),
            file: unit.file.listed(),
            described: Arc::clone(&self.table.file_schema),
            columns: self.columns.clone(),
            limit: self.limit,
        };
        let (connection, trouble) = (self.table.connection.clone(), wanted.place.clone());
        let failed = move |error: String| unreadable(&connection, trouble.with_trouble(error));
        match self.table.format {
            FileFormat::Csv => bridge::rows(move |_, send| wanted.read_csv(send).map_err(failed)),
            FileFormat::Ndjson => bridge::rows(move |_, send| wanted.read_ndjson(send).map_err(failed)),
            FileFormat::Arrow | FileFormat::Parquet => {
                let rows = ipc::Rows {
                    wanted,
                    batches: unit.groups,
                    schema: Arc::clone(&self.table.schema),
                };
                bridge::rows(move |_, send| rows.read(send).map_err(failed))
            }
        }
    }
}

fn unlisted(connection: &str, operator: String) -> ScanError {
    fault::source(format!("the files behind `{connection}` cannot be read"), operator)
}

fn unreadable(connection: &str, operator: String) -> ScanError {
    fault::source(format!("a file behind `{connection}` cannot be read as it was described"), operator)
}

impl RawScan for FileScan {
    fn units(&self) -> usize {
        self.units.len()
    }

    fn open(self: Arc<Self>, unit: usize, context: Arc<TaskContext>) -> RawStream {
        // The readers' texts may quote values: the operator's log gets the kind of the error and the file, not the text.
        let path = self.units.get(unit).map(|u| u.file.path.display().to_string()).unwrap_or_default();
        let (connection, place) = (self.table.connection.clone(), self.table.place.clone());
        let failed = move |e: DataFusionError| match fault::own(&e) {
            Some(own) => fault::carry(own),
            None => fault::carry(unreadable(&connection, place.with_trouble(format!("{path}: {}", fault::kind(&e))))),
        };
        match self.rows(unit, &context) {
            Ok(rows) => rows.map_err(failed).boxed(),
            Err(error) => stream::once(futures::future::ready(Err(failed(error)))).boxed(),
        }
    }

    fn size(&self) -> BoxFuture<'_, Size> {
        futures::future::ready(self.table.size()).boxed()
    }
}
