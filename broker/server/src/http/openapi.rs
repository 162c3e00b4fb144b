//! The API's description (OpenAPI 3.1), derived from the handlers and the wire types, so that it cannot tell another story.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required};
use utoipa::{Modify, OpenApi};

use super::{catalog, device, evidence, fetch, health, keys, page, review, saml, scim, session, token};

/// Bytes that are not JSON.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct Binary(#[expect(dead_code, reason = "a name in the API description only")] Vec<u8>);

/// Server-sent events.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String)]
pub(super) struct EventText(#[expect(dead_code, reason = "a name in the API description only")] String);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "chunk-broker API",
        description = "Governed access to data: every answer carries `x-request-id` and a fresh `DPoP-Nonce`; every error is a \
                       problem (RFC 9457) with a code from a closed list.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        session::info, session::open, session::open_browser, session::refresh, session::close, session::whoami, session::list, session::show, session::revoke,
        token::exchange,
        keys::challenge, keys::enroll, keys::list, keys::revoke,
        device::begin, device::finish, device::page, device::decide, saml::acs, saml::metadata,
        catalog::list, catalog::describe,
        fetch::plan, fetch::submit, fetch::list, fetch::show, fetch::deliver,
        review::review, review::cancel, review::revoke, review::acknowledge, review::events, review::all_events,
        scim::create, scim::list, scim::show, scim::replace, scim::change, scim::delete,
        scim::discovery::service_provider_config, scim::discovery::resource_types, scim::discovery::resource_type, scim::discovery::schemas, scim::discovery::schema,
        evidence::search, evidence::entry, evidence::export, evidence::erase, evidence::recording, evidence::receipt,
        evidence::checkpoint, evidence::tile, evidence::entries_tile, evidence::consistency, evidence::rotations,
        health::healthz, health::readyz, health::metrics_for_loopback, serve, page::request,
    ),
    components(schemas(chunk_wire::fetch::RequestDocument, chunk_wire::review::ReviewDocument, chunk_wire::review::InboxListed)),
    modifiers(&Credentials, &SearchIsAQuery),
)]
struct Description;

/// The wire's query type does not say where its fields stand; in this API they are all in the query, and optional.
struct SearchIsAQuery;

impl Modify for SearchIsAQuery {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let search = openapi.paths.paths.get_mut("/v1/audit/entries").and_then(|item| item.get.as_mut());
        for parameter in search.and_then(|operation| operation.parameters.as_mut()).into_iter().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.parameter_in = ParameterIn::Query;
                parameter.required = Required::False;
            }
        }
    }
}

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let header =
            |name: &str, description: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)));
        components.add_security_scheme("access_token", header("Authorization", "`DPoP <access token>` (RFC 9449 §7.1)."));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of an issuer's directory, as broker.toml names it."));
        components.add_security_scheme("directory_token", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme(
            "proof",
            header("DPoP", "One proof of possession (RFC 9449) with the nonce of the last answer, by an Ed25519 key; with `ath` wherever an access token is sent."),
        );
    }
}

/// The description as JSON text, indented, with a newline at its end.
#[must_use]
pub fn document() -> String {
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// This description.
#[utoipa::path(get, operation_id = "openapi", path = "/openapi.json", tag = "operations", security(()), responses((status = 200, body = Object, content_type = "application/json")))]
pub(super) async fn serve() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(document);
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.as_str()).into_response()
}
