//! The assessment as OSCAL assessment results, for tools that collect evidence by control.
//!
//! A question is an observation, with the entries it selected as its evidence. A finding says only whether a question that asks for
//! attention found nothing: whether a *control* is met is for an assessor to say. Every UUID is of a name, so that the same bundle
//! gives the same document.

use serde_json::{Value, json};

use super::Source;
use super::assess::{Answer, Assessment, Described};
use super::checks::{CHECKS, Check, Role};
use super::controls::{CONTROLS, Control};
use super::text::{self, object};
use super::uuid::uuid;
use crate::bundle;
use crate::civil::rfc3339;
use crate::encode::{EncodeError, canonical, to_hex};

/// Version of OSCAL.
pub(super) const OSCAL_VERSION: &str = "1.2.1";
/// Name space of our own properties.
const NS: &str = "https://chunkctl.dev/ns/oscal";

/// The document.
///
/// # Errors
/// When a text in it has no canonical form, which the texts of a verified bundle have.
pub fn assessment_results(source: &Source<'_>, assessment: &Assessment) -> Result<String, EncodeError> {
    let document = Document::new(source, assessment);
    let value = json!({ "assessment-results": document.results() });
    Ok(format!("{}\n", text::json(&canonical(&value)?)))
}

struct Document<'a> {
    source: &'a Source<'a>,
    assessment: &'a Assessment,
    /// Prefix of every name.
    name: String,
    start: String,
    end: String,
}

impl<'a> Document<'a> {
    fn new(source: &'a Source<'a>, assessment: &'a Assessment) -> Self {
        let found = source.verification;
        let (first, last) = assessment.span_ms().unwrap_or_default();
        Self {
            source,
            assessment,
            name: format!("{}#{}-{}@{}", found.origin, found.from, found.to, source.sha256),
            start: rfc3339(first),
            end: rfc3339(last),
        }
    }

    /// The UUID of a part of this document.
    fn id(&self, part: &str) -> String {
        uuid(&format!("{}/{part}", self.name))
    }

    fn results(&self) -> Value {
        let found = self.source.verification;
        let title = format!("Access to data as recorded in {}", found.origin);
        let mut observations: Vec<Value> = found.claims.iter().map(|claim| self.claim(claim)).collect();
        let asked = CHECKS.iter().filter_map(|check| self.assessment.answer(check.id));
        observations.extend(asked.map(|(check, answer)| self.observation(check, answer)));
        let controls: Vec<Value> = CONTROLS
            .iter()
            .map(|control| json!({ "control-id": control_id(control) }))
            .collect();
        let result = json!({
            "description": "Every entry of the range was read after the bundle was verified; figures and lists are functions of the bundle.",
            "end": self.end,
            "findings": CONTROLS.iter().flat_map(|control| self.findings(control)).collect::<Vec<_>>(),
            "observations": observations,
            "props": [
                prop("origin", &found.origin), prop("first-entry", &found.from.to_string()), prop("end-entry", &found.to.to_string()),
                prop("head-size", &found.head.to_string()), prop("head-root", &to_hex(&self.source.head_root)),
                prop("disclosure-level", &found.level.to_string()), prop("verification", found.answer.as_str()),
            ],
            "reviewed-controls": { "control-selections": [{
                "description": "Controls of ISO/IEC 27001:2022, Annex A, about which the evidence log says something.",
                "include-controls": controls,
            }] },
            "start": self.start,
            "title": title,
            "uuid": self.id("result"),
        });
        json!({
            "back-matter": { "resources": [self.bundle(), self.plan()] },
            "import-ap": { "href": format!("#{}", self.id("plan")) },
            "metadata": {
                "last-modified": self.end, "oscal-version": OSCAL_VERSION, "title": title,
                "version": text::short(&self.source.sha256, 16).trim_end_matches('…'),
            },
            "results": [result],
            "uuid": self.id("assessment-results"),
        })
    }

    fn bundle(&self) -> Value {
        let source = self.source;
        json!({
            "description": "The bundle that everything here was derived from. It proves itself offline.",
            "props": [prop("log-key", &source.log_key)],
            "rlinks": [{
                "hashes": [{ "algorithm": "SHA-256", "value": source.sha256 }],
                "href": href(&source.file), "media-type": "application/vnd.chunkctl.bundle",
            }],
            "title": "Bundle of the evidence log",
            "uuid": self.id("bundle"),
        })
    }

    fn plan(&self) -> Value {
        json!({
            "description": "Verify the bundle under the auditor's own trust file; then put every question to every entry. Each observation carries the query by which its figure is checked.",
            "title": "Plan: questions put to the evidence log",
            "uuid": self.id("plan"),
        })
    }

    fn claim(&self, claim: &bundle::Claim) -> Value {
        json!({
            "collected": self.end,
            "description": claim.text,
            "methods": ["TEST"],
            "props": [prop("claim", claim.id), prop("holds", claim.answer.as_str())],
            "relevant-evidence": [self.evidence("The whole bundle.", Vec::new())],
            "title": format!("Verification: {}", claim.id),
            "uuid": self.id(&format!("claim/{}", claim.id)),
        })
    }

    fn observation(&self, check: &Check, answer: &Answer) -> Value {
        let mut evidence: Vec<Value> = answer.described.iter().map(|entry| self.entry(entry)).collect();
        if evidence.is_empty() {
            evidence.push(self.evidence("The rows of the bundle.", Vec::new()));
        }
        let mut description = format!("{}: {}.", check.title, text::count(answer.value));
        if answer.value > answer.described.len() as u64 && !answer.indices.is_empty() {
            description.push_str(&format!(" The first of them by index: {}.", text::indices(&answer.indices)));
        }
        json!({
            "collected": self.end,
            "description": description,
            "methods": ["EXAMINE"],
            "props": [prop("check", check.id), prop("value", &answer.value.to_string()), prop("not-judged", &answer.withheld.to_string())],
            "relevant-evidence": evidence,
            "remarks": format!("Check it over views/entries.jsonl of the bundle: {}", check.command()),
            "title": check.title,
            "uuid": self.id(&format!("check/{}", check.id)),
        })
    }

    /// An entry as evidence, under a name that other documents about the same log give it too.
    fn entry(&self, entry: &Described) -> Value {
        let origin = &self.source.verification.origin;
        let words = format!(
            "Entry #{}, {}, {} {} {}: {}",
            entry.index,
            rfc3339(entry.time_ms),
            entry.kind.as_str(),
            entry.who,
            entry.dataset,
            entry.words
        );
        let props = vec![
            prop("entry", &uuid(&format!("{origin}#{}", entry.index))),
            prop("entry-index", &entry.index.to_string()),
            prop("leaf-hash", &to_hex(&entry.hash)),
        ];
        self.evidence(&words, props)
    }

    fn evidence(&self, description: &str, props: Vec<Value>) -> Value {
        let evidence = object([
            ("description", Some(description.into())),
            ("href", Some(format!("#{}", self.id("bundle")).into())),
            ("props", (!props.is_empty()).then(|| props.into())),
        ]);
        evidence.into()
    }

    fn findings(&self, control: &Control) -> Vec<Value> {
        let mut findings = Vec::new();
        let claims = &self.source.verification.claims;
        let made: Vec<&bundle::Claim> = claims.iter().filter(|claim| control.claims.contains(&claim.id)).collect();
        if !made.is_empty() {
            let holds = made.iter().all(|claim| claim.answer == bundle::Answer::True);
            let related = made.iter().map(|claim| self.id(&format!("claim/{}", claim.id))).collect();
            findings.push(self.finding(control, "verified", "What the log says about it is proven", holds, related, None));
        }
        for id in control.checks {
            let Some((check, answer)) = self.assessment.answer(id).filter(|(check, _)| check.role == Role::Ask) else {
                continue;
            };
            let remark = (answer.withheld > 0).then(|| {
                format!(
                    "{} could not be judged: their bodies are erased or were not exported.",
                    text::plural(answer.withheld, "entry", "entries")
                )
            });
            let none = answer.value == 0 && answer.withheld == 0;
            let title = format!("None found: {}", check.title);
            findings.push(self.finding(control, id, &title, none, vec![self.id(&format!("check/{id}"))], remark));
        }
        findings
    }

    fn finding(&self, control: &Control, id: &str, title: &str, holds: bool, related: Vec<String>, remark: Option<String>) -> Value {
        let status = if holds {
            json!({ "reason": "pass", "state": "satisfied" })
        } else {
            json!({ "reason": "other", "state": "not-satisfied" })
        };
        let observations: Vec<Value> = related.into_iter().map(|uuid| json!({ "observation-uuid": uuid })).collect();
        let target = json!({ "status": status, "target-id": format!("{}_{id}", control_id(control)), "type": "objective-id" });
        let finding = object([
            (
                "description",
                Some(format!("{} {}. {}", control.number, control.title, control.asks).into()),
            ),
            ("related-observations", Some(observations.into())),
            ("remarks", remark.map(Value::from)),
            ("target", Some(target)),
            ("title", Some(title.into())),
            ("uuid", Some(self.id(&format!("finding/{}/{id}", control.number)).into())),
        ]);
        finding.into()
    }
}

fn control_id(control: &Control) -> String {
    control.number.to_ascii_lowercase()
}

/// A property of ours; its value is one line that is not blank.
fn prop(name: &str, value: &str) -> Value {
    let value = text::plain(value);
    let value = value.trim();
    json!({ "name": name, "ns": NS, "value": if value.is_empty() { "-" } else { value } })
}

/// A file's name as a relative reference.
fn href(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let word: String = name
        .bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    format!("./{word}")
}
