//! A signed request, on its way into the log.

use chunk_evidence::encode::sha256_hex;
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{REQUEST_PAYLOAD_TYPE, RequestDocument, RequestView, SubmitRequest};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;

use super::decide::{self, Create};
use super::{found, open_envelope, standing, upheld};
use crate::authorize::Permit;
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::RequestCreate;
use crate::fetch::{or_record, permit_or_record, plan_or_record};
use crate::identity::Caller;
use crate::plan::not_after_ms;

/// Proof that a document is signed by its requester and is what the broker would plan now, with the permit for it.
///
/// Only [`check`] makes one.
#[must_use]
pub(crate) struct Submission {
    pub(crate) permit: Permit,
    pub(crate) create: Create,
}

/// Takes a signed request: pending if somebody must approve, approved if policy asks for nobody or it is a use of a standing grant.
///
/// # Errors
/// When the caller asks too often, the signature is not by the session's key, the document is not what the broker would plan
/// now, policy denies it (recorded), or the log cannot be written.
pub async fn submit(broker: &Broker, cx: &Context, caller: Caller, submit: SubmitRequest) -> Result<RequestView, Error> {
    let submission = check(broker, cx, caller, submit).await?;
    record(broker, submission).await
}

/// Records a request, and with it its grant if policy asks for nobody's approval.
///
/// # Errors
/// When policies changed, the caller has too many requests waiting, or the log cannot be written.
pub(crate) async fn record(broker: &Broker, submission: Submission) -> Result<RequestView, Error> {
    let create = submission.create;
    let id = create.create.id.clone();
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| decide::create(state, create, now_ms))
        .await?;
    found(broker, &committed.published, &id).await
}

/// Checks a signed request against what the broker would plan.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn check(broker: &Broker, cx: &Context, caller: Caller, submit: SubmitRequest) -> Result<Submission, Error> {
    let (payload, document): (String, RequestDocument) = open_envelope(&submit.envelope, REQUEST_PAYLOAD_TYPE, &caller)?;
    let now_ms = broker.clock.now_ms();
    broker.rates.take(caller.actor(), now_ms)?;
    // The one member that is the requester's to choose freely.
    if !is_nonce(&document.nonce) {
        return Err(Error::new(
            Code::InvalidRequest,
            "A request's nonce is 32 lower-case hexadecimal digits.",
        ));
    }
    if document.reason.trim().is_empty() {
        return Err(Error::new(Code::InvalidRequest, "A request needs a reason.").hint("add `--reason TEXT`"));
    }
    if document.break_glass && document.ticket.as_ref().is_none_or(|ticket| ticket.trim().is_empty()) {
        return Err(Error::new(Code::InvalidRequest, "Breaking the glass needs the ticket of the incident.").hint("add `--ticket TICKET`"));
    }
    if document.under.is_some() && (document.standing.is_some() || document.window.is_some() || document.break_glass) {
        return Err(Error::new(
            Code::InvalidRequest,
            "A use of a standing grant is one delivery at once, and no emergency.",
        ));
    }
    if document.not_after_ms <= now_ms || document.not_after_ms > not_after_ms(now_ms) {
        return Err(Error::new(Code::DocumentMismatch, "The plan is too old to be submitted.").hint("run the same command again"));
    }
    let mut plan = plan_or_record(broker, cx, caller, document.asked()).await?;
    if let Some(under) = &document.under {
        plan = standing::use_of(broker, plan, under)?;
    }
    let mut permit = permit_or_record(broker, cx, plan).await?;
    somebody_approves(&permit)?;
    if let Some(under) = &document.under {
        permit = or_record(broker, upheld(broker, permit, &under.request)).await?.into_permit();
    }
    let plan = permit.plan();
    let expected = plan.document(permit.rule(), document.nonce.clone(), document.not_after_ms);
    if expected != document {
        return Err(
            Error::new(Code::DocumentMismatch, "The signed document is not what the broker would plan now.")
                .hint("run the same command again"),
        );
    }
    let create = RequestCreate {
        id: RequestId::from_random(broker.random()?),
        session: plan.caller().session().clone(),
        actor: plan.caller().actor().clone(),
        open: plan.caller().open_index(),
        policy: 0,
        digest: sha256_hex(payload.as_bytes()),
        envelope: serde_json::to_value(&submit.envelope)
            .map_err(|e| Error::new(Code::Internal, "The envelope does not serialise.").operator(e))?,
        rows_estimated: plan.scan().rows_estimated,
        state: if permit.needs_nobody() { "approved" } else { "pending" }.to_owned(),
        expires_ms: 0,
        document,
    };
    let pending_s = plan.datasets().map(|d| d.pending_s).min().unwrap_or(0);
    let create = Create {
        create,
        pending_ms: pending_s * 1000,
    };
    Ok(Submission { permit, create })
}

/// A standing grant stands for somebody's approval.
///
/// # Errors
/// When one is asked for, and nobody has to approve.
pub(crate) fn somebody_approves(permit: &Permit) -> Result<(), Error> {
    if permit.plan().standing().is_some() && permit.quorum() == 0 {
        return Err(Error::new(
            Code::InvalidRequest,
            "Nobody has to approve this, so there is nothing that a standing grant would spare.",
        )
        .hint("leave out `--standing`"));
    }
    Ok(())
}

fn is_nonce(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
