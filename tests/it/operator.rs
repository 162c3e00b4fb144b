//! What an operator meets: faults told all at once, nothing made or overwritten by accident, nothing started half-way.

use std::fs;

use crate::support::{Setup, World};

#[test]
fn check_tells_every_fault_with_file_and_line_and_serve_starts_nothing() {
    let world = World::prepared(Setup::standard());
    let file = world.broker_dir().join("broker.toml");
    let (path, good) = (file.to_str().unwrap(), fs::read_to_string(&file).unwrap());
    let (code, said) = world.broker_says(&["check", "--config", path]);
    assert_eq!(code, 0, "{said}");
    let bad = good
        .replace("table = \"public.orders\"", "table = \"orders\"")
        .replace("mask = \"tokenize\"", "mask = \"scramble\"")
        + "\n[datasets.more]\nconnecton = \"warehouse\"\n";
    fs::write(&file, &bad).unwrap();
    let line_of = |text: &str| bad.lines().position(|line| line.contains(text)).unwrap() + 1;
    let (code, said) = world.broker_says(&["check", "--config", path]);
    assert_eq!(code, 3, "{said}");
    for wrong in ["table = \"orders\"", "mask = \"scramble\"", "connecton"] {
        assert!(
            said.contains(&format!("broker.toml:{}", line_of(wrong))),
            "the fault in line {} ({wrong}) is not told:\n{said}",
            line_of(wrong)
        );
    }
    let (code, said) = world.broker_says(&["serve", "--config", path]);
    assert_eq!(code, 3, "{said}");
}

#[test]
fn a_policy_that_does_not_fit_the_schema_is_refused_at_load() {
    let world = World::prepared(
        Setup::standard()
            .policy(r#"@id("typo") forbid (principal, action == Action::"fetch", resource) when { context.rows_estimatd > 5 };"#),
    );
    let (code, said) = world.broker_says(&["check", "--config", world.broker_dir().join("broker.toml").to_str().unwrap()]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("test.cedar:") && said.contains("rows_estimatd"), "{said}");
}

#[test]
fn init_overwrites_nothing_and_serve_makes_nothing() {
    let world = World::prepared(Setup::standard());
    let folder = world.broker_dir();
    let (code, said) = world.broker_says(&["init", folder.to_str().unwrap()]);
    assert_ne!(code, 0, "init ran over an existing folder: {said}");
    // A data folder that is gone is a loss to be told, not a gap to be filled.
    fs::remove_dir_all(folder.join("data")).unwrap();
    let (code, said) = world.broker_says(&["serve", "--config", folder.join("broker.toml").to_str().unwrap()]);
    assert!(matches!(code, 1..=3), "{said}");
    assert!(!folder.join("data").exists(), "serve made a new log in place of the lost one");
}

#[test]
fn another_master_key_does_not_open_the_log() {
    let mut world = World::new();
    world.stop();
    let key = world.broker_dir().join("master.key");
    let (code, fresh) = world.broker_says(&["keygen", "master"]);
    assert_eq!(code, 0, "{fresh}");
    let mut writable = fs::metadata(&key).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o600);
    fs::set_permissions(&key, writable).unwrap();
    fs::write(&key, fresh.lines().next().unwrap()).unwrap();
    let (code, said) = world.broker_says(&["serve", "--config", world.broker_dir().join("broker.toml").to_str().unwrap()]);
    assert!(matches!(code, 1..=3), "{said}");
}

#[test]
fn keys_and_journal_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let mut folders = vec![world.broker_dir().join("data")];
    let mut files = vec![world.broker_dir().join("master.key")];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o077,
            0,
            "{}",
            folder.display()
        );
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 1);
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn the_log_and_the_metrics_hold_no_secret() {
    let mut setup = Setup::standard();
    setup.environment.push(("CHUNK_BROKER_LOG".into(), "trace".into()));
    let world = World::with(setup);
    let dana = world.api("dana");
    let metrics = dana.raw("GET", "/metrics", None, &[]);
    assert_eq!(metrics.status, 200, "{}", metrics.text());
    let (log, tokens) = (world.log_text(), dana.tokens());
    let password = crate::support::servers::Postgres::get().reader_password;
    let master = fs::read_to_string(world.broker_dir().join("master.key")).unwrap();
    for secret in [
        tokens.access_token.as_str(),
        tokens.refresh_token.as_str(),
        password.as_str(),
        master.trim(),
    ] {
        assert!(!log.contains(secret), "the log holds a secret");
        assert!(!metrics.text().contains(secret), "the metrics hold a secret");
    }
    assert!(!metrics.text().contains("dana"), "metrics name people:\n{}", metrics.text());
}

#[test]
fn only_one_broker_serves_a_data_folder() {
    let world = World::new();
    let copy = world.broker_dir().join("second.toml");
    let text = fs::read_to_string(world.broker_dir().join("broker.toml")).unwrap();
    let port = world.url.rsplit(':').next().unwrap().to_owned();
    fs::write(&copy, text.replace(&port, "31999")).unwrap();
    let (code, said) = world.broker_says(&["serve", "--config", copy.to_str().unwrap()]);
    assert!(matches!(code, 1..=3), "{said}");
    assert_eq!(world.anonymous().raw("GET", "/readyz", None, &[]).status, 200);
}
