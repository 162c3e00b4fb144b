//! Clients that take their time, take too much, or take nothing, each with a listener whose limits are short.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Env;
use crate::http::{Gateway, router};
use crate::serve::tests::{installation, ports};

/// What is waited for comes much sooner; what does not come in this time is not coming.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// Limits of which none is in the way.
fn wide() -> Limits {
    Limits {
        first_request_max: PATIENCE * 2,
        header_read_max: PATIENCE * 2,
        idle_max: PATIENCE * 2,
        body_read_max: PATIENCE * 2,
        ..Limits::default()
    }
}

/// A listener that is served until this is dropped.
struct Served {
    address: SocketAddr,
    task: JoinHandle<Result<(), CommandError>>,
    /// Where its broker is, if it has one.
    home: Option<tempfile::TempDir>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        drop(self.home.take());
    }
}

fn listen(router: Router, limits: Limits) -> Served {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    Served {
        address: listener.local_addr().unwrap(),
        task: tokio::spawn(serve(listener, None, router, Handle::new(), limits)),
        home: None,
    }
}

/// The API of a broker.
async fn api(limits: Limits) -> Served {
    crate::serve::install_crypto();
    let home = tempfile::tempdir().unwrap();
    let config = installation(&home.path().join("b"), false);
    let url = config.broker.public_url.clone();
    let broker = crate::serve::start(config, &ports(), Env::of(&[])).await.unwrap();
    let gateway = Gateway::new(broker, url, false, CancellationToken::new(), None, &limits);
    let mut served = listen(router::api(gateway), limits);
    served.home = Some(home);
    served
}

impl Served {
    /// A connection from the loopback address 127.0.0.`from`.
    async fn connect(&self, from: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Asks from 127.0.0.`from` and reads the whole answer.
    async fn ask(&self, from: u8, head: &str, body: &str) -> String {
        let mut stream = self.connect(from).await;
        let text = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// Everything that comes until the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is cut may end with a reset; what came before it counts.
    timeout(PATIENCE, stream.read_to_end(&mut text))
        .await
        .expect("the connection ends")
        .ok();
    String::from_utf8_lossy(&text).into_owned()
}

/// The status line of an answer, read without waiting for more.
async fn status(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer comes").unwrap());
    }
    String::from_utf8(line).unwrap()
}

const INFO: &str = "GET /v1/info HTTP/1.1\r\nhost: b\r\n";
const SIGN_IN: &str = "POST /v1/sessions HTTP/1.1\r\nhost: b\r\ndpop: a.b.c\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_head_that_trickles_in_ends_its_connection() {
    let limits = Limits {
        header_read_max: SHORT,
        ..wide()
    };
    let served = api(limits).await;
    let mut slow = served.connect(1).await;
    slow.write_all(INFO.as_bytes()).await.unwrap();
    assert!(!rest(&mut slow).await.contains("200 OK"));

    let limits = Limits {
        first_request_max: SHORT,
        ..wide()
    };
    let served = api(limits).await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut slow = served.connect(1).await;
        slow.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut slow).await, "", "{beginning}");
    }
}

#[tokio::test]
async fn bodies_that_trickle_in_from_one_address_hold_up_no_other() {
    let limits = Limits {
        requests_running_max: 2,
        bodies_max: 8,
        bodies_of_one_max: 4,
        ..wide()
    };
    let served = api(limits).await;
    let mut flood = Vec::new();
    for _ in 0..8 {
        let mut stream = served.connect(1).await;
        let begun = format!("{SIGN_IN}content-length: 1000\r\n\r\n{{");
        stream.write_all(begun.as_bytes()).await.unwrap();
        flood.push(stream);
    }
    // As soon as four are told that it is too much, the other four are being read.
    let mut refused = 0;
    let mut answers: stream::FuturesUnordered<_> = flood.iter_mut().map(status).collect();
    while refused < 4 {
        let status = answers.next().await.unwrap();
        assert!(status.contains(" 429 "), "{status}");
        refused += 1;
    }
    drop(answers);

    let answer = served.ask(2, INFO, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = served.ask(2, SIGN_IN, r#"{"id_token":"a.b.c"}"#).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // The flooder itself is answered too, but for bodies.
    let answer = served.ask(1, INFO, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = served.ask(1, SIGN_IN, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_given_up() {
    let limits = Limits {
        body_read_max: SHORT,
        ..wide()
    };
    let served = api(limits).await;
    let mut slow = served.connect(1).await;
    let begun = format!("{SIGN_IN}content-length: 1000\r\n\r\n{{");
    slow.write_all(begun.as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn one_address_has_its_share_of_the_connections_and_others_are_served() {
    let limits = Limits {
        connections_max: 8,
        connections_of_one_max: 4,
        ..wide()
    };
    let served = api(limits).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = served.connect(1).await;
        stream.write_all(format!("{INFO}\r\n").as_bytes()).await.unwrap();
        assert!(status(&mut stream).await.contains(" 200 "));
        held.push(stream);
    }
    for _ in 0..8 {
        assert_eq!(rest(&mut served.connect(1).await).await, "", "a fifth connection is closed at once");
    }
    let answer = served.ask(2, INFO, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // A place that is given back can be had again.
    drop(held.pop());
    timeout(PATIENCE, async {
        while !served.ask(1, INFO, "").await.starts_with("HTTP/1.1 200 ") {}
    })
    .await
    .expect("the place is free again");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits {
        header_read_max: SHORT,
        ..wide()
    };
    let served = api(limits).await;
    let mut http1 = served.connect(1).await;
    http1.write_all(format!("{INFO}\r\n").as_bytes()).await.unwrap();
    assert!(rest(&mut http1).await.starts_with("HTTP/1.1 200 "));

    // One that speaks HTTP/2 answers every ping, and is closed all the same.
    let limits = Limits {
        idle_max: SHORT * 2,
        http2_ping_every: SHORT / 4,
        ..wide()
    };
    let served = api(limits).await;
    let mut http2 = Http2::connect(served.address, 65_535).await;
    http2.get("/healthz").await;
    http2.until(Http2::HEADERS).await.unwrap();
    let answered = Instant::now();
    assert_eq!(http2.until(u8::MAX).await, None, "the connection ends");
    assert!(http2.pings > 0 && answered.elapsed() >= SHORT, "{} pings", http2.pings);
}

#[tokio::test]
async fn a_connection_whose_answer_takes_its_time_is_not_idle() {
    // An answer in pieces, each after half of the time that a connection may be idle.
    async fn slow() -> Body {
        let pieces = stream::iter(0..8).then(async |_| {
            tokio::time::sleep(SHORT / 2).await;
            Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x"))
        });
        Body::from_stream(pieces)
    }
    let limits = Limits { idle_max: SHORT, ..wide() };
    let served = listen(Router::new().route("/slow", get(slow)), limits);
    let answer = served.ask(1, "GET /slow HTTP/1.1\r\nhost: b\r\n", "").await;
    assert!(answer.ends_with("0\r\n\r\n") && answer.matches('x').count() == 8, "{answer}");

    let mut http2 = Http2::connect(served.address, 65_535).await;
    http2.get("/slow").await;
    http2.until(Http2::HEADERS).await.unwrap();
    let mut ended = false;
    while !ended {
        let flags = http2.until(Http2::DATA).await.expect("the answer comes whole");
        ended = flags & Http2::END_STREAM != 0;
    }
    assert_eq!(http2.until(u8::MAX).await, None, "and then the connection ends");
}

/// A client that speaks just enough HTTP/2 to be a nuisance: it asks, answers pings, and does not read bodies for which it leaves
/// no room.
pub(crate) struct Http2 {
    stream: TcpStream,
    /// How many it answered.
    pub(crate) pings: usize,
}

impl Http2 {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const END_STREAM: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const ACK: u8 = 1;

    /// Connects with this much room for each body.
    pub(crate) async fn connect(address: SocketAddr, window: u32) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self { stream, pings: 0 };
        // SETTINGS_INITIAL_WINDOW_SIZE
        client
            .send(Self::SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat())
            .await;
        client
    }

    /// Asks for a path on the first stream.
    pub(crate) async fn get(&mut self, path: &str) {
        // HPACK: GET and http from the static table, path and authority as plain text.
        let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(b"\x01\x01b");
        self.send(Self::HEADERS, 0x05, 1, &block).await;
    }

    /// Reads until a frame of this type; its flags. Nothing when the connection ended before it.
    pub(crate) async fn until(&mut self, wanted: u8) -> Option<u8> {
        timeout(PATIENCE, async {
            loop {
                let (kind, flags) = self.frame().await.ok()?;
                if kind == wanted {
                    return Some(flags);
                }
            }
        })
        .await
        .expect("a frame comes, or the end")
    }

    async fn frame(&mut self) -> std::io::Result<(u8, u8)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        match kind {
            Self::SETTINGS if flags & Self::ACK == 0 => self.send(kind, Self::ACK, 0, &[]).await,
            Self::PING if flags & Self::ACK == 0 => {
                self.pings += 1;
                self.send(kind, Self::ACK, 0, &payload).await;
            }
            _ => {}
        }
        Ok((kind, flags))
    }

    /// Sends a frame. That the other side is gone is noticed when reading.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [length.split_at(1).1, &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.stream.write_all(&frame).await.ok();
    }
}
