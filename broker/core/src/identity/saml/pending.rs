//! Sign-ins that have begun and not ended: one code each, from the terminal that asked for it to the session that it becomes.
//!
//! They are in memory alone. A broker that stops forgets them, and an answer to a request that nobody remembers is refused.

use std::collections::HashMap;
use std::net::IpAddr;

use chunk_wire::session::ClientInfo;
use ring::digest;

use crate::identity::oidc::VerifiedIdentity;
use crate::limits::{SIGN_IN_ASKED_EVERY_S, SIGN_IN_S_MAX, SIGN_IN_TAKEN_S_MAX, SIGN_INS_WAITING_MAX, SIGN_INS_WAITING_OF_ONE_MAX};

/// A secret as it is kept: whoever reads the memory of a broker cannot use it.
pub(super) type Kept = [u8; 32];

/// How a secret is kept.
pub(super) fn kept(secret: &str) -> Kept {
    let mut kept = [0; 32];
    kept.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    kept
}

/// A sign-in, as the client that began it described itself.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) user_code: String,
    /// Entity id of the identity provider.
    pub(super) issuer: String,
    /// Thumbprint of the key that the session will be bound to.
    pub(super) key: String,
    pub(super) client: ClientInfo,
    pub(super) ip: IpAddr,
    /// The address that it is counted under.
    pub(super) counted_as: IpAddr,
    pub(super) begun_ms: i64,
}

#[derive(Debug)]
struct SignIn {
    begun: Begun,
    ends_ms: i64,
    asked_ms: Option<i64>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has confirmed the code.
    Waiting,
    /// Somebody did, and was sent to the identity provider.
    Sent(Sent),
    /// They came back, and this is who they are.
    SignedIn(Box<VerifiedIdentity>),
    /// They, or we, said no.
    Refused,
}

/// A browser that was sent to the identity provider.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) browser: Kept,
    pub(super) relay_state: Kept,
    /// Id of the request that it carries.
    pub(super) request: String,
}

/// What a client that asks is told.
#[derive(Debug)]
pub(super) enum Asked {
    /// There is no such code, or no longer.
    Expired,
    /// The code was given to another key.
    OtherKey,
    /// It asks too often.
    TooSoon,
    /// Not yet.
    Waiting,
    /// No.
    Refused,
    /// Yes, once: it is forgotten with this answer.
    SignedIn(Box<(VerifiedIdentity, ClientInfo)>),
}

/// Why a sign-in cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// There is no such code, or it has ended, or was used.
    Unknown,
    /// Another browser is signing in with it.
    OtherBrowser,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    /// By device code.
    waiting: HashMap<Kept, SignIn>,
    /// Assertions that have been used, with the time at which they end by themselves.
    used: HashMap<Kept, i64>,
}

impl SignIns {
    /// Takes one in; false where there is no room.
    pub(super) fn begin(&mut self, device_code: &str, begun: Begun) -> bool {
        let now_ms = begun.begun_ms;
        self.forget(now_ms);
        let of_one = self
            .waiting
            .values()
            .filter(|other| other.begun.counted_as == begun.counted_as)
            .count();
        let taken = self.waiting.values().any(|other| other.begun.user_code == begun.user_code);
        if taken || of_one >= SIGN_INS_WAITING_OF_ONE_MAX || self.waiting.len() >= SIGN_INS_WAITING_MAX {
            return false;
        }
        let sign_in = SignIn {
            ends_ms: now_ms.saturating_add(SIGN_IN_S_MAX * 1000),
            asked_ms: None,
            stage: Stage::Waiting,
            begun,
        };
        self.waiting.insert(kept(device_code), sign_in);
        true
    }

    /// What began with this code, while it can be confirmed by this browser.
    pub(super) fn look(&self, user_code: &str, browser: &Kept, now_ms: i64) -> Result<&Begun, Stuck> {
        let mut all = self.waiting.values();
        let sign_in = all.find(|sign_in| sign_in.begun.user_code == user_code && sign_in.ends_ms > now_ms);
        let sign_in = sign_in.ok_or(Stuck::Unknown)?;
        match &sign_in.stage {
            Stage::Waiting => Ok(&sign_in.begun),
            Stage::Sent(sent) if sent.browser == *browser => Ok(&sign_in.begun),
            Stage::Sent(_) => Err(Stuck::OtherBrowser),
            Stage::SignedIn(_) | Stage::Refused => Err(Stuck::Unknown),
        }
    }

    /// A browser that confirmed the code goes to the identity provider.
    pub(super) fn send(&mut self, user_code: &str, sent: Sent, now_ms: i64) -> Result<(), Stuck> {
        self.look(user_code, &sent.browser, now_ms)?;
        self.stage(user_code, Stage::Sent(sent));
        Ok(())
    }

    /// The person says no.
    pub(super) fn refuse(&mut self, user_code: &str, browser: &Kept, now_ms: i64) -> Result<(), Stuck> {
        self.look(user_code, browser, now_ms)?;
        self.stage(user_code, Stage::Refused);
        Ok(())
    }

    /// The sign-in that this browser was sent away for.
    pub(super) fn sent(&self, relay_state: &Kept, browser: &Kept, now_ms: i64) -> Result<(&Begun, &Sent), Stuck> {
        let mut all = self.waiting.values().filter(|sign_in| sign_in.ends_ms > now_ms);
        let found = all.find_map(|sign_in| match &sign_in.stage {
            Stage::Sent(sent) if sent.relay_state == *relay_state => Some((&sign_in.begun, sent)),
            _ => None,
        });
        let (begun, sent) = found.ok_or(Stuck::Unknown)?;
        if sent.browser == *browser {
            Ok((begun, sent))
        } else {
            Err(Stuck::OtherBrowser)
        }
    }

    /// How the identity provider's answer to a request was taken. The request is answered with that, whatever it was; false where it
    /// no longer is one that waits, or the assertion was used before.
    pub(super) fn answered(&mut self, request: &str, told: Option<(VerifiedIdentity, &str)>, now_ms: i64) -> bool {
        self.forget(now_ms);
        let mut all = self.waiting.values_mut();
        let Some(sign_in) = all.find(|sign_in| matches!(&sign_in.stage, Stage::Sent(sent) if sent.request == request)) else {
            return false;
        };
        sign_in.stage = Stage::Refused;
        let Some((identity, assertion)) = told else { return true };
        let ends_ms = identity.expires_at.saturating_mul(1000).max(now_ms).saturating_add(REMEMBERED_MS);
        let once = kept(&format!("{}\n{assertion}", identity.issuer));
        if self.used.len() >= SIGN_INS_WAITING_MAX || self.used.insert(once, ends_ms).is_some() {
            return false;
        }
        sign_in.ends_ms = sign_in.ends_ms.min(now_ms.saturating_add(SIGN_IN_TAKEN_S_MAX * 1000));
        sign_in.stage = Stage::SignedIn(Box::new(identity));
        true
    }

    /// A client asks whether the person has signed in.
    pub(super) fn ask(&mut self, device_code: &str, key: &str, now_ms: i64) -> Asked {
        self.forget(now_ms);
        let device_code = kept(device_code);
        let Some(sign_in) = self.waiting.get_mut(&device_code) else {
            return Asked::Expired;
        };
        if sign_in.begun.key != key {
            return Asked::OtherKey;
        }
        let soon = sign_in
            .asked_ms
            .is_some_and(|asked_ms| now_ms.saturating_sub(asked_ms) < ASKED_EVERY_MS);
        sign_in.asked_ms = Some(now_ms);
        match sign_in.stage {
            Stage::Waiting | Stage::Sent(_) if soon => return Asked::TooSoon,
            Stage::Waiting | Stage::Sent(_) => return Asked::Waiting,
            Stage::SignedIn(_) | Stage::Refused => {}
        }
        match self.waiting.remove(&device_code) {
            Some(SignIn {
                stage: Stage::SignedIn(identity),
                begun,
                ..
            }) => Asked::SignedIn(Box::new((*identity, begun.client))),
            _ => Asked::Refused,
        }
    }

    fn stage(&mut self, user_code: &str, stage: Stage) {
        if let Some(sign_in) = self.waiting.values_mut().find(|sign_in| sign_in.begun.user_code == user_code) {
            sign_in.stage = stage;
        }
    }

    fn forget(&mut self, now_ms: i64) {
        self.waiting.retain(|_, sign_in| sign_in.ends_ms > now_ms);
        self.used.retain(|_, ends_ms| *ends_ms > now_ms);
    }
}

/// Somewhat less than clients are told to wait: clocks are not that exact.
const ASKED_EVERY_MS: i64 = (SIGN_IN_ASKED_EVERY_S as i64) * 750;
/// An assertion is remembered for this long after its end: longer than clocks may differ.
const REMEMBERED_MS: i64 = 5 * 60 * 1000;
