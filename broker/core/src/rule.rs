//! Who must approve? So many distinct people, and where it matters who they are, in stages.
//!
//! The rule of a dataset is configuration. What it comes to for one request is resolved when that is made, into the document that
//! the requester signs: a rule that changes later is another document, and so another request.

use chunk_wire::stages::Stage;

use crate::catalog::Dataset;

/// A stage as configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRule {
    /// People of one of these groups; anybody who may review where there is none.
    pub groups: Vec<String>,
    /// How many.
    pub quorum: u32,
}

/// Who must approve a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    /// People in all.
    pub(crate) quorum: u32,
    /// One after the other; together they are `quorum`. Empty where anybody who may review counts.
    pub(crate) stages: Vec<Stage>,
}

impl Rule {
    /// The rule for reading these datasets together: each stage of each, once with the most people that one of them asks for, and whoever
    /// is missing to the largest quorum may be anybody.
    pub(crate) fn of<'a>(datasets: impl IntoIterator<Item = &'a Dataset>) -> Self {
        let mut quorum = 0;
        let mut rules: Vec<StageRule> = Vec::new();
        for dataset in datasets {
            quorum = quorum.max(dataset.quorum.max(1));
            for rule in &dataset.stages {
                match rules.iter_mut().find(|known| known.groups == rule.groups) {
                    Some(known) => known.quorum = known.quorum.max(rule.quorum),
                    None => rules.push(rule.clone()),
                }
            }
        }
        let named: u32 = rules.iter().map(|rule| rule.quorum).sum();
        if !rules.is_empty() && quorum > named {
            rules.push(StageRule {
                groups: Vec::new(),
                quorum: quorum - named,
            });
        }
        Self {
            quorum: quorum.max(named),
            stages: rules.into_iter().map(resolved).collect(),
        }
    }
}

fn resolved(rule: StageRule) -> Stage {
    Stage {
        groups: rule.groups,
        quorum: rule.quorum,
    }
}
