//! What people and spreadsheets read: a population list to sample from, one CSV per family of kinds, and one JSON line an entry.
//!
//! Views are functions of the rows alone. A verifier makes them itself, and where a bundle carries them compares, so that an
//! auditor may sample from a CSV and rely on it. Cells cannot start a formula, and carry no control or direction-changing
//! characters.

use std::collections::BTreeMap;

use crate::body::Group;
use crate::civil::rfc3339;
use crate::disclosed::{Disclosed, Opened};
use crate::encode::write_string;
use crate::scan::Raw;

/// A view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// Everything that is opened, as JSON lines.
    Entries,
    /// A line an entry.
    Population,
    /// The entries of a family of kinds, with what is particular to it.
    Family(&'static str),
}

/// Columns that every table begins with.
const COMMON: &str = "index,time,kind,actor,session,dataset,decision,policy,refs,disclosed";

impl View {
    /// Name of the member.
    pub(super) fn name(self) -> String {
        match self {
            View::Entries => "views/entries.jsonl".to_owned(),
            View::Population => "views/population.csv".to_owned(),
            View::Family(family) => format!("views/{family}.csv"),
        }
    }

    /// What it begins with.
    pub(super) fn title(self) -> String {
        match self {
            View::Entries => String::new(),
            View::Population => format!("{COMMON}\r\n"),
            View::Family(family) => {
                let titles: String = family_columns(family).iter().map(|(title, ..)| format!(",{title}")).collect();
                format!("{COMMON}{titles}\r\n")
            }
        }
    }
}

/// The views that a level has even without rows.
pub(super) fn always(level: u8) -> &'static [View] {
    match level {
        0 => &[],
        1 => &[View::Population],
        _ => &[View::Entries, View::Population],
    }
}

/// Adds an entry of the range to the views of its level. Where nothing is opened, the population list says all there is.
pub(super) fn render(entry: &Disclosed<'_>, level: u8, views: &mut BTreeMap<View, String>) {
    let time = rfc3339(entry.t);
    let disclosed = match entry.opened {
        Opened::Full => "full",
        Opened::Partly(_) => "partly",
        Opened::Header => "header",
        Opened::Erased(_) => "erased",
        Opened::Disposed(_) => "disposed",
    };
    let population = views.entry(View::Population).or_default();
    let from = population.len();
    common(population, entry, &time, disclosed);
    if level < 2 {
        population.push_str("\r\n");
        return;
    }
    let common = population.get(from..).unwrap_or_default().to_owned();
    population.push_str("\r\n");

    let family = entry.kind.family();
    let table = views.entry(View::Family(family)).or_default();
    table.push_str(&common);
    for (_, group, member) in family_columns(family) {
        table.push(',');
        if let Some(value) = entry.member(*group, member) {
            cell(table, value);
        }
    }
    table.push_str("\r\n");
    line(views.entry(View::Entries).or_default(), entry, &time, disclosed);
}

fn common(table: &mut String, entry: &Disclosed<'_>, time: &str, disclosed: &str) {
    table.push_str(&entry.index.to_string());
    for plain in [time, entry.kind.as_str()] {
        table.push(',');
        table.push_str(plain);
    }
    for text in [entry.act, entry.sid, entry.ds] {
        table.push(',');
        guard(table, text.unwrap_or_default());
    }
    table.push(',');
    table.push_str(entry.dec.map_or("", |dec| dec.as_str()));
    table.push(',');
    if let Some(pol) = entry.pol {
        table.push_str(&pol.to_string());
    }
    for (number, reference) in entry.refs.iter().enumerate() {
        table.push(if number == 0 { ',' } else { ';' });
        table.push_str(&reference.to_string());
    }
    if entry.refs.is_empty() {
        table.push(',');
    }
    table.push(',');
    table.push_str(disclosed);
}

/// A line of `views/entries.jsonl`: header members by their full names and the opened groups, as canonical JSON.
fn line(text: &mut String, entry: &Disclosed<'_>, time: &str, disclosed: &str) {
    let quoted = |value: &str| {
        let mut text = String::with_capacity(value.len() + 2);
        write_string(&mut text, value);
        text
    };
    let refs = || {
        let refs: Vec<String> = entry.refs.iter().map(u64::to_string).collect();
        format!("[{}]", refs.join(","))
    };
    let group = |group: Group| entry.group(group).map(|value| value.text().to_owned());
    // In order of the names.
    let members = [
        ("actor", entry.act.map(quoted)),
        ("dataset", entry.ds.map(quoted)),
        ("decision", entry.dec.map(|dec| quoted(dec.as_str()))),
        ("disclosed", Some(quoted(disclosed))),
        ("env", group(Group::Env)),
        ("index", Some(entry.index.to_string())),
        ("kind", Some(quoted(entry.kind.as_str()))),
        ("mask", group(Group::Mask)),
        ("net", group(Group::Net)),
        ("obj", group(Group::Obj)),
        ("out", group(Group::Out)),
        ("policy", entry.pol.map(|pol| pol.to_string())),
        ("refs", (!entry.refs.is_empty()).then(refs)),
        ("session", entry.sid.map(quoted)),
        ("time", Some(quoted(time))),
        ("what", entry.group(Group::What).map(without_envelope)),
        ("who", group(Group::Who)),
        ("why", group(Group::Why)),
    ];
    let mut mark = '{';
    for (name, value) in members {
        let Some(value) = value else { continue };
        text.push(mark);
        text.push('"');
        text.push_str(name);
        text.push_str("\":");
        text.push_str(&value);
        mark = ',';
    }
    text.push_str("}\n");
}

/// Signatures are for verifiers, who read the rows; what was signed stands in the other groups.
fn without_envelope(what: Raw<'_>) -> String {
    let mut text = String::with_capacity(what.text().len());
    let mut mark = '{';
    for (name, value) in what.members().filter(|(name, _)| name != "envelope") {
        text.push(mark);
        write_string(&mut text, &name);
        text.push(':');
        text.push_str(value.text());
        mark = ',';
    }
    if mark == '{' {
        text.push(mark);
    }
    text.push('}');
    text
}

/// The columns of a family's table after the common ones: title, group, member.
pub(crate) fn family_columns(family: &str) -> &'static [(&'static str, Group, &'static str)] {
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
            ("public_key", Who, "public_key"),
            ("ip", Net, "ip"),
            ("host", Net, "host"),
            ("client", Net, "client"),
            ("expires_ms", Out, "expires_ms"),
            ("cause", Why, "cause"),
            ("code", Out, "code"),
            ("count", Out, "count"),
        ],
        "subject" => &[
            ("issuer", Who, "issuer"),
            ("user_name", Who, "user_name"),
            ("external_id", Who, "external_id"),
            ("known_by", Who, "known_by"),
            ("ip", Net, "ip"),
        ],
        "person" => &[("ip", Net, "ip"), ("cause", Why, "cause")],
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
            ("ssh_key", Who, "ssh_key"),
            ("reason", Why, "reason"),
        ],
        "breakglass" => &[
            ("request", What, "id"),
            ("digest", What, "digest"),
            ("issuer", Who, "issuer"),
            ("subject", Who, "subject"),
            ("key", Who, "key"),
            ("ssh_key", Who, "ssh_key"),
            ("reason", Why, "reason"),
            ("ticket", Why, "ticket"),
        ],
        "key" => &[
            ("issuer", Who, "issuer"),
            ("subject", Who, "subject"),
            ("ssh_key", Who, "ssh_key"),
            ("ssh_public_key", Who, "ssh_public_key"),
            ("ip", Net, "ip"),
            ("host", Net, "host"),
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
            ("chunks", What, "chunks"),
            ("snapshot", What, "snapshot"),
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
        "anchor" => &[
            ("anchor", What, "anchor"),
            ("size", What, "size"),
            ("root", What, "root"),
            ("sha256", What, "sha256"),
            ("time_ms", What, "time_ms"),
        ],
        "log" => &[("origin", Env, "origin"), ("version", Env, "version"), ("log_key", What, "log_key")],
        _ => &[],
    }
}

/// Appends a value as one cell: texts as they are, lists of texts joined by semicolons, anything else as canonical JSON.
fn cell(table: &mut String, value: Raw<'_>) {
    if value.is_null() {
        return;
    }
    if value.is_plain() {
        table.push_str(value.text());
    } else if let Some(text) = value.as_str() {
        guard(table, &text);
    } else if let Some(texts) = value.items().and_then(|items| items.map(Raw::as_str).collect::<Option<Vec<_>>>()) {
        guard(table, &texts.join(";"));
    } else {
        guard(table, value.text());
    }
}

/// Appends a text as a cell that no spreadsheet takes for a formula and no terminal for a command.
fn guard(table: &mut String, text: &str) {
    // Most cells are ids and names.
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"_.:/".contains(&b);
    if text.bytes().all(harmless) {
        table.push_str(text);
        return;
    }
    let starts_formula = |text: &str| {
        text.trim_start()
            .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
    };
    let unsafe_char = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = text.chars().map(|c| if unsafe_char(c) { ' ' } else { c }).collect();
    let clean = if starts_formula(&clean) { format!("'{clean}") } else { clean };
    if clean.contains([',', '"', ';', ' ', '\'']) {
        table.push('"');
        table.push_str(&clean.replace('"', "\"\""));
        table.push('"');
    } else {
        table.push_str(&clean);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn guarded(text: &str) -> String {
        let mut table = String::new();
        guard(&mut table, text);
        table
    }

    #[test]
    fn no_cell_starts_a_formula_or_carries_controls() {
        assert_eq!(guarded("plain"), "plain");
        assert_eq!(guarded("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for text in ["+1", "-1", "@a", "\t=1", " =1", "\r\n=1", "\u{ff1d}1"] {
            assert!(guarded(text).trim_start_matches('"').starts_with('\''), "{text:?}");
        }
        assert_eq!(guarded("a\u{1b}[2Jb\u{202e}c"), "\"a [2Jb c\"");
        assert_eq!(guarded("a\r\nb"), "\"a  b\"");
    }

    #[test]
    fn values_have_one_cell_each() {
        for (value, expected) in [
            ("null", ""),
            ("-5", "-5"),
            ("true", "true"),
            ("\"a\"", "a"),
            ("[\"a\",\"b\"]", "\"a;b\""),
            ("[]", ""),
            ("[{\"a\":1}]", "\"[{\"\"a\"\":1}]\""),
            ("{}", "{}"),
        ] {
            let mut table = String::new();
            cell(&mut table, Raw::parse(value).unwrap());
            assert_eq!(table, expected, "{value}");
        }
    }

    #[test]
    fn a_view_leaves_signatures_to_the_rows() {
        let without = |text| without_envelope(Raw::parse(text).unwrap());
        assert_eq!(
            without("{\"digest\":\"a\",\"envelope\":{\"x\":1},\"id\":\"b\"}"),
            "{\"digest\":\"a\",\"id\":\"b\"}"
        );
        assert_eq!(without("{\"envelope\":1}"), "{}");
        assert_eq!(without("{}"), "{}");
    }
}
