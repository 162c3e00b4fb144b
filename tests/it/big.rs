//! Five million rows pass through a broker whose memory stays small.

use crate::support::data::delivered;
use crate::support::servers::Postgres;
use crate::support::{Setup, World};

const ROWS: u64 = 5_000_000;
const BROKER_MIB_MAX: u64 = 512;

#[test]
fn five_million_rows_from_postgresql_keep_the_broker_under_512_mib() {
    Postgres::get().sql(&format!(
        "create unlogged table if not exists big as select i::bigint as id, 'Canaryname' || i as full_name, 'canarymail' || i || '@canary.example' as email, \
         'CANARYSSN' || lpad(i::text, 9, '0') as ssn, 'city ' || (i % 1000) as city, (i % 100000) * 1.25::numeric(12, 2) as balance, \
         timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second' as created_at, md5(i::text) as mark \
         from generate_series(1, {ROWS}) i; grant select on big to broker_ro; analyze big"
    ));
    let unapproved = r#"@id("no-review-here") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource == Dataset::"big");"#;
    let columns = "unclassified = \"open\"\n[datasets.big.columns]\nfull_name = \"pii.name\"\nemail = \"pii.email\"\nssn = \"pii.ssn\"";
    let world = World::with(Setup::standard().policy(unapproved).dataset("big", "public.big", columns));
    let dana = world.signed_in("dana");
    let idle = world.broker().peak_mib();
    for format in ["parquet", "csv"] {
        let name = format!("big.{format}");
        let started = std::time::Instant::now();
        let done = dana
            .json(&["fetch", "big", "--format", format, "--reason", "a test asks", "-o", &name])
            .exits(0)
            .event("fetch.done");
        assert_eq!(done["rows"], ROWS);
        let (peak, seconds) = (world.broker().peak_mib(), started.elapsed().as_secs_f64());
        let bytes = delivered(&dana.dir().join(&name)).len();
        eprintln!(
            "{format}: {ROWS} rows, {} MiB in {seconds:.1} s; the broker's peak is {peak} MiB ({idle} MiB before)",
            bytes >> 20
        );
        assert!(peak < BROKER_MIB_MAX, "the broker's memory reached {peak} MiB");
        dana.run(&["verify", &name]).exits(0);
        // Parquet of so many rows is a folder of chunks, CSV a file.
        assert_eq!(dana.dir().join(&name).is_dir(), format == "parquet");
        if format == "csv" {
            std::fs::remove_file(dana.dir().join(&name)).unwrap();
        }
    }
}
