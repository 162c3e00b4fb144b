//! What masks cost: a Parquet file of one column read by the engine as it is and through each mask, in turns, written as Arrow; and how
//! fast one core finds personal data in free text, clean and dense.
//!
//! `cargo run --release --locked -p chunk-scan --example masks [ROWS [ROUNDS]]`
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on must end and say where"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use chunk_port::{
    DateUnit, FileFormat, GovernedColumn, GovernedTable, Mask, MaskKey, ScanOrder, Scanner as _, Secrets, Source, Table, Treatment,
};
use chunk_scan::{Engine, Settings, detect};
use chunk_wire::fetch::{Budget, Format, Params, Query};
use futures::StreamExt as _;
use parquet::arrow::ArrowWriter;
use zeroize::Zeroizing;

struct NoSecrets;

impl Secrets for NoSecrets {
    fn password(&self, _: &str) -> Result<Zeroizing<String>, String> {
        Err("there are none".to_owned())
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let rounds: usize = arguments.next().map_or(5, |text| text.parse().unwrap());
    let folder = std::env::temp_dir().join(format!("chunkctl-masks-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    write(&folder.join("rows.parquet"), rows);
    let engine = Engine::new(Arc::new(NoSecrets), &Settings::default()).unwrap();
    println!("{rows} rows, medians of {rounds} rounds in turns with the same column as it is");
    println!("column    | mask                       | million values/s | x as long as unmasked");
    for (column, masks) in cases() {
        let mut open = Vec::new();
        let mut masked: Vec<Vec<f64>> = vec![Vec::new(); masks.len()];
        for _ in 0..rounds {
            open.push(read(&engine, &folder, column, Treatment::Open).await);
            for (mask, times) in masks.iter().zip(&mut masked) {
                times.push(read(&engine, &folder, column, Treatment::Mask(mask.clone())).await);
            }
        }
        let open = median(open);
        line(column, "open", rows, open, open);
        for (mask, times) in masks.iter().zip(masked) {
            line(column, &mask.to_string(), rows, median(times), open);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("\ntext, one core | MB/s");
    for (name, text) in [("clean", CLEAN), ("dense", DENSE)] {
        let texts: Vec<String> = (0..20_000).map(|n| format!("{text} {n}")).collect();
        let bytes: usize = texts.iter().map(String::len).sum();
        let times = (0..rounds)
            .map(|_| {
                let began = Instant::now();
                let found: usize = texts.iter().map(|text| detect::find(text).len()).sum();
                let took = began.elapsed().as_secs_f64();
                assert_eq!(found == 0, name == "clean");
                took
            })
            .collect();
        println!("{name:14} | {:.0}", bytes as f64 / median(times) / 1e6);
    }
}

const CLEAN: &str = "Customer called about a late parcel; the carrier says it left the depot on Tuesday and should arrive before the weekend. \
Offered a voucher, which was declined. Will ring again once the parcel has been found or sent anew.";
const DENSE: &str = "Ada (ada.lovelace@example.test, +49 30 901820) paid with 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, \
ssn 078-05-1120, from 203.0.113.7; password=correct-horse";

fn cases() -> Vec<(&'static str, Vec<Mask>)> {
    let key = Arc::new(MaskKey {
        id: "bench/1".to_owned(),
        secret: Zeroizing::new([7; 32]),
    });
    let tokenize = |preserve| Mask::Tokenize {
        key: Arc::clone(&key),
        preserve,
    };
    let keep = |keep_first, keep_last| Mask::Partial { keep_first, keep_last };
    let floor = |date, bucket, prefix| Mask::Generalize { date, bucket, prefix };
    let month = DateUnit::Month;
    let shift = Mask::Shift {
        key: Arc::clone(&key),
        days_max: 180,
        by: "id".to_owned(),
    };
    vec![
        (
            "email",
            vec![Mask::Redact, keep(1, 4), tokenize(false), floor(month, None, Some(3)), Mask::Scan],
        ),
        ("card", vec![keep(0, 4), tokenize(false), tokenize(true)]),
        ("city", vec![Mask::Redact, keep(1, 0), tokenize(false)]),
        ("id", vec![tokenize(false), tokenize(true), floor(month, Some(1000), None)]),
        ("born", vec![floor(month, None, None), shift]),
        ("note", vec![Mask::Redact, Mask::Scan]),
    ]
}

/// Made-up rows: an address and a card of its own each, a thousand cities, a note in every tenth of which is something to find.
fn write(path: &Path, rows: usize) {
    let text =
        |of: &dyn Fn(usize) -> String, range: std::ops::Range<usize>| Arc::new(range.map(of).collect::<Vec<_>>()) as Arc<Vec<String>>;
    let column =
        |of: &dyn Fn(usize) -> String, range: std::ops::Range<usize>| -> ArrayRef { Arc::new(StringArray::from(text(of, range).to_vec())) };
    let mut writer: Option<ArrowWriter<std::fs::File>> = None;
    for from in (0..rows).step_by(65_536) {
        let range = from..rows.min(from + 65_536);
        let numbers = || range.clone().map(|n| i64::try_from(n).unwrap());
        let batch = RecordBatch::try_from_iter([
            (
                "id",
                Arc::new(Int64Array::from_iter_values(numbers().map(|n| 1_000_000 + n))) as ArrayRef,
            ),
            (
                "email",
                column(&|n| format!("person.{n}@mail{}.example.test", n % 97), range.clone()),
            ),
            (
                "card",
                column(
                    &|n| format!("4{:03} {:04} 1111 {:04}", n % 1000, n / 1000 % 10_000, n % 10_000),
                    range.clone(),
                ),
            ),
            ("city", column(&|n| format!("city number {}", n % 1000), range.clone())),
            (
                "born",
                Arc::new(Date32Array::from_iter_values(
                    range.clone().map(|n| i32::try_from(n % 20_000).unwrap()),
                )),
            ),
            (
                "note",
                column(
                    &|n| if n % 10 == 0 { DENSE.to_owned() } else { format!("{CLEAN} {n}") },
                    range.clone(),
                ),
            ),
        ])
        .unwrap();
        let writer =
            writer.get_or_insert_with(|| ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap());
        writer.write(&batch).unwrap();
    }
    writer.unwrap().close().unwrap();
}

/// Seconds that reading a column takes.
async fn read(engine: &Engine, folder: &Path, column: &str, treatment: Treatment) -> f64 {
    let table = Table {
        dataset: "rows".to_owned(),
        connection: "bench".to_owned(),
        source: Source::Files {
            root: folder.to_owned(),
            path: folder.join("rows.parquet"),
            format: FileFormat::Parquet,
        },
    };
    let query = Query::Slice {
        dataset: "rows".to_owned(),
        columns: Some(vec![column.to_owned()]),
        filter: None,
        order_by: None,
        limit: None,
        params: Params::new(),
    };
    let began = Instant::now();
    let mut look = engine.look(&query, std::slice::from_ref(&table), "bench").await.unwrap();
    let columns = look.columns("rows").unwrap().into_iter().map(|found| GovernedColumn {
        class: None,
        treatment: if found.name == column { treatment.clone() } else { Treatment::Open },
        name: found.name,
    });
    let order = ScanOrder {
        tables: vec![GovernedTable {
            columns: columns.collect(),
            table,
            row_filter: None,
        }],
        query,
        format: Format::Arrow,
        budget: Budget {
            rows: u64::MAX,
            bytes: u64::MAX,
            duration_s: 3600,
        },
        tag: "bench".to_owned(),
        metadata: Vec::new(),
    };
    look.plan(&order).await.unwrap();
    let mut frames = look.read(order).await.unwrap();
    let mut bytes = 0;
    while let Some(frame) = frames.stream.next().await {
        bytes += frame.unwrap().bytes.len();
    }
    assert!(bytes > 0);
    began.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn line(column: &str, mask: &str, rows: usize, took: f64, open: f64) {
    println!("{column:9} | {mask:26} | {:16.2} | {:.2}", rows as f64 / took / 1e6, took / open);
}
