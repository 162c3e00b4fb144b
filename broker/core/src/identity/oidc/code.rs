//! Redeems the authorization code of a sign-in in the browser (RFC 6749 §4.1.3, RFC 7636), and takes the ID token from the answer.
//!
//! The broker does this itself, because of a token that a client brings it could not say where it comes from: some providers copy
//! the `nonce` of a device authorization request into the ID token, so a phished device code gives a token that names the
//! attacker's key. A code is only ever sent to the browser's own machine, and only whoever listens there can pass it on.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::attestation::IdToken;
use chunk_wire::session::{LOOPBACK_PATH, OpenBrowserSession};
use serde::Deserialize;
use url::{Host, Url, form_urlencoded};
use zeroize::Zeroizing;

use super::keys::unavailable;
use super::{IdTokenError, Issuer, Issuers, Unverified, VerifiedIdentity};

#[derive(Deserialize)]
struct Answer {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Issuers {
    /// Redeems a code, and says who its ID token is about. The token must carry `nonce`.
    ///
    /// # Errors
    /// When the code was not for this machine's own browser, the provider refuses it, or its token any check.
    pub async fn redeem(&self, open: &OpenBrowserSession, nonce: &str, now_ms: i64) -> Result<VerifiedIdentity, IdTokenError> {
        let issuer = self.issuer(&open.issuer)?;
        if !is_loopback_redirect(&open.redirect_uri) {
            return Err(IdTokenError::Code("`redirect_uri` must be `http://127.0.0.1:PORT/callback`"));
        }
        if open.code.is_empty() || open.code.len() > CODE_BYTES_MAX {
            return Err(IdTokenError::Code("`code` is not an authorization code"));
        }
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !(43..=128).contains(&open.code_verifier.len()) || !open.code_verifier.bytes().all(unreserved) {
            return Err(IdTokenError::Code("`code_verifier` is not one of RFC 7636"));
        }
        let Answer { id_token, access_token } = issuer.answer(open, now_ms).await?;
        let access_token = access_token.map(Zeroizing::new);
        let shown = access_token.as_ref().map(|token| token.as_str());
        let identity = issuer.verify(Unverified::parse(&id_token)?, Some(nonce), shown, now_ms).await?;
        // Kept only in the form that every verifier reads alike. One that is in another is as good for the session.
        let attests = IdToken::parse(&id_token).is_some_and(|token| token.names(&identity.issuer, &identity.subject, nonce));
        Ok(VerifiedIdentity {
            attestation: attests.then_some(id_token),
            ..identity
        })
    }
}

impl Issuer {
    async fn answer(&self, open: &OpenBrowserSession, now_ms: i64) -> Result<Answer, IdTokenError> {
        let endpoint = self.keys.token_endpoint(now_ms).await?;
        let secret = self.http.client_secret(&self.settings.issuer).map_err(unavailable)?;
        let client_id = &self.settings.client_id;
        let (in_form, authorization) = match &secret {
            Some(secret) if endpoint.secret_in_form => (Some(secret.as_str()), None),
            Some(secret) => (None, Some(basic(client_id, secret))),
            None => (None, None),
        };
        let form = form(open, client_id, authorization.is_none(), in_form);
        let endpoint = endpoint.url;
        let (status, body) = self
            .http
            .post(&endpoint, form, authorization)
            .await
            .map_err(|error| unavailable(format!("POST {endpoint}: {error}")))?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|_| unavailable(format!("POST {endpoint}: no ID token in the answer")));
        }
        let refusal = serde_json::from_slice::<Refusal>(&body)
            .ok()
            .filter(|refusal| is_error_code(&refusal.error));
        match refusal {
            // The operator's to mend: nobody's code is wrong.
            Some(refusal) if refusal.error == "invalid_client" => Err(unavailable(format!(
                "POST {endpoint}: `invalid_client`: `client_id` or `client_secret` is not what the provider has"
            ))),
            Some(refusal) if (400..500).contains(&status) => Err(IdTokenError::CodeRefused(refusal.error)),
            _ => Err(unavailable(format!("POST {endpoint}: answered {status}"))),
        }
    }
}

/// The request of RFC 6749 §4.1.3. Who the client is stands in it where no header says so.
fn form(open: &OpenBrowserSession, client_id: &str, named: bool, secret: Option<&str>) -> Zeroizing<String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", &open.code)
        .append_pair("redirect_uri", &open.redirect_uri)
        .append_pair("code_verifier", &open.code_verifier)
        .extend_pairs(named.then_some(("client_id", client_id)))
        .extend_pairs(secret.map(|secret| ("client_secret", secret)));
    Zeroizing::new(form.finish())
}

/// RFC 6749 §2.3.1: both parts are encoded like a form before they become Basic credentials.
fn basic(client_id: &str, secret: &str) -> Zeroizing<String> {
    let encoded = |text: &str| Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encoded(client_id), *encoded(secret)));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// Whether it is the address of a client on the machine of its browser (RFC 8252 §7.3), and nothing that could be another in disguise.
#[must_use]
pub fn is_loopback_redirect(redirect_uri: &str) -> bool {
    let Ok(url) = Url::parse(redirect_uri) else { return false };
    let Some(port) = url.port() else { return false };
    url.host() == Some(Host::Ipv4(Ipv4Addr::LOCALHOST)) && redirect_uri == format!("http://127.0.0.1:{port}{LOOPBACK_PATH}")
}

/// A word of the protocol, fit to be shown.
fn is_error_code(word: &str) -> bool {
    (1..=64).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Codes of large providers are a few kilobytes.
const CODE_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
