#![expect(clippy::unwrap_used, reason = "tests")]
use chunk_evidence::encode::sha256_hex;
use chunk_evidence::note::Note;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::context::block_on;
use crate::witness::judge::tests::{TestLog, body};
use crate::witness::key::tests::signer;
use crate::witness::state;

struct Desk {
    log: TestLog,
    address: std::net::SocketAddr,
    events: mpsc::Receiver<Event>,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = TestLog::new("log.example/a", "a story");
        let path = folder.path().join("state");
        state::make(&path, &signer("w1", 7)).unwrap();
        let store = Store::open(&path, signer("w1", 7), vec![log.key.clone()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, events) = mpsc::channel(16);
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, None, store, tell, stopping));
        Self {
            log,
            address,
            events,
            stop,
            serving,
            folder,
        }
    }

    /// Sends exactly this on a connection of its own; the whole answer.
    async fn sends(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    async fn posts(&self, body: &str) -> String {
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.sends(format!("{head}{body}").as_bytes()).await
    }

    async fn gets(&self, path: &str) -> String {
        self.sends(format!("GET {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n").as_bytes())
            .await
    }
}

#[test]
fn answers_have_the_status_type_and_body_of_the_specification() {
    block_on(async {
        let mut desk = Desk::open().await;
        let answer = desk.posts(&desk.log.asks(0, 5)).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-type: text/plain"),
            "{answer}"
        );
        let line = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(
            line.starts_with("\u{2014} w1 ") && line.ends_with('\n') && line.lines().count() == 1,
            "{line}"
        );
        assert!(matches!(desk.events.recv().await, Some(Event::Cosigned(cosigned)) if cosigned.size == 5));

        let answer = desk.posts(&desk.log.asks(4, 7)).await;
        assert!(
            answer.starts_with("HTTP/1.1 409 ") && answer.contains("content-type: text/x.tlog.size\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n5\n"), "{answer}");
        for (asked, status) in [
            ("nonsense".to_owned(), 400),
            (TestLog::new("log.example/b", "b").asks(0, 5), 404),
            (desk.log.asks(5, 7).replacen("\n7\n", "\n8\n", 1), 403),
            (body(5, &[], &desk.log.checkpoint(7)), 422),
            (desk.log.forked_at(2).asks(5, 5), 422),
        ] {
            let answer = desk.posts(&asked).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        }
        assert!(desk.gets("/add-checkpoint").await.starts_with("HTTP/1.1 405 "));
        assert!(desk.gets("/").await.starts_with("HTTP/1.1 404 "));

        // Those who monitor get what was cosigned last, with both signatures.
        let path = format!("/{}/checkpoint", sha256_hex(b"log.example/a"));
        let answer = desk.gets(&path).await;
        let note = Note::parse(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(note.signed_by(&desk.log.key), Ok(true));
        assert!(signer("w1", 7).verifier().cosigned_note(&note).unwrap().is_some());
        assert!(
            desk.gets(&format!("/{}/checkpoint", sha256_hex(b"log.example/b")))
                .await
                .starts_with("HTTP/1.1 404 ")
        );
        assert!(desk.gets("/checkpoint").await.starts_with("HTTP/1.1 404 "));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_request_that_is_too_long_is_refused_and_one_that_ends_early_changes_nothing() {
    block_on(async {
        let desk = Desk::open().await;
        let asked = desk.log.asks(0, 5);
        let long = asked.clone() + &"\u{2014} x AAAAAAA=\n".repeat(BODY_BYTES_MAX / 8);
        assert!(desk.posts(&long).await.starts_with("HTTP/1.1 413 "));
        // Announced as longer than it is, and then nothing more.
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n{asked}",
            asked.len() + 1
        );
        let mut stream = TcpStream::connect(desk.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        assert!(!answer.contains("200 OK"), "{answer}");
        assert!(
            desk.posts(&asked).await.starts_with("HTTP/1.1 200 "),
            "nothing of it was cosigned before"
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn one_connection_asks_often_and_an_idle_one_does_not_hold_up_the_stop() {
    block_on(async {
        let desk = Desk::open().await;
        let mut stream = TcpStream::connect(desk.address).await.unwrap();
        for size in 1..=3 {
            let asked = desk.log.asks(size - 1, size);
            let request = format!(
                "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n{asked}",
                asked.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let n = stream.read(&mut answer).await.unwrap();
            assert!(answer.get(..n).unwrap().starts_with(b"HTTP/1.1 200 "));
        }
        desk.stop.send(true).unwrap();
        timeout(STOP_MAX / 2, desk.serving).await.unwrap().unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0, "the connection is closed");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_answer_that_nobody_waits_for_is_remembered_all_the_same() {
    block_on(async {
        let mut desk = Desk::open().await;
        let asked = desk.log.asks(0, 5);
        let request = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n{asked}",
            asked.len()
        );
        let mut stream = TcpStream::connect(desk.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
        // Either nothing was read of it, or all of it happened: never a cosignature that the state does not hold.
        let seen = timeout(Duration::from_secs(2), desk.events.recv()).await;
        let state = std::fs::read_to_string(desk.folder.path().join("state")).unwrap();
        if let Ok(Some(Event::Cosigned(cosigned))) = seen {
            assert!(state.contains(cosigned.line.trim_end()));
        }
        let again = desk.posts(&desk.log.asks(0, 5)).await;
        let expected = if state.contains("\\n5\\n") {
            "HTTP/1.1 409 "
        } else {
            "HTTP/1.1 200 "
        };
        assert!(again.starts_with(expected), "{again}");
        Ok(())
    })
    .unwrap();
}
