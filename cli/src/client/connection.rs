//! What does a connection look like, and how does one fail?

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use crate::error::{Failure, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that is gone without a word is noticed by these, also in a delivery that is silent while the source is read.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A client for one server.
///
/// # Errors
/// When the certificate file cannot be read.
pub(crate) fn client(plain: bool, ca_file: Option<&Path>) -> Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only where a provider is installed already, which is then the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("chunkctl/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEPALIVE)
        .http2_keep_alive_interval(KEEPALIVE)
        .http2_keep_alive_timeout(KEEPALIVE)
        .https_only(!plain);
    if plain {
        // This machine only: neither a proxy nor the system's certificates have a part in it.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|error| Failure::file("read the certificates in", path, &error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty());
        let certificates = certificates.ok_or_else(|| {
            Failure::usage(format!("`{}` holds no certificate", path.display())).why("expected PEM, one or more certificates")
        })?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| Failure::usage("TLS cannot be set up").why(chain(&error)).hint("chunkctl doctor"))
}

/// A server did not answer.
pub(crate) fn unreachable(server: &str, error: &reqwest::Error) -> Failure {
    let why = if error.is_timeout() && !error.is_connect() {
        "it took too long to answer".to_owned()
    } else {
        chain(error)
    };
    let failure = Failure::cannot_tell("unreachable", format!("cannot reach {server}")).why(why);
    if chain(error).contains("certificate") {
        return failure
            .why("for a private certificate authority, name its file: `--ca-file PATH`")
            .hint("chunkctl doctor");
    }
    failure.hint("chunkctl doctor")
}

/// An answer ended before its end.
pub(crate) fn cut(error: &reqwest::Error) -> Failure {
    Failure::cannot_tell("cut", "the broker's answer was cut").why(chain(error))
}

/// The innermost cause says what happened; the outer ones repeat the address.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
