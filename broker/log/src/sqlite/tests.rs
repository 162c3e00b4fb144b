#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::collections::HashMap;

use super::*;

fn record(n: u8) -> Record {
    Record {
        leaf: vec![n; 10],
        sealed: vec![n; 20],
        data_key: n.is_multiple_of(2).then(|| format!("k{n}")),
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    (folder, path)
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    assert_eq!(journal.append(0, &[record(0), record(1)], Urgency::Normal).unwrap(), 2);
    assert_eq!(journal.append(2, &[record(2)], Urgency::Closing).unwrap(), 3);
    drop(journal);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.size(), 3);
    assert_eq!(journal.read(0, 10).unwrap(), [record(0), record(1), record(2)]);
    assert_eq!(journal.read(1, 1).unwrap(), [record(1)]);
    assert_eq!(journal.read(3, 1).unwrap(), []);
    assert_eq!(journal.read(9, usize::MAX).unwrap(), []);
}

#[test]
fn creating_never_overwrites_and_opening_never_creates() {
    let (_folder, path) = folder();
    assert!(matches!(SqliteJournal::open(&path), Err(OpenError::Missing(_))));
    drop(SqliteJournal::create(&path).unwrap());
    assert!(matches!(SqliteJournal::create(&path), Err(OpenError::Exists(_))));
    let other = path.with_file_name("other.db");
    std::fs::write(&other, "not a database, but long enough to look like one".repeat(100)).unwrap();
    assert!(matches!(SqliteJournal::open(&other), Err(OpenError::Foreign(_))));
    let empty = path.with_file_name("empty.db");
    std::fs::write(&empty, "").unwrap();
    assert!(matches!(SqliteJournal::open(&empty), Err(OpenError::Foreign(_))));
}

#[test]
fn a_second_broker_is_kept_out() {
    let (_folder, path) = folder();
    let journal = SqliteJournal::create(&path).unwrap();
    assert!(matches!(SqliteJournal::open(&path), Err(OpenError::InUse(_))));
    drop(journal);
    assert!(SqliteJournal::open(&path).is_ok());
}

#[test]
fn a_stale_size_conflicts_and_changes_nothing() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    journal.append(0, &[record(0)], Urgency::Normal).unwrap();
    assert!(matches!(
        journal.append(0, &[record(1)], Urgency::Normal),
        Err(AppendError::Conflict { expected: 0, found: 1 })
    ));
    assert_eq!(journal.read(0, 9).unwrap(), [record(0)]);
}

#[test]
fn a_foreign_writer_is_noticed_by_the_database_itself() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute("INSERT INTO entries VALUES (0, x'00', x'', NULL)", [])
        .unwrap();
    assert!(matches!(
        journal.append(0, &[record(1)], Urgency::Normal),
        Err(AppendError::Conflict { expected: 0, found: 1 })
    ));
}

#[test]
fn a_missing_entry_is_found_at_open_and_at_read() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    journal.append(0, &[record(0), record(1), record(2)], Urgency::Normal).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute("DELETE FROM entries WHERE idx = 1", [])
        .unwrap();
    assert!(matches!(journal.read(0, 9), Err(ReadError::Gap(1))));
    drop(journal);
    assert!(matches!(SqliteJournal::open(&path), Err(OpenError::Gap { end: 3, found: 2 })));
}

#[test]
fn a_reader_on_another_thread_follows_the_writer() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    let reader = journal.reader().unwrap();
    journal.append(0, &[record(0)], Urgency::Normal).unwrap();
    let read = std::thread::spawn(move || (reader.size(), reader.read(0, 9).unwrap()))
        .join()
        .unwrap();
    assert_eq!(read, (1, vec![record(0)]));
}

#[test]
fn after_a_write_error_nothing_is_taken_until_opened_again() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    journal.append(0, &[record(0)], Urgency::Normal).unwrap();
    journal.connection.pragma_update(None, "query_only", true).unwrap();
    assert!(matches!(
        journal.append(1, &[record(1)], Urgency::Normal),
        Err(AppendError::Failed(_))
    ));
    journal.connection.pragma_update(None, "query_only", false).unwrap();
    assert!(matches!(
        journal.append(1, &[record(1)], Urgency::Closing),
        Err(AppendError::Failed(_))
    ));
    drop(journal);
    let mut journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.append(1, &[record(1)], Urgency::Normal).unwrap(), 2);
}

#[test]
fn a_full_database_rolls_back_and_goes_on_when_there_is_room() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    journal.append(0, &[record(0)], Urgency::Normal).unwrap();
    let pages: i64 = journal.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let big = Record {
        leaf: vec![1; 200_000],
        ..record(1)
    };
    assert!(matches!(
        journal.append(1, &[record(1), big.clone()], Urgency::Normal),
        Err(AppendError::NoSpace)
    ));
    assert_eq!((journal.size(), journal.read(0, 9).unwrap().len()), (1, 1));
    journal.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert_eq!(journal.append(1, &[record(1), big], Urgency::Normal).unwrap(), 3);
}

#[test]
fn space_is_kept_back_for_endings() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    assert!(path.with_file_name("journal.db.reserve").exists());
    journal.reserve.pretend_full(true);
    assert!(matches!(
        journal.append(0, &[record(0)], Urgency::Normal),
        Err(AppendError::NoSpace)
    ));
    assert_eq!(journal.append(0, &[record(0)], Urgency::Closing).unwrap(), 1);
    assert!(journal.reserve.release());
    assert!(!path.with_file_name("journal.db.reserve").exists());
    journal.reserve.pretend_full(false);
    assert_eq!(journal.append(1, &[record(1)], Urgency::Normal).unwrap(), 2);
    assert!(path.with_file_name("journal.db.reserve").exists());
}

/// Every file of the journal in one piece.
fn on_disk(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

/// A body that is like no other.
fn body(n: u16, length: usize) -> Vec<u8> {
    (0..length)
        .flat_map(|at| format!("{n:04}-{at:06};").into_bytes())
        .take(length)
        .collect()
}

#[test]
fn a_body_that_was_taken_away_is_in_no_file_and_the_rest_stands_as_it_was() {
    let (folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    // Short ones, many a page, and ones that need pages of their own.
    let lengths = [60, 700, 3000, 5000, 60_000];
    let records: Vec<Record> = (0..500_u16)
        .map(|n| Record {
            leaf: format!("leaf {n}").into_bytes(),
            sealed: body(n, lengths[usize::from(n) % lengths.len()]),
            data_key: Some(format!("k{n}")),
        })
        .collect();
    for (at, page) in records.chunks(50).enumerate() {
        journal.append(at as u64 * 50, page, Urgency::Normal).unwrap();
    }
    let reader = journal.reader().unwrap();
    let gone: Vec<u64> = (0..300).filter(|index| index % 3 != 1).collect();
    for index in &gone {
        assert_eq!(
            reader.read(*index, 1).unwrap()[0].sealed.len(),
            records[usize::try_from(*index).unwrap()].sealed.len()
        );
    }
    assert!(journal.forget(&gone).unwrap());
    let check = |journal: &SqliteJournal| {
        let bytes = on_disk(folder.path());
        let ends = |index: &u64| {
            let sealed = &records[usize::try_from(*index).unwrap()].sealed;
            [(&sealed[..24], *index), (&sealed[sealed.len() - 24..], *index)]
        };
        let taken: HashMap<&[u8], u64> = gone.iter().flat_map(ends).collect();
        let there = bytes.windows(24).find_map(|window| taken.get(window));
        assert!(there.is_none(), "body {there:?} is still there");
        for (index, record) in records.iter().enumerate() {
            let read = journal.read(index as u64, 1).unwrap().remove(0);
            assert_eq!(read.leaf, record.leaf);
            if gone.contains(&(index as u64)) {
                assert!(read.sealed.is_empty() && read.data_key.is_none());
            } else {
                assert_eq!(read, *record);
            }
        }
    };
    check(&journal);
    journal.append(500, &[record(1)], Urgency::Normal).unwrap();
    drop((reader, journal));
    let mut journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.size(), 501);
    check(&journal);
    assert!(journal.forget(&[]).unwrap(), "nothing is taken away twice");
}

#[test]
fn pages_that_somebody_reads_are_waited_for() {
    let (_folder, path) = folder();
    let mut journal = SqliteJournal::create(&path).unwrap();
    journal.append(0, &[record(0), record(1)], Urgency::Normal).unwrap();
    journal.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM entries;").unwrap();
    assert!(!journal.forget(&[0]).unwrap(), "an old page is still in use");
    assert_eq!(journal.read(0, 1).unwrap()[0].sealed, b"");
    reader.execute_batch("COMMIT").unwrap();
    assert!(journal.forget(&[]).unwrap());
    journal.append(2, &[record(2)], Urgency::Normal).unwrap();
}
