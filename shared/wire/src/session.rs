//! Signing in, staying signed in, signing out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{RequestId, SessionId};
use crate::problem::Problem;

/// `GET /v1/info`: what a client must know before it signs in. Public.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrokerInfo {
    /// The broker's display name, from its configuration.
    pub name: String,
    /// The broker's version.
    pub version: String,
    /// Address under which it is reached. Proofs of possession are made for this address and no other name of it.
    pub public_url: String,
    /// Origin of its evidence log; never changes.
    pub origin: String,
    /// The log's public key as a C2SP verifier key. Clients pin it at first sign-in.
    pub log_key: String,
    /// Identity providers that may sign people in.
    pub issuers: Vec<IssuerInfo>,
    /// Milliseconds since 1970-01-01T00:00:00Z on the broker's clock.
    pub time_ms: i64,
}

/// One identity provider, as a client uses it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuerInfo {
    /// Issuer identifier (OpenID Connect Discovery 1.0); the discovery document is below it. Of a provider that speaks SAML, its
    /// entity id.
    pub issuer: String,
    /// OAuth client id that `chunkctl` uses there; empty where the broker gives the codes.
    pub client_id: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// True for the built-in development issuer, which authenticates nobody.
    pub insecure_development: bool,
    /// How the broker wants people to sign in there.
    #[serde(default)]
    pub sign_in: SignIn,
    /// Ask the provider that the person has authenticated within this many seconds (`max_age`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<i64>,
    /// Ask the provider for one of these ways to authenticate (`acr_values`), the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    /// The broker asks the provider for the person's groups, and needs the access token for that.
    #[serde(default)]
    pub userinfo: bool,
}

/// How people sign in at an identity provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// With a code that any browser confirms (RFC 8628), unless the person chooses the browser.
    #[default]
    Device,
    /// In the browser of their own machine (RFC 8252), unless the person chooses a code.
    Browser,
    /// In the browser of their own machine. The broker takes nothing else.
    BrowserRequired,
    /// With a code that the broker itself gives (`POST /v1/device`). It sends whoever confirms the code on to the provider, by SAML.
    Saml,
}

/// What the client says about itself. Recorded, never believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientInfo {
    /// Program version, e.g. `chunkctl/0.1.0`.
    pub version: String,
    /// Host name.
    pub host: String,
}

/// `POST /v1/sessions`, with a `DPoP` header: exchanges an ID token for a session bound to the proof's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenSession {
    /// The ID token as the identity provider issued it (JWS compact).
    pub id_token: String,
    /// The access token that came with it, where the broker says that it asks for groups (`userinfo`). It is shown to the identity
    /// provider once, and kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// The client, in its own words.
    #[serde(default)]
    pub client: ClientInfo,
}

/// `POST /v1/sessions/browser`, with a `DPoP` header: exchanges the authorization code that the identity provider sent to the
/// client's own machine for a session bound to the proof's key. The broker redeems the code itself, so it knows how the person signed
/// in; the authorization request must have named the key's thumbprint as its `nonce`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenBrowserSession {
    /// Issuer that gave the code; one of `GET /v1/info`.
    pub issuer: String,
    /// The authorization code.
    pub code: String,
    /// Verifier of the code challenge (RFC 7636, S256).
    pub code_verifier: String,
    /// Where the code was sent to: `http://127.0.0.1:PORT/callback`.
    pub redirect_uri: String,
    /// The client, in its own words.
    #[serde(default)]
    pub client: ClientInfo,
}

/// Where authorization codes are sent to, below `http://127.0.0.1:PORT`.
pub const LOOPBACK_PATH: &str = "/callback";

impl std::fmt::Debug for OpenBrowserSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBrowserSession")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/device`, a form, with a `DPoP` header: begins a sign-in with a code that the broker itself gives (RFC 8628), for a session
/// bound to the proof's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BeginSignIn {
    /// Identity provider to sign in at: an issuer of `GET /v1/info` whose `sign_in` is `saml`.
    pub issuer: String,
    /// Version of the client, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// Host name of the client, in its own words. Whoever confirms the code is shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_host: Option<String>,
}

/// A sign-in that has begun (RFC 8628 §3.2).
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignInBegun {
    /// What the client asks with. Good once, and only with proofs by the key that began.
    pub device_code: String,
    /// What the person confirms.
    pub user_code: String,
    /// Where they do.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: String,
    /// Seconds until the codes end.
    pub expires_in: u64,
    /// Seconds to wait between two questions.
    pub interval: u64,
}

impl std::fmt::Debug for SignInBegun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInBegun")
            .field("user_code", &self.user_code)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/device/token`, a form, with a `DPoP` header by the key that began: asks whether the person has signed in (RFC 8628 §3.4).
/// The answer is a session, once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FinishSignIn {
    /// `urn:ietf:params:oauth:grant-type:device_code`.
    pub grant_type: String,
    /// The device code.
    pub device_code: String,
}

impl std::fmt::Debug for FinishSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FinishSignIn").finish_non_exhaustive()
    }
}

/// `grant_type` of a device code.
pub const GRANT_TYPE_DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// `POST /v1/sessions/refresh`, with a `DPoP` header by the same key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshSession {
    /// The refresh token of the session.
    pub refresh_token: String,
}

/// The answer to opening or refreshing a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionTokens {
    /// The session.
    pub session: SessionId,
    /// Access token; sent as `Authorization: DPoP …` with a proof by the same key.
    pub access_token: String,
    /// When the access token ends, ms since 1970.
    pub access_expires_ms: i64,
    /// Refresh token; good only with a proof by the same key.
    pub refresh_token: String,
    /// When the session itself ends, ms since 1970.
    pub session_expires_ms: i64,
    /// Who signed in.
    pub person: Person,
}

/// A verified identity as the broker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Person {
    /// Issuer.
    pub issuer: String,
    /// Subject at that issuer. (issuer, subject) is the person.
    pub subject: String,
    /// Display name, or the subject where there is none.
    pub name: String,
    /// E-mail, where the issuer says it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What is known of it, where this is a CI job or another program and no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// A CI job or another program, as its verified token describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The `[[workload]]` of broker.toml that let it in.
    pub rule: String,
    /// Where it runs: `github`, `gitlab`, `kubernetes` or `other`.
    pub provider: String,
    /// What the token says, by name: `repository`, `repository_id`, `owner_id`, `ref`, `environment`, `workflow`, `event`, `run`,
    /// `commit`, `triggered_by`, `triggered_by_email`, `namespace`, `service_account`, `service_account_uid`, `pod`; those that
    /// it has.
    pub claims: BTreeMap<String, String>,
}

/// `POST /v1/token`, a form, with a `DPoP` header: exchanges a job's token for a session bound to the proof's key (RFC 8693).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenExchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grant_type: String,
    /// The job's token, as its provider issued it (JWS compact).
    pub subject_token: String,
    /// `urn:ietf:params:oauth:token-type:id_token` or `urn:ietf:params:oauth:token-type:jwt`.
    pub subject_token_type: String,
    /// `urn:ietf:params:oauth:token-type:access_token`, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_token_type: Option<String>,
    /// The broker's `public_url`, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Version of the client, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// Host name of the client, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_host: Option<String>,
}

/// The answer to a token exchange. There is no refresh token: when the session ends, a new token of the job opens another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExchangedToken {
    /// Access token; sent as `Authorization: DPoP …` with a proof by the same key. It lives as long as the session.
    pub access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// `DPoP`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: i64,
    /// The session.
    pub session: SessionId,
    /// When it ends, ms since 1970.
    pub session_expires_ms: i64,
    /// Who was let in.
    pub person: Person,
}

/// An error of `POST /v1/token`, `POST /v1/device` or `POST /v1/device/token`: that of RFC 6749 §5.2 (`error`, `error_description`), with the members of a problem beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenRefused {
    /// `invalid_request`, `invalid_target`, `invalid_scope`, `unsupported_grant_type`, `use_dpop_nonce`, `invalid_dpop_proof`,
    /// `temporarily_unavailable` or `server_error`; of a device code also `authorization_pending`, `slow_down`, `access_denied` and
    /// `expired_token` (RFC 8628 §3.5).
    pub error: String,
    /// What happened this time, and why: the problem's `detail`.
    pub error_description: String,
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
}

/// `grant_type` of a token exchange.
pub const GRANT_TYPE_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Token type of an ID token.
pub const TOKEN_TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Token type of any JWT.
pub const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Token type of what the broker issues.
pub const TOKEN_TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// `GET /v1/whoami`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// Who.
    pub person: Person,
    /// Under which session.
    pub session: SessionId,
    /// RFC 7638 thumbprint of the session's key.
    pub key: String,
    /// When the session ends, ms since 1970.
    pub session_expires_ms: i64,
    /// What policy lets this person do that is not about one dataset: `review`, `audit_read`, `audit_export`, `administer`.
    pub actions: Vec<String>,
}

/// `GET /v1/sessions` and `GET /v1/sessions/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub person: Person,
    /// RFC 7638 thumbprint of its key.
    pub key: String,
    /// Whether the identity provider's own token names that key: the person signed in with the browser of their own machine.
    #[serde(default)]
    pub key_attested: bool,
    /// Client as it named itself.
    pub client: ClientInfo,
    /// Address it signed in from.
    pub ip: String,
    /// Opened, ms since 1970.
    pub opened_ms: i64,
    /// Ends at the latest, ms since 1970.
    pub expires_ms: i64,
    /// `open`, `closed`, `expired` or `revoked`.
    pub state: String,
    /// Everything recorded under it, oldest first. Empty in lists.
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
}

/// One log entry under a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelineEntry {
    /// Index in the log.
    pub index: u64,
    /// When, ms since 1970.
    pub time_ms: i64,
    /// Kind, e.g. `fetch.intent`.
    pub kind: String,
    /// One line for people.
    pub summary: String,
    /// What was returned, where this is how a delivery ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
}

/// What one delivery returned.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Returned {
    /// The request.
    pub request: RequestId,
    /// Chunk number, from 0.
    pub chunk: u32,
    /// Index of the intent, by which its recording is asked for.
    pub intent: u64,
    /// How it ended: `done`, `cut`, `source_failed`, `interrupted`, `limit`, `revoked`, `failed`.
    pub end: String,
    /// Rows that left.
    pub rows: u64,
    /// Bytes that left.
    pub bytes: u64,
    /// SHA-256 of exactly the bytes that left, hex; only when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether exactly these bytes were `kept` or that `failed`; absent where only the digest was to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}
