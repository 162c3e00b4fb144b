//! The demo's own broker: found, started, waited for, stopped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::home::Home;
use super::interrupt::Interrupt;
use crate::error::{Failure, Result};

const PROGRAM: &str = "chunk-broker";
/// Generating a hundred million rows takes minutes; a broker that takes longer is stuck.
const READY_S_MAX: u64 = 15 * 60;
/// A broker that is told to stop cuts its deliveries and closes its log; then it is killed.
const STOP_S_MAX: u64 = 20;
const LOG_LINES_SHOWN: usize = 15;
/// How soon Ctrl-C is heard while it starts.
const LISTEN_EVERY: Duration = Duration::from_millis(200);

/// A broker that runs and answers. It ends with this value, unless it is told to be kept.
pub(super) struct DemoBroker {
    process: Process,
    ready: Ready,
}

/// A process of ours, ended with this value.
struct Process {
    child: Child,
    /// Says to later demos which process it is.
    pid_file: PathBuf,
    keep: bool,
}

/// The line that `chunk-broker dev` prints when it answers.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ready {
    pub(super) broker: String,
    pub(super) issuer: String,
}

#[derive(Deserialize)]
struct Event {
    event: String,
}

impl DemoBroker {
    /// Starts `chunk-broker dev` and waits until it answers.
    pub(super) fn start(home: &Home, interrupt: &Interrupt) -> Result<Self> {
        Self::start_program(&find()?, home, interrupt)
    }

    fn start_program(program: &Path, home: &Home, interrupt: &Interrupt) -> Result<Self> {
        let log_path = home.broker_log();
        let log = std::fs::File::create(&log_path).map_err(|error| Failure::file("write", &log_path, &error))?;
        let mut command = Command::new(program);
        command
            .args(["dev", "--json", "--dir"])
            .arg(home.broker())
            .arg("--data")
            .arg(home.sample());
        command.args(["--orders", &home.orders().to_string()]);
        // Somebody who runs brokers on this machine may have set these; the demo's broker has a key of its own.
        for variable in ["CHUNK_BROKER_MASTER_KEY", "CHUNK_BROKER_MASTER_KEY_FILE", "CHUNK_BROKER_CONFIG"] {
            command.env_remove(variable);
        }
        // A broker of ours ends when our end of its standard input does, however we end. One to be kept has none.
        if home.keep() {
            command.stdin(Stdio::null());
            leave_the_terminal(&mut command);
        } else {
            command.arg("--until-stdin-closes").stdin(Stdio::piped());
        }
        command.stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().map_err(|error| Failure::file("start", program, &error))?;
        // From here on it cannot be forgotten: whatever fails ends it, and a demo to come can see that it runs.
        let mut process = Process {
            child,
            pid_file: home.pid_file(),
            keep: false,
        };
        home.write_pid(process.child.id())?;
        let events = lines(&mut process.child);
        let deadline = Instant::now() + Duration::from_secs(READY_S_MAX);
        loop {
            interrupt.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(left.min(LISTEN_EVERY)) {
                Ok(line) => {
                    if serde_json::from_str::<Event>(&line).is_ok_and(|event| event.event == "dev.ready") {
                        let ready = serde_json::from_str(&line)
                            .map_err(|_| Failure::bug("`chunk-broker dev` printed a ready line that does not parse"))?;
                        return Ok(Self { process, ready });
                    }
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(why) => {
                    process.end().ok(); // its log is whole only then
                    return Err(not_ready(why, &log_path));
                }
            }
        }
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Leaves it running; gives its process number.
    pub(super) fn keep(mut self) -> u32 {
        self.process.keep = true;
        self.process.child.id()
    }

    /// Stops it and waits until it is gone.
    pub(super) fn stop(mut self) -> Result<()> {
        self.process.end()
    }
}

impl Process {
    fn end(&mut self) -> Result<()> {
        let pid = self.child.id();
        // One that was to be kept has no standard input to end with.
        match self.child.stdin.take() {
            Some(stdin) => drop(stdin),
            None => {
                signal("-TERM", pid);
            }
        }
        let (gone, wait) = channel();
        // `Child::wait` has no time limit of its own; a watcher gives it one.
        let deadline = Instant::now() + Duration::from_secs(STOP_S_MAX);
        let watcher = std::thread::spawn(move || {
            wait.recv_timeout(deadline.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) && signal("-KILL", pid)
        });
        let status = self.child.wait();
        gone.send(()).ok();
        let killed = watcher.join().unwrap_or(false);
        std::fs::remove_file(&self.pid_file).ok(); // the number is somebody else's soon
        match status {
            Ok(status) if status.success() && !killed => Ok(()),
            _ => Err(Failure::cannot_tell("broker", "the demo's broker did not stop cleanly")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.keep && matches!(self.child.try_wait(), Ok(None)) {
            self.end().ok();
        }
    }
}

/// Beside this program first: that is the one it was built with.
fn find() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| Failure::file("find", Path::new("chunkctl"), &error))?;
    let beside = own.parent().map(|folder| folder.join(PROGRAM));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(
            std::env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(PROGRAM)),
        )
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            Failure::usage("`chunk-broker` is not installed")
                .why(format!("it is neither beside `{}` nor in PATH", own.display()))
                .why("run `./install.sh` in the source folder")
        })
}

/// Standard output, line by line, from a thread of its own: a pipe has no time limit.
fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receive
}

fn not_ready(why: RecvTimeoutError, log: &Path) -> Failure {
    let what = match why {
        RecvTimeoutError::Timeout => "the demo's broker was not ready in time",
        RecvTimeoutError::Disconnected => "the demo's broker ended before it was ready",
    };
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
    Failure::cannot_tell("broker", what)
        .why(last.join("\n"))
        .why(format!("its log is `{}`", log.display()))
}

/// Puts the child into a process group of its own, so that Ctrl-C in this terminal is not meant for it.
#[cfg(unix)]
fn leave_the_terminal(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn leave_the_terminal(_: &mut Command) {}

/// `-TERM` asks; `-KILL` is the last resort for a broker that will not stop, and its log survives that by design.
fn signal(which: &str, pid: u32) -> bool {
    Command::new("kill")
        .args([which, &pid.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::config::Paths;
    use crate::demo::Wishes;

    /// Starts a broker that is this shell script, in which `RUN` goes on until it is stopped; gives the outcome, how many
    /// processes of it are left, and whether its number is.
    fn start(keep: bool, script: &str, interrupt: &Interrupt) -> (Result<()>, usize, bool) {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("broker.sh");
        // Both name the script, so that they can be found again; only the second heeds its standard input, as a broker does.
        let run = format!("exec {} {}", if keep { "tail -f" } else { "cat -" }, program.display());
        std::fs::write(&program, format!("#!/bin/sh\n{}\n", script.replace("RUN", &run))).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let paths = Paths {
            config: scratch.path().join("config.toml"),
            state: scratch.path().join("state"),
        };
        let wishes = Wishes {
            dir: None,
            orders: 10,
            keep,
        };
        let home = Home::make(&wishes, &paths).unwrap();
        let outcome = DemoBroker::start_program(&program, &home, interrupt).and_then(DemoBroker::stop);
        let ours = program.to_str().unwrap().as_bytes();
        let left = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
            .filter(|line| line.windows(ours.len()).any(|window| window == ours))
            .count();
        (outcome, left, home.pid_file().exists())
    }

    #[test]
    fn a_broker_that_is_interrupted_while_it_starts_is_not_left_behind() {
        for keep in [false, true] {
            let interrupt = Interrupt::never();
            interrupt.ask();
            let (outcome, left, named) = start(keep, "RUN", &interrupt);
            assert_eq!(outcome.unwrap_err().code, "interrupted");
            assert_eq!((left, named), (0, false), "keep: {keep}");
        }
    }

    #[test]
    fn a_broker_that_does_not_start_is_not_left_behind() {
        for script in ["echo '{\"event\":\"dev.ready\"}'; RUN", "exec >&-; RUN", "echo because >&2; exit 1"] {
            for keep in [false, true] {
                let (outcome, left, named) = start(keep, script, &Interrupt::never());
                assert!(outcome.is_err(), "{script}");
                assert_eq!((left, named), (0, false), "{script}");
            }
        }
    }

    #[test]
    fn a_broker_that_starts_is_stopped_at_the_end() {
        for keep in [false, true] {
            let ready = r#"echo '{"event":"dev.ready","broker":"b","issuer":"i"}'; RUN"#;
            let (_, left, named) = start(keep, ready, &Interrupt::never());
            assert_eq!((left, named), (0, false), "keep: {keep}");
        }
    }
}
