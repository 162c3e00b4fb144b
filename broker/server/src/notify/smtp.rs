//! Submits messages (RFC 6409): TLS first, then who we are, then one message after another.
//!
//! Nothing but the greeting is said before TLS, and what the server sent before it in one piece with its answer to STARTTLS ends
//! the connection: somebody on the way would have put it there. Of an answer only its code is told on, since its text may quote what
//! was sent.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::config::{SmtpSecurity, SmtpServer};
use crate::sinks::tls::connector;

/// Connecting, and the handshake of TLS.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Until a command is answered; a server may look at a message before it takes it.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer, of all its lines.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// A server, and how it is spoken to.
pub(super) struct Smtp {
    server: SmtpServer,
    /// What we call ourselves.
    name: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why something was not submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SmtpFault {
    /// For the operator; never a text of the server's own.
    pub(super) why: String,
    /// The code that the server answered, where it did.
    pub(super) code: Option<u16>,
    /// What it was about.
    pub(super) about: About,
}

/// What a server said no to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The connection, us, or the sender.
    Us,
    /// This recipient: there is no such mailbox.
    Mailbox,
    /// What stands in the message.
    Message,
}

impl SmtpFault {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            code: None,
            about: About::Us,
        }
    }

    /// The server will say so again until somebody changes something.
    pub(super) fn is_permanent(&self) -> bool {
        self.code.is_some_and(|code| code >= 500)
    }
}

impl Smtp {
    /// A server, spoken to under this name.
    ///
    /// # Errors
    /// When TLS cannot be used with what is configured.
    pub(super) fn new(server: SmtpServer, name: &str) -> Result<Self, String> {
        let tls = match server.security {
            SmtpSecurity::Plain => None,
            SmtpSecurity::Implicit | SmtpSecurity::StartTls => {
                let host = ServerName::try_from(server.host.clone()).map_err(|_| "the host is no name of a server".to_owned())?;
                Some((connector(server.ca_file.as_deref().map(Path::new))?, host))
            }
        };
        Ok(Self {
            server,
            name: name.to_owned(),
            tls,
        })
    }

    /// Connects, and says who we are.
    pub(super) async fn connect(&self, password: Option<Zeroizing<String>>) -> Result<Session, SmtpFault> {
        let connecting = timeout(CONNECT_MAX, TcpStream::connect((self.server.host.as_str(), self.server.port))).await;
        let socket = in_time(connecting, "connecting")?;
        let mut session = match self.server.security {
            SmtpSecurity::Implicit => Session::over(self.secured(Box::new(socket)).await?),
            SmtpSecurity::StartTls | SmtpSecurity::Plain => Session::over(Box::new(socket)),
        };
        session.answer("the greeting").await?.expect(220)?;
        let mut offers = session.hello(&self.name).await?;
        if self.server.security == SmtpSecurity::StartTls {
            if !offers.has("STARTTLS") {
                return Err(SmtpFault::new("it does not offer STARTTLS, and nothing is sent without TLS"));
            }
            session.command("STARTTLS", "STARTTLS").await?.expect(220)?;
            if !session.stream.buffer().is_empty() {
                return Err(SmtpFault::new("it sent something before TLS that belongs after it"));
            }
            session = Session::over(self.secured(session.stream.into_inner()).await?);
            offers = session.hello(&self.name).await?;
        }
        if let (Some((user, _)), Some(password)) = (&self.server.login, password) {
            session.log_in(&offers, user, &password).await?;
        }
        Ok(session)
    }

    async fn secured(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, SmtpFault> {
        let (connector, host) = self.tls.as_ref().ok_or_else(|| SmtpFault::new("there is no TLS to use"))?;
        let handshake = timeout(CONNECT_MAX, connector.connect(host.clone(), stream)).await;
        Ok(Box::new(in_time(handshake, "the handshake of TLS")?))
    }
}

/// A connection over which messages are submitted.
pub(super) struct Session {
    stream: BufReader<Box<dyn Stream>>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Session {
    fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Submits a message to one address. After a fault that the server answered, others may follow on the same connection.
    pub(super) async fn submit(&mut self, from: &str, to: &str, message: &str) -> Result<(), SmtpFault> {
        let submitted = self.try_submit(from, to, message).await;
        if submitted.as_ref().is_err_and(|fault| fault.code.is_some()) {
            // Whatever is left of the transaction. That it was taken back matters only to the next.
            self.command("RSET", "RSET").await?.expect(250)?;
        }
        submitted
    }

    async fn try_submit(&mut self, from: &str, to: &str, message: &str) -> Result<(), SmtpFault> {
        self.command(&format!("MAIL FROM:<{from}>"), "MAIL").await?.expect(250)?;
        let answer = self.command(&format!("RCPT TO:<{to}>"), "RCPT").await?;
        if !matches!(answer.code, 250..=252) {
            let mailbox = matches!(answer.code, 550 | 551 | 553) && !answer.is_of_policy();
            return Err(answer.fault(if mailbox { About::Mailbox } else { About::Us }));
        }
        let answer = self.command("DATA", "DATA").await?;
        if answer.code != 354 {
            return Err(answer.fault(About::Message));
        }
        let mut data = String::with_capacity(message.len() + 16);
        for line in message.split_inclusive("\r\n") {
            if line.starts_with('.') {
                data.push('.');
            }
            data.push_str(line);
        }
        data.push('.');
        let answer = self.command(&data, "the message").await?;
        if answer.code != 250 {
            return Err(answer.fault(About::Message));
        }
        Ok(())
    }

    /// Ends the connection; whether the server says good-bye matters to nobody.
    pub(super) async fn quit(mut self) {
        drop(self.command("QUIT", "QUIT").await);
    }

    async fn hello(&mut self, name: &str) -> Result<Answer, SmtpFault> {
        let answer = self.command(&format!("EHLO {name}"), "EHLO").await?;
        answer.expect(250)?;
        Ok(answer)
    }

    async fn log_in(&mut self, offers: &Answer, user: &str, password: &str) -> Result<(), SmtpFault> {
        let mechanisms = offers.after("AUTH").to_ascii_uppercase();
        let has = |name: &str| mechanisms.split_ascii_whitespace().any(|mechanism| mechanism == name);
        let encoded = |text: &str| Zeroizing::new(STANDARD.encode(text));
        if has("PLAIN") {
            let both = Zeroizing::new(format!("\0{user}\0{password}"));
            let line = Zeroizing::new(format!("AUTH PLAIN {}", encoded(&both).as_str()));
            return self.command(&line, "AUTH").await?.expect(235);
        }
        if has("LOGIN") {
            self.command("AUTH LOGIN", "AUTH").await?.expect(334)?;
            self.command(&encoded(user), "AUTH").await?.expect(334)?;
            return self.command(&encoded(password), "AUTH").await?.expect(235);
        }
        Err(SmtpFault::new(
            "it offers neither AUTH PLAIN nor AUTH LOGIN, and a `username` is configured",
        ))
    }

    /// Sends a line; `what` is what an error calls it.
    async fn command(&mut self, line: &str, what: &'static str) -> Result<Answer, SmtpFault> {
        let send = async {
            let stream = self.stream.get_mut();
            stream.write_all(line.as_bytes()).await?;
            stream.write_all(b"\r\n").await?;
            stream.flush().await
        };
        in_time(timeout(ANSWER_MAX, send).await, what)?;
        self.answer(what).await
    }

    async fn answer(&mut self, what: &'static str) -> Result<Answer, SmtpFault> {
        let mut stream = (&mut self.stream).take(ANSWER_BYTES_MAX);
        let read = async {
            let mut lines = Vec::new();
            loop {
                let mut line = Vec::new();
                stream.read_until(b'\n', &mut line).await?;
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                let more = line.as_bytes().get(3) == Some(&b'-');
                lines.push(line);
                if !more {
                    return Ok(lines);
                }
            }
        };
        let lines = in_time(timeout(ANSWER_MAX, read).await, what)?;
        let code = |line: &String| line.get(..3)?.parse::<u16>().ok().filter(|code| (200..600).contains(code));
        match lines.first().and_then(code) {
            Some(code) => Ok(Answer { what, code, lines }),
            None => Err(SmtpFault::new(format!("{what}: it answered what is no SMTP, or nothing"))),
        }
    }
}

/// What a server answered.
struct Answer {
    what: &'static str,
    code: u16,
    lines: Vec<String>,
}

impl Answer {
    fn expect(&self, code: u16) -> Result<(), SmtpFault> {
        if self.code == code {
            return Ok(());
        }
        Err(self.fault(About::Us))
    }

    fn fault(&self, about: About) -> SmtpFault {
        SmtpFault {
            why: format!("it answered {} to {}", self.code, self.what),
            code: Some(self.code),
            about,
        }
    }

    /// What stands after each code.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.get(4..))
    }

    /// Whether an extension is offered.
    fn has(&self, extension: &str) -> bool {
        self.texts().any(|text| text.trim().eq_ignore_ascii_case(extension))
    }

    /// The words after an extension's name.
    fn after(&self, extension: &str) -> &str {
        let split = self
            .texts()
            .find_map(|text| text.split_once(' ').filter(|(name, _)| name.eq_ignore_ascii_case(extension)));
        split.map_or("", |(_, rest)| rest)
    }

    /// Whether it is about what may be sent from here (RFC 3463, X.7.X), and not about a mailbox.
    fn is_of_policy(&self) -> bool {
        self.texts().any(|text| text.starts_with("5.7."))
    }
}

fn in_time<T>(done: Result<std::io::Result<T>, tokio::time::error::Elapsed>, what: &str) -> Result<T, SmtpFault> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(SmtpFault::new(format!("{what}: {error}"))),
        Err(_) => Err(SmtpFault::new(format!("{what} took too long"))),
    }
}

#[cfg(test)]
mod tests;
