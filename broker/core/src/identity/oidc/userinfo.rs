//! Groups from the provider's userinfo endpoint (OpenID Connect Core §5.3), where its ID tokens carry none.
//!
//! It is asked at the sign-in itself, with the access token that came with the ID token, so what it says is as recent as the ID
//! token. What it says of somebody else counts for nothing (§5.3.2), and an answer without groups is no answer: a person with fewer
//! claims than they have can slip past a `forbid`.

use jsonwebtoken::Algorithm;
use ring::digest;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::keys::unavailable;
use super::{IdTokenError, Issuer, claims};
use chunk_evidence::encode::b64;

impl Issuer {
    /// The groups of whoever this ID token is about, whose claims and algorithm these are.
    pub(super) async fn groups_from_userinfo(
        &self,
        id_token: &Map<String, Value>,
        algorithm: Algorithm,
        access_token: Option<&str>,
        now_ms: i64,
    ) -> Result<Vec<String>, IdTokenError> {
        let access_token = access_token.ok_or(IdTokenError::AccessTokenMissing)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if access_token.is_empty() || access_token.len() > ACCESS_TOKEN_BYTES_MAX || !access_token.bytes().all(fits) {
            return Err(IdTokenError::AccessToken("it is not a bearer token"));
        }
        // The provider says which access token came with the ID token, where it says so at all (§3.1.3.8).
        if let Some(at_hash) = id_token.get("at_hash")
            && at_hash.as_str() != Some(&at_hash_of(access_token, algorithm))
        {
            return Err(IdTokenError::AccessToken("it did not come with the ID token"));
        }
        let endpoint = self.keys.userinfo_endpoint(now_ms).await?;
        let authorization = Zeroizing::new(format!("Bearer {access_token}"));
        let (status, body) = self
            .http
            .get_as(&endpoint, authorization)
            .await
            .map_err(|error| unavailable(format!("GET {endpoint}: {error}")))?;
        match status {
            200 => {}
            401 | 403 => return Err(IdTokenError::AccessToken("the identity provider refuses it")),
            _ => return Err(unavailable(format!("GET {endpoint}: answered {status}"))),
        }
        let said: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|_| unavailable(format!("GET {endpoint}: the answer is no JSON object")))?;
        if claims::text(&said, "sub") != claims::text(id_token, "sub") {
            return Err(IdTokenError::Userinfo("it is about somebody else"));
        }
        let claim = &self.settings.groups_claim;
        if !claims::has(&said, claim) {
            return Err(IdTokenError::Userinfo("it carries no groups"));
        }
        claims::groups(&said, claim)
    }
}

/// The left half of the hash that goes with the algorithm of the ID token.
fn at_hash_of(access_token: &str, algorithm: Algorithm) -> String {
    let with = match algorithm {
        Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(with, access_token.as_bytes());
    b64(hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default())
}

/// Large enough for an access token that carries groups itself.
const ACCESS_TOKEN_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
