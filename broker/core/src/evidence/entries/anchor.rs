//! `anchor.observe`: others said something of the log.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::encode::{b64, unb64_32};
use serde_json::json;

use super::EventError;
use super::read::Read;
use crate::anchor::{AnchorKind, Observed};

pub(super) fn write(observed: &Observed, body: &mut Body) {
    let Observed {
        kind,
        size,
        root,
        sha256,
        time_ms,
    } = observed;
    body.set(
        Group::What,
        json!({ "anchor": kind.as_str(), "root": b64(root), "sha256": sha256, "size": size, "time_ms": time_ms }),
    );
}

pub(super) fn read(read: &Read<'_>) -> Result<Observed, EventError> {
    let kind: String = read.member(Group::What, "anchor")?;
    let root: String = read.member(Group::What, "root")?;
    Ok(Observed {
        kind: AnchorKind::parse(&kind).ok_or_else(|| read.fault("what.anchor is of no known kind"))?,
        size: read.member(Group::What, "size")?,
        root: unb64_32(&root).map_err(|fault| read.fault(fault))?,
        sha256: read.member(Group::What, "sha256")?,
        time_ms: read.member(Group::What, "time_ms")?,
    })
}
