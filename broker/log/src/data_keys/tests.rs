#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;

const MASTER: [u8; 32] = [7; 32];

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.db");
    (folder, path)
}

#[test]
fn what_was_sealed_opens_again_after_a_restart_for_its_own_leaf_only() {
    let (_folder, path) = folder();
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    let id = keys.key_for("ada", "2026-01").unwrap();
    assert_eq!(keys.key_for("ada", "2026-01").unwrap(), id);
    assert_ne!(keys.key_for("ada", "2026-02").unwrap(), id);
    assert_ne!(keys.key_for("bob", "2026-01").unwrap(), id);
    let sealed = keys.seal(&id, b"leaf", b"body").unwrap();
    assert_ne!(sealed, keys.seal(&id, b"leaf", b"body").unwrap());
    drop(keys);
    let keys = DataKeys::open(&path, &MASTER).unwrap();
    assert_eq!(keys.key_for("ada", "2026-01").unwrap(), id);
    assert_eq!(keys.unseal(&id, b"leaf", &sealed).unwrap().unwrap().as_slice(), b"body");
    assert!(matches!(keys.unseal(&id, b"other", &sealed), Err(DataKeyError::Damaged)));
    assert!(matches!(
        keys.unseal(&DataKeyId::from_stored("dk_x"), b"leaf", &sealed),
        Err(DataKeyError::Unknown)
    ));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(matches!(keys.unseal(&id, b"leaf", &changed), Err(DataKeyError::Damaged)));
    }
    assert!(matches!(keys.unseal(&id, b"leaf", b"short"), Err(DataKeyError::Damaged)));
}

#[test]
fn a_destroyed_key_opens_nothing_ever_and_its_owner_gets_another() {
    let (_folder, path) = folder();
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    let id = keys.key_for("ada", "2026-01").unwrap();
    let sealed = keys.seal(&id, b"leaf", b"body").unwrap();
    assert!(keys.destroy(&id).unwrap());
    assert!(!keys.destroy(&id).unwrap());
    assert_eq!(keys.unseal(&id, b"leaf", &sealed).unwrap(), None);
    assert!(matches!(keys.seal(&id, b"leaf", b"body"), Err(DataKeyError::Destroyed)));
    drop(keys);
    let keys = DataKeys::open(&path, &MASTER).unwrap();
    assert_eq!(keys.unseal(&id, b"leaf", &sealed).unwrap(), None);
    assert_ne!(keys.key_for("ada", "2026-01").unwrap(), id);
}

#[test]
fn neither_people_nor_keys_stand_in_the_file() {
    let (_folder, path) = folder();
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    let id = keys.key_for("ada.lovelace@example.org", "2026-01").unwrap();
    let key = keys.unwrap_key(&id).unwrap().unwrap();
    drop(keys);
    let file = std::fs::read(&path).unwrap();
    assert!(!file.windows(12).any(|w| w == b"ada.lovelace"));
    assert!(!file.windows(32).any(|w| w == key.as_slice()));
    assert!(!file.windows(32).any(|w| w == MASTER));
}

#[test]
fn another_master_key_and_a_second_process_are_refused() {
    let (_folder, path) = folder();
    assert!(matches!(DataKeys::open(&path, &MASTER), Err(DataKeyError::Missing(_))));
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    assert!(matches!(DataKeys::open(&path, &MASTER), Err(DataKeyError::InUse(_))));
    drop(keys);
    assert!(matches!(DataKeys::create(&path, &MASTER), Err(DataKeyError::Exists(_))));
    assert!(matches!(DataKeys::open(&path, &[8; 32]), Err(DataKeyError::MasterKey)));
}

#[test]
fn after_a_write_error_no_key_is_made_or_destroyed_until_opened_again() {
    let (_folder, path) = folder();
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    let id = keys.key_for("ada", "2026-01").unwrap();
    let sealed = keys.seal(&id, b"leaf", b"body").unwrap();
    let read_only = |on: bool| keys.lock().connection.pragma_update(None, "query_only", on).unwrap();
    read_only(true);
    assert!(matches!(keys.key_for("bob", "2026-01"), Err(DataKeyError::Database(_))));
    read_only(false);
    assert!(matches!(keys.key_for("bob", "2026-01"), Err(DataKeyError::Poisoned)));
    assert!(matches!(keys.destroy(&id), Err(DataKeyError::Poisoned)));
    assert_eq!(keys.unseal(&id, b"leaf", &sealed).unwrap().unwrap().as_slice(), b"body");
    drop(keys);
    let keys = DataKeys::open(&path, &MASTER).unwrap();
    assert!(keys.key_for("bob", "2026-01").is_ok());
    assert!(keys.destroy(&id).unwrap());
}

#[test]
fn a_full_disk_makes_no_key_and_goes_on_when_there_is_room() {
    let (_folder, path) = folder();
    let keys = DataKeys::create(&path, &MASTER).unwrap();
    let pages_max = |pages: i64| keys.lock().connection.pragma_update(None, "max_page_count", pages).unwrap();
    let pages = keys
        .lock()
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    pages_max(pages);
    let refused = (0..100).find_map(|n| keys.key_for(&format!("p{n}"), "2026-01").err());
    assert!(matches!(refused, Some(DataKeyError::Database(_))), "{refused:?}");
    pages_max(1_000_000);
    assert!(keys.key_for("somebody else", "2026-01").is_ok());
}
