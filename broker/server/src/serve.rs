//! From a checked configuration to a broker that answers, and from a signal to a broker that has stopped with nothing open.
//!
//! Order of stopping: no new connections; streams of events end; deliveries are cut and their outcomes recorded; the stop is
//! recorded; then the connections that are left are closed.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use chunk_core::broker::{Broker, Parts};
use chunk_core::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Env, TlsFiles};
use crate::connections::Bounded;
use crate::data_dir;
use crate::error::{CommandError, chain};
use crate::http::{Gateway, limits, router};
use crate::outbound::IssuerHttp;
use crate::ports::Ports;
use crate::reload;
use crate::secrets::Credentials;
use crate::secrets::master::MasterKey;

/// Deliveries are cut and the stop is recorded within this time, or not at all: the next start records what is missing.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Connections are given this long to end by themselves.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(5);

/// Runs a broker until `stop` is cancelled; `ready` is called once it answers.
///
/// # Errors
/// When it cannot start, or ends by itself.
pub async fn serve(
    config: Config,
    ports: Ports,
    env: Env,
    stop: CancellationToken,
    ready: impl FnOnce() + Send,
) -> Result<(), CommandError> {
    install_crypto();
    let tls = match &config.broker.tls {
        Some(files) => Some((files.clone(), tls_config(files).await?)),
        None => None,
    };
    let api = bind(config.broker.listen)?;
    let operations = config.broker.metrics_listen.map(bind).transpose()?;
    let folder = config.policy_folder();
    let public_url = config.broker.public_url.clone();
    let broker = start(config, &ports, env).await?;

    let ending = CancellationToken::new();
    let gateway = Gateway::new(Arc::clone(&broker), public_url.clone(), operations.is_some(), ending.clone());
    let handle = Handle::new();
    let mut servers = tokio::task::JoinSet::new();
    servers.spawn(listen(
        api,
        tls.as_ref().map(|(_, tls)| tls.clone()),
        router::api(Arc::clone(&gateway)),
        handle.clone(),
    ));
    if let Some(listener) = operations {
        servers.spawn(listen(listener, None, router::operations(gateway), handle.clone()));
    }
    servers.spawn(reload::on_hangup(Arc::clone(&broker), folder, tls, ending.clone()));
    tracing::info!(url = %public_url, version = env!("CARGO_PKG_VERSION"), "ready");
    ready();

    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = servers.join_next() => Err(CommandError::unavailable("A listener ended by itself.").because(match ended {
            Some(Ok(Err(fault))) => fault.to_string(),
            _ => "no error was given".to_owned(),
        })),
    };
    tracing::info!("stopping");
    ending.cancel();
    handle.graceful_shutdown(None);
    stop_broker(&broker, &handle).await;
    if tokio::time::timeout(CONNECTIONS_END_MAX, async { while servers.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        handle.shutdown();
    }
    tracing::info!("stopped");
    ended
}

/// Cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be caught.
pub fn stop_on_signal() -> Result<CancellationToken, CommandError> {
    let failed = |e: std::io::Error| CommandError::unavailable("Signals cannot be caught.").because(e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        token.cancel();
    });
    Ok(stop)
}

/// Makes ring the process's provider of TLS cryptography. Harmless when called again.
pub(crate) fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A client that does not read holds its delivery up; after half of the time its connection is closed, which lets go of it.
async fn stop_broker(broker: &Broker, handle: &Handle<SocketAddr>) {
    let mut stopped = std::pin::pin!(broker.stop());
    if tokio::time::timeout(STOP_MAX / 2, &mut stopped).await.is_ok() {
        return;
    }
    handle.shutdown();
    if tokio::time::timeout(STOP_MAX / 2, &mut stopped).await.is_err() {
        tracing::error!("stopping took too long; the next start records how the running deliveries ended");
    }
}

/// Opens everything a broker is made of and starts it.
pub(crate) async fn start(config: Config, ports: &Ports, env: Env) -> Result<Arc<Broker>, CommandError> {
    let master = MasterKey::load(&env, config.broker.master_key_file.as_deref()).map_err(|why| {
        CommandError::config("The master key cannot be read.")
            .because(why)
            .next("chunk-broker check")
    })?;
    let credentials = Credentials::new(&config.connections, env, master.clone());
    if let Some((_, why)) = credentials.faults().into_iter().next() {
        return Err(CommandError::config("A credential cannot be read.")
            .because(why)
            .next("chunk-broker check"));
    }
    let data = data_dir::open(&config.broker.data_dir, &master)?;
    let scanner =
        (ports.scanner)(Arc::new(credentials)).map_err(|why| CommandError::unavailable("The scanner cannot start.").because(why))?;
    let http = IssuerHttp::new(&config.issuers)
        .map_err(|why| CommandError::config("The client for identity providers cannot be made.").because(why))?;
    let settings = Settings {
        name: config.broker.name.clone(),
        public_url: config.broker.public_url.clone(),
        origin: data.origin,
        instance: data.instance,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        issuers: config.issuers.iter().map(|issuer| issuer.settings.clone()).collect(),
        session_s: config.broker.session_s,
        catalog: config.catalog(&master),
        config_digest: config.digest,
    };
    let parts = Parts {
        settings,
        policies: config.policies,
        clock: Arc::clone(&ports.clock),
        journal: Box::new(data.journal),
        data_keys: data.data_keys,
        signer: data.signer,
        scanner,
        http: Arc::new(http),
        token_seed: *master.derive(&[b"tokens/v1"]),
        nonce_key: *master.derive(&[b"nonces/v1"]),
    };
    Broker::start(parts)
        .await
        .map_err(|fault| CommandError::unavailable("The broker cannot start.").because(chain(&fault)))
}

fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).map_err(|e| CommandError::unavailable(format!("Cannot listen at {address}.")).because(e))
}

async fn tls_config(files: &TlsFiles) -> Result<RustlsConfig, CommandError> {
    RustlsConfig::from_pem_file(&files.cert_file, &files.key_file).await.map_err(|e| {
        CommandError::config("The certificate and key of `broker.tls` cannot be used.")
            .because(format!("{}: {e}", files.cert_file.display()))
    })
}

/// One listener with the bounds of `http::limits`, over TLS or plain.
async fn listen(listener: TcpListener, tls: Option<RustlsConfig>, router: Router, handle: Handle<SocketAddr>) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| CommandError::unavailable("A listener failed.").because(e);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum_server::from_tcp(listener)
        .map_err(failed)?
        .handle(handle)
        .first_request_timeout(limits::FIRST_REQUEST_MAX);
    let served = match tls {
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls)
                .handshake_timeout(limits::HANDSHAKE_MAX)
                .acceptor(NoDelayAcceptor::new());
            let mut server = server.acceptor(Bounded::new(acceptor, limits::CONNECTIONS_MAX));
            bound(server.http_builder());
            server.serve(service).await
        }
        None => {
            let mut server = server.acceptor(Bounded::new(NoDelayAcceptor::new(), limits::CONNECTIONS_MAX));
            bound(server.http_builder());
            server.serve(service).await
        }
    };
    served.map_err(failed)
}

fn bound(http: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    http.http1()
        .header_read_timeout(limits::HEADER_READ_MAX)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES);
    http.http2()
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .initial_stream_window_size(limits::HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_WINDOW_BYTES)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(limits::HTTP2_PING_EVERY)
        .keep_alive_timeout(limits::HTTP2_PING_ANSWER_MAX);
}

#[cfg(test)]
pub(crate) mod tests;
