//! What this service provider does (RFC 7644 §4): little, and it says so.

use std::sync::Arc;

use axum::extract::State;
use chunk_wire::problem::Code;
use serde_json::{Value, json};

use super::super::Gateway;
use super::super::body::Named;
use super::super::problem::Refusal;
use super::user::USER;
use super::{PAGE_MAX, SCIM_PATH, Said, ScimFault, ScimList, Speaking};

/// What of SCIM there is here.
#[utoipa::path(
    get, operation_id = "scimServiceProviderConfig", path = "/scim/v2/ServiceProviderConfig", tag = "directory", security(("directory_token" = [])),
    responses((status = 200, body = Object, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(in crate::http) async fn service_provider_config(State(gateway): State<Arc<Gateway>>, _: Speaking) -> Said<Value> {
    let no = json!({ "supported": false });
    Said::ok(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": PAGE_MAX },
        "changePassword": no,
        "sort": no,
        "etag": no,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The directory's token, as broker.toml names it.",
            "primary": true,
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": format!("{}{SCIM_PATH}ServiceProviderConfig", gateway.base()) },
    }))
}

/// The types of resources: users.
#[utoipa::path(
    get, operation_id = "scimResourceTypes", path = "/scim/v2/ResourceTypes", tag = "directory", security(("directory_token" = [])),
    responses((status = 200, body = Object, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(in crate::http) async fn resource_types(State(gateway): State<Arc<Gateway>>, _: Speaking) -> Said<ScimList<Value>> {
    Said::ok(ScimList::page(1, 1, vec![users(&gateway)]))
}

/// One type of resources.
#[utoipa::path(
    get, operation_id = "scimResourceType", path = "/scim/v2/ResourceTypes/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    responses((status = 200, body = Object, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(in crate::http) async fn resource_type(
    State(gateway): State<Arc<Gateway>>,
    _: Speaking,
    Named(id): Named<String>,
) -> Result<Said<Value>, Refusal> {
    match id.as_str() {
        "User" => Ok(Said::ok(users(&gateway))),
        _ => Err(Refusal::new(Code::NotFound, "There is no such type of resources.")),
    }
}

/// The schemas of resources: that of users.
#[utoipa::path(
    get, operation_id = "scimSchemas", path = "/scim/v2/Schemas", tag = "directory", security(("directory_token" = [])),
    responses((status = 200, body = Object, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(in crate::http) async fn schemas(State(gateway): State<Arc<Gateway>>, _: Speaking) -> Said<ScimList<Value>> {
    Said::ok(ScimList::page(1, 1, vec![of_users(&gateway)]))
}

/// One schema.
#[utoipa::path(
    get, operation_id = "scimSchema", path = "/scim/v2/Schemas/{id}", tag = "directory", params(("id" = String, Path)), security(("directory_token" = [])),
    responses((status = 200, body = Object, content_type = "application/scim+json"), (status = "default", body = ScimFault, content_type = "application/scim+json"))
)]
pub(in crate::http) async fn schema(
    State(gateway): State<Arc<Gateway>>,
    _: Speaking,
    Named(id): Named<String>,
) -> Result<Said<Value>, Refusal> {
    match id.as_str() {
        USER => Ok(Said::ok(of_users(&gateway))),
        _ => Err(Refusal::new(Code::NotFound, "There is no such schema.")),
    }
}

fn users(gateway: &Gateway) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "description": "Somebody whom the identity provider may sign in",
        "schema": USER,
        "meta": { "resourceType": "ResourceType", "location": format!("{}{SCIM_PATH}ResourceTypes/User", gateway.base()) },
    })
}

fn of_users(gateway: &Gateway) -> Value {
    let attribute = |name: &str, kind: &str, required: bool, exact: bool, unique: &str, description: &str| {
        json!({
            "name": name, "type": kind, "multiValued": false, "required": required, "caseExact": exact,
            "mutability": "readWrite", "returned": "default", "uniqueness": unique, "description": description,
        })
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": USER,
        "name": "User",
        "description": "Somebody whom the identity provider may sign in",
        "attributes": [
            attribute("userName", "string", true, false, "server", "Name of the user in the directory"),
            attribute("externalId", "string", false, true, "server", "Id of the user at the identity provider"),
            attribute("active", "boolean", false, false, "none", "Whether the user may sign in"),
        ],
        "meta": { "resourceType": "Schema", "location": format!("{}{SCIM_PATH}Schemas/{USER}", gateway.base()) },
    })
}
