//! A session with a PostgreSQL server: verified TLS, SCRAM, and a statement that never outlives its reader.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chunk_port::{PostgresTarget, ScanError, Secrets};
use futures::StreamExt;
use futures::stream::BoxStream;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use crate::engine::fault as public;

/// Opens sessions.
pub(crate) struct Connector {
    secrets: Arc<dyn Secrets>,
    system_roots: OnceLock<Arc<RootCertStore>>,
}

impl Connector {
    /// A connector that asks `secrets` for passwords.
    pub(crate) fn new(secrets: Arc<dyn Secrets>) -> Self {
        Self {
            secrets,
            system_roots: OnceLock::new(),
        }
    }

    /// Connects and signs in. `tag` becomes `application_name`.
    pub(super) async fn session(&self, target: &PostgresTarget, tag: &str) -> Result<Session, ScanError> {
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
            .application_name(tag)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30));
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
        let cancel = client.cancel_token();
        Ok(Session {
            connection: target.connection.clone(),
            client,
            driver: driver.abort_handle(),
            cancel,
            tls,
            busy: false,
        })
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

/// A signed-in connection. Dropping it while a statement runs cancels the statement at the server: closing the socket alone
/// would leave a sort or an index build of a view running until it next tries to write.
pub(super) struct Session {
    connection: String,
    client: Client,
    driver: AbortHandle,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
    busy: bool,
}

impl Session {
    /// Runs statements; rows come as texts.
    pub(super) async fn texts(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryMessage>, ScanError> {
        self.busy = true;
        let result = self.client.simple_query(sql).await;
        self.busy = false;
        result.map_err(|e| fault::driver(&self.connection, what, &e))
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
