#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn set(text: &str) -> PolicySet {
    PolicySet::load(&[("test.cedar".into(), text.into())]).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    PolicySet::load(&[("test.cedar".into(), text.into())])
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn ada<'a>(groups: &'a [String]) -> Principal<'a> {
    Principal {
        issuer: "https://id.example",
        subject: "u-1",
        name: "Ada",
        email: Some("ada@example.com"),
        groups,
        workload: None,
    }
}

fn circumstances() -> Circumstances {
    Circumstances {
        reason: "quarterly report".into(),
        ticket: "OPS-7".into(),
        rows_estimated: 1000,
        bytes_estimated: 100_000,
        standing_s: 0,
        columns: vec!["orders.id".into(), "orders.total".into()],
        statement: "select".into(),
        functions: vec!["sum".into(), "lower".into()],
        format: "parquet".into(),
        ip: "10.1.2.3".parse().unwrap(),
        now_ms: 1_800_000_000_000, // Friday 2027-01-15, 08:00 UTC
        session_age_s: 60,
        auth_age_s: 120,
        amr: vec!["pwd".into(), "otp".into()],
        key_attested: true,
    }
}

fn labels() -> Vec<String> {
    vec!["finance".into()]
}

/// A resource of the kind that the action is asked for.
fn resource(action: Action, labels: &[String]) -> Resource<'_> {
    match action {
        Action::Reveal => Resource::Class {
            name: "pii.email",
            dataset: "orders",
        },
        Action::AuditRead | Action::AuditExport | Action::Administer | Action::EnrollKey => Resource::Broker,
        _ => Resource::Dataset {
            name: "orders",
            connection: "warehouse",
            labels,
        },
    }
}

fn ask_with(policies: &PolicySet, action: Action, circumstances: &Circumstances) -> Answer {
    let groups = ["data-eng".to_owned(), "everyone".to_owned()];
    policies.evaluate(action, &ada(&groups), &resource(action, &labels()), circumstances)
}

fn ask(policies: &PolicySet, action: Action) -> Answer {
    ask_with(policies, action, &circumstances())
}

#[test]
fn without_policies_everything_is_denied_and_no_policy_is_named() {
    let none = PolicySet::load(&[]).unwrap();
    for action in Action::ALL {
        assert_eq!(
            ask(&none, action),
            Answer {
                allowed: false,
                policies: vec![],
                faults: vec![]
            },
            "{action}"
        );
    }
    assert_eq!(none.text(), "");
    assert_eq!(none.digest(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn each_action_needs_a_permit_of_its_own() {
    for permitted in Action::ALL {
        let policies = set(&format!(
            r#"@id("p") permit(principal, action == Action::"{permitted}", resource);"#
        ));
        for action in Action::ALL {
            let answer = ask(&policies, action);
            assert_eq!(answer.allowed, action == permitted, "{permitted} permitted, {action} asked");
            assert_eq!(answer.policies, if answer.allowed { vec!["p"] } else { vec![] });
            assert_eq!(answer.faults, Vec::<String>::new());
        }
    }
}

#[test]
fn the_schema_knows_exactly_our_actions() {
    let mut declared: Vec<String> = load::PARSED_SCHEMA.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    declared.sort();
    let mut ours: Vec<String> = Action::ALL.iter().map(ToString::to_string).collect();
    ours.sort();
    assert_eq!(declared, ours);
}

#[test]
fn an_action_asked_of_the_wrong_kind_of_thing_is_denied_with_a_fault() {
    let policies = set("permit(principal, action, resource);");
    for (action, resource) in [
        (Action::Fetch, Resource::Broker),
        (Action::AuditExport, resource(Action::Fetch, &labels())),
    ] {
        let answer = policies.evaluate(action, &ada(&[]), &resource, &circumstances());
        assert!(!answer.allowed);
        assert_eq!(answer.faults.len(), 1);
    }
}

#[test]
fn a_forbid_overrules_and_is_named() {
    let policies = set(r#"
        @id("all") permit(principal, action, resource);
        @id("small-only") @reason("Ask for less than 500 rows.") forbid(principal, action == Action::"fetch", resource)
            when { context.rows_estimated > 500 };
        @id("not-csv") forbid(principal, action == Action::"fetch", resource) when { context.format == "csv" };
    "#);
    let answer = ask(&policies, Action::Fetch);
    assert_eq!(
        answer,
        Answer {
            allowed: false,
            policies: vec!["small-only".into()],
            faults: vec![]
        }
    );
    assert_eq!(policies.reasons(&answer), ["Ask for less than 500 rows."]);
    let both = ask_with(
        &policies,
        Action::Fetch,
        &Circumstances {
            format: "csv".into(),
            ..circumstances()
        },
    );
    assert_eq!(both.policies, ["not-csv", "small-only"]);
    assert_eq!(
        ask_with(
            &policies,
            Action::Fetch,
            &Circumstances {
                rows_estimated: 500,
                ..circumstances()
            }
        )
        .policies,
        ["all"]
    );
}

#[test]
fn a_policy_that_errors_denies_whatever_the_others_say() {
    let circumstances = Circumstances {
        rows_estimated: i64::MAX,
        ..circumstances()
    };
    for (effect, action) in [("forbid", "fetch"), ("permit", "fetch")] {
        let policies = set(&format!(
            r#"@id("all") permit(principal, action, resource);
               @id("odd") {effect}(principal, action == Action::"{action}", resource) when {{ context.rows_estimated + 1 > 10 }};"#
        ));
        let answer = ask_with(&policies, Action::Fetch, &circumstances);
        assert!(!answer.allowed, "{effect}");
        assert_eq!(answer.policies, ["odd"]);
        assert_eq!(
            answer.faults,
            ["policy `odd` could not be evaluated: an integer overflowed"],
            "and no value of the circumstances"
        );
        assert!(
            ask_with(&policies, Action::Describe, &circumstances).allowed,
            "its scope does not hold here, so it is not evaluated"
        );
    }
}

#[test]
fn groups_and_people_are_told_apart() {
    let policies = set(r#"
        @id("group") permit(principal in Group::"data-eng", action == Action::"fetch", resource);
        @id("person") permit(principal == User::"https://id.example#u-1", action == Action::"review", resource);
        @id("set") permit(principal, action == Action::"describe", resource) when { principal.groups.contains("everyone") };
        @id("mail") permit(principal, action == Action::"administer", resource)
            when { principal has email && principal.email like "*@example.com" };
    "#);
    for action in [Action::Fetch, Action::Review, Action::Describe, Action::Administer] {
        assert!(ask(&policies, action).allowed, "{action}");
    }
    let none: [String; 0] = [];
    let similar = [
        "Data-Eng".to_owned(),
        "data-eng ".to_owned(),
        "data-eng2".to_owned(),
        "\"data-eng\"".to_owned(),
    ];
    for (subject, email, groups) in [("u-2", None, &none[..]), ("u-1 ", Some("ada@example.com.evil"), &similar[..])] {
        let other = Principal {
            subject,
            email,
            ..ada(groups)
        };
        for action in [Action::Fetch, Action::Review, Action::Describe, Action::Administer] {
            assert!(
                !policies
                    .evaluate(action, &other, &resource(action, &labels()), &circumstances())
                    .allowed,
                "{subject}: {action}"
            );
        }
    }
    let confusing = Principal {
        issuer: "https://id.example#u-1",
        subject: "",
        ..ada(&none)
    };
    assert_eq!(
        policies
            .evaluate(Action::Review, &confusing, &resource(Action::Review, &labels()), &circumstances())
            .faults
            .len(),
        1
    );
}

#[test]
fn datasets_and_classes_are_told_apart() {
    let policies = set(r#"
        @id("one") permit(principal, action == Action::"fetch", resource == Dataset::"orders");
        @id("label") permit(principal, action == Action::"review", resource) when { resource.labels.contains("finance") };
        @id("connection") permit(principal, action == Action::"unfiltered", resource) when { resource.connection == "warehouse" };
        @id("class") permit(principal, action == Action::"reveal", resource == Class::"pii.email") when { resource.dataset == "orders" };
        @id("inside") permit(principal, action == Action::"reveal", resource in Dataset::"customers");
    "#);
    for action in [Action::Fetch, Action::Review, Action::Unfiltered, Action::Reveal] {
        assert!(ask(&policies, action).allowed, "{action}");
    }
    let other = [];
    let elsewhere = Resource::Dataset {
        name: "orders2",
        connection: "warehouse2",
        labels: &other,
    };
    for action in [Action::Fetch, Action::Review, Action::Unfiltered] {
        assert!(
            !policies.evaluate(action, &ada(&[]), &elsewhere, &circumstances()).allowed,
            "{action}"
        );
    }
    let reveal = |name, dataset| {
        policies
            .evaluate(Action::Reveal, &ada(&[]), &Resource::Class { name, dataset }, &circumstances())
            .policies
    };
    assert_eq!(reveal("pii.email", "invoices"), Vec::<String>::new());
    assert_eq!(reveal("pii.phone", "orders"), Vec::<String>::new());
    assert_eq!(reveal("pii.phone", "customers"), ["inside"]);
}

#[test]
fn every_circumstance_reaches_policies() {
    let conditions = [
        r#"context.reason like "*report*""#,
        r#"context.ticket like "OPS-*""#,
        "context.rows_estimated == 1000",
        "context.bytes_estimated == 100000",
        r#"context.columns.contains("orders.total") && !context.columns.contains("total")"#,
        r#"context.statement == "select""#,
        r#"context.functions.containsAny(["sum", "regexp_replace"])"#,
        r#"context.format == "parquet""#,
        r#"context.ip.isInRange(ip("10.0.0.0/8"))"#,
        "context.now_ms == 1800000000000",
        r#"context.now == datetime("2027-01-15T08:00:00Z")"#,
        r#"context.now.toTime() >= duration("8h") && context.now.toTime() < duration("18h")"#,
        "context.session_age_s == 60",
        "context.auth_age_s < 300",
        r#"context.amr.containsAny(["otp", "hwk"])"#,
        "context.key_attested",
    ];
    for condition in conditions {
        let policies = set(&format!(
            "permit(principal, action == Action::\"fetch\", resource) when {{ {condition} }};"
        ));
        let answer = ask(&policies, Action::Fetch);
        assert!(answer.allowed, "{condition}: {answer:?}");
    }
    let inside = set(r#"permit(principal, action, resource) when { context.ip.isInRange(ip("10.0.0.0/8")) };"#);
    let from = |ip: &str| {
        ask_with(
            &inside,
            Action::Fetch,
            &Circumstances {
                ip: ip.parse().unwrap(),
                ..circumstances()
            },
        )
        .allowed
    };
    assert!(from("::ffff:10.1.2.3"), "IPv4 in IPv6 is IPv4");
    assert!(!from("192.0.2.1") && !from("::1") && !from("2001:db8::1"));
}

#[test]
fn odd_text_in_the_question_cannot_change_it() {
    let policies = set(r#"permit(principal, action == Action::"fetch", resource == Dataset::"orders");"#);
    let groups = ["\" || true || \"".to_owned(), "\u{0}\n\\".to_owned()];
    let odd = Circumstances {
        reason: "\"); permit(principal, action, resource); //".into(),
        ..circumstances()
    };
    for name in ["orders\"", "\"orders\"", "orders\u{0}", "", "orders\\", "Orders"] {
        let resource = Resource::Dataset {
            name,
            connection: "\\\"",
            labels: &groups,
        };
        let answer = policies.evaluate(Action::Fetch, &ada(&groups), &resource, &odd);
        assert_eq!(
            answer,
            Answer {
                allowed: false,
                policies: vec![],
                faults: vec![]
            },
            "{name:?}"
        );
    }
}

#[test]
fn a_clock_out_of_range_is_a_fault() {
    let policies = set("permit(principal, action, resource);");
    let answer = ask_with(
        &policies,
        Action::Fetch,
        &Circumstances {
            now_ms: i64::MAX,
            ..circumstances()
        },
    );
    assert!(!answer.allowed && answer.faults.len() == 1);
}

#[test]
fn all_faults_are_told_at_once_with_file_and_line() {
    let files = [
        (
            "a.cedar".to_owned(),
            "// comment\n\npermit(principal, action == Action::\"fly\", resource);\n".to_owned(),
        ),
        (
            "b.cedar".to_owned(),
            "permit(principal, action, resource)\n  when { context.rows > 1 };\n\n\
             forbid(principal, action, resource) when { context.reason > 3 };\n"
                .to_owned(),
        ),
        (
            "c.cedar".to_owned(),
            "permit(principal, action, resource);\npermit(principal action, resource);\n".to_owned(),
        ),
        (
            "d.cedar".to_owned(),
            "@id(\"x\")\npermit(principal, action, resource);\n@id(\"x\")\nforbid(principal, action, resource);".to_owned(),
        ),
    ];
    let faults = PolicySet::load(&files).unwrap_err();
    let places: Vec<(&str, usize)> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
    for place in [("a.cedar", 3), ("b.cedar", 2), ("b.cedar", 4), ("c.cedar", 2), ("d.cedar", 3)] {
        assert!(places.contains(&place), "{place:?} in {faults:#?}");
    }
    assert_eq!(
        places.iter().filter(|place| **place == ("b.cedar", 2)).count(),
        1,
        "what is wrong for every action is said once"
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.message.contains("the policy id `x` is taken by d.cedar:1")),
        "{faults:#?}"
    );
}

#[test]
fn what_does_not_do_what_it_seems_to_is_refused() {
    for (text, word) in [
        ("permit(principal, action, resource", "test.cedar:1"),
        (
            r#"permit(principal, action == Action::"fetch", resource == Broker::"broker");"#,
            "test.cedar:1",
        ),
        (r#"permit(principal == Group::"x", action, resource);"#, "test.cedar:1"),
        (r#"permit(principal == Person::"x", action, resource);"#, "Person"),
        (
            r#"forbid(principal, action == Action::"fetch", resource) when { false };"#,
            "impossible",
        ),
        (
            r#"forbid(principal, action == Action::"fetch", resource) when { resource is Broker };"#,
            "impossible",
        ),
        (r#"permit(principal, action, resource) when { principal.email == "a" };"#, "email"),
        (
            r#"permit(principal, action == Action::"fetch", resource) when { context has nothing && context.nothing };"#,
            "test.cedar:1",
        ),
        (
            r#"permit(principal, action, resource) when { context.functions.contains(1) };"#,
            "test.cedar:1",
        ),
        (
            r#"permit(principal, action, resource) when { context.ip.isInRange(ip("10.0.0.0/64")) };"#,
            "test.cedar:1",
        ),
        ("permit(principal == ?principal, action, resource);", "templates"),
        (r#"@id("") permit(principal, action, resource);"#, "@id"),
        ("@id(\"a b\u{1b}\") permit(principal, action, resource);", "test.cedar:1"),
        (r#"@reason("") permit(principal, action, resource);"#, "@reason"),
        (r#"@reason("a\nb") permit(principal, action, resource);"#, "@reason"),
        (
            "permit(principal, action, resource) when { context.reason == \"a\u{202e}b\" };",
            "test.cedar:1",
        ),
        (
            "forbid(principal in Group::\"c\u{043e}ntractors\", action, resource);",
            "mixed scripts",
        ),
        (
            "forbid(principal, action, resource) when { principal.groups.contains(\"c\u{043e}ntractors\") };",
            "mixed scripts",
        ),
    ] {
        let faults = faults(text);
        assert!(faults.iter().any(|fault| fault.contains(word)), "{text}: {faults:?}");
    }
    assert_eq!(
        set(r#"permit(principal in Group::"営業-team", action, resource);"#).ids().count(),
        1,
        "mixed scripts are a language"
    );
}

#[test]
fn policies_without_an_id_are_numbered_in_their_file() {
    let policies = PolicySet::load(&[
        (
            "teams/sales.cedar".into(),
            "permit(principal, action, resource);\n@id(\"named\") permit(principal, action, resource);\n\
             permit(principal, action, resource);"
                .into(),
        ),
        (
            "b.cedar".into(),
            (0..12).map(|_| "permit(principal, action, resource);\n").collect(),
        ),
    ])
    .unwrap();
    let ids: Vec<&str> = policies.ids().collect();
    assert_eq!(ids.len(), 15);
    for id in ["teams/sales-1", "named", "teams/sales-3", "b-1", "b-12"] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
    let twelfth = policies.explain(
        Action::Fetch,
        &Answer {
            allowed: true,
            policies: vec!["b-12".into()],
            faults: vec![],
        },
    );
    assert_eq!(
        twelfth.first().map(|policy| (policy.file.as_str(), policy.line)),
        Some(("b.cedar", 12))
    );
}

#[test]
fn the_digest_covers_names_and_texts_but_not_their_order() {
    let load = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        PolicySet::load(&files).unwrap()
    };
    let (a, b) = (
        "@id(\"a\") permit(principal, action, resource);",
        "@id(\"b\") permit(principal, action, resource);",
    );
    let first = load(&[("a.cedar", a), ("b.cedar", b)]);
    assert_eq!(first.digest(), load(&[("b.cedar", b), ("a.cedar", a)]).digest());
    assert_eq!(
        first.digest(),
        hex::encode(ring::digest::digest(&ring::digest::SHA256, first.text().as_bytes()))
    );
    assert_eq!(load(&[("all.cedar", first.text())]).ids().count(), 2, "the text can be read again");
    let joined = format!("{a}\n// b.cedar, {} bytes\n{b}", b.len());
    for other in [
        load(&[("a.cedar", a)]),
        load(&[("a.cedar", b), ("b.cedar", a)]),
        load(&[("a.cedar", a), ("c.cedar", b)]),
        load(&[("a.cedar", &format!("{a} ")), ("b.cedar", b)]),
        load(&[("a.cedar", &joined)]),
    ] {
        assert_ne!(first.digest(), other.digest(), "{}", other.text());
    }
    let twice = [("a.cedar".to_owned(), a.to_owned()), ("a.cedar".to_owned(), b.to_owned())];
    assert!(PolicySet::load(&twice).is_err());
    assert!(PolicySet::load(&[("a\n.cedar".into(), a.into())]).is_err());
    assert!(PolicySet::load(&[("a.cedar".into(), " ".repeat(5 << 20))]).is_err());
}

#[test]
fn a_denial_says_which_policies_would_have_to_change() {
    let policies = set(r#"
        @id("eng") @reason("Data engineers may fetch.")
        permit(principal in Group::"admins", action in [Action::"fetch", Action::"review"], resource);
        @id("audit") permit(principal in Group::"auditors", action == Action::"audit_read", resource);
        @id("night") @reason("Not at night.") forbid(principal, action, resource) when { context.now.toTime() < duration("6h") };
    "#);
    let by_default = ask(&policies, Action::Fetch);
    assert_eq!(by_default.policies, Vec::<String>::new());
    let explained = policies.explain(Action::Fetch, &by_default);
    assert_eq!(explained.len(), 1);
    assert_eq!(
        explained.first().map(|e| (e.policy.as_str(), e.effect, e.line)),
        Some(("eng", Effect::Permit, 2))
    );
    let night = Circumstances {
        now_ms: 1_800_000_000_000 - 4 * 3_600_000,
        ..circumstances()
    };
    let forbidden = ask_with(&policies, Action::Fetch, &night);
    let explained = policies.explain(Action::Fetch, &forbidden);
    assert_eq!(
        explained.first().map(|e| (e.policy.as_str(), e.effect)),
        Some(("night", Effect::Forbid))
    );
    assert_eq!(policies.reasons(&forbidden), ["Not at night."]);
}

#[test]
fn names_of_datasets_and_classes_can_be_checked_against_the_catalog() {
    let policies = set(r#"
        @id("p") permit(principal in Group::"g", action == Action::"fetch", resource in Dataset::"ordres");
        @id("f") forbid(principal, action == Action::"reveal", resource)
            when { resource == Class::"pii.email" && resource in Dataset::"orders" };
    "#);
    let named: Vec<(&str, String, String)> = policies.named().into_iter().map(|n| (n.kind, n.name, n.policy)).collect();
    let expected = [("Class", "pii.email", "f"), ("Dataset", "orders", "f"), ("Dataset", "ordres", "p")];
    assert_eq!(
        named,
        expected.map(|(kind, name, policy)| (kind, name.to_owned(), policy.to_owned()))
    );
}

fn nightly() -> Workload {
    Workload {
        rule: "nightly".into(),
        provider: "github".into(),
        claims: [("repository", "acme/etl"), ("ref", "refs/heads/main"), ("triggered_by", "octocat")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

#[test]
fn a_workload_is_known_by_its_rule_and_by_what_its_token_says() {
    let workload = nightly();
    let job = Principal {
        subject: "repo:acme/etl:ref:refs/heads/main",
        name: "nightly",
        email: None,
        workload: Some(&workload),
        ..ada(&[])
    };
    let allows = |condition: &str, who: &Principal<'_>| {
        let policies = set(&format!(
            "permit(principal, action == Action::\"fetch\", resource) when {{ {condition} }};"
        ));
        let answer = policies.evaluate(Action::Fetch, who, &resource(Action::Fetch, &labels()), &circumstances());
        assert_eq!(answer.faults, Vec::<String>::new(), "{condition}");
        answer.allowed
    };
    for condition in [
        "principal is Workload",
        "principal == Workload::\"nightly\"",
        "context.workload.provider == \"github\" && context.workload.repository == \"acme/etl\"",
        "context.workload.environment == \"\"",
        "principal.name == \"nightly\" && principal.subject like \"repo:acme/etl:*\"",
        "!(principal has email) && principal.groups.isEmpty()",
    ] {
        assert!(allows(condition, &job), "{condition}");
    }
    for condition in [
        "principal is User",
        "principal == Workload::\"weekly\"",
        "principal == User::\"https://id.example#repo:acme/etl:ref:refs/heads/main\"",
        "principal in Group::\"data-eng\"",
        "context.workload.repository == \"acme/other\"",
    ] {
        assert!(!allows(condition, &job), "{condition}");
    }
    assert!(allows("principal is User && context.workload.provider == \"\"", &ada(&[])));
    assert!(!allows("principal is Workload", &ada(&[])));
}

#[test]
fn no_policy_makes_a_second_mind_of_a_workload() {
    let workload = nightly();
    let policies = set("permit(principal, action, resource);");
    for action in Action::ALL {
        let job = Principal {
            workload: Some(&workload),
            ..ada(&[])
        };
        let answer = policies.evaluate(action, &job, &resource(action, &labels()), &circumstances());
        let for_people = [Action::Review, Action::BreakGlass, Action::Administer, Action::EnrollKey].contains(&action);
        assert_eq!((answer.allowed, answer.faults.len()), (!for_people, 0), "{action}");
    }
    for action in ["review", "break_glass", "administer", "enroll_key"] {
        let found = faults(&format!("permit(principal is Workload, action == Action::\"{action}\", resource);"));
        assert!(!found.is_empty(), "{action}");
    }
}

#[test]
fn the_documentations_examples_load_and_its_schema_is_ours() {
    let document = include_str!("../../../../docs/policy.md");
    let blocks = |language: &str| -> Vec<String> {
        let opening = format!("```{language}\n");
        document
            .split(&opening)
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .map(str::to_owned)
            .collect()
    };
    let examples: Vec<(String, String)> = blocks("cedar")
        .into_iter()
        .enumerate()
        .map(|(n, text)| (format!("example-{n}.cedar"), text))
        .collect();
    assert!(examples.len() >= 8);
    let policies = PolicySet::load(&examples).unwrap();
    assert!(policies.ids().all(|id| !id.starts_with("example-")), "every example has an id");
    assert_eq!(blocks("cedarschema"), [SCHEMA]);
    for action in Action::ALL {
        assert!(document.contains(&format!("| `{action}` |")), "{action}");
    }
}
