//! Everything that is wrong with a configuration, at once, each with the line it stands on.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// File.
    pub file: PathBuf,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What, and what to write instead. Never a secret.
    pub message: String,
}

/// All that is wrong; never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A single fault of a whole file.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self(vec![Fault {
            file: file.to_owned(),
            line: 0,
            message: message.into(),
        }])
    }

    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Faults) {
        self.0.extend(other.0);
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order of file and line.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Sorts by place, so that the list reads like the file.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort();
        self.0.dedup();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.message),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.message),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Turns byte offsets of one file into lines, and collects the faults found there.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    file: &'a Path,
    text: &'a str,
    faults: Faults,
}

impl<'a> Collector<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            faults: Faults::default(),
        }
    }

    pub(super) fn at(&mut self, span: &Range<usize>, message: impl Into<String>) {
        let line = self.line(span.start);
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line,
            message: message.into(),
        });
    }

    pub(super) fn whole_file(&mut self, message: impl Into<String>) {
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: 0,
            message: message.into(),
        });
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes().iter().take(end).filter(|&&b| b == b'\n').count()
    }

    pub(super) fn into_faults(self) -> Faults {
        self.faults.sorted()
    }
}
