//! What leaves the log so that others can check it: bundles and receipts.

use chunk_evidence::bundle::LEVEL_MAX;
use chunk_log::journal::Urgency;
use chunk_wire::audit::ExportRequest;
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;

use super::filter::Filter;
use super::{query_value, record_read};
use crate::approval::{not_found, session_open};
use crate::authorize::{self, demand};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::evidence::proofs;
use crate::identity::Caller;
use crate::policy::{Action, Resource};

/// Makes a bundle that verifies offline. The export is recorded first; its own entry stands outside of the bundle.
///
/// # Errors
/// When policy does not let the caller export, or the log cannot be read or written.
pub async fn export(broker: &Broker, cx: &Context, caller: &Caller, request: ExportRequest) -> Result<Vec<u8>, Error> {
    demand(broker, cx, caller, Action::AuditExport, "exporting the evidence")?;
    let level = request.level.unwrap_or(LEVEL_MAX);
    if level > LEVEL_MAX {
        return Err(Error::new(Code::InvalidRequest, format!("Disclosure levels are 0 to {LEVEL_MAX}.")));
    }
    if request.seen.len() > SEEN_MAX {
        return Err(Error::new(
            Code::InvalidRequest,
            format!("A bundle meets at most {SEEN_MAX} checkpoints that were kept."),
        ));
    }
    let head = broker.log.published();
    let (from, to) = time_range(broker, head.state.size, request.from_ms, request.to_ms).await?;
    let filter = Filter::new(
        &head.state,
        request.user.as_deref(),
        request.dataset.as_deref(),
        request.request.as_deref(),
        None,
    );
    let asked = ExportRequest {
        user: filter.user(),
        ..request
    };
    let event = Event::AuditExport {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        query: query_value(&asked)?,
        from,
        to,
        level,
    };
    let session = caller.session().clone();
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            session_open(state, &session, now_ms)?;
            Ok(vec![event.clone()])
        })
        .await?;
    let described = filter.described();
    let seen = &asked.seen;
    proofs::bundle(broker, &head, from..to, seen, level, described.as_ref(), |entry| {
        filter.matches(entry)
    })
    .await
}

/// The receipt of a completed delivery: canonical JSON.
///
/// # Errors
/// When the request is not the caller's to see, or nothing was delivered.
pub async fn receipt(broker: &Broker, cx: &Context, caller: &Caller, id: &RequestId, chunk: u32) -> Result<String, Error> {
    let head = broker.log.published();
    let request = head.state.requests.get(id).ok_or_else(|| not_found(id))?;
    let own = request.actor == *caller.actor();
    if !own && !authorize::ask(broker, cx, caller, Action::AuditRead, &Resource::Broker).allowed {
        return Err(not_found(id));
    }
    if !own {
        record_read(broker, caller, serde_json::json!({ "receipt": id }), 1).await?;
    }
    proofs::receipt(broker, &head, request, chunk).await
}

async fn time_range(broker: &Broker, size: u64, from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(u64, u64), Error> {
    let from = match from_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => 0,
    };
    let to = match to_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => size,
    };
    if from >= to {
        return Err(Error::new(Code::InvalidRequest, "There is no entry in that time.").hint("run `chunkctl audit search`"));
    }
    Ok((from, to))
}

/// Times never go back in the log, so a binary search finds the place.
async fn first_at_or_after(broker: &Broker, size: u64, ms: i64) -> Result<u64, Error> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if broker.log.read_one(middle).await?.leaf.header.t < ms {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Kept checkpoints that one bundle meets.
const SEEN_MAX: usize = 16;
