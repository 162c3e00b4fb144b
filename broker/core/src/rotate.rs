//! Puts another key in the place of the log's: an entry that both keys have signed, while no broker runs.
//!
//! That entry is the whole of it. Before it is durable nothing has happened; once it is, the new key is the log's, whatever else was
//! done or not, and the next broker signs with it.

use std::sync::Arc;

use chunk_evidence::rotation::ROTATIONS_MAX;
use chunk_log::data_keys::DataKeys;
use chunk_log::journal::{Journal, Urgency};
use chunk_log::signer::LogSigner;
use chunk_wire::problem::Code;

use crate::clock::Clock;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::evidence::log::Log;
use crate::state::State;
use crate::witness::{Witnessing, would_follow};

/// What a rotation is made of.
pub struct RotateParts {
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Journal, opened, held by this process alone.
    pub journal: Box<dyn Journal>,
    /// Keys under which bodies are sealed.
    pub data_keys: DataKeys,
    /// The log's key.
    pub signer: LogSigner,
    /// The key that takes its place.
    pub successor: LogSigner,
    /// Witnesses of the log, where some are configured: all of them must know the new key.
    pub witness: Option<Witnessing>,
}

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The entry of this index says so.
    Now(u64),
    /// The log said so already: an earlier try was cut short after it had written the entry.
    Before,
}

/// Records that the successor takes the signer's place.
///
/// # Errors
/// When the log is another's or has not begun, a witness would not follow, or the log cannot be read or written.
pub async fn rotate(parts: RotateParts) -> Result<Rotated, Error> {
    let (old, new) = (parts.signer, Arc::new(parts.successor));
    // What is signed from here on is signed by the new key: the question to the witnesses, and the checkpoint with the entry.
    let chosen = Arc::clone(&new);
    let (log, _) = Log::open(parts.journal, parts.data_keys, |_| chosen, parts.clock)
        .map_err(|fault| Error::new(Code::EvidenceUnavailable, "The evidence log cannot be opened.").operator(fault))?;
    {
        let state = &log.published().state;
        if state.log_key().as_deref() == Some(new.vkey().as_str()) {
            return Ok(Rotated::Before);
        }
        may_follow(state, &old, &new)?;
    }
    if let Some(witnessing) = &parts.witness {
        would_follow(&log, witnessing).await?;
    }
    let rotation = old
        .replaced_by(&new)
        .map_err(|fault| Error::new(Code::Internal, "The two keys cannot sign that one replaces the other.").operator(fault))?;
    let decide = move |state: &State, _: i64| may_follow(state, &old, &new).map(|()| vec![Event::KeyRotate(rotation)]);
    let committed = log.commit(Urgency::Normal, decide).await?;
    Ok(Rotated::Now(committed.events.start))
}

/// Whether the one is the log's key and the other can take its place.
fn may_follow(state: &State, old: &LogSigner, new: &LogSigner) -> Result<(), Error> {
    let refused = |what: String| Error::new(Code::WrongState, what);
    let Some(begun) = &state.genesis else {
        return Err(refused("The log has not begun, so its key cannot be replaced.".to_owned()).hint("start the broker once"));
    };
    let (log_key, ours) = (state.log_key().unwrap_or_default(), old.vkey());
    if begun.origin != old.origin() || begun.origin != new.origin() || log_key != ours {
        let what = format!(
            "The evidence log is `{}` with the key `{log_key}`, and the key to replace is `{ours}`.",
            begun.origin
        );
        return Err(refused(what).hint("use the data directory and the log key that belong together"));
    }
    if state.log_keys().contains(new.verifier()) {
        return Err(refused(format!("The log had the key `{}` before; no key comes back.", new.vkey())));
    }
    if state.rotations.len() >= ROTATIONS_MAX {
        return Err(refused(format!(
            "The key was replaced {ROTATIONS_MAX} times, and every proof carries them all: this log keeps its key."
        )));
    }
    Ok(())
}
