//! Reading the evidence over the API.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/audit/entries`; newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct EntryQuery {
    /// Not before, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Before, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// Person: subject, name or e-mail, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Kind, or family (`fetch`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only entries before this index (paging).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Entries a page, 1–1000; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One entry, opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryView {
    /// Index in the log.
    pub index: u64,
    /// Header as recorded.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub header: serde_json::Value,
    /// Opened groups by name; absent groups are left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub body: serde_json::Value,
    /// One line for people.
    pub summary: String,
}

/// Answer of `GET /v1/audit/entries`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EntryPage {
    /// Entries, newest first.
    pub entries: Vec<EntryView>,
    /// Pass as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// `POST /v1/audit/exports`; the answer is the bundle itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Not before, ms since 1970; absent: from the first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Before, ms since 1970; absent: to the newest entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// Person: subject, name or e-mail, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Disclosure level 0–4; 4 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Sizes of checkpoints that the auditor has kept: the bundle proves that its head extends each. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<u64>,
    /// Whether tables for people stand in the bundle; verifying it makes them too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub views: bool,
}

/// `POST /v1/audit/erasures`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// Person: subject, name, e-mail or pseudonym, exactly.
    pub person: String,
    /// Why; it stands in the log.
    pub reason: String,
}

/// Answer of `POST /v1/audit/erasures`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Erased {
    /// Pseudonym of whoever was erased.
    pub subject: String,
    /// Indices of the `erase` entries.
    pub entries: Vec<u64>,
    /// Data keys destroyed.
    pub keys: u64,
}
