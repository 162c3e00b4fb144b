//! Sinks: every entry of the log reaches every receiver, whatever happens to either; and no receiver costs anybody anything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chunk_wire::fetch::Format;
use serde_json::Value;

use crate::support::api::slice;
use crate::support::receivers::{Mood, Receiver, Rsyslog, certificates};
use crate::support::world::{copy_folder, repository};
use crate::support::{Api, Setup, World, poll, random, servers};

const TOKEN: &str = "siem-token-7f3a";

/// A stopped broker, to be given sinks; beside it an authority for receivers.
fn prepared() -> World {
    let mut setup = Setup::standard();
    setup.environment.push(("SIEM_TOKEN".into(), TOKEN.into()));
    let world = World::prepared(setup);
    certificates(&world.path().join("ca"));
    world
}

fn sink(name: &str, level: u8, keys: &str) -> String {
    format!("\n[[sinks]]\nname = \"{name}\"\nlevel = {level}\n{keys}\n")
}

fn to_file(level: u8, path: &Path) -> String {
    sink("file", level, &format!("kind = \"file\"\npath = {path:?}"))
}

fn to_https(world: &World, level: u8, receiver: &Receiver) -> String {
    let keys = format!(
        "kind = \"https\"\nurl = \"https://localhost:{}/in?key=secret-in-the-address\"\ntoken = {{ env = \"SIEM_TOKEN\" }}\nca_file = {:?}",
        receiver.port,
        world.path().join("ca/ca.crt")
    );
    sink("collector", level, &keys)
}

fn with_sinks(world: &mut World, sinks: &str) {
    world.setup_mut().more = sinks.to_owned();
    world.write_config();
}

/// One fetch that was approved, and one that was denied.
fn work(dana: &Api, rita: &Api) {
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
    assert_ne!(dana.plan(&slice("hidden", None, None), Format::Csv, "curious").status, 200);
}

fn sequence(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let index = event["metadata"]["sequence"].as_u64().unwrap();
    assert!(event["metadata"]["uid"].as_str().unwrap().ends_with(&format!("#{index}")));
    index
}

/// The events without those that came again: in order, from the first, none missing, and each the same whenever it came.
#[track_caller]
fn distinct(name: &str, lines: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for line in lines {
        let index = usize::try_from(sequence(line)).unwrap();
        match distinct.get(index) {
            Some(first) => assert_eq!(first, line, "{name}: entry {index} came again as another"),
            None => {
                assert_eq!(index, distinct.len(), "{name}: entry {index} came before an earlier one");
                distinct.push(line.clone());
            }
        }
    }
    distinct
}

/// The whole lines of a file. One that a crash cut is none; its event follows.
fn lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    let whole = whole.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    whole.map(str::to_owned).collect()
}

/// Waits until a receiver has every entry that there is now; how many those are.
fn caught_up(world: &World, name: &str, got: impl Fn() -> Vec<String>) -> u64 {
    let size = metric(world, "chunk_broker_log_entries");
    poll(&format!("sink {name} to have {size} entries"), Duration::from_secs(120), || {
        got().last().is_some_and(|line| sequence(line) + 1 >= size).then_some(())
    });
    size
}

fn metric(world: &World, name: &str) -> u64 {
    let text = world.anonymous().raw("GET", "/metrics", None, &[]).text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let value = line.unwrap_or_else(|| panic!("no {name} in\n{text}")).rsplit(' ').next();
    value.unwrap().parse().unwrap()
}

fn of_sink(world: &World, metric_name: &str, sink: &str, kind: &str) -> u64 {
    metric(
        world,
        &format!("chunk_broker_sink_{metric_name}{{sink=\"{sink}\",kind=\"{kind}\"}}"),
    )
}

/// What `audit convert` makes of a bundle of the whole log at this level.
fn converted(world: &World, level: u8) -> Vec<String> {
    let auditor = world.signed_in("anna");
    auditor.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    let level = level.to_string();
    auditor.run(&["audit", "export", "--level", &level, "-o", "all.bundle"]).exits(0);
    let convert = [
        "audit",
        "convert",
        "all.bundle",
        "--format",
        "ocsf",
        "--trust",
        "trust.toml",
        "-o",
        "events.jsonl",
    ];
    auditor.run(&convert).exits(0);
    lines(&auditor.dir().join("events.jsonl"))
}

/// Holds events against the schema that OCSF publishes.
#[track_caller]
fn assert_valid(file: &Path) {
    let checks = PathBuf::from(servers::required(
        "CHUNK_TEST_EXPORTS_CHECKS",
        "a folder with the schemas of export formats",
    ));
    let output = Command::new(checks.join("bin/python"))
        .args([&repository().join("tests/exports/events.py"), file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains(", 0 faults"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_broker_that_is_killed_again_and_again_leaves_no_gap_at_any_sink() {
    let mut world = prepared();
    let file = world.path().join("events.jsonl");
    let (collector, over_tls) = (
        Receiver::https(&world.path().join("ca")),
        Receiver::syslog(&world.path().join("ca")),
    );
    let mut rsyslog = Rsyslog::new(&world.path().join("rsyslog"));
    let tls = format!(
        "kind = \"syslog\"\nurl = \"tls://localhost:{}\"\nca_file = {:?}\nmessage_bytes_max = 262144",
        over_tls.port,
        world.path().join("ca/ca.crt")
    );
    let tcp = format!(
        "kind = \"syslog\"\nurl = \"tcp://127.0.0.1:{}\"\nmessage_bytes_max = 262144",
        rsyslog.port
    );
    let sinks = [
        to_file(3, &file),
        to_https(&world, 3, &collector),
        sink("tls", 3, &tls),
        sink("rsyslog", 3, &tcp),
    ];
    with_sinks(&mut world, &sinks.concat());
    world.start();
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stop = &stop;
            let people = (world.api("dana"), world.api("rita"));
            scope.spawn(move || {
                let (dana, rita) = people;
                while !stop.load(Ordering::Relaxed) {
                    // The broker dies in the middle of it.
                    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&dana, &rita)));
                    if asked.is_err() {
                        return;
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(600 + u64::from(random::<1>()[0]) * 5));
            over_tls.mood(if round == 1 { Mood::Answers("") } else { Mood::Accepts });
            if round == 2 {
                // A receiver that dies at the same time.
                rsyslog.stop();
            }
            world.kill();
            stop.store(true, Ordering::Relaxed);
        });
        if round == 2 {
            rsyslog.start();
        }
        world.start();
    }
    let expected = converted(&world, 3);
    let size = caught_up(&world, "file", || lines(&file));
    caught_up(&world, "collector", || collector.got());
    caught_up(&world, "tls", || over_tls.got());
    caught_up(&world, "rsyslog", || rsyslog.got());
    assert!(size > 60 && expected.len() as u64 <= size, "{size} entries");
    assert_eq!(world.stop(), 0);
    for (name, got) in [
        ("file", lines(&file)),
        ("collector", collector.got()),
        ("tls", over_tls.got()),
        ("rsyslog", rsyslog.got()),
    ] {
        let distinct = distinct(name, &got);
        assert!(distinct.len() as u64 >= size, "{name}: {} of {size}", distinct.len());
        assert_eq!(distinct[..expected.len()], expected[..], "{name}: as `audit convert` shows them");
    }
    assert!(distinct("file", &lines(&file)).concat().contains("dana@people.example"));
    let sent = world.path().join("sent.jsonl");
    std::fs::write(&sent, distinct("collector", &collector.got()).join("\n")).unwrap();
    assert_valid(&sent);
    // The stop's own entry is sent too, to whoever takes it at once.
    assert!(lines(&file).last().unwrap().contains("broker.stop"));
    assert!(collector.tokens().iter().all(|token| token == &format!("Bearer {TOKEN}")));
}

#[test]
fn a_collector_that_fails_stalls_or_dies_misses_nothing_and_holds_nobody_up() {
    let mut world = prepared();
    let mut collector = Receiver::https(&world.path().join("ca"));
    let file = world.path().join("events.jsonl");
    let sinks = to_https(&world, 2, &collector) + &to_file(2, &file);
    with_sinks(&mut world, &sinks);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    work(&dana, &rita);
    caught_up(&world, "collector", || collector.got());
    for mood in [
        Mood::Answers("500 Internal Server Error"),
        Mood::Answers("429 Too Many Requests\r\nretry-after: 2"),
        Mood::Answers("401 Unauthorized"),
        Mood::Answers("307 Temporary Redirect\r\nlocation: https://localhost:1/in"),
        Mood::Forgets,
        Mood::Stalls,
    ] {
        collector.mood(mood);
        let began = Instant::now();
        work(&dana, &rita);
        assert!(began.elapsed() < Duration::from_secs(10), "{mood:?}: {:?}", began.elapsed());
        // The other sink is as quick as ever.
        caught_up(&world, "file", || lines(&file));
        if mood != Mood::Stalls {
            collector.tried(1);
            collector.mood(Mood::Accepts);
            caught_up(&world, "collector", || collector.got());
        }
    }
    // Stalled: the lag is told, the broker is as ready as before, and it stops at once.
    poll("the stalled sink to lag", Duration::from_secs(10), || {
        (of_sink(&world, "lag_entries", "collector", "https") > 0).then_some(())
    });
    assert_eq!(of_sink(&world, "lag_entries", "file", "file"), 0);
    assert!(of_sink(&world, "failures_total", "collector", "https") >= 4);
    assert_eq!(world.anonymous().raw("GET", "/readyz", None, &[]).status, 200);
    let began = Instant::now();
    assert_eq!(world.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    // Dead while the broker starts and works; then it comes back.
    collector.mood(Mood::Accepts);
    collector.die();
    world.start();
    let began = Instant::now();
    work(&world.api("dana"), &world.api("rita"));
    assert!(began.elapsed() < Duration::from_secs(20));
    poll("the dead sink to be told", Duration::from_secs(10), || {
        world.log_text().contains("the sink does not accept events").then_some(())
    });
    collector.live();
    caught_up(&world, "collector", || collector.got());
    assert_eq!(world.stop(), 0);
    let got = distinct("collector", &collector.got());
    let in_file = distinct("file", &lines(&file));
    assert_eq!(got[..], in_file[..got.len()]);
    // Nobody's name leaves at level 2, and no secret stands in the operator's log.
    assert!(!got.concat().contains("people.example"));
    let said = world.log_text();
    assert!(
        said.contains("the sink refuses events") && said.contains("look at the token"),
        "{said}"
    );
    assert!(!said.contains(TOKEN) && !said.contains("secret-in-the-address"), "{said}");
}

#[test]
fn what_is_too_long_for_syslog_is_sent_as_an_event_that_names_it() {
    let mut world = prepared();
    let rsyslog = Rsyslog::new(&world.path().join("rsyslog"));
    let keys = format!(
        "kind = \"syslog\"\nurl = \"unix://{}\"\nmessage_bytes_max = 2048",
        rsyslog.socket().display()
    );
    with_sinks(&mut world, &sink("local", 4, &keys));
    world.start();
    work(&world.api("dana"), &world.api("rita"));
    let size = caught_up(&world, "local", || rsyslog.got());
    let expected = converted(&world, 4);
    let got = distinct("local", &rsyslog.got());
    let mut shortened = 0;
    for (index, (line, whole)) in got.iter().zip(&expected).take(usize::try_from(size).unwrap()).enumerate() {
        if line == whole {
            continue;
        }
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["unmapped"]["disclosed"], "shortened", "{line}");
        assert_eq!(event["unmapped"]["bytes"], whole.len());
        assert!(
            event["message"]
                .as_str()
                .unwrap()
                .contains(&format!("chunkctl audit show {index}`"))
        );
        shortened += 1;
    }
    assert!(shortened > 0 && shortened < got.len(), "{shortened} of {}", got.len());
    let sent = world.path().join("sent.jsonl");
    std::fs::write(&sent, got.join("\n")).unwrap();
    assert_valid(&sent);
}

#[test]
fn a_file_that_is_moved_away_or_cannot_be_written_misses_nothing() {
    let mut world = prepared();
    let file = world.path().join("siem/events.jsonl");
    with_sinks(&mut world, &to_file(2, &file));
    // The folder is not there yet: the broker starts, and the operator is told.
    let (code, said) = world.broker_says(&["check", "--config", world.broker_dir().join("broker.toml").to_str().unwrap()]);
    assert!(code == 3 && said.contains("sink `file`: the folder"), "{code}: {said}");
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    work(&dana, &rita);
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    caught_up(&world, "file", || lines(&file));
    let moved = file.with_extension("1");
    std::fs::rename(&file, &moved).unwrap();
    work(&dana, &rita);
    caught_up(&world, "file", || lines(&file));
    assert_eq!(world.stop(), 0);
    let all = [lines(&moved), lines(&file)].concat();
    assert_eq!(distinct("file", &all).len(), all.len(), "nothing came twice");
    assert!(lines(&file).last().unwrap().contains("broker.stop"));
}

#[test]
fn a_journal_that_holds_less_than_a_sink_has_accepted_does_not_start() {
    let mut world = prepared();
    let file = world.path().join("events.jsonl");
    with_sinks(&mut world, &to_file(2, &file));
    world.start();
    assert_eq!(world.stop(), 0);
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);
    world.start();
    work(&world.api("dana"), &world.api("rita"));
    caught_up(&world, "file", || lines(&file));
    assert_eq!(world.stop(), 0);
    // The journal of before, under the note of now.
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("sink-") {
            std::fs::remove_file(path).unwrap();
        }
    }
    for entry in std::fs::read_dir(&copy).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().starts_with("sink-") {
            std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
        }
    }
    assert!(!world.try_start(), "it started from an old copy");
    let said = world.log_text();
    assert!(
        said.contains("Sink `file` has accepted") && said.contains("put the newest copy of the data folder back"),
        "{said}"
    );
    // A note that is none is told as well.
    std::fs::write(data.join("sink-file.json"), "{}").unwrap();
    assert!(!world.try_start());
    assert!(
        world.log_text().contains("It cannot be read how far sink `file` has come."),
        "{}",
        world.log_text()
    );
}
