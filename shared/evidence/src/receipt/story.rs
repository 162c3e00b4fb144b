//! What a verified receipt says, for people.

use serde_json::Value;

/// What a verified receipt says. Texts come from people and configuration: strip terminal escapes before showing them.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptStory {
    /// The log.
    pub origin: String,
    /// Size of the checkpoint.
    pub size: u64,
    /// The log key that signed it, as a verifier key.
    pub log_key: String,
    /// Request id.
    pub request: String,
    /// SHA-256 of the signed request document, hex.
    pub digest: String,
    /// Who asked and received.
    pub requester: StoryPerson,
    /// The query, as signed.
    pub query: Value,
    /// Datasets.
    pub datasets: Vec<String>,
    /// Connections.
    pub connections: Vec<String>,
    /// Why.
    pub reason: String,
    /// Ticket.
    pub ticket: Option<String>,
    /// When it was asked, ms since 1970.
    pub requested_ms: i64,
    /// Approvals the request needed.
    pub quorum: u64,
    /// Asked for in an emergency: nobody approved beforehand.
    pub break_glass: bool,
    /// Who approved, in log order; under a standing grant, who approved that.
    pub approvals: Vec<StoryApproval>,
    /// The standing grant it was a use of.
    pub standing: Option<StoryStanding>,
    /// When reading began, ms since 1970.
    pub intent_ms: i64,
    /// When the release was complete, ms since 1970.
    pub outcome_ms: i64,
    /// Index of the intent.
    pub intent: u64,
    /// Index of the outcome.
    pub outcome: u64,
    /// Chunk number.
    pub chunk: u64,
    /// How the result was cut, where this is one chunk of several.
    pub cut: Option<StoryCut>,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Encoding.
    pub format: String,
    /// What was done to each column that was read.
    pub columns: Vec<StoryColumn>,
}

/// A result that was delivered in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryCut {
    /// How many there are.
    pub chunks: u64,
    /// Names the moment of the source that all of them are of.
    pub snapshot: String,
}

/// A person of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryPerson {
    /// Issuer.
    pub issuer: String,
    /// Subject at that issuer.
    pub subject: String,
    /// Display name.
    pub name: String,
    /// RFC 7638 thumbprint of the key they signed with.
    pub key: String,
}

/// One approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryApproval {
    /// Who.
    pub person: StoryPerson,
    /// Fingerprint of the SSH key that signed it as well.
    pub ssh_key: Option<String>,
    /// Why, as signed.
    pub reason: String,
    /// When, ms since 1970.
    pub time_ms: i64,
    /// Index of the entry.
    pub index: u64,
}

/// A standing grant of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryStanding {
    /// The request it was approved as.
    pub request: String,
    /// SHA-256 of what was approved, hex.
    pub digest: String,
    /// Why it was asked for.
    pub reason: String,
    /// When it was asked for, ms since 1970.
    pub requested_ms: i64,
    /// When it ends, ms since 1970.
    pub expires_ms: u64,
}

/// A column of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryColumn {
    /// Dataset.
    pub dataset: String,
    /// Column.
    pub column: String,
    /// Class.
    pub class: Option<String>,
    /// `open`, `reveal`, or the mask with its settings.
    pub mask: String,
    /// Values that went through it.
    pub values: Option<u64>,
    /// Values that came out different.
    pub altered: Option<u64>,
}
