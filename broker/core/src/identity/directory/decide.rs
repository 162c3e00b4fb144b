//! What follows from what a directory tells, as a pure function from a state to entries.
//!
//! A person may stand behind more pseudonyms than their record's: where the directory knows them by their e-mail address, they may
//! have signed in before it told of them, or under a subject of an earlier account. All of them are suspended, each by an entry of
//! its own, and restored by what suspended them alone.

use std::collections::BTreeSet;

use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;

use super::{Told, known};
use crate::approval::end_everything;
use crate::error::Error;
use crate::evidence::entries::{Event, PersonRestore, PersonSuspend, SUSPENDED, SubjectBind};
use crate::settings::KnownBy;
use crate::state::{Record, State};

/// Which record is told of.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// One that the directory has.
    Known(ActorId),
    /// One that it has not; its pseudonym, unless the person has one.
    New(ActorId),
}

/// A directory tells something.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub(super) issuer: String,
    pub(super) known_by: KnownBy,
    pub(super) target: Target,
    pub(super) told: Told,
    /// The record goes.
    pub(super) deleted: bool,
    pub(super) ip: String,
}

/// The entries that follow; none where nothing changes.
pub(super) fn tell(state: &State, telling: Telling) -> Result<Vec<Event>, Error> {
    let Telling { told, ip, deleted, .. } = &telling;
    let (earlier, actor) = match &telling.target {
        Target::Known(id) => (Some(known(state, &telling.issuer, id)?.as_ref()), id.clone()),
        Target::New(fresh) => pseudonym(state, &telling, fresh)?,
    };
    let bind = bind(&telling, earlier, actor)?;
    distinct(state, &bind)?;
    let is_suspended = earlier.is_some_and(|record| state.is_suspended(&record.bind.actor));
    let active = told.active.unwrap_or(!is_suspended);

    let mut events = Vec::new();
    let renewed = earlier.is_none_or(|earlier| earlier.deleted || !says_the_same(&earlier.bind, &bind));
    let index = match earlier {
        Some(earlier) if !renewed => earlier.index,
        _ => {
            events.push(Event::SubjectBind(bind.clone()));
            state.size
        }
    };
    for actor in concerned(state, &bind) {
        let suspension = state.directory.suspension(&actor);
        match (suspension, active) {
            (None, false) => {
                events.push(suspend(&actor, index, *deleted, ip));
                let reason = "the person was suspended by their directory";
                events.append(&mut end_everything(state, &actor, reason, SUSPENDED));
            }
            // Whoever leaves the directory when suspended is not there any more either.
            (Some(_), false) if *deleted && actor == bind.actor => events.push(suspend(&actor, index, true, ip)),
            (Some(suspension), true) if may_restore(state, suspension.record.as_ref(), &bind.actor) => {
                events.push(Event::PersonRestore(PersonRestore {
                    actor,
                    suspend: suspension.index,
                    ip: ip.clone(),
                }));
            }
            _ => {}
        }
    }
    Ok(events)
}

/// The pseudonym of a new record, and the record that it continues: of somebody who left the directory and comes back.
fn pseudonym<'s>(state: &'s State, telling: &Telling, fresh: &ActorId) -> Result<(Option<&'s Record>, ActorId), Error> {
    let directory = &state.directory;
    let user_name = telling.told.user_name.as_deref().unwrap_or_default();
    let external_id = telling.told.external_id.as_ref().and_then(Option::as_deref);
    let left = match telling.known_by {
        KnownBy::ExternalId => external_id.and_then(|id| directory.of_external_id(&telling.issuer, id)),
        KnownBy::UserName => directory.of_user_name(&telling.issuer, user_name).filter(|record| {
            // The same address with another id is another person's by now.
            let ids = (record.bind.external_id.as_deref(), external_id);
            !matches!(ids, (Some(before), Some(now)) if before != now)
        }),
    };
    if let Some(record) = left.filter(|record| record.deleted) {
        return Ok((Some(record), record.bind.actor.clone()));
    }
    let signed_in = match telling.known_by {
        KnownBy::ExternalId => external_id.and_then(|id| state.actors.get(&(telling.issuer.clone(), id.to_owned())).cloned()),
        KnownBy::UserName => {
            let mut found = with_address(state, &telling.issuer, user_name);
            found.next().filter(|_| found.next().is_none())
        }
    };
    let free = signed_in.filter(|actor| !directory.records.contains_key(actor));
    Ok((None, free.unwrap_or_else(|| fresh.clone())))
}

/// What the record says from now on.
fn bind(telling: &Telling, earlier: Option<&Record>, actor: ActorId) -> Result<SubjectBind, Error> {
    let Told {
        user_name, external_id, ..
    } = &telling.told;
    let before = earlier.map(|earlier| &earlier.bind);
    let user_name = user_name.clone().or_else(|| before.map(|bind| bind.user_name.clone()));
    let user_name = user_name.ok_or_else(|| Error::new(Code::InvalidRequest, "A user has a `userName`."))?;
    let external_id = match external_id {
        Some(told) => told.clone(),
        None => before.and_then(|bind| bind.external_id.clone()),
    };
    if telling.known_by == KnownBy::ExternalId {
        if external_id.is_none() {
            let why = "This broker knows people by `externalId`, which must be what their tokens carry as `sub`.";
            return Err(Error::new(Code::InvalidRequest, why));
        }
        let another = before.is_some_and(|bind| bind.known_by == KnownBy::ExternalId && bind.external_id != external_id);
        if another {
            let why = "`externalId` says which person this is, and does not change; delete this user and create the other.";
            return Err(Error::new(Code::InvalidRequest, why));
        }
    }
    Ok(SubjectBind {
        actor,
        issuer: telling.issuer.clone(),
        user_name,
        external_id,
        known_by: telling.known_by,
        ip: telling.ip.clone(),
    })
}

/// No two records of a directory have the same name.
fn distinct(state: &State, bind: &SubjectBind) -> Result<(), Error> {
    let directory = &state.directory;
    let others = |record: &&std::sync::Arc<Record>| !record.deleted && record.bind.actor != bind.actor;
    let named = directory.of_user_name(&bind.issuer, &bind.user_name).filter(others);
    let external_id = bind.external_id.as_deref();
    let identified = external_id.and_then(|id| directory.of_external_id(&bind.issuer, id)).filter(others);
    match (named, identified) {
        (None, None) => Ok(()),
        (Some(_), _) => Err(Error::new(Code::WrongState, "Another user has this `userName`.")),
        (None, Some(_)) => Err(Error::new(Code::WrongState, "Another user has this `externalId`.")),
    }
}

/// Everybody whom the record is about: its own pseudonym, those of whoever signed in as this person, and those it suspended before.
fn concerned(state: &State, bind: &SubjectBind) -> BTreeSet<ActorId> {
    let mut found: BTreeSet<ActorId> = match bind.known_by {
        KnownBy::ExternalId => {
            let subject = bind.external_id.clone().unwrap_or_default();
            state.actors.get(&(bind.issuer.clone(), subject)).cloned().into_iter().collect()
        }
        KnownBy::UserName => with_address(state, &bind.issuer, &bind.user_name).collect(),
    };
    found.extend(state.directory.suspended_by(&bind.actor).cloned());
    found.insert(bind.actor.clone());
    found
}

/// People of this issuer whose newest token carried this address.
fn with_address<'s>(state: &'s State, issuer: &'s str, address: &'s str) -> impl Iterator<Item = ActorId> + 's {
    let theirs = state
        .people
        .iter()
        .filter_map(|(actor, theirs)| Some((actor, theirs.claims.as_ref()?)));
    theirs
        .filter(move |(_, claims)| claims.person.issuer == issuer && claims.person.workload.is_none())
        .filter(move |(_, claims)| {
            claims
                .person
                .email
                .as_deref()
                .is_some_and(|email| email.eq_ignore_ascii_case(address))
        })
        .map(|(actor, _)| actor.clone())
}

/// What one record took, another does not give back. A record that was erased has no say any more.
fn may_restore(state: &State, suspended_by: Option<&ActorId>, record: &ActorId) -> bool {
    suspended_by.is_none_or(|by| by == record || !state.directory.records.contains_key(by))
}

fn suspend(actor: &ActorId, bind: u64, deleted: bool, ip: &str) -> Event {
    let cause = if deleted { PersonSuspend::DELETED } else { PersonSuspend::INACTIVE };
    Event::PersonSuspend(PersonSuspend {
        actor: actor.clone(),
        bind,
        cause: cause.to_owned(),
        ip: ip.to_owned(),
    })
}

/// Whether two records say the same of a person, wherever they came from.
fn says_the_same(a: &SubjectBind, b: &SubjectBind) -> bool {
    (&a.user_name, &a.external_id, a.known_by) == (&b.user_name, &b.external_id, b.known_by)
}
