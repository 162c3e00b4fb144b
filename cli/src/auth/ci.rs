//! Signing a CI job in: with the token that its provider gives it, exchanged for a session of minutes (RFC 8693).
//!
//! The job needs no secret of ours, and leaves none behind. Its token is found where the provider puts it, goes nowhere but to
//! the broker that it was made for, and opens one session, bound to a key that was made for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_wire::session::{
    BrokerInfo, ExchangedToken, GRANT_TYPE_TOKEN_EXCHANGE, SessionTokens, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT, TokenExchange,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::auth::credentials::Credentials;
use crate::auth::keys::Key;
use crate::client::{Broker, Proof, connection};
use crate::commands::login;
use crate::config::check_transport;
use crate::context::Context;
use crate::error::{Failure, Result};

/// Where the job's token comes from.
pub(crate) enum Source {
    /// `CHUNKCTL_ID_TOKEN`: GitLab's `id_tokens`, or anything else that puts one there.
    Variable(Zeroizing<String>),
    /// `CHUNKCTL_ID_TOKEN_FILE`, or the file that a Kubernetes pod is given for it.
    File(PathBuf),
    /// GitHub Actions: an address that gives a token for whichever audience is asked for.
    GitHub { url: String, bearer: Zeroizing<String> },
}

/// A projected service account token is looked for here, unless a variable says otherwise.
const PROJECTED: &str = "/var/run/secrets/chunkctl/token";
/// Tokens are a few kilobytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl Source {
    /// Looks for what the job's provider gives it.
    pub(crate) fn find() -> Option<Self> {
        Self::find_in(|name| std::env::var(name).ok(), Path::new(PROJECTED))
    }

    fn find_in(environment: impl Fn(&str) -> Option<String>, projected: &Path) -> Option<Self> {
        let given = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        if let Some(token) = given("CHUNKCTL_ID_TOKEN") {
            return Some(Source::Variable(Zeroizing::new(token)));
        }
        if let Some(path) = given("CHUNKCTL_ID_TOKEN_FILE") {
            return Some(Source::File(PathBuf::from(path)));
        }
        if let (Some(url), Some(bearer)) = (given("ACTIONS_ID_TOKEN_REQUEST_URL"), given("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) {
            let bearer = Zeroizing::new(bearer);
            return Some(Source::GitHub { url, bearer });
        }
        projected.is_file().then(|| Source::File(projected.to_owned()))
    }

    /// Looks again, and says what is missing.
    ///
    /// # Errors
    /// When there is no token.
    pub(crate) fn required() -> Result<Self> {
        Self::find().ok_or_else(|| {
            Failure::usage("this job has no token to sign in with")
                .why("GitHub Actions: give the job `permissions: id-token: write`")
                .why("GitLab: give the job `id_tokens: CHUNKCTL_ID_TOKEN: aud: BROKER`")
                .why(format!(
                    "Kubernetes: project a service account token to {PROJECTED}, or name its file in CHUNKCTL_ID_TOKEN_FILE"
                ))
                .hint("chunkctl login --help")
        })
    }

    /// The token for this audience.
    ///
    /// # Errors
    /// When it cannot be had, or is made for somebody else.
    async fn token(&self, audience: &str, ca_file: Option<&Path>) -> Result<Zeroizing<String>> {
        let token = match self {
            Source::Variable(token) => Zeroizing::new(token.trim().to_owned()),
            Source::File(path) => read(path)?,
            Source::GitHub { url, bearer } => ask_github(url, bearer, audience, ca_file).await?,
        };
        made_for(&token, audience)?;
        Ok(token)
    }
}

/// Signs the job in and opens a session bound to a fresh key.
///
/// # Errors
/// When the broker or the job's provider cannot be reached, or either says no.
pub(crate) async fn open_session(cx: &Context<'_>, broker: &Broker, source: &Source) -> Result<(Credentials, BrokerInfo)> {
    let info: BrokerInfo = broker.json(&broker.get(&["v1", "info"]), Proof::None).await?;
    login::check_address(&broker.url, &info)?;
    login::check_log_key(cx, broker, &info).await?;
    let audience = broker.url.as_str();
    let token = source.token(audience, cx.ca_file()).await?;
    let (key, seed) = Key::generate()?;
    let client = login::client_info();
    let form = TokenExchange {
        grant_type: GRANT_TYPE_TOKEN_EXCHANGE.to_owned(),
        subject_token: token.to_string(),
        subject_token_type: TOKEN_TYPE_JWT.to_owned(),
        requested_token_type: Some(TOKEN_TYPE_ACCESS_TOKEN.to_owned()),
        audience: Some(audience.to_owned()),
        client_version: Some(client.version),
        client_host: Some(client.host),
    };
    let call = broker.post(&["v1", "token"]).form(&form)?;
    let exchanged: ExchangedToken = broker.json(&call, Proof::Key(&key)).await?;
    let tokens = SessionTokens {
        session: exchanged.session,
        access_token: exchanged.access_token,
        access_expires_ms: exchanged.session_expires_ms,
        // Nothing renews a job's session.
        refresh_token: String::new(),
        session_expires_ms: exchanged.session_expires_ms,
        person: exchanged.person,
    };
    Ok((Credentials::new(audience, &seed, tokens, &info.origin, &info.log_key), info))
}

/// A token that a file holds.
fn read(path: &Path) -> Result<Zeroizing<String>> {
    use std::io::Read as _;
    let unread = |error: &std::io::Error| Failure::file("read the token in", path, error);
    let file = std::fs::File::open(path).map_err(|error| unread(&error))?;
    let mut text = Zeroizing::new(String::new());
    let bytes_max = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(bytes_max).read_to_string(&mut text).map_err(|error| unread(&error))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Asks GitHub Actions for a token with this audience.
async fn ask_github(url: &str, bearer: &str, audience: &str, ca_file: Option<&Path>) -> Result<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Given {
        value: String,
    }
    let wrong = |why: &str| Failure::usage("ACTIONS_ID_TOKEN_REQUEST_URL is no address to ask for a token").why(why);
    let mut address = url::Url::parse(url).map_err(|_| wrong("it does not parse as a URL"))?;
    check_transport(&address).map_err(wrong)?;
    address.query_pairs_mut().append_pair("audience", audience);
    let http = connection::client(address.scheme() == "http", ca_file)?;
    let server = address.host_str().unwrap_or("GitHub Actions").to_owned();
    let answer = http.get(address).bearer_auth(bearer).timeout(ANSWER_TIMEOUT).send().await;
    let answer = answer.map_err(|error| connection::unreachable(&server, &error))?;
    if !answer.status().is_success() {
        return Err(Failure::cannot_tell("sign_in", "GitHub Actions gave no token")
            .why(format!("it answered with status {}", answer.status().as_u16())));
    }
    let bytes = Zeroizing::new(crate::client::read_bytes(answer).await?);
    let given: Given = serde_json::from_slice(&bytes).map_err(|_| {
        Failure::cannot_tell("sign_in", "GitHub Actions gave no token").why("its answer is not of the form that is documented")
    })?;
    Ok(Zeroizing::new(given.value))
}

/// Checks that a token is for this broker and nobody else, before it leaves the job: one for the cluster's own API, or for
/// another service, is worth something there.
fn made_for(token: &str, audience: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        aud: serde_json::Value,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Claims> = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let claims = claims.ok_or_else(|| {
        Failure::usage("what the job has in place of a token is none").why("expected a JSON web token (three parts with dots between)")
    })?;
    if claims.aud == audience || claims.aud == serde_json::json!([audience]) {
        return Ok(());
    }
    Err(Failure::usage("the job's token is made for somebody else, and is not sent")
        .why(format!("its audience must be {audience} and nothing else"))
        .why("GitLab: `aud` of `id_tokens`; Kubernetes: `audience` of the projected volume"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::scripted::{Scripted, answer};
    use crate::context::block_on;
    use crate::error::Exit;

    const BROKER: &str = "https://broker.example";

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn found(variables: &[(&str, &str)], projected: &Path) -> String {
        let environment = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        match Source::find_in(environment, projected) {
            Some(Source::Variable(token)) => format!("variable {}", token.as_str()),
            Some(Source::File(path)) => format!("file {}", path.display()),
            Some(Source::GitHub { url, .. }) => format!("github {url}"),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn the_token_is_found_where_the_provider_puts_it() {
        let nowhere = Path::new("/nowhere/at/all");
        let (url, bearer) = (("ACTIONS_ID_TOKEN_REQUEST_URL", "u"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"));
        let (file, given) = (("CHUNKCTL_ID_TOKEN_FILE", "/f"), ("CHUNKCTL_ID_TOKEN", "a.b.c"));
        assert_eq!(found(&[], nowhere), "none");
        assert_eq!(found(&[url], nowhere), "none");
        assert_eq!(found(&[url, bearer], nowhere), "github u");
        assert_eq!(found(&[url, bearer, file], nowhere), "file /f");
        assert_eq!(found(&[file, given], nowhere), "variable a.b.c");
        assert_eq!(found(&[("CHUNKCTL_ID_TOKEN", " ")], nowhere), "none");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(found(&[], file.path()), format!("file {}", file.path().display()));
    }

    #[test]
    fn a_token_for_somebody_else_never_leaves_the_job() {
        made_for(&token(r#"{"aud":"https://broker.example"}"#), BROKER).unwrap();
        made_for(&token(r#"{"aud":["https://broker.example"]}"#), BROKER).unwrap();
        for claims in [
            r#"{"aud":"https://kubernetes.default.svc"}"#,
            r#"{"aud":["https://broker.example","https://kubernetes.default.svc"]}"#,
            r#"{"aud":"https://broker.example/"}"#,
            r#"{"aud":[]}"#,
            "{}",
            "nonsense",
        ] {
            let failure = made_for(&token(claims), BROKER).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{claims}");
        }
        for text in ["", "a", "a.b", "ghp_secret"] {
            let failure = made_for(text, BROKER).unwrap_err();
            assert!(!format!("{failure:?}").contains("ghp_secret"));
        }
    }

    #[test]
    fn github_is_asked_for_a_token_of_this_broker_over_a_way_that_is_safe() {
        let made = token(r#"{"aud":"https://broker.example"}"#);
        let server = Scripted::start(vec![
            answer(200, "", &format!(r#"{{"count":1,"value":"{made}"}}"#)),
            answer(403, "", "{}"),
        ]);
        let source = Source::GitHub {
            url: format!("{}/token?api-version=2", server.url),
            bearer: Zeroizing::new("runner-secret".to_owned()),
        };
        let given = block_on(source.token(BROKER, None)).unwrap();
        assert_eq!(given.as_str(), made);
        let asked = server.asked();
        let first = asked.first().unwrap();
        assert!(
            first.line.contains("api-version=2&audience=https%3A%2F%2Fbroker.example"),
            "{first:?}"
        );
        assert_eq!(first.header("authorization"), Some("Bearer runner-secret"));
        let refused = block_on(source.token(BROKER, None)).unwrap_err();
        assert!(refused.why.iter().any(|why| why.contains("403")), "{refused:?}");
        for url in ["http://github.example/token", "ftp://x", "nonsense"] {
            let source = Source::GitHub {
                url: url.to_owned(),
                bearer: Zeroizing::new("runner-secret".to_owned()),
            };
            assert_eq!(block_on(source.token(BROKER, None)).unwrap_err().exit, Exit::Usage, "{url}");
        }
    }
}
