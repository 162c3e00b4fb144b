//! The decision: whether a witness vouches for a checkpoint, given what it remembers of the log.
//!
//! The order of the checks, and the status of each refusal, are those of C2SP tlog-witness.

use chunk_evidence::checkpoint::Checkpoint;
use chunk_evidence::merkle::{Hash, empty_root, verify_consistency};
use chunk_evidence::note::VerifierKey;

use crate::witness::request::AddCheckpoint;

/// Why a witness does not vouch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: the form is wrong, or the older tree is the larger one.
    Malformed(&'static str),
    /// 403: no key of the log signed it, or a signature by one is wrong.
    Unsigned(&'static str),
    /// 404: not a log of this witness.
    UnknownLog,
    /// 409: the older tree is not the one remembered, whose size this is.
    Conflict(u64),
    /// 422: signed by the log, and not an extension of what is remembered.
    Inconsistent(&'static str),
}

/// A checkpoint that one of the log's keys signed.
#[derive(Debug)]
pub(crate) struct Signed(AddCheckpoint);

impl Signed {
    /// What is asked.
    pub(crate) fn asked(&self) -> &AddCheckpoint {
        &self.0
    }
}

/// Checks what does not depend on memory: that the log is known and signed this.
pub(crate) fn check(asked: AddCheckpoint, logs: &[VerifierKey]) -> Result<Signed, Refusal> {
    let mut keys = logs.iter().filter(|key| key.name() == asked.head.origin).peekable();
    if keys.peek().is_none() {
        return Err(Refusal::UnknownLog);
    }
    let mut signed = false;
    for key in keys {
        signed |= asked
            .note
            .signed_by(key)
            .map_err(|_| Refusal::Unsigned("a signature by the log's key does not verify"))?;
    }
    if !signed {
        return Err(Refusal::Unsigned("no known key of the log signed the checkpoint"));
    }
    if asked.old > asked.head.size {
        return Err(Refusal::Malformed("the old size is larger than the checkpoint"));
    }
    Ok(Signed(asked))
}

/// Whether it extends what is remembered: nothing, or size and root of the largest tree that was vouched for.
pub(crate) fn judge(signed: &Signed, remembered: Option<(u64, Hash)>) -> Result<(), Refusal> {
    let AddCheckpoint { old, proof, head, .. } = signed.asked();
    let (size, root) = remembered.unwrap_or_else(|| (0, empty_root()));
    if *old != size {
        return Err(Refusal::Conflict(size));
    }
    let Checkpoint {
        size: new, root: new_root, ..
    } = head;
    if *new == 0 && *new_root != empty_root() {
        return Err(Refusal::Inconsistent("an empty tree has another root"));
    }
    if new == old && *new_root != root {
        return Err(Refusal::Inconsistent("a tree of this size was cosigned, and it has another root"));
    }
    verify_consistency(*old, *new, proof, &root, new_root)
        .map_err(|_| Refusal::Inconsistent("the consistency proof does not show that the tree extends the one that was cosigned"))
}

impl Refusal {
    /// Status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::Unsigned(_) => 403,
            Refusal::UnknownLog => 404,
            Refusal::Conflict(_) => 409,
            Refusal::Inconsistent(_) => 422,
        }
    }

    /// Body of the answer; of a conflict, the size, as the specification has it.
    pub(crate) fn body(&self) -> String {
        match self {
            Refusal::Malformed(why) | Refusal::Unsigned(why) | Refusal::Inconsistent(why) => format!("{why}\n"),
            Refusal::UnknownLog => "this witness does not know the log\n".to_owned(),
            Refusal::Conflict(size) => format!("{size}\n"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use chunk_evidence::checkpoint::SignedCheckpoint;
    use chunk_evidence::dsse::public_key;
    use chunk_evidence::merkle::{leaf_hash, node_hash, root};
    use ring::signature::Ed25519KeyPair;

    use super::*;

    /// A log of tests: any of its trees, its signature, and proofs by the definition of RFC 6962.
    pub(crate) struct TestLog {
        pair: Ed25519KeyPair,
        pub(crate) key: VerifierKey,
        leaves: Vec<Hash>,
    }

    impl TestLog {
        pub(crate) fn new(origin: &str, story: &str) -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
            let key = VerifierKey::new(origin, public_key(&pair)).unwrap();
            let leaves = (0..40).map(|n| leaf_hash(format!("{story} {n}").as_bytes())).collect();
            Self { pair, key, leaves }
        }

        /// The same log, whose history is another from here on.
        pub(crate) fn forked_at(&self, size: usize) -> Self {
            let mut fork = Self::new(self.key.name(), "a different story");
            fork.leaves[..size].copy_from_slice(&self.leaves[..size]);
            fork
        }

        pub(crate) fn root(&self, size: usize) -> Hash {
            root(&self.leaves[..size])
        }

        pub(crate) fn checkpoint(&self, size: usize) -> String {
            let checkpoint = Checkpoint {
                origin: self.key.name().to_owned(),
                size: size as u64,
                root: self.root(size),
            };
            SignedCheckpoint::sign(&checkpoint, &self.pair).unwrap().text().to_owned()
        }

        pub(crate) fn proof(&self, from: usize, to: usize) -> Vec<Hash> {
            if from == 0 {
                Vec::new()
            } else {
                subproof(from, &self.leaves[..to], true)
            }
        }

        /// The body of `add-checkpoint`.
        pub(crate) fn asks(&self, from: usize, to: usize) -> String {
            body(from as u64, &self.proof(from, to), &self.checkpoint(to))
        }
    }

    pub(crate) fn body(old: u64, proof: &[Hash], checkpoint: &str) -> String {
        let proof: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        format!("old {old}\n{proof}\n{checkpoint}")
    }

    fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, other) = if m <= left.len() {
            (subproof(m, left, whole), root(right))
        } else {
            (subproof(m - left.len(), right, false), root(left))
        };
        proof.push(other);
        proof
    }

    fn decide(log: &TestLog, remembered: Option<(u64, Hash)>, body: &str) -> Result<(), u16> {
        let asked = AddCheckpoint::parse(body.as_bytes()).map_err(|_| 400_u16)?;
        let signed = check(asked, std::slice::from_ref(&log.key)).map_err(|refusal| refusal.status())?;
        judge(&signed, remembered).map_err(|refusal| refusal.status())
    }

    fn at(log: &TestLog, size: usize) -> Option<(u64, Hash)> {
        Some((size as u64, log.root(size)))
    }

    #[test]
    fn every_extension_is_vouched_for_and_nothing_shorter() {
        let log = TestLog::new("log.example/a", "a story");
        for old in 0..=40 {
            for new in 0..=40 {
                let decided = decide(&log, at(&log, old), &log.asks(old.min(new), new));
                let expected = if new >= old { Ok(()) } else { Err(409) };
                assert_eq!(decided, expected, "{old} to {new}");
                // Whoever claims the remembered size for a shorter tree is not even consistent with himself.
                if new < old {
                    let lie = body(old as u64, &[], &log.checkpoint(new));
                    assert_eq!(decide(&log, at(&log, old), &lie), Err(400));
                }
            }
        }
        assert_eq!(decide(&log, None, &log.asks(0, 7)), Ok(()));
        assert_eq!(decide(&log, None, &log.asks(0, 0)), Ok(()));
    }

    #[test]
    fn no_fork_is_vouched_for() {
        let log = TestLog::new("log.example/a", "a story");
        for common in 0..20 {
            let fork = log.forked_at(common);
            for remembered in common + 1..=20 {
                for size in remembered..=21 {
                    // With the fork's own proof, with the log's, and with none.
                    let checkpoint = fork.checkpoint(size);
                    for proof in [fork.proof(remembered, size), log.proof(remembered, size), Vec::new()] {
                        let asked = body(remembered as u64, &proof, &checkpoint);
                        assert_eq!(decide(&log, at(&log, remembered), &asked), Err(422), "{common} {remembered} {size}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_proof_with_one_bit_changed_one_hash_more_or_one_less_is_refused() {
        let log = TestLog::new("log.example/a", "a story");
        let (proof, checkpoint) = (log.proof(11, 37), log.checkpoint(37));
        let remembered = at(&log, 11);
        assert_eq!(decide(&log, remembered, &body(11, &proof, &checkpoint)), Ok(()));
        for hash in 0..proof.len() {
            for bit in 0..256 {
                let mut changed = proof.clone();
                changed[hash][bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decide(&log, remembered, &body(11, &changed, &checkpoint)), Err(422));
            }
            let mut fewer = proof.clone();
            fewer.remove(hash);
            assert_eq!(decide(&log, remembered, &body(11, &fewer, &checkpoint)), Err(422));
            let mut more = proof.clone();
            more.insert(hash, node_hash(&[0; 32], &[1; 32]));
            assert_eq!(decide(&log, remembered, &body(11, &more, &checkpoint)), Err(422));
        }
    }

    #[test]
    fn refusals_have_the_status_that_the_specification_gives_them() {
        let log = TestLog::new("log.example/a", "a story");
        let other = TestLog::new("log.example/b", "a story");
        // A log that is not known, whatever else is wrong with the request.
        assert_eq!(decide(&log, None, &other.asks(0, 5)), Err(404));
        // No signature by a known key; one by a known key that is wrong beside one that is right.
        let text = log.checkpoint(5);
        let mut stranger = TestLog::new("log.example/a", "a story");
        stranger.pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        stranger.key = VerifierKey::new("log.example/a", public_key(&stranger.pair)).unwrap();
        assert_eq!(decide(&log, None, &stranger.asks(0, 5)), Err(403));
        let wrong_line = log.checkpoint(6).rsplit_once("\n\n").unwrap().1.to_owned();
        assert_eq!(decide(&log, None, &body(0, &[], &format!("{text}{wrong_line}"))), Err(403));
        // Unknown keys' signatures beside it, and its own twice, do not matter.
        let stranger_line = stranger.checkpoint(5).rsplit_once("\n\n").unwrap().1.to_owned();
        let own_line = text.rsplit_once("\n\n").unwrap().1.to_owned();
        assert_eq!(
            decide(&log, None, &body(0, &[], &format!("{text}{stranger_line}{own_line}"))),
            Ok(())
        );
        // The old size is not the remembered one: the answer is its size, even when the proof is nonsense.
        let asked = AddCheckpoint::parse(body(4, &[[0; 32]], &text).as_bytes()).unwrap();
        let signed = check(asked, std::slice::from_ref(&log.key)).unwrap();
        let conflict = judge(&signed, at(&log, 3)).unwrap_err();
        assert_eq!((conflict.status(), conflict.body().as_str()), (409, "3\n"));
        assert_eq!(judge(&signed, None).unwrap_err(), Refusal::Conflict(0));
        // A proof where none belongs: from nothing, and to the same size.
        assert_eq!(decide(&log, None, &body(0, &[[0; 32]], &text)), Err(422));
        assert_eq!(decide(&log, at(&log, 5), &body(5, &[[0; 32]], &text)), Err(422));
        // An empty tree with a root of its own, signed by the log.
        let empty = Checkpoint {
            origin: "log.example/a".into(),
            size: 0,
            root: [1; 32],
        };
        let note = chunk_evidence::note::sign(&empty.to_text(), "log.example/a", &log.pair).unwrap();
        assert_eq!(decide(&log, None, &body(0, &[], &note)), Err(422));
    }

    #[test]
    fn a_log_may_have_two_keys_and_one_of_them_suffices() {
        let log = TestLog::new("log.example/a", "a story");
        let next = VerifierKey::new("log.example/a", [9; 32]).unwrap();
        let asked = |body: String| AddCheckpoint::parse(body.as_bytes()).unwrap();
        assert!(check(asked(log.asks(0, 3)), &[next.clone(), log.key.clone()]).is_ok());
        assert!(check(asked(log.asks(0, 3)), &[next]).is_err());
    }
}
