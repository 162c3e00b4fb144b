//! Pages for people, plain ones: no script, no style, nothing from anywhere else.
//!
//! What a link in a notification leads to says what to type, and nothing else. The request is not looked up, so the page tells nobody
//! whether there is one, and needs no session; and there is nothing on it to press, because a verdict is signed by the reviewer's own
//! key, which no browser has.

use axum::response::{IntoResponse, Response};
use chunk_wire::problem::Problem;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::body::Named;
use super::fetch::parse;
use super::problem::Refusal;

pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A page with this title and what stands below it, which is markup.
pub(super) fn html(title: &str, body: &str) -> Response {
    ([(CONTENT_TYPE, HTML)], document(title, body)).into_response()
}

/// Its text.
pub(super) fn document(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><h1>{title}</h1>{body}</html>\n"
    )
}

/// Text as it may stand in markup, between tags or in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What to type to look at a request, to decide it, or to fetch it. The same page for every id: it is not looked up.
#[utoipa::path(
    get, operation_id = "requestPage", path = "/requests/{id}", tag = "requests", params(("id" = String, Path)), security(()),
    responses((status = 200, body = String, content_type = "text/html"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn request(Named(id): Named<String>) -> Result<Response, Refusal> {
    // Whatever is an id of a request holds nothing that is markup.
    let id = parse(&id)?;
    let body = format!(
        "<p>Nothing is decided on this page. In a terminal, look at it first:</p><pre>chunkctl request show {id}</pre>\
         <p>If you review it:</p><pre>chunkctl approve {id} --reason \"…\"\nchunkctl reject {id} --reason \"…\"</pre>\
         <p>If it is yours and was approved:</p><pre>chunkctl fetch --request {id}</pre>\
         <p>Not signed in? <code>chunkctl login</code></p>"
    );
    Ok(html(&format!("Request {id}"), &body))
}
