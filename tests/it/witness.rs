//! Witnesses: what is shown is vouched for by others; a witness forgets nothing and is not fooled; a broker that others
//! contradict does not start, and one that nobody vouches for releases nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chunk_wire::fetch::Format;
use chunk_wire::session::BrokerInfo;

use crate::support::api::slice;
use crate::support::foreign::{self, Hash, Log, leaf, root, signed};
use crate::support::forger;
use crate::support::oracle::{Checkpoint, assert_extends};
use crate::support::process::Running;
use crate::support::world::{copy_folder, free_port};
use crate::support::{Api, Person, World, poll, random, servers};

/// `chunkctl witness`, in a folder of its own.
struct Witness {
    dir: PathBuf,
    vkey: String,
    port: u16,
    tls: Option<PathBuf>,
    running: Option<Running>,
}

impl Witness {
    fn made(dir: PathBuf, name: &str) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let made = command(&dir).args(["witness", "keygen", name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self {
            dir,
            vkey: String::from_utf8(made.stdout).unwrap().trim().to_owned(),
            port: free_port(),
            tls: None,
            running: None,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("witness.log")
    }

    fn command(&self, log_keys: &[&str]) -> Command {
        let mut command = command(&self.dir);
        command.args(["witness", "serve", "--listen", &self.address()]);
        for key in log_keys {
            command.args(["--log", key]);
        }
        if let Some(tls) = &self.tls {
            command.arg("--tls-cert").arg(tls.join("server.crt"));
            command.arg("--tls-key").arg(tls.join("server.key"));
        }
        command
    }

    fn start(&mut self, log_key: &str) {
        self.start_knowing(&[log_key]);
    }

    fn start_knowing(&mut self, log_keys: &[&str]) {
        let mut running = Running::start(&mut self.command(log_keys), &self.log());
        poll("the witness to listen", Duration::from_secs(20), || {
            assert!(running.ended().is_none(), "the witness ended: {}", running.log_text());
            std::net::TcpStream::connect(self.address()).ok()
        });
        self.running = Some(running);
    }

    fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Its line of broker.toml.
    fn toml(&self, name: &str) -> String {
        let (scheme, ca) = match &self.tls {
            Some(tls) => ("https", format!(", ca_file = {:?}", tls.join("ca.crt"))),
            None => ("http", String::new()),
        };
        let url = format!("{scheme}://{}", self.address());
        format!("{{ name = {name:?}, url = {url:?}, key = {:?}{ca} }}", self.vkey)
    }
}

/// `chunkctl` in this folder, with nothing of the tester's own.
fn command(dir: &Path) -> Command {
    let mut command = Command::new(servers::program("chunkctl"));
    command.env_clear().env("NO_COLOR", "1").current_dir(dir);
    command
}

fn log_key(world: &World) -> String {
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    info.log_key
}

/// The broker starts again with these witnesses.
fn configure(world: &mut World, settings: &str, witnesses: &[String]) {
    world.setup_mut().more = format!("\n[witness]\n{settings}\nwitnesses = [{}]\n", witnesses.join(", "));
    world.write_config();
}

/// The checkpoint shown, once all of these have cosigned it and it covers so many entries.
fn witnessed(api: &Api, size: u64, keys: &[&str]) -> String {
    poll("a witnessed checkpoint", Duration::from_secs(30), || {
        let note = api.raw("GET", "/checkpoint", None, &[]).text();
        let covers = Checkpoint::parse(&note).size >= size;
        (covers && keys.iter().all(|key| signed(&note, key).is_some())).then_some(note)
    })
}

fn fetch(world: &World) {
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
}

#[test]
fn what_is_shown_is_vouched_for_by_two_witnesses_and_a_foreign_one_agrees() {
    let mut world = World::new();
    let log = log_key(&world);
    assert_eq!(world.stop(), 0);
    let mut first = Witness::made(world.path().join("w1"), "witness.example/first");
    let mut second = Witness::made(world.path().join("w2"), "witness.example/second");
    let made = Command::new("bash")
        .arg(crate::support::world::repository().join("tests/servers/certs.sh"))
        .arg(world.path().join("tls"))
        .status();
    assert!(made.unwrap().success());
    second.tls = Some(world.path().join("tls"));
    first.start(&log);
    second.start(&log);
    let third = foreign::Witness::new("foreign.example/third", &log);
    let third_toml = format!("{{ name = \"third\", url = {:?}, key = {:?} }}", third.url, third.vkey);
    configure(&mut world, "quorum = 3", &[first.toml("first"), second.toml("second"), third_toml]);
    world.start();
    let api = world.anonymous();
    let keys = [first.vkey.as_str(), &second.vkey, &third.vkey];
    let before = Checkpoint::parse(&witnessed(&api, 1, &keys));
    fetch(&world);
    let after = witnessed(&api, before.size + 8, &keys);
    assert_eq!(signed(&after, &log), Some(0), "the log's own signature stands there too");
    assert_extends(&api, &before, &Checkpoint::parse(&after));
    // The foreign witness took nothing on trust: every answer after the first meeting came with a proof that it checked itself.
    let answers = third.answers();
    assert!(answers.iter().filter(|status| **status == 200).count() >= 2, "{answers:?}");
    assert!(!answers.contains(&422) && !answers.contains(&403), "{answers:?}");
    // Those who monitor ask the witness itself.
    let origin = Checkpoint::parse(&after).origin;
    let path = format!("/{}/checkpoint", crate::support::sha256(origin.as_bytes()));
    let kept = Api::new(&format!("http://{}", first.address())).raw("GET", &path, None, &[]).text();
    assert!(signed(&kept, &log).is_some() && signed(&kept, &first.vkey).is_some(), "{kept}");

    let metrics = api.raw("GET", "/metrics", None, &[]).text();
    for line in [
        "chunk_broker_witness_up{witness=\"first\"} 1",
        "chunk_broker_witness_up{witness=\"third\"} 1",
        "chunk_broker_witness_age_seconds ",
        "chunk_broker_witness_cosigned_entries ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_witness_that_is_away_holds_nothing_up_and_without_a_quorum_for_long_nothing_is_released() {
    let mut world = World::new();
    let log = log_key(&world);
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert_eq!(world.stop(), 0);

    // Its cosignatures are dated: the last one is nineteen minutes old when the broker starts without it.
    let witness = foreign::Witness::new("witness.example/w", &log);
    witness.date_back(19 * 60);
    let toml = format!("{{ name = \"security\", url = {:?}, key = {:?} }}", witness.url, witness.vkey);
    configure(&mut world, "quorum = 1", std::slice::from_ref(&toml));
    world.start();
    witnessed(&world.anonymous(), 1, &[&witness.vkey]);
    assert_eq!(world.stop(), 0);
    witness.go_away(true);

    // `warn`: it goes on, and says so.
    configure(&mut world, "quorum = 1\non_lost = \"warn\"", std::slice::from_ref(&toml));
    world.start();
    poll("the warning", Duration::from_secs(20), || {
        world
            .log_text()
            .contains("`witness.on_lost` is `warn`, so the broker goes on")
            .then_some(())
    });
    let dana = world.api("dana");
    let again = dana.request(&slice("small", None, Some(10)), Format::Csv);
    assert!(dana.fetch(&again).complete);
    assert_eq!(world.stop(), 0);

    // `refuse`, the default: everything but data is served; the witness comes back, and so does the data.
    configure(&mut world, "quorum = 1", &[toml]);
    let mut command = world.broker_command();
    command.arg("serve").arg("--config").arg(world.broker_dir().join("broker.toml"));
    let mut running = Running::start(&mut command, &world.log());
    let api = world.anonymous();
    let refused = poll("the broker to answer", Duration::from_secs(30), || {
        assert!(running.ended().is_none(), "{}", world.log_text());
        api.try_raw("GET", "/readyz", None, &[]).ok().filter(|answer| answer.status == 503)
    });
    assert_eq!(refused.code(), "evidence_unavailable");
    assert!(
        refused
            .problem()
            .detail
            .contains("No quorum of witnesses has vouched for the evidence log for"),
        "{}",
        refused.text()
    );
    let dana = world.api("dana");
    let again = dana.request(&slice("small", None, Some(10)), Format::Csv);
    let refused = dana.fetch(&again);
    assert_eq!((refused.status, refused.code().as_str()), (503, "evidence_unavailable"));
    assert!(dana.show(&again).deliveries.is_empty(), "an intent was recorded");
    assert!(world.log_text().contains("nothing new is released until one does"));
    witness.date_back(0);
    witness.go_away(false);
    poll("the broker to be ready", Duration::from_secs(90), || {
        api.try_raw("GET", "/readyz", None, &[]).ok().filter(|answer| answer.status == 200)
    });
    assert!(dana.fetch(&again).complete);
    assert_eq!(running.terminate(), 0);
}

#[test]
fn a_broker_restored_from_an_old_copy_does_not_start_and_says_who_saw_more() {
    let mut world = World::new();
    let log = log_key(&world);
    assert_eq!(world.stop(), 0);
    let mut witness = Witness::made(world.path().join("w1"), "witness.example/first");
    witness.start(&log);
    configure(&mut world, "quorum = 1", &[witness.toml("security")]);
    world.start();
    witnessed(&world.anonymous(), 1, &[&witness.vkey]);
    assert_eq!(world.stop(), 0);
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);

    world.start();
    let grown = Checkpoint::of(&world.anonymous()).size;
    fetch(&world);
    let seen = Checkpoint::parse(&witnessed(&world.anonymous(), grown + 8, &[&witness.vkey])).size;
    assert_eq!(world.stop(), 0);
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);

    let before = std::fs::read(data.join("journal.sqlite")).unwrap();
    assert!(!world.try_start(), "it started from an old copy");
    let said = world.log_text();
    let line = said
        .lines()
        .find(|line| line.contains("Witness `security` has vouched for"))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("of this log, and the journal holds"), "{line}");
    let told: u64 = line
        .split("has vouched for ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(told >= seen, "{line}");
    assert!(said.contains("put the newest copy of the data folder back"), "{said}");
    assert_eq!(
        std::fs::read(data.join("journal.sqlite")).unwrap(),
        before,
        "it wrote into the journal"
    );
}

#[test]
fn an_operator_who_continues_the_log_in_two_places_is_found_out_by_witness_and_clients() {
    let mut world = World::new();
    let log = log_key(&world);
    let ada: Person = world.signed_in("anna");
    assert_eq!(world.stop(), 0);
    let mut witness = Witness::made(world.path().join("w1"), "witness.example/first");
    witness.start(&log);
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);

    // One history, which the witness and a person see.
    configure(&mut world, "quorum = 1", &[witness.toml("security")]);
    world.start();
    fetch(&world);
    let seen = Checkpoint::parse(&witnessed(&world.anonymous(), 12, &[&witness.vkey])).size;
    ada.run(&["audit", "search"]).exits(0);
    assert_eq!(world.stop(), 0);

    // Another one from the copy, without asking the witness, longer than the first.
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    world.setup_mut().more.clear();
    world.write_config();
    world.start();
    while Checkpoint::of(&world.anonymous()).size <= seen + 2 {
        fetch(&world);
    }
    let found = ada.json(&["audit", "search"]).exits(1);
    assert_eq!(found.event("error")["code"], "log_forked");
    assert_eq!(world.stop(), 0);

    // And with the witness it does not start.
    configure(&mut world, "quorum = 1", &[witness.toml("security")]);
    assert!(!world.try_start(), "it started with another history");
    let said = world.log_text();
    assert!(
        said.contains("Witness `security` has vouched for") && said.contains("continued in two places, or rewritten"),
        "{said}"
    );
    let kept = std::fs::read_to_string(witness.log()).unwrap();
    assert!(kept.contains("warning: refused a checkpoint of"), "{kept}");
}

const KILLS: usize = 25;
const TREES: usize = 60;

/// What a witness told: sizes and roots, each with a signature that was checked.
type Told = Mutex<Vec<(usize, Hash)>>;

/// The operator of a log with several histories asks for whatever brings a cosignature, until told to stop.
fn besiege(log: &Log, histories: &[Vec<Hash>], address: &str, vkey: &str, told: &Told, stop: &AtomicBool) {
    let mut old = 0;
    while !stop.load(Ordering::Relaxed) {
        let [which, step] = random::<2>();
        let history = &histories[usize::from(which) % histories.len()];
        let size = (old + 1 + usize::from(step) % 3).min(history.len());
        let body = log.asks(old, &history[..size]);
        match foreign::post(address, "/add-checkpoint", &body) {
            Some((200, _, line)) => {
                let note = format!("{}{line}", body.split_once("\n\n").unwrap().1);
                assert!(signed(&note, vkey).is_some());
                told.lock().unwrap().push((size, root(&history[..size])));
                old = size;
            }
            Some((409, kind, size)) => {
                assert_eq!(kind, "text/x.tlog.size");
                old = size.trim_end().parse().unwrap();
            }
            Some((422, ..)) => {}
            Some(other) => panic!("{other:?}"),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
        if old == history.len() {
            return;
        }
    }
}

#[test]
fn however_often_a_witness_is_killed_it_never_vouches_for_two_histories() {
    let folder = tempfile::Builder::new().prefix("chunkctl-it-witness.").tempdir().unwrap();
    let log = Log::new("log.example/besieged");
    // Histories that part from each other at every place.
    let histories: Vec<Vec<Hash>> = (0..6)
        .map(|n| {
            let own = format!("story {n}");
            (0..TREES * 50).map(|i| leaf(if i < n * 7 { "common" } else { &own }, i)).collect()
        })
        .collect();
    let mut witness = Witness::made(folder.path().join("w"), "witness.example/w");
    let told: Told = Mutex::default();
    let (address, vkey, key) = (witness.address(), witness.vkey.clone(), log.key.vkey());
    let mut last = 0;
    for _ in 0..KILLS {
        witness.start(&key);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| besiege(&log, &histories, &address, &vkey, &told, &stop));
            }
            std::thread::sleep(Duration::from_millis(20 + u64::from(random::<1>()[0])));
            witness.kill();
            stop.store(true, Ordering::Relaxed);
        });
        // Nothing that was told is forgotten: the state holds at least the largest tree that left.
        let state: serde_json::Value = serde_json::from_slice(&std::fs::read(witness.dir.join("witness.state")).unwrap()).unwrap();
        let largest = told.lock().unwrap().iter().map(|(size, _)| *size).max().unwrap_or(0);
        if largest > 0 {
            let kept = Checkpoint::parse(state["logs"]["log.example/besieged"]["checkpoint"].as_str().unwrap());
            assert!(
                kept.size as usize >= largest,
                "it vouched for {largest} entries and remembers {}",
                kept.size
            );
            last = kept.size;
        }
    }
    let told = told.into_inner().unwrap();
    eprintln!("{KILLS} kills: {} cosignatures, the largest tree had {last} entries", told.len());
    assert!(told.len() > KILLS, "the witness hardly got to work: {}", told.len());
    let one = histories
        .iter()
        .any(|history| told.iter().all(|(size, told)| root(&history[..*size]) == *told));
    assert!(one, "it vouched for two histories");
    let files: Vec<_> = std::fs::read_dir(&witness.dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(files.len() <= 5, "kills leave files behind: {files:?}");
}

#[test]
fn a_cosignature_leaves_only_after_what_it_says_is_on_disk() {
    let folder = tempfile::Builder::new().prefix("chunkctl-it-witness.").tempdir().unwrap();
    let log = Log::new("log.example/traced");
    let leaves: Vec<Hash> = (0..10).map(|i| leaf("a", i)).collect();
    let mut witness = Witness::made(folder.path().join("w"), "witness.example/w");
    let plain = witness.command(&[&log.key.vkey()]);
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    command
        // With -D the witness is the process that was started, and strace its grandchild, which ends with it.
        .args(["-D", "-f", "-e", "trace=fsync,rename,renameat,renameat2,write,writev,sendto"])
        .arg("-s")
        .arg("64")
        .arg("-o")
        .arg(&trace);
    command.arg(plain.get_program()).args(plain.get_args());
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .current_dir(&witness.dir);
    let running = Running::start(&mut command, &witness.log());
    poll("the witness to listen", Duration::from_secs(30), || {
        std::net::TcpStream::connect(witness.address()).ok()
    });
    let answer = foreign::post(&witness.address(), "/add-checkpoint", &log.asks(0, &leaves)).unwrap();
    assert_eq!(answer.0, 200, "{answer:?}");
    running.kill();
    let trace = poll("the trace to end", Duration::from_secs(30), || {
        let text = std::fs::read_to_string(&trace).unwrap();
        text.contains("killed by SIGKILL").then_some(text)
    });
    let at = |what: &str| {
        trace
            .lines()
            .position(|line| line.contains(what))
            .unwrap_or_else(|| panic!("no {what} in\n{trace}"))
    };
    let syncs: Vec<usize> = trace
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("fsync("))
        .map(|(n, _)| n)
        .collect();
    let (renamed, left) = (at("rename"), at("HTTP/1.1 200"));
    assert!(
        syncs.iter().any(|sync| *sync < renamed),
        "the new state was not synced before it took its place:\n{trace}"
    );
    assert!(
        syncs.iter().any(|sync| *sync > renamed && *sync < left),
        "the folder was not synced before the answer left:\n{trace}"
    );

    // And when it cannot be written, nothing leaves, and nothing was promised.
    witness.start(&log.key.vkey());
    let pid = witness.running.as_ref().unwrap().pid().to_string();
    let mut inject = Command::new("strace");
    inject.args([
        "-f",
        "-p",
        &pid,
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:error=EIO",
        "-o",
        "/dev/null",
    ]);
    let strace = Running::start(&mut inject, &folder.path().join("strace.log"));
    let more: Vec<Hash> = (0..12).map(|i| leaf("a", i)).collect();
    let refused = poll("the fault to be injected", Duration::from_secs(20), || {
        let attached = strace.log_text().contains("attached");
        attached.then(|| foreign::post(&witness.address(), "/add-checkpoint", &log.asks(10, &more)).unwrap())
    });
    assert_eq!(refused.0, 500, "{refused:?}");
    strace.terminate();
    witness.kill();
    witness.start(&log.key.vkey());
    let fork: Vec<Hash> = (0..12).map(|i| leaf(if i < 10 { "a" } else { "b" }, i)).collect();
    let other = foreign::post(&witness.address(), "/add-checkpoint", &log.asks(10, &fork)).unwrap();
    assert_eq!(other.0, 200, "the tree that was refused binds nobody: {other:?}");
    assert_eq!(
        foreign::post(&witness.address(), "/add-checkpoint", &log.asks(12, &more))
            .unwrap()
            .0,
        422
    );
}

#[test]
fn a_witness_without_its_memory_does_not_start_and_two_never_share_one() {
    let folder = tempfile::Builder::new().prefix("chunkctl-it-witness.").tempdir().unwrap();
    let log = Log::new("log.example/a").key.vkey();
    let mut witness = Witness::made(folder.path().join("w"), "witness.example/w");
    witness.start(&log);
    let twin = witness.command(&[&log]).output().unwrap();
    assert_eq!(twin.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&twin.stderr).contains("another witness holds"), "{twin:?}");
    assert_eq!(witness.running.take().unwrap().terminate(), 0);
    std::fs::remove_file(witness.dir.join("witness.state")).unwrap();
    let lost = witness.command(&[&log]).output().unwrap();
    assert_eq!(lost.status.code(), Some(3));
    let said = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert!(
        said.contains("a witness without its memory could contradict what it cosigned before"),
        "{said}"
    );
}

/// The second verifier's answer.
fn python(bundle: &Path, trust: &Path) -> i32 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify.py");
    let python = std::env::var("CHUNK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python).arg(script).arg(bundle).arg(trust).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.status.code().unwrap()
}

#[test]
fn an_auditor_who_names_witnesses_believes_what_they_have_seen_and_cannot_tell_of_the_rest() {
    let mut world = World::new();
    let log = log_key(&world);
    assert_eq!(world.stop(), 0);
    let mut first = Witness::made(world.path().join("w1"), "witness.example/first");
    let mut second = Witness::made(world.path().join("w2"), "witness.example/second");
    first.start(&log);
    second.start(&log);
    configure(&mut world, "quorum = 2", &[first.toml("first"), second.toml("second")]);
    world.start();
    let (dana, rita, anna) = (world.signed_in("dana"), world.api("rita"), world.signed_in("anna"));
    let fetch_into = |file: &str, rows: &str| {
        let asked = dana.json(&[
            "fetch",
            "people",
            "--limit",
            rows,
            "--reason",
            "a test asks",
            "-o",
            file,
            "--no-wait",
        ]);
        let request = asked.exits(5).event("request")["id"].as_str().unwrap().to_owned();
        rita.approve(&rita.get(&format!("/v1/requests/{request}")).json());
        dana.run(&["fetch", "--request", &request, "-o", file]).exits(0);
    };
    fetch_into("people.csv", "10");

    anna.run(&["audit", "trust", "init", "-o", "plain.toml"]).exits(0);
    let plain = std::fs::read_to_string(anna.dir().join("plain.toml")).unwrap();
    let stranger = foreign::NoteKey::witness("witness.example/stranger").vkey();
    let trust = |name: &str, keys: &[&str], quorum: usize| {
        let text = format!("witnesses = {keys:?}\nwitness_quorum = {quorum}\n{plain}");
        std::fs::write(anna.dir().join(name), &text).unwrap();
        std::fs::write(dana.dir().join(name), &text).unwrap();
    };
    trust("both.toml", &[&first.vkey, &second.vkey], 2);
    trust("one-of-three.toml", &[&first.vkey, &second.vkey, &stranger], 1);
    trust("stranger.toml", &[&stranger], 1);
    anna.run(&["audit", "export", "-o", "seen.bundle"]).exits(0);
    let judge = |bundle: &str, trust: &str| {
        let rust = anna.json(&["audit", "verify", bundle, "--trust", trust]);
        let claims = rust.event("audit.verify")["claims"].clone();
        let claims = claims.as_array().unwrap().iter().find(|claim| claim["id"] == "witnessed").cloned();
        assert_eq!(
            rust.code,
            python(&anna.dir().join(bundle), &anna.dir().join(trust)),
            "{bundle} {trust}"
        );
        (rust.code, claims.map(|claim| claim["answer"].as_str().unwrap().to_owned()))
    };
    assert_eq!(judge("seen.bundle", "plain.toml"), (0, None));
    assert_eq!(judge("seen.bundle", "both.toml"), (0, Some("true".to_owned())));
    assert_eq!(judge("seen.bundle", "one-of-three.toml"), (0, Some("true".to_owned())));
    assert_eq!(judge("seen.bundle", "stranger.toml"), (2, Some("cannot_tell".to_owned())));
    // The receipt that lies beside the file.
    dana.run(&["verify", "people.csv", "--trust", "both.toml"]).exits(0);
    let said = dana.json(&["verify", "people.csv", "--trust", "stranger.toml"]).exits(2);
    assert_eq!(said.event("error")["code"], "unwitnessed");

    // With one of two away there is no quorum: what is exported then is not witnessed, and nobody waits for it.
    second.kill();
    fetch_into("unseen.csv", "11");
    anna.run(&["audit", "export", "-o", "unseen.bundle"]).exits(0);
    assert_eq!(judge("unseen.bundle", "both.toml"), (2, Some("cannot_tell".to_owned())));
    assert_eq!(judge("unseen.bundle", "plain.toml"), (0, None));

    // What was fetched meanwhile has a receipt that this auditor cannot judge, and asking again changes nothing yet.
    dana.run(&["verify", "unseen.csv"]).exits(0);
    let receipt = || std::fs::read(dana.dir().join("unseen.csv.receipt")).unwrap();
    let old = receipt();
    dana.run(&["verify", "unseen.csv", "--renew", "--trust", "both.toml"]).exits(2);
    assert_eq!(receipt(), old, "a receipt that nobody else has seen took the place of another");
    // The witness comes back, and so the broker can give a receipt that it vouches for.
    second.start(&log);
    poll("a renewed receipt", Duration::from_secs(60), || {
        (dana.run(&["verify", "unseen.csv", "--renew", "--trust", "both.toml"]).code == 0).then_some(())
    });
    assert_ne!(receipt(), old);
    dana.run(&["verify", "unseen.csv", "people.csv", "--trust", "both.toml"]).exits(0);
    // A receipt is renewed for the file that it is of, and for no other.
    std::fs::copy(dana.dir().join("people.csv.receipt"), dana.dir().join("unseen.csv.receipt")).unwrap();
    dana.run(&["verify", "unseen.csv", "--renew", "--trust", "both.toml"]).exits(1);
}

#[test]
fn a_key_is_replaced_when_the_witness_knows_both_and_the_old_one_gets_nothing_cosigned_then() {
    let mut world = World::new();
    let old = log_key(&world);
    assert_eq!(world.stop(), 0);
    let mut witness = Witness::made(world.path().join("w1"), "witness.example/first");
    witness.start(&old);
    configure(&mut world, "quorum = 1", &[witness.toml("security")]);
    world.start();
    witnessed(&world.anonymous(), 1, &[&witness.vkey]);
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "plain.toml"]).exits(0);
    let plain = std::fs::read_to_string(anna.dir().join("plain.toml")).unwrap();
    let trust = format!("witnesses = [{:?}]\n{plain}", witness.vkey);
    std::fs::write(anna.dir().join("trust.toml"), trust).unwrap();
    assert_eq!(world.stop(), 0);

    let file = world.broker_dir().join("broker.toml");
    let key = |step: &str| world.broker_says(&["key", step, "--config", file.to_str().unwrap()]);
    let (code, said) = key("prepare");
    assert_eq!(code, 0, "{said}");
    let new = said
        .lines()
        .find(|line| line.starts_with(old.split('+').next().unwrap()))
        .unwrap()
        .to_owned();
    let (code, said) = key("rotate");
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("Witness `security` would not follow") && said.contains("403"),
        "{said}"
    );
    assert!(said.contains("--log OLD --log NEW"), "{said}");
    let thief = forger::log_key(&world.broker_dir());

    witness.kill();
    witness.start_knowing(&[&old, &new]);
    let (code, said) = key("rotate");
    assert_eq!(code, 0, "{said}");
    witness.kill();
    witness.start_knowing(&[&new]);
    world.start();
    assert_eq!(log_key(&world), new);
    let size = Checkpoint::of(&world.anonymous()).size;
    let note = witnessed(&world.anonymous(), size, &[&new, &witness.vkey]);
    assert!(signed(&note, &old).is_none(), "{note}");
    fetch(&world);
    anna.run(&["audit", "export", "-o", "after.bundle"]).exits(0);
    anna.run(&["audit", "verify", "after.bundle", "--trust", "trust.toml"]).exits(0);
    assert_eq!(python(&anna.dir().join("after.bundle"), &anna.dir().join("trust.toml")), 0);

    // Somebody with the old key goes on with a history of their own.
    let seen = Checkpoint::parse(&witnessed(&world.anonymous(), size, &[&witness.vkey]));
    let text = format!(
        "{}\n{}\n{}\n",
        seen.origin,
        seen.size + 1,
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    );
    let forged = chunk_evidence::note::sign(&text, &seen.origin, &thief).unwrap();
    let body = format!("old {}\n\n{forged}", seen.size);
    let answer = Api::new(&format!("http://{}", witness.address())).raw("POST", "/add-checkpoint", Some(body.into_bytes()), &[]);
    assert_eq!(answer.status, 403, "{}", answer.text());
}
