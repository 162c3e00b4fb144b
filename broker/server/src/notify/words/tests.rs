#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;

/// What somebody who wants to be taken for somebody else may type.
pub(in crate::notify) const HOSTILE: &str = "<!everyone> <@U123> <https://evil.example|approve> [approve](https://evil.example) **x** `code` {{DATE(2026-01-01,SHORT)}} <at>all</at> & Bcc: eve@evil.example";

pub(in crate::notify) fn speaker() -> Speaker {
    Speaker::new("Acme", &"https://broker.example:8443/".parse().unwrap())
}

pub(in crate::notify) fn minimal() -> Notice {
    Notice {
        id: "msg_0123456789abcdef0123456789abcdef".into(),
        occasion: Occasion::RequestPending,
        index: 42,
        time_ms: 1_790_000_000_123,
        request: Some("req_0000000000000001".parse().unwrap()),
        datasets: vec!["customers".into(), "order_lines".into()],
        quorum: Some(2),
        stage: None,
        escalated_to: Vec::new(),
        decision: None,
        expires_ms: Some(1_790_086_400_000),
        details: None,
        to: Vec::new(),
    }
}

pub(in crate::notify) fn hostile() -> Notice {
    let who = |name: &str| Who {
        name: format!("{name} {HOSTILE}"),
        email: Some("dana@example.com".into()),
    };
    Notice {
        details: Some(Details {
            person: Some(who("Dana")),
            reason: Some(HOSTILE.into()),
            ticket: Some(HOSTILE.into()),
            query: Some(format!("SELECT '{HOSTILE}'")),
            rows_estimated: Some(10),
            by: vec![who("Rita")],
            words: Some(format!(". {HOSTILE}")),
            host: None,
            ip: None,
            ssh_key: None,
        }),
        ..minimal()
    }
}

#[test]
fn a_notification_without_details_holds_only_words_of_ours() {
    let words = speaker().words(&minimal());
    assert_eq!(words.title, "A request waits for approval");
    assert_eq!(
        words.facts,
        [
            ("Request", "req_0000000000000001".to_owned()),
            ("Datasets", "customers, order_lines".to_owned()),
            ("People who must approve", "2".to_owned()),
            ("Waits until", "2026-09-22 14:13 UTC".to_owned()),
            ("When", "2026-09-21 14:13 UTC".to_owned()),
        ]
    );
    assert_eq!(words.command, "chunkctl request show req_0000000000000001");
    assert_eq!(words.link.unwrap(), "https://broker.example:8443/requests/req_0000000000000001");
}

#[test]
fn every_occasion_has_a_title_and_a_sign_in_no_link() {
    let titles: std::collections::BTreeSet<&str> = Occasion::ALL
        .iter()
        .map(|occasion| {
            speaker()
                .words(&Notice {
                    occasion: *occasion,
                    ..minimal()
                })
                .title
        })
        .collect();
    assert_eq!(titles.len(), Occasion::ALL.len());
    let sign_in = speaker().words(&Notice {
        occasion: Occasion::SessionOpenedNewKey,
        request: None,
        datasets: Vec::new(),
        ..minimal()
    });
    assert_eq!((sign_in.link, sign_in.command.as_str()), (None, "chunkctl sessions list"));
}
