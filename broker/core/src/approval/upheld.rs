//! Do the approvals of a request still count, now that it is to be used?
//!
//! Whoever approved may have lost the right since: by other policies, by fewer groups at a later sign-in, because their directory
//! suspended them, or because somebody ended the very session under which the verdict was given. Stricter denies; what has become looser changes nothing, since
//! only verdicts that were given are looked at.

use std::net::{IpAddr, Ipv4Addr};

use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;
use chunk_wire::stages::{Stage, stage_after};

use super::progress::counts_in;
use super::ssh;
use crate::authorize::{Denial, Permit, evaluate};
use crate::broker::Broker;
use crate::identity::principal;
use crate::plan::Plan;
use crate::policy::{Action, Circumstances, PolicySet};
use crate::state::{Request, Review, State};

/// Proof that as many approvals still count as the document asks for.
///
/// Only [`upheld`] and [`unapproved`] make one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Upheld {
    permit: Permit,
}

impl Upheld {
    pub(crate) fn into_permit(self) -> Permit {
        self.permit
    }
}

/// Looks again at every approval of a granted request.
///
/// # Errors
/// The denial, with the plan it is about, when too few still count.
pub(crate) fn upheld(broker: &Broker, permit: Permit, id: &RequestId) -> Result<Upheld, Box<(Plan, Denial)>> {
    let published = broker.log.published();
    let denial = match published.state.requests.get(id) {
        Some(request) => look(broker, permit.plan().policies(), &published.state, request),
        None => Some(Vec::new()).map(|policies| denial("The request is gone.".to_owned(), policies)),
    };
    match denial {
        None => Ok(Upheld { permit }),
        Some(denial) => Err(Box::new((permit.into_plan(), denial))),
    }
}

/// A permit under which nobody has to approve.
///
/// # Errors
/// The permit, when somebody has to.
pub(crate) fn unapproved(permit: Permit) -> Result<Upheld, Box<Permit>> {
    if permit.quorum() == 0 {
        Ok(Upheld { permit })
    } else {
        Err(Box::new(permit))
    }
}

fn look(broker: &Broker, policies: &PolicySet, state: &State, request: &Request) -> Option<Denial> {
    let mut left = 0;
    let mut lost = Vec::new();
    let mut forbids = Vec::new();
    let approvals = request.reviews.iter().filter(|review| request.approvals.contains(&review.index));
    for (given, review) in approvals.enumerate() {
        match counts(broker, policies, state, request, review, stage_after(&request.stages, given)) {
            Ok(()) => left += 1,
            Err(why) => {
                lost.push(format!("`{}`", review.reviewer.person.name));
                forbids.extend(why);
            }
        }
    }
    if usize::try_from(request.quorum).is_ok_and(|quorum| left >= quorum) {
        return None;
    }
    let who = if lost.is_empty() {
        "whoever gave them".to_owned()
    } else {
        lost.join(", ")
    };
    let sentence = format!(
        "Request `{}` was approved, but not enough of its approvals still count: {who} may no longer review it. Ask again.",
        request.id
    );
    Some(denial(sentence, forbids))
}

/// Whether one approval counts, in this stage; if not, the policies that say so.
fn counts(
    broker: &Broker,
    policies: &PolicySet,
    state: &State,
    request: &Request,
    review: &Review,
    stage: Option<&Stage>,
) -> Result<(), Vec<String>> {
    if state.is_suspended(&review.actor) {
        return Err(Vec::new());
    }
    let given_under = state
        .sessions
        .get(&review.reviewer.session)
        .filter(|session| !session.withdrawn)
        .ok_or_else(Vec::new)?;
    let claims = state
        .people
        .get(&review.actor)
        .and_then(|theirs| theirs.claims.as_ref())
        .unwrap_or(&review.reviewer);
    if stage.is_some_and(|stage| !counts_in(stage, request, &claims.person, review.escalated)) {
        return Err(Vec::new());
    }
    // Who they are now, in the circumstances in which they gave the verdict.
    let ip = review.reviewer.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let circumstances = Circumstances {
        session_age_s: (review.time_ms - given_under.opened_ms) / 1000,
        auth_age_s: review.reviewer.auth_time.map_or(i64::MAX, |at| review.time_ms / 1000 - at),
        ..Circumstances::without_plan(ip, review.time_ms, &review.reviewer.amr, review.reviewer.is_key_attested())
    };
    for name in request.datasets.iter() {
        let dataset = broker.settings.catalog.datasets.get(name).ok_or_else(Vec::new)?;
        if !ssh::counts(state, dataset, review) {
            return Err(Vec::new());
        }
        let answer = evaluate(
            policies,
            Action::Review,
            &principal(&claims.person),
            &dataset.resource(),
            &circumstances,
        );
        if !answer.allowed {
            return Err(answer.policies);
        }
    }
    Ok(())
}

fn denial(sentence: String, mut policies: Vec<String>) -> Denial {
    policies.sort();
    policies.dedup();
    Denial {
        code: Code::Denied,
        reasons: vec![sentence],
        policies,
    }
}
