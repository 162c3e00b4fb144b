//! A session with a MySQL or MariaDB server: verified TLS, and a statement that never outlives its reader.
//!
//! The protocol is spoken here and not by a driver: rows go from its packets into Arrow columns without a value of their own
//! for each cell, several reads of one transaction take turns through the server's cursors, and nothing is negotiated that
//! is not wanted. No LOCAL INFILE, no several statements in one, no password in the clear outside of TLS
//! (docs/decisions/0019).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chunk_port::{MysqlTarget, ScanError};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::auth::Method;
use super::fault::{Failure, While, malformed};
use super::kind::ColumnType;
use super::wire::{Parts, Wire, put_counted};
use crate::source::connector::{self, Connector, Seat, Use};

/// How a server is reached, again if need be.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) connector: Arc<Connector>,
    pub(super) target: Arc<MysqlTarget>,
    /// Shown to the server.
    pub(super) tag: String,
}

impl Reach {
    /// Connects and signs in, as soon as there is a seat and within a time limit.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Session, ScanError> {
        let connection = &self.target.connection;
        let seat = self.connector.seat(connection, Use::Order).await?;
        connector::in_time(connection, self.sign_in(Some(seat))).await
    }

    async fn sign_in(self: &Arc<Self>, seat: Option<Seat>) -> Result<Session, ScanError> {
        let failed = |e: Failure| e.told(&self.target.connection, "connecting", While::Connecting);
        let password = self.connector.password(&self.target.connection)?;
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((self.target.host.as_str(), self.target.port)))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|e| failed(e.into()))?;
        stream.set_nodelay(true).map_err(|e| failed(e.into()))?;
        let mut wire = Wire::new(Box::new(stream));
        let greeting = Greeting::read(&wire.packet().await.map_err(|e| failed(e.into()))?).map_err(failed)?;
        if !self.target.plaintext {
            wire = self.encrypted(wire, &greeting).await?;
        }
        self.authenticate(&mut wire, &greeting, &password).await.map_err(failed)?;
        Ok(Session {
            reach: Arc::clone(self),
            wire: Some(wire),
            id: greeting.id,
            maria: greeting.maria,
            busy: false,
            _seat: seat,
        })
    }

    /// Has the server encrypt the connection. Nothing of a credential has been sent before.
    async fn encrypted(&self, mut wire: Wire, greeting: &Greeting) -> Result<Wire, ScanError> {
        let failed = |e: Failure| e.told(&self.target.connection, "connecting", While::Connecting);
        if greeting.capabilities & CLIENT_SSL == 0 {
            return Err(failed(Failure::Refused(
                "the server offers no TLS, which is required unless `plaintext` is set",
            )));
        }
        let mut request = head(CAPABILITIES | CLIENT_SSL);
        request.resize(32, 0);
        wire.send(&request).await.map_err(|e| failed(e.into()))?;
        let config = self.connector.tls(&self.target.connection, self.target.ca_file.as_deref())?;
        let name =
            ServerName::try_from(self.target.host.clone()).map_err(|_| failed(Failure::Refused("the host's name cannot be verified")))?;
        let (stream, sequence) = wire.into_stream().map_err(|e| failed(e.into()))?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|e| failed(e.into()))?;
        Ok(Wire::continuing(Box::new(stream), sequence))
    }

    async fn authenticate(&self, wire: &mut Wire, greeting: &Greeting, password: &str) -> Result<(), Failure> {
        let secure = !self.target.plaintext;
        let mut method = greeting.method;
        let mut response = Zeroizing::new(head(if secure { CAPABILITIES | CLIENT_SSL } else { CAPABILITIES }));
        response.resize(32, 0);
        response.extend_from_slice(self.target.user.as_bytes());
        response.push(0);
        put_counted(&mut response, &method.answer(password, &greeting.challenge));
        response.extend_from_slice(method.name().as_bytes());
        response.push(0);
        let mut attributes = Vec::new();
        for (name, value) in [("program_name", "chunk-broker"), ("chunk_tag", &self.tag)] {
            put_counted(&mut attributes, name.as_bytes());
            put_counted(&mut attributes, value.as_bytes());
        }
        put_counted(&mut response, &attributes);
        wire.send(&response).await?;
        for _ in 0..STEPS_MAX {
            let packet = wire.packet().await?;
            match packet.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xff, _)) => return Err(server(&packet)),
                // Another method than was begun with; nothing after it: the method of servers before 4.1.
                Some((0xfe, rest)) if !rest.is_empty() => {
                    let mut parts = Parts(rest);
                    method = Method::of(parts.terminated()).ok_or(Failure::Refused(METHODS))?;
                    let answer = method.answer(password, challenge(parts.0));
                    wire.send(&answer).await?;
                }
                Some((0x01, [0x03])) if method == Method::CachingSha2 => {}
                Some((0x01, [0x04])) if method == Method::CachingSha2 && secure => {
                    let mut clear = Zeroizing::new(Vec::with_capacity(password.len() + 1));
                    clear.extend_from_slice(password.as_bytes());
                    clear.push(0);
                    wire.send(&clear).await?;
                }
                Some((0x01, [0x04])) if method == Method::CachingSha2 => {
                    return Err(Failure::Refused(
                        "the server asks for the password itself, which is sent over TLS only",
                    ));
                }
                _ => return Err(Failure::Refused(METHODS)),
            }
        }
        Err(malformed("signing in does not end"))
    }

    /// Has the server stop what the session with this id is at.
    async fn kill(self: Arc<Self>, id: u32) {
        let done = timeout(CONNECT_TIMEOUT, async {
            let mut session = self.sign_in(None).await.map_err(drop)?;
            session.command(&format!("KILL QUERY {id}")).await.map_err(drop)
        });
        if !matches!(done.await, Ok(Ok(()))) {
            tracing::warn!("a statement could not be cancelled at its source; its own time limit ends it");
        }
    }
}

const METHODS: &str = "the account's plugin is neither mysql_native_password nor caching_sha2_password";
const STEPS_MAX: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const CLIENT_SSL: u32 = 0x800;
/// LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_ATTRS, PLUGIN_AUTH_LENENC.
const CAPABILITIES: u32 = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x8_0000 | 0x10_0000 | 0x20_0000;
/// utf8mb4_general_ci, which every server knows.
const UTF8MB4: u8 = 45;
const PACKET_BYTES_MAX: u32 = 0x4000_0000;

/// What the answer to a greeting begins with.
fn head(capabilities: u32) -> Vec<u8> {
    let mut head = capabilities.to_le_bytes().to_vec();
    head.extend_from_slice(&PACKET_BYTES_MAX.to_le_bytes());
    head.push(UTF8MB4);
    head
}

/// A challenge without the zero after it.
fn challenge(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

/// What a server says first.
struct Greeting {
    id: u32,
    maria: bool,
    capabilities: u32,
    challenge: Vec<u8>,
    method: Method,
}

impl Greeting {
    fn read(packet: &[u8]) -> Result<Self, Failure> {
        if packet.first() == Some(&0xff) {
            return Err(server(packet));
        }
        Self::parts(packet).ok_or(malformed("a greeting of another protocol"))
    }

    fn parts(packet: &[u8]) -> Option<Self> {
        let mut parts = Parts(packet);
        (parts.u8()? == 10).then_some(())?;
        let version = parts.terminated();
        let maria = version.windows(7).any(|w| w == b"MariaDB");
        let id = parts.u32()?;
        let mut challenge_bytes = parts.take(8)?.to_vec();
        parts.u8()?;
        let low = parts.u16()?;
        parts.take(3)?;
        let capabilities = u32::from(low) | u32::from(parts.u16()?) << 16;
        let length = usize::from(parts.u8()?);
        parts.take(10)?;
        challenge_bytes.extend_from_slice(challenge(parts.take(length.saturating_sub(8).max(13))?));
        let needed = CAPABILITIES & !0x1 & !0x10_0000;
        (capabilities & needed == needed).then_some(())?;
        Some(Self {
            id,
            maria,
            capabilities,
            challenge: challenge_bytes,
            // What is asked for later is what counts.
            method: Method::of(parts.terminated()).unwrap_or(Method::Native),
        })
    }
}

/// An ERR packet.
fn server(packet: &[u8]) -> Failure {
    let mut parts = Parts(packet.get(1..).unwrap_or_default());
    let code = parts.u16().unwrap_or_default();
    if parts.0.first() == Some(&b'#') {
        let _state = parts.take(6);
    }
    Failure::Server {
        code,
        message: String::from_utf8_lossy(parts.0).into_owned(),
    }
}

/// A signed-in connection. Dropping it while a statement runs has the server stop the statement: closing the socket alone
/// would leave a sort running until it next tries to write.
pub(super) struct Session {
    reach: Arc<Reach>,
    /// Taken only when dropped.
    wire: Option<Wire>,
    id: u32,
    /// Which of the two it is.
    pub(super) maria: bool,
    busy: bool,
    _seat: Option<Seat>,
}

/// A statement that the server has prepared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement(u32);

/// Rows of texts under their names.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// An answer of more rows than this is no answer about metadata.
const TEXT_ROWS_MAX: usize = 100_000;

impl Session {
    /// Sends a command, unless an earlier exchange was left in its middle.
    async fn send(&mut self, payload: &[u8]) -> Result<&mut Wire, Failure> {
        if self.busy {
            return Err(malformed("a session that was left in the middle of an answer"));
        }
        let wire = self.wire.as_mut().ok_or(malformed("a session that has ended"))?;
        self.busy = true;
        wire.command(payload).await?;
        Ok(wire)
    }

    async fn query(&mut self, sql: &str) -> Result<&mut Wire, Failure> {
        let mut payload = vec![COM_QUERY];
        payload.extend_from_slice(sql.as_bytes());
        self.send(&payload).await
    }

    /// Notes that the answer has ended, if it has.
    fn ended<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(result, Ok(_) | Err(Failure::Server { .. })) {
            self.busy = false;
        }
        result
    }

    /// Runs a statement that gives no rows.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), Failure> {
        let packet = self.query(sql).await?.packet().await?;
        let result = match packet.first() {
            Some(0x00) => Ok(()),
            Some(0xff) => Err(server(&packet)),
            _ => Err(malformed("rows where none were asked for")),
        };
        self.ended(result)
    }

    /// Runs a statement that gives rows about tables, not of them.
    pub(super) async fn texts(&mut self, sql: &str) -> Result<Texts, Failure> {
        let wire = self.query(sql).await?;
        let result = texts(wire).await;
        self.ended(result)
    }

    /// Prepares a statement without parameters.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<(Statement, Vec<ColumnType>), Failure> {
        let mut payload = vec![COM_STMT_PREPARE];
        payload.extend_from_slice(sql.as_bytes());
        let wire = self.send(&payload).await?;
        let result = prepared(wire).await;
        self.ended(result)
    }

    /// Starts a prepared statement; its rows come by [`Session::row`], or with `cursor` by [`Session::fetch`].
    pub(super) async fn execute(&mut self, statement: Statement, cursor: bool) -> Result<Vec<ColumnType>, Failure> {
        let mut payload = vec![COM_STMT_EXECUTE];
        payload.extend_from_slice(&statement.0.to_le_bytes());
        payload.push(u8::from(cursor));
        payload.extend_from_slice(&1_u32.to_le_bytes());
        let wire = self.send(&payload).await?;
        let result = executed(wire).await;
        match result {
            Ok((columns, status)) if cursor => {
                let open = status & STATUS_CURSOR_EXISTS != 0;
                let result = if open {
                    Ok(columns)
                } else {
                    Err(malformed("no cursor where one was asked for"))
                };
                self.ended(result)
            }
            // Rows follow.
            Ok((columns, _)) => Ok(columns),
            Err(error) => self.ended(Err(error)),
        }
    }

    /// The next row of the statement that runs; `None` at its end.
    pub(super) async fn row(&mut self) -> Result<Option<Bytes>, Failure> {
        let wire = self.wire.as_mut().ok_or(malformed("a session that has ended"))?;
        let packet = wire.packet().await?;
        match packet.first() {
            Some(0x00) => Ok(Some(packet)),
            Some(0xfe) if packet.len() < 9 => self.ended(Ok(None)),
            Some(0xff) => self.ended(Err(server(&packet))),
            _ => Err(malformed("a row of another protocol")),
        }
    }

    /// The next rows of a cursor, and whether they are the last.
    pub(super) async fn fetch(&mut self, statement: Statement, rows: u32) -> Result<(Vec<Bytes>, bool), Failure> {
        let mut payload = vec![COM_STMT_FETCH];
        payload.extend_from_slice(&statement.0.to_le_bytes());
        payload.extend_from_slice(&rows.to_le_bytes());
        let wire = self.send(&payload).await?;
        let result = fetched(wire).await;
        self.ended(result)
    }

    /// Has the server forget a statement.
    pub(super) async fn close(&mut self, statement: Statement) -> Result<(), Failure> {
        let mut payload = vec![COM_STMT_CLOSE];
        payload.extend_from_slice(&statement.0.to_le_bytes());
        let sent = self.send(&payload).await.map(drop);
        // There is no answer.
        self.ended(sent)
    }
}

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;
const COM_STMT_FETCH: u8 = 0x1c;
const STATUS_CURSOR_EXISTS: u16 = 0x40;
const STATUS_LAST_ROW_SENT: u16 = 0x80;

async fn texts(wire: &mut Wire) -> Result<Texts, Failure> {
    let first = wire.packet().await?;
    if first.first() == Some(&0xff) {
        return Err(server(&first));
    }
    let mut found = Texts::default();
    for definition in definitions(wire, count(&first)?).await? {
        found.names.push(definition.name);
    }
    loop {
        let packet = wire.packet().await?;
        match packet.first() {
            Some(0xff) => return Err(server(&packet)),
            Some(0xfe) if packet.len() < 9 => return Ok(found),
            _ if found.rows.len() >= TEXT_ROWS_MAX => return Err(malformed("more rows than metadata has")),
            _ => {}
        }
        let mut parts = Parts(&packet);
        let mut row = Vec::with_capacity(found.names.len());
        for _ in &found.names {
            row.push(if parts.0.first() == Some(&0xfb) {
                parts.u8();
                None
            } else {
                let text = parts.counted().ok_or(malformed("a short row"))?;
                Some(String::from_utf8_lossy(text).into_owned())
            });
        }
        found.rows.push(row);
    }
}

async fn prepared(wire: &mut Wire) -> Result<(Statement, Vec<ColumnType>), Failure> {
    let first = wire.packet().await?;
    if first.first() == Some(&0xff) {
        return Err(server(&first));
    }
    let short = || malformed("a short answer to a statement to prepare");
    let mut parts = Parts(&first);
    let (0, id, columns, 0) = (
        parts.u8().ok_or_else(short)?,
        parts.u32().ok_or_else(short)?,
        parts.u16().ok_or_else(short)?,
        parts.u16().ok_or_else(short)?,
    ) else {
        return Err(malformed("parameters where none were given"));
    };
    let columns = if columns > 0 {
        definitions(wire, u64::from(columns)).await?
    } else {
        Vec::new()
    };
    Ok((Statement(id), columns))
}

async fn executed(wire: &mut Wire) -> Result<(Vec<ColumnType>, u16), Failure> {
    let first = wire.packet().await?;
    match first.first() {
        Some(0xff) => return Err(server(&first)),
        Some(0x00) => return Err(malformed("no rows where some were asked for")),
        _ => {}
    }
    let columns = count(&first)?;
    definitions_with_status(wire, columns).await
}

async fn fetched(wire: &mut Wire) -> Result<(Vec<Bytes>, bool), Failure> {
    let mut rows = Vec::new();
    loop {
        let packet = wire.packet().await?;
        match packet.first() {
            Some(0x00) => rows.push(packet),
            Some(0xff) => return Err(server(&packet)),
            Some(0xfe) if packet.len() < 9 => return Ok((rows, status(&packet)? & STATUS_LAST_ROW_SENT != 0)),
            _ => return Err(malformed("a row of another protocol")),
        }
    }
}

/// A count of columns. LOCAL INFILE would be asked for in its place, and is refused.
fn count(packet: &[u8]) -> Result<u64, Failure> {
    Parts(packet)
        .number()
        .filter(|n| *n > 0)
        .ok_or(malformed("an answer that is no rows"))
}

fn status(packet: &[u8]) -> Result<u16, Failure> {
    let mut parts = Parts(packet.get(3..).unwrap_or_default());
    parts.u16().ok_or(malformed("a short end of rows"))
}

async fn definitions(wire: &mut Wire, count: u64) -> Result<Vec<ColumnType>, Failure> {
    Ok(definitions_with_status(wire, count).await?.0)
}

async fn definitions_with_status(wire: &mut Wire, count: u64) -> Result<(Vec<ColumnType>, u16), Failure> {
    let mut columns = Vec::new();
    for _ in 0..count {
        let packet = wire.packet().await?;
        columns.push(ColumnType::read(&packet).ok_or(malformed("a column of another protocol"))?);
    }
    let end = wire.packet().await?;
    match end.first() {
        Some(0xfe) if end.len() < 9 => Ok((columns, status(&end)?)),
        Some(0xff) => Err(server(&end)),
        _ => Err(malformed("more columns than were announced")),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(mut wire), Ok(runtime)) = (self.wire.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        if self.busy {
            runtime.spawn(Arc::clone(&self.reach).kill(self.id));
        } else {
            // Politely, or the server's log would count it as an aborted connection.
            runtime.spawn(async move { drop(timeout(CONNECT_TIMEOUT, wire.command(&[COM_QUIT])).await) });
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.reach.target.connection)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}
