//! What has been kept long enough is nowhere on disk any more, and the log still proves itself to both verifiers.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::Format;
use serde_json::Value;

use crate::support::api::slice;
use crate::support::data::{file_that_holds, files_below, rows};
use crate::support::process::Running;
use crate::support::{Person, Setup, World, poll};

/// A broker that records `people`; what else it is told about retention comes later.
fn recorded() -> Setup {
    let mut setup = Setup::standard();
    setup.datasets[0].settings.push_str("\nrecording = \"content\"");
    setup
}

/// The sealed bodies of these kinds as they lie in the journal: index and bytes.
fn sealed(world: &World, kinds: &[&str]) -> Vec<(u64, Vec<u8>)> {
    let select = "SELECT idx, sealed, json_extract(CAST(substr(leaf, 1, instr(leaf, x'0a') - 1) AS TEXT), '$.k') FROM entries ORDER BY idx";
    let rows = rows(world, "journal.sqlite", select).into_iter();
    rows.filter(|row| kinds.contains(&row[2].as_str()) && row[1] != "-")
        .map(|row| (row[0].parse().unwrap(), hex::decode(&row[1]).unwrap()))
        .collect()
}

/// One of these bodies that is still in a file, and in which.
fn left_over(world: &World, bodies: &[(u64, Vec<u8>)]) -> Option<(u64, PathBuf)> {
    bodies.iter().find_map(|(index, body)| {
        // What is sealed is random: a piece of it is nowhere by chance.
        let middle = body.len() / 2;
        Some((*index, file_that_holds(world, &body[middle - 16..middle + 16])?))
    })
}

fn verified_by_both(anna: &Person, name: &str) -> Value {
    let told = anna
        .json(&["audit", "verify", name, "--trust", "trust.toml"])
        .exits(0)
        .event("audit.verify");
    let second = Command::new("python3")
        .arg(crate::support::world::repository().join("tests/verify.py"))
        .args([name, "trust.toml"])
        .current_dir(anna.dir())
        .output()
        .unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    told
}

#[test]
fn what_is_past_its_time_is_nowhere_and_the_log_verifies_before_and_after() {
    let mut world = World::with(recorded());
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(200)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
    let anna = world.signed_in("anna");
    // A question that nobody should have to keep for ever.
    anna.run(&["audit", "search", "--dataset", "canary_4711"]).exits(0);
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "export", "-o", "before.bundle"]).exits(0);
    verified_by_both(&anna, "before.bundle");
    let bundle = std::fs::read(anna.dir().join("before.bundle")).unwrap();
    assert!(String::from_utf8_lossy(&bundle).contains("canary_4711"));
    // So that nothing that is alive holds on to what came before.
    for person in [&dana, &rita] {
        assert_eq!(person.delete("/v1/sessions/current").status, 204);
    }
    anna.run(&["logout"]).exits(0);
    world.stop();

    let kinds = ["audit.read", "audit.export", "fetch.intent", "fetch.outcome"];
    let bodies = sealed(&world, &kinds);
    assert!(bodies.len() >= 4, "{}", bodies.len());
    let recordings = files_below(&world.broker_dir().join("data/recordings"));
    assert_eq!(recordings.len(), 1);
    world.setup_mut().more =
        "\n[retention]\n\"audit.*\" = \"1s\"\n\"fetch.*\" = \"1s\"\nrecordings = \"1s\"\ninterval = \"1h\"\n".to_owned();
    world.write_config();
    std::thread::sleep(Duration::from_millis(1100));
    world.start();
    poll("the bodies to go", Duration::from_secs(20), || {
        sealed(&world, &kinds).is_empty().then_some(())
    });
    poll("the recording to go", Duration::from_secs(20), || {
        (!recordings[0].exists()).then_some(())
    });
    assert!(world.log_text().contains("disposed of what has been kept long enough"));
    world.stop();
    assert_eq!(left_over(&world, &bodies), None);

    world.start();
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "export", "-o", "after.bundle"]).exits(0);
    let told = verified_by_both(&anna, "after.bundle");
    assert_eq!(told["counts"]["disposed"].as_u64().unwrap(), bodies.len() as u64, "{told}");
    let bundle = std::fs::read(anna.dir().join("after.bundle")).unwrap();
    assert!(!String::from_utf8_lossy(&bundle).contains("canary_4711"));
    let shown = anna.run(&["audit", "show", &bodies[0].0.to_string()]).exits(0).stdout;
    assert!(shown.contains("disposed of"), "{shown}");
    let entry = anna
        .json(&["audit", "search", "--kind", "retention.dispose"])
        .exits(0)
        .event("entry");
    let kinds: Vec<_> = entry["body"]["what"]["bodies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["kind"].clone())
        .collect();
    assert!(kinds.contains(&Value::from("audit.read")), "{entry}");
    assert_eq!(entry["body"]["out"]["recordings"], 1);
    let intent = request_intent(&anna, &bodies);
    anna.run(&["sessions", "replay", &intent, "-o", "gone.csv"]).exits(1);
}

/// The index of the fetch's intent, which is gone.
fn request_intent(anna: &Person, bodies: &[(u64, Vec<u8>)]) -> String {
    let intent = bodies.iter().map(|(index, _)| index.to_string()).find(|index| {
        let entry = anna.json(&["audit", "show", index]).exits(0).event("entry");
        entry["header"]["k"] == "fetch.intent"
    });
    intent.expect("an intent was disposed of")
}

#[test]
fn a_backup_that_reads_the_journal_keeps_no_broker_from_starting() {
    let mut world = World::new();
    let anna = world.signed_in("anna");
    anna.run(&["audit", "search"]).exits(0);
    anna.run(&["logout"]).exits(0);
    let bodies = sealed(&world, &["audit.read"]);
    assert!(!bodies.is_empty());
    // A transaction that reads, as a backup's: what the broker writes from now on has to stay beside it.
    let read = "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1])\nc.execute('BEGIN')\nc.execute('SELECT count(*) FROM entries').fetchall()\nprint('reading', flush=True)\ntime.sleep(600)";
    let mut reading = Command::new("python3");
    reading.args(["-c", read]).arg(world.broker_dir().join("data/journal.sqlite"));
    let backup = Running::start(&mut reading, &world.path().join("backup.log"));
    poll("the backup to read", Duration::from_secs(20), || {
        backup.log_text().contains("reading").then_some(())
    });
    world.stop();
    world.setup_mut().more = "\n[retention]\n\"audit.*\" = \"1s\"\n".to_owned();
    world.write_config();
    std::thread::sleep(Duration::from_millis(1100));
    // Once to dispose of it, and once more with bodies to go that cannot.
    for round in 1..=2 {
        world.start();
        poll("the broker to say why bodies are still there", Duration::from_secs(20), || {
            let said = world.log_text().matches("somebody reads older pages of the journal").count();
            (said >= round).then_some(())
        });
        assert!(sealed(&world, &["audit.read"]).is_empty(), "the journal gives none any more");
        world.kill();
    }
    assert!(
        left_over(&world, &bodies).is_some(),
        "the backup reads nothing, so this shows nothing"
    );
    world.start();
    backup.kill();
    poll("the bodies to be nowhere", Duration::from_secs(20), || {
        left_over(&world, &bodies).is_none().then_some(())
    });
    assert!(
        world.log_text().contains("the older pages of the journal are gone"),
        "{}",
        world.log_text()
    );
}

#[test]
fn a_body_that_is_missing_beyond_that_keeps_the_broker_from_starting() {
    let mut world = World::new();
    let anna = world.signed_in("anna");
    anna.run(&["audit", "search"]).exits(0);
    anna.run(&["logout"]).exits(0);
    world.stop();
    world.setup_mut().more = "\n[retention]\n\"audit.*\" = \"1s\"\n".to_owned();
    world.write_config();
    std::thread::sleep(Duration::from_millis(1100));
    world.start();
    poll("the body to go", Duration::from_secs(20), || {
        sealed(&world, &["audit.read"]).is_empty().then_some(())
    });
    world.stop();
    // Somebody helps themselves to one more.
    let edit = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute(\"UPDATE entries SET sealed = x'', data_key = NULL WHERE idx = (SELECT max(idx) FROM entries WHERE CAST(leaf AS TEXT) LIKE '%session.open%')\")\nc.commit()";
    let output = Command::new("python3")
        .args(["-c", edit])
        .arg(world.broker_dir().join("data/journal.sqlite"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!world.try_start(), "the broker started without a body that nobody disposed of");
    assert!(
        world.log_text().contains("no entry says that it was disposed of"),
        "{}",
        world.log_text()
    );
}
