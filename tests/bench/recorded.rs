//! What being recorded costs from outside: signed requests over TLS, each answered only after its own entry is durable and under a
//! signed checkpoint. Beside it, in turns and on the same disk, what one `fdatasync` costs.
//!
//! The request is an auditor's look at one entry, which is an entry itself. Clients, broker and identity provider share the cores; every
//! request carries a proof of its own (DPoP), made and checked.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::percentile;
use crate::support::{Api, Setup, World};

/// People at once.
const CLIENTS: [usize; 3] = [1, 8, 64];

pub(crate) fn measure(json: bool, seconds: u64) {
    let mut setup = Setup::standard();
    setup.tls = true;
    let world = World::with(setup);
    let ca = reqwest::Certificate::from_pem(&std::fs::read(world.ca().unwrap()).unwrap()).unwrap();
    let readers: Vec<Api> = (0..CLIENTS[CLIENTS.len() - 1])
        .map(|_| Api::over(&world.url, reqwest::Client::builder().tls_certs_only([ca.clone()])).sign_in("anna"))
        .collect();
    if !json {
        println!("clients | recorded and answered/s | entries a commit |  p50 ms |  p99 ms | one sync, p50 ms | p50 in syncs");
    }
    for clients in CLIENTS {
        let before = (metric(&readers[0], "log_entries"), metric(&readers[0], "log_commits_total"));
        let sync_ms = percentile(&mut syncs(world.path()), 50);
        let began = Instant::now();
        let end = began + Duration::from_secs(seconds);
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for reader in readers.iter().take(clients) {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    while Instant::now() < end {
                        let began = Instant::now();
                        assert_eq!(reader.get("/v1/audit/entries/0").status, 200);
                        mine.push(began.elapsed().as_secs_f64() * 1000.0);
                    }
                    taken.lock().unwrap().append(&mut mine);
                });
            }
        });
        let took = began.elapsed().as_secs_f64();
        let mut taken = taken.into_inner().unwrap();
        let entries = metric(&readers[0], "log_entries") - before.0;
        let commits = metric(&readers[0], "log_commits_total") - before.1;
        let (p50, p99) = (percentile(&mut taken, 50), percentile(&mut taken, 99));
        let rate = taken.len() as f64 / took;
        if json {
            println!(
                "{}",
                json!({ "event": "bench.evidence.requests", "clients": clients, "per_s": rate, "entries": entries, "commits": commits,
                    "p50_ms": p50, "p99_ms": p99, "sync_p50_ms": sync_ms })
            );
        } else {
            println!(
                "{clients:>7} | {rate:>23.0} | {:>16.1} | {p50:>7.2} | {p99:>7.2} | {sync_ms:>16.2} | {:>12.1}",
                entries as f64 / commits as f64,
                p50 / sync_ms
            );
        }
    }
}

fn metric(api: &Api, name: &str) -> u64 {
    let text = api.raw("GET", "/metrics", None, &[]).text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("chunk_broker_")?.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

/// What appending an entry's bytes and one sync cost here, ms.
pub(crate) fn syncs(folder: &Path) -> Vec<f64> {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let once = |_| {
        let began = Instant::now();
        file.write_all(&[7; 1024]).unwrap();
        file.sync_data().unwrap();
        began.elapsed().as_secs_f64() * 1000.0
    };
    (0..200).map(once).collect()
}
