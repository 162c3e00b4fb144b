//! Signing in with the browser of this machine (RFC 8252): the identity provider sends the person back to this program.
//!
//! What it sends is a code. It is worth something only together with the verifier that never left this process (RFC 7636), and the
//! broker redeems it, so that the broker knows which way the person came. The request names the thumbprint of the session's key as its
//! `nonce`: the provider's own token then says whose key it is, and a code that somebody else's program asked for opens nothing here.

mod listener;
mod open;
mod page;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chunk_wire::session::IssuerInfo;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use zeroize::Zeroizing;

use self::listener::{Expected, Loopback};
use super::device::COPIED;
use super::provider::{self, Discovery, Provider, trusted};
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Ui;

/// What the broker needs to redeem the code.
pub(crate) struct Code {
    pub(crate) code: Zeroizing<String>,
    pub(crate) verifier: Zeroizing<String>,
    pub(crate) redirect_uri: String,
}

/// Where a person goes on.
#[derive(Serialize)]
struct LoginBrowser<'a> {
    url: &'a str,
    redirect_uri: &'a str,
    opened: bool,
    expires_s: u64,
}

/// One sign-in: what was made for it and for no other.
struct Attempt {
    state: String,
    verifier: Zeroizing<String>,
    redirect_uri: String,
}

/// A person finds their password and their second factor in this time.
const WAIT: Duration = Duration::from_secs(5 * 60);

/// Signs a person in; gives the code. `nonce` is the thumbprint of the session's key.
///
/// # Errors
/// When the provider cannot be reached or says no, or nobody comes back in time.
pub(crate) async fn sign_in(ui: &Ui, issuer: &IssuerInfo, ca_file: Option<&Path>, nonce: &str, hint: bool) -> Result<Code> {
    let Provider { discovery, .. } = Provider::find(issuer, ca_file).await?;
    let endpoint = endpoint(&issuer.issuer, &discovery)?;
    let loopback = Loopback::bind().await?;
    let attempt = Attempt {
        state: random()?,
        verifier: Zeroizing::new(random()?),
        redirect_uri: loopback.redirect_uri(),
    };
    let address = address(endpoint, issuer, nonce, &attempt);
    show(ui, &address, &attempt.redirect_uri, hint)?;
    let expected = Expected {
        state: attempt.state,
        issuer: issuer.issuer.clone(),
        names_issuer: discovery.authorization_response_iss_parameter_supported,
    };
    Ok(Code {
        code: loopback.answer(expected, WAIT).await?,
        verifier: attempt.verifier,
        redirect_uri: attempt.redirect_uri,
    })
}

/// Where the person is sent, if the provider can do all that is needed.
fn endpoint(issuer: &str, discovery: &Discovery) -> Result<url::Url> {
    let unusable = |why: &str| {
        Failure::cannot_tell("no_browser_sign_in", format!("{issuer} does not offer sign-in with the browser"))
            .why(why)
            .hint("chunkctl login --device")
    };
    let endpoint = discovery.authorization_endpoint.as_ref();
    let endpoint = endpoint.ok_or_else(|| unusable("its discovery document names no `authorization_endpoint`"))?;
    let methods = discovery.code_challenge_methods_supported.as_deref();
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(unusable("it does not protect codes with PKCE and S256 (RFC 7636)"));
    }
    trusted(issuer, endpoint.as_str())
}

/// The authorization request (OpenID Connect Core 1.0 §3.1.2.1).
fn address(mut endpoint: url::Url, issuer: &IssuerInfo, nonce: &str, attempt: &Attempt) -> url::Url {
    let challenge = ring::digest::digest(&ring::digest::SHA256, attempt.verifier.as_bytes());
    endpoint
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &issuer.client_id)
        .append_pair("redirect_uri", &attempt.redirect_uri)
        .append_pair("scope", &issuer.scopes.join(" "))
        .append_pair("state", &attempt.state)
        .append_pair("nonce", nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(provider::authentication(issuer));
    endpoint.set_fragment(None);
    endpoint
}

fn show(ui: &Ui, address: &url::Url, redirect_uri: &str, hint: bool) -> Result<()> {
    let opened = open::open(address);
    ui.event(
        "login.browser",
        &LoginBrowser {
            url: address.as_str(),
            redirect_uri,
            opened,
            expires_s: WAIT.as_secs(),
        },
    )?;
    ui.say("");
    ui.say(&format!("    {address}"));
    ui.say("");
    if hint {
        ui.say(if opened {
            "Your browser opens this address; if it does not, open it yourself, on this machine."
        } else {
            "Open this address in a browser on this machine: the answer comes back to it."
        });
        if let Some(port) = over_ssh(redirect_uri) {
            ui.say(&format!(
                "You came here over SSH. For a browser at home, forward the port first (ssh -L {port}:127.0.0.1:{port} …), or sign in with a code: chunkctl login --device"
            ));
        }
        if ui.copy(address.as_str()) {
            ui.say(COPIED);
        }
    }
    ui.say(&format!("Waiting for {}.", figures::duration(WAIT)));
    Ok(())
}

/// The port to forward, where the person sits at another machine.
fn over_ssh(redirect_uri: &str) -> Option<u16> {
    std::env::var_os("SSH_CONNECTION")?;
    url::Url::parse(redirect_uri).ok()?.port()
}

/// 256 bits, 43 characters of base64url: good for a state and for a verifier.
fn random() -> Result<String> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| Failure::bug("the operating system gave no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
