//! How is a witness reached? HTTP/1.1, as C2SP tlog-witness says: `POST /add-checkpoint`, `GET /<sha256 of the origin>/checkpoint`.
//!
//! Anybody may ask; the log's signature is all that counts. So everything that somebody without one can make it do is bounded:
//! connections, bytes, time. The memory is changed on a thread of its own, which runs to its end whether or not somebody still waits
//! for the answer: two changes never overlap.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chunk_evidence::note::VerifierKey;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::figures;
use crate::witness::judge::{self, Refusal};
use crate::witness::request::AddCheckpoint;
use crate::witness::state::{Cosigned, Store, Unsigned};

/// Connections at once; further ones wait until one ends.
const CONNECTIONS_MAX: usize = 256;
/// A request: 63 hashes, and a note with as many signatures as notes may have, post-quantum ones among them.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A request's head, on a new connection or one that was idle, and a TLS handshake.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// A request's body.
const BODY_MAX: Duration = Duration::from_secs(10);
/// What is under way may end within this time when the witness stops.
const STOP_MAX: Duration = Duration::from_secs(5);
/// A pause where no connection can be accepted, e.g. for want of files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const SIZE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");

/// What happened, for whoever watches.
#[derive(Debug)]
pub(crate) enum Event {
    /// A cosignature left.
    Cosigned(Cosigned),
    /// A checkpoint that the log signed was refused.
    Refused {
        origin: String,
        size: u64,
        refusal: Refusal,
        contradiction: bool,
    },
    /// The state could not be written; nothing was cosigned.
    Unwritten(String),
    /// The disk cannot be believed any more.
    Broken(String),
}

/// What every connection works with.
struct Shared {
    store: Mutex<Store>,
    logs: Vec<VerifierKey>,
    events: mpsc::Sender<Event>,
}

/// Answers until `stop` says so.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    store: Store,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let logs = store.logs().to_vec();
    let shared = Arc::new(Shared {
        store: Mutex::new(store),
        logs,
        events,
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (shared, tls, stopping) = (Arc::clone(&shared), tls.clone(), stopping.clone());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => connection(stream, shared, stopping).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HEAD_MAX, tls.accept(stream)).await {
                        connection(stream, shared, stopping).await;
                    }
                }
            }
        });
    }
    drop(listener);
    // Every place that is free again is a connection that has ended.
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    timeout(STOP_MAX, places.acquire_many(all)).await.ok();
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(_) => {
            sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is its client's business.
    tokio::select! {
        _ = served.as_mut() => {}
        _ = stopping.changed() => {
            served.as_mut().graceful_shutdown();
            timeout(STOP_MAX, served).await.ok();
        }
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if path == "/add-checkpoint" {
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        let body = match timeout(BODY_MAX, Limited::new(request.into_body(), BODY_BYTES_MAX).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("a request has at most {BODY_BYTES_MAX} bytes\n"),
                );
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the request ended early\n".to_owned()),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n".to_owned()),
        };
        return add_checkpoint(shared, body).await;
    }
    let Some(origin) = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint")) else {
        return text(StatusCode::NOT_FOUND, "there is nothing here\n".to_owned());
    };
    if request.method() != Method::GET {
        return not_allowed("GET");
    }
    let origin = origin.to_owned();
    match with_store(shared, move |store| store.checkpoint_of(&origin)).await {
        Some(Some(checkpoint)) => text(StatusCode::OK, checkpoint),
        Some(None) => text(StatusCode::NOT_FOUND, "nothing of such a log was cosigned\n".to_owned()),
        None => failed(),
    }
}

async fn add_checkpoint(shared: &Arc<Shared>, body: Bytes) -> Response<Full<Bytes>> {
    let checked = AddCheckpoint::parse(&body).map_err(Refusal::Malformed);
    let signed = match checked.and_then(|asked| judge::check(asked, &shared.logs)) {
        Ok(signed) => signed,
        // Nobody is told of these: anybody can send them, as many as they like.
        Err(refusal) => return refused(&refusal),
    };
    let (origin, size) = (signed.asked().head.origin.clone(), signed.asked().head.size);
    let now_s = u64::try_from(figures::now_ms() / 1000).unwrap_or(0);
    let (event, response) = match with_store(shared, move |store| store.add(&signed, now_s)).await {
        Some(Ok(cosigned)) => {
            let response = text(StatusCode::OK, cosigned.line.clone());
            (Event::Cosigned(cosigned), response)
        }
        Some(Err(unsigned)) => {
            let contradiction = matches!(unsigned, Unsigned::Contradicted(_));
            match unsigned {
                Unsigned::Refused(refusal) | Unsigned::Contradicted(refusal) => {
                    let response = refused(&refusal);
                    let event = Event::Refused {
                        origin,
                        size,
                        refusal,
                        contradiction,
                    };
                    (event, response)
                }
                Unsigned::Unwritten(why) => (Event::Unwritten(why), failed()),
                Unsigned::Broken(why) => (Event::Broken(why), failed()),
            }
        }
        None => return failed(),
    };
    // Whoever watches may be slow; a witness does not wait for them. A broken disk must be heard of.
    match event {
        Event::Broken(_) => drop(shared.events.send(event).await),
        event => drop(shared.events.try_send(event)),
    }
    response
}

/// Works with the memory on a thread for blocking work, one at a time. Nothing when a bug has made the memory unusable.
async fn with_store<T: Send + 'static>(shared: &Arc<Shared>, work: impl FnOnce(&mut Store) -> T + Send + 'static) -> Option<T> {
    let shared = Arc::clone(shared);
    let job = move || shared.store.lock().ok().map(|mut store| work(&mut store));
    tokio::task::spawn_blocking(job).await.ok().flatten()
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = text(status, refusal.body());
    if matches!(refusal, Refusal::Conflict(_)) {
        response.headers_mut().insert(CONTENT_TYPE, SIZE);
    }
    response
}

fn not_allowed(method: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {method} is answered here\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn failed() -> Response<Full<Bytes>> {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the witness cannot remember anything now, so it cosigns nothing\n".to_owned(),
    )
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod tests;
