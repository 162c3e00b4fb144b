use serde_json::Value;

use super::{ORIGIN, log, rows};
use crate::leaf::Kind;
use crate::views::text::json;
use crate::views::{Events, Row};

fn lines(rows: &[Row]) -> Vec<String> {
    let mut events = Events::new(ORIGIN);
    let mut out = Vec::new();
    rows.iter().for_each(|row| events.row(row, &mut out).unwrap());
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn events(rows: &[Row]) -> Vec<Value> {
    lines(rows).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_kind_has_its_event() {
    let rows = rows(&log(), 4, &[]);
    let events = events(&rows);
    for kind in Kind::ALL {
        // The last of its kind: what came before is known by then.
        let (_, event) = rows.iter().zip(&events).rfind(|(row, _)| row.header.kind == *kind).unwrap();
        let lines = serde_json::to_string_pretty(event).unwrap();
        let lines: Vec<String> = lines.lines().map(json).collect();
        insta::assert_snapshot!(format!("ocsf.{}", kind.as_str()), lines.join("\n"));
    }
}

#[test]
fn each_level_has_its_events() {
    let log = log();
    for level in 1..=3 {
        insta::assert_snapshot!(format!("ocsf-level-{level}"), lines(&rows(&log, level, &[])).join("\n"));
    }
    let everything: Vec<u64> = (0..log.size()).collect();
    insta::assert_snapshot!("ocsf-level-erased", lines(&rows(&log, 4, &everything)).join("\n"));
}

#[test]
fn a_masked_delivery_is_modified_and_one_as_it_is_is_allowed() {
    let rows = rows(&log(), 4, &[]);
    let events = events(&rows);
    let outcomes = rows.iter().zip(&events).filter(|(row, _)| row.header.kind == Kind::FetchOutcome);
    let said: Vec<String> = outcomes
        .map(|(_, event)| {
            let of = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {}",
                of("status"),
                of("action"),
                of("disposition"),
                event["actor"]["user"]["name"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "Success Modified Allowed ada",
            "Failure Modified Error eve",
            "Failure Denied Access Revoked eve",
            "Success Allowed Allowed eve"
        ]
    );
}

#[test]
fn a_consumer_can_prove_that_it_missed_nothing() {
    for level in 1..=4 {
        for (index, event) in events(&rows(&log(), level, &[])).iter().enumerate() {
            assert_eq!(event["metadata"]["sequence"], index);
            assert_eq!(event["metadata"]["uid"], format!("{ORIGIN}#{index}"));
            let class = event["class_uid"].as_u64().unwrap();
            assert_eq!(event["type_uid"], class * 100 + event["activity_id"].as_u64().unwrap());
            assert_eq!(event["category_uid"], class / 1000);
        }
    }
}

#[test]
fn what_is_withheld_or_erased_is_in_no_event() {
    let log = log();
    for line in lines(&rows(&log, 2, &[])) {
        assert!(!line.contains("idp.example") && !line.contains("churn"), "{line}");
    }
    let everything: Vec<u64> = (0..log.size()).collect();
    for line in lines(&rows(&log, 4, &everything)) {
        assert!(
            !line.contains("idp.example") && !line.contains("laptop") && line.contains("erased"),
            "{line}"
        );
    }
}

#[test]
fn no_event_carries_signatures_policies_or_characters_that_hide() {
    for line in lines(&rows(&log(), 4, &[])) {
        assert!(!line.contains("payloadType") && !line.contains("forbid;"), "{line}");
        assert!(
            line.chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{200b}'),
            "{line}"
        );
    }
}

#[test]
fn an_event_under_a_session_from_before_the_range_names_its_person() {
    let rows = rows(&log(), 4, &[]);
    let intent = rows.iter().position(|row| row.header.kind == Kind::FetchIntent).unwrap();
    let mut events = Events::new(ORIGIN);
    rows[..intent].iter().for_each(|row| events.context(row));
    let mut out = Vec::new();
    events.row(&rows[intent], &mut out).unwrap();
    let event: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(event["actor"]["user"]["uid"], "ada");
    assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1");
    assert_eq!(event["query_info"]["query_string"], r#"{"dataset":"orders","kind":"slice"}"#);
}

#[test]
fn what_is_sent_on_is_what_a_bundle_gives_and_its_stand_in_is_short() {
    for level in 1..=4 {
        let rows = rows(&log(), level, &[]);
        let mut events = Events::new(ORIGIN);
        for (row, line) in rows.iter().zip(lines(&rows)) {
            let event = events.event(row).unwrap();
            assert_eq!(
                (event.index, event.time_ms, event.text.as_str()),
                (row.index, row.header.t, line.as_str())
            );
            let short: Value = serde_json::from_str(&event.short).unwrap();
            assert_eq!(short["metadata"]["uid"], format!("{ORIGIN}#{}", row.index));
            assert_eq!(short["unmapped"]["bytes"], event.text.len());
            assert!(event.short.len() < 900, "{}", event.short);
        }
    }
    let event = Events::new(ORIGIN).event(&rows(&log(), 4, &[])[0]).unwrap();
    let short: Value = serde_json::from_str(&event.short).unwrap();
    insta::assert_snapshot!("ocsf.shortened", serde_json::to_string_pretty(&short).unwrap());
}
