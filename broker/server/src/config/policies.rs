//! The folder of Cedar policies: every `*.cedar` file in it, in order of name.

use std::collections::BTreeMap;
use std::path::Path;

use chunk_core::catalog::Dataset;
use chunk_core::policy::PolicySet;

use super::MaskConfig;
use super::check::nearest;
use super::faults::{Fault, Faults};

/// A policy file larger than this was not written by a person.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Reads and validates every policy of a folder.
///
/// # Errors
/// When the folder cannot be read, holds no policy, or any policy does not fit the schema.
pub fn load_policies(dir: &Path) -> Result<PolicySet, Faults> {
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
    match PolicySet::load(&files) {
        Ok(policies) if faults.is_empty() => Ok(policies),
        Ok(_) => Err(faults.sorted()),
        Err(found) => {
            for fault in found {
                faults.push(Fault {
                    file: dir.join(&fault.file),
                    line: fault.line,
                    message: fault.message,
                });
            }
            Err(faults.sorted())
        }
    }
}

/// Datasets and classes that policies name and configuration does not: a misspelt name in a `forbid` forbids nothing.
pub(super) fn unknown_names(
    policies: &PolicySet,
    dir: &Path,
    datasets: &BTreeMap<String, Dataset>,
    classes: &BTreeMap<String, MaskConfig>,
) -> Faults {
    let mut faults = Faults::default();
    for named in policies.named() {
        let (known, hint) = match named.kind {
            "Class" => (classes.contains_key(&named.name), nearest(&named.name, classes.keys())),
            _ => (datasets.contains_key(&named.name), nearest(&named.name, datasets.keys())),
        };
        if !known {
            let what = if named.kind == "Class" { "class" } else { "dataset" };
            let message = format!(
                "policy `{}` names the {what} `{}`, which broker.toml does not define{hint}",
                named.policy,
                named.name.escape_debug()
            );
            faults.push(Fault {
                file: dir.join(&named.file),
                line: named.line,
                message,
            });
        }
    }
    faults.sorted()
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read ({})", e.kind()))?.len();
    if size > POLICY_BYTES_MAX {
        return Err(format!("larger than {POLICY_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot be read ({})", e.kind()))
}
