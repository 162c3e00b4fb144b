//! Hears the one answer of a sign-in, on a port of 127.0.0.1 that nobody knew before.
//!
//! Any web page and any program of this machine can call the port. What does not know the `state` of this sign-in is turned away and
//! changes nothing; what comes under another name of the machine is turned away unread (DNS rebinding). The first answer that does know
//! it is the last: the port closes, whatever it says.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chunk_wire::session::LOOPBACK_PATH;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::page::Page;
use crate::error::{Exit, Failure, Result, io_words};
use crate::figures;

/// Connections at once; further ones wait until one ends.
const CONNECTIONS_MAX: usize = 16;
/// A browser sends a request at once.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// A whole connection: one request, one page.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// Addresses with large codes are a few kilobytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A pause where no connection can be accepted, e.g. for want of files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A port that listens and has not been asked.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// What the answer to this sign-in looks like.
pub(super) struct Expected {
    pub(super) state: String,
    pub(super) issuer: String,
    /// Whether the provider says that its answers name it (RFC 9207).
    pub(super) names_issuer: bool,
}

/// What every connection works with.
struct Shared {
    host: String,
    expected: Expected,
    over: AtomicBool,
}

impl Loopback {
    /// Listens on a port that the system chooses.
    ///
    /// # Errors
    /// When this machine has no loopback address to listen on.
    pub(super) async fn bind() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Failure::cannot_tell("listen", "cannot listen on 127.0.0.1 for the answer of the browser")
                .why(io_words(&error))
                .hint("chunkctl login --device")
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// Where the provider sends the person back to.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{LOOPBACK_PATH}", self.port)
    }

    /// Waits for the answer; gives its code. The port is closed when this returns.
    ///
    /// # Errors
    /// When the provider says no, something is wrong with its answer, or nobody comes back in time.
    pub(super) async fn answer(self, expected: Expected, wait: Duration) -> Result<Zeroizing<String>> {
        let shared = Arc::new(Shared {
            host: format!("127.0.0.1:{}", self.port),
            expected,
            over: AtomicBool::new(false),
        });
        let (found, mut answers) = mpsc::channel(1);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let accepting = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let Ok((stream, _)) = self.listener.accept().await else {
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                };
                let (shared, found) = (Arc::clone(&shared), found.clone());
                tokio::spawn(async move {
                    if let Some(outcome) = connection(stream, shared).await {
                        found.send(outcome).await.ok();
                    }
                    drop(place);
                });
            }
        };
        let late = || {
            Failure::new(Exit::SignIn, "expired", "nobody came back from the browser in time")
                .why(format!("it was waited for {}", figures::duration(wait)))
                .hint("chunkctl login")
        };
        tokio::select! {
            answer = answers.recv() => answer.unwrap_or_else(|| Err(late())),
            () = accepting => Err(late()),
            () = sleep(wait) => Err(late()),
        }
    }
}

/// Serves one request; gives what it decided, once its page has left.
async fn connection(stream: TcpStream, shared: Arc<Shared>) -> Option<Result<Zeroizing<String>>> {
    let decided = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        let (page, outcome) = shared.hear(&request);
        if outcome.is_some() {
            *decided.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        }
        async move { Ok::<Response<Full<Bytes>>, Infallible>(page.response()) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's business.
    timeout(CONNECTION_MAX, served).await.ok();
    decided.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Shared {
    /// What a request is shown, and what it decides.
    fn hear<B>(&self, request: &Request<B>) -> (Page, Option<Result<Zeroizing<String>>>) {
        let mut hosts = request.headers().get_all(HOST).iter();
        let own = hosts.next().is_some_and(|host| host.as_bytes() == self.host.as_bytes()) && hosts.next().is_none();
        if !own || request.uri().authority().is_some() {
            return (Page::Elsewhere, None);
        }
        if request.uri().path() != LOOPBACK_PATH {
            return (Page::Nothing, None);
        }
        if request.method() != Method::GET {
            return (Page::Method, None);
        }
        let query = Query::of(request.uri().query().unwrap_or_default());
        let knows_state = query.one("state").is_some_and(|state| same(&state, &self.expected.state));
        if !knows_state {
            return (Page::Stranger, None);
        }
        if self.over.swap(true, Ordering::SeqCst) {
            return (Page::Over, None);
        }
        let outcome = self.judge(&query);
        (if outcome.is_ok() { Page::Done } else { Page::Refused }, Some(outcome))
    }

    fn judge(&self, query: &Query) -> Result<Zeroizing<String>> {
        let issuer = &self.expected.issuer;
        let odd = |why: &str| {
            Failure::no("sign_in", format!("the answer of the browser is not {issuer}'s"))
                .why(why)
                .why("nothing was sent to the broker")
                .hint("chunkctl login --browser")
        };
        // RFC 9207: with several providers, one must not be answered with what another gave.
        match query.one("iss") {
            Some(named) if named != *issuer => return Err(odd("it names another issuer (`iss`, RFC 9207)")),
            None if self.expected.names_issuer || query.has("iss") => {
                return Err(odd(
                    "it does not name its issuer (`iss`, RFC 9207), as the provider says that its answers do",
                ));
            }
            _ => {}
        }
        if query.has("error") {
            return Err(refused(issuer, &query.one("error").unwrap_or_default()));
        }
        match query.one("code").filter(|code| !code.is_empty()) {
            Some(code) => Ok(Zeroizing::new(code)),
            None => Err(odd("it carries neither one code nor one error")),
        }
    }
}

/// The provider's error code in words. Its prose is somebody else's text at a moment of trust, and stays away.
fn refused(issuer: &str, code: &str) -> Failure {
    let word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let says = if word {
        format!("it says `{code}`")
    } else {
        "what it says is no error code".to_owned()
    };
    match code {
        "access_denied" => Failure::new(Exit::SignIn, "access_denied", "sign-in was refused in the browser")
            .why("you refused, or the provider's rules do not let you use this program")
            .hint("chunkctl login"),
        "unauthorized_client" | "invalid_request" | "invalid_scope" | "unsupported_response_type" => Failure::cannot_tell(
            "no_browser_sign_in",
            format!("{issuer} does not let this program sign people in with the browser"),
        )
        .why(says)
        .why("the broker's operator has to register the program there; a code may still do")
        .hint("chunkctl login --device"),
        "server_error" | "temporarily_unavailable" => {
            Failure::cannot_tell("sign_in", format!("{issuer} cannot sign anybody in at the moment"))
                .why(says)
                .hint("chunkctl login")
        }
        _ => Failure::new(Exit::SignIn, "sign_in", format!("{issuer} refused the sign-in"))
            .why(says)
            .hint("chunkctl login"),
    }
}

/// Parameters of an answer. What stands there twice is as good as absent (RFC 6749 §3.1).
struct Query(Vec<(String, String)>);

impl Query {
    fn of(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn one(&self, name: &str) -> Option<String> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        values.next().is_none().then(|| value.clone())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

/// Compares without telling by the time it takes where the difference is.
fn same(a: &str, b: &str) -> bool {
    let hash = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash(a).as_ref() == hash(b).as_ref()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
