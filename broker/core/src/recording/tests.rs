#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use chunk_log::data_keys::{DataKeyId, DataKeys};

use super::RecordingError;
use super::sealed::{BLOCK_BYTES_MAX, Opener, Sealer};

fn keys() -> (DataKeys, DataKeyId, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let keys = DataKeys::create(dir.path().join("keys.db"), &[9; 32]).unwrap();
    let key = keys.key_for("act_1", "2026-01").unwrap();
    (keys, key, dir)
}

/// A file of these blocks, and where each of its blocks begins.
fn file(keys: &DataKeys, key: &DataKeyId, blocks: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let (mut sealer, mut file) = Sealer::begin(keys, key, 17).unwrap();
    let mut at = Vec::new();
    for block in blocks {
        at.push(file.len());
        file.extend(sealer.block(block).unwrap());
    }
    at.push(file.len());
    file.extend(sealer.end().unwrap());
    (file, at)
}

fn read(keys: &DataKeys, file: &[u8], intent: u64) -> Result<Vec<u8>, RecordingError> {
    let mut opener = Opener::begin(keys, file, intent)?;
    let mut all = Vec::new();
    while let Some(block) = opener.next()? {
        all.extend_from_slice(&block);
    }
    Ok(all)
}

#[test]
fn what_was_recorded_reads_back_and_does_not_stand_in_the_file() {
    let (keys, key, _dir) = keys();
    let long = vec![b'x'; BLOCK_BYTES_MAX];
    let (file, _) = file(&keys, &key, &[b"ada,1\n", &long, b"bob,2\n"]);
    assert_eq!(read(&keys, &file, 17).unwrap(), [b"ada,1\n", long.as_slice(), b"bob,2\n"].concat());
    assert!(!file.windows(4).any(|window| window == b"ada," || window == b"xxxx"));
}

#[test]
fn a_recording_is_that_of_its_own_intent_whole_and_in_its_order() {
    let (keys, key, _dir) = keys();
    let (file, at) = file(&keys, &key, &[b"one", b"two"]);
    assert!(read(&keys, &file, 18).is_err(), "of another intent");
    for length in 0..file.len() {
        assert!(read(&keys, &file[..length], 17).is_err(), "cut to {length} bytes");
    }
    let (one, two, end) = (&file[at[0]..at[1]], &file[at[1]..at[2]], &file[at[2]..]);
    let head = &file[..at[0]];
    for forged in [
        [head, two, one, end].concat(),
        [head, one, end].concat(),
        [head, one, one, end].concat(),
        [head, end].concat(),
    ] {
        assert!(read(&keys, &forged, 17).is_err());
    }
    for byte in 0..file.len() {
        let mut changed = file.clone();
        changed[byte] ^= 1;
        assert!(read(&keys, &changed, 17).is_err(), "byte {byte} changed");
    }
}

#[test]
fn whoever_destroys_the_data_key_has_destroyed_the_recording() {
    let (keys, key, _dir) = keys();
    let (file, _) = file(&keys, &key, &[b"one"]);
    keys.destroy(&key).unwrap();
    assert!(matches!(read(&keys, &file, 17), Err(RecordingError::Erased)));
}
