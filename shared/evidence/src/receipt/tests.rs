#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::encode::sha256;
use crate::note::VerifierKey;
use crate::testing::{FILE, Log};
use ring::signature::Ed25519KeyPair;

fn check(receipt: &Receipt, log: &Log) -> Result<ReceiptStory, ReceiptError> {
    verify(receipt, &sha256(FILE), FILE.len() as u64, &[log.verifier()])
}

#[test]
fn a_receipt_tells_who_what_why_and_masked_how() {
    let (log, delivery) = Log::story();
    let receipt = log.receipt(&delivery, log.size());
    let text = receipt.to_text().unwrap();
    assert_eq!(Receipt::parse(&text).unwrap(), receipt);
    assert_eq!(Receipt::parse(&format!("{text}\n")).unwrap(), receipt);
    let story = check(&receipt, &log).unwrap();
    assert_eq!((story.requester.subject.as_str(), story.reason.as_str()), ("ada", "churn, study"));
    assert_eq!(story.approvals.len(), 1);
    assert_eq!(
        (story.approvals[0].person.subject.as_str(), story.approvals[0].reason.as_str()),
        ("bob", "fine by me")
    );
    assert_eq!(
        (
            story.columns[0].column.as_str(),
            story.columns[0].mask.as_str(),
            story.columns[0].altered
        ),
        ("email", "redact", Some(1))
    );
    assert_eq!((story.rows, story.bytes, story.chunk), (1, FILE.len() as u64, 0));
    assert_eq!((story.intent, story.outcome), (delivery.intent, delivery.outcome));
}

#[test]
fn every_changed_byte_of_a_receipt_is_refused() {
    let (log, delivery) = Log::story();
    let text = log.receipt(&delivery, log.size()).to_text().unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let accepted = Receipt::parse(&changed).is_ok_and(|receipt| check(&receipt, &log).is_ok());
        assert!(!accepted, "byte {at}");
    }
}

#[test]
fn an_edited_file_is_refused() {
    let (log, delivery) = Log::story();
    let receipt = log.receipt(&delivery, log.size());
    let verdict = verify(&receipt, &sha256(b"edited"), FILE.len() as u64, &[log.verifier()]);
    assert!(matches!(verdict, Err(ReceiptError::File(_))));
    let mut edited = receipt;
    edited.file.sha256 = crate::encode::sha256_hex(b"edited");
    let verdict = verify(&edited, &sha256(b"edited"), FILE.len() as u64, &[log.verifier()]);
    assert!(matches!(verdict, Err(ReceiptError::File(_))));
}

#[test]
fn an_unknown_log_key_is_cannot_tell_and_a_forged_checkpoint_is_no() {
    let (log, delivery) = Log::story();
    let receipt = log.receipt(&delivery, log.size());
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let other = VerifierKey::new(crate::testing::ORIGIN, crate::dsse::public_key(&other)).unwrap();
    let verdict = verify(&receipt, &sha256(FILE), FILE.len() as u64, &[other]).unwrap_err();
    assert!(verdict.cannot_tell());
    let mut forged = receipt;
    forged.checkpoint = forged
        .checkpoint
        .replacen(&format!("\n{}\n", log.size()), &format!("\n{}\n", log.size() + 1), 1);
    let verdict = check(&forged, &log).unwrap_err();
    assert!(matches!(verdict, ReceiptError::Checkpoint(_)) && !verdict.cannot_tell());
}

#[test]
fn entries_can_be_neither_left_out_nor_carried_along() {
    let (log, delivery) = Log::story();
    let receipt = log.receipt(&delivery, log.size());
    for at in 0..receipt.entries.len() {
        let mut less = receipt.clone();
        less.entries.remove(at);
        assert!(check(&less, &log).is_err(), "without entry {at}");
        let mut twice = receipt.clone();
        twice.entries.insert(at, receipt.entries[at].clone());
        assert!(check(&twice, &log).is_err(), "entry {at} twice");
    }
    let mut more = receipt;
    let extra = ReceiptEntry::new(1, &log.leaves[1], &log.documents[1], &log.inclusion(1, log.size())).unwrap();
    more.entries.insert(0, extra);
    assert_eq!(
        check(&more, &log),
        Err(ReceiptError::Story("it carries an entry that has no part in it"))
    );
}

#[test]
fn what_the_operator_invents_does_not_verify() {
    let refused = |log: &Log, delivery: &crate::testing::Delivery, why: &str| {
        let verdict = check(&log.receipt(delivery, log.size()), log).unwrap_err();
        assert_eq!(verdict, ReceiptError::Story(Box::leak(why.to_owned().into_boxed_str())));
    };
    let begin = || {
        let mut log = Log::new();
        log.begin();
        let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
        (log, ada, bob)
    };

    let (mut log, ada, _) = begin();
    let delivery = log.deliver(&ada, &[&ada]);
    refused(&log, &delivery, "the requester approved the request");

    let (mut log, ada, _) = begin();
    let again = log.sign_in("ada", 3);
    let delivery = log.deliver(&ada, &[&again]);
    refused(&log, &delivery, "the requester approved the request");

    let (mut log, ada, bob) = begin();
    let bob_again = log.sign_in("bob", 4);
    let delivery = log.deliver(&ada, &[&bob, &bob_again]);
    refused(&log, &delivery, "one person approved twice");

    // The operator signs in bob's stead with a key of their own.
    let (mut log, ada, mut bob) = begin();
    bob.key = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let delivery = log.deliver(&ada, &[&bob]);
    refused(&log, &delivery, "the reviewer's signature does not verify");

    let (mut log, ada, bob) = begin();
    let (request, document) = log.request(&ada, 2);
    let review = log.review(&bob, request, &document, "approve");
    let grant = log.grant(&ada, request, &document, &[review]);
    let intent = log.intent(&ada, grant, request, "redact");
    let outcome = log.outcome(intent, "done");
    let delivery = crate::testing::Delivery {
        reviews: vec![review],
        intent,
        outcome,
    };
    refused(&log, &delivery, "there are fewer approvals than the request needed");

    let (mut log, ada, bob) = begin();
    let (request, document) = log.request(&ada, 1);
    let review = log.review(&bob, request, &document, "approve");
    let grant = log.grant(&ada, request, &document, &[review]);
    let intent = log.intent(&ada, grant, request, "open");
    let outcome = log.outcome(intent, "done");
    let delivery = crate::testing::Delivery {
        reviews: vec![review],
        intent,
        outcome,
    };
    refused(&log, &delivery, "the masks in force were not the ones approved");

    let (mut log, ada, bob) = begin();
    let (request, document) = log.request(&ada, 1);
    let (other, other_document) = log.request(&ada, 1);
    let review = log.review(&bob, other, &other_document, "approve");
    let grant = log.grant(&ada, request, &document, &[review]);
    let intent = log.intent(&ada, grant, request, "redact");
    let outcome = log.outcome(intent, "done");
    let delivery = crate::testing::Delivery {
        reviews: vec![review],
        intent,
        outcome,
    };
    refused(&log, &delivery, "an approval is of another request");
}

#[test]
fn a_receipt_of_a_use_leads_to_who_approved_the_standing_grant() {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
    let (standing, document) = log.request_standing(&ada, 1, 10, 1000);
    let vote = log.review(&bob, standing, &document, "approve");
    let grant = log.grant_until(&ada, standing, &document, &[vote], 3_600_000);
    let again = log.sign_in("ada", 3);
    let delivery = log.deliver_under(&again, grant, standing, &document);
    let receipt = log.receipt(&delivery, log.size());
    let story = check(&receipt, &log).unwrap();
    let of = story.standing.unwrap();
    assert_eq!(
        (of.request, of.digest),
        (log.request_id(standing), crate::encode::sha256_hex(document.as_bytes()))
    );
    assert_eq!(story.approvals[0].person.subject, "bob");
    assert_eq!(story.requester.key, again.thumbprint());
    for left_out in 0..receipt.entries.len() {
        let mut less = receipt.clone();
        less.entries.remove(left_out);
        assert!(check(&less, &log).is_err(), "entry {left_out}");
    }
}

#[test]
fn a_receipt_of_what_is_no_use_is_refused() {
    let of = |twist: &dyn Fn(&mut Log, &crate::testing::Actor, u64, &str, u64) -> crate::testing::Delivery| {
        let mut log = Log::new();
        log.begin();
        let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
        let (standing, document) = log.request_standing(&ada, 1, 10, 1000);
        let vote = log.review(&bob, standing, &document, "approve");
        let grant = log.grant_until(&ada, standing, &document, &[vote], 3_600_000);
        let delivery = twist(&mut log, &ada, standing, &document, grant);
        check(&log.receipt(&delivery, log.size()), &log).map(drop)
    };
    let story = |what| Err(ReceiptError::Story(what));
    assert_eq!(
        of(&|log, ada, standing, document, grant| log.deliver_under(ada, grant, standing, document)),
        Ok(())
    );
    let by_another = of(&|log, _, standing, document, grant| {
        let carol = log.sign_in("carol", 8);
        log.deliver_under(&carol, grant, standing, document)
    });
    assert_eq!(by_another, story("another person used the standing grant"));
    let too_late = of(&|log, ada, standing, document, grant| {
        log.t += 3_600_000;
        log.deliver_under(ada, grant, standing, document)
    });
    assert_eq!(too_late, story("the standing grant had run out"));
    let other_digest = of(&|log, ada, standing, _, grant| log.deliver_under(ada, grant, standing, "{\"v\":1}"));
    assert_eq!(other_digest, story("the request is a use of another standing grant"));
    let other_shape = of(&|log, ada, standing, document, grant| {
        let (request, text) = log.request_under(ada, standing, document, |document, _| {
            document["query"]["filter"] = "total > 1".into()
        });
        let take = log.take_for(ada, grant, standing, request);
        let own = log.grant(ada, request, &text, &[take]);
        let intent = log.intent(ada, own, request, "redact");
        let outcome = log.outcome(intent, "done");
        crate::testing::Delivery {
            reviews: Vec::new(),
            intent,
            outcome,
        }
    });
    assert_eq!(other_shape, story("it is of another shape than the standing grant"));
}

#[test]
fn an_approval_that_an_ssh_key_signed_is_verified_from_the_receipt_alone() {
    let signer = crate::sshsig::tests::Signer::on_token(52);
    let signed = |flags: u8| {
        let mut log = Log::new();
        log.begin();
        let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
        let enrolled = log.enroll(&bob, &signer);
        let (request, document) = log.request(&ada, 1);
        let vote = log.review_as(&bob, request, &document, "approve", |signed, header, body| {
            let signature = signer.sign_with(crate::sshsig::REVIEW_NAMESPACE, signed.as_bytes(), flags);
            crate::testing::ssh::signed_with(header, body, &signature, enrolled);
        });
        let grant = log.grant(&ada, request, &document, &[vote]);
        log.take(&ada, grant, request);
        let intent = log.intent(&ada, grant, request, "redact");
        let outcome = log.outcome(intent, "done");
        let delivery = crate::testing::Delivery {
            reviews: vec![vote],
            intent,
            outcome,
        };
        let receipt = log.receipt(&delivery, log.size());
        assert!(
            receipt.entries.iter().all(|entry| entry.i != enrolled),
            "it is no part of the story"
        );
        check(&receipt, &log)
    };
    let story = signed(1).unwrap();
    assert_eq!(story.approvals[0].ssh_key.as_ref(), Some(&signer.key.fingerprint()));
    assert!(matches!(signed(4), Err(ReceiptError::Story(_))), "nobody touched the token");
}
