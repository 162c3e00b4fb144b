//! The second mind: requests, verdicts, and the grants they give.
//!
//! What is asked for is a document signed by the requester; a verdict is a document signed by the reviewer over its digest;
//! the broker can verify both and make neither. Everything that changes is decided in [`decide`] against the folded state, in
//! the log's own order, so two reviewers at once, or a review and an expiry, cannot both win.

mod decide;
mod ending;
mod inbox;
mod list;
#[cfg(test)]
mod model;
mod progress;
mod ssh;
pub(crate) mod standing;
mod submission;
mod upheld;
mod view;

use std::sync::Arc;

use chunk_evidence::dsse::Envelope;
use chunk_evidence::encode::{canonical_of, parse_canonical};
use chunk_log::journal::Urgency;
use chunk_wire::fetch::{Acknowledge, RequestView};
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict, Withdraw};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authorize::{Asking, moved};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::ReviewEntry;
use crate::evidence::log::{Committed, Published};
use crate::identity::workload::people_only;
use crate::identity::{Caller, fresh_claims};
use crate::limits::REASON_BYTES_MAX;
use crate::policy::{Action, Resource};
use crate::state::Request;

pub(crate) use decide::{Create, any_expired, create, expire, session_open, wrong_state};
pub(crate) use ending::end_everything;
pub use inbox::{Inbox, Told};
pub use list::{list, show};
pub(crate) use progress::Progress;
pub use submission::submit;
pub(crate) use submission::{Submission, check, record, somebody_approves};
pub(crate) use upheld::{Upheld, unapproved, upheld};
use view::view;

/// Takes a reviewer's signed verdict.
///
/// # Errors
/// When the reviewer's claims are too old, the signature is not by the reviewer's session key, the digest is not the request's, policy does not let this person
/// review, the reviewer is the requester or has reviewed before, or the request no longer waits.
pub async fn review(broker: &Broker, cx: &Context, caller: Caller, id: RequestId, submit: SubmitReview) -> Result<RequestView, Error> {
    let verdict = match record_verdict(broker, cx, &caller, &id, &submit).await {
        Err(fault) if moved(&fault) => {
            broker.reloaded().await;
            record_verdict(broker, cx, &caller, &id, &submit).await
        }
        verdict => verdict,
    };
    found(broker, &verdict?.published, &id).await
}

/// Takes a verdict under one set of policies.
async fn record_verdict(broker: &Broker, cx: &Context, caller: &Caller, id: &RequestId, submit: &SubmitReview) -> Result<Committed, Error> {
    people_only(caller.person().workload.as_ref())?;
    fresh_claims(broker, caller)?;
    let (signed, document): (String, ReviewDocument) = open_envelope(&submit.envelope, REVIEW_PAYLOAD_TYPE, caller)?;
    let ssh = submit.ssh.as_deref().map(|text| ssh::verified(text, &signed)).transpose()?;
    let asking = Asking::now(broker, cx, caller);
    let request = reviewable(&asking, caller, id)?;
    let person = caller.person();
    let mismatch = |what: &str| {
        Err(Error::new(
            Code::DocumentMismatch,
            format!("The signed verdict names another {what}."),
        ))
    };
    if document.v != 1 || document.request != *id {
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
        request: request.breakglass.unwrap_or(request.index),
        afterwards: request.breakglass.is_some(),
        session: caller.session().clone(),
        open: caller.open_index(),
        escalated: None,
        policy: 0,
        actor: caller.actor().clone(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        key: caller.key().to_owned(),
        verdict: document.verdict,
        digest: document.digest,
        reason: document.reason,
        envelope: serde_json::to_value(&submit.envelope)
            .map_err(|e| Error::new(Code::Internal, "The envelope does not serialise.").operator(e))?,
        ssh,
    };
    let order = decide::Judge {
        entry,
        policies: asking.digest().to_owned(),
        email: person.email.clone(),
        ssh_demanded: ssh::is_demanded(&broker.settings.catalog, &request),
    };
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| decide::review(state, order, now_ms))
        .await
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
    let asking = Asking::now(broker, cx, &caller);
    if !asking.may(Action::Administer, &Resource::Broker) {
        reviewable(&asking, &caller, &id)?;
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

fn may_see(asking: &Asking<'_>, caller: &Caller, request: &Request) -> bool {
    request.actor == *caller.actor() || may_review(asking, request) || asking.may(Action::AuditRead, &Resource::Broker)
}

/// Policy lets this person review every dataset of the request.
fn may_review(asking: &Asking<'_>, request: &Request) -> bool {
    let datasets = &asking.broker.settings.catalog.datasets;
    let may = |name: &String| datasets.get(name).is_some_and(|d| asking.may(Action::Review, &d.resource()));
    !request.datasets.is_empty() && request.datasets.iter().all(may)
}

fn reviewable(asking: &Asking<'_>, caller: &Caller, id: &RequestId) -> Result<Arc<Request>, Error> {
    let published = asking.broker.log.published();
    let request = published
        .state
        .requests
        .get(id)
        .filter(|r| may_see(asking, caller, r))
        .ok_or_else(|| not_found(id))?;
    if request.actor == *caller.actor() {
        return Err(Error::new(
            Code::ReviewRefused,
            "A requester never reviews their own request; somebody else has to.",
        ));
    }
    if !may_review(asking, request) {
        return Err(Error::new(
            Code::ReviewRefused,
            "No policy permits you to review every dataset of this request.",
        ));
    }
    Ok(Arc::clone(request))
}

async fn found(broker: &Broker, published: &Published, id: &RequestId) -> Result<RequestView, Error> {
    match published.state.requests.get(id) {
        Some(request) => view(broker, Arc::clone(request)).await,
        None => Err(not_found(id)),
    }
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
