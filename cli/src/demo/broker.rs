//! The demo's own broker: found, started, waited for, stopped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::home::Home;
use crate::error::{Failure, Result};

const PROGRAM: &str = "chunk-broker";
/// Generating a hundred million rows takes minutes; a broker that takes longer is stuck.
const READY_S_MAX: u64 = 15 * 60;
/// A broker that is told to stop cuts its deliveries and closes its log; then it is killed.
const STOP_S_MAX: u64 = 20;
const LOG_LINES_SHOWN: usize = 15;

/// A broker that runs and answers.
pub(super) struct DemoBroker {
    child: Child,
    ready: Ready,
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
    /// Starts `chunk-broker dev` and waits until it answers; `tell` hears of every other event it prints.
    pub(super) fn start(home: &Home, mut tell: impl FnMut(&str)) -> Result<Self> {
        let program = find()?;
        let log_path = home.broker_log();
        let log = std::fs::File::create(&log_path).map_err(|error| Failure::file("write", &log_path, &error))?;
        let mut command = Command::new(&program);
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
        let mut child = command.spawn().map_err(|error| Failure::file("start", &program, &error))?;
        let events = lines(&mut child);
        let deadline = Instant::now() + Duration::from_secs(READY_S_MAX);
        loop {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match serde_json::from_str::<Event>(&line) {
                    Ok(event) if event.event == "dev.ready" => {
                        let ready = serde_json::from_str(&line)
                            .map_err(|_| Failure::bug("`chunk-broker dev` printed a ready line that does not parse"))?;
                        return Ok(Self {
                            child,
                            ready,
                            keep: home.keep(),
                        });
                    }
                    Ok(event) => tell(&event.event),
                    Err(_) => {}
                },
                Err(why) => {
                    child.kill().ok();
                    child.wait().ok();
                    return Err(not_ready(why, &log_path));
                }
            }
        }
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it and waits until it is gone.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let (gone, wait) = channel();
        let pid = self.child.id();
        // `Child::wait` has no time limit of its own; a watcher gives it one.
        let deadline = Instant::now() + Duration::from_secs(STOP_S_MAX);
        let watcher = std::thread::spawn(move || {
            wait.recv_timeout(deadline.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) && kill(pid)
        });
        let status = self.child.wait();
        gone.send(()).ok();
        let killed = watcher.join().unwrap_or(false);
        match status {
            Ok(status) if status.success() && !killed => Ok(()),
            _ => Err(Failure::cannot_tell("broker", "the demo's broker did not stop cleanly")),
        }
    }
}

impl Drop for DemoBroker {
    fn drop(&mut self) {
        // After a failure half-way nothing may be left running, unless that was asked for.
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

/// The last resort for a broker that will not stop; its log survives that by design.
fn kill(pid: u32) -> bool {
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}
