//! What a witness is asked, and what its answer means: C2SP tlog-witness, `add-checkpoint`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::cosignature::{WitnessKey, read_size};
use chunk_evidence::merkle::Hash;

use super::Contradiction;

/// What a witness's answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It vouches: its signature lines.
    Cosigned(String),
    /// It vouched last for a tree of this size, and wants the proof from there.
    AskFrom(u64),
    /// It vouched for what cannot be true of this log.
    Contradicts(Contradiction),
    /// Anything else; in words for the operator.
    Refused(String),
}

/// The body of the question whether the log's head extends the tree of `old` entries.
pub(super) fn body(old: u64, proof: &[Hash], head: &SignedCheckpoint) -> String {
    let proof: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
    format!("old {old}\n{proof}\n{}", head.text())
}

/// Reads the answer to the question from a tree of `old` entries.
pub(super) fn read(key: &WitnessKey, head: &SignedCheckpoint, old: u64, status: u16, body: &str) -> Meaning {
    let held = head.unverified().size;
    match status {
        200 => match key.read_answer(head.unverified(), body) {
            Ok((lines, _)) => Meaning::Cosigned(lines),
            Err(fault) => Meaning::Refused(format!("its answer holds no cosignature by the configured key: {fault}")),
        },
        409 => match body.strip_suffix('\n').and_then(read_size) {
            Some(seen) if seen > held => Meaning::Contradicts(Contradiction::Ahead { seen, held }),
            Some(seen) if seen != old => Meaning::AskFrom(seen),
            _ => Meaning::Refused("it answered 409 without a size to ask from".to_owned()),
        },
        // The proof is right for this journal, so what the witness holds of the old size is another tree.
        422 => Meaning::Contradicts(Contradiction::Forked { seen: old, held }),
        404 => Meaning::Refused("it does not know this log (404): start it with this log's key (`--log`)".to_owned()),
        403 => Meaning::Refused("it knows this log under another key (403): start it with this log's key (`--log`)".to_owned()),
        other => Meaning::Refused(format!("it answered {other}")),
    }
}
