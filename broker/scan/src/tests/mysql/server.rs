//! A MariaDB server of this test's own: TLS, accounts that can only read, every statement in its log.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The password of the accounts that read.
pub(super) const PASSWORD: &str = "reader-password";

pub(super) struct Server {
    folder: TempDir,
    running: Child,
    pub(super) port: u16,
}

impl Server {
    /// Fails where MariaDB is not installed: a test that is skipped proves nothing.
    pub(super) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("maria").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers/mariadb.sh");
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let running = Command::new("bash")
            .arg(script)
            .arg(folder.path())
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut server = Self { folder, running, port };
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(server.path("other.crt"), other.cert.pem()).unwrap();
        let started = Instant::now();
        // It listens before it has run the file with its accounts, but answers after.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.running.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(60);
            assert!(!ended, "{}", fs::read_to_string(server.path("said")).unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Runs statements as the owner; the answer as the server's own client prints it, columns separated by tabs.
    pub(super) fn sql(&self, text: &str) -> String {
        let out = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "-N", "-B", "--raw", "--default-character-set=utf8mb4"])
            .arg(format!("--socket={}", self.path("sock").display()))
            .args(["-e", text])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("statements.log")).unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.kill());
        drop(self.running.wait());
    }
}
