//! The broker's one error: a code from the closed list, a text anyone may read who may know that the thing exists, and a
//! source that is the operator's alone.
//!
//! Gateways translate the code; nothing but `public`, `hint`, `policies` and `position` ever reaches a caller.

use chunk_wire::problem::{Code, Position, Problem};

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{}: {public}", code.as_str())]
pub struct Error {
    /// Code.
    pub code: Code,
    /// What happened and why, for the caller.
    pub public: String,
    /// Next command to type.
    pub hint: Option<String>,
    /// Policies that determined a denial.
    pub policies: Vec<String>,
    /// Place in the SQL text.
    pub position: Option<Position>,
    /// What the operator's log gets. May hold driver texts; never leaves the broker.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// An error and everything it came from, in one line, for the operator.
pub(crate) fn chain(fault: &dyn std::error::Error) -> String {
    let mut line = fault.to_string();
    let mut source = fault.source();
    while let Some(inner) = source {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        source = inner.source();
    }
    line
}

impl Error {
    /// An error of this code with this public text.
    #[must_use]
    pub fn new(code: Code, public: impl Into<String>) -> Self {
        Self {
            code,
            public: public.into(),
            hint: None,
            policies: Vec::new(),
            position: None,
            source: None,
        }
    }

    /// Names the next command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the policies that determined it.
    #[must_use]
    pub fn policies(mut self, policies: Vec<String>) -> Self {
        self.policies = policies;
        self
    }

    /// Adds what only the operator may read.
    #[must_use]
    pub fn operator(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The problem body for the caller.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            hint: self.hint.clone(),
            policies: self.policies.clone(),
            position: self.position,
            ..Problem::new(self.code, self.public.clone())
        }
    }
}
