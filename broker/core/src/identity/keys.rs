//! SSH keys of people: enrolled with proof that their person holds them, listed, taken back for good.
//!
//! An enrolled key gives nobody a right. It signs verdicts beside the session's own key, so that an auditor who knows it need not
//! believe the broker about them, and a dataset may demand that. Whoever stole a session must not get to enrol a key of theirs
//! unnoticed: the sign-in has to be minutes old, policy has to permit it (and may ask for a sign-in with the browser), it is an
//! entry of its own, and people are told. A key is enrolled once, by one person: what was taken back does not come again, so no
//! statement that it signed is worth anything a second time.

use chunk_evidence::encode::canonical_of;
use chunk_evidence::enrolled::Enrolment;
use chunk_evidence::sshsig::{ENROLL_NAMESPACE, SshSignature};
use chunk_log::journal::Urgency;
use chunk_wire::id::ActorId;
use chunk_wire::keys::{EnrollKey, KeyChallenge, KeyView};
use chunk_wire::problem::Code;

use super::Caller;
use super::tokens::Purpose;
use super::workload::people_only;
use crate::approval::session_open;
use crate::audit::record_read;
use crate::authorize::{Asking, demand};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::{Event, KeyEnroll, KeyRevoke};
use crate::limits::{ENROLL_NONCE_AGE_S_MAX, ENROLL_SIGNED_IN_S_MAX, SSH_KEYS_PER_PERSON_MAX};
use crate::policy::{Action, Resource};
use crate::state::{Enrolled, State};

/// What a key must sign to be enrolled under the caller's session.
///
/// # Errors
/// When the caller may not enrol one, or signed in too long ago.
pub fn challenge(broker: &Broker, cx: &Context, caller: &Caller) -> Result<KeyChallenge, Error> {
    may_enroll(broker, cx, caller)?;
    let now_ms = broker.clock.now_ms();
    let expires_ms = now_ms + ENROLL_NONCE_AGE_S_MAX * 1000;
    let nonce = broker
        .tokens
        .issue(Purpose::Enroll, caller.session(), caller.key(), now_ms, expires_ms);
    Ok(KeyChallenge {
        origin: broker.settings.origin.clone(),
        nonce,
        expires_ms,
    })
}

/// Enrols the key that signed the challenge.
///
/// # Errors
/// As [`challenge`], and when the challenge is another session's or too old, the signature is not the key's, or the key was enrolled before.
pub async fn enroll(broker: &Broker, cx: &Context, caller: &Caller, enroll: EnrollKey) -> Result<KeyView, Error> {
    may_enroll(broker, cx, caller)?;
    let challenged = broker
        .tokens
        .verify(Purpose::Enroll, &enroll.nonce, broker.clock.now_ms())
        .map_err(|fault| refused(&format!("the challenge is not good: {fault}")))?;
    if challenged.session != *caller.session() || challenged.key != caller.key() {
        return Err(refused("the challenge was given to another session"));
    }
    let signature = SshSignature::parse(&enroll.signature).map_err(|fault| refused(&fault.to_string()))?;
    let person = caller.person();
    let statement = Enrolment {
        v: 1,
        origin: broker.settings.origin.clone(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        key: caller.key().to_owned(),
        ssh_key: signature.key().fingerprint(),
        nonce: enroll.nonce,
    };
    let statement =
        canonical_of(&statement).map_err(|fault| Error::new(Code::Internal, "The statement does not serialise.").operator(fault))?;
    signature
        .verify(ENROLL_NAMESPACE, statement.as_bytes())
        .map_err(|fault| refused(&fault.to_string()))?;
    let entry = KeyEnroll {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        key: signature.key().fingerprint(),
        public_key: signature.key().to_line(),
        host: caller.host().to_owned(),
        ip: cx.ip.to_string(),
        statement,
        signature: signature.to_text(),
    };
    let key = entry.key.clone();
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| decide_enroll(state, entry, now_ms))
        .await?;
    let state = &committed.published.state;
    let enrolled = state.ssh_keys.of(&key).map(|enrolled| view(state, enrolled));
    enrolled.ok_or_else(|| Error::new(Code::Internal, "The key is not in the state."))
}

/// The caller's keys, or everybody's for those who may read the evidence; the newest first.
///
/// # Errors
/// When all are asked for and policy does not permit it.
pub async fn list(broker: &Broker, cx: &Context, caller: &Caller, all: bool) -> Result<Vec<KeyView>, Error> {
    if all {
        demand(broker, cx, caller, Action::AuditRead, "reading other people's keys")?;
        record_read(broker, caller, serde_json::json!({ "keys": "all" }), 0).await?;
    }
    let published = broker.log.published();
    let theirs = |enrolled: &&std::sync::Arc<Enrolled>| all || enrolled.entry.actor == *caller.actor();
    let keys = published.state.ssh_keys.all().filter(theirs);
    let mut keys: Vec<KeyView> = keys.map(|enrolled| view(&published.state, enrolled)).collect();
    keys.reverse();
    Ok(keys)
}

/// Takes a key back, for good: the caller's own, or anybody's with `administer`. Nothing happens where that was done before.
///
/// # Errors
/// When there is no such key that the caller may take back, or the log cannot be written.
pub async fn revoke(broker: &Broker, cx: &Context, caller: &Caller, index: u64) -> Result<(), Error> {
    let not_found = || Error::new(Code::NotFound, "There is no such SSH key that you may take back.").hint("run `chunkctl keys list`");
    let published = broker.log.published();
    let enrolled = published.state.ssh_keys.at(index).ok_or_else(not_found)?;
    let own = enrolled.entry.actor == *caller.actor();
    if !own && !Asking::now(broker, cx, caller).may(Action::Administer, &Resource::Broker) {
        return Err(not_found());
    }
    let entry = KeyRevoke {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        enrolled: index,
        ip: cx.ip.to_string(),
    };
    broker
        .log
        .commit(Urgency::Closing, move |state, now_ms| {
            session_open(state, &entry.session, now_ms)?;
            Ok(match state.ssh_keys.at(entry.enrolled) {
                Some(enrolled) if enrolled.revoked_ms.is_none() => vec![Event::KeyRevoke(entry)],
                _ => Vec::new(),
            })
        })
        .await?;
    Ok(())
}

/// The enrolment of the key that signed a verdict of this person.
///
/// # Errors
/// When it is not enrolled as theirs, or was taken back.
pub(crate) fn usable(state: &State, key: &str, actor: &ActorId) -> Result<u64, Error> {
    match state.ssh_keys.usable(key, actor) {
        Some(enrolled) => Ok(enrolled.index),
        None => Err(Error::new(
            Code::InvalidSignature,
            format!("The SSH key `{key}` is not one of yours here, or was taken back."),
        )
        .hint("run `chunkctl keys list`")),
    }
}

fn may_enroll(broker: &Broker, cx: &Context, caller: &Caller) -> Result<(), Error> {
    people_only(caller.person().workload.as_ref())?;
    let age_s = (broker.clock.now_ms() - caller.opened_ms()) / 1000;
    if age_s > ENROLL_SIGNED_IN_S_MAX {
        return Err(Error::new(
            Code::Unauthenticated,
            format!(
                "You signed in {} minutes ago, and to enrol a key a sign-in may be {} minutes old.",
                age_s / 60,
                ENROLL_SIGNED_IN_S_MAX / 60
            ),
        )
        .hint("run `chunkctl login`"));
    }
    demand(broker, cx, caller, Action::EnrollKey, "enrolling an SSH key")
}

fn decide_enroll(state: &State, entry: KeyEnroll, now_ms: i64) -> Result<Vec<Event>, Error> {
    session_open(state, &entry.session, now_ms)?;
    if let Some(known) = state.ssh_keys.of(&entry.key) {
        let why = match known.revoked_ms {
            _ if known.entry.actor != entry.actor => "This SSH key is another person's.",
            Some(_) => "This SSH key was taken back, and does not come again.",
            None => "This SSH key is enrolled already.",
        };
        return Err(Error::new(Code::WrongState, why).hint("run `chunkctl keys list`"));
    }
    let theirs = state.ssh_keys.all().filter(|known| known.entry.actor == entry.actor);
    if theirs.filter(|known| known.revoked_ms.is_none()).count() >= SSH_KEYS_PER_PERSON_MAX {
        return Err(
            Error::new(Code::LimitReached, format!("You have {SSH_KEYS_PER_PERSON_MAX} SSH keys already."))
                .hint("run `chunkctl keys list`"),
        );
    }
    Ok(vec![Event::KeyEnroll(entry)])
}

fn view(state: &State, enrolled: &Enrolled) -> KeyView {
    let entry = &enrolled.entry;
    let claims = state.people.get(&entry.actor).and_then(|theirs| theirs.claims.as_ref());
    KeyView {
        index: enrolled.index,
        ssh_key: entry.key.clone(),
        public_key: entry.public_key.clone(),
        issuer: entry.issuer.clone(),
        subject: entry.subject.clone(),
        name: claims.map_or_else(|| entry.subject.clone(), |open| open.person.name.clone()),
        session: entry.session.clone(),
        host: entry.host.clone(),
        ip: entry.ip.clone(),
        enrolled_ms: enrolled.enrolled_ms,
        revoked_ms: enrolled.revoked_ms,
    }
}

fn refused(why: &str) -> Error {
    Error::new(Code::InvalidSignature, format!("The key was not enrolled: {why}.")).hint("run `chunkctl keys list`")
}
