//! Ends everything of a person's that is alive: when their records are erased, or their directory suspends them.

use chunk_wire::fetch::RequestState;
use chunk_wire::id::ActorId;

use crate::evidence::entries::Event;
use crate::state::State;

/// What a person waits for, holds, and is signed in with, ended by nobody in particular: `reason` for requests and grants, `cause`
/// for sessions. A delivery that runs is cut by it.
pub(crate) fn end_everything(state: &State, actor: &ActorId, reason: &str, cause: &str) -> Vec<Event> {
    let Some(theirs) = state.people.get(actor) else {
        return Vec::new();
    };
    let requests = theirs
        .requests
        .iter()
        .filter_map(|index| state.requests.get(state.created.get(index)?));
    let mut events: Vec<Event> = requests
        .filter_map(|request| match (request.state, request.grant) {
            (RequestState::Pending, _) => Some(Event::RequestEnd {
                id: request.id.clone(),
                request: request.index,
                cancelled: true,
                actor: None,
                session: None,
                reason: reason.to_owned(),
            }),
            (RequestState::Approved | RequestState::Running | RequestState::Paused, Some(grant)) => Some(Event::GrantEnd {
                id: request.id.clone(),
                grant,
                revoked: true,
                actor: None,
                session: None,
                reason: reason.to_owned(),
            }),
            _ => None,
        })
        .collect();
    let sessions = theirs.sessions.iter().filter_map(|index| state.session_at(*index));
    events.extend(
        sessions
            .filter(|session| session.closed.is_none())
            .map(|session| Event::SessionClose {
                session: session.open.session.clone(),
                actor: session.open.actor.clone(),
                open: session.index,
                cause: cause.to_owned(),
            }),
    );
    events
}
