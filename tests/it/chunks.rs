//! Large results come in chunks: side by side, all of one moment of the source, and what is here is not fetched again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::exports::{check, script};
use crate::support::servers::Postgres;
use crate::support::{Person, Setup, World, poll};

const ROWS: u64 = 400_000;

/// A world with a large table of its own, all rows of which change at once whenever [`World::change`] is called.
fn world(table: &'static str) -> (World, Person) {
    Postgres::get().sql(&format!(
        "create table if not exists {table} as select i::bigint as id, lpad(i::text, 9, '0') as ssn, repeat(md5(i::text), 8) as filler, 1 as moment \
         from generate_series(1, {ROWS}) i; grant select on {table} to broker_ro; analyze {table}"
    ));
    let unapproved = format!(
        r#"@id("no-review-here") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource == Dataset::"{table}");"#
    );
    let columns: &'static str = "unclassified = \"open\"";
    let place: &'static str = String::leak(format!("public.{table}"));
    let settings = format!("{columns}\n[datasets.{table}.columns]\nssn = \"pii.ssn\"");
    let mut setup = Setup::standard().policy(&unapproved).dataset(table, place, &settings);
    setup.broker = "chunk_rows = 50000\n".to_owned();
    let world = World::with(setup);
    let dana = world.signed_in("dana");
    (world, dana)
}

fn change(table: &str) {
    Postgres::get().sql(&format!("update {table} set moment = moment + 1 where id % 50 = 0 or id < 100"));
}

/// What is in a folder of chunks, as others read it.
fn read(dana: &Person, folder: &str) -> Value {
    let said = check("python", &[&script("chunks.py"), Path::new(folder)], &dana.dir());
    serde_json::from_str(said.trim()).unwrap()
}

fn deliveries(dana: &Person, request: &str) -> Vec<Value> {
    let shown = dana.json(&["request", "show", request]).exits(0).event("request");
    shown["deliveries"].as_array().unwrap().clone()
}

fn outcomes(deliveries: &[Value], end: &str) -> usize {
    deliveries.iter().filter(|delivery| delivery["end"] == end).count()
}

#[test]
fn chunks_that_run_side_by_side_are_of_one_moment_and_open_as_one_table() {
    let (world, dana) = world("chunks_side");
    let stop = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change("chunks_side");
            }
        });
        let fetched = dana.json(&[
            "fetch",
            "chunks_side",
            "--reason",
            "a test asks",
            "-o",
            "all.parquet",
            "--parallel",
            "3",
        ]);
        stop.store(true, Ordering::Relaxed);
        fetched.exits(0).event("fetch.done")
    });
    let chunks = done["chunks"].as_u64().unwrap();
    assert!(chunks >= 4, "{done}");
    assert_eq!((&done["rows"], &done["path"]), (&ROWS.into(), &"all.parquet".into()));
    let found = read(&dana, "all.parquet");
    assert_eq!(
        (&found["rows"], &found["ids"], &found["from"], &found["to"]),
        (&ROWS.into(), &ROWS.into(), &1.into(), &ROWS.into())
    );
    assert_eq!(found["raw"].as_str().unwrap().len(), 9, "masked in each: {found}");
    assert!(found["raw"].as_str().unwrap().starts_with("*****"), "{found}");
    // Rows of two moments would be more than two: those that were changed so often, and those that never were.
    assert!(found["moments"].as_u64().unwrap() <= 2, "{found}");
    let deliveries = deliveries(&dana, done["request"].as_str().unwrap());
    assert_eq!(
        (deliveries.len(), outcomes(&deliveries, "done")),
        (usize::try_from(chunks).unwrap(), usize::try_from(chunks).unwrap())
    );

    let verified = dana.json(&["verify", "all.parquet"]).exits(0);
    assert_eq!(verified.event("verify.done")["true"], chunks);
    assert!(verified.stdout.contains(&format!("\"of\":{chunks}")), "{}", verified.stdout);
    let part = dana.dir().join("all.parquet/part-00001.parquet");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    assert_eq!(dana.json(&["verify", "all.parquet"]).exits(1).event("verify.done")["false"], 1);
    // What is there is not overwritten; another name is free.
    dana.run(&["fetch", "chunks_side", "--reason", "a test asks", "-o", "all.parquet", "--force"])
        .exits(3);

    // Both verifiers read the log of it.
    world.broker();
    let anna = world.signed_in("anna");
    anna.run(&["audit", "export", "-o", "all.bundle"]).exits(0);
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "verify", "all.bundle", "--trust", "trust.toml"]).exits(0);
    let python = crate::second_verifier::python(&anna.dir().join("all.bundle"), &anna.dir().join("trust.toml"));
    assert_eq!(python, 0);
}

/// Starts a fetch of many chunks, kills it when some are here, and gives its request.
fn killed(dana: &Person, table: &str, output: &str) -> String {
    let mut command = dana.command();
    let child = command
        .args(["fetch", table, "--reason", "a test asks", "-o", output, "--parallel", "1"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    let staging = poll("chunks arrive", Duration::from_secs(60), || {
        let begin = format!(".{output}.req_");
        let found = std::fs::read_dir(dana.dir())
            .unwrap()
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(&begin))?;
        let data = found.path().join("data");
        (std::fs::read_dir(data).ok()?.count() >= 2).then(|| found.path())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dana.dir().join(output).exists(), "it has no name before it is whole");
    let name = staging.file_name().unwrap().to_string_lossy().into_owned();
    name.trim_start_matches(&format!(".{output}."))
        .trim_end_matches(".partial")
        .to_owned()
}

#[test]
fn a_killed_fetch_goes_on_with_the_chunks_that_are_missing() {
    let (_world, dana) = world("chunks_killed");
    let request = killed(&dana, "chunks_killed", "all.parquet");
    change("chunks_killed");
    dana.run(&["fetch", "--resume", "-o", "none.parquet"]).exits(3);
    let done = dana.json(&["fetch", "--resume", "-o", "all.parquet"]).exits(0).event("fetch.done");
    assert_eq!((&done["request"], &done["rows"]), (&Value::from(request.as_str()), &ROWS.into()));
    let found = read(&dana, "all.parquet");
    assert_eq!((&found["rows"], &found["ids"]), (&ROWS.into(), &ROWS.into()));
    assert_eq!(
        (&found["moments"], &found["moment"]),
        (&1.into(), &1.into()),
        "of the moment before the change"
    );
    let deliveries = deliveries(&dana, &request);
    let chunks = usize::try_from(done["chunks"].as_u64().unwrap()).unwrap();
    assert_eq!(outcomes(&deliveries, "done"), chunks, "each once: {deliveries:?}");
    dana.run(&["verify", "all.parquet"]).exits(0);
    let left: Vec<_> = std::fs::read_dir(dana.dir())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 2, "the folder, and its receipts: {left:?}");
}

#[test]
fn after_a_restart_of_the_broker_no_two_moments_are_mixed() {
    let (mut world, dana) = world("chunks_restarted");
    let request = killed(&dana, "chunks_restarted", "all.parquet");
    world.kill();
    world.start();
    change("chunks_restarted");
    let resumed = dana.json(&["fetch", "--request", &request, "-o", "all.parquet"]).exits(0);
    let all = resumed.all();
    assert!(all.contains("fetched anew"), "{all}");
    let done = resumed.event("fetch.done");
    let found = read(&dana, "all.parquet");
    assert_eq!((&found["rows"], &found["ids"]), (&ROWS.into(), &ROWS.into()));
    assert_eq!(
        (&found["moments"], &found["moment"]),
        (&2.into(), &2.into()),
        "of the moment after the change"
    );
    let verified = dana.json(&["verify", "all.parquet"]).exits(0).event("verify.done");
    assert_eq!(verified["true"], done["chunks"]);
}

#[test]
fn what_cannot_be_cut_or_is_written_as_text_comes_as_one_file() {
    let (_world, dana) = world("chunks_whole");
    let whole = [
        (vec!["--order-by", "id desc"], "ordered.parquet"),
        (vec!["--limit", "300000"], "limited.parquet"),
        (vec![], "all.csv"),
    ];
    for (more, output) in whole {
        let typed = [&["fetch", "chunks_whole", "--reason", "a test asks", "-o", output], &more[..]].concat();
        let done = dana.json(&typed).exits(0).event("fetch.done");
        assert_eq!((&done["path"], done.get("chunks")), (&Value::from(output), None));
        assert!(dana.dir().join(output).is_file());
    }
    let query = "select count(*) as n from chunks_whole";
    let done = dana
        .json(&["fetch", "--sql", query, "--reason", "a test asks", "-o", "count.parquet"])
        .exits(0)
        .event("fetch.done");
    assert_eq!(done["rows"], 1);
}
