//! The road of one fetch, from credential to delivery. Every protocol takes it; none of them decides anything.
//!
//! Each step consumes the proof of the step before (`Presented → Caller → Plan → Permit → Grant → Recorded → Delivery`), so
//! none can be skipped, reordered or repeated.

use std::sync::Arc;

use chunk_evidence::encode::{canonical_of, sha256_hex};
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{PlanAnswer, PlanRequest};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;

use crate::approval;
use crate::authorize::{Denial, authorize};
use crate::broker::Broker;
use crate::context::Context;
use crate::delivery::{self, Delivery};
use crate::error::Error;
use crate::evidence::entries::{Event, RequestDeny};
use crate::identity::{Caller, Presented, authenticate};
use crate::plan::{self, Plan, not_after_ms};

/// Carries one fetch of an approved request from credential to delivery.
///
/// # Errors
/// When any step says no. After the intent is recorded nothing fails here any more: the delivery tells how it ends, and the
/// log says so too.
pub async fn fetch(broker: &Arc<Broker>, cx: &Context, presented: Presented, id: RequestId, chunk: u32) -> Result<Delivery, Error> {
    let caller = authenticate(broker, cx, presented).await?;
    let approved = delivery::approved(broker, &caller, &id, chunk)?;
    let request = PlanRequest {
        query: approved.document().query.clone(),
        format: approved.document().format,
        reason: approved.document().reason.clone(),
        ticket: approved.document().ticket.clone(),
    };
    let plan = plan_or_record(broker, cx, caller, request).await?;
    let permit = match authorize(broker, cx, plan) {
        Ok(permit) => permit,
        Err(denied) => return Err(record_denial(broker, *denied).await),
    };
    let grant = delivery::require(broker, permit, approved)?;
    let slot = delivery::slot(broker)?;
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
    let columns = plan.output();
    match authorize(broker, cx, plan) {
        Ok(permit) => {
            let plan = permit.plan();
            let digest = broker.policy.load().digest().to_owned();
            let nonce = hex::encode(broker.random::<16>()?);
            let document = plan.document(permit.quorum(), &digest, nonce, not_after_ms(broker.clock.now_ms()));
            let text =
                canonical_of(&document).map_err(|fault| Error::new(Code::Internal, "The document does not serialise.").operator(fault))?;
            Ok(PlanAnswer {
                decision: if permit.quorum() == 0 { "allowed" } else { "needs_approval" }.to_owned(),
                policies: permit.policies().to_vec(),
                reasons: Vec::new(),
                columns,
                rows_estimated: plan.scan().rows_estimated,
                bytes_estimated: plan.scan().bytes_estimated,
                quorum: permit.quorum(),
                explain: plan.scan().explain.clone(),
                digest: Some(sha256_hex(text.as_bytes())),
                document: Some(text),
            })
        }
        Err(denied) => {
            let (plan, denial) = *denied;
            record(broker, plan.caller(), plan.request(), denial.code, denial.policies.clone()).await?;
            Ok(PlanAnswer {
                decision: "denied".to_owned(),
                policies: denial.policies,
                reasons: denial.reasons,
                columns,
                rows_estimated: plan.scan().rows_estimated,
                bytes_estimated: plan.scan().bytes_estimated,
                quorum: 0,
                explain: Vec::new(),
                document: None,
                digest: None,
            })
        }
    }
}

/// Plans, and records the attempt when the query is refused.
pub(crate) async fn plan_or_record(broker: &Broker, cx: &Context, caller: Caller, request: PlanRequest) -> Result<Plan, Error> {
    match plan::plan(broker, cx, caller.clone(), request.clone()).await {
        Ok(plan) => Ok(plan),
        Err(fault) => {
            let refused = matches!(
                fault.code,
                Code::NotFound | Code::InvalidSql | Code::StatementRefused | Code::Denied | Code::PolicyFault
            );
            if refused {
                record(broker, &caller, &request, fault.code, fault.policies.clone()).await?;
            }
            Err(fault)
        }
    }
}

/// Records a denial and gives it as the answer.
pub(crate) async fn record_denial(broker: &Broker, (plan, denial): (Plan, Denial)) -> Error {
    match record(broker, plan.caller(), plan.request(), denial.code, denial.policies.clone()).await {
        Ok(()) => denial.into_error(),
        Err(unrecorded) => unrecorded,
    }
}

async fn record(broker: &Broker, caller: &Caller, request: &PlanRequest, code: Code, policies: Vec<String>) -> Result<(), Error> {
    let query = serde_json::to_value(&request.query)
        .map_err(|fault| Error::new(Code::Internal, "The query does not serialise.").operator(fault))?;
    let deny = RequestDeny {
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
    let decide = move |state: &crate::state::State, now_ms: i64| {
        approval::session_open(state, &deny.session, now_ms)?;
        let mut deny = deny.clone();
        deny.policy = state.policy.as_ref().map(|(index, _)| *index);
        Ok(vec![Event::RequestDeny(deny)])
    };
    broker.log.commit(Urgency::Normal, decide).await?;
    Ok(())
}
