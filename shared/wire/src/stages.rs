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
    /// How many people.
    pub quorum: u32,
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

impl Stage {
    /// Whether this person is one of those whose approval it takes. Whether they may review at all is policy's to say.
    #[must_use]
    pub fn takes(&self, person: &Person) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| person.groups.contains(group))
    }

    /// Who may approve in it, as the object of a sentence.
    #[must_use]
    pub fn whose(&self) -> String {
        match self.groups.as_slice() {
            [] => "whoever may review".to_owned(),
            groups => format!("somebody of `{}`", groups.join("` or `")),
        }
    }
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
        assert_eq!(told[0], [(0, true), (0, false)]);
        assert_eq!(told[1], [(1, true), (0, false)]);
        assert_eq!(told[2], [(2, false), (0, true)]);
        assert_eq!(told[3], [(2, false), (1, false)]);
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
            quorum: 1,
        };
        assert!(two.takes(&person(&["x", "deputies"])) && two.takes(&person(&["owners"])));
        assert!(!two.takes(&person(&["security"])) && !two.takes(&person(&[])));
        assert_eq!(two.whose(), "somebody of `owners` or `deputies`");
        let any = Stage { groups: vec![], quorum: 1 };
        assert!(any.takes(&person(&[])));
    }
}
