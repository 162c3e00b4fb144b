//! The log's key is replaced: everybody who knew the first one follows by proof, and a crash at any moment leaves a log that is whole.

use std::path::{Path, PathBuf};

use chunk_wire::session::BrokerInfo;

use crate::second_verifier::python;
use crate::support::api::slice;
use crate::support::process::Running;
use crate::support::world::copy_folder;
use crate::support::{Person, World, poll};

fn log_key(world: &World) -> String {
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    info.log_key
}

fn config(world: &World) -> PathBuf {
    world.broker_dir().join("broker.toml")
}

#[track_caller]
fn key(world: &World, step: &str, exit: i32) -> String {
    let (code, said) = world.broker_says(&["key", step, "--config", config(world).to_str().unwrap()]);
    assert_eq!(code, exit, "{said}");
    said
}

/// The verifier key that was printed.
fn printed<'s>(said: &'s str, other: &str) -> &'s str {
    let origin = other.split('+').next().unwrap();
    said.lines().find(|line| line.starts_with(origin)).unwrap()
}

/// Stops the broker, replaces its log's key, and starts it again.
fn rotate(world: &mut World) -> String {
    let old = log_key(world);
    let prepared = key(world, "prepare", 0);
    assert_eq!(world.stop(), 0);
    let new = printed(&key(world, "rotate", 0), &old).to_owned();
    assert_eq!(printed(&prepared, &old), new);
    world.start();
    assert_eq!(log_key(world), new);
    assert_ne!(new, old);
    new
}

fn fetch(dana: &Person, file: &str, limit: &str) {
    dana.run(&[
        "fetch",
        "small",
        "--limit",
        limit,
        "--format",
        "csv",
        "--reason",
        "a test asks",
        "-o",
        file,
    ])
    .exits(0);
}

/// Rust and Python say the same of a bundle or a file.
#[track_caller]
fn both(person: &Person, name: &str, trust: &str, exit: i32) {
    let (subject, path) = if name.ends_with(".bundle") {
        (vec!["audit", "verify", name], person.dir().join(name))
    } else {
        (vec!["verify", name], person.dir().join(format!("{name}.receipt")))
    };
    person.run(&[&subject[..], &["--trust", trust]].concat()).exits(exit);
    assert_eq!(python(&path, &person.dir().join(trust)), exit, "{name} {trust}");
}

#[test]
fn everybody_who_knew_the_first_key_follows_by_proof() {
    let mut world = World::new();
    let (dana, anna, away) = (world.signed_in("dana"), world.signed_in("anna"), world.signed_in("dana"));
    fetch(&dana, "before.csv", "10");
    anna.run(&["audit", "trust", "init", "-o", "kept.toml"]).exits(0);
    let first = format!(
        "origin = {:?}\nlog_keys = [{:?}]\nreviewer_keys = \"session\"\n",
        log_key(&world).split('+').next().unwrap(),
        log_key(&world)
    );
    for person in [&dana, &anna] {
        std::fs::write(person.dir().join("first.toml"), &first).unwrap();
    }
    anna.run(&["audit", "export", "-o", "before.bundle"]).exits(0);

    let second = rotate(&mut world);
    // Offline, before anything was asked of the broker.
    dana.run(&["verify", "before.csv"]).exits(0);
    let said = dana.run(&["datasets"]).exits(0);
    assert!(
        said.stderr.contains("has replaced its key") && said.stderr.contains(&second),
        "{}",
        said.stderr
    );
    assert!(!dana.run(&["datasets"]).exits(0).stderr.contains("has replaced its key"));
    assert!(dana.run(&["config"]).exits(0).stdout.contains(&second));
    dana.run(&["doctor"]).exits(0);
    // Whoever signs in again, and whoever signs in for the first time.
    away.login();
    assert!(away.run(&["config"]).exits(0).stdout.contains(&second));
    world.signed_in("rita").run(&["datasets"]).exits(0);

    fetch(&dana, "between.csv", "11");
    let third = rotate(&mut world);
    fetch(&dana, "after.csv", "12");
    for file in ["before.csv", "between.csv", "after.csv"] {
        dana.run(&["verify", file]).exits(0);
        both(&dana, file, "first.toml", 0);
    }
    // Whoever lists the newest key alone has done with those before, until the receipt is had anew.
    std::fs::write(
        dana.dir().join("third.toml"),
        first.replace(first.split('"').nth(3).unwrap(), &third),
    )
    .unwrap();
    both(&dana, "after.csv", "third.toml", 0);
    both(&dana, "before.csv", "third.toml", 2);
    dana.run(&["verify", "before.csv", "--renew"]).exits(0);
    both(&dana, "before.csv", "third.toml", 0);

    for level in ["0", "1", "2", "3", "4"] {
        let name = format!("after-{level}.bundle");
        anna.run(&["audit", "export", "--level", level, "--trust", "kept.toml", "-o", &name])
            .exits(0);
        for trust in ["first.toml", "kept.toml"] {
            both(&anna, &name, trust, 0);
        }
    }
    both(&anna, "before.bundle", "first.toml", 0);
    // What an auditor begins with after a rotation names the newest key, and believes bundles across it.
    anna.run(&["audit", "trust", "init", "-o", "new.toml"]).exits(0);
    let new = std::fs::read_to_string(anna.dir().join("new.toml")).unwrap();
    assert!(new.contains(&third) && !new.contains(&second), "{new}");
    anna.run(&["audit", "export", "--trust", "new.toml", "-o", "new.bundle"]).exits(0);
    both(&anna, "new.bundle", "new.toml", 0);
    both(&anna, "before.bundle", "new.toml", 2);
}

#[test]
fn a_key_is_prepared_once_and_replaced_while_no_broker_runs() {
    let mut world = World::new();
    let old = log_key(&world);
    assert!(key(&world, "rotate", 3).contains("cannot be used"), "a broker holds the folder");
    assert_eq!(world.stop(), 0);
    let said = key(&world, "rotate", 3);
    assert!(
        said.contains("No key is prepared") && said.contains("chunk-broker key prepare"),
        "{said}"
    );
    let prepared = key(&world, "prepare", 0);
    assert_eq!(printed(&key(&world, "prepare", 0), &old), printed(&prepared, &old));
    // Prepared, and nothing more: the old key goes on.
    world.start();
    assert_eq!(log_key(&world), old);
    assert!(key(&world, "rotate", 3).contains("cannot be used"));
    assert_eq!(world.stop(), 0);
    let kept = std::fs::read(world.broker_dir().join("data/log-key.sealed")).unwrap();
    assert_eq!(printed(&key(&world, "rotate", 0), &old), printed(&prepared, &old));
    assert!(!world.broker_dir().join("data/log-key-next.sealed").exists());
    world.start();
    assert_eq!(world.stop(), 0);
    // A copy of the key from before does not start on this log.
    std::fs::write(world.broker_dir().join("data/log-key.sealed"), kept).unwrap();
    assert!(!world.try_start(), "it started with a key that was replaced");
    assert!(world.log_text().contains("and this broker is"), "{}", world.log_text());
}

#[test]
fn killed_at_any_write_a_rotation_leaves_a_broker_that_starts_and_a_log_that_verifies() {
    let mut world = World::new();
    let old = log_key(&world);
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    assert_eq!(world.stop(), 0);
    let new = printed(&key(&world, "prepare", 0), &old).to_owned();
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);
    let (mut before, mut after) = (0, 0);
    for calls in ["pwrite64,write", "fsync,fdatasync", "rename,renameat,renameat2"] {
        for n in 1.. {
            std::fs::remove_dir_all(&data).unwrap();
            copy_folder(&copy, &data);
            let whole = rotate_killed_at(&world, calls, n);
            world.start();
            let now = log_key(&world);
            assert!(now == old || now == new, "{calls} {n}: {now}");
            before += usize::from(now == old);
            after += usize::from(now == new);
            anna.run(&["audit", "export", "--trust", "trust.toml", "-o", "now.bundle", "--force"])
                .exits(0);
            both(&anna, "now.bundle", "trust.toml", 0);
            // Asked again, it goes through, or there is nothing left to do.
            assert_eq!(world.stop(), 0);
            if now == old {
                key(&world, "rotate", 0);
            } else {
                assert!(!data.join("log-key-next.sealed").exists(), "{calls} {n}");
            }
            // The client has followed, and the copy is older than what it saw.
            std::fs::remove_dir_all(anna.home.join("state/checkpoints")).unwrap();
            restore_pin(&anna, &new, &old);
            if whole {
                break;
            }
        }
    }
    assert!(
        before > 2 && after > 3,
        "{before} before the entry, {after} after it: the faults miss the journal"
    );
}

/// Whether it ran to its end.
fn rotate_killed_at(world: &World, calls: &str, n: usize) -> bool {
    let log = world.path().join("rotate.log");
    let mut command = std::process::Command::new("strace");
    command
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"])
        .arg(format!("inject={calls}:signal=KILL:when={n}"))
        .arg(crate::support::servers::program("chunk-broker"))
        .args(["key", "rotate", "--config"])
        .arg(config(world))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", world.path())
        .env("WAREHOUSE_PASSWORD", &crate::support::servers::Postgres::get().reader_password)
        .current_dir(world.path());
    let mut running = Running::start(&mut command, &log);
    let code = poll("the command to end", std::time::Duration::from_secs(60), || running.ended());
    code == 0
}

/// Pins the old key again.
fn restore_pin(person: &Person, new: &str, old: &str) {
    let file: &Path = &person.home.join("config/config.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let until_earlier = text.split("[[logs").next().unwrap();
    std::fs::write(file, until_earlier.replace(new, old)).unwrap();
}

#[test]
fn an_api_of_the_log_gives_the_proof_to_anybody() {
    let mut world = World::new();
    let empty = world.anonymous().raw("GET", "/rotations?size=1", None, &[]);
    assert_eq!((empty.status, empty.text().as_str()), (200, "{\"rotations\":[]}"));
    rotate(&mut world);
    let size = crate::support::oracle::Checkpoint::of(&world.anonymous()).size;
    let given = world.anonymous().raw("GET", &format!("/rotations?size={size}"), None, &[]);
    assert_eq!(given.json::<serde_json::Value>()["rotations"].as_array().unwrap().len(), 1);
    let refused = world.anonymous().raw("GET", "/rotations?size=9007199254740991", None, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"));
    // What was asked for before goes on afterwards.
    let again = world.api("dana");
    let request = again.request(&slice("small", None, Some(3)), chunk_wire::fetch::Format::Csv);
    assert!(again.fetch(&request).complete);
}
