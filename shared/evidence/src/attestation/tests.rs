#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::collections::BTreeMap;

use ring::signature::Ed25519KeyPair;
use serde_json::json;

use super::*;
use crate::dsse::{public_key, thumbprint};
use crate::encode::b64;

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const CLIENT: &str = "chunkctl";

/// Tokens of all algorithms but EdDSA, with the keys they were made with, by another program.
const FOREIGN: &str = include_str!("tokens.json");

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[11; 32]).unwrap()
}

/// Of a provider that signs with Ed25519.
pub(crate) fn jwks() -> String {
    let x = b64(&public_key(&pair()));
    format!(r#"{{"keys":[{{"crv":"Ed25519","kid":"k","kty":"OKP","x":"{x}"}}]}}"#)
}

/// A token as the provider signs one.
pub(crate) fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
    format!("{signed}.{}", b64(pair().sign(signed.as_bytes()).as_ref()))
}

pub(crate) const HEADER: &str = r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#;

/// Claims that say that somebody holds a key.
pub(crate) fn claims(subject: &str, key: &str) -> String {
    in_order(&about(subject, key))
}

fn about(subject: &str, key: &str) -> Value {
    json!({ "iss": ISSUER, "sub": subject, "aud": CLIENT, "nonce": key, "iat": 1_764_000_000, "exp": 1_764_000_300 })
}

/// The text of an object in order of the names, whether or not another package of the build asked `serde_json` to keep another.
fn in_order(object: &Value) -> String {
    let members: BTreeMap<&String, &Value> = object.as_object().unwrap().iter().collect();
    serde_json::to_string(&members).unwrap()
}

/// Header, claims and clients of a token, and what is made of them: whether it is one, and whether it can be told who signed it.
type Case = (String, String, &'static [&'static str], bool, Option<bool>);

fn cases() -> Vec<Case> {
    let key = thumbprint(&public_key(&pair()));
    let good = about("bob", &key);
    let plain = in_order(&good);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        in_order(&changed)
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        in_order(&changed)
    };
    let deep = |levels: usize| format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
    let then = |more: &str| plain.replacen('{', &format!("{{{more},"), 1);
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |header: &str, claims: String, clients: &'static [&'static str], reads: bool, signed: Option<bool>| {
        cases.push((header.to_owned(), claims, clients, reads, signed));
    };
    let ours: &[&str] = &[CLIENT];
    let signed = Some(true);
    add(HEADER, plain.clone(), ours, true, signed);
    add(HEADER, plain.clone(), &["other", CLIENT], true, signed);
    // For somebody else, or under a key that nobody knows.
    add(HEADER, plain.clone(), &["other"], true, None);
    add(HEADER, with("azp", json!("other")), ours, true, None);
    add(HEADER, with("iss", json!("https://other.example")), ours, true, None);
    add(r#"{"alg":"EdDSA","kid":"other"}"#, plain.clone(), ours, true, None);
    add(r#"{"alg":"EdDSA"}"#, plain.clone(), ours, true, None);
    add(r#"{"alg":"ES256","kid":"k"}"#, plain.clone(), ours, true, None);
    // What providers write, too.
    for claims in [
        with("azp", json!(CLIENT)),
        with("aud", json!([CLIENT])),
        with("name", json!("Bob \u{dc}ml\u{e4}ut \u{1f600}")),
        with("score", json!([1.5, -0.0, 1e300, u64::MAX, null, true])),
        then("\"sub\":\"eve\""),
        then("\"s\":\"\\ud83d\\ude00\""),
        then(&format!("\"a\":{}", deep(30))),
        then(" \t\r\n\"a\" : 1.25E-2"),
    ] {
        add(HEADER, claims, ours, true, signed);
    }
    for header in [
        r#"{"alg":"EdDSA","kid":"k","typ":"id_token+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"k","x5t":"a"}"#,
    ] {
        add(header, plain.clone(), ours, true, signed);
    }
    // What is odd is none.
    for claims in [
        without("iss"),
        without("sub"),
        without("nonce"),
        without("aud"),
        with("sub", json!(7)),
        with("nonce", Value::Null),
        with("azp", Value::Null),
        with("azp", json!([CLIENT])),
        with("aud", json!([CLIENT, "other"])),
        with("aud", json!([])),
        with("aud", json!([7])),
        then("\"s\":\"\\ud83d\""),
        then("\"a\":1e400"),
        then("\"a\":NaN"),
        then("\"a\":01"),
        then(&format!("\"a\":{}", "9".repeat(400))),
        then(&format!("\"a\":{}", deep(31))),
        then(&format!("\"a\":{}", deep(2000))),
        then("\"a\":\"\u{1}\""),
        format!("{plain} x"),
        format!("[{plain}]"),
        format!("\u{feff}{plain}"),
        String::new(),
    ] {
        add(HEADER, claims, ours, false, None);
    }
    for header in [
        r#"{"alg":"EdDSA","kid":"k","crit":["b64"]}"#,
        r#"{"alg":"EdDSA","kid":"k","crit":null}"#,
        r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"k","typ":null}"#,
        r#"{"alg":"EdDSA","kid":7}"#,
        r#"{"alg":"none","kid":"k"}"#,
        r#"{"alg":"HS256","kid":"k"}"#,
        r#"{"kid":"k"}"#,
    ] {
        add(header, plain.clone(), ours, false, None);
    }
    cases
}

fn owned(clients: &[&str]) -> Vec<String> {
    clients.iter().map(|client| (*client).to_owned()).collect()
}

/// A token with these keys, and what is made of it, for `tests/vectors`.
fn vector(jwks: &str, clients: &[&str], text: &str) -> Value {
    let token = IdToken::parse(text);
    let provider = Provider::read(ISSUER, &owned(clients), jwks).unwrap();
    let signed = token
        .as_ref()
        .filter(|token| token.issuer == ISSUER)
        .and_then(|token| provider.signed(token));
    let names = token.as_ref().map(|token| json!([token.issuer, token.subject, token.nonce]));
    json!({
        "clients": clients, "digest": token.as_ref().map(IdToken::digest), "issuer": ISSUER, "jwks": jwks, "names": names, "signed": signed, "token": text,
    })
}

/// Tokens that say and are signed in every way, for `tests/vectors`.
pub(crate) fn vectors() -> Value {
    let mut all: Vec<Value> = Vec::new();
    for (header, claims, clients, ..) in cases() {
        all.push(vector(&jwks(), clients, &token(&header, &claims)));
    }
    let foreign: Value = serde_json::from_str(FOREIGN).unwrap();
    let jwks = foreign["jwks"].as_str().unwrap();
    for text in foreign["tokens"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        all.push(vector(jwks, &[CLIENT], text));
        all.push(vector(jwks, &[CLIENT], &changed(text)));
    }
    all.into()
}

/// The same with another signature.
fn changed(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = unb64(signature).unwrap();
    signature[20] ^= 1;
    format!("{signed}.{}", b64(&signature))
}

#[test]
fn a_token_is_read_strictly_and_judged_by_the_keys_of_its_issuer_for_the_brokers_own_client() {
    for (header, claims, clients, reads, signed) in cases() {
        let text = token(&header, &claims);
        let read = IdToken::parse(&text);
        assert_eq!(read.is_some(), reads, "{header} {claims}");
        let Some(read) = read else { continue };
        let provider = Provider::read(ISSUER, &owned(clients), &jwks()).unwrap();
        let judged = Some(&read)
            .filter(|read| read.issuer == ISSUER)
            .and_then(|read| provider.signed(read));
        assert_eq!(judged, signed, "{header} {claims}");
    }
}

#[test]
fn every_algorithm_is_judged_as_other_programs_make_it_and_a_changed_byte_is_noticed() {
    let foreign: Value = serde_json::from_str(FOREIGN).unwrap();
    let provider = Provider::read(ISSUER, &owned(&[CLIENT]), foreign["jwks"].as_str().unwrap()).unwrap();
    let tokens = foreign["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 3);
    for text in tokens {
        let text = text.as_str().unwrap();
        assert_eq!(provider.signed(&IdToken::parse(text).unwrap()), Some(true), "{text}");
        let changed = changed(text);
        assert_eq!(provider.signed(&IdToken::parse(&changed).unwrap()), Some(false), "{text}");
    }
}

#[test]
fn it_names_one_person_and_one_key() {
    let text = token(HEADER, &claims("bob", "thumb"));
    let read = IdToken::parse(&text).unwrap();
    assert!(read.names(ISSUER, "bob", "thumb"));
    for (issuer, subject, key) in [
        ("https://other.example", "bob", "thumb"),
        (ISSUER, "eve", "thumb"),
        (ISSUER, "bob", "other"),
    ] {
        assert!(!read.names(issuer, subject, key));
    }
}

#[test]
fn of_an_ecdsa_signature_only_what_cannot_be_turned_round_names_the_token() {
    let foreign: Value = serde_json::from_str(FOREIGN).unwrap();
    let text = foreign["tokens"][2].as_str().unwrap();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let mut signature = unb64(signature).unwrap();
    signature[63] ^= 1;
    let turned = format!("{signed}.{}", b64(&signature));
    assert_eq!(IdToken::parse(text).unwrap().digest(), IdToken::parse(&turned).unwrap().digest());
}

#[test]
fn keys_for_something_else_are_passed_over_and_without_any_there_is_no_provider() {
    let read = |jwks: &Value, clients: &[&str]| Provider::read(ISSUER, &owned(clients), &jwks.to_string());
    let good: Value = serde_json::from_str(&jwks()).unwrap();
    assert!(read(&good, &[CLIENT]).is_some());
    assert!(read(&good, &[]).is_none());
    for (name, value) in [
        ("use", json!("enc")),
        ("kty", json!("RSA")),
        ("crv", json!("X25519")),
        ("x", json!("AA")),
        ("kid", json!(7)),
    ] {
        let mut other = good.clone();
        other["keys"][0][name] = value;
        assert!(read(&other, &[CLIENT]).is_none(), "{other}");
    }
    // A small modulus and another exponent are for nobody.
    for (n, e) in [(vec![0xff; 128], "AQAB"), (vec![0xff; 256], "Aw")] {
        let small = json!({ "keys": [{ "kty": "RSA", "n": b64(&n), "e": e }] });
        assert!(read(&small, &[CLIENT]).is_none());
    }
    // A key for one algorithm is for no other.
    let mut pinned = good;
    pinned["keys"][0]["alg"] = json!("ES256");
    let provider = read(&pinned, &[CLIENT]).unwrap();
    let text = token(HEADER, &claims("bob", "thumb"));
    assert_eq!(provider.signed(&IdToken::parse(&text).unwrap()), None);
}
