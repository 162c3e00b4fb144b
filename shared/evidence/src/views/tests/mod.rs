//! Every view of one log that holds every kind of entry, at every level, and texts that mean harm.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod documents;
mod events;
mod queries;
mod samples;

use serde_json::{Value, json};

use super::{Assessment, Kept, Row, Source};
use crate::body::{Body, Group};
use crate::bundle::{Answer, Claim, Verification, verify_bundle};
use crate::leaf::{Decision, Header, Kind, Leaf};
use crate::testing::{Actor, Log, ORIGIN, by};
use crate::trust::TrustPolicy;

/// Somebody's reason, as bad as reasons get.
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{0}\u{1b}[2J'\"&=1+1\n\u{200b}";

/// A log of every kind.
pub(super) fn log() -> Log {
    let (mut log, _) = Log::story();
    let (eve, bob) = (log.sign_in("eve", 3), log.sign_in("bob", 2));
    several_factors(&mut log);
    let alone = |log: &mut Log, kind, refs: Vec<u64>, body: Body| log.append(Header { refs, ..Header::new(kind) }, &body);
    let what = |value: Value| Body::new().with(Group::What, value);

    // Refused, withdrawn, expired.
    let (refused, document) = log.request(&eve, 1);
    log.review(&bob, refused, &document, "reject");
    for kind in [Kind::RequestCancel, Kind::RequestExpire] {
        let (request, _) = log.request(&eve, 1);
        let body = what(json!({ "id": log.request_id(request) })).with(Group::Why, json!({ "reason": HOSTILE }));
        log.append(
            Header {
                refs: vec![request],
                ..by(kind, &eve)
            },
            &body,
        );
    }
    hostile_denial(&mut log, &eve);

    // A grant without approval, used, and its delivery interrupted; one revoked; one expired.
    let (request, document) = log.request(&eve, 0);
    let grant = log.grant(&eve, request, &document, &[]);
    log.take(&eve, grant, request);
    let intent = log.intent(&eve, grant, request, "open");
    log.outcome(intent, "interrupted");
    let intent = log.intent(&eve, grant, request, "open");
    log.outcome(intent, "revoked");
    log.intent(&eve, grant, request, "redact");
    for kind in [Kind::GrantRevoke, Kind::GrantExpire] {
        let (request, document) = log.request(&eve, 0);
        let grant = log.grant(&eve, request, &document, &[]);
        let body = what(json!({ "id": log.request_id(request) })).with(Group::Why, json!({ "reason": "no longer due" }));
        log.append(
            Header {
                refs: vec![grant],
                ..by(kind, &bob)
            },
            &body,
        );
    }
    revealed(&mut log, &eve, grant);

    // Everything else.
    let fail = Body::new()
        .with(Group::Net, json!({ "ip": "not an address" }))
        .with(Group::Out, json!({ "code": "invalid_id_token", "count": 7 }));
    alone(&mut log, Kind::SessionFail, Vec::new(), fail);
    directory(&mut log);
    alone(
        &mut log,
        Kind::PolicyLoad,
        Vec::new(),
        what(json!({ "digest": "ff", "schema": "s", "text": "forbid;" })),
    );
    alone(
        &mut log,
        Kind::ConfigLoad,
        Vec::new(),
        what(json!({ "datasets": ["orders"], "digest": "ee" })),
    );
    let key = Body::new().with(Group::Who, json!({ "ssh_key": "SHA256:thumb" }));
    let enrolled = log.append(
        Header {
            refs: vec![bob.open],
            ..by(Kind::KeyEnroll, &bob)
        },
        &key,
    );
    log.append(
        Header {
            refs: vec![enrolled, bob.open],
            ..by(Kind::KeyRevoke, &bob)
        },
        &Body::new().with(Group::Net, json!({ "ip": "192.0.2.7" })),
    );
    log.rotate(43);
    let glass = log.append(
        Header {
            refs: vec![eve.open],
            ..by(Kind::BreakglassOpen, &eve)
        },
        &Body::new().with(Group::Why, json!({ "reason": "the shop is down" })),
    );
    alone(&mut log, Kind::BreakglassReview, vec![glass], Body::new());
    log.append(
        Header {
            refs: vec![eve.open],
            ..by(Kind::BreakglassOpen, &eve)
        },
        &Body::new(),
    );
    for level in [1, 4] {
        let body = what(json!({ "query": {} })).with(Group::Out, json!({ "from": 0, "level": level, "to": 9 }));
        log.append(
            Header {
                refs: vec![bob.open],
                ..by(Kind::AuditExport, &bob)
            },
            &body,
        );
    }
    let erase = what(json!({ "keys": ["k1"], "subject": "act_ada" })).with(Group::Why, json!({ "reason": "article 17" }));
    log.append(
        Header {
            refs: vec![bob.open],
            ..by(Kind::Erase, &bob)
        },
        &erase,
    );
    for kind in [
        Kind::RetentionDispose,
        Kind::ClockStatus,
        Kind::AnchorObserve,
        Kind::BrokerStop,
        Kind::LogSeal,
    ] {
        let observed = json!({
            "anchor": "rfc3161", "root": crate::encode::b64(&[1; 32]), "sha256": crate::encode::sha256_hex(b"token"), "size": 3, "time_ms": log.t,
        });
        let body = match kind {
            Kind::AnchorObserve => what(observed),
            _ => Body::new().with(Group::Env, json!({ "instance": "i_1" })),
        };
        alone(&mut log, kind, Vec::new(), body);
    }
    let close = Body::new().with(Group::Why, json!({ "cause": "revoked" }));
    log.append(
        Header {
            refs: vec![eve.open],
            ..by(Kind::SessionClose, &eve)
        },
        &close,
    );
    let (waiting, _) = log.request_escalating(&eve, &[("owners", 1)], 60, &["deputies"]);
    log.t += 60_000;
    log.escalate(waiting);
    log
}

/// A directory tells of somebody, who leaves and comes back.
fn directory(log: &mut Log) {
    let net = || Body::new().with(Group::Net, json!({ "ip": "192.0.2.9" }));
    let about = |kind, refs| Header {
        act: Some("act_kim".into()),
        refs,
        ..Header::new(kind)
    };
    let who = json!({ "external_id": "00u1", "issuer": "https://idp.example", "known_by": "external_id", "user_name": HOSTILE });
    let bind = log.append(about(Kind::SubjectBind, Vec::new()), &net().with(Group::Who, who));
    let why = json!({ "cause": "inactive" });
    let suspend = log.append(about(Kind::PersonSuspend, vec![bind]), &net().with(Group::Why, why));
    log.append(about(Kind::PersonRestore, vec![suspend]), &net());
}

fn several_factors(log: &mut Log) {
    for amr in [json!(["mfa"]), json!(["pwd", "otp"]), json!(["hwk", "otp"]), json!([])] {
        let header = Header {
            act: Some("act_mia".into()),
            sid: Some(format!("ses_mia{}", log.size())),
            ..Header::new(Kind::SessionOpen)
        };
        let who = json!({ "amr": amr, "issuer": "https://idp.example", "key": "k", "subject": "mia" });
        log.append(header, &Body::new().with(Group::Who, who));
    }
}

fn hostile_denial(log: &mut Log, actor: &Actor) {
    let body = Body::new()
        .with(
            Group::What,
            json!({ "query": { "kind": "sql", "sql": format!("select '{HOSTILE}'") } }),
        )
        .with(Group::Why, json!({ "reason": HOSTILE }))
        .with(Group::Out, json!({ "code": "denied", "policies": [HOSTILE] }));
    let header = Header {
        dec: Some(Decision::Deny),
        ds: Some(HOSTILE.into()),
        refs: vec![actor.open],
        ..by(Kind::RequestDeny, actor)
    };
    log.append(header, &body);
}

/// A delivery of many rows in which a classified column went out as it is.
fn revealed(log: &mut Log, actor: &Actor, grant: u64) {
    let column = |count: Option<u64>| {
        let mut column = json!({ "class": "pii.email", "column": "email", "dataset": "orders", "mask": "open" });
        if let Some(count) = count {
            column["values"] = count.into();
            column["altered"] = 0.into();
        }
        json!({ "columns": [column] })
    };
    let intent = Body::new()
        .with(Group::What, json!({ "chunk": 0, "fetch": "fet_9", "request": "req_unknown" }))
        .with(
            Group::Obj,
            json!({ "connections": ["shop", "lake"], "datasets": ["orders", "customers"] }),
        )
        .with(Group::Mask, column(None));
    let header = Header {
        ds: Some("orders,customers".into()),
        refs: vec![grant, actor.open],
        ..by(Kind::FetchIntent, actor)
    };
    let intent = log.append(header, &intent);
    let out = json!({ "bytes": 9_000_000, "end": "done", "ms": 12, "rows": 200_000, "sha256": "00" });
    let outcome = Body::new().with(Group::Out, out).with(Group::Mask, column(Some(200_000)));
    log.append(
        Header {
            refs: vec![intent],
            ..Header::new(Kind::FetchOutcome)
        },
        &outcome,
    );
}

/// The rows of a log at a level, the bodies of `erased` gone.
pub(super) fn rows(log: &Log, level: u8, erased: &[u64]) -> Vec<Row> {
    let entries = log.leaves.iter().zip(&log.documents).enumerate();
    entries
        .map(|(index, (leaf, document))| {
            let (leaf, index) = (Leaf::parse(leaf).unwrap(), index as u64);
            let (_, full) = Body::parse_document(document).unwrap();
            let kept = if erased.contains(&index) {
                Kept::Erased(log.size() - 1)
            } else {
                Kept::Body(full)
            };
            Row::at_level(index, leaf, kept, level)
        })
        .collect()
}

/// An assessment of these rows.
pub(super) fn assessed(rows: &[Row]) -> Assessment {
    let mut assessment = Assessment::default();
    rows.iter().for_each(|row| assessment.row(row));
    assessment.finish();
    assessment
}

/// A verification that says yes, of a bundle of these rows.
pub(super) fn verified(rows: &[Row], level: u8) -> Verification {
    let claim = |id| Claim {
        id,
        text: "It holds & was checked.",
        answer: Answer::True,
    };
    let mut verification = verify_bundle(b"", &TrustPolicy::of_key(&Log::new().verifier()));
    verification.answer = Answer::True;
    verification.origin = ORIGIN.into();
    verification.level = level;
    verification.to = rows.len() as u64;
    verification.head = verification.to;
    verification.claims = ["format", "head", "append_only", "complete", "order", "closure", "views"]
        .map(claim)
        .to_vec();
    verification.counts.entries = verification.to;
    verification
}

pub(super) fn source(verification: &Verification) -> Source<'_> {
    Source {
        verification,
        head_root: [7; 32],
        log_key: format!("{ORIGIN}+00000000+AAAA"),
        file: "audit; rm -rf '~'.bundle".into(),
        sha256: crate::encode::sha256_hex(b"bundle"),
        bytes: 12_345,
        trust: "the trust file `trust.toml`".into(),
    }
}

#[test]
fn the_log_of_these_tests_holds_every_kind() {
    let rows = rows(&log(), 4, &[]);
    for kind in Kind::ALL {
        assert!(rows.iter().any(|row| row.header.kind == *kind), "{}", kind.as_str());
    }
}
