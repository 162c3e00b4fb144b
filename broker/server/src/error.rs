//! Why a command did not do its work: what happened, why, and what to type next.

use std::fmt;

/// A command's failure, as it is shown.
#[derive(Debug)]
pub struct CommandError {
    what: String,
    why: Option<String>,
    next: Option<String>,
    exit: u8,
}

impl CommandError {
    /// Configuration or usage is wrong: exit code 3.
    #[must_use]
    pub fn config(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: None,
            next: None,
            exit: 3,
        }
    }

    /// Something outside does not work now: exit code 2.
    #[must_use]
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: None,
            next: None,
            exit: 2,
        }
    }

    /// The answer is no: exit code 1.
    #[must_use]
    pub fn refused(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: None,
            next: None,
            exit: 1,
        }
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Names the next command to type.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(why) = &self.why {
            write!(f, "\n  why: {why}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CommandError {}

/// An error and everything below it, in one line; for the operator's eyes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}
