//! The engine as core uses it: files in a temporary folder, orders, and what comes out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod attacks;
mod files;
mod limits;
mod mysql;
mod objects;
mod postgres;
mod queries;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use chunk_port::{
    DateUnit, FileFormat, Frames, GovernedColumn, GovernedTable, Inspection, Look, Mask, MaskCount, MaskKey, ScanError, ScanOrder,
    ScanPlan, Scanner, Secrets, Source, Table, Treatment,
};
use chunk_wire::fetch::{Budget, Format, Params, Query};
use datafusion::arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder};
use datafusion::arrow::record_batch::RecordBatch;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{Engine, Settings};

/// Raw values that must never leave masked.
pub(super) const SSNS: [&str; 6] = [
    "078-05-1120",
    "219-09-9999",
    "457-55-5462",
    "078-05-1120",
    "001-01-0001",
    "987-65-4321",
];
pub(super) const EMAILS: [&str; 6] = [
    "ada@example.com",
    "bob@example.com",
    "cyd@example.org",
    "dee@example.org",
    "eve@example.net",
    "fay@example.net",
];
pub(super) const SALARIES: [i64; 6] = [71_234_567, 82_345_678, 93_456_789, 64_567_891, 55_678_912, 46_789_123];

struct NoSecrets;

impl Secrets for NoSecrets {
    fn password(&self, _connection: &str) -> Result<Zeroizing<String>, String> {
        Err("no secrets in this test".to_owned())
    }
}

/// An engine and a folder of data.
pub(super) struct House {
    pub(super) folder: TempDir,
    pub(super) engine: Arc<Engine>,
}

pub(super) fn house() -> House {
    house_with(&Settings {
        threads: 2,
        ..Settings::default()
    })
}

pub(super) fn house_with(settings: &Settings) -> House {
    let folder = tempfile::tempdir().unwrap();
    let people = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6])) as ArrayRef),
        (
            "name",
            Arc::new(StringArray::from(vec![
                Some("Ada"),
                Some("Bob"),
                Some("Cyd"),
                Some("Dee"),
                None,
                Some("Fay"),
            ])),
        ),
        ("ssn", Arc::new(StringArray::from(SSNS.to_vec()))),
        ("email", Arc::new(StringArray::from(EMAILS.to_vec()))),
        ("salary", Arc::new(Int64Array::from(SALARIES.to_vec()))),
        ("region", Arc::new(StringArray::from(vec!["eu", "us", "eu", "us", "eu", "ap"]))),
        ("born", Arc::new(Date32Array::from(vec![0, 1000, 2000, 3000, 4000, 5000]))),
        ("score", Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5, -0.0, 4.5, f64::NAN]))),
        ("Mixed Case", Arc::new(Int64Array::from(vec![10, 20, 30, 40, 50, 60]))),
    ])
    .unwrap();
    parquet(&folder.path().join("people.parquet"), &[people.slice(0, 3), people.slice(3, 3)]);
    let mut tags = ListBuilder::new(StringBuilder::new());
    for n in 0..3 {
        tags.values().append_value(format!("t{n}"));
        tags.append(true);
    }
    let orders = RecordBatch::try_from_iter([
        ("order_id", Arc::new(Int64Array::from(vec![100, 101, 102])) as ArrayRef),
        ("person", Arc::new(Int64Array::from(vec![1, 1, 3]))),
        (
            "buyer_ssn",
            Arc::new(StringArray::from(vec!["078-05-1120", "078-05-1120", "457-55-5462"])),
        ),
        (
            "amount",
            Arc::new(Decimal128Array::from(vec![1000, 250, 99]).with_precision_and_scale(9, 2).unwrap()),
        ),
        ("tags", Arc::new(tags.finish())),
    ])
    .unwrap();
    parquet(&folder.path().join("orders.parquet"), &[orders]);
    std::fs::write(
        folder.path().join("towns.csv"),
        "code,town,people\n0101,\"Aa, \"\"upper\"\"\",10\n0202,\"two\nlines\",20\n1303,Cc,\n",
    )
    .unwrap();
    House {
        engine: Engine::new(Arc::new(NoSecrets), settings).unwrap(),
        folder,
    }
}

/// One row group for each batch.
pub(super) fn parquet(path: &std::path::Path, batches: &[RecordBatch]) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(WriterProperties::builder().build())).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

pub(super) fn key() -> Arc<MaskKey> {
    Arc::new(MaskKey {
        id: "pii/1".to_owned(),
        secret: Zeroizing::new([7; 32]),
    })
}

pub(super) fn redact() -> Treatment {
    Treatment::Mask(Mask::Redact)
}

pub(super) fn last4() -> Treatment {
    Treatment::Mask(Mask::Partial {
        keep_first: 0,
        keep_last: 4,
    })
}

pub(super) fn token() -> Treatment {
    Treatment::Mask(Mask::Tokenize {
        key: key(),
        preserve: false,
    })
}

pub(super) fn bucket() -> Treatment {
    Treatment::Mask(Mask::Generalize {
        date: DateUnit::Year,
        bucket: Some(10_000_000),
        prefix: None,
    })
}

impl House {
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(super) fn table(&self, dataset: &str) -> Table {
        let source = match dataset {
            "towns" => Source::Files {
                root: self.folder.path().to_owned(),
                path: self.path("towns.csv"),
                format: FileFormat::Csv,
            },
            "sales.orders" => Source::Files {
                root: self.folder.path().to_owned(),
                path: self.path("orders.parquet"),
                format: FileFormat::Parquet,
            },
            other => Source::Files {
                root: self.folder.path().to_owned(),
                path: self.path(&format!("{other}.parquet")),
                format: FileFormat::Parquet,
            },
        };
        Table {
            dataset: dataset.to_owned(),
            connection: "files".to_owned(),
            source,
        }
    }

    /// Treatments by column name; the rest is open.
    pub(super) async fn governed(&self, dataset: &str, treatments: &[(&str, Treatment)]) -> GovernedTable {
        govern(&self.engine, self.table(dataset), treatments).await.unwrap()
    }

    /// The whole of people, as a caller without any right sees it.
    pub(super) async fn masked_people(&self) -> GovernedTable {
        self.governed(
            "people",
            &[("ssn", token()), ("email", last4()), ("salary", bucket()), ("name", redact())],
        )
        .await
    }

    pub(super) async fn inspect(&self, query: &Query, datasets: &[&str]) -> Result<Inspection, ScanError> {
        let tables: Vec<Table> = datasets.iter().map(|d| self.table(d)).collect();
        self.engine.inspect(query, &tables).await
    }

    pub(super) async fn plan(&self, query: Query, tables: Vec<GovernedTable>) -> Result<ScanPlan, ScanError> {
        self.engine.plan(&order(query, tables, Format::Csv)).await
    }

    pub(super) async fn csv(&self, query: Query, tables: Vec<GovernedTable>) -> Result<String, ScanError> {
        csv(&self.engine, query, tables).await
    }

    /// Bytes, rows and counts.
    pub(super) async fn fetch(&self, order: ScanOrder) -> Result<(Vec<u8>, u64, Vec<MaskCount>), ScanError> {
        fetch(&self.engine, order).await
    }
}

/// The road of a query, in steps.
impl Engine {
    pub(super) async fn inspect(&self, query: &Query, tables: &[Table]) -> Result<Inspection, ScanError> {
        Ok(self.look(query, tables, "test").await?.inspection().clone())
    }

    /// Tables that the query does not name are left out: nobody asks for them.
    async fn planned(&self, order: &mut ScanOrder) -> Result<(Box<dyn Look>, ScanPlan), ScanError> {
        let tables: Vec<Table> = order.tables.iter().map(|t| t.table.clone()).collect();
        let mut look = self.look(&order.query, &tables, "test-plan").await?;
        let named = look.inspection().datasets.clone();
        order.tables.retain(|t| named.contains(&t.table.dataset));
        order.tables.sort_by_key(|t| t.table.dataset.clone());
        let plan = look.plan(order).await?;
        Ok((look, plan))
    }

    pub(super) async fn plan(&self, order: &ScanOrder) -> Result<ScanPlan, ScanError> {
        Ok(self.planned(&mut order.clone()).await?.1)
    }

    pub(super) async fn open(&self, mut order: ScanOrder) -> Result<Frames, ScanError> {
        let (look, _) = self.planned(&mut order).await?;
        look.read(order).await
    }
}

/// Describes a table and gives it treatments by column name; the rest is open.
pub(super) async fn govern(engine: &Engine, table: Table, treatments: &[(&str, Treatment)]) -> Result<GovernedTable, ScanError> {
    let columns = engine.describe(&table).await?.into_iter().map(|c| GovernedColumn {
        treatment: treatments
            .iter()
            .find(|(n, _)| *n == c.name)
            .map_or(Treatment::Open, |(_, t)| t.clone()),
        class: None,
        name: c.name,
    });
    Ok(GovernedTable {
        columns: columns.collect(),
        table,
        row_filter: None,
    })
}

pub(super) async fn csv(engine: &Engine, query: Query, tables: Vec<GovernedTable>) -> Result<String, ScanError> {
    let (bytes, _, _) = fetch(engine, order(query, tables, Format::Csv)).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Bytes, rows and counts.
pub(super) async fn fetch(engine: &Engine, order: ScanOrder) -> Result<(Vec<u8>, u64, Vec<MaskCount>), ScanError> {
    read_all(engine.open(order).await?).await
}

/// The same of an open scan.
pub(super) async fn read_all(frames: Frames) -> Result<(Vec<u8>, u64, Vec<MaskCount>), ScanError> {
    let Frames { mut stream, counts } = frames;
    let (mut bytes, mut rows) = (Vec::new(), 0);
    while let Some(frame) = stream.next().await {
        let frame = frame?;
        assert!(frame.bytes.len() <= 1024 * 1024);
        bytes.extend_from_slice(&frame.bytes);
        rows += frame.rows;
    }
    Ok((bytes, rows, counts.counts()))
}

/// The types of a table's columns, as it is described.
pub(super) async fn types(engine: &Engine, table: &Table) -> String {
    let types: Vec<String> = engine.describe(table).await.unwrap().into_iter().map(|c| c.data_type).collect();
    types.join(" ")
}

/// The rows of people as SQL writes them, for sources that are spoken to in it; NaN is null there.
pub(super) fn people_values() -> String {
    let people = [
        ("'Ada'", "eu", "1970-01-01", "0.5"),
        ("'Bob'", "us", "1972-09-27", "1.5"),
        ("'Cyd'", "eu", "1975-06-24", "2.5"),
        ("'Dee'", "us", "1978-03-20", "-0.5"),
        ("NULL", "eu", "1980-12-14", "4.5"),
        ("'Fay'", "ap", "1983-09-10", "NULL"),
    ];
    let row = |n: usize| {
        let (name, region, born, score) = people[n];
        format!(
            "({}, {name}, '{}', '{}', {}, '{region}', '{born}', {score}, {})",
            n + 1,
            SSNS[n],
            EMAILS[n],
            SALARIES[n],
            (n + 1) * 10
        )
    };
    (0..people.len()).map(row).collect::<Vec<_>>().join(", ")
}

pub(super) fn sql(text: &str) -> Query {
    Query::Sql {
        text: text.to_owned(),
        params: Params::new(),
    }
}

pub(super) fn slice(dataset: &str, columns: Option<&[&str]>, filter: Option<&str>, order_by: Option<&str>, limit: Option<u64>) -> Query {
    Query::Slice {
        dataset: dataset.to_owned(),
        columns: columns.map(|c| c.iter().map(|c| (*c).to_owned()).collect()),
        filter: filter.map(str::to_owned),
        order_by: order_by.map(str::to_owned),
        limit,
        params: Params::new(),
    }
}

pub(super) fn order(query: Query, tables: Vec<GovernedTable>, format: Format) -> ScanOrder {
    let budget = Budget {
        rows: 1_000_000,
        bytes: 1 << 30,
        duration_s: 60,
    };
    ScanOrder {
        query,
        tables,
        format,
        budget,
        tag: "test".to_owned(),
        metadata: vec![("origin".to_owned(), "test".to_owned())],
    }
}
