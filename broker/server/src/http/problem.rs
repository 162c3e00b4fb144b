//! Errors as HTTP answers (RFC 9457), mapped in one place.
//!
//! A handler's error becomes a response without a body that carries the problem as an extension; the edge of the router
//! writes the body, because it alone knows the id of the request. Whatever else answers with an error status (the router's
//! own 404 and 405, a panic) is given a problem there too, so that every error a client sees has the same form.

use axum::response::{IntoResponse, Response};
use chunk_core::error::Error;
use chunk_wire::PROBLEM_JSON;
use chunk_wire::problem::{Code, Problem};
use chunk_wire::session::TokenRefused;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::page::{HTML, document, escaped};
use super::scim::{SCIM_JSON, ScimFault};
use crate::error::chain;

/// A request that was not answered with what it asked for.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Box<Refused>);

#[derive(Debug, Clone)]
struct Refused {
    problem: Problem,
    /// For the operator's log; never sent.
    operator: Option<String>,
    /// The word for it in the protocol of the route, OAuth or SCIM, where the code has no word of its own there.
    word: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Refused {
            problem: Problem::new(code, detail),
            operator: None,
            word: None,
        }))
    }

    /// The word for it in the protocol of the route: OAuth's at the token endpoint (RFC 6749 §5.2), SCIM's under `/scim/`.
    pub(super) fn word(mut self, word: &'static str) -> Self {
        self.0.word = Some(word);
        self
    }

    /// Another status than the code's own, where HTTP has a more exact one.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.0.problem.status = status.as_u16();
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.0.problem.hint = Some(hint.to_owned());
        self
    }

    /// There is no such thing, or it is not the caller's to see: one answer for both.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no {what} that you may see."))
    }

    pub(super) fn code(&self) -> &str {
        &self.0.problem.code
    }

    pub(super) fn operator(&self) -> Option<&str> {
        self.0.operator.as_deref()
    }

    #[cfg(test)]
    pub(super) fn word_of_route(&self) -> Option<&'static str> {
        self.0.word
    }

    pub(super) fn oauth_error(&self) -> &'static str {
        if let Some(error) = self.0.word {
            return error;
        }
        match self.0.problem.known_code() {
            Some(Code::UseDpopNonce) => "use_dpop_nonce",
            Some(Code::InvalidDpopProof) => "invalid_dpop_proof",
            Some(Code::RateLimited | Code::Unavailable | Code::EvidenceUnavailable) => "temporarily_unavailable",
            Some(Code::Internal) | None => "server_error",
            Some(Code::AuthorizationPending) => "authorization_pending",
            Some(Code::AccessDenied) => "access_denied",
            Some(Code::ExpiredToken) => "expired_token",
            // A token that is refused, for whatever reason, is an invalid request (RFC 8693 §2.2.2).
            Some(_) => "invalid_request",
        }
    }

    /// The same in the form of OAuth's token endpoint, with the members of the problem beside its own. No challenge goes with it:
    /// the client authenticates by nothing but its proof, and what is wrong with that is said in the body (RFC 9449 §5).
    pub(super) fn render_oauth(mut self, request_id: &str) -> Response {
        if self.0.problem.status == StatusCode::UNAUTHORIZED.as_u16() {
            self = self.status(StatusCode::BAD_REQUEST);
        }
        let body = TokenRefused {
            error: self.oauth_error().to_owned(),
            error_description: self.0.problem.detail.clone(),
            problem: Problem {
                request_id: Some(request_id.to_owned()),
                ..self.0.problem.clone()
            },
        };
        let mut response = self.render(request_id);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = serde_json::to_vec(&body).unwrap_or_default().into();
        response
    }

    /// The same as a page, for somebody who looks at it in a browser.
    pub(super) fn render_page(self, request_id: &str) -> Response {
        let problem = &self.0.problem;
        let hint = problem.hint.as_deref().map(|hint| format!("<p>What to do: {}</p>", escaped(hint)));
        let body = format!(
            "<p>{}</p>{}<p>Whoever runs this broker finds it in the log as <code>{}</code>.</p>",
            escaped(&problem.detail),
            hint.unwrap_or_default(),
            escaped(request_id)
        );
        let page = document("This did not work", &body);
        let mut response = self.render(request_id);
        response.headers_mut().insert(CONTENT_TYPE, HTML);
        *response.body_mut() = page.into();
        response
    }

    /// The same in SCIM's form (RFC 7644 §3.12).
    pub(super) fn render_scim(self, request_id: &str) -> Response {
        let problem = &self.0.problem;
        let fault = ScimFault::new(problem.status, self.0.word, &problem.detail);
        let mut response = self.render(request_id);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
        if headers.contains_key(WWW_AUTHENTICATE) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        *response.body_mut() = serde_json::to_vec(&fault).unwrap_or_default().into();
        response
    }

    /// The body and the headers that go with it.
    pub(super) fn render(mut self, request_id: &str) -> Response {
        self.0.problem.request_id = Some(request_id.to_owned());
        let status = StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0.problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, challenge(self.0.problem.known_code()));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Box::new(Refused {
            problem: error.problem(),
            operator: error.source.as_deref().map(|source| chain(source)),
            word: None,
        }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// RFC 9449 §7.1: how to authenticate, and what was wrong with how it was done.
fn challenge(code: Option<Code>) -> HeaderValue {
    HeaderValue::from_static(match code {
        Some(Code::UseDpopNonce) => r#"DPoP error="use_dpop_nonce", algs="EdDSA""#,
        Some(Code::InvalidDpopProof) => r#"DPoP error="invalid_dpop_proof", algs="EdDSA""#,
        Some(Code::SessionEnded | Code::InvalidIdToken) => r#"DPoP error="invalid_token", algs="EdDSA""#,
        _ => r#"DPoP algs="EdDSA""#,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn body(response: Response) -> Problem {
        serde_json::from_slice(&axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn every_code_is_answered_with_its_status_and_word() {
        for &code in Code::ALL {
            let response = Refusal::from(Error::new(code, "why")).render("r1");
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), PROBLEM_JSON);
            assert_eq!(
                response.headers().contains_key(WWW_AUTHENTICATE),
                code.status() == 401,
                "{}",
                code.as_str()
            );
            let problem = body(response).await;
            assert_eq!((problem.known_code(), problem.request_id.as_deref()), (Some(code), Some("r1")));
        }
    }

    #[tokio::test]
    async fn the_operators_text_is_never_sent() {
        let refusal = Refusal::from(Error::new(Code::SourceFailed, "The source failed.").operator("FATAL: password hunter2"));
        assert_eq!(refusal.operator(), Some("FATAL: password hunter2"));
        let bytes = axum::body::to_bytes(refusal.render("r1").into_body(), usize::MAX).await.unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
}
