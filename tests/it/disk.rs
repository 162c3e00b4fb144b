//! A disk that is full, or that fails: the evidence cannot be written, so nothing is read from the source; nor is
//! anything read that was to be kept and cannot be.
//!
//! Faults are injected into the running broker's own system calls with strace, aimed at the journal's files; and once a file
//! system is really full. PostgreSQL's statement log tells whether anything was read.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chunk_wire::fetch::{Format, RequestState, RequestView};

use crate::replay::recorded;
use crate::support::api::slice;
use crate::support::data::files_below;
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
pub(crate) fn traceable() -> Vec<String> {
    let allow = "import ctypes, os, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])";
    ["python3", "-c", allow].map(str::to_owned).to_vec()
}

/// strace attached to the broker, failing these system calls on the journal's files from now on.
fn inject(world: &World, calls: &str, error: &str) -> Running {
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &world.broker().pid().to_string(), "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}")]);
    let files = files_below(&world.broker_dir().join("data"));
    assert!(!files.is_empty());
    for file in files {
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
        assert!(
            self.world.log_text().contains("\"level\":\"ERROR\""),
            "the operator's log says nothing loud:\n{}",
            self.world.log_text()
        );
    }

    /// A failed write or sync leaves a log that cannot be trusted to grow: the broker says that it is not ready, for good.
    fn assert_not_ready(&self) {
        let ready = self.drew.raw("GET", "/readyz", None, &[]);
        assert_eq!(ready.status, 503, "readiness must tell: {}", ready.text());
    }

    /// With room on the disk again the same process goes on, and the grants are unspent.
    fn assert_goes_on(&self) {
        self.dana.run(&["fetch", "--request", &self.request, "-o", "people.csv"]).exits(0);
        assert!(self.drew.fetch(&self.other).complete);
        assert_whole(&self.world.api("anna").entries());
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

fn poisoned_by(calls: &str, error: &str) {
    let mut setup = Setup::standard();
    setup.wrapper = traceable();
    let scene = Scene::new(setup);
    let strace = inject(&scene.world, calls, error);
    scene.assert_closed();
    scene.assert_not_ready();
    strace.terminate();
    scene.assert_not_ready();
    scene.assert_recovers();
}

#[test]
fn an_io_error_while_syncing_stops_everything_before_the_source_is_asked() {
    poisoned_by("fdatasync,fsync", "EIO");
}

#[test]
fn an_io_error_while_writing_stops_everything_before_the_source_is_asked() {
    poisoned_by(WRITES, "EIO");
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    // After a failed fdatasync the kernel may have dropped the dirty pages: a second one that succeeds proves nothing.
    poisoned_by("fdatasync,fsync", "EIO:when=1");
}

#[test]
fn no_space_while_writing_stops_everything_before_the_source_is_asked_and_is_waited_out() {
    let mut setup = Setup::standard();
    setup.wrapper = traceable();
    let scene = Scene::new(setup);
    let strace = inject(&scene.world, WRITES, "ENOSPC");
    scene.assert_closed();
    strace.terminate();
    scene.assert_goes_on();
}

const WRITES: &str = "pwrite64,write,writev,pwritev,ftruncate,fallocate";

/// A broker whose data folder is a small file system of its own, so that nothing else on this machine runs out of space.
fn on_a_small_disk() -> Setup {
    let mut setup = Setup::standard();
    setup.wrapper = small_disk("64m");
    setup
}

/// What is put in front of a broker so that its data folder is a file system of this size.
pub(crate) fn small_disk(size: &str) -> Vec<String> {
    let mount = format!(
        "set -e; cd \"$HOME/broker\"; cp -a data data.kept; mount -t tmpfs -o size={size},mode=700 tmpfs data; cp -a data.kept/. data/; exec \"$@\""
    );
    // Only who is not root needs a user namespace for a mount of their own, and not every system grants one.
    let unshare: &[&str] = if i_am_root() {
        &["unshare", "-m"]
    } else {
        &["unshare", "-r", "-m"]
    };
    let works = std::process::Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("true")
        .output()
        .unwrap();
    assert!(
        works.status.success(),
        "this machine lets nobody make a mount namespace, so a full disk cannot be tried: {}\nrun the tests as root, or allow unprivileged user namespaces",
        String::from_utf8_lossy(&works.stderr)
    );
    unshare
        .iter()
        .copied()
        .chain(["sh", "-c", &mount, "sh"])
        .map(str::to_owned)
        .collect()
}

fn i_am_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Fills the broker's file system to the last byte; gives the file that does.
fn fill(world: &World) -> PathBuf {
    let inside = format!(
        "/proc/{}/root{}",
        world.broker().pid(),
        world.broker_dir().join("data/ballast").display()
    );
    let mut ballast = std::fs::File::create(&inside).expect("the broker's own mount can be entered");
    for size in [1 << 20, 4096, 1] {
        let block = vec![0; size];
        while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
    }
    PathBuf::from(inside)
}

#[test]
fn a_file_system_that_is_really_full_stops_everything_before_the_source_is_asked() {
    let scene = Scene::new(on_a_small_disk());
    let ballast = fill(&scene.world);
    scene.assert_closed();
    std::fs::remove_file(ballast).unwrap();
    scene.assert_goes_on();
}

#[test]
fn a_disk_that_fills_during_a_delivery_does_not_lose_its_outcome() {
    // The disk can fill after the last entry; a few tries are enough to see one where it did not.
    assert!(
        (0..5).any(|_| filling_the_disk_is_felt()),
        "the disk never filled during a delivery"
    );
}

/// Fills the disk under a running delivery, whose outcome must be in the log; whether the log was still to grow.
fn filling_the_disk_is_felt() -> bool {
    let world = World::with(on_a_small_disk());
    let (dana, anna) = (world.api("dana"), world.api("anna"));
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    let (answer, ballast, running) = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| dana.fetch(&request));
        poll("the delivery to run", Duration::from_secs(20), || {
            (dana.show(&request).state == RequestState::Running).then_some(())
        });
        let ballast = fill(&world);
        let running = dana.show(&request).state == RequestState::Running;
        (fetch.join().unwrap(), ballast, running)
    });
    std::fs::remove_file(ballast).unwrap();
    let entries = anna.entries();
    assert_whole(&entries);
    let outcome = entries
        .iter()
        .find(|entry| entry.header["k"] == "fetch.outcome")
        .expect("the outcome is in the log");
    assert_eq!(answer.complete, outcome.body["out"]["end"] == "done", "{outcome:?}");
    running
}

#[test]
fn what_cannot_be_kept_is_not_read() {
    let world = World::with(recorded());
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    // Where recordings go there is something else, so none can be made.
    std::fs::write(world.broker_dir().join("data/recordings"), "").unwrap();
    let request = dana.request(&slice("people", None, Some(100)), Format::Csv);
    rita.approve(&request);
    let before = reads();
    let answer = dana.fetch(&request);
    assert!(!answer.complete && answer.body.is_empty(), "{}", answer.text());
    assert_eq!(reads(), before, "the source was read although nothing could be kept");
    let view = dana.show(&request);
    let delivery = &view.deliveries[0];
    assert_eq!(
        (view.state, delivery.end.as_deref(), delivery.recording.as_deref()),
        (RequestState::Failed, Some("failed"), Some("failed"))
    );
    assert!(world.log_text().contains("its recording cannot be written"), "{}", world.log_text());
    let anna = world.signed_in("anna");
    let refused = anna.run(&["sessions", "replay", request.id.as_str(), "-o", "people.csv"]).exits(1);
    assert!(refused.stderr.contains("was not recorded"), "{}", refused.stderr);
}

#[test]
fn a_file_system_that_fills_ends_a_delivery_before_the_byte_that_is_not_kept() {
    let mut setup = recorded();
    setup.wrapper = small_disk("48m");
    let world = World::with(setup);
    let (dana, anna) = (world.api("dana"), world.api("anna"));
    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    let answer = dana.fetch(&request);
    let view = poll("the outcome", Duration::from_secs(30), || {
        let view = dana.show(&request);
        view.deliveries
            .first()
            .is_some_and(|delivery| delivery.end.is_some())
            .then_some(view)
    });
    let delivery = &view.deliveries[0];
    assert!(!answer.complete, "{delivery:?}");
    assert_eq!(
        (delivery.end.as_deref(), delivery.recording.as_deref()),
        (Some("failed"), Some("failed"))
    );
    assert!(answer.body.len() as u64 <= delivery.bytes, "more left than the log tells");
    let answer = anna.get(&format!("/v1/audit/recordings/{}", delivery.intent));
    assert_eq!(answer.status, 404, "{}", answer.text());
}
