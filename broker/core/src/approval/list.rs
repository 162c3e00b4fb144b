//! Which requests a caller may see.

use std::collections::HashSet;
use std::sync::Arc;

use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::id::RequestId;

use super::view::{view, views};
use super::{may_see, not_found};
use crate::authorize::Asking;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::policy::{Action, Resource};
use crate::state::{Request, State};

/// Requests that this caller may see: their own, and those they may review. Newest first.
///
/// # Errors
/// When the log cannot be read.
pub async fn list(
    broker: &Broker,
    cx: &Context,
    caller: &Caller,
    state: Option<RequestState>,
    mine: bool,
) -> Result<Vec<RequestView>, Error> {
    let seen = if mine { Seen::own() } else { Seen::of(broker, cx, caller) };
    let found: Vec<Arc<Request>> = {
        let published = broker.log.published();
        newest_first(&published.state, caller, state, &seen)
            .filter(|request| state.is_none_or(|state| is(&published.state, request, state)) && seen.shows(caller, request))
            .take(LISTED_MAX)
            .map(Arc::clone)
            .collect()
    };
    views(broker, &found).await
}

/// One request, if this caller may see it.
///
/// # Errors
/// `not_found`, the same whether it does not exist or is not theirs to see; or when the log cannot be read.
pub async fn show(broker: &Broker, cx: &Context, caller: &Caller, id: &RequestId) -> Result<RequestView, Error> {
    let request = broker.log.published().state.requests.get(id).map(Arc::clone);
    match request {
        Some(request) if may_see(&Asking::now(broker, cx, caller), caller, &request) => view(broker, request).await,
        _ => Err(not_found(id)),
    }
}

/// What a caller may see beside their own. Policy is asked once a dataset, not once a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    everything: bool,
    reviews: HashSet<String>,
}

impl Seen {
    fn own() -> Self {
        Self {
            everything: false,
            reviews: HashSet::new(),
        }
    }

    pub(super) fn of(broker: &Broker, cx: &Context, caller: &Caller) -> Self {
        let asking = Asking::now(broker, cx, caller);
        let datasets = broker.settings.catalog.datasets.values();
        Self {
            everything: asking.may(Action::AuditRead, &Resource::Broker),
            reviews: datasets
                .filter(|d| asking.may(Action::Review, &d.resource()))
                .map(|d| d.name.clone())
                .collect(),
        }
    }

    fn only_own(&self) -> bool {
        !self.everything && self.reviews.is_empty()
    }

    pub(super) fn shows(&self, caller: &Caller, request: &Request) -> bool {
        self.everything || request.actor == *caller.actor() || self.reviews_all_of(request)
    }

    /// Whether this is a request of somebody else that policy lets the caller review.
    pub(super) fn reviews(&self, caller: &Caller, request: &Request) -> bool {
        request.actor != *caller.actor() && self.reviews_all_of(request)
    }

    fn reviews_all_of(&self, request: &Request) -> bool {
        !request.datasets.is_empty() && request.datasets.iter().all(|name| self.reviews.contains(name))
    }
}

/// Everything that could be on the list, by the shortest index there is.
fn newest_first<'s>(
    known: &'s State,
    caller: &Caller,
    state: Option<RequestState>,
    seen: &Seen,
) -> Box<dyn Iterator<Item = &'s Arc<Request>> + 's> {
    let by_index = |index| known.created.get(index).and_then(|id| known.requests.get(id));
    if seen.only_own() {
        let theirs = known.people.get(caller.actor()).into_iter();
        Box::new(theirs.flat_map(|theirs| theirs.requests.iter().rev()).filter_map(by_index))
    } else if state == Some(RequestState::Pending) {
        Box::new(waiting(known))
    } else {
        Box::new(known.created.values().rev().filter_map(|id| known.requests.get(id)))
    }
}

/// What waits for reviewers, newest first: emergencies that nobody has judged yet, then what is pending.
pub(super) fn waiting(known: &State) -> impl Iterator<Item = &Arc<Request>> {
    let emergencies = known.unreviewed.values().rev();
    emergencies
        .chain(known.pending.values().rev())
        .filter_map(|id| known.requests.get(id))
}

/// Whether a request is listed under this state. What was done in an emergency waits for reviewers like what is pending.
fn is(known: &State, request: &Request, state: RequestState) -> bool {
    request.state == state || state == RequestState::Pending && known.review_is_due(request)
}

const LISTED_MAX: usize = 1000;
