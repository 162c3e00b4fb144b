#![allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "hand"
)]
use chunk_core::scan::*;
use chunk_scan::*;
use chunk_wire::fetch::*;
use futures::StreamExt;
use std::io::Write;
use std::sync::Arc;
use zeroize::Zeroizing;
struct S;
impl Secrets for S {
    fn password(&self, _: &str) -> Result<Zeroizing<String>, String> {
        Ok(Zeroizing::new("ro-pw".into()))
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect(); // table format out masks(sql?) 
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    rt.block_on(async {
        let readers = std::env::var("READERS").ok().and_then(|r| r.parse().ok()).unwrap_or(2);
        let e = Engine::new(
            Arc::new(S),
            &Settings {
                readers,
                ..Settings::default()
            },
        )
        .unwrap();
        let target = Arc::new(PostgresTarget {
            connection: "pg".into(),
            host: "127.0.0.1".into(),
            port: 9466,
            database: "chunks".into(),
            user: "broker_ro".into(),
            ca_file: Some("/tmp/scanpg/s/tls/ca.crt".into()),
            plaintext: false,
            statement_timeout_s: 600,
        });
        let table = Table {
            dataset: "t".into(),
            connection: "pg".into(),
            source: Source::Postgres {
                target,
                schema: "public".into(),
                table: a[1].clone(),
            },
        };
        let cols = e.describe(&table).await.unwrap();
        if std::env::var("DESC").is_ok() {
            for c in &cols {
                println!("{} {} {}", c.name, c.data_type, c.nullable);
            }
        }
        let key = Arc::new(MaskKey {
            id: "k/1".into(),
            secret: Zeroizing::new([1; 32]),
        });
        let masks: Vec<&str> = a.get(5).map(|m| m.split(',').collect()).unwrap_or_default();
        let columns = cols
            .iter()
            .map(|c| GovernedColumn {
                name: c.name.clone(),
                class: None,
                treatment: masks
                    .iter()
                    .find_map(|m| {
                        m.split_once('=').filter(|(n, _)| *n == c.name).map(|(_, k)| {
                            Treatment::Mask(match k {
                                "redact" => Mask::Redact,
                                "token" => Mask::Tokenize { key: key.clone() },
                                "scan" => Mask::Scan,
                                _ => Mask::Partial {
                                    keep_first: 0,
                                    keep_last: 4,
                                },
                            })
                        })
                    })
                    .unwrap_or(Treatment::Open),
            })
            .collect();
        let format = match a[2].as_str() {
            "parquet" => Format::Parquet,
            "csv" => Format::Csv,
            "ndjson" => Format::Ndjson,
            _ => Format::Arrow,
        };
        let query = match a.get(4).map(String::as_str) {
            Some("-") | None => Query::Slice {
                dataset: "t".into(),
                columns: None,
                filter: None,
                order_by: None,
                limit: None,
            },
            Some(s) => Query::Sql { text: s.into() },
        };
        let order = ScanOrder {
            query,
            tables: vec![GovernedTable {
                table,
                columns,
                row_filter: std::env::var("ROWF").ok(),
            }],
            format,
            budget: Budget {
                rows: u64::MAX,
                bytes: u64::MAX,
                duration_s: 600,
            },
            tag: "hand".into(),
            metadata: vec![],
        };
        if std::env::var("PLAN").is_ok() {
            println!("{:#?}", e.plan(&order).await);
        }
        let t = std::time::Instant::now();
        let mut f = match e.open(order).await {
            Ok(f) => f,
            Err(x) => {
                println!("ERR {x:?}");
                return;
            }
        };
        let mut out = std::fs::File::create(&a[3]).unwrap();
        let (mut rows, mut bytes) = (0, 0);
        let mut first = None;
        while let Some(x) = f.stream.next().await {
            match x {
                Ok(x) => {
                    first.get_or_insert_with(|| t.elapsed());
                    out.write_all(&x.bytes).unwrap();
                    rows += x.rows;
                    bytes += x.bytes.len()
                }
                Err(e) => {
                    println!("ERR {e:?}");
                    return;
                }
            }
        }
        let s = t.elapsed().as_secs_f64();
        let hwm = std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find(|l| l.starts_with("VmHWM"))
            .unwrap()
            .to_owned();
        println!(
            "{rows} rows {bytes} bytes {s:.3} s first {first:?} {:.0} rows/s {hwm} {:?}",
            rows as f64 / s,
            f.counts
                .counts()
                .iter()
                .map(|c| (c.column.clone(), c.values, c.altered))
                .collect::<Vec<_>>()
        );
    });
}
