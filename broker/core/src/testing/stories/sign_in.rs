//! How somebody signed in, and what that is worth.

use chunk_evidence::attestation::IdToken;
use chunk_evidence::body::Group;
use chunk_wire::problem::Code;
use chunk_wire::session::{ClientInfo, OpenSession, SessionTokens, SignIn};

use crate::error::Error;
use crate::identity;
use crate::testing::{ISSUER, POLICIES, Setup, Someone, World, cx, slice};

/// Signs in with the browser; what the identity provider says names this key.
async fn with_browser(world: &World, who: &Someone, subject: &str, nonce: &str) -> Result<SessionTokens, Error> {
    let (presented, open) = who.with_code(world, &world.id_token_for(subject, &["data-eng"], Some(nonce)));
    identity::open_browser_session(&world.broker, &cx(), presented, open).await
}

#[tokio::test]
async fn a_sign_in_with_the_browser_is_bound_to_its_key_and_recorded_as_such() {
    let world = World::new().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let tokens = with_browser(&world, &dana, "dana", &dana.thumbprint()).await.unwrap();
    let state = &world.broker.log.published().state;
    let opened = &state.sessions.get(&tokens.session).unwrap().open;
    assert_eq!((opened.flow.as_deref(), opened.key_attested), (Some("browser"), Some(true)));
    let brought = &state.sessions.get(&dana.tokens.as_ref().unwrap().session).unwrap().open;
    assert_eq!((brought.flow.as_deref(), brought.key_attested), (Some("id_token"), Some(false)));
    assert_eq!(opened.attestation, None, "the state needs it no more");
    // Whoever does not take the broker's word has the token to look at, in the log and nowhere below its highest level.
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let opens = entries.iter().filter(|entry| entry.leaf.header.kind.as_str() == "session.open");
    let bodies: Vec<_> = opens.map(|entry| &entry.body.as_ref().unwrap().1).collect();
    let [plain, kept] = bodies.as_slice() else {
        unreachable!("two sign-ins")
    };
    assert!(plain.get(Group::Why).is_null());
    let token = kept.text(Group::Why, "attestation").unwrap();
    let token = IdToken::parse(token).unwrap();
    assert!(token.names(ISSUER, "dana", &dana.thumbprint()));
    assert_eq!(kept.text(Group::Out, "id_token"), Some(token.digest().as_str()));
    // What names dana's key is worth nothing with another.
    let mallory = world.someone();
    let stolen = with_browser(&world, &mallory, "dana", &dana.thumbprint()).await;
    assert_eq!(stolen.err().unwrap().code, Code::InvalidIdToken);
}

#[tokio::test]
async fn a_token_is_good_once_however_it_came() {
    let world = World::new().await;
    let dana = world.someone();
    let token = world.id_token_for("dana", &["data-eng"], Some(&dana.thumbprint()));
    let (presented, open) = dana.with_code(&world, &token);
    identity::open_browser_session(&world.broker, &cx(), presented, open).await.unwrap();
    let (presented, open) = dana.with_code(&world, &token);
    let again = identity::open_browser_session(&world.broker, &cx(), presented, open).await;
    assert_eq!(again.err().unwrap().code, Code::InvalidIdToken);
}

#[tokio::test]
async fn where_the_browser_is_required_a_token_that_a_client_brings_opens_nothing() {
    let mut setup = Setup::default();
    setup.settings.issuers[0].sign_in = SignIn::BrowserRequired;
    let world = World::with(setup).await;
    let mallory = world.someone();
    // As a phished device code gives it, and as it gives it where the provider copies the nonce that the attacker asked for.
    for nonce in [None, Some(mallory.thumbprint())] {
        let presented = mallory.present(&world, "POST", "/v1/sessions", false);
        let open = OpenSession {
            id_token: world.id_token_for("dana", &["data-eng"], nonce.as_deref()),
            access_token: None,
            client: ClientInfo::default(),
        };
        let refused = identity::open_session(&world.broker, &cx(), presented, open).await.err().unwrap();
        assert_eq!(refused.code, Code::InvalidIdToken);
        assert_eq!(refused.hint.as_deref(), Some("run `chunkctl login --browser`"));
    }
    assert!(world.broker.log.published().state.sessions.is_empty());
    let dana = world.someone();
    with_browser(&world, &dana, "dana", &dana.thumbprint()).await.unwrap();
}

#[tokio::test]
async fn policy_can_keep_data_for_keys_that_the_identity_provider_attests() {
    let rule = "@id(\"attested-only\") forbid(principal, action == Action::\"fetch\", resource) unless { context.key_attested };";
    let world = World::with_policies(&format!("{POLICIES}{rule}")).await;
    let mut dana = world.sign_in("dana", &["data-eng"]).await;
    let answer = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!(
        (answer.decision.as_str(), answer.policies),
        ("denied", vec!["attested-only".to_owned()])
    );
    dana.tokens = Some(with_browser(&world, &dana, "dana", &dana.thumbprint()).await.unwrap());
    let answer = dana.plan(&world, slice("customers")).await.unwrap();
    assert_eq!(answer.decision, "needs_approval");
}
