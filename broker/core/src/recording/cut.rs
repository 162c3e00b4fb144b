//! What a crash left of recordings: each is cut back to what the log can vouch for, and ended there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chunk_log::data_keys::DataKeys;

use super::sealed::Opener;
use super::{Keep, Recording, RecordingError, RecordingName, Recordings, off_thread};
use crate::broker::Broker;
use crate::error::{Error, chain};
use crate::evidence::log::unavailable;

/// Cuts the recordings of deliveries that a crash interrupted back to the newest durable progress; what became of each, by
/// intent. To be called before the outcomes of those deliveries are recorded.
///
/// # Errors
/// Never because of a recording: what cannot be kept has failed. When a thread fails.
pub(crate) async fn cut_to_progress(broker: &Broker) -> Result<BTreeMap<u64, Recording>, Error> {
    let published = broker.log.published();
    let datasets = &broker.settings.catalog.datasets;
    let mut left = Vec::new();
    for (intent, open) in &published.state.open_intents {
        let names = &open.intent.datasets;
        let asked = names
            .iter()
            .any(|name| datasets.get(name).is_some_and(|d| d.recording == Keep::Content));
        left.push((RecordingName::of(*intent, open.time_ms), open.bytes, asked));
    }
    let (store, data_keys) = (Arc::clone(&broker.recordings), broker.log.data_keys());
    let cut = move || {
        let mut cut = BTreeMap::new();
        for (name, bytes, asked) in left {
            let intent = name.intent;
            let recording = match cut_one(store.as_ref(), &data_keys, &name, bytes) {
                Ok(()) => Recording::Kept,
                // Nothing was to be kept, or the broker died before the first byte could leave.
                Err(RecordingError::File(fault)) if fault.kind() == io::ErrorKind::NotFound && !asked => continue,
                Err(fault) => {
                    tracing::warn!(intent, error = %chain(&fault), "of a delivery that was interrupted the content is not kept");
                    Recording::Failed
                }
            };
            cut.insert(intent, recording);
        }
        Ok(cut)
    };
    off_thread(cut).await.map_err(|fault| unavailable(&chain(&fault)))
}

/// Blocks end where frames did, and progress counts whole frames.
fn cut_one(store: &dyn Recordings, data_keys: &DataKeys, name: &RecordingName, bytes: u64) -> Result<(), RecordingError> {
    let mut opener = Opener::begin(data_keys, store.open(name)?, name.intent)?;
    let mut found = 0;
    while found < bytes {
        let block = opener
            .next()?
            .ok_or(RecordingError::Damaged("it ends before what the log says has left"))?;
        found += block.len() as u64;
    }
    if found != bytes {
        return Err(RecordingError::Damaged("its blocks do not end where the log says"));
    }
    let mut file = store.resume(name, opener.at())?;
    file.append(&opener.into_sealer().end()?)?;
    file.sync()?;
    Ok(())
}
