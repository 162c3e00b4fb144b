//! A CI job signs in with its own token, fetches, and leaves nothing behind that could be stolen.
//!
//! The provider is an issuer of the test's own whose tokens have the claims of GitHub's and GitLab's; the runner that hands
//! GitHub's out is played as well.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chunk_wire::fetch::Format;
use chunk_wire::problem::Problem;
use chunk_wire::session::{
    GRANT_TYPE_TOKEN_EXCHANGE, SessionTokens, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_ID_TOKEN, TOKEN_TYPE_JWT, TokenRefused,
};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::second_verifier::python;
use crate::support::api::slice;
use crate::support::issuer::{FakeIssuer, SigningKey, sign_hs256, unsigned};
use crate::support::person::Output;
use crate::support::process::code;
use crate::support::{Answer, Person, Setup, World, now_ms, random};

const POLICIES: &str = r#"
@id("jobs-ask")
permit (principal is Workload, action in [Action::"describe", Action::"fetch"], resource)
when { resource == Dataset::"small" || resource == Dataset::"people" };
@id("nightly-needs-nobody")
permit (principal == Workload::"nightly", action == Action::"fetch_unapproved", resource == Dataset::"small")
when { context.workload.repository == "acme/etl" && context.workload.environment == "production" };
@id("anybody-reviews")
permit (principal, action in [Action::"describe", Action::"review"], resource == Dataset::"people");
"#;

/// A broker that lets jobs of one GitHub repository and one GitLab project in.
struct Scene {
    world: World,
    issuer: FakeIssuer,
    key: Arc<SigningKey>,
}

impl Scene {
    fn new() -> Self {
        let key = Arc::new(SigningKey::new("first"));
        let issuer = FakeIssuer::start(&[&key]);
        let mut world = World::prepared(Setup::standard().policy(POLICIES));
        let (url, audience) = (&issuer.url, world.url.clone());
        let rules = format!(
            "\n[[workload]]\nname = \"nightly\"\nprovider = \"github\"\nissuer = \"{url}\"\naudience = \"{audience}\"\nsession_minutes = 5\n\
             [workload.claims]\nrepository_id = \"74\"\nrepository_owner_id = \"65\"\nenvironment = \"production\"\n\
             \n[[workload]]\nname = \"report\"\nprovider = \"gitlab\"\nissuer = \"{url}\"\naudience = \"{audience}\"\n\
             [workload.claims]\nproject_id = \"22\"\nnamespace_id = \"72\"\nref = \"main\"\nref_protected = true\n"
        );
        world.setup_mut().more = rules;
        world.write_config();
        world.start();
        Self { world, issuer, key }
    }

    fn github(&self, changes: &Value) -> Value {
        github(&self.issuer.url, &self.world.url, changes)
    }

    fn gitlab(&self, changes: &Value) -> Value {
        let now = now_ms() / 1000;
        let claims = json!({
            "iss": self.issuer.url, "aud": self.world.url, "sub": "project_path:acme/report:ref_type:branch:ref:main",
            "project_id": "22", "project_path": "acme/report", "namespace_id": "72", "namespace_path": "acme", "ref": "main",
            "ref_type": "branch", "ref_protected": "true", "pipeline_source": "schedule", "job_id": "302", "user_login": "gina",
            "user_email": "gina@people.example", "sha": "714a", "iat": now, "nbf": now, "exp": now + 3600, "jti": hex::encode(random::<8>()),
        });
        with(claims, changes)
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.sign(&self.key.header(), claims)
    }

    fn exchange(&self, token: &str) -> Answer {
        self.world.anonymous().exchange(&[
            ("grant_type", GRANT_TYPE_TOKEN_EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", TOKEN_TYPE_JWT),
        ])
    }

    #[track_caller]
    fn assert_refused(&self, token: &str) {
        let answer = self.exchange(token);
        let refused = refusal(&answer);
        assert_eq!(
            (answer.status, refused.error.as_str(), refused.problem.code.as_str()),
            (400, "invalid_request", "invalid_id_token"),
            "{}",
            answer.text()
        );
    }

    /// A job with a machine of its own.
    fn job(&self, variables: &[(&str, &str)]) -> Job {
        Job {
            person: self.world.person("job"),
            memory: tempfile::Builder::new().prefix("chunkctl-it-ci.").tempdir_in("/dev/shm").unwrap(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }
}

/// The claims of a GitHub Actions job.
fn github(issuer: &str, audience: &str, changes: &Value) -> Value {
    let now = now_ms() / 1000;
    let claims = json!({
        "iss": issuer, "aud": audience, "sub": "repo:acme/etl:environment:production", "repository": "acme/etl", "repository_id": "74",
        "repository_owner": "acme", "repository_owner_id": "65", "ref": "refs/heads/main", "ref_type": "branch", "environment": "production",
        "event_name": "schedule", "head_ref": "", "base_ref": "", "actor": "octocat", "actor_id": "12", "run_id": "1000", "sha": "abc123",
        "job_workflow_ref": "acme/etl/.github/workflows/nightly.yml@refs/heads/main", "runner_environment": "github-hosted",
        "iat": now, "nbf": now - 5, "exp": now + 300, "jti": hex::encode(random::<8>()),
    });
    with(claims, changes)
}

fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

#[track_caller]
fn refusal(answer: &Answer) -> TokenRefused {
    assert_eq!(answer.headers["content-type"], "application/json", "{}", answer.text());
    assert_eq!(answer.headers["cache-control"], "no-store");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// What types the commands of a job.
struct Job {
    person: Person,
    /// Its `XDG_RUNTIME_DIR`.
    memory: TempDir,
    variables: Vec<(String, String)>,
}

impl Job {
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&self.variables, arguments)
    }

    /// The job's own work.
    fn fetch(&self, file: &str) -> Output {
        self.run(&["fetch", "small", "--limit", "5", "--reason", "the nightly report", "-o", file])
    }

    fn run_with(&self, variables: &[(String, String)], arguments: &[&str]) -> Output {
        let scratch = self.person.home.join("tmp");
        std::fs::create_dir_all(&scratch).unwrap();
        let mut command = self.person.command();
        command.env("XDG_RUNTIME_DIR", self.memory.path()).env("TMPDIR", scratch);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let output = command.args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output {
            code: code(output.status),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Files that are kept in memory between commands.
    fn kept(&self) -> Vec<std::path::PathBuf> {
        let folder = std::fs::read_dir(self.memory.path().join("chunkctl"));
        folder.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }
}

/// GitHub's runner: gives a token for whichever audience a job asks for, if it shows the runner's secret.
struct Runner {
    url: String,
    given: Arc<Mutex<Vec<String>>>,
}

const RUNNER_SECRET: &str = "runner-secret-6f1c";

impl Runner {
    fn start(scene: &Scene) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token?api-version=2.0", listener.local_addr().unwrap());
        let given: Arc<Mutex<Vec<String>>> = Arc::default();
        let (issuer, key, tokens) = (scene.issuer.url.clone(), Arc::clone(&scene.key), Arc::clone(&given));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let knows = headers
                    .iter()
                    .any(|line| line.eq_ignore_ascii_case(&format!("authorization: Bearer {RUNNER_SECRET}")));
                let asked = url::Url::parse(&format!("http://runner{}", first.split(' ').nth(1).unwrap_or("/"))).unwrap();
                let audience = asked.query_pairs().find(|(name, _)| name == "audience");
                let (status, body) = match audience {
                    Some((_, audience)) if knows => {
                        let token = key.sign(&key.header(), &github(&issuer, &audience, &json!({})));
                        tokens.lock().unwrap().push(token.clone());
                        ("200 OK", json!({ "count": token.len(), "value": token }).to_string())
                    }
                    _ => ("403 Forbidden", "{}".to_owned()),
                };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let mut stream = stream;
                stream.write_all(format!("{head}{body}").as_bytes()).ok();
            }
        });
        Self { url, given }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", self.url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_SECRET),
        ]
    }
}

/// Nothing below a folder holds any of these.
#[track_caller]
fn assert_nowhere_below(folder: &Path, secrets: &[(&str, String)]) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            looked_at += assert_nowhere_below(&path, secrets);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for (what, secret) in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds {what}", path.display());
            }
            looked_at += 1;
        }
    }
    looked_at
}

#[test]
fn a_job_signs_in_fetches_and_leaves_no_token_behind() {
    let scene = Scene::new();
    let runner = Runner::start(&scene);
    let job = scene.job(&runner.variables());
    let done = job.run(&["login", "--ci", "--json"]).exits(0).event("login.done");
    assert_eq!(
        (done["storage"].as_str(), done["person"]["name"].as_str()),
        (Some("tmpfs"), Some("nightly"))
    );
    let claims = &done["person"]["workload"]["claims"];
    assert_eq!(
        (claims["repository"].as_str(), claims["run"].as_str()),
        (Some("acme/etl"), Some("1000"))
    );
    let minutes = (done["session_expires_ms"].as_i64().unwrap() - now_ms()) / 60_000;
    assert!((3..=5).contains(&minutes), "the session lives {minutes} minutes");

    // What is kept is one file in memory that only its owner may read and whose name says when it ends.
    let kept = job.kept();
    let [file] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let until = format!(".until-{}-ms.json", done["session_expires_ms"]);
    assert!(file.to_string_lossy().ends_with(&until), "{}", file.display());
    let session: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let text = |name: &str| session[name].as_str().unwrap().to_owned();

    job.fetch("small.csv").exits(0);
    job.run(&["verify", "small.csv"]).exits(0);
    let who = job.run(&["whoami"]).exits(0);
    assert!(
        who.stdout.contains("`nightly` (github)") && who.stdout.contains("acme/etl"),
        "{}",
        who.stdout
    );

    let token = runner.given.lock().unwrap().first().cloned().unwrap();
    assert_eq!(runner.given.lock().unwrap().len(), 1, "one sign-in asks for one token");
    let secrets = [
        ("the job's token", token.clone()),
        ("its signature", token.rsplit_once('.').unwrap().1.to_owned()),
        ("the access token", text("access_token")),
        ("the session's key", text("seed")),
        ("the runner's secret", RUNNER_SECRET.to_owned()),
    ];
    let nowhere = || {
        let seen = assert_nowhere_below(&job.person.home, &secrets);
        assert!(seen > 3, "the job's home has {seen} files");
        assert_nowhere_below(scene.world.path(), &secrets);
    };
    nowhere();
    let out = job.run(&["logout"]).exits(0);
    for (what, secret) in &secrets {
        assert!(!out.all().contains(secret) && !who.all().contains(secret), "{what} was shown");
    }
    assert!(job.kept().is_empty(), "{:?}", job.kept());
    nowhere();

    // Nobody signs in again without the runner, and what was the session's opens nothing any more.
    job.run_with(&[], &["whoami"]).exits(4);
    let mut thief = scene.world.anonymous();
    thief.key = Ed25519KeyPair::from_seed_unchecked(&hex::decode(text("seed")).unwrap()).unwrap();
    thief.keep(SessionTokens {
        session: text("session").parse().unwrap(),
        access_token: text("access_token"),
        access_expires_ms: i64::MAX,
        refresh_token: String::new(),
        session_expires_ms: i64::MAX,
        person: serde_json::from_value(done["person"].clone()).unwrap(),
    });
    assert_eq!(thief.get("/v1/whoami").code(), "session_ended");
    scene.assert_refused(&token);
}

#[test]
fn every_command_of_a_job_works_without_a_sign_in_and_keeps_nothing() {
    let scene = Scene::new();
    let runner = Runner::start(&scene);
    let job = scene.job(&runner.variables());
    job.fetch("small.parquet").exits(0);
    job.run(&["verify", "small.parquet"]).exits(0);
    job.run(&["whoami"]).exits(0);
    let given = runner.given.lock().unwrap().clone();
    assert_eq!(given.len(), 2, "each command signs in for itself, and `verify` needs nobody");
    assert!(job.kept().is_empty());
    for token in given {
        assert_nowhere_below(&job.person.home, &[("the job's token", token.clone())]);
        scene.assert_refused(&token);
    }
    // The sessions have ended with their commands.
    let anna = scene.world.api("anna");
    let entries = anna.entries();
    let of = |kind: &str| entries.iter().filter(|entry| entry.header["k"] == kind).count();
    assert_eq!(
        (of("session.open"), of("session.close")),
        (3, 2),
        "two of the job, and the auditor's own"
    );
    // A request that nobody could pick up is not made.
    let refused = job
        .run(&["fetch", "people", "--limit", "5", "--reason", "why", "--no-wait"])
        .exits(3);
    assert!(refused.stderr.contains("chunkctl login --ci"), "{}", refused.stderr);
}

#[test]
fn a_token_given_by_gitlab_is_good_once_and_for_this_broker_alone() {
    let scene = Scene::new();
    let token = scene.sign(&scene.gitlab(&json!({})));
    let job = scene.job(&[("CHUNKCTL_ID_TOKEN", &token)]);
    let who = job.run(&["whoami", "--json"]).exits(0).event("whoami");
    assert_eq!(who["person"]["workload"]["rule"], "report");
    assert_eq!(who["actions"], json!([]));
    let again = job.run(&["whoami"]).exits(4);
    assert!(again.stderr.contains("accepted once"), "{}", again.stderr);

    let file = job.person.home.join("projected-token");
    std::fs::write(&file, format!("{}\n", scene.sign(&scene.gitlab(&json!({}))))).unwrap();
    let by_file = scene.job(&[("CHUNKCTL_ID_TOKEN_FILE", file.to_str().unwrap())]);
    by_file.run(&["login", "--ci"]).exits(0);
    by_file.run(&["whoami"]).exits(0);
    by_file.run(&["logout"]).exits(0);

    // One for somebody else stays where it is: the broker hears nothing of it.
    let answered = || scene.world.log_text().matches("/v1/token").count();
    let before = answered();
    assert!(before >= 3, "the log of the broker names what it answered");
    let elsewhere = scene.sign(&scene.gitlab(&json!({ "aud": "https://kubernetes.default.svc" })));
    let refused = scene.job(&[("CHUNKCTL_ID_TOKEN", &elsewhere)]).run(&["login", "--ci"]).exits(3);
    assert!(refused.stderr.contains("is not sent"), "{}", refused.stderr);
    assert_eq!(answered(), before, "the token left the job");
    let none = scene.job(&[]).run(&["login", "--ci"]).exits(3);
    assert!(none.stderr.contains("id-token: write"), "{}", none.stderr);
}

#[test]
fn a_job_never_reviews_whatever_policy_says() {
    let scene = Scene::new();
    let request = scene.world.api("dana").request(&slice("people", None, Some(5)), Format::Csv);
    let runner = Runner::start(&scene);
    let job = scene.job(&runner.variables());
    job.run(&["login", "--ci"]).exits(0);
    for verdict in ["approve", "reject"] {
        let refused = job.run(&[verdict, request.id.as_str(), "--reason", "looks fine", "--json"]);
        assert_eq!(refused.code, 1, "{}", refused.all());
    }
    // Past the client, too: the job signs a verdict with its session's key and sends it.
    let kept: Value = serde_json::from_slice(&std::fs::read(&job.kept()[0]).unwrap()).unwrap();
    let text = |name: &str| kept[name].as_str().unwrap().to_owned();
    let mut api = scene.world.anonymous();
    api.key = Ed25519KeyPair::from_seed_unchecked(&hex::decode(text("seed")).unwrap()).unwrap();
    api.keep(SessionTokens {
        session: text("session").parse().unwrap(),
        access_token: text("access_token"),
        access_expires_ms: i64::MAX,
        refresh_token: String::new(),
        session_expires_ms: i64::MAX,
        person: serde_json::from_value(kept["person"].clone()).unwrap(),
    });
    let answer = api.review(&request, chunk_wire::review::Verdict::Approve);
    assert_eq!(answer.code(), "review_refused", "{}", answer.text());
    assert!(answer.text().contains("never reviews"), "{}", answer.text());
    let rita = scene.world.api("rita");
    assert_eq!(rita.show(&request).reviews.len(), 0);
    assert_eq!(rita.approve(&request).approvals_missing, 0, "a person still may");
}

#[test]
fn what_a_thief_of_ci_tokens_would_try_is_refused() {
    let scene = Scene::new();
    let good = || scene.github(&json!({}));
    let signed = |changes: Value| scene.sign(&scene.github(&changes));
    for changes in [
        // Other audiences, other issuers, other times.
        json!({ "aud": "https://github.com/acme" }),
        json!({ "aud": [scene.world.url, "sts.amazonaws.com"] }),
        json!({ "aud": null }),
        json!({ "iss": format!("{}/", scene.issuer.url) }),
        json!({ "iss": "https://token.actions.githubusercontent.com" }),
        json!({ "exp": now_ms() / 1000 - 100 }),
        json!({ "iat": now_ms() / 1000 - 600 }),
        // A namesake, a branch, another environment, the other rule's repository.
        json!({ "repository_id": "7474" }),
        json!({ "repository_owner_id": "66" }),
        json!({ "environment": "staging" }),
        json!({ "environment": null }),
        json!({ "repository_id": "22", "project_id": "22", "namespace_id": "72" }),
        // What somebody outside may cause.
        json!({ "event_name": "pull_request", "head_ref": "evil", "base_ref": "main" }),
        json!({ "event_name": "pull_request_target" }),
        json!({ "event_name": "issue_comment" }),
        json!({ "event_name": null }),
    ] {
        scene.assert_refused(&signed(changes));
    }
    scene.assert_refused(&scene.sign(&scene.gitlab(&json!({ "pipeline_source": "merge_request_event" }))));
    scene.assert_refused(&scene.sign(&scene.gitlab(&json!({ "ref_protected": "false" }))));
    // Other keys and algorithms.
    let foreign = SigningKey::new("first");
    scene.assert_refused(&foreign.sign(&foreign.header(), &good()));
    scene.assert_refused(&format!("{}.", unsigned(&json!({ "alg": "none", "kid": "first" }), &good())));
    for secret in scene.key.public_encodings() {
        scene.assert_refused(&sign_hs256(
            &json!({ "alg": "HS256", "kid": "first", "typ": "JWT" }),
            &good(),
            &secret,
        ));
    }
    let changed = unsigned(
        &scene.key.header(),
        &scene.github(&json!({ "environment": "production", "actor": "mallory" })),
    );
    let signature = scene.sign(&good()).rsplit_once('.').unwrap().1.to_owned();
    scene.assert_refused(&format!("{changed}.{signature}"));
    // None of it was the test's mistake.
    let answer = scene.exchange(&scene.sign(&good()));
    let given: Value = answer.json();
    assert_eq!(
        (
            given["token_type"].as_str(),
            given["issued_token_type"].as_str(),
            given["refresh_token"].as_str()
        ),
        (Some("DPoP"), Some(TOKEN_TYPE_ACCESS_TOKEN), None)
    );
    assert!(given["expires_in"].as_i64().is_some_and(|s| (290..=300).contains(&s)), "{given}");
    // The operator is told which claims did not match, and whoever asked is not.
    let log = scene.world.log_text();
    assert!(log.contains("rule `nightly`") && log.contains("`repository_owner_id`"), "{log}");
}

#[test]
fn each_kind_of_token_opens_its_own_door_and_no_other() {
    let scene = Scene::new();
    let api = scene.world.anonymous();
    let job = scene.sign(&scene.github(&json!({})));
    let at_the_peoples = api.open(&job);
    assert_eq!((at_the_peoples.status, at_the_peoples.code().as_str()), (401, "invalid_id_token"));
    scene.assert_refused(&crate::support::api::id_token(
        &crate::support::servers::issuer(),
        "chunkctl",
        "dana",
    ));
    let dana = scene.world.api("dana").tokens();
    scene.assert_refused(&dana.access_token);
    scene.assert_refused(&dana.refresh_token);
    // A job's access token renews nothing, and neither does it work without its key.
    let given: Value = scene.exchange(&job).json();
    let stolen = given["access_token"].as_str().unwrap();
    let refresh = api.post("/v1/sessions/refresh", &json!({ "refresh_token": stolen }));
    assert_eq!(refresh.code(), "unauthenticated");
    api.keep(SessionTokens {
        session: given["session"].as_str().unwrap().parse().unwrap(),
        access_token: stolen.to_owned(),
        access_expires_ms: i64::MAX,
        refresh_token: String::new(),
        session_expires_ms: i64::MAX,
        person: serde_json::from_value(given["person"].clone()).unwrap(),
    });
    assert_eq!(api.get("/v1/whoami").code(), "invalid_dpop_proof");
}

#[test]
fn the_token_endpoint_speaks_the_standards_own_errors() {
    let scene = Scene::new();
    let api = scene.world.anonymous();
    let job = scene.sign(&scene.github(&json!({})));
    let fields = |grant: &'static str, kind: &'static str| {
        vec![("grant_type", grant), ("subject_token", job.as_str()), ("subject_token_type", kind)]
    };
    let good = || fields(GRANT_TYPE_TOKEN_EXCHANGE, TOKEN_TYPE_ID_TOKEN);
    let error = |fields: &[(&str, &str)]| {
        let answer = api.exchange(fields);
        assert_eq!(answer.status, 400, "{}", answer.text());
        refusal(&answer).error
    };
    assert_eq!(error(&fields("authorization_code", TOKEN_TYPE_JWT)), "unsupported_grant_type");
    assert_eq!(
        error(&fields(GRANT_TYPE_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN)),
        "invalid_request"
    );
    assert_eq!(
        error(&[good(), vec![("audience", "https://other.example")]].concat()),
        "invalid_target"
    );
    assert_eq!(error(&[good(), vec![("scope", "everything")]].concat()), "invalid_scope");
    assert_eq!(error(&[good(), good()].concat()), "invalid_request");
    // Without the nonce, as RFC 9449 has it, the answer says so and brings one.
    let form = ("content-type", "application/x-www-form-urlencoded");
    let without = api.raw("POST", "/v1/token", Some(b"grant_type=x".to_vec()), &[form]);
    assert_eq!((without.status, refusal(&without).error.as_str()), (400, "invalid_dpop_proof"));
    let proof = api.proof(
        "POST",
        "/v1/token",
        &crate::support::api::Forged {
            nonce: Some(None),
            ..Default::default()
        },
    );
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(good()).finish();
    let without = api.raw("POST", "/v1/token", Some(body.into_bytes()), &[form, ("dpop", &proof)]);
    assert_eq!((without.status, refusal(&without).error.as_str()), (400, "use_dpop_nonce"));
    assert!(without.headers.contains_key("dpop-nonce"));
    let wrong_type = api.send("POST", "/v1/token", Some(b"{}".to_vec()), &[]);
    assert_eq!((wrong_type.status, refusal(&wrong_type).error.as_str()), (415, "invalid_request"));
    let problem: Problem = refusal(&wrong_type).problem;
    assert!(problem.request_id.is_some() && problem.status == 415);
    // None of these used the token up.
    assert_eq!(api.exchange(&[good(), vec![("audience", &scene.world.url)]].concat()).status, 200);
}

#[test]
fn the_evidence_says_which_job_it_was_and_both_verifiers_agree() {
    let scene = Scene::new();
    let runner = Runner::start(&scene);
    let job = scene.job(&runner.variables());
    job.fetch("small.csv").exits(0);
    let anna = scene.world.signed_in("anna");
    let found = anna.json(&["audit", "search", "--kind", "session.open"]).exits(0);
    let of_the_job = found
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|entry| entry["body"]["who"]["workload"]["rule"] == "nightly")
        .unwrap_or_else(|| panic!("{}", found.all()));
    let who = &of_the_job["body"]["who"];
    assert_eq!(who["subject"], "repo:acme/etl:environment:production");
    assert_eq!(who["workload"]["claims"]["commit"], "abc123");
    assert!(
        of_the_job["summary"].as_str().unwrap().starts_with("workload nightly"),
        "{of_the_job}"
    );
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    for level in ["1", "4"] {
        let name = format!("level-{level}.bundle");
        anna.run(&["audit", "export", "--level", level, "-o", &name]).exits(0);
        anna.run(&["audit", "verify", &name, "--trust", "trust.toml"]).exits(0);
        assert_eq!(python(&anna.dir().join(&name), &anna.dir().join("trust.toml")), 0, "level {level}");
    }
}
