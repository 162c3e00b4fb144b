#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_evidence::encode::b64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use zeroize::Zeroizing;

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const NOW_S: i64 = NOW_MS / 1000;
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const OTHER: &str = "https://git.example.com";
const BROKER: &str = "https://broker.example";

/// Two issuers, each with a key of its own; that of [`OTHER`] is made of another seed.
struct Web;

fn key(issuer: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[if issuer == ISSUER { 5 } else { 6 }; 32]).unwrap()
}

#[async_trait::async_trait]
impl HttpGet for Web {
    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let issuer = if url.starts_with(ISSUER) { ISSUER } else { OTHER };
        let page = if url.ends_with("/keys") {
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(key(issuer).public_key().as_ref()) }] })
        } else {
            json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") })
        };
        Ok(page.to_string().into_bytes())
    }

    async fn post(&self, url: &str, _: Zeroizing<String>, _: Option<Zeroizing<String>>) -> Result<(u16, Vec<u8>), String> {
        Err(format!("a workload brings its token, and nothing is asked for at {url}"))
    }

    async fn get_as(&self, url: &str, _: Zeroizing<String>) -> Result<(u16, Vec<u8>), String> {
        Err(format!("nothing at {url}"))
    }

    fn client_secret(&self, _: &str) -> Result<Option<Zeroizing<String>>, String> {
        Ok(None)
    }
}

fn rule(name: &str, provider: Provider, issuer: &str, claims: &[(&[&str], &str)]) -> WorkloadRule {
    let claim = |(path, value): &(&[&str], &str)| ClaimRule {
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        value: (*value).to_owned(),
    };
    WorkloadRule {
        name: name.to_owned(),
        provider,
        issuer: issuer.to_owned(),
        audience: BROKER.to_owned(),
        claims: claims.iter().map(claim).collect(),
        session_s: 900,
        token_age_s_max: 300,
    }
}

fn workloads() -> Workloads {
    let http: Arc<dyn HttpGet> = Arc::new(Web);
    let github = rule(
        "deploy",
        Provider::GitHub,
        ISSUER,
        &[
            (&["repository_id"], "74"),
            (&["repository_owner_id"], "65"),
            (&["environment"], "production"),
        ],
    );
    let second = rule(
        "report",
        Provider::GitHub,
        ISSUER,
        &[
            (&["repository_id"], "99"),
            (&["repository_owner_id"], "65"),
            (&["ref"], "refs/heads/main"),
        ],
    );
    let triage = rule(
        "triage",
        Provider::GitHub,
        ISSUER,
        &[
            (&["repository_id"], "55"),
            (&["repository_owner_id"], "65"),
            (&["ref"], "refs/heads/main"),
            (&["event_name"], "issue_comment"),
        ],
    );
    let gitlab = rule(
        "etl",
        Provider::GitLab,
        OTHER,
        &[
            (&["project_id"], "22"),
            (&["namespace_id"], "72"),
            (&["ref"], "main"),
            (&["ref_protected"], "true"),
        ],
    );
    let cluster = rule(
        "batch",
        Provider::Kubernetes,
        OTHER,
        &[(&["kubernetes.io", "serviceaccount", "uid"], "6a3f")],
    );
    Workloads::new(vec![github, second, triage, gitlab, cluster], &http)
}

/// The claims of a GitHub Actions job, as its documentation shows them.
fn github() -> Value {
    json!({
        "iss": ISSUER, "aud": BROKER, "jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:production",
        "environment": "production", "ref": "refs/heads/main", "ref_type": "branch", "sha": "abc123", "base_ref": "", "head_ref": "",
        "repository": "octo-org/octo-repo", "repository_id": "74", "repository_owner": "octo-org", "repository_owner_id": "65",
        "repository_visibility": "private", "actor": "octocat", "actor_id": "12", "workflow": "example-workflow", "run_id": "1000",
        "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted", "event_name": "workflow_dispatch",
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "nbf": NOW_S - 10, "iat": NOW_S - 10, "exp": NOW_S + 290,
    })
}

fn gitlab() -> Value {
    json!({
        "iss": OTHER, "aud": BROKER, "jti": "235b3a54", "sub": "project_path:acme/etl:ref_type:branch:ref:main",
        "namespace_id": "72", "namespace_path": "acme", "project_id": 22, "project_path": "acme/etl", "user_id": "1",
        "user_login": "sample-user", "user_email": "sample-user@example.com", "pipeline_id": "574", "pipeline_source": "push",
        "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
        "sha": "714a", "ci_config_ref_uri": "git.example.com/acme/etl//.gitlab-ci.yml@refs/heads/main",
        "nbf": NOW_S - 10, "iat": NOW_S - 10, "exp": NOW_S + 3590,
    })
}

fn kubernetes() -> Value {
    json!({
        "iss": OTHER, "aud": [BROKER], "jti": "ea28", "sub": "system:serviceaccount:batch:etl", "nbf": NOW_S - 10, "iat": NOW_S - 10,
        "exp": NOW_S + 590,
        "kubernetes.io": {
            "namespace": "batch", "node": { "name": "n1", "uid": "1" }, "pod": { "name": "etl-x", "uid": "2" },
            "serviceaccount": { "name": "etl", "uid": "6a3f" },
        },
    })
}

fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn sign_as(issuer: &str, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key(issuer).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn sign(claims: &Value) -> String {
    let issuer = if claims["iss"] == ISSUER { ISSUER } else { OTHER };
    sign_as(issuer, &json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" }), claims)
}

async fn verify(claims: &Value) -> Result<Entrant, IdTokenError> {
    workloads().verify(&sign(claims), NOW_MS).await
}

async fn refused(claims: &Value) -> IdTokenError {
    verify(claims).await.err().unwrap_or_else(|| unreachable!("{claims} was let in"))
}

#[tokio::test]
async fn a_job_of_each_provider_is_let_in_by_its_rule_with_what_is_known_of_it() {
    let entrant = verify(&github()).await.unwrap();
    let workload = entrant.workload.unwrap();
    assert_eq!((workload.rule.as_str(), workload.provider.as_str()), ("deploy", "github"));
    assert_eq!(entrant.identity.subject, "repo:octo-org/octo-repo:environment:production");
    assert_eq!((entrant.identity.name.as_str(), entrant.identity.email), ("deploy", None));
    assert_eq!(workload.claims.len(), 10);
    assert_eq!(
        (workload.claims["repository"].as_str(), workload.claims["run"].as_str()),
        ("octo-org/octo-repo", "1000")
    );
    let workload = verify(&gitlab()).await.unwrap().workload.unwrap();
    assert_eq!((workload.rule.as_str(), workload.claims["repository_id"].as_str()), ("etl", "22"));
    assert_eq!(workload.claims[TRIGGERED_BY_EMAIL], "sample-user@example.com");
    let workload = verify(&kubernetes()).await.unwrap().workload.unwrap();
    assert_eq!(
        (workload.rule.as_str(), workload.claims["service_account"].as_str()),
        ("batch", "etl")
    );
}

#[tokio::test]
async fn a_token_for_another_audience_or_for_several_is_refused() {
    for audience in [
        json!("https://github.com/octo-org"),
        json!("sts.amazonaws.com"),
        json!([BROKER, "sts.amazonaws.com"]),
        json!([BROKER, BROKER]),
        json!(format!("{BROKER}/")),
        json!([]),
        json!([1]),
        json!(""),
        Value::Null,
    ] {
        let error = refused(&with(github(), json!({ "aud": audience }))).await;
        assert_eq!(error, IdTokenError::Audience, "{audience}");
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    for issuer in ["https://evil.example", &format!("{ISSUER}/"), &format!("{ISSUER}/octo-org"), ""] {
        assert_eq!(
            refused(&with(github(), json!({ "iss": issuer }))).await,
            IdTokenError::Issuer,
            "{issuer}"
        );
    }
    // Signed by a trusted issuer, in the name of another one.
    let header = json!({ "alg": "EdDSA", "kid": "k" });
    let error = workloads().verify(&sign_as(OTHER, &header, &github()), NOW_MS).await.err().unwrap();
    assert_eq!(error, IdTokenError::Signature);
    // A duplicated `iss`: serde of the first reading refuses it, and both readings must agree.
    let text = github().to_string().replacen('{', &format!(r#"{{"iss":"{OTHER}","#), 1);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(text));
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key(OTHER).sign(signed.as_bytes()).as_ref()));
    assert!(workloads().verify(&token, NOW_MS).await.is_err());
}

#[tokio::test]
async fn the_token_chooses_no_algorithm() {
    let claims = URL_SAFE_NO_PAD.encode(github().to_string());
    for alg in ["none", "HS256", "RS384", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "k" }).to_string());
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key(ISSUER).public_key().as_ref());
        let tag = ring::hmac::sign(&secret, format!("{header}.{claims}").as_bytes());
        for signature in [URL_SAFE_NO_PAD.encode(tag.as_ref()), String::new()] {
            let error = workloads()
                .verify(&format!("{header}.{claims}.{signature}"), NOW_MS)
                .await
                .err()
                .unwrap();
            assert_eq!(error, IdTokenError::Algorithm, "{alg}");
        }
    }
    // The right word over the wrong kind of key.
    let error = workloads()
        .verify(&sign_as(ISSUER, &json!({ "alg": "RS256", "kid": "k" }), &github()), NOW_MS)
        .await;
    assert_eq!(error.err().unwrap(), IdTokenError::Key);
    for typ in ["at+jwt", "logout+jwt"] {
        let error = workloads()
            .verify(
                &sign_as(ISSUER, &json!({ "alg": "EdDSA", "kid": "k", "typ": typ }), &github()),
                NOW_MS,
            )
            .await;
        assert_eq!(error.err().unwrap(), IdTokenError::Type);
    }
}

#[tokio::test]
async fn an_old_or_an_expired_token_is_refused() {
    assert_eq!(refused(&with(github(), json!({ "exp": NOW_S - 61 }))).await, IdTokenError::Expired);
    assert_eq!(
        refused(&with(github(), json!({ "iat": NOW_S - 301, "exp": NOW_S + 300 }))).await,
        IdTokenError::TooOld
    );
    assert_eq!(
        refused(&with(github(), json!({ "iat": NOW_S + 61 }))).await,
        IdTokenError::NotYetValid
    );
    assert_eq!(
        refused(&with(github(), json!({ "nbf": NOW_S + 61 }))).await,
        IdTokenError::NotYetValid
    );
    for name in ["exp", "iat"] {
        assert!(
            matches!(refused(&with(github(), json!({ name: null }))).await, IdTokenError::Malformed(_)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_claim_of_the_rule_must_hold_and_all_of_one_rule() {
    for changes in [
        json!({ "repository_id": "75" }),
        json!({ "repository_id": "740" }),
        json!({ "repository_id": null }),
        json!({ "repository_id": ["74"] }),
        json!({ "repository_id": { "74": "74" } }),
        json!({ "repository_owner_id": "66" }),
        json!({ "environment": "Production" }),
        json!({ "environment": "production " }),
        json!({ "environment": null }),
        // Another rule's repository, with what this rule asks for, and the other way round.
        json!({ "repository_id": "99", "ref": "refs/heads/feature" }),
        json!({ "repository_id": "99", "repository_owner_id": "1" }),
    ] {
        let error = refused(&with(github(), changes.clone())).await;
        assert!(matches!(error, IdTokenError::Rule { .. }), "{changes}: {error:?}");
    }
    // The same names under another number: a repository that was deleted and registered again.
    let again = refused(&with(github(), json!({ "repository_id": "7400" }))).await;
    let told = again.operator().unwrap();
    assert!(
        told.contains("rule `deploy`: `repository_id` differ") && !told.contains("7400"),
        "{told}"
    );
    assert!(!again.to_string().contains("repository"), "{again}");
    for changes in [
        json!({ "ref_protected": "false" }),
        json!({ "ref_protected": false }),
        json!({ "ref": "main2" }),
    ] {
        assert!(matches!(refused(&with(gitlab(), changes)).await, IdTokenError::Rule { .. }));
    }
    verify(&with(gitlab(), json!({ "ref_protected": true, "project_id": "22" })))
        .await
        .unwrap();
    let mut other = kubernetes();
    other["kubernetes.io"]["serviceaccount"]["uid"] = json!("6a3f0");
    assert!(matches!(refused(&other).await, IdTokenError::Rule { .. }));
}

#[tokio::test]
async fn pull_requests_and_what_anybody_may_cause_are_refused() {
    let event = |error: IdTokenError| matches!(error, IdTokenError::Event(_));
    for name in [
        "pull_request",
        "pull_request_target",
        "pull_request_review",
        "pull_request_review_comment",
        "issue_comment",
        "workflow_run",
        "issues",
        "fork",
        "whatever_comes_next",
    ] {
        assert!(event(refused(&with(github(), json!({ "event_name": name }))).await), "{name}");
    }
    for changes in [
        json!({ "event_name": null }),
        json!({ "head_ref": "feature", "base_ref": "main" }),
        json!({ "base_ref": "main" }),
    ] {
        assert!(event(refused(&with(github(), changes)).await));
    }
    for name in ["merge_request_event", "external_pull_request_event", "parent_pipeline", "chat"] {
        assert!(event(refused(&with(gitlab(), json!({ "pipeline_source": name }))).await), "{name}");
    }
    // A rule may name an event in so many words, and is then for that event alone.
    let triage = with(github(), json!({ "repository_id": "55", "event_name": "issue_comment" }));
    assert_eq!(verify(&triage).await.unwrap().workload.unwrap().rule, "triage");
    let push = with(github(), json!({ "repository_id": "55", "event_name": "push" }));
    assert!(matches!(refused(&push).await, IdTokenError::Rule { .. }));
}

#[tokio::test]
async fn what_is_recorded_is_short_and_has_no_control_characters() {
    let long = "x".repeat(513);
    for changes in [
        json!({ "actor": "a\u{1b}[2J" }),
        json!({ "sha": long }),
        json!({ "sub": "" }),
        json!({ "sub": "a\nb" }),
    ] {
        assert!(matches!(refused(&with(github(), changes)).await, IdTokenError::Malformed(_)));
    }
    let workload = verify(&with(github(), json!({ "actor": ["a"], "sha": "" })))
        .await
        .unwrap()
        .workload
        .unwrap();
    assert!(!workload.claims.contains_key("triggered_by") && !workload.claims.contains_key("commit"));
}

#[test]
fn the_well_known_issuers_are_known() {
    for (host, provider) in [
        ("token.actions.githubusercontent.com", Some(Provider::GitHub)),
        ("token.actions.acme.ghe.com", Some(Provider::GitHub)),
        ("gitlab.com", Some(Provider::GitLab)),
        ("kubernetes.default.svc", Some(Provider::Kubernetes)),
        ("kubernetes.default.svc.cluster.local", Some(Provider::Kubernetes)),
        ("oidc.eks.eu-central-1.amazonaws.com", Some(Provider::Kubernetes)),
        ("token.actions.githubusercontent.com.evil.example", None),
        ("evil-gitlab.com", None),
        ("git.example.com", None),
    ] {
        assert_eq!(Provider::of_host(host), provider, "{host}");
    }
}
