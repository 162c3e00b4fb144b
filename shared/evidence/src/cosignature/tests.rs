#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use proptest::prelude::*;

use super::*;
use crate::encode::b64_std;
use crate::note::VerifierKey;

const ORIGIN: &str = "example.com/behind-the-sofa";
/// The example of tlog-cosignature.
const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
/// The same cosigned under the seed 07 07 … 07, by a program that shares nothing with this one.
const FOREIGN_KEY: &str = "witness.example.com/w1+8122a5ab+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
const FOREIGN_LINE: &str = "\u{2014} witness.example.com/w1 gSKlqwAAAABkGFDLWr4Jea05CAgwNVtwky0Jgz6WfX0QJgM//FkB/W9BoT9TX0DkTxG+2cT4p/ViKNhUM/SnUwFcYQzugGFQ15LwDw==\n";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(name: &str, seed: u8) -> WitnessKey {
    WitnessKey::new(name, public_key(&pair(seed))).unwrap()
}

fn signed() -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: 42,
        root: [5; 32],
    };
    SignedCheckpoint::sign(&checkpoint, &pair(3)).unwrap()
}

fn cosigned(by: &[(&str, u8)]) -> SignedCheckpoint {
    let signed = signed();
    let text = signed.unverified().to_text();
    let lines: String = by
        .iter()
        .map(|(name, seed)| cosign(&text, name, &pair(*seed), 1_700_000_000).unwrap())
        .collect();
    signed.with_lines(&lines).unwrap()
}

#[test]
fn the_example_of_the_specification_reads() {
    let signed = SignedCheckpoint::parse(EXAMPLE).unwrap();
    assert_eq!(
        (signed.unverified().size, signed.unverified().origin.as_str()),
        (20_852_163, ORIGIN)
    );
    // The key is not published with it, so only what stands in the line can be looked at: the time of the message shown there.
    let line = signed
        .note()
        .signatures_by("witness.example.com/w1", [0x8d, 0x66, 0xcf, 0x3f])
        .next()
        .unwrap();
    assert_eq!((line.len(), &line[..8]), (72, 1_679_315_147_u64.to_be_bytes().as_slice()));
}

#[test]
fn another_implementation_makes_the_same_key_and_the_same_line() {
    let own = key("witness.example.com/w1", 7);
    assert_eq!(own.to_text(), FOREIGN_KEY);
    assert_eq!(WitnessKey::parse(FOREIGN_KEY), Ok(own.clone()));
    let signed = SignedCheckpoint::parse(EXAMPLE).unwrap();
    let text = signed.unverified().to_text();
    assert_eq!(cosign(&text, own.name(), &pair(7), 1_679_315_147).unwrap(), FOREIGN_LINE);
    // Under the name of the example, with another id than the example's line: that line is an unknown key's.
    let both = signed.with_lines(FOREIGN_LINE).unwrap();
    assert_eq!(own.cosigned(&both), Ok(Some(1_679_315_147)));
    assert_eq!(own.cosigned(&signed), Ok(None));
}

#[test]
fn a_log_key_is_no_witness_key_and_the_other_way_round() {
    let (log, witness) = (VerifierKey::new("n", public_key(&pair(3))).unwrap(), key("n", 3));
    assert_eq!(WitnessKey::parse(&log.to_text()), Err(NoteError::Key));
    assert_eq!(VerifierKey::parse(&witness.to_text()), Err(NoteError::Key));
    // So a cosignature is never taken for the log's own signature, nor the other way round.
    let text = signed().unverified().to_text();
    let line = cosign(&text, ORIGIN, &pair(3), 1).unwrap();
    let only = SignedCheckpoint::parse(&format!("{text}\n{line}")).unwrap();
    let log = VerifierKey::new(ORIGIN, public_key(&pair(3))).unwrap();
    assert_eq!(only.verify(&[log]).unwrap_err(), NoteError::UnknownKey);
}

#[test]
fn every_changed_byte_of_a_cosigned_checkpoint_is_refused() {
    let signed = cosigned(&[("witness.example/w1", 7)]);
    let policy = WitnessPolicy::new(&[key("witness.example/w1", 7).to_text()], 1).unwrap();
    let log = VerifierKey::new(ORIGIN, public_key(&pair(3))).unwrap();
    let good = |text: &str| {
        let read = SignedCheckpoint::parse(text);
        read.is_ok_and(|c| c.verify(std::slice::from_ref(&log)).is_ok() && policy.judge(&c) == Witnessed::Yes)
    };
    assert!(good(signed.text()));
    for at in 0..signed.text().len() {
        for flip in 1..=255_u8 {
            let mut bytes = signed.text().as_bytes().to_vec();
            bytes[at] ^= flip;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(!good(&text), "byte {at} xor {flip}");
        }
        let cut = signed.text().get(..at).unwrap_or_default();
        assert!(!good(cut), "cut at {at}");
    }
}

#[test]
fn the_time_is_signed_and_no_time_is_no_cosignature() {
    let text = signed().unverified().to_text();
    let w = key("w", 7);
    for time_s in [0, u64::MAX, 1 << 63] {
        assert_eq!(cosign(&text, "w", &pair(7), time_s), Err(NoteError::Malformed));
        // Nor when somebody signs it all the same.
        let signature = pair(7).sign(message(&text, time_s).as_bytes());
        let line = note::signature_line("w", w.id, &[&time_s.to_be_bytes(), signature.as_ref()].concat());
        let both = signed().with_lines(&line).unwrap();
        assert_eq!(w.cosigned(&both), Err(NoteError::Signature), "{time_s}");
    }
    let latest = i64::MAX as u64;
    let lines = [
        cosign(&text, "w", &pair(7), 5).unwrap(),
        cosign(&text, "w", &pair(7), latest).unwrap(),
    ]
    .concat();
    assert_eq!(w.cosigned(&signed().with_lines(&lines).unwrap()), Ok(Some(latest)));
    let plain = note::signature_line("w", w.id, pair(7).sign(text.as_bytes()).as_ref());
    assert_eq!(w.cosigned(&signed().with_lines(&plain).unwrap()), Err(NoteError::Signature));
}

#[test]
fn of_an_answer_only_the_witness_s_own_lines_are_taken() {
    let checkpoint = signed().unverified().clone();
    let text = checkpoint.to_text();
    let (own, other) = (cosign(&text, "w1", &pair(7), 9).unwrap(), cosign(&text, "w2", &pair(8), 9).unwrap());
    let w1 = key("w1", 7);
    assert_eq!(w1.read_answer(&checkpoint, &format!("{other}{own}")), Ok((own.clone(), 9)));
    assert_eq!(w1.read_answer(&checkpoint, &other), Err(NoteError::UnknownKey));
    assert_eq!(w1.read_answer(&checkpoint, "<html>"), Err(NoteError::Malformed));
    assert_eq!(w1.read_answer(&checkpoint, ""), Err(NoteError::Malformed));
    // An answer that smuggles in text of its own would be over another text than ours.
    let more = format!("{text}\n\u{2014} x AAAAAAA=\n");
    let smuggled = cosign(&format!("{text}x\n"), "w1", &pair(7), 9).unwrap();
    for answer in [format!("{more}\n{own}"), format!("x\n\n{smuggled}"), format!("\n{own}")] {
        assert_eq!(w1.read_answer(&checkpoint, &answer), Err(NoteError::Malformed), "{answer}");
    }
    let mut elsewhere = checkpoint;
    elsewhere.size += 1;
    assert_eq!(w1.read_answer(&elsewhere, &own), Err(NoteError::Signature));
}

#[test]
fn a_quorum_counts_witnesses_and_not_lines() {
    let names = [("w1", 7), ("w2", 8), ("w3", 9)];
    let keys: Vec<String> = names.iter().map(|(name, seed)| key(name, *seed).to_text()).collect();
    let two = WitnessPolicy::new(&keys, 2).unwrap();
    assert_eq!(two.judge(&cosigned(&names)), Witnessed::Yes);
    assert_eq!(two.judge(&cosigned(&[("w3", 9), ("w1", 7)])), Witnessed::Yes);
    let few = Witnessed::TooFew { cosigned: 1, quorum: 2 };
    assert_eq!(two.judge(&cosigned(&[("w1", 7), ("w1", 7)])), few);
    // One that is not asked for does not count.
    assert_eq!(two.judge(&cosigned(&[("w1", 7), ("w4", 10)])), few);
    assert_eq!(two.judge(&signed()), Witnessed::TooFew { cosigned: 0, quorum: 2 });
    // A false line of a known witness spoils a quorum of others.
    let bad = note::signature_line("w3", key("w3", 9).id, &[1; 72]);
    let spoilt = cosigned(&[("w1", 7), ("w2", 8)]).with_lines(&bad).unwrap();
    assert_eq!(two.judge(&spoilt), Witnessed::False { witness: "w3".into() });
    assert_eq!(WitnessPolicy::default().judge(&signed()), Witnessed::Yes);
}

#[test]
fn a_policy_that_counts_somebody_twice_or_cannot_be_met_is_refused() {
    let (w1, w2) = (key("w1", 7).to_text(), key("w2", 8).to_text());
    let policy = |keys: &[&String], quorum| WitnessPolicy::new(keys, quorum).unwrap_err();
    assert_eq!(policy(&[&w1, &w1], 1), WitnessPolicyError::Twice(1));
    assert_eq!(policy(&[&w1, &key("w2", 7).to_text()], 1), WitnessPolicyError::Twice(1));
    assert_eq!(policy(&[&w1, &key("w1", 8).to_text()], 1), WitnessPolicyError::Twice(1));
    assert_eq!(policy(&[&w1, &w2], 0), WitnessPolicyError::Quorum(2));
    assert_eq!(policy(&[&w1, &w2], 3), WitnessPolicyError::Quorum(2));
    assert_eq!(policy(&[], 1), WitnessPolicyError::Quorum(0));
    assert_eq!(policy(&[&w1, &"nonsense".to_owned()], 1), WitnessPolicyError::Key(1));
    assert!(WitnessPolicy::new::<&str>(&[], 0).unwrap().is_empty());
}

#[test]
fn a_head_may_have_extension_lines_which_are_cosigned_too() {
    let root = b64_std(&[5; 32]);
    let text = format!("any origin, even + this\n7\n{root}\nextension\n");
    let head = read_head(&text).unwrap();
    assert_eq!(
        (head.origin.as_str(), head.size, head.root),
        ("any origin, even + this", 7, [5; 32])
    );
    let line = cosign(&text, "w", &pair(7), 1).unwrap();
    let w = key("w", 7);
    let note = |text: &str| Note::parse(&format!("{text}\n{line}")).unwrap();
    assert_eq!(w.cosigned_note(&note(&text)), Ok(Some(1)));
    assert_eq!(
        w.cosigned_note(&note(&text.replace("extension", "extensions"))),
        Err(NoteError::Signature)
    );
    for bad in [
        "",
        "o\n",
        "o\n7\n",
        &format!("o\n07\n{root}\n"),
        &format!("o\n7\n{root}\n\nx\n"),
        &format!("o\n7\n{root}"),
        "o\n7\nAAAA\n",
    ] {
        assert_eq!(read_head(bad), Err(NoteError::Malformed), "{bad:?}");
        assert_eq!(cosign(bad, "w", &pair(7), 1), Err(NoteError::Malformed), "{bad:?}");
    }
    assert_eq!(read_size("18446744073709551615"), Some(u64::MAX));
    for bad in ["18446744073709551616", "", "-1", "+1", "00", "1 ", "0x1"] {
        assert_eq!(read_size(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_cosigned_reads_back_and_nothing_else_does(
        size: u64, root: [u8; 32], time_s in 1..=i64::MAX as u64, seed: [u8; 32], other_size: u64, name in "[a-z./]{1,20}"
    ) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let key = WitnessKey::new(&name, public_key(&pair)).unwrap();
        prop_assert_eq!(&WitnessKey::parse(&key.to_text()), &Ok(key.clone()));
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
        let line = cosign(&checkpoint.to_text(), &name, &pair, time_s).unwrap();
        if size > 0 {
            prop_assert_eq!(key.read_answer(&checkpoint, &line), Ok((line.clone(), time_s)));
        }
        let other = Checkpoint { size: other_size, ..checkpoint.clone() };
        if other != checkpoint {
            prop_assert_eq!(key.read_answer(&other, &line), Err(NoteError::Signature));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = WitnessKey::parse(&text);
        let _ = read_head(&text);
        let _ = key("w", 7).read_answer(signed().unverified(), &text);
        let _ = WitnessPolicy::new(&[text], 1);
    }
}
