//! No sequence of accounts, groups, retries and clock steps makes a grant without the quorum of distinct others on that very
//! digest, and no intent without such a grant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chunk_evidence::body::Group;
use chunk_evidence::leaf::Kind;
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::id::{RequestId, SessionId};
use chunk_wire::review::{Verdict, Withdraw};
use proptest::prelude::*;

use super::{Someone, World, cx, drain};
use crate::state::{Request, State};

#[derive(Debug, Clone)]
enum Step {
    SignIn {
        person: usize,
        groups: u8,
    },
    Ask {
        by: usize,
        two: bool,
    },
    Review {
        by: usize,
        request: usize,
        approve: bool,
        digest_of: usize,
    },
    Fetch {
        by: usize,
        request: usize,
    },
    Cancel {
        by: usize,
        request: usize,
    },
    Revoke {
        by: usize,
        request: usize,
    },
    Wait {
        s: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0_usize..6;
    prop_oneof![
        2 => (0_usize..4, 0_u8..4).prop_map(|(person, groups)| Step::SignIn { person, groups }),
        3 => (n.clone(), any::<bool>()).prop_map(|(by, two)| Step::Ask { by, two }),
        6 => (n.clone(), n.clone(), prop::bool::weighted(0.9), n.clone())
            .prop_map(|(by, request, approve, other)| Step::Review { by, request, approve, digest_of: if other == 0 { other } else { request } }),
        4 => (n.clone(), n.clone()).prop_map(|(by, request)| Step::Fetch { by, request }),
        1 => (n.clone(), n.clone()).prop_map(|(by, request)| Step::Cancel { by, request }),
        1 => (n.clone(), n).prop_map(|(by, request)| Step::Revoke { by, request }),
        1 => (1_i64..900).prop_map(|s| Step::Wait { s }),
    ]
}

async fn play(steps: Vec<Step>) -> World {
    let world = World::new().await;
    let mut people: Vec<Someone> = Vec::new();
    let mut requests: Vec<RequestView> = Vec::new();
    for step in steps {
        // Refusals are the point: whatever is refused, the log must stay right.
        match step {
            Step::SignIn { person, groups } => {
                let names: Vec<_> = ["data-eng", "data-owners"]
                    .into_iter()
                    .enumerate()
                    .filter(|(bit, _)| groups >> bit & 1 == 1)
                    .map(|(_, g)| g)
                    .collect();
                people.push(world.sign_in(["ann", "bob", "cyd", "dee"][person], &names).await);
            }
            Step::Ask { by, two } => {
                let Some(person) = people.get(by) else { continue };
                let dataset = if two { "salaries" } else { "customers" };
                let Ok(plan) = person.plan(&world, super::slice(dataset)).await else {
                    continue;
                };
                let Some(document) = plan.document else { continue };
                requests.extend(person.submit(&world, &document).await);
            }
            Step::Review {
                by,
                request,
                approve,
                digest_of,
            } => {
                let (Some(person), Some(request), Some(other)) = (people.get(by), requests.get(request), requests.get(digest_of)) else {
                    continue;
                };
                let verdict = if approve { Verdict::Approve } else { Verdict::Reject };
                drop(person.review_digest(&world, request, verdict, &other.digest).await);
            }
            Step::Fetch { by, request } => {
                let (Some(person), Some(request)) = (people.get(by), requests.get(request)) else {
                    continue;
                };
                if let Ok(delivery) = person.fetch(&world, &request.id).await {
                    drop(drain(delivery).await);
                }
            }
            Step::Cancel { by, request } => {
                let (Some(person), Some(request)) = (people.get(by), requests.get(request)) else {
                    continue;
                };
                let Ok(caller) = person.caller(&world).await else { continue };
                drop(crate::approval::cancel(&world.broker, &cx(), caller, request.id.clone(), Withdraw { reason: "no".into() }).await);
            }
            Step::Revoke { by, request } => {
                let (Some(person), Some(request)) = (people.get(by), requests.get(request)) else {
                    continue;
                };
                let Ok(caller) = person.caller(&world).await else { continue };
                drop(crate::approval::revoke(&world.broker, &cx(), caller, request.id.clone(), Withdraw { reason: "no".into() }).await);
            }
            Step::Wait { s } => world.advance_ms(s * 1000),
        }
    }
    world
}

/// Every index says what a look at all requests and sessions says.
pub(super) fn check_indices(state: &State) {
    let pending = |r: &&Arc<Request>| r.state == RequestState::Pending;
    let all = || state.requests.values();
    let listed: BTreeMap<u64, RequestId> = all().filter(pending).map(|r| (r.index, r.id.clone())).collect();
    assert_eq!(state.pending.clone().into_iter().collect::<BTreeMap<_, _>>(), listed);
    let waiting: BTreeSet<_> = all()
        .filter(|r| !r.state.is_final())
        .map(|r| (r.expires_ms, r.id.clone()))
        .collect();
    assert_eq!(state.waiting.clone().into_iter().collect::<BTreeSet<_>>(), waiting);
    let created: BTreeMap<u64, RequestId> = all().map(|r| (r.index, r.id.clone())).collect();
    assert_eq!(state.created.clone().into_iter().collect::<BTreeMap<_, _>>(), created);
    let opened: BTreeMap<u64, SessionId> = state.sessions.values().map(|s| (s.index, s.open.session.clone())).collect();
    assert_eq!(state.opened.clone().into_iter().collect::<BTreeMap<_, _>>(), opened);
    let under: BTreeSet<(u64, u64)> = all()
        .flat_map(|r| {
            let reviewers = r.reviews.iter().map(|review| &review.reviewer);
            let sessions = reviewers.chain([&r.requester]).map(|open| state.sessions[&open.session].index);
            sessions.map(|session| (session, r.index)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(state.under.clone().into_iter().collect::<BTreeSet<_>>(), under);
    let escalating = all().filter_map(|r| Some((r.escalates_ms()?, r.id.clone()))).collect();
    assert_eq!(state.escalating.clone().into_iter().collect::<BTreeSet<_>>(), escalating);
    let granted: BTreeMap<u64, RequestId> = all()
        .filter(|r| !r.state.is_final())
        .filter_map(|r| Some((r.grant?, r.id.clone())))
        .collect();
    assert_eq!(state.granted.clone().into_iter().collect::<BTreeMap<_, _>>(), granted);
    for (actor, theirs) in &state.people {
        let own = || all().filter(|r| r.actor == *actor);
        assert_eq!(theirs.pending, own().filter(pending).count());
        assert_eq!(
            theirs.requests.clone().into_iter().collect::<BTreeSet<_>>(),
            own().map(|r| r.index).collect()
        );
        let standing = own().filter(|r| r.standing.is_some() && r.grant.is_some() && !r.state.is_final());
        assert_eq!(
            theirs.standing.clone().into_iter().collect::<BTreeSet<_>>(),
            standing.map(|r| r.index).collect()
        );
        let sessions = state.sessions.values().filter(|s| s.open.actor == *actor).map(|s| s.index);
        assert!(theirs.sessions.iter().copied().eq(sessions.collect::<BTreeSet<_>>()));
    }
    let open: BTreeSet<_> = state
        .sessions
        .values()
        .filter(|s| s.closed.is_none())
        .map(|s| (s.open.expires_ms, s.open.session.clone()))
        .collect();
    assert_eq!(state.sessions_open.clone().into_iter().collect::<BTreeSet<_>>(), open);
    assert!(
        all().all(|r| r.document.is_none() == r.state.is_final()),
        "only what is over is let go of"
    );
}

/// Reads the log as a stranger would and checks who approved what.
async fn check(world: &World) {
    check_indices(&world.broker.log.published().state);
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let at = |index: u64| &entries[usize::try_from(index).unwrap()];
    let text = |index: u64, group: Group, member: &str| at(index).body.as_ref().unwrap().1.text(group, member).unwrap().to_owned();
    let mut taken = BTreeMap::new();
    let mut grants: BTreeSet<u64> = BTreeSet::new();
    for entry in &entries {
        let header = &entry.leaf.header;
        match header.kind {
            Kind::GrantIssue => {
                let request = header.refs[0];
                let quorum = at(request).body.as_ref().unwrap().1.number(Group::Out, "quorum").unwrap();
                let reviewers: BTreeSet<_> = header.refs[1..]
                    .iter()
                    .map(|review| {
                        assert_eq!(at(*review).leaf.header.kind, Kind::ReviewApprove);
                        assert_eq!(text(*review, Group::What, "digest"), text(request, Group::What, "digest"));
                        assert_ne!(at(*review).leaf.header.act, at(request).leaf.header.act);
                        (text(*review, Group::Who, "issuer"), text(*review, Group::Who, "subject"))
                    })
                    .collect();
                assert!(reviewers.len() as u64 >= quorum && quorum > 0, "{} of {quorum}", reviewers.len());
                grants.insert(entry.index);
            }
            Kind::GrantTake => {
                let id = text(entry.index, Group::What, "id");
                assert_eq!(taken.insert(id, entry.index), None, "a grant is taken once");
            }
            Kind::FetchIntent => assert!(grants.contains(&header.refs[0])),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_grant_without_its_quorum_of_distinct_others(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { check(&play(steps).await).await });
    }
}

#[tokio::test]
async fn the_property_is_not_empty() {
    let steps = vec![
        Step::SignIn { person: 0, groups: 1 },
        Step::SignIn { person: 1, groups: 2 },
        Step::SignIn { person: 2, groups: 2 },
        Step::Ask { by: 0, two: true },
        Step::Review {
            by: 1,
            request: 0,
            approve: true,
            digest_of: 0,
        },
        Step::Review {
            by: 2,
            request: 0,
            approve: true,
            digest_of: 0,
        },
        Step::Fetch { by: 0, request: 0 },
    ];
    let world = play(steps).await;
    check(&world).await;
    assert!(world.kinds().await.contains(&"fetch.outcome"));
}
