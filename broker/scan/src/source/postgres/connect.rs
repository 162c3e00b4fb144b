//! A session with a PostgreSQL server: verified TLS, SCRAM, and a statement that never outlives its reader.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chunk_port::{PostgresTarget, ScanError, Secrets};
use futures::StreamExt;
use futures::stream::BoxStream;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use super::pool::{Link, Pool};
use super::select::text;
use crate::engine::fault as public;

/// Opens sessions.
pub(crate) struct Connector {
    secrets: Arc<dyn Secrets>,
    system_roots: OnceLock<Arc<RootCertStore>>,
    /// By connection.
    seats: Mutex<HashMap<String, Seats>>,
    pool: Arc<Pool>,
}

/// How many sessions the broker may still open to a server. Orders and readers are counted apart: were they one number,
/// sixteen orders could each wait for a reader that none of them has left.
#[derive(Clone)]
struct Seats {
    orders: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The first session of an order: it holds the snapshot.
    Order,
    /// A further reader of an order.
    Reader,
}

impl Connector {
    /// A connector that asks `secrets` for passwords.
    pub(crate) fn new(secrets: Arc<dyn Secrets>) -> Self {
        Self {
            secrets,
            system_roots: OnceLock::new(),
            seats: Mutex::new(HashMap::new()),
            pool: Arc::default(),
        }
    }

    fn seats(&self, connection: &str) -> Seats {
        let mut all = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = all.entry(connection.to_owned()).or_insert_with(|| Seats {
            orders: Arc::new(Semaphore::new(ORDERS_MAX)),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
        });
        seats.clone()
    }

    /// Whether somebody waits for a reader's session while all are taken.
    pub(super) fn is_crowded(&self, connection: &str) -> bool {
        self.seats(connection).readers.available_permits() == 0
    }

    /// A session, as soon as there is a seat and within a time limit: one that was kept, or a new one. `tag` becomes `application_name`.
    pub(super) async fn session(&self, target: &Arc<PostgresTarget>, tag: &str, wanted: Use) -> Result<Session, ScanError> {
        let seats = self.seats(&target.connection);
        let seat = match wanted {
            Use::Order => seats.orders,
            Use::Reader => seats.readers,
        };
        let seat = match timeout(SEAT_TIMEOUT, seat.acquire_owned()).await {
            Ok(Ok(seat)) => seat,
            Ok(Err(_)) => return Err(public::internal("the seats of a connection are closed")),
            Err(_) => {
                return Err(public::source(
                    format!(
                        "the broker has as many sessions with the source behind `{}` as it may; try again later",
                        target.connection
                    ),
                    format!("no session of {ORDERS_MAX} for orders and {READERS_MAX} for readers was free within {SEAT_TIMEOUT:?}"),
                ));
            }
        };
        // A statement of its own: a log of statements shows the name that was set when the message came.
        let tagged = format!("SET application_name = {}", text(tag));
        while let Some(link) = self.pool.take(target) {
            // Not everything that is dead says so: a firewall forgets without a word.
            if let Ok(Ok(())) = timeout(WAKE_TIMEOUT, link.client.batch_execute(&tagged)).await {
                return Ok(self.seated(target, link, seat));
            }
        }
        // The driver's own limit is for the TCP connection; a server that accepts and then says nothing has none.
        let link = timeout(SIGN_IN_TIMEOUT, self.sign_in(target, &tagged)).await.unwrap_or_else(|_| {
            Err(public::source(
                format!("the source behind `{}` did not answer in time", target.connection),
                format!("signing in took longer than {SIGN_IN_TIMEOUT:?}"),
            ))
        })?;
        Ok(self.seated(target, link, seat))
    }

    fn seated(&self, target: &Arc<PostgresTarget>, link: Link, seat: OwnedSemaphorePermit) -> Session {
        Session {
            target: Arc::clone(target),
            inner: Some((link, seat)),
            busy: false,
            pool: Arc::clone(&self.pool),
        }
    }

    async fn sign_in(&self, target: &PostgresTarget, tagged: &str) -> Result<Link, ScanError> {
        let password = self
            .secrets
            .password(&target.connection)
            .map_err(|e| public::source(format!("the credential of connection `{}` cannot be read", target.connection), e))?;
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
            let tls = self.tls(target)?;
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

    fn tls(&self, target: &PostgresTarget) -> Result<MakeRustlsConnect, ScanError> {
        let roots = match &target.ca_file {
            Some(path) => Arc::new(read_roots(path).map_err(|e| {
                public::source(
                    format!("the certificate authority of connection `{}` cannot be read", target.connection),
                    format!("{}: {e}", path.display()),
                )
            })?),
            None => Arc::clone(self.system_roots.get_or_init(|| Arc::new(system_roots()))),
        };
        if roots.is_empty() {
            return Err(public::source(
                format!("no certificate authority is trusted for connection `{}`", target.connection),
                "neither `ca_file` nor the system has one",
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| public::internal(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// A signed-in connection, for one order. Dropping it while a statement runs cancels the statement at the server: closing the socket
/// alone would leave a sort or an index build of a view running until it next tries to write. Dropped idle, it is kept for another.
pub(super) struct Session {
    target: Arc<PostgresTarget>,
    /// Taken only when dropped.
    inner: Option<(Link, OwnedSemaphorePermit)>,
    busy: bool,
    pool: Arc<Pool>,
}

impl Session {
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
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(PATIENCE_S);
/// How long a kept session may take to answer before it is given up.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
const SEAT_TIMEOUT: Duration = Duration::from_secs(PATIENCE_S);
const PATIENCE_S: u64 = if cfg!(test) { 3 } else { 20 };
/// Sessions with one server, of orders and of their further readers; a server allows a hundred by default.
const ORDERS_MAX: usize = 16;
const READERS_MAX: usize = 8;

fn read_roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())? {
        roots.add(certificate.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
