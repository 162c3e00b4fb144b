//! An S3 service of the story's own: `tests/servers/bucket.py`, with one bucket under Object Lock.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::{Running, signal};
use super::world::repository;
use super::{World, poll, servers};

/// The name of the bucket.
pub(crate) const BUCKET: &str = "acme-evidence";
/// The key that the service takes.
pub(crate) const KEY: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

/// A running service; it ends with the story.
pub(crate) struct S3 {
    running: Running,
    pub(crate) port: u16,
}

fn python() -> Command {
    let checks = PathBuf::from(servers::required("CHUNK_TEST_EXPORTS_CHECKS", "an S3 service"));
    let mut command = Command::new(checks.join("bin/python"));
    command.arg(repository().join("tests/servers/bucket.py"));
    command
}

impl S3 {
    /// A service without a bucket; what it says goes into this folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut running = Running::start(python().arg("serve"), &folder.join("s3.log"));
        let port = poll("the S3 service", Duration::from_secs(60), || {
            let log = running.log_text();
            assert!(running.ended().is_none(), "the S3 service ended: {log}");
            log.lines().find_map(|line| line.strip_prefix("ready ")?.parse().ok())
        });
        Self { running, port }
    }

    /// What an auditor sees, or an attacker tries, with another client.
    #[track_caller]
    pub(crate) fn ask(&self, question: &[&str]) -> Value {
        let output = python()
            .args(["ask", &self.port.to_string()])
            .args(question)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "{question:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Versions by key.
    pub(crate) fn versions(&self) -> serde_json::Map<String, Value> {
        self.ask(&["list"]).as_object().unwrap().clone()
    }

    /// It takes connections and answers nothing.
    pub(crate) fn hang(&self) {
        signal(self.running.pid(), "STOP");
    }

    pub(crate) fn go_on(&self) {
        signal(self.running.pid(), "CONT");
    }

    /// Requests for this object that it answered so far.
    pub(crate) fn asked(&self, key: &str) -> usize {
        let ending = format!("/{BUCKET}/{key}");
        let log = self.running.log_text();
        let asked = log.lines().filter_map(|line| line.strip_prefix("asked: "));
        asked.filter(|line| line.ends_with(&ending)).count()
    }

    /// Requests that it refused for their signature, their checksum or their headers.
    pub(crate) fn refused(&self) -> Vec<String> {
        let log = self.running.log_text();
        log.lines()
            .filter(|line| line.starts_with("refused: "))
            .map(str::to_owned)
            .collect()
    }

    /// `[mirror]` for this bucket.
    pub(crate) fn section(&self, more: &str) -> String {
        format!(
            "\n[mirror]\nurl = \"s3://{BUCKET}/chunkctl/prod\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"eu-central-1\"\ninterval_s = 1\n\
             access_key = {{ env = \"MIRROR_KEY\" }}\nsecret_key = {{ env = \"MIRROR_SECRET\" }}\n{more}\n",
            self.port
        )
    }

    /// A bucket that a stopped broker is told to keep its mirror in.
    pub(crate) fn mirror_of(world: &mut World) -> Self {
        assert_eq!(world.stop(), 0);
        let s3 = Self::start(world.path());
        s3.ask(&["create"]);
        s3.mirrors(world, "");
        s3
    }

    /// Tells a stopped broker to keep its mirror here.
    pub(crate) fn mirrors(&self, world: &mut World, more: &str) {
        let setup = world.setup_mut();
        setup.more = self.section(more);
        setup.environment = vec![("MIRROR_KEY".into(), KEY.0.into()), ("MIRROR_SECRET".into(), KEY.1.into())];
        world.write_config();
    }
}
