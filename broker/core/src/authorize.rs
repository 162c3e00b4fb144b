//! Decides whether a caller may fetch what a plan describes, and on what terms.
//!
//! Every question to policy goes through [`ask`], which fills the circumstances the same way each time. Cedar skips a policy
//! that fails to evaluate; a skipped `forbid` would open a door, so any evaluation fault denies.

use chunk_wire::problem::Code;

use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Caller;
use crate::plan::Plan;
use crate::policy::{Action, Answer, Circumstances, Resource};

/// Proof that policy, as it stands now, allows a plan.
///
/// Only [`authorize`] makes one. It owns the plan it was given for, so nothing later can resolve another.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit {
    plan: Plan,
    /// People who must approve; 0 with `fetch_unapproved`.
    quorum: u32,
    /// Policies that determined it.
    policies: Vec<String>,
}

impl Permit {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn quorum(&self) -> u32 {
        self.quorum
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
        Ok((quorum, policies)) => Ok(Permit { plan, quorum, policies }),
        Err(denial) => Err(Box::new((plan, denial))),
    }
}

fn judge(broker: &Broker, cx: &Context, plan: &Plan) -> Result<(u32, Vec<String>), Denial> {
    let mut quorum = 0;
    let mut policies = Vec::new();
    let circumstances = plan.circumstances(broker, cx);
    for dataset in plan.datasets() {
        let resource = dataset.resource();
        let answer = ask_with(broker, plan.caller(), Action::Fetch, &resource, &circumstances);
        if !answer.allowed {
            return Err(deny(broker, &answer, &dataset.name));
        }
        add(&mut policies, answer.policies);
        let unapproved = ask_with(broker, plan.caller(), Action::FetchUnapproved, &resource, &circumstances);
        if unapproved.allowed {
            add(&mut policies, unapproved.policies);
        } else {
            quorum = quorum.max(dataset.quorum.max(1));
        }
    }
    Ok((quorum, policies))
}

/// Asks policy about something that is not a planned fetch.
pub(crate) fn ask(broker: &Broker, cx: &Context, caller: &Caller, action: Action, resource: &Resource<'_>) -> Answer {
    ask_with(broker, caller, action, resource, &circumstances(broker, cx, caller))
}

/// Like [`ask`], but a "no" becomes an error.
pub(crate) fn demand(broker: &Broker, cx: &Context, caller: &Caller, action: Action, what: &str) -> Result<(), Error> {
    let answer = ask(broker, cx, caller, action, &Resource::Broker);
    if answer.allowed {
        return Ok(());
    }
    let denial = deny_action(broker, &answer, what);
    Err(denial.into_error())
}

/// The circumstances of a call that plans nothing.
pub(crate) fn circumstances(broker: &Broker, cx: &Context, caller: &Caller) -> Circumstances {
    let now_ms = broker.clock.now_ms();
    Circumstances {
        reason: String::new(),
        ticket: String::new(),
        rows_estimated: 0,
        bytes_estimated: 0,
        columns: Vec::new(),
        statement: String::new(),
        functions: Vec::new(),
        format: String::new(),
        ip: cx.ip,
        now_ms,
        session_age_s: (now_ms - caller.opened_ms()) / 1000,
        auth_age_s: caller.auth_time().map_or(i64::MAX, |t| now_ms / 1000 - t),
        amr: caller.amr().to_vec(),
    }
}

pub(crate) fn ask_with(broker: &Broker, caller: &Caller, action: Action, resource: &Resource<'_>, circumstances: &Circumstances) -> Answer {
    let answer = broker.policy.load().evaluate(action, &caller.principal(), resource, circumstances);
    for fault in &answer.faults {
        tracing::error!(%fault, "a policy could not be evaluated; the answer is no");
    }
    answer
}

fn deny(broker: &Broker, answer: &Answer, dataset: &str) -> Denial {
    deny_action(broker, answer, &format!("fetching from dataset `{dataset}`"))
}

fn deny_action(broker: &Broker, answer: &Answer, what: &str) -> Denial {
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
    reasons.extend(broker.policy.load().reasons(answer));
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
