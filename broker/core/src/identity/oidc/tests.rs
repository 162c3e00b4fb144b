#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;

pub(super) const NOW_MS: i64 = 1_800_000_000_000;
pub(super) const NOW_S: i64 = NOW_MS / 1000;
pub(super) const ISSUER: &str = "https://id.example";
pub(super) const JWKS: &str = "https://keys.id.example/jwks";
pub(super) const TOKENS: &str = "https://id.example/token";

/// A key of the pretended identity provider.
pub(super) enum TestKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    /// Made by openssl (which `tests/run` installs), because ring makes no RSA keys; one a run, because they take a while.
    fn rsa() -> Self {
        static PKCS8: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let command =
                "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -outform DER";
            let made = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
            assert!(
                made.status.success() && !made.stdout.is_empty(),
                "openssl is missing: `apt-get install openssl`"
            );
            made.stdout
        });
        TestKey::Rsa(RsaKeyPair::from_pkcs8(&PKCS8).unwrap())
    }

    pub(super) fn ec() -> Self {
        let random = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        TestKey::Ec(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    fn ed() -> Self {
        TestKey::Ed(Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap())
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            TestKey::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": b64(&public.n), "e": b64(&public.e)})
            }
            TestKey::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            TestKey::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.public_key().as_ref())}),
        }
    }

    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            TestKey::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = if alg == "PS256" {
                    &signature::RSA_PSS_SHA256
                } else {
                    &signature::RSA_PKCS1_SHA256
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            TestKey::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            TestKey::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    pub(super) fn token(&self, header: Value, claims: &Value) -> String {
        let signed = signing_input(&header, &claims.to_string());
        let signature = self.sign(header["alg"].as_str().unwrap(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn signing_input(header: &Value, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims))
}

/// Pages by URL; what is not there fails as an unreachable host would.
pub(super) struct Web {
    pages: Mutex<HashMap<String, String>>,
    asked: AtomicUsize,
    /// What the next form is answered.
    pub(super) answer: Mutex<Option<(u16, String)>>,
    pub(super) posted: Mutex<Vec<(String, String)>>,
    pub(super) authorized: Mutex<Option<String>>,
    /// What the broker has there.
    pub(super) secret: Mutex<Result<Option<String>, String>>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            pages: Mutex::default(),
            asked: AtomicUsize::default(),
            answer: Mutex::default(),
            posted: Mutex::default(),
            authorized: Mutex::default(),
            secret: Mutex::new(Ok(None)),
        }
    }
}

impl Web {
    pub(super) fn with_keys(keys: Value) -> Arc<Self> {
        let web = Arc::new(Web::default());
        web.put(
            &format!("{ISSUER}/.well-known/openid-configuration"),
            json!({"issuer": ISSUER, "jwks_uri": JWKS, "token_endpoint": TOKENS}),
        );
        web.put(JWKS, json!({ "keys": keys }));
        web
    }

    pub(super) fn put(&self, url: &str, page: Value) {
        self.pages.lock().unwrap().insert(url.into(), page.to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl HttpGet for Web {
    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.pages
            .lock()
            .unwrap()
            .get(url)
            .map(|page| page.clone().into_bytes())
            .ok_or_else(|| "connection refused".into())
    }

    async fn get_as(&self, _: &str, authorization: Zeroizing<String>) -> Result<(u16, Vec<u8>), String> {
        *self.authorized.lock().unwrap() = Some(authorization.to_string());
        let answer = self.answer.lock().unwrap().take().ok_or("connection refused")?;
        Ok((answer.0, answer.1.into_bytes()))
    }

    fn client_secret(&self, _: &str) -> Result<Option<Zeroizing<String>>, String> {
        self.secret.lock().unwrap().clone().map(|secret| secret.map(Zeroizing::new))
    }

    async fn post(&self, url: &str, form: Zeroizing<String>, authorization: Option<Zeroizing<String>>) -> Result<(u16, Vec<u8>), String> {
        self.posted.lock().unwrap().push((url.to_owned(), form.to_string()));
        *self.authorized.lock().unwrap() = authorization.map(|header| header.to_string());
        let answer = self.answer.lock().unwrap().take().ok_or("connection refused")?;
        Ok((answer.0, answer.1.into_bytes()))
    }
}

pub(super) fn settings(issuer: &str) -> IssuerSettings {
    IssuerSettings {
        name: "corp".into(),
        issuer: issuer.into(),
        client_id: "chunkctl".into(),
        audience: "chunkctl".into(),
        scopes: vec!["openid".into()],
        groups_claim: "groups".into(),
        manager_claim: None,
        groups_from: Default::default(),
        email_claim: "email".into(),
        name_claim: "name".into(),
        insecure_development: false,
        sign_in: SignIn::default(),
        max_age_s: None,
        directory: None,
        acr_values: Vec::new(),
    }
}

fn issuers(web: &Arc<Web>) -> Issuers {
    Issuers::new(
        vec![settings("https://first.example"), settings(ISSUER)],
        Arc::clone(web) as Arc<dyn HttpGet>,
    )
}

pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "u-1", "aud": "chunkctl", "exp": NOW_S + 300, "iat": NOW_S - 5, "auth_time": NOW_S - 60,
        "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true, "groups": ["b", "a", "b"], "amr": ["pwd", "otp"],
    })
}

pub(super) fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub(super) fn es256() -> Value {
    json!({"alg": "ES256", "kid": "1", "typ": "JWT"})
}

/// Verifies a token with these claims, signed by the provider's own key.
async fn verify_claims(claims: &Value) -> Result<VerifiedIdentity, IdTokenError> {
    let key = TestKey::ec();
    issuers(&Web::with_keys(json!([key.jwk("1")])))
        .verify(&key.token(es256(), claims), NOW_MS)
        .await
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_names_the_person() {
    for (alg, key) in [
        ("RS256", TestKey::rsa()),
        ("PS256", TestKey::rsa()),
        ("ES256", TestKey::ec()),
        ("EdDSA", TestKey::ed()),
    ] {
        let web = Web::with_keys(json!([TestKey::ec().jwk("other"), key.jwk("1"), {"kty": "oct", "k": "AA"}, {"kty": "new"}, 7]));
        let token = key.token(json!({"alg": alg, "kid": "1"}), &claims());
        let identity = issuers(&web).verify(&token, NOW_MS).await.unwrap();
        assert_eq!(
            identity,
            VerifiedIdentity {
                issuer: ISSUER.into(),
                subject: "u-1".into(),
                name: "Ada Lovelace".into(),
                email: Some("ada@example.com".into()),
                groups: vec!["a".into(), "b".into()],
                manager: None,
                amr: vec!["pwd".into(), "otp".into()],
                auth_time: Some(NOW_S - 60),
                issued_at: NOW_S - 5,
                token_sha256: identity.token_sha256,
                expires_at: NOW_S + 300,
                flow: Flow::IdToken,
                attestation: None,
            },
            "{alg}"
        );
    }
}

#[tokio::test]
async fn every_wrong_claim_is_refused() {
    use IdTokenError::*;
    let malformed = |error: &IdTokenError| matches!(error, Malformed(_));
    let cases: Vec<(&str, Value, IdTokenError)> = vec![
        ("wrong issuer", with(json!({"iss": "https://evil.example"})), Issuer),
        ("issuer with a slash", with(json!({"iss": "https://id.example/"})), Issuer),
        ("wrong audience", with(json!({"aud": "other"})), Audience),
        ("wrong audiences", with(json!({"aud": ["other", "more"]})), Audience),
        ("no audience in the list", with(json!({"aud": []})), Audience),
        (
            "several audiences, no azp",
            with(json!({"aud": ["chunkctl", "other"]})),
            AuthorizedParty,
        ),
        (
            "several audiences, foreign azp",
            with(json!({"aud": ["chunkctl", "other"], "azp": "other"})),
            AuthorizedParty,
        ),
        ("a token from another client", with(json!({"azp": "other"})), AuthorizedParty),
        ("azp of another kind", with(json!({"azp": ["chunkctl"]})), AuthorizedParty),
        ("expired", with(json!({"exp": NOW_S - 60})), Expired),
        ("expired long ago", with(json!({"exp": -1})), Expired),
        ("issued in the future", with(json!({"iat": NOW_S + 61})), NotYetValid),
        ("not before", with(json!({"nbf": NOW_S + 61})), NotYetValid),
        ("authenticated in the future", with(json!({"auth_time": NOW_S + 61})), NotYetValid),
        ("too old", with(json!({"iat": NOW_S - 301})), TooOld),
        ("access token of Keycloak", with(json!({"typ": "Bearer"})), Type),
        ("refresh token of Keycloak", with(json!({"typ": "Refresh"})), Type),
        ("access token of Cognito", with(json!({"token_use": "access"})), Type),
        (
            "logout token",
            with(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}})),
            Type,
        ),
        (
            "groups elsewhere",
            with(json!({"_claim_names": {"groups": "src1"}})),
            GroupsIncomplete,
        ),
        ("groups left out", with(json!({"hasgroups": true})), GroupsIncomplete),
        ("no audience", without("aud"), Malformed("")),
        ("audience of numbers", with(json!({"aud": ["chunkctl", 1]})), Malformed("")),
        ("no issuer", without("iss"), Malformed("")),
        ("no exp", without("exp"), Malformed("")),
        ("no iat", without("iat"), Malformed("")),
        ("exp as text", with(json!({"exp": "never"})), Malformed("")),
        ("endless exp", with(json!({"exp": 1e300})), Malformed("")),
        ("no subject", without("sub"), Malformed("")),
        ("empty subject", with(json!({"sub": ""})), Malformed("")),
        ("long subject", with(json!({"sub": "x".repeat(256)})), Malformed("")),
        ("subject with an escape", with(json!({"sub": "a\u{1b}[2J"})), Malformed("")),
        ("subject as number", with(json!({"sub": 7})), Malformed("")),
        ("groups as text", with(json!({"groups": "admins"})), Malformed("")),
        ("groups of numbers", with(json!({"groups": [1]})), Malformed("")),
        ("a group with a newline", with(json!({"groups": ["a\nb"]})), Malformed("")),
        ("amr as text", with(json!({"amr": "otp"})), Malformed("")),
    ];
    for (name, claims, expected) in cases {
        let error = verify_claims(&claims).await.unwrap_err();
        assert!(
            error == expected || (malformed(&expected) && malformed(&error)),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_is_optional_or_within_the_skew_passes() {
    for claims in [
        with(json!({"aud": ["chunkctl"]})),
        with(json!({"aud": ["chunkctl", "api"], "azp": "chunkctl"})),
        with(json!({"azp": "chunkctl"})),
        with(json!({"iat": NOW_S + 60, "nbf": NOW_S + 60})),
        with(json!({"iat": NOW_S - 300})),
        with(json!({"exp": NOW_S - 59})),
        with(json!({"iat": (NOW_S - 5) as f64 + 0.25})),
        with(json!({"typ": "ID", "token_use": "id", "nonce": "anything", "hasgroups": false})),
        with(json!({"sub": "ü".repeat(255)})),
        without("groups"),
        without("amr"),
        without("auth_time"),
    ] {
        verify_claims(&claims).await.unwrap();
    }
}

#[tokio::test]
async fn names_and_addresses_are_what_may_be_shown() {
    let email = async |changes: Value| verify_claims(&with(changes)).await.unwrap().email;
    assert_eq!(email(json!({"email_verified": false})).await, None);
    assert_eq!(email(json!({"email_verified": "false"})).await, None);
    assert_eq!(email(json!({"email": "ada@example.com\u{1b}]0;x"})).await, None);
    assert_eq!(email(json!({"email": 7})).await, None);
    assert_eq!(
        verify_claims(&without("email_verified")).await.unwrap().email.as_deref(),
        Some("ada@example.com")
    );
    let name = async |changes: Value| verify_claims(&with(changes)).await.unwrap().name;
    assert_eq!(name(json!({"name": "A\u{1b}[31mda\u{202e}\n"})).await, "A[31mda");
    assert_eq!(name(json!({"name": "\u{200b} "})).await, "u-1");
    assert_eq!(name(json!({"name": null})).await, "u-1");
    assert_eq!(name(json!({"name": "x".repeat(999)})).await.len(), 255);
}

#[tokio::test]
async fn the_token_chooses_no_algorithm_key_or_type() {
    use IdTokenError::*;
    let (rsa, ec) = (TestKey::rsa(), TestKey::ec());
    let public = rsa.jwk("1");
    let web = Web::with_keys(
        json!([public, ec.jwk("2"), {"kty": "RSA", "kid": "enc", "use": "enc", "n": public["n"], "e": public["e"]},
        {"kty": "RSA", "kid": "ps", "alg": "PS256", "n": public["n"], "e": public["e"]}]),
    );
    let issuers = issuers(&web);
    let hmac_with_the_public_key = {
        let signed = signing_input(&json!({"alg": "HS256", "kid": "1"}), &claims().to_string());
        let secret = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    };
    let unsigned = |alg: &str| format!("{}.", signing_input(&json!({"alg": alg, "kid": "1"}), &claims().to_string()));
    let own_key = TestKey::ec();
    let good = rsa.token(json!({"alg": "RS256", "kid": "1"}), &claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let duplicated = {
        let text = claims().to_string().replacen('{', r#"{"iss":"https://first.example","#, 1);
        let signed = signing_input(&json!({"alg": "RS256", "kid": "1"}), &text);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(rsa.sign("RS256", signed.as_bytes())))
    };
    let cases = [
        ("none", unsigned("none"), Algorithm),
        ("None", unsigned("None"), Algorithm),
        ("no signature", unsigned("RS256"), Signature),
        ("HS256 with the public key as secret", hmac_with_the_public_key, Algorithm),
        ("RS384", rsa.token(json!({"alg": "RS384", "kid": "1"}), &claims()), Algorithm),
        (
            "RS256 token that names an EC key",
            rsa.token(json!({"alg": "RS256", "kid": "2"}), &claims()),
            Key,
        ),
        (
            "ES256 token that names an RSA key",
            ec.token(json!({"alg": "ES256", "kid": "1"}), &claims()),
            Key,
        ),
        (
            "an encryption key",
            rsa.token(json!({"alg": "RS256", "kid": "enc"}), &claims()),
            Key,
        ),
        (
            "RS256 by a key for PS256",
            rsa.token(json!({"alg": "RS256", "kid": "ps"}), &claims()),
            Key,
        ),
        ("several keys and no kid", rsa.token(json!({"alg": "PS256"}), &claims()), Key),
        (
            "own key under a known kid",
            own_key.token(json!({"alg": "ES256", "kid": "2"}), &claims()),
            Signature,
        ),
        (
            "own key in the header",
            own_key.token(json!({"alg": "ES256", "kid": "x", "jwk": own_key.jwk("x")}), &claims()),
            Key,
        ),
        (
            "own keys' address",
            own_key.token(json!({"alg": "ES256", "kid": "x", "jku": "https://evil.example"}), &claims()),
            Key,
        ),
        (
            "at+jwt",
            rsa.token(json!({"alg": "RS256", "kid": "1", "typ": "at+jwt"}), &claims()),
            Type,
        ),
        (
            "application/at+jwt",
            rsa.token(json!({"alg": "RS256", "kid": "1", "typ": "application/AT+JWT"}), &claims()),
            Type,
        ),
        (
            "dpop+jwt",
            rsa.token(json!({"alg": "RS256", "kid": "1", "typ": "dpop+jwt"}), &claims()),
            Type,
        ),
        (
            "logout+jwt",
            rsa.token(json!({"alg": "RS256", "kid": "1", "typ": "logout+jwt"}), &claims()),
            Type,
        ),
        (
            "our own access token",
            rsa.token(json!({"alg": "EdDSA", "typ": "chunk-access+jwt"}), &claims()),
            Type,
        ),
        ("changed signature", format!("{signed}.{first}{}", &signature[1..]), Signature),
        ("padded signature", format!("{good}="), Signature),
        (
            "crit",
            rsa.token(json!({"alg": "RS256", "kid": "1", "crit": ["b64"], "b64": false}), &claims()),
            Malformed(""),
        ),
        ("two issuers", duplicated, Malformed("")),
        ("empty", String::new(), Malformed("")),
        ("dots", "..".into(), Malformed("")),
        ("five parts", "a.b.c.d.e".into(), Malformed("")),
        ("huge", "a".repeat(1 << 20), Malformed("")),
    ];
    issuers.verify(&good, NOW_MS).await.unwrap();
    for (name, token, expected) in cases {
        let error = issuers.verify(&token, NOW_MS).await.unwrap_err();
        assert!(
            error == expected || matches!((&error, &expected), (Malformed(_), Malformed(_))),
            "{name}: {error:?}"
        );
    }
    issuers.verify(&ec.token(json!({"alg": "ES256"}), &claims()), NOW_MS).await.unwrap(); // one fitting key: no `kid` is needed
}

#[tokio::test]
async fn a_rotated_key_is_found_and_an_unknown_one_asks_seldom() {
    let (old, new) = (TestKey::ec(), TestKey::ec());
    let web = Web::with_keys(json!([old.jwk("old")]));
    let issuers = issuers(&web);
    let old_token = old.token(json!({"alg": "ES256", "kid": "old"}), &claims());
    let new_token = new.token(json!({"alg": "ES256", "kid": "new"}), &claims());
    issuers.verify(&old_token, NOW_MS).await.unwrap();
    issuers.verify(&old_token, NOW_MS + 1).await.unwrap();
    assert_eq!(web.asked(), 2, "discovery and keys, once");
    for ms in 2..50 {
        assert_eq!(issuers.verify(&new_token, NOW_MS + ms * 100).await, Err(IdTokenError::Key));
    }
    assert_eq!(web.asked(), 2, "not again within seconds of the last time");
    web.put(JWKS, json!({"keys": [new.jwk("new")]}));
    issuers.verify(&new_token, NOW_MS + 5_000).await.unwrap();
    assert_eq!(web.asked(), 4);
    assert_eq!(
        issuers.verify(&old_token, NOW_MS + 5_001).await,
        Err(IdTokenError::Key),
        "a withdrawn key is gone with the rotation"
    );
}

#[tokio::test]
async fn keys_that_cannot_be_confirmed_expire() {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    let issuers = issuers(&web);
    let token_at = |now_ms: i64| key.token(es256(), &with(json!({"iat": now_ms / 1000, "exp": now_ms / 1000 + 60})));
    issuers.verify(&token_at(NOW_MS), NOW_MS).await.unwrap();
    web.pages.lock().unwrap().clear();
    let later_ms = NOW_MS + 59 * 60 * 1000;
    issuers.verify(&token_at(later_ms), later_ms).await.unwrap();
    assert_eq!(web.asked(), 3, "it was tried");
    let late_ms = NOW_MS + 60 * 60 * 1000;
    let error = issuers.verify(&token_at(late_ms), late_ms).await.unwrap_err();
    assert!(error.operator().unwrap().contains("connection refused"));
    assert!(
        !error.to_string().contains("connection refused"),
        "the operator's text is not shown"
    );
}

#[tokio::test]
async fn a_withdrawn_key_stops_working_within_minutes() {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    let issuers = issuers(&web);
    issuers.verify(&key.token(es256(), &claims()), NOW_MS).await.unwrap();
    web.put(JWKS, json!({"keys": []}));
    let later_ms = NOW_MS + 10 * 60 * 1000;
    let token = key.token(es256(), &with(json!({"iat": later_ms / 1000, "exp": later_ms / 1000 + 60})));
    assert_eq!(issuers.verify(&token, later_ms).await, Err(IdTokenError::Key));
}

#[tokio::test]
async fn documents_that_lead_elsewhere_are_not_followed() {
    let key = TestKey::ec();
    let token = key.token(es256(), &claims());
    for (discovery, allowed) in [
        (json!({"issuer": ISSUER, "jwks_uri": JWKS}), true),
        (json!({"issuer": "https://id.example/", "jwks_uri": JWKS}), false),
        (json!({"issuer": "https://evil.example", "jwks_uri": JWKS}), false),
        (json!({"issuer": ISSUER, "jwks_uri": "http://keys.id.example/jwks"}), false),
        (json!({"issuer": ISSUER, "jwks_uri": "http://169.254.169.254/latest"}), false),
        (json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/jwks"}), false),
        (json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}), false),
        (json!({"issuer": ISSUER, "jwks_uri": "jwks"}), false),
        (json!({"issuer": ISSUER}), false),
        (json!([]), false),
    ] {
        let web = Web::with_keys(json!([key.jwk("1")]));
        web.put(&format!("{ISSUER}/.well-known/openid-configuration"), discovery.clone());
        for url in [
            "http://keys.id.example/jwks",
            "http://169.254.169.254/latest",
            "http://127.0.0.1/jwks",
            "file:///etc/passwd",
            "jwks",
        ] {
            web.put(url, json!({"keys": [key.jwk("1")]}));
        }
        let result = issuers(&web).verify(&token, NOW_MS).await;
        assert_eq!(result.is_ok(), allowed, "{discovery}");
        assert!(allowed || matches!(result, Err(IdTokenError::Unavailable { .. })), "{discovery}");
    }
}

#[tokio::test]
async fn an_issuer_on_this_machine_may_keep_its_keys_there() {
    let (key, issuer) = (TestKey::ed(), "http://127.0.0.1:8411/dev/");
    let web = Arc::new(Web::default());
    web.put(
        "http://127.0.0.1:8411/dev/.well-known/openid-configuration",
        json!({"issuer": issuer, "jwks_uri": "http://localhost:8411/jwks"}),
    );
    web.put("http://localhost:8411/jwks", json!({"keys": [key.jwk("1")]}));
    let issuers = Issuers::new(vec![settings(issuer)], Arc::clone(&web) as Arc<dyn HttpGet>);
    let token = key.token(json!({"alg": "EdDSA", "kid": "1"}), &with(json!({"iss": issuer})));
    issuers.verify(&token, NOW_MS).await.unwrap();
}

#[tokio::test]
async fn one_issuers_key_signs_for_no_other() {
    let (first, second) = (TestKey::ec(), TestKey::ec());
    let web = Web::with_keys(json!([second.jwk("1")]));
    let discovery = json!({"issuer": "https://first.example", "jwks_uri": "https://first.example/jwks"});
    web.put("https://first.example/.well-known/openid-configuration", discovery);
    web.put("https://first.example/jwks", json!({"keys": [first.jwk("1")]}));
    let issuers = issuers(&web);
    issuers
        .verify(&first.token(es256(), &with(json!({"iss": "https://first.example"}))), NOW_MS)
        .await
        .unwrap();
    assert_eq!(
        issuers.verify(&first.token(es256(), &claims()), NOW_MS).await,
        Err(IdTokenError::Signature)
    );
}

#[tokio::test]
async fn many_sign_ins_at_once_ask_the_provider_once() {
    let key = TestKey::ec();
    let web = Web::with_keys(json!([key.jwk("1")]));
    let issuers = Arc::new(issuers(&web));
    let token = key.token(es256(), &claims());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (issuers, token) = (Arc::clone(&issuers), token.clone());
        tasks.spawn(async move { issuers.verify(&token, NOW_MS - n).await });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(web.asked(), 2);
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
    0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[tokio::test]
async fn the_second_form_of_an_ecdsa_signature_is_the_same_token() {
    let key = TestKey::ec();
    let issuers = issuers(&Web::with_keys(json!([key.jwk("1")])));
    let token = key.token(json!({"alg": "ES256", "kid": "1"}), &claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    // (r, s) and (r, order - s) both verify.
    let mut borrow = 0_i16;
    for (s, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *s = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let second = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert_ne!(second, token);
    let (first, second) = (
        issuers.verify(&token, NOW_MS).await.unwrap(),
        issuers.verify(&second, NOW_MS).await.unwrap(),
    );
    assert_eq!(first.token_sha256, second.token_sha256);
    // The same claims, signed for another sign-in.
    let other = issuers
        .verify(&key.token(json!({"alg": "ES256", "kid": "1"}), &claims()), NOW_MS)
        .await
        .unwrap();
    assert_ne!(first.token_sha256, other.token_sha256);
}
