//! Heads whose time others state, and logs that are dated otherwise.

use super::*;
use crate::body::{Body, Group};
use crate::encode::{b64, b64_std, sha256};
use crate::timestamp::Token;
use crate::timestamp::tests::authority::{Authority, general};

const MINUTE_MS: i64 = 60_000;

/// A stamp over the log's checkpoint of this size, at this time.
pub(super) fn stamp(log: &Log, authority: &Authority, size: u64, time_ms: i64) -> StampedCheckpoint {
    let checkpoint = log.checkpoint(size);
    let imprint = sha256(checkpoint.unverified().to_text().as_bytes());
    let token = authority.stamp(&imprint, &general(&crate::civil::rfc3339(time_ms)), None);
    StampedCheckpoint { checkpoint, token }
}

/// An auditor who believes this authority.
pub(super) fn believing(log: &Log, authority: &Authority) -> TrustPolicy {
    TrustPolicy {
        timestamp_authorities: vec![b64_std(authority.certificate())],
        ..trust(log)
    }
}

/// The entry that tells of a stamp.
pub(super) fn observe(log: &mut Log, stamp: &StampedCheckpoint) -> u64 {
    let time_ms = Token::parse_stored(&stamp.token).unwrap().time_ms();
    let says = stamp.checkpoint.unverified();
    let what = json!({
        "anchor": "rfc3161", "root": b64(&says.root), "sha256": sha256_hex(&stamp.token), "size": says.size, "time_ms": time_ms,
    });
    log.append(Header::new(Kind::AnchorObserve), &Body::new().with(Group::What, what))
}

fn with(log: &Log, stamped: &[StampedCheckpoint]) -> Export {
    Export {
        stamped: stamped.to_vec(),
        older: stamped.iter().map(|stamp| stamp.checkpoint.unverified().size).collect(),
        ..Export::all(log)
    }
}

fn answers(bundle: &[u8], policy: &TrustPolicy) -> (Answer, Option<Answer>) {
    let found = verify_bundle(bundle, policy);
    let claim = found.claims.iter().find(|claim| claim.id == "stamped");
    (found.answer, claim.map(|claim| claim.answer))
}

#[test]
fn a_head_is_stamped_when_an_authority_the_auditor_believes_stamped_it_or_one_before_it() {
    let (mut log, _) = Log::story();
    let authority = Authority::new(1);
    let older = stamp(&log, &authority, log.size() - 1, log.t);
    observe(&mut log, &older);
    let newest = stamp(&log, &authority, log.size(), log.t + 500);
    let time_ms = log.t + 500;
    for level in 0..=LEVEL_MAX {
        let export = |stamped: &[StampedCheckpoint]| {
            Export {
                level,
                ..with(&log, stamped)
            }
            .write(&log)
        };
        let both = export(&[older.clone(), newest.clone()]);
        assert_eq!(both, export(&[older.clone(), newest.clone()]));
        assert_eq!(
            answers(&both, &believing(&log, &authority)),
            (Answer::True, Some(Answer::True)),
            "{level}"
        );
        let stamps = verify_bundle(&both, &believing(&log, &authority)).stamps;
        assert_eq!(
            (stamps.carried, stamps.believed, stamps.newest),
            (2, 2, Some((log.size(), time_ms)))
        );
        let one = export(std::slice::from_ref(&older));
        assert_eq!(answers(&one, &believing(&log, &authority)), (Answer::True, Some(Answer::True)));
        assert_eq!(
            answers(&export(&[]), &believing(&log, &authority)),
            (Answer::CannotTell, Some(Answer::CannotTell))
        );
        // Whoever names nobody is told how many there are, and nothing is claimed.
        assert_eq!(answers(&both, &trust(&log)), (Answer::True, None));
        assert_eq!(
            verify_bundle(&both, &trust(&log)).stamps,
            Stamps {
                carried: 2,
                ..Stamps::default()
            }
        );
        // A stranger's stamps are nobody's.
        let stranger = believing(&log, &Authority::new(2));
        assert_eq!(answers(&both, &stranger), (Answer::CannotTell, Some(Answer::CannotTell)));
    }
    // A stamp before the range says nothing of it.
    let late = Export {
        from: log.size() - 1,
        ..with(&log, std::slice::from_ref(&older))
    };
    assert_eq!(answers(&late.write(&log), &believing(&log, &authority)).0, Answer::CannotTell);
}

#[test]
fn a_stamp_over_another_checkpoint_or_beside_another_tree_is_false() {
    let (log, _) = Log::story();
    let authority = Authority::new(1);
    let size = log.size() - 1;
    let good = stamp(&log, &authority, size, log.t);
    let judge = |stamped: StampedCheckpoint| {
        let found = verify_bundle(&with(&log, &[stamped]).write(&log), &believing(&log, &authority));
        (found.answer, failed(&found))
    };
    assert_eq!(judge(good.clone()), (Answer::True, vec![]));
    let elsewhere = StampedCheckpoint {
        token: stamp(&log, &authority, 3, log.t).token,
        ..good.clone()
    };
    assert_eq!(judge(elsewhere), (Answer::False, vec!["format"]));
    // The operator signs another tree, and has it stamped.
    let mut other = Log::new();
    other.t += 7;
    other.begin();
    let (ada, bob) = (other.sign_in("ada", 1), other.sign_in("bob", 2));
    other.deliver(&ada, &[&bob]);
    while other.size() < size {
        other.deny(&ada);
    }
    assert_eq!(judge(stamp(&other, &authority, size, log.t)), (Answer::False, vec!["append_only"]));
    // Somebody else signed the checkpoint.
    let mut forged = good.clone();
    forged.checkpoint = SignedCheckpoint::sign(
        forged.checkpoint.unverified(),
        &ring::signature::Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(),
    )
    .unwrap();
    assert_eq!(judge(forged), (Answer::False, vec!["head"]));
    // A token that was changed, and names its signer still.
    let mut changed = good.clone();
    *changed.token.last_mut().unwrap() ^= 1;
    assert_eq!(judge(changed), (Answer::False, vec!["stamped"]));
    let mut longer = good;
    longer.token.push(0);
    assert_eq!(judge(longer), (Answer::False, vec!["format"]));
}

#[test]
fn what_is_dated_later_than_a_stamp_that_covers_it_is_false() {
    let (log, delivery) = Log::story();
    let authority = Authority::new(1);
    let judge = |size, time_ms, level| {
        let bundle = Export {
            level,
            ..with(&log, &[stamp(&log, &authority, size, time_ms)])
        }
        .write(&log);
        let found = verify_bundle(&bundle, &believing(&log, &authority));
        (failed(&found), found.faults.first().and_then(|fault| fault.index))
    };
    // The accuracy stated is one and a half seconds.
    let last_ms = log.t;
    let size = log.size();
    let edge = last_ms - MINUTE_MS - 1500;
    for level in 1..=LEVEL_MAX {
        assert_eq!(judge(size, edge, level), (vec![], None));
        assert_eq!(judge(size, edge - 1, level), (vec!["stamped"], Some(size - 1)), "level {level}");
    }
    assert_eq!(judge(size, edge - 1, 0), (vec![], None));
    // An older stamp binds what it covers, and not what came later.
    let t_of = |index: u64| Leaf::parse(&log.leaves[index as usize]).unwrap().header.t;
    let edge = t_of(delivery.intent) - MINUTE_MS - 1500;
    assert_eq!(judge(delivery.intent + 1, edge, 1), (vec![], None));
    assert_eq!(judge(delivery.intent + 1, edge - 1, 1), (vec!["stamped"], Some(delivery.intent)));
    // To whoever believes nobody, it is a number.
    let bundle = with(&log, &[stamp(&log, &authority, size, 1000)]).write(&log);
    assert_eq!(verify_bundle(&bundle, &trust(&log)).answer, Answer::True);
}

#[test]
fn what_an_anchor_says_fits_the_stamp_and_its_own_time() {
    let (log, _) = Log::story();
    let authority = Authority::new(1);
    let judge = |time_ms: i64, change: &dyn Fn(&mut serde_json::Value)| {
        let (mut log, _) = Log::story();
        let stamp = stamp(&log, &authority, log.size() - 1, time_ms);
        let says = stamp.checkpoint.unverified();
        let mut what = json!({
            "anchor": "rfc3161", "root": b64(&says.root), "sha256": sha256_hex(&stamp.token), "size": says.size, "time_ms": time_ms,
        });
        change(&mut what);
        log.append(Header::new(Kind::AnchorObserve), &Body::new().with(Group::What, what));
        let found = verify_bundle(&with(&log, &[stamp]).write(&log), &believing(&log, &authority));
        assert!(
            found.faults.iter().all(|fault| fault.index == Some(log.size() - 1)),
            "{:?}",
            found.faults
        );
        failed(&found)
    };
    let now = log.t + 1000;
    assert_eq!(judge(now, &|_| {}), [""; 0]);
    // The entry is made a second after the last one, and up to a minute before what it tells of.
    assert_eq!(judge(now + MINUTE_MS, &|_| {}), [""; 0]);
    assert_eq!(judge(now + MINUTE_MS + 1, &|_| {}), ["terms"]);
    for (member, value) in [
        ("anchor", json!("oracle")),
        ("anchor", json!(1)),
        ("root", json!(b64(&[1; 32]))),
        ("root", json!("AA")),
        ("sha256", json!(sha256_hex(b"another"))),
        ("sha256", json!("AA")),
        ("size", json!(log.size() + 2)),
        ("size", json!(-1)),
        ("time_ms", json!(now - 1)),
        ("time_ms", json!("now")),
    ] {
        assert_eq!(judge(now, &|what| what[member] = value.clone()), ["terms"], "{member}: {value}");
    }
    // What witnesses said is known by its tree only.
    let witness = |what: &mut serde_json::Value| {
        what["anchor"] = json!("witness");
        what["sha256"] = json!(sha256_hex(b"a cosigned checkpoint"));
    };
    assert_eq!(judge(now, &witness), [""; 0]);
    // A stamp that the bundle does not carry is not compared.
    assert_eq!(judge(now, &|what| what["size"] = json!(2)), [""; 0]);
}

#[test]
fn a_bundle_carries_no_more_stamps_than_it_may_and_proves_each() {
    let (log, _) = Log::story();
    let authority = Authority::new(1);
    let one = stamp(&log, &authority, 3, log.t);
    let unproven = Export {
        older: vec![],
        ..with(&log, std::slice::from_ref(&one))
    };
    assert!(matches!(unproven.try_write(&log), Err(BundleError::Parts(_))));
    assert!(matches!(
        with(&log, &[one.clone(), one.clone()]).try_write(&log),
        Err(BundleError::Parts(_))
    ));
    // And neither may whoever signs the statement.
    let good = with(&log, &[one]).write(&log);
    let judge = |change: &dyn Fn(&mut BTreeMap<String, Vec<u8>>)| {
        let found = verify_bundle(&rewrite(&good, &log, change), &believing(&log, &authority));
        (found.answer, failed(&found))
    };
    assert_eq!(judge(&|_| {}).0, Answer::True);
    let (checkpoint, token) = ("tsa/000000000003.checkpoint", "tsa/000000000003.tsr");
    for name in [checkpoint, token] {
        assert_eq!(
            judge(&|members| drop(members.remove(name))),
            (Answer::False, vec!["format"]),
            "{name}"
        );
    }
    for other in ["tsa/3.tsr", "tsa/0000000000003.tsr", "tsa/note.txt"] {
        let added = judge(&|members| drop(members.insert(other.to_owned(), members[token].clone())));
        assert_eq!(added, (Answer::False, vec!["format"]), "{other}");
    }
    let unproven = judge(&|members| {
        let proofs = String::from_utf8(members["proof/consistency"].clone()).unwrap();
        let first = proofs.split(",{\"from\":3").next().unwrap().to_owned() + "]}";
        members.insert("proof/consistency".to_owned(), first.into_bytes());
    });
    assert_eq!(unproven, (Answer::False, vec!["format"]));
    let many = judge(&|members| {
        for size in 100..165 {
            for (name, bytes) in [(checkpoint, members[checkpoint].clone()), (token, members[token].clone())] {
                members.insert(name.replace("003", &size.to_string()), bytes);
            }
        }
    });
    assert_eq!(many, (Answer::False, vec!["format"]));
}
