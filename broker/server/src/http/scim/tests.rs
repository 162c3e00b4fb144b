#![expect(clippy::unwrap_used, reason = "tests")]

use chunk_core::identity::directory::{Sought, Told};
use serde_json::{Value, json};

use super::super::problem::Refusal;
use super::{filter, patch, user};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

fn word(refusal: Refusal) -> String {
    refusal.word_of_route().unwrap_or_default().to_owned()
}

fn patched(operations: Value) -> Result<Told, String> {
    patch::read(&json!({ "schemas": [PATCH_OP], "Operations": operations })).map_err(word)
}

fn active(active: bool) -> Told {
    Told {
        active: Some(active),
        ..Told::default()
    }
}

/// The ways in which directories say that somebody is, or is not, active.
#[test]
fn every_directory_is_understood_when_it_says_that_somebody_left() {
    // Okta.
    assert_eq!(
        patched(json!([{ "op": "replace", "value": { "active": false } }])),
        Ok(active(false))
    );
    // Entra ID, before and since `aadOptscim062020`.
    assert_eq!(
        patched(json!([{ "op": "Replace", "path": "active", "value": "False" }])),
        Ok(active(false))
    );
    assert_eq!(
        patched(json!([{ "op": "replace", "path": "active", "value": false }])),
        Ok(active(false))
    );
    // Sailpoint.
    assert_eq!(patched(json!([{ "op": "add", "value": { "active": false } }])), Ok(active(false)));
    // As the standard lets one write it, too.
    assert_eq!(
        patched(json!([{ "op": "ADD", "path": "urn:ietf:params:scim:schemas:core:2.0:User:ACTIVE", "value": true }])),
        Ok(active(true))
    );
    assert_eq!(
        patched(json!([{ "op": "replace", "value": { "urn:ietf:params:scim:schemas:core:2.0:User:active": false } }])),
        Ok(active(false))
    );
}

#[test]
fn what_is_not_kept_is_passed_over_and_what_is_kept_is_taken_beside_it() {
    let told = patched(json!([
        { "op": "Replace", "path": "displayName", "value": "Dana Scully" },
        { "op": "Add", "path": "emails[type eq \"work\"].value", "value": "dana@example.test" },
        { "op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "X" },
        { "op": "Remove", "path": "phoneNumbers" },
        { "op": "Replace", "path": "userName", "value": "dana@example.test" },
        { "op": "Add", "path": "externalId", "value": "00u1" },
        { "op": "Replace", "value": { "name.givenName": "Dana", "title": null } },
    ]));
    let expected = Told {
        user_name: Some("dana@example.test".into()),
        external_id: Some(Some("00u1".into())),
        active: None,
    };
    assert_eq!(told, Ok(expected));
    let removed = patched(json!([{ "op": "remove", "path": "externalId" }])).unwrap();
    assert_eq!(removed.external_id, Some(None));
}

/// A leaver stays active by nothing that was passed over.
#[test]
fn what_could_be_about_activity_and_is_not_understood_is_refused() {
    for (operation, expected) in [
        (json!({ "op": "replace", "path": "active", "value": "no" }), "invalidValue"),
        (json!({ "op": "replace", "path": "active", "value": 0 }), "invalidValue"),
        (json!({ "op": "replace", "path": "active", "value": [false] }), "invalidValue"),
        (json!({ "op": "replace", "path": "active" }), "invalidValue"),
        (json!({ "op": "replace", "path": "active.value", "value": false }), "invalidPath"),
        (
            json!({ "op": "replace", "path": "active[value eq true]", "value": false }),
            "invalidPath",
        ),
        (json!({ "op": "replace", "path": "active ", "value": false }), "invalidPath"),
        (json!({ "op": "replace", "path": " active", "value": false }), "invalidPath"),
        (json!({ "op": "replace", "path": "", "value": false }), "invalidPath"),
        (json!({ "op": "replace", "path": 7, "value": false }), "invalidPath"),
        (json!({ "op": "replace", "path": "active\u{0}", "value": false }), "invalidPath"),
        (json!({ "op": "replace", "value": { " active": false } }), "invalidPath"),
        (json!({ "op": "remove", "path": "active" }), "mutability"),
        (json!({ "op": "remove", "path": "userName" }), "mutability"),
        (json!({ "op": "remove" }), "noTarget"),
        (json!({ "op": "replace", "value": false }), "invalidSyntax"),
        (
            json!({ "op": "replace", "value": { "active": false, "Active": true } }),
            "invalidSyntax",
        ),
        (json!({ "op": "delete", "path": "active" }), "invalidSyntax"),
        (json!({ "path": "active", "value": false }), "invalidSyntax"),
        (json!("active"), "invalidSyntax"),
    ] {
        // Whatever comes before it does not count either.
        let found = patched(json!([{ "op": "replace", "path": "userName", "value": "x" }, operation]));
        assert_eq!(found, Err(expected.to_owned()), "{operation}");
    }
    assert_eq!(patched(json!([])), Err("invalidSyntax".into()));
    assert_eq!(patched(json!({})), Err("invalidSyntax".into()));
    let many: Vec<Value> = (0..101).map(|_| json!({ "op": "remove", "path": "title" })).collect();
    assert_eq!(patched(many.into()), Err("invalidSyntax".into()));
    let other = patch::read(&json!({ "schemas": ["urn:other"], "Operations": [] })).map_err(word);
    assert_eq!(other, Err("invalidSyntax".into()));
}

#[test]
fn a_user_is_read_as_directories_write_them() {
    // Okta.
    let okta = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "dana@example.test",
        "name": { "givenName": "Dana", "familyName": "Scully" },
        "emails": [{ "primary": true, "value": "dana@example.test", "type": "work" }],
        "displayName": "Dana Scully", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq",
        "active": true,
    });
    let expected = Told {
        user_name: Some("dana@example.test".into()),
        external_id: Some(Some("00ujl29u0le5T6Aj10h7".into())),
        active: Some(true),
    };
    assert_eq!(user::read(&okta).map_err(word), Ok(expected));
    // Entra ID.
    let entra = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "Test_User_ab6490ee", "active": true,
        "emails": [{ "primary": true, "type": "work", "value": "Test_User_fd0ea19b@testuser.com" }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName" },
        "roles": [],
    });
    let read = user::read(&entra).map_err(word).unwrap();
    assert_eq!(read.external_id, Some(Some("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef".into())));
}

#[test]
fn a_user_of_another_form_is_refused() {
    let schema = "urn:ietf:params:scim:schemas:core:2.0:User";
    let long = "x".repeat(256);
    for (body, expected) in [
        (json!({ "schemas": [schema] }), "invalidValue"),
        (json!({ "userName": "x" }), "invalidSyntax"),
        (json!({ "schemas": schema, "userName": "x" }), "invalidSyntax"),
        (json!({ "schemas": [schema], "userName": "" }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": " x" }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": "x\u{1b}[31m" }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": long }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": ["x"] }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": "x", "externalId": 7 }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": "x", "active": null }), "invalidValue"),
        (json!({ "schemas": [schema], "userName": "x", "USERNAME": "y" }), "invalidSyntax"),
        (json!([]), "invalidSyntax"),
        (json!("x"), "invalidSyntax"),
    ] {
        assert_eq!(user::read(&body).map_err(word), Err(expected.to_owned()), "{body}");
    }
}

#[test]
fn the_two_filters_are_read_and_no_other() {
    let read = |text: &str| filter::read(text).map_err(word);
    assert_eq!(
        read(r#"userName eq "dana@example.test""#),
        Ok(Sought::UserName("dana@example.test".into()))
    );
    assert_eq!(read(r#"USERNAME EQ "a \"b\" c""#), Ok(Sought::UserName("a \"b\" c".into())));
    assert_eq!(read(r#"  externalId  eq   "00u1" "#), Ok(Sought::ExternalId("00u1".into())));
    assert_eq!(
        read(r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x""#),
        Ok(Sought::UserName("x".into()))
    );
    for bad in [
        "",
        "userName",
        "userName eq",
        "userName eq dana",
        r#"userName eq "a" or userName eq "b""#,
        r#"userName sw "d""#,
        r#"userName ne "d""#,
        "active eq false",
        r#"emails.value eq "x""#,
        r#"userName.x eq "x""#,
        r#"userName eq 'x'"#,
        "userName pr",
    ] {
        assert_eq!(read(bad), Err("invalidFilter".into()), "{bad}");
    }
    assert_eq!(read(&format!("userName eq \"{}\"", "x".repeat(4000))), Err("invalidFilter".into()));
}
