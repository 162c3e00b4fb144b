//! Who must approve? So many distinct people, and where it matters who they are, in stages.
//!
//! The rule of a dataset is configuration. What it comes to for one request is resolved when that is made, into the document that
//! the requester signs: a rule that changes later is another document, and so another request.

use chunk_wire::fetch::RequestDocument;
use chunk_wire::session::Person;
use chunk_wire::stages::{Escalation, Stage, is_named};

use crate::catalog::Dataset;

/// A stage as configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRule {
    /// People of one of these groups; anybody who may review where there is none.
    pub groups: Vec<String>,
    /// Only the requester's manager.
    pub manager: bool,
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
    /// Who else may review when nobody has decided for a while.
    pub(crate) escalation: Option<Escalation>,
}

impl Rule {
    /// The rule for this person to read these datasets together: each stage of each, once with the most people that one of them asks for,
    /// and whoever is missing to the largest quorum may be anybody. It is escalated only as every one of them would be: to whom one dataset
    /// goes then, another's owner has not said may see it.
    ///
    /// # Errors
    /// Why nobody could ever approve: a manager has to, and nobody is known to be this person's.
    pub(crate) fn of<'a>(datasets: impl IntoIterator<Item = &'a Dataset>, person: &Person, manager: Option<&str>) -> Result<Self, String> {
        let datasets: Vec<&Dataset> = datasets.into_iter().collect();
        let escalation = datasets.first().and_then(|first| first.escalation.as_ref());
        let escalation = escalation
            .filter(|one| datasets.iter().all(|dataset| dataset.escalation.as_ref() == Some(*one)))
            .cloned();
        let (quorum, rules) = together(datasets);
        let stages = rules.into_iter().map(|rule| resolved(rule, person, manager));
        Ok(Self {
            quorum,
            stages: stages.collect::<Result<_, _>>()?,
            escalation,
        })
    }
}

/// How many people have to approve reading this dataset.
pub(crate) fn people(dataset: &Dataset) -> u32 {
    together([dataset]).0
}

fn together<'a>(datasets: impl IntoIterator<Item = &'a Dataset>) -> (u32, Vec<StageRule>) {
    let mut quorum = 0;
    let mut rules: Vec<StageRule> = Vec::new();
    for dataset in datasets {
        quorum = quorum.max(dataset.quorum.max(1));
        for rule in &dataset.stages {
            match rules.iter_mut().find(|known| known.takes_who(rule)) {
                Some(known) => known.quorum = known.quorum.max(rule.quorum),
                None => rules.push(rule.clone()),
            }
        }
    }
    let named: u32 = rules.iter().map(|rule| rule.quorum).sum();
    if !rules.is_empty() && quorum > named {
        rules.push(StageRule {
            groups: Vec::new(),
            manager: false,
            quorum: quorum - named,
        });
    }
    (quorum.max(named), rules)
}

fn resolved(rule: StageRule, person: &Person, manager: Option<&str>) -> Result<Stage, String> {
    let manager = match (rule.manager, manager) {
        (false, _) => None,
        (true, None) => return Err("Your manager has to approve this, and your identity provider does not say who that is.".to_owned()),
        (true, Some(own)) if is_named(own, person, &person.issuer) => {
            return Err("Your manager has to approve this, and your identity provider says that you are your own.".to_owned());
        }
        (true, Some(manager)) => Some(manager.to_owned()),
    };
    Ok(Stage {
        groups: rule.groups,
        manager,
        quorum: rule.quorum,
    })
}

impl Rule {
    /// Whether whoever approved what was asked for under this document approved it under this rule: as many, the same people.
    pub(crate) fn was_asked_in(&self, document: &RequestDocument) -> bool {
        self.quorum <= document.quorum && self.stages == document.stages && self.escalation == document.escalation
    }
}

impl StageRule {
    /// Whether it is for the same people as another.
    #[must_use]
    pub fn takes_who(&self, other: &Self) -> bool {
        self.groups == other.groups && self.manager == other.manager
    }
}
