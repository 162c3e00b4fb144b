//! Decides who somebody is: verifies an OpenID Connect ID token against the configured identity providers.
//!
//! The token chooses among configured issuers and nothing more: where keys come from, which algorithms count and for whom a
//! token must be made are the broker's to say. Everything is required and compared exactly; a token that is odd in any way
//! (another type, several audiences without `azp`, groups that did not fit) is refused rather than read generously, because a
//! person with fewer claims than they have can slip past a `forbid` as easily as one with more past a `permit`.
//!
//! That each token is accepted only once is the caller's to enforce, with [`VerifiedIdentity::token_sha256`].

pub(super) mod claims;
mod code;
pub(super) mod keys;
mod userinfo;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_evidence::attestation::token_digest;
use chunk_wire::session::SignIn;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

pub use self::code::is_loopback_redirect;
use self::keys::KeySource;
use crate::identity::HttpGet;
use crate::settings::{GroupsFrom, IssuerSettings};

/// Who an identity provider says somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// Issuer, as configured.
    pub issuer: String,
    /// Subject at that issuer; (issuer, subject) is the person.
    pub subject: String,
    /// Display name without control characters; the subject where there is none.
    pub name: String,
    /// E-mail address, unless the issuer says that it is not verified.
    pub email: Option<String>,
    /// Groups, sorted, each once.
    pub groups: Vec<String>,
    /// Subject or e-mail address of the person's manager, where the issuer is asked for it and says so.
    pub manager: Option<String>,
    /// How the person was authenticated (RFC 8176).
    pub amr: Vec<String>,
    /// When the person was last seen by the identity provider, seconds since 1970.
    pub auth_time: Option<i64>,
    /// When the token was issued, seconds since 1970.
    pub issued_at: i64,
    /// Names this token and no other, whatever form its signature takes.
    pub token_sha256: [u8; 32],
    /// When the token ends, seconds since 1970.
    pub expires_at: i64,
    /// How the token came here.
    pub flow: Flow,
    /// The token itself, where it says whose key the client's is and others can check that.
    pub attestation: Option<String>,
}

/// How an ID token came to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// A client brought it, got by a device code or in any other way.
    IdToken,
    /// The broker redeemed a code that was sent to the client's own machine, and the token names the client's key.
    Browser,
    /// The broker itself gave the code and sent whoever confirmed it to the identity provider, which answered by SAML.
    Saml,
}

impl Flow {
    /// The word for it in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Flow::IdToken => "id_token",
            Flow::Browser => "browser",
            Flow::Saml => "saml",
        }
    }

    /// Whether the identity provider vouches for the key. A `nonce` in a token that a client brings does not: providers copy one
    /// into what a device code gives, so whoever phishes with such a code chooses it.
    #[must_use]
    pub fn attests_key(self) -> bool {
        self == Flow::Browser
    }
}

/// Why an ID token is refused. What it displays names the check that failed and is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWS in compact form, or a claim of the wrong shape.
    #[error("the ID token is malformed: {0}")]
    Malformed(&'static str),
    /// From an identity provider that is not configured.
    #[error("the ID token's issuer is not one that this broker trusts")]
    Issuer,
    /// `none`, a shared-secret algorithm, or another that is not allowed.
    #[error("the ID token must be signed with RS256, PS256, ES256 or EdDSA")]
    Algorithm,
    /// An access token, a logout token or another JWT in its place.
    #[error("the token is not an ID token")]
    Type,
    /// The issuer publishes no key that fits.
    #[error("the ID token is signed by a key that its issuer does not publish")]
    Key,
    /// Changed, or signed by somebody else.
    #[error("the ID token's signature does not verify")]
    Signature,
    /// Made for somebody else.
    #[error("the ID token was issued for another audience")]
    Audience,
    /// Made for several audiences, or asked for by another client.
    #[error("the ID token was issued to another client")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("the ID token has expired")]
    Expired,
    /// `nbf`, `iat` or `auth_time` is ahead of us.
    #[error("the ID token is not valid yet; the clocks of the identity provider and the broker differ")]
    NotYetValid,
    /// Issued too long ago to open a session with.
    #[error("the ID token was issued too long ago; sign in again")]
    TooOld,
    /// No rule lets a workload with these claims in.
    #[error("no rule of this broker lets this workload in; the operator's log says which claims did not match")]
    Rule {
        /// Which did not, for the operator alone.
        #[source]
        operator: OperatorText,
    },
    /// A pull request, or another event that somebody without the right to write may cause.
    #[error("jobs of this kind of event are not let in: {0}")]
    Event(&'static str),
    /// A client brought it where only the browser of the person's own machine counts.
    #[error("people of this identity provider sign in with the browser of their own machine; a token from elsewhere is not accepted")]
    BrowserRequired,
    /// Its `nonce` is not the thumbprint of the key that signs the call.
    #[error("the ID token was asked for by the holder of another key")]
    Nonce,
    /// What came with the code is not of the protocol.
    #[error("the sign-in cannot be completed: {0}")]
    Code(&'static str),
    /// The identity provider says no to the code.
    #[error("the identity provider refused the authorization code: `{0}`")]
    CodeRefused(String),
    /// Groups have to be asked for, and there is nothing to ask with.
    #[error("the ID token carries no groups, and they are asked for with the access token that came with it, which is missing")]
    AccessTokenMissing,
    /// Groups have to be asked for, and this asks for none.
    #[error("the access token cannot be used to ask for groups: {0}")]
    AccessToken(&'static str),
    /// What the userinfo endpoint says does not count.
    #[error("what the identity provider says of the person cannot be used: {0}")]
    Userinfo(&'static str),
    /// `auth_time` is missing where it is needed.
    #[error("the identity provider does not say when the person authenticated, and this broker has to know")]
    AuthTimeMissing,
    /// `auth_time` is too long ago.
    #[error("the person authenticated at the identity provider too long ago; sign in there again, with password or device")]
    AuthTimeOld,
    /// `acr` is none of those that were asked for.
    #[error("the person did not authenticate in one of the ways that this broker asks the identity provider for")]
    Acr,
    /// The identity provider left groups out.
    #[error("the ID token does not carry all groups; have the identity provider send fewer")]
    GroupsIncomplete,
    /// The identity provider's documents could not be read. Trying again may help.
    #[error("the identity provider cannot be reached or its documents are not valid")]
    Unavailable {
        /// What went wrong, for the operator alone.
        #[source]
        operator: OperatorText,
    },
}

/// What only the operator may read. It is an error's source and so never part of what that error displays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OperatorText(pub(super) String);

impl IdTokenError {
    /// What only the operator may read.
    #[must_use]
    pub fn operator(&self) -> Option<&str> {
        match self {
            IdTokenError::Unavailable { operator } | IdTokenError::Rule { operator } => Some(&operator.0),
            _ => None,
        }
    }
}

/// The configured identity providers and their keys.
pub struct Issuers {
    issuers: Vec<Issuer>,
}

struct Issuer {
    settings: IssuerSettings,
    keys: KeySource,
    http: Arc<dyn HttpGet>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl Issuers {
    /// Identity providers whose documents are fetched through `http` when first needed.
    #[must_use]
    pub fn new(issuers: Vec<IssuerSettings>, http: Arc<dyn HttpGet>) -> Self {
        let issuers = issuers
            .into_iter()
            .map(|settings| Issuer {
                keys: KeySource::new(settings.issuer.clone(), Arc::clone(&http)),
                settings,
                http: Arc::clone(&http),
            })
            .collect();
        Self { issuers }
    }

    /// Verifies an ID token that a client brings and says who it is about.
    ///
    /// # Errors
    /// When any check fails; see [`IdTokenError`].
    pub async fn verify(&self, id_token: &str, now_ms: i64) -> Result<VerifiedIdentity, IdTokenError> {
        self.verify_with(id_token, None, now_ms).await
    }

    /// As [`Issuers::verify`], with the access token that came with it, for groups that it lacks.
    ///
    /// # Errors
    /// As [`Issuers::verify`], and when groups have to be asked for and are not told.
    pub async fn verify_with(&self, id_token: &str, access_token: Option<&str>, now_ms: i64) -> Result<VerifiedIdentity, IdTokenError> {
        let token = Unverified::parse(id_token)?;
        let issuer = self.issuer(&token.issuer)?;
        if issuer.settings.sign_in == SignIn::BrowserRequired {
            return Err(IdTokenError::BrowserRequired);
        }
        issuer.verify(token, None, access_token, now_ms).await
    }

    fn issuer(&self, name: &str) -> Result<&Issuer, IdTokenError> {
        self.issuers
            .iter()
            .find(|known| known.settings.issuer == name)
            .ok_or(IdTokenError::Issuer)
    }
}

impl Issuer {
    /// Verifies a token of this issuer; with a nonce, one that the broker got for it.
    async fn verify(
        &self,
        token: Unverified<'_>,
        nonce: Option<&str>,
        access_token: Option<&str>,
        now_ms: i64,
    ) -> Result<VerifiedIdentity, IdTokenError> {
        let algorithm = token.algorithm;
        let token = token.verify(&self.keys, now_ms).await?;
        let claims = claims::read(&token.payload)?;
        let identity = claims::check(&claims, &self.settings, token.sha256, nonce, now_ms)?;
        if self.settings.groups_from == GroupsFrom::IdToken || claims::has(&claims, &self.settings.groups_claim) {
            return Ok(identity);
        }
        let groups = self.groups_from_userinfo(&claims, algorithm, access_token, now_ms).await?;
        Ok(VerifiedIdentity { groups, ..identity })
    }
}

/// A token taken apart, of which nothing is believed yet.
pub(super) struct Unverified<'t> {
    /// The one thing taken from it so far: which of the configured issuers to verify it against.
    pub(super) issuer: String,
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'t str,
    signature: &'t str,
    payload: Vec<u8>,
}

/// What an issuer has signed.
pub(super) struct Signed {
    /// Claims, as JSON.
    pub(super) payload: Vec<u8>,
    /// Names this token and no other.
    pub(super) sha256: [u8; 32],
}

impl<'t> Unverified<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, IdTokenError> {
        if token.len() > ID_TOKEN_BYTES_MAX {
            return Err(IdTokenError::Malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(not_compact)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_compact)?;
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| IdTokenError::Malformed("its header is not a JOSE header"))?;
        let algorithm = allowed_algorithm(&header.alg).ok_or(IdTokenError::Algorithm)?;
        if header.crit.is_some() {
            return Err(IdTokenError::Malformed("its header asks for an extension that is not understood"));
        }
        if !header.typ.as_deref().is_none_or(is_id_token_type) {
            return Err(IdTokenError::Type);
        }
        let payload = decode(payload)?;
        Ok(Self {
            issuer: claims::unverified_issuer(&payload)?,
            algorithm,
            kid: header.kid,
            signed,
            signature,
            payload,
        })
    }

    /// Checks the signature by a key of the issuer.
    pub(super) async fn verify(self, keys: &KeySource, now_ms: i64) -> Result<Signed, IdTokenError> {
        keys.verify(self.kid.as_deref(), self.algorithm, self.signed, self.signature, now_ms)
            .await?;
        Ok(Signed {
            sha256: token_digest(self.signed, &decode(self.signature)?, self.algorithm == Algorithm::ES256),
            payload: self.payload,
        })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, IdTokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| not_compact())
}

fn not_compact() -> IdTokenError {
    IdTokenError::Malformed("it is not a JWS in compact form")
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.issuers.iter().map(|issuer| &issuer.settings.issuer))
            .finish()
    }
}

/// Asymmetric algorithms alone: with a shared secret, whoever can verify can also sign.
fn allowed_algorithm(alg: &str) -> Option<Algorithm> {
    match alg {
        "RS256" => Some(Algorithm::RS256),
        "PS256" => Some(Algorithm::PS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// A list of what passes, so that `at+jwt`, `dpop+jwt`, `logout+jwt` and whatever comes next do not.
fn is_id_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "id_token+jwt")
}

/// Large enough for a few hundred groups.
const ID_TOKEN_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
