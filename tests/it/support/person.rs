//! A person at a keyboard: runs `chunkctl` with folders of their own, and plays their browser when it asks for one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::code;
use super::{browser, poll, servers};

/// Somebody who types `chunkctl …`.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    broker: String,
    ca: Option<PathBuf>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Checks the exit code, and shows everything when it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Everything that was written.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The event of this name among the JSON lines of standard output.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        self.try_event(name)
            .unwrap_or_else(|| panic!("no event {name}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr))
    }

    pub(crate) fn try_event(&self, name: &str) -> Option<Value> {
        let mut events = self.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.find(|event| event["event"] == name)
    }
}

impl Person {
    pub(crate) fn new(name: &str, home: &Path, broker: &str, ca: Option<PathBuf>) -> Self {
        std::fs::create_dir_all(home.join("work")).unwrap();
        Self {
            name: name.to_owned(),
            home: home.to_owned(),
            broker: broker.to_owned(),
            ca,
        }
    }

    /// Where this person's files go.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.join("work")
    }

    /// `chunkctl` in this person's environment, with nothing of the tester's own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(servers::program("chunkctl"));
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("NO_COLOR", "1");
        command
            .env("CHUNKCTL_CONFIG_DIR", self.home.join("config"))
            .env("CHUNKCTL_STATE_DIR", self.home.join("state"));
        command
            .env("CHUNKCTL_BROKER", &self.broker)
            .current_dir(self.dir())
            .stdin(Stdio::null());
        if let Some(ca) = &self.ca {
            command.env("CHUNKCTL_CA_FILE", ca);
        }
        command
    }

    /// Runs `chunkctl` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command().args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output {
            code: code(output.status),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs `chunkctl … --json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Output {
        self.run(&[arguments, &["--json"]].concat())
    }

    /// Signs in with a device code, playing the browser.
    #[track_caller]
    pub(crate) fn login(&self) -> Output {
        self.login_with(&["login", "--insecure-storage", "--json"], |code| {
            browser::approve(&servers::issuer(), code, &self.name)
        })
        .exits(0)
    }

    /// Starts a sign-in and does `decide` with the code as soon as it is shown.
    pub(crate) fn login_with(&self, arguments: &[&str], decide: impl FnOnce(&str)) -> Output {
        self.login_shown(self.command().args(arguments), user_code, decide)
    }

    /// Starts a sign-in with the browser and does `decide` with the address as soon as it is shown.
    pub(crate) fn login_in_browser(&self, arguments: &[&str], decide: impl FnOnce(&str)) -> Output {
        self.login_shown(self.command().args(arguments), address, decide)
    }

    /// Starts a sign-in by this command and does `decide` with what is found in its words.
    pub(crate) fn login_shown(&self, command: &mut Command, find: fn(&str) -> Option<String>, decide: impl FnOnce(&str)) -> Output {
        let (out, err) = (self.home.join("login.out"), self.home.join("login.err"));
        let mut child = command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let shown = poll("code or address to be shown", Duration::from_secs(20), || {
            let found = find(&(read(&out) + &read(&err)));
            let ended = child.try_wait().unwrap().is_some();
            (found.is_some() || ended).then_some(found)
        });
        if let Some(shown) = shown {
            decide(&shown);
        }
        let status = child.wait().unwrap();
        Output {
            code: code(status),
            stdout: read(&out),
            stderr: read(&err),
        }
    }
}

/// The address of an authorization request in a text, once all of it is there.
pub(crate) fn address(text: &str) -> Option<String> {
    let ends = |letter: char| letter.is_whitespace() || letter == '"';
    let starts = text.match_indices("http").map(|(at, _)| &text[at..]);
    let mut addresses = starts.filter_map(|rest| rest.find(ends).map(|end| &rest[..end]));
    addresses.find(|address| address.contains("code_challenge=")).map(str::to_owned)
}

/// The first `XXXX-XXXX` in a text, which is how the identity provider of the tests writes its codes.
fn user_code(text: &str) -> Option<String> {
    let good = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words
        .filter(|word| word.split_once('-').is_some_and(|(a, b)| good(a) && good(b)))
        .map(str::to_owned)
        .next()
}
