//! Deliveries: before and after data is read.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Header;
use chunk_wire::id::{ActorId, FetchId, RequestId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::read::Read;
use super::{EventError, by, put};
use crate::recording::Recording;

/// `fetch.intent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntentEntry {
    /// Request.
    pub(crate) request: RequestId,
    /// This attempt.
    pub(crate) fetch: FetchId,
    /// Chunk number.
    pub(crate) chunk: u32,
    /// How the result is cut, where this is one chunk of several.
    pub(crate) cut: Option<CutInto>,
    /// Session.
    pub(crate) session: SessionId,
    /// Pseudonym.
    pub(crate) actor: ActorId,
    /// Index of `grant.issue`.
    pub(crate) grant: u64,
    /// Index of `session.open`.
    pub(crate) open: u64,
    /// Index of the policy set that decided.
    pub(crate) policy: u64,
    /// Connections.
    pub(crate) connections: Vec<String>,
    /// Datasets.
    pub(crate) datasets: Vec<String>,
    /// Columns and masks in force.
    pub(crate) columns: Vec<MaskColumn>,
    /// Instance of the broker that reads.
    pub(crate) instance: String,
}

/// A result that is delivered in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutInto {
    /// How many; at least two.
    pub(crate) chunks: u32,
    /// Names the moment of the source that all of them are of.
    pub(crate) snapshot: String,
}

/// A column in an intent or outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskColumn {
    /// Dataset.
    pub(crate) dataset: String,
    /// Column.
    pub(crate) column: String,
    /// Class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// Mask in words.
    pub(crate) mask: String,
    /// Values that went through it (outcomes only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<u64>,
    /// Values that came out different (outcomes only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) altered: Option<u64>,
}

/// `fetch.outcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutcomeEntry {
    /// Request.
    pub(crate) request: RequestId,
    /// Index of the intent.
    pub(crate) intent: u64,
    /// `done`, `cut`, `source_failed`, `limit`, `failed`, `revoked`, `interrupted`.
    pub(crate) end: String,
    /// Rows that left.
    pub(crate) rows: u64,
    /// Bytes that left; for `interrupted`, at least so many.
    pub(crate) bytes: u64,
    /// Milliseconds.
    pub(crate) ms: u64,
    /// SHA-256 (hex) of the bytes, when done.
    pub(crate) sha256: Option<String>,
    /// For `interrupted`: no more than so many bytes can have left.
    pub(crate) bytes_max: Option<u64>,
    /// What became of the recording, where content was to be kept.
    pub(crate) recording: Option<Recording>,
    /// Mask counts.
    pub(crate) columns: Vec<MaskColumn>,
}

impl IntentEntry {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        header.pol = Some(self.policy);
        header.ds = Some(self.datasets.join(","));
        header.refs = vec![self.grant, self.open];
        let mut what = json!({ "chunk": self.chunk, "fetch": self.fetch, "request": self.request });
        put(&mut what, "chunks", self.cut.as_ref().map(|cut| cut.chunks));
        put(&mut what, "snapshot", self.cut.as_ref().map(|cut| cut.snapshot.as_str()));
        body.set(Group::What, what);
        body.set(Group::Obj, json!({ "connections": self.connections, "datasets": self.datasets }));
        body.set(
            Group::Mask,
            json!({ "columns": serde_json::to_value(&self.columns).unwrap_or_default() }),
        );
        body.set(Group::Env, json!({ "instance": self.instance }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            request: read.member(Group::What, "request")?,
            fetch: read.member(Group::What, "fetch")?,
            chunk: read.member(Group::What, "chunk")?,
            cut: match (read.optional(Group::What, "chunks")?, read.optional(Group::What, "snapshot")?) {
                (Some(chunks), Some(snapshot)) => Some(CutInto { chunks, snapshot }),
                _ => None,
            },
            session: read.session()?,
            actor: read.actor()?,
            grant: read.reference(0)?,
            open: read.reference(1)?,
            policy: read.policy()?,
            connections: read.member(Group::Obj, "connections")?,
            datasets: read.member(Group::Obj, "datasets")?,
            columns: read.member(Group::Mask, "columns")?,
            instance: read.member(Group::Env, "instance")?,
        })
    }
}

impl OutcomeEntry {
    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        header.refs = vec![self.intent];
        body.set(Group::What, json!({ "request": self.request }));
        let mut out = json!({ "bytes": self.bytes, "end": self.end, "ms": self.ms, "rows": self.rows });
        put(&mut out, "sha256", self.sha256.as_deref());
        put(&mut out, "bytes_max", self.bytes_max);
        put(&mut out, "recording", self.recording.map(Recording::as_str));
        body.set(Group::Out, out);
        body.set(
            Group::Mask,
            json!({ "columns": serde_json::to_value(&self.columns).unwrap_or_default() }),
        );
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            request: read.member(Group::What, "request")?,
            intent: read.reference(0)?,
            end: read.member(Group::Out, "end")?,
            rows: read.member(Group::Out, "rows")?,
            bytes: read.member(Group::Out, "bytes")?,
            ms: read.member(Group::Out, "ms")?,
            sha256: read.optional(Group::Out, "sha256")?,
            bytes_max: read.optional(Group::Out, "bytes_max")?,
            recording: read.optional(Group::Out, "recording")?,
            columns: read.member(Group::Mask, "columns")?,
        })
    }
}
