//! What people signed, held against what the log says: a request and a verdict each carry the person's own signature inside
//! the committed body, so that neither the operator nor the log's key can invent one.
//!
//! Every function compares the signed document with the entry around it, member by member: an entry may not say anything the
//! person did not sign.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::Value;

use crate::body::Group;
use crate::disclosed::Disclosed;
use crate::dsse::{Envelope, REQUEST_PAYLOAD_TYPE, REVIEW_PAYLOAD_TYPE, thumbprint};
use crate::encode::{parse_canonical, sha256_hex, unb64_32};
use crate::leaf::Kind;

/// What does not fit, in a sentence.
pub(crate) type Misfit = &'static str;

/// A person as a `session.open` binds them to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) public_key: [u8; 32],
}

impl Holder {
    /// Reads the binding of a `session.open` whose `who` is opened.
    pub(crate) fn of(session: &Disclosed) -> Result<Self, Misfit> {
        let member = |name| {
            session
                .text(Group::Who, name)
                .map(str::to_owned)
                .ok_or("a session names no person and key")
        };
        let (issuer, subject, key) = (member("issuer")?, member("subject")?, member("key")?);
        let public_key = unb64_32(&member("public_key")?).map_err(|_| "a session's public key is malformed")?;
        if thumbprint(&public_key) != key {
            return Err("a session's public key is not the one its thumbprint names");
        }
        let name = member("name").unwrap_or_else(|_| subject.clone());
        Ok(Self {
            issuer,
            subject,
            name,
            key,
            public_key,
        })
    }

    /// Whether this is the same person, by whatever key.
    pub(crate) fn is(&self, other: &Holder) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }
}

/// A request document that its requester signed.
#[derive(Debug, Clone)]
pub(crate) struct SignedRequest {
    pub(crate) id: String,
    pub(crate) digest: String,
    pub(crate) document: Value,
    pub(crate) quorum: u64,
}

/// (dataset, column, mask): what was planned for a column.
pub(crate) type PlannedMask<'a> = (&'a str, &'a str, &'a str);

impl SignedRequest {
    /// Checks a `request.create` whose `what` is opened, and every other group that is, against the signature of its requester.
    pub(crate) fn of(entry: &Disclosed, requester: &Holder) -> Result<Self, Misfit> {
        let id = entry.text(Group::What, "id").ok_or("a request has no id")?.to_owned();
        let digest = entry.text(Group::What, "digest").ok_or("a request has no digest")?.to_owned();
        let payload = payload(entry, requester, REQUEST_PAYLOAD_TYPE).map_err(|()| "the requester's signature does not verify")?;
        if sha256_hex(payload.as_bytes()) != digest {
            return Err("a request's digest is not that of the signed document");
        }
        let document = parse_canonical(&payload).map_err(|_| "a signed request is not canonical JSON")?;
        let fits = |name: &str, expected: &str| document.pointer(name).and_then(Value::as_str) == Some(expected);
        if document.get("v").and_then(Value::as_u64) != Some(1) {
            return Err("a signed request is of an unknown version");
        }
        if !fits("/requester/issuer", &requester.issuer)
            || !fits("/requester/subject", &requester.subject)
            || !fits("/requester/key", &requester.key)
        {
            return Err("a request was signed for another person or key than its session's");
        }
        let quorum = document
            .get("quorum")
            .and_then(Value::as_u64)
            .ok_or("a signed request names no quorum")?;
        if entry.shows(Group::Out) && entry.body().number(Group::Out, "quorum") != Some(quorum) {
            return Err("the quorum on record is not the one in the signed request");
        }
        if entry.shows(Group::Obj) {
            let recorded = entry.body().get(Group::Obj);
            if ["columns", "connections", "datasets"]
                .iter()
                .any(|name| recorded.get(*name) != document.get(*name))
            {
                return Err("datasets or columns on record are not those of the signed request");
            }
        }
        if entry.shows(Group::Why) {
            let recorded = entry.body().get(Group::Why);
            if ["reason", "ticket"].iter().any(|name| recorded.get(*name) != document.get(*name)) {
                return Err("the reason on record is not the one in the signed request");
            }
        }
        Ok(Self {
            id,
            digest,
            document,
            quorum,
        })
    }

    /// What was approved for each column.
    pub(crate) fn masks(&self) -> Option<BTreeSet<PlannedMask<'_>>> {
        masks(self.document.get("columns")?, "name")
    }
}

/// The masks of a list of columns; `name` is the member that names the column.
pub(crate) fn masks<'a>(columns: &'a Value, name: &str) -> Option<BTreeSet<PlannedMask<'a>>> {
    let text = |column: &'a Value, member: &str| column.get(member)?.as_str();
    columns
        .as_array()?
        .iter()
        .map(|column| Some((text(column, "dataset")?, text(column, name)?, text(column, "mask")?)))
        .collect()
}

/// Checks a `review.*` entry whose `what` is opened, and every other group that is, against the signature of its reviewer and
/// the request it is about. Gives the reviewer's justification.
pub(crate) fn check_review(entry: &Disclosed, reviewer: &Holder, request: &SignedRequest) -> Result<String, Misfit> {
    if entry.text(Group::What, "id") != Some(&request.id) || entry.text(Group::What, "digest") != Some(&request.digest) {
        return Err("a verdict is about another request than it points to");
    }
    let payload = payload(entry, reviewer, REVIEW_PAYLOAD_TYPE).map_err(|()| "the reviewer's signature does not verify")?;
    let document = parse_canonical(&payload).map_err(|_| "a signed verdict is not canonical JSON")?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let verdict = if entry.leaf.header.kind == Kind::ReviewApprove {
        "approve"
    } else {
        "reject"
    };
    if document.get("v").and_then(Value::as_u64) != Some(1) || text("verdict") != Some(verdict) {
        return Err("the signed verdict is another than the one on record");
    }
    if text("request") != Some(&request.id) || text("digest") != Some(&request.digest) {
        return Err("the signed verdict is about another request");
    }
    if text("issuer") != Some(&reviewer.issuer) || text("subject") != Some(&reviewer.subject) || text("key") != Some(&reviewer.key) {
        return Err("a verdict was signed for another person or key than its session's");
    }
    if entry.shows(Group::Who) {
        let recorded = |name| entry.text(Group::Who, name);
        if recorded("issuer") != text("issuer") || recorded("subject") != text("subject") || recorded("key") != text("key") {
            return Err("the reviewer on record is not the one in the signed verdict");
        }
    }
    let reason = text("reason")
        .filter(|reason| !reason.trim().is_empty())
        .ok_or("a verdict has no reason")?;
    if entry.shows(Group::Why) && entry.text(Group::Why, "reason") != Some(reason) {
        return Err("the reviewer's reason on record is not the signed one");
    }
    Ok(reason.to_owned())
}

fn payload(entry: &Disclosed, signer: &Holder, payload_type: &str) -> Result<String, ()> {
    let envelope = entry.body().get(Group::What).get("envelope").ok_or(())?;
    let envelope: Envelope = Envelope::deserialize(envelope).map_err(|_| ())?;
    String::from_utf8(envelope.verify(&signer.public_key, payload_type).map_err(|_| ())?).map_err(|_| ())
}
