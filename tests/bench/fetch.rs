//! Rows a second of a governed fetch, beside what people with the password do: `psql \copy` of the same query, ConnectorX, ADBC and pandas into a
//! Parquet file; and beside what the server itself needs, `COPY … TO '/dev/null'`.
//!
//! Governed means everything on: signed in, approved by a second person, TLS on both hops, three masked columns, intent and
//! outcome durable, the file on disk with its receipt. What is timed is `chunkctl fetch --request ID`; psql writes raw CSV.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::servers::Postgres;
use crate::support::{Person, Setup, World};
use crate::{median, memory_kib};

const COLUMNS: &str = "id, full_name, email, ssn, city, balance, created_at, mark";

/// In the order in which they take turns.
const SIDES: [&str; 8] = [
    "governed_parquet",
    "connectorx",
    "governed_csv",
    "psql_copy_csv",
    "connectorx2",
    "adbc",
    "copy_dev_null",
    "pandas_1m",
];

/// What pandas reads: all of it does not fit into the memory of many machines.
const PANDAS_ROWS: u64 = 1_000_000;

struct Sample {
    seconds: f64,
    bytes: u64,
    client_mib: u64,
    broker_mib: u64,
}

pub(crate) fn measure(json: bool, rows: u64, rounds: u64) {
    let postgres = Postgres::get();
    eprintln!("making {rows} rows …");
    postgres.sql(&format!(
        "drop table if exists bench; create unlogged table bench as select i::bigint as id, 'Name ' || md5('n' || i) as full_name, 'person' || i || '@people.example' as email, \
         lpad(i::text, 9, '0') as ssn, 'city ' || (i % 1000) as city, ((i % 100000) * 1.25)::numeric(12, 2) as balance, \
         timestamptz '2026-01-01 00:00:00Z' + i * interval '1 second' as created_at, md5(i::text) as mark from generate_series(1, {rows}) i; \
         grant select on bench to broker_ro; analyze bench; select count(*) from bench"
    ));
    let columns = "unclassified = \"open\"\n[datasets.bench.columns]\nfull_name = \"pii.name\"\nemail = \"pii.email\"\nssn = \"pii.ssn\"";
    let mut setup = Setup::standard().dataset("bench", "public.bench", columns);
    setup.tls = true;
    let world = World::with(setup);
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));

    let mut samples = SIDES.map(|name| (name, Vec::new()));
    for round in 1..=rounds {
        for (name, taken) in &mut samples {
            let sample = match *name {
                "governed_parquet" => governed(&world, &dana, &rita, "parquet", rows),
                "governed_csv" => governed(&world, &dana, &rita, "csv", rows),
                "psql_copy_csv" => copy(&postgres, dana.dir().as_path()),
                "copy_dev_null" => floor(&postgres),
                "pandas_1m" => peer(&postgres, "pandas", rows.min(PANDAS_ROWS), dana.dir().as_path()),
                tool => peer(&postgres, tool, rows, dana.dir().as_path()),
            };
            let rows = if *name == "pandas_1m" { rows.min(PANDAS_ROWS) } else { rows };
            let event = json!({ "event": "bench.fetch.sample", "round": round, "what": name, "seconds": sample.seconds, "rows_per_s": rows as f64 / sample.seconds,
                "bytes": sample.bytes, "client_peak_mib": sample.client_mib, "broker_peak_mib": sample.broker_mib });
            if json {
                println!("{event}")
            } else {
                eprintln!("round {round}  {name:<17} {:6.2} s", sample.seconds)
            }
            taken.push(sample);
        }
    }
    report(json, rows, rounds, &samples);
}

fn report(json: bool, rows: u64, rounds: u64, samples: &[(&str, Vec<Sample>)]) {
    let seconds = |taken: &[Sample]| median(&taken.iter().map(|sample| sample.seconds).collect::<Vec<_>>());
    let of = |name: &str| {
        samples
            .iter()
            .find(|(side, _)| *side == name)
            .map_or(f64::NAN, |(_, taken)| seconds(taken))
    };
    let yardstick = of("psql_copy_csv");
    let (parquet, csv) = (of("governed_parquet"), of("governed_csv"));
    let ratios = json!({
        "governed_parquet_over_best_connectorx": of("connectorx").min(of("connectorx2")) / parquet,
        "governed_parquet_over_adbc": of("adbc") / parquet,
        "governed_csv_over_psql_copy": yardstick / csv,
        "governed_parquet_in_copies_to_dev_null": parquet / of("copy_dev_null"),
    });
    let mut sides = serde_json::Map::new();
    for (name, taken) in samples {
        let middle = seconds(taken);
        let rows = if *name == "pandas_1m" { rows.min(PANDAS_ROWS) } else { rows };
        let most = |get: fn(&Sample) -> u64| taken.iter().map(get).max().unwrap_or(0);
        sides.insert(
            (*name).to_owned(),
            json!({ "median_s": middle, "rows_per_s": rows as f64 / middle, "times_psql_copy": yardstick / middle, "bytes": most(|s| s.bytes),
                "client_peak_mib": most(|s| s.client_mib), "broker_peak_mib": most(|s| s.broker_mib) }),
        );
    }
    if json {
        println!(
            "{}",
            json!({ "event": "bench.fetch", "rows": rows, "rounds": rounds, "sides": sides, "ratios": ratios })
        );
        return;
    }
    println!(
        "\n{rows} rows × 8 columns, three of them masked; medians of {rounds}, taking turns; PostgreSQL, broker and client share the cores\n"
    );
    println!(
        "{:<18} {:>8} {:>12} {:>16} {:>12} {:>12}",
        "", "median", "rows/s", "× psql \\copy", "client MiB", "broker MiB"
    );
    for (name, side) in &sides {
        let number = |key: &str| side[key].as_f64().unwrap_or(0.0);
        println!(
            "{name:<18} {:>6.2} s {:>12.0} {:>16.2} {:>12} {:>12}",
            number("median_s"),
            number("rows_per_s"),
            number("times_psql_copy"),
            side["client_peak_mib"],
            side["broker_peak_mib"]
        );
    }
    println!();
    for (name, ratio) in ratios.as_object().into_iter().flatten() {
        println!("{name:<42} {:>6.2}", ratio.as_f64().unwrap_or(f64::NAN));
    }
}

fn governed(world: &World, dana: &Person, rita: &Person, format: &str, rows: u64) -> Sample {
    let name = format!("bench.{format}");
    let pending = dana
        .run(&[
            "fetch",
            "bench",
            "--format",
            format,
            "--reason",
            "measuring",
            "--no-wait",
            "-o",
            &name,
        ])
        .exits(5)
        .all();
    let request = pending[pending.find("req_").unwrap()..][..20].to_owned();
    rita.run(&["approve", &request, "--reason", "measuring"]).exits(0);
    std::fs::write(format!("/proc/{}/clear_refs", world.broker().pid()), "5").expect("the peak begins again from here");
    let out = dana.home.join("bench.out");
    let mut command = dana.command();
    command
        .args(["fetch", "--request", &request, "-o", &name, "--json"])
        .stdout(std::fs::File::create(&out).unwrap());
    let (seconds, client_mib) = run(&mut command);
    let done = std::fs::read_to_string(&out).unwrap();
    let done: Value = done
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["event"] == "fetch.done")
        .expect(&done);
    assert_eq!(done["rows"], rows);
    // One file, or a folder of chunks with their receipts beside it. The next round begins as this one did.
    let file = dana.dir().join(&name);
    let bytes = if file.is_dir() {
        let bytes = std::fs::read_dir(&file)
            .unwrap()
            .map(|part| part.unwrap().metadata().unwrap().len())
            .sum();
        std::fs::remove_dir_all(dana.dir().join(format!("{name}.receipts"))).unwrap();
        std::fs::remove_dir_all(&file).unwrap();
        bytes
    } else {
        let bytes = std::fs::metadata(&file).unwrap().len();
        std::fs::remove_file(dana.dir().join(format!("{name}.receipt"))).unwrap();
        std::fs::remove_file(&file).unwrap();
        bytes
    };
    Sample {
        seconds,
        bytes,
        client_mib,
        broker_mib: world.broker().peak_mib(),
    }
}

/// A command that reaches the server as the role that may read.
fn reader(postgres: &Postgres, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PGHOST", &postgres.host)
        .env("PGPORT", postgres.port.to_string())
        .env("PGUSER", &postgres.reader)
        .env("PGDATABASE", &postgres.database)
        .env("PGPASSWORD", &postgres.reader_password)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &postgres.ca);
    command
}

/// Another tool, into a Parquet file.
fn peer(postgres: &Postgres, tool: &str, rows: u64, folder: &Path) -> Sample {
    let file = folder.join("peer.parquet");
    let peers = std::env::var("CHUNK_BENCH_PEERS").expect("tests/bench/run installs the peers");
    let mut command = reader(postgres, &format!("{peers}/bin/python"));
    let limit = if tool == "pandas" {
        format!(" limit {rows}")
    } else {
        String::new()
    };
    let script = crate::support::world::repository().join("tests/bench/peers.py");
    command
        .arg(script)
        .args([tool, &format!("select {COLUMNS} from bench{limit}")])
        .arg(&file);
    let (seconds, client_mib) = run(&mut command);
    let bytes = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    Sample {
        seconds,
        bytes,
        client_mib,
        broker_mib: 0,
    }
}

/// What the server itself needs to read the table and write it down nowhere.
fn floor(postgres: &Postgres) -> Sample {
    let started = Instant::now();
    postgres.sql(&format!("copy (select {COLUMNS} from bench) to '/dev/null' (format binary)"));
    Sample {
        seconds: started.elapsed().as_secs_f64(),
        bytes: 0,
        client_mib: 0,
        broker_mib: 0,
    }
}

fn copy(postgres: &Postgres, folder: &Path) -> Sample {
    let file = folder.join("psql.csv");
    let mut command = reader(postgres, "psql");
    command.args(["-qXAt", "-v", "ON_ERROR_STOP=1"]);
    command.args([
        "-c",
        &format!(
            "\\copy (select {COLUMNS} from bench) to '{}' with (format csv, header)",
            file.display()
        ),
    ]);
    let (seconds, client_mib) = run(&mut command);
    let bytes = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    Sample {
        seconds,
        bytes,
        client_mib,
        broker_mib: 0,
    }
}

/// Runs a command to its end: seconds, and the greatest resident set seen.
fn run(command: &mut Command) -> (f64, u64) {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        peak = peak.max(peak_of(&child));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?}: {status}");
            return (started.elapsed().as_secs_f64(), peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Of a process that may have ended.
fn peak_of(child: &Child) -> u64 {
    memory_kib(child.id(), "VmHWM:").unwrap_or(0) / 1024
}
