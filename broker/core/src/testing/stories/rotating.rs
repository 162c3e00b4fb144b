//! The log's key is replaced: by whom it cannot be, what is proven before and after, and how a broker that was cut short begins.

use chunk_evidence::bundle::verify_bundle;
use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::encode::sha256;
use chunk_evidence::note::VerifierKey;
use chunk_evidence::receipt::{Receipt, ReceiptError, verify};
use chunk_evidence::rotation::{Rotations, SignerError};
use chunk_evidence::trust::TrustPolicy;
use chunk_log::signer::LogSigner;
use chunk_wire::audit::ExportRequest;
use chunk_wire::id::RequestId;
use chunk_wire::problem::Code;

use super::approved;
use crate::audit;
use crate::error::Error;
use crate::testing::{Others, Setup, Someone, World, cx, drain};

fn key(seed: u8) -> VerifierKey {
    LogSigner::from_seed(&Setup::default().settings.origin, &[seed; 32])
        .unwrap()
        .verifier()
        .clone()
}

async fn rotated(world: World, seed: u8) -> World {
    world.try_rotate(seed, None, Others::default()).await.unwrap()
}

/// The key's file is replaced too, as it is when nothing befalls the broker.
async fn settled(mut world: World, seed: u8) -> World {
    world.setup.log_seed = [seed; 32];
    world.setup.next_seed = None;
    world.crash_and_restart().await
}

/// Who it was delivered to, the request, and the bytes.
async fn delivered(world: &World) -> (Someone, RequestId, Vec<u8>) {
    let (dana, _, request) = approved(world).await;
    world.script(vec![Ok(b"a,b\n")]);
    let bytes = drain(dana.fetch(world, &request.id).await.unwrap()).await.unwrap();
    (dana, request.id, bytes)
}

async fn receipt(world: &World, dana: &Someone, id: &RequestId) -> Receipt {
    let caller = dana.caller(world).await.unwrap();
    let text = audit::receipt(&world.broker, &cx(), &caller, id, 0).await.unwrap();
    Receipt::parse(&text).unwrap()
}

fn judged(receipt: &Receipt, bytes: &[u8], known: u8) -> Result<String, ReceiptError> {
    verify(receipt, &sha256(bytes), bytes.len() as u64, &[key(known)]).map(|story| story.log_key)
}

#[tokio::test]
async fn what_was_given_before_and_what_is_given_after_is_believed_by_whoever_knows_the_first_key() {
    let world = World::new().await;
    let (dana, id, bytes) = delivered(&world).await;
    let before = receipt(&world, &dana, &id).await;
    assert_eq!(judged(&before, &bytes, 1), Ok(key(1).to_text()));

    let world = settled(rotated(world, 2).await, 2).await;
    assert_eq!(world.broker.info().log_key, key(2).to_text());
    let world = settled(rotated(world, 3).await, 3).await;
    let again = receipt(&world, &dana, &id).await;
    assert_eq!(again.rotations.len(), 2);
    for known in 1..=3 {
        assert_eq!(judged(&again, &bytes, known), Ok(key(3).to_text()), "{known}");
    }
    let (dana, id, more) = delivered(&world).await;
    assert_eq!(judged(&receipt(&world, &dana, &id).await, &more, 1), Ok(key(3).to_text()));
    assert_eq!(judged(&before, &bytes, 1), Ok(key(1).to_text()));

    let audra = world.sign_in("audra", &["auditors"]).await;
    let auditor = audra.caller(&world).await.unwrap();
    for level in 0..=4 {
        let ask = ExportRequest {
            level: Some(level),
            ..ExportRequest::default()
        };
        let bundle = audit::export(&world.broker, &cx(), &auditor, ask)
            .await
            .unwrap()
            .into_bytes()
            .await
            .unwrap();
        for known in 1..=3 {
            let found = verify_bundle(&bundle, &TrustPolicy::of_key(&key(known)));
            assert_eq!(found.answer.as_str(), "true", "{level} {known}: {:?}", found.faults);
        }
        assert_eq!(verify_bundle(&bundle, &TrustPolicy::of_key(&key(9))).answer.as_str(), "cannot_tell");
    }
}

#[tokio::test]
async fn an_export_of_old_entries_has_a_head_that_says_which_key_is_the_log_s() {
    let world = World::new().await;
    delivered(&world).await;
    world.advance_ms(60_000);
    let until = world.broker.clock.now_ms();
    let world = settled(rotated(world, 2).await, 2).await;
    let audra = world.sign_in("audra", &["auditors"]).await;
    let auditor = audra.caller(&world).await.unwrap();
    let ask = ExportRequest {
        to_ms: Some(until),
        ..ExportRequest::default()
    };
    let bundle = audit::export(&world.broker, &cx(), &auditor, ask)
        .await
        .unwrap()
        .into_bytes()
        .await
        .unwrap();
    let found = verify_bundle(&bundle, &TrustPolicy::of_key(&key(1)));
    let rotated = world.broker.log.published().state.rotated();
    assert_eq!((found.answer.as_str(), found.head), ("true", rotated), "{:?}", found.faults);
    assert!(found.to < rotated);
}

#[tokio::test]
async fn from_the_entry_on_every_checkpoint_is_signed_by_the_new_key() {
    let world = rotated(World::new().await, 2).await;
    let at = world.kinds().await.iter().position(|kind| *kind == "key.rotate").unwrap() as u64;
    let shown = SignedCheckpoint::parse(&audit::checkpoint(&world.broker)).unwrap();
    assert!(shown.unverified().size > at);
    assert!(shown.verify(&[key(2)]).is_ok() && shown.verify(&[key(1)]).is_err());
    let size = shown.unverified().size;
    let entries = audit::rotations(&world.broker, size).await.unwrap().unwrap();
    let rotations = Rotations::read(&entries).unwrap();
    assert_eq!(rotations.signer(&shown, &[key(1)]), Ok(key(2)));
    assert_eq!(rotations.signer(&shown, &[key(7)]), Err(SignerError::Unknown));
    assert_eq!(rotations.retired(&key(1)), Some(at));
    assert!(audit::rotations(&world.broker, at).await.unwrap().unwrap().is_empty());
    assert!(audit::rotations(&world.broker, size + 1).await.unwrap().is_none());
}

#[tokio::test]
async fn the_log_says_which_key_is_its_own_whatever_a_crash_has_left_of_their_files() {
    // Prepared, and nothing more.
    let mut world = World::new().await;
    world.setup.next_seed = Some([2; 32]);
    let world = world.crash_and_restart().await;
    assert_eq!(world.broker.info().log_key, key(1).to_text());
    // The entry is there, and the files are as they were.
    let world = rotated(world, 2).await;
    assert_eq!((world.setup.log_seed, world.setup.next_seed), ([1; 32], Some([2; 32])));
    assert_eq!(world.broker.info().log_key, key(2).to_text());
    let world = world.crash_and_restart().await;
    assert_eq!(world.broker.info().log_key, key(2).to_text());
    // Trying once more changes nothing.
    let entries = world.kinds().await.into_iter().filter(|kind| *kind == "key.rotate").count();
    let world = rotated(world, 2).await;
    let again = world.kinds().await.into_iter().filter(|kind| *kind == "key.rotate").count();
    assert_eq!((entries, again), (1, 1));
    // All of it.
    let world = settled(world, 2).await;
    assert_eq!(world.broker.info().log_key, key(2).to_text());
}

#[tokio::test]
async fn a_broker_with_a_replaced_key_or_with_none_that_the_log_names_does_not_start() {
    for seed in [1, 7] {
        let mut world = settled(rotated(World::new().await, 2).await, 2).await;
        world.setup.log_seed = [seed; 32];
        let refused = world.try_restart().await.err().unwrap();
        assert!(refused.public.contains(&key(2).to_text()), "{refused}");
    }
}

#[tokio::test]
async fn only_the_log_s_own_key_is_replaced_and_no_key_comes_back() {
    let refused = |tried: Result<World, Error>, says: &str| {
        let fault = tried.err().unwrap();
        assert!(fault.code == Code::WrongState && fault.public.contains(says), "{fault}");
    };
    let mut world = World::new().await;
    world.setup.log_seed = [7; 32];
    refused(world.try_rotate(2, None, Others::default()).await, "the key to replace is");

    let world = settled(rotated(World::new().await, 2).await, 2).await;
    refused(world.try_rotate(1, None, Others::default()).await, "no key comes back");

    let mut world = settled(rotated(World::new().await, 2).await, 2).await;
    world.setup.log_seed = [1; 32];
    refused(world.try_rotate(3, None, Others::default()).await, "the key to replace is");
}
