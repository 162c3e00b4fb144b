#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use chunk_core::identity::workload::Provider;
use chunk_core::policy::PolicySet;

use crate::config::check::check;
use crate::config::tests::GOOD;
use crate::config::{Config, Faults};

const GITHUB: &str = r#"[[workload]]
name = "nightly"
issuer = "https://token.actions.githubusercontent.com"
audience = "http://127.0.0.1:8443"

[workload.claims]
repository_id = "74"
repository_owner_id = 65
environment = "production"
"#;

const GITLAB: &str = r#"[[workload]]
name = "nightly"
provider = "gitlab"
issuer = "https://git.example.com"
audience = "http://127.0.0.1:8443"
session_minutes = 5
token_age_minutes = 20

[workload.claims]
project_id = "22"
namespace_id = "72"
ref = "main"
ref_protected = true
"#;

const KUBERNETES: &str = r#"[[workload]]
name = "nightly"
provider = "kubernetes"
issuer = "https://cluster.example.com"
audience = "http://127.0.0.1:8443"

[workload.claims."kubernetes.io".serviceaccount]
uid = "6a3f1b0e-0f5a-4a0c-9a55-1a2b3c4d5e6f"
"#;

fn read(workloads: &str) -> Result<Config, Faults> {
    let policies = |_: &Path| Ok(PolicySet::load(&[]).unwrap());
    check(Path::new("/broker.toml"), &format!("{GOOD}\n{workloads}"), policies)
}

/// The faults of a rule with one thing replaced by another.
fn faults(rule: &str, from: &str, to: &str) -> String {
    assert!(rule.contains(from), "{from}");
    let faults = read(&rule.replacen(from, to, 1)).err();
    faults
        .map(|faults| faults.to_string().replace("/broker.toml:", ""))
        .unwrap_or_default()
}

#[test]
fn rules_for_each_provider_are_read() {
    let github = read(GITHUB).unwrap().workloads.remove(0).rule;
    assert_eq!(
        (github.provider, github.session_s, github.token_age_s_max),
        (Provider::GitHub, 900, 300)
    );
    assert_eq!(github.audience, "http://127.0.0.1:8443");
    let gitlab = read(GITLAB).unwrap().workloads.remove(0).rule;
    assert_eq!(
        (gitlab.provider, gitlab.session_s, gitlab.token_age_s_max),
        (Provider::GitLab, 300, 1200)
    );
    let kubernetes = read(KUBERNETES).unwrap().workloads.remove(0).rule;
    assert_eq!(kubernetes.provider, Provider::Kubernetes);
    assert_eq!(kubernetes.claims.first().unwrap().path, ["kubernetes.io", "serviceaccount", "uid"]);
    let both = read(&format!("{GITHUB}\n{}", GITLAB.replace("nightly", "weekly"))).unwrap();
    assert_eq!(both.workloads.len(), 2);
}

#[test]
fn a_wildcard_is_refused_with_file_and_line() {
    for (value, line) in [("\"7*\"", 17), ("\"*\"", 17), ("\"?4\"", 17)] {
        let found = faults(GITHUB, "\"74\"", value);
        assert!(
            found.starts_with(&format!(
                "{line}: `workload.1.claims.repository_id` is compared byte for byte; wildcards are refused"
            )),
            "{found}"
        );
    }
    let found = faults(GITLAB, "\"main\"", "\"release/*\"");
    assert!(found.contains("`workload.1.claims.ref` is compared byte for byte"), "{found}");
    let found = faults(KUBERNETES, "\"6a3f1b0e-0f5a-4a0c-9a55-1a2b3c4d5e6f\"", "\"*\"");
    assert!(
        found.contains("`workload.1.claims.kubernetes.io.serviceaccount.uid` is compared"),
        "{found}"
    );
}

#[test]
fn a_rule_without_an_id_that_cannot_pass_to_somebody_else_is_refused() {
    for (rule, from, to, expected) in [
        (
            GITHUB,
            "repository_id = \"74\"",
            "repository = \"acme/etl\"",
            "must name `repository_id`",
        ),
        (
            GITHUB,
            "repository_owner_id = 65",
            "repository_owner = \"acme\"",
            "must name `repository_owner_id`",
        ),
        (GITHUB, "\"74\"", "\"etl\"", "`repository_id` is a number, not a name"),
        (
            GITHUB,
            "environment = \"production\"",
            "",
            "must name `ref`, `environment` or `job_workflow_ref`",
        ),
        (
            GITLAB,
            "project_id = \"22\"",
            "project_path = \"acme/etl\"",
            "must name `project_id`",
        ),
        (
            GITLAB,
            "namespace_id = \"72\"",
            "namespace_path = \"acme\"",
            "must name `namespace_id`",
        ),
        (GITLAB, "ref = \"main\"", "", "must name `ref` or `environment`"),
        (GITLAB, "ref_protected = true", "", "must say `ref_protected = \"true\"`"),
        (
            GITLAB,
            "ref_protected = true",
            "ref_protected = false",
            "must say `ref_protected = \"true\"`",
        ),
        (
            KUBERNETES,
            "uid = \"6a3f1b0e-0f5a-4a0c-9a55-1a2b3c4d5e6f\"",
            "name = \"etl\"",
            "must name `kubernetes.io.serviceaccount.uid`",
        ),
        (KUBERNETES, "\"kubernetes\"", "\"other\"", "must name `sub`"),
    ] {
        let found = faults(rule, from, to);
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
}

#[test]
fn a_rule_for_requests_from_outside_is_refused() {
    for event in ["pull_request", "pull_request_target", "pull_request_review"] {
        let found = faults(
            GITHUB,
            "environment = \"production\"",
            &format!("environment = \"production\"\nevent_name = \"{event}\""),
        );
        assert!(found.contains(&format!("`event_name` must not be `{event}`")), "{found}");
    }
    let found = faults(
        GITLAB,
        "ref = \"main\"",
        "ref = \"main\"\npipeline_source = \"merge_request_event\"",
    );
    assert!(found.contains("`pipeline_source` must not be `merge_request_event`"), "{found}");
    let more = GITHUB.replace(
        "environment = \"production\"",
        "environment = \"production\"\nevent_name = \"workflow_run\"",
    );
    read(&more).unwrap();
}

#[test]
fn audience_and_issuer_are_exact_and_this_brokers_own() {
    for (from, to, expected) in [
        ("audience = \"http://127.0.0.1:8443\"\n", "", "`workload.1.audience` is missing"),
        ("8443\"\n\n[workload", "8443/\"\n\n[workload", "must be this broker's own address"),
        (
            "audience = \"http://127.0.0.1:8443\"",
            "audience = \"sts.amazonaws.com\"",
            "must be this broker's own address",
        ),
        (
            "audience = \"http://127.0.0.1:8443\"",
            "audience = \"*\"",
            "must be this broker's own address",
        ),
        ("https://token.actions", "http://token.actions", "an https:// URL without query"),
        (
            "https://token.actions.githubusercontent.com",
            "https://git.example.com",
            "`workload.1.provider` is missing",
        ),
        ("name = \"nightly\"", "name = \"Nightly Run\"", "must be 1 to 63 of"),
        (
            "audience",
            "provider = \"gitlab\"\naudience",
            "`workload.1.provider` must be `github` for this issuer",
        ),
        (
            "audience",
            "session_minutes = 600\naudience",
            "`workload.1.session_minutes` must be between 1 and 60",
        ),
        (
            "audience",
            "token_age_minutes = 90\naudience",
            "`workload.1.token_age_minutes` must be between 1 and 50",
        ),
        ("\"production\"", "[\"production\"]", "must be one text, whole number or boolean"),
        ("\"production\"", "\" \"", "must be one line of text"),
        (
            "[workload.claims]\nrepository_id = \"74\"\nrepository_owner_id = 65\nenvironment = \"production\"",
            "",
            "`workload.1.claims` is missing",
        ),
    ] {
        let found = faults(GITHUB, from, to);
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
}

#[test]
fn rules_that_blur_into_each_other_or_into_people_are_refused() {
    let twice = read(&format!("{GITHUB}\n{GITHUB}")).unwrap_err().to_string();
    assert!(twice.contains("`workload.2` has the name of an earlier one"), "{twice}");
    let narrower = GITHUB
        .replace("nightly", "second")
        .replace("repository_id", "ref = \"refs/heads/main\"\nrepository_id");
    let hidden = read(&format!("{GITHUB}\n{narrower}")).unwrap_err().to_string();
    assert!(hidden.contains("`workload.2` never decides"), "{hidden}");
    read(&format!("{narrower}\n{GITHUB}")).unwrap();
    let people =
        "[[issuer]]\nname = \"git\"\nissuer = \"https://git.example.com\"\nclient_id = \"c\"\naudience = \"http://127.0.0.1:8443\"\n\n";
    let shared = read(&format!("{people}{GITLAB}")).unwrap_err().to_string();
    assert!(shared.contains("would accept the same tokens"), "{shared}");
}

#[test]
fn a_policy_names_only_workloads_that_there_are() {
    let policy = |name: &str| {
        let text = format!("permit (principal == Workload::\"{name}\", action == Action::\"describe\", resource);");
        let policies = move |_: &Path| Ok(PolicySet::load(&[("a.cedar".to_owned(), text)]).unwrap());
        check(Path::new("/broker.toml"), &format!("{GOOD}\n{GITHUB}"), policies)
    };
    policy("nightly").unwrap();
    let found = policy("nigthly").unwrap_err().to_string();
    assert!(
        found.contains("names the workload `nigthly`") && found.contains("did you mean `nightly`?"),
        "{found}"
    );
}

#[test]
fn every_key_of_the_section_is_in_the_documentation() {
    let page = include_str!("../../../../../docs/configuration.md");
    let section = page.split("## `[[workload]]`").nth(1).unwrap().split("\n## ").next().unwrap();
    let code = include_str!("../workload.rs");
    let raw = code.split("struct RawWorkload {").nth(1).unwrap().split('}').next().unwrap();
    let keys = raw
        .lines()
        .filter_map(|line| line.trim().split_once(": At<"))
        .filter(|(key, _)| !key.contains(' '));
    let mut count = 0;
    for (key, _) in keys {
        count += 1;
        assert!(section.contains(&format!("`{key}`")), "{key}");
    }
    assert_eq!(count, 8);
}
