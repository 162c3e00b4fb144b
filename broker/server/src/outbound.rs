//! The only HTTP the broker sends: for discovery documents, keys and codes to the configured identity providers, to the configured
//! witnesses and time-stamp authority of its log, to the sinks that get its events, to those whom it notifies, and to the bucket
//! of its mirror.
//!
//! Addresses of the first kind come from documents that a provider serves, so they are not trusted: HTTPS only (plain HTTP to
//! loopback, and only where a configured issuer is there), no redirect to another host, bounded in size and time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use chunk_core::identity::HttpGet;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder};
use url::Url;
use zeroize::Zeroizing;

use crate::config::{SecretRef, is_loopback};
use crate::error::chain;
use crate::secrets::SecretReader;

const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A receiver of a batch may write it to disk before it answers.
const ACCEPTED_MAX: Duration = Duration::from_secs(30);
const REDIRECTS_MAX: usize = 3;

/// Fetches from identity providers.
pub(crate) struct IssuerHttp {
    /// Clients for hosts whose issuer names its own authorities.
    by_host: BTreeMap<String, Client>,
    /// Made when it is first needed: a machine without system roots may never need it.
    system: OnceLock<Result<Client, String>>,
    loopback: Option<Client>,
    /// Where the broker's own secrets at issuers are, and who reads them.
    secrets: BTreeMap<String, SecretRef>,
    reader: Option<SecretReader>,
}

impl IssuerHttp {
    /// Clients for these issuers. The text of an error is the operator's.
    pub(crate) fn new<'a>(issuers: impl IntoIterator<Item = (&'a str, Option<&'a Path>)>) -> Result<Self, String> {
        let mut by_host = BTreeMap::new();
        let mut loopback = None;
        for (issuer, ca_file) in issuers {
            let url = Url::parse(issuer).map_err(|e| e.to_string())?;
            if url.scheme() == "http" && loopback.is_none() {
                loopback = Some(build(common().no_proxy())?);
            }
            if let (Some(file), Some(host)) = (ca_file, host_and_port(&url)) {
                by_host.insert(host, build(common().https_only(true).tls_certs_only(authorities(file)?))?);
            }
        }
        Ok(Self {
            by_host,
            system: OnceLock::new(),
            loopback,
            secrets: BTreeMap::new(),
            reader: None,
        })
    }

    /// The same, with the secrets of clients that have one. They are read when they are used.
    pub(crate) fn with_secrets(self, secrets: BTreeMap<String, SecretRef>, reader: SecretReader) -> Self {
        Self {
            secrets,
            reader: Some(reader),
            ..self
        }
    }

    fn client(&self, url: &Url) -> Result<&Client, String> {
        if url.scheme() == "http" {
            let client = self.loopback.as_ref().filter(|_| is_loopback(url));
            return client.ok_or_else(|| "plain HTTP is only for a configured issuer on loopback".to_owned());
        }
        if url.scheme() != "https" {
            return Err("only https:// is fetched".to_owned());
        }
        if let Some(client) = host_and_port(url).and_then(|host| self.by_host.get(&host)) {
            return Ok(client);
        }
        self.system
            .get_or_init(|| build(common().https_only(true)))
            .as_ref()
            .map_err(Clone::clone)
    }
}

#[async_trait]
impl HttpGet for IssuerHttp {
    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let parsed = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        let answer = self
            .client(&parsed)?
            .get(parsed)
            .send()
            .await
            .map_err(|e| chain(&e.without_url()))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("{url} answered {}", answer.status()));
        }
        document(url, answer).await
    }

    async fn get_as(&self, url: &str, authorization: Zeroizing<String>) -> Result<(u16, Vec<u8>), String> {
        let parsed = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        let request = self
            .client(&parsed)?
            .get(parsed)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::AUTHORIZATION, secret_header(&authorization)?);
        let answer = request.send().await.map_err(|e| chain(&e.without_url()))?;
        Ok((answer.status().as_u16(), document(url, answer).await?))
    }

    fn client_secret(&self, issuer: &str) -> Result<Option<Zeroizing<String>>, String> {
        match (self.secrets.get(issuer), &self.reader) {
            (Some(place), Some(reader)) => reader
                .read(place)
                .map(Some)
                .map_err(|why| format!("`client_secret` of {issuer}: {why}")),
            _ => Ok(None),
        }
    }

    async fn post(&self, url: &str, form: Zeroizing<String>, authorization: Option<Zeroizing<String>>) -> Result<(u16, Vec<u8>), String> {
        let parsed = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        let mut request = self
            .client(&parsed)?
            .post(parsed)
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(http::header::ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(http::header::AUTHORIZATION, secret_header(&authorization)?);
        }
        let answer = request.body(form.to_string()).send().await.map_err(|e| chain(&e.without_url()))?;
        Ok((answer.status().as_u16(), document(url, answer).await?))
    }
}

fn secret_header(text: &str) -> Result<http::HeaderValue, String> {
    let mut value = http::HeaderValue::from_str(text).map_err(|_| "the secret fits into no header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

async fn document(url: &str, mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| chain(&e.without_url()))? {
        if body.len() + piece.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("{url} answered with more than {DOCUMENT_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A client for one configured address: HTTPS only, unless the address is plain HTTP on loopback.
pub(crate) fn client(url: &Url, ca_file: Option<&Path>) -> Result<Client, String> {
    client_of(common(), url, ca_file)
}

/// The same for an address to which what is sent is signed for: it follows no redirect.
pub(crate) fn signing_client(url: &Url, ca_file: Option<&Path>) -> Result<Client, String> {
    client_of(common().redirect(Policy::none()), url, ca_file)
}

/// The same for an address to which secrets and much else are sent: it follows no redirect, and waits longer for an answer.
pub(crate) fn sending_client(url: &Url, ca_file: Option<&Path>) -> Result<Client, String> {
    client_of(common().timeout(ACCEPTED_MAX).redirect(Policy::none()), url, ca_file)
}

fn client_of(client: ClientBuilder, url: &Url, ca_file: Option<&Path>) -> Result<Client, String> {
    if url.scheme() == "http" {
        return if is_loopback(url) {
            build(client.no_proxy())
        } else {
            Err("plain HTTP is only for loopback".to_owned())
        };
    }
    let client = client.https_only(true);
    match ca_file {
        Some(file) => build(client.tls_certs_only(authorities(file)?)),
        None => build(client),
    }
}

fn common() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("chunk-broker/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .redirect(Policy::custom(same_host))
}

fn build(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|e| chain(&e))
}

fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last();
    let same = from.is_some_and(|from| from.scheme() == attempt.url().scheme() && host_and_port(from) == host_and_port(attempt.url()));
    if !same {
        return attempt.error("redirected to another host");
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("redirected too often");
    }
    attempt.follow()
}

fn host_and_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(file).map_err(|e| format!("{}: {}", file.display(), e.kind()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {}", file.display(), chain(&e)))?;
    if found.is_empty() {
        return Err(format!("{}: holds no certificate", file.display()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives the same answer to every request.
    fn server(answer: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    #[tokio::test]
    async fn plain_http_is_for_loopback_and_only_with_an_issuer_there() {
        crate::serve::install_crypto();
        let far = IssuerHttp::new([("https://sso.example.com", None)]).unwrap();
        assert!(far.get("http://127.0.0.1:1/x").await.unwrap_err().contains("plain HTTP"));
        let near = IssuerHttp::new([("http://127.0.0.1:1", None)]).unwrap();
        assert!(near.get("http://192.0.2.1/x").await.unwrap_err().contains("plain HTTP"));
        assert!(near.get("file:///etc/passwd").await.is_err());
    }

    #[tokio::test]
    async fn a_redirect_to_another_host_and_an_endless_body_are_refused() {
        crate::serve::install_crypto();
        let url = server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into());
        let http = IssuerHttp::new([(url.as_str(), None)]).unwrap();
        assert!(http.get(&url).await.unwrap_err().contains("another host"));
        let url = server(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "x".repeat(2 * 1024 * 1024)
        ));
        let http = IssuerHttp::new([(url.as_str(), None)]).unwrap();
        assert!(http.get(&url).await.unwrap_err().contains("more than"));
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".into());
        let http = IssuerHttp::new([(url.as_str(), None)]).unwrap();
        assert_eq!(http.get(&url).await.unwrap(), b"{}");
    }
}
