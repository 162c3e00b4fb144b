#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
#[path = "../../../../shared/evidence/src/timestamp/tests/authority.rs"]
mod authority;

use std::collections::BTreeMap;

use chunk_evidence::bundle::{Answer, verify_bundle};
use chunk_evidence::note::VerifierKey;
use chunk_evidence::trust::TrustPolicy;
use chunk_wire::audit::ExportRequest;

use self::authority::{Authority, general};
use super::*;
use crate::anchor;
use crate::audit;
use crate::identity::Caller;
use crate::testing::{Others, Setup, World, cx, until};

const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 1_790_000_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Fit,
    Away,
    Silent,
    Nonsense,
    /// Its clock is this many ms ahead.
    Ahead(i64),
    /// It stamps something else.
    Elsewhere,
}

/// An authority of tests, and what was kept of it.
#[derive(Clone)]
struct Fake(Arc<Mutex<Inner>>);

struct Inner {
    authority: Authority,
    mood: Mood,
    now_ms: i64,
    asked: u64,
    kept: BTreeMap<u64, KeptStamp>,
    heads: Vec<NotedHead>,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            authority: Authority::new(1),
            mood: Mood::Fit,
            now_ms: START_MS,
            asked: 0,
            kept: BTreeMap::new(),
            heads: Vec::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn timestamping(&self) -> Option<Timestamping> {
        let inner = self.inner();
        Some(Timestamping {
            settings: TimestampSettings {
                interval: Duration::from_secs(300),
                look_every: Duration::from_millis(2),
            },
            port: Arc::new(self.clone()),
            memory: TimestampMemory {
                sizes: inner.kept.keys().copied().collect(),
                heads: inner.heads.clone(),
            },
        })
    }

    async fn world(&self) -> World {
        World::with_timestamps(self.timestamping()).await
    }

    /// The broker's clock and the authority's go on together.
    fn advance(&self, world: &World, ms: i64) {
        self.inner().now_ms += ms;
        world.advance_ms(ms);
    }

    fn policy(&self, world: &World) -> TrustPolicy {
        use base64::Engine as _;
        let key = VerifierKey::parse(&world.broker.info().log_key).unwrap();
        TrustPolicy {
            timestamp_authorities: vec![base64::engine::general_purpose::STANDARD.encode(self.inner().authority.certificate())],
            ..TrustPolicy::of_key(&key)
        }
    }
}

#[async_trait]
impl TimestampPort for Fake {
    async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let mood = {
            let mut inner = self.inner();
            inner.asked += 1;
            inner.mood
        };
        if mood == Mood::Silent {
            return std::future::pending().await;
        }
        // As `chunk_evidence::timestamp::request` writes it.
        let (imprint, nonce) = (&request[24..56], &request[58..66]);
        let inner = self.inner();
        let stamp = |imprint: &[u8], ahead_ms: i64| {
            let time = jiff::Timestamp::from_millisecond(inner.now_ms + ahead_ms).unwrap();
            inner.authority.stamp(imprint, &general(&time.to_string()), Some(nonce))
        };
        match mood {
            Mood::Fit => Ok(stamp(imprint, 0)),
            Mood::Ahead(ms) => Ok(stamp(imprint, ms)),
            Mood::Elsewhere => Ok(stamp(&[7; 32], 0)),
            Mood::Away => Err("connection refused".to_owned()),
            Mood::Nonsense | Mood::Silent => Ok(b"<html>".to_vec()),
        }
    }

    fn keep(&self, size: u64, stamp: &KeptStamp) -> Result<(), String> {
        self.inner().kept.insert(size, stamp.clone());
        Ok(())
    }

    fn read(&self, size: u64) -> Result<KeptStamp, String> {
        self.inner().kept.get(&size).cloned().ok_or_else(|| "there is none".to_owned())
    }

    fn note_head(&self, head: &NotedHead) -> Result<(), String> {
        self.inner().heads.push(head.clone());
        Ok(())
    }
}

fn size(world: &World) -> u64 {
    world.broker.log.published().state.size
}

/// Waits until everything there is now has a stamp.
async fn until_stamped(world: &World) {
    let size = size(world);
    until("a stamp", || world.broker.timestamp_metrics().unwrap().stamped >= size).await;
}

async fn exported(world: &World, caller: &Caller, asked: ExportRequest) -> Vec<u8> {
    let export = audit::export(&world.broker, &cx(), caller, asked).await.unwrap();
    export.into_bytes().await.unwrap()
}

#[tokio::test]
async fn what_grew_is_stamped_no_more_often_than_asked_and_an_idle_log_never() {
    let fake = Fake::new();
    let world = fake.world().await;
    until_stamped(&world).await;
    assert_eq!(fake.inner().asked, 1);
    world.sign_in("dana", &["data-eng"]).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(fake.inner().asked, 1, "before the interval is over");
    fake.advance(&world, 5 * MINUTE_MS);
    until_stamped(&world).await;
    assert_eq!(fake.inner().asked, 2);
    fake.advance(&world, 60 * MINUTE_MS);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(fake.inner().asked, 2, "nothing has happened");
    // The entry that tells of the stamp is nothing that has to be stamped.
    anchor::look(&world.broker).await.unwrap();
    assert_eq!(world.kinds().await.last(), Some(&"anchor.observe"));
    let grown = size(&world);
    for _ in 0..3 {
        fake.advance(&world, 60 * MINUTE_MS);
        tokio::time::sleep(Duration::from_millis(20)).await;
        anchor::look(&world.broker).await.unwrap();
    }
    assert_eq!((fake.inner().asked, size(&world)), (2, grown));

    // A start is something, but it does not ask more often for that.
    let world = world
        .try_restart_with_others(Others {
            timestamps: fake.timestamping(),
            ..Others::default()
        })
        .await
        .unwrap();
    until_stamped(&world).await;
    assert_eq!(fake.inner().asked, 3);
    let world = world
        .try_restart_with_others(Others {
            timestamps: fake.timestamping(),
            ..Others::default()
        })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(fake.inner().asked, 3);
    drop(world);
}

#[tokio::test]
async fn an_authority_that_is_no_use_holds_nothing_up_and_its_stamps_are_not_kept() {
    for mood in [
        Mood::Away,
        Mood::Silent,
        Mood::Nonsense,
        Mood::Elsewhere,
        Mood::Ahead(MINUTE_MS + 1),
        Mood::Ahead(-MINUTE_MS - 1),
    ] {
        let fake = Fake::new();
        fake.inner().mood = mood;
        let world = fake.world().await;
        until("a question", || fake.inner().asked == 1).await;
        let anna = world.sign_in("anna", &["auditors"]).await;
        let caller = anna.caller(&world).await.unwrap();
        let bundle = exported(&world, &caller, ExportRequest::default()).await;
        let found = verify_bundle(&bundle, &fake.policy(&world));
        assert_eq!((found.answer, found.stamps.carried), (Answer::CannotTell, 0));
        assert!(fake.inner().kept.is_empty());
        assert!(world.broker.ready().is_ok());
        if mood == Mood::Silent {
            continue;
        }
        until("the failure to be seen", || !world.broker.timestamp_metrics().unwrap().up).await;
        // It is asked again after a pause, and then it is well.
        fake.inner().mood = Mood::Fit;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(fake.inner().asked, 1);
        fake.advance(&world, 5_000);
        until_stamped(&world).await;
        assert!(world.broker.timestamp_metrics().unwrap().up);
    }
}

#[tokio::test]
async fn a_bundle_carries_the_stamps_and_the_same_export_is_the_same_however_many_came_later() {
    let fake = Fake::new();
    let world = fake.world().await;
    let anna = world.sign_in("anna", &["auditors"]).await;
    let caller = anna.caller(&world).await.unwrap();
    until("a stamp", || !fake.inner().kept.is_empty()).await;
    anchor::look(&world.broker).await.unwrap();
    let asked = |level| ExportRequest {
        to_ms: Some(START_MS + 1),
        level: Some(level),
        ..ExportRequest::default()
    };
    fake.advance(&world, MINUTE_MS);
    let first = exported(&world, &caller, asked(4)).await;
    let found = verify_bundle(&first, &fake.policy(&world));
    assert_eq!(found.answer, Answer::True, "{:?} {:?}", found.faults, found.unknowns);
    assert_eq!((found.stamps.carried, found.stamps.believed), (1, 1));
    assert_eq!(found.counts.by_kind.get("anchor.observe"), Some(&1));

    // More is stamped, at the head of that bundle too.
    world.sign_in("dana", &["data-eng"]).await;
    fake.advance(&world, 5 * MINUTE_MS);
    until_stamped(&world).await;
    assert_eq!(exported(&world, &caller, asked(4)).await, first);
    // What is recorded from here on lies behind the range of the next question.
    fake.advance(&world, MINUTE_MS);
    // Another question has another answer: its head is a stamped one.
    let later = ExportRequest {
        to_ms: Some(START_MS + 6 * MINUTE_MS + 1),
        level: Some(1),
        ..ExportRequest::default()
    };
    let second = exported(&world, &caller, later.clone()).await;
    let found = verify_bundle(&second, &fake.policy(&world));
    assert_eq!((found.answer, found.stamps.believed), (Answer::True, 2), "{:?}", found.faults);

    let world = world
        .try_restart_with_others(Others {
            timestamps: fake.timestamping(),
            ..Others::default()
        })
        .await
        .unwrap();
    let caller = anna.caller(&world).await.unwrap();
    assert_eq!(exported(&world, &caller, asked(4)).await, first);
    assert_eq!(exported(&world, &caller, later).await, second);
}

#[tokio::test]
async fn a_journal_that_is_shorter_than_what_was_stamped_does_not_start() {
    let fake = Fake::new();
    let world = fake.world().await;
    world.sign_in("dana", &["data-eng"]).await;
    until("a stamp", || !fake.inner().kept.is_empty()).await;
    fake.advance(&world, 5 * MINUTE_MS);
    until_stamped(&world).await;
    drop(world);
    // Another journal, as if an old copy had been put back: it holds less, or something else.
    let fault = World::with_others(
        Setup::default(),
        Others {
            timestamps: fake.timestamping(),
            ..Others::default()
        },
    )
    .await
    .err()
    .unwrap();
    assert!(
        fault
            .to_string()
            .contains("By the time stamps beside the journal, somebody outside has vouched for"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_stray_file_that_names_more_entries_than_there_are_stops_no_stamps() {
    let fake = Fake::new();
    let world = fake.world().await;
    world.sign_in("dana", &["data-eng"]).await;
    until("a stamp", || !fake.inner().kept.is_empty()).await;
    let stray = KeptStamp {
        checkpoint: "of nothing".to_owned(),
        token: vec![7],
    };
    fake.inner().kept.insert(u64::MAX, stray);
    let others = Others {
        timestamps: fake.timestamping(),
        ..Others::default()
    };
    let world = world.try_restart_with_others(others).await.unwrap();
    world.sign_in("dana", &["data-eng"]).await;
    fake.advance(&world, 5 * MINUTE_MS);
    let size = size(&world);
    until("a stamp", || fake.inner().kept.keys().any(|at| (size..u64::MAX).contains(at))).await;
    assert!(world.broker.timestamp_metrics().unwrap().stamped < u64::MAX);
}
