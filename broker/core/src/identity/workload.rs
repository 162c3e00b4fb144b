//! Decides which CI job or program asks: exchanges the token of its provider (RFC 8693) for a session of minutes.
//!
//! A job has no person who could confirm anything and no place where a secret would be safe, so all rests on what its provider
//! signs. A rule of the configuration names the issuer, byte for byte, and every claim that must hold, byte for byte: patterns
//! are where others were broken into. The token must be made for this broker and nobody else, and opens one session. That session
//! is bound to a key the job made for itself, is not renewed, and never reviews, whatever policy says.

mod provider;

use std::collections::BTreeMap;
use std::sync::Arc;

use chunk_wire::DPOP_SCHEME;
use chunk_wire::problem::Code;
use chunk_wire::session::{ClientInfo, ExchangedToken, TOKEN_TYPE_ACCESS_TOKEN, Workload};
use serde_json::{Map, Value};

use super::oidc::keys::KeySource;
use super::oidc::{Flow, IdTokenError, OperatorText, Unverified, VerifiedIdentity, claims};
use super::tokens::Purpose;
use super::{Entrant, HttpGet, Presented, admit, check_proof, refused_token};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;

pub use provider::Provider;
pub(crate) use provider::TRIGGERED_BY_EMAIL;

/// A rule that lets workloads in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRule {
    /// Name in configuration, and of the workload in policies.
    pub name: String,
    /// Where the workload runs.
    pub provider: Provider,
    /// Issuer identifier, compared byte for byte.
    pub issuer: String,
    /// The one audience that tokens must name: this broker.
    pub audience: String,
    /// Claims that must hold, all of them.
    pub claims: Vec<ClaimRule>,
    /// Sessions end after this many seconds.
    pub session_s: i64,
    /// Tokens are accepted until this many seconds after they were issued.
    pub token_age_s_max: i64,
}

/// One claim and the one value it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// Names of the claim and of the members below it.
    pub path: Vec<String>,
    /// Its value as text. Providers write numbers and booleans as text or not; both are the same here.
    pub value: String,
}

/// The rules, and the keys of the issuers they trust.
pub(crate) struct Workloads {
    rules: Vec<WorkloadRule>,
    keys: BTreeMap<String, KeySource>,
}

impl ClaimRule {
    fn is(&self, path: &[&str]) -> bool {
        self.path.iter().map(String::as_str).eq(path.iter().copied())
    }

    fn holds(&self, claims: &Map<String, Value>) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        find(claims, &path).and_then(scalar).is_some_and(|value| value == self.value)
    }
}

impl Workloads {
    /// Rules whose issuers' documents are fetched through `http` when first needed.
    pub(crate) fn new(rules: Vec<WorkloadRule>, http: &Arc<dyn HttpGet>) -> Self {
        let keys = rules
            .iter()
            .map(|rule| (rule.issuer.clone(), KeySource::new(rule.issuer.clone(), Arc::clone(http))));
        Self {
            keys: keys.collect(),
            rules,
        }
    }

    /// Verifies a workload's token and says which rule lets it in.
    async fn verify(&self, token: &str, now_ms: i64) -> Result<Entrant, IdTokenError> {
        let token = Unverified::parse(token)?;
        let issuer = token.issuer.clone();
        let keys = self.keys.get(&issuer).ok_or(IdTokenError::Issuer)?;
        let signed = token.verify(keys, now_ms).await?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&signed.payload).map_err(|_| IdTokenError::Malformed("its claims are not JSON"))?;
        // Read again from the same bytes: a duplicated `iss` must not choose one issuer's keys and claim another's jobs.
        if claims::text(&claims, "iss") != Some(issuer.as_str()) {
            return Err(IdTokenError::Issuer);
        }
        claims::id_token_and_no_other(&claims)?;
        let rules: Vec<&WorkloadRule> = self.rules.iter().filter(|rule| rule.issuer == issuer).collect();
        if !rules.iter().any(|rule| is_only_audience(&claims, &rule.audience)) {
            return Err(IdTokenError::Audience);
        }
        let rule = rules
            .iter()
            .find(|rule| rule.fits(&claims))
            .ok_or_else(|| mismatch(&rules, &claims))?;
        let (issued_at, expires_at, _) = claims::times(&claims, rule.token_age_s_max, now_ms)?;
        rule.provider.check_event(&rule.claims, &claims).map_err(IdTokenError::Event)?;
        Ok(Entrant {
            identity: VerifiedIdentity {
                subject: claims::subject(&claims)?.to_owned(),
                issuer,
                name: rule.name.clone(),
                email: None,
                groups: Vec::new(),
                manager: None,
                amr: Vec::new(),
                auth_time: None,
                issued_at,
                token_sha256: signed.sha256,
                expires_at,
                flow: Flow::IdToken,
                attestation: None,
            },
            workload: Some(Workload {
                rule: rule.name.clone(),
                provider: rule.provider.as_str().to_owned(),
                claims: recorded(rule.provider, &claims)?,
            }),
            session_s: rule.session_s,
        })
    }
}

impl WorkloadRule {
    fn fits(&self, claims: &Map<String, Value>) -> bool {
        is_only_audience(claims, &self.audience) && !self.claims.is_empty() && self.claims.iter().all(|claim| claim.holds(claims))
    }
}

/// Exchanges a workload's token for a session bound to the proof's key, which nothing renews.
///
/// # Errors
/// When the proof or the token is refused, no rule lets the workload in, the token was used before, or the log cannot be
/// written.
pub async fn exchange(
    broker: &Broker,
    cx: &Context,
    presented: Presented,
    token: &str,
    client: ClientInfo,
) -> Result<ExchangedToken, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, &presented, None, now_ms)?;
    let entrant = broker.workloads.verify(token, now_ms).await;
    let entrant = entrant.map_err(|fault| {
        let hint = "ask the provider for a new token whose audience is this broker's address, and run `chunkctl login --ci`";
        refused_token(broker, cx, fault, hint)
    })?;
    let session = admit(broker, cx, entrant, proof, client, now_ms).await?;
    let open = &session.open;
    Ok(ExchangedToken {
        access_token: broker
            .tokens
            .issue(Purpose::Access, &open.session, &open.key, now_ms, open.expires_ms),
        issued_token_type: TOKEN_TYPE_ACCESS_TOKEN.to_owned(),
        token_type: DPOP_SCHEME.to_owned(),
        expires_in: (open.expires_ms - now_ms) / 1000,
        session: open.session.clone(),
        session_expires_ms: open.expires_ms,
        person: open.person.clone(),
    })
}

/// Refuses what is for people alone: no rule and no policy makes a second mind of a program.
///
/// # Errors
/// When it is a workload.
pub(crate) fn people_only(workload: Option<&Workload>) -> Result<(), Error> {
    match workload {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Code::ReviewRefused,
            "A workload never reviews; a person has to, with a session of their own.",
        )),
    }
}

/// Whether the token is made for this audience and nobody else: a token that two may accept, one of them may steal.
fn is_only_audience(claims: &Map<String, Value>, audience: &str) -> bool {
    let audiences = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    !audience.is_empty() && audiences == [audience]
}

/// What is recorded of the workload.
fn recorded(provider: Provider, claims: &Map<String, Value>) -> Result<BTreeMap<String, String>, IdTokenError> {
    let mut recorded = BTreeMap::new();
    for (name, path) in provider.recorded() {
        let Some(value) = find(claims, path).and_then(scalar).filter(|value| !value.is_empty()) else {
            continue;
        };
        if value.chars().count() > CLAIM_CHARS_MAX || value.chars().any(char::is_control) {
            return Err(IdTokenError::Malformed(
                "a claim that is recorded must be at most 512 characters without control characters",
            ));
        }
        recorded.insert((*name).to_owned(), value);
    }
    Ok(recorded)
}

/// Why no rule fits, for the operator: names of claims, never what they hold.
fn mismatch(rules: &[&WorkloadRule], claims: &Map<String, Value>) -> IdTokenError {
    let why = |rule: &&WorkloadRule| {
        let wrong = rule.claims.iter().filter(|claim| !claim.holds(claims));
        let wrong: Vec<String> = wrong.map(|claim| format!("`{}`", claim.path.join("."))).collect();
        format!("rule `{}`: {} differ or are missing", rule.name, wrong.join(", "))
    };
    let whys: Vec<String> = rules.iter().map(why).collect();
    IdTokenError::Rule {
        operator: OperatorText(whys.join("; ")),
    }
}

fn find<'c>(claims: &'c Map<String, Value>, path: &[&str]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(*first)?, |value, name| value.get(*name))
}

/// A claim as text, if it is one value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Names of branches may be 255 bytes long; a workflow is named with its repository and its branch.
const CLAIM_CHARS_MAX: usize = 512;

#[cfg(test)]
mod tests;
