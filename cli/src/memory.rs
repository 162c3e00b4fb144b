//! Has the broker ever shown a different history?
//!
//! The largest checkpoint of each log stays on this machine. A log that later shows another root for the same size, or a tree
//! that is not an extension of the remembered one, has been rewritten, truncated or forked; then both checkpoints are kept as
//! evidence and the answer is no.

use std::path::{Path, PathBuf};

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::merkle::{self, Hash};
use chunk_evidence::note::VerifierKey;
use serde::Deserialize;

use crate::auth::keys::sha256_hex;
use crate::client::{Broker, Proof, read_bytes};
use crate::config::{PinnedLog, write_private};
use crate::error::{Exit, Failure, Result};
use crate::{figures, lock};

/// The memory of one log, named by its key: the origin alone could be claimed by anybody.
pub(crate) struct Memory<'a> {
    state: &'a Path,
    key: &'a VerifierKey,
}

/// Answer of `GET /consistency`.
#[derive(Deserialize)]
struct Consistency {
    proof: Vec<String>,
}

/// Looks at the log that was pinned: the broker must show a checkpoint by its key that continues the history seen before.
///
/// # Errors
/// As [`Memory::observe`], and with exit code 1 when the pinned key signed no such checkpoint.
pub(crate) async fn meet(state: &Path, pinned: &PinnedLog, broker: &Broker) -> Result<SignedCheckpoint> {
    let key = VerifierKey::parse(&pinned.key).map_err(|_| Failure::usage("the pinned log key is damaged").hint("chunkctl config unpin"))?;
    let bytes = read_bytes(broker.send(&broker.get(&["checkpoint"]).stream("text/plain"), Proof::None).await?).await?;
    let signed = String::from_utf8(bytes).ok().and_then(|text| SignedCheckpoint::parse(&text).ok());
    let signed = signed.filter(|signed| signed.verify(std::slice::from_ref(&key)).is_ok());
    let signed = signed.ok_or_else(|| {
        Failure::no("evidence_false", "the broker's checkpoint is not signed by the pinned log key")
            .why("ask its operator, by another way than this broker, whether the log was replaced")
            .hint("chunkctl doctor")
    })?;
    Memory::new(state, &key).observe(broker, &signed).await?;
    Ok(signed)
}

/// Sizes noted at most; as many as a bundle takes beside one named by hand.
const HANDED_OUT_MAX: usize = 15;

/// How two checkpoints of one log relate.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    /// The same tree.
    Same,
    /// The same size, but not the same tree: no proof could reconcile them.
    Fork,
    /// A proof from the smaller to the larger must show the same history.
    NeedsProof,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(state: &'a Path, key: &'a VerifierKey) -> Self {
        Self { state, key }
    }

    /// The remembered checkpoint.
    ///
    /// # Errors
    /// When what was kept is damaged: forgetting silently is what an attacker would want.
    pub(crate) fn recall(&self) -> Result<Option<SignedCheckpoint>> {
        let path = self.path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let kept = SignedCheckpoint::parse(&text)
            .ok()
            .filter(|kept| kept.verify(std::slice::from_ref(self.key)).is_ok());
        match kept {
            Some(kept) => Ok(Some(kept)),
            None => Err(Failure::cannot_tell("memory", "the remembered checkpoint cannot be read")
                .why(format!("`{}` is not a checkpoint signed by the pinned key", path.display()))
                .why("move the file away to start remembering anew")),
        }
    }

    /// Compares a checkpoint whose signature has been checked with the remembered one, and remembers the larger.
    ///
    /// # Errors
    /// With exit code 1 when the broker shows a different history; 2 when it gives no answer.
    pub(crate) async fn observe(&self, broker: &Broker, shown: &SignedCheckpoint) -> Result<()> {
        let _lock = self.lock().await?;
        let Some(kept) = self.recall()? else { return self.remember(shown) };
        let (old, new) = (kept.unverified(), shown.unverified());
        match relation(old.size, &old.root, new.size, &new.root) {
            Relation::Same => return Ok(()),
            Relation::Fork => return Err(self.fork(&kept, shown, "two trees of the same size have different roots")),
            Relation::NeedsProof => {}
        }
        let (small, large) = if old.size < new.size { (old, new) } else { (new, old) };
        if small.size > 0 {
            let call = broker
                .get(&["consistency"])
                .query("from", &small.size.to_string())
                .query("to", &large.size.to_string());
            let answer: Consistency = match broker.json(&call, Proof::None).await {
                Ok(answer) => answer,
                // A broker that lost part of its log cannot prove anything about it, and says so by refusing.
                Err(failure) if matches!(failure.exit, Exit::No | Exit::Usage) => {
                    return Err(self.fork(&kept, shown, "it has no proof that one tree continues the other"));
                }
                Err(failure) => return Err(failure.why("so it is not known whether the log is still the one seen before")),
            };
            let proof = answer.proof.iter().map(|hash| decode(hash)).collect::<Option<Vec<Hash>>>();
            let holds =
                proof.is_some_and(|proof| merkle::verify_consistency(small.size, large.size, &proof, &small.root, &large.root).is_ok());
            if !holds {
                return Err(self.fork(&kept, shown, "its proof that one tree continues the other is false"));
            }
        }
        if new.size > old.size { self.remember(shown) } else { Ok(()) }
    }

    /// Notes that a checkpoint of this size went into a trust file: bundles shall meet it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn hand_out(&self, size: u64) -> Result<()> {
        let mut sizes = self.handed_out()?;
        sizes.retain(|handed| *handed != size);
        sizes.push(size);
        let kept = sizes.len().saturating_sub(HANDED_OUT_MAX);
        let lines: String = sizes.iter().skip(kept).map(|size| format!("{size}\n")).collect();
        write_private(&self.handed_out_path(), lines.as_bytes())
    }

    /// Sizes of the checkpoints that went into trust files, oldest first.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub(crate) fn handed_out(&self) -> Result<Vec<u64>> {
        let path = self.handed_out_path();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Failure::file("read", &path, &error)),
        }
    }

    fn handed_out_path(&self) -> PathBuf {
        self.folder().join(format!("{}.trusted", self.name()))
    }

    fn remember(&self, shown: &SignedCheckpoint) -> Result<()> {
        write_private(&self.path(), shown.text().as_bytes())
    }

    /// Keeps both checkpoints, which together prove what happened. That they could not be kept does not unmake the fork.
    fn fork(&self, kept: &SignedCheckpoint, shown: &SignedCheckpoint, why: &str) -> Failure {
        let folder = self.state.join("forks");
        let stem = format!("{}-{}", self.name(), figures::now_ms());
        let (before, now) = (folder.join(format!("{stem}.remembered")), folder.join(format!("{stem}.shown")));
        let written = write_private(&before, kept.text().as_bytes()).and_then(|()| write_private(&now, shown.text().as_bytes()));
        let where_kept = match written {
            Ok(()) => format!("both signed checkpoints are kept: {} and {}", before.display(), now.display()),
            Err(failure) => format!(
                "the signed checkpoints could not be kept: {}; remembered is {}, shown now:\n{}",
                failure.what,
                self.path().display(),
                shown.text()
            ),
        };
        Failure::no(
            "log_forked",
            format!("the log `{}` no longer shows the history it showed before", self.key.name()),
        )
        .why(format!(
            "remembered: {} entries; shown now: {} entries; {why}",
            kept.unverified().size,
            shown.unverified().size
        ))
        .why(where_kept)
        .why("hand them to the people who oversee the broker; a backup that was restored has the same effect as tampering")
        .hint("chunkctl doctor")
    }

    async fn lock(&self) -> Result<std::fs::File> {
        crate::config::private_folder(&self.folder())?;
        lock::hold(&self.path().with_extension("lock")).await
    }

    fn folder(&self) -> PathBuf {
        self.state.join("checkpoints")
    }

    fn path(&self) -> PathBuf {
        self.folder().join(format!("{}.checkpoint", self.name()))
    }

    fn name(&self) -> String {
        sha256_hex(self.key.to_text().as_bytes()).chars().take(24).collect()
    }
}

fn relation(old_size: u64, old_root: &Hash, new_size: u64, new_root: &Hash) -> Relation {
    match (old_size == new_size, old_root == new_root) {
        (true, true) => Relation::Same,
        (true, false) => Relation::Fork,
        (false, _) => Relation::NeedsProof,
    }
}

/// A hash in base64.
fn decode(text: &str) -> Option<Hash> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use chunk_evidence::checkpoint::Checkpoint;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;
    use crate::config::BrokerUrl;
    use crate::context::block_on;

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap()
    }

    fn key() -> VerifierKey {
        VerifierKey::new("o/d/1", pair().public_key().as_ref().try_into().unwrap()).unwrap()
    }

    fn checkpoint(size: u64, root: u8) -> SignedCheckpoint {
        SignedCheckpoint::sign(
            &Checkpoint {
                origin: "o/d/1".into(),
                size,
                root: [root; 32],
            },
            &pair(),
        )
        .unwrap()
    }

    #[test]
    fn the_newest_checkpoints_that_were_handed_out_are_noted_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        assert!(memory.handed_out().unwrap().is_empty());
        std::fs::create_dir_all(memory.folder()).unwrap();
        for size in [3, 7, 3] {
            memory.hand_out(size).unwrap();
        }
        assert_eq!(memory.handed_out().unwrap(), [7, 3]);
        for size in 100..120 {
            memory.hand_out(size).unwrap();
        }
        assert_eq!(memory.handed_out().unwrap(), (105..120).collect::<Vec<_>>());
    }

    /// A broker that nobody listens for: whatever needs a proof cannot be told.
    fn nobody() -> Broker {
        Broker::new(BrokerUrl::parse("http://127.0.0.1:9").unwrap(), None).unwrap()
    }

    #[test]
    fn the_first_checkpoint_is_remembered_and_the_same_again_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        block_on(memory.observe(&nobody(), &checkpoint(5, 1))).unwrap();
        block_on(memory.observe(&nobody(), &checkpoint(5, 1))).unwrap();
        assert_eq!(memory.recall().unwrap().unwrap().unverified().size, 5);
    }

    #[test]
    fn another_root_for_the_same_size_is_a_fork_and_both_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        block_on(memory.observe(&nobody(), &checkpoint(5, 1))).unwrap();
        let failure = block_on(memory.observe(&nobody(), &checkpoint(5, 2))).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "log_forked"));
        assert_eq!(std::fs::read_dir(folder.path().join("forks")).unwrap().count(), 2);
        assert_eq!(memory.recall().unwrap().unwrap().unverified().root, [1; 32]);
    }

    #[test]
    fn a_fork_is_a_no_also_when_its_evidence_cannot_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("forks"), "a file where a folder has to be").unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        block_on(memory.observe(&nobody(), &checkpoint(5, 1))).unwrap();
        let failure = block_on(memory.observe(&nobody(), &checkpoint(5, 2))).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "log_forked"));
        let evidence = checkpoint(5, 2);
        assert!(failure.why.iter().any(|why| why.contains(evidence.text())), "{:?}", failure.why);
    }

    #[test]
    fn without_a_proof_nothing_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        block_on(memory.observe(&nobody(), &checkpoint(5, 1))).unwrap();
        for other in [checkpoint(9, 9), checkpoint(2, 2)] {
            assert_eq!(block_on(memory.observe(&nobody(), &other)).unwrap_err().exit, Exit::CannotTell);
            assert_eq!(memory.recall().unwrap().unwrap().unverified().size, 5);
        }
    }

    /// A tree of eight leaves, and how the first four prove to be its beginning.
    fn grown() -> (SignedCheckpoint, SignedCheckpoint, String) {
        use base64::Engine as _;
        let leaves: Vec<Hash> = (0..8_u8).map(|n| merkle::leaf_hash(&[n])).collect();
        let (first, second) = leaves.split_at(4);
        let sign = |size, root| {
            SignedCheckpoint::sign(
                &Checkpoint {
                    origin: "o/d/1".into(),
                    size,
                    root,
                },
                &pair(),
            )
            .unwrap()
        };
        let proof = base64::engine::general_purpose::STANDARD.encode(merkle::root(second));
        (
            sign(4, merkle::root(first)),
            sign(8, merkle::root(&leaves)),
            format!(r#"{{"proof":["{proof}"]}}"#),
        )
    }

    /// Shows two checkpoints in turn to a broker that answers the request for a proof with this; gives what came and the size kept.
    fn shown(first: &SignedCheckpoint, second: &SignedCheckpoint, answer: String) -> (Result<()>, u64, String) {
        let (folder, key) = (tempfile::tempdir().unwrap(), key());
        let memory = Memory::new(folder.path(), &key);
        let server = crate::client::scripted::Scripted::start(vec![answer]);
        let broker = Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap();
        block_on(memory.observe(&broker, first)).unwrap();
        let outcome = block_on(memory.observe(&broker, second));
        (
            outcome,
            memory.recall().unwrap().unwrap().unverified().size,
            server.asked().first().map(|asked| asked.line.clone()).unwrap_or_default(),
        )
    }

    #[test]
    fn a_log_that_proves_to_have_grown_is_believed_both_ways() {
        use crate::client::scripted::answer;
        let (small, large, proof) = grown();
        let (outcome, size, line) = shown(&small, &large, answer(200, "", &proof));
        outcome.unwrap();
        assert_eq!((size, line.as_str()), (8, "GET /consistency?from=4&to=8 HTTP/1.1"));
        let (outcome, size, line) = shown(&large, &small, answer(200, "", &proof));
        outcome.unwrap();
        assert_eq!((size, line.as_str()), (8, "GET /consistency?from=4&to=8 HTTP/1.1"));
    }

    #[test]
    fn a_false_proof_or_a_refusal_is_a_fork_and_an_outage_is_not() {
        use crate::client::scripted::{answer, problem};
        use chunk_wire::problem::Code;
        let (small, large, proof) = grown();
        let cases = [
            (answer(200, "", r#"{"proof":[]}"#), Exit::No),
            (answer(200, "", r#"{"proof":["AAAA"]}"#), Exit::No),
            (
                answer(
                    200,
                    "",
                    &proof.replacen("[", r#"["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","#, 1),
                ),
                Exit::No,
            ),
            (problem(Code::InvalidRequest, ""), Exit::No),
            (problem(Code::NotFound, ""), Exit::No),
            (problem(Code::Unavailable, ""), Exit::CannotTell),
            (answer(502, "", "gateway"), Exit::CannotTell),
        ];
        for (case, exit) in cases {
            let (outcome, size, _) = shown(&small, &large, case.clone());
            assert_eq!((outcome.unwrap_err().exit, size), (exit, 4), "{case}");
        }
    }

    #[test]
    fn a_damaged_memory_is_not_forgotten_silently() {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let memory = Memory::new(folder.path(), &key);
        memory.remember(&checkpoint(5, 1)).unwrap();
        std::fs::write(memory.path(), "junk").unwrap();
        assert!(memory.recall().is_err());
        assert!(block_on(memory.observe(&nobody(), &checkpoint(1, 1))).is_err());
    }
}
