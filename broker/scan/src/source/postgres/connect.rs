//! A session with a PostgreSQL server: verified TLS, SCRAM, and a statement that never outlives its reader.

use std::time::Duration;

use chunk_port::{PostgresTarget, ScanError};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use crate::source::connector::{self, Connector, Seat, Use};

/// Connects and signs in, as soon as there is a seat and within a time limit. `tag` becomes `application_name`.
pub(super) async fn session(connector: &Connector, target: &PostgresTarget, tag: &str, wanted: Use) -> Result<Session, ScanError> {
    let seat = connector.seat(&target.connection, wanted).await?;
    // The driver's own limit is for the TCP connection; a server that accepts and then says nothing has none.
    connector::in_time(&target.connection, sign_in(connector, target, tag, seat)).await
}

async fn sign_in(connector: &Connector, target: &PostgresTarget, tag: &str, seat: Seat) -> Result<Session, ScanError> {
    let password = connector.password(&target.connection)?;
    let mut config = Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .dbname(&target.database)
        .user(&target.user)
        .password(password.as_bytes())
        .application_name(tag)
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
    let cancel = client.cancel_token();
    Ok(Session {
        connection: target.connection.clone(),
        client,
        driver: driver.abort_handle(),
        cancel,
        tls,
        busy: false,
        _seat: seat,
    })
}

/// A signed-in connection. Dropping it while a statement runs cancels the statement at the server: closing the socket alone
/// would leave a sort or an index build of a view running until it next tries to write.
pub(super) struct Session {
    connection: String,
    client: Client,
    driver: AbortHandle,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
    busy: bool,
    _seat: Seat,
}

impl Session {
    /// Runs statements; rows come as texts.
    pub(super) async fn texts(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryMessage>, ScanError> {
        self.run(sql).await.map_err(|e| fault::driver(&self.connection, what, &e))
    }

    /// The same, with the driver's error.
    pub(super) async fn run(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
        self.busy = true;
        let result = self.client.simple_query(sql).await;
        self.busy = false;
        result
    }

    /// Starts a COPY. [`Session::idle`] is to be called when the stream has ended.
    pub(super) async fn copy(&mut self, sql: &str) -> Result<BoxStream<'static, Result<bytes::Bytes, tokio_postgres::Error>>, ScanError> {
        self.busy = true;
        match self.client.copy_out(sql).await {
            Ok(stream) => Ok(stream.boxed()),
            Err(error) => {
                self.busy = false;
                Err(fault::driver(&self.connection, "starting to read", &error))
            }
        }
    }

    /// Says that no statement runs any more.
    pub(super) fn idle(&mut self) {
        self.busy = false;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An idle session says goodbye by itself, once the client is gone.
        if !self.busy {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (cancel, tls) = (self.cancel.clone(), self.tls.clone());
            runtime.spawn(async move {
                let done = async {
                    match tls {
                        Some(tls) => cancel.cancel_query(tls).await,
                        None => cancel.cancel_query(NoTls).await,
                    }
                };
                if !matches!(tokio::time::timeout(CONNECT_TIMEOUT, done).await, Ok(Ok(()))) {
                    tracing::warn!("a statement could not be cancelled at its source; its own time limit ends it");
                }
            });
        }
        self.driver.abort();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.connection)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(60);
