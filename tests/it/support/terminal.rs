//! A program at a terminal: a real pseudo-terminal, typed into, and its screen read as a person would see it.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::process::code;
use super::{poll, servers};

/// How long anything may take to show.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

/// A program and its screen.
pub(crate) struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// Runs a command on a terminal of so many columns and rows.
    pub(crate) fn run(command: &Command, columns: usize, rows: usize) -> Self {
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(quoted)
            .collect();
        let line = format!("stty cols {columns} rows {rows}; echo pid=$$; exec {}", words.join(" "));
        let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut script = Command::new(servers::required("CHUNK_TEST_PYTHON", "a Python"));
        script.args(["-c", spawn, "sh", "-c", &line]).env_clear();
        for (name, value) in command.get_envs() {
            script.env(name, value.unwrap());
        }
        script
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .current_dir(command.get_current_dir().unwrap());
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(Screen::new(columns, rows)));
        let (mut out, drawn) = (child.stdout.take().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                drawn.lock().unwrap().take(&bytes[..read]);
            }
        });
        Self {
            keys: child.stdin.take(),
            child,
            screen,
        }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    pub(crate) fn types(&mut self, keys: &str) {
        let stdin = self.keys.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The screen, line by line.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().text()
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub(crate) fn shows(&self, words: &str) -> String {
        self.until(words, |screen| screen.contains(words))
    }

    /// Waits until the screen shows this no more.
    #[track_caller]
    pub(crate) fn hides(&self, words: &str) -> String {
        self.until(&format!("{words} to go"), |screen| !screen.contains(words))
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = std::time::Instant::now() + SHOWN_WITHIN;
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "waited for {what}; on the screen is\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Process id of the program: what the shell said before it became the program.
    pub(crate) fn pid(&self) -> u32 {
        poll("the program to start", SHOWN_WITHIN, || self.screen.lock().unwrap().pid)
    }

    /// Whether the program has left the terminal as it found it.
    pub(crate) fn is_given_back(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        screen.modes.is_empty() && !screen.hidden
    }

    /// Waits for the program's end; its exit code, and what is on the screen then.
    pub(crate) fn ends(mut self) -> (i32, String, bool) {
        let status = poll("the program to end", SHOWN_WITHIN, || self.child.try_wait().unwrap());
        // The last bytes may still be on their way to the thread that draws them.
        std::thread::sleep(Duration::from_millis(100));
        (code(status), self.screen(), self.is_given_back())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.keys.take();
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The cells of a terminal, as far as the programs here use one.
struct Screen {
    columns: usize,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// Where the cursor was before the alternate screen.
    at_before: (usize, usize),
    /// Bytes of a sequence or character that is not whole yet.
    rest: Vec<u8>,
    /// Private modes that are set: alternate screen, mouse, pasting.
    modes: std::collections::BTreeSet<u32>,
    /// The cursor.
    hidden: bool,
    pid: Option<u32>,
}

impl Screen {
    fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            cells: vec![vec![' '; columns]; rows],
            at: (0, 0),
            at_before: (0, 0),
            rest: Vec::new(),
            modes: Default::default(),
            hidden: false,
            pid: None,
        }
    }

    fn text(&self) -> String {
        self.cells
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n")
            .collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Ok(_) => all.len(),
            Err(error) => error.valid_up_to(),
        };
        let tail = all.split_off(whole);
        let text = String::from_utf8(all).unwrap();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            if c != '\u{1b}' {
                self.put(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let Some(end) = rest[1..]
                .char_indices()
                .skip(1)
                .find(|(_, c)| ('@'..='~').contains(c))
                .map(|(at, _)| at + 2)
            else {
                break;
            };
            self.obey(&rest[1..end]);
            rest = &rest[end..];
        }
        self.rest = rest.as_bytes().to_vec();
        self.rest.extend(tail);
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' => {
                if let Some(pid) = self.cells[self.at.0].iter().collect::<String>().trim().strip_prefix("pid=") {
                    self.pid = pid.parse().ok();
                }
                self.at.0 += 1;
                if self.at.0 == self.cells.len() {
                    self.at.0 -= 1;
                    self.cells.remove(0);
                    self.cells.push(vec![' '; self.columns]);
                }
            }
            c if c.is_control() => {}
            c => {
                if self.at.1 == self.columns {
                    self.put('\r');
                    self.put('\n');
                }
                self.cells[self.at.0][self.at.1] = c;
                self.at.1 += 1;
            }
        }
    }

    /// A control sequence without its escape character.
    fn obey(&mut self, sequence: &str) {
        let Some(sequence) = sequence.strip_prefix('[') else { return };
        let (parameters, command) = sequence.split_at(sequence.len() - 1);
        if let Some(modes) = parameters.strip_prefix('?') {
            for mode in modes.split(';').map(|mode| mode.parse::<u32>().unwrap()) {
                match (mode, command) {
                    (25, _) => self.hidden = command == "l",
                    (_, "h") => drop(self.modes.insert(mode)),
                    _ => drop(self.modes.remove(&mode)),
                }
                if mode == 1049 {
                    self.clear();
                    match command {
                        "h" => self.at_before = self.at,
                        _ => self.at = self.at_before,
                    }
                }
            }
            return;
        }
        let numbers: Vec<usize> = parameters.split(';').map(|number| number.parse().unwrap_or(0)).collect();
        let place = |n: usize| numbers.get(n).copied().unwrap_or(1).max(1) - 1;
        match command {
            "H" => self.at = (place(0).min(self.cells.len() - 1), place(1).min(self.columns)),
            "J" => self.clear(),
            "C" => self.at.1 = (self.at.1 + place(0) + 1).min(self.columns),
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.cells.iter_mut().for_each(|row| row.fill(' '));
    }
}
