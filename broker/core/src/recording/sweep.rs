//! Removing the files of recordings that the log does not speak of, or no longer.

use std::collections::BTreeSet;
use std::sync::Arc;

use chunk_wire::problem::Code;

use super::{RecordingError, RecordingName, off_thread};
use crate::broker::Broker;
use crate::error::{Error, chain};

/// Removes every recording that belongs to nobody: those of people who were erased, those that have been kept for long enough,
/// and what is left of those that failed. Gives how many there were.
///
/// # Errors
/// When they cannot be listed, or one cannot be removed.
pub(crate) async fn sweep(broker: &Broker) -> Result<u64, Error> {
    let store = Arc::clone(&broker.recordings);
    // First the files, then the state: a file that is there was made after its intent was published.
    let listed = off_thread(move || Ok(store.list()?)).await;
    let listed = listed.map_err(|fault| unusable(&fault))?;
    let published = broker.log.published();
    let state = &published.state;
    let running = state
        .open_intents
        .iter()
        .map(|(intent, open)| RecordingName::of(*intent, open.time_ms));
    let kept = state
        .recordings
        .iter()
        .map(|(intent, kept)| RecordingName::of(*intent, kept.time_ms));
    let ours: BTreeSet<_> = running.chain(kept).collect();
    remove(broker, listed.into_iter().filter(|name| !ours.contains(name)).collect()).await
}

/// Removes these recordings; gives how many there were.
///
/// # Errors
/// When one cannot be removed.
pub(crate) async fn remove(broker: &Broker, names: Vec<RecordingName>) -> Result<u64, Error> {
    let store = Arc::clone(&broker.recordings);
    let remove = move || {
        let mut removed = 0;
        for name in &names {
            removed += u64::from(store.remove(name)?);
        }
        Ok(removed)
    };
    off_thread(remove).await.map_err(|fault| unusable(&fault))
}

fn unusable(fault: &RecordingError) -> Error {
    Error::new(Code::Unavailable, "Recordings that have to go cannot be removed.")
        .hint("ask the operator to look at the files below `recordings`")
        .operator(chain(fault))
}
