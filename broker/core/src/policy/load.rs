//! Turns policy files into a set that can be asked, or says everything that is wrong with them at once.
//!
//! What Cedar only warns of is refused here where it hints at a policy that does not do what it seems to: a condition that can
//! never hold, or text that reads differently from how it is parsed. A `forbid` that never applies is a door left open.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{PolicyId, Schema, ValidationMode, ValidationWarning, Validator};

use super::SCHEMA;

/// A validated set of policies. Nothing in it can be changed; a reload makes another.
pub struct PolicySet {
    pub(super) policies: cedar_policy::PolicySet,
    pub(super) origins: BTreeMap<String, Origin>,
    text: String,
    digest: String,
}

/// Where a policy stands.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) file: String,
    pub(super) line: usize,
}

/// Something wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct PolicyFault {
    /// File as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A dataset, class or workload that a policy names. Cedar cannot know whether there is one; whoever knows the catalog can.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// `Dataset`, `Class` or `Workload`.
    pub kind: &'static str,
    /// The name in the policy.
    pub name: String,
    /// The policy that has it.
    pub policy: String,
    /// File of the policy.
    pub file: String,
    /// Line at which the policy starts.
    pub line: usize,
}

#[expect(
    clippy::expect_used,
    reason = "the schema is part of the program; every test of this module parses it"
)]
pub(super) static PARSED_SCHEMA: LazyLock<Schema> = LazyLock::new(|| SCHEMA.parse().expect("the built-in schema parses"));

impl PolicySet {
    /// Reads files given as (name, text). No policy at all is a legal set: it denies everything.
    ///
    /// A policy's id is its `@id("…")`, else the file's name without extension and the policy's number in it.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<PolicyFault>> {
        let mut files: Vec<&(String, String)> = files.iter().collect();
        files.sort();
        let mut loading = Loading {
            faults: Vec::new(),
            policies: cedar_policy::PolicySet::new(),
            origins: BTreeMap::new(),
        };
        if files.iter().map(|(_, text)| text.len()).sum::<usize>() > POLICY_BYTES_MAX {
            let (file, message) = (String::new(), "policies must not be larger than 4 MiB together".to_owned());
            return Err(vec![PolicyFault { file, line: 1, message }]);
        }
        let mut names = HashSet::new();
        for (name, text) in &files {
            if !is_plain(name) {
                loading.fault(
                    &name.escape_debug().to_string(),
                    1,
                    "a policy file's name must be 1 to 200 of a-z A-Z 0-9 . _ / -",
                );
            } else if !names.insert(name) {
                loading.fault(name, 1, "the file is given twice");
            } else {
                loading.read(name, text);
            }
        }
        loading.validate(&files);
        if loading.faults.is_empty() {
            let text = canonical(&files);
            let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
            Ok(Self {
                policies: loading.policies,
                origins: loading.origins,
                text,
                digest,
            })
        } else {
            loading.faults.sort();
            loading.faults.dedup();
            Err(loading.faults)
        }
    }

    /// SHA-256 (hex) of [`Self::text`]; names these policies in decisions and in the log.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// All files in the order of their names, each after a comment with its name and length, so that no two sets share a text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Ids of the policies, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.origins.keys().map(String::as_str)
    }

    /// Datasets, classes and workloads that policies name, for a check against the catalog: a misspelt name in a `forbid` forbids nothing.
    #[must_use]
    pub fn named(&self) -> Vec<Named> {
        let mut named: Vec<Named> = self.policies.policies().flat_map(|policy| self.named_in(policy)).collect();
        named.sort();
        named.dedup();
        named
    }

    fn named_in(&self, policy: &cedar_policy::Policy) -> Vec<Named> {
        let id: &str = policy.id().as_ref();
        let Some(origin) = self.origins.get(id) else { return Vec::new() };
        let named = |uid: cedar_policy::EntityUid| {
            let kind = match uid.type_name().to_string().as_str() {
                "Dataset" => "Dataset",
                "Class" => "Class",
                "Workload" => "Workload",
                _ => return None,
            };
            let name = uid.id().unescaped().to_owned();
            Some(Named {
                kind,
                name,
                policy: id.to_owned(),
                file: origin.file.clone(),
                line: origin.line,
            })
        };
        policy.entity_literals().into_iter().filter_map(named).collect()
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySet")
            .field("digest", &self.digest)
            .field("policies", &self.origins.keys())
            .finish_non_exhaustive()
    }
}

/// A set that is being put together, and what was found wrong on the way.
struct Loading {
    faults: Vec<PolicyFault>,
    policies: cedar_policy::PolicySet,
    origins: BTreeMap<String, Origin>,
}

impl Loading {
    fn fault(&mut self, file: &str, line: usize, message: impl Into<String>) {
        self.faults.push(PolicyFault {
            file: file.to_owned(),
            line,
            message: message.into(),
        });
    }

    fn read(&mut self, file: &str, text: &str) {
        let parsed: cedar_policy::PolicySet = match text.parse() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: cedar_policy::ParseErrors = errors;
                for error in errors.iter() {
                    let (line, message) = located(&DetailedError::from(error), text);
                    self.fault(file, line.unwrap_or(1), message);
                }
                return;
            }
        };
        if parsed.templates().next().is_some() {
            self.fault(
                file,
                1,
                "templates (`?principal`, `?resource`) are not supported; write the policy out",
            );
        }
        let mut policies: Vec<(usize, &cedar_policy::Policy)> = parsed
            .policies()
            .filter_map(|policy| Some((number(policy.id().as_ref())?, policy)))
            .collect();
        policies.sort_by_key(|(number, _)| *number);
        let stem = file.strip_suffix(".cedar").unwrap_or(file);
        let mut searched = 0;
        for (number, policy) in policies {
            let source = policy.to_string();
            let found = text
                .get(searched..)
                .and_then(|rest| rest.find(&source))
                .map_or(searched, |at| searched + at);
            searched = found + source.len();
            let line = line_at(text, found);
            let id = policy
                .annotation("id")
                .map_or_else(|| format!("{stem}-{}", number + 1), str::to_owned);
            if !is_plain(&id) {
                self.fault(file, line, "an `@id` must be 1 to 200 of a-z A-Z 0-9 . _ / -");
            } else if policy.annotation("reason").is_some_and(|reason| !is_a_line(reason)) {
                self.fault(
                    file,
                    line,
                    "a `@reason` must be one line of 1 to 500 characters without control characters",
                );
            } else if let Some(first) = self.origins.get(&id) {
                let message = format!(
                    "the policy id `{id}` is taken by {}:{}; give one of them another `@id`",
                    first.file, first.line
                );
                self.fault(file, line, message);
            } else if let Err(error) = self.policies.add(policy.new_id(PolicyId::new(&id))) {
                self.fault(file, line, error.to_string());
            } else {
                self.origins.insert(
                    id,
                    Origin {
                        file: file.to_owned(),
                        line,
                    },
                );
            }
        }
    }

    fn validate(&mut self, files: &[&(String, String)]) {
        let result = Validator::new(PARSED_SCHEMA.clone()).validate(&self.policies, ValidationMode::Strict);
        let wrong: HashSet<&PolicyId> = result.validation_errors().map(|error| error.policy_id()).collect();
        let errors = result
            .validation_errors()
            .map(|error| (error.policy_id(), DetailedError::from(error)));
        let warnings = result
            .validation_warnings()
            .filter(|warning| !wrong.contains(warning.policy_id()) && !self.is_a_language(warning))
            .map(|warning| (warning.policy_id(), DetailedError::from(warning)));
        let mut faults = Vec::new();
        for (id, error) in errors.chain(warnings) {
            let id: &str = id.as_ref();
            let (file, start) = self.origins.get(id).map_or(("", 1), |origin| (origin.file.as_str(), origin.line));
            let text = files.iter().find(|(name, _)| name == file).map_or("", |(_, text)| text.as_str());
            let (line, message) = located(&error, text);
            faults.push(PolicyFault {
                file: file.to_owned(),
                line: line.unwrap_or(start),
                message,
            });
        }
        self.faults.append(&mut faults);
    }

    /// Whether Cedar only warns of names that mix scripts as languages do (`営業-team`), not of letters that pass for Latin ones.
    fn is_a_language(&self, warning: &ValidationWarning) -> bool {
        let mixed = matches!(
            warning,
            ValidationWarning::MixedScriptString(_) | ValidationWarning::MixedScriptIdentifier(_)
        );
        let looks_latin = |c: char| LOOK_LATIN.iter().any(|range| range.contains(&c));
        mixed
            && self
                .policies
                .policy(warning.policy_id())
                .is_some_and(|policy| !policy.to_string().contains(looks_latin))
    }
}

/// Where an error points to, and its text with Cedar's advice on one line.
fn located(error: &DetailedError, text: &str) -> (Option<usize>, String) {
    let line = error.source_locations.first().map(|label| line_at(text, label.loc.start));
    let help = error.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
    (line, format!("{}{help}", without_action(&error.message)).replace('\n', " "))
}

/// A policy for every action is validated for each; what is wrong is said once.
fn without_action(message: &str) -> String {
    let Some((before, rest)) = message.split_once(" for Action::\"") else {
        return message.to_owned();
    };
    rest.split_once('"')
        .map_or_else(|| message.to_owned(), |(_, after)| format!("{before}{after}"))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Cedar numbers the policies of a text `policy0`, `policy1`, …
fn number(id: &str) -> Option<usize> {
    id.strip_prefix("policy")?.parse().ok()
}

/// Ids and file names stand on terminals and in the log.
fn is_plain(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
}

fn is_a_line(text: &str) -> bool {
    (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn canonical(files: &[&(String, String)]) -> String {
    files
        .iter()
        .map(|(name, text)| format!("// {name}, {} bytes\n{text}\n", text.len()))
        .collect()
}

/// Far beyond what people can review.
const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Scripts with letters that pass for Latin ones: Greek, Cyrillic, Armenian, Cherokee, Lisu, full width, mathematical.
const LOOK_LATIN: [RangeInclusive<char>; 6] = [
    '\u{0370}'..='\u{058F}',
    '\u{13A0}'..='\u{13FF}',
    '\u{1C80}'..='\u{1C8F}',
    '\u{A4D0}'..='\u{A4FF}',
    '\u{FF00}'..='\u{FF5E}',
    '\u{1D400}'..='\u{1D7FF}',
];
