//! What a small governed fetch costs: a hundred rows with a masked column, asked for and delivered in two calls (`POST /v1/plans`, `POST
//! /v1/requests?deliver=true`), with three durable entries before the first row and one after the last. Beside it, pgbench with the same
//! statement over connections that stay open, and what one `fdatasync` costs on the same disk.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chunk_wire::fetch::{Format, PlanAnswer, REQUEST_PAYLOAD_TYPE, SubmitRequest};
use serde_json::json;

use crate::percentile;
use crate::recorded::syncs;
use crate::support::api::slice;
use crate::support::servers::Postgres;
use crate::support::{Api, Setup, World};

const CLIENTS: [usize; 2] = [1, 50];
/// One person may plan and ask so often without a pause.
const FETCHES_EACH: usize = 80;

pub(crate) fn measure(json: bool) {
    let postgres = Postgres::get();
    postgres.sql(
        "drop table if exists bench_small; create table bench_small as select i::bigint as id, lpad(i::text, 9, '0') as ssn, md5(i::text) as mark \
         from generate_series(1, 10000) i; grant select on bench_small to broker_ro; analyze bench_small",
    );
    let unapproved = r#"@id("no-review-here") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource == Dataset::"bench_small");"#;
    let columns = "unclassified = \"open\"\n[datasets.bench_small.columns]\nssn = \"pii.ssn\"";
    let mut setup = Setup::standard()
        .policy(unapproved)
        .dataset("bench_small", "public.bench_small", columns);
    setup.tls = true;
    let world = World::with(setup);
    let ca = reqwest::Certificate::from_pem(&std::fs::read(world.ca().unwrap()).unwrap()).unwrap();
    if !json {
        println!("clients | governed p50 ms |  p99 ms | fetches/s | pgbench p50 ms |  p99 ms | one sync, p50 ms");
    }
    for (round, clients) in CLIENTS.into_iter().enumerate() {
        let callers: Vec<Api> = (0..clients)
            .map(|n| {
                Api::over(&world.url, reqwest::Client::builder().tls_certs_only([ca.clone()]))
                    .sign_in(&format!("developer_{}", round * 100 + n))
            })
            .collect();
        callers.iter().for_each(fetch);
        let sync_ms = percentile(&mut syncs(world.path()), 50);
        let began = Instant::now();
        let taken = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for caller in &callers {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    for _ in 0..FETCHES_EACH {
                        let began = Instant::now();
                        fetch(caller);
                        mine.push(began.elapsed().as_secs_f64() * 1000.0);
                    }
                    taken.lock().unwrap().append(&mut mine);
                });
            }
        });
        let took = began.elapsed().as_secs_f64();
        let mut taken = taken.into_inner().unwrap();
        let rate = taken.len() as f64 / took;
        let (p50, p99) = (percentile(&mut taken, 50), percentile(&mut taken, 99));
        let mut direct = pgbench(&postgres, clients, world.path());
        let (direct_p50, direct_p99) = (percentile(&mut direct, 50), percentile(&mut direct, 99));
        if json {
            println!(
                "{}",
                json!({ "event": "bench.small", "clients": clients, "measured": taken.len(), "p50_ms": p50, "p99_ms": p99, "per_s": rate,
                    "pgbench_p50_ms": direct_p50, "pgbench_p99_ms": direct_p99, "sync_p50_ms": sync_ms })
            );
        } else {
            println!("{clients:>7} | {p50:>15.2} | {p99:>7.2} | {rate:>9.0} | {direct_p50:>14.2} | {direct_p99:>7.2} | {sync_ms:>16.2}");
        }
    }
}

fn fetch(caller: &Api) {
    let plan: PlanAnswer = caller.plan(&slice("bench_small", None, Some(100)), Format::Csv, "measuring").json();
    let envelope = caller.envelope(REQUEST_PAYLOAD_TYPE, plan.document.as_ref().unwrap().as_bytes());
    let delivered = caller.post("/v1/requests?deliver=true", &SubmitRequest { envelope });
    assert_eq!((delivered.status, delivered.complete), (200, true), "{}", delivered.text());
    assert_eq!(delivered.text().lines().count(), 101);
}

/// The same rows without a broker: how long each statement took, ms.
fn pgbench(postgres: &Postgres, clients: usize, folder: &Path) -> Vec<f64> {
    let (script, prefix) = (folder.join("small.sql"), folder.join("pgbench"));
    std::fs::write(&script, "select id, right(ssn, 4), mark from bench_small limit 100;\n").unwrap();
    let output = Command::new("pgbench")
        .args(["-n", "-l", "-t", &FETCHES_EACH.to_string(), "-c", &clients.to_string(), "-j", "2"])
        .args(["-h", &postgres.host, "-p", &postgres.port.to_string(), "-U", &postgres.reader])
        .arg(format!("--log-prefix={}", prefix.display()))
        .arg("-f")
        .arg(&script)
        .arg(&postgres.database)
        .env("PGPASSWORD", &postgres.reader_password)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &postgres.ca)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut taken = Vec::new();
    for log in std::fs::read_dir(folder).unwrap().flatten() {
        if log.file_name().to_string_lossy().starts_with("pgbench.") {
            let text = std::fs::read_to_string(log.path()).unwrap();
            taken.extend(
                text.lines()
                    .map(|line| line.split_whitespace().nth(2).unwrap().parse::<f64>().unwrap() / 1000.0),
            );
            std::fs::remove_file(log.path()).unwrap();
        }
    }
    taken
}
