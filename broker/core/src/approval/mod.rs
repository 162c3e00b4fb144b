//! The second mind: requests, verdicts, and the grants they give.
//!
//! What is asked for is a document signed by the requester; a verdict is a document signed by the reviewer over its digest;
//! the broker can verify both and make neither. Everything that changes is decided in [`decide`] against the folded state, in
//! the log's own order, so two reviewers at once, or a review and an expiry, cannot both win.

mod decide;
mod list;
mod view;

use std::sync::Arc;

use chunk_evidence::dsse::Envelope;
use chunk_evidence::encode::{canonical_of, parse_canonical, sha256};
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{Acknowledge, PlanRequest, REQUEST_PAYLOAD_TYPE, RequestDocument, RequestView, SubmitRequest};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict, Withdraw};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authorize::{self, authorize};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::{RequestCreate, ReviewEntry};
use crate::evidence::log::Published;
use crate::identity::Caller;
use crate::limits::REASON_BYTES_MAX;
use crate::plan::not_after_ms;
use crate::policy::{Action, Resource};
use crate::state::Request;

pub(crate) use decide::{any_expired, expire, session_open, wrong_state};
pub use list::{list, show};
use view::view;

/// Takes a signed request: pending if somebody must approve, approved if policy asks for nobody.
///
/// # Errors
/// When the caller asks too often, the signature is not by the session's key, the document is not what the broker would plan now, policy denies it
/// (recorded), or the log cannot be written.
pub async fn submit(broker: &Broker, cx: &Context, caller: Caller, submit: SubmitRequest) -> Result<RequestView, Error> {
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
    if document.not_after_ms <= now_ms || document.not_after_ms > not_after_ms(now_ms) {
        return Err(Error::new(Code::DocumentMismatch, "The plan is too old to be submitted.").hint("run the same command again"));
    }
    let request = PlanRequest {
        query: document.query.clone(),
        format: document.format,
        reason: document.reason.clone(),
        ticket: document.ticket.clone(),
    };
    let plan = crate::fetch::plan_or_record(broker, cx, caller, request).await?;
    let permit = match authorize(broker, cx, plan) {
        Ok(permit) => permit,
        Err(denied) => return Err(crate::fetch::record_denial(broker, *denied).await),
    };
    let policy_digest = broker.policy.load().digest().to_owned();
    let expected = permit
        .plan()
        .document(permit.quorum(), &policy_digest, document.nonce.clone(), document.not_after_ms);
    if expected != document {
        return Err(
            Error::new(Code::DocumentMismatch, "The signed document is not what the broker would plan now.")
                .hint("run the same command again"),
        );
    }
    let id = RequestId::from_random(broker.random()?);
    let (pending_s, grant_s) = permit.plan().datasets().fold((i64::MAX, i64::MAX), |(pending, grant), d| {
        (pending.min(d.pending_s), grant.min(d.grant_s))
    });
    let quorum = permit.quorum();
    let plan = permit.into_plan();
    let create = RequestCreate {
        id: id.clone(),
        session: plan.caller().session().clone(),
        actor: plan.caller().actor().clone(),
        open: plan.caller().open_index(),
        policy: 0,
        digest: hex::encode(sha256(payload.as_bytes())),
        envelope: serde_json::to_value(&submit.envelope)
            .map_err(|e| Error::new(Code::Internal, "The envelope does not serialise.").operator(e))?,
        rows_estimated: plan.scan().rows_estimated,
        state: if quorum == 0 { "approved" } else { "pending" }.to_owned(),
        expires_ms: 0,
        document,
    };
    let order = decide::Create {
        create,
        policy_digest,
        pending_ms: pending_s * 1000,
        grant_ms: grant_s * 1000,
    };
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| decide::create(state, &order, now_ms))
        .await?;
    found(broker, &committed.published, &id).await
}

/// Takes a reviewer's signed verdict.
///
/// # Errors
/// When the signature is not by the reviewer's session key, the digest is not the request's, policy does not let this person
/// review, the reviewer is the requester or has reviewed before, or the request no longer waits.
pub async fn review(broker: &Broker, cx: &Context, caller: Caller, id: RequestId, submit: SubmitReview) -> Result<RequestView, Error> {
    let (_, document): (String, ReviewDocument) = open_envelope(&submit.envelope, REVIEW_PAYLOAD_TYPE, &caller)?;
    let request = reviewable(broker, cx, &caller, &id)?;
    let person = caller.person();
    let mismatch = |what: &str| {
        Err(Error::new(
            Code::DocumentMismatch,
            format!("The signed verdict names another {what}."),
        ))
    };
    if document.v != 1 || document.request != id {
        return mismatch("request");
    }
    if document.digest != request.digest {
        return mismatch("digest than the request has");
    }
    if document.issuer != person.issuer || document.subject != person.subject || document.key != caller.key() {
        return mismatch("reviewer or key");
    }
    if document.reason.trim().is_empty() || document.reason.len() > REASON_BYTES_MAX {
        return Err(Error::new(Code::InvalidRequest, "A verdict needs a reason of at most 2000 bytes.").hint("add `--reason TEXT`"));
    }
    let entry = ReviewEntry {
        id: id.clone(),
        request: request.index,
        session: caller.session().clone(),
        open: caller.open_index(),
        actor: caller.actor().clone(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        key: caller.key().to_owned(),
        verdict: document.verdict,
        digest: document.digest,
        reason: document.reason,
        envelope: serde_json::to_value(&submit.envelope)
            .map_err(|e| Error::new(Code::Internal, "The envelope does not serialise.").operator(e))?,
    };
    let grant_ms = grant_ms(broker, &request);
    let email = person.email.clone();
    let committed = broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            decide::review(state, &entry, email.as_deref(), grant_ms, now_ms)
        })
        .await?;
    found(broker, &committed.published, &id).await
}

/// Withdraws the caller's own request before it was approved or used.
///
/// # Errors
/// When it is not the caller's, or has gone too far.
pub async fn cancel(broker: &Broker, _cx: &Context, caller: Caller, id: RequestId, withdraw: Withdraw) -> Result<RequestView, Error> {
    check_reason(&withdraw.reason)?;
    let by = decide::By {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
    };
    let committed = {
        let id = id.clone();
        broker
            .log
            .commit(Urgency::Closing, move |state, now_ms| {
                decide::cancel(state, &id, &by, &withdraw.reason, now_ms)
            })
            .await?
    };
    found(broker, &committed.published, &id).await
}

/// Withdraws an approval, used or not; a running stream is cut.
///
/// # Errors
/// When the caller may not review this request (or administer), or there is nothing to withdraw.
pub async fn revoke(broker: &Broker, cx: &Context, caller: Caller, id: RequestId, withdraw: Withdraw) -> Result<RequestView, Error> {
    check_reason(&withdraw.reason)?;
    if withdraw.reason.trim().is_empty() {
        return Err(Error::new(Code::InvalidRequest, "A revocation needs a reason.").hint("add `--reason TEXT`"));
    }
    if !authorize::ask(broker, cx, &caller, Action::Administer, &Resource::Broker).allowed {
        reviewable(broker, cx, &caller, &id)?;
    }
    let by = decide::By {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
    };
    let committed = {
        let id = id.clone();
        broker
            .log
            .commit(Urgency::Closing, move |state, now_ms| {
                decide::revoke(state, &id, &by, &withdraw.reason, now_ms)
            })
            .await?
    };
    found(broker, &committed.published, &id).await
}

/// Records that the client holds the bytes.
///
/// # Errors
/// When the request is not the caller's, nothing was delivered, or the digest is another.
pub async fn acknowledge(broker: &Broker, _cx: &Context, caller: Caller, id: RequestId, ack: Acknowledge) -> Result<(), Error> {
    let by = decide::By {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
    };
    broker
        .log
        .commit(Urgency::Closing, move |state, now_ms| {
            decide::acknowledge(state, &id, &by, &ack.sha256, now_ms)
        })
        .await?;
    Ok(())
}

/// Tells of every commit: whoever shows a request that may change looks again then.
#[must_use]
pub fn watch(broker: &Broker) -> tokio::sync::watch::Receiver<u64> {
    broker.log.watch()
}

/// The same answer for a request that does not exist and for one that is not the caller's to see.
pub(crate) fn not_found(id: &RequestId) -> Error {
    Error::new(Code::NotFound, format!("There is no request `{id}` that you may see.")).hint("run `chunkctl requests`")
}

fn may_see(broker: &Broker, cx: &Context, caller: &Caller, request: &Request) -> bool {
    request.actor == *caller.actor()
        || may_review(broker, cx, caller, request)
        || authorize::ask(broker, cx, caller, Action::AuditRead, &Resource::Broker).allowed
}

/// Policy lets this person review every dataset of the request.
fn may_review(broker: &Broker, cx: &Context, caller: &Caller, request: &Request) -> bool {
    !request.datasets.is_empty()
        && request.datasets.iter().all(|name| {
            let dataset = broker.settings.catalog.datasets.get(name);
            dataset.is_some_and(|d| authorize::ask(broker, cx, caller, Action::Review, &d.resource()).allowed)
        })
}

fn reviewable(broker: &Broker, cx: &Context, caller: &Caller, id: &RequestId) -> Result<Arc<Request>, Error> {
    let published = broker.log.published();
    let request = published
        .state
        .requests
        .get(id)
        .filter(|r| may_see(broker, cx, caller, r))
        .ok_or_else(|| not_found(id))?;
    if request.actor == *caller.actor() {
        return Err(Error::new(
            Code::ReviewRefused,
            "A requester never reviews their own request; somebody else has to.",
        ));
    }
    if !may_review(broker, cx, caller, request) {
        return Err(Error::new(
            Code::ReviewRefused,
            "No policy permits you to review every dataset of this request.",
        ));
    }
    Ok(Arc::clone(request))
}

fn grant_ms(broker: &Broker, request: &Request) -> i64 {
    let datasets = request
        .datasets
        .iter()
        .filter_map(|name| broker.settings.catalog.datasets.get(name));
    datasets.map(|d| d.grant_s * 1000).min().unwrap_or(0)
}

async fn found(broker: &Broker, published: &Published, id: &RequestId) -> Result<RequestView, Error> {
    match published.state.requests.get(id) {
        Some(request) => view(broker, Arc::clone(request)).await,
        None => Err(not_found(id)),
    }
}

fn is_nonce(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Checks that an envelope is signed by the caller's session key and holds a canonical document of type `T`.
fn open_envelope<T: DeserializeOwned + Serialize>(envelope: &Envelope, payload_type: &str, caller: &Caller) -> Result<(String, T), Error> {
    let refused = |why: &dyn std::fmt::Display| Error::new(Code::InvalidSignature, format!("The signed document was refused: {why}."));
    let payload = envelope
        .verify(&caller.public_key()?, payload_type)
        .map_err(|fault| refused(&fault))?;
    if envelope.signatures.iter().any(|s| s.keyid != format!("ed25519:{}", caller.key())) {
        return Err(refused(&"it names another key than the session's"));
    }
    let text = String::from_utf8(payload).map_err(|_| refused(&"it is not UTF-8"))?;
    let value = parse_canonical(&text).map_err(|fault| refused(&fault))?;
    let document: T = serde_json::from_value(value).map_err(|fault| refused(&fault))?;
    // One document has one text: a member spelt out as null would give the same document another digest.
    if canonical_of(&document).ok().as_ref() != Some(&text) {
        return Err(refused(&"it is not the document's one canonical text"));
    }
    Ok((text, document))
}

fn check_reason(reason: &str) -> Result<(), Error> {
    if reason.len() > REASON_BYTES_MAX {
        return Err(Error::new(
            Code::LimitReached,
            format!("A reason is longer than {REASON_BYTES_MAX} bytes."),
        ));
    }
    Ok(())
}

/// Whether a verdict is a yes.
pub(crate) fn approves(verdict: Verdict) -> bool {
    verdict == Verdict::Approve
}
