//! The one page for people: what a link in a notification leads to.
//!
//! It says what to type, and nothing else. The request is not looked up, so the page tells nobody whether there is one, and needs
//! no session; and there is nothing on it to press, because a verdict is signed by the reviewer's own key, which no browser has.

use axum::response::{IntoResponse, Response};
use chunk_wire::problem::Problem;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::body::Named;
use super::fetch::parse;
use super::problem::Refusal;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What to type to look at a request, to decide it, or to fetch it. The same page for every id: it is not looked up.
#[utoipa::path(
    get, operation_id = "requestPage", path = "/requests/{id}", tag = "requests", params(("id" = String, Path)), security(()),
    responses((status = 200, body = String, content_type = "text/html"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(super) async fn request(Named(id): Named<String>) -> Result<Response, Refusal> {
    // Whatever is an id of a request holds nothing that is markup.
    let id = parse(&id)?;
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Request {id}</title><h1>Request <code>{id}</code></h1>\
         <p>Nothing is decided on this page. In a terminal, look at it first:</p><pre>chunkctl request show {id}</pre>\
         <p>If you review it:</p><pre>chunkctl approve {id} --reason \"…\"\nchunkctl reject {id} --reason \"…\"</pre>\
         <p>If it is yours and was approved:</p><pre>chunkctl fetch --request {id}</pre>\
         <p>Not signed in? <code>chunkctl login</code></p></html>\n"
    );
    Ok(([(CONTENT_TYPE, HTML)], page).into_response())
}
