//! Raw → checked: required, bounded, resolved. Looks at everything before it gives up.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use chunk_core::catalog::distance;
use chunk_core::policy::PolicySet;
use toml::Spanned;

use super::faults::{Collector, Faults};
use super::raw::At;
use super::{
    Config, PolicyFolder, broker, classes, connections, datasets, mirror, notify, parse, retention, saml, sinks, timestamps, witness,
    workload,
};

/// One pass over one file.
pub(super) struct Check<'a> {
    pub(super) faults: Collector<'a>,
    dir: PathBuf,
    removed: Vec<String>,
}

/// Checks the text of a file; `policies_of` gives the policies of the folder that it names.
pub(super) fn check(file: &Path, text: &str, policies_of: impl FnOnce(&Path) -> Result<PolicySet, Faults>) -> Result<Config, Faults> {
    let mut faults = Collector::new(file, text);
    let parsed = parse::parse(text, &mut faults);
    let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut check = Check {
        faults,
        dir,
        removed: parsed.removed,
    };
    let raw = parsed.raw;

    let broker = broker::broker(&mut check, raw.broker);
    if raw.issuer.is_empty() && raw.saml.is_empty() && !check.was_removed("issuer") && !check.was_removed("saml") {
        check
            .faults
            .whole_file("no `[[issuer]]` and no `[[saml]]`: at least one identity provider must vouch for people");
    }
    let issuers = broker::issuers(&mut check, raw.issuer, broker.as_ref());
    let workloads = workload::workloads(&mut check, raw.workload, broker.as_ref(), &issuers);
    let saml = saml::providers(&mut check, raw.saml, &issuers, &workloads);
    let witness = witness::witnesses(&mut check, raw.witness);
    let timestamps = timestamps::timestamps(&mut check, raw.timestamps);
    let mirror = mirror::mirror(&mut check, raw.mirror);
    let retention = retention::retention(&mut check, raw.retention);
    let sinks = sinks::sinks(&mut check, raw.sinks);
    let connections = connections::connections(&mut check, raw.connections);
    let classes = classes::classes(&mut check, raw.classes);
    let datasets = datasets::datasets(&mut check, raw.datasets, &connections, &classes);
    let notifiers = notify::notifiers(&mut check, raw.notify, &datasets);

    let policies = broker.as_ref().map(|b| policies_of(&b.policies));
    let mut faults = check.faults.into_faults();
    let policies = match policies {
        Some(Ok(policies)) => {
            // Names in policies are compared with what could be read; with faults above, some of it is missing.
            if let (true, Some(broker)) = (faults.is_empty(), &broker) {
                faults.extend(PolicyFolder::new(&broker.policies, &datasets, &classes, &workloads).unknown_names(&policies));
            }
            Some(policies)
        }
        Some(Err(more)) => {
            faults.extend(more);
            None
        }
        None => None,
    };
    match (broker, policies) {
        (Some(broker), Some(policies)) if faults.is_empty() => {
            let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
            Ok(Config {
                file: file.to_owned(),
                digest,
                broker,
                issuers,
                saml,
                workloads,
                witness,
                timestamps,
                mirror,
                retention,
                sinks,
                notifiers,
                connections,
                classes,
                datasets,
                policies,
            })
        }
        _ => Err(faults),
    }
}

impl Check<'_> {
    /// A field that must be there. Missing is reported at `section`, unless it was there and could not be read.
    pub(super) fn required<T>(&mut self, field: At<T>, section: &Range<usize>, path: &str) -> Option<Spanned<T>> {
        if field.is_none() {
            self.missing(section, path, "is missing");
        }
        field
    }

    pub(super) fn missing(&mut self, section: &Range<usize>, path: &str, what: &str) {
        if !self.was_removed(path) {
            self.faults.at(section, format!("`{path}` {what}"));
        }
    }

    pub(super) fn was_removed(&self, path: &str) -> bool {
        self.removed
            .iter()
            .any(|r| r.is_empty() || r == path || path.starts_with(&format!("{r}.")) || r.starts_with(&format!("{path}.")))
    }

    /// A field that has no business in this kind of table.
    pub(super) fn not_here<T>(&mut self, field: &At<T>, path: &str, why: &str) {
        if let Some(field) = field {
            self.faults.at(&field.span(), format!("`{path}` {why}"));
        }
    }

    /// A whole number within bounds, or the default.
    pub(super) fn number(&mut self, field: At<i64>, path: &str, bounds: RangeInclusive<i64>, default: i64) -> i64 {
        self.optional_number(field, path, bounds).unwrap_or(default)
    }

    pub(super) fn optional_number(&mut self, field: At<i64>, path: &str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let field = field?;
        if bounds.contains(field.get_ref()) {
            return Some(*field.get_ref());
        }
        self.faults.at(
            &field.span(),
            format!("`{path}` must be between {} and {}", bounds.start(), bounds.end()),
        );
        None
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, field: &Spanned<String>, path: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| word == field.get_ref()).map(|(_, value)| *value);
        if found.is_none() {
            let list = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            self.faults.at(&field.span(), format!("`{path}` must be one of {list}"));
        }
        found
    }

    /// Text that is not blank, of one line.
    pub(super) fn text(&mut self, field: At<String>, section: &Range<usize>, path: &str) -> Option<String> {
        let field = self.required(field, section, path)?;
        self.checked_text(field, path)
    }

    pub(super) fn checked_text(&mut self, field: Spanned<String>, path: &str) -> Option<String> {
        let text = field.get_ref();
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            self.faults
                .at(&field.span(), format!("`{path}` must be one line of text that is not blank"));
            return None;
        }
        Some(field.into_inner())
    }

    /// A path, resolved below the folder of the configuration file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// A file that must be readable now.
    pub(super) fn readable_file(&mut self, field: Spanned<String>, path: &str) -> Option<PathBuf> {
        let file = self.resolve(field.get_ref());
        match std::fs::File::open(&file).and_then(|f| f.metadata()) {
            Ok(meta) if meta.is_file() => Some(file),
            Ok(_) => {
                self.faults.at(&field.span(), format!("`{path}`: {} is not a file", file.display()));
                None
            }
            Err(e) => {
                self.faults
                    .at(&field.span(), format!("`{path}`: {} cannot be read ({})", file.display(), e.kind()));
                None
            }
        }
    }

    /// A name that needs no quoting in SQL, URLs and policies.
    pub(super) fn name(&mut self, name: &Spanned<String>, what: &str) -> bool {
        let good = is_name(name.get_ref());
        if !good {
            self.faults.at(
                &name.span(),
                format!(
                    "{what} `{}` must be 1 to 63 of a–z, 0–9 and _, starting with a letter",
                    name.get_ref().escape_default()
                ),
            );
        }
        good
    }
}

/// The nearest of some names, for "did you mean".
pub(super) fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a String>) -> String {
    among
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}
