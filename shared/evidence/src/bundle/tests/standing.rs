//! Standing grants: what an operator could write of them, and that both verifiers refuse it.

use serde_json::{Value, json};

use super::agreement::{Case, Twist, judged_alike};
use super::forged::copy;
use super::{Export, failed, trust};
use crate::body::{Body, Group};
use crate::bundle::{StampedCheckpoint, verify_bundle};
use crate::leaf::{Header, Kind};
use crate::testing::{Actor, FILE, Log, by};

/// A standing grant of Ada's that Bob approved.
struct Granted {
    request: u64,
    document: String,
    grant: u64,
}

fn granted(log: &mut Log, ada: &Actor, bob: &Actor, rows: u64, bytes: u64) -> Granted {
    let (request, document) = log.request_standing(ada, 1, rows, bytes);
    let vote = log.review(bob, request, &document, "approve");
    let grant = log.grant_until(ada, request, &document, &[vote], 3_600_000);
    Granted { request, document, grant }
}

/// One delivery whose request differs from the ordinary; the use's own grant lasts so long.
fn used(log: &mut Log, who: &Actor, of: &Granted, ms: i64, more: impl FnOnce(&mut Value, &mut Value)) {
    let (request, document) = log.request_under(who, of.request, &of.document, more);
    let take = log.take_for(who, of.grant, of.request, request);
    let own = log.grant_until(who, request, &document, &[take], ms);
    log.take(who, own, request);
    let intent = log.intent(who, own, request, "redact");
    log.outcome(intent, "done");
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut case = |what, claims, twist: Twist| cases.push((what, claims, twist));
    // A use that is only different in its document.
    fn differs(more: fn(&mut Value, &mut Value)) -> Twist {
        Box::new(move |log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            used(log, ada, &of, 600_000, more);
        })
    }
    case(
        "two uses, the second by another key, with a smaller limit",
        &[],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 2, 1000);
            log.deliver_under(ada, of.grant, of.request, &of.document);
            let again = log.sign_in("ada", 7);
            used(log, &again, &of, 600_000, |document, _| document["query"]["limit"] = 5.into());
        }),
    );
    case(
        "used after its time",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            log.t += 3_600_000;
            used(log, ada, &of, -5000, |_, _| ());
        }),
    );
    case(
        "taken in time, read after it",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let take = log.take_for(ada, of.grant, of.request, request);
            let own = log.grant(ada, request, &document, &[take]);
            log.take(ada, own, request);
            log.t += 3_600_000;
            log.intent(ada, own, request, "redact");
        }),
    );
    case(
        "its use outlasts it",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            used(log, ada, &of, 3_600_000, |_, _| ());
        }),
    );
    case(
        "more uses than it has rows for",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 2, 1000);
            for _ in 0..3 {
                log.deliver_under(ada, of.grant, of.request, &of.document);
            }
        }),
    );
    case(
        "more bytes than it has",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 2 * FILE.len() as u64 - 1);
            for _ in 0..2 {
                log.deliver_under(ada, of.grant, of.request, &of.document);
            }
        }),
    );
    case(
        "more bytes under way than it has",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 4);
            let (request, document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let take = log.take_for(ada, of.grant, of.request, request);
            let own = log.grant(ada, request, &document, &[take]);
            log.take(ada, own, request);
            let intent = log.intent(ada, own, request, "redact");
            let body = Body::new().with(Group::What, json!({"request": log.request_id(request)})).with(
                Group::Out,
                json!({"bytes": 5, "rows": 0, "sha256": crate::encode::sha256_hex(&FILE[..5])}),
            );
            let header = Header {
                refs: vec![intent],
                ..Header::new(Kind::FetchProgress)
            };
            log.append(header, &body);
        }),
    );
    case(
        "another filter",
        &["signatures"],
        differs(|document, _| document["query"]["filter"] = "total > 1".into()),
    );
    case(
        "another format",
        &["signatures"],
        differs(|document, _| document["format"] = "parquet".into()),
    );
    case(
        "other row filters",
        &["signatures"],
        differs(|document, _| document["row_filters"] = json!({"orders": "00"})),
    );
    case(
        "another mask",
        &["signatures", "terms"],
        differs(|document, _| document["columns"][1]["mask"] = "redact".into()),
    );
    case(
        "a limit where there was a smaller one",
        &["signatures"],
        Box::new(|log, ada, bob| {
            let (request, document) = log.request_with(ada, 1, |document, out| {
                document["standing"] = json!({"bytes": 1000, "duration_s": 3600, "rows": 10});
                out["standing"] = document["standing"].clone();
                document["query"]["limit"] = 5.into();
            });
            let vote = log.review(bob, request, &document, "approve");
            let grant = log.grant_until(ada, request, &document, &[vote], 3_600_000);
            let of = Granted { request, document, grant };
            used(log, ada, &of, 600_000, |document, _| document["query"]["limit"] = 5.into());
            used(log, ada, &of, 600_000, |document, _| document["query"]["limit"] = 6.into());
        }),
    );
    case(
        "a digest that nobody approved",
        &["signatures"],
        differs(|document, _| document["under"]["digest"] = "00".repeat(32).into()),
    );
    case(
        "a use that is not recorded as one",
        &["signatures", "terms"],
        differs(|_, out| drop(out.as_object_mut().map(|out| out.remove("under")))),
    );
    case(
        "used by another person",
        &["closure", "people"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let carol = log.sign_in("carol", 8);
            used(log, &carol, &of, 600_000, |_, _| ());
        }),
    );
    case(
        "used in another person's name",
        &["signatures"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            used(log, &copy(ada, 9), &of, 600_000, |_, _| ());
        }),
    );
    case(
        "used after it was revoked",
        &["closure"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            log.revoke(bob, of.grant);
            used(log, ada, &of, 600_000, |_, _| ());
        }),
    );
    case(
        "taken, revoked, and read all the same",
        &["closure"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let take = log.take_for(ada, of.grant, of.request, request);
            let own = log.grant(ada, request, &document, &[take]);
            log.take(ada, own, request);
            log.revoke(bob, of.grant);
            log.intent(ada, own, request, "redact");
        }),
    );
    case(
        "a use that needs more approvals than there were",
        &["terms"],
        differs(|document, out| {
            document["quorum"] = 2.into();
            out["quorum"] = 2.into();
        }),
    );
    case(
        "a grant for one delivery, taken as a standing one",
        &["terms"],
        Box::new(|log, ada, bob| {
            let (request, document) = log.request(ada, 1);
            let vote = log.review(bob, request, &document, "approve");
            let grant = log.grant_until(ada, request, &document, &[vote], 3_600_000);
            used(log, ada, &Granted { request, document, grant }, 600_000, |_, _| ());
        }),
    );
    case(
        "a standing grant, taken as one for one delivery",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            log.take(ada, of.grant, of.request);
        }),
    );
    case(
        "a use that was never taken",
        &["terms"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let vote = log.review(bob, request, &document, "approve");
            log.grant(ada, request, &document, &[vote]);
        }),
    );
    case(
        "one take for two requests",
        &["closure"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let (other, other_document) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let take = log.take_for(ada, of.grant, of.request, request);
            log.grant(ada, request, &document, &[take]);
            log.grant(ada, other, &other_document, &[take]);
        }),
    );
    case(
        "terms on record that nobody signed",
        &["signatures"],
        Box::new(|log, ada, bob| {
            let (request, document) = log.request_with(ada, 1, |document, out| {
                document["standing"] = json!({"bytes": 1000, "duration_s": 3600, "rows": 10});
                out["standing"] = json!({"bytes": 1000, "duration_s": 3600, "rows": 11});
            });
            let vote = log.review(bob, request, &document, "approve");
            log.grant(ada, request, &document, &[vote]);
        }),
    );
    case(
        "an emergency that is a use",
        &["signatures"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, document) = log.request_under(ada, of.request, &of.document, |document, out| {
                document["break_glass"] = true.into();
                out["break_glass"] = true.into();
            });
            log.break_glass(ada, request, &document);
            let take = log.take_for(ada, of.grant, of.request, request);
            log.grant(ada, request, &document, &[take]);
        }),
    );
    case(
        "named as the take of other requests",
        &["signatures"],
        Box::new(|log, ada, bob| {
            let of = granted(log, ada, bob, 10, 1000);
            let (request, _) = log.request_under(ada, of.request, &of.document, |_, _| ());
            let header = Header {
                refs: vec![of.grant, ada.open, request],
                ..by(Kind::GrantTake, ada)
            };
            let what = json!({"id": log.request_id(request), "request": log.request_id(of.request)});
            log.append(header, &Body::new().with(Group::What, what));
        }),
    );
    cases
}

#[test]
fn a_standing_grant_is_used_as_approved_or_both_verifiers_refuse() {
    judged_alike("standing", cases());
}

/// What shows less: at level 2 the terms alone, at level 1 the order alone; and a range that begins between two uses.
#[test]
fn what_is_shown_of_a_standing_grant_is_enough_at_each_level() {
    let mut log = Log::new();
    log.begin();
    let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
    let of = granted(&mut log, &ada, &bob, 2, 1000);
    log.deliver_under(&ada, of.grant, of.request, &of.document);
    let middle = log.size();
    log.deliver_under(&ada, of.grant, of.request, &of.document);
    let sound = log.size();
    log.deliver_under(&ada, of.grant, of.request, &of.document);
    let judge = |level, from, to| {
        let export = Export {
            level,
            from,
            to,
            stamped: Vec::<StampedCheckpoint>::new(),
            ..Export::all(&log)
        };
        failed(&verify_bundle(&export.write(&log), &trust(&log)))
    };
    for level in 1..=4 {
        assert_eq!(judge(level, 0, sound), [""; 0], "level {level}");
        assert_eq!(judge(level, middle, sound), [""; 0], "level {level}, from the middle");
        let over: &[&str] = if level == 1 { &[] } else { &["terms"] };
        assert_eq!(judge(level, 0, log.size()), over, "level {level}");
    }
    assert_eq!(judge(2, middle, log.size()), [""; 0], "what left before the range is not shown");
}
