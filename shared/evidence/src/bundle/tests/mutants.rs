//! No byte of a bundle is free: every single-byte change tried, every deletion, swap of neighbours and truncation is false.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A bundle of about 64 KiB with everything in it.
pub(super) fn bundle_of_64_kib() -> (Log, Vec<u8>) {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
    loop {
        log.deny(&ada);
        log.deliver(&ada, &[&bob]);
        let bundle = Export::all(&log).write(&log);
        if bundle.len() >= 64 * 1024 {
            return (log, bundle);
        }
    }
}

/// What one byte can become; the byte itself is left out where it comes up.
const CHANGES: [fn(u8) -> u8; 7] = [
    |byte| byte ^ 0x01,
    |byte| byte ^ 0x20,
    |byte| byte ^ 0x80,
    |byte| byte.wrapping_add(1),
    |byte| byte.wrapping_sub(1),
    |_| 0,
    |_| b'\n',
];

/// The mutant of this number; none where it would be the bundle itself.
fn mutant(good: &[u8], number: usize) -> Option<Vec<u8>> {
    let (kind, at) = (number / good.len(), number % good.len());
    let mut bytes = good.to_vec();
    if let Some(change) = CHANGES.get(kind) {
        bytes[at] = change(bytes[at]);
    } else if kind == CHANGES.len() {
        bytes.remove(at);
    } else if kind == CHANGES.len() + 1 {
        bytes.swap(at, (at + 1) % good.len());
    } else {
        bytes.truncate(at);
    }
    (bytes != good).then_some(bytes)
}

#[test]
fn every_byte_of_a_bundle_is_authenticated() {
    let (log, good) = bundle_of_64_kib();
    let trust = trust(&log);
    assert_eq!(verify_bundle(&good, &trust).answer, Answer::True);
    let all = good.len() * (CHANGES.len() + 3);
    // Unoptimised hashing would take minutes: then every 97th mutant stands for all.
    let step = if cfg!(debug_assertions) { 97 } else { 1 };
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    if number >= all {
                        break;
                    }
                    if let Some(bytes) = mutant(&good, number) {
                        assert_eq!(verify_bundle(&bytes, &trust).answer, Answer::False, "mutant {number}");
                        tried.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let tried = tried.into_inner();
    assert!(tried * step > 500_000, "{tried} mutants of {} bytes", good.len());
}
