//! From the headers of a request to the person who makes it.
//!
//! A credential is read strictly: one `Authorization` header with the scheme `DPoP`, one `DPoP` header. Two of either are not
//! "the first one": a proxy in front might have looked at the other.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use chunk_core::context::Context;
use chunk_core::identity::{self, Caller, Presented};
use chunk_wire::DPOP_SCHEME;
use chunk_wire::problem::Code;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::Gateway;
use super::problem::Refusal;

const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Tokens and proofs of this product are a few hundred bytes.
pub(super) const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;

/// The circumstances of the call.
pub(super) struct Cx(pub(super) Context);

/// A proof without an access token: for refreshing a session, and for what [`SigningIn`] adds to it.
pub(super) struct ProofOnly(pub(super) Presented);

/// A proof without an access token, from an address that has not tried too often: for opening a session. Counted before
/// anything else of the request is read.
pub(super) struct SigningIn(pub(super) Presented);

/// An access token and a proof, both present, neither checked: for calls whose road begins in core.
pub(super) struct Credential(pub(super) Presented);

/// Somebody who is signed in and holds the session's key.
pub(super) struct SignedIn(pub(super) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Cx {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        context(parts).map(Cx)
    }
}

impl FromRequestParts<Arc<Gateway>> for ProofOnly {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(Refusal::new(Code::InvalidRequest, "This route takes no `Authorization` header."));
        }
        let presented = presented(parts, gateway)?;
        if presented.proof.is_none() {
            return Err(no_proof());
        }
        Ok(ProofOnly(presented))
    }
}

impl FromRequestParts<Arc<Gateway>> for SigningIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let ProofOnly(presented) = ProofOnly::from_request_parts(parts, gateway).await?;
        if !gateway.sign_ins.take(context(parts)?.ip, Instant::now()) {
            return Err(Refusal::new(Code::RateLimited, "Too many sign-ins from this address."));
        }
        Ok(SigningIn(presented))
    }
}

impl FromRequestParts<Arc<Gateway>> for Credential {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let presented = presented(parts, gateway)?;
        if presented.access_token.is_none() {
            return Err(unauthenticated(
                "This route needs a session: `Authorization: DPoP <access token>` and a `DPoP` proof.",
            ));
        }
        if presented.proof.is_none() {
            return Err(no_proof());
        }
        Ok(Credential(presented))
    }
}

impl FromRequestParts<Arc<Gateway>> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Refusal> {
        let Credential(presented) = Credential::from_request_parts(parts, gateway).await?;
        let cx = context(parts)?;
        Ok(SignedIn(identity::authenticate(&gateway.broker, &cx, presented).await?))
    }
}

pub(super) fn context(parts: &Parts) -> Result<Context, Refusal> {
    parts
        .extensions
        .get::<Context>()
        .cloned()
        .ok_or_else(|| Refusal::new(Code::Internal, "The request came without its context."))
}

fn presented(parts: &Parts, gateway: &Gateway) -> Result<Presented, Refusal> {
    Ok(Presented {
        access_token: access_token(&parts.headers)?,
        proof: proof(&parts.headers)?,
        method: parts.method.as_str().to_owned(),
        url: format!("{}{}", gateway.base(), parts.uri.path()),
    })
}

fn access_token(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = only(headers, &AUTHORIZATION).map_err(|()| unauthenticated("Send exactly one `Authorization` header."))? else {
        return Ok(None);
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(DPOP_SCHEME) && is_token(token) => Ok(Some(token.to_owned())),
        _ => Err(unauthenticated("The `Authorization` header must be `DPoP <access token>`.")),
    }
}

fn proof(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    match only(headers, &DPOP) {
        Ok(None) => Ok(None),
        Ok(Some(value)) if is_token(value) => Ok(Some(value.to_owned())),
        Ok(Some(_)) => Err(Refusal::new(Code::InvalidDpopProof, "The `DPoP` header is not a proof.")),
        Err(()) => Err(Refusal::new(Code::InvalidDpopProof, "Send exactly one `DPoP` header.")),
    }
}

/// The value of a header that may stand there at most once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// The characters of a JWS in compact form.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= CREDENTIAL_BYTES_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn no_proof() -> Refusal {
    Refusal::new(Code::InvalidDpopProof, "This route needs exactly one `DPoP` header.")
}

fn unauthenticated(why: &str) -> Refusal {
    Refusal::new(Code::Unauthenticated, why).hint("run `chunkctl login`")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn token(pairs: &[(&'static str, &'static str)]) -> Result<Option<String>, String> {
        access_token(&headers(pairs)).map_err(|refusal| refusal.code().to_owned())
    }

    #[test]
    fn one_dpop_authorization_header_is_read() {
        assert_eq!(token(&[("authorization", "DPoP a.b-c_d.e")]), Ok(Some("a.b-c_d.e".into())));
        assert_eq!(token(&[("authorization", "dpop a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(token(&[]), Ok(None));
    }

    #[test]
    fn any_other_authorization_is_refused() {
        for bad in ["Bearer a.b.c", "DPoP", "DPoP ", "DPoP  a", "DPoP a b", "DPoP a,b", "Basic eDp5", ""] {
            assert_eq!(token(&[("authorization", bad)]), Err("unauthenticated".into()), "{bad}");
        }
        assert_eq!(
            token(&[("authorization", "DPoP a"), ("authorization", "DPoP a")]),
            Err("unauthenticated".into())
        );
        assert_eq!(
            token(&[("authorization", "DPoP a"), ("authorization", "Bearer b")]),
            Err("unauthenticated".into())
        );
    }

    #[test]
    fn two_proofs_are_none() {
        let read = |pairs: &[(&'static str, &'static str)]| proof(&headers(pairs)).map_err(|refusal| refusal.code().to_owned());
        assert_eq!(read(&[("dpop", "a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(read(&[]), Ok(None));
        for bad in [
            &[("dpop", "a.b.c"), ("dpop", "a.b.c")][..],
            &[("dpop", "a.b.c, d.e.f")],
            &[("dpop", "")],
        ] {
            assert_eq!(read(bad), Err("invalid_dpop_proof".into()));
        }
    }
}
