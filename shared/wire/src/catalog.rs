//! What may be asked for.

use serde::{Deserialize, Serialize};

use crate::fetch::StandingTerms;

/// One row of `GET /v1/datasets`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetSummary {
    /// Name, as used in requests.
    pub name: String,
    /// One line.
    pub description: String,
    /// Connection it is read through.
    pub connection: String,
    /// `postgres`, `parquet` or `csv`.
    pub kind: String,
    /// People who must approve a fetch by this caller; 0 where policy permits `fetch_unapproved`; absent where the caller may not fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u32>,
}

/// `GET /v1/datasets/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetDetail {
    /// The list row.
    #[serde(flatten)]
    pub summary: DatasetSummary,
    /// Columns in source order.
    pub columns: Vec<ColumnView>,
    /// Whether a row filter narrows what this caller sees.
    pub filtered: bool,
    /// Whether what is delivered is kept, sealed, for whoever may read the evidence.
    #[serde(default)]
    pub recorded: bool,
    /// Rows one fetch may carry at most.
    pub rows_max: u64,
    /// Bytes one fetch may carry at most.
    pub bytes_max: u64,
    /// Rows one person may take in a day (UTC); absent where there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_day: Option<u64>,
    /// Bytes one person may take in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<u64>,
    /// Terms of a standing grant at most; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingTerms>,
}

/// A column as this caller would see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ColumnView {
    /// Name.
    pub name: String,
    /// Type the caller receives, in Arrow's words (`Utf8`, `Int64`, `Decimal128(12, 2)` …).
    pub data_type: String,
    /// May be null.
    pub nullable: bool,
    /// Class, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What happens to its values for this caller: `open`, `reveal`, or the mask's name with its settings.
    pub mask: String,
}
