//! Signing in with a code that the broker itself gives, where the identity provider speaks SAML: the broker sends whoever confirms the
//! code on to the provider, and opens the session for the key that asked.

use std::time::Duration;

use chunk_wire::problem::Code;
use chunk_wire::session::{BeginSignIn, ClientInfo, FinishSignIn, GRANT_TYPE_DEVICE_CODE, IssuerInfo, SessionTokens, SignInBegun};

use super::{LoginCode, show};
use crate::auth::keys::Key;
use crate::client::{Broker, Proof};
use crate::config::check_transport;
use crate::error::{Failure, Result};
use crate::output::Ui;

/// RFC 8628 §3.5: how much longer to wait when told to slow down.
const SLOWER_BY: Duration = Duration::from_secs(5);
/// A broker that asks to be asked more seldom than this asks for nothing sensible.
const INTERVAL_S_MAX: u64 = 60;

/// Signs a person in; gives the session, bound to the key.
///
/// # Errors
/// When the broker cannot be reached, the person or the broker refuses, or the code expires.
pub(crate) async fn sign_in(
    ui: &Ui,
    broker: &Broker,
    issuer: &IssuerInfo,
    key: &Key,
    client: ClientInfo,
    browser_hint: bool,
) -> Result<SessionTokens> {
    let asked = BeginSignIn {
        issuer: issuer.issuer.clone(),
        client_version: Some(client.version),
        client_host: Some(client.host),
    };
    let call = broker.post(&["v1", "device"]).form(&asked)?;
    let begun: SignInBegun = broker.json(&call, Proof::Key(key)).await?;
    own_page(broker, &begun)?;
    show(
        ui,
        &LoginCode {
            verification_uri: &begun.verification_uri,
            verification_uri_complete: Some(&begun.verification_uri_complete),
            user_code: &begun.user_code,
            key: Some(key.thumbprint()),
            expires_s: begun.expires_in,
        },
        browser_hint,
    )?;
    let question = FinishSignIn {
        grant_type: GRANT_TYPE_DEVICE_CODE.to_owned(),
        device_code: begun.device_code,
    };
    let call = broker.post(&["v1", "device", "token"]).form(&question)?;
    let mut interval = Duration::from_secs(begun.interval.min(INTERVAL_S_MAX));
    // It ends: the broker says so when the code has ended, whatever it is told in between.
    loop {
        tokio::time::sleep(interval).await;
        match broker.json(&call, Proof::Key(key)).await {
            Err(failure) if failure.is(Code::AuthorizationPending) => {}
            Err(failure) if failure.is(Code::RateLimited) => interval += SLOWER_BY,
            done => return done,
        }
    }
}

/// People are sent to pages of the broker that they asked for, and nowhere else.
fn own_page(broker: &Broker, begun: &SignInBegun) -> Result<()> {
    let not_own = |why: &str| Failure::no("sign_in", "the broker names a page that cannot be its own").why(why.to_owned());
    for address in [&begun.verification_uri, &begun.verification_uri_complete] {
        let url = url::Url::parse(address).map_err(|_| not_own("it does not parse as a URL"))?;
        check_transport(&url).map_err(not_own)?;
        if url.origin() != broker.url.route(&[]).origin() {
            return Err(not_own("it is on another host than the broker"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::scripted::{Scripted, answer};
    use crate::config::BrokerUrl;
    use crate::context::block_on;
    use crate::error::Exit;

    const BEGUN: &str = r#"{"device_code":"dc","user_code":"BCDF-GHJK","verification_uri":"{url}/device","verification_uri_complete":"{url}/device?user_code=BCDF-GHJK","expires_in":60,"interval":0}"#;
    const TOKENS: &str = r#"{"session":"ses_0000000000000000","access_token":"a","access_expires_ms":1,"refresh_token":"r","session_expires_ms":2,"person":{"issuer":"urn:idp","subject":"ada","name":"Ada"}}"#;

    fn no(code: &str) -> String {
        let problem = chunk_wire::problem::Problem::new(Code::parse(code).unwrap(), "why");
        answer(400, "", &serde_json::to_string(&problem).unwrap())
    }

    fn run(answers: Vec<String>) -> (Result<SessionTokens>, Vec<(String, String)>) {
        let server = Scripted::start(answers);
        let broker = Broker::new(BrokerUrl::parse(&server.url).unwrap(), None).unwrap();
        let issuer: IssuerInfo =
            serde_json::from_str(r#"{"issuer":"urn:idp","client_id":"","scopes":[],"insecure_development":false,"sign_in":"saml"}"#)
                .unwrap();
        let (key, _) = Key::generate().unwrap();
        let client = ClientInfo {
            version: "chunkctl/1".into(),
            host: "laptop".into(),
        };
        let outcome = block_on(sign_in(&Ui::new(false, true, true), &broker, &issuer, &key, client, true));
        let asked = server.asked();
        assert!(asked.iter().all(|asked| asked.header("dpop").is_some()), "{asked:?}");
        (outcome, asked.into_iter().map(|asked| (asked.line, asked.body)).collect())
    }

    #[test]
    fn the_broker_is_asked_until_somebody_has_signed_in() {
        let (outcome, asked) = run(vec![
            answer(200, "", BEGUN),
            no("authorization_pending"),
            no("authorization_pending"),
            answer(200, "", TOKENS),
        ]);
        assert_eq!(outcome.unwrap().person.subject, "ada");
        let [begin, .., poll] = asked.as_slice() else {
            unreachable!("four calls")
        };
        assert!(begin.0.starts_with("POST /v1/device ") && begin.1.contains("issuer=urn%3Aidp") && begin.1.contains("client_host=laptop"));
        assert!(
            poll.0.starts_with("POST /v1/device/token ") && poll.1.contains("device_code=dc"),
            "{poll:?}"
        );
    }

    #[test]
    fn refusal_and_expiry_end_it() {
        for code in ["access_denied", "expired_token"] {
            let failure = run(vec![answer(200, "", BEGUN), no(code)]).0.unwrap_err();
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::SignIn, code));
            assert_eq!(failure.hint.as_deref(), Some("chunkctl login"));
        }
    }

    #[test]
    fn nobody_is_sent_to_a_page_of_somebody_else() {
        for page in ["https://elsewhere.example/device", "http://elsewhere.example/device", "nonsense"] {
            let begun = BEGUN.replace("\"{url}/device\"", &format!("\"{page}\""));
            let failure = run(vec![answer(200, "", &begun)]).0.unwrap_err();
            assert_eq!(failure.exit, Exit::No, "{page}");
        }
    }
}
