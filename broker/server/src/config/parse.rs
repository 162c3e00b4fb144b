//! Text → raw configuration, with every fault of syntax, spelling and type found in one go.
//!
//! serde stops at its first error. Here the entry that caused it is taken out and the rest is read again, so that a person
//! mends a file once and not once a line.

use std::ops::Range;

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::Collector;
use super::raw::RawConfig;

/// Faults of spelling and type reported at most; a file with more is not a broker.toml.
const FAULTS_MAX: usize = 100;

/// What could be read, and the dotted paths of what could not: those are not reported a second time as missing.
pub(super) struct Parsed {
    pub(super) raw: RawConfig,
    pub(super) removed: Vec<String>,
}

pub(super) fn parse(text: &str, faults: &mut Collector<'_>) -> Parsed {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let mut removed = Vec::new();
    for error in &errors {
        faults.at(&error.span().unwrap_or(0..0), one_line(error.message()));
    }
    if !errors.is_empty() {
        // What follows a syntax error may have been read as something else: report no consequences of it.
        return Parsed {
            raw: RawConfig::default(),
            removed: vec![String::new()],
        };
    }
    for _ in 0..FAULTS_MAX {
        let attempt: Result<RawConfig, toml::de::Error> = RawConfig::deserialize(document.clone().into_deserializer());
        let error = match attempt {
            Ok(raw) => return Parsed { raw, removed },
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let Some(path) = remove_at(document.get_mut(), &span) else {
            faults.at(&span, one_line(error.message()));
            break;
        };
        faults.at(&span, explain(&path, error.message()));
        removed.push(path);
    }
    Parsed {
        raw: RawConfig::default(),
        removed: vec![String::new()],
    }
}

/// Takes out the innermost entry whose key or value covers `span`; its dotted path.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let mut hit = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        if covers(key.span()) {
            hit = Some(name);
            break;
        }
        if let Some(inner) = remove_in(value, span) {
            return Some(format!("{name}.{inner}"));
        }
        if covers(value.span()) {
            hit = Some(name);
            break;
        }
    }
    let name = hit?;
    table.remove(name.as_str())?;
    Some(name)
}

/// Headers of tables do not cover what stands below them, so the search goes down whether or not the span fits.
fn remove_in(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => remove_at(table, span),
        DeValue::Array(items) => items
            .iter_mut()
            .enumerate()
            .find_map(|(i, item)| remove_in(item, span).map(|inner| format!("{}.{inner}", i + 1))),
        _ => None,
    }
}

fn explain(path: &str, message: &str) -> String {
    // serde quotes the value it found, and here it may be a password.
    let secret = path.split('.').find_map(|part| {
        Some(match part {
            "password" | "token" => part,
            "secrets" => "secret",
            "secret_url" => "secret address",
            "access_key" | "secret_key" | "session_token" => "key",
            _ => return None,
        })
    });
    if let Some(secret) = secret {
        return format!(
            "`{path}`: a {secret} is written as {{ env = \"VARIABLE\" }}, {{ file = \"PATH\" }} or {{ sealed = \"…\" }} (see `chunk-broker seal`)"
        );
    }
    format!("`{path}`: {}", one_line(message))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
