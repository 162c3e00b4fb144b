//! How does the program talk to the broker?
//!
//! Every call under a session carries a proof of possession made for it alone. The broker's nonce is remembered and a call is
//! repeated once when it is stale; a session is renewed once when its access token has ended. Nothing is ever repeated a
//! second time, and no redirect is followed, since a proof is for one address.

pub(crate) mod connection;
pub(crate) mod events;
pub(crate) mod session;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod scripted;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

use chunk_wire::DPOP_SCHEME;
use chunk_wire::dpop::{ProofClaims, access_token_hash};
use chunk_wire::problem::{Code, Problem};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::keys::{Key, random_id};
use crate::config::BrokerUrl;
use crate::error::{Exit, Failure, Result};
use crate::figures;

/// A broker, reached without a session.
pub(crate) struct Broker {
    pub(crate) url: BrokerUrl,
    http: reqwest::Client,
    nonce: RefCell<Option<String>>,
    /// The broker's clock minus ours, as its answers show it. Proofs are dated by the broker's clock.
    skew_s: Cell<i64>,
}

/// One call of a route.
pub(crate) struct Call {
    method: Method,
    url: url::Url,
    body: Option<Vec<u8>>,
    content_type: &'static str,
    accept: &'static str,
    /// How long the whole answer may take; none for streams.
    timeout: Option<Duration>,
}

/// What proves that the caller may call.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// A public route.
    None,
    /// Possession of a key.
    Key(&'a Key),
    /// A session: possession of its key, and its access token.
    Session(&'a Key, &'a str),
}

/// No JSON answer is larger; the bound keeps a hostile broker from filling memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

impl Broker {
    /// # Errors
    /// When the certificate file cannot be used.
    pub(crate) fn new(url: BrokerUrl, ca_file: Option<&Path>) -> Result<Self> {
        let http = connection::client(url.is_plain(), ca_file)?;
        Ok(Self {
            url,
            http,
            nonce: RefCell::new(None),
            skew_s: Cell::new(0),
        })
    }

    /// A call that reads.
    pub(crate) fn get(&self, segments: &[&str]) -> Call {
        self.call(Method::GET, segments)
    }

    /// A call that asks for something to happen.
    pub(crate) fn post(&self, segments: &[&str]) -> Call {
        self.call(Method::POST, segments)
    }

    /// A call that ends something.
    pub(crate) fn delete(&self, segments: &[&str]) -> Call {
        self.call(Method::DELETE, segments)
    }

    fn call(&self, method: Method, segments: &[&str]) -> Call {
        Call {
            method,
            url: self.url.route(segments),
            body: None,
            content_type: "application/json",
            accept: "application/json",
            timeout: Some(ANSWER_TIMEOUT),
        }
    }

    /// Sends a call; once more if the broker asked for its nonce.
    ///
    /// # Errors
    /// When the broker cannot be reached, or says no.
    pub(crate) async fn send(&self, call: &Call, proof: Proof<'_>) -> Result<Response> {
        let skew_before = self.skew_s.get();
        let first = match self.send_once(call, proof).await {
            Err(failure) => failure,
            done => return done,
        };
        let clock_was_off = first.is(Code::InvalidDpopProof) && self.skew_s.get() != skew_before;
        if !matches!(proof, Proof::None) && (first.is(Code::UseDpopNonce) || clock_was_off) {
            return self.send_once(call, proof).await;
        }
        Err(first)
    }

    /// Sends a call and reads its JSON answer.
    ///
    /// # Errors
    /// As [`Broker::send`], and when the answer is not of the expected form.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call, proof: Proof<'_>) -> Result<T> {
        read_json(self.send(call, proof).await?).await
    }

    async fn send_once(&self, call: &Call, proof: Proof<'_>) -> Result<Response> {
        let mut request = self.http.request(call.method.clone(), call.url.clone()).header(ACCEPT, call.accept);
        if let Some(timeout) = call.timeout {
            request = request.timeout(timeout);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, call.content_type).body(body.clone());
        } else if call.method == Method::POST {
            request = request.body(Vec::new()); // some proxies refuse a POST without a length
        }
        let (key, token) = match proof {
            Proof::None => (None, None),
            Proof::Key(key) => (Some(key), None),
            Proof::Session(key, token) => (Some(key), Some(token)),
        };
        if let Some(key) = key {
            request = request.header("DPoP", key.prove(&self.claims(call, token)?));
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("{DPOP_SCHEME} {token}"));
        }
        let response = request
            .send()
            .await
            .map_err(|error| connection::unreachable(self.url.as_str(), &error))?;
        self.learn(response.headers());
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal(response).await)
        }
    }

    /// What time it is there, as far as its answers have told. Expiries are by the broker's clock.
    pub(crate) fn now_ms(&self) -> i64 {
        figures::now_ms() + self.skew_s.get() * 1000
    }

    fn claims(&self, call: &Call, token: Option<&str>) -> Result<ProofClaims> {
        let mut target = call.url.clone();
        target.set_query(None);
        Ok(ProofClaims {
            jti: random_id()?,
            htm: call.method.as_str().to_owned(),
            htu: target.to_string(),
            iat: figures::now_ms() / 1000 + self.skew_s.get(),
            ath: token.map(access_token_hash),
            nonce: self.nonce.borrow().clone(),
        })
    }

    /// Keeps what every answer teaches: the next nonce, and what time it is there.
    fn learn(&self, headers: &HeaderMap) {
        const SKEW_IGNORED_S: i64 = 5;
        if let Some(nonce) = headers.get("DPoP-Nonce").and_then(|value| value.to_str().ok()) {
            self.nonce.replace(Some(nonce.to_owned()));
        }
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        if let Some(there) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            let skew_s = there.timestamp().as_second() - figures::now_ms() / 1000;
            self.skew_s.set(if skew_s.abs() > SKEW_IGNORED_S { skew_s } else { 0 });
        }
    }
}

impl Call {
    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds the members of a flat structure as query parameters.
    ///
    /// # Errors
    /// When it is not flat.
    pub(crate) fn query_of(mut self, parameters: &impl Serialize) -> Result<Self> {
        let value = serde_json::to_value(parameters).map_err(|_| Failure::bug("a query could not be written"))?;
        for (name, value) in value.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self = self.query(name, &text);
        }
        Ok(self)
    }

    /// Sets the JSON body.
    ///
    /// # Errors
    /// Never for the wire's types.
    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(serde_json::to_vec(body).map_err(|_| Failure::bug("a body could not be written as JSON"))?);
        Ok(self)
    }

    /// Sets the members of a flat structure of texts as the body, as a form.
    ///
    /// # Errors
    /// When it is not flat.
    pub(crate) fn form(mut self, form: &impl Serialize) -> Result<Self> {
        let value = serde_json::to_value(form).map_err(|_| Failure::bug("a form could not be written"))?;
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in value.as_object().into_iter().flatten() {
            body.append_pair(name, value.as_str().ok_or_else(|| Failure::bug("a form holds texts only"))?);
        }
        self.body = Some(body.finish().into_bytes());
        self.content_type = "application/x-www-form-urlencoded";
        Ok(self)
    }

    /// Asks for a stream of this type, which may take as long as it takes.
    pub(crate) fn stream(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self.timeout = None;
        self
    }
}

/// Reads a JSON answer.
///
/// # Errors
/// When it is cut, too large, or of another form.
pub(crate) async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T> {
    let bytes = read_bytes(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(
            Exit::CannotTell,
            "unexpected_answer",
            "the broker's answer is not of the form this version expects",
        )
        .why(format!("at line {}, column {} of the answer", error.line(), error.column()))
        .hint("chunkctl doctor")
    })
}

/// Reads an answer that fits memory.
///
/// # Errors
/// When it is cut or too large.
pub(crate) async fn read_bytes(mut response: Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
        if bytes.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(Failure::cannot_tell(
                "unexpected_answer",
                "the broker's answer is too large to be one",
            ));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// What a refusal says: the broker's own problem, or that something else answered.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let request_id = response
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    match read_bytes(response)
        .await
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok())
    {
        Some(mut problem) => {
            problem.request_id = problem.request_id.or(request_id).filter(|_| problem.status >= 500);
            Failure::from(problem)
        }
        None => {
            let failure = Failure::cannot_tell(
                "unexpected_answer",
                format!("something that is no broker answered with status {}", status.as_u16()),
            );
            if status.is_redirection() {
                return failure.why("it redirects elsewhere, and a proof is for one address only; use the broker's public address");
            }
            failure.why("a proxy in between, or a wrong address").hint("chunkctl doctor")
        }
    }
}
