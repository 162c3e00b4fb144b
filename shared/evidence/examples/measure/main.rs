//! How large a bundle is, how fast it is written and verified, and how much memory verifying takes.
//!
//! `cargo run --release --locked -p chunk-evidence --example measure [ENTRIES [LEVEL [ROUNDS]]]`
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on must end and say where"
)]

mod log;

use std::io::Cursor;
use std::time::Instant;

use chunk_evidence::bundle::{Answer, BundleEntry, BundleHead, BundlePlan, BundleWriter, Consistency, EntryBody, Filter, verify_file};
use chunk_evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use chunk_evidence::dsse;
use chunk_evidence::merkle::{Frontier, empty_root, leaf_hash};
use chunk_evidence::trust::TrustPolicy;
use log::{Log, ORIGIN};

fn main() {
    let argument = |n: usize| std::env::args().nth(n).map(|text| text.parse::<u64>().unwrap());
    let entries = argument(1).unwrap_or(100_000);
    let log = Log::new(entries);
    let levels: Vec<u8> = argument(2).map_or(vec![1, 2, 3, 4], |level| vec![level as u8]);
    // The fastest round counts, because a machine is never faster than it is.
    let rounds = argument(3).unwrap_or(5);
    println!("{entries} entries, {} of them signed by people", log.signatures);
    for level in levels {
        // Whoever asks for many rounds looks for what takes time.
        for views in [false, true].into_iter().filter(|views| !views || argument(3).is_none()) {
            measure(&log, level, views, rounds);
        }
    }
}

fn measure(log: &Log, level: u8, views: bool, rounds: u64) {
    let entries = log.size();
    let began = Instant::now();
    let mut bundle = write(log, level, views);
    let written = began.elapsed().as_secs_f64();
    let length = bundle.get_ref().len() as f64;
    let trust = TrustPolicy::of_key(&log.verifier());
    let (memory, cpu) = (resident(), cpu_s());
    let times = (0..rounds).map(|_| {
        let began = Instant::now();
        let verification = verify_file(&mut bundle, &trust).unwrap();
        assert_eq!(verification.answer, Answer::True, "{:?}", verification.faults);
        began.elapsed().as_secs_f64()
    });
    let best = times.fold(f64::INFINITY, f64::min);
    println!(
        "level {level}{}: {:.1} B an entry, written {:.0}/s, verified {:.0}/s ({:.2} us of processor time each), {:.1} MiB more at most",
        if views { " with views" } else { "" },
        length / entries as f64,
        entries as f64 / written,
        entries as f64 / best,
        (cpu_s() - cpu) * 1e6 / (rounds * entries) as f64,
        (peak() - memory) as f64 / 1024.0,
    );
}

fn write(log: &Log, level: u8, views: bool) -> Cursor<Vec<u8>> {
    let mut frontier = Frontier::default();
    log.each(|_, leaf, _| frontier.push(leaf_hash(leaf)));
    let sign = |size, root| {
        let origin = ORIGIN.to_owned();
        SignedCheckpoint::sign(&Checkpoint { origin, size, root }, &log.key).unwrap()
    };
    let plan = BundlePlan {
        level,
        range: 0..log.size(),
        filter: Filter::default(),
        views,
        start: &sign(0, empty_root()),
        frontier: &Frontier::default(),
        log_key: &log.verifier(),
    };
    let mut writer = BundleWriter::begin(plan, Vec::new()).unwrap();
    log.each(|index, leaf, document| {
        let body = EntryBody::Document(document);
        let entry = BundleEntry {
            index,
            leaf,
            body,
            opened: true,
        };
        writer.row(&entry).unwrap();
    });
    let head = BundleHead {
        checkpoint: &sign(log.size(), frontier.root()),
        consistency: vec![Consistency {
            from: 0,
            root: empty_root(),
            proof: vec![],
        }],
        tail: &[],
        stamped: &[],
        rotations: &[],
    };
    let keyid = dsse::key_id(&dsse::public_key(&log.key));
    let bundle = writer.finish(&head, |payload_type, payload| dsse::sign(&log.key, payload_type, payload, &keyid));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut bundle.unwrap(), &mut bytes).unwrap();
    Cursor::new(bytes)
}

/// Processor time of all threads: what a busy machine does not falsify.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat.split_whitespace().skip(13).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// KiB resident now.
fn resident() -> u64 {
    status("VmRSS:")
}

/// KiB resident at most since the last look.
fn peak() -> u64 {
    let peak = status("VmHWM:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
