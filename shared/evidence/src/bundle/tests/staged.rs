//! Reviews in stages: what an operator could write of them, and that both verifiers refuse it.

use serde_json::json;

use super::agreement::{Twist, judged_alike};
use crate::testing::{Actor, Log};

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
