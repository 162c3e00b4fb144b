//! What the directory of an identity provider may say here: who its people are, and that somebody may do nothing any more.
//!
//! Nobody needs a record to sign in; the identity provider's tokens say who people are. A directory is believed for less: it can
//! take from a person of its own issuer everything they hold, and give that back to nobody but the way it was taken. It shows a
//! secret of its own for that, which opens nothing else, and what it says is an entry like everything else.

mod decide;

use std::sync::Arc;

use chunk_log::journal::Urgency;
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;
use ring::hmac;
use zeroize::Zeroizing;

use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::limits::DIRECTORY_TOKEN_BYTES_MIN;
use crate::settings::KnownBy;
use crate::state::{Record, State};
use decide::{Target, Telling};

/// Proof that the directory of an identity provider speaks.
///
/// Only [`admit`] makes one.
#[derive(Debug)]
#[must_use]
pub struct Directory {
    issuer: String,
    known_by: KnownBy,
}

/// The secrets of directories, as they are now.
pub trait DirectoryTokens: Send + Sync + 'static {
    /// The secret of this issuer's directory.
    ///
    /// # Errors
    /// Why it cannot be read, for the operator.
    fn token(&self, issuer: &str) -> Result<Zeroizing<String>, String>;
}

/// What a directory says of a person. What it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// SCIM's `userName`.
    pub user_name: Option<String>,
    /// SCIM's `externalId`; the inner nothing takes it away.
    pub external_id: Option<Option<String>>,
    /// Whether the person is active.
    pub active: Option<bool>,
}

/// A person of a directory, as it knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPerson {
    /// Pseudonym: the directory's handle here.
    pub id: ActorId,
    /// SCIM's `userName`.
    pub user_name: String,
    /// SCIM's `externalId`.
    pub external_id: Option<String>,
    /// Whether they may sign in, as far as the directory is concerned.
    pub active: bool,
    /// First told of, ms since 1970.
    pub created_ms: i64,
    /// Last told of, ms since 1970.
    pub changed_ms: i64,
}

/// Whom to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Everybody.
    Everybody,
    /// By `userName`, whatever its case.
    UserName(String),
    /// By `externalId`.
    ExternalId(String),
}

/// Takes a directory's secret.
///
/// # Errors
/// When it is the secret of no directory, or of two, or those that are configured cannot be read.
pub fn admit(broker: &Broker, cx: &Context, token: &str) -> Result<Directory, Error> {
    let mut found = Vec::new();
    let mut unreadable = None;
    for issuer in &broker.settings.issuers {
        let Some(known_by) = issuer.directory else { continue };
        match broker.directory_tokens.token(&issuer.issuer) {
            // A short one could be guessed; it is refused at the start, and if it was changed since, here.
            Ok(secret) if secret.len() >= DIRECTORY_TOKEN_BYTES_MIN => {
                if same(broker, secret.as_bytes(), token.as_bytes())? {
                    found.push((issuer, known_by));
                }
            }
            Ok(_) => unreadable = Some(format!("the directory token of {} is too short", issuer.issuer)),
            Err(why) => unreadable = Some(why),
        }
    }
    match (found.as_slice(), unreadable) {
        ([(issuer, known_by)], _) => Ok(Directory {
            issuer: issuer.issuer.clone(),
            known_by: *known_by,
        }),
        ([], Some(why)) => Err(Error::new(Code::Unavailable, "The directory's token cannot be checked now.").operator(why)),
        ([], None) => {
            broker.failures.add(cx, "invalid_directory_token");
            Err(Error::new(Code::Unauthenticated, "This is no directory's token."))
        }
        _ => Err(Error::new(Code::Unauthenticated, "This is no directory's token.").operator("two issuers have the same directory token")),
    }
}

/// Takes a person into the directory's records.
///
/// # Errors
/// When a name is missing or another's, or the log cannot be written.
pub async fn create(broker: &Broker, cx: &Context, directory: &Directory, told: Told) -> Result<DirectoryPerson, Error> {
    let fresh = ActorId::from_random(broker.random()?);
    tell(broker, cx, directory, Target::New(fresh), told, false).await
}

/// Changes what is said of a person.
///
/// # Errors
/// As [`create`], and when the directory has no such record.
pub async fn change(broker: &Broker, cx: &Context, directory: &Directory, id: &ActorId, told: Told) -> Result<DirectoryPerson, Error> {
    tell(broker, cx, directory, Target::Known(id.clone()), told, false).await
}

/// Takes a record out of the directory. The person is suspended from then on.
///
/// # Errors
/// When the directory has no such record, or the log cannot be written.
pub async fn delete(broker: &Broker, cx: &Context, directory: &Directory, id: &ActorId) -> Result<(), Error> {
    let told = Told {
        active: Some(false),
        ..Told::default()
    };
    tell(broker, cx, directory, Target::Known(id.clone()), told, true).await.map(drop)
}

/// One record.
///
/// # Errors
/// When the directory has no such record.
pub fn show(broker: &Broker, directory: &Directory, id: &ActorId) -> Result<DirectoryPerson, Error> {
    let published = broker.log.published();
    let record = known(&published.state, &directory.issuer, id)?;
    Ok(person(&published.state, record))
}

/// Records of the directory, `count` of them after the first `skip`, and how many there are.
#[must_use]
pub fn list(broker: &Broker, directory: &Directory, sought: &Sought, skip: usize, count: usize) -> (usize, Vec<DirectoryPerson>) {
    let published = broker.log.published();
    let (state, issuer) = (&published.state, directory.issuer.as_str());
    let fits = |record: &&Arc<Record>| record.bind.issuer == issuer && !record.deleted;
    let records: Vec<_> = match sought {
        Sought::Everybody => state.directory.records.values().filter(fits).collect(),
        Sought::UserName(name) => state.directory.of_user_name(issuer, name).into_iter().filter(fits).collect(),
        Sought::ExternalId(id) => state.directory.of_external_id(issuer, id).into_iter().filter(fits).collect(),
    };
    let page = records.iter().skip(skip).take(count).map(|record| person(state, record));
    (records.len(), page.collect())
}

async fn tell(
    broker: &Broker,
    cx: &Context,
    directory: &Directory,
    target: Target,
    told: Told,
    deleted: bool,
) -> Result<DirectoryPerson, Error> {
    // What takes something away is written even where there is no more space for what gives.
    let urgency = if told.active == Some(false) {
        Urgency::Closing
    } else {
        Urgency::Normal
    };
    let telling = Telling {
        issuer: directory.issuer.clone(),
        known_by: directory.known_by,
        target,
        told,
        deleted,
        ip: cx.ip.to_string(),
    };
    let (issuer, user_name) = (telling.issuer.clone(), telling.told.user_name.clone());
    let known = match &telling.target {
        Target::Known(id) => Some(id.clone()),
        Target::New(_) => None,
    };
    let committed = broker.log.commit(urgency, move |state, _| decide::tell(state, telling)).await?;
    let state = &committed.published.state;
    let record = match known {
        Some(id) => state.directory.records.get(&id),
        None => state.directory.of_user_name(&issuer, &user_name.unwrap_or_default()),
    };
    let record = record.ok_or_else(|| Error::new(Code::Internal, "The record is not in the state."))?;
    Ok(person(state, record))
}

/// A record of this directory that is there.
fn known<'s>(state: &'s State, issuer: &str, id: &ActorId) -> Result<&'s Arc<Record>, Error> {
    let record = state.directory.records.get(id);
    record
        .filter(|record| record.bind.issuer == issuer && !record.deleted)
        .ok_or_else(|| Error::new(Code::NotFound, format!("There is no user `{id}`.")))
}

fn person(state: &State, record: &Record) -> DirectoryPerson {
    DirectoryPerson {
        id: record.bind.actor.clone(),
        user_name: record.bind.user_name.clone(),
        external_id: record.bind.external_id.clone(),
        active: !state.is_suspended(&record.bind.actor),
        created_ms: record.created_ms,
        changed_ms: record.changed_ms,
    }
}

/// Whether two secrets are the same, in a time that tells nothing of either.
fn same(broker: &Broker, secret: &[u8], shown: &[u8]) -> Result<bool, Error> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &broker.random::<32>()?);
    Ok(hmac::verify(&key, secret, hmac::sign(&key, shown).as_ref()).is_ok())
}
