#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::encode::sha256;
use crate::receipt::{Receipt, ReceiptError, verify};
use crate::testing::{Delivery, FILE, Log, ORIGIN};

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, public_key(&pair(seed))).unwrap()
}

/// A log whose key of seed 42 was replaced by that of 43, and that by 44.
fn rotated() -> (Log, Delivery) {
    let (mut log, delivery) = Log::story();
    log.rotate(43);
    let ada = log.sign_in("ada", 1);
    log.rotate(44);
    log.close(&ada);
    (log, delivery)
}

fn signed_by(log: &Log, size: u64, seed: u8) -> SignedCheckpoint {
    SignedCheckpoint::sign(log.checkpoint(size).unverified(), &pair(seed)).unwrap()
}

fn check(receipt: &Receipt, trusted: u8) -> Result<VerifierKey, ReceiptError> {
    let story = verify(receipt, &sha256(FILE), FILE.len() as u64, &[key(trusted)])?;
    Ok(VerifierKey::parse(&story.log_key).unwrap())
}

#[test]
fn a_statement_reads_back_and_every_changed_byte_of_it_is_refused() {
    let text = Rotation::sign(ORIGIN, &pair(42), &pair(43)).unwrap();
    let read = Rotation::parse(&text).unwrap();
    assert_eq!((read.from(), read.to()), (&key(42), &key(43)));
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Rotation::parse(&changed).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_statement_needs_both_signatures_once_each_and_in_order() {
    let text = Rotation::sign(ORIGIN, &pair(42), &pair(43)).unwrap();
    let (statement, lines) = text.rsplit_once("\n\n").unwrap();
    let [old, new] = [0, 1].map(|n| lines.lines().nth(n).unwrap());
    let with = |lines: &[&str]| Rotation::parse(&format!("{statement}\n\n{}\n", lines.join("\n")));
    assert!(with(&[old, new]).is_ok());
    assert_eq!(with(&[new]), Err("the key that is replaced did not sign that it is"));
    assert_eq!(with(&[old]), Err("the key that takes its place did not sign that it does"));
    for lines in [
        &[new, old][..],
        &[old, new, new],
        &[old, old, new],
        &[old, new, "\u{2014} w AAAAAQID"],
    ] {
        assert!(with(lines).is_err(), "{lines:?}");
    }
    // By itself, or by a key of another log.
    assert!(Rotation::sign(ORIGIN, &pair(42), &pair(42)).is_err());
    let elsewhere = Rotation::sign("example.org/else", &pair(42), &pair(43)).unwrap();
    assert!(Rotation::parse(&elsewhere.replacen("example.org/else\n", &format!("{ORIGIN}\n"), 1)).is_err());
    // A checkpoint is no such statement, nor the other way round.
    assert!(SignedCheckpoint::parse(&text).is_err());
    assert!(Rotation::parse(Log::story().0.checkpoint(3).text()).is_err());
}

#[test]
fn whoever_knows_any_key_of_the_log_follows_to_the_newest_and_never_back() {
    let (log, _) = rotated();
    let size = log.size();
    let rotations = Rotations::read(&log.rotations(size)).unwrap();
    for known in 42..=44 {
        assert_eq!(rotations.signer(&log.checkpoint(size), &[key(known)]), Ok(key(44)));
    }
    assert_eq!(rotations.signer(&log.checkpoint(size), &[key(9)]), Err(SignerError::Unknown));
    assert_eq!(rotations.follow(&[key(43)]), [key(43), key(44)]);
    // A key signs nothing behind the entry that replaced it; to those who know later ones it is nobody's.
    assert_eq!(rotations.signer(&signed_by(&log, size, 42), &[key(42)]), Err(SignerError::Retired));
    assert_eq!(rotations.signer(&signed_by(&log, size, 43), &[key(42)]), Err(SignerError::Retired));
    assert_eq!(rotations.signer(&signed_by(&log, size, 42), &[key(43)]), Err(SignerError::Unknown));
    assert_eq!(rotations.retired(&key(42)), Some(log.rotated[0]));
    assert_eq!(rotations.retired(&key(44)), None);
}

#[test]
fn the_new_key_alone_cannot_take_the_logs_place() {
    let (mut log, _) = Log::story();
    // Signed by a key that is not the log's, and by the one that wants to be.
    log.rotate_saying(&Rotation::sign(ORIGIN, &pair(9), &pair(43)).unwrap());
    log.key = pair(43);
    let size = log.size();
    let rotations = Rotations::read(&log.rotations(size)).unwrap();
    assert_eq!(rotations.signer(&log.checkpoint(size), &[key(42)]), Err(SignerError::Unknown));

    // The signature of the old key is another's, or that of another statement.
    let good = Rotation::sign(ORIGIN, &pair(42), &pair(43)).unwrap();
    let other = Rotation::sign(ORIGIN, &pair(42), &pair(44)).unwrap();
    let old_line = |text: &str| text.rsplit_once("\n\n").unwrap().1.lines().next().unwrap().to_owned();
    let forged = good.replacen(&old_line(&good), &old_line(&other), 1);
    let (mut log, _) = Log::story();
    log.rotate_saying(&forged);
    let size = log.size();
    assert_eq!(
        Rotations::read(&log.rotations(size)).unwrap_err(),
        "the key that is replaced did not sign that it is"
    );
}

#[test]
fn a_statement_that_stands_in_another_log_or_nowhere_proves_nothing() {
    let (log, _) = rotated();
    let (mut fork, _) = Log::story();
    fork.load("another history");
    fork.key = pair(44);
    let rotations = Rotations::read(&log.rotations(log.size())).unwrap();
    let index = log.rotated[0];
    let elsewhere = fork.checkpoint(fork.size());
    assert_eq!(rotations.signer(&elsewhere, &[key(42)]), Err(SignerError::NotIncluded(index)));
    // Nor does a checkpoint from before.
    let before = signed_by(&log, log.rotated[0], 44);
    assert_eq!(rotations.signer(&before, &[key(42)]), Err(SignerError::NotIncluded(index)));
}

#[test]
fn the_entries_follow_from_each_other_and_no_key_comes_back() {
    let (log, _) = rotated();
    let good = log.rotations(log.size());
    for (entries, fits) in [
        (vec![good[0].clone(), good[1].clone()], true),
        (vec![good[0].clone()], true),
        (vec![good[1].clone(), good[0].clone()], false),
        (vec![good[0].clone(), good[0].clone()], false),
        (vec![log.receipt_entry(3, log.size())], false),
    ] {
        assert_eq!(Rotations::read(&entries).is_ok(), fits);
    }
    let (mut log, _) = rotated();
    log.rotate(42);
    assert!(Rotations::read(&log.rotations(log.size())).is_err());
}

#[test]
fn a_receipt_from_before_or_after_verifies_for_whoever_knows_the_first_key() {
    let (log, delivery) = rotated();
    let before = {
        let mut old = Log::story().0;
        old.rotated.clear();
        old.receipt(&delivery, old.size())
    };
    assert_eq!(check(&before, 42), Ok(key(42)));
    let after = log.receipt(&delivery, log.size());
    assert_eq!(after.rotations.len(), 2);
    let text = after.to_text().unwrap();
    assert_eq!(Receipt::parse(&text).unwrap(), after);
    for known in 42..=44 {
        assert_eq!(check(&after, known), Ok(key(44)));
    }
    assert!(check(&after, 9).unwrap_err().cannot_tell());
    assert!(
        check(&before, 44).unwrap_err().cannot_tell(),
        "the new key does not vouch for the old one"
    );
}

#[test]
fn a_receipt_whose_proof_of_the_new_key_is_cut_or_forged_does_not_verify() {
    let (log, delivery) = rotated();
    let good = log.receipt(&delivery, log.size());
    let mut cut = good.clone();
    cut.rotations.remove(1);
    assert!(
        check(&cut, 42).unwrap_err().cannot_tell(),
        "nothing leads to the key that signed it"
    );
    assert!(matches!(check(&cut, 44).unwrap_err(), ReceiptError::Rotations(_)));
    let mut cut = good.clone();
    cut.rotations.clear();
    assert!(check(&cut, 42).unwrap_err().cannot_tell());
    let mut retired = good.clone();
    retired.checkpoint = signed_by(&log, log.size(), 42).text().to_owned();
    assert!(matches!(check(&retired, 42).unwrap_err(), ReceiptError::Rotations(_)));
    let mut moved = good;
    moved.rotations[0].p.reverse();
    assert!(matches!(check(&moved, 42).unwrap_err(), ReceiptError::Rotations(_)));
}

#[test]
fn every_changed_byte_of_a_receipt_with_rotations_is_refused() {
    let (log, delivery) = rotated();
    let text = log.receipt(&delivery, log.size()).to_text().unwrap();
    for at in text.find("\"rotations\"").unwrap()..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let accepted = Receipt::parse(&changed).is_ok_and(|receipt| check(&receipt, 42).is_ok());
        assert!(!accepted, "byte {at}");
    }
    // An empty list, and one that is null, are other forms of none.
    let (log, delivery) = Log::story();
    let text = log.receipt(&delivery, log.size()).to_text().unwrap();
    let with = |value: &str| text.replacen("receipt/v1\"}", &format!("receipt/v1\",\"rotations\":{value}}}"), 1);
    for value in ["[]", "null"] {
        assert_ne!(with(value), text);
        assert!(Receipt::parse(&with(value)).is_err(), "{value}");
    }
}
