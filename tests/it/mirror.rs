//! The mirror: a copy of the tree from which anybody computes the signed root; never replaced, never contradicted unnoticed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_wire::fetch::Format;
use chunk_wire::session::BrokerInfo;

use crate::support::api::slice;
use crate::support::foreign::{Hash, root, signed};
use crate::support::oracle::Checkpoint;
use crate::support::world::copy_folder;
use crate::support::{World, poll};

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
        let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
        rita.approve(&request);
        assert!(dana.fetch(&request).complete);
    }
    assert_eq!(world.stop(), 0);

    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let newest = Checkpoint::parse(&note);
    assert!(newest.size > 256, "{}", newest.size);
    assert_eq!(signed(&note, &info.log_key), Some(0));
    let leaves = leaves(&folder, newest.size);
    assert_eq!(leaves.len() as u64, newest.size);
    assert_eq!(root(&leaves), newest.root);
    // Dated checkpoints are heads of the same tree, and all that was copied is there to be compared.
    let mut dated = 0;
    for day in std::fs::read_dir(folder.join("checkpoints")).unwrap() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let one = Checkpoint::parse(&std::fs::read_to_string(file.unwrap().path()).unwrap());
            let size = usize::try_from(one.size).unwrap();
            assert_eq!(root(&leaves[..size]), one.root);
            dated += 1;
        }
    }
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
