//! Where the servers are that `tests/run` started. A test that lacks one fails and says so; none is skipped.

use std::path::PathBuf;
use std::process::Command;

/// Folder with the two built programs.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(required("CHUNK_TEST_BIN", "the built programs")).join(name);
    assert!(
        path.is_file(),
        "there is no program at {}: run tests/run, which builds it",
        path.display()
    );
    path
}

/// The OpenID provider's issuer.
pub(crate) fn issuer() -> String {
    required("CHUNK_TEST_ISSUER", "the OpenID provider")
}

/// The PostgreSQL server.
pub(crate) struct Postgres {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) reader: String,
    pub(crate) reader_password: String,
    pub(crate) ca: PathBuf,
    pub(crate) log: PathBuf,
    admin: String,
    admin_password: String,
}

impl Postgres {
    pub(crate) fn get() -> Self {
        let get = |name: &str| required(name, "PostgreSQL");
        Self {
            host: get("CHUNK_TEST_PG_HOST"),
            port: get("CHUNK_TEST_PG_PORT").parse().unwrap(),
            database: get("CHUNK_TEST_PG_DATABASE"),
            reader: get("CHUNK_TEST_PG_READER"),
            reader_password: get("CHUNK_TEST_PG_READER_PASSWORD"),
            ca: get("CHUNK_TEST_PG_CA").into(),
            log: get("CHUNK_TEST_PG_LOG").into(),
            admin: get("CHUNK_TEST_PG_ADMIN"),
            admin_password: get("CHUNK_TEST_PG_ADMIN_PASSWORD"),
        }
    }

    /// Runs SQL as the administrator, past the broker, and returns what psql prints: tuples only, columns separated by `|`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let output = Command::new("psql")
            .args([
                "-qXAt",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                &self.host,
                "-p",
                &self.port.to_string(),
                "-U",
                &self.admin,
            ])
            .args(["-d", &self.database, "-c", sql])
            .env("PGPASSWORD", &self.admin_password)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &self.ca)
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Statements that the server has logged from sessions of the reader with this text in their line or statement.
    pub(crate) fn statements_with(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).expect("PostgreSQL's log is readable");
        log.lines().filter(|line| line.contains(text)).count()
    }
}

pub(crate) fn required(name: &str, what: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set, so this test cannot reach {what}: start the tests with tests/run"),
    }
}
