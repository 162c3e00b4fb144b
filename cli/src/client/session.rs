//! A session in use: loads it, keeps it fresh without a word, and says `chunkctl login` when it has ended.

use std::cell::RefCell;

use chunk_wire::problem::Code;
use chunk_wire::session::{Person, RefreshSession, SessionTokens};
use reqwest::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::credentials::Credentials;
use crate::auth::keys::Key;
use crate::auth::vault::Vault;
use crate::client::{Broker, Call, Proof, read_json};
use crate::error::{Failure, Result};
use crate::figures;

/// An access token that ends within this is renewed first, so that a call does not fail half-way.
const RENEW_BEFORE_MS: i64 = 20_000;

/// A session with a broker.
pub(crate) struct Session<'a> {
    pub(crate) broker: Broker,
    vault: Vault<'a>,
    credentials: RefCell<Credentials>,
    key: Key,
}

impl<'a> Session<'a> {
    /// # Errors
    /// When the kept key cannot be used.
    pub(crate) fn new(broker: Broker, vault: Vault<'a>, credentials: Credentials) -> Result<Self> {
        let key = credentials.key()?;
        Ok(Self {
            broker,
            vault,
            credentials: RefCell::new(credentials),
            key,
        })
    }

    /// Who is signed in.
    pub(crate) fn person(&self) -> Person {
        self.credentials.borrow().person.clone()
    }

    /// Its id.
    pub(crate) fn id(&self) -> String {
        self.credentials.borrow().session.clone()
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Where it is kept.
    pub(crate) fn vault(&self) -> &Vault<'a> {
        &self.vault
    }

    /// Sends a call under this session, renewing it where needed.
    ///
    /// # Errors
    /// When the broker cannot be reached or says no.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response> {
        if self.credentials.borrow().access_expires_ms - RENEW_BEFORE_MS < figures::now_ms() {
            self.renew().await?;
        }
        match self.try_send(call).await {
            Err(failure) if failure.is(Code::Unauthenticated) => {
                self.renew().await?;
                self.try_send(call).await
            }
            done => done,
        }
    }

    /// Sends a call and reads its JSON answer.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        read_json(self.send(call).await?).await
    }

    /// Reads a route.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T> {
        self.json(&self.broker.get(segments)).await
    }

    /// Posts a body to a route.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub(crate) async fn post<T: DeserializeOwned>(&self, segments: &[&str], body: &impl Serialize) -> Result<T> {
        self.json(&self.broker.post(segments).body(body)?).await
    }

    async fn try_send(&self, call: &Call) -> Result<Response> {
        let token = zeroize::Zeroizing::new(self.credentials.borrow().access_token.clone());
        self.broker.send(call, Proof::Session(&self.key, &token)).await
    }

    /// Renews the tokens, or takes those another command has just renewed.
    async fn renew(&self) -> Result<()> {
        if self.credentials.borrow().refresh_token.is_empty() {
            return Err(Failure::sign_in("the session of this job has ended")
                .why("a job's session lives for minutes and is not renewed; a new token of the job opens another")
                .instead("chunkctl login --ci"));
        }
        let lock = self.vault.lock().await?;
        if let Some(kept) = self.vault.load()? {
            let mine = self.credentials.borrow().access_token.clone();
            if kept.access_token != mine && kept.session == self.id() && kept.access_expires_ms - RENEW_BEFORE_MS > figures::now_ms() {
                self.credentials.replace(kept);
                return Ok(());
            }
        }
        let body = RefreshSession {
            refresh_token: self.credentials.borrow().refresh_token.clone(),
        };
        let call = self.broker.post(&["v1", "sessions", "refresh"]).body(&body)?;
        let tokens: SessionTokens = match self.broker.json(&call, Proof::Key(&self.key)).await {
            Ok(tokens) => tokens,
            Err(failure) if failure.exit == crate::error::Exit::SignIn => {
                let mut ended = Failure::sign_in("the session has ended");
                ended.why = failure.why;
                return Err(ended);
            }
            Err(failure) => return Err(failure),
        };
        let mut renewed = self.credentials.borrow().clone();
        renewed.renew(tokens);
        self.vault.save(&renewed)?;
        self.credentials.replace(renewed);
        drop(lock);
        Ok(())
    }
}
