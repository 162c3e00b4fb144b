//! Asking: at the start, and whenever the log has grown.

use std::sync::Arc;

use async_trait::async_trait;
use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_wire::problem::Code;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::MissedTickBehavior;

use super::ask::{self, Meaning};
use super::{Contradiction, Known, OnLost, Standing, View, Witness, WitnessSettings, Witnesses, Witnessing, quorum_time_ms, standing};
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::log::Log;

/// The way to the witnesses, and to the file in which the broker notes what they vouched for.
#[async_trait]
pub trait WitnessPort: Send + Sync {
    /// Sends this body to the witness of this name: status and body of its answer, within a bounded time. An error says why there
    /// was no answer, for the operator.
    async fn add_checkpoint(&self, witness: &str, body: String) -> Result<(u16, String), String>;

    /// Notes the newest checkpoint that a quorum vouched for.
    ///
    /// # Errors
    /// When it cannot be written; said to the operator, and nothing else comes of it.
    fn note_newest(&self, checkpoint: &str) -> Result<(), String>;

    /// Notes a checkpoint that has become the head of a bundle, beside those noted before.
    ///
    /// # Errors
    /// As [`WitnessPort::note_newest`].
    fn note_head(&self, checkpoint: &str) -> Result<(), String>;
}

/// What was noted in earlier runs.
#[derive(Debug, Clone, Default)]
pub struct WitnessMemory {
    /// The newest checkpoint that a quorum vouched for.
    pub newest: Option<String>,
    /// Heads of bundles.
    pub heads: Vec<String>,
}

/// Before anything is recorded: asks every witness whether the journal is the log it knows.
///
/// # Errors
/// When one has seen more of the log, or another log; or when this broker noted itself that one had.
pub(crate) async fn meet(broker: &Broker, port: &dyn WitnessPort, memory: WitnessMemory) -> Result<(), Error> {
    let Some(settings) = &broker.witness.settings else { return Ok(()) };
    recall(broker, memory)?;
    round(broker, port).await;
    match broker.witness.standing(broker.clock.now_ms()) {
        Standing::Contradicted { witness, says } => Err(contradicted(&format!("Witness `{witness}`"), says)),
        _ => {
            let up = broker.witness.known().views.iter().filter(|view| view.up).count();
            if up < settings.quorum {
                tracing::error!(
                    answered = up,
                    quorum = settings.quorum,
                    "too few witnesses vouch for the evidence log; it is not known whether they have seen more of it"
                );
            }
            Ok(())
        }
    }
}

/// Whether every witness would vouch for the log under the key that signed this head, a new one: whoever does not would be lost with
/// the rotation, and nothing would be released any more once it is.
///
/// # Errors
/// When one of them does not, or contradicts the log.
pub(crate) async fn would_follow(log: &Log, witnessing: &Witnessing) -> Result<(), Error> {
    let head = log.published().checkpoint.clone();
    for witness in &witnessing.settings.witnesses {
        let why = match question(log, witnessing.port.as_ref(), witness, None, &head).await {
            Meaning::Cosigned(_) => continue,
            Meaning::Contradicts(says) => return Err(contradicted(&format!("Witness `{}`", witness.name), says)),
            Meaning::Refused(why) => why,
            // It was asked again from there already.
            Meaning::AskFrom(size) => format!("it wants to be asked from entry {size}"),
        };
        return Err(Error::new(
            Code::EvidenceUnavailable,
            format!("Witness `{}` would not follow: {why}.", witness.name),
        )
        .hint("have it started with both keys of the log, `chunkctl witness serve --log OLD --log NEW`, then try again"));
    }
    Ok(())
}

/// Asks the witnesses whenever the log has grown, until the broker stops.
pub(crate) async fn attend(broker: Arc<Broker>, port: Arc<dyn WitnessPort>) {
    let Some(settings) = broker.witness.settings.clone() else { return };
    let mut tick = tokio::time::interval(settings.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heads_noted = broker.witness.known().heads.len();
    loop {
        tokio::select! {
            () = broker.stopping.cancelled() => return,
            () = broker.witness.nudge.notified() => {}
            _ = tick.tick() => {}
        }
        let now_ms = broker.clock.now_ms();
        let size = broker.log.published().state.size;
        let due = is_due(&settings, &broker.witness.known(), size, now_ms);
        if due {
            tokio::select! {
                // A witness that does not answer must not hold up the stop.
                () = broker.stopping.cancelled() => return,
                () = round(&broker, port.as_ref()) => {}
            }
        }
        tell(&broker.witness, &settings, broker.clock.now_ms());
        let heads: Vec<_> = broker.witness.known().heads.iter().skip(heads_noted).cloned().collect();
        heads_noted += heads.len();
        for head in heads {
            note(port.note_head(head.text()));
        }
    }
}

/// Whether the witnesses are to be asked now: for what they have not seen, and from time to time whether they are still there.
fn is_due(settings: &WitnessSettings, known: &Known, size: u64, now_ms: i64) -> bool {
    let cosigned = known.newest.as_ref().map(|newest| newest.unverified().size);
    let anybody = known.views.iter().any(|view| view.again_ms <= now_ms);
    let behind = cosigned.is_none_or(|cosigned| cosigned < size);
    let missing = known.views.iter().any(|view| view.size != Some(size) && view.again_ms <= now_ms);
    let old = now_ms.saturating_sub(known.quorum_ms) >= settings.max_age_ms / REFRESH_PER_AGE;
    anybody && (behind || missing || old)
}

/// One question to every witness that is to be asked, all at once.
async fn round(broker: &Broker, port: &dyn WitnessPort) {
    let Some(settings) = &broker.witness.settings else { return };
    let now_ms = broker.clock.now_ms();
    let head = broker.log.published().checkpoint.clone();
    let asked: Vec<(usize, Option<u64>)> = {
        let known = broker.witness.known();
        let asked = known.views.iter().enumerate().filter(|(_, view)| view.again_ms <= now_ms);
        asked.map(|(n, view)| (n, view.size)).collect()
    };
    let mut answers: FuturesUnordered<_> = asked
        .into_iter()
        .filter_map(|(n, size)| Some((n, size, settings.witnesses.get(n)?)))
        .map(|(n, size, witness)| {
            let head = &head;
            async move { (n, question(&broker.log, port, witness, size, head).await) }
        })
        .collect();
    let mut vouched: Vec<(usize, String)> = Vec::new();
    while let Some((n, meaning)) = answers.next().await {
        if let (Some(witness), Some(view)) = (settings.witnesses.get(n), broker.witness.known().views.get_mut(n)) {
            learn(witness, view, &meaning, head.unverified().size, now_ms);
        }
        if let Meaning::Cosigned(lines) = meaning {
            vouched.push((n, lines));
            // As soon as there are enough, and again with every one more.
            if vouched.len() >= settings.quorum {
                publish(&broker.witness, port, &head, &mut vouched, now_ms);
            }
        }
    }
}

/// Asks one witness, and once more from where it says it is.
async fn question(log: &Log, port: &dyn WitnessPort, witness: &Witness, size: Option<u64>, head: &SignedCheckpoint) -> Meaning {
    let held = head.unverified().size;
    let mut old = size.unwrap_or(held).min(held);
    for _ in 0..QUESTIONS_MAX {
        let Some(proof) = log.with_tree(|tree| tree.consistency(old, held)) else {
            return Meaning::Refused("the tree does not reach the head".to_owned());
        };
        match port.add_checkpoint(&witness.name, ask::body(old, &proof, head)).await {
            Err(why) => return Meaning::Refused(why),
            Ok((status, body)) => match ask::read(&witness.key, head, old, status, &body) {
                Meaning::AskFrom(seen) => old = seen,
                meaning => return meaning,
            },
        }
    }
    Meaning::Refused("it changes its mind about the size it has seen; does another broker write this log?".to_owned())
}

/// Notes what an answer says about its witness, and tells the operator when that has changed.
fn learn(witness: &Witness, view: &mut View, meaning: &Meaning, held: u64, now_ms: i64) {
    let name = &witness.name;
    match meaning {
        Meaning::Cosigned(_) => {
            if view.failures > 0 {
                tracing::info!(witness = name, "the witness vouches again");
            }
            *view = View {
                size: Some(held),
                up: true,
                ..View::default()
            };
            return;
        }
        Meaning::Contradicts(says) => {
            if view.contradiction != Some(*says) {
                tracing::error!(
                    witness = name,
                    "the witness contradicts the evidence log: {says}; nothing new is released"
                );
            }
            view.contradiction = Some(*says);
        }
        Meaning::Refused(why) => {
            if view.failures == 0 {
                tracing::warn!(
                    witness = name,
                    why,
                    "the witness does not vouch for the evidence log; it is asked again"
                );
            }
        }
        Meaning::AskFrom(_) => {}
    }
    view.up = false;
    view.failures = view.failures.saturating_add(1);
    let wait_s = 1_i64.checked_shl(view.failures.min(BACK_OFF_STEPS_MAX)).unwrap_or(1);
    view.again_ms = now_ms.saturating_add(wait_s.saturating_mul(500));
}

/// Makes a checkpoint with its cosignatures the newest.
fn publish(witnesses: &Witnesses, port: &dyn WitnessPort, head: &SignedCheckpoint, vouched: &mut [(usize, String)], now_ms: i64) {
    vouched.sort_unstable();
    let lines: String = vouched.iter().map(|(_, lines)| lines.as_str()).collect();
    let Ok(cosigned) = head.with_lines(&lines) else { return };
    let size = cosigned.unverified().size;
    {
        let mut known = witnesses.known();
        if known.newest.as_ref().is_some_and(|newest| newest.unverified().size > size) {
            return;
        }
        known.newest = Some(Arc::new(cosigned.clone()));
        known.quorum_ms = known.quorum_ms.max(now_ms);
    }
    witnesses.cosigned.send_modify(|newest| *newest = size);
    note(port.note_newest(cosigned.text()));
}

fn note(noted: Result<(), String>) {
    if let Err(why) = noted {
        tracing::error!(
            error = why,
            "what the witnesses vouched for could not be noted; nothing else comes of it"
        );
    }
}

/// Takes up what was noted in earlier runs, as far as it is signed by witnesses that are still believed.
fn recall(broker: &Broker, memory: WitnessMemory) -> Result<(), Error> {
    let Some(policy) = broker.witness.policy() else { return Ok(()) };
    let keys = broker.log_keys();
    let believed = |text: &str| {
        let signed = SignedCheckpoint::parse(text).ok()?;
        signed.verify(&keys).ok()?;
        Some((quorum_time_ms(&policy, &signed)?, signed))
    };
    let held = broker.log.published().state.size;
    let fits = |signed: &SignedCheckpoint| {
        let noted = signed.unverified();
        let seen = noted.size;
        if seen > held {
            return Err(contradicted(NOTE, Contradiction::Ahead { seen, held }));
        }
        match broker.log.with_tree(|tree| tree.root(seen)) {
            Some(root) if root == noted.root => Ok(()),
            _ => Err(contradicted(NOTE, Contradiction::Forked { seen, held })),
        }
    };
    let newest = memory.newest.as_deref().and_then(believed);
    if let Some((_, signed)) = &newest {
        fits(signed)?;
    }
    let mut heads = Vec::new();
    for (_, head) in memory.heads.iter().filter_map(|head| believed(head)) {
        fits(&head)?;
        heads.push(Arc::new(head));
    }
    // What an earlier key signed tells what others have seen; it is shown to nobody as the log's newest any more.
    let rotated = broker.log.published().state.rotated();
    let current = |signed: &SignedCheckpoint| signed.unverified().size >= rotated;
    heads.retain(|head| current(head));
    let mut known = broker.witness.known();
    known.heads = heads;
    if let Some((time_ms, signed)) = newest {
        known.quorum_ms = time_ms.min(known.quorum_ms);
        if !current(&signed) {
            return Ok(());
        }
        broker.witness.cosigned.send_modify(|size| *size = signed.unverified().size);
        known.newest = Some(Arc::new(signed));
    }
    Ok(())
}

/// That somebody has seen more of the log than there is, or another.
pub(crate) fn contradicted(who: &str, says: Contradiction) -> Error {
    let (what, next) = match says {
        Contradiction::Ahead { seen, held } => (
            format!(
                "{who} has vouched for {seen} entries of this log, and the journal holds {held}: a copy from before was put in its place, or entries were removed."
            ),
            "put the newest copy of the data folder back; if it is lost, `chunk-broker init` begins a new log, and this one can only be read",
        ),
        Contradiction::Forked { seen, held } => (
            format!(
                "{who} has vouched for {seen} entries of this log that are not the ones this journal begins with; it holds {held}: the log was continued in two places, or rewritten."
            ),
            "put the data folder back whose history the witness knows, and keep this one for whoever oversees the evidence",
        ),
    };
    Error::new(Code::EvidenceUnavailable, what).hint(next)
}

/// Says once that the broker is on its own, and once that it is not any more.
fn tell(witnesses: &Witnesses, settings: &WitnessSettings, now_ms: i64) {
    let mut known = witnesses.known();
    let lost = match standing(settings, &known, now_ms) {
        Standing::Lost { age_s } => Some(age_s),
        _ => None,
    };
    match (lost, known.told_lost) {
        (Some(age_s), false) => {
            let comes = match settings.on_lost {
                OnLost::Refuse => "nothing new is released until one does",
                OnLost::Warn => "`witness.on_lost` is `warn`, so the broker goes on",
            };
            tracing::error!(
                age_s,
                quorum = settings.quorum,
                "no quorum of witnesses vouches for the evidence log; {comes}"
            );
        }
        (None, true) => tracing::info!("a quorum of witnesses vouches for the evidence log again"),
        _ => return,
    }
    known.told_lost = lost.is_some();
}

/// Who says so when it is the broker's own note.
const NOTE: &str = "By the broker's own note, a quorum of witnesses";
/// A witness is asked this often about one head.
const QUESTIONS_MAX: usize = 3;
/// So often within the longest time without a quorum is it seen whether the witnesses are still there.
const REFRESH_PER_AGE: i64 = 3;
/// Failures after which the pause grows no more: 2^7 halves of a second.
const BACK_OFF_STEPS_MAX: u32 = 7;
