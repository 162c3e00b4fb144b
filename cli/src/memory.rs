//! Has the broker ever shown a different history?
//!
//! The largest checkpoint of each log stays on this machine. A log that later shows another root for the same size, or a tree
//! that is not an extension of the remembered one, has been rewritten, truncated or forked; then both checkpoints are kept as
//! evidence and the answer is no.

use std::path::{Path, PathBuf};

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::merkle::{self, Hash};
use chunk_evidence::note::VerifierKey;
use chunk_evidence::receipt::ReceiptEntry;
use chunk_evidence::rotation::Rotations;
use serde::Deserialize;

use crate::auth::keys::sha256_hex;
use crate::client::{Broker, Proof, read_bytes};
use crate::config::{EarlierKey, PinnedLog, write_private};
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

/// Answer of `GET /rotations`.
#[derive(Deserialize)]
struct Replaced {
    rotations: Vec<ReceiptEntry>,
}

/// What a broker showed of the log that was pinned.
pub(crate) struct Met {
    pub(crate) signed: SignedCheckpoint,
    /// What is to be pinned from now on, where the log has replaced its key.
    pub(crate) followed: Option<PinnedLog>,
}

/// Looks at the log that was pinned: the broker must show a checkpoint that continues the history seen before, by its key, or by one
/// that the log proves to have taken its place.
///
/// # Errors
/// As [`Memory::observe`], and with exit code 1 when no such key signed the checkpoint.
pub(crate) async fn meet(state: &Path, pinned: &PinnedLog, broker: &Broker) -> Result<Met> {
    let key = VerifierKey::parse(&pinned.key).map_err(|_| Failure::usage("the pinned log key is damaged").hint("chunkctl config unpin"))?;
    let bytes = read_bytes(broker.send(&broker.get(&["checkpoint"]).stream("text/plain"), Proof::None).await?).await?;
    let signed = String::from_utf8(bytes).ok().and_then(|text| SignedCheckpoint::parse(&text).ok());
    let signed = signed.ok_or_else(|| unfounded("it is no checkpoint"))?;
    if signed.verify(std::slice::from_ref(&key)).is_ok() {
        Memory::new(state, &key).observe(broker, &signed).await?;
        return Ok(Met { signed, followed: None });
    }
    let followed = follow(state, pinned, &key, broker, &signed).await?;
    Ok(Met {
        signed,
        followed: Some(followed),
    })
}

/// Follows the log to the key in the place of the pinned one: both have signed that it is, that stands in the log, and the log is the
/// one seen before.
async fn follow(state: &Path, pinned: &PinnedLog, key: &VerifierKey, broker: &Broker, signed: &SignedCheckpoint) -> Result<PinnedLog> {
    let size = signed.unverified().size;
    let answer: Result<Replaced> = broker
        .json(&broker.get(&["rotations"]).query("size", &size.to_string()), Proof::None)
        .await;
    let entries = match answer {
        Ok(answer) => answer.rotations,
        Err(failure) if matches!(failure.exit, Exit::No | Exit::Usage) => Vec::new(),
        Err(failure) => return Err(failure.why("so it is not known whether the log's key was replaced")),
    };
    let rotations = Rotations::read(&entries).map_err(unfounded)?;
    let now = rotations
        .signer(signed, std::slice::from_ref(key))
        .map_err(|error| unfounded(&error.to_string()))?;
    let old = Memory::new(state, key);
    if let Some(kept) = old.recall()? {
        let until = rotations.retired(key).unwrap_or(0);
        if kept.unverified().size > until {
            return Err(old.fork(
                &kept,
                signed,
                &format!("entry {until} replaced the key, and it had signed more by then"),
            ));
        }
        old.compare(broker, &kept, signed).await?;
    }
    let new = Memory::new(state, &now);
    new.observe(broker, signed).await?;
    for handed in old.handed_out()? {
        new.hand_out(handed)?;
    }
    let since = rotations.keys().skip_while(|earlier| *earlier != key).filter_map(|earlier| {
        Some(EarlierKey {
            key: earlier.to_text(),
            until: rotations.retired(earlier)?,
        })
    });
    Ok(PinnedLog {
        key: now.to_text(),
        earlier: pinned.earlier.iter().cloned().chain(since).collect(),
        ..pinned.clone()
    })
}

/// The broker shows a checkpoint that nothing connects with the pinned key.
fn unfounded(why: &str) -> Failure {
    Failure::no(
        "evidence_false",
        "the broker's checkpoint is not signed by the pinned log key, and the log does not prove that another took its place",
    )
    .why(why)
    .why("ask its operator, by another way than this broker, whether the log was replaced")
    .hint("chunkctl doctor")
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
        self.compare(broker, &kept, shown).await?;
        if shown.unverified().size > kept.unverified().size {
            self.remember(shown)
        } else {
            Ok(())
        }
    }

    /// Compares a checkpoint with the one that was kept.
    async fn compare(&self, broker: &Broker, kept: &SignedCheckpoint, shown: &SignedCheckpoint) -> Result<()> {
        let (old, new) = (kept.unverified(), shown.unverified());
        match relation(old.size, &old.root, new.size, &new.root) {
            Relation::Same => return Ok(()),
            Relation::Fork => return Err(self.fork(kept, shown, "two trees of the same size have different roots")),
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
                    return Err(self.fork(kept, shown, "it has no proof that one tree continues the other"));
                }
                Err(failure) => return Err(failure.why("so it is not known whether the log is still the one seen before")),
            };
            let proof = answer.proof.iter().map(|hash| decode(hash)).collect::<Option<Vec<Hash>>>();
            let holds =
                proof.is_some_and(|proof| merkle::verify_consistency(small.size, large.size, &proof, &small.root, &large.root).is_ok());
            if !holds {
                return Err(self.fork(kept, shown, "its proof that one tree continues the other is false"));
            }
        }
        Ok(())
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
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use chunk_evidence::body::{Body, EntryKey, Group};
    use chunk_evidence::checkpoint::Checkpoint;
    use chunk_evidence::leaf::{Header, Kind, Leaf};
    use chunk_evidence::rotation::Rotation;
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

    /// A log of eight entries, the sixth of which replaces its key by whatever it says.
    struct Replacing {
        leaves: Vec<(Vec<u8>, String)>,
    }

    const ROTATION: usize = 5;

    fn seed(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn key_of(of: u8) -> VerifierKey {
        VerifierKey::new("o/d/1", seed(of).public_key().as_ref().try_into().unwrap()).unwrap()
    }

    fn statement(old: u8, new: u8) -> String {
        Rotation::sign("o/d/1", &seed(old), &seed(new)).unwrap()
    }

    impl Replacing {
        fn saying(statement: &str) -> Self {
            let leaves = (0..8_u8).map(|n| {
                let (kind, what) = if usize::from(n) == ROTATION {
                    (Kind::KeyRotate, serde_json::json!({ "rotation": statement }))
                } else {
                    (Kind::BrokerStart, serde_json::json!({}))
                };
                let (rk, body) = (EntryKey::from_random([n; 16]), Body::new().with(Group::What, what));
                let leaf = Leaf::new(Header::new(kind).at(1000 + i64::from(n)), body.root(&rk).unwrap()).unwrap();
                (leaf.to_bytes(), body.to_document(&rk).unwrap())
            });
            Self { leaves: leaves.collect() }
        }

        fn hashes(&self) -> Vec<Hash> {
            self.leaves.iter().map(|(leaf, _)| merkle::leaf_hash(leaf)).collect()
        }

        fn checkpoint(&self, size: usize, by: u8) -> SignedCheckpoint {
            let checkpoint = Checkpoint {
                origin: "o/d/1".into(),
                size: size as u64,
                root: merkle::root(&self.hashes()[..size]),
            };
            SignedCheckpoint::sign(&checkpoint, &seed(by)).unwrap()
        }

        fn rotations(&self) -> String {
            let (leaf, document) = &self.leaves[ROTATION];
            let proof = crate::testing::path(ROTATION, &self.hashes());
            let entry = ReceiptEntry::new(ROTATION as u64, leaf, document, &proof).unwrap();
            serde_json::json!({ "rotations": [entry] }).to_string()
        }

        /// That the first four entries are the beginning of all.
        fn consistency(&self) -> String {
            use base64::Engine as _;
            let proof = base64::engine::general_purpose::STANDARD.encode(merkle::root(&self.hashes()[4..]));
            format!(r#"{{"proof":["{proof}"]}}"#)
        }
    }

    fn pinned(of: u8, earlier: Vec<EarlierKey>) -> PinnedLog {
        PinnedLog {
            origin: "o/d/1".into(),
            key: key_of(of).to_text(),
            pinned_ms: 1,
            earlier,
        }
    }

    /// What comes of meeting a broker that answers this, after the first so many entries were seen under the pinned key.
    fn met(state: &Path, pinned: &PinnedLog, seen: Option<SignedCheckpoint>, answers: &[&str]) -> Result<Met> {
        if let Some(seen) = seen {
            let key = VerifierKey::parse(&pinned.key).unwrap();
            Memory::new(state, &key).remember(&seen).unwrap();
        }
        let answers = answers.iter().map(|body| crate::client::scripted::answer(200, "", body)).collect();
        let server = crate::client::scripted::Scripted::start(answers);
        let broker = Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap();
        block_on(meet(state, pinned, &broker))
    }

    #[test]
    fn a_client_follows_to_the_key_that_the_log_proves_to_be_its_own_now() {
        let folder = tempfile::tempdir().unwrap();
        let log = Replacing::saying(&statement(3, 4));
        Memory::new(folder.path(), &key_of(3)).hand_out(4).unwrap();
        let head = log.checkpoint(8, 4);
        let answers = [head.text(), &log.rotations(), &log.consistency()];
        let met = met(folder.path(), &pinned(3, Vec::new()), Some(log.checkpoint(4, 3)), &answers).unwrap();
        let earlier = EarlierKey {
            key: key_of(3).to_text(),
            until: ROTATION as u64,
        };
        assert_eq!(met.followed, Some(pinned(4, vec![earlier])));
        let new = key_of(4);
        let memory = Memory::new(folder.path(), &new);
        assert_eq!(memory.recall().unwrap().unwrap(), head);
        assert_eq!(memory.handed_out().unwrap(), [4]);
    }

    #[test]
    fn nobody_follows_a_key_that_the_old_one_did_not_name() {
        let honest = Replacing::saying(&statement(3, 4));
        let (old_line, other) = (statement(3, 4), statement(3, 5));
        let line = |text: &str| text.rsplit_once("\n\n").unwrap().1.lines().next().unwrap().to_owned();
        let no_signature = Replacing::saying(&old_line.replacen(&line(&old_line), &line(&other), 1));
        let strangers = Replacing::saying(&statement(9, 4));
        let elsewhere = Replacing::saying("nothing of that sort");
        let cases = [
            // The new key alone, with no word of the old one, or with a forged one.
            (honest.checkpoint(8, 4), r#"{"rotations":[]}"#.to_owned()),
            (no_signature.checkpoint(8, 4), no_signature.rotations()),
            (strangers.checkpoint(8, 4), strangers.rotations()),
            // The old key's true word, under a tree that does not hold it, or for another key than the one that signs.
            (elsewhere.checkpoint(8, 4), honest.rotations()),
            (honest.checkpoint(8, 9), honest.rotations()),
        ];
        for (n, (head, rotations)) in cases.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let pinned = pinned(3, Vec::new());
            let seen = honest.checkpoint(4, 3);
            let failure = met(folder.path(), &pinned, Some(seen.clone()), &[head.text(), rotations])
                .err()
                .unwrap();
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "evidence_false"), "{n}");
            assert_eq!(Memory::new(folder.path(), &key_of(3)).recall().unwrap(), Some(seen), "{n}");
            assert!(Memory::new(folder.path(), &key_of(4)).recall().unwrap().is_none(), "{n}");
        }
    }

    #[test]
    fn a_rotation_of_another_history_than_the_one_seen_is_a_fork() {
        let (log, other) = (Replacing::saying(&statement(3, 4)), Replacing::saying("another"));
        let folder = tempfile::tempdir().unwrap();
        let mut seen = other.checkpoint(4, 3).unverified().clone();
        seen.root = [7; 32];
        let seen = SignedCheckpoint::sign(&seen, &seed(3)).unwrap();
        let answers = [log.checkpoint(8, 4).text().to_owned(), log.rotations(), log.consistency()];
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let failure = met(folder.path(), &pinned(3, Vec::new()), Some(seen), &answers).err().unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "log_forked"));
        // What the old key signed after it had been replaced contradicts the entry that replaced it.
        let folder = tempfile::tempdir().unwrap();
        let late = log.checkpoint(7, 3);
        let failure = met(folder.path(), &pinned(3, Vec::new()), Some(late), &answers).err().unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "log_forked"));
    }

    #[test]
    fn a_client_that_followed_believes_nothing_new_by_the_old_key() {
        let log = Replacing::saying(&statement(3, 4));
        let followed = || {
            pinned(
                4,
                vec![EarlierKey {
                    key: key_of(3).to_text(),
                    until: ROTATION as u64,
                }],
            )
        };
        // Somebody who has the old key: with the log's own rotation, with none, and with one of their own.
        let thief = Replacing::saying(&statement(3, 9));
        for (head, rotations) in [
            (log.checkpoint(8, 3), log.rotations()),
            (log.checkpoint(4, 3), r#"{"rotations":[]}"#.to_owned()),
            (thief.checkpoint(8, 9), thief.rotations()),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let failure = met(folder.path(), &followed(), Some(log.checkpoint(8, 4)), &[head.text(), &rotations])
                .err()
                .unwrap();
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "evidence_false"));
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
