//! Verdicts that are signed with an enrolled SSH key as well.

use super::agreement::{Case, judged_alike};
use super::forged::copy;
use super::*;
use crate::body::{Body, Group};
use crate::sshsig::tests::Signer;
use crate::sshsig::{ENROLL_NAMESPACE, REVIEW_NAMESPACE};
use crate::testing::ssh::signed_with;
use crate::testing::{Actor, set};

/// A log in which bob approves with an SSH key, under a session of his own or of whoever has that session's key.
pub(super) fn approved(signer: &Signer) -> Log {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
    let enrolled = log.enroll(&bob, signer);
    let (request, document) = log.request(&ada, 1);
    let vote = log.review_ssh(&bob, request, &document, signer, enrolled);
    log.grant(&ada, request, &document, &[vote]);
    log.revoke_key(&bob, enrolled);
    log
}

/// Believes these pins, and nobody else, about whose a key is.
pub(super) fn pinning(log: &Log, pinned: Vec<PinnedKey>) -> TrustPolicy {
    TrustPolicy {
        reviewer_keys: ReviewerKeys::Pinned,
        pinned,
        ..trust(log)
    }
}

pub(super) fn ssh_pin(signer: &Signer) -> PinnedKey {
    PinnedKey::of_ssh("https://idp.example", "bob", &signer.key.fingerprint())
}

fn judged(log: &Log, pinned: Vec<PinnedKey>) -> (Answer, Vec<&'static str>) {
    let verification = verify_bundle(&Export::all(log).write(log), &pinning(log, pinned));
    (verification.answer, failed(&verification))
}

#[test]
fn with_a_pinned_ssh_key_no_sessions_key_need_be_known() {
    for signer in [Signer::new(51), Signer::on_token(52)] {
        let log = approved(&signer);
        assert_eq!(judged(&log, vec![ssh_pin(&signer)]), (Answer::True, vec![]));
        assert_eq!(judged(&log, vec![]).0, Answer::CannotTell, "only the log says whose it is");
        let other = ssh_pin(&Signer::new(53));
        assert_eq!(judged(&log, vec![other]), (Answer::False, vec!["signatures"]));
        assert_eq!(verify_bundle(&Export::all(&log).write(&log), &trust(&log)).answer, Answer::True);
        for level in 0..LEVEL_MAX {
            let export = Export {
                level,
                ..Export::all(&log)
            };
            assert_eq!(
                verify_bundle(&export.write(&log), &pinning(&log, vec![])).answer,
                Answer::True,
                "level {level}"
            );
        }
    }
}

#[test]
fn a_verdict_that_the_operator_makes_up_is_not_believed_by_whoever_pinned_the_ssh_key() {
    let signer = Signer::new(51);
    let mut log = Log::new();
    log.begin();
    // The operator has the log's key, and signs bob in with a key of their own.
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 9));
    log.deliver(&ada, &[&bob]);
    assert_eq!(judged(&log, vec![ssh_pin(&signer)]).0, Answer::CannotTell);
    let own = Signer::new(54);
    assert_eq!(judged(&approved(&own), vec![ssh_pin(&signer)]), (Answer::False, vec!["signatures"]));
}

#[test]
fn a_range_brings_the_enrolment_that_a_verdict_rests_on() {
    let signer = Signer::new(51);
    let log = approved(&signer);
    let from = log.first(Kind::ReviewApprove);
    for level in 2..=LEVEL_MAX {
        let export = Export {
            from,
            to: from + 1,
            level,
            ..Export::all(&log)
        };
        let verification = verify_bundle(&export.write(&log), &pinning(&log, vec![ssh_pin(&signer)]));
        assert_eq!(verification.answer, Answer::True, "level {level}: {:?}", verification.faults);
    }
}

#[test]
fn below_level_3_nobody_sees_whose_key_it_is() {
    let signer = Signer::new(51);
    let log = approved(&signer);
    for level in 0..=LEVEL_MAX {
        let export = Export {
            level,
            ..Export::all(&log)
        };
        let text = String::from_utf8_lossy(&export.write(&log)).into_owned();
        let row = crate::encode::b64(signer.key.fingerprint().as_bytes());
        let shown = text.contains(&signer.key.fingerprint()) || text.contains(row.get(4..40).unwrap());
        assert!(level >= 3 || !shown, "level {level}");
    }
}

fn case(what: &'static str, claims: &'static [&'static str], twist: impl FnOnce(&mut Log, &Actor, &Actor) + 'static) -> Case {
    (what, claims, Box::new(twist))
}

/// Ada asks, bob's key 51 is enrolled, and somebody changes what is recorded of his verdict with it.
fn verdict(
    what: &'static str,
    claims: &'static [&'static str],
    change: impl FnOnce(&str, &mut crate::leaf::Header, &mut Body) + 'static,
) -> Case {
    case(what, claims, |log, ada, bob| {
        let enrolled = log.enroll(bob, &Signer::new(51));
        let (request, document) = log.request(ada, 1);
        log.review_as(bob, request, &document, "approve", |signed, header, body| {
            signed_with(header, body, &Signer::new(51).sign(REVIEW_NAMESPACE, signed.as_bytes()), enrolled);
            change(signed, header, body);
        });
    })
}

/// Bob enrols key 51, and somebody changes what was signed or recorded.
fn enrolment(
    what: &'static str,
    claims: &'static [&'static str],
    change: impl FnOnce(&mut crate::enrolled::Enrolment, &mut Body) + 'static,
) -> Case {
    case(what, claims, |log, _, bob| {
        log.enroll_as(bob, &Signer::new(51), change);
    })
}

fn ssh_of(namespace: &str, signer: &Signer, message: &str) -> serde_json::Value {
    signer.sign(namespace, message.as_bytes()).to_text().into()
}

#[test]
fn both_verifiers_judge_ssh_verdicts_alike() {
    let cases = vec![
        verdict("as it should be", &[], |_, _, _| {}),
        verdict("of another namespace", &["signatures"], |signed, _, body| {
            set(body, Group::What, "ssh", ssh_of(ENROLL_NAMESPACE, &Signer::new(51), signed));
        }),
        verdict("over another payload", &["signatures"], |signed, _, body| {
            set(
                body,
                Group::What,
                "ssh",
                ssh_of(REVIEW_NAMESPACE, &Signer::new(51), &signed.replace("fine", "bad")),
            );
        }),
        verdict("by another key", &["signatures"], |signed, _, body| {
            set(body, Group::What, "ssh", ssh_of(REVIEW_NAMESPACE, &Signer::new(53), signed));
        }),
        verdict("by another key, and says so", &["people"], |signed, _, body| {
            set(body, Group::What, "ssh", ssh_of(REVIEW_NAMESPACE, &Signer::new(53), signed));
            set(body, Group::Who, "ssh_key", Signer::new(53).key.fingerprint().into());
        }),
        verdict("without the signature", &["signatures"], |_, _, body| {
            let mut what = body.get(Group::What).clone();
            what.as_object_mut().unwrap().remove("ssh");
            body.set(Group::What, what);
        }),
        verdict("without the key", &["closure", "signatures"], |_, _, body| {
            let mut who = body.get(Group::Who).clone();
            who.as_object_mut().unwrap().remove("ssh_key");
            body.set(Group::Who, who);
        }),
        verdict("without the enrolment", &["closure"], |_, header, _| {
            header.refs.pop();
        }),
        verdict("resting on something else", &["order"], |_, header, _| {
            header.refs[2] = header.refs[1];
        }),
        verdict("no text", &["signatures"], |_, _, body| set(body, Group::What, "ssh", json!(7))),
        case("a key that was taken back", &["closure"], |log, ada, bob| {
            let enrolled = log.enroll(bob, &Signer::new(51));
            log.revoke_key(bob, enrolled);
            let (request, document) = log.request(ada, 1);
            log.review_ssh(bob, request, &document, &Signer::new(51), enrolled);
        }),
        case("another person's key", &["closure"], |log, ada, bob| {
            let carol = log.sign_in("carol", 3);
            let enrolled = log.enroll(&carol, &Signer::new(51));
            let (request, document) = log.request(ada, 1);
            log.review_ssh(bob, request, &document, &Signer::new(51), enrolled);
        }),
        case("a token that nobody touched", &["signatures"], |log, ada, bob| {
            let enrolled = log.enroll(bob, &Signer::on_token(52));
            let (request, document) = log.request(ada, 1);
            log.review_as(bob, request, &document, "approve", |signed, header, body| {
                let untouched = Signer::on_token(52).sign_with(REVIEW_NAMESPACE, signed.as_bytes(), 4);
                signed_with(header, body, &untouched, enrolled);
            });
        }),
        case("a token that somebody touched", &[], |log, ada, bob| {
            let enrolled = log.enroll(bob, &Signer::on_token(52));
            let (request, document) = log.request(ada, 1);
            log.review_ssh(bob, request, &document, &Signer::on_token(52), enrolled);
        }),
        case("a session's key of somebody else beside it", &["signatures"], |log, ada, bob| {
            let enrolled = log.enroll(bob, &Signer::new(51));
            let (request, document) = log.request(ada, 1);
            log.review_ssh(&copy(bob, 9), request, &document, &Signer::new(51), enrolled);
        }),
        enrolment("an enrolment", &[], |_, _| {}),
        enrolment("for another person", &["signatures"], |statement, _| {
            statement.subject = "carol".into()
        }),
        enrolment("for another log", &["signatures"], |statement, _| statement.origin = "other".into()),
        enrolment("for another session", &["signatures"], |statement, _| statement.key = "k".into()),
        enrolment("of another version", &["signatures"], |statement, _| statement.v = 2),
        enrolment("of another key than it says", &["people", "signatures"], |_, body| {
            set(body, Group::Who, "ssh_key", Signer::new(53).key.fingerprint().into());
        }),
        enrolment("of another key than signed", &["signatures"], |_, body| {
            set(body, Group::Who, "ssh_key", Signer::new(53).key.fingerprint().into());
            set(body, Group::Who, "ssh_public_key", Signer::new(53).key.to_line().into());
        }),
        enrolment("signed for a verdict", &["signatures"], |_, body| {
            body.set(
                Group::Why,
                json!({"ssh": ssh_of(REVIEW_NAMESPACE, &Signer::new(51), "{}"), "statement": "{}"}),
            );
        }),
        enrolment("signed by nobody", &["signatures"], |_, body| {
            body.set(Group::Why, json!({"statement": "{}"}))
        }),
        case("enrolled twice", &["people"], |log, _, bob| {
            let enrolled = log.enroll(bob, &Signer::new(51));
            log.revoke_key(bob, enrolled);
            log.enroll(bob, &Signer::new(51));
        }),
        case("taken back twice", &["closure"], |log, ada, bob| {
            let enrolled = log.enroll(bob, &Signer::new(51));
            log.revoke_key(bob, enrolled);
            log.revoke_key(ada, enrolled);
        }),
        case("taken back before it was there", &["order"], |log, _, bob| {
            log.revoke_key(bob, bob.open);
        }),
        case("enrolled under a closed session", &["closure"], |log, _, bob| {
            log.close(bob);
            log.enroll(bob, &Signer::new(51));
        }),
    ];
    judged_alike("ssh", cases);
}
