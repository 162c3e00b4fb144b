//! Whoever leaves: their directory says so, and everything of theirs ends; and whoever comes back.

use std::sync::atomic::Ordering;

use chunk_evidence::body::Group;
use chunk_wire::fetch::{PlanRequest, RequestState, StandingRequest};
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, OpenSession};

use super::{approved, state_of};
use crate::error::Error;
use crate::identity;
use crate::identity::directory::{self, Directory, DirectoryPerson, Sought, Told};
use crate::rule::StageRule;
use crate::settings::KnownBy;
use crate::testing::{DIRECTORY_TOKEN, ISSUER, POLICIES, Setup, Someone, World, cx, drain, slice};

/// A broker whose people's directory tells of them.
async fn world(known_by: KnownBy) -> World {
    let mut setup = Setup::default();
    setup.settings.issuers[0].directory = Some(known_by);
    World::with(setup).await
}

fn speaks(world: &World) -> Directory {
    directory::admit(&world.broker, &cx(), DIRECTORY_TOKEN).unwrap()
}

fn told(subject: &str, active: bool) -> Told {
    Told {
        user_name: Some(format!("{subject}@example.test")),
        external_id: Some(Some(subject.to_owned())),
        active: Some(active),
    }
}

async fn create(world: &World, told: Told) -> Result<DirectoryPerson, Error> {
    directory::create(&world.broker, &cx(), &speaks(world), told).await
}

async fn set_active(world: &World, id: &ActorId, active: bool) -> DirectoryPerson {
    let told = Told {
        active: Some(active),
        ..Told::default()
    };
    directory::change(&world.broker, &cx(), &speaks(world), id, told).await.unwrap()
}

/// Tries to sign in, by a token with this address.
async fn try_sign_in(world: &World, subject: &str) -> Result<Someone, Error> {
    let mut someone = world.someone();
    let presented = someone.present(world, "POST", "/v1/sessions", false);
    let open = OpenSession {
        id_token: world.id_token(subject, &["data-eng"]),
        access_token: None,
        client: ClientInfo::default(),
    };
    someone.tokens = Some(identity::open_session(&world.broker, &cx(), presented, open).await?);
    Ok(someone)
}

async fn refused(world: &World, subject: &str) -> bool {
    matches!(try_sign_in(world, subject).await, Err(fault) if fault.code == Code::Denied)
}

#[tokio::test]
async fn whoever_leaves_loses_sessions_grants_and_what_runs_at_once() {
    for known_by in [KnownBy::ExternalId, KnownBy::UserName] {
        let world = world(known_by).await;
        let (dana, rey, running) = approved(&world).await;
        let standing = PlanRequest {
            standing: Some(StandingRequest {
                duration_s: 3600,
                rows: Some(10),
                bytes: None,
            }),
            ..slice("customers")
        };
        let plan = dana.plan(&world, standing).await.unwrap();
        let standing = dana.submit(&world, &plan.document.unwrap()).await.unwrap();
        rey.review(&world, &standing, Verdict::Approve).await.unwrap();
        let waiting = dana.ask(&world, "salaries").await;
        world.script(vec![Ok(b"a\n"), Ok(b"b\n")]);
        world.scanner.hold.store(true, Ordering::SeqCst);
        let delivery = dana.fetch(&world, &running.id).await.unwrap();

        // Dana was here before the directory told of her: it is the same person, by the same pseudonym.
        let actor = dana.caller(&world).await.unwrap().actor().clone();
        let person = create(&world, told("dana", true)).await.unwrap();
        assert_eq!((&person.id, person.active), (&actor, true));
        assert!(dana.caller(&world).await.is_ok(), "nothing is taken from whoever is active");
        assert!(!set_active(&world, &person.id, false).await.active);

        assert_eq!(dana.caller(&world).await.unwrap_err().code, Code::SessionEnded);
        let cut = drain(delivery).await;
        assert!(cut.is_err(), "{cut:?}");
        world.scanner.hold.store(false, Ordering::SeqCst);
        assert_eq!(state_of(&world.broker, &running), RequestState::Revoked);
        assert_eq!(state_of(&world.broker, &standing), RequestState::Revoked);
        assert_eq!(state_of(&world.broker, &waiting), RequestState::Cancelled);
        assert!(refused(&world, "dana").await);
        assert!(rey.caller(&world).await.is_ok(), "nobody else is touched");

        // After a restart it is the same, and the log says what happened in headers alone.
        let world = world.crash_and_restart().await;
        assert!(refused(&world, "dana").await);
        let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
        let of_dana: Vec<_> = entries
            .iter()
            .filter(|entry| entry.leaf.header.act.as_deref() == Some(actor.as_str()))
            .map(|entry| entry.leaf.header.kind.as_str())
            .filter(|kind| ["subject.bind", "person.suspend", "session.close"].contains(kind))
            .collect();
        assert_eq!(of_dana, ["subject.bind", "person.suspend", "session.close"]);
        let closed = entries
            .iter()
            .find(|entry| entry.leaf.header.kind.as_str() == "session.close")
            .unwrap();
        assert_eq!(closed.body.as_ref().unwrap().1.text(Group::Why, "cause"), Some("suspended"));
    }
}

#[tokio::test]
async fn a_stage_whose_approver_left_is_other_people_s_to_complete() {
    let mut setup = Setup {
        policies: format!(
            "{POLICIES}{}",
            r#"@id("security-reviews") permit(principal in Group::"security", action == Action::"review", resource);"#
        ),
        ..Setup::default()
    };
    setup.settings.issuers[0].directory = Some(KnownBy::ExternalId);
    let stage = |group: &str, quorum| StageRule {
        groups: vec![group.to_owned()],
        manager: false,
        quorum,
    };
    setup.settings.catalog.datasets.get_mut("customers").unwrap().stages = vec![stage("data-owners", 1), stage("security", 2)];
    let world = World::with(setup).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let (rey, oda) = (
        world.sign_in("rey", &["data-owners"]).await,
        world.sign_in("oda", &["data-owners"]).await,
    );
    let (sid, sue) = (world.sign_in("sid", &["security"]).await, world.sign_in("sue", &["security"]).await);
    let request = dana.ask(&world, "customers").await;
    rey.review(&world, &request, Verdict::Approve).await.unwrap();
    let after = sid.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(after.approvals_missing, 1);
    let gone = create(&world, told("rey", true)).await.unwrap();
    set_active(&world, &gone.id, false).await;

    // It is the owners' turn again, and what security said was said before its turn by now.
    let refused = sue.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert!(refused.public.contains("`data-owners`"), "{refused}");
    let after = oda.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!((after.state, after.approvals_missing), (RequestState::Pending, 2));
    let told: Vec<_> = after.stages.iter().map(|stage| (stage.approvals, stage.turn)).collect();
    assert_eq!(told, [(1, false), (0, true)]);
}

#[tokio::test]
async fn whoever_comes_back_signs_in_again_with_nothing_of_what_was_taken() {
    let world = world(KnownBy::ExternalId).await;
    let (dana, _, request) = approved(&world).await;
    let person = create(&world, told("dana", true)).await.unwrap();
    set_active(&world, &person.id, false).await;
    assert!(set_active(&world, &person.id, true).await.active);
    assert_eq!(dana.caller(&world).await.unwrap_err().code, Code::SessionEnded);
    assert_eq!(state_of(&world.broker, &request), RequestState::Revoked);
    let dana = try_sign_in(&world, "dana").await.unwrap();
    assert_eq!(*dana.caller(&world).await.unwrap().actor(), person.id);
    let world = world.crash_and_restart().await;
    assert!(try_sign_in(&world, "dana").await.is_ok());
}

#[tokio::test]
async fn whoever_never_signed_in_can_be_kept_out_before_they_do() {
    for known_by in [KnownBy::ExternalId, KnownBy::UserName] {
        let world = world(known_by).await;
        let person = create(&world, told("dana", false)).await.unwrap();
        assert!(!person.active);
        assert!(refused(&world, "dana").await);
        assert!(world.broker.log.published().state.sessions.is_empty());
        assert!(
            try_sign_in(&world, "kim").await.is_ok(),
            "of whom the directory says nothing, nothing is said"
        );
        set_active(&world, &person.id, true).await;
        let dana = try_sign_in(&world, "dana").await.unwrap();
        if known_by == KnownBy::ExternalId {
            assert_eq!(*dana.caller(&world).await.unwrap().actor(), person.id, "one person, one pseudonym");
        }
        // And now that they are there, they can be made to leave.
        set_active(&world, &person.id, false).await;
        assert_eq!(dana.caller(&world).await.unwrap_err().code, Code::SessionEnded);
        assert!(refused(&world, "dana").await);
        set_active(&world, &person.id, true).await;
        assert!(
            try_sign_in(&world, "dana").await.is_ok(),
            "everything that was taken was given back"
        );
    }
}

#[tokio::test]
async fn a_deleted_user_stays_out_until_the_directory_names_them_active_again() {
    let world = world(KnownBy::ExternalId).await;
    let person = create(&world, told("dana", true)).await.unwrap();
    let directory = speaks(&world);
    directory::delete(&world.broker, &cx(), &directory, &person.id).await.unwrap();
    assert!(refused(&world, "dana").await);
    let gone = directory::show(&world.broker, &directory, &person.id).unwrap_err();
    assert_eq!(gone.code, Code::NotFound);
    assert_eq!(directory::list(&world.broker, &directory, &Sought::Everybody, 0, 10).0, 0);
    let again = directory::delete(&world.broker, &cx(), &directory, &person.id).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
    // Named anew without a word on whether they are active: they are not.
    let silent = Told {
        active: None,
        ..told("dana", true)
    };
    let named = create(&world, silent).await.unwrap();
    assert_eq!((&named.id, named.active), (&person.id, false));
    assert!(refused(&world, "dana").await);
    set_active(&world, &person.id, true).await;
    assert!(try_sign_in(&world, "dana").await.is_ok());
}

#[tokio::test]
async fn an_approval_by_somebody_who_left_since_counts_no_more() {
    let world = world(KnownBy::ExternalId).await;
    let (dana, rey, request) = approved(&world).await;
    let person = create(&world, told("rey", true)).await.unwrap();
    set_active(&world, &person.id, false).await;
    world.script(vec![Ok(b"a\n")]);
    let refused = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(refused.code, Code::Denied);
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), 0);
    // Not when they are back either: the session under which it was given is not believed any more.
    set_active(&world, &person.id, true).await;
    let still = dana.fetch(&world, &request.id).await.err().unwrap();
    assert_eq!(still.code, Code::Denied);
    assert_eq!(rey.caller(&world).await.unwrap_err().code, Code::SessionEnded);

    // Of two who must approve, one left: another takes their place.
    let (ria, rob) = (
        world.sign_in("ria", &["data-owners"]).await,
        world.sign_in("rob", &["data-owners"]).await,
    );
    let request = dana.ask(&world, "salaries").await;
    ria.review(&world, &request, Verdict::Approve).await.unwrap();
    create(&world, told("ria", false)).await.unwrap();
    let view = rob.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!((view.state, view.approvals_missing), (RequestState::Pending, 1));
    let rae = world.sign_in("rae", &["data-owners"]).await;
    let view = rae.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(view.state, RequestState::Approved);
    drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn where_people_are_known_by_their_address_no_other_name_gets_round_a_suspension() {
    let world = world(KnownBy::UserName).await;
    let dana = try_sign_in(&world, "dana").await.unwrap();
    let person = create(
        &world,
        Told {
            user_name: Some("DANA@example.test".into()),
            external_id: None,
            active: Some(false),
        },
    )
    .await
    .unwrap();
    assert_eq!(dana.caller(&world).await.unwrap_err().code, Code::SessionEnded);
    assert!(refused(&world, "dana").await);
    // Renamed while suspended: the old name may be another's, the person behind it may not come back by it.
    let renamed = Told {
        user_name: Some("dana.s@example.test".into()),
        ..Told::default()
    };
    let person = directory::change(&world.broker, &cx(), &speaks(&world), &person.id, renamed)
        .await
        .unwrap();
    assert_eq!((person.user_name.as_str(), person.active), ("dana.s@example.test", false));
    assert!(refused(&world, "dana").await, "the same subject");
    assert!(refused(&world, "dana.s").await, "the new address");
    // Somebody else gets the address that became free, and is not who left.
    create(
        &world,
        Told {
            user_name: Some("dana@example.test".into()),
            external_id: Some(Some("another".into())),
            active: Some(true),
        },
    )
    .await
    .unwrap();
    assert!(refused(&world, "dana").await, "one record gives not back what another took");
    // Who shows no address cannot be told from whoever left.
    let mut someone = world.someone();
    let presented = someone.present(&world, "POST", "/v1/sessions", false);
    let open = OpenSession {
        id_token: world.id_token("no address", &["data-eng"]),
        access_token: None,
        client: ClientInfo::default(),
    };
    let nameless = identity::open_session(&world.broker, &cx(), presented, open).await;
    assert_eq!(nameless.err().map(|fault| fault.code), Some(Code::Denied));
    someone.tokens = None;
}

#[tokio::test]
async fn a_directory_says_nothing_it_may_not_say() {
    let world = world(KnownBy::ExternalId).await;
    let before = world.kinds().await.len();
    let wrong = |fault: Result<DirectoryPerson, Error>| fault.unwrap_err().code;
    let nameless = Told {
        user_name: None,
        ..told("dana", true)
    };
    assert_eq!(wrong(create(&world, nameless).await), Code::InvalidRequest);
    let without_id = Told {
        external_id: None,
        ..told("dana", true)
    };
    assert_eq!(wrong(create(&world, without_id).await), Code::InvalidRequest);
    assert_eq!(world.kinds().await.len(), before, "a refusal is no entry");

    let dana = create(&world, told("dana", true)).await.unwrap();
    assert_eq!(wrong(create(&world, told("dana", true)).await), Code::WrongState);
    let same_name = Told {
        user_name: Some("Dana@Example.test".into()),
        ..told("kim", true)
    };
    assert_eq!(wrong(create(&world, same_name).await), Code::WrongState);
    let other_id = Told {
        external_id: Some(Some("kim".into())),
        ..Told::default()
    };
    let changed = directory::change(&world.broker, &cx(), &speaks(&world), &dana.id, other_id).await;
    assert_eq!(wrong(changed), Code::InvalidRequest, "a record is one person's for good");
    let nobody: ActorId = "per_0000000000000000".parse().unwrap();
    let unknown = directory::change(&world.broker, &cx(), &speaks(&world), &nobody, told("dana", false)).await;
    assert_eq!(wrong(unknown), Code::NotFound);
    // What changes nothing is no entry.
    let before = world.kinds().await.len();
    set_active(&world, &dana.id, true).await;
    assert_eq!(world.kinds().await.len(), before);
}

#[tokio::test]
async fn only_its_own_token_makes_a_directory_and_only_where_there_is_one() {
    let with = world(KnownBy::ExternalId).await;
    for token in [
        "",
        "directory-0123456789-abcdef-012345678",
        "Directory-0123456789-abcdef-0123456789",
    ] {
        let refused = directory::admit(&with.broker, &cx(), token).unwrap_err();
        assert_eq!(refused.code, Code::Unauthenticated, "{token}");
    }
    assert!(directory::admit(&with.broker, &cx(), DIRECTORY_TOKEN).is_ok());
    let without = World::new().await;
    assert_eq!(
        directory::admit(&without.broker, &cx(), DIRECTORY_TOKEN).unwrap_err().code,
        Code::Unauthenticated
    );
    // Two directories with one token are none: nobody could say which of them speaks.
    let mut setup = Setup::default();
    let mut second = setup.settings.issuers[0].clone();
    second.issuer = "https://other.example.test".into();
    setup.settings.issuers.push(second);
    for issuer in &mut setup.settings.issuers {
        issuer.directory = Some(KnownBy::ExternalId);
    }
    let twice = World::with(setup).await;
    assert!(directory::admit(&twice.broker, &cx(), DIRECTORY_TOKEN).is_err());
    assert_eq!(with.broker.settings.issuers[0].issuer, ISSUER);
}

#[tokio::test]
async fn a_suspension_is_written_even_where_there_is_no_more_space_for_anything_that_gives() {
    let world = world(KnownBy::ExternalId).await;
    let (dana, _, _) = approved(&world).await;
    let person = create(&world, told("dana", true)).await.unwrap();
    world.journal.full.store(true, Ordering::SeqCst);
    set_active(&world, &person.id, false).await;
    assert_eq!(dana.caller(&world).await.unwrap_err().code, Code::SessionEnded);
    let told = Told {
        active: Some(true),
        ..Told::default()
    };
    let restored = directory::change(&world.broker, &cx(), &speaks(&world), &person.id, told).await;
    assert_eq!(restored.unwrap_err().code, Code::EvidenceUnavailable);
    assert!(!directory::show(&world.broker, &speaks(&world), &person.id).unwrap().active);
}

#[tokio::test]
async fn what_the_directory_said_goes_with_the_person_when_they_are_erased() {
    let mut setup = Setup::default();
    setup.settings.issuers[0].directory = Some(KnownBy::ExternalId);
    setup.policies = format!("{}{}", crate::testing::POLICIES, crate::testing::ADMINISTRATORS);
    let world = World::with(setup).await;
    let person = create(&world, told("dana", false)).await.unwrap();
    let ada = world.sign_in("ada", &["admins"]).await;
    let request = chunk_wire::audit::EraseRequest {
        person: "dana@example.test".into(),
        reason: "asked to be forgotten".into(),
    };
    let caller = ada.caller(&world).await.unwrap();
    let erased = crate::audit::erase(&world.broker, &cx(), &caller, request).await.unwrap();
    assert_eq!(erased.subject, person.id.to_string());
    let nothing_left = |world: &World| {
        let published = world.broker.log.published();
        published.state.directory.records.is_empty() && !published.state.is_suspended(&person.id)
    };
    assert!(nothing_left(&world));
    let world = world.crash_and_restart().await;
    assert!(nothing_left(&world), "and live is as after a restart");
    assert_eq!(directory::list(&world.broker, &speaks(&world), &Sought::Everybody, 0, 10).0, 0);
    // The directory names them anew.
    assert!(!create(&world, told("dana", false)).await.unwrap().active);
    assert!(refused(&world, "dana").await);
}
