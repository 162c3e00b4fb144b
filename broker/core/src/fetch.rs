//! The road of one fetch, from credential to delivery. Every protocol takes it; none of them decides anything.
//!
//! Each step consumes the proof of the step before (`Presented → Caller → Plan → Permit → Upheld → Grant → Recorded →
//! Delivery`), so none can be skipped, reordered or repeated.

use std::sync::Arc;

use chunk_evidence::encode::{canonical_of, sha256_hex};
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{ChunkQuery, PlanAnswer, PlanRequest, RequestView, SubmitRequest};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;

use crate::approval::{self, Submission, standing};
use crate::authorize::{Denial, Permit, authorize, moved};
use crate::broker::Broker;
use crate::context::Context;
use crate::delivery::{self, Delivery};
use crate::error::Error;
use crate::evidence::entries::{Event, RequestDeny};
use crate::identity::{Caller, Presented, authenticate, fresh_claims};
use crate::plan::{self, Plan, not_after_ms};
use crate::policy::PolicySet;
use crate::state::State;

/// Carries one fetch of an approved request from credential to delivery.
///
/// # Errors
/// When any step says no. After the intent is recorded nothing fails here any more: the delivery tells how it ends, and the
/// log says so too.
pub async fn fetch(
    broker: &Arc<Broker>,
    cx: &Context,
    presented: Presented,
    id: RequestId,
    chunk: u32,
    asked: ChunkQuery,
) -> Result<Delivery, Error> {
    let caller = authenticate(broker, cx, presented).await?;
    match deliver(broker, cx, caller.clone(), &id, chunk, &asked).await {
        Err(fault) if moved(&fault) => {
            broker.reloaded().await;
            deliver(broker, cx, caller, &id, chunk, &asked).await
        }
        delivered => delivered,
    }
}

/// What became of a request that was to be delivered at once.
pub enum Submitted {
    /// Nobody has to approve any more: it is being delivered.
    Delivered {
        /// The request.
        request: RequestId,
        /// Chunk 0 of it.
        delivery: Delivery,
    },
    /// It waits for reviewers.
    Waiting(Box<RequestView>),
}

/// Takes a signed request and, if policy asks for nobody's approval or it is a use of a standing grant, delivers it at once:
/// request, grant and intent are one commit, and the outcome a second. Otherwise it is as [`approval::submit`].
///
/// # Errors
/// As [`approval::submit`] and [`fetch`]. When delivering is refused nothing was recorded, and the same document can be sent again.
pub async fn submit_and_fetch(broker: &Arc<Broker>, cx: &Context, caller: Caller, submit: SubmitRequest) -> Result<Submitted, Error> {
    let Submission { permit, create } = approval::check(broker, cx, caller.clone(), submit).await?;
    let approved = match &create.create.document.under {
        Some(under) => Ok(or_record(broker, approval::upheld(broker, permit, &under.request)).await?),
        None => approval::unapproved(permit),
    };
    let upheld = match approved {
        Ok(upheld) => upheld,
        Err(permit) => {
            let submission = Submission { permit: *permit, create };
            let view = approval::record(broker, submission).await?;
            return Ok(Submitted::Waiting(Box::new(view)));
        }
    };
    fresh_claims(broker, &caller)?;
    let grant = delivery::require_signed(broker, upheld, &create)?;
    let slot = delivery::slot(broker)?;
    let request = create.create.id.clone();
    let recorded = delivery::record_all(broker, create, grant).await?; // durable before the source is contacted
    let delivery = delivery::start(broker, recorded, slot);
    Ok(Submitted::Delivered { request, delivery })
}

/// The road of a known caller, under one set of policies.
async fn deliver(
    broker: &Arc<Broker>,
    cx: &Context,
    caller: Caller,
    id: &RequestId,
    chunk: u32,
    asked: &ChunkQuery,
) -> Result<Delivery, Error> {
    fresh_claims(broker, &caller)?;
    let approved = delivery::approved(broker, &caller, id, chunk)?;
    let under = approved.document().under.clone();
    let mut plan = plan_or_record(broker, cx, caller, approved.document().asked()).await?;
    if let Some(under) = &under {
        plan = standing::use_of(broker, plan, under)?;
    }
    let permit = permit_or_record(broker, cx, plan).await?;
    let approved_as = under.as_ref().map_or(approved.id(), |under| &under.request);
    let upheld = or_record(broker, approval::upheld(broker, permit, approved_as)).await?;
    let grant = delivery::require(broker, upheld, approved)?;
    let slot = delivery::slot(broker)?;
    let grant = delivery::cut(broker, grant, asked).await?;
    let recorded = delivery::record_intent(broker, grant).await?; // durable before the source is contacted
    Ok(delivery::start(broker, recorded, slot))
}

/// What a fetch would do: decision, masks, size, who must approve, and the document to sign. Releases nothing.
///
/// # Errors
/// When the caller asks too often, the query cannot be planned (recorded), or the log cannot be written. A denial is an answer, not an error.
pub async fn plan(broker: &Broker, cx: &Context, caller: Caller, request: PlanRequest) -> Result<PlanAnswer, Error> {
    broker.rates.take(caller.actor(), broker.clock.now_ms())?;
    let plan = plan_or_record(broker, cx, caller, request).await?;
    let (plan, standing) = standing::reuse(broker, cx, plan);
    let columns = plan.output();
    match authorize(broker, cx, plan) {
        Ok(permit) => {
            approval::somebody_approves(&permit)?;
            let plan = permit.plan();
            let nonce = hex::encode(broker.random::<16>()?);
            let document = plan.document(permit.rule(), nonce, not_after_ms(broker.clock.now_ms()));
            let text =
                canonical_of(&document).map_err(|fault| Error::new(Code::Internal, "The document does not serialise.").operator(fault))?;
            Ok(PlanAnswer {
                decision: if permit.needs_nobody() { "allowed" } else { "needs_approval" }.to_owned(),
                policies: permit.policies().to_vec(),
                reasons: Vec::new(),
                columns,
                rows_estimated: plan.scan().rows_estimated,
                bytes_estimated: plan.scan().bytes_estimated,
                quorum: permit.quorum(),
                stages: permit.rule().stages.clone(),
                escalation: permit.rule().escalation.clone(),
                explain: plan.scan().explain.clone(),
                digest: Some(sha256_hex(text.as_bytes())),
                document: Some(text),
                standing,
            })
        }
        Err(denied) => {
            let (plan, denial) = *denied;
            record(
                broker,
                plan.policies(),
                plan.caller(),
                plan.request(),
                denial.code,
                denial.policies.clone(),
            )
            .await?;
            Ok(PlanAnswer {
                decision: "denied".to_owned(),
                policies: denial.policies,
                reasons: denial.reasons,
                columns,
                rows_estimated: plan.scan().rows_estimated,
                bytes_estimated: plan.scan().bytes_estimated,
                quorum: 0,
                stages: Vec::new(),
                escalation: None,
                explain: Vec::new(),
                document: None,
                digest: None,
                standing: None,
            })
        }
    }
}

/// Plans, and records the attempt when the query is refused.
pub(crate) async fn plan_or_record(broker: &Broker, cx: &Context, caller: Caller, request: PlanRequest) -> Result<Plan, Error> {
    let policies = broker.policy.load_full();
    match plan::plan(broker, cx, Arc::clone(&policies), caller.clone(), request.clone()).await {
        Ok(plan) => Ok(plan),
        Err(fault) => {
            let refused = matches!(
                fault.code,
                Code::NotFound | Code::InvalidSql | Code::StatementRefused | Code::Denied | Code::PolicyFault
            );
            if refused {
                record(broker, &policies, &caller, &request, fault.code, fault.policies.clone()).await?;
            }
            Err(fault)
        }
    }
}

/// Asks policy, and records a denial.
pub(crate) async fn permit_or_record(broker: &Broker, cx: &Context, plan: Plan) -> Result<Permit, Error> {
    or_record(broker, authorize(broker, cx, plan)).await
}

pub(crate) async fn or_record<T>(broker: &Broker, decided: Result<T, Box<(Plan, Denial)>>) -> Result<T, Error> {
    match decided {
        Ok(allowed) => Ok(allowed),
        Err(denied) => {
            let (plan, denial) = *denied;
            record(
                broker,
                plan.policies(),
                plan.caller(),
                plan.request(),
                denial.code,
                denial.policies.clone(),
            )
            .await?;
            Err(denial.into_error())
        }
    }
}

async fn record(
    broker: &Broker,
    asked: &PolicySet,
    caller: &Caller,
    request: &PlanRequest,
    code: Code,
    policies: Vec<String>,
) -> Result<(), Error> {
    let query = serde_json::to_value(&request.query)
        .map_err(|fault| Error::new(Code::Internal, "The query does not serialise.").operator(fault))?;
    let mut deny = RequestDeny {
        session: caller.session().clone(),
        actor: caller.actor().clone(),
        open: caller.open_index(),
        policy: None,
        query,
        reason: request.reason.clone(),
        ticket: request.ticket.clone(),
        code: code.as_str().to_owned(),
        policies,
    };
    let digest = asked.digest().to_owned();
    let decide = move |state: &State, now_ms: i64| {
        approval::session_open(state, &deny.session, now_ms)?;
        // Those that were asked, in force or not by now: it is they that say no.
        deny.policy = state.policies.get(&digest).copied();
        Ok(vec![Event::RequestDeny(deny)])
    };
    broker.log.commit(Urgency::Normal, decide).await?;
    Ok(())
}
