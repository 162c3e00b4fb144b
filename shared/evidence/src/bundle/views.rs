//! What people and spreadsheets read: one JSON line an entry, a population list, and one CSV per family of kinds.
//!
//! Views are functions of the rows alone; the verifier runs this same code into hashes and compares, so that an auditor may
//! sample from a CSV and rely on it. Cells cannot start a formula, and carry no control or direction-changing characters.

use std::collections::BTreeMap;

use serde_json::Value;

use super::row;
use crate::body::Group;
use crate::civil::rfc3339;
use crate::disclosed::{Disclosed, Opened};
use crate::encode::{EncodeError, canonical};

/// Takes the text of a view as it is made.
pub(super) trait Sink: Default {
    fn put(&mut self, text: &str);
}

impl Sink for Vec<u8> {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// All views of a bundle while its rows go by.
pub(super) struct Views<S> {
    by_name: BTreeMap<String, S>,
}

/// Columns that every table begins with.
const COMMON: &str = "index,time,kind,actor,session,dataset,decision,policy,refs,disclosed";
pub(super) const ENTRIES: &str = "views/entries.jsonl";
const POPULATION: &str = "views/population.csv";

impl<S: Sink> Views<S> {
    pub(super) fn new() -> Self {
        let mut views = Self { by_name: BTreeMap::new() };
        views.sink(ENTRIES);
        views.sink(POPULATION).put(COMMON);
        views.sink(POPULATION).put("\r\n");
        views
    }

    /// Adds a row of the range.
    pub(super) fn add(&mut self, entry: &Disclosed) -> Result<(), EncodeError> {
        let header = &entry.leaf.header;
        let time = rfc3339(header.t);
        let disclosed = match entry.opened() {
            Opened::Full => "full",
            Opened::Partly(_) => "partly",
            Opened::Header => "header",
            Opened::Erased(_) => "erased",
        };
        let line = row::view(entry, &time, disclosed)?;
        let entries = self.sink(ENTRIES);
        entries.put(&line);
        entries.put("\n");

        let refs: Vec<String> = header.refs.iter().map(u64::to_string).collect();
        let common = [
            entry.index.to_string(),
            time,
            header.kind.as_str().to_owned(),
            guard(header.act.as_deref().unwrap_or_default()),
            guard(header.sid.as_deref().unwrap_or_default()),
            guard(header.ds.as_deref().unwrap_or_default()),
            header.dec.map_or("", |dec| dec.as_str()).to_owned(),
            header.pol.map(|pol| pol.to_string()).unwrap_or_default(),
            refs.join(";"),
            disclosed.to_owned(),
        ]
        .join(",");
        let population = self.sink(POPULATION);
        population.put(&common);
        population.put("\r\n");

        let family = header.kind.family();
        let columns = columns(family);
        let name = format!("views/{family}.csv");
        if !self.by_name.contains_key(&name) {
            let titles: String = columns.iter().map(|(title, ..)| format!(",{title}")).collect();
            self.sink(&name).put(&format!("{COMMON}{titles}\r\n"));
        }
        let mut line = common;
        for (_, group, member) in columns {
            line.push(',');
            line.push_str(&cell(entry.body().get(*group).get(*member).unwrap_or(&Value::Null))?);
        }
        line.push_str("\r\n");
        self.sink(&name).put(&line);
        Ok(())
    }

    /// The views by member name.
    pub(super) fn finish(self) -> BTreeMap<String, S> {
        self.by_name
    }

    fn sink(&mut self, name: &str) -> &mut S {
        self.by_name.entry(name.to_owned()).or_default()
    }
}

/// The columns of a family's table after the common ones: title, group, member.
fn columns(family: &str) -> &'static [(&'static str, Group, &'static str)] {
    use Group::{Env, Mask, Net, Obj, Out, What, Who, Why};
    match family {
        "session" => &[
            ("issuer", Who, "issuer"),
            ("subject", Who, "subject"),
            ("name", Who, "name"),
            ("email", Who, "email"),
            ("groups", Who, "groups"),
            ("amr", Who, "amr"),
            ("key", Who, "key"),
            ("ip", Net, "ip"),
            ("host", Net, "host"),
            ("client", Net, "client"),
            ("expires_ms", Out, "expires_ms"),
            ("cause", Why, "cause"),
            ("code", Out, "code"),
            ("count", Out, "count"),
        ],
        "request" => &[
            ("request", What, "id"),
            ("digest", What, "digest"),
            ("datasets", Obj, "datasets"),
            ("connections", Obj, "connections"),
            ("columns", Obj, "columns"),
            ("reason", Why, "reason"),
            ("ticket", Why, "ticket"),
            ("state", Out, "state"),
            ("quorum", Out, "quorum"),
            ("rows_estimated", Out, "rows_estimated"),
            ("expires_ms", Out, "expires_ms"),
            ("query", What, "query"),
            ("code", Out, "code"),
            ("policies", Out, "policies"),
        ],
        "review" => &[
            ("request", What, "id"),
            ("digest", What, "digest"),
            ("issuer", Who, "issuer"),
            ("subject", Who, "subject"),
            ("key", Who, "key"),
            ("reason", Why, "reason"),
        ],
        "grant" => &[
            ("request", What, "id"),
            ("digest", What, "digest"),
            ("expires_ms", Out, "expires_ms"),
            ("uses", Out, "uses"),
            ("reason", Why, "reason"),
        ],
        "fetch" => &[
            ("request", What, "request"),
            ("fetch", What, "fetch"),
            ("chunk", What, "chunk"),
            ("datasets", Obj, "datasets"),
            ("connections", Obj, "connections"),
            ("end", Out, "end"),
            ("rows", Out, "rows"),
            ("bytes", Out, "bytes"),
            ("bytes_max", Out, "bytes_max"),
            ("ms", Out, "ms"),
            ("sha256", Out, "sha256"),
            ("columns", Mask, "columns"),
            ("instance", Env, "instance"),
        ],
        "delivery" => &[("request", What, "id"), ("sha256", Out, "sha256")],
        "policy" => &[("digest", What, "digest")],
        "config" => &[("digest", What, "digest"), ("datasets", What, "datasets")],
        "audit" => &[
            ("query", What, "query"),
            ("entries", Out, "entries"),
            ("from", Out, "from"),
            ("to", Out, "to"),
            ("level", Out, "level"),
        ],
        "broker" => &[("version", Env, "version"), ("instance", Env, "instance")],
        "log" => &[("origin", Env, "origin"), ("version", Env, "version"), ("log_key", What, "log_key")],
        _ => &[],
    }
}

/// A value as one cell: texts as they are, lists of texts joined by semicolons, anything else as canonical JSON.
fn cell(value: &Value) -> Result<String, EncodeError> {
    Ok(match value {
        Value::Null => String::new(),
        Value::String(text) => guard(text),
        Value::Number(_) | Value::Bool(_) => canonical(value)?,
        Value::Array(items) => match items.iter().map(Value::as_str).collect::<Option<Vec<_>>>() {
            Some(texts) => guard(&texts.join(";")),
            None => guard(&canonical(value)?),
        },
        Value::Object(_) => guard(&canonical(value)?),
    })
}

/// A text as a CSV cell that no spreadsheet takes for a formula and no terminal for a command.
fn guard(text: &str) -> String {
    let starts_formula = |text: &str| {
        text.trim_start()
            .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
    };
    let unsafe_char = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = text.chars().map(|c| if unsafe_char(c) { ' ' } else { c }).collect();
    let clean = if starts_formula(&clean) { format!("'{clean}") } else { clean };
    let quoted = clean.contains([',', '"', ';', ' ', '\'']);
    if quoted {
        format!("\"{}\"", clean.replace('"', "\"\""))
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn no_cell_starts_a_formula_or_carries_controls() {
        assert_eq!(guard("plain"), "plain");
        assert_eq!(guard("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for text in ["+1", "-1", "@a", "\t=1", " =1", "\r\n=1", "\u{ff1d}1"] {
            assert!(guard(text).trim_start_matches('"').starts_with('\''), "{text:?}");
        }
        assert_eq!(guard("a\u{1b}[2Jb\u{202e}c"), "\"a [2Jb c\"");
        assert_eq!(guard("a\r\nb"), "\"a  b\"");
    }

    #[test]
    fn values_have_one_cell_each() {
        assert_eq!(cell(&json!(null)).unwrap(), "");
        assert_eq!(cell(&json!(-5)).unwrap(), "-5");
        assert_eq!(cell(&json!(["a", "b"])).unwrap(), "\"a;b\"");
        assert_eq!(cell(&json!([{"a": 1}])).unwrap(), "\"[{\"\"a\"\":1}]\"");
        assert_eq!(cell(&json!(true)).unwrap(), "true");
    }
}
