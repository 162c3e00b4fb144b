//! Reviews in stages: so many people of these groups first, then so many of those.

use serde::{Deserialize, Serialize};

use crate::session::Person;

/// One stage of a review: so many people, and who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Groups, as the identity provider names them: each of the people is in one of them. Anybody who may review, where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Only the requester's manager: their subject or e-mail address at the requester's identity provider, as that says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// How many people.
    pub quorum: u32,
}

/// Who else may review when nobody has decided for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// Seconds that the request waits before.
    pub after_s: u32,
    /// Groups: from then on each of their people counts in whichever stage has its turn.
    pub groups: Vec<String>,
}

/// How far a stage of a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageView {
    /// As signed.
    pub stage: Stage,
    /// Approvals that count for it.
    pub approvals: u32,
    /// Whether the next approval is for it.
    pub turn: bool,
}

impl Escalation {
    /// Whether this person is one of those to whom it goes.
    #[must_use]
    pub fn takes(&self, person: &Person) -> bool {
        self.groups.iter().any(|group| person.groups.contains(group))
    }
}

impl Stage {
    /// Whether this person is one of those whose approval it takes, of a request by somebody of this issuer. Whether they may review at all
    /// is policy's to say.
    #[must_use]
    pub fn takes(&self, person: &Person, issuer: &str) -> bool {
        let in_group = self.groups.is_empty() || self.groups.iter().any(|group| person.groups.contains(group));
        in_group && self.manager.as_ref().is_none_or(|manager| is_named(manager, person, issuer))
    }

    /// Who may approve in it, as the object of a sentence.
    #[must_use]
    pub fn whose(&self) -> String {
        match self.groups.as_slice() {
            // Not by name: it is told where nobody is named.
            _ if self.manager.is_some() => "the requester's manager".to_owned(),
            [] => "whoever may review".to_owned(),
            groups => format!("somebody of `{}`", groups.join("` or `")),
        }
    }
}

/// Whether this is how an identity provider names this person in another's claims: by subject, or by e-mail address whatever its case.
#[must_use]
pub fn is_named(name: &str, person: &Person, issuer: &str) -> bool {
    let by_email = person.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(name));
    person.issuer == issuer && (person.subject == name || by_email)
}

/// The stage that the next approval is for, after so many.
#[must_use]
pub fn stage_after(stages: &[Stage], approvals: usize) -> Option<&Stage> {
    let mut left = approvals;
    stages.iter().find(|stage| {
        let size = usize::try_from(stage.quorum).unwrap_or(usize::MAX);
        let found = left < size;
        left = left.saturating_sub(size);
        found
    })
}

/// How far each stage is after so many approvals; none has its turn where the request is decided.
#[must_use]
pub fn stages_after(stages: &[Stage], approvals: usize, decided: bool) -> Vec<StageView> {
    let mut left = u32::try_from(approvals).unwrap_or(u32::MAX);
    let mut turn = !decided;
    let each = stages.iter().map(|stage| {
        let given = left.min(stage.quorum);
        left -= given;
        StageView {
            stage: stage.clone(),
            approvals: given,
            turn: given < stage.quorum && std::mem::take(&mut turn),
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(group: &str, quorum: u32) -> Stage {
        Stage {
            groups: vec![group.to_owned()],
            manager: None,
            quorum,
        }
    }

    #[test]
    fn approvals_fill_one_stage_after_the_other() {
        let stages = [stage("owners", 2), stage("security", 1)];
        let next: Vec<_> = (0..4).map(|n| stage_after(&stages, n).map(|stage| stage.groups.concat())).collect();
        let of = |group: &str| Some(group.to_owned());
        assert_eq!(next, [of("owners"), of("owners"), of("security"), None]);
        assert_eq!(stage_after(&[], 0), None);
        let told: Vec<_> = (0..4)
            .map(|n| {
                stages_after(&stages, n, n == 3)
                    .iter()
                    .map(|view| (view.approvals, view.turn))
                    .collect::<Vec<_>>()
            })
            .collect();
        let expected = [
            [(0, true), (0, false)],
            [(1, true), (0, false)],
            [(2, false), (0, true)],
            [(2, false), (1, false)],
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_stage_takes_whoever_is_in_one_of_its_groups() {
        let person = |groups: &[&str]| Person {
            issuer: "https://i".into(),
            subject: "s".into(),
            name: "n".into(),
            email: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            workload: None,
        };
        let two = Stage {
            groups: vec!["owners".into(), "deputies".into()],
            manager: None,
            quorum: 1,
        };
        assert!(two.takes(&person(&["x", "deputies"]), "i") && two.takes(&person(&["owners"]), "i"));
        assert!(!two.takes(&person(&["security"]), "i") && !two.takes(&person(&[]), "i"));
        assert_eq!(two.whose(), "somebody of `owners` or `deputies`");
        let any = Stage {
            groups: vec![],
            manager: None,
            quorum: 1,
        };
        assert!(any.takes(&person(&[]), "i"));
    }

    #[test]
    fn a_manager_is_who_the_requester_s_provider_names() {
        let person = |issuer: &str, subject: &str, email: Option<&str>| Person {
            issuer: issuer.into(),
            subject: subject.into(),
            name: "n".into(),
            email: email.map(str::to_owned),
            groups: vec!["managers".into()],
            workload: None,
        };
        let manager = |name: &str| Stage {
            groups: vec![],
            manager: Some(name.to_owned()),
            quorum: 1,
        };
        let mia = person("i", "u-7", Some("Mia@example.test"));
        assert!(manager("u-7").takes(&mia, "i") && manager("mia@EXAMPLE.test").takes(&mia, "i"));
        assert!(
            !manager("u-7").takes(&mia, "another"),
            "the same name at another provider is somebody else"
        );
        assert!(!manager("U-7").takes(&mia, "i"), "a subject is compared as it is spelt");
        assert!(!manager("mia@example.test").takes(&person("i", "u-7", None), "i"));
        assert!(!manager("").takes(&person("i", "u-8", None), "i"));
        assert_eq!(manager("u-7").whose(), "the requester's manager");
    }
}
