#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use chunk_core::clock::SystemClock;
use chunk_port::{Chunked, Look, ScanError, ScanErrorKind, ScanOrder, Secrets, SourceColumn, Table};
use chunk_wire::fetch::Query;

use super::*;
use crate::commands::keys;
use crate::serve::tests::installation;

/// A source with one column, `email`, which it shows to whoever knows the password.
struct OneColumn {
    secrets: Arc<dyn Secrets>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Scanner for OneColumn {
    async fn describe(&self, table: &Table) -> Result<Vec<SourceColumn>, ScanError> {
        self.asked.lock().unwrap().push(table.dataset.clone());
        let password = self.secrets.password("w").map_err(|why| fault(&why))?;
        if password.as_str() != "correct horse" {
            return Err(fault("password authentication failed for user u"));
        }
        Ok(vec![SourceColumn {
            name: "email".into(),
            data_type: "text".into(),
            nullable: true,
        }])
    }
    async fn look(&self, _: &Query, _: &[Table], _: &str) -> Result<Box<dyn Look>, ScanError> {
        Err(fault("not asked"))
    }
    async fn cut(&self, _: ScanOrder, _: u64) -> Result<Arc<dyn Chunked>, ScanError> {
        Err(fault("not asked"))
    }
}

fn fault(operator: &str) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Source,
        public: "The source failed.".into(),
        operator: Some(operator.into()),
    }
}

struct Bench {
    home: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        drop(installation(&home.path().join("b"), false));
        Self {
            home,
            asked: Arc::default(),
        }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("b/broker.toml")
    }

    /// A connection with this password, and a dataset whose columns are given classes.
    fn source(&self, password: &str, columns: &[&str]) {
        let file = self.file();
        let text = std::fs::read_to_string(&file).unwrap();
        let ours = text.split("# ours\n").next().unwrap();
        let columns: String = columns.iter().map(|column| format!("{column} = \"pii.email\"\n")).collect();
        let source = format!(
            "# ours\n[connections.w]\nkind = \"postgres\"\nhost = \"db.example.com\"\ndatabase = \"d\"\nuser = \"u\"\npassword = {password}\n\
             [datasets.people]\nconnection = \"w\"\ntable = \"public.people\"\n[datasets.people.columns]\n{columns}"
        );
        std::fs::write(&file, format!("{ours}{source}")).unwrap();
    }

    /// What is wrong, a line each, and how many sources were asked.
    async fn examined(&self, connections: bool) -> (String, usize) {
        let config = config::load(&self.file()).unwrap();
        let asked = Arc::clone(&self.asked);
        asked.lock().unwrap().clear();
        let ports = Ports {
            clock: Arc::new(SystemClock),
            scanner: Arc::new(move |secrets| {
                let asked = Arc::clone(&asked);
                Ok(Arc::new(OneColumn { secrets, asked }))
            }),
        };
        let faults = examine(&config, connections, &ports, &Env::of(&[])).await.unwrap();
        let count = self.asked.lock().unwrap().len();
        (faults.to_string(), count)
    }
}

fn write_secret(dir: &Path, text: &str) {
    std::fs::write(dir.join("b/secret"), text).unwrap();
}

#[tokio::test]
async fn sources_are_asked_only_when_it_is_asked_for_with_the_password_from_where_it_is() {
    let bench = Bench::new();
    write_secret(bench.home.path(), "correct horse\n");
    bench.source("{ file = \"secret\" }", &["email"]);
    assert_eq!(bench.examined(false).await, (String::new(), 0));
    assert_eq!(bench.examined(true).await, (String::new(), 1));
    let line = keys::tests::sealed(&bench.file(), "correct horse");
    bench.source(line.trim().strip_prefix("password = ").unwrap(), &["email"]);
    assert_eq!(bench.examined(true).await, (String::new(), 1));
}

#[tokio::test]
async fn what_a_source_says_and_columns_that_it_lacks_are_told() {
    let bench = Bench::new();
    write_secret(bench.home.path(), "correct horse");
    bench.source("{ file = \"secret\" }", &["email", "emial", "phone"]);
    let (told, _) = bench.examined(true).await;
    assert_eq!(told.lines().count(), 2, "{told}");
    for column in ["emial", "phone"] {
        assert!(
            told.contains(&format!("`datasets.people.columns.{column}`: the source has no such column")),
            "{told}"
        );
    }
    write_secret(bench.home.path(), "battery staple");
    let (told, _) = bench.examined(true).await;
    assert!(
        told.contains("dataset `people`: password authentication failed for user u"),
        "{told}"
    );
    assert!(!told.contains("battery staple"), "{told}");
}

#[tokio::test]
async fn a_credential_that_cannot_be_read_is_told_and_no_source_is_asked() {
    let bench = Bench::new();
    let other = crate::secrets::master::MasterKey::generate().unwrap();
    let sealed = crate::secrets::sealed::seal(&other, crate::secrets::sealed::CREDENTIAL, b"correct horse").unwrap();
    for (password, why) in [
        ("{ file = \"secret\" }".to_owned(), "secret"),
        ("{ env = \"UNSET\" }".to_owned(), "UNSET is not set"),
        (format!("{{ sealed = \"{sealed}\" }}"), "another master key"),
    ] {
        bench.source(&password, &["email"]);
        let (told, asked) = bench.examined(true).await;
        assert!(told.contains("password of connection `w`") && told.contains(why), "{told}");
        assert_eq!(asked, 0);
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_belong_to_its_key_is_told_before_anything_is_served() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("b");
    let config = installation(&dir, true);
    let ports = crate::serve::tests::ports();
    assert!(examine(&config, false, &ports, &Env::of(&[])).await.unwrap().is_empty());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for key in [other.signing_key.serialize_pem(), "no key".to_owned()] {
        std::fs::write(home.path().join("key.pem"), key).unwrap();
        let told = examine(&config, false, &ports, &Env::of(&[])).await.unwrap().to_string();
        assert!(told.contains("`broker.tls`") && told.contains("key.pem"), "{told}");
    }
}
