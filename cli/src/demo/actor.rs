//! One of the three people: a name, a folder, and commands that are really run.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use super::interrupt::Interrupt;
use crate::config::{private_folder, write_private};
use crate::error::{Failure, Result};
use crate::output::Ui;
use crate::text;

/// A command that says nothing for so long is waiting for somebody.
const SILENCE: Duration = Duration::from_millis(250);

/// Somebody with a desk of their own: configuration, state and files apart from everybody else's.
#[derive(Debug)]
pub(super) struct Actor {
    /// Subject at the issuer, and the name before the `$`.
    pub(super) name: &'static str,
    desk: PathBuf,
    broker: String,
    program: PathBuf,
    interrupt: Interrupt,
}

/// What a command did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Exit code; none when a signal ended it.
    pub(super) exit: Option<i32>,
    /// The command as typed.
    pub(super) typed: String,
    /// Standard output and standard error, line by line as they came.
    pub(super) lines: Vec<String>,
    /// The events among them.
    pub(super) events: Vec<Value>,
}

impl Actor {
    /// Gives the person a desk below `root`, and a script that makes a shell theirs.
    pub(super) fn at(root: &Path, name: &'static str, broker: &str, interrupt: &Interrupt) -> Result<Self> {
        let desk = root.join(name);
        private_folder(&desk)?;
        let program = std::env::current_exe().map_err(|error| Failure::file("find", Path::new("chunkctl"), &error))?;
        let actor = Self {
            name,
            desk,
            broker: broker.to_owned(),
            program,
            interrupt: interrupt.clone(),
        };
        let mut script = format!("# Makes this shell {name}'s: run `. {}`\n", actor.script().display());
        for (variable, value) in actor.environment() {
            script.push_str(&format!("export {variable}={}\n", text::shell(&value)));
        }
        script.push_str(&format!("cd {}\n", text::shell(&actor.desk.display().to_string())));
        write_private(&actor.script(), script.as_bytes())?;
        Ok(actor)
    }

    /// The person's folder; commands run in it.
    pub(super) fn desk(&self) -> &Path {
        &self.desk
    }

    /// The script that makes a shell theirs.
    pub(super) fn script(&self) -> PathBuf {
        self.desk.with_extension("sh")
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        let below = |folder: &str| self.desk.join(folder).display().to_string();
        [
            ("CHUNKCTL_CONFIG_DIR", below(".config")),
            ("CHUNKCTL_STATE_DIR", below(".state")),
            ("CHUNKCTL_BROKER", self.broker.clone()),
        ]
    }

    /// Runs `chunkctl` with these arguments. For people, the command is shown as they would type it, then its output as it
    /// comes; with events, it is asked for events, which are kept. `hear` is called with every line, and with none when the
    /// command has fallen silent, as it does when it waits for somebody.
    pub(super) fn run(&self, ui: &Ui, arguments: &[&str], mut hear: impl FnMut(Option<&str>) -> Result<()>) -> Result<Ran> {
        let typed = text::command(arguments);
        ui.say(&format!("{}$ {typed}", self.name));
        let failed = |error: std::io::Error| Failure::file("run", &self.program, &error);
        // One pipe for both, so that words and answers stay in the order in which they were written.
        let (read, write) = std::io::pipe().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .envs(self.environment())
            .env("NO_COLOR", "1")
            .current_dir(&self.desk);
        for variable in [
            "CHUNKCTL_PROFILE",
            "CHUNKCTL_ID_TOKEN",
            "CHUNKCTL_ID_TOKEN_FILE",
            "CHUNKCTL_CA_FILE",
        ] {
            command.env_remove(variable);
        }
        if ui.is_json() {
            command.arg("--json");
        }
        command
            .stdin(Stdio::null())
            .stdout(write.try_clone().map_err(failed)?)
            .stderr(write);
        let mut child = command.spawn().map_err(failed)?;
        drop(command); // and with it our ends of the pipe: it closes when the child is over
        let lines = lines_of(read);
        let mut ran = Ran { typed, ..Ran::default() };
        loop {
            let line = match lines.recv_timeout(SILENCE) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(line) = &line {
                ui.say(format!("  {line}").trim_end());
            }
            if let Err(failure) = self.interrupt.check().and_then(|()| hear(line.as_deref())) {
                child.kill().ok();
                child.wait().ok();
                return Err(failure);
            }
            let Some(line) = line else { continue };
            if let Ok(event @ Value::Object(_)) = serde_json::from_str(&line) {
                ran.events.push(event);
            }
            ran.lines.push(line);
        }
        ran.exit = child.wait().map_err(failed)?.code();
        self.interrupt.check()?; // Ctrl-C reached the command as well: how it ended says nothing
        Ok(ran)
    }
}

impl Ran {
    /// The last event with this name.
    pub(super) fn event(&self, name: &str) -> Option<&Value> {
        self.events
            .iter()
            .rev()
            .find(|event| event.get("event").and_then(Value::as_str) == Some(name))
    }

    /// The first word on any line that starts with `prefix` and goes on as ids do.
    pub(super) fn id(&self, prefix: &str) -> Option<String> {
        self.lines.iter().find_map(|line| id_in(line, prefix))
    }
}

/// The first id in a line: `prefix` and at least eight letters or digits.
fn id_in(line: &str, prefix: &str) -> Option<String> {
    line.match_indices(prefix).find_map(|(start, _)| {
        let rest = line.get(start + prefix.len()..)?;
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        (length >= 8).then(|| format!("{prefix}{}", rest.get(..length).unwrap_or_default()))
    })
}

/// A device code as people read it: two groups of four capitals.
pub(super) fn user_code_in(line: &str) -> Option<String> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').find_map(|word| {
        let (left, right) = word.split_once('-')?;
        let group = |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_uppercase());
        (group(left) && group(right)).then(|| word.to_owned())
    })
}

/// The lines of a pipe, from a thread of its own: a pipe has no time limit.
fn lines_of(pipe: PipeReader) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(std::io::Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_ids_are_found_wherever_they_stand() {
        assert_eq!(
            user_code_in("Enter the code BCDF-GHJK at http://127.0.0.1:1/device").as_deref(),
            Some("BCDF-GHJK")
        );
        assert_eq!(
            user_code_in(r#"{"event":"login.code","user_code":"BCDF-GHJK"}"#).as_deref(),
            Some("BCDF-GHJK")
        );
        assert_eq!(
            user_code_in("http://127.0.0.1:1/device?user_code=BCDF-GHJK").as_deref(),
            Some("BCDF-GHJK")
        );
        assert_eq!(user_code_in("ISO-8859 UTF-8 abcd-efgh"), None);
        assert_eq!(
            id_in("request `req_0123456789abcdef` waits", "req_").as_deref(),
            Some("req_0123456789abcdef")
        );
        assert_eq!(id_in("req_", "req_"), None);
    }
}
