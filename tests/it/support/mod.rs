//! What every story stands on: the servers that `tests/run` started, a broker of the story's own, people who type commands
//! and press buttons, and a client that can misbehave.

pub(crate) mod api;
pub(crate) mod browser;
pub(crate) mod bundle;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod foreign;
pub(crate) mod forger;
pub(crate) mod issuer;
pub(crate) mod mail;
pub(crate) mod oracle;
pub(crate) mod person;
pub(crate) mod process;
pub(crate) mod receivers;
pub(crate) mod s3;
pub(crate) mod servers;
pub(crate) mod terminal;
pub(crate) mod world;

pub(crate) use api::{Answer, Api};
pub(crate) use config::Setup;
pub(crate) use person::{Output, Person};
pub(crate) use world::World;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Runs a future to its end: stories read from top to bottom, and only the plumbing below them is asynchronous.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    });
    RUNTIME.block_on(future)
}

/// Asks again until there is an answer. Says what was waited for when the time is over.
pub(crate) fn poll<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < within, "waited {} s for {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    bytes
}

/// SHA-256, hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
