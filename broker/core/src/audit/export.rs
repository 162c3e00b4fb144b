//! What leaves the log so that others can check it: bundles and receipts.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{self, Poll};

use bytes::Bytes;
use chunk_evidence::bundle::{Bundle, LEVEL_MAX, Spool};
use chunk_log::journal::Urgency;
use chunk_wire::audit::ExportRequest;
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;
use futures::Stream;
use tokio::sync::mpsc;

use super::filter::Filter;
use super::{first_at_or_after, query_value, record_read};
use crate::approval::{not_found, session_open};
use crate::authorize::{self, demand};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence;
use crate::evidence::bundle::Wanted;
use crate::evidence::entries::Event;
use crate::evidence::proofs;
use crate::identity::Caller;
use crate::policy::{Action, Resource};

/// A bundle, complete, on its way out.
pub struct Export {
    /// Bytes there are.
    pub length: u64,
    parts: mpsc::Receiver<io::Result<Bytes>>,
}

impl Stream for Export {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.parts.poll_recv(cx)
    }
}

impl Export {
    /// All of it.
    #[cfg(test)]
    pub(crate) async fn into_bytes(self) -> io::Result<Vec<u8>> {
        use futures::TryStreamExt as _;
        let length = self.length;
        let parts: Vec<Bytes> = self.try_collect().await?;
        let bytes = parts.concat();
        assert_eq!(bytes.len() as u64, length);
        Ok(bytes)
    }

    /// Reads a bundle on a thread of its own, as fast as it is taken.
    fn of(mut bundle: Bundle<impl Spool + Send + 'static>) -> Self {
        let (out, parts) = mpsc::channel(PARTS_IN_FLIGHT_MAX);
        let length = bundle.length();
        tokio::task::spawn_blocking(move || {
            loop {
                let mut part = vec![0; PART_BYTES];
                let read = match bundle.read(&mut part) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(fault) => return drop(out.blocking_send(Err(fault))),
                };
                part.truncate(read);
                // Whoever asked may be gone.
                if out.blocking_send(Ok(part.into())).is_err() {
                    break;
                }
            }
        });
        Self { length, parts }
    }
}

/// Makes a bundle that verifies offline. The export is recorded first; its own entry stands outside of the bundle.
///
/// # Errors
/// When policy does not let the caller export, or the log cannot be read or written.
pub async fn export(broker: &Broker, cx: &Context, caller: &Caller, request: ExportRequest) -> Result<Export, Error> {
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
    let wanted = Wanted {
        range: from..to,
        seen: asked.seen,
        level,
        views: asked.views,
        filter: filter.stated(),
    };
    Ok(Export::of(evidence::bundle::write(broker, &head, wanted).await?))
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

/// Bytes sent at a time.
const PART_BYTES: usize = 64 * 1024;
/// Parts that wait to be sent.
const PARTS_IN_FLIGHT_MAX: usize = 4;
/// Kept checkpoints that one bundle meets.
const SEEN_MAX: usize = 16;
