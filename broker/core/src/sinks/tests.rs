#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
use std::io::Cursor as Bytes;
use std::sync::{Mutex, MutexGuard};

use chunk_evidence::views::{Events, Verified};
use chunk_log::index::Question;
use chunk_log::journal::Urgency;
use chunk_wire::audit::{EraseRequest, ExportRequest};
use chunk_wire::review::Verdict;
use tokio::time::{Instant, sleep};

use super::*;
use crate::evidence::entries::{DisposeEntry, Disposed, Event};
use crate::testing::receivers::{Mood, swift};
use crate::testing::{ADMINISTRATORS, Others, POLICIES, Setup, World, cx, drain};

/// A receiver that does as it is told, with the note of where it has come to.
#[derive(Clone)]
struct Fake(Arc<Mutex<Inner>>);

struct Inner {
    mood: Mood,
    takes: usize,
    got: Vec<SinkEvent>,
    noted: Option<Cursor>,
    notes: bool,
    tries: u32,
}

impl Fake {
    fn new(takes: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            mood: Mood::Accepts,
            takes,
            got: Vec::new(),
            noted: None,
            notes: true,
            tries: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn sinking(&self, name: &str, level: u8, from: Since) -> Sinking {
        Sinking {
            settings: SinkSettings {
                name: name.to_owned(),
                kind: "fake",
                level,
                from,
            },
            port: Box::new(self.clone()),
            cursor: Arc::new(self.clone()),
            noted: self.lock().noted,
            pace: swift(Duration::from_millis(500)),
        }
    }

    fn texts(&self) -> Vec<String> {
        self.lock().got.iter().map(|event| event.text.clone()).collect()
    }

    /// Waits until it has got every entry that there is.
    async fn caught_up(&self, world: &World) {
        let size = world.broker.log.published().state.size;
        let has = || self.lock().got.last().is_some_and(|event| event.index + 1 >= size);
        for _ in 0..4000 {
            if has() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("{size} entries, but it got {:?}", self.lock().got.last());
    }
}

#[async_trait]
impl SinkPort for Fake {
    fn takes(&self) -> Takes {
        Takes {
            events: self.lock().takes,
            bytes: 1 << 20,
        }
    }

    async fn deliver(&mut self, events: &[SinkEvent]) -> Result<(), SinkFault> {
        let mood = {
            let mut inner = self.lock();
            inner.tries += 1;
            if inner.mood.keeps() {
                inner.got.extend_from_slice(events);
            }
            inner.mood
        };
        mood.answer().await
    }
}

impl CursorPort for Fake {
    fn note(&self, cursor: &Cursor) -> Result<(), String> {
        let mut inner = self.lock();
        if !inner.notes {
            return Err("the disk is full".to_owned());
        }
        inner.noted = Some(*cursor);
        Ok(())
    }
}

async fn world(sinks: Vec<Sinking>) -> World {
    let setup = Setup {
        policies: format!("{POLICIES}{ADMINISTRATORS}"),
        ..Setup::default()
    };
    World::with_others(
        setup,
        Others {
            sinks,
            ..Others::default()
        },
    )
    .await
    .unwrap()
}

/// People ask, review, fetch, sign in once more, and are refused.
async fn story(world: &World) {
    let mut dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let request = dana.ask(world, "customers").await;
    let rejected = dana.ask(world, "customers").await;
    // The grant is hers, whose newest session is another than the one under which she asked.
    dana.sign_in_again(world, "dana", &["data-eng", "oncall"]).await;
    rey.review(world, &request, Verdict::Approve).await.unwrap();
    rey.review(world, &rejected, Verdict::Reject).await.unwrap();
    world.script(vec![Ok(b"a,b\n"), Ok(b"1,2\n")]);
    drain(dana.fetch(world, &request.id).await.unwrap()).await.unwrap();
    world.sign_in("dana", &["data-eng"]).await;
    let stranger = world.sign_in("sam", &["nobody"]).await;
    stranger.plan(world, crate::testing::slice("customers")).await.unwrap_err();
    dana.ask(world, "customers").await;
}

/// What a bundle of the whole log gives, from the first entry to the last before the export.
async fn converted(world: &World, level: u8) -> Vec<String> {
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(world).await.unwrap();
    let request = ExportRequest {
        level: Some(level),
        ..ExportRequest::default()
    };
    let export = crate::audit::export(&world.broker, &cx(), &auditor, request).await.unwrap();
    let mut bundle = Verified::open(Bytes::new(export.into_bytes().await.unwrap())).unwrap();
    let mut events = Events::new("example.test/log");
    let mut out = Vec::new();
    bundle.rows(|row| events.row(&row, &mut out)).unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn indices(events: &[SinkEvent]) -> Vec<u64> {
    events.iter().map(|event| event.index).collect()
}

#[tokio::test]
async fn every_entry_arrives_in_order_as_a_bundle_of_that_level_shows_it_whatever_the_batch() {
    for takes in [1, 3, 256] {
        let sinks: Vec<(u8, Fake)> = (1..=4).map(|level| (level, Fake::new(takes))).collect();
        let sinkings = sinks
            .iter()
            .map(|(level, sink)| sink.sinking(&format!("s{level}"), *level, Since::Beginning));
        let world = world(sinkings.collect()).await;
        story(&world).await;
        for (level, sink) in &sinks {
            let expected = converted(&world, *level).await;
            sink.caught_up(&world).await;
            let texts = sink.texts();
            assert!(expected.len() > 15);
            for (index, text) in expected.iter().enumerate() {
                assert_eq!(texts[index], *text, "entry {index} at level {level}, {takes} at a time");
            }
            let got = indices(&sink.lock().got);
            assert_eq!(got, (0..got.len() as u64).collect::<Vec<_>>());
            assert_eq!(texts.concat().contains("dana@example.test"), *level >= 3, "level {level}");
        }
        world.broker.stop().await;
        let size = world.broker.log.published().state.size;
        assert!(
            sinks.iter().all(|(_, sink)| sink.lock().got.len() as u64 == size),
            "the stop's own entry went out too"
        );
    }
}

#[tokio::test]
async fn the_configuration_names_its_sinks() {
    let sink = Fake::new(8);
    let world = world(vec![sink.sinking("siem", 3, Since::Beginning)]).await;
    sink.caught_up(&world).await;
    let loads: Vec<String> = sink.texts().into_iter().filter(|text| text.contains("config.load")).collect();
    assert!(
        loads.len() == 1 && loads[0].contains(r#""sinks":[{"kind":"fake","level":3,"name":"siem"}]"#),
        "{loads:?}"
    );
    world.broker.stop().await;
}

#[tokio::test]
async fn a_receiver_that_refuses_misses_nothing_and_nobody_waits_for_it() {
    for mood in [Mood::Refuses, Mood::Hangs, Mood::Forgets] {
        let (bad, good) = (Fake::new(4), Fake::new(4));
        bad.lock().mood = mood;
        let sinks = vec![bad.sinking("bad", 2, Since::Beginning), good.sinking("good", 2, Since::Beginning)];
        let world = world(sinks).await;
        let began = Instant::now();
        story(&world).await;
        good.caught_up(&world).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        while bad.lock().tries < 3 {
            sleep(Duration::from_millis(5)).await;
        }
        let metrics = world.broker.sink_metrics();
        assert!(
            metrics[0].lag > 10 && metrics[0].accepted == 0 && metrics[0].failures_total >= 1,
            "{metrics:?}"
        );
        assert_eq!((metrics[1].lag, metrics[1].behind_s, metrics[1].failures_total), (0, 0, 0));
        world.advance_ms(400_000);
        assert!(world.broker.sink_metrics()[0].behind_s >= 400);

        bad.lock().mood = Mood::Accepts;
        bad.caught_up(&world).await;
        let mut got = indices(&bad.lock().got);
        got.dedup();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got, (0..world.broker.log.published().state.size).collect::<Vec<_>>(), "{mood:?}");
        sleep(Duration::from_millis(20)).await;
        assert_eq!(world.broker.sink_metrics()[0].lag, 0);
        world.broker.stop().await;
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_hold_up_the_stop() {
    let sink = Fake::new(4);
    sink.lock().mood = Mood::Hangs;
    let world = world(vec![sink.sinking("siem", 2, Since::Beginning)]).await;
    story(&world).await;
    let began = Instant::now();
    world.broker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_the_receiver_has_come_to() {
    let sink = Fake::new(4);
    let world = world(vec![sink.sinking("siem", 4, Since::Beginning)]).await;
    story(&world).await;
    sink.caught_up(&world).await;
    while sink.lock().noted.unwrap().next < world.broker.log.published().state.size {
        sleep(Duration::from_millis(5)).await;
    }
    // From here on nothing is noted, as if the machine died at once.
    sink.lock().notes = false;
    world.sign_in("dana", &["data-eng"]).await;
    sink.caught_up(&world).await;
    let world = world
        .try_restart_with_others(Others {
            sinks: vec![sink.sinking("siem", 4, Since::Now)],
            ..Others::default()
        })
        .await
        .unwrap();
    sink.lock().notes = true;
    story(&world).await;
    sink.caught_up(&world).await;
    let got = indices(&sink.lock().got);
    let mut distinct = got.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct, (0..world.broker.log.published().state.size).collect::<Vec<_>>());
    assert!(got.len() > distinct.len(), "what was not noted came again");
    let mut texts = std::collections::BTreeMap::new();
    for event in &sink.lock().got {
        assert_eq!(
            *texts.entry(event.index).or_insert_with(|| event.text.clone()),
            event.text,
            "again as before"
        );
    }
    world.broker.stop().await;
}

#[tokio::test]
async fn a_new_sink_begins_where_it_is_told_to() {
    let first = world(Vec::new()).await;
    story(&first).await;
    let size = first.broker.log.published().state.size;
    let sink = Fake::new(8);
    let world = first
        .try_restart_with_others(Others {
            sinks: vec![sink.sinking("siem", 2, Since::Now)],
            ..Others::default()
        })
        .await
        .unwrap();
    sink.caught_up(&world).await;
    assert_eq!(sink.lock().got[0].index, size);
    // Nor does it start where that cannot be noted: after a crash it would begin elsewhere.
    let other = Fake::new(8);
    other.lock().notes = false;
    let refused = world
        .try_restart_with_others(Others {
            sinks: vec![other.sinking("other", 2, Since::Now)],
            ..Others::default()
        })
        .await;
    assert!(refused.err().unwrap().to_string().contains("where sink `other` begins"));
}

/// A broker that has stopped after everything was accepted and noted.
async fn stopped(sink: &Fake) -> World {
    let world = world(vec![sink.sinking("siem", 2, Since::Beginning)]).await;
    story(&world).await;
    sink.caught_up(&world).await;
    world.broker.stop().await;
    assert_eq!(sink.lock().noted.unwrap().next, world.broker.log.published().state.size);
    world
}

async fn refusal(world: World, sink: &Fake) -> Error {
    let restarted = world
        .try_restart_with_others(Others {
            sinks: vec![sink.sinking("siem", 2, Since::Beginning)],
            ..Others::default()
        })
        .await;
    restarted.err().unwrap()
}

#[tokio::test]
async fn a_journal_that_holds_less_than_was_accepted_does_not_start() {
    let sink = Fake::new(8);
    let world = stopped(&sink).await;
    let (journal, held) = (world.journal.clone(), world.broker.log.published().state.size);
    journal.roll_back(usize::try_from(held - 3).unwrap());
    let fault = refusal(world, &sink).await;
    assert!(fault.public.contains("and the journal holds"), "{fault}");
    assert!(fault.hint.unwrap().contains("put the newest copy"));
    assert_eq!(
        chunk_log::journal::Journal::size(&journal),
        held - 3,
        "a refused start records nothing"
    );
}

#[tokio::test]
async fn a_journal_with_other_entries_than_were_accepted_does_not_start() {
    let sink = Fake::new(8);
    let world = stopped(&sink).await;
    let noted = sink.lock().noted.unwrap();
    sink.lock().noted = Some(Cursor { root: [7; 32], ..noted });
    let fault = refusal(world, &sink).await;
    assert!(fault.public.contains("are not the ones this journal begins with"), "{fault}");
}

#[tokio::test]
async fn whoever_was_erased_is_told_to_no_receiver_that_comes_later() {
    let sink = Fake::new(3);
    sink.lock().mood = Mood::Refuses;
    let world = world(vec![sink.sinking("siem", 4, Since::Beginning)]).await;
    story(&world).await;
    let admin = world.sign_in("adam", &["admins"]).await.caller(&world).await.unwrap();
    let request = EraseRequest {
        person: "dana@example.test".to_owned(),
        reason: "asked for by the person".to_owned(),
    };
    crate::audit::erase(&world.broker, &cx(), &admin, request).await.unwrap();
    let expected = converted(&world, 4).await;
    sink.lock().mood = Mood::Accepts;
    sink.caught_up(&world).await;
    let texts = sink.texts();
    assert!(!texts.concat().contains("dana"));
    assert!(texts.iter().any(|text| text.contains(r#""disclosed":"erased""#)));
    for (index, text) in expected.iter().enumerate() {
        assert_eq!(texts[index], *text, "entry {index}");
    }
    world.broker.stop().await;
}

/// Somebody looked at something, in so many bytes.
async fn looked(world: &World, times: usize, bytes: usize) {
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(world).await.unwrap();
    let event = Event::AuditRead {
        actor: auditor.actor().clone(),
        session: auditor.session().clone(),
        open: auditor.open_index(),
        query: serde_json::json!({ "user": "x".repeat(bytes) }),
        entries: 0,
    };
    let events = vec![event; times];
    world.broker.log.commit(Urgency::Normal, move |_, _| Ok(events)).await.unwrap();
}

#[tokio::test]
async fn a_batch_is_bounded_by_its_bytes_whatever_a_receiver_takes() {
    let world = World::new().await;
    let first = world.broker.log.published().state.size;
    looked(&world, 40, 512 << 10).await;
    let size = world.broker.log.published().state.size;
    let all = Takes {
        events: usize::MAX,
        bytes: usize::MAX,
    };
    let (mut at, mut batches) = (first, 0);
    while at < size {
        let batch = events::next(&world.broker, at, 4, all).await.unwrap();
        assert_eq!(batch[0].index, at);
        let bytes: usize = batch.iter().map(|event| event.text.len()).sum();
        assert!(
            bytes < events::BATCH_BYTES_MAX + (2 << 20),
            "{bytes} bytes in {} events",
            batch.len()
        );
        at = batch.last().unwrap().index + 1;
        batches += 1;
    }
    assert!(batches >= 3, "{batches}");
}

#[tokio::test]
async fn what_entries_rest_on_is_bounded_too() {
    let world = World::new().await;
    looked(&world, 40, 512 << 10).await;
    let size = world.broker.log.published().state.size;
    let auditor = world.sign_in("audra", &["auditors"]).await.caller(&world).await.unwrap();
    // Each rests on another of those.
    let events = (size - 40..size).map(|open| Event::AuditRead {
        actor: auditor.actor().clone(),
        session: auditor.session().clone(),
        open,
        query: serde_json::json!({}),
        entries: 0,
    });
    let events: Vec<_> = events.collect();
    let committed = world.broker.log.commit(Urgency::Normal, move |_, _| Ok(events)).await.unwrap();
    let takes = Takes {
        events: 256,
        bytes: 1 << 20,
    };
    let batch = events::next(&world.broker, committed.events.start, 4, takes).await.unwrap();
    assert!((1..=16).contains(&batch.len()), "{}", batch.len());
    assert_eq!(batch[0].index, committed.events.start);
}

#[tokio::test]
async fn a_sink_passes_entries_whose_bodies_were_disposed_of() {
    let early = Fake::new(2);
    let world = world(vec![early.sinking("early", 4, Since::Beginning)]).await;
    looked(&world, 3, 10).await;
    early.caught_up(&world).await;
    early.lock().mood = Mood::Refuses;
    looked(&world, 3, 10).await;
    let before = world.broker.log.published().state.size;
    let gone: Vec<u64> = world.broker.log.with_index(|index| {
        let read = Question {
            kind: Some("audit.read"),
            ..Question::default()
        };
        index.find(&read, 0..before, 100)
    });
    assert_eq!(gone.len(), 6);
    let entry = DisposeEntry {
        bodies: vec![Disposed {
            kind: Kind::AuditRead,
            before,
        }],
        recordings_before: None,
        bodies_count: 6,
        recordings_count: 0,
    };
    world
        .broker
        .log
        .commit(Urgency::Normal, move |_, _| Ok(vec![Event::Dispose(entry)]))
        .await
        .unwrap();
    assert!(world.broker.log.forget(gone.clone()).await.unwrap());
    // What it was offered meanwhile may have been read before.
    let tries = early.lock().tries;
    while early.lock().tries < tries + 2 {
        sleep(Duration::from_millis(1)).await;
    }
    early.lock().mood = Mood::Accepts;
    early.caught_up(&world).await;
    assert_eq!(indices(&early.lock().got), (0..=before).collect::<Vec<_>>(), "each once, in order");
    let texts = early.texts();
    let text = |index: u64| &texts[usize::try_from(index).unwrap()];
    // Oldest last: the three that it got in time said what they were, and the others say why they do not.
    assert!(gone[3..].iter().all(|index| text(*index).contains("xxxxxxxxxx")));
    assert!(gone[..3].iter().all(|index| !text(*index).contains("xxxxxxxxxx")));
    let late = events::next(
        &world.broker,
        0,
        4,
        Takes {
            events: 256,
            bytes: 1 << 20,
        },
    );
    assert!(late.await.unwrap().iter().all(|event| !event.text.contains("xxxxxxxxxx")));
}
