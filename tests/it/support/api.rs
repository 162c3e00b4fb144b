//! A client of API v1 with a key of its own, which can also do what `chunkctl` never would: send another key's proof, replay
//! one, leave a credential out, sign the wrong bytes.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::dsse::{Envelope, EnvelopeSignature};
use chunk_wire::dpop::{self, ProofClaims};
use chunk_wire::fetch::{Format, Params, PlanAnswer, PlanRequest, Query, REQUEST_PAYLOAD_TYPE, RequestView, SubmitRequest};
use chunk_wire::problem::Problem;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict};
use chunk_wire::session::{ClientInfo, OpenSession, SessionTokens};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{browser, now_ms, random, servers, wait};

/// One client: a broker, a key, and perhaps a session.
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) key: Ed25519KeyPair,
    http: reqwest::Client,
    nonce: Mutex<Option<String>>,
    tokens: Mutex<Option<SessionTokens>>,
}

/// An answer of the broker.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert!((200..300).contains(&self.status), "status {}: {}", self.status, self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        assert!(self.status >= 400, "expected a problem, got {}: {}", self.status, self.text());
        let kind = self
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        assert!(
            kind.starts_with(chunk_wire::PROBLEM_JSON),
            "status {} with content-type {kind:?}: {}",
            self.status,
            self.text()
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem's code.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.problem().code
    }
}

/// What stands in for parts of a proof, for the tests that forge one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forged {
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) issued_at: Option<i64>,
    pub(crate) access_token_hash: Option<Option<String>>,
    pub(crate) nonce: Option<Option<String>>,
    pub(crate) id: Option<String>,
}

impl Api {
    /// A client without a session.
    pub(crate) fn new(base: &str) -> Self {
        Self::over(base, reqwest::Client::builder())
    }

    /// A client that connects in a way of its own.
    pub(crate) fn over(base: &str, http: reqwest::ClientBuilder) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&random::<32>()).unwrap();
        let http = wait(async { http.timeout(Duration::from_secs(120)).build().unwrap() });
        Self {
            base: base.to_owned(),
            key,
            http,
            nonce: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// A client whose person has signed in at the identity provider and opened a session.
    pub(crate) fn signed_in(base: &str, person: &str) -> Self {
        Self::new(base).sign_in(person)
    }

    /// Signs in.
    pub(crate) fn sign_in(self, person: &str) -> Self {
        let answer = self.open(&id_token(&servers::issuer(), "chunkctl", person));
        self.keep(answer.json());
        self
    }

    /// `POST /v1/sessions` with this ID token; the session is not kept.
    pub(crate) fn open(&self, id_token: &str) -> Answer {
        let body = OpenSession {
            id_token: id_token.to_owned(),
            access_token: None,
            client: ClientInfo {
                version: "tests/1".into(),
                host: "test-host".into(),
            },
        };
        self.send("POST", "/v1/sessions", Some(serde_json::to_vec(&body).unwrap()), &[])
    }

    /// `POST /v1/token` with these fields; what it gives is not kept.
    pub(crate) fn exchange(&self, fields: &[(&str, &str)]) -> Answer {
        self.form("/v1/token", fields)
    }

    /// Posts a form.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, Some(form.into_bytes()), &[kind])
    }

    pub(crate) fn keep(&self, tokens: SessionTokens) {
        *self.tokens.lock().unwrap() = Some(tokens);
    }

    pub(crate) fn tokens(&self) -> SessionTokens {
        self.tokens.lock().unwrap().clone().expect("signed in")
    }

    pub(crate) fn forget(&self) {
        *self.tokens.lock().unwrap() = None;
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().unwrap()
    }

    pub(crate) fn thumbprint(&self) -> String {
        dpop::thumbprint(&self.public_key())
    }

    /// A proof by this client's key.
    pub(crate) fn proof(&self, method: &str, path: &str, forged: &Forged) -> String {
        let token = self
            .tokens
            .lock()
            .unwrap()
            .as_ref()
            .map(|tokens| dpop::access_token_hash(&tokens.access_token));
        let path = path.split('?').next().unwrap_or_default();
        let claims = ProofClaims {
            jti: forged.id.clone().unwrap_or_else(|| hex::encode(random::<16>())),
            htm: forged.method.clone().unwrap_or_else(|| method.to_owned()),
            htu: forged.url.clone().unwrap_or_else(|| format!("{}{path}", self.base)),
            iat: forged.issued_at.unwrap_or_else(|| now_ms() / 1000),
            ath: forged.access_token_hash.clone().unwrap_or(token),
            nonce: forged.nonce.clone().unwrap_or_else(|| self.nonce()),
        };
        dpop::sign(&self.key, &claims)
    }

    /// The broker's newest nonce, asked for once where none has been seen.
    pub(crate) fn nonce(&self) -> Option<String> {
        let held = self.nonce.lock().unwrap().clone();
        held.or_else(|| {
            self.raw("GET", "/v1/info", None, &[]);
            self.nonce.lock().unwrap().clone()
        })
    }

    /// Sends exactly this; only the server's nonce is remembered.
    pub(crate) fn raw(&self, method: &str, path: &str, body: Option<Vec<u8>>, headers: &[(&str, &str)]) -> Answer {
        self.try_raw(method, path, body, headers)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// As [`Api::raw`], for a broker that may not be there.
    pub(crate) fn try_raw(&self, method: &str, path: &str, body: Option<Vec<u8>>, headers: &[(&str, &str)]) -> Result<Answer, String> {
        wait(async {
            let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = body {
                if !headers.iter().any(|(name, _)| *name == "content-type") {
                    request = request.header("content-type", "application/json");
                }
                request = request.body(body);
            }
            let mut response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            if let Some(nonce) = headers.get("dpop-nonce") {
                *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
            }
            let (mut body, mut complete) = (Vec::new(), true);
            loop {
                match response.chunk().await {
                    Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                    Ok(None) => break,
                    Err(_) => {
                        complete = false;
                        break;
                    }
                }
            }
            Ok(Answer {
                status,
                headers,
                body,
                complete,
            })
        })
    }

    /// Sends with the session's token, if there is one, and a fresh proof; once more where the broker asks for its nonce.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>, extra: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, body, extra)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// As [`Api::send`], for a broker that may not be there.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: Option<Vec<u8>>, extra: &[(&str, &str)]) -> Result<Answer, String> {
        let mut answer = self.send_once(method, path, body.clone(), extra)?;
        if [400, 401].contains(&answer.status) && answer.text().contains("use_dpop_nonce") {
            answer = self.send_once(method, path, body, extra)?;
        }
        Ok(answer)
    }

    fn send_once(&self, method: &str, path: &str, body: Option<Vec<u8>>, extra: &[(&str, &str)]) -> Result<Answer, String> {
        let known = self.nonce.lock().unwrap().clone();
        let proof = self.proof(
            method,
            path,
            &Forged {
                nonce: Some(known),
                ..Forged::default()
            },
        );
        let authorization = self
            .tokens
            .lock()
            .unwrap()
            .as_ref()
            .map(|tokens| format!("DPoP {}", tokens.access_token));
        let mut headers = vec![("dpop", proof.as_str())];
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization));
        }
        headers.extend_from_slice(extra);
        self.try_raw(method, path, body, &headers)
    }

    /// Sends, takes the head of a good answer, and reads no further for as long as what is given back is held.
    pub(crate) fn begin(&self, method: &str, path: &str) -> reqwest::Response {
        self.nonce();
        let response = wait(self.begun(method, path));
        assert_eq!(response.status().as_u16(), 200);
        response
    }

    /// The head of an answer, whatever it is. A nonce must have been seen before.
    pub(crate) async fn begun(&self, method: &str, path: &str) -> reqwest::Response {
        let proof = self.proof(
            method,
            path,
            &Forged {
                nonce: Some(self.nonce.lock().unwrap().clone()),
                ..Forged::default()
            },
        );
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.base))
            .header("dpop", proof)
            .header("authorization", format!("DPoP {}", self.tokens().access_token));
        let response = request.send().await.unwrap();
        if let Some(nonce) = response.headers().get("dpop-nonce") {
            *self.nonce.lock().unwrap() = Some(nonce.to_str().unwrap().to_owned());
        }
        response
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[])
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send("POST", path, Some(serde_json::to_vec(body).unwrap()), &[])
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None, &[])
    }

    /// A DSSE envelope over these bytes by this client's key.
    pub(crate) fn envelope(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        signed.extend_from_slice(payload);
        let signature = EnvelopeSignature {
            keyid: format!("ed25519:{}", self.thumbprint()),
            sig: STANDARD.encode(self.key.sign(&signed).as_ref()),
        };
        Envelope {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![signature],
        }
    }

    pub(crate) fn plan(&self, query: &Query, format: Format, reason: &str) -> Answer {
        self.post(
            "/v1/plans",
            &PlanRequest {
                query: query.clone(),
                format,
                reason: reason.to_owned(),
                ticket: None,
                break_glass: false,
                standing: None,
                window: None,
            },
        )
    }

    /// Signs and submits what a plan answered.
    pub(crate) fn submit(&self, plan: &PlanAnswer) -> Answer {
        let document = plan.document.as_deref().unwrap_or_else(|| panic!("denied: {plan:?}"));
        self.post(
            "/v1/requests",
            &SubmitRequest {
                envelope: self.envelope(REQUEST_PAYLOAD_TYPE, document.as_bytes()),
            },
        )
    }

    /// Plans, signs, submits.
    #[track_caller]
    pub(crate) fn request(&self, query: &Query, format: Format) -> RequestView {
        let plan: PlanAnswer = self.plan(query, format, "a test asks").json();
        self.submit(&plan).json()
    }

    /// Asks in an emergency.
    #[track_caller]
    pub(crate) fn break_glass(&self, query: &Query, format: Format) -> RequestView {
        let asked = PlanRequest {
            query: query.clone(),
            format,
            reason: "a test breaks the glass".to_owned(),
            ticket: Some("INC-1".to_owned()),
            break_glass: true,
            standing: None,
            window: None,
        };
        let plan: PlanAnswer = self.post("/v1/plans", &asked).json();
        self.submit(&plan).json()
    }

    #[track_caller]
    pub(crate) fn show(&self, request: &RequestView) -> RequestView {
        self.get(&format!("/v1/requests/{}", request.id)).json()
    }

    /// The verdict this person would sign over the request.
    pub(crate) fn verdict(&self, request: &RequestView, verdict: Verdict, reason: &str) -> ReviewDocument {
        let person = self.tokens().person;
        ReviewDocument {
            v: 1,
            request: request.id.clone(),
            digest: request.digest.clone(),
            verdict,
            reason: reason.to_owned(),
            issuer: person.issuer,
            subject: person.subject,
            key: self.thumbprint(),
            signed_ms: now_ms(),
        }
    }

    pub(crate) fn send_verdict(&self, request: &RequestView, document: &ReviewDocument) -> Answer {
        self.try_send_verdict(request, document)
            .unwrap_or_else(|error| panic!("the verdict on {}: {error}", request.id))
    }

    /// As [`Api::send_verdict`], for a broker that may not be there.
    pub(crate) fn try_send_verdict(&self, request: &RequestView, document: &ReviewDocument) -> Result<Answer, String> {
        let payload = canonical(&serde_json::to_value(document).unwrap());
        let envelope = self.envelope(REVIEW_PAYLOAD_TYPE, payload.as_bytes());
        let body = serde_json::to_vec(&SubmitReview { envelope, ssh: None }).unwrap();
        self.try_send("POST", &format!("/v1/requests/{}/reviews", request.id), Some(body), &[])
    }

    pub(crate) fn review(&self, request: &RequestView, verdict: Verdict) -> Answer {
        self.send_verdict(request, &self.verdict(request, verdict, "looked at it"))
    }

    #[track_caller]
    pub(crate) fn approve(&self, request: &RequestView) -> RequestView {
        self.review(request, Verdict::Approve).json()
    }

    pub(crate) fn fetch(&self, request: &RequestView) -> Answer {
        self.send("POST", &format!("/v1/requests/{}/chunks/0", request.id), None, &[])
    }

    pub(crate) fn receipt(&self, request: &RequestView) -> Answer {
        self.get(&format!("/v1/requests/{}/receipt?chunk=0", request.id))
    }

    /// Every entry of the log, oldest first. Needs `audit_read`.
    pub(crate) fn entries(&self) -> Vec<chunk_wire::audit::EntryView> {
        let mut all = Vec::new();
        let mut before: Option<u64> = None;
        loop {
            let from = before.map(|index| format!("&before={index}")).unwrap_or_default();
            let page: chunk_wire::audit::EntryPage = self.get(&format!("/v1/audit/entries?limit=1000{from}")).json();
            all.extend(page.entries);
            before = page.next_before;
            if before.is_none() {
                all.reverse();
                return all;
            }
        }
    }
}

/// A slice of a dataset.
pub(crate) fn slice(dataset: &str, filter: Option<&str>, limit: Option<u64>) -> Query {
    Query::Slice {
        dataset: dataset.into(),
        columns: None,
        filter: filter.map(Into::into),
        order_by: None,
        limit,
        params: Params::new(),
    }
}

/// One SELECT.
pub(crate) fn select(text: &str) -> Query {
    Query::Sql {
        text: text.into(),
        params: Params::new(),
    }
}

/// Signs a person in at the identity provider by device code and returns the ID token.
pub(crate) fn id_token(issuer: &str, client: &str, person: &str) -> String {
    let http = wait(async { reqwest::Client::new() });
    let form = |path: &str, form: &[(&str, &str)]| -> Value {
        wait(async {
            http.post(format!("{issuer}{path}"))
                .form(form)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap()
        })
    };
    let device = form("/device/auth", &[("client_id", client), ("scope", "openid profile email groups")]);
    let (device_code, user_code) = (device["device_code"].as_str().unwrap(), device["user_code"].as_str().unwrap());
    browser::approve(issuer, user_code, person);
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let tokens = form(
        "/token",
        &[("grant_type", grant), ("client_id", client), ("device_code", device_code)],
    );
    tokens["id_token"]
        .as_str()
        .unwrap_or_else(|| panic!("no ID token: {tokens}"))
        .to_owned()
}

/// Canonical JSON as the product signs it: keys sorted, no space, and nothing that needs care in these tests (no floats).
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            let members: Vec<String> = names
                .iter()
                .map(|name| format!("{}:{}", json!(name), canonical(&members[*name])))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
