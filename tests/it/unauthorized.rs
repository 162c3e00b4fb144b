//! Every route of the API with every credential that should not open it. A new route fails here until somebody decides
//! who may call it.

use chunk_wire::fetch::Format;
use serde_json::{Value, json};

use crate::support::api::slice;
use crate::support::{Api, Setup, World, wait};

/// Routes that need no session, and why.
const PUBLIC: &[(&str, &str)] = &[
    ("GET /v1/info", "what a client must know before it signs in"),
    ("POST /v1/sessions", "signing in: the ID token is the credential"),
    ("POST /v1/sessions/browser", "signing in: the authorization code is the credential"),
    ("POST /v1/sessions/refresh", "the refresh token is the credential"),
    ("POST /v1/token", "signing in: the workload's token is the credential"),
    ("POST /v1/device", "begins a sign-in for a key; somebody has to confirm it"),
    (
        "POST /v1/device/token",
        "the device code is the credential, with the key that began",
    ),
    ("GET /device", "a page to type a code; without one that waits, it says nothing"),
    ("POST /device", "the form of that page, for the browser that was shown it"),
    (
        "POST /saml/acs",
        "the identity provider's answer, from the browser that was sent there",
    ),
    ("GET /saml/metadata", "what an administrator registers at the identity provider"),
    ("GET /checkpoint", "signed and without personal data"),
    ("GET /tile/", "hashes only; entries need audit_read"),
    ("GET /consistency", "hashes only"),
    ("GET /rotations", "keys of the log only"),
    ("GET /healthz", "says nothing but that it lives"),
    ("GET /readyz", "says nothing but that it is ready"),
    ("GET /metrics", "numbers only, loopback only unless it has a listener of its own"),
    ("GET /openapi.json", "this list"),
    ("GET /requests/{id}", "says what to type; the request is not looked up"),
];

/// Routes of directories: they have credentials and errors of their own, and no session opens them.
fn is_directory_s(route: &Route) -> bool {
    route.template.starts_with("/scim/")
}

struct Route {
    method: String,
    template: String,
}

fn is_public(route: &Route) -> bool {
    let name = format!("{} {}", route.method, route.template);
    PUBLIC
        .iter()
        .any(|(public, _)| name == *public || (public.ends_with('/') && name.starts_with(public) && !name.contains("/tile/entries")))
}

fn needs_session(route: &Route) -> bool {
    !is_public(route) && !is_directory_s(route)
}

fn routes(api: &Api) -> Vec<Route> {
    let description: Value = api.raw("GET", "/openapi.json", None, &[]).json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut routes = Vec::new();
    for (template, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            if ["get", "post", "put", "patch", "delete", "head", "options"].contains(&method.as_str()) {
                routes.push(Route {
                    method: method.to_uppercase(),
                    template: template.clone(),
                });
            }
        }
    }
    assert!(routes.len() >= 20, "the description names only {} routes", routes.len());
    routes
}

/// A real request and a real session of dana's, so that a refusal cannot come from the thing not being there.
struct Scene {
    world: World,
    request: String,
    session: String,
}

impl Scene {
    fn new() -> (Self, Api) {
        let world = World::new();
        let dana = world.api("dana");
        let request = dana.request(&slice("people", None, Some(5)), Format::Csv);
        world.api("rita").approve(&request);
        let scene = Self {
            world,
            request: request.id.to_string(),
            session: dana.tokens().session.to_string(),
        };
        (scene, dana)
    }

    fn path(&self, route: &Route) -> String {
        let session = route.template.starts_with("/v1/sessions");
        let mut path = route.template.clone();
        while let (Some(open), Some(close)) = (path.find('{'), path.find('}')) {
            let name = &path[open + 1..close];
            let value = match name.trim_start_matches('*') {
                "id" | "request" if !session && route.template.contains("/requests/") => self.request.as_str(),
                "id" | "sid" | "session" if session => self.session.as_str(),
                "name" | "dataset" => "people",
                _ => "0",
            };
            path.replace_range(open..=close, value);
        }
        path
    }
}

/// A body that the route would accept from somebody who may call it, as far as one can be made beforehand.
fn body(route: &Route) -> Option<Vec<u8>> {
    let envelope = json!({ "payload": "e30=", "payloadType": "x", "signatures": [{ "keyid": "x", "sig": "eA==" }] });
    let body = match route.template.rsplit('/').next().unwrap_or_default() {
        _ if route.method != "POST" => return None,
        "plans" => json!({ "query": { "kind": "slice", "dataset": "people" }, "format": "csv" }),
        "requests" | "reviews" => json!({ "envelope": envelope }),
        "ack" => json!({ "sha256": "00" }),
        _ => json!({}),
    };
    Some(body.to_string().into_bytes())
}

#[test]
fn without_a_session_nothing_but_the_public_routes_answers() {
    let (scene, _dana) = Scene::new();
    let anonymous = scene.world.anonymous();
    for route in routes(&anonymous).into_iter().filter(|route| !is_directory_s(route)) {
        let path = scene.path(&route);
        let answer = anonymous.raw(&route.method, &path, body(&route), &[]);
        let name = format!("{} {path}", route.method);
        if is_public(&route) {
            assert!(answer.status < 500, "{name}: {}", answer.status);
            continue;
        }
        assert_eq!(answer.status, 401, "{name} answered somebody without a session: {}", answer.text());
        assert_eq!(answer.code(), "unauthenticated", "{name}");
        // A proof alone is no credential.
        let answer = anonymous.send(&route.method, &path, body(&route), &[]);
        assert_eq!(answer.status, 401, "{name} with only a proof: {}", answer.text());
    }
}

#[test]
fn nobody_s_session_opens_what_is_a_directory_s_and_a_directory_s_token_opens_nothing_else() {
    const TOKEN: &str = "a-directory-of-the-tests-0123456789abcdef";
    let lines = "scim = { token = { env = \"DIRECTORY_TOKEN\" }, known_by = \"user_name\" }";
    let mut setup = Setup::standard().sign_in(lines);
    setup.environment.push(("DIRECTORY_TOKEN".into(), TOKEN.into()));
    let world = World::with(setup);
    let (dana, anonymous) = (world.api("dana"), world.anonymous());
    let bearer = format!("Bearer {TOKEN}");
    let scim = ("content-type", "application/scim+json");
    let wrong = format!("Bearer {}", TOKEN.to_uppercase());
    let mut of_directories = 0;
    for route in routes(&dana) {
        let path = route
            .template
            .replace("{id}", "per_0000000000000000")
            .replace("{sid}", "ses_0000000000000000");
        let name = format!("{} {path}", route.method);
        if !is_directory_s(&route) {
            if needs_session(&route) {
                let answer = anonymous.raw(&route.method, &path, body(&route), &[("authorization", &bearer)]);
                assert_eq!(answer.status, 401, "{name}: {}", answer.text());
            }
            continue;
        }
        of_directories += 1;
        let sent = ["POST", "PUT", "PATCH"].contains(&route.method.as_str()).then(|| b"{}".to_vec());
        assert_eq!(dana.send(&route.method, &path, sent.clone(), &[scim]).status, 401, "{name}");
        for authorization in [None, Some("Bearer"), Some(wrong.as_str()), Some("Bearer x")] {
            let headers: Vec<(&str, &str)> = authorization
                .map(|value| ("authorization", value))
                .into_iter()
                .chain([scim])
                .collect();
            let answer = anonymous.raw(&route.method, &path, sent.clone(), &headers);
            assert_eq!(answer.status, 401, "{name} {authorization:?}: {}", answer.text());
            assert_eq!(answer.headers["content-type"], "application/scim+json", "{name}");
            assert!(!answer.text().contains(TOKEN));
        }
        let answer = anonymous.raw(&route.method, &path, sent, &[("authorization", &bearer), scim]);
        assert!(
            [200, 400, 404].contains(&answer.status),
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
    }
    assert!(of_directories >= 6);
}

#[test]
fn an_ended_session_opens_nothing() {
    let (scene, dana) = Scene::new();
    let ended = scene.world.api("dana");
    assert_eq!(ended.delete("/v1/sessions/current").status, 204);
    for route in routes(&dana).iter().filter(|route| needs_session(route)) {
        let path = scene.path(route);
        let answer = ended.send(&route.method, &path, body(route), &[]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session_ended"),
            "{} {path}: {}",
            route.method,
            answer.text()
        );
    }
}

#[test]
fn a_stolen_token_without_its_key_opens_nothing() {
    let (scene, dana) = Scene::new();
    let thief = scene.world.anonymous();
    thief.keep(dana.tokens());
    for route in routes(&dana).iter().filter(|route| needs_session(route)) {
        let path = scene.path(route);
        let answer = thief.send(&route.method, &path, body(route), &[]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_dpop_proof"),
            "{} {path}: {}",
            route.method,
            answer.text()
        );
    }
    assert_eq!(dana.get("/v1/whoami").status, 200);
}

/// What somebody without any right may call with a session of their own, and what comes back.
const OWN: &[(&str, u16)] = &[
    ("GET /v1/whoami", 200),
    ("GET /v1/sessions", 200),
    ("GET /v1/keys", 200),
    ("GET /v1/datasets", 200),
    ("GET /v1/requests", 200),
    ("DELETE /v1/sessions/current", 204),
    ("POST /v1/requests", 400),
];

/// What a stream of events begins with, up to the end of its list.
fn beginning(api: &Api, path: &str) -> String {
    let mut stream = api.begin("GET", path);
    let mut text = String::new();
    while !text.contains("event: listed") || !text.ends_with("\n\n") {
        let part = wait(stream.chunk()).unwrap().unwrap();
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
    text
}

#[test]
fn somebody_without_rights_sees_nothing_of_somebody_elses() {
    let (scene, dana) = Scene::new();
    for person in ["mallory", "drew"] {
        for route in routes(&dana).iter().filter(|route| needs_session(route)) {
            let stranger = scene.world.api(person);
            let path = scene.path(route);
            let name = format!("{} {}", route.method, route.template);
            if name == "GET /v1/requests/events" {
                // It never ends, and begins with everything that waits: nothing, for them.
                assert_eq!(
                    beginning(&stranger, &path),
                    "event: list\ndata: {}\n\nevent: listed\ndata: {\"left_out\":0}\n\n",
                    "{person}"
                );
                continue;
            }
            let answer = stranger.send(&route.method, &path, body(route), &[]);
            if let Some((_, status)) = OWN.iter().find(|(own, _)| *own == name) {
                assert_eq!(answer.status, *status, "{person}: {name}: {}", answer.text());
            } else if ["GET /v1/datasets/{name}", "POST /v1/plans"].contains(&name.as_str()) {
                // drew is a developer too, and may know of `people`; what dana asked of it is none of his business.
                assert_eq!(
                    answer.status,
                    if person == "drew" { 200 } else { 404 },
                    "{person}: {name}: {}",
                    answer.text()
                );
            } else {
                // A body that does not parse may be refused before anybody looks at whose request it is, if it is the same
                // for a request that does not exist.
                assert!(
                    matches!(answer.status, 400 | 403 | 404),
                    "{person}: {name} → {} {}",
                    answer.status,
                    answer.text()
                );
                answer.problem();
            }
            for secret in ["a test asks", scene.session.as_str(), scene.request.as_str(), "\"dana\""] {
                // What the caller has said may be said back.
                assert!(
                    path.contains(secret) || !answer.text().contains(secret),
                    "{person}: {name} shows {secret}: {}",
                    answer.text()
                );
            }
        }
    }
    assert!(dana.fetch(&dana.get(&format!("/v1/requests/{}", scene.request)).json()).complete);
}

#[test]
fn ids_of_others_and_made_up_ids_get_the_same_answer() {
    let (scene, _dana) = Scene::new();
    let mallory = scene.world.api("mallory");
    let told = |path: &str, id: &str| {
        let mut problem = mallory.get(path).problem();
        problem.request_id = None;
        serde_json::to_string(&problem).unwrap().replace(id, "ID")
    };
    let unknown = "0000000000000000";
    for (kind, id) in [("requests", scene.request.as_str()), ("sessions", scene.session.as_str())] {
        let made_up = format!("{}_{unknown}", &id[..3]);
        assert_eq!(
            told(&format!("/v1/{kind}/{id}"), id),
            told(&format!("/v1/{kind}/{made_up}"), &made_up),
            "{kind}"
        );
    }
    for path in [
        "/v1/requests/..%2f..%2fetc",
        "/v1/requests/req_%00",
        "/v1/sessions/'",
        "/v1/datasets/a%2fb",
        "/v1/requests/%ff",
    ] {
        let answer = mallory.get(path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text());
    }
}

#[test]
fn every_answer_carries_a_request_id_and_a_nonce() {
    let (scene, dana) = Scene::new();
    for answer in [
        dana.get("/v1/whoami"),
        dana.get("/v1/requests/req_0000000000000000"),
        scene.world.anonymous().raw("GET", "/v1/whoami", None, &[]),
    ] {
        assert!(answer.headers.contains_key("x-request-id"));
        assert!(answer.headers.contains_key("dpop-nonce"));
    }
}

#[test]
fn oversized_and_malformed_bodies_are_refused() {
    let (_scene, dana) = Scene::new();
    let huge = vec![b' '; 8 << 20];
    // The broker need not read it to the end: it may answer and close while the client still writes.
    if let Ok(answer) = dana.try_send("POST", "/v1/plans", Some(huge), &[]) {
        assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    }
    assert_eq!(dana.get("/v1/whoami").status, 200);
    for malformed in [
        "",
        "{",
        "[]",
        "null",
        "{\"query\":{\"kind\":\"slice\"}}",
        "{\"query\":{\"kind\":\"other\"},\"format\":\"csv\"}",
        "\u{0}",
    ] {
        let answer = dana.send("POST", "/v1/plans", Some(malformed.as_bytes().to_vec()), &[]);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{malformed:?}");
    }
}
