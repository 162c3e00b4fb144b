//! Who asks: from the bytes a client presents to a [`Caller`] with an open session and the key that proves it.
//!
//! Signing in exchanges an identity provider's word, once, for a session of the broker's own, bound to the client's key. People
//! and workloads come by two doors, each with tokens that the other refuses, and go the same road after it.
//! After that only the broker's tokens count, each with a proof by that key (RFC 9449); the session is looked up in the state
//! every time, so that ending it ends everything under it at once.

pub mod directory;
pub mod dpop;
pub mod keys;
pub mod oidc;
pub mod saml;
pub mod tokens;
pub mod workload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chunk_evidence::encode::b64;
use chunk_log::journal::Urgency;
use chunk_wire::dpop::SignedProof;
use chunk_wire::id::{ActorId, SessionId};
use chunk_wire::problem::Code;
use chunk_wire::session::{ClientInfo, OpenBrowserSession, OpenSession, Person, RefreshSession, SessionTokens, WhoAmI, Workload};

use crate::authorize::Asking;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::{self, Event};
use crate::limits::ACCESS_TOKEN_S;
use crate::policy::{Action, Principal, Resource};
use crate::settings::KnownBy;
use crate::state::{Session, State};
use dpop::{CheckedProof, ProofRefused};
use oidc::{IdTokenError, VerifiedIdentity};
use tokens::Purpose;
use zeroize::Zeroizing;

/// Fetches documents of identity providers, and redeems codes there: HTTPS, or HTTP on loopback; no redirect to another host; bounded in size and time.
#[async_trait]
pub trait HttpGet: Send + Sync + 'static {
    /// The body of a 200 answer.
    ///
    /// # Errors
    /// What went wrong, for the operator.
    async fn get(&self, url: &str) -> Result<Vec<u8>, String>;

    /// Status and body of the answer to whoever shows this `Authorization`, whatever the status.
    ///
    /// # Errors
    /// What went wrong, for the operator.
    async fn get_as(&self, url: &str, authorization: Zeroizing<String>) -> Result<(u16, Vec<u8>), String>;

    /// Sends a form (`application/x-www-form-urlencoded`), with this `Authorization` if there is one; status and body of the answer,
    /// whatever the status.
    ///
    /// # Errors
    /// What went wrong, for the operator.
    async fn post(&self, url: &str, form: Zeroizing<String>, authorization: Option<Zeroizing<String>>) -> Result<(u16, Vec<u8>), String>;

    /// The secret that the broker has at this issuer, as it is now; nothing where it is a public client.
    ///
    /// # Errors
    /// Why it cannot be read, for the operator.
    fn client_secret(&self, issuer: &str) -> Result<Option<Zeroizing<String>>, String>;
}

/// What a client presents with a call.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Access token from `Authorization: DPoP …`.
    pub access_token: Option<String>,
    /// The one `DPoP` header.
    pub proof: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Public URL plus path, without query.
    pub url: String,
}

/// Proof that a person with an open session makes this call with the session's key.
///
/// Only [`authenticate`] makes one.
#[derive(Debug, Clone)]
#[must_use]
pub struct Caller {
    session: Arc<Session>,
}

impl Caller {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session.open.session
    }

    /// The person.
    #[must_use]
    pub fn person(&self) -> &Person {
        &self.session.open.person
    }

    /// Subject or e-mail address of their manager, as far as the identity provider says.
    pub(crate) fn manager(&self) -> Option<&str> {
        self.session.open.manager.as_deref()
    }

    pub(crate) fn actor(&self) -> &ActorId {
        &self.session.open.actor
    }

    pub(crate) fn open_index(&self) -> u64 {
        self.session.index
    }

    pub(crate) fn key(&self) -> &str {
        &self.session.open.key
    }

    pub(crate) fn public_key(&self) -> Result<[u8; 32], Error> {
        chunk_evidence::encode::unb64(&self.session.open.public_key)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| Error::new(Code::Internal, "The session's key cannot be read."))
    }

    /// The host of the client, in its own words at sign-in.
    pub(crate) fn host(&self) -> &str {
        &self.session.open.client.host
    }

    /// When the session ends, ms since 1970.
    pub(crate) fn expires_ms(&self) -> i64 {
        self.session.open.expires_ms
    }

    pub(crate) fn opened_ms(&self) -> i64 {
        self.session.opened_ms
    }

    pub(crate) fn auth_time(&self) -> Option<i64> {
        self.session.open.auth_time
    }

    pub(crate) fn amr(&self) -> &[String] {
        &self.session.open.amr
    }

    pub(crate) fn is_key_attested(&self) -> bool {
        self.session.open.is_key_attested()
    }

    /// The person, as policies see them.
    pub(crate) fn principal(&self) -> Principal<'_> {
        principal(self.person())
    }
}

/// A person, as policies see them.
pub(crate) fn principal(person: &Person) -> Principal<'_> {
    Principal {
        issuer: &person.issuer,
        subject: &person.subject,
        name: &person.name,
        email: person.email.as_deref(),
        groups: &person.groups,
        workload: person.workload.as_ref(),
    }
}

/// Somebody or something whose token has been verified, on the way to a session.
struct Entrant {
    identity: VerifiedIdentity,
    workload: Option<Workload>,
    /// The session ends after this many seconds.
    session_s: i64,
}

/// Exchanges an ID token for a session bound to the proof's key.
///
/// # Errors
/// When the proof or the token is refused, the token was used before, or the log cannot be written.
pub async fn open_session(broker: &Broker, cx: &Context, presented: Presented, open: OpenSession) -> Result<SessionTokens, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, &presented, None, now_ms)?;
    let access_token = open.access_token.as_deref();
    let identity = broker.issuers.verify_with(&open.id_token, access_token, now_ms).await;
    admit_person(broker, cx, identity, proof, open.client, now_ms).await
}

/// Exchanges an authorization code, which the broker redeems itself, for a session bound to the proof's key.
///
/// # Errors
/// As [`open_session`], and when the identity provider refuses the code or its token does not name that key.
pub async fn open_browser_session(
    broker: &Broker,
    cx: &Context,
    presented: Presented,
    open: OpenBrowserSession,
) -> Result<SessionTokens, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, &presented, None, now_ms)?;
    let identity = broker.issuers.redeem(&open, proof.thumbprint(), now_ms).await;
    admit_person(broker, cx, identity, proof, open.client, now_ms).await
}

async fn admit_person(
    broker: &Broker,
    cx: &Context,
    identity: Result<VerifiedIdentity, IdTokenError>,
    proof: CheckedProof,
    client: ClientInfo,
    now_ms: i64,
) -> Result<SessionTokens, Error> {
    let entrant = Entrant {
        identity: identity.map_err(|fault| refused_token(broker, cx, fault, "run `chunkctl login`"))?,
        workload: None,
        session_s: broker.settings.session_s,
    };
    let session = admit(broker, cx, entrant, proof, client, now_ms).await?;
    Ok(issue_tokens(broker, &session, now_ms))
}

/// Why a provider's token opens no session. The refusal is counted.
fn refused_token(broker: &Broker, cx: &Context, fault: IdTokenError, hint: &str) -> Error {
    if let IdTokenError::Unavailable { .. } = fault {
        return Error::new(Code::Unavailable, fault.to_string())
            .hint("try again in a moment")
            .operator(fault);
    }
    broker.failures.add(cx, "invalid_id_token");
    let hint = match fault {
        IdTokenError::BrowserRequired => "run `chunkctl login --browser`",
        _ => hint,
    };
    Error::new(Code::InvalidIdToken, fault.to_string()).hint(hint).operator(fault)
}

/// Opens the session of whoever a verified token names: the one road of people and workloads alike.
async fn admit(
    broker: &Broker,
    cx: &Context,
    entrant: Entrant,
    proof: CheckedProof,
    client: ClientInfo,
    now_ms: i64,
) -> Result<Arc<Session>, Error> {
    let proof = accept_proof(broker, proof, now_ms)?;
    let session = SessionId::from_random(broker.random()?);
    let draft = draft_session(broker, cx, entrant, &proof, client, session.clone(), now_ms)?;
    let mut issuers = broker.settings.issuers.iter();
    let known_by = issuers
        .find(|issuer| issuer.issuer == draft.person.issuer)
        .and_then(|issuer| issuer.directory);
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, _| decide_open(state, draft, known_by))
        .await
        .inspect_err(|fault| match fault.code {
            Code::InvalidIdToken => broker.failures.add(cx, "replayed_id_token"),
            Code::Denied => broker.failures.add(cx, "suspended_person"),
            _ => {}
        })?;
    let sessions = &committed.published.state.sessions;
    let session = sessions.get(&session).cloned();
    session.ok_or_else(|| Error::new(Code::Internal, "The session is not in the state."))
}

/// Gives new tokens for an open session.
///
/// # Errors
/// When the refresh token or the proof is refused, or the session has ended.
pub async fn refresh_session(
    broker: &Broker,
    _cx: &Context,
    presented: Presented,
    refresh: RefreshSession,
) -> Result<SessionTokens, Error> {
    let now_ms = broker.clock.now_ms();
    let proof = check_proof(broker, &presented, None, now_ms)?;
    let session = session_of(broker, Purpose::Refresh, &refresh.refresh_token, &proof, now_ms)?;
    accept_proof(broker, proof, now_ms)?;
    Ok(issue_tokens(broker, &session, now_ms))
}

/// Makes a [`Caller`] of what a client presents.
///
/// # Errors
/// When there is no token, the token or the proof is refused, or the session has ended.
pub async fn authenticate(broker: &Broker, _cx: &Context, presented: Presented) -> Result<Caller, Error> {
    let now_ms = broker.clock.now_ms();
    let token = presented
        .access_token
        .as_deref()
        .ok_or_else(|| unauthenticated("This call needs `Authorization: DPoP <access token>`."))?;
    let proof = check_proof(broker, &presented, Some(token), now_ms)?;
    let session = session_of(broker, Purpose::Access, token, &proof, now_ms)?;
    accept_proof(broker, proof, now_ms)?;
    Ok(Caller { session })
}

/// Looks again whether a caller's session is still open; for long-lived streams.
///
/// # Errors
/// When it has ended.
pub fn still_open(broker: &Broker, caller: &Caller) -> Result<(), Error> {
    let published = broker.log.published();
    match published.state.open_session(caller.session(), broker.clock.now_ms()) {
        Some(_) => Ok(()),
        None => Err(session_ended()),
    }
}

/// Whether what the identity provider says about a caller is recent enough to review or to be given data. It is as old as the
/// sign-in.
///
/// # Errors
/// When it is older than configuration allows.
pub(crate) fn fresh_claims(broker: &Broker, caller: &Caller) -> Result<(), Error> {
    let age_s = (broker.clock.now_ms() - caller.opened_ms()) / 1000;
    if age_s <= broker.settings.claims_age_max_s {
        return Ok(());
    }
    Err(unauthenticated(&format!(
        "You signed in {} minutes ago, and for this a sign-in may be {} minutes old.",
        age_s / 60,
        broker.settings.claims_age_max_s / 60
    )))
}

/// Who the caller is and what policy lets them do that is not about one dataset.
#[must_use]
pub fn whoami(broker: &Broker, cx: &Context, caller: &Caller) -> WhoAmI {
    let asking = Asking::now(broker, cx, caller);
    let actions = [
        (Action::AuditRead, "audit_read"),
        (Action::AuditExport, "audit_export"),
        (Action::Administer, "administer"),
    ];
    let mut actions: Vec<String> = actions
        .into_iter()
        .filter(|(action, _)| asking.may(*action, &Resource::Broker))
        .map(|(_, name)| name.to_owned())
        .collect();
    let reviews = broker
        .settings
        .catalog
        .datasets
        .values()
        .any(|d| asking.may(Action::Review, &d.resource()));
    if reviews {
        actions.insert(0, "review".to_owned());
    }
    WhoAmI {
        person: caller.person().clone(),
        session: caller.session().clone(),
        key: caller.key().to_owned(),
        session_expires_ms: caller.session.open.expires_ms,
        actions,
    }
}

/// Ends a session: the caller's own, another of the same person's, or anybody's with `administer`.
///
/// # Errors
/// When the session is not the caller's to end, or the log cannot be written.
pub async fn close_session(broker: &Broker, cx: &Context, caller: &Caller, session: Option<SessionId>) -> Result<(), Error> {
    let published = broker.log.published();
    let (id, cause) = match session {
        None => (caller.session().clone(), "logout"),
        Some(id) => (id, "revoked"),
    };
    let not_found = || Error::new(Code::NotFound, format!("There is no session `{id}` that you may end."));
    let target = published.state.sessions.get(&id).ok_or_else(not_found)?;
    let own = target.open.actor == *caller.actor();
    if !own && !Asking::now(broker, cx, caller).may(Action::Administer, &Resource::Broker) {
        return Err(not_found());
    }
    let actor = caller.actor().clone();
    broker
        .log
        .commit(Urgency::Closing, move |state, _| {
            Ok(match state.sessions.get(&id) {
                Some(session) if session.closed.is_none() => {
                    vec![Event::SessionClose {
                        session: id.clone(),
                        actor: actor.clone(),
                        open: session.index,
                        cause: cause.to_owned(),
                    }]
                }
                _ => Vec::new(),
            })
        })
        .await?;
    Ok(())
}

fn check_proof(broker: &Broker, presented: &Presented, token: Option<&str>, now_ms: i64) -> Result<CheckedProof, Error> {
    let proof = presented
        .proof
        .as_deref()
        .ok_or_else(|| Error::new(Code::InvalidDpopProof, "This call needs exactly one `DPoP` header."))?;
    broker
        .proofs
        .check(proof, &presented.method, &presented.url, token, now_ms)
        .map_err(proof_refused)
}

/// Accepts a proof, once, now that it belongs to somebody.
fn accept_proof(broker: &Broker, proof: CheckedProof, now_ms: i64) -> Result<SignedProof, Error> {
    broker.proofs.accept(proof, now_ms).map_err(proof_refused)
}

fn proof_refused(refused: ProofRefused) -> Error {
    match refused {
        ProofRefused::UseNonce => Error::new(Code::UseDpopNonce, "The proof must carry the nonce of the `DPoP-Nonce` header."),
        ProofRefused::Invalid(why) => Error::new(Code::InvalidDpopProof, why),
        ProofRefused::Overloaded => Error::new(Code::RateLimited, "Too many proofs in a short time."),
    }
}

fn session_of(broker: &Broker, purpose: Purpose, token: &str, proof: &CheckedProof, now_ms: i64) -> Result<Arc<Session>, Error> {
    let claims = broker
        .tokens
        .verify(purpose, token, now_ms)
        .map_err(|fault| unauthenticated(&fault.to_string()))?;
    if claims.key != proof.thumbprint() {
        return Err(Error::new(
            Code::InvalidDpopProof,
            "The token is bound to another key than the proof's.",
        ));
    }
    let published = broker.log.published();
    let session = published.state.open_session(&claims.session, now_ms).ok_or_else(session_ended)?;
    if session.open.key != proof.thumbprint() {
        return Err(Error::new(
            Code::InvalidDpopProof,
            "The session is bound to another key than the proof's.",
        ));
    }
    Ok(Arc::clone(session))
}

fn draft_session(
    broker: &Broker,
    cx: &Context,
    entrant: Entrant,
    proof: &SignedProof,
    client: ClientInfo,
    session: SessionId,
    now_ms: i64,
) -> Result<entries::SessionOpen, Error> {
    let identity = entrant.identity;
    Ok(entries::SessionOpen {
        session,
        actor: ActorId::from_random(broker.random()?),
        person: Person {
            issuer: identity.issuer,
            subject: identity.subject,
            name: identity.name,
            email: identity.email,
            groups: identity.groups,
            workload: entrant.workload,
        },
        manager: identity.manager,
        amr: identity.amr,
        auth_time: identity.auth_time,
        flow: Some(identity.flow.as_str().to_owned()),
        key_attested: Some(identity.flow.attests_key()),
        attestation: identity.attestation,
        key: proof.thumbprint.clone(),
        public_key: b64(&proof.public_key),
        ip: cx.ip.to_string(),
        client: ClientInfo {
            version: short(client.version),
            host: short(client.host),
        },
        expires_ms: now_ms + entrant.session_s.min(broker.settings.session_s) * 1000,
        id_token: hex::encode(identity.token_sha256),
    })
}

fn decide_open(state: &State, mut open: entries::SessionOpen, known_by: Option<KnownBy>) -> Result<Vec<Event>, Error> {
    active(state, &open, known_by)?;
    if state.id_tokens.contains(&open.id_token) {
        return Err(Error::new(
            Code::InvalidIdToken,
            "This ID token has opened a session before; each is accepted once.",
        )
        .hint(if open.person.workload.is_some() {
            "get a new token for this job, and run `chunkctl login --ci`"
        } else {
            "run `chunkctl login`"
        }));
    }
    if let Some(actor) = state.actors.get(&(open.person.issuer.clone(), open.person.subject.clone())) {
        // A program that comes under a person's name would be that person's second account, and the other way round.
        let known = state.people.get(actor).and_then(|theirs| theirs.claims.as_ref());
        if known.is_some_and(|known| known.person.workload.is_some() != open.person.workload.is_some()) {
            return Err(Error::new(
                Code::InvalidIdToken,
                "This issuer and subject are known as a person's where a workload's come now, or the other way round.",
            ));
        }
        open.actor = actor.clone();
    } else if let Some(record) = state.directory.of_external_id(&open.person.issuer, &open.person.subject)
        && record.bind.known_by == KnownBy::ExternalId
    {
        // Their directory knew them before they came.
        open.actor = record.bind.actor.clone();
    }
    Ok(vec![Event::SessionOpen(open)])
}

/// Refuses whom their directory has suspended, whether they were here before or not.
fn active(state: &State, open: &entries::SessionOpen, known_by: Option<KnownBy>) -> Result<(), Error> {
    let person = &open.person;
    let refuse = |why: &str| Err(Error::new(Code::Denied, why).hint("ask whoever runs your organisation's accounts"));
    let actor = state.actors.get(&(person.issuer.clone(), person.subject.clone()));
    let record = state.directory.of_token(&person.issuer, &person.subject, person.email.as_deref());
    let names = actor.into_iter().chain(record.map(|record| &record.bind.actor));
    if names.into_iter().any(|actor| state.is_suspended(actor)) {
        return refuse("Your organisation's directory says that this account is not active.");
    }
    if known_by == Some(KnownBy::UserName) && person.email.is_none() {
        return refuse(
            "Your organisation's directory knows people by their e-mail address, and the identity provider's token has none that is verified.",
        );
    }
    Ok(())
}

fn issue_tokens(broker: &Broker, session: &Session, now_ms: i64) -> SessionTokens {
    let open = &session.open;
    let access_expires_ms = open.expires_ms.min(now_ms + ACCESS_TOKEN_S * 1000);
    SessionTokens {
        session: open.session.clone(),
        access_token: broker
            .tokens
            .issue(Purpose::Access, &open.session, &open.key, now_ms, access_expires_ms),
        access_expires_ms,
        refresh_token: broker
            .tokens
            .issue(Purpose::Refresh, &open.session, &open.key, now_ms, open.expires_ms),
        session_expires_ms: open.expires_ms,
        person: open.person.clone(),
    }
}

/// What a client says about itself is kept short and printable.
fn short(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

fn unauthenticated(why: &str) -> Error {
    Error::new(Code::Unauthenticated, why).hint("run `chunkctl login`")
}

fn session_ended() -> Error {
    Error::new(Code::SessionEnded, "The session has ended or was revoked.").hint("run `chunkctl login`")
}

/// Failed sign-ins, counted by address and recorded once a minute, so that a flood of them cannot fill the log.
#[derive(Default)]
pub(crate) struct Failures {
    counts: Mutex<(i64, BTreeMap<(String, &'static str), u64>)>,
}

impl Failures {
    fn add(&self, cx: &Context, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let full = counts.1.len() >= FAILURE_ADDRESSES_MAX;
        let ip = if full { "others".to_owned() } else { cx.ip.to_string() };
        *counts.1.entry((ip, code)).or_default() += 1;
    }

    /// Records what has been counted, if a minute has passed since the last time, or it is the last chance.
    ///
    /// # Errors
    /// When the log cannot be written; nothing counted is lost by it.
    pub(crate) async fn record(&self, broker: &Broker, last_chance: bool) -> Result<(), Error> {
        let counted = {
            let now_ms = broker.clock.now_ms();
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            if counts.1.is_empty() || (now_ms - counts.0 < FAILURES_EVERY_MS && !last_chance) {
                return Ok(());
            }
            counts.0 = now_ms;
            std::mem::take(&mut counts.1)
        };
        let event = |((ip, code), count): (&(String, &'static str), &u64)| Event::SessionFail {
            ip: ip.clone(),
            code: (*code).to_owned(),
            count: *count,
        };
        let events: Vec<_> = counted.iter().map(event).collect();
        let weight = if last_chance { Urgency::Closing } else { Urgency::Normal };
        let recorded = broker.log.commit(weight, move |_, _| Ok(events)).await;
        if recorded.is_err() {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (what, count) in counted {
                *counts.1.entry(what).or_default() += count;
            }
        }
        recorded.map(drop)
    }
}

const FAILURES_EVERY_MS: i64 = 60_000;
const FAILURE_ADDRESSES_MAX: usize = 100;
