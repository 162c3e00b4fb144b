//! The answers, and the queries that stand beside them. `tests/exports/queries.py` runs the queries over the entries of these
//! snapshots, and holds what `jq` finds against the answers.

use super::{assessed, log, rows};
use crate::body::Group;
use crate::civil::rfc3339;
use crate::encode::canonical;
use crate::views::checks::{CHECKS, Role};
use crate::views::text::json;
use crate::views::{Row, Shown};

/// The line of an entry in `views/entries.jsonl`, as `docs/evidence.md` describes it.
fn line(row: &Row) -> String {
    let header = &row.header;
    let mut line = serde_json::json!({
        "disclosed": row.shown.as_str(), "index": row.index, "kind": header.kind.as_str(), "time": rfc3339(header.t),
    });
    let mut put = |name: &str, value: Option<serde_json::Value>| value.map(|value| line[name] = value);
    put("actor", header.act.clone().map(Into::into));
    put("dataset", header.ds.clone().map(Into::into));
    put("decision", header.dec.map(|dec| dec.as_str().into()));
    put("policy", header.pol.map(Into::into));
    put("refs", (!header.refs.is_empty()).then(|| header.refs.clone().into()));
    put("session", header.sid.clone().map(Into::into));
    for group in Group::ALL {
        let mut value = row.body.get(group).clone();
        // Signatures stay with the rows.
        value.as_object_mut().map(|members| members.remove("envelope"));
        put(group.as_str(), (!value.is_null()).then_some(value));
    }
    json(&canonical(&line).unwrap())
}

#[test]
fn every_question_has_the_answer_that_reading_the_log_gives() {
    let mut rows = rows(&log(), 4, &[1]);
    // One whose person cannot be known any more.
    rows[5].shown = Shown::Erased(rows.len() as u64 - 1);
    rows[5].body = crate::body::Body::new();
    let assessment = assessed(&rows);
    insta::assert_snapshot!("entries", rows.iter().map(line).collect::<Vec<_>>().join("\n"));
    let answers: Vec<String> = CHECKS
        .iter()
        .map(|check| {
            let (_, answer) = assessment.answer(check.id).unwrap();
            format!("{} {} {} {:?}", check.id, answer.value, answer.withheld, answer.indices)
        })
        .collect();
    insta::assert_snapshot!("answers", answers.join("\n"));
}

#[test]
fn every_query_is_one_line_that_a_shell_takes_as_it_stands() {
    for check in CHECKS {
        let command = check.command();
        assert!(!command.contains('\n'), "{command}");
        assert_eq!(command.matches('\'').count(), 2, "{command}");
        assert!(command.ends_with(" entries.jsonl"), "{command}");
    }
    let commands: Vec<String> = CHECKS
        .iter()
        .map(|check| format!("{} {:?} {}", check.id, check.role, check.command()))
        .collect();
    insta::assert_snapshot!("queries", commands.join("\n"));
}

#[test]
fn long_lists_are_bounded_and_their_count_is_not() {
    let rows = rows(&log(), 4, &[]);
    let denial = rows.iter().find(|row| row.header.kind == crate::leaf::Kind::RequestDeny).unwrap();
    let many: Vec<_> = (0..2000).map(|index| crate::views::Row { index, ..denial.clone() }).collect();
    let assessment = assessed(&many);
    let (check, answer) = assessment.answer("requests-denied").unwrap();
    assert_eq!(check.role, Role::Worked);
    assert_eq!((answer.value, answer.described.len(), answer.indices.len()), (2000, 25, 500));
}
