//! A PostgreSQL server of this test's own: TLS, SCRAM, a read-only role, every statement in its log.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The password of the role that reads.
pub(super) const PASSWORD: &str = "ro-pw";

pub(super) struct Server {
    folder: TempDir,
    programs: PathBuf,
    pub(super) port: u16,
}

impl Server {
    /// Fails where PostgreSQL is not installed: a test that is skipped proves nothing.
    pub(super) fn start() -> Self {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path().join("bin"))
            .filter(|programs| programs.join("initdb").exists())
            .collect();
        versions.sort();
        let Some(programs) = versions.pop() else {
            panic!("PostgreSQL is missing: `apt-get install postgresql`, or run `./tests/run`, which installs it")
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, programs, port };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(server.path("ca.crt"), made.cert.pem()).unwrap();
        fs::write(server.path("server.key"), made.signing_key.serialize_pem()).unwrap();
        fs::write(server.path("pw"), "super-pw\n").unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        fs::write(server.path("other.crt"), other.cert.pem()).unwrap();
        let folder = server.folder.path().display().to_string();
        run(Command::new("chmod").args(["600", &format!("{folder}/server.key")]));
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres", &folder]));
        }
        let data = format!("{folder}/data");
        server.program(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                &format!("--pwfile={folder}/pw"),
                "--auth=scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
        );
        let settings = format!(
            "listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories='{folder}'\nssl=on\nssl_cert_file='{folder}/ca.crt'\n\
             ssl_key_file='{folder}/server.key'\nlog_statement=all\nlog_line_prefix='%a|'\nfsync=off\nfull_page_writes=off\nshared_buffers=32MB\n"
        );
        let config = format!("{data}/postgresql.conf");
        fs::write(&config, fs::read_to_string(&config).unwrap() + &settings).unwrap();
        fs::write(
            format!("{data}/pg_hba.conf"),
            "hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all all reject\n",
        )
        .unwrap();
        server.program("pg_ctl", &["-D", &data, "-l", &format!("{folder}/log"), "-w", "-t", "30", "start"]);
        server.sql(&format!(
            "CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT pg_read_all_data TO reader"
        ));
        server
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Runs statements as the owner; the answer as unaligned text.
    pub(super) fn sql(&self, text: &str) -> String {
        let ca = self.path("ca.crt");
        let target = format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres sslmode=verify-full sslrootcert={}",
            self.port,
            ca.display()
        );
        let out = Command::new(self.programs.join("psql"))
            .env("PGPASSWORD", "super-pw")
            .args([target.as_str(), "-qXAt", "-v", "ON_ERROR_STOP=1", "-c", text])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    fn program(&self, name: &str, arguments: &[&str]) {
        let program = self.programs.join(name);
        if is_root() {
            run(Command::new("runuser").args(["-u", "postgres", "--"]).arg(program).args(arguments));
        } else {
            run(Command::new(program).args(arguments));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.path("data");
        if Path::exists(&data.join("postmaster.pid")) {
            self.program("pg_ctl", &["-D", &data.display().to_string(), "-m", "immediate", "-w", "stop"]);
        }
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n")
}

fn run(command: &mut Command) {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/")
        .status()
        .unwrap();
    assert!(status.success(), "{command:?}");
}
