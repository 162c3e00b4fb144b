//! Where an issuer's public keys come from, and which of them may have signed a token.
//!
//! Keys are read at the address that the issuer's own discovery document names, kept for minutes, and read again when a token
//! names one that is not among them, so a rotation at the identity provider needs nobody here. Readers never wait for each
//! other: keys that are fresh are a pointer away, and only one task at a time asks the provider, at most every few seconds,
//! whatever anonymous callers send. Keys that could not be confirmed for an hour are no longer believed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use url::{Host, Url};

use super::{IdTokenError, OperatorText};
use crate::identity::HttpGet;

/// An issuer's keys, fetched when needed.
pub(in crate::identity) struct KeySource {
    issuer: String,
    http: Arc<dyn HttpGet>,
    keys: ArcSwapOption<KeySet>,
    /// Held while asking the provider: when that was last tried, ms since 1970.
    tried_ms: tokio::sync::Mutex<Option<i64>>,
}

struct KeySet {
    keys: Vec<Key>,
    /// Where authorization codes are redeemed, as the discovery document has it.
    token_endpoint: Option<TokenEndpoint>,
    /// Where a person's claims are told, as it has it.
    userinfo_endpoint: Option<String>,
    fetched_ms: i64,
}

/// Where an issuer redeems authorization codes.
#[derive(Debug, Clone)]
pub(super) struct TokenEndpoint {
    pub(super) url: String,
    /// A client's secret goes into the form, because the issuer takes it in no header (OpenID Connect Discovery 1.0 §3).
    pub(super) secret_in_form: bool,
}

struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint: Option<String>,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySource {
    pub(in crate::identity) fn new(issuer: String, http: Arc<dyn HttpGet>) -> Self {
        Self {
            issuer,
            http,
            keys: ArcSwapOption::empty(),
            tried_ms: tokio::sync::Mutex::new(None),
        }
    }

    /// Checks the signature of `signed` by a key of this issuer.
    pub(super) async fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        signed: &str,
        signature: &str,
        now_ms: i64,
    ) -> Result<(), IdTokenError> {
        let keys = self.keys_with(kid, algorithm, now_ms).await?;
        let candidates: Vec<&Key> = keys.candidates(kid, algorithm).collect();
        // Without a `kid` there must be one choice only (OpenID Connect Core §10.1): trying all would make any key good.
        if candidates.is_empty() || (kid.is_none() && candidates.len() > 1) {
            return Err(IdTokenError::Key);
        }
        let signed_by = |key: &&Key| jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, algorithm).unwrap_or(false);
        if candidates.iter().take(SAME_KID_MAX).any(signed_by) {
            Ok(())
        } else {
            Err(IdTokenError::Signature)
        }
    }

    /// Where the issuer redeems authorization codes.
    pub(super) async fn token_endpoint(&self, now_ms: i64) -> Result<TokenEndpoint, IdTokenError> {
        let keys = self.keys_that(|keys| keys.token_endpoint.is_some(), now_ms).await?;
        let endpoint = keys.token_endpoint.clone();
        endpoint
            .filter(|endpoint| self.may_ask(&endpoint.url))
            .ok_or_else(|| unavailable("the discovery document names no `token_endpoint` that is an https URL"))
    }

    /// Where the issuer tells a person's claims.
    pub(super) async fn userinfo_endpoint(&self, now_ms: i64) -> Result<String, IdTokenError> {
        let keys = self.keys_that(|keys| keys.userinfo_endpoint.is_some(), now_ms).await?;
        let endpoint = keys.userinfo_endpoint.clone();
        endpoint
            .filter(|endpoint| self.may_ask(endpoint))
            .ok_or_else(|| unavailable("the discovery document names no `userinfo_endpoint` that is an https URL"))
    }

    /// Keys that are fresh enough and, if the issuer publishes one now, hold one that fits.
    async fn keys_with(&self, kid: Option<&str>, algorithm: Algorithm, now_ms: i64) -> Result<Arc<KeySet>, IdTokenError> {
        self.keys_that(|keys| keys.candidates(kid, algorithm).next().is_some(), now_ms)
            .await
    }

    async fn keys_that(&self, suit: impl Fn(&KeySet) -> bool, now_ms: i64) -> Result<Arc<KeySet>, IdTokenError> {
        let good = |keys: &Arc<KeySet>| keys.is_younger(KEYS_FRESH_MS, now_ms) && suit(keys);
        if let Some(keys) = self.keys.load_full().filter(good) {
            return Ok(keys);
        }
        // The lock is held across the await on purpose: one question to the provider answers all who wait here.
        let mut tried_ms = self.tried_ms.lock().await;
        let known = self.keys.load_full();
        if let Some(keys) = known.clone().filter(good) {
            return Ok(keys);
        }
        let usable = known.filter(|keys| keys.is_younger(KEYS_USABLE_MS, now_ms));
        if tried_ms.is_some_and(|tried_ms| is_within(REFETCH_MS_MIN, tried_ms, now_ms)) {
            return usable.ok_or_else(|| unavailable("the identity provider failed moments ago and is not asked again yet"));
        }
        *tried_ms = Some(now_ms);
        match self.fetch(now_ms).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                self.keys.store(Some(Arc::clone(&keys)));
                Ok(keys)
            }
            // A provider that is down for a moment signs nobody out of what its known keys can show.
            Err(error) => usable.filter(|keys| suit(keys)).ok_or(error),
        }
    }

    async fn fetch(&self, now_ms: i64) -> Result<KeySet, IdTokenError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        if discovery.issuer != self.issuer {
            return Err(unavailable(format!("the discovery document at {url} is another issuer's")));
        }
        if !self.may_ask(&discovery.jwks_uri) {
            return Err(unavailable(format!(
                "`jwks_uri` in the discovery document at {url} is not an https URL"
            )));
        }
        let jwks: Jwks = self.get(&discovery.jwks_uri).await?;
        let methods = discovery.token_endpoint_auth_methods_supported;
        // Keys of kinds that are not used here are passed over, as RFC 7517 §5 asks.
        let keys = jwks
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(|jwk| serde_json::from_value::<Jwk>(jwk).ok()?.into_key())
            .collect();
        Ok(KeySet {
            keys,
            token_endpoint: discovery.token_endpoint.map(|url| TokenEndpoint {
                url,
                secret_in_form: methods.is_some_and(|methods| methods.iter().all(|method| method != "client_secret_basic")),
            }),
            userinfo_endpoint: discovery.userinfo_endpoint,
            fetched_ms: now_ms,
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, IdTokenError> {
        let body = self
            .http
            .get(url)
            .await
            .map_err(|error| unavailable(format!("GET {url}: {error}")))?;
        serde_json::from_slice(&body).map_err(|error| unavailable(format!("GET {url}: not the JSON document expected there: {error}")))
    }

    /// HTTPS, or this machine when the issuer itself is on it: no document may send the broker elsewhere in the clear.
    fn may_ask(&self, url: &str) -> bool {
        let loopback = |url: &Url| url.scheme() == "http" && is_loopback(url.host());
        let Ok(url) = Url::parse(url) else { return false };
        match url.scheme() {
            "https" => url.has_host(),
            _ => loopback(&url) && Url::parse(&self.issuer).is_ok_and(|issuer| loopback(&issuer)),
        }
    }
}

impl KeySet {
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.keys
            .iter()
            .filter(move |key| key.algorithms.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid))
    }

    fn is_younger(&self, age_ms: i64, now_ms: i64) -> bool {
        is_within(age_ms, self.fetched_ms, now_ms)
    }
}

impl Jwk {
    /// The key with the algorithms it may be used with: those of its kind, or the one it names, if that is of its kind.
    fn into_key(self) -> Option<Key> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig")
            || self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return None;
        }
        let (fitting, key): (&[Algorithm], _) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (
                &[Algorithm::RS256, Algorithm::PS256],
                DecodingKey::from_rsa_components(&self.n?, &self.e?),
            ),
            ("EC", Some("P-256")) => (&[Algorithm::ES256], DecodingKey::from_ec_components(&self.x?, &self.y?)),
            ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], DecodingKey::from_ed_components(&self.x?)),
            _ => return None,
        };
        let algorithms: Vec<Algorithm> = match self.alg.as_deref() {
            None => fitting.to_vec(),
            Some("Ed25519") => fitting.iter().copied().filter(|fits| *fits == Algorithm::EdDSA).collect(), // RFC 9864's name
            Some(alg) => super::allowed_algorithm(alg)
                .into_iter()
                .filter(|alg| fitting.contains(alg))
                .collect(),
        };
        if algorithms.is_empty() {
            return None;
        }
        Some(Key {
            kid: self.kid,
            algorithms,
            key: key.ok()?,
        })
    }
}

/// Whether `then_ms` is less than `age_ms` ago. A little ahead also counts: tasks that wait for one another read the clock before.
fn is_within(age_ms: i64, then_ms: i64, now_ms: i64) -> bool {
    (-CLOCK_BACK_MS_MAX..age_ms).contains(&now_ms.saturating_sub(then_ms))
}

fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub(super) fn unavailable(operator: impl Into<String>) -> IdTokenError {
    IdTokenError::Unavailable {
        operator: OperatorText(operator.into()),
    }
}

/// After this, keys are read again before they are used.
const KEYS_FRESH_MS: i64 = 10 * 60 * 1000;
/// For this long they are used when the provider does not answer.
const KEYS_USABLE_MS: i64 = 60 * 60 * 1000;
/// The provider is asked at most this often, whatever keys callers name.
const REFETCH_MS_MIN: i64 = 5 * 1000;
/// If the clock has stepped back by more than this, nothing fetched before is believed.
const CLOCK_BACK_MS_MAX: i64 = 60 * 1000;
/// Keys of one issuer.
const KEYS_MAX: usize = 100;
/// Keys with one id.
const SAME_KID_MAX: usize = 4;
