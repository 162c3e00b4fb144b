//! A session with a PostgreSQL server: verified TLS, SCRAM, and a statement that never outlives its reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chunk_port::{PostgresTarget, ScanError};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use super::pool::{Link, Pool};
use super::select::text;
use crate::engine::fault as public;
use crate::source::connector::{self, Connector, Seat, Use};

/// A session, as soon as there is a seat and within a time limit: one that was kept, or a new one. `tag` becomes `application_name`.
pub(super) async fn session(connector: &Connector, target: &Arc<PostgresTarget>, tag: &str, wanted: Use) -> Result<Session, ScanError> {
    let seat = connector.seat(&target.connection, wanted).await?;
    let pool = Arc::clone(&connector.postgres);
    let tagged = tagged(tag);
    while let Some(link) = pool.take(target) {
        // Not everything that is dead says so: a firewall forgets without a word.
        if let Ok(Ok(())) = timeout(WAKE_TIMEOUT, link.client.batch_execute(&tagged)).await {
            return Ok(Session::new(target, link, seat, pool));
        }
    }
    // The driver's own limit is for the TCP connection; a server that accepts and then says nothing has none.
    let link = connector::in_time(&target.connection, sign_in(connector, target, &tagged)).await?;
    Ok(Session::new(target, link, seat, pool))
}

/// The statement that shows a tag to the source. In a message of its own or before others of the kind: a log of statements shows the
/// name that was set when the message came.
pub(super) fn tagged(tag: &str) -> String {
    format!("SET application_name = {}", text(tag))
}

async fn sign_in(connector: &Connector, target: &PostgresTarget, tagged: &str) -> Result<Link, ScanError> {
    let password = connector.password(&target.connection)?;
    let mut config = Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .dbname(&target.database)
        .user(&target.user)
        .password(password.as_bytes())
        .application_name(NAME)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT)
        .keepalives_idle(Duration::from_secs(30));
    // The driver keeps a copy of its own, which goes with `config`; ours is wiped now.
    drop(password);
    let failed = |e: tokio_postgres::Error| fault::driver(&target.connection, "connecting", &e);
    let (client, driver, tls) = if target.plaintext {
        config.ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        (client, tokio::spawn(async move { drop(connection.await) }), None)
    } else {
        config.ssl_mode(SslMode::Require);
        let tls = MakeRustlsConnect::new(connector.tls(&target.connection, target.ca_file.as_deref())?);
        let (client, connection) = config.connect(tls.clone()).await.map_err(failed)?;
        (client, tokio::spawn(async move { drop(connection.await) }), Some(tls))
    };
    let link = Link {
        cancel: client.cancel_token(),
        client,
        driver: driver.abort_handle(),
        tls,
        born: Instant::now(),
    };
    link.client.batch_execute(tagged).await.map_err(failed)?;
    Ok(link)
}

/// A signed-in connection, for one order. Dropping it while a statement runs cancels the statement at the server: closing the socket
/// alone would leave a sort or an index build of a view running until it next tries to write. Dropped idle, it is kept for another.
pub(super) struct Session {
    target: Arc<PostgresTarget>,
    /// Taken only when dropped.
    inner: Option<(Link, Seat)>,
    busy: bool,
    pool: Arc<Pool>,
}

impl Session {
    fn new(target: &Arc<PostgresTarget>, link: Link, seat: Seat, pool: Arc<Pool>) -> Self {
        Self {
            target: Arc::clone(target),
            inner: Some((link, seat)),
            busy: false,
            pool,
        }
    }

    /// Runs statements; rows come as texts.
    pub(super) async fn texts(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryMessage>, ScanError> {
        let answer = self.run(sql).await?;
        answer.map_err(|e| fault::driver(&self.target.connection, what, &e))
    }

    /// The same, with the driver's error.
    pub(super) async fn run(&mut self, sql: &str) -> Result<Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>, ScanError> {
        self.busy = true;
        let result = self.link()?.client.simple_query(sql).await;
        self.busy = false;
        Ok(result)
    }

    /// Starts a COPY. [`Session::idle`] is to be called when the stream has ended.
    pub(super) async fn copy(&mut self, sql: &str) -> Result<BoxStream<'static, Result<bytes::Bytes, tokio_postgres::Error>>, ScanError> {
        self.busy = true;
        match self.link()?.client.copy_out(sql).await {
            Ok(stream) => Ok(stream.boxed()),
            Err(error) => {
                self.busy = false;
                Err(fault::driver(&self.target.connection, "starting to read", &error))
            }
        }
    }

    /// Says that no statement runs any more.
    pub(super) fn idle(&mut self) {
        self.busy = false;
    }

    fn link(&self) -> Result<&Link, ScanError> {
        let (link, _) = self
            .inner
            .as_ref()
            .ok_or_else(|| public::internal("a session without a connection"))?;
        Ok(link)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((link, seat)) = self.inner.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            link.driver.abort();
            return;
        };
        if !self.busy {
            runtime.spawn(Arc::clone(&self.pool).keep(Arc::clone(&self.target), link, seat));
            return;
        }
        link.driver.abort();
        runtime.spawn(async move {
            let done = async {
                match link.tls {
                    Some(tls) => link.cancel.cancel_query(tls).await,
                    None => link.cancel.cancel_query(NoTls).await,
                }
            };
            if !matches!(timeout(CONNECT_TIMEOUT, done).await, Ok(Ok(()))) {
                tracing::warn!("a statement could not be cancelled at its source; its own time limit ends it");
            }
            drop(seat);
        });
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.target.connection)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

/// `application_name` of a session that serves no order.
const NAME: &str = "chunk-broker";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a kept session may take to answer before it is given up.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
