//! Decides whether a caller may fetch what a plan describes, and on what terms.
//!
//! Every question to policy goes through [`Asking`], which fills the circumstances the same way each time. Cedar skips a policy
//! that fails to evaluate; a skipped `forbid` would open a door, so any evaluation fault denies.

use std::sync::Arc;

use chunk_wire::problem::Code;

use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::plan::Plan;
use crate::policy::{Action, Answer, Circumstances, PolicySet, Principal, Resource};
use crate::rule::Rule;
use crate::state::State;

/// Policy as one call sees it: every question of the call is put to the same set, whatever is put in force meanwhile.
pub(crate) struct Asking<'a> {
    pub(crate) broker: &'a Broker,
    cx: &'a Context,
    caller: &'a Caller,
    policies: Arc<PolicySet>,
}

impl<'a> Asking<'a> {
    /// Asks the policies in force.
    pub(crate) fn now(broker: &'a Broker, cx: &'a Context, caller: &'a Caller) -> Self {
        Self::under(broker.policy.load_full(), broker, cx, caller)
    }

    /// Asks these policies.
    pub(crate) fn under(policies: Arc<PolicySet>, broker: &'a Broker, cx: &'a Context, caller: &'a Caller) -> Self {
        Self {
            broker,
            cx,
            caller,
            policies,
        }
    }

    /// Whether the caller may do this, where nothing is planned.
    pub(crate) fn may(&self, action: Action, resource: &Resource<'_>) -> bool {
        self.ask(action, resource).allowed
    }

    /// Digest of the policies that are asked.
    pub(crate) fn digest(&self) -> &str {
        self.policies.digest()
    }

    fn ask(&self, action: Action, resource: &Resource<'_>) -> Answer {
        let circumstances = circumstances(self.broker, self.cx, self.caller);
        evaluate(&self.policies, action, &self.caller.principal(), resource, &circumstances)
    }
}

/// Proof that policy allows a plan.
///
/// Only [`authorize`] makes one. It owns the plan it was given for, and the plan the policies that were asked, so nothing later
/// can resolve another or ask others.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit {
    plan: Plan,
    /// Who must approve; nobody with `fetch_unapproved`, and in an emergency.
    rule: Rule,
    /// Policies that determined it.
    policies: Vec<String>,
}

impl Permit {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn quorum(&self) -> u32 {
        self.rule.quorum
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether nobody has to approve any more: policy asks for nobody, or it was done with the standing grant that this is a use of.
    pub(crate) fn needs_nobody(&self) -> bool {
        self.quorum() == 0 || self.plan.under().is_some()
    }

    pub(crate) fn policies(&self) -> &[String] {
        &self.policies
    }

    pub(crate) fn into_plan(self) -> Plan {
        self.plan
    }
}

/// Why policy denies a plan.
#[derive(Debug)]
pub(crate) struct Denial {
    /// `denied`, or `policy_fault`.
    pub(crate) code: Code,
    /// A sentence each.
    pub(crate) reasons: Vec<String>,
    /// Ids of the policies that forbid.
    pub(crate) policies: Vec<String>,
}

impl Denial {
    /// The denial as an answer to the caller.
    pub(crate) fn into_error(self) -> Error {
        Error::new(self.code, self.reasons.join(" ")).policies(self.policies)
    }
}

/// Asks policy about every dataset of the plan: may it be fetched, and does somebody have to approve?
pub(crate) fn authorize(broker: &Broker, cx: &Context, plan: Plan) -> Result<Permit, Box<(Plan, Denial)>> {
    match judge(broker, cx, &plan) {
        Ok((rule, policies)) => Ok(Permit { plan, rule, policies }),
        Err(denial) => Err(Box::new((plan, denial))),
    }
}

/// Who must approve a plan, and the policies that say so.
///
/// # Errors
/// The denial.
pub(crate) fn judge(broker: &Broker, cx: &Context, plan: &Plan) -> Result<(Rule, Vec<String>), Denial> {
    let mut approved = Vec::new();
    let mut policies = Vec::new();
    let circumstances = plan.circumstances(broker, cx);
    let asked = plan.policies();
    let principal = plan.caller().principal();
    for dataset in plan.datasets() {
        let resource = dataset.resource();
        let answer = evaluate(asked, Action::Fetch, &principal, &resource, &circumstances);
        if !answer.allowed {
            return Err(deny(asked, &answer, &format!("fetching from dataset `{}`", dataset.name)));
        }
        add(&mut policies, answer.policies);
        if plan.request().break_glass {
            let emergency = evaluate(asked, Action::BreakGlass, &principal, &resource, &circumstances);
            if !emergency.allowed {
                let what = format!("breaking the glass for dataset `{}`", dataset.name);
                return Err(deny(asked, &emergency, &what));
            }
            add(&mut policies, emergency.policies);
            continue;
        }
        let unapproved = evaluate(asked, Action::FetchUnapproved, &principal, &resource, &circumstances);
        if unapproved.allowed {
            add(&mut policies, unapproved.policies);
        } else {
            approved.push(dataset);
        }
    }
    let caller = plan.caller();
    match Rule::of(approved, caller.person(), caller.manager()) {
        Ok(rule) => Ok((rule, policies)),
        Err(why) => Err(Denial {
            code: Code::Denied,
            reasons: vec![why],
            policies: Vec::new(),
        }),
    }
}

/// Asks the policies in force one question about something that is not a planned fetch.
pub(crate) fn ask(broker: &Broker, cx: &Context, caller: &Caller, action: Action, resource: &Resource<'_>) -> Answer {
    Asking::now(broker, cx, caller).ask(action, resource)
}

/// Like [`ask`] of the broker itself, but a "no" becomes an error.
pub(crate) fn demand(broker: &Broker, cx: &Context, caller: &Caller, action: Action, what: &str) -> Result<(), Error> {
    demand_of(&Resource::Broker, broker, cx, caller, action, what)
}

/// Like [`ask`], but a "no" becomes an error.
pub(crate) fn demand_of(
    resource: &Resource<'_>,
    broker: &Broker,
    cx: &Context,
    caller: &Caller,
    action: Action,
    what: &str,
) -> Result<(), Error> {
    let asking = Asking::now(broker, cx, caller);
    let answer = asking.ask(action, resource);
    if answer.allowed {
        return Ok(());
    }
    Err(deny(&asking.policies, &answer, what).into_error())
}

/// The circumstances of a call that plans nothing.
pub(crate) fn circumstances(broker: &Broker, cx: &Context, caller: &Caller) -> Circumstances {
    let now_ms = broker.clock.now_ms();
    Circumstances {
        session_age_s: (now_ms - caller.opened_ms()) / 1000,
        auth_age_s: caller.auth_time().map_or(i64::MAX, |t| now_ms / 1000 - t),
        ..Circumstances::without_plan(cx.ip, now_ms, caller.amr(), caller.is_key_attested())
    }
}

/// Puts one question to a set of policies.
pub(crate) fn evaluate(
    policies: &PolicySet,
    action: Action,
    principal: &Principal<'_>,
    resource: &Resource<'_>,
    circumstances: &Circumstances,
) -> Answer {
    let answer = policies.evaluate(action, principal, resource, circumstances);
    for fault in &answer.faults {
        tracing::error!(%fault, "a policy could not be evaluated; the answer is no");
    }
    answer
}

/// Index of the policies that decided, if they are the ones in force where the decision is recorded.
///
/// # Errors
/// When others were put in force meanwhile: see [`moved`].
pub(crate) fn in_force(state: &State, digest: &str) -> Result<u64, Error> {
    match &state.policy {
        Some((index, known)) if known == digest => Ok(*index),
        _ => Err(Error::new(Code::Unavailable, "The policies changed while this was decided.")
            .hint("run the same command again")
            .operator(PoliciesMoved)),
    }
}

/// Whether a decision was lost because other policies came into force. It may be made again.
pub(crate) fn moved(fault: &Error) -> bool {
    fault.source.as_ref().is_some_and(|source| source.is::<PoliciesMoved>())
}

#[derive(Debug, thiserror::Error)]
#[error("the policies that decided are not those in force")]
struct PoliciesMoved;

fn deny(policies: &PolicySet, answer: &Answer, what: &str) -> Denial {
    if !answer.faults.is_empty() {
        return Denial {
            code: Code::PolicyFault,
            reasons: vec![format!(
                "The policies could not be evaluated for {what}, so the answer is no; the operator's log says which."
            )],
            policies: answer.policies.clone(),
        };
    }
    let reason = if answer.policies.is_empty() {
        format!("No policy permits {what}.")
    } else {
        let names: Vec<_> = answer.policies.iter().map(|p| format!("`{p}`")).collect();
        format!("Policy {} forbids {what}.", names.join(", "))
    };
    let mut reasons = vec![reason];
    reasons.extend(policies.reasons(answer));
    Denial {
        code: Code::Denied,
        reasons,
        policies: answer.policies.clone(),
    }
}

fn add(policies: &mut Vec<String>, more: Vec<String>) {
    for policy in more {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
}
