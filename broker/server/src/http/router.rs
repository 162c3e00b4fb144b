//! Every route, with what it asks of the caller, in one table: the router is built from it, and the tests check the API
//! description and the answers to anonymous callers against it. A route that is not here does not exist.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use axum::{Router, middleware};
use http::Method;

use super::problem::Refusal;
use super::{Gateway, catalog, device, edge, evidence, fetch, health, keys, openapi, page, review, saml, scim, session, token};

/// What a route asks of the caller before it does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Nothing: the answer is public.
    Public,
    /// A proof of possession; the body says of what.
    Proof,
    /// An access token of an open session, and a proof by its key.
    Session,
    /// The token of a directory.
    Directory,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path template.
    pub path: &'static str,
    /// What it asks of the caller.
    pub auth: Auth,
}

/// The router of the API, and the list of what is in it.
pub fn api(gateway: Arc<Gateway>) -> Router {
    let table = table();
    dress(table.router, gateway)
}

/// Every route of the API.
#[must_use]
pub fn routes() -> Vec<Route> {
    table().routes
}

/// The router of the metrics listener.
pub fn operations(gateway: Arc<Gateway>) -> Router {
    let get = |handler| on(MethodFilter::GET, handler);
    let router = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", on(MethodFilter::GET, health::readyz))
        .route("/metrics", on(MethodFilter::GET, health::metrics));
    dress(router, gateway)
}

pub(super) fn dress(router: Router<Arc<Gateway>>, gateway: Arc<Gateway>) -> Router {
    router
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), edge::edge))
        .with_state(gateway)
}

async fn no_route() -> Refusal {
    Refusal::not_found("route").hint("see /openapi.json")
}

struct Table {
    router: Router<Arc<Gateway>>,
    routes: Vec<Route>,
}

impl Table {
    fn add<H, T>(mut self, method: Method, path: &'static str, auth: Auth, handler: H) -> Self
    where
        H: Handler<T, Arc<Gateway>>,
        T: 'static,
    {
        let filter = match method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::PATCH => MethodFilter::PATCH,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        self.router = self.router.route(path, on(filter, handler));
        self.routes.push(Route { method, path, auth });
        self
    }
}

fn table() -> Table {
    use Auth::{Directory, Proof, Public, Session};
    let (get, post, delete) = (|| Method::GET, || Method::POST, || Method::DELETE);
    let (put, patch) = (|| Method::PUT, || Method::PATCH);
    Table {
        router: Router::new(),
        routes: Vec::new(),
    }
    .add(get(), "/v1/info", Public, session::info)
    .add(post(), "/v1/sessions", Proof, session::open)
    .add(post(), "/v1/sessions/browser", Proof, session::open_browser)
    .add(post(), "/v1/sessions/refresh", Proof, session::refresh)
    .add(post(), token::TOKEN_PATH, Proof, token::exchange)
    .add(post(), device::DEVICE_PATH, Proof, device::begin)
    .add(post(), device::DEVICE_TOKEN_PATH, Proof, device::finish)
    .add(get(), device::CONFIRM_PATH, Public, device::page)
    .add(post(), device::CONFIRM_PATH, Public, device::decide)
    .add(post(), saml::ACS_PATH, Public, saml::acs)
    .add(get(), "/saml/metadata", Public, saml::metadata)
    .add(delete(), "/v1/sessions/current", Session, session::close)
    .add(get(), "/v1/whoami", Session, session::whoami)
    .add(get(), "/v1/sessions", Session, session::list)
    .add(get(), "/v1/sessions/{sid}", Session, session::show)
    .add(delete(), "/v1/sessions/{sid}", Session, session::revoke)
    .add(post(), "/v1/keys/challenge", Session, keys::challenge)
    .add(post(), "/v1/keys", Session, keys::enroll)
    .add(get(), "/v1/keys", Session, keys::list)
    .add(delete(), "/v1/keys/{index}", Session, keys::revoke)
    .add(get(), "/v1/datasets", Session, catalog::list)
    .add(get(), "/v1/datasets/{name}", Session, catalog::describe)
    .add(post(), "/v1/plans", Session, fetch::plan)
    .add(post(), "/v1/requests", Session, fetch::submit)
    .add(get(), "/v1/requests", Session, fetch::list)
    .add(get(), "/v1/requests/events", Session, review::all_events)
    .add(get(), "/v1/requests/{id}", Session, fetch::show)
    .add(get(), "/v1/requests/{id}/events", Session, review::events)
    .add(post(), "/v1/requests/{id}/reviews", Session, review::review)
    .add(post(), "/v1/requests/{id}/cancel", Session, review::cancel)
    .add(post(), "/v1/requests/{id}/revoke", Session, review::revoke)
    .add(post(), "/v1/requests/{id}/chunks/{n}", Session, fetch::deliver)
    .add(get(), "/v1/requests/{id}/receipt", Session, evidence::receipt)
    .add(post(), "/v1/requests/{id}/ack", Session, review::acknowledge)
    .add(get(), "/v1/audit/entries", Session, evidence::search)
    .add(get(), "/v1/audit/entries/{index}", Session, evidence::entry)
    .add(post(), "/v1/audit/exports", Session, evidence::export)
    .add(post(), "/v1/audit/erasures", Session, evidence::erase)
    .add(get(), "/v1/audit/recordings/{index}", Session, evidence::recording)
    .add(post(), "/scim/v2/Users", Directory, scim::create)
    .add(get(), "/scim/v2/Users", Directory, scim::list)
    .add(get(), "/scim/v2/Users/{id}", Directory, scim::show)
    .add(put(), "/scim/v2/Users/{id}", Directory, scim::replace)
    .add(patch(), "/scim/v2/Users/{id}", Directory, scim::change)
    .add(delete(), "/scim/v2/Users/{id}", Directory, scim::delete)
    .add(
        get(),
        "/scim/v2/ServiceProviderConfig",
        Directory,
        scim::discovery::service_provider_config,
    )
    .add(get(), "/scim/v2/ResourceTypes", Directory, scim::discovery::resource_types)
    .add(get(), "/scim/v2/ResourceTypes/{id}", Directory, scim::discovery::resource_type)
    .add(get(), "/scim/v2/Schemas", Directory, scim::discovery::schemas)
    .add(get(), "/scim/v2/Schemas/{id}", Directory, scim::discovery::schema)
    .add(get(), "/checkpoint", Public, evidence::checkpoint)
    .add(get(), "/tile/{level}/{*index}", Public, evidence::tile)
    .add(get(), "/tile/entries/{*index}", Session, evidence::entries_tile)
    .add(get(), "/consistency", Public, evidence::consistency)
    .add(get(), "/rotations", Public, evidence::rotations)
    .add(get(), "/healthz", Public, health::healthz)
    .add(get(), "/readyz", Public, health::readyz)
    .add(get(), "/metrics", Public, health::metrics_for_loopback)
    .add(get(), "/openapi.json", Public, openapi::serve)
    .add(get(), "/requests/{id}", Public, page::request)
}
