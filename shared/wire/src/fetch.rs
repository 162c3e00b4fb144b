//! Asking for chunks: the query, the plan, the signed request, its state, and what came of it.

use std::collections::BTreeMap;

use chunk_evidence::dsse::Envelope;
use serde::{Deserialize, Serialize};

use crate::catalog::ColumnView;
use crate::id::RequestId;
use crate::review::ReviewView;
use crate::session::Person;
use crate::stages::{Escalation, Stage, StageView};

/// What is asked for: a slice of one dataset, or one SELECT over datasets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// A slice of one dataset.
    Slice {
        /// Dataset name.
        dataset: String,
        /// Columns, in the order wanted; absent for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Vec<String>>,
        /// A boolean SQL expression over the dataset's columns, as this caller sees them (masked).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// SQL `ORDER BY` list, e.g. `placed_at desc, order_id`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_by: Option<String>,
        /// Rows at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// Values of the parameters (`$name`) in `filter` and `order_by`.
        #[serde(default, skip_serializing_if = "Params::is_empty")]
        params: Params,
    },
    /// One SELECT statement over datasets; it sees masked values only.
    Sql {
        /// The statement.
        text: String,
        /// Values of the parameters (`$name`) in it.
        #[serde(default, skip_serializing_if = "Params::is_empty")]
        params: Params,
    },
}

/// Values of parameters by their names, without the `$`. They are bound as constants, never read as SQL.
pub type Params = BTreeMap<String, Param>;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Param {
    /// NULL.
    Null,
    /// TRUE or FALSE.
    Boolean(bool),
    /// A number as SQL writes it: `-12`, `0.5`, `1e9`.
    Number(String),
    /// A text; compared with a date it is a date.
    Text(String),
}

impl std::fmt::Display for Param {
    /// As SQL writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Param::Null => f.write_str("NULL"),
            Param::Boolean(value) => write!(f, "{value}"),
            Param::Number(text) => f.write_str(text),
            Param::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

impl Query {
    /// Values of its parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        match self {
            Query::Slice { params, .. } | Query::Sql { params, .. } => params,
        }
    }
}

/// The encoding of the delivered bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Apache Parquet, zstd.
    Parquet,
    /// RFC 4180, UTF-8, header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Arrow IPC stream.
    Arrow,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Parquet, Format::Csv, Format::Ndjson, Format::Arrow];

    /// Name on the command line and in documents; also the usual file extension.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
            Format::Arrow => "arrow",
        }
    }

    /// Media type of the delivered bytes.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Ndjson => "application/x-ndjson",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// `POST /v1/plans`: what would happen, and the document to sign if it should.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// What.
    pub query: Query,
    /// Encoded how.
    pub format: Format,
    /// Why; policy may demand it. Required to submit.
    #[serde(default)]
    pub reason: String,
    /// Ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// In an emergency: nobody approves beforehand, everybody who may review is told, and a review follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// For a standing grant instead of one delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingRequest>,
    /// For a delivery within a window of time, and not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowRequest>,
}

/// A window of time, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WindowRequest {
    /// Its beginning, ms since 1970.
    pub from_ms: i64,
    /// Seconds it lasts; as long as a grant for the datasets can be used where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u32>,
}

/// A window of time: a delivery begins neither before nor after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its beginning, ms since 1970.
    pub from_ms: i64,
    /// Its end, ms since 1970.
    pub until_ms: i64,
}

/// Terms of a standing grant, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StandingRequest {
    /// Seconds it is good for, once approved.
    pub duration_s: u32,
    /// Rows in all; as many as one fetch may carry where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes in all; as many as one fetch may carry where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What the requester signs and reviewers approve: everything that decides what may leave. Serialised canonically (the JCS
/// subset of `chunk_evidence::encode`); its SHA-256 is the request's digest. Change anything and it is a new request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    /// Version of this document, 1.
    pub v: u32,
    /// What is asked for, in the requester's words.
    pub query: Query,
    /// Datasets the query reads, resolved, sorted.
    pub datasets: Vec<String>,
    /// Connections they are read through, sorted.
    pub connections: Vec<String>,
    /// Every column read, and what is done to its values for this requester.
    pub columns: Vec<DocumentColumn>,
    /// Datasets of those above to which a row filter applies.
    pub filtered: Vec<String>,
    /// SHA-256 (hex) of the text of each of those row filters, by dataset.
    pub row_filters: BTreeMap<String, String>,
    /// Encoding.
    pub format: Format,
    /// Why.
    pub reason: String,
    /// Ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// In an emergency: nobody approves beforehand, and a review follows. Absent when false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// Terms of the standing grant that is asked for; absent where one delivery is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingTerms>,
    /// The standing grant under which this is one use; absent where somebody has yet to approve, or nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<Under>,
    /// When it may be fetched; absent where that is as soon as it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// SHA-256 (hex) of the policy set it was decided under.
    pub policy: String,
    /// Limits of the delivery.
    pub budget: Budget,
    /// Seconds the grant can be used, once it is given.
    pub grant_s: u32,
    /// Distinct people who must approve.
    pub quorum: u32,
    /// Where it matters who they are and in which order: so many of each, one stage after the other. Together they are `quorum`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Who else may review when nobody has decided for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Who asks, and with which key.
    pub requester: Requester,
    /// After this, ms since 1970, the document can no longer be submitted. How long reviewers have is up to the broker, which
    /// says so in `expires_ms` of the request.
    pub not_after_ms: i64,
    /// 128 random bits in lower-case hex, so that the same question asked twice is two requests.
    pub nonce: String,
}

/// Terms of a standing grant: the same person may fetch what has the document's shape, again and again, within these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StandingTerms {
    /// Bytes in all, over every delivery.
    pub bytes: u64,
    /// Seconds from approval.
    pub duration_s: u32,
    /// Rows in all, over every delivery.
    pub rows: u64,
}

/// Names a standing grant by what was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Under {
    /// SHA-256 (hex) of the document that was approved.
    pub digest: String,
    /// The request it was approved as.
    pub request: RequestId,
}

impl Query {
    /// Whether this asks for what `other` asks for, with a limit that is no larger.
    #[must_use]
    pub fn is_within(&self, other: &Query) -> bool {
        fn unlimited(query: &Query) -> (Query, Option<u64>) {
            let mut query = query.clone();
            let limit = match &mut query {
                Query::Slice { limit, .. } => limit.take(),
                Query::Sql { .. } => None,
            };
            (query, limit)
        }
        let ((this, most), (that, allowed)) = (unlimited(self), unlimited(other));
        this == that && allowed.is_none_or(|allowed| most.is_some_and(|most| most <= allowed))
    }
}

impl RequestDocument {
    /// What is asked for to be offered this document: by whoever plans it again.
    #[must_use]
    pub fn asked(&self) -> PlanRequest {
        PlanRequest {
            query: self.query.clone(),
            format: self.format,
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            break_glass: self.break_glass,
            standing: self.standing.map(|terms| StandingRequest {
                duration_s: terms.duration_s,
                rows: Some(terms.rows),
                bytes: Some(terms.bytes),
            }),
            window: self.window.map(|window| WindowRequest {
                from_ms: window.from_ms,
                duration_s: u32::try_from((window.until_ms - window.from_ms) / 1000).ok(),
            }),
        }
    }

    /// Whether this reads nothing that `other` does not, and looks the same: query, datasets, columns, masks, row filters, format.
    /// Only the limit may be smaller. Why it is asked, by which key and under which policies is not part of the shape.
    #[must_use]
    pub fn has_shape_of(&self, other: &RequestDocument) -> bool {
        self.query.is_within(&other.query)
            && self.datasets == other.datasets
            && self.connections == other.connections
            && self.columns == other.columns
            && self.filtered == other.filtered
            && self.row_filters == other.row_filters
            && self.format == other.format
    }
}

/// A column of a request document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DocumentColumn {
    /// Dataset.
    pub dataset: String,
    /// Column.
    pub name: String,
    /// Class, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `open`, `reveal`, or the mask with its settings.
    pub mask: String,
}

/// Limits of a delivery. Reaching one ends it with an outcome that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Rows.
    pub rows: u64,
    /// Bytes as delivered.
    pub bytes: u64,
    /// Seconds.
    pub duration_s: u32,
}

/// The signer of a request document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// Issuer.
    pub issuer: String,
    /// Subject.
    pub subject: String,
    /// RFC 7638 thumbprint of the session's key.
    pub key: String,
}

/// The answer to `POST /v1/plans`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanAnswer {
    /// `allowed`, `needs_approval` or `denied`.
    pub decision: String,
    /// Ids of the policies that determined it.
    pub policies: Vec<String>,
    /// Why it is denied, for people; empty otherwise.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Output columns.
    pub columns: Vec<ColumnView>,
    /// Rows that would come, where the source can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_estimated: Option<u64>,
    /// Bytes read at the source, where it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_estimated: Option<u64>,
    /// Distinct people who must approve; 0 for none.
    pub quorum: u32,
    /// Where it matters who they are: so many of each, one stage after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Who else may review when nobody has decided for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// What runs where, a line each, for people (`plan --verbose`).
    pub explain: Vec<String>,
    /// The request document, canonical: sign exactly these bytes. Absent when denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// SHA-256 of `document`, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The caller's standing grant for this: where there is something left, the document is a use of it, and nobody has to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
}

/// What is left of a standing grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StandingView {
    /// The request it was approved as.
    pub request: RequestId,
    /// When it ends, ms since 1970; absent until it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Rows.
    pub rows_left: u64,
    /// Bytes.
    pub bytes_left: u64,
    /// How often it was used.
    pub uses: u64,
}

impl StandingView {
    /// Whether it has carried all that it may.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.rows_left == 0 || self.bytes_left == 0
    }
}

/// `POST /v1/requests`: a request document signed by the requester's session key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// DSSE envelope, payload type [`REQUEST_PAYLOAD_TYPE`].
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub envelope: Envelope,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// DSSE payload type of a request document.
pub const REQUEST_PAYLOAD_TYPE: &str = "application/vnd.chunkctl.request.v1+json";

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waits for reviewers.
    Pending,
    /// May be fetched, once.
    Approved,
    /// A reviewer said no.
    Rejected,
    /// Nobody answered, or nobody fetched, in time.
    Expired,
    /// Withdrawn by the requester.
    Cancelled,
    /// Being delivered.
    Running,
    /// Cut before the end; may be delivered again under the same grant.
    Paused,
    /// Delivered.
    Completed,
    /// Ended by an error that no retry mends.
    Failed,
    /// Withdrawn by a reviewer or administrator after approval.
    Revoked,
}

impl RequestState {
    /// The word used in JSON, on screens and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RequestState::Pending => "pending",
            RequestState::Approved => "approved",
            RequestState::Rejected => "rejected",
            RequestState::Expired => "expired",
            RequestState::Cancelled => "cancelled",
            RequestState::Running => "running",
            RequestState::Paused => "paused",
            RequestState::Completed => "completed",
            RequestState::Failed => "failed",
            RequestState::Revoked => "revoked",
        }
    }

    /// Whether nothing can happen to it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            RequestState::Rejected
                | RequestState::Expired
                | RequestState::Cancelled
                | RequestState::Completed
                | RequestState::Failed
                | RequestState::Revoked
        )
    }
}

/// `GET /v1/requests/{id}`, the answer to `POST /v1/requests`, and each server-sent event of
/// `GET /v1/requests/{id}/events` (event name `request`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestView {
    /// Id.
    pub id: RequestId,
    /// State.
    pub state: RequestState,
    /// SHA-256 of the document, hex.
    pub digest: String,
    /// The signed document, canonical text.
    pub document: String,
    /// Who asks.
    pub requester: Person,
    /// Host the requester's client named.
    pub host: String,
    /// Address it signed in from.
    pub ip: String,
    /// Created, ms since 1970.
    pub created_ms: i64,
    /// End of the present state if nothing happens, ms since 1970.
    pub expires_ms: i64,
    /// Index of its `request.create` entry.
    pub index: u64,
    /// Estimated rows when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_estimated: Option<u64>,
    /// Verdicts so far.
    pub reviews: Vec<ReviewView>,
    /// Approvals still needed.
    pub approvals_missing: u32,
    /// How far each stage is, where it is reviewed in stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageView>,
    /// Since when those to whom it is escalated may review it, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_ms: Option<i64>,
    /// Asked for in an emergency, without approval beforehand.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
    /// In an emergency, and nobody has reviewed it yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub review_due: bool,
    /// What is left, where it was a standing grant that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingView>,
    /// Deliveries so far.
    pub deliveries: Vec<DeliveryView>,
}

/// One delivery attempt of one chunk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// Chunk number, from 0.
    pub chunk: u32,
    /// Index of its intent.
    pub intent: u64,
    /// Index of its outcome, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<u64>,
    /// How it ended: `done`, `cut`, `source_failed`, `interrupted`, `limit`, `revoked`, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Rows that left.
    pub rows: u64,
    /// Bytes that left.
    pub bytes: u64,
    /// SHA-256 of exactly the bytes that left, hex; only when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether exactly these bytes were `kept` or that `failed`; absent where only the digest was to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
}

/// Response header of a delivery: index of the intent under which the bytes leave.
pub const INTENT_HEADER: &str = "chunk-intent";

/// Header of a delivery at once: the request that was made of the document.
pub const REQUEST_HEADER: &str = "chunk-request";

/// Query of `POST /v1/requests`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct SubmitQuery {
    /// Answer with the bytes, as chunk 0 of the request would be, where nobody has to approve any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deliver: bool,
}

/// Header of a delivery of one chunk of several: how many there are.
pub const COUNT_HEADER: &str = "chunk-count";

/// Header of a delivery of one chunk of several: which moment of the source they are of. Chunks with another are not of the same result.
pub const SNAPSHOT_HEADER: &str = "chunk-snapshot";

/// Query of `POST /v1/requests/{id}/chunks/{n}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct ChunkQuery {
    /// The result may come in several chunks, each encoded by itself. Without it, chunk 0 is the whole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The moment that the chunk has to be of, as an earlier chunk's `chunk-snapshot` named it. Chunks other than 0 need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// `POST /v1/requests/{id}/ack`: the client has the bytes on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// SHA-256 of the bytes it holds, hex.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_within_another_only_by_a_smaller_limit() {
        let sql = |text: &str| Query::Sql {
            text: text.into(),
            params: Params::new(),
        };
        let with = |name: &str| Query::Sql {
            text: "select 1".into(),
            params: Params::from([(name.to_owned(), Param::Null)]),
        };
        let slice = |filter: Option<&str>, limit| Query::Slice {
            dataset: "orders".into(),
            columns: None,
            filter: filter.map(str::to_owned),
            order_by: None,
            limit,
            params: Params::new(),
        };
        for (this, that, within) in [
            (slice(None, None), slice(None, None), true),
            (slice(None, Some(5)), slice(None, None), true),
            (slice(None, Some(5)), slice(None, Some(5)), true),
            (slice(None, Some(6)), slice(None, Some(5)), false),
            (slice(None, None), slice(None, Some(5)), false),
            (slice(Some("a"), None), slice(None, None), false),
            (slice(None, None), slice(Some("a"), None), false),
            (sql("select 1"), sql("select 1"), true),
            (sql("select 1 "), sql("select 1"), false),
            (slice(None, None), sql("select 1"), false),
            (with("a"), with("a"), true),
            (with("a"), with("b"), false),
            (sql("select 1"), with("a"), false),
        ] {
            assert_eq!(this.is_within(&that), within, "{this:?} {that:?}");
        }
    }
}
