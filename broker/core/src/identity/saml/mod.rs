//! Signing in at an identity provider that speaks SAML 2.0, with a code that the broker itself gives (RFC 8628).
//!
//! A terminal begins and is given a code. Whoever opens the broker's page with it is shown which machine and which key it is for,
//! confirms it, and is sent to the identity provider; the provider's answer comes back through the same browser. What it says is
//! held here, verified, until the terminal takes it with a proof by the key that began: nothing of SAML ever reaches the client.
//!
//! Everything about an answer is checked twice over in the sense that matters: what is read is the text that was signed
//! ([`signature`]), and not the document that it came in.

mod c14n;
mod gate;
mod pending;
mod request;
mod response;
mod signature;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chunk_wire::problem::Code;
use chunk_wire::session::{BeginSignIn, ClientInfo, SessionTokens, SignInBegun};
use ring::rand::{SecureRandom as _, SystemRandom};
use url::Url;

pub use self::signature::SigningKey;

use self::pending::{Asked, Begun, Sent, SignIns, Stuck, kept};
use self::request::ServiceProvider;
use self::response::Expected;
use super::{Entrant, Presented, accept_proof, admit, check_proof, issue_tokens, short};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::limits::{SAML_RESPONSE_BYTES_MAX, SIGN_IN_ASKED_EVERY_S, SIGN_IN_S_MAX};
use crate::settings::SamlSettings;

/// Why an answer of an identity provider is refused. What it displays names the check that failed and is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamlError {
    /// Not a response as this broker reads them.
    #[error("the identity provider's answer is malformed: {0}")]
    Malformed(&'static str),
    /// Not signed, not in the one way that counts, not by a key that counts, or changed.
    #[error("the identity provider's answer cannot be believed: {0}")]
    Signature(&'static str),
    /// By somebody else.
    #[error("the answer is of another identity provider than the one that was asked")]
    Issuer,
    /// For somebody else.
    #[error("the assertion was made for another audience; this broker's entity id must be its audience")]
    Audience,
    /// Sent to another address.
    #[error("the answer was made for somewhere else: {0}")]
    Elsewhere(&'static str),
    /// Not an answer to what was asked.
    #[error("the answer is to another request")]
    OtherRequest,
    /// Too old.
    #[error("the assertion has expired; sign in again")]
    Expired,
    /// From the future.
    #[error("the assertion is not valid yet; the clocks of the identity provider and the broker differ")]
    NotYetValid,
    /// The provider says no.
    #[error("the identity provider did not sign the person in: `{0}`")]
    Status(String),
    /// Encrypted to a key that this broker does not have.
    #[error("the assertion is encrypted; have the identity provider sign it and not encrypt it")]
    Encrypted,
    /// The subject names nobody.
    #[error("the subject cannot be used: {0}")]
    NameId(&'static str),
    /// The provider left groups out.
    #[error("the assertion does not carry all groups; have the identity provider send fewer")]
    GroupsIncomplete,
    /// The person authenticated too long ago.
    #[error("the person authenticated at the identity provider too long ago; sign in there again, with password or device")]
    AuthTimeOld,
    /// The person authenticated otherwise.
    #[error("the person did not authenticate in one of the ways that this broker asks the identity provider for")]
    Acr,
    /// Brought a second time.
    #[error("the answer was used before; each is accepted once")]
    Replayed,
}

/// The identity providers that speak SAML, and the sign-ins that are under way.
pub(crate) struct Saml {
    broker: ServiceProvider,
    providers: Vec<SamlSettings>,
    sign_ins: Mutex<SignIns>,
}

impl Saml {
    pub(crate) fn new(public_url: &Url, providers: Vec<SamlSettings>) -> Self {
        Self {
            broker: ServiceProvider::new(public_url),
            providers,
            sign_ins: Mutex::default(),
        }
    }

    fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn provider(&self, issuer: &str) -> Option<&SamlSettings> {
        self.providers.iter().find(|provider| provider.issuer == issuer)
    }
}

/// What whoever is asked to confirm a code is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The code, as terminals show it.
    pub user_code: String,
    /// Thumbprint of the key that would be signed in.
    pub key: String,
    /// The machine, in its own words.
    pub client: ClientInfo,
    /// Where it asked from.
    pub ip: IpAddr,
    /// When, ms since 1970.
    pub begun_ms: i64,
    /// The identity provider's name in configuration.
    pub provider: String,
}

/// Begins a sign-in for whoever holds the proof's key; its address is counted as `counted_as`.
///
/// # Errors
/// When the proof is refused, there is no such identity provider, or too many sign-ins wait.
pub fn begin(broker: &Broker, cx: &Context, presented: &Presented, counted_as: IpAddr, asked: BeginSignIn) -> Result<SignInBegun, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, presented, None, now_ms)?;
    let provider = broker
        .saml
        .provider(&asked.issuer)
        .ok_or_else(|| Error::new(Code::InvalidRequest, "This broker signs nobody in by SAML at this issuer."))?;
    let proof = accept_proof(broker, proof, now_ms)?;
    let user_code = user_code()?;
    let device_code = URL_SAFE_NO_PAD.encode(broker.random::<32>()?);
    let begun = Begun {
        user_code: user_code.clone(),
        issuer: provider.issuer.clone(),
        key: proof.thumbprint,
        client: ClientInfo {
            version: short(asked.client_version.unwrap_or_default()),
            host: short(asked.client_host.unwrap_or_default()),
        },
        ip: cx.ip,
        counted_as,
        begun_ms: now_ms,
    };
    if !broker.saml.sign_ins().begin(&device_code, begun) {
        return Err(Error::new(Code::RateLimited, "Too many sign-ins wait for a browser.").hint("try again in some minutes"));
    }
    let verification_uri = broker.saml.broker.verification.clone();
    Ok(SignInBegun {
        device_code,
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        verification_uri,
        user_code,
        expires_in: SIGN_IN_S_MAX.unsigned_abs(),
        interval: SIGN_IN_ASKED_EVERY_S,
    })
}

/// What a browser is shown before it confirms a code.
///
/// # Errors
/// When there is no such code that it could confirm.
pub fn look(broker: &Broker, user_code: &str, browser: &str) -> Result<Confirmation, Error> {
    let now_ms = broker.clock.now_ms();
    let sign_ins = broker.saml.sign_ins();
    let begun = sign_ins.look(&normal(user_code), &kept(browser), now_ms).map_err(stuck)?;
    let provider = broker.saml.provider(&begun.issuer).ok_or_else(|| stuck(Stuck::Unknown))?;
    Ok(Confirmation {
        user_code: begun.user_code.clone(),
        key: begun.key.clone(),
        client: begun.client.clone(),
        ip: begun.ip,
        begun_ms: begun.begun_ms,
        provider: provider.name.clone(),
    })
}

/// The person confirms the code: the address at the identity provider where the browser goes on.
///
/// # Errors
/// When there is no such code that it could confirm.
pub fn confirm(broker: &Broker, user_code: &str, browser: &str) -> Result<Url, Error> {
    let now_ms = broker.clock.now_ms();
    let user_code = normal(user_code);
    // An `xs:ID` does not begin with a digit.
    let request = format!("_{}", hex::encode(broker.random::<20>()?));
    let relay_state = URL_SAFE_NO_PAD.encode(broker.random::<32>()?);
    let mut sign_ins = broker.saml.sign_ins();
    let begun = sign_ins.look(&user_code, &kept(browser), now_ms).map_err(stuck)?;
    let provider = broker.saml.provider(&begun.issuer).ok_or_else(|| stuck(Stuck::Unknown))?;
    let address = broker.saml.broker.address(provider, &request, &relay_state, now_ms);
    let address = address.map_err(|fault| Error::new(Code::Internal, "The request cannot be written.").operator(fault))?;
    let sent = Sent {
        browser: kept(browser),
        relay_state: kept(&relay_state),
        request,
    };
    sign_ins.send(&user_code, sent, now_ms).map_err(stuck)?;
    Ok(address)
}

/// The person does not know the code: the sign-in ends.
///
/// # Errors
/// When there is no such code that it could refuse.
pub fn refuse(broker: &Broker, user_code: &str, browser: &str) -> Result<(), Error> {
    let now_ms = broker.clock.now_ms();
    let mut sign_ins = broker.saml.sign_ins();
    sign_ins.refuse(&normal(user_code), &kept(browser), now_ms).map_err(stuck)
}

/// Takes the identity provider's answer from the browser that was sent there; gives the name of whoever has signed in.
///
/// # Errors
/// When nobody was sent there by this browser, or the answer is refused, which ends the sign-in.
pub fn receive(broker: &Broker, cx: &Context, relay_state: &str, browser: &str, response: &str) -> Result<String, Error> {
    let now_ms = broker.clock.now_ms();
    let (request, issuer) = {
        let sign_ins = broker.saml.sign_ins();
        let (begun, sent) = sign_ins.sent(&kept(relay_state), &kept(browser), now_ms).map_err(|why| {
            broker.failures.add(cx, "unasked_saml_response");
            stuck(why)
        })?;
        (sent.request.clone(), begun.issuer.clone())
    };
    let told = verify(broker, response, &issuer, &request, now_ms);
    let mut sign_ins = broker.saml.sign_ins();
    let refused = match told {
        Ok(told) => {
            let name = told.identity.name.clone();
            if sign_ins.answered(&request, Some((told.identity, &told.assertion)), now_ms) {
                return Ok(name);
            }
            SamlError::Replayed
        }
        Err(fault) => {
            sign_ins.answered(&request, None, now_ms);
            fault
        }
    };
    broker.failures.add(cx, "invalid_saml_response");
    Err(Error::new(Code::InvalidIdToken, sentence(&refused.to_string()))
        .hint("run `chunkctl login` again")
        .operator(refused))
}

fn verify(broker: &Broker, response: &str, issuer: &str, request: &str, now_ms: i64) -> Result<response::Told, SamlError> {
    let provider = broker.saml.provider(issuer).ok_or(SamlError::Issuer)?;
    // Some providers break the lines of what they encode.
    let packed: String = response.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if packed.len() > SAML_RESPONSE_BYTES_MAX / 3 * 4 + 4 {
        return Err(SamlError::Malformed("it is too long"));
    }
    let message = STANDARD.decode(packed).map_err(|_| SamlError::Malformed("it is not base64"))?;
    let expected = Expected {
        provider,
        audience: &broker.saml.broker.entity_id,
        acs: &broker.saml.broker.acs,
        request,
        now_ms,
    };
    response::verify(&message, &expected)
}

/// The client asks whether the person has signed in; if so, the session is opened, once.
///
/// # Errors
/// When they have not, or not yet; when the proof is by another key than the one that began; or the log cannot be written.
pub async fn finish(broker: &Broker, cx: &Context, presented: Presented, device_code: &str) -> Result<SessionTokens, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, &presented, None, now_ms)?;
    let asked = broker.saml.sign_ins().ask(device_code, proof.thumbprint(), now_ms);
    let (identity, client) = match asked {
        Asked::SignedIn(signed_in) => *signed_in,
        Asked::Waiting => return Err(Error::new(Code::AuthorizationPending, "Nobody has signed in with this code yet.")),
        Asked::TooSoon => return Err(Error::new(Code::RateLimited, "The broker is asked about this code too often.")),
        Asked::Refused => {
            let why = "The code was refused in the browser, or the identity provider's answer was; the browser shows why.";
            return Err(Error::new(Code::AccessDenied, why).hint("run `chunkctl login`"));
        }
        Asked::Expired => {
            let why = "Nobody signed in with this code in time, or the broker was started again since.";
            return Err(Error::new(Code::ExpiredToken, why).hint("run `chunkctl login`"));
        }
        Asked::OtherKey => {
            broker.failures.add(cx, "foreign_device_code");
            return Err(Error::new(Code::InvalidDpopProof, "The code was given to another key."));
        }
    };
    let entrant = Entrant {
        identity,
        workload: None,
        session_s: broker.settings.session_s,
    };
    let session = admit(broker, cx, entrant, proof, client, now_ms).await?;
    Ok(issue_tokens(broker, &session, now_ms))
}

/// What an administrator registers at an identity provider; nothing where none speaks SAML.
#[must_use]
pub fn metadata(broker: &Broker) -> Option<String> {
    let saml = &broker.saml;
    let mut formats: Vec<&str> = saml.providers.iter().map(|provider| provider.name_id_format.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    (!formats.is_empty()).then(|| saml.broker.metadata(&formats))
}

fn stuck(why: Stuck) -> Error {
    match why {
        Stuck::Unknown => Error::new(
            Code::ExpiredToken,
            "There is no such sign-in: it has ended, was used, or never began.",
        )
        .hint("run `chunkctl login` again"),
        Stuck::OtherBrowser => Error::new(Code::AccessDenied, "This sign-in was begun in another browser.")
            .hint("go on in the browser that confirmed the code, or run `chunkctl login` again"),
    }
}

/// Eight consonants: nothing to be misread, and no words (RFC 8628 §6.1).
fn user_code() -> Result<String, Error> {
    let random = SystemRandom::new();
    let mut code = String::new();
    while code.len() < 9 {
        let mut byte = [0_u8; 1];
        random
            .fill(&mut byte)
            .map_err(|_| Error::new(Code::Internal, "The random generator failed."))?;
        // 240 is twelve times twenty: every letter is as likely as another.
        let [byte] = byte;
        if let (true, Some(letter)) = (byte < 240, LETTERS.get(usize::from(byte % 20))) {
            code.push(char::from(*letter));
            if code.len() == 4 {
                code.push('-');
            }
        }
    }
    Ok(code)
}

/// A code as somebody typed it, in the form in which it was given.
fn normal(typed: &str) -> String {
    let letters: Vec<char> = typed
        .chars()
        .filter(|c| c.is_ascii_alphabetic())
        .take(9)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match letters.split_at_checked(4) {
        Some((first, second)) => first.iter().chain(&['-']).chain(second).collect(),
        None => String::new(),
    }
}

/// A fault of its own, as a sentence.
fn sentence(fault: &str) -> String {
    let mut chars = fault.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

#[cfg(test)]
mod tests;
