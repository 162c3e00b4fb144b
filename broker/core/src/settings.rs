//! What configuration tells core, checked before anything binds: plain data, every name resolved.

use chunk_wire::session::SignIn;
use url::Url;

use crate::catalog::Catalog;
use crate::identity::saml::SigningKey;
use crate::identity::workload::WorkloadRule;
use crate::retention::Retention;

/// The broker's checked configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Display name.
    pub name: String,
    /// Base of every URL the broker answers under; `htu` of proofs is this plus the path.
    pub public_url: Url,
    /// Origin of the log; never changes.
    pub origin: String,
    /// Id of this installation's broker instance, random per data directory.
    pub instance: String,
    /// Version of the program.
    pub version: String,
    /// Identity providers that issue ID tokens. Of these and those that speak SAML there is at least one.
    pub issuers: Vec<IssuerSettings>,
    /// Identity providers that speak SAML.
    pub saml: Vec<SamlSettings>,
    /// Rules that let CI jobs and other programs in; the first that fits a token decides.
    pub workloads: Vec<WorkloadRule>,
    /// Sessions end after this many seconds.
    pub session_s: i64,
    /// Whoever reviews or is given data must have signed in within this many seconds; `session_s` or more asks for nothing more
    /// than an open session.
    pub claims_age_max_s: i64,
    /// Rows of a source that one chunk of a large result is made of, about.
    pub chunk_rows: u64,
    /// Datasets and classes.
    pub catalog: Catalog,
    /// How long bodies and recordings are kept.
    pub retention: Retention,
    /// SHA-256 (hex) of the configuration file as read.
    pub config_digest: String,
}

/// An identity provider that may sign people in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Name in configuration.
    pub name: String,
    /// Issuer identifier, compared byte for byte.
    pub issuer: String,
    /// OAuth client id of the CLI there.
    pub client_id: String,
    /// Audience that ID tokens must name; the client id unless configured.
    pub audience: String,
    /// Scopes the CLI asks for.
    pub scopes: Vec<String>,
    /// Claim with the groups.
    pub groups_claim: String,
    /// Where they come from.
    pub groups_from: GroupsFrom,
    /// Claim with the e-mail address.
    pub email_claim: String,
    /// Claim that names the person's manager, by subject or e-mail address, where there is one.
    pub manager_claim: Option<String>,
    /// Claim with the display name.
    pub name_claim: String,
    /// The built-in development issuer.
    pub insecure_development: bool,
    /// How people sign in there.
    pub sign_in: SignIn,
    /// Who signs in must have authenticated there within this many seconds.
    pub max_age_s: Option<i64>,
    /// How its directory tells of people here, if it does.
    pub directory: Option<KnownBy>,
    /// Ways to authenticate of which an ID token must name one; empty asks for none.
    pub acr_values: Vec<String>,
}

/// An identity provider that may sign people in by SAML 2.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlSettings {
    /// Name in configuration.
    pub name: String,
    /// Its entity id, compared byte for byte; the issuer of its people.
    pub issuer: String,
    /// Where browsers are sent (HTTP-Redirect).
    pub sso_url: Url,
    /// Whose signatures count, and nobody else's; at least one.
    pub keys: Vec<SigningKey>,
    /// Format that a `NameID` must have.
    pub name_id_format: String,
    /// Attribute with the groups.
    pub groups_attribute: String,
    /// Attribute with the e-mail address.
    pub email_attribute: String,
    /// Attribute with the display name.
    pub name_attribute: String,
    /// Attribute that names the person's manager by subject or e-mail address, where one is asked for.
    pub manager_attribute: Option<String>,
    /// Have the provider ask people who they are each time (`ForceAuthn`).
    pub force_authn: bool,
    /// Who signs in must have authenticated there within this many seconds.
    pub max_age_s: Option<i64>,
    /// Ways to authenticate (`AuthnContextClassRef`) of which an assertion must name one; empty asks for none.
    pub acr_values: Vec<String>,
}

/// Which of a directory's names a person's tokens carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// `externalId` is the subject.
    ExternalId,
    /// `userName` is the e-mail address, whatever its case.
    UserName,
}

impl KnownBy {
    /// The word for it, in configuration and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            KnownBy::ExternalId => "external_id",
            KnownBy::UserName => "user_name",
        }
    }

    /// What the word says.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [KnownBy::ExternalId, KnownBy::UserName]
            .into_iter()
            .find(|known_by| known_by.as_str() == word)
    }
}

/// Where a person's groups come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupsFrom {
    /// The ID token alone.
    #[default]
    IdToken,
    /// The ID token, or, where it has none, the provider's userinfo endpoint.
    Userinfo,
}
