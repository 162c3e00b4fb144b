//! Who gets a session, and what a session is worth without its key: every refusal has a test of its own.
//!
//! Tokens are made by hand and signed by an issuer of the test's own, so that each differs from a good one in one thing.

use chunk_wire::dpop;
use chunk_wire::session::{BrokerInfo, ClientInfo, OpenSession, RefreshSession, SessionTokens, WhoAmI};
use serde_json::{Value, json};

use crate::support::api::{Forged, id_token};
use crate::support::issuer::{FakeIssuer, SigningKey, sign_hs256, unsigned};
use crate::support::{Answer, Api, Setup, World, browser, now_ms, servers};

/// A broker that trusts an issuer of the test's own, and that issuer's key.
struct Scene {
    world: World,
    issuer: FakeIssuer,
    key: SigningKey,
}

impl Scene {
    fn new() -> Self {
        let key = SigningKey::new("first");
        let issuer = FakeIssuer::start(&[&key]);
        let world = World::with(Setup::standard().issuer("fake", &issuer.url));
        Self { world, issuer, key }
    }

    fn open(&self, token: &str) -> Answer {
        self.world.anonymous().open(token)
    }

    /// A good token's claims with some replaced; `null` removes one.
    fn token_with(&self, changes: &Value) -> String {
        let mut claims = self.issuer.claims("dana");
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        self.key.sign(&self.key.header(), &claims)
    }

    #[track_caller]
    fn assert_refused(&self, token: &str) {
        let answer = self.open(token);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_id_token"),
            "{}",
            answer.text()
        );
        // The refusal is the token's alone: a good one still opens a session.
        let good = self.open(&self.token_with(&json!({})));
        assert_eq!(good.status, 201, "{}", good.text());
    }
}

fn session(scene: &Scene) -> Api {
    let api = scene.world.anonymous();
    api.keep(api.open(&scene.token_with(&json!({}))).json());
    api
}

// ------------------------------------------------------------------------------------------------------------- ID tokens

#[test]
fn a_good_token_opens_a_session_of_its_person() {
    let scene = Scene::new();
    let api = session(&scene);
    let who: WhoAmI = api.get("/v1/whoami").json();
    assert_eq!(
        (who.person.issuer.as_str(), who.person.subject.as_str()),
        (scene.issuer.url.as_str(), "dana")
    );
    assert_eq!(who.person.groups, ["developers"]);
    assert_eq!(who.key, api.thumbprint());
    let minutes = (api.tokens().access_expires_ms - now_ms()) / 60_000;
    assert!((13..=15).contains(&minutes), "an access token lives {minutes} minutes");
}

#[test]
fn tokens_of_every_algorithm_of_a_certified_provider_are_accepted() {
    for client in ["chunkctl", "chunkctl-rs256", "chunkctl-eddsa"] {
        // One issuer has one client in broker.toml, so each algorithm gets a broker of its own.
        let mut alone = Setup::standard();
        alone.client = client.to_owned();
        let world = World::with(alone);
        let answer = world.anonymous().open(&id_token(&servers::issuer(), client, "dana"));
        assert_eq!(answer.status, 201, "{client}: {}", answer.text());
    }
}

#[test]
fn groups_that_an_id_token_lacks_come_from_the_provider_and_of_the_same_person_only() {
    let key = SigningKey::new("first");
    let issuer = FakeIssuer::start(&[&key]);
    let setup = Setup::standard().sign_in("groups_from = \"userinfo\"").issuer("fake", &issuer.url);
    let scene = Scene {
        world: World::with(setup),
        issuer,
        key,
    };
    let info: BrokerInfo = scene.world.anonymous().get("/v1/info").json();
    assert!(info.issuers.iter().all(|issuer| issuer.userinfo));
    scene
        .issuer
        .tell("danas", &json!({ "sub": "dana", "groups": ["reviewers", "developers"] }));
    scene.issuer.tell("ritas", &json!({ "sub": "rita", "groups": ["reviewers"] }));
    scene.issuer.tell("silent", &json!({ "sub": "dana" }));
    let open = |access_token: Option<&str>| {
        let body = OpenSession {
            id_token: scene.token_with(&json!({ "groups": null })),
            access_token: access_token.map(str::to_owned),
            client: ClientInfo::default(),
        };
        let api = scene.world.anonymous();
        let answer = api.post("/v1/sessions", &body);
        (api, answer)
    };
    let (api, answer) = open(Some("danas"));
    api.keep(answer.json());
    let who: WhoAmI = api.get("/v1/whoami").json();
    assert_eq!(who.person.groups, ["developers", "reviewers"]);
    for (access_token, status) in [
        (None, 401),
        (Some("ritas"), 401),
        (Some("silent"), 401),
        (Some(""), 401),
        (Some("nobodys"), 503),
    ] {
        let (_, answer) = open(access_token);
        assert_eq!(answer.status, status, "{access_token:?}: {}", answer.text());
        assert!(!answer.text().contains("ritas"));
    }
}

#[test]
fn an_id_token_opens_one_session_and_no_second() {
    let scene = Scene::new();
    let token = scene.token_with(&json!({}));
    assert_eq!(scene.open(&token).status, 201);
    scene.assert_refused(&token);
}

#[test]
fn an_id_token_stays_used_after_a_restart() {
    let mut scene = Scene::new();
    let token = scene.token_with(&json!({}));
    assert_eq!(scene.open(&token).status, 201);
    scene.world.kill();
    scene.world.start();
    scene.assert_refused(&token);
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let scene = Scene::new();
    let (other_key, own) = (SigningKey::new("first"), &scene.issuer.url);
    let other = FakeIssuer::start(&[&other_key]);
    scene.assert_refused(&other_key.sign(&other_key.header(), &other.claims("dana")));
    for wrong in [
        format!("{own}/"),
        own.replace("127.0.0.1", "localhost"),
        String::new(),
        own.to_uppercase(),
    ] {
        scene.assert_refused(&scene.token_with(&json!({ "iss": wrong })));
    }
    scene.assert_refused(&scene.token_with(&json!({ "iss": null })));
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let scene = Scene::new();
    for audience in [
        json!("other-program"),
        json!([]),
        json!(["other-program"]),
        json!("chunkctl2"),
        json!("CHUNKCTL"),
        json!(""),
        json!(7),
        Value::Null,
    ] {
        scene.assert_refused(&scene.token_with(&json!({ "aud": audience })));
    }
    // Several audiences are a token for somebody else too, unless the authorized party is us (OpenID Connect Core 3.1.3.7).
    scene.assert_refused(&scene.token_with(&json!({ "aud": ["chunkctl", "other-program"], "azp": "other-program" })));
}

#[test]
fn a_token_that_the_certified_provider_made_for_another_program_is_refused() {
    let world = World::new();
    let answer = world.anonymous().open(&id_token(&servers::issuer(), "other-program", "dana"));
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_id_token"));
}

#[test]
fn an_expired_token_is_refused() {
    let scene = Scene::new();
    let now = now_ms() / 1000;
    scene.assert_refused(&scene.token_with(&json!({ "iat": now - 200, "exp": now - 100 })));
    scene.assert_refused(&scene.token_with(&json!({ "exp": null })));
    scene.assert_refused(&scene.token_with(&json!({ "exp": "tomorrow" })));
}

#[test]
fn a_token_issued_long_ago_or_in_the_future_is_refused() {
    let scene = Scene::new();
    let now = now_ms() / 1000;
    scene.assert_refused(&scene.token_with(&json!({ "iat": now - 600, "exp": now + 3600 })));
    scene.assert_refused(&scene.token_with(&json!({ "iat": now + 600, "exp": now + 3600 })));
    scene.assert_refused(&scene.token_with(&json!({ "nbf": now + 600 })));
    scene.assert_refused(&scene.token_with(&json!({ "iat": null })));
}

#[test]
fn a_token_without_a_subject_is_refused() {
    let scene = Scene::new();
    scene.assert_refused(&scene.token_with(&json!({ "sub": null })));
    scene.assert_refused(&scene.token_with(&json!({ "sub": "" })));
}

#[test]
fn alg_none_is_refused() {
    let scene = Scene::new();
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let claims = scene.issuer.claims("dana");
        let token = unsigned(&json!({ "alg": algorithm, "kid": scene.key.id, "typ": "JWT" }), &claims);
        scene.assert_refused(&format!("{token}."));
        scene.assert_refused(&token);
        // The signature of a good token does not help either.
        let signed = scene.key.sign(&json!({ "alg": algorithm, "kid": scene.key.id }), &claims);
        scene.assert_refused(&signed);
    }
}

#[test]
fn hs256_with_the_public_key_is_refused() {
    let scene = Scene::new();
    for secret in scene.key.public_encodings() {
        let header = json!({ "alg": "HS256", "kid": scene.key.id, "typ": "JWT" });
        scene.assert_refused(&sign_hs256(&header, &scene.issuer.claims("dana"), &secret));
    }
}

#[test]
fn a_signature_by_another_key_is_refused_wherever_that_key_is_offered() {
    let scene = Scene::new();
    let own = SigningKey::new("first");
    let claims = || scene.issuer.claims("dana");
    scene.assert_refused(&own.sign(&own.header(), &claims()));
    scene.assert_refused(&own.sign(&json!({ "alg": "ES256", "kid": "first", "jwk": own.jwk() }), &claims()));
    let elsewhere = FakeIssuer::start(&[&own]);
    for name in ["jku", "x5u"] {
        let mut header = own.header();
        header[name] = json!(format!("{}/keys", elsewhere.url));
        scene.assert_refused(&own.sign(&header, &claims()));
    }
    assert_eq!(
        elsewhere.keys_asked(),
        0,
        "a token made the broker fetch keys from an address of its own"
    );
}

#[test]
fn a_token_changed_after_signing_is_refused() {
    let scene = Scene::new();
    let token = scene.token_with(&json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let other = unsigned(&json!({}), &scene.issuer.claims("adam"));
    scene.assert_refused(&format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]));
    scene.assert_refused(&format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()));
    for malformed in ["", ".", "..", "a.b.c", &token[..token.len() - 4], &format!("{token}.{token}")] {
        scene.assert_refused(malformed);
    }
}

#[test]
fn a_rotated_key_is_found_and_a_withdrawn_one_no_longer_counts() {
    let scene = Scene::new();
    let second = SigningKey::new("second");
    let by_second = |subject: &str| second.sign(&second.header(), &scene.issuer.claims(subject));
    assert_eq!(scene.open(&by_second("dana")).status, 401, "not published yet");
    scene.issuer.publish(&[&scene.key, &second]);
    let accepted = crate::support::poll("the new key to be fetched", std::time::Duration::from_secs(60), || {
        // The broker asks the issuer again only now and then, and lets one address try only so often.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let answer = scene.open(&by_second("dana"));
        (answer.status == 201).then_some(answer)
    });
    accepted.json::<SessionTokens>();
    // The first key is withdrawn: once the issuer has been asked again, which an unknown key id makes the broker do, it is no
    // longer good.
    scene.issuer.publish(&[&second]);
    let third = SigningKey::new("third");
    crate::support::poll("the withdrawn key to be refused", std::time::Duration::from_secs(60), || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(scene.open(&third.sign(&third.header(), &scene.issuer.claims("dana"))).status, 401);
        (scene.open(&scene.token_with(&json!({}))).status == 401).then_some(())
    });
    assert_eq!(scene.open(&by_second("dana")).status, 201);
}

#[test]
fn unknown_key_ids_do_not_make_the_broker_hammer_the_issuer() {
    let scene = Scene::new();
    assert_eq!(scene.open(&scene.token_with(&json!({}))).status, 201);
    let before = scene.issuer.keys_asked();
    for i in 0..50 {
        let unknown = SigningKey::new(&format!("unknown-{i}"));
        assert_eq!(
            scene.open(&unknown.sign(&unknown.header(), &scene.issuer.claims("dana"))).status,
            401
        );
    }
    let asked = scene.issuer.keys_asked() - before;
    assert!(asked <= 5, "fifty unknown key ids made {asked} requests");
}

// ----------------------------------------------------------------------------------------------------- proof of possession

#[test]
fn a_token_bound_to_another_key_is_refused() {
    let scene = Scene::new();
    let victim = session(&scene);
    let thief = scene.world.anonymous();
    thief.keep(victim.tokens());
    let answer = thief.get("/v1/whoami");
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_dpop_proof"));
    // Nor does the thief get a fresh one.
    let refresh = RefreshSession {
        refresh_token: victim.tokens().refresh_token,
    };
    thief.forget();
    let answer = thief.post("/v1/sessions/refresh", &refresh);
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(victim.get("/v1/whoami").status, 200);
}

#[test]
fn a_replayed_proof_is_refused() {
    let scene = Scene::new();
    let api = session(&scene);
    let proof = api.proof("GET", "/v1/whoami", &Forged::default());
    let authorization = format!("DPoP {}", api.tokens().access_token);
    let send = || api.raw("GET", "/v1/whoami", None, &[("dpop", &proof), ("authorization", &authorization)]);
    assert_eq!(send().status, 200);
    let again = send();
    assert_eq!((again.status, again.code().as_str()), (401, "invalid_dpop_proof"));
    // The same id in another proof is a replay as well.
    let claims = dpop::verify(&proof).unwrap().claims;
    let other = api.proof(
        "GET",
        "/v1/datasets",
        &Forged {
            id: Some(claims.jti),
            ..Forged::default()
        },
    );
    let answer = api.raw("GET", "/v1/datasets", None, &[("dpop", &other), ("authorization", &authorization)]);
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_dpop_proof"));
}

#[test]
fn a_proof_for_anything_but_this_call_is_refused() {
    let scene = Scene::new();
    let api = session(&scene);
    let now = now_ms() / 1000;
    let url = format!("{}/v1/whoami", api.base);
    let forgeries = [
        (
            "another method",
            Forged {
                method: Some("POST".into()),
                ..Forged::default()
            },
        ),
        (
            "another path",
            Forged {
                url: Some(format!("{}/v1/datasets", api.base)),
                ..Forged::default()
            },
        ),
        (
            "another host",
            Forged {
                url: Some("https://broker.example/v1/whoami".into()),
                ..Forged::default()
            },
        ),
        (
            "a longer path",
            Forged {
                url: Some(format!("{url}/x")),
                ..Forged::default()
            },
        ),
        (
            "long ago",
            Forged {
                issued_at: Some(now - 3600),
                ..Forged::default()
            },
        ),
        (
            "the future",
            Forged {
                issued_at: Some(now + 3600),
                ..Forged::default()
            },
        ),
        (
            "no access token",
            Forged {
                access_token_hash: Some(None),
                ..Forged::default()
            },
        ),
        (
            "another access token",
            Forged {
                access_token_hash: Some(Some(dpop::access_token_hash("x"))),
                ..Forged::default()
            },
        ),
        (
            "an empty id",
            Forged {
                id: Some(String::new()),
                ..Forged::default()
            },
        ),
    ];
    let authorization = format!("DPoP {}", api.tokens().access_token);
    for (what, forged) in forgeries {
        let proof = api.proof("GET", "/v1/whoami", &forged);
        let answer = api.raw("GET", "/v1/whoami", None, &[("dpop", &proof), ("authorization", &authorization)]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_dpop_proof"),
            "a proof for {what}"
        );
    }
    for (what, nonce) in [
        ("no nonce", None),
        ("a made-up nonce", Some("AAAAAAAAAAAAAAAAAAAAAA".to_owned())),
        ("an empty nonce", Some(String::new())),
    ] {
        let proof = api.proof(
            "GET",
            "/v1/whoami",
            &Forged {
                nonce: Some(nonce),
                ..Forged::default()
            },
        );
        let answer = api.raw("GET", "/v1/whoami", None, &[("dpop", &proof), ("authorization", &authorization)]);
        assert_eq!((answer.status, answer.code().as_str()), (401, "use_dpop_nonce"), "{what}");
        assert!(
            answer.headers.contains_key("dpop-nonce"),
            "{what}: the answer must carry the nonce to use"
        );
    }
}

#[test]
fn a_token_without_a_proof_or_as_a_bearer_token_is_refused() {
    let scene = Scene::new();
    let api = session(&scene);
    let token = api.tokens().access_token;
    let proof = || api.proof("GET", "/v1/whoami", &Forged::default());
    let (first, second) = (proof(), proof());
    for headers in [
        vec![("authorization", format!("DPoP {token}"))],
        vec![("authorization", format!("Bearer {token}"))],
        vec![("authorization", format!("Bearer {token}")), ("dpop", proof())],
        vec![("dpop", proof())],
        vec![("authorization", format!("DPoP {token}")), ("dpop", first), ("dpop", second)],
        vec![("authorization", format!("DPoP {token}x")), ("dpop", proof())],
        vec![("authorization", "DPoP ".to_owned()), ("dpop", proof())],
    ] {
        let borrowed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = api.raw("GET", "/v1/whoami", None, &borrowed);
        assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text());
        answer.problem();
    }
    let in_url = api.raw("GET", &format!("/v1/whoami?access_token={token}"), None, &[]);
    assert_eq!(in_url.status, 401);
}

#[test]
fn every_kind_of_token_is_good_for_its_own_purpose_only() {
    let scene = Scene::new();
    let api = session(&scene);
    let tokens = api.tokens();
    // The refresh token as an access token.
    api.keep(SessionTokens {
        access_token: tokens.refresh_token.clone(),
        ..tokens.clone()
    });
    assert_eq!(api.get("/v1/whoami").status, 401);
    // An ID token as an access token.
    api.keep(SessionTokens {
        access_token: scene.token_with(&json!({})),
        ..tokens.clone()
    });
    assert_eq!(api.get("/v1/whoami").status, 401);
    api.forget();
    // The access token as a refresh token and as an ID token.
    assert_eq!(
        api.post(
            "/v1/sessions/refresh",
            &RefreshSession {
                refresh_token: tokens.access_token.clone()
            }
        )
        .status,
        401
    );
    assert_eq!(api.open(&tokens.access_token).status, 401);
    assert_eq!(api.open(&tokens.refresh_token).status, 401);
    // The right use still works.
    let fresh: SessionTokens = api
        .post(
            "/v1/sessions/refresh",
            &RefreshSession {
                refresh_token: tokens.refresh_token,
            },
        )
        .json();
    assert_eq!(fresh.session, tokens.session);
    api.keep(fresh);
    assert_eq!(api.get("/v1/whoami").status, 200);
}

// ------------------------------------------------------------------------------------------------------------------ ending

#[test]
fn logging_out_ends_the_session_at_the_broker() {
    let scene = Scene::new();
    let api = session(&scene);
    let tokens = api.tokens();
    assert_eq!(api.delete("/v1/sessions/current").status, 204);
    let answer = api.get("/v1/whoami");
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"));
    api.forget();
    let answer = api.post(
        "/v1/sessions/refresh",
        &RefreshSession {
            refresh_token: tokens.refresh_token,
        },
    );
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"));
}

#[test]
fn an_administrator_ends_somebody_elses_session_and_others_cannot() {
    let scene = Scene::new();
    let api = session(&scene);
    let path = format!("/v1/sessions/{}", api.tokens().session);
    for person in ["drew", "rita", "anna", "mallory"] {
        let answer = scene.world.api(person).delete(&path);
        assert!(matches!(answer.status, 403 | 404), "{person}: {}", answer.text());
    }
    assert_eq!(api.get("/v1/whoami").status, 200);
    assert_eq!(scene.world.api("adam").delete(&path).status, 204);
    assert_eq!(api.get("/v1/whoami").code(), "session_ended");
}

#[test]
fn a_session_outlives_a_restart_and_its_end_does_too() {
    let mut scene = Scene::new();
    let (kept, ended) = (session(&scene), session(&scene));
    assert_eq!(ended.delete("/v1/sessions/current").status, 204);
    scene.world.kill();
    scene.world.start();
    assert_eq!(kept.get("/v1/whoami").status, 200);
    assert_eq!(ended.get("/v1/whoami").code(), "session_ended");
}

#[test]
fn failed_sign_ins_do_not_fill_the_log() {
    let scene = Scene::new();
    let size = || crate::support::oracle::Checkpoint::of(&scene.world.anonymous()).size;
    let before = size();
    for _ in 0..100 {
        assert_eq!(scene.open(&scene.token_with(&json!({ "aud": "other-program" }))).status, 401);
    }
    let grown = size() - before;
    assert!(grown <= 10, "a hundred refused sign-ins made {grown} entries");
}

// ------------------------------------------------------------------------------------------------------------ the program

#[test]
fn a_person_signs_in_by_device_code_is_known_and_signs_out() {
    let world = World::new();
    let dana = world.person("dana");
    assert!(
        dana.run(&["whoami"]).exits(4).stderr.contains("chunkctl login"),
        "it must say what to do next"
    );
    dana.login();
    let who = dana.json(&["whoami"]).exits(0);
    assert!(who.stdout.contains("\"dana\""), "{}", who.stdout);
    dana.run(&["logout"]).exits(0);
    dana.run(&["whoami"]).exits(4);
}

#[test]
fn a_refused_device_code_is_exit_4() {
    let world = World::new();
    let dana = world.person("dana");
    let output = dana
        .login_with(&["login", "--insecure-storage"], |code| browser::refuse(&servers::issuer(), code))
        .exits(4);
    assert!(output.stderr.contains("chunkctl login"), "{}", output.stderr);
    dana.run(&["whoami"]).exits(4);
}

#[test]
fn a_session_that_was_ended_elsewhere_is_exit_4() {
    let world = World::new();
    let dana = world.signed_in("dana");
    dana.run(&["datasets"]).exits(0);
    let adam = world.api("adam");
    let sessions: Vec<chunk_wire::session::SessionView> = world.api("anna").get("/v1/sessions?all=true").json();
    let of_dana = sessions.iter().find(|session| session.person.subject == "dana").unwrap();
    assert_eq!(adam.delete(&format!("/v1/sessions/{}", of_dana.session)).status, 204);
    assert!(dana.run(&["datasets"]).exits(4).stderr.contains("chunkctl login"));
}
