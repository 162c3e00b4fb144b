//! An operator who has the database, the log's key and every sealed key rewrites what happened, and starts the broker again: clients,
//! auditors and witnesses each notice, whatever was done to the rows.

use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::Format;
use chunk_wire::session::BrokerInfo;

use crate::support::api::slice;
use crate::support::foreign::{self, signed};
use crate::support::oracle::Checkpoint;
use crate::support::world::repository;
use crate::support::{Person, World, poll};

/// Changes the journal's rows below `seen`, the size of the tree that others have seen.
fn tamper(world: &World, sql: &str, seen: u64) {
    let program = "import sqlite3, sys\njournal = sqlite3.connect(sys.argv[1])\njournal.executescript(sys.argv[2])\njournal.close()";
    let journal = world.broker_dir().join("data/journal.sqlite");
    let sql = format!("BEGIN; {}; COMMIT;", sql.replace("SEEN", &seen.to_string()));
    let done = Command::new("python3")
        .args(["-c", program])
        .arg(&journal)
        .arg(&sql)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn python(person: &Person, bundle: &str) -> i32 {
    let mut command = Command::new("python3");
    command
        .arg(repository().join("tests/verify.py"))
        .args([person.dir().join(bundle), person.dir().join("trust.toml")]);
    command.output().unwrap().status.code().unwrap()
}

fn everybody_notices(sql: &str) {
    let mut world = World::new();
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    assert_eq!(world.stop(), 0);
    let witness = foreign::Witness::new("witness.example/w", &info.log_key);
    let witnessed = format!(
        "\n[witness]\nquorum = 1\nwitnesses = [{{ name = \"security\", url = {:?}, key = {:?} }}]\n",
        witness.url, witness.vkey
    );
    world.setup_mut().more.clone_from(&witnessed);
    world.write_config();
    world.start();
    let (dana, anna) = (world.signed_in("dana"), world.signed_in("anna"));
    let (api, rita) = (world.api("dana"), world.api("rita"));
    let request = api.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(api.fetch(&request).complete);
    // The newest entries are alike, so that a broker finds nothing wrong with them in another order.
    for _ in 0..4 {
        anna.run(&["audit", "search", "--limit", "1"]).exits(0);
    }
    let seen = poll("the witness to see everything", Duration::from_secs(30), || {
        let note = world.anonymous().raw("GET", "/checkpoint", None, &[]).text();
        signed(&note, &witness.vkey)?;
        let size = Checkpoint::parse(&note).size;
        (size == Checkpoint::of(&world.anonymous()).size).then_some(size)
    });
    dana.run(&["datasets"]).exits(0);
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    assert_eq!(world.stop(), 0);

    tamper(&world, sql, seen);
    world.setup_mut().more.clear();
    world.write_config();
    assert!(
        world.try_start(),
        "this tampering is too clumsy to be tried on anybody:\n{}",
        world.log_text()
    );

    // Whoever has used the broker before is told at the next call, whatever it is.
    for (person, command) in [(&dana, &["datasets"][..]), (&anna, &["audit", "search"])] {
        assert_eq!(person.json(command).exits(1).event("error")["code"], "log_forked", "{command:?}");
    }
    // An auditor on a new machine, with nothing but the trust file of before.
    let auditor = world.signed_in("anna");
    std::fs::copy(anna.dir().join("trust.toml"), auditor.dir().join("trust.toml")).unwrap();
    auditor.run(&["audit", "export", "-o", "after.bundle"]).exits(0);
    auditor.run(&["audit", "verify", "after.bundle", "--trust", "trust.toml"]).exits(1);
    assert_eq!(python(&auditor, "after.bundle"), 1);
    assert_eq!(world.stop(), 0);

    // And whoever oversees the log from outside. The broker's own notes of what it was told go first.
    for entry in std::fs::read_dir(world.broker_dir().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("witness-") {
            std::fs::remove_file(path).unwrap();
        }
    }
    world.setup_mut().more = witnessed;
    world.write_config();
    assert!(!world.try_start(), "it started although the witness has seen another history");
    assert!(
        world.log_text().contains("Witness `security` has vouched for"),
        "{}",
        world.log_text()
    );
}

#[test]
fn an_operator_cannot_drop_the_newest_entry() {
    everybody_notices("DELETE FROM entries WHERE idx >= SEEN - 1");
}

#[test]
fn an_operator_cannot_change_an_entry() {
    everybody_notices(
        "UPDATE entries SET (leaf, sealed, data_key) = (SELECT leaf, sealed, data_key FROM entries WHERE idx = SEEN - 3) WHERE idx = SEEN - 2",
    );
}

#[test]
fn an_operator_cannot_reorder_entries() {
    everybody_notices(
        "UPDATE entries SET idx = -1 WHERE idx = SEEN - 3; UPDATE entries SET idx = SEEN - 3 WHERE idx = SEEN - 2; UPDATE entries SET idx = SEEN - 2 WHERE idx = -1",
    );
}

#[test]
fn an_operator_cannot_remove_an_entry_from_the_middle() {
    everybody_notices("DELETE FROM entries WHERE idx = SEEN - 3; UPDATE entries SET idx = idx - 1 WHERE idx > SEEN - 3");
}
