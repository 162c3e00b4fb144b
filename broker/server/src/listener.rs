//! One listener with its bounds: how connections are accepted, over TLS or plain, and what each of them may do before the router
//! sees a request.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;
use crate::connections::Bounded;
use crate::error::{CommandError, chain};
use crate::http::limits::{self, Limits};
use crate::places::Places;

/// Listens at an address.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).map_err(|e| CommandError::unavailable(format!("Cannot listen at {address}.")).because(e))
}

/// The certificate and key to serve with.
pub(crate) async fn tls_config(files: &TlsFiles) -> Result<RustlsConfig, CommandError> {
    RustlsConfig::from_pem_file(&files.cert_file, &files.key_file).await.map_err(|e| {
        CommandError::config("The certificate and key of `broker.tls` cannot be used.")
            .because(format!("{}: {e}", files.cert_file.display()))
    })
}

/// Whether a certificate and its key can be served with; the text of an error is the operator's.
pub(crate) fn check_certificate(files: &TlsFiles) -> Result<(), String> {
    let (cert, key) = (files.cert_file.display(), files.key_file.display());
    let unreadable = |e: &dyn std::error::Error, file: &dyn std::fmt::Display| format!("{file}: {}", chain(e));
    let certificates = CertificateDer::pem_file_iter(&files.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable(&e, &cert))?;
    if certificates.is_empty() {
        return Err(format!("{cert}: holds no certificate in PEM form"));
    }
    let private = PrivateKeyDer::from_pem_file(&files.key_file).map_err(|e| unreadable(&e, &key))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, private))
        .map(drop)
        .map_err(|e| format!("{cert} and {key}: {e}"))
}

/// Serves what comes to a listener, over TLS or plain, until the handle ends it.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    handle: Handle<SocketAddr>,
    limits: Limits,
) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| CommandError::unavailable("A listener failed.").because(e);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let places = Places::new(limits.connections_max, limits.connections_of_one_max);
    let server = axum_server::from_tcp(listener)
        .map_err(failed)?
        .handle(handle)
        .first_request_timeout(limits.first_request_max);
    let served = match tls {
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls)
                .handshake_timeout(limits::HANDSHAKE_MAX)
                .acceptor(NoDelayAcceptor::new());
            let mut server = server.acceptor(Bounded::new(acceptor, places, limits.idle_max));
            bound(server.http_builder(), &limits);
            server.serve(service).await
        }
        None => {
            let mut server = server.acceptor(Bounded::new(NoDelayAcceptor::new(), places, limits.idle_max));
            bound(server.http_builder(), &limits);
            server.serve(service).await
        }
    };
    served.map_err(failed)
}

fn bound(http: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>, limits: &Limits) {
    http.http1()
        .header_read_timeout(limits.header_read_max)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES);
    http.http2()
        .max_concurrent_streams(limits::HTTP2_STREAMS_MAX)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .initial_stream_window_size(limits::HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_WINDOW_BYTES)
        .max_send_buf_size(limits::HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(limits.http2_ping_every)
        .keep_alive_timeout(limits::HTTP2_PING_ANSWER_MAX);
}

#[cfg(test)]
pub(crate) mod tests;
