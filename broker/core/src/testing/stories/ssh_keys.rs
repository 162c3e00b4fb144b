//! SSH keys: enrolled by their person, used for verdicts, taken back for good; and whoever tries otherwise.

use chunk_evidence::enrolled::Enrolment;
use chunk_evidence::sshsig::{ENROLL_NAMESPACE, REVIEW_NAMESPACE, SshSignature};
use chunk_wire::fetch::{RequestState, RequestView};
use chunk_wire::keys::EnrollKey;
use chunk_wire::problem::Code;
use chunk_wire::review::Verdict;

use crate::error::Error;
use crate::evidence::entries::Event;
use crate::identity::keys;
use crate::testing::ssh::{MAY_ENROLL, Signer, enroll, enrolling, send};
use crate::testing::{POLICIES, Someone, World, cx, drain};

async fn world() -> World {
    World::with_policies(&format!("{POLICIES}{MAY_ENROLL}")).await
}

async fn judge(world: &World, who: &Someone, request: &RequestView, signer: &Signer) -> Result<RequestView, Error> {
    let ssh = |signed: &str| Some(signer.sign(REVIEW_NAMESPACE, signed));
    who.review_with(world, request, Verdict::Approve, &request.digest, ssh).await
}

fn code<T>(answer: Result<T, Error>) -> Code {
    answer.err().unwrap().code
}

#[tokio::test]
async fn a_verdict_signed_with_an_enrolled_key_counts_where_it_is_demanded() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    for signer in [Signer::new(51), Signer::on_token(52, 1)] {
        let request = dana.ask(&world, "patients").await;
        let bare = rey.review(&world, &request, Verdict::Approve).await.err().unwrap();
        assert_eq!(bare.code, Code::ReviewRefused);
        assert!(bare.public.contains("--ssh-key"));
        assert_eq!(code(rey.review(&world, &request, Verdict::Reject).await), Code::ReviewRefused);
        assert_eq!(
            code(judge(&world, &rey, &request, &signer).await),
            Code::InvalidSignature,
            "not enrolled"
        );
        let enrolled = enroll(&world, &rey, &signer).await.unwrap();
        assert_eq!(
            (enrolled.ssh_key.as_str(), enrolled.subject.as_str()),
            (signer.key.fingerprint().as_str(), "rey")
        );
        let approved = judge(&world, &rey, &request, &signer).await.unwrap();
        assert_eq!(approved.state, RequestState::Approved);
        assert_eq!(approved.reviews[0].ssh_key.as_ref(), Some(&enrolled.ssh_key));
        drain(dana.fetch(&world, &request.id).await.unwrap()).await.unwrap();
        // The entry rests on the enrolment, and holds what anybody can verify.
        let entry = world.broker.log.read_one(approved.reviews[0].index).await.unwrap();
        assert_eq!(entry.leaf.header.refs[2], enrolled.index);
        let Some(Event::Review(review)) = entry.event() else {
            unreachable!("a verdict")
        };
        let kept = SshSignature::parse(&review.ssh.unwrap().signature).unwrap();
        let envelope: chunk_evidence::dsse::Envelope = serde_json::from_value(review.envelope).unwrap();
        kept.verify(REVIEW_NAMESPACE, &envelope.payload_bytes().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_signature_for_something_else_is_no_signature_on_a_verdict() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let (own, stranger) = (Signer::new(51), Signer::new(53));
    enroll(&world, &rey, &own).await.unwrap();
    // Where nobody asks for it, a wrong one is refused as well.
    let request = dana.ask(&world, "customers").await;
    let untouched = Signer::on_token(54, 4);
    let cases: [&dyn Fn(&str) -> Option<String>; 6] = [
        &|signed| Some(own.sign(ENROLL_NAMESPACE, signed)),
        &|signed| Some(own.sign(REVIEW_NAMESPACE, &signed.replace("looked", "winked"))),
        &|signed| Some(stranger.sign(REVIEW_NAMESPACE, signed)),
        &|signed| Some(untouched.sign(REVIEW_NAMESPACE, signed)),
        &|_| Some(String::new()),
        &|signed| Some(format!("{}\n", own.sign(REVIEW_NAMESPACE, signed))),
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let refused = rey.review_with(&world, &request, Verdict::Approve, &request.digest, case).await;
        assert_eq!(code(refused), Code::InvalidSignature, "case {n}");
    }
    // Another reviewer's key is not one's own.
    let rob = world.sign_in("rob", &["data-owners"]).await;
    assert_eq!(code(judge(&world, &rob, &request, &own).await), Code::InvalidSignature);
    judge(&world, &rey, &request, &own).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_taken_back_signs_nothing_and_does_not_come_again() {
    let world = world().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let rob = world.sign_in("rob", &["data-owners"]).await;
    let signer = Signer::new(51);
    let kept = enrolling(&world, &rey, &signer, |_| {}).await;
    let enrolled = send(&world, &rey, kept.clone()).await.unwrap();
    assert_eq!(code(send(&world, &rey, kept.clone()).await), Code::WrongState, "the same once more");
    assert_eq!(code(enroll(&world, &rob, &signer).await), Code::WrongState, "another's");
    let request = dana.ask(&world, "patients").await;
    judge(&world, &rey, &request, &signer).await.unwrap();
    // Nobody takes back what is another's.
    let rob_now = rob.caller(&world).await.unwrap();
    assert_eq!(
        code(keys::revoke(&world.broker, &cx(), &rob_now, enrolled.index).await),
        Code::NotFound
    );
    let rey_now = rey.caller(&world).await.unwrap();
    keys::revoke(&world.broker, &cx(), &rey_now, enrolled.index).await.unwrap();
    let size = world.broker.log.published().state.size;
    keys::revoke(&world.broker, &cx(), &rey_now, enrolled.index).await.unwrap();
    assert_eq!(world.broker.log.published().state.size, size, "once is enough");
    // What it approved does not count any more where its signature was asked for.
    assert_eq!(code(dana.fetch(&world, &request.id).await), Code::Denied);
    let another = dana.ask(&world, "customers").await;
    assert_eq!(code(judge(&world, &rey, &another, &signer).await), Code::InvalidSignature);
    for again in [send(&world, &rey, kept).await, enroll(&world, &rey, &signer).await] {
        assert_eq!(code(again), Code::WrongState);
    }
    let listed = keys::list(&world.broker, &cx(), &rey_now, false).await.unwrap();
    assert!(matches!(listed.as_slice(), [key] if key.revoked_ms.is_some()));
    assert!(keys::list(&world.broker, &cx(), &rob_now, false).await.unwrap().is_empty());
    assert_eq!(code(keys::list(&world.broker, &cx(), &rob_now, true).await), Code::Denied);
}

#[tokio::test]
async fn what_a_key_signed_for_another_enrolment_enrols_nothing() {
    let world = world().await;
    let rey = world.sign_in("rey", &["data-owners"]).await;
    let mallory = world.sign_in("mallory", &["data-owners"]).await;
    let signer = Signer::new(51);
    let cases: [fn(&mut Enrolment); 6] = [
        |statement| statement.origin = "other.example/log".into(),
        |statement| statement.subject = "mallory".into(),
        |statement| statement.issuer = "https://other.example".into(),
        |statement| statement.key = "thumb".into(),
        |statement| statement.ssh_key = Signer::new(53).key.fingerprint(),
        |statement| statement.nonce = "n".into(),
    ];
    for (n, case) in cases.into_iter().enumerate() {
        let forged = enrolling(&world, &rey, &signer, case).await;
        assert_eq!(code(send(&world, &rey, forged).await), Code::InvalidSignature, "case {n}");
    }
    // What was given to another session, or is not the broker's at all, and what is too old.
    let reys = enrolling(&world, &rey, &signer, |_| {}).await;
    assert_eq!(code(send(&world, &mallory, reys.clone()).await), Code::InvalidSignature);
    let mut again = reys.clone();
    again.nonce = rey.tokens.as_ref().unwrap().access_token.clone();
    assert_eq!(code(send(&world, &rey, again).await), Code::InvalidSignature);
    let verdict = EnrollKey {
        signature: signer.sign(REVIEW_NAMESPACE, "{}"),
        ..reys.clone()
    };
    assert_eq!(code(send(&world, &rey, verdict).await), Code::InvalidSignature);
    world.advance_ms(5 * 60 * 1000);
    assert_eq!(code(send(&world, &rey, reys).await), Code::InvalidSignature);
    assert!(world.broker.log.published().state.ssh_keys.all().next().is_none());
}

#[tokio::test]
async fn a_sign_in_must_be_recent_and_policy_must_permit_it() {
    let world = world().await;
    let mut rey = world.sign_in("rey", &["data-owners"]).await;
    world.advance_ms(14 * 60 * 1000);
    let kept = enrolling(&world, &rey, &Signer::new(51), |_| {}).await;
    rey.refresh(&world).await;
    world.advance_ms(2 * 60 * 1000);
    let refused = send(&world, &rey, kept).await.err().unwrap();
    assert_eq!(
        (refused.code, refused.public.contains("16 minutes ago")),
        (Code::Unauthenticated, true)
    );
    let caller = rey.caller(&world).await;
    assert_eq!(code(keys::challenge(&world.broker, &cx(), &caller.unwrap())), Code::Unauthenticated);
    let nobody = World::new().await;
    let rey = nobody.sign_in("rey", &["data-owners"]).await;
    let caller = rey.caller(&nobody).await.unwrap();
    assert_eq!(code(keys::challenge(&nobody.broker, &cx(), &caller)), Code::Denied);
    let attested = "@id(\"attested\") forbid(principal, action == Action::\"enroll_key\", resource) unless { context.key_attested };";
    let strict = World::with_policies(&format!("{POLICIES}{MAY_ENROLL}{attested}")).await;
    let rey = strict.sign_in("rey", &["data-owners"]).await;
    let refused = keys::challenge(&strict.broker, &cx(), &rey.caller(&strict).await.unwrap())
        .err()
        .unwrap();
    assert_eq!((refused.code, refused.policies), (Code::Denied, vec!["attested".to_owned()]));
}
