//! What an identity provider says of itself (OpenID Connect Discovery 1.0).
//!
//! Its addresses come from its own document, whose issuer must be the one that the broker named.

use std::path::Path;
use std::time::Duration;

use chunk_wire::session::IssuerInfo;
use serde::Deserialize;

use crate::client::connection;
use crate::config::check_transport;
use crate::error::{Failure, Result};

/// How long one answer of a provider may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A provider that has been found.
pub(super) struct Provider {
    pub(super) http: reqwest::Client,
    pub(super) discovery: Discovery,
}

/// The part of an OpenID provider's metadata that is used here.
#[derive(Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    pub(super) token_endpoint: url::Url,
    pub(super) device_authorization_endpoint: Option<url::Url>,
    pub(super) authorization_endpoint: Option<url::Url>,
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207: what comes back from the browser names the issuer.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Provider {
    /// Reads the discovery document of an issuer.
    ///
    /// # Errors
    /// When it cannot be reached, or its document is not its own.
    pub(super) async fn find(issuer: &IssuerInfo, ca_file: Option<&Path>) -> Result<Self> {
        let base = trusted(&issuer.issuer, &issuer.issuer)?;
        let http = connection::client(base.scheme() == "http", ca_file)?;
        let discovery = discover(&http, issuer).await?;
        Ok(Self { http, discovery })
    }
}

/// What the broker wants to know about how and when the person authenticates (OpenID Connect Core 1.0 §3.1.2.1).
pub(super) fn authentication(issuer: &IssuerInfo) -> Vec<(&'static str, String)> {
    let max_age = issuer.max_age_s.map(|seconds| ("max_age", seconds.to_string()));
    let acr = (!issuer.acr_values.is_empty()).then(|| ("acr_values", issuer.acr_values.join(" ")));
    max_age.into_iter().chain(acr).collect()
}

async fn discover(http: &reqwest::Client, issuer: &IssuerInfo) -> Result<Discovery> {
    let url = format!("{}/.well-known/openid-configuration", issuer.issuer.trim_end_matches('/'));
    let answer = http
        .get(&url)
        .timeout(ANSWER_TIMEOUT)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| connection::unreachable(&issuer.issuer, &error))?;
    let bytes = crate::client::read_bytes(answer).await?;
    let discovery: Discovery = serde_json::from_slice(&bytes).map_err(|_| {
        Failure::cannot_tell("sign_in", format!("{} is no OpenID provider", issuer.issuer)).why("its discovery document does not parse")
    })?;
    // A document that speaks for another issuer could lead the person to a page of somebody else's.
    if discovery.issuer != issuer.issuer {
        return Err(Failure::no(
            "sign_in",
            format!("the provider at {} calls itself {}", issuer.issuer, discovery.issuer),
        )
        .why("the broker's configuration and the provider must name the same issuer, letter by letter"));
    }
    Ok(discovery)
}

/// Checks that tokens may go to an address, and people with their passwords.
pub(super) fn trusted(issuer: &str, address: &str) -> Result<url::Url> {
    let url = url::Url::parse(address).map_err(|_| "it does not parse as a URL");
    url.and_then(|url| check_transport(&url).map(|()| url))
        .map_err(|why| Failure::no("sign_in", format!("{issuer} cannot be used to sign in")).why(format!("{address}: {why}")))
}
