//! What somebody who holds the log's key could write into the log, and which claim fails for it.

use serde_json::json;

use super::{Export, failed, trust};
use crate::body::{Body, Group};
use crate::bundle::verify_bundle;
use crate::leaf::{Header, Kind};
use crate::testing::{Actor, Log, by};

/// The log with one thing wrong in it, and the claims that must fail; the operator holds the log key and signs it all.
fn twisted(twist: impl FnOnce(&mut Log, &Actor, &Actor)) -> Vec<&'static str> {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
    twist(&mut log, &ada, &bob);
    let verification = verify_bundle(&Export::all(&log).write(&log), &trust(&log));
    failed(&verification)
}

#[test]
fn what_an_operator_could_invent_is_found() {
    assert_eq!(twisted(|log, ada, bob| _ = log.deliver(ada, &[bob])), [""; 0]);
    // Approvals.
    assert_eq!(twisted(|log, ada, _| _ = log.deliver(ada, &[ada])), ["closure", "people"]);
    assert_eq!(
        twisted(|log, ada, _| {
            let mut other = log.sign_in("ada", 3);
            other.act = "act_other".into();
            log.deliver(ada, &[&other]);
        }),
        ["closure", "people"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let again = log.sign_in("bob", 4);
            log.deliver(ada, &[bob, &again]);
        }),
        ["closure", "people", "terms"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            log.deliver(ada, &[&copy(bob, 9)]);
        }),
        ["signatures"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, document) = log.request(ada, 2);
            let review = log.review(bob, request, &document, "approve");
            log.grant(ada, request, &document, &[review]);
        }),
        ["terms"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, document) = log.request(ada, 1);
            let review = log.review(bob, request, &document, "reject");
            log.grant(ada, request, &document, &[review]);
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, document) = log.request(ada, 1);
            let (other, other_document) = log.request(ada, 1);
            let review = log.review(bob, other, &other_document, "approve");
            log.grant(ada, request, &document, &[review]);
        }),
        ["closure"]
    );
    // The signed document is swapped after the approval.
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, _) = log.request(ada, 1);
            let review = log.review(bob, request, "{\"v\":1}", "approve");
            log.grant(ada, request, "{\"v\":1}", &[review]);
        }),
        ["signatures"]
    );
    // Grants.
    let granted = |log: &mut Log, ada: &Actor, bob: &Actor| {
        let (request, document) = log.request(ada, 1);
        let review = log.review(bob, request, &document, "approve");
        (request, log.grant(ada, request, &document, &[review]))
    };
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.intent(ada, grant, request, "redact");
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            log.take(ada, grant, request);
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.t += 601_000;
            log.take(ada, grant, request);
        }),
        ["terms"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(bob, grant, request);
            log.intent(bob, grant, request, "redact");
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            log.append(
                Header {
                    refs: vec![grant],
                    ..by(Kind::GrantRevoke, bob)
                },
                &Body::new(),
            );
            log.intent(ada, grant, request, "redact");
        }),
        ["closure"]
    );
    // Deliveries.
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            let intent = log.intent(ada, grant, request, "open");
            log.outcome(intent, "done");
        }),
        ["terms"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let delivery = log.deliver(ada, &[bob]);
            log.outcome(delivery.intent, "done");
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            log.deliver(ada, &[bob]);
            log.outcome(3, "done");
        }),
        ["order"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            log.close(ada);
            log.deliver(ada, &[bob]);
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            let intent = log.intent(ada, grant, request, "redact");
            let body = Body::new()
                .with(Group::What, json!({"request": "req_0"}))
                .with(Group::Out, json!({"bytes": 5, "rows": 0}));
            log.append(
                Header {
                    refs: vec![intent],
                    ..Header::new(Kind::FetchProgress)
                },
                &body,
            );
        }),
        ["terms"]
    );
    // The same bytes with another digest, and none.
    let progress = |sha256: Option<String>| {
        twisted(move |log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            let intent = log.intent(ada, grant, request, "redact");
            let mut out = json!({"bytes": crate::testing::FILE.len(), "rows": 1});
            if let Some(sha256) = sha256 {
                out["sha256"] = sha256.into();
            }
            let body = Body::new()
                .with(Group::What, json!({"request": log.request_id(request)}))
                .with(Group::Out, out);
            log.append(
                Header {
                    refs: vec![intent],
                    ..Header::new(Kind::FetchProgress)
                },
                &body,
            );
            log.outcome(intent, "done");
        })
    };
    assert_eq!(progress(Some(crate::encode::sha256_hex(crate::testing::FILE))), [""; 0]);
    assert_eq!(progress(Some(crate::encode::sha256_hex(b"other"))), ["terms"]);
    assert_eq!(progress(None), ["terms"]);
    // Policies.
    assert_eq!(
        twisted(|log, ada, bob| {
            log.load("permit;");
            log.deliver(ada, &[bob]);
        }),
        [""; 0]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let old = log.policy();
            log.load("forbid;");
            log.pretend_policy(old);
            log.deliver(ada, &[bob]);
        }),
        ["closure"]
    );
    assert_eq!(
        twisted(|log, ada, bob| {
            let (request, grant) = granted(log, ada, bob);
            log.take(ada, grant, request);
            let header = Header {
                ds: Some("orders".into()),
                refs: vec![grant, ada.open],
                ..by(Kind::FetchIntent, ada)
            };
            log.append(
                header,
                &Body::new()
                    .with(Group::What, json!({"request": log.request_id(request)}))
                    .with(Group::Mask, json!({"columns": []})),
            );
        }),
        ["closure", "terms"]
    );
    // Erasing is somebody's doing.
    assert_eq!(twisted(|log, ada, _| _ = log.erase(ada)), [""; 0]);
    assert_eq!(
        twisted(|log, _, _| _ = log.append(Header::new(Kind::Erase), &Body::new())),
        ["order"]
    );
    // Times, sessions, pseudonyms.
    assert_eq!(
        twisted(|log, _, _| _ = log.append_as_is(Header::new(Kind::BrokerStop).at(5), &Body::new())),
        ["order"]
    );
    assert_eq!(
        twisted(|log, _, _| _ = log.append(Header::new(Kind::LogGenesis), &Body::new())),
        ["closure", "order"]
    );
    assert_eq!(
        twisted(|log, _, _| {
            let itself = log.size();
            log.append(
                Header {
                    refs: vec![itself],
                    ..Header::new(Kind::ClockStatus)
                },
                &Body::new(),
            );
        }),
        ["order"]
    );
    assert_eq!(
        twisted(|log, _, _| {
            let env = json!({"issuer": "https://idp.example", "key": "x", "public_key": crate::encode::b64(&[1; 32]), "subject": "eve"});
            let header = Header {
                act: Some("act_eve".into()),
                sid: Some("ses_eve".into()),
                ..Header::new(Kind::SessionOpen)
            };
            log.append(header, &Body::new().with(Group::Who, env));
        }),
        ["people"]
    );
}

/// An emergency from request to verdict: what is signed, what is recorded, whether it is told, and who judges it.
fn emergency(signed: bool, recorded: bool, told: bool, judge: impl FnOnce(&mut Log, u64, u64, &str)) -> Vec<&'static str> {
    twisted(move |log, ada, _| {
        let (request, document) = log.request_of(ada, 0, signed, recorded);
        let open = if told { log.break_glass(ada, request, &document) } else { request };
        let grant = log.grant(ada, request, &document, &[]);
        log.take(ada, grant, request);
        let intent = log.intent(ada, grant, request, "redact");
        log.outcome(intent, "done");
        judge(log, open, request, &document);
    })
}

#[test]
fn an_emergency_is_told_before_its_grant_and_judged_by_others_afterwards() {
    let by_bob = |verdict: &'static str| {
        emergency(true, true, true, move |log, open, request, document| {
            let bob = log.sign_in("bob", 2);
            log.review_afterwards(&bob, open, request, document, verdict);
        })
    };
    assert_eq!(by_bob("approve"), [""; 0]);
    assert_eq!(by_bob("reject"), [""; 0]);
    assert_eq!(emergency(true, true, true, |_, _, _, _| ()), [""; 0], "nobody has judged it yet");
    // It is hidden, wholly or in part.
    assert_eq!(emergency(true, true, false, |_, _, _, _| ()), ["terms"]);
    assert_eq!(emergency(true, false, false, |_, _, _, _| ()), ["signatures"]);
    // It is invented.
    assert_eq!(emergency(false, true, true, |_, _, _, _| ()), ["signatures"]);
    assert_eq!(emergency(false, false, true, |_, _, _, _| ()), ["terms"]);
    // By the one who broke the glass, twice by one person, by a key that is not the reviewer's.
    let by_ada = emergency(true, true, true, |log, open, request, document| {
        let ada = log.sign_in("ada", 3);
        log.review_afterwards(&ada, open, request, document, "approve");
    });
    assert_eq!(by_ada, ["closure", "people"]);
    let twice = emergency(true, true, true, |log, open, request, document| {
        let bob = log.sign_in("bob", 2);
        log.review_afterwards(&bob, open, request, document, "approve");
        log.review_afterwards(&bob, open, request, document, "reject");
    });
    assert_eq!(twice, ["closure"]);
    let forged = emergency(true, true, true, |log, open, request, document| {
        let bob = log.sign_in("bob", 2);
        log.review_afterwards(&copy(&bob, 9), open, request, document, "approve");
    });
    assert_eq!(forged, ["signatures"]);
    // A verdict as before a fetch, on what is done already; and one on no emergency.
    let late = emergency(true, true, true, |log, _, request, document| {
        let bob = log.sign_in("bob", 2);
        log.review(&bob, request, document, "approve");
    });
    assert_eq!(late, ["closure"]);
    let of_none = twisted(|log, ada, bob| {
        let (request, document) = log.request(ada, 1);
        log.review_afterwards(bob, request, request, &document, "approve");
    });
    assert_eq!(of_none, ["order"]);
    // Told by somebody else, and after it was granted.
    let by_another = twisted(|log, ada, bob| {
        let (request, document) = log.request_of(ada, 0, true, true);
        log.break_glass(bob, request, &document);
    });
    assert_eq!(by_another, ["closure"]);
    let after = twisted(|log, ada, _| {
        let (request, document) = log.request_of(ada, 0, true, true);
        log.grant(ada, request, &document, &[]);
        log.break_glass(ada, request, &document);
    });
    assert_eq!(after, ["closure", "terms"]);
}

/// The same person under the same session, with another key.
pub(super) fn copy(actor: &Actor, seed: u8) -> Actor {
    Actor {
        key: ring::signature::Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
        act: actor.act.clone(),
        sid: actor.sid.clone(),
        name: actor.name,
        open: actor.open,
    }
}
