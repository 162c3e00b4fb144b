use serde_json::Value;

use super::{HOSTILE, assessed, log, rows, source, verified};
use crate::views::{assessment_results, report};

#[test]
fn a_report_is_one_file_that_asks_for_nothing() {
    for level in 1..=4 {
        let rows = rows(&log(), level, &[]);
        let verification = verified(&rows, level);
        let html = report(&source(&verification), &assessed(&rows));
        for bad in ["<script", "http://", "https://", "src=", "@import", "url(", "onload", "javascript:"] {
            // Names of issuers are texts, never places.
            let places = html.replace("https://idp.example", "");
            assert!(!places.contains(bad), "{bad} at level {level}");
        }
        assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    }
}

#[test]
fn what_people_wrote_is_text_in_a_report() {
    let rows = rows(&log(), 4, &[]);
    let verification = verified(&rows, 4);
    let html = report(&source(&verification), &assessed(&rows));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!html.contains(HOSTILE));
    assert!(
        html.chars()
            .all(|c| (!c.is_control() || c == '\n') && c != '\u{202e}' && c != '\u{200b}')
    );
    // A file's name is a word in the commands that a reader copies.
    assert!(html.contains("chunkctl audit verify &#39;audit; rm -rf &#39;\\&#39;&#39;~&#39;\\&#39;&#39;.bundle&#39; --trust"));
}

#[test]
fn a_report_names_exceptions_by_entry_and_says_what_it_cannot_judge() {
    let log = log();
    let all = rows(&log, 4, &[]);
    let verification = verified(&all, 4);
    let html = report(&source(&verification), &assessed(&all));
    let denied = all.iter().filter(|row| row.header.kind == crate::leaf::Kind::RequestDeny);
    for row in denied {
        assert!(html.contains(&format!("<td class=\"w\">#{}</td>", row.index)), "#{}", row.index);
    }
    assert!(!html.contains("not judged"));
    let headers = rows(&log, 1, &[]);
    let verification = verified(&headers, 1);
    let html = report(&source(&verification), &assessed(&headers));
    assert!(html.contains("not judged") && html.contains("disclosure level 1"));
}

#[test]
fn documents_are_functions_of_the_bundle() {
    let rows = rows(&log(), 4, &[]);
    let verification = verified(&rows, 4);
    let source = source(&verification);
    assert_eq!(report(&source, &assessed(&rows)), report(&source, &assessed(&rows)));
    let results = assessment_results(&source, &assessed(&rows)).unwrap();
    assert_eq!(results, assessment_results(&source, &assessed(&rows)).unwrap());
    let value: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(value["assessment-results"]["results"][0]["observations"][0]["methods"][0], "TEST");
}

#[test]
fn a_finding_is_satisfied_only_where_nothing_was_found_and_all_was_judged() {
    let log = log();
    let states = |level: u8| {
        let rows = rows(&log, level, &[]);
        let verification = verified(&rows, level);
        let results: Value = serde_json::from_str(&assessment_results(&source(&verification), &assessed(&rows)).unwrap()).unwrap();
        let findings = results["assessment-results"]["results"][0]["findings"].as_array().unwrap().clone();
        move |target: &str| {
            let found = findings
                .iter()
                .find(|finding| finding["target"]["target-id"] == target)
                .expect("a finding");
            found["target"]["status"]["state"].as_str().unwrap().to_owned()
        }
    };
    let whole = states(4);
    assert_eq!(whole("a.5.3_verified"), "satisfied");
    assert_eq!(whole("a.8.11_deliveries-revealed"), "not-satisfied");
    assert_eq!(whole("a.5.18_grants-long"), "satisfied");
    // At level 1 nobody can see how long grants live.
    assert_eq!(states(1)("a.5.18_grants-long"), "not-satisfied");
}
