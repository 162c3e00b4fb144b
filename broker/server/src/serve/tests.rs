#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::clock::SystemClock;
use chunk_port::{Chunked, Look, ScanError, ScanErrorKind, ScanOrder, Scanner, SourceColumn, Table};
use chunk_wire::fetch::Query;
use tokio_util::sync::CancellationToken;

use super::{install_crypto, serve, serve_within, within_open_files};
use crate::commands::init;
use crate::config::{self, Config, Env, TlsFiles};
use crate::http::limits::Limits;
use crate::listener::tests::Http2;
use crate::ports::Ports;
use crate::secrets::master::MasterKey;

/// A scanner whose sources are all down.
struct Down;

#[async_trait]
impl Scanner for Down {
    async fn describe(&self, _: &Table) -> Result<Vec<SourceColumn>, ScanError> {
        Err(down())
    }
    async fn look(&self, _: &Query, _: &[Table], _: &str) -> Result<Box<dyn Look>, ScanError> {
        Err(down())
    }
    async fn cut(&self, _: ScanOrder, _: u64) -> Result<Arc<dyn Chunked>, ScanError> {
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

/// Makes an installation in `dir` that listens at a free loopback port, with a certificate beside `dir` if it speaks TLS.
pub(crate) fn installation(dir: &Path, tls: bool) -> Config {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = if tls {
        format!("https://localhost:{port}")
    } else {
        format!("http://127.0.0.1:{port}")
    };
    let asked = init::Init {
        dir: dir.to_owned(),
        name: "test".into(),
        public_url: url.parse().unwrap(),
        listen: ([127, 0, 0, 1], port).into(),
        tls: tls.then(|| certificate(dir.parent().unwrap())),
        origin: None,
        postgres_example: false,
    };
    init::init(&asked, &Env::of(&[])).unwrap();
    config::load(&dir.join("broker.toml")).unwrap()
}

/// A certificate for `localhost` and its key, written into `dir`.
pub(crate) fn certificate(dir: &Path) -> TlsFiles {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert_file: dir.join("cert.pem"),
        key_file: dir.join("key.pem"),
    };
    std::fs::write(&files.cert_file, issued.cert.pem()).unwrap();
    std::fs::write(&files.key_file, issued.signing_key.serialize_pem()).unwrap();
    files
}

/// Waits until the threads of a broker of this process have let go of its data folder, as they do at once when a process ends.
pub(crate) async fn let_go(config: &Config) {
    let master = MasterKey::load(&Env::of(&[]), config.broker.master_key_file.as_deref()).unwrap();
    let free = async {
        while crate::data_dir::open(&config.broker.data_dir, &master).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free)
        .await
        .expect("the data folder is let go of");
}

fn client(dir: &Path, tls: bool) -> reqwest::Client {
    install_crypto();
    let client = reqwest::Client::builder().no_proxy();
    if !tls {
        return client.build().unwrap();
    }
    let cert = reqwest::Certificate::from_pem(&std::fs::read(dir.parent().unwrap().join("cert.pem")).unwrap()).unwrap();
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
            let_go(&config::load(&dir.join("broker.toml")).unwrap()).await;
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

/// Lines of the log, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_first_line_of_the_log_says_where_it_listens_and_by_which_key_and_policies() {
    let home = tempfile::tempdir().unwrap();
    let config = installation(&home.path().join("b"), false);
    let (listen, policies) = (config.broker.listen.to_string(), config.policies.digest().to_owned());
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    serve(config, ports(), Env::of(&[]), stop, move || stopping.cancel()).await.unwrap();

    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ready: Vec<_> = lines
        .filter(|line| line.get("message").is_some_and(|text| text == "ready"))
        .collect();
    let [ready] = ready.as_slice() else { unreachable!("{log}") };
    let text = |name: &str| ready.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    assert_eq!(text("listen"), listen);
    assert_eq!(text("url"), format!("http://{listen}/"));
    assert_eq!(text("policies"), policies);
    assert!(text("origin").starts_with("127.0.0.1/broker/"), "{ready}");
    assert!(text("log_key").starts_with(&text("origin")), "{ready}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_up_the_stop() {
    let home = tempfile::tempdir().unwrap();
    let config = installation(&home.path().join("b"), false);
    let address = config.broker.listen;
    let limits = Limits {
        connections_end_max: Duration::from_millis(200),
        ..Limits::default()
    };
    let stop = CancellationToken::new();
    let (answers, ready) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(serve_within(limits, config, ports(), Env::of(&[]), stop.clone(), move || {
        answers.send(()).unwrap();
    }));
    ready.await.unwrap();
    // It asks for something and leaves no room for the body.
    let mut client = Http2::connect(address, 0).await;
    client.get("/openapi.json").await;
    client.until(Http2::HEADERS).await.unwrap();
    stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), running).await;
    stopped.expect("it stops").unwrap().unwrap();
}

#[test]
fn where_few_files_may_be_open_fewer_connections_are_taken() {
    let limits = Limits::default();
    let plenty = within_open_files(limits.clone(), 20_000);
    assert_eq!(
        (plenty.connections_max, plenty.connections_of_one_max),
        (limits.connections_max, limits.connections_of_one_max)
    );
    let few = within_open_files(limits.clone(), 1024);
    assert_eq!((few.connections_max, few.connections_of_one_max), (512, 64));
    assert_eq!(within_open_files(limits, 16).connections_max, 1);
}

#[tokio::test]
async fn serving_raises_the_limit_of_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum.map_or(Some(8192), |hard| Some(hard - 1));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = installation(&home.path().join("b"), false);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    serve(config, ports(), Env::of(&[]), stop, move || stopping.cancel()).await.unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, maximum);
}
