//! Time stamps: what an authority outside said of the log reaches the auditor, who can check it without us; and an authority that
//! is no use holds nothing up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::Format;

use crate::support::api::slice;
use crate::support::process::Running;
use crate::support::world::{free_port, repository};
use crate::support::{Person, World, poll, servers};

/// An authority built on `openssl ts`, in a folder of its own.
struct Authority {
    dir: PathBuf,
    port: u16,
    running: Option<Running>,
}

impl Authority {
    fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let mut authority = Self {
            dir,
            port: free_port(),
            running: None,
        };
        authority.start();
        authority
    }

    fn start(&mut self) {
        let mut command = Command::new(python());
        command
            .arg(repository().join("tests/servers/tsa.py"))
            .arg(&self.dir)
            .arg(self.port.to_string());
        let mut running = Running::start(&mut command, &self.dir.with_extension("log"));
        poll("the authority to answer", Duration::from_secs(60), || {
            assert!(running.ended().is_none(), "{}", running.log_text());
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.running = Some(running);
    }

    fn mood(&self, mood: &str) {
        std::fs::write(self.dir.join("mood"), mood).unwrap();
    }

    /// How often it was asked in this mood.
    fn asked(&self, mood: &str) -> usize {
        let asked = std::fs::read_to_string(self.file("asked")).unwrap_or_default();
        asked.lines().filter(|line| *line == mood).count()
    }

    fn toml(&self) -> String {
        format!("\n[timestamps]\nurl = \"http://127.0.0.1:{}/\"\ninterval_s = 10\n", self.port)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn python() -> String {
    std::env::var("CHUNK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A broker whose log this authority stamps.
fn world(authority: &dyn Fn(&World) -> Authority) -> (World, Authority) {
    let mut world = World::new();
    assert_eq!(world.stop(), 0);
    let authority = authority(&world);
    world.setup_mut().more = authority.toml();
    world.write_config();
    world.start();
    (world, authority)
}

fn metric(world: &World, name: &str) -> u64 {
    let text = world.anonymous().raw("GET", "/metrics", None, &[]).text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("chunk_broker_timestamp_{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

fn until_stamped(world: &World, size: u64) {
    poll("a stamp", Duration::from_secs(100), || {
        (metric(world, "stamped_entries") >= size).then_some(())
    });
}

fn fetch(world: &World) {
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
}

/// What both verifiers say of a bundle: the code, and what becomes of the claim.
#[track_caller]
fn judge(anna: &Person, bundle: &str, trust: &str) -> (i32, Option<String>) {
    let rust = anna.json(&["audit", "verify", bundle, "--trust", trust]);
    let claims = rust.event("audit.verify")["claims"].clone();
    let claim = claims.as_array().unwrap().iter().find(|claim| claim["id"] == "stamped").cloned();
    let output = Command::new(python())
        .arg(repository().join("tests/verify.py"))
        .args([anna.dir().join(bundle), anna.dir().join(trust)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(rust.code), "{bundle} {trust}: {said}{}", rust.all());
    (rust.code, claim.map(|claim| claim["answer"].as_str().unwrap().to_owned()))
}

/// The block of commands of the guide that an auditor types.
fn by_hand() -> String {
    let guide = std::fs::read_to_string(repository().join("docs/guides/timestamps.md")).unwrap();
    let section = guide.split("\n## By hand\n").nth(1).unwrap();
    let block = section.split("\n```\n").nth(1).unwrap();
    assert!(block.lines().count() >= 8, "{block}");
    format!("set -eu\n{block}\n")
}

#[test]
fn stamps_reach_the_auditor_and_openssl_and_another_library_agree() {
    let (world, authority) = world(&|world| Authority::new(world.path().join("authority")));
    let stranger = Authority::new(world.path().join("stranger"));
    until_stamped(&world, 1);
    fetch(&world);
    let anna = world.signed_in("anna");
    let observed = poll("the log to tell of it", Duration::from_secs(30), || {
        let found = anna.run(&["audit", "search", "--kind", "anchor.observe"]).exits(0).all();
        found.contains("have a time stamp").then_some(found)
    });
    assert_eq!(observed.matches("have a time stamp").count(), 1, "{observed}");
    // The second stamp is over what happened after the first.
    until_stamped(&world, 8);

    anna.run(&["audit", "trust", "init", "-o", "plain.toml"]).exits(0);
    let plain = std::fs::read_to_string(anna.dir().join("plain.toml")).unwrap();
    for (name, authorities) in [
        ("asks.toml", vec![authority.file("tsa.pem")]),
        ("stranger.toml", vec![stranger.file("tsa.pem")]),
        ("both.toml", vec![stranger.file("tsa.pem"), authority.file("tsa.pem")]),
    ] {
        let certificates: Vec<String> = authorities.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        std::fs::write(anna.dir().join(name), format!("timestamp_authorities = {certificates:?}\n{plain}")).unwrap();
    }
    for level in ["0", "1", "2", "3", "4"] {
        anna.run(&["audit", "export", "--level", level, "-o", "q4.bundle", "--force"])
            .exits(0);
        assert_eq!(judge(&anna, "q4.bundle", "plain.toml"), (0, None), "level {level}");
        assert_eq!(
            judge(&anna, "q4.bundle", "asks.toml"),
            (0, Some("true".to_owned())),
            "level {level}"
        );
        assert_eq!(judge(&anna, "q4.bundle", "both.toml"), (0, Some("true".to_owned())));
        assert_eq!(judge(&anna, "q4.bundle", "stranger.toml"), (2, Some("cannot_tell".to_owned())));
    }
    let said = anna.run(&["audit", "verify", "q4.bundle", "--trust", "plain.toml"]).exits(0).all();
    assert!(
        said.contains(", not judged: the trust file names no `timestamp_authorities`"),
        "{said}"
    );
    let said = anna.run(&["audit", "verify", "q4.bundle", "--trust", "asks.toml"]).exits(0).all();
    assert!(
        said.contains("2 of 2; entries before #") || said.contains("3 of 3; entries before #"),
        "{said}"
    );

    foreign_programs_agree(&anna, &authority);
    no_byte_of_a_stamp_can_change(&anna);
}

/// The guide's commands, and a library that is not ours.
fn foreign_programs_agree(anna: &Person, authority: &Authority) {
    for (from, to) in [("tsa.pem", "tsa.pem"), ("ca.pem", "tsa-ca.pem")] {
        std::fs::copy(authority.file(from), anna.dir().join(to)).unwrap();
    }
    let typed = Command::new("bash")
        .arg("-c")
        .arg(by_hand())
        .current_dir(anna.dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&typed.stdout).into_owned() + &String::from_utf8_lossy(&typed.stderr);
    assert!(typed.status.success() && said.contains("Verification: OK"), "{said}");
    assert!(
        said.contains("Status: Granted.") && said.contains("Accuracy: 0x01 seconds"),
        "{said}"
    );
    let carried = std::fs::read_to_string(anna.dir().join("carried.pem")).unwrap();
    let own = std::fs::read_to_string(authority.file("tsa.pem")).unwrap();
    assert!(carried.contains(own.trim()), "the reply does not carry the signer's certificate");

    let checks = PathBuf::from(servers::required(
        "CHUNK_TEST_EXPORTS_CHECKS",
        "a folder with the libraries that check exports",
    ));
    let stamp = newest_stamp(&anna.dir().join("q4"));
    let output = Command::new(checks.join("bin/python"))
        .arg(repository().join("tests/exports/stamp.py"))
        .args([stamp, anna.dir().join("stamped.txt"), authority.file("ca.pem")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.starts_with("verified "), "{said}");
}

fn newest_stamp(bundle: &Path) -> PathBuf {
    let files = std::fs::read_dir(bundle.join("tsa")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "tsr")).max().unwrap()
}

fn no_byte_of_a_stamp_can_change(anna: &Person) {
    let good = std::fs::read(anna.dir().join("q4.bundle")).unwrap();
    let stamp = std::fs::read(newest_stamp(&anna.dir().join("q4"))).unwrap();
    let at = good.windows(stamp.len()).position(|part| part == stamp).unwrap();
    for place in [6, 40, stamp.len() / 2, stamp.len() - 1] {
        let mut changed = good.clone();
        changed[at + place] ^= 1;
        std::fs::write(anna.dir().join("changed.bundle"), changed).unwrap();
        assert_eq!(judge(anna, "changed.bundle", "asks.toml").0, 1, "byte {place}");
    }
}

#[test]
fn an_authority_that_is_no_use_holds_nothing_up_and_nothing_is_lost() {
    let (mut world, mut authority) = world(&|world| {
        let authority = Authority::new(world.path().join("authority"));
        authority.mood("garbage");
        authority
    });
    let told = |world: &World, what: &str| {
        poll(what, Duration::from_secs(40), || world.log_text().contains(what).then_some(()));
    };
    told(&world, "the time-stamp authority did not stamp the evidence log");
    told(&world, "it did not answer with a reply of RFC 3161 in DER");
    fetch(&world);
    assert_eq!((metric(&world, "up"), metric(&world, "stamped_entries")), (0, 0));
    // Every mood is another way to be no use; what is told is told once.
    authority.mood("refuses");
    fetch(&world);
    poll("the authority to be asked", Duration::from_secs(60), || {
        (authority.asked("refuses") > 0).then_some(())
    });
    authority.mood("slow");
    fetch(&world);
    poll("the authority to be asked again", Duration::from_secs(60), || {
        (authority.asked("slow") > 0).then_some(())
    });
    assert_eq!(
        world.log_text().matches("did not stamp the evidence log").count(),
        1,
        "{}",
        world.log_text()
    );
    // A broker that waits for its authority stops when it is told to.
    assert_eq!(world.stop(), 0);
    authority.running.take().unwrap().kill();
    world.start();
    told(&world, "onnection refused");
    fetch(&world);
    authority.mood("fit");
    authority.start();
    until_stamped(&world, 20);
    told(&world, "the time-stamp authority stamps the evidence log again");
    assert_eq!(metric(&world, "up"), 1);
    let kept = std::fs::read_dir(world.broker_dir().join("data/timestamps")).unwrap().count();
    assert!(kept >= 2, "{kept} files");
}
