//! The source's own log against the evidence: who read with the broker's account past the broker?

use std::process::Command;

use crate::support::World;
use crate::support::servers::Postgres;

/// Runs SQL with the broker's own account and not through the broker, as somebody who stole the password would.
fn steal(sql: &str, application: &str) {
    let postgres = Postgres::get();
    let output = Command::new("psql")
        .args([
            "-qXAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            &postgres.host,
            "-p",
            &postgres.port.to_string(),
        ])
        .args(["-U", &postgres.reader, "-d", &postgres.database, "-c", sql])
        .env("PGPASSWORD", &postgres.reader_password)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &postgres.ca)
        .env("PGAPPNAME", application)
        .output()
        .expect("psql starts");
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
}

/// The lines that the server logged, as CSV, after this many.
fn logged_after(lines: usize) -> String {
    let text = log();
    text.split_inclusive('\n').skip(lines).collect()
}

fn log() -> String {
    let path = Postgres::get().log.with_extension("csv");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_read_with_the_broker_s_account_past_the_broker_is_found() {
    let world = World::new();
    let (dana, anna) = (world.signed_in("dana"), world.signed_in("anna"));
    let before = log().lines().count();
    for file in ["one.csv", "two.csv"] {
        dana.run(&["fetch", "small", "--limit", "3", "--reason", "a test asks", "-o", file])
            .exits(0);
    }
    let reader = Postgres::get().reader;
    let reconcile = |name: &str, tag: &str| {
        anna.run(&["audit", "export", "-o", &format!("{name}.bundle")]).exits(0);
        // Other stories use the same server at the same time: only what this one did is looked at.
        let ours: Vec<String> = anna
            .json(&["audit", "search", "--kind", "fetch.intent"])
            .exits(0)
            .stdout
            .lines()
            .filter_map(|line| Some(line.split("\"fetch\":\"").nth(1)?.split('"').next()?.to_owned()))
            .collect();
        assert_eq!(ours.len(), 2);
        let text = logged_after(before);
        let mut kept = Vec::new();
        let mut reader_of_csv = text.as_str();
        while let Some((record, rest)) = record(reader_of_csv) {
            if ours.iter().any(|fetch| record.contains(fetch.as_str())) || record.contains(tag) {
                kept.push(record);
            }
            reader_of_csv = rest;
        }
        std::fs::write(anna.dir().join(format!("{name}.csv")), kept.concat()).unwrap();
        anna.json(&[
            "audit",
            "reconcile",
            &format!("{name}.bundle"),
            "--trust",
            "trust.toml",
            "--log",
            &format!("{name}.csv"),
            "--account",
            &reader,
        ])
    };
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    let honest = reconcile("honest", "nobody-else");
    let done = honest.exits(0).event("audit.reconciled");
    assert_eq!(
        (done["answer"].as_str(), done["unaccounted"].as_u64()),
        (Some("true"), Some(0)),
        "{done}"
    );
    assert!(done["reads"].as_u64().unwrap() >= 2, "{done}");

    let thief = format!("thief-{}", hex::encode(crate::support::random::<4>()));
    steal("select ssn from people limit 1", &thief);
    steal("select count(*) from pg_catalog.pg_class", &thief);
    let found = reconcile("stolen", &thief).exits(1);
    let line = found.event("audit.unaccounted");
    assert_eq!(
        (line["account"].as_str(), line["tag"].as_str()),
        (Some(reader.as_str()), Some(thief.as_str()))
    );
    assert_eq!(line["what"], "SELECT");
    assert_eq!(found.event("audit.reconciled")["unaccounted"], 1);

    // A log without the statements of a fetch cannot clear anybody.
    let cut = std::fs::read_to_string(anna.dir().join("honest.csv")).unwrap();
    let first = anna
        .json(&["audit", "search", "--kind", "fetch.intent", "--limit", "1"])
        .exits(0)
        .stdout;
    let newest = first.split("\"fetch\":\"").nth(1).unwrap().split('"').next().unwrap();
    let mut kept = Vec::new();
    let mut rest = cut.as_str();
    let mut last = "";
    while let Some((record, after)) = record(rest) {
        if !record.contains(newest) {
            kept.push(record);
        }
        last = record;
        rest = after;
    }
    // The log still covers the time: its last line is of somebody else.
    let of_another = last.replace(newest, "another").replace(&reader, "somebody");
    std::fs::write(anna.dir().join("cut.csv"), kept.concat() + &of_another).unwrap();
    anna.run(&[
        "audit",
        "reconcile",
        "honest.bundle",
        "--trust",
        "trust.toml",
        "--log",
        "cut.csv",
        "--account",
        &reader,
    ])
    .exits(2);
}

/// The first record of CSV text, whose quoted fields may hold line breaks, and the rest.
fn record(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let end = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '\n' && !quoted
    });
    end.map(|(at, _)| text.split_at(at + 1))
}
