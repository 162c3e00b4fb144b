//! Events as syslog messages over TCP, TLS or the machine's own socket.
//!
//! Syslog has no acknowledgement, so the end of a connection serves as one: each batch has a connection of its own, the broker
//! ends its side, and the batch counts as accepted when the receiver has then ended its own, as it does once it has read
//! everything. A receiver that went away with something unread has the system answer with a reset, and the batch is sent again.
//! Datagrams to a socket of this machine are accepted when they are in its queue.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::sinks::{SinkEvent, SinkFault, SinkPort, Takes};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::rfc5424::{Formatter, counted};
use super::tls::connector;
use crate::config::SyslogTarget;

const TAKES: Takes = Takes {
    events: 256,
    bytes: 1024 * 1024,
};
/// Connecting, and the handshake of TLS.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Until a batch is read.
const READ_MAX: Duration = Duration::from_secs(30);
/// Until a datagram has found a place.
const DATAGRAM_MAX: Duration = Duration::from_secs(5);
/// A reset follows the end of a connection within about one way there and back, which connecting has measured.
const RESET_MIN: Duration = Duration::from_millis(20);
const RESET_MAX: Duration = Duration::from_secs(1);
/// What a receiver says back has no meaning in syslog; more than this it may not say.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A syslog receiver.
pub(super) struct SyslogSink {
    target: SyslogTarget,
    formatter: Formatter,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl SyslogSink {
    /// A receiver of messages from this host.
    ///
    /// # Errors
    /// When TLS cannot be used with what is configured.
    pub(super) fn new(target: SyslogTarget, host: &str, message_bytes_max: usize) -> Result<Self, String> {
        let tls = match &target {
            SyslogTarget::Tls { host, ca_file, .. } => {
                let name = ServerName::try_from(host.clone()).map_err(|_| "the host is no name of a server".to_owned())?;
                Some((connector(ca_file.as_deref())?, name))
            }
            SyslogTarget::Tcp { .. } | SyslogTarget::Unix(_) => None,
        };
        Ok(Self {
            target,
            formatter: Formatter::new(host, message_bytes_max),
            tls,
        })
    }

    async fn stream(&mut self, host: String, port: u16, events: &[SinkEvent]) -> Result<(), String> {
        let mut frames = Vec::new();
        for event in events {
            counted(&self.formatter.message(event), &mut frames);
        }
        let began = Instant::now();
        let connecting = timeout(CONNECT_MAX, TcpStream::connect((host.as_str(), port))).await;
        let mut socket = in_time(connecting, "connecting")?;
        let reset_after = (began.elapsed() * 2).clamp(RESET_MIN, RESET_MAX);
        let Some((connector, name)) = &self.tls else {
            let read = timeout(READ_MAX, hand_over(&mut socket, &frames)).await;
            in_time(read, "waiting until everything was read")?;
            return was_read(&socket, reset_after).await;
        };
        let handshake = timeout(CONNECT_MAX, connector.connect(name.clone(), socket)).await;
        let mut socket = in_time(handshake, "the handshake of TLS")?;
        let read = timeout(READ_MAX, hand_over(&mut socket, &frames)).await;
        in_time(read, "waiting until everything was read")?;
        was_read(socket.get_ref().0, reset_after).await
    }

    async fn datagrams(&mut self, path: &Path, events: &[SinkEvent]) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.connect(path).map_err(failed)?;
        for event in events {
            let message = self.formatter.message(event);
            let mut sent = timeout(DATAGRAM_MAX, socket.send(&message)).await;
            if matches!(&sent, Ok(Err(error)) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error())) {
                let short = self.formatter.short(event);
                sent = timeout(DATAGRAM_MAX, socket.send(&short)).await;
            }
            in_time(sent, "waiting for a place in its queue")?;
        }
        Ok(())
    }
}

#[async_trait]
impl SinkPort for SyslogSink {
    fn takes(&self) -> Takes {
        TAKES
    }

    async fn deliver(&mut self, events: &[SinkEvent]) -> Result<(), SinkFault> {
        let delivered = match self.target.clone() {
            SyslogTarget::Tcp { host, port } | SyslogTarget::Tls { host, port, .. } => self.stream(host, port, events).await,
            SyslogTarget::Unix(path) => self.datagrams(&path, events).await,
        };
        delivered.map_err(SinkFault::unavailable)
    }
}

/// Sends everything, ends this side, and reads until the other side has ended too.
async fn hand_over(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), frames: &[u8]) -> io::Result<()> {
    stream.write_all(frames).await?;
    stream.shutdown().await?;
    let mut said = [0; 1024];
    let mut length = 0;
    loop {
        match stream.read(&mut said).await {
            Ok(0) => return Ok(()),
            Ok(read) => length += read,
            // A receiver that ends TLS without saying goodbye in it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        if length > ANSWER_BYTES_MAX {
            return Err(io::Error::other("it says too much for a receiver of syslog"));
        }
    }
}

/// Whether the receiver ended its side because it had read everything. One that ended it with something unread, or before
/// everything came, has its system answer with a reset.
async fn was_read(socket: &TcpStream, reset_after: Duration) -> Result<(), String> {
    sleep(reset_after).await;
    match socket.take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(format!("it ended the connection before it had read everything: {error}")),
    }
}

fn in_time<T>(done: Result<io::Result<T>, tokio::time::error::Elapsed>, what: &str) -> Result<T, String> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what} took too long")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::net::SocketAddr;
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::rfc5424::tests::event;
    use super::*;

    /// What a receiver does with a connection.
    #[derive(Clone, Copy, PartialEq)]
    enum Manners {
        ReadsAll,
        ReadsSome,
        HangsUp,
        Stalls,
    }

    async fn receiver(manners: Manners) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reading = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            match manners {
                Manners::ReadsAll => {
                    stream.read_to_end(&mut got).await.unwrap();
                }
                Manners::ReadsSome => {
                    stream.read_exact(&mut [0; 10]).await.unwrap();
                }
                Manners::HangsUp => {}
                Manners::Stalls => std::future::pending().await,
            }
            got
        });
        (address, reading)
    }

    fn tcp(address: SocketAddr) -> SyslogSink {
        let target = SyslogTarget::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        };
        SyslogSink::new(target, "h", 8192).unwrap()
    }

    /// The messages of frames with octet counts.
    fn messages(mut frames: &[u8]) -> Vec<String> {
        let mut messages = Vec::new();
        while !frames.is_empty() {
            let space = frames.iter().position(|byte| *byte == b' ').unwrap();
            let length: usize = std::str::from_utf8(frames.get(..space).unwrap()).unwrap().parse().unwrap();
            let (message, rest) = frames.get(space + 1..).unwrap().split_at(length);
            messages.push(String::from_utf8(message.to_owned()).unwrap());
            frames = rest;
        }
        messages
    }

    #[tokio::test]
    async fn a_batch_is_accepted_when_all_of_it_was_read() {
        let (address, reading) = receiver(Manners::ReadsAll).await;
        let batch: Vec<SinkEvent> = (0..200).map(event).collect();
        tcp(address).deliver(&batch).await.unwrap();
        let got = messages(&reading.await.unwrap());
        assert_eq!(got.len(), 200);
        assert!(got.iter().zip(&batch).all(|(message, event)| message.ends_with(&event.text)));
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_up_with_something_unread_has_accepted_nothing() {
        for manners in [Manners::HangsUp, Manners::ReadsSome] {
            for count in [1, 200] {
                for _ in 0..10 {
                    let (address, _reading) = receiver(manners).await;
                    let batch: Vec<SinkEvent> = (0..count).map(event).collect();
                    tcp(address).deliver(&batch).await.unwrap_err();
                }
            }
        }
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(tcp(gone).deliver(&[event(0)]).await.unwrap_err().why.contains("connecting"));
    }

    #[tokio::test]
    async fn a_receiver_that_reads_nothing_is_given_up() {
        let (address, _reading) = receiver(Manners::Stalls).await;
        let mut sink = tcp(address);
        let given_up = timeout(Duration::from_millis(300), sink.deliver(&[event(0)])).await;
        assert!(given_up.is_err());
    }

    #[tokio::test]
    async fn tls_is_verified_and_the_end_of_the_connection_is_seen_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = crate::serve::tests::certificate(dir.path());
        let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert_file)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        for (polite, trusted, whole) in [(true, true, true), (false, true, true), (true, false, true), (true, true, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let acceptor = acceptor.clone();
            let reading = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut got = Vec::new();
                if whole {
                    stream.read_to_end(&mut got).await.unwrap();
                }
                if polite && whole {
                    stream.shutdown().await.unwrap();
                }
                Some(got)
            });
            let ca_file = if trusted {
                files.cert_file.clone()
            } else {
                let other = tempfile::tempdir().unwrap();
                let copy = dir.path().join("other.pem");
                std::fs::copy(crate::serve::tests::certificate(other.path()).cert_file, &copy).unwrap();
                copy
            };
            let target = SyslogTarget::Tls {
                host: "localhost".into(),
                port,
                ca_file: Some(ca_file),
            };
            // More than what a receiver takes in with the handshake: then its system knows that something was not read.
            let long = |n| SinkEvent {
                text: "x".repeat(100_000),
                ..event(n)
            };
            let batch: Vec<SinkEvent> = (0..50).map(long).collect();
            let delivered = SyslogSink::new(target, "h", 2 * 1024 * 1024).unwrap().deliver(&batch).await;
            let got = reading.await.unwrap();
            assert_eq!(delivered.is_ok(), trusted && whole, "{delivered:?}");
            if delivered.is_ok() {
                assert_eq!(messages(&got.unwrap()).len(), 50);
            }
        }
        std::fs::write(dir.path().join("none.pem"), "").unwrap();
        let target = SyslogTarget::Tls {
            host: "localhost".into(),
            port: 1,
            ca_file: Some(dir.path().join("none.pem")),
        };
        assert!(SyslogSink::new(target, "h", 8192).err().unwrap().contains("holds no certificate"));
    }

    #[tokio::test]
    async fn a_datagram_that_the_socket_does_not_take_goes_as_its_stand_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = SyslogSink::new(SyslogTarget::Unix(path.clone()), "h", 2 * 1024 * 1024).unwrap();
        assert!(sink.deliver(&[event(0)]).await.unwrap_err().why.contains("log: "));
        let socket = UnixDatagram::bind(&path).unwrap();
        let long = SinkEvent {
            text: "x".repeat(1024 * 1024),
            ..event(1)
        };
        sink.deliver(&[event(0), long.clone(), event(2)]).await.unwrap();
        let mut buffer = vec![0; 2 * 1024 * 1024];
        for expected in [event(0).text, long.short, event(2).text] {
            let read = socket.recv(&mut buffer).await.unwrap();
            let message = String::from_utf8(buffer.get(..read).unwrap().to_owned()).unwrap();
            assert!(message.ends_with(&expected), "{message}");
        }
    }
}
