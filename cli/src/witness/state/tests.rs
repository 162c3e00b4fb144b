#![expect(clippy::unwrap_used, reason = "tests")]
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use chunk_evidence::encode::sha256_hex;

use super::*;
use crate::witness::judge::check;
use crate::witness::judge::tests::{TestLog, body};
use crate::witness::key::tests::signer;
use crate::witness::request::AddCheckpoint;

const NOW_S: u64 = 1_700_000_000;

struct Desk {
    folder: tempfile::TempDir,
    log: TestLog,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            log: TestLog::new("log.example/a", "a story"),
        };
        make(&desk.path(), &signer("w1", 7)).unwrap();
        desk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("witness.state")
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), signer("w1", 7), vec![self.log.key.clone()]).unwrap()
    }

    fn signed(&self, body: &str) -> Signed {
        check(AddCheckpoint::parse(body.as_bytes()).unwrap(), std::slice::from_ref(&self.log.key)).unwrap()
    }

    fn add(&self, store: &mut Store, from: usize, to: usize) -> std::result::Result<Cosigned, Unsigned> {
        store.add(&self.signed(&self.log.asks(from, to)), NOW_S)
    }
}

#[test]
fn what_was_cosigned_is_on_disk_before_it_is_told_and_is_remembered() {
    let desk = Desk::new();
    let mut store = desk.open();
    let cosigned = desk.add(&mut store, 0, 5).unwrap();
    assert_eq!((cosigned.size, cosigned.time_s), (5, NOW_S));
    let text = std::fs::read_to_string(desk.path()).unwrap();
    assert!(text.contains(cosigned.line.trim_end()), "{text}");
    drop(store);
    let mut store = desk.open();
    assert_eq!(
        store.known(),
        [KnownLog {
            origin: "log.example/a".into(),
            size: 5
        }]
    );
    assert!(matches!(desk.add(&mut store, 0, 7), Err(Unsigned::Refused(Refusal::Conflict(5)))));
    assert_eq!(desk.add(&mut store, 5, 7).unwrap().size, 7);
    // And served with the log's signature and its own, for those who monitor.
    let served = store.checkpoint_of(&sha256_hex(b"log.example/a")).unwrap();
    let note = Note::parse(&served).unwrap();
    assert_eq!(
        (note.signed_by(&desk.log.key), signer("w1", 7).verifier().cosigned_note(&note)),
        (Ok(true), Ok(Some(NOW_S)))
    );
    assert_eq!(store.checkpoint_of(&sha256_hex(b"log.example/b")), None);
}

#[test]
fn a_state_that_cannot_be_written_gives_no_cosignature_and_changes_nothing() {
    let desk = Desk::new();
    let mut store = desk.open();
    desk.add(&mut store, 0, 5).unwrap();
    // A folder where the new file should be: nobody can write there, not even root.
    let in_the_way = beside(&desk.path(), "new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(desk.add(&mut store, 5, 6), Err(Unsigned::Unwritten(_))));
    assert_eq!(store.known().first().unwrap().size, 5);
    // The refused tree was never promised to anybody, so another one may follow.
    std::fs::remove_dir(&in_the_way).unwrap();
    let fork = desk.log.forked_at(5);
    assert!(store.add(&desk.signed(&fork.asks(5, 6)), NOW_S).is_ok());
}

#[test]
fn a_state_whose_place_cannot_be_taken_stops_the_witness_for_good() {
    let desk = Desk::new();
    let mut store = desk.open();
    desk.add(&mut store, 0, 5).unwrap();
    // The file has become a folder that is not empty: the new one cannot take its place.
    std::fs::remove_file(desk.path()).unwrap();
    std::fs::create_dir_all(desk.path().join("x")).unwrap();
    assert!(matches!(desk.add(&mut store, 5, 6), Err(Unsigned::Broken(_))));
    std::fs::remove_dir_all(desk.path()).unwrap();
    assert!(
        matches!(desk.add(&mut store, 5, 6), Err(Unsigned::Broken(_))),
        "it must not go on as if nothing had been"
    );
}

#[test]
fn without_its_own_memory_a_witness_does_not_start() {
    let desk = Desk::new();
    {
        let mut store = desk.open();
        desk.add(&mut store, 0, 5).unwrap();
    }
    let open = |signer| {
        Store::open(&desk.path(), signer, Vec::new())
            .err()
            .map(|failure| failure.why.join(" "))
    };
    assert_eq!(open(signer("w1", 7)), None);
    // Another witness's.
    assert!(open(signer("w1", 8)).unwrap().contains("belongs to the key"));
    let good = std::fs::read_to_string(desk.path()).unwrap();
    for (change, to) in [
        ("\"v\": 1", "\"v\": 2"),
        ("\\n5\\n", "\\n4\\n"),
        ("log.example/a\": {", "log.example/b\": {"),
        ("1700000000", "1700000001"),
        ("\"logs\"", "\"lags\""),
    ] {
        assert!(good.contains(change), "{change} in {good}");
        std::fs::write(desk.path(), good.replacen(change, to, 1)).unwrap();
        assert!(open(signer("w1", 7)).is_some(), "{change} to {to}");
    }
    std::fs::write(desk.path(), &good[..good.len() / 2]).unwrap();
    assert!(open(signer("w1", 7)).is_some());
    std::fs::remove_file(desk.path()).unwrap();
    assert!(open(signer("w1", 7)).unwrap().contains("without its memory"));
}

#[test]
fn two_processes_never_share_a_memory() {
    let desk = Desk::new();
    let first = desk.open();
    let second = Store::open(&desk.path(), signer("w1", 7), Vec::new()).err().unwrap();
    assert_eq!(second.code, "locked");
    drop(first);
    assert!(Store::open(&desk.path(), signer("w1", 7), Vec::new()).is_ok());
    assert_eq!(std::fs::metadata(desk.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_proof_that_a_log_forked_is_kept_once_and_the_log_s_true_history_goes_on() {
    let desk = Desk::new();
    let mut store = desk.open();
    desk.add(&mut store, 0, 5).unwrap();
    let fork = desk.log.forked_at(3);
    let shown = body(5, &[], &fork.checkpoint(5));
    assert!(matches!(
        store.add(&desk.signed(&shown), NOW_S),
        Err(Unsigned::Contradicted(Refusal::Inconsistent(_)))
    ));
    assert!(matches!(
        store.add(&desk.signed(&shown), NOW_S),
        Err(Unsigned::Refused(Refusal::Inconsistent(_)))
    ));
    desk.add(&mut store, 5, 8).unwrap();
    drop(store);
    desk.open();
    let text = std::fs::read_to_string(desk.path()).unwrap();
    let kept: Remembered = serde_json::from_str(&text).unwrap();
    let proof = kept.logs.get("log.example/a").unwrap().contradiction.clone().unwrap();
    for (note, root) in [(&proof.cosigned, desk.log.root(5)), (&proof.shown, fork.root(5))] {
        let note = Note::parse(note).unwrap();
        assert_eq!(note.signed_by(&desk.log.key), Ok(true));
        let head = read_head(note.text()).unwrap();
        assert_eq!((head.size, head.root), (5, root));
    }
}

#[test]
fn of_requests_that_race_one_history_is_cosigned() {
    let desk = Desk::new();
    let store = Arc::new(Mutex::new(desk.open()));
    let log = &desk.log;
    let forks: Vec<TestLog> = (0..8).map(|n| log.forked_at(n % 3)).collect();
    let told: Mutex<Vec<(u64, Hash)>> = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for (n, fork) in forks.iter().enumerate() {
            let (store, told, desk) = (Arc::clone(&store), &told, &desk);
            scope.spawn(move || {
                for size in 1..30 {
                    for from in 0..=size {
                        let signed = desk.signed(&fork.asks(from, size));
                        if store.lock().unwrap().add(&signed, NOW_S + n as u64).is_ok() {
                            told.lock().unwrap().push((size as u64, fork.root(size)));
                        }
                    }
                }
            });
        }
    });
    // Whatever was told belongs to one of the histories, the one whose first tree came first.
    let told = told.into_inner().unwrap();
    assert!(!told.is_empty());
    let one = forks.iter().chain([log]).any(|history| {
        told.iter()
            .all(|(size, root)| history.root(usize::try_from(*size).unwrap()) == *root)
    });
    assert!(one, "cosigned trees of more than one history");
}

#[test]
fn the_time_of_a_cosignature_never_goes_back() {
    let desk = Desk::new();
    let mut store = desk.open();
    let at = |store: &mut Store, to, now_s| {
        store
            .add(&desk.signed(&desk.log.asks(if to == 1 { 0 } else { to - 1 }, to)), now_s)
            .unwrap()
            .time_s
    };
    assert_eq!(at(&mut store, 1, NOW_S), NOW_S);
    assert_eq!(at(&mut store, 2, NOW_S - 1000), NOW_S);
    assert_eq!(at(&mut store, 3, NOW_S + 1), NOW_S + 1);
}

#[test]
fn a_log_that_is_not_configured_any_more_stays_remembered() {
    let desk = Desk::new();
    {
        let mut store = desk.open();
        desk.add(&mut store, 0, 5).unwrap();
    }
    let other = TestLog::new("log.example/b", "b");
    {
        let mut store = Store::open(&desk.path(), signer("w1", 7), vec![other.key.clone()]).unwrap();
        let asked = AddCheckpoint::parse(other.asks(0, 3).as_bytes()).unwrap();
        store.add(&check(asked, std::slice::from_ref(&other.key)).unwrap(), NOW_S).unwrap();
    }
    assert_eq!(desk.open().known().first().unwrap().size, 5);
}
