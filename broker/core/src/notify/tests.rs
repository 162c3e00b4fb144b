#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
use std::sync::{Mutex, MutexGuard};

use chunk_wire::audit::EraseRequest;
use chunk_wire::fetch::{Query, RequestView};
use chunk_wire::review::{Verdict, Withdraw};
use chunk_wire::stages::Escalation;
use tokio::time::{Instant, sleep};

use super::*;
use crate::rule::StageRule;
use crate::testing::receivers::{Mood, swift};
use crate::testing::ssh::{MAY_ENROLL, Signer, enroll};
use crate::testing::{ADMINISTRATORS, Others, POLICIES, Setup, Someone, World, cx, slice};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Somebody who is told, with the note of how far that has come.
#[derive(Clone)]
struct Fake(Arc<Mutex<Inner>>);

struct Inner {
    mood: Mood,
    got: Vec<Notice>,
    noted: Option<Cursor>,
    notes: bool,
    tries: u32,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            mood: Mood::Accepts,
            got: Vec::new(),
            noted: None,
            notes: true,
            tries: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn notifying(&self, settings: NotifySettings) -> Notifying {
        Notifying {
            settings,
            port: Box::new(self.clone()),
            cursor: Arc::new(self.clone()),
            noted: self.lock().noted,
            pace: swift(Duration::from_millis(200)),
        }
    }

    fn told(&self) -> Vec<&'static str> {
        self.lock().got.iter().map(|notice| notice.occasion.as_str()).collect()
    }

    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.lock().got)
    }
}

#[async_trait]
impl NotifyPort for Fake {
    async fn deliver(&mut self, notice: &Notice) -> Result<(), SinkFault> {
        let mood = {
            let mut inner = self.lock();
            inner.tries += 1;
            if inner.mood.keeps() {
                inner.got.push(notice.clone());
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

fn settings(name: &str, detail: Detail) -> NotifySettings {
    NotifySettings {
        name: name.to_owned(),
        kind: "fake",
        occasions: Occasion::ALL.into_iter().filter(|occasion| occasion.is_of_request()).collect(),
        datasets: BTreeSet::new(),
        detail,
        audience: None,
        give_up: 3 * DAY,
    }
}

async fn world(notifiers: Vec<Notifying>) -> World {
    let setup = Setup {
        policies: format!("{POLICIES}{ADMINISTRATORS}{MAY_ENROLL}"),
        ..Setup::default()
    };
    World::with_others(setup, others(notifiers)).await.unwrap()
}

fn others(notifiers: Vec<Notifying>) -> Others {
    Others {
        notifiers,
        ..Others::default()
    }
}

/// Waits until every notifier has been told of everything that there is.
async fn caught_up(world: &World) {
    for _ in 0..4000 {
        if world.broker.notifier_metrics().iter().all(|notifier| notifier.lag == 0) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", world.broker.notifier_metrics());
}

/// Waits until it was tried so often more.
async fn tried(fake: &Fake, times: u32) {
    let before = fake.lock().tries;
    for _ in 0..4000 {
        if fake.lock().tries >= before + times {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it was not tried");
}

async fn ask(someone: &Someone, world: &World, filter: &str) -> RequestView {
    let mut request = slice("customers");
    if let Query::Slice { filter: of, .. } = &mut request.query {
        *of = Some(filter.to_owned());
    }
    let plan = someone.plan(world, request).await.unwrap();
    someone.submit(world, &plan.document.unwrap()).await.unwrap()
}

fn withdraw(reason: &str) -> Withdraw {
    Withdraw { reason: reason.to_owned() }
}

/// One request that is approved and revoked, one rejected, one withdrawn, one that two must approve, one that expires.
async fn story(world: &World) -> Vec<RequestView> {
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let (rey, ria) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("ria", &["data-owners"]).await,
    );
    let requests = [
        ask(&dana, world, "email = 'ada@secret.example'").await,
        ask(&dana, world, "city = 'x'").await,
        ask(&dana, world, "city = 'y'").await,
        dana.ask(world, "salaries").await,
        ask(&dana, world, "city = 'z'").await,
    ];
    rey.review(world, &requests[0], Verdict::Approve).await.unwrap();
    rey.review(world, &requests[1], Verdict::Reject).await.unwrap();
    let caller = dana.caller(world).await.unwrap();
    crate::approval::cancel(&world.broker, &cx(), caller, requests[2].id.clone(), withdraw("no need"))
        .await
        .unwrap();
    rey.review(world, &requests[3], Verdict::Approve).await.unwrap();
    ria.review(world, &requests[3], Verdict::Approve).await.unwrap();
    let caller = rey.caller(world).await.unwrap();
    crate::approval::revoke(&world.broker, &cx(), caller, requests[0].id.clone(), withdraw("a mistake"))
        .await
        .unwrap();
    world.advance_ms(3600 * 1000 + 1);
    world
        .until("what has run out to end", |state| {
            state.pending.is_empty() && state.waiting.is_empty()
        })
        .await;
    requests.into()
}

#[tokio::test]
async fn whatever_becomes_of_a_request_is_told_once_with_what_configuration_allows() {
    let (minimal, full) = (Fake::new(), Fake::new());
    let world = world(vec![
        minimal.notifying(settings("minimal", Detail::Minimal)),
        full.notifying(settings("full", Detail::Full)),
    ])
    .await;
    let requests = story(&world).await;
    caught_up(&world).await;
    let told: Vec<(&str, Option<&RequestId>)> = vec![
        ("request.pending", Some(&requests[0].id)),
        ("request.pending", Some(&requests[1].id)),
        ("request.pending", Some(&requests[2].id)),
        ("request.pending", Some(&requests[3].id)),
        ("request.pending", Some(&requests[4].id)),
        ("request.decided", Some(&requests[0].id)),
        ("request.decided", Some(&requests[1].id)),
        ("request.cancelled", Some(&requests[2].id)),
        ("request.decided", Some(&requests[3].id)),
        ("grant.revoked", Some(&requests[0].id)),
    ];
    for fake in [&minimal, &full] {
        let inner = fake.lock();
        let got: Vec<_> = inner
            .got
            .iter()
            .map(|notice| (notice.occasion.as_str(), notice.request.as_ref()))
            .collect();
        assert_eq!(got[..10], told[..]);
        let mut ended = got[10..].to_vec();
        ended.sort_unstable_by_key(|(occasion, _)| *occasion);
        assert_eq!(
            ended,
            [("grant.expired", Some(&requests[3].id)), ("request.expired", Some(&requests[4].id))]
        );
        let ids: BTreeSet<&str> = inner.got.iter().map(|notice| notice.id.as_str()).collect();
        assert_eq!(ids.len(), 12);
        assert!(ids.iter().all(|id| id.len() == 36 && id.starts_with("msg_")));
        assert_eq!(inner.got[0].datasets, ["customers"]);
        assert_eq!((inner.got[0].quorum, inner.got[3].quorum), (Some(1), Some(2)));
        assert_eq!(inner.got[0].expires_ms, Some(requests[0].expires_ms));
        let decided = |n: usize| inner.got[n].decision;
        assert_eq!(
            (decided(5), decided(6), decided(8)),
            (Some(Decision::Approved), Some(Decision::Rejected), Some(Decision::Approved))
        );
    }
    // At the minimum nobody is named, and nothing that anybody wrote is told, least of all what a filter compares with.
    let told = format!("{:?}", minimal.take());
    for word in ["dana", "rey", "incident", "secret", "looked", "mistake", "no need", "example.test"] {
        assert!(!told.contains(word), "{word}: {told}");
    }
    let got = full.take();
    let details = |n: usize| got[n].details.clone().unwrap();
    assert_eq!(details(0).person.unwrap().email.as_deref(), Some("dana@example.test"));
    assert_eq!(details(0).reason.as_deref(), Some("incident 42"));
    assert_eq!(
        details(0).query.as_deref(),
        Some("every column of customers where email = 'ada@secret.example'")
    );
    assert!(details(0).by.is_empty() && details(0).words.is_none());
    assert_eq!(
        (details(6).by[0].name.as_str(), details(6).words.as_deref()),
        ("rey", Some("looked at it"))
    );
    let both: Vec<String> = details(8).by.into_iter().map(|who| who.name).collect();
    assert_eq!(both, ["rey", "ria"]);
    assert_eq!(
        (details(9).by[0].name.as_str(), details(9).words.as_deref()),
        ("rey", Some("a mistake"))
    );
    world.broker.stop().await;
}

#[tokio::test]
async fn a_request_that_nobody_has_to_approve_is_nobodys_to_be_told_of() {
    let fake = Fake::new();
    let setup = Setup {
        policies: format!(
            "{POLICIES}@id(\"u\") permit(principal in Group::\"data-eng\", action == Action::\"fetch_unapproved\", resource);"
        ),
        ..Setup::default()
    };
    let notifier = fake.notifying(settings("n", Detail::Full));
    let world = World::with_others(setup, others(vec![notifier])).await.unwrap();
    world.sign_in("dana", &["data-eng"]).await.ask(&world, "customers").await;
    caught_up(&world).await;
    assert!(fake.told().is_empty(), "{:?}", fake.told());
    world.broker.stop().await;
}

#[tokio::test]
async fn a_notifier_is_told_of_its_datasets_and_occasions_only() {
    let (salaries, decided) = (Fake::new(), Fake::new());
    let world = world(vec![
        salaries.notifying(NotifySettings {
            datasets: ["salaries".to_owned()].into(),
            ..settings("salaries", Detail::Minimal)
        }),
        decided.notifying(NotifySettings {
            occasions: [Occasion::RequestDecided].into(),
            ..settings("decided", Detail::Minimal)
        }),
    ])
    .await;
    story(&world).await;
    caught_up(&world).await;
    assert_eq!(salaries.told(), ["request.pending", "request.decided", "grant.expired"]);
    assert_eq!(decided.told(), ["request.decided"; 3]);
    world.broker.stop().await;
}

#[tokio::test]
async fn those_who_may_review_are_written_to_and_whoever_asked() {
    let (reviewers, requester) = (Fake::new(), Fake::new());
    let with = |audience: Audience, name: &str| NotifySettings {
        audience: Some(audience),
        ..settings(name, Detail::Minimal)
    };
    let to_reviewers = Audience {
        addresses: vec!["list@example.test".to_owned()],
        reviewers: true,
        requester: false,
    };
    let to_requester = Audience {
        requester: true,
        ..Audience::default()
    };
    let world = world(vec![
        reviewers.notifying(with(to_reviewers, "reviewers")),
        requester.notifying(with(to_requester, "requester")),
    ])
    .await;
    let old = world.sign_in("olga", &["data-owners"]).await;
    world.advance_ms(91 * 24 * 3600 * 1000);
    // Who asks may review too, and does not hear of their own as a reviewer; whoever was not seen for long does not hear at all.
    let dana = world.sign_in("dana", &["data-eng", "data-owners"]).await;
    world.sign_in("rey", &["data-owners"]).await;
    world.sign_in("list", &["data-owners"]).await;
    world.sign_in("sam", &["nobody"]).await;
    dana.ask(&world, "customers").await;
    caught_up(&world).await;
    assert_eq!(reviewers.take()[0].to, ["list@example.test", "rey@example.test"]);
    assert_eq!(requester.take()[0].to, ["dana@example.test"]);
    // Who lost the group since does not hear of the next.
    world.sign_in("rey", &["nobody"]).await;
    dana.ask(&world, "customers").await;
    caught_up(&world).await;
    assert_eq!(reviewers.take()[0].to, ["list@example.test"]);
    drop(old);
    world.broker.stop().await;
}

#[tokio::test]
async fn a_sign_in_is_told_where_its_key_is_new() {
    let fake = Fake::new();
    let notifier = fake.notifying(NotifySettings {
        occasions: [Occasion::SessionOpenedNewKey].into(),
        audience: Some(Audience {
            requester: true,
            ..Audience::default()
        }),
        ..settings("keys", Detail::Full)
    });
    let world = world(vec![notifier]).await;
    let mut dana = world.sign_in("dana", &["data-eng"]).await;
    dana.sign_in_again(&world, "dana", &["data-eng"]).await;
    world.sign_in("dana", &["data-eng"]).await;
    caught_up(&world).await;
    let got = fake.take();
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[1].to, ["dana@example.test"]);
    assert_eq!(got[1].details.as_ref().unwrap().ip.as_deref(), Some("127.0.0.1"));
    world.broker.stop().await;
}

#[tokio::test]
async fn an_enrolled_key_is_told_to_whoever_is_said_to_have_enrolled_it() {
    let fake = Fake::new();
    let notifier = fake.notifying(NotifySettings {
        occasions: [Occasion::KeyEnrolled].into(),
        audience: Some(Audience {
            addresses: vec!["security@example.test".into()],
            requester: true,
            ..Audience::default()
        }),
        ..settings("keys", Detail::Full)
    });
    let world = world(vec![notifier]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let enrolled = enroll(&world, &rey, &Signer::new(51)).await.unwrap();
    caught_up(&world).await;
    let got = fake.take();
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((got[0].occasion, got[0].index), (Occasion::KeyEnrolled, enrolled.index));
    assert_eq!(got[0].to, ["security@example.test", "rey@example.test"]);
    assert_eq!(got[0].details.as_ref().unwrap().ssh_key.as_ref(), Some(&enrolled.ssh_key));
    world.broker.stop().await;
}

#[tokio::test]
async fn a_receiver_that_refuses_hangs_or_forgets_loses_nothing_and_nobody_waits_for_it() {
    for mood in [Mood::Refuses, Mood::Hangs, Mood::Forgets] {
        let (bad, good) = (Fake::new(), Fake::new());
        bad.lock().mood = mood;
        let world = world(vec![
            bad.notifying(settings("bad", Detail::Minimal)),
            good.notifying(settings("good", Detail::Minimal)),
        ])
        .await;
        let began = Instant::now();
        story(&world).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        tried(&bad, 3).await;
        let metrics = world.broker.notifier_metrics();
        assert!(metrics[0].lag > 10 && metrics[0].failures_total >= 1, "{metrics:?}");
        assert_eq!(metrics[0].given_up_total, 0);
        bad.lock().mood = Mood::Accepts;
        caught_up(&world).await;
        let mut got = bad.take();
        got.dedup();
        assert_eq!(got, good.take(), "{mood:?}: in order, none missing, each again as before");
        world.broker.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_takes_for_days_is_given_up_after_a_try_and_the_next_is_not() {
    let fake = Fake::new();
    fake.lock().mood = Mood::Refuses;
    let world = world(vec![fake.notifying(settings("n", Detail::Minimal))]).await;
    let requests = story(&world).await;
    tried(&fake, 2).await;
    assert_eq!(world.broker.notifier_metrics()[0].given_up_total, 0);
    world.advance_ms(3 * 24 * 3600 * 1000 + 1000);
    // Everything that was told of before is too old now, but each is tried once.
    caught_up(&world).await;
    let metrics = world.broker.notifier_metrics();
    assert_eq!(metrics[0].given_up_total, 12, "{metrics:?}");
    assert!(metrics[0].failures_total > 12);
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = dana.ask(&world, "customers").await;
    tried(&fake, 3).await;
    fake.lock().mood = Mood::Accepts;
    caught_up(&world).await;
    let got = fake.take();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].request.as_ref(), Some(&request.id));
    assert!(requests.iter().all(|old| old.id != request.id));
    assert_eq!(world.broker.notifier_metrics()[0].given_up_total, 12);
    world.broker.stop().await;
}

#[tokio::test]
async fn after_a_crash_it_goes_on_and_what_comes_again_has_the_id_it_had() {
    let fake = Fake::new();
    let world = world(vec![fake.notifying(settings("n", Detail::Full))]).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    dana.ask(&world, "customers").await;
    caught_up(&world).await;
    while fake.lock().noted.unwrap().next < world.broker.log.published().state.size {
        sleep(Duration::from_millis(5)).await;
    }
    // From here on nothing is noted, as if the machine died at once; and the last of them is never taken.
    fake.lock().notes = false;
    dana.ask(&world, "customers").await;
    caught_up(&world).await;
    fake.lock().mood = Mood::Refuses;
    dana.ask(&world, "customers").await;
    tried(&fake, 1).await;
    let world = world
        .try_restart_with_others(others(vec![fake.notifying(settings("n", Detail::Full))]))
        .await
        .unwrap();
    {
        let mut inner = fake.lock();
        (inner.notes, inner.mood) = (true, Mood::Accepts);
    }
    caught_up(&world).await;
    let got = fake.take();
    assert_eq!(got.len(), 4, "{got:?}");
    assert_eq!(got[1], got[2], "what was not noted came again, the same");
    let ids: BTreeSet<&str> = got.iter().map(|notice| notice.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
    world.broker.stop().await;
}

#[tokio::test]
async fn a_new_notifier_begins_with_what_happens_from_then_on() {
    let first = world(Vec::new()).await;
    story(&first).await;
    let fake = Fake::new();
    let world = first
        .try_restart_with_others(others(vec![fake.notifying(settings("n", Detail::Minimal))]))
        .await
        .unwrap();
    world.sign_in("dana", &["data-eng"]).await.ask(&world, "customers").await;
    caught_up(&world).await;
    assert_eq!(fake.told(), ["request.pending"]);
    world.broker.stop().await;
}

#[tokio::test]
async fn whoever_was_erased_is_told_of_no_more() {
    let fake = Fake::new();
    fake.lock().mood = Mood::Refuses;
    let world = world(vec![fake.notifying(settings("n", Detail::Full))]).await;
    story(&world).await;
    tried(&fake, 1).await;
    let admin = world.sign_in("adam", &["admins"]).await.caller(&world).await.unwrap();
    let request = EraseRequest {
        person: "dana@example.test".to_owned(),
        reason: "asked for by the person".to_owned(),
    };
    crate::audit::erase(&world.broker, &cx(), &admin, request).await.unwrap();
    fake.lock().mood = Mood::Accepts;
    caught_up(&world).await;
    assert!(fake.told().is_empty(), "{:?}", fake.told());
    world.broker.stop().await;
}

#[tokio::test]
async fn the_configuration_names_its_notifiers_and_an_old_journal_does_not_start() {
    let fake = Fake::new();
    let world = world(vec![fake.notifying(settings("chat", Detail::Full))]).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    dana.ask(&world, "customers").await;
    caught_up(&world).await;
    world.broker.stop().await;
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let load = entries.iter().find(|entry| entry.leaf.header.kind == Kind::ConfigLoad).unwrap();
    let (_, body) = load.body.as_ref().unwrap();
    let what = body.get(chunk_evidence::body::Group::What).to_string();
    assert!(what.contains(r#"{"kind":"fake","level":4,"name":"chat"}"#), "{what}");
    let (journal, held) = (world.journal.clone(), world.broker.log.published().state.size);
    assert_eq!(fake.lock().noted.unwrap().next, held);
    journal.roll_back(usize::try_from(held - 2).unwrap());
    let restarted = world
        .try_restart_with_others(others(vec![fake.notifying(settings("chat", Detail::Full))]))
        .await;
    let fault = restarted.err().unwrap();
    assert!(fault.public.contains("Notifier `chat` was told of"), "{fault}");
}

#[tokio::test]
async fn only_whose_turn_it_is_is_written_to_and_again_when_a_stage_is_complete() {
    let to_reviewers = Fake::new();
    let notifier = to_reviewers.notifying(NotifySettings {
        audience: Some(Audience {
            reviewers: true,
            ..Audience::default()
        }),
        occasions: [Occasion::RequestPending].into(),
        ..settings("mail", Detail::Minimal)
    });
    let security = r#"@id("security-reviews") permit(principal in Group::"security", action == Action::"review", resource);"#;
    let mut setup = Setup {
        policies: format!("{POLICIES}{security}"),
        ..Setup::default()
    };
    let stage = |group: &str, quorum| StageRule {
        groups: vec![group.to_owned()],
        manager: false,
        quorum,
    };
    setup.settings.catalog.datasets.get_mut("customers").unwrap().stages = vec![stage("data-owners", 2), stage("security", 1)];
    let world = World::with_others(setup, others(vec![notifier])).await.unwrap();
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let (rey, ria) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("ria", &["data-owners"]).await,
    );
    let sid = world.sign_in("sid", &["security"]).await;
    let request = dana.ask(&world, "customers").await;
    for reviewer in [&rey, &ria, &sid] {
        reviewer.review(&world, &request, Verdict::Approve).await.unwrap();
    }
    // A request that nobody has to approve in stages is everybody's at once, and told of once.
    let plain = dana.ask(&world, "salaries").await;
    rey.review(&world, &plain, Verdict::Approve).await.unwrap();
    caught_up(&world).await;
    let got = to_reviewers.take();
    let told: Vec<_> = got
        .iter()
        .map(|notice| {
            (
                notice.request.as_ref(),
                notice.stage.as_ref().map(|stage| stage.groups.concat()),
                notice.to.join(" "),
            )
        })
        .collect();
    let (owners, others) = ("rey@example.test ria@example.test", "sid@example.test");
    assert_eq!(
        told,
        [
            (Some(&request.id), Some("data-owners".to_owned()), owners.to_owned()),
            (Some(&request.id), Some("security".to_owned()), others.to_owned()),
            (Some(&plain.id), None, format!("{owners} {others}")),
        ]
    );
    assert!(
        got.iter()
            .all(|notice| notice.expires_ms == Some(request.expires_ms) || notice.stage.is_none())
    );
    world.broker.stop().await;
}

#[tokio::test]
async fn an_escalation_is_told_to_those_to_whom_it_goes() {
    let to_reviewers = Fake::new();
    let notifier = to_reviewers.notifying(NotifySettings {
        audience: Some(Audience {
            reviewers: true,
            ..Audience::default()
        }),
        occasions: [Occasion::RequestPending, Occasion::RequestEscalated].into(),
        ..settings("mail", Detail::Minimal)
    });
    let deputies = r#"@id("deputies-review") permit(principal in Group::"deputies", action == Action::"review", resource);"#;
    let mut setup = Setup {
        policies: format!("{POLICIES}{deputies}"),
        ..Setup::default()
    };
    let customers = setup.settings.catalog.datasets.get_mut("customers").unwrap();
    customers.stages = vec![StageRule {
        groups: vec!["data-owners".into()],
        manager: false,
        quorum: 1,
    }];
    customers.escalation = Some(Escalation {
        after_s: 600,
        groups: vec!["deputies".into()],
    });
    let world = World::with_others(setup, others(vec![notifier])).await.unwrap();
    let dana = world.sign_in("dana", &["data-eng"]).await;
    world.sign_in("rey", &["data-owners"]).await;
    world.sign_in("ida", &["deputies"]).await;
    let request = dana.ask(&world, "customers").await;
    world.advance_ms(600_000);
    world
        .until("the request to be escalated", |state| state.escalating.is_empty())
        .await;
    caught_up(&world).await;
    let got = to_reviewers.take();
    let told: Vec<_> = got
        .iter()
        .map(|notice| (notice.occasion.as_str(), notice.to.join(" "), notice.escalated_to.join(" ")))
        .collect();
    assert_eq!(
        told,
        [
            ("request.pending", "rey@example.test".to_owned(), String::new()),
            ("request.escalated", "ida@example.test".to_owned(), "deputies".to_owned()),
        ]
    );
    assert_eq!(
        (got[1].request.as_ref(), got[1].expires_ms),
        (Some(&request.id), Some(request.expires_ms))
    );
    world.broker.stop().await;
}
