//! Every field that an entry may hold is classified in `docs/fields.md`, before it can be written: in tests, the writer refuses
//! any other. What nobody has thought about does not get into a log that nobody can change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::{Header, Kind};
use serde_json::Value;

const FIELDS: &str = include_str!("../../../../docs/fields.md");

/// What a field is about; `docs/fields.md` says what each means.
const CLASSES: &[&str] = &[
    "identity", "contact", "place", "typed", "slice", "decision", "measure", "digest", "system",
];

/// Values that are taken whole: what they hold is somebody's own document.
const WHOLE: &[&str] = &["what.envelope", "what.query"];

static INVENTORY: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    rows()
        .map(|[field, kinds, ..]| {
            (
                field.trim_matches('`').to_owned(),
                kinds.split(' ').map(|kind| kind.trim_matches('`').to_owned()).collect(),
            )
        })
        .collect()
});

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    FIELDS.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().expect("four cells a row")
    })
}

/// Ends the test that writes a field which nobody has classified.
pub(crate) fn check(header: &Header, body: &Body) {
    for group in Group::ALL {
        let value = body.get(group);
        if !value.is_null() {
            look(header.kind, group.as_str(), value);
        }
    }
}

fn look(kind: Kind, path: &str, value: &Value) {
    match value {
        Value::Object(members) if !WHOLE.contains(&path) => {
            for (name, value) in members {
                look(kind, &format!("{path}.{name}"), value);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                look(kind, &format!("{path}[]"), item);
            }
        }
        _ => {
            let known = INVENTORY.get(path).is_some_and(|kinds| kinds.contains(kind.as_str()));
            assert!(
                known,
                "`{path}` of `{}` is not in docs/fields.md: say there what it is",
                kind.as_str()
            );
        }
    }
}

#[test]
fn every_row_is_of_a_class_and_of_kinds_that_there_are() {
    let mut before = "";
    for [field, of, class, what] in rows() {
        assert!(before < field, "{field} is out of order or there twice");
        before = field;
        assert!(CLASSES.contains(&class), "{field}: {class}");
        assert!(!what.is_empty(), "{field}");
        for kind in of.split(' ') {
            let header = format!(r#"{{"k":"{}","t":0,"v":1}}"#, kind.trim_matches('`'));
            assert!(Header::parse(&header).is_ok(), "{field}: {kind}");
        }
    }
}

#[test]
#[should_panic(expected = "is not in docs/fields.md")]
fn a_field_that_nobody_has_classified_is_not_written() {
    check(
        &Header::new(Kind::SessionOpen),
        &Body::new().with(Group::Who, serde_json::json!({ "shoe_size": 43 })),
    );
}
