//! What an auditor believes before looking: the trust policy. It comes from the auditor's own file, never from the evidence.

use serde::Deserialize;

use crate::attestation::{IdToken, Provider};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::cosignature::{WitnessPolicy, WitnessPolicyError};
use crate::note::VerifierKey;
use crate::timestamp::{Certificate, StampError};

/// The auditor's file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustPolicy {
    /// Origin of the log.
    pub origin: String,
    /// Verifier keys of the log: the present one and those it had before.
    pub log_keys: Vec<String>,
    /// The newest checkpoint the auditor has kept, as the whole signed note.
    #[serde(default)]
    pub last_checkpoint: Option<String>,
    /// Verifier keys of witnesses; whatever they are asked about must be cosigned.
    #[serde(default)]
    pub witnesses: Vec<String>,
    /// How many of them must have; all, when it is not said.
    #[serde(default)]
    pub witness_quorum: Option<usize>,
    /// Certificates of those who stamp time, PEM or the base64 of DER: the signers' own, for nothing is chained to a root.
    #[serde(default)]
    pub timestamp_authorities: Vec<String>,
    /// How many entries at the end of a range their newest stamp may leave uncovered; any number, when it is not said.
    #[serde(default)]
    pub unstamped_entries_max: Option<u64>,
    /// Who vouches for the keys that verdicts are signed with.
    #[serde(default)]
    pub reviewer_keys: ReviewerKeys,
    /// Keys the auditor has learned from the people themselves.
    #[serde(default)]
    pub pinned: Vec<PinnedKey>,
    /// Identity providers whose word the auditor takes for who holds which key.
    #[serde(default, rename = "issuer")]
    pub issuers: Vec<BelievedIssuer>,
}

/// Who vouches that a key is a reviewer's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewerKeys {
    /// Only the auditor's own list; a verdict by any other key cannot be judged.
    #[default]
    Pinned,
    /// The log's `session.open` entries, that is, the operator, are believed.
    Session,
}

/// A person's key, pinned by the auditor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedKey {
    /// Issuer.
    pub issuer: String,
    /// Subject.
    pub subject: String,
    /// RFC 7638 thumbprint of the key of a session.
    #[serde(default)]
    pub thumbprint: Option<String>,
    /// Fingerprint of an SSH key, as `ssh-keygen -l` shows it.
    #[serde(default)]
    pub ssh_key: Option<String>,
}

/// An identity provider that the auditor believes about people's keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BelievedIssuer {
    /// Issuer.
    pub issuer: String,
    /// Ids that the broker has there, present and past.
    pub clients: Vec<String>,
    /// Its keys, present and past: a JWK set as it publishes one.
    pub jwks: String,
}

/// What is wrong with a trust policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No log key.
    #[error("the trust policy names no log key")]
    NoKeys,
    /// A log key is malformed or of another origin.
    #[error("log key {0} of the trust policy is not a verifier key of its origin")]
    LogKey(usize),
    /// The last checkpoint is malformed, of another origin, or not signed by a log key.
    #[error("the last checkpoint of the trust policy is not one of this log, signed by one of its keys")]
    LastCheckpoint,
    /// A certificate of somebody who stamps time is none.
    #[error("time-stamp authority {0} of the trust policy: {1}")]
    Authority(usize, StampError),
    /// There is a bound on what is not stamped, and nobody who stamps.
    #[error("the trust policy has `unstamped_entries_max` and names no `timestamp_authorities`")]
    NoAuthorities,
    /// The witnesses are no list of witnesses, or their quorum does not fit.
    #[error("the witnesses of the trust policy: {0}")]
    Witnesses(#[from] WitnessPolicyError),
    /// An identity provider stands there twice, or without a client or a key that could be used.
    #[error("issuer {0} of the trust policy stands there twice, or names no client, or no key that can be used")]
    Issuer(usize),
    /// A pinned key is neither a session's nor an SSH key, or both.
    #[error("pinned key {0} of the trust policy has not either a `thumbprint` or an `ssh_key` (`SHA256:…`)")]
    Pinned(usize),
}

/// A trust policy whose parts have been read.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) origin: String,
    pub(crate) keys: Vec<VerifierKey>,
    pub(crate) last: Option<Checkpoint>,
    pub(crate) witnesses: WitnessPolicy,
    pub(crate) authorities: Vec<Certificate>,
    pub(crate) unstamped_entries_max: Option<u64>,
    reviewer_keys: ReviewerKeys,
    pinned: Vec<PinnedKey>,
    providers: Vec<Provider>,
}

impl TrustPolicy {
    /// A policy that trusts one log key and believes the log about reviewers' keys.
    #[must_use]
    pub fn of_key(key: &VerifierKey) -> Self {
        Self {
            origin: key.name().to_owned(),
            log_keys: vec![key.to_text()],
            last_checkpoint: None,
            witnesses: Vec::new(),
            witness_quorum: None,
            timestamp_authorities: Vec::new(),
            unstamped_entries_max: None,
            reviewer_keys: ReviewerKeys::Session,
            pinned: Vec::new(),
            issuers: Vec::new(),
        }
    }

    /// The witnesses that are believed.
    ///
    /// # Errors
    /// When one of them is none or stands there twice, or the quorum does not fit.
    pub fn witnesses(&self) -> Result<WitnessPolicy, WitnessPolicyError> {
        WitnessPolicy::new(&self.witnesses, self.witness_quorum.unwrap_or(self.witnesses.len()))
    }

    /// What it says about the key, and the SSH key where one signed as well, of a verdict by this person.
    #[must_use]
    pub fn vouches(&self, issuer: &str, subject: &str, thumbprint: &str, ssh_key: Option<&str>) -> Vouched {
        vouched(self.reviewer_keys, &self.pinned, (issuer, subject), thumbprint, ssh_key)
    }

    /// Reads keys and checkpoint.
    ///
    /// # Errors
    /// When one of them is not what it should be.
    pub fn check(&self) -> Result<Trust, TrustError> {
        if self.log_keys.is_empty() {
            return Err(TrustError::NoKeys);
        }
        let mut keys = Vec::new();
        for (n, text) in self.log_keys.iter().enumerate() {
            let key = VerifierKey::parse(text.trim()).ok().filter(|key| key.name() == self.origin);
            keys.push(key.ok_or(TrustError::LogKey(n))?);
        }
        let last = match &self.last_checkpoint {
            None => None,
            Some(text) => {
                let signed = SignedCheckpoint::parse(text).map_err(|_| TrustError::LastCheckpoint)?;
                Some(signed.verify(&keys).map_err(|_| TrustError::LastCheckpoint)?.0.clone())
            }
        };
        if self.unstamped_entries_max.is_some() && self.timestamp_authorities.is_empty() {
            return Err(TrustError::NoAuthorities);
        }
        if let Some(none) = self.pinned.iter().position(|pin| !pin.is_one_key()) {
            return Err(TrustError::Pinned(none));
        }
        let mut providers: Vec<Provider> = Vec::new();
        for (n, issuer) in self.issuers.iter().enumerate() {
            let provider = Provider::read(&issuer.issuer, &issuer.clients, &issuer.jwks);
            let known = providers.iter().any(|known| known.issuer == issuer.issuer);
            providers.push(provider.filter(|_| !known).ok_or(TrustError::Issuer(n))?);
        }
        let authorities = self.timestamp_authorities.iter().enumerate();
        let authorities = authorities.map(|(n, text)| Certificate::parse(text).map_err(|fault| TrustError::Authority(n, fault)));
        Ok(Trust {
            origin: self.origin.clone(),
            keys,
            last,
            witnesses: self.witnesses()?,
            authorities: authorities.collect::<Result<_, _>>()?,
            unstamped_entries_max: self.unstamped_entries_max,
            reviewer_keys: self.reviewer_keys,
            pinned: self.pinned.clone(),
            providers,
        })
    }
}

impl Trust {
    /// Whether the identity provider that a token names has signed it; nothing where the auditor cannot tell.
    pub(crate) fn signed(&self, token: &IdToken<'_>) -> Option<bool> {
        self.providers
            .iter()
            .find(|provider| provider.issuer == token.issuer)
            .and_then(|provider| provider.signed(token))
    }

    /// Whether the auditor can judge a verdict by this person under this key, and by this SSH key where one signed it as well.
    #[must_use]
    pub(crate) fn vouches(&self, issuer: &str, subject: &str, thumbprint: &str, ssh_key: Option<&str>) -> Vouched {
        vouched(self.reviewer_keys, &self.pinned, (issuer, subject), thumbprint, ssh_key)
    }
}

fn vouched(believed: ReviewerKeys, pinned: &[PinnedKey], person: (&str, &str), thumbprint: &str, ssh_key: Option<&str>) -> Vouched {
    if believed == ReviewerKeys::Session {
        return Vouched::Yes;
    }
    let of_person = || pinned.iter().filter(|pin| (pin.issuer.as_str(), pin.subject.as_str()) == person);
    let sessions = || of_person().filter_map(|pin| pin.thumbprint.as_deref());
    let ssh = || of_person().filter_map(|pin| pin.ssh_key.as_deref());
    if sessions().any(|pin| pin == thumbprint) || ssh().any(|pin| Some(pin) == ssh_key) {
        return Vouched::Yes;
    }
    // Who is known by SSH keys alone may have judged without one: that is not known to be wrong.
    if sessions().next().is_some() || (ssh_key.is_some() && ssh().next().is_some()) {
        Vouched::OtherKey
    } else {
        Vouched::ByOperatorOnly
    }
}

impl PinnedKey {
    /// A session's key.
    #[must_use]
    pub fn of_session(issuer: &str, subject: &str, thumbprint: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            thumbprint: Some(thumbprint.to_owned()),
            ssh_key: None,
        }
    }

    /// An SSH key.
    #[must_use]
    pub fn of_ssh(issuer: &str, subject: &str, fingerprint: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            thumbprint: None,
            ssh_key: Some(fingerprint.to_owned()),
        }
    }

    fn is_one_key(&self) -> bool {
        let fingerprint = self
            .ssh_key
            .as_ref()
            .is_none_or(|key| key.starts_with("SHA256:") && key.len() == 50);
        self.thumbprint.is_some() != self.ssh_key.is_some() && fingerprint
    }
}

/// What the trust policy says about a reviewer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// It is theirs.
    Yes,
    /// Nothing; only the operator says it is theirs.
    ByOperatorOnly,
    /// The auditor knows other keys of this person, not this one.
    OtherKey,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use ring::signature::Ed25519KeyPair;

    fn policy() -> (TrustPolicy, Ed25519KeyPair) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        (
            TrustPolicy::of_key(&VerifierKey::new("o/d/1", crate::dsse::public_key(&pair)).unwrap()),
            pair,
        )
    }

    #[test]
    fn unknown_members_are_refused_and_reviewers_keys_must_be_pinned_by_default() {
        let json = serde_json::json!({"origin": "o/d/1", "log_keys": []});
        assert_eq!(
            serde_json::from_value::<TrustPolicy>(json).unwrap().reviewer_keys,
            ReviewerKeys::Pinned
        );
        assert!(serde_json::from_value::<TrustPolicy>(serde_json::json!({"origin": "o", "log_keys": [], "x": 1})).is_err());
    }

    #[test]
    fn keys_and_checkpoint_must_be_of_the_origin() {
        let (good, pair) = policy();
        assert!(good.check().is_ok());
        assert_eq!(
            TrustPolicy {
                log_keys: Vec::new(),
                ..good.clone()
            }
            .check()
            .unwrap_err(),
            TrustError::NoKeys
        );
        assert_eq!(
            TrustPolicy {
                origin: "other".into(),
                ..good.clone()
            }
            .check()
            .unwrap_err(),
            TrustError::LogKey(0)
        );
        let checkpoint = |origin: &str| {
            let checkpoint = Checkpoint {
                origin: origin.into(),
                size: 1,
                root: [1; 32],
            };
            Some(SignedCheckpoint::sign(&checkpoint, &pair).unwrap().text().to_owned())
        };
        assert!(
            TrustPolicy {
                last_checkpoint: checkpoint("o/d/1"),
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        let other = TrustPolicy {
            last_checkpoint: checkpoint("o/d/2"),
            ..good
        };
        assert_eq!(other.check().unwrap_err(), TrustError::LastCheckpoint);
    }

    #[test]
    fn a_bound_on_what_is_not_stamped_needs_somebody_who_stamps() {
        let (good, _) = policy();
        let bound = TrustPolicy {
            unstamped_entries_max: Some(0),
            ..good
        };
        assert_eq!(bound.check().unwrap_err(), TrustError::NoAuthorities);
    }

    #[test]
    fn witnesses_that_are_none_or_cannot_reach_their_quorum_make_no_policy() {
        let (good, _) = policy();
        let key = |name: &str, seed| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            crate::cosignature::WitnessKey::new(name, crate::dsse::public_key(&pair))
                .unwrap()
                .to_text()
        };
        let with = |witnesses: Vec<String>, witness_quorum| {
            TrustPolicy {
                witnesses,
                witness_quorum,
                ..good.clone()
            }
            .check()
        };
        // All of them, when no number is given.
        assert_eq!(with(vec![key("w1", 7), key("w2", 8)], None).unwrap().witnesses.quorum(), 2);
        assert_eq!(with(vec![key("w1", 7), key("w2", 8)], Some(1)).unwrap().witnesses.quorum(), 1);
        assert!(with(Vec::new(), None).unwrap().witnesses.is_empty());
        for (witnesses, quorum) in [
            (Vec::new(), Some(1)),
            (vec![key("w1", 7)], Some(0)),
            (vec![key("w1", 7)], Some(2)),
            (vec![key("w1", 7), key("w2", 7)], Some(1)),
            (vec!["nonsense".to_owned()], Some(1)),
        ] {
            assert!(matches!(with(witnesses, quorum).unwrap_err(), TrustError::Witnesses(_)));
        }
    }

    #[test]
    fn a_key_only_the_operator_vouches_for_is_told_from_one_known_to_be_wrong() {
        let (mut policy, _) = policy();
        policy.reviewer_keys = ReviewerKeys::Pinned;
        let (ssh, other) = (format!("SHA256:{}", "a".repeat(43)), format!("SHA256:{}", "b".repeat(43)));
        policy.pinned = vec![PinnedKey::of_session("i", "s", "t"), PinnedKey::of_ssh("i", "h", &ssh)];
        let trust = policy.check().unwrap();
        let vouches = |subject: &str, key: &str, ssh| trust.vouches("i", subject, key, ssh);
        assert_eq!(vouches("s", "t", None), Vouched::Yes);
        assert_eq!(vouches("s", "t", Some(&other)), Vouched::Yes);
        assert_eq!(vouches("s", "u", None), Vouched::OtherKey);
        assert_eq!(vouches("s", "u", Some(&ssh)), Vouched::OtherKey, "another person's key");
        assert_eq!(vouches("x", "t", None), Vouched::ByOperatorOnly);
        // With an SSH key, whatever session's key signs beside it.
        assert_eq!(vouches("h", "any", Some(&ssh)), Vouched::Yes);
        assert_eq!(vouches("h", "any", Some(&other)), Vouched::OtherKey);
        assert_eq!(vouches("h", "any", None), Vouched::ByOperatorOnly);
        policy.pinned = vec![
            PinnedKey::of_session("i", "s", "t"),
            PinnedKey::of_session("i", "h", "v"),
            PinnedKey::of_ssh("i", "h", &ssh),
        ];
        let trust = policy.check().unwrap();
        assert_eq!(trust.vouches("i", "h", "any", Some(&ssh)), Vouched::Yes);
        assert_eq!(trust.vouches("i", "h", "v", None), Vouched::Yes);
        assert_eq!(trust.vouches("i", "h", "any", None), Vouched::OtherKey);
    }

    #[test]
    fn a_pin_is_of_one_key() {
        let (mut policy, _) = policy();
        for (thumbprint, ssh_key) in [
            (None, None),
            (Some("t"), Some("SHA256:0123456789012345678901234567890123456789012")),
            (None, Some("t")),
        ] {
            policy.pinned = vec![PinnedKey {
                issuer: "i".into(),
                subject: "s".into(),
                thumbprint: thumbprint.map(Into::into),
                ssh_key: ssh_key.map(Into::into),
            }];
            assert_eq!(policy.check().unwrap_err(), TrustError::Pinned(0));
        }
    }
}
