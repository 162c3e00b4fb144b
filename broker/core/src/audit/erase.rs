//! Erasing a person: their data keys are destroyed, and an entry says so.
//!
//! What the log proves stays proven, because leaves commit to bodies by hash only. The order makes a crash harmless: first
//! everything of theirs that is alive ends and the `erase` entry is durable, in one commit; then the keys go. A broker that
//! died in between finds the entry at its next start and destroys them then.

use std::sync::Arc;

use chunk_log::journal::Urgency;
use chunk_wire::audit::{EraseRequest, Erased};
use chunk_wire::fetch::RequestState;
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;

use crate::approval::{end_everything, session_open};
use crate::authorize::demand;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::{EraseEntry, Event};
use crate::identity::Caller;
use crate::limits::REASON_BYTES_MAX;
use crate::policy::Action;
use crate::recording;
use crate::state::State;

/// Erases what the log holds of a person.
///
/// # Errors
/// When policy does not let the caller administer, nobody or more than one person is named, it is the caller, a delivery of theirs
/// runs, or the log or the keys cannot be written.
pub async fn erase(broker: &Broker, cx: &Context, caller: &Caller, request: EraseRequest) -> Result<Erased, Error> {
    demand(broker, cx, caller, Action::Administer, "erasing people's records")?;
    if request.reason.trim().is_empty() || request.reason.len() > REASON_BYTES_MAX {
        return Err(Error::new(
            Code::InvalidRequest,
            format!("Erasing needs a reason of at most {REASON_BYTES_MAX} bytes."),
        ));
    }
    let subject = named(&broker.log.published().state, &request.person)?;
    if subject == *caller.actor() {
        return Err(Error::new(
            Code::Denied,
            "Nobody erases their own records; another administrator has to.",
        ));
    }
    let mut erased = Erased {
        subject: subject.to_string(),
        entries: Vec::new(),
        keys: 0,
    };
    loop {
        let now_ms = broker.clock.now_ms();
        let first_ms = broker.log.read_one(0).await?.leaf.header.t;
        let keys = broker.log.keys_of(&subject, first_ms, now_ms).await?;
        if keys.is_empty() {
            break;
        }
        let entry = EraseEntry {
            actor: caller.actor().clone(),
            session: caller.session().clone(),
            open: caller.open_index(),
            subject: subject.clone(),
            keys: keys.clone(),
            reason: request.reason.clone(),
        };
        let committed = broker
            .log
            .commit(Urgency::Normal, move |state, now_ms| decide(state, &entry, now_ms))
            .await?;
        erased.keys += keys.len() as u64;
        erased.entries.push(committed.published.state.size - 1);
        broker.log.destroy(keys).await?;
        // What ended in that commit may have been sealed under a key of a month that had just begun: one more look.
    }
    if !erased.entries.is_empty() {
        // Without their keys they say nothing any more; they need not take up space.
        recording::sweep(broker).await?;
    }
    if erased.entries.is_empty() {
        return Err(Error::new(
            Code::NotFound,
            "The log holds nothing of this person that could be erased.",
        ));
    }
    Ok(erased)
}

/// Destroys the keys that entries say were destroyed; at start, for a broker that died between the two.
pub(crate) async fn finish(broker: &Arc<Broker>) -> Result<(), Error> {
    let keys = broker.log.published().state.erased_keys.keys().cloned().collect();
    broker.log.destroy(keys).await
}

/// The one person of this name.
fn named(state: &State, who: &str) -> Result<ActorId, Error> {
    let mut found = state.actors_named(who).into_iter();
    match (found.next(), found.next()) {
        (Some(actor), None) => Ok(actor),
        (None, _) => Err(Error::new(Code::NotFound, "Nobody of this name has records here.").hint("run `chunkctl sessions list --all`")),
        (Some(_), Some(_)) => Err(Error::new(
            Code::InvalidRequest,
            "More than one person answers to this; name the one by pseudonym, the `act` of their entries.",
        )
        .hint("run `chunkctl audit search --user …`")),
    }
}

/// Ends everything of theirs that is alive, then says that they are erased.
fn decide(state: &State, entry: &EraseEntry, now_ms: i64) -> Result<Vec<Event>, Error> {
    session_open(state, &entry.session, now_ms)?;
    let theirs = state.people.get(&entry.subject).into_iter().flat_map(|theirs| &theirs.requests);
    let mut requests = theirs.filter_map(|index| state.requests.get(state.created.get(index)?));
    let running = requests
        .find(|request| request.state == RequestState::Running)
        .map(|request| &request.id);
    let ending = state.open_intents.values().find(|open| open.intent.actor == entry.subject);
    if let Some(id) = running.or(ending.map(|open| &open.intent.request)) {
        return Err(
            Error::new(Code::WrongState, format!("Request `{id}` of theirs is being delivered."))
                .hint(format!("run `chunkctl revoke {id} --reason …`, then this again")),
        );
    }
    let mut events = end_everything(state, &entry.subject, "the requester's records are erased", "erased");
    events.push(Event::Erase(entry.clone()));
    Ok(events)
}
