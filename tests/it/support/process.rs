//! Child processes: their output goes to files, so that nothing blocks and everything can be searched afterwards.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that is killed when it goes out of scope.
pub(crate) struct Running {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Running {
    /// Starts a command; standard output and error are appended to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Exit code if it has ended; a signal counts as 128 + its number.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(code)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn terminate(mut self) -> i32 {
        signal(self.pid(), "TERM");
        code(self.child.wait().unwrap())
    }

    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Greatest resident set so far, in MiB (`VmHWM`).
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

pub(crate) fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    // The shell's own `kill`: small systems have no program of that name.
    let sent = Command::new("sh")
        .args(["-c", "kill -\"$0\" \"$1\"", name, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success(), "SIG{name} could not be sent to {pid}");
}
