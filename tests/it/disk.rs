//! A disk that is full, or that fails: the evidence cannot be written, so nothing is read from the source.
//!
//! Faults are injected into the running broker's own system calls with strace, aimed at the journal's files; and once a file
//! system is really full. PostgreSQL's statement log tells whether anything was read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::{Format, RequestState, RequestView};

use crate::support::api::slice;
use crate::support::oracle::assert_whole;
use crate::support::process::Running;
use crate::support::servers::Postgres;
use crate::support::{Api, Person, Setup, World, poll};

/// Reads of rows that the warehouse has executed for the broker's role. Metadata may be read before an intent; rows may not.
fn reads() -> usize {
    let log = std::fs::read_to_string(Postgres::get().log).expect("PostgreSQL's log is readable");
    log.lines()
        .filter(|line| line.contains("broker_ro@chunks") && line.contains("COPY"))
        .count()
}

/// Lets strace attach on systems where only a parent may (Yama): the process says so itself before it becomes the broker.
fn traceable() -> Vec<String> {
    let allow = "import ctypes, os, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])";
    ["python3", "-c", allow].map(str::to_owned).to_vec()
}

/// strace attached to the broker, failing these system calls on the journal's files from now on.
fn inject(world: &World, calls: &str, error: &str) -> Running {
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &world.broker().pid().to_string(), "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}")]);
    for file in files_below(&world.broker_dir().join("data")) {
        command.arg("-P").arg(file);
    }
    let mut strace = Running::start(&mut command, &world.path().join("strace.log"));
    poll("strace to attach", Duration::from_secs(20), || {
        assert!(
            strace.ended().is_none(),
            "strace could not attach (it needs ptrace):\n{}",
            strace.log_text()
        );
        strace.log_text().contains("attached").then_some(())
    });
    strace
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    assert!(!files.is_empty());
    files
}

/// Two people's requests, approved and not yet fetched.
struct Scene {
    world: World,
    dana: Person,
    request: String,
    drew: Api,
    other: RequestView,
}

impl Scene {
    fn new(setup: Setup) -> Self {
        let world = World::with(setup);
        let rita = world.api("rita");
        let dana = world.signed_in("dana");
        let pending = dana
            .run(&[
                "fetch",
                "people",
                "--limit",
                "100",
                "--reason",
                "a test asks",
                "--no-wait",
                "-o",
                "people.csv",
            ])
            .exits(5)
            .all();
        let request = pending[pending.find("req_").unwrap()..][..20].to_owned();
        rita.approve(&rita.get(&format!("/v1/requests/{request}")).json());
        let drew = world.api("drew");
        let other = drew.request(&slice("people", None, Some(10)), Format::Csv);
        rita.approve(&other);
        Self {
            world,
            dana,
            request,
            drew,
            other,
        }
    }

    fn assert_closed(&self) {
        let before = reads();
        let output = self.dana.run(&["fetch", "--request", &self.request, "-o", "people.csv"]).exits(2);
        assert!(output.stderr.contains("evidence log cannot be written"), "{}", output.stderr);
        assert!(!self.dana.dir().join("people.csv").exists());
        let answer = self.drew.fetch(&self.other);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "evidence_unavailable"),
            "{}",
            answer.text()
        );
        assert_eq!(reads(), before, "the source was read although nothing could be recorded");
        let log = self.world.log_text();
        assert!(
            log.contains("ERROR") || log.contains("\"level\":\"error\""),
            "the operator's log says nothing loud:\n{log}"
        );
        let ready = self.drew.raw("GET", "/readyz", None, &[]);
        assert_eq!(ready.status, 503, "readiness must tell: {}", ready.text());
    }

    /// With a disk that works again, a new start finds everything that was acknowledged, and the grants unspent.
    fn assert_recovers(mut self) {
        self.world.kill();
        self.world.setup_mut().wrapper.clear();
        self.world.start();
        assert_whole(&self.world.api("anna").entries());
        self.dana.run(&["fetch", "--request", &self.request, "-o", "people.csv"]).exits(0);
        let view = self.drew.show(&self.other);
        assert!(matches!(view.state, RequestState::Approved | RequestState::Paused), "{view:?}");
        assert!(self.drew.fetch(&self.other).complete);
    }
}

fn fails_closed(calls: &str, error: &str) {
    let mut setup = Setup::standard();
    setup.wrapper = traceable();
    let scene = Scene::new(setup);
    let strace = inject(&scene.world, calls, error);
    scene.assert_closed();
    strace.terminate();
    scene.assert_recovers();
}

#[test]
fn an_io_error_while_syncing_stops_everything_before_the_source_is_asked() {
    fails_closed("fdatasync,fsync", "EIO");
}

#[test]
fn an_io_error_while_writing_stops_everything_before_the_source_is_asked() {
    fails_closed("pwrite64,write,writev,pwritev,ftruncate,fallocate", "EIO");
}

#[test]
fn no_space_while_writing_stops_everything_before_the_source_is_asked() {
    fails_closed("pwrite64,write,writev,pwritev,ftruncate,fallocate", "ENOSPC");
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let mut setup = Setup::standard();
    setup.wrapper = traceable();
    let scene = Scene::new(setup);
    // After a failed fdatasync the kernel may have dropped the dirty pages: a second one that succeeds proves nothing.
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-p",
        &scene.world.broker().pid().to_string(),
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        "inject=fdatasync,fsync:error=EIO:when=1",
    ]);
    let mut strace = Running::start(&mut command, &scene.world.path().join("strace.log"));
    poll("strace to attach", Duration::from_secs(20), || {
        assert!(
            strace.ended().is_none(),
            "strace could not attach (it needs ptrace):\n{}",
            strace.log_text()
        );
        strace.log_text().contains("attached").then_some(())
    });
    scene.assert_closed();
    strace.terminate();
    scene.assert_recovers();
}

#[test]
fn a_file_system_that_is_really_full_stops_everything_before_the_source_is_asked() {
    // The broker gets a mount of its own, so that nothing else on this machine runs out of space.
    let mut setup = Setup::standard();
    let mount =
        "set -e; cd \"$HOME/broker\"; cp -a data data.kept; mount -t tmpfs -o size=4m tmpfs data; cp -a data.kept/. data/; exec \"$@\"";
    setup.wrapper = ["unshare", "-r", "-m", "sh", "-c", mount, "sh"].map(str::to_owned).to_vec();
    let scene = Scene::new(setup);
    let inside = PathBuf::from(format!(
        "/proc/{}/root{}",
        scene.world.broker().pid(),
        scene.world.broker_dir().join("data/ballast").display()
    ));
    let mut ballast = std::fs::File::create(&inside).expect("the broker's own mount can be entered");
    while std::io::Write::write(&mut ballast, &[0; 4096]).is_ok_and(|written| written > 0) {}
    scene.assert_closed();
    // The operator makes room; a restart is all it takes. The journal lives in the mount, so the mount must stay.
    std::fs::remove_file(&inside).unwrap();
    let kept = scene.world.broker_dir().join("data");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(format!("{}/.", inside.parent().unwrap().display()))
        .arg(&kept)
        .status()
        .unwrap();
    assert!(copied.success());
    scene.assert_recovers();
}
