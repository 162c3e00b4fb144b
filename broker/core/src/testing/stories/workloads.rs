//! Workloads on the road: in by their own door, fetching like anybody, and never anybody's second mind.

use chunk_evidence::body::Group;
use chunk_evidence::encode::b64;
use chunk_wire::fetch::RequestState;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;
use chunk_wire::session::{ClientInfo, ExchangedToken, OpenSession, RefreshSession, SessionTokens, SignIn};
use serde_json::{Value, json};

use crate::error::Error;
use crate::fetch::Submitted;
use crate::identity::workload::{ClaimRule, Provider, WorkloadRule};
use crate::testing::{ISSUER, Setup, Someone, World, cx, drain, slice};

const BROKER: &str = "https://broker.example.test";

const JOBS: &str = r#"
@id("jobs") permit(principal == Workload::"etl", action in [Action::"describe", Action::"fetch"], resource);
@id("main-needs-nobody")
permit(principal is Workload, action == Action::"fetch_unapproved", resource)
when { context.workload.repository == "acme/etl" && context.workload.ref == "main" };
@id("anybody-reviews") permit(principal, action == Action::"review", resource);
@id("anybody-administers") permit(principal, action == Action::"administer", resource);
"#;

async fn world() -> World {
    World::with(setup()).await
}

fn setup() -> Setup {
    let mut setup = Setup::default();
    let claim = |name: &str, value: &str| ClaimRule {
        path: vec![name.to_owned()],
        value: value.to_owned(),
    };
    setup.settings.workloads = vec![WorkloadRule {
        name: "etl".into(),
        provider: Provider::GitLab,
        issuer: ISSUER.into(),
        audience: BROKER.into(),
        claims: vec![
            claim("project_id", "22"),
            claim("namespace_id", "72"),
            claim("ref_protected", "true"),
        ],
        session_s: 600,
        token_age_s_max: 300,
    }];
    setup.policies.push_str(JOBS);
    setup
}

/// A token as GitLab gives it to a job on `main`, with changes.
fn job_token(world: &World, changes: &Value) -> String {
    let now = crate::clock::Clock::now_ms(world.clock.as_ref()) / 1000;
    let serial = world.serial.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let mut claims = json!({
        "iss": ISSUER, "aud": BROKER, "sub": "project_path:acme/etl:ref_type:branch:ref:main", "iat": now, "exp": now + 3600, "jti": serial,
        "project_id": "22", "project_path": "acme/etl", "namespace_id": "72", "ref": "main", "ref_protected": "true",
        "pipeline_source": "push", "user_login": "rey", "user_email": "Rey@example.test", "job_id": "302",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let signed = format!(
        "{}.{}",
        b64(br#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#),
        b64(claims.to_string().as_bytes())
    );
    format!("{signed}.{}", b64(world.provider.sign(signed.as_bytes()).as_ref()))
}

async fn exchange(world: &World, job: &Someone, token: &str) -> Result<ExchangedToken, Error> {
    let presented = job.present(world, "POST", "/v1/token", false);
    crate::identity::workload::exchange(&world.broker, &cx(), presented, token, ClientInfo::default()).await
}

/// A job that has signed in, on a branch of this name.
async fn job_on(world: &World, branch: &str) -> Someone {
    let mut job = world.sign_in("nobody", &[]).await;
    let token = job_token(world, &json!({ "ref": branch }));
    let exchanged = exchange(world, &job, &token).await.unwrap();
    job.tokens = Some(SessionTokens {
        session: exchanged.session,
        access_token: exchanged.access_token,
        access_expires_ms: exchanged.session_expires_ms,
        refresh_token: String::new(),
        session_expires_ms: exchanged.session_expires_ms,
        person: exchanged.person,
    });
    job
}

#[tokio::test]
async fn a_job_fetches_what_policy_lets_its_repository_and_branch_fetch() {
    let world = world().await;
    let job = job_on(&world, "main").await;
    let document = job.plan(&world, slice("customers")).await.unwrap().document.unwrap();
    let Submitted::Delivered { delivery, .. } = job.submit_and_fetch(&world, &document).await.unwrap() else {
        unreachable!("somebody had to approve")
    };
    drain(delivery).await.unwrap();
    // The same job on another branch needs somebody's approval, and another rule's job may do nothing.
    let branch = job_on(&world, "feature").await;
    assert_eq!(branch.ask(&world, "customers").await.state, RequestState::Pending);
}

#[tokio::test]
async fn where_people_need_a_browser_jobs_do_not_and_nobody_vouches_for_their_keys() {
    let mut setup = setup();
    setup.settings.issuers[0].sign_in = SignIn::BrowserRequired;
    let world = World::with(setup).await;
    let job = world.someone();
    let named = json!({ "nonce": job.thumbprint() });
    let tokens = exchange(&world, &job, &job_token(&world, &named)).await.unwrap();
    let state = &world.broker.log.published().state;
    let open = &state.sessions.get(&tokens.session).unwrap().open;
    assert_eq!((open.flow.as_deref(), open.key_attested), (Some("id_token"), Some(false)));
    // And what a browser is for opens to no job.
    let (presented, open) = job.with_code(&world, &job_token(&world, &named));
    let refused = crate::identity::open_browser_session(&world.broker, &cx(), presented, open).await;
    assert_eq!(refused.err().unwrap().code, Code::InvalidIdToken);
}

#[tokio::test]
async fn the_log_says_which_job_it_was() {
    let world = world().await;
    let job = job_on(&world, "main").await;
    let caller = job.caller(&world).await.unwrap();
    let me = crate::identity::whoami(&world.broker, &cx(), &caller);
    assert_eq!((me.person.name.as_str(), me.actions.len()), ("etl", 0));
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let opened = entries
        .iter()
        .rfind(|entry| entry.leaf.header.kind.as_str() == "session.open")
        .unwrap();
    let who = opened.body.as_ref().unwrap().1.get(Group::Who);
    assert_eq!(
        who["workload"],
        json!({ "rule": "etl", "provider": "gitlab", "claims": {
            "repository": "acme/etl", "repository_id": "22", "owner_id": "72", "ref": "main", "event": "push", "run": "302",
            "triggered_by": "rey", "triggered_by_email": "Rey@example.test",
        }})
    );
    // And still does when it is read back.
    let world = world.crash_and_restart().await;
    let again = job.caller(&world).await.unwrap();
    assert_eq!(again.person(), caller.person());
}

#[tokio::test]
async fn a_job_s_token_opens_one_session_that_ends_by_itself() {
    let world = world().await;
    let job = world.sign_in("nobody", &[]).await;
    let token = job_token(&world, &json!({}));
    let first = exchange(&world, &job, &token).await.unwrap();
    assert_eq!((first.token_type.as_str(), first.expires_in), ("DPoP", 600));
    let second = exchange(&world, &job, &token).await.unwrap_err();
    assert_eq!((second.code, second.public.contains("accepted once")), (Code::InvalidIdToken, true));
    let world = world.crash_and_restart().await;
    assert_eq!(exchange(&world, &job, &token).await.unwrap_err().code, Code::InvalidIdToken);
    // What it was given renews nothing.
    let refresh = RefreshSession {
        refresh_token: first.access_token.clone(),
    };
    let presented = job.present(&world, "POST", "/v1/sessions/refresh", false);
    let renewed = crate::identity::refresh_session(&world.broker, &cx(), presented, refresh).await;
    assert_eq!(renewed.unwrap_err().code, Code::Unauthenticated);
    let job = job_on(&world, "main").await;
    world.advance_ms(600_000);
    assert_eq!(job.caller(&world).await.unwrap_err().code, Code::Unauthenticated);
}

#[tokio::test]
async fn tokens_of_people_and_of_jobs_open_their_own_door_only() {
    let world = world().await;
    let nobody = world.sign_in("nobody", &[]).await;
    let refused = exchange(&world, &nobody, &world.id_token("dana", &["data-eng"])).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidIdToken);
    let presented = nobody.present(&world, "POST", "/v1/sessions", false);
    let open = OpenSession {
        id_token: job_token(&world, &json!({})),
        access_token: None,
        client: ClientInfo::default(),
    };
    let refused = crate::identity::open_session(&world.broker, &cx(), presented, open)
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::InvalidIdToken);
    // A job that comes under a person's subject is not that person.
    world.sign_in("dana", &["data-eng"]).await;
    let refused = exchange(&world, &nobody, &job_token(&world, &json!({ "sub": "dana" })))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.public.contains("known as a person's")),
        (Code::InvalidIdToken, true)
    );
}

#[tokio::test]
async fn a_job_never_reviews_whatever_policy_says() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let request = dana.ask(&world, "customers").await;
    let job = job_on(&world, "main").await;
    let entries = world.kinds().await.len();
    let refused = job.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert_eq!(refused.code, Code::ReviewRefused);
    assert!(refused.public.contains("never reviews"), "{}", refused.public);
    assert_eq!(world.kinds().await.len(), entries, "nothing was recorded as a verdict");
    // Nor does it see others' requests, take them back, or end their sessions.
    let caller = job.caller(&world).await.unwrap();
    let shown = crate::approval::show(&world.broker, &cx(), &caller, &request.id).await.unwrap_err();
    assert_eq!(shown.code, Code::NotFound);
    let session = dana.tokens.as_ref().unwrap().session.clone();
    let ended = crate::identity::close_session(&world.broker, &cx(), &caller, Some(session))
        .await
        .unwrap_err();
    assert_eq!(ended.code, Code::NotFound);
}

#[tokio::test]
async fn whoever_started_the_job_does_not_approve_what_it_asks_for() {
    let world = world().await;
    let job = job_on(&world, "feature").await;
    let request = job.ask(&world, "customers").await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let refused = rey.review(&world, &request, Verdict::Approve).await.unwrap_err();
    assert!(
        refused.code == Code::ReviewRefused && refused.public.contains("started the job"),
        "{}",
        refused.public
    );
    let oda = world.sign_in("oda", &["data-owners"]).await;
    let approved = oda.review(&world, &request, Verdict::Approve).await.unwrap();
    assert_eq!(approved.state, RequestState::Approved);
    world.script(vec![Ok(b"a\n")]);
    drain(job.fetch(&world, &request.id).await.unwrap()).await.unwrap();
}
