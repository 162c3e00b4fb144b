//! The folder of Cedar policies: every `*.cedar` file in it, in order of name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chunk_core::catalog::Dataset;
use chunk_core::policy::PolicySet;

use super::check::nearest;
use super::faults::{Fault, Faults};
use super::{MaskConfig, WorkloadConfig};

/// A policy file larger than this was not written by a person.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Reads and validates every policy of a folder. Names that nothing else knows are not looked for: [`PolicyFolder`] does.
pub(super) fn load_policies(dir: &Path) -> Result<PolicySet, Faults> {
    let entries =
        std::fs::read_dir(dir).map_err(|e| Faults::of_file(dir, format!("the folder of policies cannot be read ({})", e.kind())))?;
    let mut faults = Faults::default();
    let mut files = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else {
            faults.extend(Faults::of_file(dir, "the folder of policies cannot be listed"));
            break;
        };
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Editors leave `.x.cedar.swp` and `x.cedar~`; a folder called `x.cedar` fails below, as it should.
        if name.starts_with('.') || path.extension().is_none_or(|e| e != "cedar") {
            continue;
        }
        match read(&path) {
            Ok(text) => files.push((name, text)),
            Err(why) => faults.extend(Faults::of_file(&path, why)),
        }
    }
    if files.is_empty() && faults.is_empty() {
        return Err(Faults::of_file(
            dir,
            "no `*.cedar` file here: without a policy nothing may be fetched",
        ));
    }
    files.sort();
    match validate(dir, &files) {
        Ok(policies) if faults.is_empty() => Ok(policies),
        Ok(_) => Err(faults.sorted()),
        Err(more) => {
            faults.extend(more);
            Err(faults.sorted())
        }
    }
}

/// Validates texts by the names of the files in which they stand, or will.
pub(super) fn validate(dir: &Path, files: &[(String, String)]) -> Result<PolicySet, Faults> {
    PolicySet::load(files).map_err(|found| {
        let mut faults = Faults::default();
        for fault in found {
            faults.push(Fault {
                file: dir.join(&fault.file),
                line: fault.line,
                message: fault.message,
            });
        }
        faults.sorted()
    })
}

/// A folder of policies and the names that they may speak of: all that is needed to read them again.
#[derive(Debug, Clone)]
pub(crate) struct PolicyFolder {
    dir: PathBuf,
    datasets: BTreeSet<String>,
    classes: BTreeSet<String>,
    workloads: BTreeSet<String>,
}

impl PolicyFolder {
    pub(super) fn new(
        dir: &Path,
        datasets: &BTreeMap<String, Dataset>,
        classes: &BTreeMap<String, MaskConfig>,
        workloads: &[WorkloadConfig],
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            datasets: datasets.keys().cloned().collect(),
            classes: classes.keys().cloned().collect(),
            workloads: workloads.iter().map(|workload| workload.rule.name.clone()).collect(),
        }
    }

    /// Reads the policies with every check that is made at a start.
    pub(crate) fn load(&self) -> Result<PolicySet, Faults> {
        let policies = load_policies(&self.dir)?;
        let faults = self.unknown_names(&policies);
        if faults.is_empty() { Ok(policies) } else { Err(faults) }
    }

    /// Datasets, classes and workloads that policies name and configuration does not: a misspelt name in a `forbid` forbids nothing.
    pub(super) fn unknown_names(&self, policies: &PolicySet) -> Faults {
        let mut faults = Faults::default();
        for named in policies.named() {
            let (what, known) = match named.kind {
                "Class" => ("class", &self.classes),
                "Workload" => ("workload", &self.workloads),
                _ => ("dataset", &self.datasets),
            };
            if !known.contains(&named.name) {
                let message = format!(
                    "policy `{}` names the {what} `{}`, which broker.toml does not define{}",
                    named.policy,
                    named.name.escape_debug(),
                    nearest(&named.name, known.iter())
                );
                faults.push(Fault {
                    file: self.dir.join(&named.file),
                    line: named.line,
                    message,
                });
            }
        }
        faults.sorted()
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read ({})", e.kind()))?.len();
    if size > POLICY_BYTES_MAX {
        return Err(format!("larger than {POLICY_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot be read ({})", e.kind()))
}
