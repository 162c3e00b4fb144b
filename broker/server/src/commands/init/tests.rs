#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;

use super::{Init, Made, init};
use crate::args::{Args, Command};
use crate::config::env::MASTER_KEY;
use crate::config::{self, Env, TlsFiles};
use crate::secrets::master::MasterKey;
use crate::serve::tests::certificate;

fn asked(dir: &std::path::Path, postgres_example: bool) -> Init {
    Init {
        dir: dir.to_owned(),
        name: "Acme \"data\" broker".into(),
        public_url: "http://127.0.0.1:8443".parse().unwrap(),
        listen: "127.0.0.1:8443".parse().unwrap(),
        tls: None,
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

/// How many things there are in a folder.
fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn what_makes_no_broker_is_refused_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("broker");
    let tls = tempfile::tempdir().unwrap();
    let (good, other) = (certificate(tls.path()), tempfile::tempdir().unwrap());
    let mixed = TlsFiles {
        cert_file: good.cert_file.clone(),
        key_file: certificate(other.path()).key_file,
    };
    let missing = TlsFiles {
        cert_file: tls.path().join("none.pem"),
        key_file: good.key_file.clone(),
    };
    let no_pem = TlsFiles {
        cert_file: good.key_file.clone(),
        key_file: good.key_file.clone(),
    };
    let (https, http) = ("https://broker.example.com:8443", "http://127.0.0.1:8443");
    for (url, listen, tls, why) in [
        (https, "0.0.0.0:8443", None, "--tls-cert FILE --tls-key FILE"),
        (https, "127.0.0.1:8443", None, "--tls-cert FILE --tls-key FILE"),
        (http, "0.0.0.0:8443", None, "--tls-cert FILE --tls-key FILE"),
        (http, "127.0.0.1:8443", Some(&good), "must be https://"),
        ("https://broker.example.com/path", "0.0.0.0:8443", Some(&good), "nothing after it"),
        ("ftp://broker.example.com", "127.0.0.1:8443", None, "must be https://"),
        (https, "0.0.0.0:8443", Some(&missing), "none.pem cannot be read"),
        (https, "0.0.0.0:8443", Some(&mixed), "key.pem"),
        (https, "0.0.0.0:8443", Some(&no_pem), "no certificate"),
    ] {
        let mut asked = asked(&dir, false);
        (asked.public_url, asked.listen, asked.tls) = (url.parse().unwrap(), listen.parse().unwrap(), tls.cloned());
        let refused = init(&asked, &Env::of(&[])).unwrap_err();
        assert!(refused.to_string().contains(why), "{url} {listen}: {refused}");
        assert_eq!(refused.exit(), 3);
        assert_eq!(count(home.path()), 0, "{url} {listen}");
    }
    let mut asked = asked(&dir, false);
    asked.origin = Some("acme prod".into());
    let refused = init(&asked, &Env::of(&[])).unwrap_err();
    assert!(refused.to_string().contains("--origin ORG/DEPLOYMENT"), "{refused}");
    assert_eq!(count(home.path()), 0);
    // And after all of it, the same folder can be made.
    asked.origin = None;
    init(&asked, &Env::of(&[])).unwrap();
}

#[test]
fn what_cannot_be_finished_is_taken_back_and_nothing_else_is() {
    let home = tempfile::tempdir().unwrap();
    let (dir, old) = (home.path().join("a/b"), home.path().join("old"));
    std::fs::create_dir(&old).unwrap();
    let half = || {
        let mut made = Made::default();
        made.folder(&dir).unwrap();
        made.file(&dir.join("one"), "x").unwrap();
        made.folder(&old).unwrap();
        made.file(&old.join("two"), "x").unwrap();
        made
    };
    drop(half());
    assert!(!home.path().join("a").exists() && old.exists() && count(&old) == 0);

    let made = half();
    std::fs::write(old.join("thesis"), "x").unwrap();
    std::fs::write(dir.join("thesis"), "x").unwrap();
    drop(made);
    assert_eq!((count(&dir), count(&old)), (1, 1), "only what somebody else wrote is left");

    std::fs::write(dir.join("one"), "theirs").unwrap();
    let mut made = Made::default();
    made.file(&dir.join("one"), "ours").unwrap_err();
    drop(made);
    assert_eq!(std::fs::read_to_string(dir.join("one")).unwrap(), "theirs");

    std::fs::remove_file(dir.join("one")).unwrap();
    half().keep();
    assert!(dir.join("one").exists() && old.join("two").exists());
}

#[test]
fn the_documented_line_makes_a_broker_that_others_reach() {
    let page = include_str!("../../../../../docs/operations.md");
    let page = page.replace("\\\n", " ");
    let line = page.lines().find(|line| line.starts_with("chunk-broker init ")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let files = certificate(home.path());
    // Everything as written, but for the places, which are this test's own.
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut put = |after: &str, place: &Path| {
        let at = words.iter().position(|word| word == after).unwrap() + 1;
        assert!(words.get(at).unwrap().starts_with('/'), "{line}");
        *words.get_mut(at).unwrap() = place.display().to_string();
    };
    put("init", &home.path().join("broker"));
    put("--tls-cert", &files.cert_file);
    put("--tls-key", &files.key_file);
    let Command::Init(args) = Args::try_parse_from(&words).unwrap().command else {
        unreachable!("{line}")
    };
    init(&args.asked(), &Env::of(&[])).unwrap();
    let config = config::load(&home.path().join("broker/broker.toml")).unwrap();
    assert_eq!(config.broker.tls, Some(files));
    assert!(config.broker.public_url.scheme() == "https" && !config.broker.listen.ip().is_loopback());
    assert!(crate::listener::check_certificate(config.broker.tls.as_ref().unwrap()).is_ok());
}

#[test]
fn certificate_and_key_are_given_together() {
    for half in [["--tls-cert", "a.pem"], ["--tls-key", "a.pem"]] {
        let words = ["chunk-broker", "init", "broker"].into_iter().chain(half);
        assert!(Args::try_parse_from(words).is_err(), "{half:?}");
    }
}

#[test]
fn relative_paths_are_those_of_whoever_types_them() {
    let home = tempfile::tempdir().unwrap();
    let mut asked = asked(&home.path().join("broker"), false);
    asked.tls = Some(TlsFiles {
        cert_file: "tls/none.pem".into(),
        key_file: "tls/none.pem".into(),
    });
    asked.public_url = "https://broker.example.com".parse().unwrap();
    let refused = init(&asked, &Env::of(&[])).unwrap_err().to_string();
    let here = std::env::current_dir().unwrap().join("tls/none.pem");
    assert!(refused.contains(&here.display().to_string()), "{refused}");
}
