//! What the browser shows when the person comes back. Every word is ours: nothing that came in the address stands on a page.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The code has arrived.
    Done,
    /// The provider said no.
    Refused,
    /// Not an answer to this sign-in.
    Stranger,
    /// This sign-in has had its answer.
    Over,
    /// Not under this name of the machine.
    Elsewhere,
    /// Nothing is there.
    Nothing,
    /// Not in this way.
    Method,
}

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    // The address holds the code.
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

impl Page {
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (status, title, words) = match self {
            Page::Done => (
                StatusCode::OK,
                "Back to your terminal",
                "chunkctl has what it needs and goes on there. You can close this window.",
            ),
            Page::Refused => (
                StatusCode::OK,
                "You are not signed in",
                "The identity provider said no. Your terminal shows why, and what to do next. You can close this window.",
            ),
            Page::Stranger => (
                StatusCode::BAD_REQUEST,
                "This is not the sign-in that chunkctl waits for",
                "Go on in the window that chunkctl opened, or start again in your terminal.",
            ),
            Page::Over => (
                StatusCode::GONE,
                "This sign-in has ended",
                "It had its answer already. If that was not you, start again in your terminal.",
            ),
            Page::Elsewhere => (
                StatusCode::FORBIDDEN,
                "Not here",
                "This program answers under its own address only.",
            ),
            Page::Nothing => (
                StatusCode::NOT_FOUND,
                "Nothing is here",
                "chunkctl waits for a sign-in at another address.",
            ),
            Page::Method => (StatusCode::METHOD_NOT_ALLOWED, "Not like this", "chunkctl waits for a plain visit."),
        };
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <style>body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 20vh auto; padding: 0 1.5rem; color-scheme: light dark }}</style>\n\
             </head><body><h1>{title}</h1><p>{words}</p></body></html>\n"
        );
        let mut response = Response::new(Full::new(Bytes::from(html)));
        *response.status_mut() = status;
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
