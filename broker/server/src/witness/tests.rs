#![expect(clippy::unwrap_used, reason = "tests")]
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use chunk_core::witness::{OnLost, Witness, WitnessKey, WitnessSettings};

use super::*;
use crate::config::WitnessPlace;

fn config(url: &str) -> WitnessConfig {
    WitnessConfig {
        settings: WitnessSettings {
            witnesses: vec![Witness {
                name: "w1".into(),
                key: WitnessKey::new("w1", [7; 32]).unwrap(),
            }],
            quorum: 1,
            max_age_ms: 60_000,
            on_lost: OnLost::Refuse,
            interval: Duration::from_secs(1),
        },
        places: vec![WitnessPlace {
            name: "w1".into(),
            url: url.parse().unwrap(),
            ca_file: None,
        }],
    }
}

/// A server that gives one answer, and what it was asked.
fn server(answer: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/prefix", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut asked = String::new();
        let mut buffer = [0; 4096];
        while !asked.ends_with("the body") {
            let n = stream.read(&mut buffer).unwrap();
            asked.push_str(std::str::from_utf8(buffer.get(..n).unwrap()).unwrap());
        }
        let _ = stream.write_all(answer.as_bytes());
        asked
    });
    (url, asked)
}

async fn ask(answer: String) -> (Result<(u16, String), String>, String) {
    crate::serve::install_crypto();
    let (url, asked) = server(answer);
    let dir = tempfile::tempdir().unwrap();
    let port = witnessing(&config(&url), dir.path()).unwrap().port;
    let answered = port.add_checkpoint("w1", "the body".into()).await;
    (answered, asked.join().unwrap())
}

#[tokio::test]
async fn a_witness_is_asked_below_its_prefix_and_its_refusals_are_answers_too() {
    let (answered, asked) = ask("HTTP/1.1 409 Conflict\r\ncontent-type: text/x.tlog.size\r\ncontent-length: 3\r\n\r\n12\n".into()).await;
    assert_eq!(answered, Ok((409, "12\n".to_owned())));
    assert!(asked.starts_with("POST /prefix/add-checkpoint HTTP/1.1\r\n"), "{asked}");
}

#[tokio::test]
async fn an_answer_without_end_or_bound_is_no_answer() {
    let long = "x".repeat(ANSWER_BYTES_MAX + 1);
    let (answered, _) = ask(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len())).await;
    assert!(answered.unwrap_err().contains("more than"));
    let (answered, _) = ask("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".into()).await;
    assert!(answered.is_err());
    let (answered, _) = ask("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:1/\r\ncontent-length: 0\r\n\r\n".into()).await;
    assert!(answered.unwrap_err().contains("another host"));
}

#[test]
fn what_was_noted_is_read_again_and_a_line_that_was_cut_is_nobody_s() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Notes {
        newest: dir.path().join(NEWEST),
        heads: dir.path().join(HEADS),
    };
    let nothing = notes.read().unwrap();
    assert!(nothing.newest.is_none() && nothing.heads.is_empty());
    notes.write_newest("a\n\n— b\n").unwrap();
    notes.write_newest("c\n\n— d\n").unwrap();
    notes.append_head("one\n").unwrap();
    std::fs::File::options()
        .append(true)
        .open(&notes.heads)
        .unwrap()
        .write_all(b"\"cut")
        .unwrap();
    notes.append_head("two\n").unwrap();
    let read = notes.read().unwrap();
    assert_eq!(read.newest.as_deref(), Some("c\n\n— d\n"));
    assert_eq!(read.heads, ["one\n", "two\n"]);
}
