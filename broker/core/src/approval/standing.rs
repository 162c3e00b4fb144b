//! Standing grants: what was approved once for many deliveries, and may this be one of them?
//!
//! A use is a request of its own, signed by whoever uses it, that names the grant by the digest of what was approved. Nobody
//! approves it again, so everything that the approval rested on is looked at again: the person, the shape, the time, what is left,
//! and, as for every release, policy and the approvals themselves. What is no longer there is asked for anew; nothing is widened.

use std::sync::Arc;

use chunk_wire::fetch::{Budget, RequestDocument, RequestState, StandingTerms, StandingView, Under};
use chunk_wire::id::{ActorId, RequestId};
use chunk_wire::problem::Code;

use super::{not_found, wrong_state};
use crate::authorize::judge;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::plan::{Plan, UseOf};
use crate::rule::Rule;
use crate::state::{Request, State};

/// Makes a plan a use of a standing grant of the caller's, if one has its shape and policy would still give it. Otherwise the plan
/// is as it was; the view is then of a grant that has carried all it may.
pub(crate) fn reuse(broker: &Broker, cx: &Context, mut plan: Plan) -> (Plan, Option<StandingView>) {
    let published = broker.log.published();
    let state = &published.state;
    let theirs = state.people.get(plan.caller().actor()).map(|theirs| theirs.standing.clone());
    let theirs = theirs.filter(|theirs| !theirs.is_empty()).unwrap_or_default();
    let one_delivery = plan.standing().is_none() && plan.request().window.is_none() && !plan.request().break_glass;
    // Where nobody has to approve, there is nothing that a grant could stand for.
    if theirs.is_empty() || !one_delivery || !judge(broker, cx, &plan).is_ok_and(|(rule, _)| rule.quorum > 0) {
        return (plan, None);
    }
    let mut spent = None;
    let newest_first = theirs
        .iter()
        .rev()
        .filter_map(|index| state.requests.get(state.created.get(index)?));
    for grant in newest_first {
        let Ok(before) = take_on(&mut plan, grant) else { continue };
        let usable = usable(state, &grant.id, plan.caller().actor(), broker.clock.now_ms());
        let permitted = || {
            allowed(&plan).is_ok()
                && judge(broker, cx, &plan)
                    .is_ok_and(|(rule, _)| rule.quorum > 0 && grant.document.as_ref().is_some_and(|document| rule.was_asked_in(document)))
        };
        match usable {
            Ok(_) if permitted() => return (plan, view(grant)),
            Err(_) if left(grant).is_none() => spent = spent.or_else(|| view(grant)),
            _ => {}
        }
        plan.use_nothing(before);
    }
    (plan, spent)
}

/// Makes a plan a use of the standing grant that its document names.
///
/// # Errors
/// When it is not the caller's, has ended or carried all it may, is of another shape, or configuration allows less by now.
pub(crate) fn use_of(broker: &Broker, mut plan: Plan, under: &Under) -> Result<Plan, Error> {
    let published = broker.log.published();
    let grant = usable(&published.state, &under.request, plan.caller().actor(), broker.clock.now_ms())?;
    take_on(&mut plan, grant)?;
    allowed(&plan)?;
    Ok(plan)
}

/// The standing grant of this request, if this person may use it now.
///
/// # Errors
/// When it is none of theirs, has ended, has carried all it may, or was asked for under a session that somebody else ended.
pub(crate) fn usable<'s>(state: &'s State, id: &RequestId, actor: &ActorId, now_ms: i64) -> Result<&'s Arc<Request>, Error> {
    let grant = state
        .requests
        .get(id)
        .filter(|request| request.actor == *actor && request.standing.is_some())
        .ok_or_else(|| not_found(id))?;
    if grant.state != RequestState::Approved || now_ms >= grant.expires_ms {
        return Err(wrong_state(grant, "be used"));
    }
    // Whoever holds a stolen session could have asked for it.
    let believed = state
        .sessions
        .get(&grant.requester.session)
        .is_some_and(|session| !session.withdrawn);
    if !believed {
        return Err(Error::new(
            Code::Denied,
            format!("Standing grant `{id}` was asked for under a session that somebody else ended."),
        )
        .hint("run the same `chunkctl fetch` again to ask anew"));
    }
    if left(grant).is_none() {
        return Err(Error::new(
            Code::LimitReached,
            format!(
                "Standing grant `{id}` has carried all it may: {} rows and {} bytes in {} uses.",
                grant.used.rows, grant.used.bytes, grant.used.times
            ),
        )
        .hint("run the same `chunkctl fetch` again to ask anew"));
    }
    Ok(grant)
}

/// Checks that a signed document is a use of what was approved.
///
/// # Errors
/// When it names another document, has another shape, needs more approvals than there were, or is more than one delivery: a use that
/// is a standing grant itself would never end.
pub(crate) fn fits(grant: &Request, document: &RequestDocument) -> Result<(), Error> {
    let under = document.under.as_ref();
    let approved = grant.document.as_ref().ok_or_else(|| wrong_state(grant, "be used"))?;
    let same = under.is_some_and(|under| under.request == grant.id && under.digest == grant.digest);
    let one_delivery = document.standing.is_none() && document.window.is_none() && !document.break_glass;
    if same && one_delivery && document.has_shape_of(approved) && has_rule_of(document, approved) {
        return Ok(());
    }
    Err(other_shape(grant))
}

/// Whether a use needs nobody's approval that the standing grant did not have.
fn has_rule_of(document: &RequestDocument, approved: &RequestDocument) -> bool {
    document.quorum <= approved.quorum && document.stages == approved.stages && document.escalation == approved.escalation
}

/// Whether a delivery under this standing grant is running. One at a time: what is left is known when it has ended.
pub(crate) fn running(state: &State, id: &RequestId) -> bool {
    state.open_intents.values().any(|open| {
        let request = state.requests.get(&open.request);
        request.is_some_and(|request| request.under.as_ref() == Some(id))
    })
}

/// What a standing grant may still carry; nothing when that is no row or no byte.
pub(crate) fn left(grant: &Request) -> Option<(u64, u64)> {
    let terms = grant.standing?;
    let rows = terms.rows.saturating_sub(grant.used.rows);
    let bytes = terms.bytes.saturating_sub(grant.used.bytes);
    (rows > 0 && bytes > 0).then_some((rows, bytes))
}

/// A delivery's budget, narrowed to what the standing grant may still carry.
pub(crate) fn narrowed(grant: &Request, budget: Budget) -> Option<Budget> {
    let (rows, bytes) = left(grant)?;
    Some(Budget {
        rows: budget.rows.min(rows),
        bytes: budget.bytes.min(bytes),
        ..budget
    })
}

/// What is left, as its owner and reviewers see it.
pub(crate) fn view(grant: &Request) -> Option<StandingView> {
    let terms = grant.standing?;
    Some(StandingView {
        request: grant.id.clone(),
        expires_ms: grant.grant.map(|_| grant.expires_ms),
        rows_left: terms.rows.saturating_sub(grant.used.rows),
        bytes_left: terms.bytes.saturating_sub(grant.used.bytes),
        uses: grant.used.times,
    })
}

/// Makes the plan a use, if it has the shape of what was approved.
fn take_on(plan: &mut Plan, grant: &Request) -> Result<Vec<chunk_port::GovernedTable>, Error> {
    let (Some(approved), Some(terms)) = (&grant.document, grant.standing) else {
        return Err(wrong_state(grant, "be used"));
    };
    let under = Under {
        digest: grant.digest.clone(),
        request: grant.id.clone(),
    };
    let before = plan.use_under(UseOf { under, terms }, approved)?;
    if plan.document(&Rule::default(), String::new(), 0).has_shape_of(approved) {
        return Ok(before);
    }
    plan.use_nothing(before);
    Err(other_shape(grant))
}

/// Whether configuration still allows a grant on such terms.
fn allowed(plan: &Plan) -> Result<(), Error> {
    let Some(StandingTerms { bytes, duration_s, rows }) = plan.terms_of_use() else {
        return Ok(());
    };
    let still =
        |d: &crate::catalog::Dataset| duration_s <= d.standing_s_max && rows <= d.standing_rows_max && bytes <= d.standing_bytes_max;
    match plan.datasets().find(|d| !still(d)) {
        None => Ok(()),
        Some(dataset) => Err(Error::new(
            Code::Denied,
            format!(
                "Dataset `{}` allows less to standing grants by now than this one may carry.",
                dataset.name
            ),
        )
        .hint("run the same `chunkctl fetch` again to ask anew")),
    }
}

fn other_shape(grant: &Request) -> Error {
    Error::new(
        Code::DocumentMismatch,
        format!("This is not what standing grant `{}` was approved for.", grant.id),
    )
    .hint(format!("run `chunkctl request show {}`", grant.id))
}
