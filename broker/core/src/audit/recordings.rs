//! What a delivery returned, byte for byte, where that was kept.

use std::sync::Arc;

use chunk_evidence::leaf::Kind;
use chunk_wire::problem::Code;

use super::record_read;
use crate::authorize::{demand, demand_of};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::{Error, chain};
use crate::evidence::entries::Event;
use crate::evidence::log::Opened;
use crate::identity::Caller;
use crate::limits::REPLAYS_RUNNING_MAX;
use crate::policy::Action;
use crate::recording::{self, Recording, RecordingError, RecordingName, Replay, Told, Watch};
use crate::state::State;

/// The recorded content of the delivery under this intent. That it was read is an entry, durable before a byte leaves.
///
/// # Errors
/// When policy does not let the caller read the evidence or the content of a dataset, nothing was recorded or it is gone, too many
/// recordings are being read, or the log cannot be read or written.
pub async fn recording(broker: &Arc<Broker>, cx: &Context, caller: &Caller, intent: u64) -> Result<Replay, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading what was delivered")?;
    let published = broker.log.published();
    let Some(kept) = published.state.recordings.get(&intent) else {
        return Err(missing(broker, &published.state, intent).await?);
    };
    let told = broker.log.read_at(vec![intent, kept.outcome]).await?;
    let told: Vec<_> = told.iter().map(Opened::event).collect();
    let [Some(Event::Intent(delivery)), Some(Event::Outcome(outcome))] = told.as_slice() else {
        return Err(gone(intent));
    };
    for name in &delivery.datasets {
        may_read(broker, cx, caller, name)?;
    }
    let told = Told {
        bytes: outcome.bytes,
        sha256: outcome.sha256.clone(),
    };
    let Ok(slot) = Arc::clone(&broker.replay_slots).try_acquire_owned() else {
        return Err(Error::new(
            Code::RateLimited,
            format!("{REPLAYS_RUNNING_MAX} recordings are being read already, and no more are at once."),
        )
        .hint("try again when one of them has ended"));
    };
    let (store, data_keys) = (Arc::clone(&broker.recordings), broker.log.data_keys());
    let name = RecordingName::of(intent, kept.time_ms);
    let found = tokio::task::spawn_blocking(move || recording::find(store.as_ref(), &data_keys, &name)).await;
    let found = found.unwrap_or(Err(RecordingError::Thread)).map_err(|fault| match fault {
        RecordingError::Erased => gone(intent),
        fault => Error::new(Code::Internal, format!("The recording of delivery {intent} cannot be read."))
            .hint("ask the operator to look at the broker's log, and at the files below `recordings`")
            .operator(chain(&fault)),
    })?;
    // It is data that leaves, as in a delivery.
    broker.ready()?;
    record_read(broker, caller, serde_json::json!({ "recording": intent }), 1).await?;
    Ok(found.replay(told, Watch::new(broker, caller, intent), slot))
}

/// Content is data: policy is asked about each dataset it came from, as when it is fetched.
fn may_read(broker: &Broker, cx: &Context, caller: &Caller, name: &str) -> Result<(), Error> {
    let Some(dataset) = broker.settings.catalog.datasets.get(name) else {
        return Err(Error::new(
            Code::Denied,
            format!("Dataset `{name}` is not configured any more, so policy cannot say who may read what was recorded of it."),
        )
        .hint("ask the operator to configure the dataset again, with the labels that it had"));
    };
    let what = format!("reading what was recorded of dataset `{name}`");
    demand_of(&dataset.resource(), broker, cx, caller, Action::AuditRead, &what)
}

/// Why there is no recording.
async fn missing(broker: &Broker, state: &State, intent: u64) -> Result<Error, Error> {
    let none = |why: &str| Error::new(Code::NotFound, format!("There is no recording of delivery {intent}: {why}."));
    if state.open_intents.contains_key(&intent) {
        return Ok(Error::new(Code::WrongState, format!("Delivery {intent} has not ended.")).hint("try again when it has"));
    }
    let entry = match broker.log.read_one(intent).await {
        Ok(entry) if entry.leaf.header.kind == Kind::FetchIntent => entry,
        Ok(_) => return Ok(none("that entry is no intent").hint("run `chunkctl sessions show SESSION`")),
        Err(fault) if fault.code == Code::NotFound => return Ok(none("there is no such entry").hint("run `chunkctl sessions list`")),
        Err(fault) => return Err(fault),
    };
    let Some(Event::Intent(read)) = entry.event() else {
        return Ok(gone(intent));
    };
    let deliveries = state
        .requests
        .get(&read.request)
        .map(|request| request.deliveries.as_slice())
        .unwrap_or_default();
    let delivered = deliveries.iter().find(|delivered| delivered.intent == intent);
    let recording = delivered
        .and_then(|delivered| delivered.outcome.as_ref())
        .and_then(|(_, ended)| ended.recording);
    Ok(match recording {
        Some(Recording::Failed) => none("it could not be written"),
        Some(Recording::Kept) => gone(intent),
        None => none("of its datasets only sizes and digests are recorded")
            .hint("`recording = \"content\"` of a dataset keeps the content from then on"),
    })
}

fn gone(intent: u64) -> Error {
    Error::new(
        Code::NotFound,
        format!("There is no recording of delivery {intent} any more: it was erased, or kept for as long as it had to be."),
    )
}
