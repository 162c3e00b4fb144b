//! An issuer of the test's own on loopback: it answers discovery and keys, and signs whatever it is told to.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::now_ms;

/// The issuer.
pub(crate) struct FakeIssuer {
    pub(crate) url: String,
    keys: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
    /// What is told of whoever shows this access token.
    told: Told,
}

type Told = Arc<Mutex<HashMap<String, Value>>>;

/// One of its signing keys (ES256).
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    pub(crate) fn new(id: &str) -> Self {
        let random = ring::rand::SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), pair }
    }

    /// The public key as it stands in the published set.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        })
    }

    /// The public key in the encodings that a confused verifier might take for a shared secret.
    pub(crate) fn public_encodings(&self) -> Vec<Vec<u8>> {
        let point = self.pair.public_key().as_ref().to_vec();
        let mut der = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
        der.extend_from_slice(&point);
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        let jwk = self.jwk();
        let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        vec![
            pem.trim_end().as_bytes().to_vec(),
            pem.into_bytes(),
            der,
            point,
            x,
            jwk.to_string().into_bytes(),
        ]
    }

    /// A token with this header and these claims, signed with ES256 whatever the header says.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.pair.sign(&ring::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A good token's header.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" })
    }
}

/// A token whose HMAC-SHA-256 is made with `secret`.
pub(crate) fn sign_hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

/// Header and claims, without a signature and without the dot before it.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

impl FakeIssuer {
    /// Starts it with these keys published.
    pub(crate) fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Self {
            url: url.clone(),
            keys: Arc::default(),
            asked: Arc::default(),
            told: Arc::default(),
        };
        issuer.publish(keys);
        let (keys, asked, told) = (Arc::clone(&issuer.keys), Arc::clone(&issuer.asked), Arc::clone(&issuer.told));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A thread each: a client may open a connection and say nothing on it.
                let (url, keys, asked, told) = (url.clone(), Arc::clone(&keys), Arc::clone(&asked), Arc::clone(&told));
                std::thread::spawn(move || answer(stream, &url, &keys, &asked, &told));
            }
        });
        issuer
    }

    /// Replaces the published keys: a rotation.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        *self.keys.lock().unwrap() = json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() });
    }

    /// Tells this of whoever shows this access token at the userinfo endpoint.
    pub(crate) fn tell(&self, access_token: &str, claims: &Value) {
        self.told.lock().unwrap().insert(format!("Bearer {access_token}"), claims.clone());
    }

    /// How often the keys have been fetched.
    pub(crate) fn keys_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Claims of a good token for this person: one who may ask and is in `developers`.
    pub(crate) fn claims(&self, subject: &str) -> Value {
        let now = now_ms() / 1000;
        json!({
            "iss": self.url, "aud": "chunkctl", "sub": subject, "iat": now, "exp": now + 300,
            "name": subject, "email": format!("{subject}@people.example"), "email_verified": true, "groups": ["developers"],
            // Two tokens of one second must differ, or the second would be a replay of the first.
            "jti": hex::encode(super::random::<8>()),
        })
    }
}

fn answer(mut stream: TcpStream, url: &str, keys: &Mutex<Value>, asked: &AtomicUsize, told: &Mutex<HashMap<String, Value>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let authorization = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim())
    });
    let body = match first.split(' ').nth(1).unwrap_or_default() {
        "/.well-known/openid-configuration" => discovery(url),
        "/keys" => {
            asked.fetch_add(1, Ordering::SeqCst);
            keys.lock().unwrap().clone()
        }
        "/userinfo" => {
            let told = told.lock().unwrap();
            authorization.and_then(|shown| told.get(shown)).cloned().unwrap_or_default()
        }
        _ => Value::Null,
    };
    let (status, body) = if body.is_null() {
        ("404 Not Found", String::new())
    } else {
        ("200 OK", body.to_string())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .ok();
}

fn discovery(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device"),
        "jwks_uri": format!("{url}/keys"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}
