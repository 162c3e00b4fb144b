//! A server of mail of the story's own: `tests/servers/mail.py`, which takes messages over TLS from whoever logs in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::Running;
use super::world::{free_port, repository};
use super::{poll, servers};

/// Who may submit.
pub(crate) const LOGIN: (&str, &str) = ("chunk-broker", "mail-password-5d1e");

/// A server that may stop and come back.
pub(crate) struct Mail {
    folder: PathBuf,
    certificates: PathBuf,
    pub(crate) starttls_port: u16,
    pub(crate) tls_port: u16,
    running: Option<Running>,
}

impl Mail {
    /// A server with the certificate of this folder (`tests/servers/certs.sh`); what it takes goes into another.
    pub(crate) fn new(certificates: &Path, folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let mut mail = Self {
            folder: folder.to_owned(),
            certificates: certificates.to_owned(),
            starttls_port: free_port(),
            tls_port: free_port(),
            running: None,
        };
        mail.start();
        mail
    }

    pub(crate) fn start(&mut self) {
        let python = PathBuf::from(servers::required("CHUNK_TEST_MAIL", "a server of mail")).join("bin/python");
        let mut command = Command::new(python);
        command
            .arg(repository().join("tests/servers/mail.py"))
            .arg(&self.certificates)
            .arg(&self.folder);
        command
            .args([self.starttls_port.to_string(), self.tls_port.to_string()])
            .args([LOGIN.0, LOGIN.1]);
        let mut running = Running::start(&mut command, &self.folder.join("log"));
        poll("the server of mail", Duration::from_secs(60), || {
            let log = running.log_text();
            assert!(running.ended().is_none(), "the server of mail ended: {log}");
            log.lines().any(|line| line == "ready").then_some(())
        });
        self.running = Some(running);
    }

    pub(crate) fn stop(&mut self) {
        self.running.take().unwrap().kill();
        std::fs::remove_file(self.folder.join("log")).ok();
    }

    /// What it answers to every message from now on; nothing, and it takes them again.
    pub(crate) fn answers(&self, line: Option<&str>) {
        let file = self.folder.join("answer");
        match line {
            Some(line) => std::fs::write(file, line).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
    }

    /// The messages that it took.
    pub(crate) fn got(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("messages.jsonl")).unwrap_or_default();
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
