//! A released file with its receipt, and a desk to check it at, for tests.

use std::path::Path;

use chunk_evidence::body::{Body, EntryKey, Group};
use chunk_evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use chunk_evidence::leaf::{Decision, Header, Kind, Leaf};
use chunk_evidence::merkle::{self, Hash};
use chunk_evidence::note::VerifierKey;
use chunk_evidence::receipt::{Receipt, ReceiptEntry, ReceiptFile};
use chunk_evidence::{dsse, encode};
use chunk_wire::fetch::{REQUEST_PAYLOAD_TYPE, RequestView};
use chunk_wire::id::SessionId;
use chunk_wire::session::{Person, SessionTokens};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::auth::credentials::Credentials;
use crate::figures::now_ms;

const ORIGIN: &str = "example.org/test/1";
pub(crate) const REQUEST: &str = "req_0123456789abcdef";

/// What a broker would have told of one delivery that needed no approval.
pub(crate) struct Released {
    /// The receipt's text.
    pub(crate) receipt: String,
    /// Who asked, and with which document.
    pub(crate) document: String,
    /// The log's key.
    pub(crate) log_key: VerifierKey,
}

/// A log of one delivery of these bytes, and the receipt of it.
pub(crate) fn release(file: &[u8]) -> Released {
    let log_key = Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap();
    let ada = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = dsse::public_key(&ada);
    let key = dsse::thumbprint(&public);
    let (columns, masks) = (
        json!([{"dataset": "orders", "mask": "open", "name": "a"}]),
        |count: Value| json!({"columns": [{"altered": count, "column": "a", "dataset": "orders", "mask": "open", "values": count}]}),
    );
    let document = encode::canonical(&json!({
        "budget": {"bytes": 1000, "duration_s": 60, "rows": 100}, "columns": columns, "connections": ["shop"], "datasets": ["orders"],
        "filtered": [], "format": "csv", "nonce": "n", "not_after_ms": 600_000, "policy": encode::sha256_hex(b"p"),
        "query": {"dataset": "orders", "kind": "slice"}, "quorum": 0, "reason": "why",
        "requester": {"issuer": "https://i", "key": key, "subject": "ada"}, "v": 1,
    }))
    .unwrap();
    let digest = encode::sha256_hex(document.as_bytes());
    let envelope = dsse::sign(&ada, REQUEST_PAYLOAD_TYPE, document.as_bytes(), &dsse::key_id(&public));
    let by = |kind, refs: &[u64]| Header {
        act: Some("act_ada".into()),
        sid: Some("ses_ada".into()),
        ds: Some("orders".into()),
        dec: Some(Decision::Allow),
        pol: Some(0),
        refs: refs.to_vec(),
        ..Header::new(kind)
    };
    let plain = |kind, refs: &[u64]| Header {
        refs: refs.to_vec(),
        ..Header::new(kind)
    };
    let session = Header {
        act: Some("act_ada".into()),
        sid: Some("ses_ada".into()),
        ..Header::new(Kind::SessionOpen)
    };
    let who = json!({"groups": [], "issuer": "https://i", "key": key, "name": "Ada", "public_key": encode::b64(&public), "subject": "ada"});
    let signed = json!({"digest": digest, "envelope": serde_json::to_value(envelope).unwrap(), "id": REQUEST});
    let out = json!({"bytes": file.len(), "end": "done", "ms": 1, "rows": 1, "sha256": encode::sha256_hex(file)});
    let entries = [
        (session, Body::new().with(Group::Who, who)),
        (
            by(Kind::RequestCreate, &[0]),
            Body::new()
                .with(Group::What, signed)
                .with(
                    Group::Obj,
                    json!({"columns": columns, "connections": ["shop"], "datasets": ["orders"]}),
                )
                .with(Group::Why, json!({"reason": "why"}))
                .with(Group::Out, json!({"expires_ms": 600_000, "quorum": 0, "state": "approved"})),
        ),
        (
            Header {
                act: Some("act_ada".into()),
                dec: Some(Decision::Allow),
                ..plain(Kind::GrantIssue, &[1])
            },
            Body::new().with(Group::What, json!({"digest": digest, "id": REQUEST})),
        ),
        (
            Header {
                act: Some("act_ada".into()),
                sid: Some("ses_ada".into()),
                ds: Some("orders".into()),
                ..plain(Kind::FetchIntent, &[2, 0])
            },
            Body::new()
                .with(Group::What, json!({"chunk": 0, "fetch": "fet_1", "request": REQUEST}))
                .with(Group::Obj, json!({"connections": ["shop"], "datasets": ["orders"]}))
                .with(Group::Mask, masks(Value::Null)),
        ),
        (
            plain(Kind::FetchOutcome, &[3]),
            Body::new()
                .with(Group::What, json!({"request": REQUEST}))
                .with(Group::Out, out)
                .with(Group::Mask, masks(json!(1))),
        ),
    ];
    let mut stored = Vec::new();
    for (i, (header, body)) in (0_u8..).zip(entries) {
        let rk = EntryKey::from_random([i; 16]);
        let leaf = Leaf::new(header.at(1000 + i64::from(i)), body.root(&rk).unwrap()).unwrap();
        stored.push((leaf, body.to_document(&rk).unwrap()));
    }
    let hashes: Vec<Hash> = stored.iter().map(|(leaf, _)| leaf.hash()).collect();
    let entry = |(i, (leaf, document)): (usize, &(Leaf, String))| {
        ReceiptEntry::new(i as u64, &leaf.to_bytes(), document, &path(i, &hashes)).unwrap()
    };
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: hashes.len() as u64,
        root: merkle::root(&hashes),
    };
    let receipt = Receipt::new(
        &SignedCheckpoint::sign(&checkpoint, &log_key).unwrap(),
        ReceiptFile {
            bytes: file.len() as u64,
            format: "csv".into(),
            name: None,
            sha256: encode::sha256_hex(file),
        },
        stored.iter().enumerate().map(entry).collect(),
    );
    Released {
        receipt: receipt.to_text().unwrap(),
        document,
        log_key: VerifierKey::new(ORIGIN, log_key.public_key().as_ref().try_into().unwrap()).unwrap(),
    }
}

impl Released {
    /// The request as the broker shows it.
    pub(crate) fn view(&self, state: &str) -> RequestView {
        serde_json::from_value(json!({
            "id": REQUEST, "state": state, "digest": encode::sha256_hex(self.document.as_bytes()), "document": self.document,
            "host": "laptop", "ip": "10.0.0.1", "requester": {"issuer": "https://i", "subject": "ada", "name": "Ada", "groups": []},
            "created_ms": 0, "expires_ms": now_ms() + 3_600_000, "index": 1, "approvals_missing": 0, "reviews": [], "deliveries": []
        }))
        .unwrap()
    }

    /// Writes the file and its receipt.
    pub(crate) fn write(&self, path: &Path, file: &[u8]) {
        std::fs::write(path, file).unwrap();
        std::fs::write(crate::sink::receipt_path(path), &self.receipt).unwrap();
    }
}

/// Ada's session with this broker, good for a while.
pub(crate) fn credentials(broker: &str) -> Credentials {
    let tokens = SessionTokens {
        session: SessionId::from_random([1; 10]),
        access_token: "a".into(),
        access_expires_ms: now_ms() + 600_000,
        refresh_token: "r".into(),
        session_expires_ms: now_ms() + 600_000,
        person: Person {
            issuer: "https://i".into(),
            subject: "ada".into(),
            name: "Ada".into(),
            email: None,
            groups: vec![],
            workload: None,
        },
    };
    Credentials::new(broker, &[7; 32], tokens, ORIGIN, "k")
}

/// The inclusion proof of RFC 9162, §2.1.3.1.
pub(crate) fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, other) = if index < left.len() {
        (path(index, left), right)
    } else {
        (path(index - left.len(), right), left)
    };
    proof.push(merkle::root(other));
    proof
}
