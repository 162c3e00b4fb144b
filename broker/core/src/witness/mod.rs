//! Whether anybody else has seen the log: witnesses cosign its checkpoints, and without them nothing new is released.
//!
//! A witness stands outside the operator's reach and remembers the largest tree it vouched for. So the operator cannot cut the
//! log or rewrite it: at the next question the witness says no. The broker asks after commits, off the writer's path; what is
//! decided here is plain: what to ask ([`ask`]), what an answer means, and whether a release may start ([`Standing`]).
//!
//! If the broker went on without witnesses for long, an operator could rewrite what was released meanwhile. If it stopped at
//! once, a witness that restarts would stop everybody's work. [`WitnessSettings::max_age_ms`] is the bound in between.

mod ask;
mod round;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::cosignature::{WitnessPolicy, Witnessed};
use chunk_evidence::encode::sha256_hex;
use chunk_wire::problem::Code;
use tokio::sync::{Notify, watch};

use crate::anchor::{AnchorKind, Observed};
use crate::error::Error;

pub use chunk_evidence::cosignature::WitnessKey;
pub use round::{WitnessMemory, WitnessPort};
pub(crate) use round::{attend, contradicted, meet, would_follow};

/// Witnesses, and what the broker does without them.
#[derive(Debug, Clone)]
pub struct WitnessSettings {
    /// Who is asked; at least as many as the quorum.
    pub witnesses: Vec<Witness>,
    /// How many must vouch for a checkpoint.
    pub quorum: usize,
    /// Without a quorum for longer than this, the broker is on its own.
    pub max_age_ms: i64,
    /// What happens then.
    pub on_lost: OnLost,
    /// How often it is looked whether the log has grown.
    pub interval: Duration,
}

/// Witnesses, the way to them, and what is remembered of them.
pub struct Witnessing {
    /// Who they are.
    pub settings: WitnessSettings,
    /// The way to them.
    pub port: Arc<dyn WitnessPort>,
    /// What earlier runs noted.
    pub memory: WitnessMemory,
}

/// One witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Name in configuration.
    pub name: String,
    /// Key under which it cosigns.
    pub key: WitnessKey,
}

/// What a broker does that no quorum of witnesses vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLost {
    /// It releases nothing new.
    Refuse,
    /// It says so and goes on.
    Warn,
}

/// Whether a release may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody is to be asked.
    Off,
    /// A quorum vouched for the log not long ago.
    Good,
    /// None has for this long.
    Lost {
        /// Seconds since a quorum vouched for the log, or since this broker began to ask.
        age_s: u64,
    },
    /// A witness has seen another history, or more of it.
    Contradicted {
        /// Its name in configuration.
        witness: String,
        /// What it says.
        says: Contradiction,
    },
}

/// What a witness knows that cannot be true of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// It vouched for a larger tree than there is.
    Ahead {
        /// Entries of the tree it vouched for.
        seen: u64,
        /// Entries there are.
        held: u64,
    },
    /// It vouched for another tree.
    Forked {
        /// Entries of the tree it vouched for.
        seen: u64,
        /// Entries there are.
        held: u64,
    },
}

/// What is shown to those who watch the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessMetrics {
    /// Seconds since a quorum vouched for the log.
    pub age_s: u64,
    /// Entries that a quorum vouched for.
    pub cosigned: u64,
    /// Each witness by its name: whether it answered its last question with a cosignature.
    pub witnesses: Vec<(String, bool)>,
}

/// What is known of the witnesses.
pub(crate) struct Witnesses {
    settings: Option<WitnessSettings>,
    known: Mutex<Known>,
    /// Size of the newest checkpoint with a quorum.
    cosigned: watch::Sender<u64>,
    /// Somebody waits for a cosignature.
    nudge: Notify,
}

#[derive(Default)]
struct Known {
    /// The newest checkpoint that a quorum vouched for, with all cosignatures that came.
    newest: Option<Arc<SignedCheckpoint>>,
    /// Checkpoints that are heads of bundles: the same question gets the same one again.
    heads: Vec<Arc<SignedCheckpoint>>,
    /// When the newest tree that a quorum vouched for was the log's.
    quorum_ms: i64,
    /// In the order of the settings.
    views: Vec<View>,
    /// Whether the loss was told.
    told_lost: bool,
}

/// What is known of one witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    /// Entries it vouched for last.
    size: Option<u64>,
    /// It answered its last question with a cosignature.
    up: bool,
    contradiction: Option<Contradiction>,
    failures: u32,
    /// It is not asked before this time.
    again_ms: i64,
}

impl Witnesses {
    pub(crate) fn new(witnessing: Option<&Witnessing>, now_ms: i64) -> Self {
        let settings = witnessing.map(|witnessing| witnessing.settings.clone());
        let views = settings
            .iter()
            .flat_map(|settings| &settings.witnesses)
            .map(|_| View::default())
            .collect();
        Self {
            settings,
            known: Mutex::new(Known {
                quorum_ms: now_ms,
                views,
                ..Known::default()
            }),
            cosigned: watch::channel(0).0,
            nudge: Notify::new(),
        }
    }

    /// Whether a release may start, and whether the broker is fit to serve.
    ///
    /// # Errors
    /// When no quorum has vouched for the log for too long, or a witness contradicts it.
    pub(crate) fn may_release(&self, now_ms: i64) -> Result<(), Error> {
        let on_lost = self.settings.as_ref().map_or(OnLost::Warn, |settings| settings.on_lost);
        refusal(&self.standing(now_ms), on_lost)
    }

    pub(crate) fn standing(&self, now_ms: i64) -> Standing {
        match &self.settings {
            None => Standing::Off,
            Some(settings) => standing(settings, &self.known(), now_ms),
        }
    }

    pub(crate) fn metrics(&self, now_ms: i64) -> Option<WitnessMetrics> {
        let settings = self.settings.as_ref()?;
        let known = self.known();
        let views = settings.witnesses.iter().zip(&known.views);
        Some(WitnessMetrics {
            age_s: age_s(&known, now_ms),
            cosigned: known.newest.as_ref().map_or(0, |newest| newest.unverified().size),
            witnesses: views.map(|(witness, view)| (witness.name.clone(), view.up)).collect(),
        })
    }

    /// The checkpoint to show: the newest with a quorum while there is one, else the log's own.
    pub(crate) fn shown(&self, head: &SignedCheckpoint, now_ms: i64) -> SignedCheckpoint {
        if self.standing(now_ms) != Standing::Good {
            return head.clone();
        }
        self.known().newest.as_deref().unwrap_or(head).clone()
    }

    /// A checkpoint with a quorum that covers so many entries. Waits for one while the witnesses answer, and never for long.
    pub(crate) async fn covering(&self, size: u64, now_ms: i64) -> Option<Arc<SignedCheckpoint>> {
        let covers = |newest: &Arc<SignedCheckpoint>| newest.unverified().size >= size;
        self.settings.as_ref()?;
        let mut cosigned = self.cosigned.subscribe();
        {
            let known = self.known();
            if let Some(newest) = known.newest.clone().filter(covers) {
                return Some(newest);
            }
            // Nobody waits for witnesses that did not answer the last time.
            let up = known.views.iter().filter(|view| view.up).count();
            if self.settings.as_ref().is_none_or(|settings| up < settings.quorum) || age_s(&known, now_ms) > WAIT_AGE_S_MAX {
                return None;
            }
        }
        self.nudge.notify_one();
        let became = cosigned.wait_for(|cosigned| *cosigned >= size);
        tokio::time::timeout(WAIT_MAX, became).await.ok()?.ok()?;
        self.known().newest.clone().filter(covers)
    }

    /// The head of a bundle that needs so many entries: one that was a bundle's head before, so that the same question has the
    /// same answer, else the newest, which is one from now on.
    pub(crate) async fn head_for(&self, size: u64, now_ms: i64) -> Option<Arc<SignedCheckpoint>> {
        let kept = |known: &Known| {
            let fitting = known.heads.iter().filter(|head| head.unverified().size >= size);
            fitting.min_by_key(|head| head.unverified().size).cloned()
        };
        if let Some(head) = kept(&self.known()) {
            return Some(head);
        }
        let newest = self.covering(size, now_ms).await?;
        let mut known = self.known();
        // Somebody else may have asked meanwhile.
        if let Some(head) = kept(&known) {
            return Some(head);
        }
        known.heads.push(Arc::clone(&newest));
        // It is noted on disk by whoever asks the witnesses.
        self.nudge.notify_one();
        Some(newest)
    }

    /// The newest checkpoint that a quorum vouched for, as an entry tells of it.
    pub(crate) fn observed(&self) -> Option<Observed> {
        let policy = self.policy()?;
        let newest = self.known().newest.clone()?;
        let says = newest.unverified();
        Some(Observed {
            kind: AnchorKind::Witness,
            size: says.size,
            root: says.root,
            sha256: sha256_hex(newest.text().as_bytes()),
            time_ms: quorum_time_ms(&policy, &newest)?,
        })
    }

    /// Whether a quorum vouched for a checkpoint, or nobody is to be asked.
    pub(crate) fn vouch(&self, checkpoint: &SignedCheckpoint) -> bool {
        self.policy().is_none_or(|policy| policy.judge(checkpoint) == Witnessed::Yes)
    }

    /// Whether there are some.
    pub(crate) fn asks(&self) -> bool {
        self.settings.is_some()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> Option<WitnessPolicy> {
        let settings = self.settings.as_ref()?;
        let keys: Vec<String> = settings.witnesses.iter().map(|witness| witness.key.to_text()).collect();
        WitnessPolicy::new(&keys, settings.quorum).ok()
    }
}

fn age_s(known: &Known, now_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(known.quorum_ms) / 1000).unwrap_or(0)
}

fn standing(settings: &WitnessSettings, known: &Known, now_ms: i64) -> Standing {
    let contradicting = settings.witnesses.iter().zip(&known.views);
    let contradicting = contradicting.filter_map(|(witness, view)| Some((witness, view.contradiction?)));
    if let Some((witness, says)) = contradicting.into_iter().next() {
        return Standing::Contradicted {
            witness: witness.name.clone(),
            says,
        };
    }
    if now_ms.saturating_sub(known.quorum_ms) > settings.max_age_ms {
        return Standing::Lost {
            age_s: age_s(known, now_ms),
        };
    }
    Standing::Good
}

/// Why nothing may be released, if so.
fn refusal(standing: &Standing, on_lost: OnLost) -> Result<(), Error> {
    match (standing, on_lost) {
        (Standing::Off | Standing::Good, _) | (Standing::Lost { .. }, OnLost::Warn) => Ok(()),
        (Standing::Lost { age_s }, OnLost::Refuse) => Err(Error::new(
            Code::EvidenceUnavailable,
            format!(
                "No quorum of witnesses has vouched for the evidence log for {} minutes, so nothing new is released.",
                age_s / 60
            ),
        )
        .hint("ask the operator to look at the witnesses: the broker's log names those that do not answer")),
        (Standing::Contradicted { witness, says }, _) => Err(Error::new(
            Code::EvidenceUnavailable,
            format!("Witness `{witness}` has seen another history of the evidence log, so nothing new is released."),
        )
        .hint("ask the operator to look at the broker's log; hand this to whoever oversees the evidence")
        .operator(says.to_string())),
    }
}

impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Contradiction::Ahead { seen, held } => {
                write!(f, "it has vouched for {seen} entries of this log, and the journal holds {held}")
            }
            Contradiction::Forked { seen, held } => write!(
                f,
                "it has vouched for a tree of {seen} entries that the journal's {held} entries do not begin with"
            ),
        }
    }
}

/// The time at which a quorum had vouched for a checkpoint, in milliseconds; nothing when none had.
fn quorum_time_ms(policy: &WitnessPolicy, checkpoint: &SignedCheckpoint) -> Option<i64> {
    if policy.judge(checkpoint) != Witnessed::Yes {
        return None;
    }
    let times = policy.keys().iter().filter_map(|key| key.cosigned(checkpoint).ok().flatten());
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let time_s = times.get(policy.quorum().checked_sub(1)?)?;
    i64::try_from(*time_s).ok()?.checked_mul(1000)
}

/// A receipt or a bundle waits for a cosignature this long.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// And not at all when the last quorum is older than this.
const WAIT_AGE_S_MAX: u64 = 10 * 60;

#[cfg(test)]
mod tests;
