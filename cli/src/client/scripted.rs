//! A server for tests that answers from a script, in order, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The server; it ends with the last answer of its script.
pub(crate) struct Scripted {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The claims of the proof, whose signature is checked.
    pub(crate) fn proof(&self) -> chunk_wire::dpop::ProofClaims {
        chunk_wire::dpop::verify(self.header("dpop").unwrap()).unwrap().claims
    }
}

impl Scripted {
    /// Starts answering; `{url}` in an answer is the server's own address.
    pub(crate) fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, own) = (Arc::clone(&asked), url.clone());
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let mut headers = Vec::new();
                loop {
                    let mut header = String::new();
                    reader.read_line(&mut header).unwrap();
                    let Some((name, value)) = header.trim_end().split_once(':') else {
                        break;
                    };
                    headers.push((name.to_owned(), value.trim().to_owned()));
                }
                let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
                let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                seen.lock().unwrap().push(Asked {
                    line: line.trim_end().to_owned(),
                    headers,
                    body,
                });
                reader.get_mut().write_all(answer.replace("{url}", &own).as_bytes()).ok();
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer with a JSON body; the connection ends with it.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    // `{url}` is longer once replaced, so the body's length is left to the end of the connection.
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}\r\n{body}")
}

/// A refusal with one of the broker's codes.
pub(crate) fn problem(code: chunk_wire::problem::Code, headers: &str) -> String {
    let body = serde_json::to_string(&chunk_wire::problem::Problem::new(code, "because")).unwrap();
    answer(code.status(), headers, &body)
}
