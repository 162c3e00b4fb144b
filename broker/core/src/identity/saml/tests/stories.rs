//! From the code on a terminal to the session it becomes, and what each step is worth to anybody else.

use std::io::Read as _;
use std::net::Ipv4Addr;

use chunk_evidence::body::Group;
use flate2::read::DeflateDecoder;

use super::*;
use crate::clock::Clock as _;
use crate::testing::{POLICIES, Setup, Someone, World, cx, slice};

const BROWSER: &str = "the-browser's-cookie";

async fn world() -> World {
    let mut setup = Setup::default();
    setup.settings.saml = vec![provider()];
    World::with(setup).await
}

fn try_begin(world: &World, who: &Someone, from: u8) -> Result<SignInBegun, Error> {
    let presented = who.present(world, "POST", "/v1/device", false);
    let asked = BeginSignIn {
        issuer: IDP.into(),
        client_version: Some("chunkctl/1".into()),
        client_host: Some("laptop\u{7}".into()),
    };
    begin(&world.broker, &cx(), &presented, Ipv4Addr::new(192, 0, 2, from).into(), asked)
}

fn begun(world: &World, who: &Someone) -> SignInBegun {
    try_begin(world, who, 1).unwrap()
}

/// Where the browser is sent: the request in full, its id, and the `RelayState`.
fn confirmed(world: &World, begun: &SignInBegun) -> (String, String, String) {
    let address = confirm(&world.broker, &begun.user_code, BROWSER).unwrap();
    assert!(
        address.as_str().starts_with("https://idp.example/sso?tenant=1&SAMLRequest="),
        "{address}"
    );
    let of = |name: &str| address.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    let packed = STANDARD.decode(of("SAMLRequest")).unwrap();
    let mut request = String::new();
    DeflateDecoder::new(packed.as_slice()).read_to_string(&mut request).unwrap();
    let id = request.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    (request, id, of("RelayState"))
}

fn answer(world: &World, request: &str) -> String {
    STANDARD.encode(Answer::to(request, world.clock.now_ms()).message())
}

fn brought(world: &World, relay_state: &str, response: &str) -> Result<String, Error> {
    receive(&world.broker, &cx(), relay_state, BROWSER, response)
}

async fn asked(world: &World, who: &Someone, begun: &SignInBegun) -> Result<SessionTokens, Error> {
    world.advance_ms(2000);
    finish(
        &world.broker,
        &cx(),
        who.present(world, "POST", "/v1/device/token", false),
        &begun.device_code,
    )
    .await
}

async fn told(world: &World, who: &Someone, begun: &SignInBegun) -> Code {
    asked(world, who, begun).await.err().unwrap().code
}

#[tokio::test]
async fn a_code_becomes_a_session_of_the_person_once_and_for_the_key_that_began() {
    let world = world().await;
    let (dana, mallory) = (world.someone(), world.someone());
    let begun = begun(&world, &dana);
    assert_eq!(begun.verification_uri, "https://broker.example.test/device");
    assert_eq!(told(&world, &dana, &begun).await, Code::AuthorizationPending);

    let shown = look(&world.broker, &begun.user_code.replace('-', " ").to_lowercase(), BROWSER).unwrap();
    assert_eq!(shown.key, dana.thumbprint());
    assert_eq!(
        (shown.client.host.as_str(), shown.user_code.as_str()),
        ("laptop", begun.user_code.as_str())
    );

    let (request, id, relay_state) = confirmed(&world, &begun);
    assert!(
        request.contains(&format!("<saml:Issuer>{AUDIENCE}</saml:Issuer>")) && request.contains(ACS),
        "{request}"
    );
    assert_eq!(told(&world, &dana, &begun).await, Code::AuthorizationPending);
    let response = answer(&world, &id);
    assert_eq!(brought(&world, &relay_state, &response).unwrap(), "Ada Lovelace");
    assert_eq!(
        brought(&world, &relay_state, &response).unwrap_err().code,
        Code::ExpiredToken,
        "once"
    );

    assert_eq!(told(&world, &mallory, &begun).await, Code::InvalidDpopProof);
    let tokens = asked(&world, &dana, &begun).await.unwrap();
    assert_eq!(told(&world, &dana, &begun).await, Code::ExpiredToken, "once");
    assert_eq!((tokens.person.issuer.as_str(), tokens.person.subject.as_str()), (IDP, "ada"));
    assert_eq!(tokens.person.groups, ["data-eng", "oncall"]);

    let state = &world.broker.log.published().state;
    let opened = &state.sessions.get(&tokens.session).unwrap().open;
    assert_eq!((opened.flow.as_deref(), opened.key_attested), (Some("saml"), Some(false)));
    assert_eq!(
        (opened.key.as_str(), opened.client.version.as_str()),
        (dana.thumbprint().as_str(), "chunkctl/1")
    );
    let entries = world.broker.log.read(0, usize::MAX).await.unwrap();
    let open = entries
        .iter()
        .find(|entry| entry.leaf.header.kind.as_str() == "session.open")
        .unwrap();
    assert!(open.body.as_ref().unwrap().1.get(Group::Why).is_null());
}

#[tokio::test]
async fn policy_sees_how_and_when_the_person_authenticated() {
    let rule = "@id(\"password-only\") forbid(principal, action == Action::\"fetch\", resource) unless { \
                context.amr.contains(\"urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\") };";
    let mut setup = Setup {
        policies: format!("{POLICIES}{rule}"),
        ..Setup::default()
    };
    setup.settings.saml = vec![provider()];
    let world = World::with(setup).await;
    let mut dana = world.someone();
    let begun = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &begun);
    brought(&world, &relay_state, &answer(&world, &id)).unwrap();
    dana.tokens = Some(asked(&world, &dana, &begun).await.unwrap());
    assert_eq!(dana.plan(&world, slice("customers")).await.unwrap().decision, "needs_approval");
    let mut other = world.sign_in("dana", &["data-eng"]).await;
    assert_eq!(other.plan(&world, slice("customers")).await.unwrap().decision, "denied");
    other.tokens = None;
}

#[tokio::test]
async fn an_answer_is_taken_from_the_browser_that_was_sent_for_it_alone() {
    let world = world().await;
    let dana = world.someone();
    let begun = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &begun);
    let response = answer(&world, &id);
    let elsewhere = receive(&world.broker, &cx(), &relay_state, "another cookie", &response);
    assert_eq!(elsewhere.unwrap_err().code, Code::AccessDenied);
    assert_eq!(
        brought(&world, "another relay state", &response).unwrap_err().code,
        Code::ExpiredToken
    );
    // Nor does another browser confirm or refuse what this one has begun.
    assert_eq!(
        confirm(&world.broker, &begun.user_code, "another").unwrap_err().code,
        Code::AccessDenied
    );
    assert_eq!(
        refuse(&world.broker, &begun.user_code, "another").unwrap_err().code,
        Code::AccessDenied
    );
    // Nothing of that has ended it.
    brought(&world, &relay_state, &response).unwrap();
    asked(&world, &dana, &begun).await.unwrap();
}

#[tokio::test]
async fn an_answer_to_one_sign_in_is_none_to_another() {
    let world = world().await;
    let (dana, mallory) = (world.someone(), world.someone());
    let (first, second) = (begun(&world, &dana), begun(&world, &mallory));
    let (_, dana_s, _) = confirmed(&world, &first);
    let (_, _, mallory_s_relay_state) = confirmed(&world, &second);
    // Dana's own answer, carried into the sign-in that mallory began.
    let refused = brought(&world, &mallory_s_relay_state, &answer(&world, &dana_s)).unwrap_err();
    assert_eq!(refused.code, Code::InvalidIdToken);
    assert_eq!(told(&world, &mallory, &second).await, Code::AccessDenied);
    assert_eq!(told(&world, &mallory, &second).await, Code::ExpiredToken);
    // Who goes back in their browser and confirms again has a request of their own again; the first is answered no more.
    let (_, again, relay_state) = confirmed(&world, &first);
    assert_eq!(
        brought(&world, &relay_state, &answer(&world, &dana_s)).unwrap_err().code,
        Code::InvalidIdToken
    );
    assert_ne!(again, dana_s);
}

#[tokio::test]
async fn an_assertion_is_good_once_whatever_it_answers() {
    let world = world().await;
    let dana = world.someone();
    let first = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &first);
    brought(&world, &relay_state, &answer(&world, &id)).unwrap();
    // The same id once more, in an answer that is good otherwise.
    let second = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &second);
    let refused = brought(&world, &relay_state, &answer(&world, &id)).unwrap_err();
    assert!(refused.public.contains("used before"), "{}", refused.public);
    assert_eq!(told(&world, &dana, &second).await, Code::AccessDenied);
}

#[tokio::test]
async fn what_the_person_or_the_broker_refuses_ends_there() {
    let world = world().await;
    let dana = world.someone();
    let begun_1 = begun(&world, &dana);
    refuse(&world.broker, &begun_1.user_code, BROWSER).unwrap();
    assert_eq!(
        look(&world.broker, &begun_1.user_code, BROWSER).unwrap_err().code,
        Code::ExpiredToken
    );
    assert_eq!(told(&world, &dana, &begun_1).await, Code::AccessDenied);

    let begun_2 = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &begun_2);
    let forged = STANDARD.encode(Answer::to(&id, world.clock.now_ms()).around(&Answer::good().signed_by(&FOREIGN)));
    assert_eq!(brought(&world, &relay_state, &forged).unwrap_err().code, Code::InvalidIdToken);
    assert_eq!(
        brought(&world, &relay_state, &answer(&world, &id)).unwrap_err().code,
        Code::ExpiredToken
    );
    assert_eq!(told(&world, &dana, &begun_2).await, Code::AccessDenied);
    assert!(world.broker.log.published().state.sessions.is_empty());
}

#[tokio::test]
async fn time_ends_codes_whether_or_not_somebody_signed_in() {
    let world = world().await;
    let dana = world.someone();
    let first = begun(&world, &dana);
    world.advance_ms(SIGN_IN_S_MAX * 1000);
    assert_eq!(look(&world.broker, &first.user_code, BROWSER).unwrap_err().code, Code::ExpiredToken);
    assert_eq!(told(&world, &dana, &first).await, Code::ExpiredToken);
    let second = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &second);
    brought(&world, &relay_state, &answer(&world, &id)).unwrap();
    world.advance_ms(crate::limits::SIGN_IN_TAKEN_S_MAX * 1000);
    assert_eq!(told(&world, &dana, &second).await, Code::ExpiredToken);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_to_slow_down_and_loses_nothing() {
    let world = world().await;
    let dana = world.someone();
    let begun = begun(&world, &dana);
    assert_eq!(told(&world, &dana, &begun).await, Code::AuthorizationPending);
    let presented = dana.present(&world, "POST", "/v1/device/token", false);
    let soon = finish(&world.broker, &cx(), presented, &begun.device_code).await;
    assert_eq!(soon.err().unwrap().code, Code::RateLimited);
    assert_eq!(told(&world, &dana, &begun).await, Code::AuthorizationPending);
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let world = world().await;
    let dana = world.someone();
    for _ in 0..crate::limits::SIGN_INS_WAITING_OF_ONE_MAX {
        try_begin(&world, &dana, 1).unwrap();
    }
    assert_eq!(try_begin(&world, &dana, 1).unwrap_err().code, Code::RateLimited);
    try_begin(&world, &dana, 2).unwrap();
}

#[tokio::test]
async fn a_broker_that_was_started_again_knows_no_sign_in_of_before() {
    let world = world().await;
    let dana = world.someone();
    let begun = begun(&world, &dana);
    let (_, id, relay_state) = confirmed(&world, &begun);
    let world = world.crash_and_restart().await;
    assert_eq!(
        brought(&world, &relay_state, &answer(&world, &id)).unwrap_err().code,
        Code::ExpiredToken
    );
    assert_eq!(told(&world, &dana, &begun).await, Code::ExpiredToken);
}

#[tokio::test]
async fn without_such_a_provider_there_is_nothing_of_it() {
    let world = World::new().await;
    assert_eq!(metadata(&world.broker), None);
    assert_eq!(try_begin(&world, &world.someone(), 1).unwrap_err().code, Code::InvalidRequest);
}

#[tokio::test]
async fn metadata_says_what_an_administrator_registers() {
    let metadata = metadata(&world().await.broker).unwrap();
    let document = roxmltree::Document::parse(&metadata).unwrap();
    assert_eq!(document.root_element().attribute("entityID"), Some(AUDIENCE));
    let acs = document
        .descendants()
        .find(|node| node.tag_name().name() == "AssertionConsumerService")
        .unwrap();
    assert_eq!(acs.attribute("Location"), Some(ACS));
}

#[test]
fn codes_are_hard_to_guess_and_easy_to_type() {
    let (one, other) = (user_code().unwrap(), user_code().unwrap());
    assert_ne!(one, other);
    assert!(one.len() == 9 && one.bytes().all(|b| b == b'-' || LETTERS.contains(&b)), "{one}");
    assert_eq!(normal(&one.replace('-', "").to_lowercase()), one);
    for odd in ["", "ABC", "ABCDEFGHIJKLMNOP", "<script>"] {
        assert_ne!(normal(odd), one);
    }
}
