//! A directory tells the broker who left, in the words that Okta and Entra ID use.

use std::time::Duration;

use chunk_wire::fetch::{Format, RequestState};
use serde_json::{Value, json};

use crate::second_verifier::both_verifiers_agree;
use crate::support::api::{id_token, slice};
use crate::support::{Answer, Api, Setup, World, poll, servers, wait};

const TOKEN: &str = "directory-of-the-tests-0123456789abcdef";

fn world(known_by: &str) -> World {
    let mut setup = Setup::standard().sign_in(&format!(
        "scim = {{ token = {{ env = \"DIRECTORY_TOKEN\" }}, known_by = \"{known_by}\" }}"
    ));
    setup.environment.push(("DIRECTORY_TOKEN".into(), TOKEN.into()));
    World::with(setup)
}

/// The directory's own client.
struct Directory(Api);

impl Directory {
    fn of(world: &World) -> Self {
        Self(world.anonymous())
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = [
            ("authorization", &*format!("Bearer {TOKEN}")),
            ("content-type", "application/scim+json; charset=utf-8"),
        ];
        let body = body.map(|body| body.to_string().into_bytes());
        self.0.raw(method, &format!("/scim/v2{path}"), body, &headers)
    }

    #[track_caller]
    fn found(&self, filter: &str) -> Vec<Value> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("filter", filter)
            .append_pair("startIndex", "1")
            .append_pair("count", "100");
        let list: Value = self.send("GET", &format!("/Users?{}", query.finish()), None).json();
        assert_eq!(list["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:ListResponse");
        list["Resources"].as_array().unwrap().clone()
    }

    #[track_caller]
    fn create(&self, user_name: &str, external_id: &str) -> Value {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
            "userName": user_name, "externalId": external_id, "active": true, "displayName": "Somebody", "groups": [],
            "name": { "givenName": "Some", "familyName": "Body" }, "emails": [{ "primary": true, "value": user_name, "type": "work" }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "X" },
        });
        let answer = self.send("POST", "/Users", Some(user));
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (201, &"application/scim+json".parse().unwrap())
        );
        let user: Value = answer.json();
        assert_eq!(answer.headers["location"].to_str().unwrap(), user["meta"]["location"]);
        user
    }

    fn patch(&self, id: &Value, operation: Value) -> Answer {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        self.send("PATCH", &format!("/Users/{}", id.as_str().unwrap()), Some(body))
    }
}

fn may_sign_in(world: &World, person: &str) -> bool {
    let answer = world.anonymous().open(&id_token(&servers::issuer(), "chunkctl", person));
    match answer.status {
        201 => true,
        403 => false,
        _ => panic!("{}", answer.text()),
    }
}

#[test]
fn okta_says_that_somebody_left_and_their_running_delivery_is_cut() {
    let world = world("external_id");
    let okta = Directory::of(&world);
    // What Okta asks when it is set up, and before it creates a user.
    let list: Value = okta.send("GET", "/Users?startIndex=1&count=2", None).json();
    assert_eq!((&list["totalResults"], &list["startIndex"]), (&json!(0), &json!(1)));
    assert!(okta.found("userName eq \"dana@people.example\"").is_empty());
    let dana = world.api("dana");
    let user = okta.create("dana@people.example", "dana");
    assert_eq!(okta.found("userName eq \"Dana@People.example\"")[0]["id"], user["id"]);
    assert_eq!(okta.found("externalId eq \"dana\"")[0]["id"], user["id"]);

    let request = dana.request(&slice("people", None, None), Format::Csv);
    world.api("rita").approve(&request);
    let mut held = dana.begin("POST", &format!("/v1/requests/{}/chunks/0", request.id));
    let left = okta.patch(&user["id"], json!({ "op": "replace", "value": { "active": false } }));
    assert_eq!(left.json::<Value>()["active"], false);
    let cut = loop {
        match wait(held.chunk()) {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut, "the delivery went on to its end");
    assert_eq!(dana.get("/v1/whoami").code(), "session_ended");
    assert!(!may_sign_in(&world, "dana"));
    let anna = world.api("anna");
    let end = poll("the outcome", Duration::from_secs(20), || {
        let outcome = anna.entries().into_iter().find(|entry| entry.header["k"] == "fetch.outcome")?;
        Some(outcome.body["out"]["end"].clone())
    });
    assert_eq!(end, "revoked");
    let shown = anna
        .entries()
        .into_iter()
        .find(|entry| entry.header["k"] == "person.suspend")
        .unwrap();
    assert_eq!(
        shown.header["act"], user["id"],
        "the directory's handle is the pseudonym in the log"
    );

    let back = okta.patch(&user["id"], json!({ "op": "replace", "value": { "active": true } }));
    assert_eq!(back.json::<Value>()["active"], true);
    let again = world.api("dana");
    assert_eq!(again.show(&request).state, RequestState::Revoked);
    both_verifiers_agree(&world);
}

#[test]
fn entra_id_says_it_in_its_own_way_of_people_whom_only_their_address_tells() {
    let world = world("user_name");
    let entra = Directory::of(&world);
    // Its test of the connection asks for somebody who is not there.
    assert!(entra.found("userName eq \"6a3b1d0e-9c0b-4f4c-8f6e-c1a2f2f3d0aa\"").is_empty());
    let user = entra.create("Dana@people.example", "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef");
    let dana = world.api("dana");
    let left = entra.patch(&user["id"], json!({ "op": "Replace", "path": "active", "value": "False" }));
    assert_eq!(left.json::<Value>()["active"], false);
    assert_eq!(dana.get("/v1/whoami").code(), "session_ended");
    assert!(!may_sign_in(&world, "dana"));
    assert!(may_sign_in(&world, "drew"), "of whom it says nothing");
    // Thirty days later.
    let path = format!("/Users/{}", user["id"].as_str().unwrap());
    assert_eq!(entra.send("DELETE", &path, None).status, 204);
    assert_eq!(entra.send("GET", &path, None).status, 404);
    assert!(!may_sign_in(&world, "dana"));
    let back = entra.create("dana@people.example", "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef");
    assert_eq!((&back["id"], &back["active"]), (&user["id"], &json!(true)));
    assert!(may_sign_in(&world, "dana"));
    both_verifiers_agree(&world);
}

#[test]
fn what_a_directory_may_not_send_changes_nothing() {
    let world = world("external_id");
    let directory = Directory::of(&world);
    let user = directory.create("dana@people.example", "dana");
    let path = format!("/Users/{}", user["id"].as_str().unwrap());
    let dana = world.api("dana");
    let patch = |operations: Value| json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
    let deep = (0..200).fold(json!(0), |inner, _| json!([inner]));
    for (method, path, body, status, word) in [
        (
            "PATCH",
            path.as_str(),
            patch(json!([{ "op": "replace", "value": { "active": false } }, { "op": "replace", "path": "active", "value": "maybe" }])),
            400,
            "invalidValue",
        ),
        (
            "PATCH",
            path.as_str(),
            patch(json!([{ "op": "remove", "path": "active" }])),
            400,
            "mutability",
        ),
        ("PATCH", path.as_str(), patch(json!([])), 400, "invalidSyntax"),
        ("PATCH", path.as_str(), json!([]), 400, "invalidSyntax"),
        ("PUT", path.as_str(), json!({ "userName": "x" }), 400, "invalidSyntax"),
        ("PUT", path.as_str(), deep, 400, "invalidSyntax"),
        (
            "POST",
            "/Users",
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "dana@people.example", "externalId": "x" }),
            409,
            "uniqueness",
        ),
        (
            "POST",
            "/Users",
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "y" }),
            400,
            "invalidValue",
        ),
        (
            "PATCH",
            "/Users/per_0000000000000000",
            patch(json!([{ "op": "replace", "value": { "active": false } }])),
            404,
            "",
        ),
        (
            "PATCH",
            "/Users/..%2f..%2fetc%2fpasswd",
            patch(json!([{ "op": "replace", "value": { "active": false } }])),
            404,
            "",
        ),
        ("DELETE", "/Users/dana", json!({}), 404, ""),
        ("POST", path.as_str(), json!({}), 405, ""),
    ] {
        let answer = directory.send(method, path, Some(body.clone()));
        let fault: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, &fault["status"]),
            (status, &json!(status.to_string())),
            "{method} {path} {body}"
        );
        assert_eq!(fault["scimType"].as_str().unwrap_or_default(), word, "{method} {path} {body}");
        assert_eq!(fault["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    }
    let filter = directory.send("GET", "/Users?filter=active%20eq%20false", None);
    assert_eq!((filter.status, filter.text().contains("invalidFilter")), (400, true));
    assert_eq!(dana.get("/v1/whoami").status, 200);
    assert_eq!(
        world
            .api("anna")
            .entries()
            .iter()
            .filter(|entry| entry.header["k"] == "person.suspend")
            .count(),
        0
    );
    let config: Value = directory.send("GET", "/ServiceProviderConfig", None).json();
    assert_eq!(
        (&config["patch"]["supported"], &config["bulk"]["supported"]),
        (&json!(true), &json!(false))
    );
    let schema = "urn:ietf:params:scim:schemas:core:2.0:User";
    for path in ["/Schemas", "/ResourceTypes"] {
        let list: Value = directory.send("GET", path, None).json();
        assert_eq!(list["totalResults"], 1, "{path}");
        let id = list["Resources"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(
            directory.send("GET", &format!("{path}/{id}"), None).json::<Value>(),
            list["Resources"][0]
        );
        assert!(list["Resources"][0].to_string().contains(schema), "{path}");
    }
}
