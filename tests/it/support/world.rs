//! A broker of the story's own: a folder made by `chunk-broker init`, the story's broker.toml and policies, a real process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::process::Running;
use super::servers::{self, Postgres};
use super::{Api, Person, Setup, poll, random};

/// A folder with a broker, and whoever talks to it.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) url: String,
    setup: Setup,
    port: u16,
    broker: Option<Running>,
}

impl World {
    /// A running broker with the standard setup.
    pub(crate) fn new() -> Self {
        Self::with(Setup::standard())
    }

    /// A running broker.
    pub(crate) fn with(setup: Setup) -> Self {
        let mut world = Self::prepared(setup);
        world.start();
        world
    }

    /// Everything but the running process.
    pub(crate) fn prepared(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("chunkctl-it.").tempdir().unwrap();
        let port = free_port();
        let scheme = if setup.tls { "https" } else { "http" };
        let world = Self {
            folder,
            url: format!("{scheme}://127.0.0.1:{port}"),
            setup,
            port,
            broker: None,
        };
        let init = world.broker_command().arg("init").arg(world.broker_dir()).output().unwrap();
        assert!(
            init.status.success(),
            "chunk-broker init: {}{}",
            String::from_utf8_lossy(&init.stdout),
            String::from_utf8_lossy(&init.stderr)
        );
        if world.setup.tls {
            let made = Command::new("bash")
                .arg(repository().join("tests/servers/certs.sh"))
                .arg(world.broker_dir().join("tls"))
                .status()
                .unwrap();
            assert!(made.success());
        }
        world.write_config();
        world
    }

    /// Writes broker.toml and the policies as the setup has them now.
    pub(crate) fn write_config(&self) {
        let policies = self.broker_dir().join("policies");
        std::fs::remove_dir_all(&policies).ok();
        std::fs::create_dir(&policies).unwrap();
        std::fs::write(policies.join("test.cedar"), &self.setup.policies).unwrap();
        std::fs::write(
            self.broker_dir().join("broker.toml"),
            self.setup.toml(&self.broker_dir(), self.port),
        )
        .unwrap();
    }

    pub(crate) fn setup_mut(&mut self) -> &mut Setup {
        &mut self.setup
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn broker_dir(&self) -> PathBuf {
        self.path().join("broker")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("broker.log")
    }

    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// `chunk-broker` with the environment that the configuration asks for, and nothing of the tester's own.
    pub(crate) fn broker_command(&self) -> Command {
        self.wrapped_broker_command(&[])
    }

    fn wrapped_broker_command(&self, wrapper: &[String]) -> Command {
        let program = servers::program("chunk-broker");
        let mut command = match wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.path());
        command
            .env("WAREHOUSE_PASSWORD", &Postgres::get().reader_password)
            .current_dir(self.path());
        command
    }

    /// Starts the broker and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        assert!(self.try_start(), "the broker ended:\n{}", self.log_text());
    }

    /// As [`World::start`]; false when the broker ended instead.
    pub(crate) fn try_start(&mut self) -> bool {
        let mut command = self.wrapped_broker_command(&self.setup.wrapper);
        command.arg("serve").arg("--config").arg(self.broker_dir().join("broker.toml"));
        command.envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        let mut running = Running::start(&mut command, &self.log());
        let probe = Api::new(&self.url);
        if self.setup.tls {
            // The certificate is this world's own, so readiness is asked of the socket; the stories check the certificate.
            poll("the broker to listen", Duration::from_secs(30), || {
                let listens = std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
                (listens || running.ended().is_some()).then_some(())
            });
        } else {
            poll("the broker to be ready", Duration::from_secs(30), || {
                let answer = probe.try_raw("GET", "/readyz", None, &[]);
                let ready = answer.is_ok_and(|answer| answer.status == 200);
                (ready || running.ended().is_some()).then_some(())
            });
        }
        let runs = running.ended().is_none();
        self.broker = Some(running);
        runs
    }

    pub(crate) fn broker(&self) -> &Running {
        self.broker.as_ref().expect("the broker runs")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.broker.take().expect("the broker runs").kill();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.broker.take().expect("the broker runs").terminate()
    }

    /// A person at a keyboard who is not signed in.
    pub(crate) fn person(&self, name: &str) -> Person {
        Person::new(
            name,
            &self.path().join(format!("{name}-{}", hex::encode(random::<3>()))),
            &self.url,
            self.ca(),
        )
    }

    /// A person at a keyboard who has signed in.
    pub(crate) fn signed_in(&self, name: &str) -> Person {
        let person = self.person(name);
        person.login();
        person
    }

    /// A signed-in person who talks to the API.
    pub(crate) fn api(&self, name: &str) -> Api {
        Api::signed_in(&self.url, name)
    }

    /// A client without a session.
    pub(crate) fn anonymous(&self) -> Api {
        Api::new(&self.url)
    }

    /// The certificate authority of a broker that speaks TLS.
    pub(crate) fn ca(&self) -> Option<PathBuf> {
        self.setup.tls.then(|| self.broker_dir().join("tls/ca.crt"))
    }

    /// Runs `chunk-broker` with these arguments to its end: exit code, and everything it wrote.
    pub(crate) fn broker_says(&self, arguments: &[&str]) -> (i32, String) {
        let log = self.path().join(format!("says-{}.log", hex::encode(random::<4>())));
        let mut command = self.broker_command();
        command.args(arguments).envs(self.setup.environment.iter().cloned());
        let mut running = Running::start(&mut command, &log);
        let code = poll("the command to end", Duration::from_secs(30), || running.ended());
        (code, running.log_text())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- broker's log ({})\n{}", self.log().display(), last_lines(&self.log_text(), 40));
        }
    }
}

/// Folder of the sources.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A port below the range from which the system hands out its own, so that nobody takes it between now and its use.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::from_le_bytes(random::<2>()) % 10_000;
    loop {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Copies the files of a folder into a new one.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
