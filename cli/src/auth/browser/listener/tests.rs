//! A browser, and everything else that may call a port of this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::context::block_on;

const STATE: &str = "8f14e45fceea167a5a36dedd4bea2543af3bd3f9c0a";
const ISSUER: &str = "https://id.example";

/// A listener that waits.
struct Waiting {
    port: u16,
    outcome: JoinHandle<Result<String>>,
}

fn waiting(names_issuer: bool, wait: Duration) -> Waiting {
    let (told, port) = mpsc::channel();
    let outcome = std::thread::spawn(move || {
        block_on(async {
            let loopback = Loopback::bind().await?;
            told.send(loopback.port).unwrap();
            let expected = Expected {
                state: STATE.to_owned(),
                issuer: ISSUER.to_owned(),
                names_issuer,
            };
            loopback.answer(expected, wait).await.map(|code| code.to_string())
        })
    });
    Waiting {
        port: port.recv().unwrap(),
        outcome,
    }
}

fn listener() -> Waiting {
    waiting(true, Duration::from_secs(60))
}

impl Waiting {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        // A request that is too long is refused before its end.
        stream.write_all(request.as_bytes()).ok();
        rest(&mut stream)
    }

    /// What a browser sends, and the answer.
    fn get(&self, target: &str) -> String {
        self.send(&format!(
            "GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\naccept: text/html\r\n\r\n",
            self.port
        ))
    }

    fn outcome(self) -> Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let outcome = self.outcome.join().unwrap();
        assert!(TcpStream::connect(address).is_err(), "the port is closed once there is an outcome");
        outcome
    }

    /// Checks that it still waits: a good answer is taken.
    fn still_waits(self) {
        let page = self.get(&good("the-code"));
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert_eq!(self.outcome().unwrap(), "the-code");
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8(answer).unwrap()
}

fn good(code: &str) -> String {
    format!("/callback?code={code}&state={STATE}&iss=https%3A%2F%2Fid.example")
}

#[test]
fn the_code_of_the_right_answer_is_taken_and_the_page_says_where_to_go_on() {
    let waiting = listener();
    let page = waiting.get(&good("Spl%2Fxl.O-Be"));
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Back to your terminal"), "{page}");
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
    ] {
        assert!(page.contains(header), "{header}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("Spl"), "{page}");
    assert_eq!(waiting.outcome().unwrap(), "Spl/xl.O-Be");
}

#[test]
fn another_state_changes_nothing() {
    let waiting = listener();
    for wrong in [
        "/callback?code=evil&state=wrong&iss=https%3A%2F%2Fid.example".to_owned(),
        "/callback?code=evil".to_owned(),
        "/callback".to_owned(),
        format!("/callback?code=evil&state={STATE}&state=wrong"),
        format!("/callback?code=evil&state=wrong&state={STATE}"),
        format!("/callback?code=evil&state={STATE}&state={STATE}"),
        format!("/callback?code=evil&state={}", STATE.to_uppercase()),
        "/callback?error=access_denied&state=wrong".to_owned(),
        "/callback?error=access_denied".to_owned(),
    ] {
        let page = waiting.get(&wrong);
        assert!(page.starts_with("HTTP/1.1 400"), "{wrong}: {page}");
    }
    waiting.still_waits();
}

#[test]
fn another_path_host_or_method_changes_nothing() {
    let waiting = listener();
    let port = waiting.port;
    for other in [
        "/",
        "/favicon.ico",
        "/Callback",
        "/callback/",
        "/callback%3f",
        "//callback",
        "/x/../callback",
    ] {
        let target = good("evil").replacen("/callback", other, 1);
        assert!(waiting.get(&target).starts_with("HTTP/1.1 404"), "{other}");
    }
    for host in [
        "localhost".to_owned(),
        format!("localhost:{port}"),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port - 1),
        String::new(),
    ] {
        let page = waiting.send(&format!("GET {} HTTP/1.1\r\nhost: {host}\r\n\r\n", good("evil")));
        assert!(page.starts_with("HTTP/1.1 403"), "{host}: {page}");
    }
    let two = format!(
        "GET {} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nhost: evil.example\r\n\r\n",
        good("evil")
    );
    assert!(!waiting.send(&two).starts_with("HTTP/1.1 200"));
    let none = format!("GET {} HTTP/1.0\r\n\r\n", good("evil"));
    assert!(!waiting.send(&none).contains(" 200 "));
    let absolute = format!("GET http://evil.example{} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n", good("evil"));
    assert!(waiting.send(&absolute).starts_with("HTTP/1.1 403"));
    for method in ["POST", "PUT", "OPTIONS", "DELETE"] {
        let page = waiting.send(&format!(
            "{method} {} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 0\r\n\r\n",
            good("evil")
        ));
        assert!(page.starts_with("HTTP/1.1 405"), "{method}: {page}");
    }
    waiting.still_waits();
}

#[test]
fn an_error_is_told_in_words_and_ends_the_wait() {
    for (code, exit, word) in [
        ("access_denied", Exit::SignIn, "access_denied"),
        ("unauthorized_client", Exit::CannotTell, "no_browser_sign_in"),
        ("temporarily_unavailable", Exit::CannotTell, "sign_in"),
        ("login_required", Exit::SignIn, "sign_in"),
    ] {
        let waiting = listener();
        let page = waiting.get(&format!(
            "/callback?error={code}&error_description=Call%20this%20number&state={STATE}&iss=https%3A%2F%2Fid.example"
        ));
        assert!(page.contains("You are not signed in") && !page.contains("number"), "{page}");
        let failure = waiting.outcome().unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (exit, word), "{code}");
        assert!(failure.hint.is_some() && !failure.why.concat().contains("number"), "{failure:?}");
    }
}

#[test]
fn hostile_text_reaches_neither_page_nor_terminal() {
    let hostile = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%1B%5D0%3Bx%07%E2%80%AE";
    let waiting = listener();
    let page = waiting.get(&format!("/{hostile}?x={hostile}"));
    assert!(page.starts_with("HTTP/1.1 404") && !page.contains("alert"), "{page}");
    let page = waiting.get(&format!("/callback?error={hostile}&state={hostile}"));
    assert!(page.starts_with("HTTP/1.1 400") && !page.contains("alert"), "{page}");
    let page = waiting.get(&format!("/callback?error={hostile}&state={STATE}&iss=https%3A%2F%2Fid.example"));
    assert!(page.contains("You are not signed in") && !page.contains("alert"), "{page}");
    let failure = waiting.outcome().unwrap_err();
    assert_eq!(failure.why, ["what it says is no error code"]);
}

#[test]
fn an_answer_that_names_another_issuer_or_none_is_refused() {
    for (names_issuer, iss) in [
        (true, "&iss=https%3A%2F%2Fevil.example"),
        (true, "&iss=https%3A%2F%2Fid.example%2F"),
        (true, ""),
        (true, "&iss="),
        (true, "&iss=https%3A%2F%2Fid.example&iss=https%3A%2F%2Fid.example"),
        (false, "&iss=https%3A%2F%2Fevil.example"),
        (false, "&iss=https%3A%2F%2Fid.example&iss=https%3A%2F%2Fevil.example"),
    ] {
        let waiting = waiting(names_issuer, Duration::from_secs(60));
        waiting.get(&format!("/callback?code=mixed-up&state={STATE}{iss}"));
        let failure = waiting.outcome().unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "sign_in"), "{iss}");
    }
    let silent = waiting(false, Duration::from_secs(60));
    silent.get(&format!("/callback?code=c&state={STATE}"));
    assert_eq!(silent.outcome().unwrap(), "c", "a provider that promises no `iss` need not send it");
}

#[test]
fn an_answer_without_one_code_is_refused() {
    for parameters in ["", "&code=", "&code=a&code=b"] {
        let waiting = listener();
        waiting.get(&format!("/callback?state={STATE}&iss=https%3A%2F%2Fid.example{parameters}"));
        assert_eq!(waiting.outcome().unwrap_err().exit, Exit::No, "{parameters}");
    }
}

#[test]
fn of_two_answers_at_once_one_is_taken() {
    let waiting = listener();
    let request = |code: &str| format!("GET {} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n", good(code), waiting.port);
    let (one, two) = (request("one"), request("two"));
    let (mut first, mut second) = (waiting.connect(), waiting.connect());
    // All but the last byte of both, so that neither is early.
    for (stream, request) in [(&mut first, &one), (&mut second, &two)] {
        let (_, head) = request.as_bytes().split_last().unwrap();
        stream.write_all(head).unwrap();
    }
    first.write_all(b"\n").unwrap();
    second.write_all(b"\n").ok();
    let pages = [rest(&mut first), rest(&mut second)];
    let done = pages.iter().filter(|page| page.contains("Back to your terminal")).count();
    assert_eq!(done, 1, "{pages:?}");
    let taken = waiting.outcome().unwrap();
    assert!(["one", "two"].contains(&taken.as_str()), "{taken}");
}

#[test]
fn clients_that_say_nothing_hold_nobody_up() {
    let waiting = listener();
    let mut silent: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| waiting.connect()).collect();
    silent.first_mut().unwrap().write_all(b"GET /callback?code=never").unwrap();
    let begun = Instant::now();
    waiting.still_waits();
    assert!(begun.elapsed() < CONNECTION_MAX + HEAD_MAX, "{:?}", begun.elapsed());
}

#[test]
fn an_address_without_end_is_refused() {
    let waiting = listener();
    let page = waiting.get(&good(&"x".repeat(2 * HEAD_BYTES_MAX)));
    assert!(!page.contains(" 200 "), "{page}");
    waiting.still_waits();
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let waiting = waiting(true, Duration::from_millis(50));
    let failure = waiting.outcome().unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::SignIn, "expired"));
    assert_eq!(failure.hint.as_deref(), Some("chunkctl login"));
}
