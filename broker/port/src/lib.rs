//! The port through which core reads data: what is asked for here is done in `chunk-scan`.
//!
//! Everything crosses as plain data. Core decides what each column looks like to the caller ([`Treatment`]); the scanner has
//! no say in it and no way to learn who asks. A package of its own, so that neither side is compiled again when the other changes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chunk_wire::fetch::{Budget, Format, Query};
use chunk_wire::problem::Position;
use futures::stream::BoxStream;
use zeroize::Zeroizing;

pub use mask::{DateUnit, Mask, MaskKey, Treatment};

mod mask;

/// SQL text or filter, bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;

/// Reads governed tables.
#[async_trait]
pub trait Scanner: Send + Sync + 'static {
    /// The columns of a table, from the source's metadata. Reads no row.
    async fn describe(&self, table: &Table) -> Result<Vec<SourceColumn>, ScanError>;

    /// Opens those of `tables` that the query names. `tables` holds only datasets that the caller may know of; any other name is
    /// unknown. `tag` is shown to the source as that of an order is. Reads no row.
    async fn look(&self, query: &Query, tables: &[Table], tag: &str) -> Result<Box<dyn Look>, ScanError>;

    /// Prepares to read in chunks of about this many rows of the source, all of them of one moment. Reads no row.
    async fn cut(&self, order: ScanOrder, rows: u64) -> Result<Arc<dyn Chunked>, ScanError>;
}

/// A query with the tables it names opened: the source is asked once what they are, for looking at the query, planning it and reading
/// by it. Dropping it lets go of the source.
#[async_trait]
pub trait Look: Send + Sync + 'static {
    /// Which tables the query names, which columns and functions it uses, what kind of statement it is.
    fn inspection(&self) -> &Inspection;

    /// The columns of a dataset that it names, from the source's metadata.
    fn columns(&self, dataset: &str) -> Option<Vec<SourceColumn>>;

    /// What running `order` would give and what would run where. Its tables are exactly those that the query names. Reads no row.
    async fn plan(&mut self, order: &ScanOrder) -> Result<ScanPlan, ScanError>;

    /// Starts reading; where the order is for other columns or masks than were planned, by planning it anew. Dropping the stream stops the
    /// scan and cancels the statement at the source.
    async fn read(self: Box<Self>, order: ScanOrder) -> Result<Frames, ScanError>;
}

/// A result that is read in chunks: one after another, they are what [`Look::read`] would give, each encoded by itself. While it is
/// there, the source is held at one moment; dropping it lets go of the source.
#[async_trait]
pub trait Chunked: Send + Sync + 'static {
    /// Chunks; one where the result cannot be cut or is small.
    fn count(&self) -> u32;

    /// What the source was when it was cut, where that can be told apart from any other time: another cut of the same order with the same
    /// state has the same chunks, byte for byte. Nothing where only this cut knows.
    fn state(&self) -> Option<[u8; 32]>;

    /// Starts reading one chunk. Of `order`, the budget, tag and metadata may differ from chunk to chunk.
    async fn open(&self, chunk: u32, order: ScanOrder) -> Result<Frames, ScanError>;
}

/// Hands out the credential of a connection at the moment it is needed; the scanner drops (and so wipes) it after use.
pub trait Secrets: Send + Sync + 'static {
    /// The password of the connection with this name.
    ///
    /// # Errors
    /// When it cannot be read; the text is for the operator.
    fn password(&self, connection: &str) -> Result<Zeroizing<String>, String>;

    /// Another secret of a connection, by the name of its key in the configuration; nothing where none is configured.
    ///
    /// # Errors
    /// When it cannot be read; the text is for the operator.
    fn key(&self, connection: &str, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        let _ = (connection, name);
        Ok(None)
    }
}

/// A dataset as the scanner finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Dataset name; the table's name in SQL.
    pub dataset: String,
    /// Connection name.
    pub connection: String,
    /// Where its rows are.
    pub source: Source,
}

/// Where rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A table or view in PostgreSQL.
    Postgres {
        /// Server.
        target: Arc<PostgresTarget>,
        /// Schema.
        schema: String,
        /// Table or view.
        table: String,
    },
    /// A table or view in MySQL or MariaDB.
    Mysql {
        /// Server.
        target: Arc<MysqlTarget>,
        /// Database.
        database: String,
        /// Table or view.
        table: String,
    },
    /// A table or view in an SQLite file.
    Sqlite {
        /// The connection's folder; nothing outside of it is read, wherever links lead.
        root: PathBuf,
        /// File below it.
        path: PathBuf,
        /// Table or view.
        table: String,
    },
    /// Files of one schema: one file, or a folder of them.
    Files {
        /// The connection's folder; nothing outside of it is read, wherever links lead.
        root: PathBuf,
        /// File or folder below it.
        path: PathBuf,
        /// How they are encoded.
        format: FileFormat,
    },
    /// Objects of one schema.
    Objects {
        /// Where they are.
        target: Arc<ObjectTarget>,
        /// Which they are.
        names: ObjectNames,
        /// How they are encoded.
        format: FileFormat,
    },
}

/// How an object store is reached. Its keys come from [`Secrets`] under the connection's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectTarget {
    /// Connection name.
    pub connection: String,
    /// Where the objects are.
    pub place: ObjectPlace,
    /// PEM file of the CA that signed the server's certificate; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
}

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectPlace {
    /// A bucket of S3 or of a service like it. The keys `access_key`, `secret_key` and perhaps `session_token` sign for it.
    S3 {
        /// Address of the service; plain HTTP only on loopback, which configuration sees to.
        endpoint: String,
        /// Bucket.
        bucket: String,
        /// What every key begins with: empty, or a path that ends with a slash.
        prefix: String,
        /// Region that requests are signed for.
        region: String,
        /// The bucket stands in the path, not in the host's name.
        path_style: bool,
    },
    /// Files behind an address. The key `token`, if there is one, is sent as a bearer token.
    Http {
        /// The address that names are appended to; plain HTTP only on loopback, which configuration sees to.
        base: String,
    },
}

/// Which objects a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectNames {
    /// The object of this name, or those below it; needs a listing.
    Below(String),
    /// These, in this order.
    Listed(Vec<String>),
}

/// How files are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// CSV with one header line each, the same in all.
    Csv,
    /// A JSON object on each line.
    Ndjson,
    /// Arrow IPC, as a file or as a stream.
    Arrow,
}

impl FileFormat {
    /// The formats and the extensions that their files end in, the first of which is the format's name.
    pub const ALL: [(FileFormat, &[&str]); 4] = [
        (FileFormat::Parquet, &["parquet"]),
        (FileFormat::Csv, &["csv"]),
        (FileFormat::Ndjson, &["ndjson", "jsonl"]),
        (FileFormat::Arrow, &["arrow", "feather"]),
    ];

    /// The extensions of its files.
    #[must_use]
    pub fn extensions(self) -> &'static [&'static str] {
        let found = Self::ALL.iter().find(|(format, _)| *format == self);
        found.map_or(&[], |(_, extensions)| extensions)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.extensions().first().copied().unwrap_or_default()
    }
}

/// How a PostgreSQL server is reached. The password comes from [`Secrets`] under the connection's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Connection name.
    pub connection: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role; should be read-only.
    pub user: String,
    /// PEM file of the CA that signed the server's certificate; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
    /// TLS is required unless this is true, which configuration accepts only for loopback hosts.
    pub plaintext: bool,
    /// A statement that runs longer is cancelled by the server.
    pub statement_timeout_s: u32,
}

/// How a MySQL or MariaDB server is reached. The password comes from [`Secrets`] under the connection's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlTarget {
    /// Connection name.
    pub connection: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Account; should be read-only.
    pub user: String,
    /// PEM file of the CA that signed the server's certificate; the system's roots when absent.
    pub ca_file: Option<PathBuf>,
    /// TLS is required unless this is true, which configuration accepts only for loopback hosts.
    pub plaintext: bool,
    /// A statement that runs longer is cancelled by the server.
    pub statement_timeout_s: u32,
}

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name.
    pub name: String,
    /// Arrow's name of the type read (`Utf8`, `Int64`, …).
    pub data_type: String,
    /// May be null.
    pub nullable: bool,
}

/// What a query names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// `slice` or `select`.
    pub statement: String,
    /// Datasets read, sorted.
    pub datasets: Vec<String>,
    /// (dataset, column) read, in source order: every column that any part of the query touches.
    pub columns: Vec<(String, String)>,
    /// Functions used, lower case, sorted: as written and under every other name they have, operators on text as the functions
    /// that do the same (`||` as `concat`, `~` as `regexp_like`, LIKE as `like`).
    pub functions: Vec<String>,
}

/// Everything needed to read: the query, the tables it names with what each column looks like to this caller, and the bounds.
#[derive(Debug, Clone)]
pub struct ScanOrder {
    /// The query.
    pub query: Query,
    /// Exactly the tables it names.
    pub tables: Vec<GovernedTable>,
    /// Encoding.
    pub format: Format,
    /// Bounds; reaching one ends the stream with [`ScanErrorKind::Limit`].
    pub budget: Budget,
    /// Shown to the source (`application_name`), so that its own log can be reconciled: the fetch id.
    pub tag: String,
    /// Key-value pairs for the file's metadata where the format has a place (Parquet, Arrow): origin, request, chunk.
    pub metadata: Vec<(String, String)>,
}

/// A table with what its columns look like to this caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernedTable {
    /// The table.
    pub table: Table,
    /// Every column of the table, in source order.
    pub columns: Vec<GovernedColumn>,
    /// A boolean SQL expression over *unmasked* columns, from configuration; rows for which it is not true are not there.
    pub row_filter: Option<String>,
}

/// A column and what is done to its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernedColumn {
    /// Name.
    pub name: String,
    /// Class, where it has one.
    pub class: Option<String>,
    /// What is done.
    pub treatment: Treatment,
}

/// What a scan would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlan {
    /// Output columns.
    pub columns: Vec<SourceColumn>,
    /// Rows that come, or that go into what comes (an aggregate over a table counts as the table), at most or about; absent
    /// where a source cannot tell.
    pub rows_estimated: Option<u64>,
    /// Bytes read at the source, where it can tell.
    pub bytes_estimated: Option<u64>,
    /// What runs where, a line each.
    pub explain: Vec<String>,
}

/// An open scan.
pub struct Frames {
    /// Encoded bytes in order. The first error is the last item.
    pub stream: BoxStream<'static, Result<Frame, ScanError>>,
    /// Counts so far; final once the stream has ended.
    pub counts: Arc<dyn MaskCounts>,
}

/// A piece of the encoded result, at most about 1 MiB.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Bytes to send.
    pub bytes: Bytes,
    /// Rows that end in this piece.
    pub rows: u64,
}

/// How often each mask was applied.
pub trait MaskCounts: Send + Sync {
    /// One entry for each masked column of each table read.
    fn counts(&self) -> Vec<MaskCount>;
}

/// How often a mask was applied to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskCount {
    /// Dataset.
    pub dataset: String,
    /// Column.
    pub column: String,
    /// Class.
    pub class: Option<String>,
    /// Mask as [`Treatment`] displays it.
    pub mask: String,
    /// Values that are not null and went through it.
    pub values: u64,
    /// Those that came out different.
    pub altered: u64,
}

/// Why a scan cannot be planned or continued.
#[derive(Debug, thiserror::Error)]
#[error("{public}")]
pub struct ScanError {
    /// Whose fault.
    pub kind: ScanErrorKind,
    /// What the caller may read. Never a value, never a driver's text.
    pub public: String,
    /// What the operator may read.
    pub operator: Option<String>,
}

/// Whose fault, and so what to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanErrorKind {
    /// The SQL does not parse or plan.
    InvalidSql(Option<Position>),
    /// The statement or function is never allowed; the text names the built-in rule.
    Refused,
    /// A dataset that the query names is unknown to this caller.
    UnknownDataset,
    /// The source failed.
    Source,
    /// A bound of the budget or of memory was reached.
    Limit,
    /// An expression failed on the caller's own (masked) values, e.g. a division by zero.
    Evaluation,
    /// A bug.
    Internal,
}
