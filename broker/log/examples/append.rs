//! How fast entries become durable: committed, sealed, appended to the journal, hashed into the tree, under a signed checkpoint, each
//! with its inclusion proof. The yardstick, in turns and in the same folder, is a file that gets the same bytes and one `fdatasync`
//! a commit. Then how fast a page of a search comes out of that journal: found in the index, read, opened.
//!
//! `cargo run --release --locked -p chunk-log --example append [ENTRIES [FOLDER]]`
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on must end and say where"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chunk_evidence::body::{Body, Group};
use chunk_evidence::draft::Draft;
use chunk_evidence::encode::sha256;
use chunk_evidence::leaf::{Header, Kind, Leaf};
use chunk_log::data_keys::{DataKeyId, DataKeys};
use chunk_log::index::{Index, Question};
use chunk_log::journal::{Journal as _, JournalReader, Urgency};
use chunk_log::seal::{Drawn, Unsealed, seal_all};
use chunk_log::signer::LogSigner;
use chunk_log::sqlite::SqliteJournal;
use chunk_log::tree::Tree;
use ring::rand::SystemRandom;

/// Entries of a commit: alone, a few people at once, and as many as one commit takes.
const COMMITS: [u64; 3] = [1, 32, 1024];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let entries: u64 = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile_in(&folder);
    println!("entries a commit | entries/s | commits/s | beside the same bytes and fdatasync");
    for commit in COMMITS {
        // Many syncs are slow: fewer entries tell as much.
        let most = match commit {
            1 => 2_000,
            32 => 200_000,
            _ => u64::MAX,
        };
        measure(&folder, commit, entries.min(most));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn tempfile_in(folder: &Path) -> PathBuf {
    let folder = folder.join(format!("chunkctl-append-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

fn measure(folder: &Path, commit: u64, entries: u64) {
    let at = |name: &str| folder.join(format!("{name}-{commit}"));
    let keys = DataKeys::create(at("keys"), &[7; 32]).unwrap();
    let signer = LogSigner::from_seed("example.org/append", &[42; 32]).unwrap();
    let mut journal = SqliteJournal::create(at("journal")).unwrap();
    let (mut tree, mut index) = (Tree::new(), Index::default());
    let mut yardstick = File::create(at("yardstick")).unwrap();
    let (mut ours, mut theirs, mut commits) = (Duration::ZERO, Duration::ZERO, 0_u32);
    while tree.size() < entries {
        let began = Instant::now();
        let first = tree.size();
        let (entries, headers): (Vec<_>, Vec<_>) = (first..first + commit).map(|index| entry(&keys, index)).unzip();
        let sealed = seal_all(entries).unwrap();
        let (records, hashes): (Vec<_>, Vec<_>) = sealed.into_iter().map(|sealed| (sealed.record, sealed.hash)).unzip();
        let size = journal.append(first, &records, Urgency::Normal).unwrap();
        for (header, hash) in headers.iter().zip(hashes) {
            tree.push(hash);
            index.push(header, []);
        }
        signer.sign(size, tree.root(size).unwrap()).unwrap();
        let edge = tree.edge(size).unwrap();
        for index in first..size {
            assert!(edge.inclusion(index).is_some());
        }
        ours += began.elapsed();

        let bytes: Vec<u8> = records
            .iter()
            .flat_map(|r| [r.leaf.as_slice(), &r.sealed])
            .flatten()
            .copied()
            .collect();
        let began = Instant::now();
        yardstick.write_all(&bytes).unwrap();
        yardstick.sync_data().unwrap();
        theirs += began.elapsed();
        commits += 1;
    }
    let per_s = |count: f64| count / ours.as_secs_f64();
    println!(
        "{commit:>16} | {:>9.0} | {:>9.0} | {:.2} times as long",
        per_s(tree.size() as f64),
        per_s(f64::from(commits)),
        ours.as_secs_f64() / theirs.as_secs_f64(),
    );
    if commit == 1024 {
        search(journal.reader().unwrap().as_ref(), &index, &keys);
    }
}

/// Asks for pages of a hundred entries, newest first.
fn search(journal: &dyn JournalReader, index: &Index, keys: &DataKeys) {
    let somebody = ["act_0000000000007".to_owned()];
    let kind = |kind| Question {
        kind: Some(kind),
        ..Question::default()
    };
    let questions = [
        ("everything", Question::default()),
        (
            "what one of 120 people did",
            Question {
                actors: Some(&somebody),
                ..Question::default()
            },
        ),
        (
            "a dataset read once in 100 000",
            Question {
                dataset: Some("rare"),
                ..Question::default()
            },
        ),
        (
            "one person, one dataset, one kind",
            Question {
                actors: Some(&somebody),
                dataset: Some("customers"),
                ..kind("review")
            },
        ),
        (
            "what there is none of",
            Question {
                dataset: Some("rare"),
                ..kind("review.reject")
            },
        ),
    ];
    println!(
        "\na page of a search over {} entries | entries found | ms, median of {ROUNDS} | ms, slowest",
        index.size()
    );
    for (name, question) in questions {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let entries = index.find(&question, 0..index.size(), 100);
            for entry in &entries {
                let record = journal.read(*entry, 1).unwrap().remove(0);
                let leaf = Leaf::parse(&record.leaf).unwrap();
                let key = DataKeyId::from_stored(record.data_key.unwrap());
                let document = keys.unseal(&key, &sha256(&record.leaf), &record.sealed).unwrap().unwrap();
                let (rk, body) = Body::parse_document(std::str::from_utf8(&document).unwrap()).unwrap();
                assert_eq!(body.root(&rk).unwrap(), leaf.body_root);
            }
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            found = entries.len();
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{name:>35} | {found:>13} | {:>16.2} | {:>11.2}",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
    }
}

const ROUNDS: usize = 21;

/// An entry of about the length that an intent has.
fn entry(keys: &DataKeys, index: u64) -> (Unsealed, Header) {
    let drawn = Drawn::from(&SystemRandom::new()).unwrap();
    let body = Body::new()
        .with(
            Group::What,
            serde_json::json!({ "chunk": 0, "fetch": format!("fet_{index:016}"), "request": format!("req_{index:016}") }),
        )
        .with(
            Group::Obj,
            serde_json::json!({ "connections": ["shop"], "datasets": ["customers"] }),
        )
        .with(
            Group::Mask,
            serde_json::json!({ "columns": [
                { "class": "pii.email", "column": "email", "dataset": "customers", "mask": "redact" },
                { "column": "total", "dataset": "customers", "mask": "open" },
            ] }),
        );
    let kinds = [Kind::FetchIntent, Kind::ReviewApprove, Kind::RequestCreate, Kind::FetchOutcome];
    let mut header = Header::new(kinds[(index / 120 % 4) as usize]);
    header.t = 1_790_000_000_000;
    header.act = Some(format!("act_{:013}", index % 120));
    header.sid = Some(format!("ses_{:016}", index % 120));
    header.ds = Some(if index % 100_000 == 7 { "rare" } else { "customers" }.to_owned());
    header.refs = vec![0, 1];
    let key = keys.data_key(header.act.as_deref().unwrap(), "2026-09").unwrap();
    let draft = Draft::new(&header, &body, drawn.rk()).unwrap();
    (Unsealed::new(draft, key, drawn), header)
}
