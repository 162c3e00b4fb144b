//! Kills a writing process at any moment and looks at what is left: what it acknowledged is there, with its bytes, and
//! nothing else but whole batches.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use chunk_log::{AppendError, Journal as _, Record, SqliteJournal, Urgency};

const ROLE: &str = "CHUNK_LOG_TEST_WRITER";
const BATCH: u64 = 3;

fn record(index: u64) -> Record {
    let fill = u8::try_from(index % 251).unwrap_or_default();
    let length = usize::try_from(index % 97).unwrap_or_default();
    Record {
        leaf: format!("leaf {index}").into_bytes(),
        sealed: vec![fill; 40 * length],
        data_key: Some(format!("dk_{}", index % 5)),
    }
}

/// The child: appends batches and names each acknowledged size on its standard output until it is killed.
#[test]
fn writer() {
    let Ok(path) = std::env::var(ROLE) else { return };
    let mut journal = SqliteJournal::open(path).unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let size = journal.size();
        let batch: Vec<Record> = (size..size + BATCH).map(record).collect();
        match journal.append(size, &batch, Urgency::Normal) {
            Ok(size) => writeln!(out, "ack {size}").unwrap(),
            Err(AppendError::NoSpace) => {
                writeln!(out, "full").unwrap();
                return;
            }
            Err(error) => {
                writeln!(out, "failed").unwrap();
                panic!("{error}");
            }
        }
        out.flush().unwrap();
    }
}

/// Kills a child once it has acknowledged so many batches, wherever it then is; gives the last size it acknowledged.
fn write_and_kill(path: &Path, batches: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(ROLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = lines.filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok());
    let before = acknowledged.nth(batches).unwrap();
    child.kill().unwrap();
    let last = acknowledged.last().unwrap_or(before);
    child.wait().unwrap();
    last
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(SqliteJournal::create(&path).unwrap());
    for round in 0..12_usize {
        let acknowledged = write_and_kill(&path, round * round);
        let journal = SqliteJournal::open(&path).unwrap();
        assert!(
            journal.size() >= acknowledged,
            "round {round}: {} entries, {acknowledged} acknowledged",
            journal.size()
        );
        assert!(journal.size().is_multiple_of(BATCH), "round {round}: half a batch");
        for (index, found) in (0..).zip(journal.read(0, usize::MAX).unwrap()) {
            assert_eq!(found, record(index), "round {round}, entry {index}");
        }
    }
}
