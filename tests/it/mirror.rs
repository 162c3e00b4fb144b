//! The mirror: a copy of the tree from which anybody computes the signed root; never replaced, never contradicted unnoticed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_wire::fetch::Format;
use chunk_wire::session::BrokerInfo;

use crate::support::api::slice;
use crate::support::foreign::{Hash, root, signed};
use crate::support::oracle::Checkpoint;
use crate::support::s3::S3;
use crate::support::world::copy_folder;
use crate::support::{Api, World, now_ms, poll};

fn mirrored(world: &mut World) -> PathBuf {
    assert_eq!(world.stop(), 0);
    let folder = world.path().join("mirror");
    world.setup_mut().more = format!("\n[mirror]\ndirectory = {folder:?}\ninterval_s = 1\n");
    world.write_config();
    folder
}

/// The hashes of the tree's leaves, as the tiles of level 0 give them.
fn leaves(folder: &Path, size: u64) -> Vec<Hash> {
    let mut leaves = Vec::new();
    for index in 0..=size / 256 {
        let (full, rest) = (folder.join(format!("tile/0/{index:03}")), size % 256);
        let partial = folder.join(format!("tile/0/{index:03}.p/{rest}"));
        if index == size / 256 && rest == 0 {
            break;
        }
        let tile = std::fs::read(if index == size / 256 { partial } else { full }).unwrap();
        leaves.extend(tile.chunks(32).map(|hash| Hash::try_from(hash).unwrap()));
    }
    leaves
}

/// Dated checkpoints are heads of the tree that these leaves make; how many there are.
fn dated(folder: &Path, leaves: &[Hash]) -> usize {
    let mut dated = 0;
    for day in std::fs::read_dir(folder.join("checkpoints")).unwrap() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let one = Checkpoint::parse(&std::fs::read_to_string(file.unwrap().path()).unwrap());
            assert_eq!(root(&leaves[..usize::try_from(one.size).unwrap()]), one.root);
            dated += 1;
        }
    }
    dated
}

/// Ten rows asked for, approved and fetched: entries for the log.
fn fetch(dana: &Api, rita: &Api) {
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
}

/// A metric of the mirror.
fn metric(world: &World, name: &str) -> u64 {
    let text = world.anonymous().raw("GET", "/metrics", None, &[]).text();
    let name = format!("chunk_broker_mirror_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn anybody_computes_the_signed_root_from_the_mirror() {
    let mut world = World::new();
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    let folder = mirrored(&mut world);
    assert!(!world.try_start(), "it started without the mirror's folder");
    assert!(world.log_text().contains("is not there"), "{}", world.log_text());
    std::fs::create_dir(&folder).unwrap();
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    // More than a full tile.
    while Checkpoint::of(&dana).size <= 256 {
        fetch(&dana, &rita);
    }
    poll("the mirror to hold all", Duration::from_secs(20), || {
        (metric(&world, "lacking_entries") == 0).then_some(())
    });
    assert_eq!(world.stop(), 0);

    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let newest = Checkpoint::parse(&note);
    assert!(newest.size > 256, "{}", newest.size);
    assert_eq!(signed(&note, &info.log_key), Some(0));
    let leaves = leaves(&folder, newest.size);
    assert_eq!(leaves.len() as u64, newest.size);
    assert_eq!(root(&leaves), newest.root);
    let dated = dated(&folder, &leaves);
    assert!(dated >= 2, "{dated} checkpoints");

    // Nobody's name, address or query is in it.
    for canary in ["dana", "people", "127.0.0.1"] {
        let found = std::process::Command::new("grep")
            .args(["-rqF", canary])
            .arg(folder.join("tile"))
            .status();
        assert_eq!(found.unwrap().code(), Some(1), "{canary}");
    }

    // A tile that somebody changed is told, and stays as it is.
    let tile = folder.join("tile/0/000");
    let mut changed = std::fs::read(&tile).unwrap();
    changed[40] ^= 1;
    std::fs::write(&tile, &changed).unwrap();
    world.start();
    poll("the contradiction to be told", Duration::from_secs(20), || {
        world.log_text().contains("the mirror contradicts the evidence log").then_some(())
    });
    assert_eq!(metric(&world, "contradicts"), 1);
    assert_eq!(world.stop(), 0);
    assert_eq!(std::fs::read(&tile).unwrap(), changed);
}

#[test]
fn a_journal_that_holds_less_than_its_mirror_does_not_start() {
    let mut world = World::new();
    let folder = mirrored(&mut world);
    std::fs::create_dir(&folder).unwrap();
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);
    world.start();
    drop(world.api("dana"));
    assert_eq!(world.stop(), 0);
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    assert!(!world.try_start(), "it started from an old copy");
    let said = world.log_text();
    assert!(
        said.contains("and the journal holds") && said.contains("put the newest copy of the data folder back"),
        "{said}"
    );

    // Nor does another log write into it.
    let mut other = World::new();
    assert_eq!(other.stop(), 0);
    other.setup_mut().more = format!("\n[mirror]\ndirectory = {folder:?}\n");
    other.write_config();
    assert!(!other.try_start());
    assert!(other.log_text().contains("no checkpoint of this log"), "{}", other.log_text());
}

/// What is written once, each in one version.
fn once(s3: &S3) -> Vec<(String, String)> {
    let versions = s3.versions();
    let written = versions.iter().filter(|(key, _)| !key.ends_with("/checkpoint"));
    written
        .map(|(key, versions)| {
            let [version] = versions.as_array().unwrap().as_slice() else {
                panic!("{key} was written more than once: {versions}");
            };
            (key.clone(), version.as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn a_bucket_keeps_what_it_got_and_anybody_computes_the_signed_root_from_it() {
    let mut world = World::new();
    let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
    assert_eq!(world.stop(), 0);
    let s3 = S3::start(world.path());
    s3.mirrors(&mut world, "retention_days = 400\nretention_mode = \"compliance\"");
    assert!(!world.try_start(), "it started without its bucket");
    let said = world.log_text();
    assert!(said.contains("cannot be read") && said.contains("404 NoSuchBucket"), "{said}");
    s3.ask(&["create"]);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    for _ in 0..4 {
        fetch(&dana, &rita);
    }
    assert_eq!(world.stop(), 0);
    assert_eq!(s3.refused(), [""; 0], "every request is signed as botocore signs it");

    let folder = world.path().join("downloaded");
    s3.ask(&["download", folder.to_str().unwrap(), "chunkctl/prod/"]);
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let newest = Checkpoint::parse(&note);
    assert_eq!(signed(&note, &info.log_key), Some(0));
    let leaves = leaves(&folder, newest.size);
    assert_eq!(root(&leaves), newest.root);
    assert!(dated(&folder, &leaves) >= 2);

    // Each is there in one version, locked for the time that was asked for, and nobody takes it away.
    let days_ms = 400 * 86_400_000;
    for (key, version) in once(&s3) {
        let kept = s3.ask(&["retention", &key]);
        assert_eq!(kept["mode"], "COMPLIANCE", "{key}");
        let off_ms = (kept["until"].as_f64().unwrap() * 1000.0) as i64 - now_ms() - days_ms;
        assert!((-600_000..=1000).contains(&off_ms), "{key}: {off_ms} ms");
        assert_eq!(s3.ask(&["delete-version", &key, &version]), "AccessDenied", "{key}");
    }

    // A broker that starts again finds the same, writes nothing twice, and goes on.
    world.start();
    fetch(&world.api("dana"), &world.api("rita"));
    assert_eq!(world.stop(), 0);
    assert!(!once(&s3).is_empty());
    assert!(!world.log_text().contains("contradicts"), "{}", world.log_text());
}

#[test]
fn what_somebody_put_over_an_object_or_deleted_is_told() {
    let mut world = World::new();
    let s3 = S3::mirror_of(&mut world);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    for _ in 0..50 {
        fetch(&dana, &rita);
    }
    assert_eq!(world.stop(), 0);
    let tile = "chunkctl/prod/tile/0/000";
    assert!(once(&s3).iter().any(|(key, _)| key == tile), "no tile is full");
    let other = world.path().join("other");
    std::fs::write(&other, b"something else").unwrap();
    s3.ask(&["replace", tile, other.to_str().unwrap()]);
    world.start();
    poll("the contradiction to be told", Duration::from_secs(20), || {
        (metric(&world, "contradicts") == 1).then_some(())
    });
    assert!(
        world.log_text().contains(&format!("{tile} is not what the log has there")),
        "{}",
        world.log_text()
    );
    assert_eq!(world.stop(), 0);

    // Who deletes the newest checkpoint would have the broker believe that nothing was ever copied.
    s3.ask(&["delete", "chunkctl/prod/checkpoint"]);
    assert!(!world.try_start(), "it started without the checkpoint that it had copied");
    assert!(
        world.log_text().contains("chunkctl/prod/checkpoint was deleted"),
        "{}",
        world.log_text()
    );
}

#[test]
fn a_bucket_that_is_away_holds_nothing_up_and_gets_what_it_missed() {
    let mut world = World::new();
    let s3 = S3::mirror_of(&mut world);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let all = || (metric(&world, "lacking_entries") == 0).then_some(());
    poll("the bucket to hold all", Duration::from_secs(20), all);
    s3.hang();
    fetch(&dana, &rita);
    poll("that to be told", Duration::from_secs(30), || {
        world.log_text().contains("the mirror could not be written").then_some(())
    });
    fetch(&dana, &rita);
    assert!(metric(&world, "lacking_entries") > 0);
    assert_eq!(world.anonymous().raw("GET", "/readyz", None, &[]).status, 200);
    s3.go_on();
    poll("the bucket to get what it missed", Duration::from_secs(30), all);

    // No key and no signature is in what the broker says.
    for secret in [crate::support::s3::KEY.1, "X-Amz-Signature"] {
        assert!(!world.log_text().contains(secret), "{secret}");
    }

    // A wrong key is told by the service's word for it.
    assert_eq!(world.stop(), 0);
    world.setup_mut().environment = vec![
        ("MIRROR_KEY".into(), "AKIDEXAMPLE".into()),
        ("MIRROR_SECRET".into(), "another".into()),
    ];
    assert!(!world.try_start());
    assert!(
        world.log_text().contains("it answered 403 SignatureDoesNotMatch"),
        "{}",
        world.log_text()
    );
}

#[test]
fn what_is_known_to_be_there_is_not_asked_for_again() {
    let mut world = World::new();
    let s3 = S3::mirror_of(&mut world);
    world.start();
    let anna = world.api("anna");
    let all = |world: &World| {
        poll("the bucket to hold all", Duration::from_secs(60), || {
            (metric(world, "lacking_entries") == 0).then_some(())
        })
    };
    // Each question is an entry: more than four full tiles of them.
    while Checkpoint::of(&anna).size <= 1024 {
        for _ in 0..64 {
            assert_eq!(anna.get("/v1/audit/entries?limit=1").status, 200);
        }
    }
    all(&world);
    assert_eq!(world.stop(), 0);
    let full = ["000", "001", "002", "003"].map(|tile| format!("chunkctl/prod/tile/0/{tile}"));
    let asked = || full.iter().map(|tile| s3.asked(tile)).collect::<Vec<_>>();
    let before = asked();
    assert!(before.iter().all(|times| *times >= 1), "{before:?}");
    world.start();
    assert_eq!(world.api("anna").get("/v1/audit/entries?limit=1").status, 200);
    all(&world);
    // One that is looked at again, in its turn, and perhaps the next.
    let again: Vec<_> = asked().into_iter().zip(&before).map(|(now, before)| now - before).collect();
    assert!(again.iter().sum::<usize>() <= 4 && again.contains(&0), "{again:?}");

    // A note of another history is worth nothing: all of it is asked for.
    assert_eq!(world.stop(), 0);
    let note = world.broker_dir().join("data/mirror.json");
    let mut noted: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&note).unwrap()).unwrap();
    noted["root"] = "00".repeat(32).into();
    std::fs::write(&note, noted.to_string()).unwrap();
    let before = asked();
    world.start();
    poll("the tiles to be asked for", Duration::from_secs(20), || {
        asked().iter().zip(&before).all(|(now, before)| now > before).then_some(())
    });
    assert!(!world.log_text().contains("contradicts"), "{}", world.log_text());
}

#[test]
fn a_journal_that_holds_less_than_its_bucket_does_not_start() {
    let mut world = World::new();
    let _s3 = S3::mirror_of(&mut world);
    let (data, copy) = (world.broker_dir().join("data"), world.path().join("copy"));
    copy_folder(&data, &copy);
    world.start();
    drop(world.api("dana"));
    assert_eq!(world.stop(), 0);
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    assert!(!world.try_start(), "it started from an old copy");
    let said = world.log_text();
    assert!(
        said.contains("and the journal holds") && said.contains("put the newest copy of the data folder back"),
        "{said}"
    );
}
