//! broker.toml as it is written, before anything about it is believed.
//!
//! Every field is optional here, and no enum is tagged: serde would stop at the first missing field and forget where a tagged
//! value stands. What is required, and what belongs to which kind, is decided in `check`, which sees all of it at once.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// A value and where it stands.
pub(super) type At<T> = Option<Spanned<T>>;
/// A table whose entries keep the place of their name.
pub(super) type Named<T> = BTreeMap<Spanned<String>, Spanned<T>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) broker: At<RawBroker>,
    #[serde(default)]
    pub(super) issuer: Vec<Spanned<RawIssuer>>,
    #[serde(default)]
    pub(super) saml: Vec<Spanned<super::saml::RawSaml>>,
    #[serde(default)]
    pub(super) workload: Vec<Spanned<super::workload::RawWorkload>>,
    pub(super) witness: At<super::witness::RawWitnesses>,
    pub(super) timestamps: At<super::timestamps::RawTimestamps>,
    pub(super) mirror: At<super::mirror::RawMirror>,
    pub(super) retention: At<super::retention::RawRetention>,
    #[serde(default)]
    pub(super) sinks: Vec<Spanned<super::sinks::RawSink>>,
    #[serde(default)]
    pub(super) notify: Vec<Spanned<super::notify::RawNotify>>,
    #[serde(default)]
    pub(super) connections: Named<RawConnection>,
    #[serde(default)]
    pub(super) classes: Named<RawClass>,
    #[serde(default)]
    pub(super) datasets: Named<RawDataset>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    pub(super) name: At<String>,
    pub(super) public_url: At<String>,
    pub(super) listen: At<String>,
    pub(super) metrics_listen: At<String>,
    pub(super) metrics_public: At<bool>,
    pub(super) data_dir: At<String>,
    pub(super) master_key_file: At<String>,
    pub(super) policies: At<String>,
    pub(super) session_hours: At<i64>,
    pub(super) chunk_rows: At<i64>,
    pub(super) tls: At<RawTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) cert_file: At<String>,
    pub(super) key_file: At<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) name: At<String>,
    pub(super) issuer: At<String>,
    pub(super) client_id: At<String>,
    pub(super) audience: At<String>,
    pub(super) scopes: At<Vec<String>>,
    pub(super) groups_claim: At<String>,
    pub(super) manager_claim: At<String>,
    pub(super) groups_from: At<String>,
    pub(super) email_claim: At<String>,
    pub(super) name_claim: At<String>,
    pub(super) ca_file: At<String>,
    pub(super) insecure_development: At<bool>,
    pub(super) sign_in: At<String>,
    pub(super) max_age_s: At<i64>,
    pub(super) acr_values: At<Vec<String>>,
    pub(super) client_secret: At<RawSecret>,
    pub(super) scim: At<RawScim>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScim {
    pub(super) token: At<RawSecret>,
    pub(super) known_by: At<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConnection {
    pub(super) kind: At<String>,
    // postgres, mysql
    pub(super) host: At<String>,
    pub(super) port: At<i64>,
    pub(super) database: At<String>,
    pub(super) user: At<String>,
    pub(super) password: At<RawSecret>,
    pub(super) ca_file: At<String>,
    pub(super) plaintext: At<bool>,
    pub(super) statement_timeout_s: At<i64>,
    // sqlite, files
    pub(super) root: At<String>,
    // s3, http
    pub(super) url: At<String>,
    // s3
    pub(super) endpoint: At<String>,
    pub(super) region: At<String>,
    pub(super) access_key: At<RawSecret>,
    pub(super) secret_key: At<RawSecret>,
    pub(super) session_token: At<RawSecret>,
    // http
    pub(super) token: At<RawSecret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) env: At<String>,
    pub(super) file: At<String>,
    pub(super) sealed: At<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClass {
    pub(super) mask: At<String>,
    // partial
    pub(super) keep_first: At<i64>,
    pub(super) keep_last: At<i64>,
    // tokenize, shift
    pub(super) generation: At<i64>,
    // tokenize
    pub(super) preserve_form: At<bool>,
    // shift
    pub(super) days: At<i64>,
    // generalize
    pub(super) date: At<String>,
    pub(super) bucket: At<i64>,
    pub(super) prefix: At<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) reviewers: At<RawReviewers>,
    pub(super) quorum: At<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReviewers {
    pub(super) groups: At<Vec<String>>,
    pub(super) manager: At<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDataset {
    pub(super) connection: At<String>,
    pub(super) table: At<String>,
    pub(super) path: At<String>,
    pub(super) files: At<Vec<String>>,
    pub(super) format: At<String>,
    pub(super) description: At<String>,
    pub(super) unclassified: At<String>,
    pub(super) row_filter: At<String>,
    pub(super) subject: At<String>,
    pub(super) quorum: At<i64>,
    pub(super) ssh_verdicts: At<bool>,
    pub(super) reviewers: At<RawReviewers>,
    #[serde(default)]
    pub(super) stages: Vec<Spanned<RawStage>>,
    pub(super) escalate_after: At<String>,
    pub(super) escalate_to: At<Vec<String>>,
    pub(super) labels: At<Vec<String>>,
    pub(super) rows_max: At<i64>,
    pub(super) bytes_max: At<i64>,
    pub(super) rows_per_day: At<i64>,
    pub(super) bytes_per_day: At<i64>,
    pub(super) pending_hours: At<i64>,
    pub(super) grant_minutes: At<i64>,
    pub(super) standing_hours_max: At<i64>,
    pub(super) standing_rows_max: At<i64>,
    pub(super) standing_bytes_max: At<i64>,
    pub(super) recording: At<String>,
    #[serde(default)]
    pub(super) columns: BTreeMap<Spanned<String>, Spanned<String>>,
}
