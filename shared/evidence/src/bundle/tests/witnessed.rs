//! Heads that others vouch for, and heads that only seem so.

use ring::signature::Ed25519KeyPair;

use super::*;
use crate::cosignature::{WitnessKey, cosign};
use crate::dsse::public_key;

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(name: &str, seed: u8) -> String {
    WitnessKey::new(name, public_key(&pair(seed))).unwrap().to_text()
}

/// The witnesses `w1` and `w2` are asked for, and so many of them must have vouched.
fn asks(log: &Log, quorum: usize) -> TrustPolicy {
    TrustPolicy {
        witnesses: vec![key("w1", 7), key("w2", 8)],
        witness_quorum: Some(quorum),
        ..trust(log)
    }
}

fn bundle(log: &Log, by: &[(&str, u8)]) -> Vec<u8> {
    let text = log.checkpoint(log.size()).unverified().to_text();
    let cosigned = by
        .iter()
        .map(|(name, seed)| cosign(&text, name, &pair(*seed), 1_700_000_000).unwrap())
        .collect();
    Export {
        cosigned,
        ..Export::all(log)
    }
    .write(log)
}

fn answers(bundle: &[u8], policy: &TrustPolicy) -> (Answer, Option<Answer>) {
    let found = verify_bundle(bundle, policy);
    let claim = found.claims.iter().find(|claim| claim.id == "witnessed");
    (found.answer, claim.map(|claim| claim.answer))
}

#[test]
fn the_head_is_witnessed_when_a_quorum_of_the_believed_vouches_for_it() {
    let (log, _) = Log::story();
    let both = bundle(&log, &[("w1", 7), ("w2", 8)]);
    let one = bundle(&log, &[("w2", 8), ("stranger", 9)]);
    for (bundle, quorum, expected) in [
        (&both, 2, Answer::True),
        (&both, 1, Answer::True),
        (&one, 1, Answer::True),
        (&one, 2, Answer::CannotTell),
        (&bundle(&log, &[]), 1, Answer::CannotTell),
        (&bundle(&log, &[("w1", 7), ("w1", 7)]), 2, Answer::CannotTell),
    ] {
        assert_eq!(answers(bundle, &asks(&log, quorum)), (expected, Some(expected)));
    }
}

#[test]
fn a_cosignature_of_something_else_is_false_whoever_else_vouches() {
    let (log, _) = Log::story();
    let elsewhere = cosign(&log.checkpoint(3).unverified().to_text(), "w1", &pair(7), 1_700_000_000).unwrap();
    let good = cosign(&log.checkpoint(log.size()).unverified().to_text(), "w2", &pair(8), 1_700_000_000).unwrap();
    let bundle = Export {
        cosigned: elsewhere + &good,
        ..Export::all(&log)
    }
    .write(&log);
    assert_eq!(answers(&bundle, &asks(&log, 1)), (Answer::False, Some(Answer::False)));
    // To an auditor who does not know the witness it is a stranger's.
    assert_eq!(answers(&bundle, &trust(&log)), (Answer::True, None));
}

#[test]
fn whoever_asks_for_no_witness_is_told_of_none() {
    let (log, _) = Log::story();
    for bundle in [bundle(&log, &[]), bundle(&log, &[("w1", 7)])] {
        assert_eq!(answers(&bundle, &trust(&log)), (Answer::True, None));
    }
    let wrong = TrustPolicy {
        witness_quorum: Some(3),
        ..asks(&log, 1)
    };
    assert_eq!(answers(&bundle(&log, &[("w1", 7)]), &wrong).0, Answer::CannotTell);
}
