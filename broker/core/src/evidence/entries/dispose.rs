//! `retention.dispose`: bodies have been kept for as long as they had to be.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Kind;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::read::Read;
use super::{EventError, put};

/// `retention.dispose`. Nobody did it: its body is sealed under the broker's own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DisposeEntry {
    /// What is gone; each kind once.
    pub(crate) bodies: Vec<Disposed>,
    /// Recordings of intents before this index are gone.
    pub(crate) recordings_before: Option<u64>,
    /// Bodies that were destroyed with this entry.
    pub(crate) bodies_count: u64,
    /// Recordings that were.
    pub(crate) recordings_count: u64,
}

/// Bodies of one kind that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposed {
    /// The kind.
    pub(crate) kind: Kind,
    /// All of its entries before this index.
    pub(crate) before: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    before: u64,
    kind: String,
}

impl DisposeEntry {
    pub(super) fn write(&self, body: &mut Body) {
        let bodies = self.bodies.iter().map(|disposed| Written {
            before: disposed.before,
            kind: disposed.kind.as_str().to_owned(),
        });
        let mut what = json!({ "bodies": serde_json::to_value(bodies.collect::<Vec<_>>()).unwrap_or_default() });
        put(&mut what, "recordings_before", self.recordings_before);
        body.set(Group::What, what);
        body.set(
            Group::Out,
            json!({ "bodies": self.bodies_count, "recordings": self.recordings_count }),
        );
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        let written: Vec<Written> = read.member(Group::What, "bodies")?;
        let bodies = written.into_iter().map(|written| {
            let kind = Kind::parse(&written.kind).ok_or_else(|| read.fault(format!("there is no kind `{}`", written.kind)))?;
            Ok(Disposed {
                kind,
                before: written.before,
            })
        });
        Ok(Self {
            bodies: bodies.collect::<Result<_, _>>()?,
            recordings_before: read.optional(Group::What, "recordings_before")?,
            bodies_count: read.member(Group::Out, "bodies")?,
            recordings_count: read.member(Group::Out, "recordings")?,
        })
    }
}
