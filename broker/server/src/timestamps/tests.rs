#![expect(clippy::unwrap_used, reason = "tests")]
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// A server that gives one answer, and what it was asked.
fn server(answer: Vec<u8>) -> (Url, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stamp", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        while !asked.ends_with(b"the question") {
            let n = stream.read(&mut buffer).unwrap();
            asked.extend_from_slice(buffer.get(..n).unwrap());
        }
        let _ = stream.write_all(&answer);
        asked
    });
    (url.parse().unwrap(), asked)
}

async fn ask(head: &str, body: &[u8]) -> (Result<Vec<u8>, String>, String) {
    crate::serve::install_crypto();
    let (url, asked) = server([head.as_bytes(), body].concat());
    let dir = tempfile::tempdir().unwrap();
    let config = TimestampConfig {
        url,
        interval: Duration::from_secs(60),
        ca_file: None,
    };
    let port = timestamping(&config, dir.path()).unwrap().port;
    let answered = port.ask(b"the question".to_vec()).await;
    (answered, String::from_utf8(asked.join().unwrap()).unwrap())
}

#[tokio::test]
async fn an_authority_is_asked_as_the_specification_says() {
    let (answered, asked) = ask("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", &[0, 0xff, 7]).await;
    assert_eq!(answered, Ok(vec![0, 0xff, 7]));
    assert!(asked.starts_with("POST /stamp HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/timestamp-query\r\n"), "{asked}");
}

#[tokio::test]
async fn an_answer_without_end_bound_or_good_will_is_none() {
    let long = vec![7; REPLY_BYTES_MAX + 1];
    let (answered, _) = ask(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", long.len()), &long).await;
    assert!(answered.unwrap_err().contains("more than"));
    let (answered, _) = ask("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", b"short").await;
    assert!(answered.is_err());
    let (answered, _) = ask("HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n", b"").await;
    assert_eq!(answered.unwrap_err(), "it answered 503");
    let (answered, _) = ask(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:1/\r\ncontent-length: 0\r\n\r\n",
        b"",
    )
    .await;
    assert!(answered.unwrap_err().contains("another host"));
}

#[test]
fn what_was_kept_is_read_again_and_what_a_crash_cut_is_nobody_s() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf {
        folder: dir.path().join(FOLDER),
    };
    let nothing = shelf.open().unwrap();
    assert!(nothing.sizes.is_empty() && nothing.heads.is_empty());
    let stamp = KeptStamp {
        checkpoint: "a\n\n— b\n".into(),
        token: vec![0, 0xff],
    };
    shelf.keep(7, &stamp).unwrap();
    // A crash between the two files, and within a line.
    shelf.place(&shelf.checkpoint(9), b"a\n").unwrap();
    let head = |stamped| NotedHead {
        checkpoint: "c\n\n— d\n".into(),
        stamped,
    };
    shelf.note_head(&head(7)).unwrap();
    let mut cut = std::fs::File::options().append(true).open(shelf.folder.join(HEADS)).unwrap();
    cut.write_all(b"{\"cut").unwrap();
    shelf.note_head(&head(8)).unwrap();
    let read = shelf.open().unwrap();
    assert_eq!((read.sizes, read.heads), (vec![7], vec![head(7), head(8)]));
    assert_eq!(shelf.read(7).unwrap(), stamp);
    assert!(shelf.read(9).is_err());
}
