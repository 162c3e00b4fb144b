//! What is kept between two commands: the session's tokens and the key they are bound to.

use chunk_wire::session::{Person, SessionTokens};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::auth::keys::Key;
use crate::error::{Failure, Result};

/// A session, as kept in its slot.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Version of this form, 1.
    v: u32,
    /// Seed of the session's key, hex.
    seed: String,
    #[zeroize(skip)]
    pub(crate) broker: String,
    #[zeroize(skip)]
    pub(crate) session: String,
    pub(crate) access_token: String,
    pub(crate) access_expires_ms: i64,
    pub(crate) refresh_token: String,
    pub(crate) session_expires_ms: i64,
    #[zeroize(skip)]
    pub(crate) person: Person,
    /// Origin of the broker's log when the session was opened.
    #[zeroize(skip)]
    pub(crate) origin: String,
    /// Its verifier key.
    #[zeroize(skip)]
    pub(crate) log_key: String,
}

impl Credentials {
    pub(crate) fn new(broker: &str, seed: &[u8; 32], tokens: SessionTokens, origin: &str, log_key: &str) -> Self {
        Self {
            v: 1,
            seed: hex::encode(seed),
            broker: broker.to_owned(),
            session: tokens.session.to_string(),
            access_token: tokens.access_token,
            access_expires_ms: tokens.access_expires_ms,
            refresh_token: tokens.refresh_token,
            session_expires_ms: tokens.session_expires_ms,
            person: tokens.person,
            origin: origin.to_owned(),
            log_key: log_key.to_owned(),
        }
    }

    /// Takes over the tokens of a refresh.
    pub(crate) fn renew(&mut self, tokens: SessionTokens) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
        self.session = tokens.session.to_string();
        self.access_token = tokens.access_token;
        self.access_expires_ms = tokens.access_expires_ms;
        self.refresh_token = tokens.refresh_token;
        self.session_expires_ms = tokens.session_expires_ms;
        self.person = tokens.person;
    }

    /// The session's key.
    ///
    /// # Errors
    /// When what was kept is not a seed.
    pub(crate) fn key(&self) -> Result<Key> {
        let seed = Zeroizing::new(hex::decode(&self.seed).map_err(|_| damaged())?);
        Key::from_seed(&seed)
    }

    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(|_| Failure::bug("the session could not be written as JSON"))
    }

    /// # Errors
    /// When what was kept is of another form.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // The parser's words could quote a token, so they are not passed on.
        let read: Self = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        if read.v == 1 { Ok(read) } else { Err(damaged()) }
    }
}

fn damaged() -> Failure {
    Failure::sign_in("the kept session cannot be read").why("it was written by another version, or it is damaged")
}
