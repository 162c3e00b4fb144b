//! Reviews in stages: what an operator could write of them, and that both verifiers refuse it.

use serde_json::json;

use super::agreement::{Twist, judged_alike};
use crate::body::Group;
use crate::testing::{Actor, Log, set};

/// A request of Ada's in two stages, granted on the approvals of people of these groups, in this order.
fn approved(log: &mut Log, ada: &Actor, groups: [&[&str]; 2]) {
    let reviewers = [("olga", 21, groups[0]), ("gus", 22, groups[1])].map(|(name, seed, groups)| log.sign_in_of(name, seed, groups));
    let (request, document) = log.request_staged(ada, 2, &[("owners", 1), ("security", 1)]);
    let votes = [0, 1].map(|at: usize| log.review(&reviewers[at], request, &document, "approve"));
    log.grant(ada, request, &document, &votes);
}

#[test]
fn approvals_fill_the_stages_that_were_signed_or_both_verifiers_refuse() {
    let groups = |first: &'static [&'static str], second: &'static [&'static str]| -> Twist {
        Box::new(move |log, ada, _| approved(log, ada, [first, second]))
    };
    let recorded = |stages: serde_json::Value, signed: serde_json::Value| -> Twist {
        Box::new(move |log, ada, _| {
            log.request_with(ada, 2, |document, out| {
                document["stages"] = signed;
                out["stages"] = stages;
            });
        })
    };
    let good = || json!([{"groups": ["owners"], "quorum": 1}, {"quorum": 1}]);
    judged_alike(
        "staged",
        vec![
            (
                "a stage of two groups",
                &[],
                recorded(
                    json!([{"groups": ["owners", "deputies"], "quorum": 2}]),
                    json!([{"groups": ["owners", "deputies"], "quorum": 2}]),
                ),
            ),
            (
                "a stage of something that is no group",
                &["signatures", "terms"],
                recorded(json!([{"groups": [7], "quorum": 2}]), json!([{"groups": [7], "quorum": 2}])),
            ),
            ("as signed", &[], groups(&["owners"], &["security"])),
            ("people of more groups", &[], groups(&["x", "owners"], &["owners", "security"])),
            ("in the wrong order", &["people"], groups(&["security"], &["owners"])),
            ("one stage twice", &["people"], groups(&["owners"], &["owners"])),
            ("people of no group", &["people"], groups(&[], &["security"])),
            ("a stage for anybody", &[], recorded(good(), good())),
            (
                "stages on record that nobody signed",
                &["signatures"],
                recorded(json!([{"quorum": 2}]), good()),
            ),
            (
                "stages that are less than the quorum",
                &["signatures", "terms"],
                recorded(
                    json!([{"groups": ["owners"], "quorum": 1}]),
                    json!([{"groups": ["owners"], "quorum": 1}]),
                ),
            ),
            (
                "a use with other stages than its standing grant",
                &["terms"],
                Box::new(|log, ada, bob| {
                    let (request, document) = log.request_standing(ada, 1, 10, 1000);
                    let vote = log.review(bob, request, &document, "approve");
                    let grant = log.grant_until(ada, request, &document, &[vote], 3_600_000);
                    let (used, text) = log.request_under(ada, request, &document, |document, out| {
                        document["stages"] = json!([{"groups": ["owners"], "quorum": 1}]);
                        out["stages"] = document["stages"].clone();
                    });
                    let take = log.take_for(ada, grant, request, used);
                    log.grant(ada, used, &text, &[take]);
                }),
            ),
        ],
    );
}

/// Somebody whose identity provider says who their manager is, and their request that only that manager approves.
fn managed(log: &mut Log, says: Option<&str>, signed: &str) -> (Actor, u64, String) {
    let name = says.map(str::to_owned);
    let dan = log.sign_in_as("dan", 23, move |_, body| {
        if let Some(name) = name {
            set(body, Group::Who, "manager", name.into());
        }
    });
    let (request, document) = log.request_with(&dan, 1, |document, out| {
        document["stages"] = json!([{"manager": signed, "quorum": 1}]);
        out["stages"] = json!([{"manager": true, "quorum": 1}]);
    });
    (dan, request, document)
}

#[test]
fn only_the_requester_s_manager_approves_what_is_the_manager_s_or_both_verifiers_refuse() {
    // Who approves, what the requester's session says, and what was signed.
    let approved = |who: &'static str, email: Option<&'static str>, says: Option<&'static str>, signed: &'static str| -> Twist {
        Box::new(move |log, _, _| {
            let reviewer = log.sign_in_as(who, 24, |_, body| {
                if let Some(email) = email {
                    set(body, Group::Who, "email", email.into());
                }
            });
            let (dan, request, document) = managed(log, says, signed);
            let vote = log.review(&reviewer, request, &document, "approve");
            log.grant(&dan, request, &document, &[vote]);
        })
    };
    let recorded = |stages: serde_json::Value, signed: serde_json::Value| -> Twist {
        Box::new(move |log, ada, _| {
            log.request_with(ada, 1, |document, out| {
                document["stages"] = signed;
                out["stages"] = stages;
            });
        })
    };
    let named = || json!([{"manager": "mia", "quorum": 1}]);
    let told = || json!([{"manager": true, "quorum": 1}]);
    judged_alike(
        "managed",
        vec![
            ("by subject", &[], approved("mia", None, Some("mia"), "mia")),
            (
                "by address",
                &[],
                approved("mia", Some("Mia@example.test"), Some("mia@example.TEST"), "mia@example.TEST"),
            ),
            ("somebody else", &["people"], approved("mo", None, Some("mia"), "mia")),
            ("a subject in another case", &["people"], approved("Mia", None, Some("mia"), "mia")),
            ("of whom nothing is said", &["people"], approved("mia", None, None, "mia")),
            (
                "the name is not recorded twice",
                &["signatures", "terms"],
                recorded(named(), named()),
            ),
            ("nor left out of what is signed", &["signatures"], recorded(told(), told())),
            ("recorded as anybody's", &["signatures"], recorded(json!([{"quorum": 1}]), named())),
        ],
    );
}

#[test]
fn a_request_is_escalated_in_its_time_to_those_who_were_signed_or_both_verifiers_refuse() {
    // How long it waits, of which group whoever stands in for security is, and whether their verdict says by what.
    let stood_in = |waits_ms: i64, group: &'static str, says: bool| -> Twist {
        Box::new(move |log, ada, _| {
            let (owner, deputy) = (log.sign_in_of("olga", 21, &["owners"]), log.sign_in_of("dee", 25, &[group]));
            let (request, document) = log.request_escalating(ada, &[("owners", 1), ("security", 1)], 60, &["deputies"]);
            let first = log.review(&owner, request, &document, "approve");
            log.t += waits_ms;
            let escalation = log.escalate(request);
            let second = match says {
                true => log.approve_escalated(&deputy, request, &document, escalation),
                false => log.review(&deputy, request, &document, "approve"),
            };
            log.grant(ada, request, &document, &[first, second]);
        })
    };
    let escalated = |change: fn(&mut Log, &Actor, u64, &str)| -> Twist {
        Box::new(move |log, ada, bob| {
            let (request, document) = log.request_escalating(ada, &[("data", 1)], 60, &["deputies"]);
            log.t += 60_000;
            change(log, bob, request, &document);
            log.escalate(request);
        })
    };
    judged_alike(
        "escalated",
        vec![
            ("as signed", &[], stood_in(60_000, "deputies", true)),
            ("somebody of security after all", &[], stood_in(60_000, "security", false)),
            ("before its time", &["terms"], stood_in(50_000, "deputies", true)),
            ("to somebody else", &["people"], stood_in(60_000, "others", true)),
            (
                "by a verdict that does not say so",
                &["people"],
                stood_in(60_000, "deputies", false),
            ),
            ("while it waits", &[], escalated(|_, _, _, _| ())),
            (
                "twice",
                &["closure"],
                escalated(|log, _, request, _| {
                    log.escalate(request);
                }),
            ),
            (
                "after its end",
                &["closure"],
                escalated(|log, bob, request, document| {
                    log.review(bob, request, document, "reject");
                }),
            ),
            (
                "what goes to nobody",
                &["terms"],
                Box::new(|log, ada, _| {
                    let (request, _) = log.request(ada, 1);
                    log.escalate(request);
                }),
            ),
            (
                "by the escalation of another request",
                &["closure", "people"],
                Box::new(|log, ada, _| {
                    let deputy = log.sign_in_of("dee", 25, &["deputies"]);
                    let (one, _) = log.request_escalating(ada, &[("owners", 1)], 60, &["deputies"]);
                    let (other, document) = log.request_escalating(ada, &[("owners", 1)], 60, &["deputies"]);
                    log.t += 60_000;
                    let escalation = log.escalate(one);
                    let vote = log.approve_escalated(&deputy, other, &document, escalation);
                    log.grant(ada, other, &document, &[vote]);
                }),
            ),
            (
                "to groups that nobody signed",
                &["signatures"],
                Box::new(|log, ada, _| {
                    log.request_with(ada, 1, |document, out| {
                        document["escalation"] = json!({"after_s": 60, "groups": ["deputies"]});
                        out["escalation"] = json!({"after_s": 60, "groups": ["everybody"]});
                    });
                }),
            ),
            (
                "to nobody in particular",
                &["signatures", "terms"],
                Box::new(|log, ada, _| {
                    log.request_with(ada, 1, |document, out| {
                        for at in [document, out] {
                            at["escalation"] = json!({"after_s": 60, "groups": []});
                        }
                    });
                }),
            ),
        ],
    );
}

#[test]
fn data_is_read_within_the_window_that_was_signed_or_both_verifiers_refuse() {
    // When it is read, and how long the grant lasts, both in ms from the beginning of a window of ten seconds that is a minute away.
    let read = |after_ms: i64, until_ms: i64| -> Twist {
        Box::new(move |log, ada, bob| {
            let from = log.t + 60_000;
            let (request, document) = log.request_with(ada, 1, |document, out| {
                for at in [document, out] {
                    at["window"] = json!({"from_ms": from, "until_ms": from + 10_000});
                }
            });
            let vote = log.review(bob, request, &document, "approve");
            let ms = from + until_ms - log.t;
            let grant = log.grant_until(ada, request, &document, &[vote], ms);
            log.take(ada, grant, request);
            log.t = from + after_ms - 1000;
            let intent = log.intent(ada, grant, request, "redact");
            log.outcome(intent, "done");
        })
    };
    let recorded = |window: serde_json::Value, signed: serde_json::Value| -> Twist {
        Box::new(move |log, ada, _| {
            log.request_with(ada, 1, |document, out| {
                document["window"] = signed;
                out["window"] = window;
            });
        })
    };
    let good = || json!({"from_ms": 1000, "until_ms": 2000});
    judged_alike(
        "window",
        vec![
            ("at its beginning", &[], read(0, 10_000)),
            ("at its end", &[], read(10_000, 10_000)),
            ("before it", &["terms"], read(-1, 10_000)),
            ("after it", &["terms"], read(10_001, 10_000)),
            ("under a grant that outlasts it", &["terms"], read(0, 10_001)),
            (
                "of which nothing was signed",
                &["signatures"],
                recorded(json!({"from_ms": 1000, "until_ms": 3000}), good()),
            ),
            (
                "that ends before it begins",
                &["signatures", "terms"],
                recorded(json!({"from_ms": 2, "until_ms": 1}), json!({"from_ms": 2, "until_ms": 1})),
            ),
        ],
    );
}
