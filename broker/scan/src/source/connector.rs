//! What it takes to reach a server: its password, whom to trust, and a seat, because no server is to be crowded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chunk_port::{ScanError, Secrets};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::engine::fault;
use crate::source::postgres;

/// Knows what sessions need.
pub(crate) struct Connector {
    secrets: Arc<dyn Secrets>,
    system_roots: OnceLock<Arc<RootCertStore>>,
    /// By connection.
    seats: Mutex<HashMap<String, Seats>>,
    /// Sessions with PostgreSQL that nobody uses.
    pub(super) postgres: Arc<postgres::Pool>,
}

/// A place among the sessions that the broker may have with a server.
pub(crate) type Seat = OwnedSemaphorePermit;

/// How many sessions the broker may still open to a server. Orders and readers are counted apart: were they one number,
/// sixteen orders could each wait for a reader that none of them has left.
#[derive(Clone)]
struct Seats {
    orders: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
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
            postgres: Arc::default(),
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
    pub(crate) fn is_crowded(&self, connection: &str) -> bool {
        self.seats(connection).readers.available_permits() == 0
    }

    /// A seat, as soon as there is one and within a time limit.
    pub(crate) async fn seat(&self, connection: &str, wanted: Use) -> Result<Seat, ScanError> {
        let seats = self.seats(connection);
        let seats = match wanted {
            Use::Order => seats.orders,
            Use::Reader => seats.readers,
        };
        match timeout(SEAT_TIMEOUT, seats.acquire_owned()).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(_)) => Err(fault::internal("the seats of a connection are closed")),
            Err(_) => Err(fault::source(
                format!("the broker has as many sessions with the source behind `{connection}` as it may; try again later"),
                format!("no session of {ORDERS_MAX} for orders and {READERS_MAX} for readers was free within {SEAT_TIMEOUT:?}"),
            )),
        }
    }

    /// The password of a connection, as it is now.
    pub(crate) fn password(&self, connection: &str) -> Result<Zeroizing<String>, ScanError> {
        self.secrets
            .password(connection)
            .map_err(|e| fault::source(format!("the credential of connection `{connection}` cannot be read"), e))
    }

    /// Another secret of a connection, as it is now.
    pub(crate) fn key(&self, connection: &str, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        self.secrets.key(connection, name)
    }

    /// How a server's certificate is verified: against the authorities of `ca_file`, or the system's.
    pub(crate) fn tls(&self, connection: &str, ca_file: Option<&Path>) -> Result<ClientConfig, ScanError> {
        let roots = match ca_file {
            Some(path) => Arc::new(read_roots(path).map_err(|e| {
                fault::source(
                    format!("the certificate authority of connection `{connection}` cannot be read"),
                    format!("{}: {e}", path.display()),
                )
            })?),
            None => Arc::clone(self.system_roots.get_or_init(|| Arc::new(system_roots()))),
        };
        if roots.is_empty() {
            return Err(fault::source(
                format!("no certificate authority is trusted for connection `{connection}`"),
                "neither `ca_file` nor the system has one",
            ));
        }
        client_config(roots)
    }
}

/// What a client of plain HTTP is given in place of authorities.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, ScanError> {
    client_config(Arc::new(RootCertStore::empty()))
}

fn client_config(roots: Arc<RootCertStore>) -> Result<ClientConfig, ScanError> {
    Ok(
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| fault::internal(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Signing in, with an end: a server may accept a connection and then say nothing.
pub(crate) async fn in_time<T>(connection: &str, signing_in: impl Future<Output = Result<T, ScanError>>) -> Result<T, ScanError> {
    timeout(SIGN_IN_TIMEOUT, signing_in).await.unwrap_or_else(|_| {
        Err(fault::source(
            format!("the source behind `{connection}` did not answer in time"),
            format!("signing in took longer than {SIGN_IN_TIMEOUT:?}"),
        ))
    })
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(PATIENCE_S);
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
