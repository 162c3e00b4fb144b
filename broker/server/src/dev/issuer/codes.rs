//! Authorization codes: from the page on which somebody was picked to the one token that a code gets (RFC 6749 §4.1, RFC 7636).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::people::DevPerson;
use super::grants::TooMany;

/// A code is good for this long (RFC 6749 §4.1.2 recommends ten minutes at most).
pub(super) const CODE_S: i64 = 60;
/// Codes that wait at once.
const CODES_MAX: usize = 1000;

/// What a code was asked for with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    /// SHA-256 of the verifier, base64url.
    pub(super) challenge: String,
    pub(super) nonce: String,
}

/// Somebody who was picked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) asked: Asked,
    pub(super) person: &'static DevPerson,
    pub(super) at_ms: i64,
}

/// All codes that are not yet over.
#[derive(Debug, Default)]
pub(super) struct Codes {
    by_code: HashMap<String, Picked>,
}

impl Codes {
    /// Keeps a fresh code.
    pub(super) fn keep(&mut self, code: String, asked: Asked, person: &'static DevPerson, now_ms: i64) -> Result<(), TooMany> {
        self.by_code.retain(|_, picked| picked.is_good(now_ms));
        if self.by_code.len() >= CODES_MAX {
            return Err(TooMany);
        }
        let picked = Picked {
            asked,
            person,
            at_ms: now_ms,
        };
        self.by_code.insert(code, picked);
        Ok(())
    }

    /// Takes a code: whoever shows it, and with whatever, it is gone. Nothing where it is not theirs.
    pub(super) fn take(&mut self, code: &str, client_id: &str, redirect_uri: &str, verifier: &str, now_ms: i64) -> Option<Picked> {
        let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        let picked = self.by_code.remove(code)?;
        let asked = &picked.asked;
        let fits = asked.client_id == client_id && asked.redirect_uri == redirect_uri && asked.challenge == challenge;
        (fits && picked.is_good(now_ms)).then_some(picked)
    }
}

impl Picked {
    fn is_good(&self, now_ms: i64) -> bool {
        now_ms < self.at_ms.saturating_add(CODE_S * 1000)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::dev::people::person;

    const BACK: &str = "http://127.0.0.1:5000/callback";

    fn kept() -> Codes {
        let mut codes = Codes::default();
        let asked = Asked {
            client_id: "chunkctl".into(),
            redirect_uri: BACK.into(),
            // RFC 7636, appendix B.
            challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
            nonce: "n".into(),
        };
        codes.keep("code".into(), asked, person("dana").unwrap(), 0).unwrap();
        codes
    }

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn a_code_is_good_once_for_a_minute() {
        let mut codes = kept();
        let picked = codes.take("code", "chunkctl", BACK, VERIFIER, CODE_S * 1000 - 1).unwrap();
        assert_eq!((picked.person.subject, picked.asked.nonce.as_str()), ("dana", "n"));
        assert_eq!(codes.take("code", "chunkctl", BACK, VERIFIER, 1), None);
        assert_eq!(kept().take("code", "chunkctl", BACK, VERIFIER, CODE_S * 1000), None);
    }

    #[test]
    fn whoever_shows_it_with_something_else_gets_nothing_and_ends_it() {
        for (client, back, verifier) in [
            ("other", BACK, VERIFIER),
            ("chunkctl", "http://127.0.0.1:5001/callback", VERIFIER),
            ("chunkctl", BACK, "another"),
        ] {
            let mut codes = kept();
            assert_eq!(codes.take("code", client, back, verifier, 1), None);
            assert_eq!(codes.take("code", "chunkctl", BACK, VERIFIER, 1), None, "it was shown");
        }
        assert_eq!(kept().take("another", "chunkctl", BACK, VERIFIER, 1), None);
    }

    #[test]
    fn codes_that_wait_are_bounded_and_old_ones_forgotten() {
        let mut codes = Codes::default();
        let asked = || kept().take("code", "chunkctl", BACK, VERIFIER, 1).unwrap().asked;
        for n in 0..CODES_MAX {
            codes.keep(n.to_string(), asked(), person("dana").unwrap(), 0).unwrap();
        }
        let one_more = |codes: &mut Codes, now_ms| codes.keep("more".into(), asked(), person("dana").unwrap(), now_ms);
        assert_eq!(one_more(&mut codes, 1), Err(TooMany));
        assert_eq!(one_more(&mut codes, CODE_S * 1000), Ok(()));
    }
}
