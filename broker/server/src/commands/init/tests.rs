#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use super::{Init, init};
use crate::config::env::MASTER_KEY;
use crate::config::{self, Env};
use crate::secrets::master::MasterKey;

fn asked(dir: &std::path::Path, postgres_example: bool) -> Init {
    Init {
        dir: dir.to_owned(),
        name: "Acme \"data\" broker".into(),
        public_url: "http://127.0.0.1:8443".parse().unwrap(),
        listen: "127.0.0.1:8443".parse().unwrap(),
        origin: Some("acme.example/prod".into()),
        postgres_example,
    }
}

#[test]
fn what_init_makes_passes_the_check_and_is_private() {
    for postgres_example in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("broker");
        init(&asked(&dir, postgres_example), &Env::of(&[])).unwrap();
        let config = config::load(&dir.join("broker.toml")).unwrap();
        assert_eq!(config.broker.name, "Acme \"data\" broker");
        assert_eq!(config.datasets.len(), usize::from(postgres_example));
        let master = MasterKey::load(&Env::of(&[]), config.broker.master_key_file.as_deref()).unwrap();
        let data = crate::data_dir::open(&config.broker.data_dir, &master).unwrap();
        assert!(data.origin.starts_with("acme.example/prod/"));
        let mode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("master.key"), mode("broker.toml"), mode("data"), mode("policies")),
            (0o600, 0o600, 0o700, 0o700)
        );
    }
}

#[test]
fn init_overwrites_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("broker");
    init(&asked(&dir, false), &Env::of(&[])).unwrap();
    let key = std::fs::read(dir.join("master.key")).unwrap();
    let again = init(&asked(&dir, false), &Env::of(&[])).unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");
    assert_eq!(std::fs::read(dir.join("master.key")).unwrap(), key);
}

#[test]
fn a_master_key_of_the_environment_is_not_written_down() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("broker");
    let key = MasterKey::generate().unwrap();
    let env = Env::of(&[(MASTER_KEY, key.encode().as_str())]);
    init(&asked(&dir, false), &env).unwrap();
    assert!(!dir.join("master.key").exists());
    let config = config::load(&dir.join("broker.toml")).unwrap();
    assert!(config.broker.master_key_file.is_none());
    assert!(crate::data_dir::open(&config.broker.data_dir, &key).is_ok());
}

#[test]
fn an_address_that_needs_tls_is_refused_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let mut asked = asked(&home.path().join("broker"), false);
    asked.listen = "0.0.0.0:8443".parse().unwrap();
    let refused = init(&asked, &Env::of(&[])).unwrap_err().to_string();
    assert!(refused.contains("broker.tls"), "{refused}");
}
