//! What is known of each place where jobs run: which claims of its tokens never change their meaning, which events anybody may
//! cause, and what is recorded of a job.
//!
//! A name can be given to somebody else: an account is renamed, deleted, registered again. So a rule pins the numbers behind the
//! names, and a rule that does not is refused when the configuration is read. An event that somebody without the right to write
//! can cause (a pull request above all) runs that person's code, or acts on their words; only events from inside are let in.

use serde_json::{Map, Value};

use super::{ClaimRule, scalar};

/// A place where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI/CD.
    GitLab,
    /// A Kubernetes cluster, by projected service account tokens.
    Kubernetes,
    /// Another; its rules name the subject.
    Other,
}

impl Provider {
    /// Every provider, by the word that stands for it in configuration and in the log.
    pub const ALL: [(&'static str, Provider); 4] = [
        ("github", Provider::GitHub),
        ("gitlab", Provider::GitLab),
        ("kubernetes", Provider::Kubernetes),
        ("other", Provider::Other),
    ];

    /// The provider's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::GitHub => "github",
            Provider::GitLab => "gitlab",
            Provider::Kubernetes => "kubernetes",
            Provider::Other => "other",
        }
    }

    /// Whose tokens an issuer on this host signs, where that is known.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let below = |domain: &str| host.ends_with(domain);
        if host == "token.actions.githubusercontent.com" || (host.starts_with("token.actions.") && below(".ghe.com")) {
            Some(Provider::GitHub)
        } else if host == "gitlab.com" {
            Some(Provider::GitLab)
        } else if host == "kubernetes.default.svc"
            || host.starts_with("kubernetes.default.svc.")
            || host == "container.googleapis.com"
            || (host.starts_with("oidc.eks.") && below(".amazonaws.com"))
            || below(".oic.prod-aks.azure.com")
        {
            Some(Provider::Kubernetes)
        } else {
            None
        }
    }

    /// What is wrong with the claims of a rule, in words; nothing where it pins what it must.
    #[must_use]
    pub fn faults(self, rule: &[ClaimRule]) -> Vec<String> {
        let mut faults = Vec::new();
        for id in self.ids() {
            match rule.iter().find(|claim| claim.is(id)) {
                None => faults.push(format!(
                    "must name `{}`: names can pass to somebody else, this cannot",
                    id.join(".")
                )),
                Some(claim) if self.ids_are_numbers() && !claim.value.bytes().all(|b| b.is_ascii_digit()) => {
                    faults.push(format!("`{}` is a number, not a name", id.join(".")));
                }
                Some(_) => {}
            }
        }
        let named = |name: &str| rule.iter().any(|claim| claim.is(&[name]));
        let is_true = |name: &str| rule.iter().any(|claim| claim.is(&[name]) && claim.value == "true");
        match self {
            Provider::GitHub if !["ref", "environment", "job_workflow_ref"].iter().any(|name| named(name)) => {
                faults.push("must name `ref`, `environment` or `job_workflow_ref`: else whoever may push any branch is let in".to_owned());
            }
            Provider::GitLab => {
                if !["ref", "environment"].iter().any(|name| named(name)) {
                    faults.push("must name `ref` or `environment`: else whoever may push any branch is let in".to_owned());
                }
                if !is_true("ref_protected") && !is_true("environment_protected") {
                    faults.push(
                        "must say `ref_protected = \"true\"` or `environment_protected = \"true\"`: else whoever may push a branch or tag of that name is let in"
                            .to_owned(),
                    );
                }
            }
            _ => {}
        }
        let from_outside = self.event_claim().and_then(|name| {
            let event = rule.iter().find(|claim| claim.is(&[name]))?;
            self.is_from_outside(&event.value).then_some((name, &event.value))
        });
        if let Some((name, event)) = from_outside {
            faults.push(format!(
                "`{name}` must not be `{event}`: such a job runs the code of whoever opened the request"
            ));
        }
        faults
    }

    /// Whether a token's event is one that only somebody with the right to write causes; otherwise what it is.
    pub(super) fn check_event(self, rule: &[ClaimRule], claims: &Map<String, Value>) -> Result<(), &'static str> {
        let Some(name) = self.event_claim() else { return Ok(()) };
        let Some(event) = claims.get(name).and_then(scalar) else {
            return Err("the token does not say what caused the job");
        };
        let of_a_request = |name: &str| claims.get(name).and_then(scalar).is_some_and(|branch| !branch.is_empty());
        if self.is_from_outside(&event) || (self == Provider::GitHub && (of_a_request("head_ref") || of_a_request("base_ref"))) {
            return Err("a pull or merge request runs the code of whoever opened it");
        }
        // Whatever else exists or is invented counts as from outside, unless the rule says in so many words that it does not.
        if self.events().contains(&event.as_str()) || rule.iter().any(|claim| claim.is(&[name])) {
            return Ok(());
        }
        Err("the rule does not name this event, and others than people with the right to write may cause it")
    }

    /// What is recorded of a job: (name in the log, claim of the token).
    pub(super) fn recorded(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Provider::GitHub => &[
                ("repository", &["repository"]),
                ("repository_id", &["repository_id"]),
                ("owner_id", &["repository_owner_id"]),
                ("ref", &["ref"]),
                ("environment", &["environment"]),
                ("workflow", &["job_workflow_ref"]),
                ("event", &["event_name"]),
                ("run", &["run_id"]),
                ("commit", &["sha"]),
                ("triggered_by", &["actor"]),
            ],
            Provider::GitLab => &[
                ("repository", &["project_path"]),
                ("repository_id", &["project_id"]),
                ("owner_id", &["namespace_id"]),
                ("ref", &["ref"]),
                ("environment", &["environment"]),
                ("workflow", &["ci_config_ref_uri"]),
                ("event", &["pipeline_source"]),
                ("run", &["job_id"]),
                ("commit", &["sha"]),
                ("triggered_by", &["user_login"]),
                (TRIGGERED_BY_EMAIL, &["user_email"]),
            ],
            Provider::Kubernetes => &[
                ("namespace", &["kubernetes.io", "namespace"]),
                ("service_account", &["kubernetes.io", "serviceaccount", "name"]),
                ("service_account_uid", &["kubernetes.io", "serviceaccount", "uid"]),
                ("pod", &["kubernetes.io", "pod", "name"]),
            ],
            Provider::Other => &[],
        }
    }

    /// Claims that no two holders share and that nobody is given anew.
    fn ids(self) -> &'static [&'static [&'static str]] {
        match self {
            Provider::GitHub => &[&["repository_id"], &["repository_owner_id"]],
            Provider::GitLab => &[&["project_id"], &["namespace_id"]],
            Provider::Kubernetes => &[&["kubernetes.io", "serviceaccount", "uid"]],
            Provider::Other => &[&["sub"]],
        }
    }

    fn ids_are_numbers(self) -> bool {
        matches!(self, Provider::GitHub | Provider::GitLab)
    }

    fn event_claim(self) -> Option<&'static str> {
        match self {
            Provider::GitHub => Some("event_name"),
            Provider::GitLab => Some("pipeline_source"),
            Provider::Kubernetes | Provider::Other => None,
        }
    }

    fn is_from_outside(self, event: &str) -> bool {
        match self {
            Provider::GitHub => event.starts_with("pull_request"),
            Provider::GitLab => matches!(event, "merge_request_event" | "external_pull_request_event"),
            Provider::Kubernetes | Provider::Other => false,
        }
    }

    /// Events that only people and programs with the right to write cause.
    fn events(self) -> &'static [&'static str] {
        match self {
            Provider::GitHub => &["push", "schedule", "workflow_dispatch", "repository_dispatch", "release"],
            Provider::GitLab => &["push", "schedule", "web", "api", "trigger", "pipeline"],
            Provider::Kubernetes | Provider::Other => &[],
        }
    }
}

/// Name in the log of the address of whoever started a job.
pub(crate) const TRIGGERED_BY_EMAIL: &str = "triggered_by_email";
