//! A request as those who may see it see it.

use chunk_wire::fetch::{DeliveryView, RequestView};
use chunk_wire::review::ReviewView;

use super::approves;
use crate::state::Request;

/// The request on the wire.
pub(crate) fn view(request: &Request) -> RequestView {
    let approvals = request.reviews.iter().filter(|r| approves(r.verdict)).count();
    RequestView {
        id: request.id.clone(),
        state: request.state,
        digest: request.digest.clone(),
        document: request.document_text.to_string(),
        requester: request.person.clone(),
        host: request.client.host.clone(),
        ip: request.ip.clone(),
        created_ms: request.created_ms,
        expires_ms: request.expires_ms,
        index: request.index,
        rows_estimated: request.rows_estimated,
        reviews: request
            .reviews
            .iter()
            .map(|r| ReviewView {
                verdict: r.verdict,
                reviewer: r.person.clone(),
                reason: r.reason.clone(),
                time_ms: r.time_ms,
                index: r.index,
            })
            .collect(),
        approvals_missing: request.document.quorum.saturating_sub(u32::try_from(approvals).unwrap_or(u32::MAX)),
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
                }
            })
            .collect(),
    }
}
