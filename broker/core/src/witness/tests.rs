#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::collections::BTreeMap;

use async_trait::async_trait;
use chunk_evidence::checkpoint::Checkpoint;
use chunk_evidence::cosignature::{cosign, read_head, read_size};
use chunk_evidence::dsse::public_key;
use chunk_evidence::merkle::{Hash, empty_root, verify_consistency};
use chunk_evidence::note::{Note, VerifierKey};
use chunk_evidence::receipt::Receipt;
use chunk_log::journal::{Journal, Record};
use chunk_wire::audit::ExportRequest;
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::review::Verdict;
use ring::signature::Ed25519KeyPair;

use super::ask::{self, Meaning};
use super::*;
use crate::audit;
use crate::identity::Caller;
use crate::testing::{Others, Setup, Someone, World, cx, drain};

const MINUTE_MS: i64 = 60_000;

/// A witness that keeps to the specification, unless told otherwise.
struct Fake {
    pair: Ed25519KeyPair,
    key: WitnessKey,
    seen: (u64, Hash),
    mood: Mood,
    asked: u64,
    time_s: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Fit,
    Away,
    Silent,
    Nonsense,
    /// It does not know the key that signed.
    Stranger,
}

/// Witnesses of tests, and what was noted of them.
#[derive(Clone)]
struct Fakes(Arc<Mutex<FakesInner>>);

struct FakesInner {
    by_name: BTreeMap<String, Fake>,
    newest: Option<String>,
    heads: Vec<String>,
}

impl Fakes {
    fn new(names: &[&str]) -> Self {
        let fake = |(n, name): (usize, &&str)| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[u8::try_from(n).unwrap() + 50; 32]).unwrap();
            let fake = Fake {
                key: WitnessKey::new(name, public_key(&pair)).unwrap(),
                pair,
                seen: (0, empty_root()),
                mood: Mood::Fit,
                asked: 0,
                time_s: 1_790_000_000,
            };
            ((*name).to_owned(), fake)
        };
        Self(Arc::new(Mutex::new(FakesInner {
            by_name: names.iter().enumerate().map(fake).collect(),
            newest: None,
            heads: Vec::new(),
        })))
    }

    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Fake) -> T) -> T {
        change(self.0.lock().unwrap().by_name.get_mut(name).unwrap())
    }

    fn all(&self, mood: Mood) {
        self.0.lock().unwrap().by_name.values_mut().for_each(|fake| fake.mood = mood);
    }

    /// They have seen nothing yet.
    fn forget(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.by_name.values_mut().for_each(|fake| fake.seen = (0, empty_root()));
        (inner.newest, inner.heads) = (None, Vec::new());
    }

    fn settings(&self, quorum: usize, on_lost: OnLost) -> WitnessSettings {
        let inner = self.0.lock().unwrap();
        let witness = |(name, fake): (&String, &Fake)| Witness {
            name: name.clone(),
            key: fake.key.clone(),
        };
        WitnessSettings {
            witnesses: inner.by_name.iter().map(witness).collect(),
            quorum,
            max_age_ms: 15 * MINUTE_MS,
            on_lost,
            interval: Duration::from_millis(2),
        }
    }

    fn witnessing(&self, quorum: usize, on_lost: OnLost) -> Option<Witnessing> {
        let settings = self.settings(quorum, on_lost);
        let inner = self.0.lock().unwrap();
        Some(Witnessing {
            settings,
            port: Arc::new(self.clone()),
            memory: WitnessMemory {
                newest: inner.newest.clone(),
                heads: inner.heads.clone(),
            },
        })
    }

    fn policy(&self, quorum: usize) -> WitnessPolicy {
        let inner = self.0.lock().unwrap();
        let keys: Vec<String> = inner.by_name.values().map(|fake| fake.key.to_text()).collect();
        WitnessPolicy::new(&keys, quorum).unwrap()
    }

    async fn world(&self, quorum: usize, on_lost: OnLost) -> World {
        World::with_witness(Setup::default(), self.witnessing(quorum, on_lost))
            .await
            .unwrap()
    }
}

impl Fake {
    fn answer(&mut self, body: &str) -> (u16, String) {
        let (lines, checkpoint) = body.split_once("\n\n").unwrap();
        let mut lines = lines.split('\n');
        let old = read_size(lines.next().unwrap().strip_prefix("old ").unwrap()).unwrap();
        let proof: Vec<Hash> = lines
            .map(|line| {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD.decode(line).unwrap().try_into().unwrap()
            })
            .collect();
        let note = Note::parse(checkpoint).unwrap();
        let Checkpoint { size, root, .. } = read_head(note.text()).unwrap();
        if old != self.seen.0 {
            return (409, format!("{}\n", self.seen.0));
        }
        if verify_consistency(old, size, &proof, &self.seen.1, &root).is_err() {
            return (422, "no\n".to_owned());
        }
        self.seen = (size, root);
        self.time_s += 1;
        (200, cosign(note.text(), self.key.name(), &self.pair, self.time_s).unwrap())
    }
}

#[async_trait]
impl WitnessPort for Fakes {
    async fn add_checkpoint(&self, witness: &str, body: String) -> Result<(u16, String), String> {
        let mood = self.with(witness, |fake| {
            fake.asked += 1;
            fake.mood
        });
        match mood {
            Mood::Fit => Ok(self.with(witness, |fake| fake.answer(&body))),
            Mood::Away => Err("connection refused".to_owned()),
            Mood::Nonsense => Ok((200, "<html>\n".to_owned())),
            Mood::Stranger => Ok((403, "no known key of the log signed the checkpoint\n".to_owned())),
            Mood::Silent => std::future::pending().await,
        }
    }

    fn note_newest(&self, checkpoint: &str) -> Result<(), String> {
        self.0.lock().unwrap().newest = Some(checkpoint.to_owned());
        Ok(())
    }

    fn note_head(&self, checkpoint: &str) -> Result<(), String> {
        self.0.lock().unwrap().heads.push(checkpoint.to_owned());
        Ok(())
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let became = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), became).await.is_ok(),
        "waited for {what}"
    );
}

fn size_of(world: &World) -> u64 {
    world.broker.log.published().state.size
}

/// Everything there is was vouched for.
async fn until_witnessed(world: &World) {
    until("a quorum", || {
        world
            .broker
            .witness_metrics()
            .is_some_and(|metrics| metrics.cosigned == size_of(world))
    })
    .await;
}

async fn approved(world: &World) -> (Someone, RequestView) {
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(world, "customers").await;
    let request = rey.review(world, &request, Verdict::Approve).await.unwrap();
    (dana, request)
}

#[tokio::test]
async fn what_is_shown_is_vouched_for_by_a_quorum() {
    let fakes = Fakes::new(&["w1", "w2", "w3"]);
    fakes.with("w3", |fake| fake.mood = Mood::Away);
    let world = fakes.world(2, OnLost::Refuse).await;
    world.sign_in("dana", &["data-eng"]).await;
    until_witnessed(&world).await;
    let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
    assert_eq!(shown.unverified().size, size_of(&world));
    assert_eq!(fakes.policy(2).judge(&shown), Witnessed::Yes);
    assert_eq!(fakes.policy(3).judge(&shown), Witnessed::TooFew { cosigned: 2, quorum: 3 });
    let metrics = world.broker.witness_metrics().unwrap();
    let up = |name: &str, up| (name.to_owned(), up);
    assert_eq!(
        (metrics.age_s, metrics.witnesses),
        (0, vec![up("w1", true), up("w2", true), up("w3", false)])
    );
    // The third comes back and vouches for what the others have vouched for; nothing has to happen in the log for it.
    fakes.with("w3", |fake| fake.mood = Mood::Fit);
    world.advance_ms(MINUTE_MS);
    let all = fakes.policy(3);
    until("the third", || {
        let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
        all.judge(&shown) == Witnessed::Yes
    })
    .await;
}

#[tokio::test]
async fn without_a_quorum_for_too_long_nothing_new_is_released_and_nothing_is_recorded_of_it() {
    let fakes = Fakes::new(&["w1", "w2"]);
    let world = fakes.world(2, OnLost::Refuse).await;
    until_witnessed(&world).await;
    fakes.with("w2", |fake| fake.mood = Mood::Away);
    world.advance_ms(14 * MINUTE_MS);
    assert!(world.broker.ready().is_ok(), "a witness may restart");
    let (dana, request) = approved(&world).await;
    world.advance_ms(2 * MINUTE_MS);
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(refused.code, Code::EvidenceUnavailable);
    assert!(
        refused
            .public
            .contains("No quorum of witnesses has vouched for the evidence log for 16 minutes"),
        "{}",
        refused.public
    );
    assert_eq!(world.broker.ready().unwrap_err().code, Code::EvidenceUnavailable);
    let kinds = world.kinds().await;
    assert!(!kinds.contains(&"fetch.intent") && !kinds.contains(&"grant.take"), "{kinds:?}");
    // What is shown is the log's own now: no old head is passed off as the newest.
    let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
    assert_eq!(shown.text(), world.broker.log.published().checkpoint.text());

    fakes.all(Mood::Fit);
    world.advance_ms(2 * MINUTE_MS);
    until("the broker to be ready again", || world.broker.ready().is_ok()).await;
    let delivered = drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    assert_eq!(delivered, b"end");
}

#[tokio::test]
async fn an_operator_may_choose_to_go_on_without_a_quorum() {
    let fakes = Fakes::new(&["w1"]);
    fakes.all(Mood::Away);
    let world = fakes.world(1, OnLost::Warn).await;
    world.advance_ms(16 * MINUTE_MS);
    let (dana, request) = approved(&world).await;
    assert!(world.broker.ready().is_ok());
    assert!(world.broker.witness_metrics().unwrap().age_s >= 16 * 60);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_age_is_looked_after_even_when_nothing_happens() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    until_witnessed(&world).await;
    let size = size_of(&world);
    for _ in 0..6 {
        world.advance_ms(6 * MINUTE_MS);
        until("the witness to vouch again", || world.broker.witness_metrics().unwrap().age_s == 0).await;
        assert!(world.broker.ready().is_ok());
    }
    assert_eq!(size_of(&world), size, "witnesses are asked without an entry for it");
}

#[tokio::test]
async fn a_witness_that_does_not_answer_holds_up_neither_the_log_nor_the_stop() {
    let fakes = Fakes::new(&["w1", "w2"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    until_witnessed(&world).await;
    fakes.all(Mood::Silent);
    let (dana, request) = approved(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    world
        .until("the outcome", |state| state.requests[&request.id].state == RequestState::Completed)
        .await;
    tokio::time::timeout(Duration::from_secs(5), world.broker.stop()).await.unwrap();
}

#[tokio::test]
async fn a_restored_copy_does_not_start_and_writes_nothing() {
    let fakes = Fakes::new(&["w1", "w2", "w3"]);
    let world = fakes.world(2, OnLost::Warn).await;
    approved(&world).await;
    until_witnessed(&world).await;
    // Two of three are away, and the broker's own note is gone: one that remembers is enough.
    fakes.with("w1", |fake| fake.mood = Mood::Away);
    fakes.with("w3", |fake| fake.mood = Mood::Silent);
    fakes.with("w3", |fake| fake.mood = Mood::Nonsense);
    let seen = fakes.with("w2", |fake| fake.seen.0);
    let journal = world.journal.clone();
    journal.roll_back(4);
    fakes.0.lock().unwrap().newest = None;
    let refused = world.try_restart_with(fakes.witnessing(2, OnLost::Warn)).await.err().unwrap();
    assert_eq!(refused.code, Code::EvidenceUnavailable);
    assert!(
        refused.public.contains(&format!(
            "Witness `w2` has vouched for {seen} entries of this log, and the journal holds 4"
        )),
        "{}",
        refused.public
    );
    assert!(refused.hint.unwrap().contains("put the newest copy of the data folder back"));
    assert_eq!(chunk_log::journal::Journal::size(&journal), 4, "nothing was written");
}

#[tokio::test]
async fn the_broker_s_own_note_tells_of_a_lost_journal_when_no_witness_answers() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    approved(&world).await;
    until_witnessed(&world).await;
    fakes.all(Mood::Away);
    world.journal.roll_back(4);
    let refused = world.try_restart_with(fakes.witnessing(1, OnLost::Refuse)).await.err().unwrap();
    assert!(refused.public.contains("By the broker's own note"), "{}", refused.public);
}

#[tokio::test]
async fn a_history_that_the_witness_does_not_know_does_not_start() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    approved(&world).await;
    until_witnessed(&world).await;
    let seen = fakes.with("w1", |fake| fake.seen.0);
    // A copy from before goes on without asking anybody, and grows beyond what the witness has seen.
    world.journal.roll_back(4);
    let world = world.try_restart().await.unwrap();
    for _ in 0..8 {
        world.sign_in("dana", &["data-eng"]).await;
    }
    assert!(size_of(&world) > seen);
    fakes.0.lock().unwrap().newest = None;
    let refused = world.try_restart_with(fakes.witnessing(1, OnLost::Refuse)).await.err().unwrap();
    assert!(
        refused.public.contains("Witness `w1` has vouched for") && refused.public.contains("continued in two places, or rewritten"),
        "{}",
        refused.public
    );
}

#[tokio::test]
async fn a_broker_that_meets_a_contradiction_releases_nothing_from_then_on() {
    let fakes = Fakes::new(&["w1", "w2"]);
    let world = fakes.world(1, OnLost::Warn).await;
    let (dana, request) = approved(&world).await;
    until_witnessed(&world).await;
    // Another broker with the same log key, started from a copy, has asked the witness meanwhile.
    fakes.with("w1", |fake| fake.seen = (1000, [9; 32]));
    world.advance_ms(10 * MINUTE_MS);
    until("the contradiction", || world.broker.ready().is_err()).await;
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(refused.code, Code::EvidenceUnavailable);
    assert!(
        refused.public.contains("Witness `w1` has seen another history"),
        "{}",
        refused.public
    );
    assert!(refused.source.unwrap().to_string().contains("1000 entries"));
}

#[tokio::test]
async fn a_key_is_replaced_only_when_every_witness_would_follow() {
    let fakes = Fakes::new(&["w1", "w2"]);
    let rotate = async |world: World| {
        let others = Others {
            witness: fakes.witnessing(1, OnLost::Refuse),
            ..Others::default()
        };
        world.try_rotate(2, fakes.witnessing(1, OnLost::Refuse), others).await
    };
    for (mood, why) in [
        (Mood::Stranger, "it knows this log under another key (403)"),
        (Mood::Away, "connection refused"),
        (Mood::Nonsense, "no cosignature"),
    ] {
        let world = fakes.world(1, OnLost::Refuse).await;
        until_witnessed(&world).await;
        fakes.with("w2", |fake| fake.mood = mood);
        let journal = world.journal.clone();
        let refused = rotate(world).await.err().unwrap();
        assert!(
            refused.public.contains("Witness `w2` would not follow") && refused.public.contains(why),
            "{refused}"
        );
        assert!(refused.hint.unwrap().contains("--log OLD --log NEW"));
        let records = Journal::read(&journal, 0, usize::MAX).unwrap();
        let rotates = |record: &Record| String::from_utf8_lossy(&record.leaf).contains("key.rotate");
        assert!(!records.iter().any(rotates), "nothing was recorded");
        fakes.all(Mood::Fit);
        fakes.forget();
    }
    let world = fakes.world(1, OnLost::Refuse).await;
    until_witnessed(&world).await;
    let old = world.broker.info().log_key;
    let world = rotate(world).await.unwrap();
    assert_ne!(world.broker.info().log_key, old);
    // What is shown is the new key's, and the witnesses vouch for it: for the old one's nobody is asked any more.
    until_witnessed(&world).await;
    let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
    let key = VerifierKey::parse(&world.broker.info().log_key).unwrap();
    assert!(shown.verify(&[key]).is_ok());
    assert_eq!(fakes.policy(2).judge(&shown), Witnessed::Yes);
}

#[tokio::test]
async fn what_witnesses_vouched_for_under_the_old_key_is_remembered_and_shown_to_nobody() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Warn).await;
    until_witnessed(&world).await;
    let seen = size_of(&world);
    let others = |memory: bool| {
        let mut witness = fakes.witnessing(1, OnLost::Warn).unwrap();
        if !memory {
            witness.memory = WitnessMemory::default();
        }
        Others {
            witness: Some(witness),
            ..Others::default()
        }
    };
    // The broker comes back with the new key, and the witness does not answer: the old key's checkpoint would be the newest with a quorum.
    let noted = fakes.0.lock().unwrap().newest.clone().unwrap();
    assert_eq!(SignedCheckpoint::parse(&noted).unwrap().unverified().size, seen);
    let world = world.try_rotate(2, None, others(false)).await.unwrap();
    fakes.0.lock().unwrap().newest = Some(noted);
    fakes.all(Mood::Away);
    let world = world.try_restart_with_others(others(true)).await.unwrap();
    let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
    let key = VerifierKey::parse(&world.broker.info().log_key).unwrap();
    assert!(shown.verify(&[key]).is_ok(), "{}", shown.text());
}

#[tokio::test]
async fn a_start_with_witnesses_away_is_a_start_and_the_age_goes_on_from_the_last_quorum() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    until_witnessed(&world).await;
    world.advance_ms(20 * MINUTE_MS);
    fakes.all(Mood::Away);
    let world = world.try_restart_with(fakes.witnessing(1, OnLost::Refuse)).await.unwrap();
    assert!(world.broker.ready().is_err(), "a restart must not begin the time anew");
    fakes.all(Mood::Fit);
    world.advance_ms(2 * MINUTE_MS);
    until("the broker to be ready", || world.broker.ready().is_ok()).await;
}

#[tokio::test]
async fn a_receipt_is_under_a_checkpoint_that_a_quorum_vouches_for() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    let (dana, request) = approved(&world).await;
    until_witnessed(&world).await;
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
    world
        .until("the outcome", |state| state.requests[&request.id].state == RequestState::Completed)
        .await;
    let caller = dana.caller(&world).await.unwrap();
    let receipt = || async {
        let text = audit::receipt(&world.broker, &cx(), &caller, &request.id, 0).await.unwrap();
        SignedCheckpoint::parse(&Receipt::parse(&text).unwrap().checkpoint).unwrap()
    };
    assert_eq!(fakes.policy(1).judge(&receipt().await), Witnessed::Yes);
    // Without witnesses a receipt is not refused: it is the log's own, at once.
    let world_size = size_of(&world);
    fakes.all(Mood::Away);
    dana.ask(&world, "customers").await;
    until("the loss to be seen", || {
        world.broker.witness_metrics().unwrap().witnesses.iter().all(|(_, up)| !up)
    })
    .await;
    let covered = receipt().await;
    assert!(covered.unverified().size <= world_size.max(size_of(&world)));
}

#[tokio::test]
async fn the_same_export_has_the_same_witnessed_head_however_the_log_has_grown() {
    let fakes = Fakes::new(&["w1"]);
    let world = fakes.world(1, OnLost::Refuse).await;
    let anna = world.sign_in("anna", &["auditors"]).await;
    until_witnessed(&world).await;
    let asked = || ExportRequest {
        to_ms: Some(1_790_000_000_001),
        level: Some(1),
        ..ExportRequest::default()
    };
    world.advance_ms(MINUTE_MS);
    let caller = anna.caller(&world).await.unwrap();
    let first = exported(&world, &caller, asked()).await;
    assert!(
        String::from_utf8_lossy(&first).contains("\n\u{2014} w1 "),
        "the head carries no cosignature"
    );
    world.sign_in("dana", &["data-eng"]).await;
    until_witnessed(&world).await;
    let again = exported(&world, &caller, asked()).await;
    assert_eq!(first, again);
    until("the head to be noted", || fakes.0.lock().unwrap().heads.len() == 1).await;

    // And after a restart.
    let world = world.try_restart_with(fakes.witnessing(1, OnLost::Refuse)).await.unwrap();
    let caller = anna.caller(&world).await.unwrap();
    let again = exported(&world, &caller, asked()).await;
    assert_eq!(first, again);
}

async fn exported(world: &World, caller: &Caller, asked: ExportRequest) -> Vec<u8> {
    let export = audit::export(&world.broker, &cx(), caller, asked).await.unwrap();
    export.into_bytes().await.unwrap()
}

fn known(settings: &WitnessSettings, quorum_ms: i64) -> Known {
    Known {
        quorum_ms,
        views: settings.witnesses.iter().map(|_| View::default()).collect(),
        ..Known::default()
    }
}

#[test]
fn a_contradiction_counts_more_than_any_quorum() {
    let settings = Fakes::new(&["w1", "w2"]).settings(1, OnLost::Warn);
    let mut known = known(&settings, 0);
    let max = settings.max_age_ms;
    assert_eq!(standing(&settings, &known, max), Standing::Good);
    assert_eq!(standing(&settings, &known, max + 1), Standing::Lost { age_s: 900 });
    assert_eq!(standing(&settings, &known, -5), Standing::Good, "a clock that goes back is no loss");
    let says = Contradiction::Ahead { seen: 9, held: 5 };
    known.views[1].contradiction = Some(says);
    let contradicted = Standing::Contradicted {
        witness: "w2".into(),
        says,
    };
    assert_eq!(standing(&settings, &known, max + 1), contradicted);
    for on_lost in [OnLost::Warn, OnLost::Refuse] {
        assert!(refusal(&contradicted, on_lost).is_err());
        assert!(refusal(&Standing::Good, on_lost).is_ok() && refusal(&Standing::Off, on_lost).is_ok());
    }
    assert!(refusal(&Standing::Lost { age_s: 900 }, OnLost::Warn).is_ok());
    assert!(refusal(&Standing::Lost { age_s: 900 }, OnLost::Refuse).is_err());
}

#[test]
fn answers_mean_what_the_specification_says() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[50; 32]).unwrap();
    let key = WitnessKey::new("w1", public_key(&pair)).unwrap();
    let checkpoint = Checkpoint {
        origin: "example.test/log".into(),
        size: 7,
        root: [1; 32],
    };
    let head = SignedCheckpoint::sign(&checkpoint, &Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()).unwrap();
    let line = cosign(&checkpoint.to_text(), "w1", &pair, 5).unwrap();
    let read = |status, body: &str| ask::read(&key, &head, 3, status, body);
    assert_eq!(read(200, &line), Meaning::Cosigned(line.clone()));
    assert_eq!(read(409, "5\n"), Meaning::AskFrom(5));
    assert_eq!(read(409, "0\n"), Meaning::AskFrom(0));
    assert_eq!(read(409, "8\n"), Meaning::Contradicts(Contradiction::Ahead { seen: 8, held: 7 }));
    assert_eq!(read(422, ""), Meaning::Contradicts(Contradiction::Forked { seen: 3, held: 7 }));
    let other = cosign(&checkpoint.to_text(), "w2", &pair, 5).unwrap();
    for (status, body) in [
        (200, other.as_str()),
        (200, ""),
        (409, "3\n"),
        (409, "5"),
        (409, "05\n"),
        (409, "<html>\n"),
        (404, ""),
        (403, ""),
        (500, ""),
        (302, ""),
    ] {
        assert!(matches!(read(status, body), Meaning::Refused(_)), "{status} {body:?}");
    }
    assert_eq!(
        ask::body(3, &[[0; 32]], &head),
        format!("old 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n{}", head.text())
    );
    assert!(ask::body(0, &[], &head).starts_with("old 0\n\nexample.test/log\n7\n"));
}
