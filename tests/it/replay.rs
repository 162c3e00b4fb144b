//! What was returned can be seen again, byte for byte, by whoever may read the evidence: and a delivery that cannot be kept is none.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::Format;
use serde_json::Value;

use crate::support::api::slice;
use crate::support::{Person, Setup, World, poll};

/// `people` is kept with its content; of the others the log has digests.
pub(crate) fn recorded() -> Setup {
    let mut setup = Setup::standard();
    setup.datasets[0].settings.push_str("\nrecording = \"content\"");
    setup
}

/// Fetches a dataset as somebody who types, with Rita's approval; what the command told at its end.
fn fetched(world: &World, dana: &Person, dataset: &str, path: &str) -> Value {
    let asked = dana.run(&[
        "fetch",
        dataset,
        "--limit",
        "200",
        "--reason",
        "a test asks",
        "--no-wait",
        "-o",
        path,
    ]);
    let pending = asked.exits(5).all();
    let request = pending[pending.find("req_").unwrap()..][..20].to_owned();
    let rita = world.api("rita");
    rita.approve(&rita.get(&format!("/v1/requests/{request}")).json());
    let done = dana
        .json(&["fetch", "--request", &request, "-o", path])
        .exits(0)
        .event("fetch.done");
    // A session that is open keeps whatever was done since it began.
    assert_eq!(rita.delete("/v1/sessions/current").status, 204);
    done
}

fn sha256sum(path: PathBuf) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn an_auditor_sees_exactly_what_was_returned_and_nobody_else_does() {
    let world = World::with(recorded());
    let dana = world.signed_in("dana");
    // Whoever asks is told beforehand.
    let told = dana.json(&["describe", "people"]).exits(0).event("dataset.detail");
    assert_eq!(told["recorded"], true);
    let told = dana.json(&["describe", "small"]).exits(0).event("dataset.detail");
    assert_eq!(told["recorded"], false);
    let done = fetched(&world, &dana, "people", "people.csv");
    let (intent, request) = (done["intent"].to_string(), done["request"].as_str().unwrap());

    let anna = world.signed_in("anna");
    let sessions = anna.json(&["sessions", "list", "--all"]).exits(0).stdout;
    let mut hers = sessions.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let session = hers.find(|event| event["person"]["subject"] == "dana").unwrap()["session"].clone();
    let session = session.as_str().unwrap();

    // The timeline with what was returned; the same delivery, whatever it is asked for by.
    let shown = anna.run(&["sessions", "replay", session]).exits(0).all();
    assert!(
        shown.contains("fetch.outcome") && shown.contains("kept") && shown.contains(request),
        "{shown}"
    );
    for id in [session, request, intent.as_str()] {
        let told = anna.json(&["sessions", "replay", id]).exits(0).event("delivery");
        assert_eq!((&told["intent"], &told["sha256"]), (&done["intent"], &done["sha256"]), "{id}");
        let path = format!("{id}.csv");
        let told = anna
            .json(&["sessions", "replay", id, "-o", &path])
            .exits(0)
            .event("session.replayed");
        assert_eq!(told["proven"], true, "{told}");
        assert_eq!(sha256sum(anna.dir().join(&path)), sha256sum(dana.dir().join("people.csv")), "{id}");
    }
    let piped = anna.run(&["sessions", "replay", &intent, "-o", "-"]).exits(0).stdout;
    assert_eq!(piped.as_bytes(), std::fs::read(dana.dir().join("people.csv")).unwrap());
    anna.run(&["sessions", "replay", &intent, "-o", "-", "--chunk", "1"]).exits(1);

    // Looking is an entry, each time.
    let looked = world.api("anna").entries();
    let looked = looked
        .iter()
        .filter(|entry| entry.header["k"] == "audit.read" && entry.body["what"]["query"]["recording"] == done["intent"]);
    assert_eq!(looked.count(), 4);

    // Dana sees that it was kept, and not what: what she was given is hers, and the evidence is not.
    let refused = dana.run(&["sessions", "replay", &intent, "-o", "mine.csv"]).exits(1);
    assert!(refused.stderr.contains("audit"), "{}", refused.stderr);
    let own = dana.json(&["sessions", "list"]).exits(0).event("session")["session"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        dana.json(&["sessions", "replay", &own]).exits(0).event("delivery")["recording"],
        "kept"
    );
    dana.run(&["sessions", "replay", &own, "-o", "mine.csv"]).exits(1);
    assert!(!dana.dir().join("mine.csv").exists());
    for person in ["dana", "rita", "mallory"] {
        let answer = world.api(person).get(&format!("/v1/audit/recordings/{intent}"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{person}");
    }

    // The evidence says that it was kept, and both verifiers accept that.
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "export", "-o", "audit.bundle"]).exits(0);
    anna.run(&["audit", "verify", "audit.bundle", "--trust", "trust.toml"]).exits(0);
    let second = Command::new("python3")
        .arg(crate::support::world::repository().join("tests/verify.py"))
        .args(["audit.bundle", "trust.toml"])
        .current_dir(anna.dir())
        .output()
        .unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
}

#[test]
fn of_other_datasets_the_log_says_that_nothing_was_kept() {
    let world = World::with(recorded());
    let dana = world.signed_in("dana");
    let done = fetched(&world, &dana, "orders", "orders.csv");
    let intent = done["intent"].to_string();
    let anna = world.signed_in("anna");
    let told = anna.json(&["sessions", "replay", &intent]).exits(0).event("delivery");
    assert!(told.get("recording").is_none(), "{told}");
    let refused = anna.run(&["sessions", "replay", &intent, "-o", "orders.csv"]).exits(1);
    assert!(refused.stderr.contains("was not recorded"), "{}", refused.stderr);
    let answer = world.api("anna").get(&format!("/v1/audit/recordings/{intent}"));
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert!(!world.broker_dir().join("data/recordings").exists());
}

#[test]
fn a_broker_that_dies_leaves_a_recording_of_what_the_log_can_vouch_for() {
    let mut world = World::with(recorded());
    let dana = world.api("dana");
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    // A client that does not read: the delivery stands still, and its recording is open.
    let held = dana.begin("POST", &format!("/v1/requests/{}/chunks/0", request.id));
    let folder = world.broker_dir().join("data/recordings");
    // Of one that has not begun nobody can vouch for anything.
    poll("the recording to begin", Duration::from_secs(20), || {
        let month = std::fs::read_dir(&folder).ok()?.next()?.ok()?.path();
        let file = std::fs::read_dir(month).ok()?.next()?.ok()?;
        (file.metadata().ok()?.len() > 16 * 1024).then_some(())
    });
    world.kill();
    drop(held);
    world.start();
    let anna = world.signed_in("anna");
    let told = anna.json(&["sessions", "replay", request.id.as_str()]).exits(0).event("delivery");
    assert_eq!(
        (&told["end"], &told["recording"]),
        (&Value::from("interrupted"), &Value::from("kept")),
        "{told}"
    );
    let replayed = anna
        .json(&["sessions", "replay", request.id.as_str(), "-o", "part.csv"])
        .exits(0)
        .event("session.replayed");
    assert_eq!((&replayed["bytes"], &replayed["proven"]), (&told["bytes"], &Value::from(false)));
    assert_eq!(
        std::fs::metadata(anna.dir().join("part.csv")).unwrap().len(),
        told["bytes"].as_u64().unwrap()
    );
}

#[test]
fn content_is_given_when_only_its_proof_can_be_made_no_more() {
    let mut world = World::with(recorded());
    let dana = world.signed_in("dana");
    let done = fetched(&world, &dana, "people", "people.csv");
    let intent = done["intent"].to_string();
    dana.run(&["logout"]).exits(0);
    world.stop();
    world.setup_mut().more = "\n[retention]\n\"review.*\" = \"1s\"\ninterval = \"1s\"\n".to_owned();
    world.write_config();
    world.start();
    let anna = world.signed_in("anna");
    poll("the approval to be disposed of", Duration::from_secs(30), || {
        let found = anna.json(&["audit", "search", "--kind", "retention.dispose"]).exits(0).stdout;
        found.contains("review.approve").then_some(())
    });
    let replayed = anna.json(&["sessions", "replay", &intent, "-o", "people.csv"]).exits(0);
    let replayed = replayed.event("session.replayed");
    assert_eq!((&replayed["proven"], &replayed["sha256"]), (&Value::from(false), &done["sha256"]));
    let why = replayed["unproven"].as_str().unwrap();
    assert!(why.contains("nothing proves it any more"), "{why}");
    assert_eq!(sha256sum(anna.dir().join("people.csv")), sha256sum(dana.dir().join("people.csv")));
}

#[test]
fn the_recordings_of_an_erased_person_are_nowhere() {
    let mut world = World::with(recorded());
    let dana = world.signed_in("dana");
    let done = fetched(&world, &dana, "people", "people.csv");
    let intent = done["intent"].to_string();
    let anna = world.signed_in("anna");
    anna.run(&["sessions", "replay", &intent, "-o", "before.csv"]).exits(0);
    let folder = world.broker_dir().join("data/recordings");
    assert!(folder.exists());
    let adam = world.signed_in("adam");
    adam.run(&["audit", "erase", "dana", "--reason", "asked for", "--yes"]).exits(0);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let answer = world.api("anna").get(&format!("/v1/audit/recordings/{intent}"));
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert!(answer.text().contains("erased"), "{}", answer.text());
    anna.run(&["sessions", "replay", &intent, "-o", "after.csv"]).exits(1);
    world.stop();
    world.start();
    anna.run(&["sessions", "replay", &intent, "-o", "after.csv"]).exits(1);
}
