//! Says which policies stand behind an answer, or would have to change for another one.

use cedar_policy::{ActionConstraint, PolicyId};

use super::{Action, Answer, PolicySet};

/// What a policy does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Allows.
    Permit,
    /// Overrules every permit.
    Forbid,
}

/// A policy that matters for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Id.
    pub policy: String,
    /// What it does when it applies.
    pub effect: Effect,
    /// Its `@reason("…")`: the author's words for those whom it stops.
    pub reason: Option<String>,
    /// File it stands in; for people who may read policies.
    pub file: String,
    /// Line at which it starts.
    pub line: usize,
}

impl PolicySet {
    /// The policies behind `answer`: those that determined it, or, where nothing permits, the permits for this action whose
    /// conditions did not hold.
    #[must_use]
    pub fn explain(&self, action: Action, answer: &Answer) -> Vec<Explained> {
        if !answer.policies.is_empty() {
            return answer.policies.iter().filter_map(|id| self.explained(id)).collect();
        }
        if answer.allowed || !answer.faults.is_empty() {
            return Vec::new();
        }
        self.ids()
            .filter_map(|id| self.explained(id))
            .filter(|policy| self.permits(&policy.policy, action))
            .collect()
    }

    /// The `@reason` texts of the policies behind an answer, each once, in the order of the policies' ids.
    #[must_use]
    pub fn reasons(&self, answer: &Answer) -> Vec<String> {
        let mut reasons = Vec::new();
        for reason in answer.policies.iter().filter_map(|id| self.explained(id)?.reason) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons
    }

    fn explained(&self, id: &str) -> Option<Explained> {
        let origin = self.origins.get(id)?;
        let policy = self.policies.policy(&PolicyId::new(id))?;
        Some(Explained {
            policy: id.to_owned(),
            effect: match policy.effect() {
                cedar_policy::Effect::Permit => Effect::Permit,
                cedar_policy::Effect::Forbid => Effect::Forbid,
            },
            reason: policy.annotation("reason").map(str::to_owned),
            file: origin.file.clone(),
            line: origin.line,
        })
    }

    fn permits(&self, id: &str, action: Action) -> bool {
        let Some(policy) = self.policies.policy(&PolicyId::new(id)) else {
            return false;
        };
        let names = |uid: &cedar_policy::EntityUid| uid.id().unescaped() == action.as_str();
        policy.effect() == cedar_policy::Effect::Permit
            && match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => names(&uid),
                ActionConstraint::In(uids) => uids.iter().any(names),
            }
    }
}
