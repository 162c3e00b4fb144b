//! Device authorization grants (RFC 8628): from the code on the device's screen to the one answer it gets.
//!
//! Time and randomness are inputs, so that expiry and `slow_down` are tested without waiting.

use std::collections::HashMap;

use super::super::people::DevPerson;

/// A code is good for this long.
pub(super) const GRANT_S: i64 = 10 * 60;
/// Seconds a device must leave between two polls.
pub(super) const INTERVAL_S: i64 = 1;
/// What `slow_down` adds to it (RFC 8628 §3.5).
const SLOW_DOWN_S: i64 = 5;
/// A poll may come this much early: timers and sockets jitter.
const EARLY_MS_MAX: i64 = 200;
/// Grants that wait at once.
const GRANTS_MAX: usize = 1000;
/// Twenty letters that cannot spell a word nor be mistaken for a digit (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LENGTH: usize = 8;

/// All grants that are not yet over.
#[derive(Debug, Default)]
pub(super) struct Grants {
    by_device_code: HashMap<String, Grant>,
}

#[derive(Debug)]
struct Grant {
    user_code: String,
    client_id: String,
    expires_ms: i64,
    interval_s: i64,
    polled_ms: Option<i64>,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Waiting,
    Denied,
    Allowed { person: &'static DevPerson, at_ms: i64 },
}

/// Somebody was picked; a token may be issued, once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) person: &'static DevPerson,
    pub(super) client_id: String,
    pub(super) at_ms: i64,
}

/// Why a poll gets no token; each is the OAuth error code of RFC 8628 §3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotYet {
    #[error("authorization_pending")]
    Pending,
    #[error("slow_down")]
    SlowDown,
    #[error("access_denied")]
    Denied,
    #[error("expired_token")]
    Expired,
    #[error("invalid_grant")]
    Unknown,
}

/// Too many devices wait.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins wait; each ends after ten minutes")]
pub(super) struct TooMany;

impl Grants {
    /// Opens a grant under a fresh device code and user code.
    pub(super) fn open(&mut self, device_code: String, user_code: String, client_id: String, now_ms: i64) -> Result<(), TooMany> {
        // Kept a while beyond their end, so that a late poll hears `expired_token` and not `invalid_grant`.
        self.by_device_code
            .retain(|_, grant| now_ms < grant.expires_ms.saturating_add(GRANT_S * 1000));
        if self.by_device_code.len() >= GRANTS_MAX {
            return Err(TooMany);
        }
        let expires_ms = now_ms.saturating_add(GRANT_S * 1000);
        let grant = Grant {
            user_code,
            client_id,
            expires_ms,
            interval_s: INTERVAL_S,
            polled_ms: None,
            answer: Answer::Waiting,
        };
        self.by_device_code.insert(device_code, grant);
        Ok(())
    }

    /// The client that waits under this user code.
    pub(super) fn waiting(&self, user_code: &str, now_ms: i64) -> Option<&str> {
        self.by_device_code
            .values()
            .find(|grant| grant.user_code == user_code && grant.answer == Answer::Waiting && now_ms < grant.expires_ms)
            .map(|grant| grant.client_id.as_str())
    }

    /// Answers the grant with this user code: `person` signs in, or nobody does. False when none waits under it.
    pub(super) fn decide(&mut self, user_code: &str, person: Option<&'static DevPerson>, now_ms: i64) -> bool {
        let waiting = self
            .by_device_code
            .values_mut()
            .find(|grant| grant.user_code == user_code && grant.answer == Answer::Waiting && now_ms < grant.expires_ms);
        let Some(grant) = waiting else { return false };
        grant.answer = person.map_or(Answer::Denied, |person| Answer::Allowed { person, at_ms: now_ms });
        true
    }

    /// One poll of the token endpoint. An allowed grant is taken: the second poll finds nothing.
    pub(super) fn poll(&mut self, device_code: &str, client_id: &str, now_ms: i64) -> Result<Allowed, NotYet> {
        let grant = self
            .by_device_code
            .get_mut(device_code)
            .filter(|grant| grant.client_id == client_id)
            .ok_or(NotYet::Unknown)?;
        if now_ms >= grant.expires_ms {
            return Err(NotYet::Expired);
        }
        let earliest_ms = grant
            .polled_ms
            .map(|polled_ms| polled_ms.saturating_add(grant.interval_s * 1000 - EARLY_MS_MAX));
        grant.polled_ms = Some(now_ms);
        if earliest_ms.is_some_and(|earliest_ms| now_ms < earliest_ms) {
            grant.interval_s = grant.interval_s.saturating_add(SLOW_DOWN_S);
            return Err(NotYet::SlowDown);
        }
        match grant.answer {
            Answer::Waiting => Err(NotYet::Pending),
            Answer::Denied => Err(NotYet::Denied),
            Answer::Allowed { person, at_ms } => {
                let client_id = grant.client_id.clone();
                self.by_device_code.remove(device_code);
                Ok(Allowed { person, client_id, at_ms })
            }
        }
    }
}

/// A user code from random bytes, or none when they are used up: bytes that would favour a letter are skipped.
pub(super) fn user_code(random: &[u8]) -> Option<String> {
    let unbiased = u8::try_from(256 - 256 % USER_CODE_LETTERS.len()).ok()?;
    let letters = random.iter().filter(|byte| **byte < unbiased);
    let letters = letters.filter_map(|byte| USER_CODE_LETTERS.get(usize::from(*byte) % USER_CODE_LETTERS.len()));
    let mut code = String::with_capacity(USER_CODE_LENGTH + 1);
    for letter in letters.take(USER_CODE_LENGTH) {
        if code.len() == USER_CODE_LENGTH / 2 {
            code.push('-');
        }
        code.push(char::from(*letter));
    }
    (code.len() == USER_CODE_LENGTH + 1).then_some(code)
}

/// The code as typed by a person, as it was issued: case, spaces and hyphens do not matter.
pub(super) fn normalised(typed: &str) -> Option<String> {
    let letters: Vec<u8> = typed
        .bytes()
        .filter(|b| b.is_ascii_alphanumeric())
        .map(|b| b.to_ascii_uppercase())
        .collect();
    if letters.len() != USER_CODE_LENGTH || !letters.iter().all(|letter| USER_CODE_LETTERS.contains(letter)) {
        return None;
    }
    let (first, second) = letters.split_at(USER_CODE_LENGTH / 2);
    Some(format!("{}-{}", String::from_utf8_lossy(first), String::from_utf8_lossy(second)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::dev::people::person;

    fn open() -> Grants {
        let mut grants = Grants::default();
        grants.open("device".into(), "BCDF-GHJK".into(), "chunkctl".into(), 0).unwrap();
        grants
    }

    #[test]
    fn a_grant_is_pending_until_somebody_is_picked_and_good_once() {
        let mut grants = open();
        assert_eq!(grants.poll("device", "chunkctl", 0), Err(NotYet::Pending));
        assert_eq!(grants.waiting("BCDF-GHJK", 10), Some("chunkctl"));
        assert!(grants.decide("BCDF-GHJK", person("dana"), 500));
        assert!(!grants.decide("BCDF-GHJK", person("rey"), 600), "decided once");
        let allowed = grants.poll("device", "chunkctl", 1000).unwrap();
        assert_eq!((allowed.person.subject, allowed.at_ms), ("dana", 500));
        assert_eq!(grants.poll("device", "chunkctl", 2000), Err(NotYet::Unknown));
    }

    #[test]
    fn polling_early_is_told_to_slow_down_by_five_more_seconds() {
        let mut grants = open();
        assert_eq!(grants.poll("device", "chunkctl", 0), Err(NotYet::Pending));
        assert_eq!(grants.poll("device", "chunkctl", 500), Err(NotYet::SlowDown));
        assert_eq!(grants.poll("device", "chunkctl", 2500), Err(NotYet::SlowDown), "six seconds now");
        assert_eq!(grants.poll("device", "chunkctl", 2500 + 11_000), Err(NotYet::Pending));
    }

    #[test]
    fn a_code_ends_after_ten_minutes_and_a_denial_is_said() {
        let mut grants = open();
        assert!(!grants.decide("BCDF-GHJK", person("dana"), GRANT_S * 1000));
        assert_eq!(grants.poll("device", "chunkctl", GRANT_S * 1000), Err(NotYet::Expired));
        let mut grants = open();
        assert!(grants.decide("BCDF-GHJK", None, 1));
        assert_eq!(grants.poll("device", "chunkctl", 2), Err(NotYet::Denied));
    }

    #[test]
    fn another_client_cannot_use_the_code() {
        let mut grants = open();
        assert_eq!(grants.poll("device", "other", 0), Err(NotYet::Unknown));
        assert_eq!(grants.poll("nothing", "chunkctl", 0), Err(NotYet::Unknown));
    }

    #[test]
    fn waiting_sign_ins_are_bounded_and_old_ones_forgotten() {
        let mut grants = Grants::default();
        for i in 0..GRANTS_MAX {
            grants.open(format!("d{i}"), format!("u{i}"), "chunkctl".into(), 0).unwrap();
        }
        assert_eq!(grants.open("one more".into(), "u".into(), "chunkctl".into(), 1), Err(TooMany));
        assert_eq!(
            grants.open("one more".into(), "u".into(), "chunkctl".into(), 2 * GRANT_S * 1000),
            Ok(())
        );
    }

    #[test]
    fn a_user_code_reads_back_however_it_is_typed() {
        let code = user_code(&[255, 0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        assert_eq!(code, "BCDF-GHJK");
        assert_eq!(user_code(&[250; 64]), None, "bytes that would favour a letter are not used");
        for typed in ["bcdf-ghjk", "BCDFGHJK", " bcdf ghjk "] {
            assert_eq!(normalised(typed).as_deref(), Some("BCDF-GHJK"));
        }
        assert_eq!(normalised("BCDF-GHJA"), None);
        assert_eq!(normalised("<script>"), None);
    }
}
