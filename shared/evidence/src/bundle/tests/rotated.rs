//! Bundles of logs whose key was replaced, for auditors who know the first key, a later one, or all of them.

use ring::signature::Ed25519KeyPair;

use super::*;
use crate::dsse::public_key;
use crate::note::VerifierKey;
use crate::rotation::Rotation;
use crate::testing::ORIGIN;
use crate::timestamp::tests::authority::Authority;

const MEMBER: &str = "keys/rotations.jsonl";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, public_key(&pair(seed))).unwrap()
}

fn knows(seeds: &[u8]) -> TrustPolicy {
    TrustPolicy {
        log_keys: seeds.iter().map(|seed| key(*seed).to_text()).collect(),
        ..TrustPolicy::of_key(&key(42))
    }
}

/// A log whose key of seed 42 was replaced by that of 43, and that by 44.
fn rotated() -> Log {
    let (mut log, _) = Log::story();
    log.rotate(43);
    let ada = log.sign_in("ada", 1);
    log.rotate(44);
    log.close(&ada);
    log
}

fn judged(bundle: &[u8], policy: &TrustPolicy) -> (Answer, Vec<&'static str>) {
    let found = verify_bundle(bundle, policy);
    (found.answer, failed(&found))
}

#[test]
fn whoever_knows_any_of_the_keys_believes_every_range_at_every_level() {
    let log = rotated();
    let ranges = [
        0..log.size(),
        0..3,
        log.rotated[0]..log.rotated[0] + 1,
        log.rotated[0] + 1..log.rotated[1],
        log.size()..log.size(),
    ];
    for level in 0..=LEVEL_MAX {
        for range in ranges.clone() {
            let export = Export {
                level,
                from: range.start,
                to: range.end,
                ..Export::all(&log)
            };
            let bundle = export.write(&log);
            for known in [&[42][..], &[43], &[44], &[44, 42]] {
                let found = verify_bundle(&bundle, &knows(known));
                assert_eq!(found.answer, Answer::True, "{level} {range:?} {known:?}: {:?}", found.faults);
            }
            assert_eq!(judged(&bundle, &knows(&[9])), (Answer::CannotTell, vec![]));
        }
    }
    // One from before tells of no key but its own.
    let (before, _) = Log::story();
    let bundle = Export::all(&before).write(&before);
    assert!(!take_apart(&bundle).contains_key(MEMBER));
    assert_eq!(judged(&bundle, &knows(&[42])).0, Answer::True);
    assert_eq!(judged(&bundle, &knows(&[44])).0, Answer::CannotTell);
}

#[test]
fn a_bundle_across_a_rotation_meets_the_checkpoint_that_an_auditor_kept_before() {
    let log = rotated();
    let (old, _) = Log::story();
    let kept = TrustPolicy {
        last_checkpoint: Some(old.checkpoint(old.size()).text().to_owned()),
        ..knows(&[42])
    };
    let export = Export {
        level: 1,
        older: vec![old.size()],
        ..Export::all(&log)
    };
    assert_eq!(judged(&export.write(&log), &kept), (Answer::True, vec![]));
}

#[test]
fn a_stamped_checkpoint_keeps_the_signature_of_its_time() {
    let (mut log, _) = Log::story();
    let authority = Authority::new(1);
    let stamp = super::stamped::stamp(&log, &authority, log.size(), log.t);
    let (before, early) = (log.size(), stamp.clone());
    log.rotate(43);
    log.sign_in("ada", 1);
    let with = |stamp: &StampedCheckpoint| {
        let size = stamp.checkpoint.unverified().size;
        let export = Export {
            stamped: vec![stamp.clone()],
            older: vec![size],
            ..Export::all(&log)
        };
        export.write(&log)
    };
    for known in [42, 43] {
        assert_eq!(judged(&with(&early), &knows(&[known])), (Answer::True, vec![]));
    }
    assert_eq!(judged(&with(&early), &knows(&[9])), (Answer::CannotTell, vec![]));
    // The old key signed a tree that holds the entry which replaced it.
    let mut late = super::stamped::stamp(&log, &authority, before + 2, log.t);
    late.checkpoint = SignedCheckpoint::sign(late.checkpoint.unverified(), &pair(42)).unwrap();
    for known in [42, 43] {
        assert_eq!(judged(&with(&late), &knows(&[known])), (Answer::False, vec!["head"]));
    }
}

#[test]
fn the_old_key_alone_signs_no_head_that_holds_the_entry_which_replaced_it() {
    let log = rotated();
    let mut thief = rotated();
    thief.key = pair(42);
    let told = Export::all(&log).write(&thief);
    let (answer, failing) = judged(&told, &knows(&[42]));
    assert_eq!((answer, failing), (Answer::False, vec!["head"]));
    // Nor when the bundle does not tell of it beside its rows.
    thief.rotated.clear();
    for level in 1..=LEVEL_MAX {
        let untold = Export {
            level,
            ..Export::all(&log)
        };
        assert_eq!(
            judged(&untold.write(&thief), &knows(&[42])),
            (Answer::False, vec!["head"]),
            "{level}"
        );
    }
    // To whoever follows the log only the newest key is anybody's.
    let (mut fork, _) = Log::story();
    fork.load("another history");
    assert_eq!(judged(&Export::all(&fork).write(&fork), &knows(&[44])).0, Answer::CannotTell);
    let kept = TrustPolicy {
        last_checkpoint: Some(log.checkpoint(log.size()).text().to_owned()),
        ..knows(&[42, 44])
    };
    assert_eq!(judged(&Export::all(&fork).write(&fork), &kept).0, Answer::CannotTell);
}

#[test]
fn the_new_key_alone_and_statements_that_the_old_one_did_not_sign_are_refused() {
    let (mut alone, _) = Log::story();
    alone.key = pair(43);
    assert_eq!(judged(&Export::all(&alone).write(&alone), &knows(&[42])).0, Answer::CannotTell);

    let good = Rotation::sign(ORIGIN, &pair(42), &pair(43)).unwrap();
    let other = Rotation::sign(ORIGIN, &pair(42), &pair(44)).unwrap();
    let first = |text: &str| text.rsplit_once("\n\n").unwrap().1.lines().next().unwrap().to_owned();
    let strangers = Rotation::sign(ORIGIN, &pair(9), &pair(43)).unwrap();
    for (statement, answer, failing) in [
        (good.replacen(&first(&good), &first(&other), 1), Answer::False, vec!["head"]),
        (good.replacen(&format!("{}\n", first(&good)), "", 1), Answer::False, vec!["head"]),
        ("nonsense".to_owned(), Answer::False, vec!["head"]),
        // By itself in order, but it does not begin at a key that anybody knows.
        (strangers, Answer::CannotTell, vec![]),
    ] {
        let (mut log, _) = Log::story();
        log.rotate_saying(&statement);
        log.key = pair(43);
        assert_eq!(
            judged(&Export::all(&log).write(&log), &knows(&[42])),
            (answer, failing),
            "{statement}"
        );
    }
}

#[test]
fn what_a_bundle_tells_of_the_keys_cannot_be_cut_moved_or_doubled() {
    let log = rotated();
    let export = Export {
        level: 1,
        ..Export::all(&log)
    };
    let bundle = export.write(&log);
    let lines: Vec<String> = String::from_utf8(take_apart(&bundle)[MEMBER].clone())
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let with = |text: Option<String>| {
        rewrite(&bundle, &log, |members| match text {
            Some(text) => drop(members.insert(MEMBER.into(), text.into_bytes())),
            None => drop(members.remove(MEMBER)),
        })
    };
    let whole = format!("{}\n{}\n", lines[0], lines[1]);
    assert_eq!(judged(&with(Some(whole.clone())), &knows(&[42])), (Answer::True, vec![]));
    for text in [
        None,
        Some(String::new()),
        Some("\n".to_owned()),
        Some(whole.trim_end().to_owned()),
        Some(format!("{}\n", lines[0])),
        Some(format!("{}\n", lines[1])),
        Some(format!("{}\n{}\n", lines[1], lines[0])),
        Some(format!("{whole}{}\n", lines[1])),
        Some(whole.replacen("{\"d\"", "{ \"d\"", 1)),
    ] {
        for known in [42, 44] {
            let (answer, failing) = judged(&with(text.clone()), &knows(&[known]));
            assert_eq!(answer, Answer::False, "{text:?}: {failing:?}");
        }
    }
}
