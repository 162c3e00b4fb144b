//! One entry as one line: full, partly opened, header only, or erased.

use serde_json::{Map, Value};

use super::input::{BundleEntry, BundleError, EntryBody};
use super::level::open_set;
use crate::body::{Body, EntryKey, Group};
use crate::disclosed::{Disclosed, GroupSet, split};
use crate::encode::{EncodeError, b64, canonical, parse_canonical, unb64_32};
use crate::leaf::Leaf;
use crate::merkle::Hash;

/// The line of an entry at this level; closed when it is not to be opened.
pub(super) fn write(entry: &BundleEntry<'_>, leaf: &Leaf, level: u8, opened: bool, proof: Option<&[Hash]>) -> Result<String, BundleError> {
    let mut row = Map::new();
    row.insert("h".into(), leaf.header_text.clone().into());
    row.insert("i".into(), entry.index.into());
    if let Some(proof) = proof {
        row.insert("p".into(), proof.iter().map(|hash| b64(hash)).collect::<Vec<_>>().into());
    }
    match entry.body {
        EntryBody::Erased(by) => {
            row.insert("e".into(), by.into());
            row.insert("r".into(), b64(&leaf.body_root).into());
        }
        EntryBody::Document(_) if !opened || level < 2 => {
            row.insert("r".into(), b64(&leaf.body_root).into());
        }
        EntryBody::Document(document) => {
            let fault = |error| BundleError::Body(entry.index, error);
            let (rk, body) = Body::parse_document(document).map_err(fault)?;
            if body.root(&rk).map_err(fault)? != leaf.body_root {
                return Err(BundleError::BodyRoot(entry.index));
            }
            let open = open_set(level, leaf.header.kind);
            if open == GroupSet::ALL {
                row.insert("b".into(), Value::Object(body.present()));
                row.insert("rk".into(), rk.to_text().into());
            } else {
                let (digests, disclosures) = split(&body, &rk, open).map_err(fault)?;
                row.insert("d".into(), Value::Object(digests));
                row.insert("g".into(), Value::Object(disclosures));
            }
        }
    }
    Ok(canonical(&Value::Object(row))?)
}

/// Reads a line strictly, with its inclusion proof where one is expected.
pub(super) fn read(line: &str, with_proof: bool) -> Result<(Disclosed, Vec<Hash>), &'static str> {
    const MALFORMED: &str = "a row is malformed";
    let Value::Object(mut row) = parse_canonical(line).map_err(|_: EncodeError| "a row is not canonical JSON")? else {
        return Err(MALFORMED);
    };
    let mut take = |name: &str| row.remove(name);
    let index = take("i").and_then(|v| v.as_u64()).ok_or(MALFORMED)?;
    let Some(Value::String(header)) = take("h") else {
        return Err(MALFORMED);
    };
    let proof = match (take("p"), with_proof) {
        (None, false) => Vec::new(),
        (Some(Value::Array(items)), true) => items
            .iter()
            .map(|item| unb64_32(item.as_str()?).ok())
            .collect::<Option<_>>()
            .ok_or(MALFORMED)?,
        _ => return Err(MALFORMED),
    };
    let root = |value: Value| value.as_str().and_then(|text| unb64_32(text).ok()).ok_or(MALFORMED);
    let disclosed = match (take("b"), take("rk"), take("d"), take("g"), take("e"), take("r")) {
        (Some(Value::Object(groups)), Some(Value::String(rk)), None, None, None, None) => {
            Disclosed::full(index, &header, &EntryKey::parse(&rk).map_err(|_| MALFORMED)?, groups)?
        }
        (None, None, Some(Value::Object(digests)), Some(Value::Object(disclosures)), None, None) => {
            Disclosed::partly(index, &header, texts(&disclosures)?, texts(&digests)?)?
        }
        (None, None, None, None, None, Some(body_root)) => Disclosed::header_only(index, &header, root(body_root)?)?,
        (None, None, None, None, Some(by), Some(body_root)) => {
            Disclosed::erased(index, &header, root(body_root)?, by.as_u64().ok_or(MALFORMED)?)?
        }
        _ => return Err(MALFORMED),
    };
    if row.is_empty() { Ok((disclosed, proof)) } else { Err(MALFORMED) }
}

/// The line an entry has in `views/entries.jsonl`: header members by their full names and the opened groups, as canonical JSON.
pub(super) fn view(entry: &Disclosed, time: &str, disclosed: &str) -> Result<String, EncodeError> {
    let header = &entry.leaf.header;
    let text = |value: &str| canonical(&Value::from(value)).map(Some);
    let members = [
        ("actor", header.act.as_deref().map_or(Ok(None), text)?),
        ("dataset", header.ds.as_deref().map_or(Ok(None), text)?),
        ("decision", header.dec.map_or(Ok(None), |dec| text(dec.as_str()))?),
        ("disclosed", text(disclosed)?),
        ("index", Some(entry.index.to_string())),
        ("kind", text(header.kind.as_str())?),
        ("policy", header.pol.map(|pol| pol.to_string())),
        (
            "refs",
            (!header.refs.is_empty()).then(|| format!("{:?}", header.refs).replace(' ', "")),
        ),
        ("session", header.sid.as_deref().map_or(Ok(None), text)?),
        ("time", text(time)?),
    ];
    let mut members: Vec<_> = members.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    for group in Group::ALL {
        let value = entry.body().get(group);
        if !value.is_null() {
            members.push((group.as_str(), canonical(value)?));
        }
    }
    members.sort_unstable_by_key(|(name, _)| *name);
    let members: Vec<String> = members.into_iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
    Ok(format!("{{{}}}", members.join(",")))
}

fn texts(map: &Map<String, Value>) -> Result<Vec<(&str, &str)>, &'static str> {
    map.iter()
        .map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect::<Option<_>>()
        .ok_or("a row is malformed")
}
