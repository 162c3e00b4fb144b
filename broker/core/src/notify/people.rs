//! Whose address a notification goes to.

use chunk_wire::session::Person;
use chunk_wire::stages::{Escalation, Stage};

use super::Audience;
use crate::authorize::evaluate;
use crate::broker::Broker;
use crate::evidence::entries::RequestCreate;
use crate::identity::principal;
use crate::policy::{Action, Circumstances};

/// A request, and whose turn it is to review it.
#[derive(Clone, Copy)]
pub(super) struct Turn<'r> {
    pub(super) request: &'r RequestCreate,
    pub(super) stage: Option<&'r Stage>,
    /// It goes to these, and was told to the others before.
    pub(super) escalation: Option<&'r Escalation>,
}

impl Turn<'_> {
    fn takes(&self, person: &Person) -> bool {
        match (self.escalation, self.stage) {
            (Some(escalation), _) => escalation.takes(person),
            (None, Some(stage)) => stage.takes(person, &self.request.document.requester.issuer),
            (None, None) => true,
        }
    }
}

/// The addresses, each once: those of configuration first.
pub(super) async fn addresses(broker: &Broker, audience: &Audience, request: Option<Turn<'_>>, person: Option<&Person>) -> Vec<String> {
    let mut found = Addresses::default();
    for address in &audience.addresses {
        found.add(address);
    }
    if let (true, Some(turn)) = (audience.reviewers, request) {
        for address in reviewers(broker, turn, person).await {
            found.add(&address);
        }
    }
    if audience.requester {
        found.add_known(person.and_then(|person| person.email.as_deref()));
    }
    if found.left_out > 0 {
        tracing::warn!(
            told = ADDRESSES_MAX,
            left_out = found.left_out,
            "more people may be told of an entry than are written to; name a list's address instead of `reviewers`"
        );
    }
    found.addresses
}

/// Addresses of those whom policy lets review every dataset of a request, and whose turn it is, as far as they have signed in lately. They are asked
/// about as if each signed in now from where they did last; whether they may is asked again when they do.
async fn reviewers(broker: &Broker, turn: Turn<'_>, requester: Option<&Person>) -> Vec<String> {
    let request = turn.request;
    let (published, policies, now_ms) = (broker.log.published(), broker.policy.load_full(), broker.clock.now_ms());
    let state = &published.state;
    let datasets = &broker.settings.catalog.datasets;
    let asked: Option<Vec<_>> = request.document.datasets.iter().map(|name| datasets.get(name)).collect();
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (actor, theirs) in &state.people {
        let Some(open) = &theirs.claims else { continue };
        let Some(email) = &open.person.email else { continue };
        let own = *actor == request.actor
            || requester
                .and_then(|person| person.email.as_ref())
                .is_some_and(|own| own.eq_ignore_ascii_case(email));
        let session = state.sessions.get(&open.session);
        let lately = session.is_some_and(|session| !session.withdrawn && now_ms - session.opened_ms <= SEEN_MS_MAX);
        if own || !lately || !turn.takes(&open.person) {
            continue;
        }
        let Ok(ip) = open.ip.parse() else { continue };
        let circumstances = Circumstances::without_plan(ip, now_ms, &open.amr, open.is_key_attested());
        let person = principal(&open.person);
        let may = asked
            .iter()
            .all(|dataset| evaluate(&policies, Action::Review, &person, &dataset.resource(), &circumstances).allowed);
        if may {
            found.push(email.clone());
        }
        // A policy for each of thousands of people takes a while, and others work on this thread too.
        tokio::task::yield_now().await;
    }
    found.sort_unstable();
    found
}

#[derive(Default)]
struct Addresses {
    addresses: Vec<String>,
    left_out: usize,
}

impl Addresses {
    fn add(&mut self, address: &str) {
        if self.addresses.iter().any(|known| known.eq_ignore_ascii_case(address)) {
            return;
        }
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(address.to_owned());
        } else {
            self.left_out += 1;
        }
    }

    fn add_known(&mut self, address: Option<&str>) {
        if let Some(address) = address {
            self.add(address);
        }
    }
}

/// Addresses that one notification goes to.
const ADDRESSES_MAX: usize = 100;
/// Whoever has not signed in for longer is not taken for a reviewer any more.
const SEEN_MS_MAX: i64 = 90 * 24 * 3600 * 1000;
