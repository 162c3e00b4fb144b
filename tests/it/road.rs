//! The whole road, as people walk it: ask, wait, a second mind, a masked file with its receipt, evidence that verifies.

use std::path::Path;
use std::process::Command;

use chunk_wire::fetch::Format;
use serde_json::Value;

use crate::support::api::slice;
use crate::support::{Person, Setup, World, sha256};

/// Asks for a slice; the id of the request that now waits.
#[track_caller]
fn ask(dana: &Person, arguments: &[&str]) -> String {
    let pending = dana
        .run(&[arguments, &["--reason", "churn model", "--ticket", "DATA-1", "--no-wait"]].concat())
        .exits(5);
    let all = pending.all();
    let start = all.find("req_").unwrap_or_else(|| panic!("no request is named:\n{all}"));
    let id = all[start..start + 20].to_owned();
    assert!(
        all.contains(&format!("chunkctl fetch --request {id}")),
        "it must say how to pick the request up:\n{all}"
    );
    id
}

fn sha256sum(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

/// The delivery's digest wherever the receipt holds it.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.contains(wanted),
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(members) => members.values().any(|member| holds(member, wanted)),
        _ => false,
    }
}

#[test]
fn from_sign_in_to_verified_evidence_over_tls() {
    let mut setup = Setup::standard();
    setup.tls = true;
    let world = World::with(setup);

    let dana = world.signed_in("dana");
    assert!(dana.run(&["datasets"]).exits(0).stdout.contains("people"));
    let described = dana.run(&["describe", "people"]).exits(0).stdout;
    assert!(described.contains("pii.ssn") && described.contains("partial(0,4)"), "{described}");
    let query = [
        "people",
        "--columns",
        "id,full_name,email,ssn,city",
        "--where",
        "city = 'Oslo'",
        "--order-by",
        "id",
        "--limit",
        "100",
    ];
    let planned = dana
        .json(&[&["plan"], &query[..], &["--format", "csv"]].concat())
        .exits(0)
        .event("plan");
    assert_eq!(
        (planned["decision"].as_str(), planned["quorum"].as_u64()),
        (Some("needs_approval"), Some(1))
    );

    let request = ask(&dana, &[&["fetch"], &query[..], &["-o", "people.csv"]].concat());
    let file = dana.dir().join("people.csv");
    assert!(!file.exists());
    dana.run(&["fetch", "--request", &request, "-o", "people.csv", "--no-wait"])
        .exits(5);
    dana.run(&["approve", &request, "--reason", "I need it"]).exits(1);

    let rita = world.signed_in("rita");
    let shown = rita.run(&["request", "show", &request]).exits(0).stdout;
    assert!(
        shown.contains("churn model") && shown.contains("DATA-1") && shown.contains("city = 'Oslo'"),
        "{shown}"
    );
    assert!(rita.run(&["requests", "--pending"]).exits(0).stdout.contains(&request));
    rita.run(&["approve", &request, "--reason", "fine for the model"]).exits(0);

    let done = dana
        .json(&["fetch", "--request", &request, "-o", "people.csv"])
        .exits(0)
        .event("fetch.done");
    assert_eq!(done["rows"], 100);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 101);
    assert_eq!(text.lines().next(), Some("id,full_name,email,ssn,city"));
    assert!(!text.to_lowercase().contains("canary"), "a raw value stands in the file");
    assert!(text.contains("[redacted]") && text.contains("tok_") && text.contains("Oslo"));

    // The receipt beside the file, and what any shell says of the file.
    let receipt_path = dana.dir().join("people.csv.receipt");
    let receipt: Value = serde_json::from_slice(&std::fs::read(&receipt_path).unwrap()).unwrap();
    let digest = sha256sum(&file);
    assert_eq!(digest, sha256(text.as_bytes()));
    assert_eq!(done["sha256"], digest.as_str());
    assert!(holds(&receipt, &digest), "the receipt does not hold the file's SHA-256");
    let verified = dana.run(&["verify", "people.csv"]).exits(0);
    assert!(
        verified.all().to_lowercase().contains("rita"),
        "verify must say who approved: {}",
        verified.all()
    );

    // One character changed, one line dropped, one appended: no longer what was released.
    for edited in [
        text.replacen("Oslo", "Osl0", 1),
        text.lines().take(50).collect::<Vec<_>>().join("\n"),
        format!("{text}1,a,b,c,Oslo\n"),
        String::new(),
    ] {
        std::fs::write(&file, edited).unwrap();
        dana.run(&["verify", "people.csv"]).exits(1);
    }
    std::fs::write(&file, &text).unwrap();
    dana.run(&["verify", "people.csv"]).exits(0);
    // A file without its receipt cannot be told.
    std::fs::copy(&file, dana.dir().join("alone.csv")).unwrap();
    let alone = dana.run(&["verify", "alone.csv"]);
    assert!(matches!(alone.code, 1 | 2), "{}", alone.all());
    // A receipt with another digest in it.
    let forged = std::fs::read_to_string(&receipt_path)
        .unwrap()
        .replace(&digest, &sha256(b"something else"));
    std::fs::write(&receipt_path, forged).unwrap();
    let output = dana.run(&["verify", "people.csv"]);
    assert_ne!(output.code, 0, "{}", output.all());

    // The grant is spent.
    dana.run(&["fetch", "--request", &request, "-o", "again.csv"]).exits(1);

    let anna = world.signed_in("anna");
    let found = anna.run(&["audit", "search", "--request", &request]).exits(0).stdout;
    for kind in ["request.create", "review.approve", "grant.issue", "fetch.intent", "fetch.outcome"] {
        assert!(found.contains(kind), "{kind} is missing:\n{found}");
    }
    anna.run(&["audit", "export", "-o", "evidence.bundle"]).exits(0);
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "verify", "evidence.bundle", "--trust", "trust.toml"]).exits(0);
    // Everybody else is told no.
    for person in [&dana, &rita] {
        person.run(&["audit", "search"]).exits(1);
        person.run(&["audit", "export", "-o", "stolen.bundle"]).exits(1);
        assert!(!person.dir().join("stolen.bundle").exists());
    }
}

#[test]
fn a_waiting_fetch_goes_on_by_itself_when_the_second_person_approves() {
    let world = World::new();
    let (dana, rita) = (world.signed_in("dana"), world.api("rita"));
    let output = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            dana.run(&[
                "fetch",
                "people",
                "--limit",
                "5",
                "--reason",
                "a test asks",
                "--wait",
                "60s",
                "-o",
                "five.csv",
            ])
        });
        let request = crate::support::poll("the request to appear", std::time::Duration::from_secs(20), || {
            let pending: Vec<chunk_wire::fetch::RequestView> = rita.get("/v1/requests?state=pending").json();
            pending.into_iter().next()
        });
        rita.approve(&request);
        waiting.join().unwrap()
    });
    output.exits(0);
    dana.run(&["verify", "five.csv"]).exits(0);
}

#[test]
fn a_rejected_request_is_exit_1_with_the_reviewers_reason() {
    let world = World::new();
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));
    let request = ask(&dana, &["fetch", "people", "--limit", "5", "-o", "five.csv"]);
    rita.run(&["reject", &request, "--reason", "names are not needed for this"])
        .exits(0);
    let output = dana.run(&["fetch", "--request", &request, "-o", "five.csv"]).exits(1);
    assert!(output.stderr.contains("names are not needed for this"), "{}", output.stderr);
    assert!(!dana.dir().join("five.csv").exists());
}

#[test]
fn every_format_arrives_whole_and_verifies() {
    let world = World::new();
    let dana = world.signed_in("dana");
    for (name, magic) in [
        ("small.parquet", &b"PAR1"[..]),
        ("small.csv", b"id,label,amount"),
        ("small.ndjson", b"{\"id\":1"),
        ("small.arrow", b"\xff\xff\xff\xff"),
    ] {
        dana.run(&["fetch", "small", "--order-by", "id", "--reason", "a test asks", "-o", name])
            .exits(0);
        let bytes = std::fs::read(dana.dir().join(name)).unwrap();
        assert!(bytes.starts_with(magic), "{name} begins with {:?}", &bytes[..bytes.len().min(16)]);
        dana.run(&["verify", name]).exits(0);
    }
    let text = std::fs::read_to_string(dana.dir().join("small.csv")).unwrap();
    assert_eq!(text.lines().count(), 1001);
    let lines = std::fs::read_to_string(dana.dir().join("small.ndjson")).unwrap();
    assert_eq!(lines.lines().count(), 1000);
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["label"].is_string())
    );
}

#[test]
fn data_goes_to_standard_output_when_asked_and_words_do_not() {
    let world = World::new();
    let dana = world.signed_in("dana");
    let output = dana
        .run(&[
            "fetch",
            "--sql",
            "select id, label from small order by id limit 3",
            "--format",
            "csv",
            "-o",
            "-",
            "--reason",
            "a test asks",
        ])
        .exits(0);
    assert_eq!(
        output.stdout.lines().collect::<Vec<_>>(),
        ["id,label", "1,label-1", "2,label-2", "3,label-3"]
    );
}

#[test]
fn sessions_show_what_was_done_under_each_sign_in() {
    let world = World::new();
    let dana = world.signed_in("dana");
    dana.run(&["fetch", "small", "--limit", "3", "--reason", "a test asks", "-o", "small.csv"])
        .exits(0);
    let session = dana.json(&["sessions", "list"]).exits(0).event("session")["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = dana.run(&["sessions", "show", &session]).exits(0).stdout;
    for kind in ["session.open", "request.create", "fetch.intent", "fetch.outcome"] {
        assert!(shown.contains(kind), "{kind} is missing:\n{shown}");
    }
    world.signed_in("drew").run(&["sessions", "show", &session]).exits(1);
}

#[test]
fn an_unreachable_broker_is_exit_2_and_wrong_usage_exit_3() {
    let mut world = World::new();
    let dana = world.signed_in("dana");
    dana.run(&["fetch", "small"]).exits(3);
    dana.run(&["no-such-command"]).exits(3);
    dana.run(&["plan", "small", "--columns", "no_such_column"]).exits(3);
    world.stop();
    dana.run(&["datasets"]).exits(2);
    dana.run(&["fetch", "small", "--reason", "a test asks"]).exits(2);
}

#[test]
fn a_broker_that_is_asked_to_stop_does_and_says_so_in_the_log() {
    let mut world = World::new();
    assert_eq!(world.stop(), 0, "{}", world.log_text());
    world.start();
    let kinds: Vec<String> = world
        .api("anna")
        .entries()
        .iter()
        .map(|entry| entry.header["k"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "broker.start").count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "broker.stop").count(), 1, "{kinds:?}");
}

#[test]
fn a_waiting_fetch_outlives_a_restart_of_the_broker() {
    let mut world = World::new();
    let (dana, rita) = (world.signed_in("dana"), world.api("rita"));
    let arguments = [
        "fetch",
        "people",
        "--limit",
        "5",
        "--reason",
        "a test asks",
        "--wait",
        "90s",
        "-o",
        "five.csv",
    ];
    let output = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| dana.run(&arguments));
        let request = crate::support::poll("the request to appear", std::time::Duration::from_secs(20), || {
            let pending: Vec<chunk_wire::fetch::RequestView> = rita.get("/v1/requests?state=pending").json();
            pending.into_iter().next()
        });
        world.kill();
        world.start();
        rita.approve(&request);
        waiting.join().unwrap()
    });
    output.exits(0);
    dana.run(&["verify", "five.csv"]).exits(0);
}

/// A client that has seen a fetch recorded, and a broker whose data folder was then replaced by an older copy.
fn set_back() -> (World, Person) {
    let mut world = World::new();
    let dana = world.signed_in("dana");
    world.stop();
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    let copy_folder = |from: &Path, to: &Path| {
        std::fs::remove_dir_all(to).ok();
        assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy_folder(&data, &copy);
    world.start();
    dana.run(&["fetch", "small", "--limit", "3", "--reason", "a test asks", "-o", "small.csv"])
        .exits(0);
    world.stop();
    copy_folder(&copy, &data);
    world.start();
    (world, dana)
}

#[test]
fn a_log_that_was_set_back_releases_nothing_to_a_client_that_saw_more() {
    let (world, dana) = set_back();
    let again = ["fetch", "small", "--limit", "3", "--reason", "a test asks", "-o", "again.csv"];
    let output = dana.json(&again).exits(1);
    assert_eq!(output.event("error")["code"], "log_forked", "{}", output.all());
    // Growing past the size that was seen does not hide it.
    let drew = world.api("drew");
    for _ in 0..4 {
        let request = drew.request(&slice("small", None, Some(3)), Format::Csv);
        assert!(drew.fetch(&request).complete);
    }
    // Whatever is asked of it: no command goes on with a broker whose history changed.
    for command in [
        &again[..],
        &["whoami"],
        &["datasets"],
        &["describe", "small"],
        &["plan", "small"],
        &["requests", "--mine"],
        &["sessions", "list"],
    ] {
        assert_eq!(dana.json(command).exits(1).event("error")["code"], "log_forked", "{command:?}");
    }
    dana.run(&["doctor"]).exits(1);
    let forks = std::fs::read_dir(dana.home.join("state/forks")).unwrap().count();
    assert!(forks >= 2, "both checkpoints are kept as proof");
}
