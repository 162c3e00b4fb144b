//! Sessions and the timeline of everything recorded under one.

use std::collections::BTreeMap;

use chunk_evidence::leaf::Kind;
use chunk_wire::id::SessionId;
use chunk_wire::problem::Code;
use chunk_wire::session::{Returned, SessionView, TimelineEntry};

use super::{READ_PAGE, record_read, summary};
use crate::authorize::{self, demand};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::identity::Caller;
use crate::policy::{Action, Resource};
use crate::state::Session;

/// Sessions: the caller's own, or everybody's for those who may read the evidence. Newest first, without timelines.
///
/// # Errors
/// When all are asked for and policy does not permit it.
pub async fn sessions(broker: &Broker, cx: &Context, caller: &Caller, all: bool) -> Result<Vec<SessionView>, Error> {
    if all {
        demand(broker, cx, caller, Action::AuditRead, "reading other people's sessions")?;
        record_read(broker, caller, serde_json::json!({ "sessions": "all" }), 0).await?;
    }
    let published = broker.log.published();
    let now_ms = broker.clock.now_ms();
    let mut sessions: Vec<_> = published
        .state
        .sessions
        .values()
        .filter(|s| all || s.open.actor == *caller.actor())
        .collect();
    sessions.sort_by_key(|s| std::cmp::Reverse(s.index));
    sessions.truncate(LISTED_MAX);
    Ok(sessions.into_iter().map(|s| session_view(s, now_ms)).collect())
}

/// One session with everything recorded under it.
///
/// # Errors
/// `not_found` unless it is the caller's own or they may read the evidence.
pub async fn session(broker: &Broker, cx: &Context, caller: &Caller, id: &SessionId) -> Result<SessionView, Error> {
    let published = broker.log.published();
    let missing =
        || Error::new(Code::NotFound, format!("There is no session `{id}` that you may see.")).hint("run `chunkctl sessions list`");
    let session = published.state.sessions.get(id).ok_or_else(missing)?;
    let own = session.open.actor == *caller.actor();
    if !own {
        if !authorize::ask(broker, cx, caller, Action::AuditRead, &Resource::Broker).allowed {
            return Err(missing());
        }
        record_read(broker, caller, serde_json::json!({ "session": id }), 1).await?;
    }
    let mut view = session_view(session, broker.clock.now_ms());
    let mut indices = broker.log.with_index(|index| index.session(id.as_str()).to_vec());
    // What was committed since is not in the state that the answer speaks of.
    indices.retain(|index| *index < published.state.size);
    let mut chunks = BTreeMap::new();
    for page in indices.chunks(READ_PAGE) {
        for entry in broker.log.read_at(page.to_vec()).await? {
            let event = entry.event();
            if entry.leaf.header.kind == Kind::FetchIntent {
                let chunk = match &event {
                    Some(Event::Intent(intent)) => intent.chunk,
                    _ => 0,
                };
                chunks.insert(entry.index, chunk);
            }
            view.timeline.push(TimelineEntry {
                index: entry.index,
                time_ms: entry.leaf.header.t,
                kind: entry.leaf.header.kind.as_str().to_owned(),
                summary: summary(&entry),
                returned: event.and_then(|event| returned(event, &chunks)),
            });
        }
    }
    Ok(view)
}

/// What a delivery returned, if this is how one ended.
fn returned(event: Event, chunks: &BTreeMap<u64, u32>) -> Option<Returned> {
    let Event::Outcome(outcome) = event else { return None };
    Some(Returned {
        request: outcome.request,
        chunk: chunks.get(&outcome.intent).copied().unwrap_or(0),
        intent: outcome.intent,
        end: outcome.end,
        rows: outcome.rows,
        bytes: outcome.bytes,
        sha256: outcome.sha256,
        recording: outcome.recording.map(|recording| recording.as_str().to_owned()),
    })
}

fn session_view(session: &Session, now_ms: i64) -> SessionView {
    let open = &session.open;
    let state = match session.closed.as_deref() {
        Some("revoked") => "revoked",
        Some("expired") => "expired",
        Some(_) => "closed",
        None if now_ms >= open.expires_ms => "expired",
        None => "open",
    };
    SessionView {
        session: open.session.clone(),
        person: open.person.clone(),
        key: open.key.clone(),
        key_attested: open.is_key_attested(),
        client: open.client.clone(),
        ip: open.ip.clone(),
        opened_ms: session.opened_ms,
        expires_ms: open.expires_ms,
        state: state.to_owned(),
        timeline: Vec::new(),
    }
}

const LISTED_MAX: usize = 1000;
