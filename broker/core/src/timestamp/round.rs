//! Asking the authority whenever the log has grown, and believing its reply only where it answers the question.

use std::sync::Arc;
use std::time::Duration;

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::encode::sha256_hex;
use chunk_evidence::timestamp::{self, TOLERANCE_MS, Token};
use tokio::time::MissedTickBehavior;

use super::{Head, KeptStamp, TimestampMemory, TimestampPort, TimestampSettings};
use crate::anchor::{AnchorKind, Observed};
use crate::broker::Broker;
use crate::error::Error;
use crate::witness::{Contradiction, contradicted};

/// Takes up what was kept in earlier runs. A journal that does not begin with what was stamped was put back or rewritten.
///
/// # Errors
/// When the newest stamp or a head is of a tree that the journal does not hold.
pub(crate) fn recall(broker: &Broker, memory: TimestampMemory) -> Result<(), Error> {
    let stamps = &broker.timestamps;
    let Some((settings, _)) = &stamps.asks else { return Ok(()) };
    let mut sizes = memory.sizes;
    sizes.sort_unstable();
    sizes.dedup();
    let keys = broker.log_keys();
    let (held, rotated) = {
        let state = &broker.log.published().state;
        (state.size, state.rotated())
    };
    let newest = loop {
        let Some(size) = sizes.last().copied() else { break None };
        let newest = stamps.read(size);
        let newest = newest.filter(|newest| newest.checkpoint.verify(&keys).is_ok());
        if newest.is_some() || size <= held {
            break newest;
        }
        // Anybody can give a file a name. Believed, it would say that everything is stamped that will ever be.
        tracing::error!(
            size,
            held,
            "among the time stamps there is one of more entries than the log has that is none of this log; it is left out, and can be removed"
        );
        sizes.pop();
    };
    let observed = match newest {
        None => None,
        Some(newest) => {
            fits(broker, &newest.checkpoint)?;
            observed(&newest.checkpoint, &newest.token)
        }
    };
    let mut heads = Vec::new();
    for noted in memory.heads {
        let signed = SignedCheckpoint::parse(&noted.checkpoint).ok();
        if let Some(checkpoint) = signed.filter(|signed| signed.verify(&keys).is_ok()) {
            fits(broker, &checkpoint)?;
            // Bundles have no heads that an earlier key signed.
            if checkpoint.unverified().size < rotated {
                continue;
            }
            heads.push(Head {
                checkpoint: Arc::new(checkpoint),
                stamped: noted.stamped,
            });
        }
    }
    let mut known = stamps.known();
    // A broker that starts again and again does not ask more often for that.
    known.again_ms = observed
        .as_ref()
        .map_or(0, |newest| newest.time_ms.saturating_add(millis(settings.interval)));
    known.newest = observed;
    known.sizes = sizes;
    known.heads = heads;
    Ok(())
}

/// Asks the authority whenever the log has grown, until the broker stops.
pub(crate) async fn attend(broker: Arc<Broker>) {
    let Some((settings, port)) = broker.timestamps.asks.clone() else {
        return;
    };
    let mut tick = tokio::time::interval(settings.look_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = broker.stopping.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now_ms = broker.clock.now_ms();
        let Some(head) = due(&broker, now_ms) else { continue };
        let answer = tokio::select! {
            // An authority that does not answer must not hold up the stop.
            () = broker.stopping.cancelled() => return,
            answer = stamp(&broker, port.as_ref(), &head) => answer,
        };
        learn(&broker, &settings, answer);
    }
}

/// The checkpoint to stamp now, if there is one: it holds entries that no stamp covers, others than those that tell of stamps.
fn due(broker: &Broker, now_ms: i64) -> Option<SignedCheckpoint> {
    let published = broker.log.published();
    let stamped = {
        let known = broker.timestamps.known();
        if known.again_ms > now_ms {
            return None;
        }
        known.sizes.last().copied().unwrap_or(0).max(published.state.anchors.stamped)
    };
    let head = broker.witness.shown(&published.checkpoint, now_ms);
    (published.state.anchors.others > stamped && head.unverified().size > stamped).then_some(head)
}

/// Asks for a stamp, and keeps it.
async fn stamp(broker: &Broker, port: &dyn TimestampPort, head: &SignedCheckpoint) -> Result<Observed, String> {
    let text = head.unverified().to_text();
    let nonce = broker.random().map_err(|fault| fault.to_string())?;
    let reply = port.ask(timestamp::request(text.as_bytes(), nonce)).await?;
    let token = timestamp::read_reply(&reply, text.as_bytes(), nonce).map_err(|fault| fault.to_string())?;
    let observed = observed(head, &token).ok_or("its token cannot be read")?;
    let now_ms = broker.clock.now_ms().max(broker.log.published().state.last_ms);
    let off_ms = now_ms.abs_diff(observed.time_ms);
    if off_ms > TOLERANCE_MS.unsigned_abs() {
        return Err(format!(
            "its time is {} s away from this machine's: one of the two clocks is wrong, and such a stamp would contradict the log",
            off_ms / 1000
        ));
    }
    let size = head.unverified().size;
    let kept = KeptStamp {
        checkpoint: head.text().to_owned(),
        token,
    };
    port.keep(size, &kept).map_err(|why| format!("its stamp cannot be kept: {why}"))?;
    Ok(observed)
}

/// Notes what came of a question, and tells the operator when that has changed.
fn learn(broker: &Broker, settings: &TimestampSettings, answer: Result<Observed, String>) {
    let now_ms = broker.clock.now_ms();
    let interval_ms = millis(settings.interval);
    let mut known = broker.timestamps.known();
    match answer {
        Ok(observed) => {
            if known.failures > 0 {
                tracing::info!("the time-stamp authority stamps the evidence log again");
            }
            known.failures = 0;
            known.again_ms = now_ms.saturating_add(interval_ms);
            known.sizes.push(observed.size);
            known.newest = Some(observed);
        }
        Err(why) => {
            if known.failures == 0 {
                tracing::error!(
                    why,
                    "the time-stamp authority did not stamp the evidence log; everything else goes on, and it is asked again"
                );
            }
            known.failures = known.failures.saturating_add(1);
            let wait_ms = FIRST_WAIT_MS << known.failures.saturating_sub(1).min(BACK_OFF_STEPS_MAX);
            known.again_ms = now_ms.saturating_add(wait_ms.min(interval_ms));
        }
    }
}

/// What an entry says about a stamp.
fn observed(checkpoint: &SignedCheckpoint, token: &[u8]) -> Option<Observed> {
    let says = checkpoint.unverified();
    Some(Observed {
        kind: AnchorKind::Rfc3161,
        size: says.size,
        root: says.root,
        sha256: sha256_hex(token),
        time_ms: Token::parse_stored(token).ok()?.time_ms(),
    })
}

/// Checks that the journal begins with the tree of a checkpoint.
fn fits(broker: &Broker, checkpoint: &SignedCheckpoint) -> Result<(), Error> {
    let says = checkpoint.unverified();
    let (seen, held) = (says.size, broker.log.published().state.size);
    if seen > held {
        return Err(contradicted(NOTE, Contradiction::Ahead { seen, held }));
    }
    match broker.log.with_tree(|tree| tree.root(seen)) {
        Some(root) if root == says.root => Ok(()),
        _ => Err(contradicted(NOTE, Contradiction::Forked { seen, held })),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Who says so when it is a stamp or a head that the broker kept.
const NOTE: &str = "By the time stamps beside the journal, somebody outside";
/// The pause after the first failure; it doubles with every further one, and is never longer than the interval.
const FIRST_WAIT_MS: i64 = 5_000;
/// Failures after which the pause grows no more.
const BACK_OFF_STEPS_MAX: u32 = 15;
