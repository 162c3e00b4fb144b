//! A request as those who may see it see it.

use std::collections::HashMap;
use std::sync::Arc;

use chunk_evidence::encode::canonical_of;
use chunk_wire::fetch::{DeliveryView, RequestView};
use chunk_wire::problem::Code;
use chunk_wire::review::ReviewView;

use super::{Progress, standing};
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::state::{Request, State};

/// A request on the wire.
///
/// # Errors
/// When the log cannot be read.
pub(super) async fn view(broker: &Broker, request: Arc<Request>) -> Result<RequestView, Error> {
    let mut views = views(broker, &[request]).await?;
    views
        .pop()
        .ok_or_else(|| Error::new(Code::Internal, "The request cannot be shown."))
}

/// Requests on the wire, in the order given. What the state has let go of is read from the log.
///
/// # Errors
/// When the log cannot be read.
pub(super) async fn views(broker: &Broker, requests: &[Arc<Request>]) -> Result<Vec<RequestView>, Error> {
    let gone = requests.iter().filter(|r| r.document.is_none());
    let indices: Vec<u64> = gone
        .flat_map(|r| std::iter::once(r.index).chain(r.reviews.iter().map(|review| review.index)))
        .collect();
    let mut words = HashMap::new();
    if !indices.is_empty() {
        for entry in broker.log.read_at(indices).await? {
            if let Some(text) = entry.event().map(words_of).transpose()?.flatten() {
                words.insert(entry.index, text);
            }
        }
    }
    let published = broker.log.published();
    let state = &published.state;
    requests.iter().map(|request| show(state, request, &words)).collect()
}

/// What a request says, or a verdict gives as its reason.
fn words_of(event: Event) -> Result<Option<String>, Error> {
    Ok(match event {
        Event::RequestCreate(create) => Some(document_text(&create.document)?),
        Event::Review(review) => Some(review.reason),
        _ => None,
    })
}

fn document_text(document: &chunk_wire::fetch::RequestDocument) -> Result<String, Error> {
    canonical_of(document).map_err(|fault| Error::new(Code::Internal, "The document does not serialise.").operator(fault))
}

/// The request; texts whose entries were erased are empty.
fn show(state: &State, request: &Request, words: &HashMap<u64, String>) -> Result<RequestView, Error> {
    let progress = Progress::of(state, request);
    let approvals = progress.counted().len();
    let from_log = |index: &u64| words.get(index).cloned().unwrap_or_default();
    Ok(RequestView {
        id: request.id.clone(),
        state: request.state,
        digest: request.digest.clone(),
        document: match &request.document {
            Some(document) => document_text(document)?,
            None => from_log(&request.index),
        },
        requester: request.requester.person.clone(),
        host: request.requester.client.host.clone(),
        ip: request.requester.ip.clone(),
        created_ms: request.created_ms,
        expires_ms: request.expires_ms,
        index: request.index,
        rows_estimated: request.rows_estimated,
        reviews: request
            .reviews
            .iter()
            .map(|r| ReviewView {
                verdict: r.verdict,
                reviewer: r.reviewer.person.clone(),
                reason: r.reason.as_deref().map_or_else(|| from_log(&r.index), str::to_owned),
                time_ms: r.time_ms,
                index: r.index,
                ssh_key: r.ssh_key.as_deref().map(str::to_owned),
            })
            .collect(),
        // What is used under a standing grant has been approved with it.
        approvals_missing: match request.under {
            Some(_) => 0,
            None => request.quorum.saturating_sub(u32::try_from(approvals).unwrap_or(u32::MAX)),
        },
        stages: match request.under {
            Some(_) => Vec::new(),
            None => progress.stages(),
        },
        escalated_ms: request.escalated.map(|(_, time_ms)| time_ms),
        break_glass: request.breakglass.is_some(),
        review_due: state.review_is_due(request),
        standing: standing::view(request),
        deliveries: request
            .deliveries
            .iter()
            .map(|d| {
                let outcome = d.outcome.as_ref();
                DeliveryView {
                    chunk: d.chunk,
                    intent: d.intent,
                    outcome: outcome.map(|(index, _)| *index),
                    end: outcome.map(|(_, o)| o.end.clone()),
                    rows: outcome.map_or(0, |(_, o)| o.rows),
                    bytes: outcome.map_or(0, |(_, o)| o.bytes),
                    sha256: outcome.and_then(|(_, o)| o.sha256.clone()),
                    recording: outcome
                        .and_then(|(_, o)| o.recording)
                        .map(|recording| recording.as_str().to_owned()),
                }
            })
            .collect(),
    })
}
