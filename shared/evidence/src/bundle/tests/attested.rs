//! Verdicts by keys that the identity provider vouches for.

use super::*;
use crate::attestation::tests::{CLIENT, HEADER, ISSUER, claims, jwks, token};
use crate::body::{Body, Group};
use crate::testing::{attest, set};
use crate::trust::BelievedIssuer;

/// Believes what this provider says to this client about people's keys, and nobody else.
pub(super) fn believing(log: &Log, client: &str, jwks: &str) -> TrustPolicy {
    TrustPolicy {
        reviewer_keys: ReviewerKeys::Pinned,
        issuers: vec![BelievedIssuer {
            issuer: ISSUER.into(),
            clients: vec![client.into()],
            jwks: jwks.into(),
        }],
        ..trust(log)
    }
}

/// A log in which bob, who signed in like this, approves.
pub(super) fn approved_by(change: impl FnOnce(&str, &mut Body)) -> Log {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in_as("bob", 2, change));
    log.deliver(&ada, &[&bob]);
    log
}

fn attested() -> Log {
    approved_by(|key, body| attest(body, &token(HEADER, &claims("bob", key))))
}

fn judged(log: &Log, policy: &TrustPolicy) -> (Answer, Vec<&'static str>) {
    let verification = verify_bundle(&Export::all(log).write(log), policy);
    (verification.answer, failed(&verification))
}

#[test]
fn a_verdict_counts_by_the_word_of_the_identity_provider_alone() {
    let log = attested();
    assert_eq!(judged(&log, &believing(&log, CLIENT, &jwks())), (Answer::True, vec![]));
    let nobody = TrustPolicy {
        issuers: Vec::new(),
        ..believing(&log, CLIENT, &jwks())
    };
    assert_eq!(judged(&log, &nobody).0, Answer::CannotTell);
    // What the provider says to somebody else's client, and what it said under keys that are not known, is not about this log.
    assert_eq!(judged(&log, &believing(&log, "other", &jwks())).0, Answer::CannotTell);
    let rotated = jwks().replace("\"k\"", "\"k2\"");
    assert_eq!(judged(&log, &believing(&log, CLIENT, &rotated)).0, Answer::CannotTell);
    // Nobody said anything of a key that only the log ascribes to the reviewer.
    let plain = approved_by(|_, _| {});
    assert_eq!(judged(&plain, &believing(&plain, CLIENT, &jwks())).0, Answer::CannotTell);
}

#[test]
fn a_key_of_which_the_provider_speaks_needs_no_pin() {
    let log = attested();
    let pin = PinnedKey::of_session(ISSUER, "bob", "of last year");
    let policy = TrustPolicy {
        pinned: vec![pin],
        ..believing(&log, CLIENT, &jwks())
    };
    assert_eq!(judged(&log, &policy), (Answer::True, vec![]));
    let pins_only = TrustPolicy {
        issuers: Vec::new(),
        ..policy
    };
    assert_eq!(judged(&log, &pins_only), (Answer::False, vec!["signatures"]));
}

#[test]
fn a_token_that_is_not_of_this_sign_in_is_false_whoever_is_believed() {
    let other = |subject: &str, key: &str| token(HEADER, &claims(subject, key));
    let logs = [
        ("another person", approved_by(|key, body| attest(body, &other("eve", key)))),
        ("another key", approved_by(|_, body| attest(body, &other("bob", "thumb")))),
        ("no token", approved_by(|_, body| attest(body, "a.b.c"))),
        (
            "another sign-in",
            approved_by(|key, body| {
                attest(body, &other("bob", key));
                set(body, Group::Out, "id_token", sha256_hex(b"x").into());
            }),
        ),
        (
            "a key that nobody attested",
            approved_by(|key, body| {
                attest(body, &other("bob", key));
                set(body, Group::Who, "key_attested", false.into());
            }),
        ),
        (
            "no text",
            approved_by(|key, body| {
                attest(body, &other("bob", key));
                set(body, Group::Why, "attestation", json!(7));
            }),
        ),
    ];
    for (what, log) in &logs {
        for policy in [trust(log), believing(log, CLIENT, &jwks())] {
            assert_eq!(judged(log, &policy), (Answer::False, vec!["signatures"]), "{what}");
        }
    }
}

#[test]
fn a_token_that_the_provider_did_not_sign_is_false_for_whoever_knows_its_keys() {
    let log = approved_by(|key, body| {
        let good = token(HEADER, &claims("bob", key));
        let (signed, _) = good.rsplit_once('.').unwrap();
        let (_, other) = token(HEADER, "{}")
            .rsplit_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        attest(body, &format!("{signed}.{other}"));
    });
    assert_eq!(judged(&log, &believing(&log, CLIENT, &jwks())), (Answer::False, vec!["signatures"]));
    assert_eq!(
        judged(&log, &trust(&log)).0,
        Answer::True,
        "who believes the log about keys looks at no token's signature"
    );
}

#[test]
fn below_level_4_nobody_sees_the_token() {
    let log = attested();
    let bob = Log::new().sign_in("bob", 2).thumbprint();
    let token = token(HEADER, &claims("bob", &bob));
    for level in 0..=LEVEL_MAX {
        let bundle = Export {
            level,
            ..Export::all(&log)
        }
        .write(&log);
        assert_eq!(
            String::from_utf8_lossy(&bundle).contains(&token),
            level == LEVEL_MAX,
            "level {level}"
        );
    }
}
