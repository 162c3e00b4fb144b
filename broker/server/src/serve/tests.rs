#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chunk_core::clock::SystemClock;
use chunk_port::{Frames, Inspection, ScanError, ScanErrorKind, ScanOrder, ScanPlan, Scanner, SourceColumn, Table};
use chunk_wire::fetch::Query;
use tokio_util::sync::CancellationToken;

use super::{install_crypto, serve};
use crate::commands::init;
use crate::config::{self, Config, Env};
use crate::ports::Ports;

/// A scanner whose sources are all down.
struct Down;

#[async_trait]
impl Scanner for Down {
    async fn describe(&self, _: &Table) -> Result<Vec<SourceColumn>, ScanError> {
        Err(down())
    }
    async fn inspect(&self, _: &Query, _: &[Table]) -> Result<Inspection, ScanError> {
        Err(down())
    }
    async fn plan(&self, _: &ScanOrder) -> Result<ScanPlan, ScanError> {
        Err(down())
    }
    async fn open(&self, _: ScanOrder) -> Result<Frames, ScanError> {
        Err(down())
    }
}

fn down() -> ScanError {
    ScanError {
        kind: ScanErrorKind::Source,
        public: "down".into(),
        operator: None,
    }
}

pub(crate) fn ports() -> Ports {
    Ports {
        clock: Arc::new(SystemClock),
        scanner: Arc::new(|_| Ok(Arc::new(Down))),
    }
}

/// Makes an installation in `dir` that listens at a free loopback port.
pub(crate) fn installation(dir: &Path, tls: bool) -> Config {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let asked = init::Init {
        dir: dir.to_owned(),
        name: "test".into(),
        public_url: format!("http://127.0.0.1:{port}").parse().unwrap(),
        listen: ([127, 0, 0, 1], port).into(),
        origin: None,
        postgres_example: false,
    };
    init::init(&asked, &Env::of(&[])).unwrap();
    let file = dir.join("broker.toml");
    if tls {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), issued.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("\"http://127.0.0.1:", "\"https://localhost:");
        let text = text.replace(
            "\n[[issuer]]",
            "\n[broker.tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n\n[[issuer]]",
        );
        std::fs::write(&file, text).unwrap();
    }
    config::load(&file).unwrap()
}

fn client(dir: &Path, tls: bool) -> reqwest::Client {
    install_crypto();
    let client = reqwest::Client::builder().no_proxy();
    if !tls {
        return client.build().unwrap();
    }
    let cert = reqwest::Certificate::from_pem(&std::fs::read(dir.join("cert.pem")).unwrap()).unwrap();
    client.tls_certs_only([cert]).https_only(true).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_starts_answers_and_stops_and_does_so_again() {
    for tls in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("b");
        drop(installation(&dir, tls));
        let client = client(&dir, tls);
        let mut sizes = Vec::new();
        for _ in 0..2 {
            let config = config::load(&dir.join("broker.toml")).unwrap();
            let base = config.broker.public_url.as_str().trim_end_matches('/').to_owned();
            let stop = CancellationToken::new();
            let (answers, ready) = tokio::sync::oneshot::channel();
            let running = tokio::spawn(serve(config, ports(), Env::of(&[]), stop.clone(), move || {
                answers.send(()).unwrap();
            }));
            ready.await.unwrap();
            for path in ["/healthz", "/readyz", "/v1/info", "/openapi.json"] {
                let answer = client.get(format!("{base}{path}")).send().await.unwrap();
                assert_eq!(answer.status(), 200, "{path}");
            }
            let version = client.get(format!("{base}/healthz")).send().await.unwrap().version();
            assert_eq!(version, if tls { http::Version::HTTP_2 } else { http::Version::HTTP_11 });
            let checkpoint = client.get(format!("{base}/checkpoint")).send().await.unwrap().text().await.unwrap();
            sizes.push(checkpoint.lines().nth(1).unwrap().parse::<u64>().unwrap());
            stop.cancel();
            running.await.unwrap().unwrap();
        }
        // The first run recorded its stop: the second starts from more.
        assert!(sizes.windows(2).all(|pair| pair.first() < pair.last()), "{sizes:?}");
    }
}

#[tokio::test]
async fn two_brokers_never_share_a_data_folder() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("b");
    let config = installation(&dir, false);
    let broker = super::start(config, &ports(), Env::of(&[])).await.unwrap();
    let again = config::load(&dir.join("broker.toml")).unwrap();
    let refused = super::start(again, &ports(), Env::of(&[])).await.err().unwrap();
    assert!(refused.to_string().contains("cannot be used"), "{refused}");
    broker.stop().await;
}

#[tokio::test]
async fn serving_makes_nothing_that_must_exist() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("b");
    let config = installation(&dir, false);
    std::fs::remove_dir_all(dir.join("data")).unwrap();
    let refused = super::start(config, &ports(), Env::of(&[])).await.err().unwrap();
    assert!(refused.to_string().contains("chunk-broker init"), "{refused}");
    assert!(!dir.join("data").exists());
}
