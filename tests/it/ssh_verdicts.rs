//! Verdicts signed with an SSH key that a real ssh-agent holds: enrolled, used, checked by OpenSSH itself, by an auditor who knows the
//! key and nothing else, and refused once it was taken back.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::body::Group;
use chunk_wire::fetch::{Format, RequestView};
use serde_json::Value;

use crate::second_verifier::python;
use crate::support::api::slice;
use crate::support::forger::{History, log_key};
use crate::support::{Person, Setup, World, poll};

const MAY_ENROLL: &str = r#"@id("people-enrol-keys") permit (principal is User, action == Action::"enroll_key", resource);"#;

/// An agent with keys of one person.
struct Agent {
    child: Child,
    folder: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        // In the foreground, so that whoever started it ends it.
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let child = child.expect("ssh-agent runs (openssh-client)");
        poll("the ssh-agent listens", Duration::from_secs(20), || socket.exists().then_some(()));
        Self { child, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Makes a key, gives it to the agent alone, and says where its `.pub` file is.
    fn key(&self, name: &str, kind: &[&str]) -> PathBuf {
        let file = self.folder.path().join(name);
        keygen(
            &[kind, &["-q", "-N", "", "-C", "rita@laptop", "-f", file.to_str().unwrap()]].concat(),
            b"",
        );
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(&file)
            .env("SSH_AUTH_SOCK", self.socket())
            .status()
            .unwrap();
        assert!(added.success());
        std::fs::remove_file(&file).unwrap();
        file.with_extension("pub")
    }

    /// `chunkctl` with this agent.
    fn run(&self, person: &Person, arguments: &[&str]) -> (i32, String) {
        let output = person
            .command()
            .args(arguments)
            .env("SSH_AUTH_SOCK", self.socket())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn keygen(arguments: &[&str], input: &[u8]) -> (bool, String) {
    let child = Command::new("ssh-keygen")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("ssh-keygen runs (openssh-client)");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn fingerprint(public: &Path) -> String {
    let (_, said) = keygen(&["-l", "-f", public.to_str().unwrap()], b"");
    said.split(' ').nth(1).unwrap().to_owned()
}

fn approve(agent: &Agent, rita: &Person, request: &RequestView, more: &[&str]) -> (i32, String) {
    agent.run(
        rita,
        &[&["approve", request.id.as_str(), "--reason", "looked at it"][..], more].concat(),
    )
}

/// What the log holds: all of it, where the newest verdict stands, its payload, and the SSH signature on it.
fn recorded(anna: &Person) -> (History, usize, Vec<u8>, String) {
    anna.run(&["audit", "export", "--level", "4", "-o", "all.bundle", "--force"])
        .exits(0);
    let history = History::of(&std::fs::read(anna.dir().join("all.bundle")).unwrap());
    let verdict = history.last("review.approve");
    let what = history.entries[verdict].1.get(Group::What).clone();
    let payload = STANDARD.decode(what["envelope"]["payload"].as_str().unwrap()).unwrap();
    (history, verdict, payload, what["ssh"].as_str().unwrap().to_owned())
}

#[test]
fn a_verdict_by_a_key_in_the_ssh_agent_is_good_to_openssh_and_to_whoever_knows_the_key() {
    let world = World::with(
        Setup::standard()
            .policy(MAY_ENROLL)
            .dataset("signed", "public.small", "ssh_verdicts = true"),
    );
    let (dana, rita, anna) = (world.api("dana"), world.signed_in("rita"), world.signed_in("anna"));
    let agent = Agent::start();
    for (name, kind) in [("ed", &["-t", "ed25519"][..]), ("p256", &["-t", "ecdsa", "-b", "256"][..])] {
        let public = agent.key(name, kind);
        let (file, key) = (public.to_str().unwrap(), fingerprint(&public));
        let request = dana.request(&slice("signed", None, Some(5)), Format::Csv);
        let (code, said) = approve(&agent, &rita, &request, &[]);
        assert_eq!((code, said.contains("--ssh-key")), (1, true), "{said}");
        let (code, said) = approve(&agent, &rita, &request, &["--ssh-key", file]);
        assert_eq!((code, said.contains("not one of yours")), (1, true), "{said}");
        let (code, said) = agent.run(&rita, &["keys", "enroll", "--ssh", file]);
        assert_eq!((code, said.contains(&key)), (0, true), "{said}");
        let (code, said) = approve(&agent, &rita, &request, &["--ssh-key", &key]);
        assert_eq!(code, 0, "{said}");
        assert!(dana.fetch(&request).complete);

        // OpenSSH accepts what is recorded, for this person and purpose and for no other.
        let (_, _, payload, signature) = recorded(&anna);
        let (allowed, armored) = (agent.folder.path().join("allowed"), agent.folder.path().join("sig"));
        std::fs::write(&allowed, format!("rita {}", std::fs::read_to_string(&public).unwrap())).unwrap();
        std::fs::write(
            &armored,
            format!("-----BEGIN SSH SIGNATURE-----\n{signature}\n-----END SSH SIGNATURE-----\n"),
        )
        .unwrap();
        let verify = |namespace: &str, message: &[u8]| {
            let (allowed, armored) = (allowed.to_str().unwrap(), armored.to_str().unwrap());
            keygen(
                &["-Y", "verify", "-f", allowed, "-I", "rita", "-n", namespace, "-s", armored],
                message,
            )
            .0
        };
        assert!(verify("review@chunkctl.dev", &payload));
        assert!(!verify("file", &payload) && !verify("review@chunkctl.dev", b"{}"));

        // So does an auditor who pins it, and knows no session's key.
        anna.run(&[
            "audit",
            "trust",
            "init",
            "--reviewer-keys",
            "pinned",
            "-o",
            "pinned.toml",
            "--force",
        ])
        .exits(0);
        let pinned = std::fs::read_to_string(anna.dir().join("pinned.toml")).unwrap();
        let (issuer, subject) = rita_of(&rita);
        let pin = |key: &str| format!("{pinned}\n[[pinned]]\nissuer = \"{issuer}\"\nsubject = \"{subject}\"\nssh_key = \"{key}\"\n");
        let both = |toml: String| {
            std::fs::write(anna.dir().join("trust.toml"), toml).unwrap();
            let theirs = python(&anna.dir().join("all.bundle"), &anna.dir().join("trust.toml"));
            (anna.run(&["audit", "verify", "all.bundle", "--trust", "trust.toml"]).code, theirs)
        };
        if name == "ed" {
            assert_eq!(both(pin(&key)), (0, 0));
            assert_eq!(both(pinned.clone()), (2, 2), "only the log says whose key it is");
        }
        let other = agent.key(&format!("other-{name}"), &["-t", "ed25519"]);
        assert_eq!(both(pin(&fingerprint(&other))), (1, 1));
    }

    // Whoever has the log's key makes no other signature of it, and takes none away.
    let (history, verdict, _, signature) = recorded(&anna);
    let key = log_key(&world.broker_dir());
    anna.run(&["audit", "trust", "init", "--reviewer-keys", "session", "-o", "session.toml"])
        .exits(0);
    // Without memory of the log: whatever is written anew has other salts, and is another tree.
    let trust = std::fs::read_to_string(anna.dir().join("session.toml")).unwrap();
    let trust = trust.split_once("\nlast_checkpoint = ").unwrap().0;
    std::fs::write(anna.dir().join("session.toml"), format!("{trust}\n")).unwrap();
    let judged = |history: &History| {
        std::fs::write(anna.dir().join("changed.bundle"), history.bundle(&key)).unwrap();
        let rust = anna.run(&["audit", "verify", "changed.bundle", "--trust", "session.toml"]).code;
        (rust, python(&anna.dir().join("changed.bundle"), &anna.dir().join("session.toml")))
    };
    assert_eq!(judged(&history), (0, 0));
    for n in 0..8 {
        let place = n * (signature.len() - 4) / 7;
        let mut bytes = signature.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let mut changed = history.clone();
        changed.set(verdict, Group::What, "ssh", String::from_utf8(bytes).unwrap());
        assert_eq!(judged(&changed), (1, 1), "byte {place}");
    }
    let mut bare = history.clone();
    bare.set(verdict, Group::What, "ssh", Value::Null);
    assert_eq!(judged(&bare), (1, 1));
}

fn rita_of(rita: &Person) -> (String, String) {
    let me = rita.json(&["whoami"]).exits(0).event("whoami");
    let text = |name: &str| me["person"][name].as_str().unwrap().to_owned();
    (text("issuer"), text("subject"))
}

#[test]
fn a_key_is_listed_and_taken_back_for_good() {
    let world = World::with(Setup::standard().policy(MAY_ENROLL));
    let (dana, rita) = (world.api("dana"), world.signed_in("rita"));
    let agent = Agent::start();
    let public = agent.key("ed", &["-t", "ed25519"]);
    let (file, key) = (public.to_str().unwrap(), fingerprint(&public));
    assert_eq!(agent.run(&rita, &["keys", "enroll", "--ssh", file]).0, 0);
    let listed = rita.json(&["keys", "list"]).exits(0).event("ssh_key");
    assert_eq!(
        (listed["ssh_key"].as_str(), listed["revoked_ms"].as_i64()),
        (Some(key.as_str()), None)
    );
    assert!(rita.run(&["keys", "list"]).exits(0).stdout.contains(&key));
    // The profile's key is used without being named.
    rita.run(&["config", "set", "ssh-key", &key]).exits(0);
    let request = dana.request(&slice("people", None, Some(5)), Format::Csv);
    let (code, said) = approve(&agent, &rita, &request, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(dana.show(&request).reviews[0].ssh_key.as_ref(), Some(&key));
    assert_eq!(rita.run(&["keys", "revoke", &key]).exits(0).code, 0);
    assert!(rita.json(&["keys", "list"]).exits(0).event("ssh_key")["revoked_ms"].is_i64());
    let another = dana.request(&slice("people", None, Some(5)), Format::Csv);
    let (code, said) = approve(&agent, &rita, &another, &[]);
    assert_eq!((code, said.contains("taken back")), (1, true), "{said}");
    let (code, said) = agent.run(&rita, &["keys", "enroll", "--ssh", file]);
    assert_eq!((code, said.contains("does not come again")), (1, true), "{said}");
    // Without an agent, and with one that does not have the key.
    let alone = rita.run(&["approve", another.id.as_str(), "--reason", "why", "--ssh-key", file]);
    assert_eq!((alone.code, alone.stderr.contains("SSH_AUTH_SOCK")), (2, true), "{}", alone.stderr);
    let (code, said) = approve(&Agent::start(), &rita, &another, &["--ssh-key", file]);
    assert_eq!((code, said.contains("ssh-add")), (1, true), "{said}");
    assert_eq!(dana.show(&another).reviews.len(), 0);
}
