//! Receivers that do as a story tells them: an HTTPS collector of events or of notifications, a syslog receiver, and rsyslog itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::process::Running;
use super::world::{free_port, repository};
use super::{poll, servers};

/// What a receiver does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Keeps it and says so.
    Accepts,
    /// HTTP: answers with this line and these headers. Syslog: hangs up.
    Answers(&'static str),
    /// HTTP: keeps it, and hangs up instead of saying so.
    Forgets,
    /// Takes the connection and does nothing.
    Stalls,
}

/// A receiver on a port of its own, which may die and come back.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    speaks: Speaks,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone)]
enum Speaks {
    Https(Arc<ServerConfig>),
    SyslogTls(Arc<ServerConfig>),
}

struct Shared {
    mood: Mutex<Mood>,
    /// Events as they came, accepted or not.
    got: Mutex<Vec<String>>,
    /// Values of `authorization`.
    tokens: Mutex<Vec<String>>,
    /// Headers of the notifications among them, by name in lower case.
    heads: Mutex<Vec<BTreeMap<String, String>>>,
    tries: AtomicU64,
    dead: AtomicBool,
}

impl Receiver {
    /// An HTTPS collector with the certificate of this folder (`tests/servers/certs.sh`).
    pub(crate) fn https(certificates: &Path) -> Self {
        Self::new(Speaks::Https(tls(certificates)))
    }

    /// A receiver of syslog over TLS (RFC 5425).
    pub(crate) fn syslog(certificates: &Path) -> Self {
        Self::new(Speaks::SyslogTls(tls(certificates)))
    }

    fn new(speaks: Speaks) -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Accepts),
            got: Mutex::default(),
            tokens: Mutex::default(),
            heads: Mutex::default(),
            tries: AtomicU64::new(0),
            dead: AtomicBool::new(false),
        });
        let mut receiver = Self {
            port: free_port(),
            speaks,
            shared,
            thread: None,
        };
        receiver.live();
        receiver
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub(crate) fn got(&self) -> Vec<String> {
        self.shared.got.lock().unwrap().clone()
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.tokens.lock().unwrap().clone()
    }

    /// Notifications as they came, accepted or not: headers and body.
    pub(crate) fn notified(&self) -> Vec<(BTreeMap<String, String>, String)> {
        // Both grow together, the headers first.
        let bodies = self.got();
        self.shared.heads.lock().unwrap().clone().into_iter().zip(bodies).collect()
    }

    /// Waits until it was tried so often in the mood it is in now.
    pub(crate) fn tried(&self, times: u64) {
        let before = self.shared.tries.load(Ordering::SeqCst);
        poll("the receiver to be tried", Duration::from_secs(90), || {
            (self.shared.tries.load(Ordering::SeqCst) >= before + times).then_some(())
        });
    }

    /// Nobody listens any more.
    pub(crate) fn die(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
        // So that it notices.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        self.thread.take().unwrap().join().unwrap();
    }

    /// Listens on its port, again.
    pub(crate) fn live(&mut self) {
        self.shared.dead.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        let (shared, speaks) = (Arc::clone(&self.shared), self.speaks.clone());
        self.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.dead.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, shared, speaks) = (stream.unwrap(), Arc::clone(&shared), speaks.clone());
                std::thread::spawn(move || drop(shared.serve(stream, &speaks)));
            }
        }));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, speaks: &Speaks) -> std::io::Result<()> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        if mood == Mood::Stalls {
            // Until the broker gives it up.
            stream.set_read_timeout(Some(Duration::from_secs(120)))?;
            let mut stream = stream;
            return std::io::copy(&mut stream, &mut std::io::sink()).map(drop);
        }
        match speaks {
            Speaks::Https(config) => self.request(secured(config, stream)?, mood),
            Speaks::SyslogTls(config) => self.frames(secured(config, stream)?, mood),
        }
    }

    fn request(&self, stream: impl Read + Write, mood: Mood) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            // The broker gave it up before it had asked.
            return Ok(());
        }
        let notifies = line.starts_with("POST /hook");
        assert!(notifies || line.starts_with("POST /in"), "{line}");
        let mut head = BTreeMap::new();
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            head.insert(name.to_lowercase(), value.to_owned());
        }
        let length: usize = head["content-length"].parse().unwrap();
        self.tokens.lock().unwrap().extend(head.get("authorization").cloned());
        let media_type = if notifies { "application/json" } else { "application/x-ndjson" };
        assert_eq!(head["content-type"], media_type);
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let answer = match mood {
            Mood::Answers(answer) => answer,
            _ => "204 No Content",
        };
        if matches!(mood, Mood::Accepts | Mood::Forgets) {
            let body = String::from_utf8(body).unwrap();
            if notifies {
                let mut heads = self.heads.lock().unwrap();
                heads.push(head);
                self.keep(std::iter::once(body.as_str()));
            } else {
                self.keep(body.lines());
            }
        }
        if mood == Mood::Forgets {
            return Ok(());
        }
        let stream = stream.get_mut();
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        stream.flush()
    }

    /// Frames of RFC 5425, until the broker ends its side.
    fn frames(&self, mut stream: StreamOwned<ServerConnection, TcpStream>, mood: Mood) -> std::io::Result<()> {
        if matches!(mood, Mood::Answers(_)) {
            return Ok(());
        }
        let mut frames = Vec::new();
        stream.read_to_end(&mut frames)?;
        let mut rest = frames.as_slice();
        let mut events = Vec::new();
        while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
            let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
            let message = std::str::from_utf8(&rest[space + 1..space + 1 + length]).unwrap();
            events.push(message.split_once('\u{feff}').unwrap().1);
            rest = &rest[space + 1 + length..];
        }
        assert!(rest.is_empty());
        self.keep(events.into_iter());
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn keep<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        self.got.lock().unwrap().extend(lines.map(str::to_owned));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.thread.is_some() && !std::thread::panicking() {
            self.die();
        }
    }
}

fn secured(config: &Arc<ServerConfig>, stream: TcpStream) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

fn tls(certificates: &Path) -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates.join("server.crt"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(certificates.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Makes an authority and a server's certificate in a folder.
pub(crate) fn certificates(folder: &Path) {
    let script = repository().join("tests/servers/certs.sh");
    assert!(Command::new("bash").arg(script).arg(folder).status().unwrap().success());
}

/// rsyslog as Debian has it, listening for syslog with octet counts and on a socket like `/dev/log`.
pub(crate) struct Rsyslog {
    folder: PathBuf,
    pub(crate) port: u16,
    running: Option<Running>,
}

impl Rsyslog {
    pub(crate) fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let port = free_port();
        let shown = folder.display();
        let config = format!(
            "module(load=\"imtcp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             global(workDirectory=\"{shown}\" maxMessageSize=\"256k\")\n\
             template(name=\"text\" type=\"list\") {{ property(name=\"msg\") constant(value=\"\\n\") }}\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n\
             input(type=\"imuxsock\" socket=\"{shown}/socket\" useSpecialParser=\"off\" rateLimit.Interval=\"0\")\n\
             action(type=\"omfile\" file=\"{shown}/events\" template=\"text\" ioBufferSize=\"64k\")\n"
        );
        std::fs::write(folder.join("rsyslog.conf"), config).unwrap();
        let mut rsyslog = Self {
            folder: folder.to_owned(),
            port,
            running: None,
        };
        rsyslog.start();
        rsyslog
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    pub(crate) fn start(&mut self) {
        let root = PathBuf::from(servers::required("CHUNK_TEST_RSYSLOG", "rsyslog"));
        let libraries = std::fs::read_dir(root.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path());
        let libraries = libraries.into_iter().find(|path| path.join("rsyslog").is_dir()).unwrap();
        let mut command = Command::new(root.join("usr/sbin/rsyslogd"));
        command.env_clear().env("LD_LIBRARY_PATH", &libraries);
        command.args(["-n", "-f"]).arg(self.folder.join("rsyslog.conf"));
        command
            .arg("-i")
            .arg(self.folder.join("pid"))
            .arg("-M")
            .arg(libraries.join("rsyslog"));
        std::fs::remove_file(self.folder.join("pid")).ok();
        std::fs::remove_file(self.socket()).ok();
        let mut running = Running::start(&mut command, &self.folder.join("log"));
        poll("rsyslog to listen", Duration::from_secs(20), || {
            assert!(running.ended().is_none(), "{}", running.log_text());
            (TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.socket().exists()).then_some(())
        });
        self.running = Some(running);
    }

    /// It ends in good order: what it has read, it writes.
    pub(crate) fn stop(&mut self) {
        self.running.take().unwrap().terminate();
    }

    pub(crate) fn got(&self) -> Vec<String> {
        let text = std::fs::read(self.folder.join("events")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // The last line may be half there.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole.lines().map(|line| line.trim_start_matches('\u{feff}').to_owned()).collect()
    }
}
