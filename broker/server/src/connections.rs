//! How many connections may be open at once, in all and for one address, and how long one may be open without being used.
//!
//! Each connection holds a place until it ends. Beyond the bound a new one is closed at once, so that a flood costs a flooder as
//! much as us and no established client anything. A connection on which no exchange is under way ends after a while, whatever
//! its peer does to keep it up: pings are not use. An exchange lasts until its answer has been sent whole, so that a stream of
//! events or a slow delivery is use.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum_server::accept::Accept;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tower::Service;

use crate::places::{Place, Places};

/// An acceptor that hands out places and minds what they are used for.
#[derive(Clone)]
pub(crate) struct Bounded<A> {
    inner: A,
    places: Arc<Places>,
    idle_max: Duration,
}

impl<A> Bounded<A> {
    pub(crate) fn new(inner: A, places: Arc<Places>, idle_max: Duration) -> Self {
        Self { inner, places, idle_max }
    }
}

impl<A, S> Accept<TcpStream, S> for Bounded<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
    A::Stream: 'static,
    A::Service: 'static,
{
    type Stream = Held<A::Stream>;
    type Service = Minded<A::Service>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().map(|peer| self.places.take(peer.ip()));
        // Nothing of it runs before it is polled.
        let accepted = self.inner.accept(stream, service);
        let idle_max = self.idle_max;
        Box::pin(async move {
            let place = place?.ok_or_else(|| io::Error::other("too many connections"))?;
            let (stream, inner) = accepted.await?;
            let usage = Arc::new(Usage::default());
            let service = Minded {
                inner,
                usage: Arc::clone(&usage),
            };
            let stream = Held {
                stream,
                usage,
                idle_max,
                look: Box::pin(tokio::time::sleep(idle_max)),
                seen: Seen::Used,
                _place: place,
            };
            Ok((stream, service))
        })
    }
}

/// What a connection is used for.
#[derive(Debug)]
struct Usage(Mutex<Used>);

#[derive(Debug)]
struct Used {
    exchanges: usize,
    /// When the last of them ended, or the connection began.
    until: Instant,
}

impl Default for Usage {
    fn default() -> Self {
        Self(Mutex::new(Used {
            exchanges: 0,
            until: Instant::now(),
        }))
    }
}

impl Usage {
    fn begin(self: &Arc<Self>) -> Exchange {
        self.lock().exchanges += 1;
        Exchange(Arc::clone(self))
    }

    /// When the connection will have been idle for `idle_max`, as far as can be told now.
    fn idle_at(&self, idle_max: Duration) -> Instant {
        let used = self.lock();
        let idle_since = if used.exchanges == 0 { used.until } else { Instant::now() };
        idle_since + idle_max
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request and its answer while they are under way.
#[derive(Debug)]
struct Exchange(Arc<Usage>);

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut used = self.0.lock();
        used.exchanges = used.exchanges.saturating_sub(1);
        used.until = Instant::now();
    }
}

/// A connection's service: each call is an exchange.
#[derive(Clone)]
pub(crate) struct Minded<S> {
    inner: S,
    usage: Arc<Usage>,
}

impl<S, R, B> Service<Request<R>> for Minded<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let exchange = self.usage.begin();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            // Errors pass unchanged; what is mapped carries the exchange, which so lasts as long as the body.
            Ok(answer.map(|body| {
                Body::new(body.map_err(move |fault| {
                    let _: &Exchange = &exchange;
                    fault
                }))
            }))
        })
    }
}

/// A stream that holds its place. When nothing has been asked of it for a while it ends: first for what the peer sends, so that
/// the protocol above can say goodbye, and soon after for what is sent as well, in case the peer does not take it.
pub(crate) struct Held<S> {
    stream: S,
    usage: Arc<Usage>,
    idle_max: Duration,
    /// When to look at the usage again.
    look: Pin<Box<Sleep>>,
    seen: Seen,
    _place: Place,
}

/// What the last look at the usage said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Used,
    Idle,
    /// Idle, and the time to say goodbye is over.
    Stuck,
}

impl<S> Held<S> {
    /// Looks when it is time to, and asks to be woken for the next time.
    fn look(&mut self, cx: &mut Context<'_>) -> Seen {
        while self.seen != Seen::Stuck && self.look.as_mut().poll(cx).is_ready() {
            let (now, idle_at) = (Instant::now(), self.usage.idle_at(self.idle_max));
            let stuck_at = idle_at + GOODBYE_MAX;
            self.seen = if now < idle_at {
                Seen::Used
            } else if now < stuck_at {
                Seen::Idle
            } else {
                Seen::Stuck
            };
            self.look.as_mut().reset(if now < idle_at { idle_at } else { stuck_at });
        }
        self.seen
    }

    fn still_sends(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.look(cx) {
            Seen::Used | Seen::Idle => Ok(()),
            Seen::Stuck => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.look(cx) {
            Seen::Used => Pin::new(&mut self.stream).poll_read(cx, buf),
            // Nothing was read: to the protocol above, the peer has said all it had to say.
            Seen::Idle | Seen::Stuck => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.still_sends(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.still_sends(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.still_sends(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.still_sends(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// An idle connection has this long to send what it still has to send.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
