//! What waits for a reviewer, told as it changes.
//!
//! The state's maps are persistent: what changed between two moments is found by walking where they differ, so a reviewer who
//! watches costs what changes and not what exists. Nothing is kept for a client that reads slowly but the ids it was not told of
//! yet; it gets them as they stand when it reads on.

use std::collections::VecDeque;
use std::sync::Arc;

use chunk_wire::fetch::RequestView;
use chunk_wire::id::RequestId;
use imbl::ordmap::DiffItem;

use super::list::{Seen, waiting};
use super::view::views;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::limits::{INBOX_LISTED_MAX, INBOX_READ_TOGETHER};
use crate::state::Request;

/// One thing that a watching caller is told.
#[derive(Debug)]
pub enum Told {
    /// What is pending follows, from the beginning: at first, and when policy shows the caller other requests than before.
    List,
    /// A request as it stands now.
    Request(Box<RequestView>),
    /// That was everything pending, and what follows are changes.
    Listed {
        /// Pending requests that were left out, the oldest ones.
        left_out: usize,
    },
}

/// What one caller is told, and has been.
pub struct Inbox {
    /// Only requests of others that the caller may review.
    to_review: bool,
    seen: Option<Seen>,
    /// Index of the policies under which `seen` was found, and when.
    seen_under: (Option<u64>, i64),
    known: imbl::OrdMap<RequestId, Arc<Request>>,
    queue: VecDeque<RequestId>,
    ready: VecDeque<Told>,
    /// While the list is being told: how many it leaves out.
    listing: Option<usize>,
}

impl Inbox {
    /// The requests that a caller may see; with `to_review`, those of others that the caller may review.
    #[must_use]
    pub fn new(to_review: bool) -> Self {
        Self {
            to_review,
            seen: None,
            seen_under: (None, 0),
            known: imbl::OrdMap::new(),
            queue: VecDeque::new(),
            ready: VecDeque::new(),
            listing: None,
        }
    }

    /// The next thing to tell; nothing while nothing has changed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self, broker: &Broker, cx: &Context, caller: &Caller) -> Result<Option<Told>, Error> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(Some(told));
            }
            if !self.queue.is_empty() {
                self.read_some(broker).await?;
            } else if let Some(left_out) = self.listing.take() {
                return Ok(Some(Told::Listed { left_out }));
            } else if !self.catch_up(broker, cx, caller) {
                return Ok(None);
            }
        }
    }

    async fn read_some(&mut self, broker: &Broker) -> Result<(), Error> {
        let together = self.queue.len().min(INBOX_READ_TOGETHER);
        let found: Vec<Arc<Request>> = {
            let published = broker.log.published();
            let requests = &published.state.requests;
            self.queue
                .drain(..together)
                .filter_map(|id| requests.get(&id).map(Arc::clone))
                .collect()
        };
        let views = views(broker, &found).await?;
        self.ready.extend(views.into_iter().map(|view| Told::Request(Box::new(view))));
        Ok(())
    }

    /// Looks what is different now; whether anything is to be told.
    fn catch_up(&mut self, broker: &Broker, cx: &Context, caller: &Caller) -> bool {
        let published = broker.log.published();
        let state = &published.state;
        let (policy, now_ms) = (state.policy.as_ref().map(|(index, _)| *index), broker.clock.now_ms());
        let (under, at_ms) = self.seen_under;
        // Policy may depend on the time, so it is asked again now and then though nothing has changed.
        let same = self.seen.is_some() && under == policy && now_ms - at_ms < POLICY_LOOK_EVERY_MS;
        if same && self.known.ptr_eq(&state.requests) {
            return false;
        }
        let seen = Seen::of(broker, cx, caller);
        let shows = |request: &Request| match self.to_review {
            true => seen.reviews(caller, request),
            false => seen.shows(caller, request),
        };
        if self.seen.as_ref() == Some(&seen) {
            let changed = self.known.diff(&state.requests).filter_map(|item| match item {
                DiffItem::Add(id, request) | DiffItem::Update { new: (id, request), .. } => shows(request).then(|| id.clone()),
                DiffItem::Remove(..) => None,
            });
            self.queue.extend(changed);
        } else {
            let mut waiting = waiting(state).filter(|request| shows(request));
            self.queue
                .extend(waiting.by_ref().take(INBOX_LISTED_MAX).map(|request| request.id.clone()));
            self.listing = Some(waiting.count());
            self.ready.push_back(Told::List);
        }
        self.known = state.requests.clone();
        self.seen = Some(seen);
        self.seen_under = (policy, now_ms);
        !(self.queue.is_empty() && self.ready.is_empty())
    }
}

/// How often policy is asked again what a watching caller may see.
const POLICY_LOOK_EVERY_MS: i64 = 5_000;
