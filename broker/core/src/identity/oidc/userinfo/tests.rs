#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::tests::{ISSUER, JWKS, NOW_MS, TOKENS, TestKey, Web, es256, settings, with};
use super::super::{IdTokenError, Issuers, VerifiedIdentity};
use super::*;
use crate::identity::HttpGet;
use crate::settings::{GroupsFrom, IssuerSettings};

const USERINFO: &str = "https://id.example/userinfo";
const ACCESS_TOKEN: &str = "an-access.token_of~the+tests/0=";

/// Signs in with these claims where the provider's userinfo endpoint answers like this.
async fn sign_in(
    claims: Value,
    access_token: Option<&str>,
    answer: Option<(u16, Value)>,
) -> (Result<VerifiedIdentity, IdTokenError>, Arc<Web>) {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    web.put(
        &format!("{ISSUER}/.well-known/openid-configuration"),
        json!({"issuer": ISSUER, "jwks_uri": JWKS, "token_endpoint": TOKENS, "userinfo_endpoint": USERINFO}),
    );
    *web.answer.lock().unwrap() = answer.map(|(status, answer)| (status, answer.to_string()));
    let settings = IssuerSettings {
        groups_from: GroupsFrom::Userinfo,
        ..settings(ISSUER)
    };
    let issuers = Issuers::new(vec![settings], Arc::clone(&web) as Arc<dyn HttpGet>);
    let token = key.token(es256(), &claims);
    (issuers.verify_with(&token, access_token, NOW_MS).await, web)
}

fn without_groups() -> Value {
    with(json!({ "groups": null }))
}

#[tokio::test]
async fn groups_that_the_id_token_lacks_are_asked_for_with_the_access_token_beside_it() {
    let answer = (
        200,
        json!({ "sub": "u-1", "groups": ["b", "a", "b"], "email": "mallory@example.com" }),
    );
    let (identity, web) = sign_in(without_groups(), Some(ACCESS_TOKEN), Some(answer)).await;
    let identity = identity.unwrap();
    assert_eq!(identity.groups, ["a", "b"]);
    assert_eq!(
        identity.email.as_deref(),
        Some("ada@example.com"),
        "nothing else is taken from there"
    );
    assert_eq!(
        web.authorized.lock().unwrap().as_deref(),
        Some("Bearer an-access.token_of~the+tests/0=")
    );
    let (nobody, _) = sign_in(
        without_groups(),
        Some(ACCESS_TOKEN),
        Some((200, json!({ "sub": "u-1", "groups": [] }))),
    )
    .await;
    assert!(nobody.unwrap().groups.is_empty(), "no groups is an answer");
}

#[tokio::test]
async fn groups_in_the_id_token_are_taken_from_there_and_nobody_is_asked() {
    let (identity, web) = sign_in(with(json!({})), None, None).await;
    assert_eq!(identity.unwrap().groups, ["a", "b"]);
    assert_eq!(*web.authorized.lock().unwrap(), None);
}

#[tokio::test]
async fn without_a_good_answer_nobody_is_let_in() {
    let refused = async |access_token: Option<&str>, answer: Option<(u16, Value)>| {
        sign_in(without_groups(), access_token, answer).await.0.unwrap_err()
    };
    assert_eq!(refused(None, None).await, IdTokenError::AccessTokenMissing);
    for bad in ["", "a b", "a\r\nx: y", "é"] {
        assert_eq!(
            refused(Some(bad), None).await,
            IdTokenError::AccessToken("it is not a bearer token"),
            "{bad:?}"
        );
    }
    let of = |claims: Value| Some((200, claims));
    for (answer, why) in [
        (of(json!({ "sub": "u-2", "groups": ["a"] })), "it is about somebody else"),
        (of(json!({ "groups": ["a"] })), "it is about somebody else"),
        (of(json!({ "sub": ["u-1"], "groups": ["a"] })), "it is about somebody else"),
        (of(json!({ "sub": "u-1" })), "it carries no groups"),
        (of(json!({ "sub": "u-1", "groups": null })), "it carries no groups"),
    ] {
        assert_eq!(refused(Some(ACCESS_TOKEN), answer).await, IdTokenError::Userinfo(why));
    }
    for status in [401, 403] {
        let why = IdTokenError::AccessToken("the identity provider refuses it");
        assert_eq!(refused(Some(ACCESS_TOKEN), Some((status, json!({})))).await, why);
    }
    for answer in [
        None,
        Some((500, json!({}))),
        Some((302, json!({}))),
        of(json!("a.signed.jwt")),
        of(json!(["u-1"])),
    ] {
        let fault = refused(Some(ACCESS_TOKEN), answer.clone()).await;
        assert!(matches!(fault, IdTokenError::Unavailable { .. }), "{answer:?}: {fault:?}");
        assert!(!fault.operator().unwrap().contains(ACCESS_TOKEN), "{fault:?}");
    }
    let malformed = refused(Some(ACCESS_TOKEN), of(json!({ "sub": "u-1", "groups": "admins" }))).await;
    assert!(matches!(malformed, IdTokenError::Malformed(_)), "{malformed:?}");
}

#[tokio::test]
async fn an_access_token_of_another_sign_in_is_refused_where_the_id_token_names_its_own() {
    // OpenID Connect Core §3.1.3.8: the left half of SHA-256, for ES256.
    let hash = digest::digest(&digest::SHA256, ACCESS_TOKEN.as_bytes());
    let named = |at_hash: Value| with(json!({ "groups": null, "at_hash": at_hash }));
    let answer = || Some((200, json!({ "sub": "u-1", "groups": ["a"] })));
    let good = b64(&hash.as_ref()[..16]);
    assert!(sign_in(named(good.into()), Some(ACCESS_TOKEN), answer()).await.0.is_ok());
    for other in [json!(b64(hash.as_ref())), json!(""), json!(7)] {
        let (refused, web) = sign_in(named(other), Some(ACCESS_TOKEN), answer()).await;
        assert_eq!(refused, Err(IdTokenError::AccessToken("it did not come with the ID token")));
        assert_eq!(*web.authorized.lock().unwrap(), None, "and is shown to nobody");
    }
}
